"""cxlib.stages.verdicts: no hypothesis is lost, no verdict outruns its model, p values are Holm's."""

from __future__ import annotations

import functools
from fnmatch import fnmatch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlib.core.result import Result
from cxlib.stages import verdicts
from cxlib.statistics.multiple_testing import holm
from cxlib.study import schema as study
from cxlib.study.schema import Hypothesis

SOUND = {"converged": True, "proper": True, "trustworthy": True, "note": ""}
MODELS = {
    "main": "PERV ~ PERQ\nCUSA ~ PERV + PERQ\nCUSL ~ CUSA",
    "less": "PERV ~ PERQ\nCUSA ~ PERV\nCUSL ~ CUSA",
    "odd": "CUSA ~ IMAG",
}


@functools.cache
def real() -> study.Study:
    return study.load("ecsi")


def asking(origin: str = "real", **hypotheses: dict) -> study.Study:
    made = {
        code: Hypothesis(**{"en": f"statement {code}", "zh": f"陈述{code}", **words})
        for code, words in hypotheses.items()
    }
    return real().model_copy(update={"hypotheses": made, "models": MODELS, "origin": origin})


def status(**changes: dict) -> pd.DataFrame:
    return pd.DataFrame(
        [{"model": name, "n": 250, **SOUND, **changes.get(name, {})} for name in MODELS]
    )


def path(lhs: str, rhs: str, est: float, se: float = 0.1, p: float | None = None) -> dict:
    from scipy.stats import norm

    return {
        "lhs": lhs,
        "op": "~",
        "rhs": rhs,
        "est": est,
        "se": se,
        "z": est / se,
        "p": 2 * norm.sf(abs(est / se)) if p is None else p,
        "ci_low": est - 1.96 * se,
        "ci_high": est + 1.96 * se,
        "std": est / 2,
    }


def effect(name: str, kind: str, est: float, se: float = 0.1, p: float = 0.001) -> dict:
    return {
        "effect": name,
        "kind": kind,
        "est": est,
        "se": se,
        "ci_low": est - 1.96 * se,
        "ci_high": est + 1.96 * se,
        "p": p,
        "std": est / 2,
        "interval": "bca",
        "draws": 500,
        "converged": 500,
    }


def tables(parameters: list[dict] = (), effects: list[dict] = (), **others: pd.DataFrame) -> dict:
    return {
        "model_status": status(),
        "sem_parameters": pd.DataFrame(parameters, columns=list(path("a", "b", 1))),
        "effects": pd.DataFrame(effects, columns=list(effect("", "", 1))),
        **others,
    }


def judged(own: study.Study, given_tables: dict, language: str = "en") -> pd.DataFrame:
    return verdicts.hypotheses(own, given_tables, language).table.set_index("id")


def test_holm_is_that_of_r():
    """R: p.adjust(c(.01, .02, .03, .04, NA), "holm") gives .04 .06 .06 .06 NA; of c(.5, .001, .4), .8 .003 .8."""
    np.testing.assert_allclose(
        holm([0.01, 0.02, 0.03, 0.04, np.nan]), [0.04, 0.06, 0.06, 0.06, np.nan]
    )
    np.testing.assert_allclose(holm([0.5, 0.001, 0.4]), [0.8, 0.003, 0.8])


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_holm_keeps_order_and_never_lowers_p(p, shuffler):
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-15).all() and (adjusted <= 1).all()
    assert adjusted.min() == pytest.approx(min(1, min(p) * len(p)))
    order = list(range(len(p)))
    shuffler.shuffle(order)
    np.testing.assert_allclose(holm(np.array(p)[order]), adjusted[order])


