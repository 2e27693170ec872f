"""Common-method checks against lavaan, planted method variance and planted markers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from planted import FOUR, a_study, data_set, drawn, exact, population, syntax
from r_tables import r_table

from cxlib import sem
from cxlib.stages.measurement import measurement
from cxlib.stages.measurement.common_method import method_bias

MAIN = (
    "PERQ =~ PERQ1 + PERQ2 + PERQ3 + PERQ4 + PERQ5 + PERQ6 + PERQ7\nPERV =~ PERV1 + PERV2\n"
    "CUSA =~ CUSA1 + CUSA2 + CUSA3\nCUSL =~ CUSL1 + CUSL2 + CUSL3"
)
SETS = {
    "hs": "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9",
    "ecsi": MAIN,
    "single": MAIN + "\nCOMP =~ CUSCO",
}
BFI = {"C": ["C1", "C2", "C3"], "E": ["E3", "E4", "E5"], "N": ["N1", "N2", "N3", "N4", "N5"]}


def checks(result) -> pd.Series:
    return result.table.set_index(["check", "statistic"])["value"]


@pytest.fixture(scope="module")
def fits() -> dict[str, sem.Fit]:
    return {
        name: sem.fit(data_set("hs" if name == "hs" else "ecsi"), model)
        for name, model in SETS.items()
    }


@pytest.fixture(scope="module")
def printed() -> dict[tuple[str, str], dict[tuple[str, str], float]]:
    """What R printed: (set, table) → {(row, column): value}."""
    table = r_table("measurement")
    return {
        key: {(r.row, r.column): r.value for r in rows.itertuples()}
        for key, rows in table.groupby(["set", "table"])
    }


@pytest.mark.parametrize("name", SETS)
def test_method_checks_equal_lavaan(name, fits, printed):
    table = method_bias(fits[name]).table.set_index(["check", "statistic"])["value"]
    r = printed[name, "method"]
    assert table["harman_pca", "share"] == pytest.approx(r["harman_pca", "share"], abs=1e-12)
    assert table["harman_factor", "share"] == pytest.approx(r["harman_ml", "share"], abs=1e-8)
    assert table["one_factor", "d_chisq"] == pytest.approx(r["one_factor", "d_chisq"], abs=1e-8)
    assert table["one_factor", "d_df"] == r["one_factor", "d_df"]
    assert table["method_factor", "share"] == pytest.approx(r["method_factor", "share"], abs=1e-8)
    assert table["method_factor", "d_chisq"] == pytest.approx(
        printed[name, "fit"]["chisq", "value"] - r["method_factor", "chisq"], abs=1e-8
    )
    assert table["method_factor", "d_df"] == 1


@pytest.mark.parametrize("planted", [0.0, 0.20])
def test_a_planted_method_factor_is_recovered(planted):
    """Constructs without positive manifold, loadings of both sizes: then a common part is the method's."""
    phi = np.array([[1, 0.4, -0.3, 0], [0.4, 1, -0.2, 0.1], [-0.3, -0.2, 1, 0], [0, 0.1, 0, 1]])
    cov, scales = population(
        {
            "A": [0.8, 0.4, 0.6, 0.75],
            "B": [0.8, 0.45, 0.75, 0.4],
            "C": [0.8, 0.4, 0.7, 0.5],
            "D": [0.4, 0.8, 0.7, 0.35],
        },
        phi,
    )
    cov = cov * (1 - planted) + planted
    x = pd.DataFrame(
        np.random.default_rng(21).multivariate_normal(np.zeros(16), cov, 1500), columns=cov.columns
    )
    result = method_bias(sem.fit(x, syntax(scales)))
    value = result.table.set_index(["check", "statistic"])["value"]
    assert value["method_factor", "share_low"] < planted < value["method_factor", "share_high"]
    assert (value["method_factor", "d_p"] < 0.001) == (planted > 0)
    exactly = method_bias(sem.fit(exact(cov, 1500), syntax(scales))).table.set_index(
        ["check", "statistic"]
    )["value"]
    assert exactly["method_factor", "share"] == pytest.approx(planted, abs=1e-6)


