"""From a run's tables to verdicts: each hypothesis once, and the answer to the study's question.

A verdict never outruns its model.  Hypotheses of a model whose solution cannot be trusted are withheld,
those whose estimate the run does not hold are not tested; neither is ever left out of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from cxlib import show
from cxlib.study import Hypothesis, Study

Tables = Callable[[str], pd.DataFrame] | Mapping[str, pd.DataFrame]
COLUMNS = ["id", "statement", "model", "test", "sign", "est", "ci_low", "ci_high", "p", "p_adjusted", "n", "verdict",
           "notebook", "std", "family", "role", "note"]
WORDS = {"supported": "支持", "not supported": "未获支持", "contradicted": "与假设相反", "withheld": "暂不下结论",
         "not tested": "未检验"}
"""The five verdicts, with their Chinese words."""
ALPHA = 0.05
NEGLIGIBLE = 0.10
"""A standardised effect inside ±0.10 counts as none when a hypothesis says "no effect" (sign 0)."""


def hypotheses(study: Study, tables: Tables, language: str = "en") -> show.Result:
    """Verdict on every hypothesis of the study, in the order of its file.

    Parameters
    ----------
    study : Study
    tables : callable or mapping
        A run's tables by name: ``model_status`` (model, n, converged, proper, trustworthy, note),
        ``sem_parameters`` and ``effects`` of the main model, ``sem_parameters_<model>`` and
        ``effects_<model>`` of others.  A callable raises KeyError or FileNotFoundError for one that is absent.
    language : {"en", "zh"}
        Of the columns statement and note; verdicts keep their English words (`WORDS` translates).

    Returns
    -------
    Result
        The contract's columns, then std, family, role, note.  est with its interval is unstandardised
        (the scale on which standard errors and p are exact); std stands beside it for comparison.

    Notes
    -----
    supported: p after Holm's correction is below .05 and the sign is the expected one; contradicted: below
    .05 with the other sign; not supported: otherwise.  With sign ``0``: contradicted if below .05, supported
    if the 95 % interval on the standardised scale lies within ±0.10 (equivalence), else not supported.
    A family is the hypothesis's own or its model, split by role, so that exploratory tests do not weigh on
    confirmatory ones; only tested hypotheses count.  p of an indirect effect inverts its bootstrap interval.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6, 65–70; Lakens (2017), doi:10.1177/1948550617697177.
    R: ``p.adjust(p, "holm")``.
    """
    statuses = _table(tables, "model_status")
    status = {} if statuses is None else {row["model"]: row for row in statuses.to_dict("records")}
    rows = []
    for code, hypothesis in study.hypotheses.items():
        row = dict.fromkeys(COLUMNS, np.nan) | {
            "id": code, "statement": getattr(hypothesis, language), "model": hypothesis.model,
            "test": "path (Wald z)" if hypothesis.path else "effect", "sign": hypothesis.sign, "verdict": "",
            "notebook": "06_structure" if hypothesis.path else "07_mediation", "note": "", "role": hypothesis.role,
            "family": hypothesis.family or hypothesis.model}
        rows.append(row | _evidence(hypothesis, status.get(hypothesis.model), tables, language))
    table = pd.DataFrame(rows, columns=COLUMNS)
    if len(table):
        table["p_adjusted"] = table.groupby(["family", "role"], sort=False)["p"].transform(holm)
    for at in table.index[table["verdict"] == ""]:
        table.loc[at, ["verdict", "note"]] = _judge(table.loc[at], language)
    return show.Result(table, _summary(table), int(status.get("main", {}).get("n", 0)),
                       "Wald z for paths, bootstrap for effects; Holm's correction", tuple(_reasons(table)))


def holm(p: Iterable[float]) -> np.ndarray:
    """Holm's adjusted p values; missing ones stay missing and do not count.

    Notes
    -----
    R: ``p.adjust(p, "holm")``.
    """
    p = np.asarray(p, float)
    out, known = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return out


def answer(study: Study, result: show.Result, fit: pd.DataFrame | None = None) -> show.Text:
    """The study's question answered in two or three plain sentences, for the first screen of the report.

    Parameters
    ----------
    study : Study
    result : Result
        From :func:`hypotheses`.
    fit : DataFrame, optional
        ``sem_fit`` (measure, value) of the main model, to say how well it fits.
    """
    table = result.table[result.table["model"] == "main"]
    confirmatory = table[table["role"] == "confirmatory"]
    table = confirmatory if len(confirmatory) else table
    tested = table[~table["verdict"].isin(["withheld", "not tested"])]
    held = tested[tested["verdict"] == "supported"]
    other = ", ".join(tested["id"][tested["verdict"] != "supported"])
    total, left = len(tested), len(table) - len(tested)
    if not total:
        why = table["note"].iloc[0] if len(table) else ""
        first = {"en": "The question cannot be answered from these data" + (f": {why.rstrip('.。')}." if why else "."),
                 "zh": "现有数据无法回答这一问题" + (f":{why.rstrip('.。')}。" if why else "。")}
        parts = [first]
    else:
        parts = [_lead(len(held), total, left, other)]
        if len(held):
            parts.append({language: _links(study, held, language) for language in ("en", "zh")})
        parts.append(_fits(fit))
    parts.append(_caveat(study, result.n_used))
    return {"en": " ".join(p["en"] for p in parts if p["en"]), "zh": "".join(p["zh"] for p in parts if p["zh"])}


def _table(tables: Tables, name: str) -> pd.DataFrame | None:
    """A table of the run, None where there is none."""
    try:
        return tables(name) if callable(tables) else tables[name]
    except (KeyError, FileNotFoundError):
        return None


def _evidence(hypothesis: Hypothesis, status: Mapping | None, tables: Tables, language: str) -> dict:
    """Estimate, interval and p of a hypothesis, or why there are none."""
    model = hypothesis.model
    if status is None:
        return _unsaid("not tested", language, f"The run has not fitted the model '{model}'.",
                       f"本次运行没有拟合模型“{model}”。")
    n = status.get("n", np.nan)
    if not (bool(status["converged"]) and bool(status["trustworthy"])):
        why = status["note"] if isinstance(status.get("note"), str) else ""
        return _unsaid("withheld", language, f"The solution of model '{model}' cannot be trusted. {why}".strip(),
                       f"模型“{model}”的解不可信。{why}") | {"n": n}
    name = ("sem_parameters" if hypothesis.path else "effects") + ("" if model == "main" else f"_{model}")
    table = _table(tables, name)
    found = None if table is None else _row(table, hypothesis)
    if found is None:
        wanted = hypothesis.path or hypothesis.effect
        return _unsaid("not tested", language, f"The table {name} has no estimate of '{wanted}'.",
                       f"表 {name} 中没有“{wanted}”的估计。") | {"n": n}
    out = {key: float(found[key]) for key in ("est", "ci_low", "ci_high", "p", "std")} | {"n": n}
    if hypothesis.effect:
        out["test"] = f"{found['kind']} effect ({found['interval']})"
    if np.isnan(out["p"]):
        out |= _unsaid("not tested", language, "The estimate has no p value: the path is fixed, or no draw converged.",
                       "该估计没有 p 值：路径被固定，或没有收敛的抽样。")
    return out


def _row(table: pd.DataFrame, hypothesis: Hypothesis) -> pd.Series | None:
    """The row that tests a hypothesis; of an effect the BCa interval before the others."""
    if hypothesis.path:
        lhs, rhs = (part.strip() for part in hypothesis.path.split("~"))
        found = table[(table["lhs"] == lhs) & (table["op"] == "~") & (table["rhs"] == rhs)]
    else:
        codes = [part.strip() for part in hypothesis.effect.split("->")]
        kind = "specific" if len(codes) > 2 else "direct"
        found = table[(table["effect"] == " -> ".join(codes)) & (table["kind"] == kind) & table["ci_low"].notna()]
        rank = {"bca": 0, "percentile": 1, "delta": 2}
        found = found.sort_values("interval", key=lambda names: names.map(rank), kind="stable")
    return found.iloc[0] if len(found) else None


def _unsaid(verdict: str, language: str, en: str, zh: str) -> dict:
    return {"verdict": verdict, "note": zh if language == "zh" else en}


def _judge(row: pd.Series, language: str) -> tuple[str, str]:
    """The verdict on a tested hypothesis, with a note where p and verdict need a word."""
    significant = row["p_adjusted"] < ALPHA
    if row["sign"] == "0":
        if significant:
            return "contradicted", ""
        ratio = abs(row["std"] / row["est"]) if row["est"] else np.nan
        if max(abs(row["ci_low"]), abs(row["ci_high"])) * ratio < NEGLIGIBLE:
            return "supported", ""
        note = {"en": f"No effect found, but the interval allows standardised effects beyond ±{NEGLIGIBLE:.2f}.",
                "zh": f"未发现效应，但区间不能排除超出 ±{NEGLIGIBLE:.2f} 的标准化效应。"}
        return "not supported", note[language]
    expected = row["sign"] == "<>" or np.sign(row["est"]) == (1 if row["sign"] == "+" else -1)
    if significant:
        return ("supported" if expected else "contradicted"), ""
    note = {"en": "Significant alone, not after Holm's correction.", "zh": "单独检验显著，经 Holm 校正后不显著。"}
    return "not supported", note[language] if row["p"] < ALPHA else ""


def _summary(table: pd.DataFrame) -> show.Text:
    if not len(table):
        return {"en": "The study states no hypotheses.", "zh": "该研究没有提出假设。"}
    count = table["verdict"].value_counts()
    said = [word for word in WORDS if word in count]
    stated = show.plural(len(table), "hypothesis", "hypotheses")
    return {"en": f"Of {stated}: " + ", ".join(f"{count[w]} {w}" for w in said) + ".",
            "zh": f"共 {len(table)} 个假设：" + "、".join(f"{WORDS[w]} {count[w]} 个" for w in said) + "。"}


def _reasons(table: pd.DataFrame) -> Iterable[show.Text]:
    """Why rows have no numbers, once a model."""
    why = {"withheld": {"en": "its solution cannot be trusted", "zh": "其解不可信"},
           "not tested": {"en": "the run holds no estimate of them", "zh": "本次运行中没有相应的估计"}}
    for (model, verdict), rows in table[table["verdict"].isin(list(why))].groupby(["model", "verdict"], sort=False):
        ids, reason = ", ".join(rows["id"]), why[verdict]
        yield {"en": f"Model '{model}': {ids} {verdict}, because {reason['en']}; no numbers are shown for them.",
               "zh": f"模型“{model}”：{ids} {WORDS[verdict]}，因为{reason['zh']}；这些假设不显示数字。"}


def _lead(held: int, total: int, left: int, other: str) -> show.Text:
    """Yes, in part or no."""
    en = f" ({left} more could not be tested)." if left else "."
    zh = f"（另有 {left} 个无法检验）。" if left else "。"
    if held == total:
        return {"en": f"Yes: the data support every hypothesis of the main model, {total} of {total}{en}",
                "zh": f"是：主模型的 {total} 个假设全部得到数据支持{zh}"}
    if held:
        return {"en": f"In part: the data support {held} of {total} hypotheses of the main model, but not {other}{en}",
                "zh": f"部分是：主模型的 {total} 个假设中有 {held} 个得到数据支持，{other} 未获支持{zh}"}
    return {"en": f"No: the data support none of the main model's {total} hypotheses{en}",
            "zh": f"否：主模型的 {total} 个假设均未得到数据支持{zh}"}


def _links(study: Study, held: pd.DataFrame, language: str, most: int = 4) -> str:
    """The supported paths, then the supported effects, each with its standardised size."""
    said = {"06_structure": [], "07_mediation": []}
    for row in held.itertuples():
        hypothesis = study.hypotheses[row.id]
        codes = [c.strip() for c in hypothesis.path.split("~")[::-1]] if hypothesis.path else [
            c.strip() for c in hypothesis.effect.split("->")]
        path = " → ".join(study.name(code, language) for code in codes)
        said[row.notebook].append(f"{path} {show.number(row.std, 2)}")
    pieces = []
    for notebook, (en, zh) in {"06_structure": ("Paths (standardised): ", "标准化路径："),
                               "07_mediation": ("Indirect effects: ", "间接效应：")}.items():
        found = said[notebook]
        if not found:
            continue
        more = len(found) - most
        tail = ("" if more <= 0 else f"; and {more} more" if language == "en" else f"；另有 {more} 条")
        pieces.append((en if language == "en" else zh) + ("; " if language == "en" else ";").join(found[:most]) + tail)
    return ". ".join(pieces) + "." if language == "en" else "。".join(pieces) + "。"


def _fits(fit: pd.DataFrame | None) -> show.Text:
    value = {} if fit is None else dict(zip(fit["measure"], fit["value"], strict=True))
    if not {"cfi", "rmsea", "srmr"} <= set(value):
        return {"en": "", "zh": ""}
    good = value["cfi"] >= 0.90 and value["rmsea"] <= 0.08 and value["srmr"] <= 0.08
    numbers = f"CFI {value['cfi']:.3f}, RMSEA {value['rmsea']:.3f}, SRMR {value['srmr']:.3f}"
    return {"en": f"The model fits {'acceptably' if good else 'only loosely; read the sizes with care'} ({numbers}).",
            "zh": f"模型与数据的拟合{'可以接受' if good else '欠佳，解读大小时须谨慎'}（{numbers}）。"}


def _caveat(study: Study, n: int) -> show.Text:
    if study.origin == "simulated":
        return {"en": "The responses are simulated from assumptions: this is a demonstration, not evidence.",
                "zh": "这些答卷由预设假定模拟生成：仅为演示，不构成证据。"}
    return {"en": f"This rests on {n:,} respondents asked once: agreement with the model's arrows, not proof of cause.",
            "zh": f"依据是 {n:,} 名受访者的一次性调查：结果与模型的箭头相符，但不能证明因果。"}