def test_every_hypothesis_has_one_row_in_the_order_of_the_file():
    result = verdicts.hypotheses(real(), {})
    assert result.table["id"].tolist() == list(real().hypotheses)
    assert set(result.table["verdict"]) == {"not tested"}
    assert list(result.table)[:13] == [
        "id",
        "statement",
        "model",
        "test",
        "sign",
        "est",
        "ci_low",
        "ci_high",
        "p",
        "p_adjusted",
        "n",
        "verdict",
        "notebook",
    ]
    assert result.table["note"].str.contains("has not fitted the model").all()
    said = " ".join(note["en"] for note in result.warnings)
    assert all(code in said for code in real().hypotheses)


@pytest.mark.parametrize(
    ("sign", "est", "p", "verdict"),
    [
        ("+", 0.5, 0.001, "supported"),
        ("-", 0.5, 0.001, "contradicted"),
        ("-", -0.5, 0.001, "supported"),
        ("+", -0.5, 0.001, "contradicted"),
        ("+", 0.1, 0.3, "not supported"),
        ("+", -0.1, 0.3, "not supported"),
        ("<>", -0.5, 0.001, "supported"),
        ("<>", 0.1, 0.3, "not supported"),
        ("0", 0.5, 0.001, "contradicted"),
    ],
)
def test_verdict_follows_sign_and_p(sign, est, p, verdict):
    own = asking(H={"path": "PERV ~ PERQ", "sign": sign})
    row = judged(own, tables([path("PERV", "PERQ", est, p=p)])).loc["H"]
    assert row["verdict"] == verdict
    assert (row["est"], row["std"], row["p"], row["n"]) == (est, est / 2, p, 250)
    assert row["notebook"] == "06_structure" and row["test"] == "path (Wald z)"


def test_no_effect_is_supported_only_by_a_narrow_interval():
    own = asking(H={"path": "PERV ~ PERQ", "sign": "0"})
    narrow = judged(own, tables([path("PERV", "PERQ", 0.02, se=0.05, p=0.7)])).loc["H"]
    wide = judged(own, tables([path("PERV", "PERQ", 0.02, se=0.15, p=0.9)])).loc["H"]
    assert narrow["verdict"] == "supported" and narrow["note"] == ""
    assert wide["verdict"] == "not supported" and "0.10" in wide["note"]


def test_holm_works_within_family_and_role():
    own = asking(
        A={"path": "PERV ~ PERQ"},
        B={"path": "CUSA ~ PERV"},
        C={"path": "CUSA ~ PERQ", "role": "exploratory"},
        D={"path": "CUSL ~ CUSA", "family": "own"},
    )
    rows = [
        path("PERV", "PERQ", 0.3, p=0.03),
        path("CUSA", "PERV", 0.3, p=0.04),
        path("CUSA", "PERQ", 0.3, p=0.03),
        path("CUSL", "CUSA", 0.3, p=0.03),
    ]
    table = judged(own, tables(rows))
    np.testing.assert_allclose(table["p_adjusted"], [0.06, 0.06, 0.03, 0.03])
    assert table["verdict"].tolist() == ["not supported", "not supported", "supported", "supported"]
    assert "Holm" in table.loc["A", "note"] and table.loc["C", "note"] == ""


def test_verdicts_on_a_model_that_cannot_be_trusted_are_withheld_without_numbers():
    own = asking(
        A={"path": "PERV ~ PERQ"},
        B={"model": "odd", "path": "CUSA ~ IMAG"},
        C={"nested": "odd", "sign": "<>"},
    )
    given_tables = tables(
        [path("PERV", "PERQ", 0.5)],
        sem_parameters_odd=pd.DataFrame([path("CUSA", "IMAG", 9.0, p=1e-9)]),
    )
    given_tables["model_status"] = status(odd={"trustworthy": False, "note": "Nearly singular."})
    result = verdicts.hypotheses(own, given_tables)
    table = result.table.set_index("id")
    assert table["verdict"].to_dict() == {"A": "supported", "B": "withheld", "C": "withheld"}
    assert (
        table.loc["B", ["est", "ci_low", "p", "p_adjusted", "std"]].isna().all()
        and table.loc["B", "n"] == 250
    )
    assert (
        "Nearly singular." in table.loc["B", "note"]
        and "Nearly singular." in judged(own, given_tables, "zh").loc["B", "note"]
    )
    assert table.loc["A", "p_adjusted"] == table.loc["A", "p"]
    assert any(
        "B withheld" in note["en"] and "B 暂不下结论" in note["zh"] for note in result.warnings
    )
    given_tables["model_status"] = status(odd={"converged": False, "trustworthy": False})
    assert judged(own, given_tables).loc["B", "verdict"] == "withheld"