def test_one_factor_is_not_worse_where_there_is_only_one():
    cov, _ = population({"A": [0.8, 0.7, 0.6, 0.75, 0.65, 0.7, 0.6, 0.8]}, 1)
    x = pd.DataFrame(
        np.random.default_rng(4).multivariate_normal(np.zeros(8), cov, 400), columns=cov.columns
    )
    halves = {"F": list(x)[:4], "G": list(x)[4:]}
    value = method_bias(sem.fit(x, syntax(halves))).table.set_index(["check", "statistic"])["value"]
    assert value["one_factor", "d_df"] == 1 and value["one_factor", "d_p"] > 0.05
    many, scales = drawn(FOUR, 0.3, 400, 4)
    result = method_bias(sem.fit(many, syntax(scales)))
    assert (
        result.table.set_index(["check", "statistic"]).loc[("one_factor", "d_p"), "value"] < 1e-20
    )
    assert "fits worse" in result.text["en"] and "差于" in result.text["zh"]


def test_a_method_factor_that_swallows_the_constructs_is_named(fits):
    said = " ".join(w["en"] for w in method_bias(fits["hs"]).warnings)
    assert "negative" in said and "textual – speed" in said


def test_a_model_without_degrees_of_freedom_leaves_nothing_to_tell_a_method_by():
    found = method_bias(sem.fit(data_set("hs"), "visual =~ x1 + x2 + x3"))
    assert (
        found.table.empty
        and list(found.table) == ["check", "statistic", "value"]
        and found.text in found.warnings
    )


def test_one_construct_alone_is_said():
    fitted = sem.fit(data_set("hs"), "visual =~ x1 + x2 + x3 + x4 + x5")
    result = method_bias(fitted)
    assert any("only construct" in w["en"] for w in result.warnings)
    alone = measurement.validity(data_set("hs"), a_study({"visual": ["x1"]}), fitted)
    assert (
        alone.table[["msv", "max_htmt"]].isna().all(axis=None)
        and "no MSV" in alone.warnings[-1]["en"]
    )


@pytest.mark.parametrize(("name", "marker"), [("scale", "O"), ("question", "age")])
def test_the_marker_as_in_r(name, marker):
    data, printed = r_table("bfi"), r_table("marker")
    study = a_study({**BFI, "O": ["O1", "O3", "O4"]}).model_copy(update={"marker": marker})
    result = method_bias(sem.fit(data, syntax(BFI)), data, study)
    for row in printed[printed["set"] == name].itertuples():
        assert checks(result)[row.check, row.statistic] == pytest.approx(row.value, abs=1e-8), (
            row.check,
            row.statistic,
        )
    assert any("one question, taken as free of error" in w["en"] for w in result.warnings) == (
        name == "question"
    )
    assert (
        "Lindell and Whitney 2001" in result.text["en"]
        and "Lindell 与 Whitney，2001" in result.text["zh"]
    )


@pytest.mark.parametrize("planted", [0.0, 0.25])
def test_a_marker_finds_planted_method_variance(planted):
    """Four unrelated constructs and a marker; part of every answer is the method's, and so are all correlations."""
    cov, scales = population({**FOUR, "M": [0.7, 0.6, 0.8]}, 0)
    cov = cov * (1 - planted) + planted
    x = pd.DataFrame(
        np.random.default_rng(8).multivariate_normal(np.zeros(len(cov)), cov, 1500),
        columns=cov.columns,
    )
    study = a_study(scales).model_copy(update={"marker": "M"})
    value = checks(method_bias(sem.fit(x, syntax({c: scales[c] for c in FOUR})), x, study))
    assert (
        (value["marker_factor", "d_p"] < 1e-6)
        == (value["marker", "significant"] == 6)
        == (planted > 0)
    )
    assert value["marker", "significant_adjusted"] < max(value["marker", "significant"], 1)


