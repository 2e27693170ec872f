"""From a run's tables to verdicts: each hypothesis once, and the answer to the study's question.

A verdict never outruns its model.  Hypotheses of a model whose solution cannot be trusted are withheld,
those whose estimate the run does not hold are not tested; neither is ever left out of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from cxlib.core.result import Result, Text
from cxlib.core.syntax import ARROW, path, rivals, spelled
from cxlib.core.words import number, plural
from cxlib.sem.measures import reported
from cxlib.sem.paths import label
from cxlib.statistics.multiple_testing import holm
from cxlib.study.checks import TESTS
from cxlib.study.schema import Hypothesis, Study

Tables = Callable[[str], pd.DataFrame] | Mapping[str, pd.DataFrame]
COLUMNS = [
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
    "std",
    "family",
    "role",
    "note",
]
WORDS = {
    "supported": "支持",
    "not supported": "未获支持",
    "contradicted": "与假设相反",
    "withheld": "暂不下结论",
    "not tested": "未检验",
}
"""The five verdicts, with their Chinese words."""
NAMES = {
    "path": ("path (Wald z)", "06_structure"),
    "by": ("difference between groups", "08_groups"),
    "effect": ("indirect effect", "07_mediation"),
    "total": ("total effect", "07_mediation"),
    "contrast": ("difference of total effects", "07_mediation"),
    "nested": ("χ² difference", "06_structure"),
    "of": ("statistic of the data", ""),
    "needs": ("none", ""),
}
"""What tests a hypothesis, and the notebook that does."""
ALPHA = 0.05
NEGLIGIBLE = 0.10
"""A standardised effect inside ±0.10 counts as none when a hypothesis says "no effect" (sign 0)."""


def hypotheses(study: Study, tables: Tables, language: str = "en") -> Result:
    """Verdict on every hypothesis of the study, in the order of its file.

    Parameters
    ----------
    study : Study
    tables : callable or mapping
        A run's tables by name; a callable raises KeyError or FileNotFoundError for one that is absent.
        ``model_status`` (model, n, converged, proper, trustworthy, note); ``sem_parameters``, ``effects`` and, of other
        models, ``sem_parameters_<model>``, ``effects_<model>``; ``model_comparison``; and ``hypothesis_tests`` (id, est,
        ci_low, ci_high, p, n, and if there are std, test, notebook, note) for hypotheses that other stages test.
    language : {"en", "zh"}
        Of the columns statement and note; verdicts keep their English words (`WORDS` translates).

    Returns
    -------
    Result
        The contract's columns, then std, family, role, note.  est with its interval is unstandardised, the
        scale on which standard errors and p are exact (contrasts: standardised); std stands beside it.

    Notes
    -----
    supported: p after Holm's correction is below .05 and the sign is the expected one; contradicted: below
    .05 with the other sign; not supported: otherwise.  With sign ``0``: contradicted if below .05, supported
    if the 95% interval on the standardised scale lies within ±0.10 (equivalence), else not supported.
    A family is the hypothesis's own or its model, split by role, so that exploratory tests do not weigh on
    confirmatory ones; only tested hypotheses count.  p of an effect inverts its bootstrap interval.  A contrast with
    several rivals stands or falls with the weakest difference (an intersection–union test needs no correction).

    Holm (1979), Scandinavian Journal of Statistics 6, 65–70; Lakens (2017), doi:10.1177/1948550617697177;
    Berger (1982), doi:10.1080/00401706.1982.10487790.  R: ``p.adjust(p, "holm")``.
    """
    statuses = _table(tables, "model_status")
    status = {} if statuses is None else {row["model"]: row for row in statuses.to_dict("records")}
    rows = []
    for code, hypothesis in study.hypotheses.items():
        kind = "by" if hypothesis.by else next(name for name in TESTS if getattr(hypothesis, name))
        row = dict.fromkeys(COLUMNS, np.nan) | {
            "id": code,
            "statement": getattr(hypothesis, language),
            "model": hypothesis.model,
            "test": NAMES[kind][0],
            "sign": hypothesis.sign,
            "verdict": "",
            "notebook": NAMES[kind][1],
            "note": "",
            "role": hypothesis.role,
            "family": hypothesis.family or hypothesis.model,
        }
        rows.append(row | _evidence(code, hypothesis, kind, status, tables, language))
    table = pd.DataFrame(rows, columns=COLUMNS)
    if len(table):
        table["p_adjusted"] = table.groupby(["family", "role"], sort=False)["p"].transform(holm)
    table["n"] = table["n"].astype("Int64")
    for at in table.index[table["verdict"] == ""]:
        verdict, note = _judge(table.loc[at], language)
        table.loc[at, ["verdict", "note"]] = (
            verdict,
            " ".join(filter(None, (table.loc[at, "note"], note))),
        )
    return Result(
        table,
        _summary(table),
        int(status.get("main", {}).get("n", 0)),
        "Wald z for paths, bootstrap for effects; Holm's correction",
        tuple(_reasons(table)),
    )


def answer(study: Study, result: Result, tables: Tables = MappingProxyType({})) -> Text:
    """The study's question answered in a few plain sentences, one a line, for the first screen of the report.

    Parameters
    ----------
    study : Study
    result : Result
        From :func:`hypotheses`.
    tables : callable or mapping
        A run's tables; ``sem_fit`` says how well the main model fits.
    """
    table = result.table[result.table["model"] == "main"]
    confirmatory = table[table["role"] == "confirmatory"]
    table = confirmatory if len(confirmatory) else table
    tested = table[~table["verdict"].isin(["withheld", "not tested"])]
    held = tested[tested["verdict"] == "supported"]
    flow = _table(tables, "cleaning_flow")
    parts = [
        _caveat(study, result.n_used, int(flow["remaining"].iloc[-1]) if flow is not None else 0)
    ]
    if len(tested):
        lead = _lead(
            len(held),
            *(
                list(tested.loc[tested["verdict"] == word, "id"])
                for word in ("not supported", "contradicted")
            ),
            len(table) - len(tested),
        )
        parts = [lead, _links(study, held), _fits(_table(tables, "sem_fit")), *parts]
    elif not study.hypotheses:
        fitted = result.n_used > 0
        parts = [
            {
                "en": "The study states no hypotheses, so there is no verdict; "
                + (
                    "what the model shows is in the table sem_parameters."
                    if fitted
                    else "nor was its model fitted, as model_status says."
                ),
                "zh": "该研究没有提出假设，因此没有结论；"
                + (
                    "模型的结果见表 sem_parameters。"
                    if fitted
                    else "模型也未能拟合，原因见 model_status。"
                ),
            },
            *(parts if fitted or study.origin == "simulated" else []),
        ]
    else:
        why = table["note"].iloc[0] if len(table) else ""
        parts = [
            {
                "en": f"The question cannot be answered from these data. {why}".strip(),
                "zh": f"现有数据无法回答这一问题。{why}",
            },
            *(parts if study.origin == "simulated" else []),
        ]
    return {
        language: "\n".join(part[language] for part in parts if part[language])
        for language in ("en", "zh")
    }


def _table(tables: Tables, name: str) -> pd.DataFrame | None:
    """A table of the run, None where there is none."""
    try:
        table = tables(name) if callable(tables) else tables[name]
        return table if len(table.columns) else None
    except (KeyError, FileNotFoundError):
        return None


def _evidence(
    code: str, hypothesis: Hypothesis, kind: str, status: Mapping, tables: Tables, language: str
) -> dict:
    """Estimate, interval and p of a hypothesis, or why there are none."""
    if kind == "needs":
        return _unsaid(
            "not tested",
            language,
            f"The study lacks {hypothesis.needs}.",
            f"该研究缺少：{hypothesis.needs}。",
        )
    if kind in ("of", "by"):
        name, found = "hypothesis_tests", _table(tables, "hypothesis_tests")
        found = None if found is None else found[found["id"] == code]
    else:
        for model in filter(None, (hypothesis.model, hypothesis.nested)):
            if model not in status:
                return _unsaid(
                    "not tested",
                    language,
                    f"The run has not fitted the model '{model}'.",
                    f"本次运行没有拟合模型“{model}”。",
                )
            if not (bool(status[model]["converged"]) and bool(status[model]["trustworthy"])):
                why = status[model].get("note")
                why = why if isinstance(why, str) else ""
                return _unsaid(
                    "withheld",
                    language,
                    f"The solution of model '{model}' cannot be trusted. {why}",
                    f"模型“{model}”的解不可信。{why}",
                ) | {"n": status[model].get("n", np.nan)}
        name = {"path": "sem_parameters", "nested": "model_comparison"}.get(kind, "effects")
        name += "" if kind == "nested" or hypothesis.model == "main" else f"_{hypothesis.model}"
        found = _table(tables, name)
        found = None if found is None else _rows(found, hypothesis, kind)
    if found is None or found.empty:
        return _unsaid(
            "not tested",
            language,
            f"The run has no estimate of it in the table {name}.",
            f"本次运行的表 {name} 中没有相应的估计。",
        )
    row = found.iloc[0]
    out = {key: row.get(key, np.nan) for key in ("est", "ci_low", "ci_high", "p", "std")}
    out["n"] = row["n"] if "n" in row else status[hypothesis.model].get("n", np.nan)
    out |= {key: row[key] for key in ("test", "notebook", "note") if isinstance(row.get(key), str)}
    if kind in ("effect", "total", "contrast"):
        out["test"] = f"{NAMES[kind][0]} ({row['interval']})"
    if np.isnan(out["p"]) and out.get("note"):
        out["verdict"] = "not tested"
    elif np.isnan(out["p"]):
        out |= _unsaid(
            "not tested",
            language,
            "The estimate has no p value: it is fixed, or its error is undetermined.",
            "该估计没有 p 值：参数被固定，或误差无法确定。",
        )
    return out


def _rows(table: pd.DataFrame, hypothesis: Hypothesis, kind: str) -> pd.DataFrame:
    """The row that tests a hypothesis, first; empty if there is none."""
    if kind == "path":
        lhs, rhs = path(hypothesis.path)
        return table[(table["lhs"] == lhs) & (table["op"] == "~") & (table["rhs"] == rhs)]
    if kind == "nested":
        pair = {
            hypothesis.model,
            hypothesis.nested,
        }  # every model is tested against the first, which may be either of the two
        found = table[
            table["model"].isin(pair) & table["d_p"].notna() & (table["model"].iloc[0] in pair)
        ]
        test = [f"Δχ²({abs(row.d_df):.0f}) = {abs(row.d_chisq):.2f}" for row in found.itertuples()]
        return pd.DataFrame({"p": found["d_p"], "n": found["n"], "test": test})
    if kind == "contrast":
        names = [" > ".join(pair) for pair in rivals(hypothesis.contrast)]
        found = table[table["effect"].isin(names) & (table["kind"] == "contrast")]
        if found["effect"].nunique() < len(names):
            return found.head(0)
        return found.loc[(found["est"] / found["se"]).sort_values().index]
    name = spelled(hypothesis.effect or hypothesis.total)
    wanted = "total" if kind == "total" else "specific" if name.count("->") > 1 else "direct"
    return table[(table["effect"] == name) & (table["kind"] == wanted)]


def _unsaid(verdict: str, language: str, en: str, zh: str) -> dict:
    return {"verdict": verdict, "note": zh if language == "zh" else en}


def _judge(row: pd.Series, language: str) -> tuple[str, str]:
    """The verdict on a tested hypothesis, with a note where p and verdict need a word."""
    unsigned, none = np.isnan(row["est"]), row["sign"] == "0"
    if row["p_adjusted"] < ALPHA:
        expected = (
            unsigned
            or row["sign"] == "<>"
            or np.sign(row["est"]) == (1 if row["sign"] == "+" else -1)
        )
        return ("supported" if expected and not none else "contradicted"), ""
    if none:
        if unsigned:
            note = {
                "en": "Not significant, which does not show that there is no effect.",
                "zh": "不显著，但这并不说明没有效应。",
            }
            return "not supported", note[language]
        ratio = abs(row["std"] / row["est"]) if row["est"] else np.nan
        if max(abs(row["ci_low"]), abs(row["ci_high"])) * ratio < NEGLIGIBLE:
            return "supported", ""
        note = {
            "en": f"No effect found, but the interval allows standardised effects beyond ±{NEGLIGIBLE:.2f}.",
            "zh": f"未发现效应，但区间不能排除超出 ±{NEGLIGIBLE:.2f} 的标准化效应。",
        }
        return "not supported", note[language]
    note = {
        "en": "Significant alone, not after Holm's correction.",
        "zh": "单独检验显著，经 Holm 校正后不显著。",
    }
    return "not supported", note[language] if row["p"] < ALPHA else ""


def _summary(table: pd.DataFrame) -> Text:
    if not len(table):
        return {"en": "The study states no hypotheses.", "zh": "该研究没有提出假设。"}
    count = table["verdict"].value_counts()
    said = [word for word in WORDS if word in count]
    stated = plural(len(table), "hypothesis", "hypotheses")
    return {
        "en": f"Of {stated}: " + ", ".join(f"{count[w]} {w}" for w in said) + ".",
        "zh": f"共 {len(table)} 个假设："
        + "、".join(f"{WORDS[w]} {count[w]} 个" for w in said)
        + "。",
    }


def _reasons(table: pd.DataFrame) -> Iterable[Text]:
    """Why rows have no numbers, once a model."""
    why = {
        "withheld": {"en": "its solution cannot be trusted", "zh": "其解不可信"},
        "not tested": {"en": "each for the reason in its note", "zh": "原因见各自的说明"},
    }
    for (model, verdict), rows in table[table["verdict"].isin(list(why))].groupby(
        ["model", "verdict"], sort=False
    ):
        ids, reason = ", ".join(rows["id"]), why[verdict]
        because = (
            {"en": "because ", "zh": "因为"} if verdict == "withheld" else {"en": "", "zh": ""}
        )
        yield {
            "en": f"Model '{model}': {ids} {verdict}, {because['en']}{reason['en']}; no numbers are shown.",
            "zh": f"模型“{model}”：{ids} {WORDS[verdict]}，{because['zh']}{reason['zh']}；不显示数字。",
        }


def _lead(held: int, unclear: list[str], opposed: list[str], left: int) -> Text:
    """Yes, in part or no; which hypotheses are only not supported, and which the data contradict."""
    total = held + len(unclear) + len(opposed)
    listed, against = (
        ", ".join(ids[:6]) + (" …" if len(ids) > 6 else "") for ids in (unclear, opposed)
    )
    said = {
        "yes": (
            "Yes: the data support every hypothesis of the main model, {0} of {1}",
            "是：主模型的 {1} 个假设全部得到数据支持",
        ),
        "part": (
            "In part: the data support {0} of {1} hypotheses of the main model",
            "部分是：主模型的 {1} 个假设中有 {0} 个得到数据支持",
        ),
        "no": (
            "No: the data support no hypothesis of the main model, {0} of {1}",
            "否：主模型的 {1} 个假设均未得到数据支持",
        ),
    }
    en, zh = (
        words.format(held, total)
        for words in said["yes" if held == total else "part" if held else "no"]
    )
    if held and unclear:
        en, zh = f"{en}, but not {listed}", f"{zh}，{listed} 未获支持"
    if opposed:
        en, zh = f"{en}; they contradict {against}", f"{zh}；{against} 与数据相反"
    more = (
        (f" ({left} more could not be tested).", f"（另有 {left} 个无法检验）。")
        if left
        else (".", "。")
    )
    return {"en": en + more[0], "zh": zh + more[1]}


def _links(study: Study, held: pd.DataFrame) -> Text:
    """The supported paths, then the supported effects, the largest of them if there are many, with their standardised size."""
    out, held = (
        {"en": "", "zh": ""},
        held[held["std"].notna() & (held["notebook"] != NAMES["by"][1])],
    )
    words = pd.Series(
        [study.hypotheses[code].path or study.hypotheses[code].effect for code in held["id"]],
        held.index,
        dtype=str,
    )
    forms = {
        "en": (
            "Supported {}, standardised: ",
            "The {1} largest of {2} supported {0}, standardised: ",
            "; ",
            ". ",
        ),
        "zh": (
            "获支持的{}（标准化）：",
            "获支持的 {2} 条{0}中最大的 {1} 条（标准化）：",
            "；",
            "。",
        ),
    }
    for mark, most, kind in (
        ("~", 4, {"en": "paths", "zh": "路径"}),
        ("->", 3, {"en": "effects through mediators", "zh": "经由中介的效应"}),
    ):
        found = held[words.str.contains(mark, regex=False)]
        top = found.loc[
            found["std"].abs().sort_values(ascending=False, kind="stable").index[:most]
        ].sort_index()
        for lang, (every, largest, comma, stop) in forms.items() if len(found) else ():
            said = [
                f"{label(_as_effect(words[row.Index]), study, lang)} {number(row.std, 2)}"
                for row in top.itertuples()
            ]
            out[lang] += (
                (largest if len(found) > most else every).format(kind[lang], most, len(found))
                + comma.join(said)
                + stop
            )
    return {"en": out["en"].strip(), "zh": out["zh"]}


def _as_effect(words: str) -> str:
    """A path "Y ~ X" as the effect X -> Y; effects as they are."""
    return ARROW.join(reversed(path(words))) if "~" in words else words


def _fits(fit: pd.DataFrame | None) -> Text:
    """Whether the fit meets Hu and Bentler's conventions, only the wider ones, or neither; robust indices if there are any."""
    if fit is None or not {"cfi", "rmsea", "srmr"} <= set(fit["measure"]):
        return {"en": "", "zh": ""}
    value = reported(fit)
    close, wide = (
        value["cfi"] >= cfi and value["rmsea"] <= rmsea and value["srmr"] <= 0.08
        for cfi, rmsea in ((0.95, 0.06), (0.90, 0.08))
    )
    en, zh = (
        ("acceptably", "可以接受")
        if close
        else (
            "only by the wider conventions CFI ≥ .90 and RMSEA ≤ .08",
            "只达到较宽的惯例 CFI ≥ .90、RMSEA ≤ .08",
        )
        if wide
        else ("only loosely; read the sizes with care", "欠佳，解读大小时须谨慎")
    )
    numbers = f"CFI {value['cfi']:.3f}, RMSEA {value['rmsea']:.3f}, SRMR {value['srmr']:.3f}"
    return {"en": f"The model fits {en} ({numbers}).", "zh": f"模型与数据的拟合{zh}（{numbers}）。"}


def _caveat(study: Study, n: int, kept: int) -> Text:
    if study.origin == "simulated":
        return {
            "en": "The responses are simulated from assumptions: this is a demonstration, not evidence.",
            "zh": "这些答卷由预设假定模拟生成：仅为演示，不构成证据。",
        }
    en, zh = (
        (f" of {kept:,}", f"（共 {kept:,} 名，其余缺少模型所需的答案）") if kept > n else ("", "")
    )
    lack = " (the others lack an answer the model needs)" if kept > n else ""
    return {
        "en": f"This rests on {n:,}{en} respondents{lack} asked once: agreement with the model's arrows, not proof of cause.",
        "zh": f"依据是 {n:,} 名受访者{zh}的一次性调查：结果与模型的箭头相符，但不能证明因果。",
    }