def test_effects_totals_and_contrasts_are_found_by_name_and_kind():
    own = asking(
        A={"effect": "PERQ->PERV -> CUSA"},
        B={"total": "PERQ + PERV -> CUSA"},
        C={"contrast": "PERQ -> CUSA > PERV -> CUSA"},
        D={"effect": "PERQ -> CUSA"},
        E={"effect": "PERQ -> PERV -> CUSA", "model": "less"},
    )
    rows = [
        effect("PERQ -> PERV -> CUSA", "specific", 0.2),
        effect("PERQ -> CUSA", "total", 0.9),
        effect("PERQ -> CUSA", "direct", 0.7),
        effect("PERQ + PERV -> CUSA", "total", 1.1),
        effect("PERQ -> CUSA > PERV -> CUSA", "contrast", 0.4),
    ]
    table = judged(
        own,
        tables(
            effects=rows,
            effects_less=pd.DataFrame([effect("PERQ -> PERV -> CUSA", "specific", -0.3)]),
        ),
    )
    assert table["est"].tolist() == [0.2, 1.1, 0.4, 0.7, -0.3]
    assert table["verdict"].tolist() == ["supported"] * 4 + ["contradicted"]
    assert (
        table.loc["A", "test"] == "indirect effect (bca)"
        and (table["notebook"] == "07_mediation").all()
    )


def test_a_contrast_stands_with_its_weakest_difference():
    own = asking(A={"contrast": "PERQ -> CUSA > PERV -> CUSA, CUSL -> CUSA"})
    strong, weak = (
        effect(f"PERQ -> CUSA > {code} -> CUSA", "contrast", est, p=p)
        for code, est, p in (("PERV", 0.6, 0.001), ("CUSL", 0.1, 0.4))
    )
    row = judged(own, tables(effects=[strong, weak])).loc["A"]
    assert (row["est"], row["verdict"]) == (0.1, "not supported")
    row = judged(own, tables(effects=[strong, {**weak, "est": -0.6, "p": 0.001}])).loc["A"]
    assert row["verdict"] == "contradicted"
    assert judged(own, tables(effects=[strong])).loc["A", "verdict"] == "not tested"


@pytest.mark.parametrize(
    ("sign", "p", "verdict"),
    [
        ("<>", 0.001, "supported"),
        ("<>", 0.4, "not supported"),
        ("0", 0.001, "contradicted"),
        ("0", 0.4, "not supported"),
    ],
)
def test_nested_models_are_judged_by_the_difference_of_chi_square(sign, p, verdict):
    own = asking(A={"nested": "less", "sign": sign})
    comparison = pd.DataFrame(
        {
            "model": ["main", "less"],
            "n": 250,
            "d_chisq": [np.nan, 12.3],
            "d_df": [np.nan, 1],
            "d_p": [np.nan, p],
        }
    )
    row = judged(own, tables(model_comparison=comparison)).loc["A"]
    assert row["verdict"] == verdict and row["test"] == "Δχ²(1) = 12.30" and np.isnan(row["est"])
    assert (
        judged(own, tables(model_comparison=comparison.head(1))).loc["A", "verdict"] == "not tested"
    )