def test_the_loading_on_a_marker_in_closed_form():
    """All loadings .7, a quarter of every answer the method's: the marker shares .25 of its .6175 with every item."""
    cov, scales = population({code: [0.7] * 3 for code in "ABCM"}, 0)
    x = exact(cov * 0.75 + 0.25, 500)
    value = checks(
        method_bias(
            sem.fit(x, syntax({c: scales[c] for c in "ABC"})),
            x,
            a_study(scales).model_copy(update={"marker": "M"}),
        )
    )
    common, shared = 0.25 + 0.75 * 0.49, 0.25**2 / (0.25 + 0.75 * 0.49)
    assert value["marker_factor", "loading"] == pytest.approx(np.sqrt(shared), abs=1e-6)
    assert value["marker_factor", "largest_change"] == pytest.approx(
        0.25 / common - (0.25 - shared) / (common - shared), abs=1e-6
    )
    assert value["marker", "r_lowest"] == pytest.approx(
        9 * 0.25 / (3 + 6 * common), abs=1e-10
    )  # of two sums of three items


def test_true_correlations_survive_a_marker_without_method_variance():
    x, scales = drawn(FOUR, 0.4, 800, 3)
    x["mark"] = np.random.default_rng(4).normal(size=800)
    result = method_bias(
        sem.fit(x, syntax(scales)), x, a_study(scales).model_copy(update={"marker": "mark"})
    )
    value = checks(result)
    assert value["marker", "significant"] == value["marker", "significant_adjusted"] == 6
    assert value["marker_factor", "d_p"] > 0.05 and "does not improve fit" in result.text["en"]


def test_without_a_marker_one_sentence_says_how_to_declare_it(fits):
    for result in (
        method_bias(fits["hs"]),
        method_bias(fits["hs"], data_set("hs"), a_study({"visual": ["x1"]})),
    ):
        assert (
            "marker: <item, construct or number column>" in result.text["en"]
            and "没有声明标记变量" in result.text["zh"]
        )
    own = a_study({"visual": ["x1"]}).model_copy(update={"marker": "x4"})
    assert "belongs to this model" in method_bias(fits["hs"], data_set("hs"), own).text["en"]


def test_a_marker_model_without_a_solution_gives_no_numbers():
    mobi, scales = (
        data_set("ecsi"),
        {
            "IMAG": [f"IMAG{i}" for i in range(1, 6)],
            "PERQ": [f"PERQ{i}" for i in range(1, 8)],
            "CUSA": [f"CUSA{i}" for i in range(1, 4)],
        },
    )
    study = a_study({**scales, "CUEX": ["CUEX1", "CUEX2", "CUEX3"]}).model_copy(
        update={"marker": "CUEX"}
    )
    result = method_bias(sem.fit(mobi, syntax(scales)), mobi, study)
    assert checks(result)["marker_factor"].isna().all()
    assert any(
        w["en"].startswith("Marker model") and "no optimum" in w["en"] for w in result.warnings
    )


def test_rivals_of_an_ordinal_solution_are_fitted_like_it_and_said_to_be_rough():
    mobi = data_set("ecsi")
    ordinal = sem.fit(mobi, MAIN, estimator="WLSMV")
    result, r = method_bias(ordinal), ordinal.sample[0].cov
    alone = [
        sem.fit_moments(r, 250, model).chisq
        for model in ("ONE =~ " + " + ".join(ordinal.model.observed), MAIN)
    ]
    assert checks(result)["one_factor", "d_chisq"] == pytest.approx(alone[0] - alone[1], abs=1e-6)
    assert any("fitted by maximum likelihood, not by" in w["en"] for w in result.warnings)
    assert not any(
        "fitted by maximum likelihood, not by" in w["en"]
        for w in method_bias(sem.fit(mobi, MAIN)).warnings
    )