def test_the_simpler_model_of_a_nested_hypothesis_may_be_the_main_one():
    comparison = pd.DataFrame(
        {
            "model": ["main", "more"],
            "n": 250,
            "d_chisq": [np.nan, -12.3],
            "d_df": [np.nan, -1],
            "d_p": [np.nan, 0.001],
        }
    )
    both = pd.DataFrame(
        {
            "model": ["main", "more"],
            "n": 250,
            "converged": True,
            "proper": True,
            "trustworthy": True,
            "note": "",
        }
    )
    own = asking(A={"model": "more", "nested": "main", "sign": "<>"})
    row = judged(own, tables(model_comparison=comparison, model_status=both)).loc["A"]
    assert row["verdict"] == "supported" and row["test"] == "Δχ²(1) = 12.30"


def test_other_stages_can_hand_in_tests_and_what_lacks_data_is_listed():
    own = asking(
        A={"of": "a ~ b", "kind": "slope"},
        B={"path": "CUSA ~ PERV", "by": "group"},
        C={"needs": "items on price"},
    )
    handed = pd.DataFrame(
        [
            {
                "id": "A",
                "est": 0.4,
                "ci_low": 0.2,
                "ci_high": 0.6,
                "p": 0.001,
                "n": 199,
                "notebook": "09_gap",
                "test": "slope",
            }
        ]
    )
    table = judged(own, tables(hypothesis_tests=handed))
    assert table["verdict"].tolist() == ["supported", "not tested", "not tested"]
    assert (table.loc["A", "n"], table.loc["A", "notebook"], table.loc["A", "test"]) == (
        199,
        "09_gap",
        "slope",
    )
    assert (
        table.loc["B", "notebook"] == "08_groups" and "hypothesis_tests" in table.loc["B", "note"]
    )
    assert "items on price" in table.loc["C", "note"]
    assert set(judged(own, tables())["verdict"]) == {"not tested"}


def test_verdicts_rest_on_the_declared_tables_and_columns_alone():
    """A run that holds nothing but what READS names gives the same verdicts, and no other table is asked for."""
    own = asking(
        A={"path": "PERV ~ PERQ"},
        B={"effect": "PERQ -> PERV -> CUSA"},
        C={"model": "odd", "path": "CUSA ~ IMAG"},
        D={"nested": "less", "sign": "<>"},
        E={"of": "a ~ b", "kind": "slope"},
    )
    comparison = {"model": ["main", "less"], "n": 250, "d_chisq": [0, 9.0], "d_df": [0, 1]}
    tested = {"id": ["E"], "est": 0.4, "ci_low": 0.2, "ci_high": 0.6, "p": 0.001, "n": 199}
    whole = tables(
        [path("PERV", "PERQ", 0.5)],
        [effect("PERQ -> PERV -> CUSA", "specific", 0.2)],
        sem_parameters_odd=pd.DataFrame([path("CUSA", "IMAG", 0.4)]),
        model_comparison=pd.DataFrame(comparison | {"d_p": [np.nan, 0.001]}),
        hypothesis_tests=pd.DataFrame(tested),
        sem_fit=FIT,
    )
    asked = []

    def declared_only(name: str) -> pd.DataFrame:
        asked.append(name)
        declared = [t for t in verdicts.READS if fnmatch(name, t.name)]
        wanted = {column for t in declared for column in (*t.columns, *t.more)}
        return whole[name][[column for column in whole[name] if column in wanted]]

    bare = verdicts.hypotheses(own, declared_only)
    full = verdicts.hypotheses(own, whole)
    pd.testing.assert_frame_equal(bare.table, full.table)
    assert set(bare.table["verdict"]) == {"supported"}
    assert verdicts.answer(own, bare, declared_only) == verdicts.answer(own, full, whole)
    assert {"sem_parameters_odd", "model_comparison", "sem_fit"} <= set(asked)
    assert all(any(fnmatch(name, t.name) for t in verdicts.READS) for name in asked)


def test_a_fixed_path_is_not_tested():
    own = asking(A={"path": "PERV ~ PERQ"})
    row = judged(own, tables([path("PERV", "PERQ", 1.0, p=np.nan)])).loc["A"]
    assert row["verdict"] == "not tested" and "no p value" in row["note"]


def test_tables_may_come_from_files(tmp_path):
    own = asking(
        A={"path": "PERV ~ PERQ"},
        B={"effect": "PERQ -> PERV -> CUSA"},
        C={"model": "odd", "path": "CUSA ~ IMAG"},
    )
    for name, table in tables(
        [path("PERV", "PERQ", 0.5)], [effect("PERQ -> PERV -> CUSA", "specific", 0.2)]
    ).items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    result = verdicts.hypotheses(own, lambda name: pd.read_csv(tmp_path / f"{name}.csv"))
    assert (
        result.table["verdict"].tolist() == ["supported", "supported", "not tested"]
        and result.n_used == 250
    )


def test_statements_and_notes_come_in_the_language_asked_for():
    own = asking(A={"path": "PERV ~ PERQ"}, B={"needs": "价格题项"})
    table = judged(own, tables([path("PERV", "PERQ", 0.5)]), "zh")
    assert table["statement"].tolist() == ["陈述A", "陈述B"] and "缺少" in table.loc["B", "note"]
    assert set(table["verdict"]) <= set(verdicts.WORDS)


def test_a_study_without_hypotheses_says_so():
    result = verdicts.hypotheses(asking(), tables())
    assert (
        result.table.empty
        and list(result.table) == verdicts.COLUMNS
        and "no hypotheses" in result.text["en"]
    )
    assert verdicts.answer(asking(), result)["en"].startswith("The study states no hypotheses")


ROWS = [path("PERV", "PERQ", 0.5), path("CUSA", "PERV", 0.4), path("CUSA", "PERQ", 0.01, p=0.9)]
FIT = pd.DataFrame({"measure": ["cfi", "rmsea", "srmr"], "value": [0.95, 0.05, 0.04]})


@pytest.mark.parametrize(
    ("codes", "en", "zh"),
    [
        (
            "AB",
            "Yes: the data support every hypothesis of the main model, 2 of 2.",
            "是：主模型的 2 个假设全部得到数据支持。",
        ),
        (
            "AC",
            "In part: the data support 1 of 2 hypotheses of the main model, but not C.",
            "部分是",
        ),
        (
            "AE",
            "In part: the data support 1 of 2 hypotheses of the main model; they contradict E.",
            "2 个假设中有 1 个得到数据支持；E 与数据相反。",
        ),
        (
            "ACE",
            "In part: the data support 1 of 3 hypotheses of the main model, but not C; they contradict E.",
            "C 未获支持；E 与数据相反。",
        ),
        (
            "E",
            "No: the data support no hypothesis of the main model, 0 of 1; they contradict E.",
            "均未得到数据支持；E 与数据相反。",
        ),
        ("C", "No: the data support no hypothesis of the main model, 0 of 1.", "否"),
        (
            "AD",
            "Yes: the data support every hypothesis of the main model, 1 of 1 (1 more could not be tested).",
            "另有 1 个无法检验",
        ),
    ],
)
def test_the_answer_leads_with_yes_in_part_or_no(codes, en, zh):
    every = {
        "A": {"path": "PERV ~ PERQ"},
        "B": {"path": "CUSA ~ PERV"},
        "C": {"path": "CUSA ~ PERQ"},
        "D": {"path": "CUSL ~ CUSA"},
        "E": {"path": "CUSA ~ PERV", "sign": "-"},
    }
    own = asking(**{code: every[code] for code in codes})
    said = verdicts.answer(own, verdicts.hypotheses(own, tables(ROWS)), tables(sem_fit=FIT))
    assert said["en"].splitlines()[0] == en and zh in said["zh"].splitlines()[0]
    assert "fits acceptably (CFI 0.950, RMSEA 0.050, SRMR 0.040)" in said["en"]
    assert "250 respondents" in said["en"] and "not proof of cause" in said["en"]
    flow = pd.DataFrame({"step": ["received"], "removed": [0], "remaining": [300]})
    lost = verdicts.answer(own, verdicts.hypotheses(own, tables(ROWS)), tables(cleaning_flow=flow))
    assert (
        "rests on 250 of 300 respondents" in lost["en"] and "250 名受访者（共 300 名" in lost["zh"]
    )
    if "A" in codes:
        assert (
            "Perceived quality → Perceived value 0.25" in said["en"]
            and "感知质量 → 感知价值 0.25" in said["zh"]
        )
    assert said["en"].count("\n") == said["zh"].count("\n") <= 3


@pytest.mark.parametrize(
    ("measures", "words", "chinese"),
    [
        (
            {"cfi": 0.939, "rmsea": 0.072, "srmr": 0.049},
            "fits only by the wider conventions CFI ≥ .90 and RMSEA ≤ .08 (CFI 0.939",
            "只达到较宽的惯例",
        ),
        (
            {
                "cfi": 0.996,
                "rmsea": 0.058,
                "srmr": 0.048,
                "chisq_scaled": 297.3,
                "cfi_robust": 0.925,
                "rmsea_robust": 0.088,
            },
            "fits only loosely; read the sizes with care (CFI 0.925, RMSEA 0.088, SRMR 0.048)",
            "欠佳",
        ),
    ],
)
def test_the_answer_names_the_convention_that_is_met_and_takes_robust_indices_where_there_are_any(
    measures, words, chinese
):
    """The same fit is never called better in the answer than under its table."""
    own = asking(A={"path": "PERV ~ PERQ"})
    fit = pd.DataFrame({"measure": list(measures), "value": list(measures.values())})
    said = verdicts.answer(own, verdicts.hypotheses(own, tables(ROWS)), tables(sem_fit=fit))
    assert words in said["en"] and chinese in said["zh"]


def test_the_answer_of_simulated_or_untrustworthy_data_is_no_evidence():
    own = asking("simulated", A={"path": "PERV ~ PERQ"})
    said = verdicts.answer(own, verdicts.hypotheses(own, tables(ROWS)))
    assert (
        "demonstration, not evidence" in said["en"]
        and "不构成证据" in said["zh"]
        and "respondents" not in said["en"]
    )
    own = asking(A={"path": "PERV ~ PERQ"})
    untrusted = tables(ROWS) | {
        "model_status": status(main={"trustworthy": False, "note": "Nearly singular."})
    }
    said = verdicts.answer(own, verdicts.hypotheses(own, untrusted))
    assert said["en"].startswith(
        "The question cannot be answered from these data. The solution of model 'main' cannot be trusted."
    )
    assert "Perceived" not in said["en"] and said["zh"].startswith("现有数据无法回答这一问题")
    assert "agreement with the model" not in said["en"] and "结果与模型" not in said["zh"]


def test_without_hypotheses_the_answer_says_so():
    own = asking()
    said = verdicts.answer(own, verdicts.hypotheses(own, tables(ROWS)), tables(sem_fit=FIT))
    assert said["en"].startswith("The study states no hypotheses") and said["zh"].startswith(
        "该研究没有提出假设"
    )
    assert "cannot be answered" not in said["en"]


def test_secondary_hypotheses_and_other_models_do_not_decide_the_answer():
    own = asking(
        A={"path": "PERV ~ PERQ"},
        B={"path": "CUSA ~ PERQ", "role": "exploratory"},
        C={"model": "odd", "path": "CUSA ~ IMAG"},
    )
    said = verdicts.answer(own, verdicts.hypotheses(own, tables(ROWS)))
    assert said["en"].startswith("Yes:") and "1 of 1." in said["en"]


def test_the_numbers_of_a_result_show_in_both_languages():
    own = asking(A={"path": "PERV ~ PERQ"}, B={"path": "CUSA ~ PERQ"})
    result = verdicts.hypotheses(own, tables(ROWS))
    assert result.text["en"] == "Of 2 hypotheses: 1 supported, 1 not supported."
    assert result.text["zh"] == "共 2 个假设：支持 1 个、未获支持 1 个。"
    assert isinstance(result, Result)
