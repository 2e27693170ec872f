"""From a run's tables to verdicts: each hypothesis once, and the answer to the study's question.

A verdict never outruns its model.  Hypotheses of a model whose solution cannot be trusted are withheld,
those whose estimate the run does not hold are not tested; neither is ever left out of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from cxlib.core.result import Result, Table, Text, makes
from cxlib.core.syntax import ARROW, path, rivals, spelled
from cxlib.core.words import Sentence, _, c_, clauses, joined, listed, n_, number
from cxlib.sem.measures import reported
from cxlib.statistics.multiple_testing import holm
from cxlib.study.checks import TESTS
from cxlib.study.names import named_effect
from cxlib.study.schema import Hypothesis, Study

Tables = Callable[[str], pd.DataFrame] | Mapping[str, pd.DataFrame]
Row = dict[str, Any]
MADE = (
    "id statement model test sign est ci_low ci_high p p_adjusted n verdict notebook std family role "
    "note"
)
COLUMNS = MADE.split()
PARAMETERS = ("lhs", "op", "rhs", "est", "ci_low", "ci_high", "p", "std")
EFFECTS = ("effect", "kind", "est", "se", "ci_low", "ci_high", "p", "std", "interval")
READS = (
    Table("model_status", ("model", "n", "converged", "trustworthy", "note")),
    Table("sem_parameters", PARAMETERS),
    Table("sem_parameters_*", PARAMETERS),
    Table("effects", EFFECTS, more=("n",)),
    Table("effects_*", EFFECTS, more=("n",)),
    Table("model_comparison", ("model", "n", "d_chisq", "d_df", "d_p")),
    Table(
        "hypothesis_tests",
        ("id", "est", "ci_low", "ci_high", "p", "n"),
        more=("std", "test", "notebook", "note"),
    ),
    Table("sem_fit", ("measure", "value")),
    Table("cleaning_flow", ("remaining",)),
)
"""The tables of other stages that verdicts rest on, and the columns they take from them: nothing else is read."""
WORDS = {
    "supported": c_("cell of verdict", "supported"),
    "not supported": c_("cell of verdict", "not supported"),
    "contradicted": c_("cell of verdict", "contradicted"),
    "withheld": c_("cell of verdict", "withheld"),
    "not tested": c_("cell of verdict", "not tested"),
}
"""The five verdicts as the table has them, and the words a reader sees."""
ROLES = {
    "confirmatory": c_("cell of role", "confirmatory"),
    "secondary": c_("cell of role", "secondary"),
    "exploratory": c_("cell of role", "exploratory"),
}
"""The roles of hypotheses as the table has them, and the words a reader sees."""
NAMES = {
    "path": (c_("cell of test", "path (Wald z)"), "06_structure"),
    "by": (c_("cell of test", "difference between groups"), "08_groups"),
    "effect": (c_("cell of test", "indirect effect"), "07_mediation"),
    "total": (c_("cell of test", "total effect"), "07_mediation"),
    "contrast": (c_("cell of test", "difference of total effects"), "07_mediation"),
    "nested": (c_("cell of test", "χ² difference"), "06_structure"),
    "of": (c_("cell of test", "statistic of the data"), ""),
    "needs": (c_("cell of test", "none"), ""),
}
"""What tests a hypothesis (English in the table), and the notebook that does."""
BY_INTERVAL = {
    ("effect", "bca"): c_("cell of test", "indirect effect (bca)"),
    ("effect", "percentile"): c_("cell of test", "indirect effect (percentile)"),
    ("effect", "delta"): c_("cell of test", "indirect effect (delta)"),
    ("total", "bca"): c_("cell of test", "total effect (bca)"),
    ("total", "percentile"): c_("cell of test", "total effect (percentile)"),
    ("total", "delta"): c_("cell of test", "total effect (delta)"),
    ("contrast", "bca"): c_("cell of test", "difference of total effects (bca)"),
    ("contrast", "percentile"): c_("cell of test", "difference of total effects (percentile)"),
    ("contrast", "delta"): c_("cell of test", "difference of total effects (delta)"),
}
"""The tests of effects once the interval that they rest on is known."""
HELD_BY = {
    "path": "sem_parameters",
    "effect": "effects",
    "total": "effects",
    "contrast": "effects",
    "nested": "model_comparison",
    "of": "hypothesis_tests",
    "by": "hypothesis_tests",
}
"""The table that holds the estimate of each."""
ALPHA = 0.05
NEGLIGIBLE = 0.10
"""A standardised effect inside ±0.10 counts as none when a hypothesis says "no effect" (sign 0)."""


@makes("hypotheses", MADE)
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
    rows = [
        _row(code, hypothesis, status, tables, language)
        for code, hypothesis in study.hypotheses.items()
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    if len(table):
        table["p_adjusted"] = table.groupby(["family", "role"], sort=False)["p"].transform(holm)
    table["n"] = table["n"].astype("Int64")
    for at in table.index[table["verdict"] == ""]:
        verdict, note = _judge(table.loc[at])
        table.loc[at, ["verdict", "note"]] = (
            verdict,
            " ".join(filter(None, (table.loc[at, "note"], note[language] if note else ""))),
        )
    return Result(
        table,
        _summary(table),
        int(status.get("main", {}).get("n", 0)),
        _("Wald z for paths, bootstrap for effects; Holm's correction"),
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
    parts: list[Text] = [
        _caveat(study, result.n_used, int(flow["remaining"].iloc[-1]) if flow is not None else 0)
    ]
    simulated = parts if study.origin == "simulated" else []
    if len(tested):
        unclear, opposed = (
            list(tested.loc[tested["verdict"] == word, "id"])
            for word in ("not supported", "contradicted")
        )
        lead = _lead(len(held), unclear, opposed, len(table) - len(tested))
        parts = [lead, _links(study, held), _fits(_table(tables, "sem_fit")), *parts]
    elif not study.hypotheses and result.n_used > 0:
        stated = _(
            "The study states no hypotheses, so there is no verdict; what the model shows is in the table sem_parameters."
        )
        parts = [stated, *parts]
    elif not study.hypotheses:
        stated = _(
            "The study states no hypotheses, so there is no verdict; nor was its model fitted, as model_status says."
        )
        parts = [stated, *simulated]
    else:
        why = table["note"].iloc[0] if len(table) else ""
        unanswered = _("The question cannot be answered from these data.")
        parts = [joined(unanswered, why), *simulated]
    return joined(*parts, between="\n")


def _declared(name: str) -> Table:
    """What is read of a table; a name that no declaration knows is a mistake of this module."""
    return next(table for table in reversed(READS) if fnmatchcase(name, table.name))


def _table(tables: Tables, name: str) -> pd.DataFrame | None:
    """What is read of a table of the run, None where there is none."""
    declared = _declared(name)
    try:
        table = tables(name) if callable(tables) else tables[name]
    except (KeyError, FileNotFoundError):
        return None
    known = [column for column in table if column in (*declared.columns, *declared.more)]
    return table[known] if known else None


def _row(
    code: str, hypothesis: Hypothesis, status: Mapping[str, Row], tables: Tables, language: str
) -> Row:
    """A hypothesis with its evidence, not yet judged."""
    kind = "by" if hypothesis.by else next(name for name in TESTS if getattr(hypothesis, name))
    test, notebook = NAMES[kind]
    row = dict.fromkeys(COLUMNS, np.nan) | {
        "id": code,
        "statement": hypothesis[language],
        "model": hypothesis.model,
        "test": str(test),
        "sign": hypothesis.sign,
        "verdict": "",
        "notebook": notebook,
        "note": "",
        "role": hypothesis.role,
        "family": hypothesis.family or hypothesis.model,
    }
    return row | _evidence(code, hypothesis, kind, status, tables, language)


def _evidence(
    code: str,
    hypothesis: Hypothesis,
    kind: str,
    status: Mapping[str, Row],
    tables: Tables,
    language: str,
) -> Row:
    """Estimate, interval and p of a hypothesis, or why there are none."""
    if kind == "needs":
        lack = _("The study lacks {needs}.", needs=hypothesis.needs)
        return _unsaid("not tested", lack, language)
    name = HELD_BY[kind]
    if kind in ("of", "by"):
        found = _table(tables, name)
        found = None if found is None else found[found["id"] == code]
    else:
        if refused := _refused(hypothesis, status, language):
            return refused
        name += "" if kind == "nested" or hypothesis.model == "main" else f"_{hypothesis.model}"
        found = _table(tables, name)
        found = None if found is None else _rows(found, hypothesis, kind)
    if found is None or found.empty:
        lack = _("The run has no estimate of it in the table {table}.", table=name)
        return _unsaid("not tested", lack, language)
    row = found.iloc[0]
    out: Row = {key: row.get(key, np.nan) for key in ("est", "ci_low", "ci_high", "p", "std")}
    out["n"] = row["n"] if "n" in row else status[hypothesis.model].get("n", np.nan)
    out |= {key: row[key] for key in ("test", "notebook", "note") if isinstance(row.get(key), str)}
    if kind in ("effect", "total", "contrast"):
        out["test"] = str(BY_INTERVAL[kind, row["interval"]])
    if np.isnan(out["p"]) and out.get("note"):
        out["verdict"] = "not tested"
    elif np.isnan(out["p"]):
        lack = _("The estimate has no p value: it is fixed, or its error is undetermined.")
        out |= _unsaid("not tested", lack, language)
    return out


def _refused(hypothesis: Hypothesis, status: Mapping[str, Row], language: str) -> Row | None:
    """Why nothing can be said about the models of a hypothesis, None if something can."""
    for model in filter(None, (hypothesis.model, hypothesis.nested)):
        if model not in status:
            lack = _("The run has not fitted the model '{model}'.", model=model)
            return _unsaid("not tested", lack, language)
        if not (bool(status[model]["converged"]) and bool(status[model]["trustworthy"])):
            doubt = _("The solution of model '{model}' cannot be trusted.", model=model)
            why = status[model].get("note")
            note = joined(doubt, why if isinstance(why, str) else "")
            return _unsaid("withheld", note, language) | {"n": status[model].get("n", np.nan)}
    return None


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


def _unsaid(verdict: str, note: Text, language: str) -> Row:
    return {"verdict": verdict, "note": note[language]}


def _judge(row: pd.Series) -> tuple[str, Text | None]:
    """The verdict on a tested hypothesis, with a note where p and verdict need a word."""
    unsigned, none = np.isnan(row["est"]), row["sign"] == "0"
    if row["p_adjusted"] < ALPHA:
        expected = (
            unsigned
            or row["sign"] == "<>"
            or np.sign(row["est"]) == (1 if row["sign"] == "+" else -1)
        )
        return ("supported" if expected and not none else "contradicted"), None
    if none and unsigned:
        return "not supported", _("Not significant, which does not show that there is no effect.")
    if none:
        ratio = abs(row["std"] / row["est"]) if row["est"] else np.nan
        if max(abs(row["ci_low"]), abs(row["ci_high"])) * ratio < NEGLIGIBLE:
            return "supported", None
        return "not supported", _(
            "No effect found, but the interval allows standardised effects beyond ±{limit:.2f}.",
            limit=NEGLIGIBLE,
        )
    if row["p"] < ALPHA:
        return "not supported", _("Significant alone, not after Holm's correction.")
    return "not supported", None


def _summary(table: pd.DataFrame) -> Text:
    if not len(table):
        return _("The study states no hypotheses.")
    count = table["verdict"].value_counts()
    counts = [
        _("{count} {verdict}", count=int(count[word]), verdict=WORDS[word])
        for word in WORDS
        if word in count
    ]
    return n_(
        "Of {n:,} hypothesis: {counts}.",
        "Of {n:,} hypotheses: {counts}.",
        len(table),
        counts=counts,
    )


def _reasons(table: pd.DataFrame) -> Iterable[Text]:
    """Why rows have no numbers, once a model."""
    silent = table[table["verdict"].isin(["withheld", "not tested"])]
    for (model, verdict), rows in silent.groupby(["model", "verdict"], sort=False):
        ids = list(rows["id"])
        if verdict == "withheld":
            yield _(
                "Model '{model}': {ids} withheld, because its solution cannot be trusted; no numbers are shown.",
                model=model,
                ids=ids,
            )
        else:
            yield _(
                "Model '{model}': {ids} not tested, each for the reason in its note; no numbers are shown.",
                model=model,
                ids=ids,
            )


def _lead(held: int, unclear: list[str], opposed: list[str], left: int) -> Text:
    """Yes, in part or no; which hypotheses are only not supported, and which the data contradict."""
    total = held + len(unclear) + len(opposed)
    more = _(" ({left} more could not be tested)", left=left) if left else ""
    against = _("; they contradict {ids}", ids=listed(opposed, 6)) if opposed else ""
    if held == total:
        return _(
            "Yes: the data support every hypothesis of the main model, {total} of {total}{more}.",
            total=total,
            more=more,
        )
    if not held:
        return _(
            "No: the data support no hypothesis of the main model, 0 of {total}{against}{more}.",
            total=total,
            against=against,
            more=more,
        )
    return _(
        "In part: the data support {held} of {total} hypotheses of the main model{but}{against}{more}.",
        held=held,
        total=total,
        but=_(", but not {ids}", ids=listed(unclear, 6)) if unclear else "",
        against=against,
        more=more,
    )


def _links(study: Study, held: pd.DataFrame) -> Text:
    """The supported paths, then the supported effects, the largest of them if there are many, with their standardised size."""
    held = held[held["std"].notna() & (held["notebook"] != NAMES["by"][1])]
    stated = [study.hypotheses[code].path or study.hypotheses[code].effect for code in held["id"]]
    words = pd.Series(stated, held.index, dtype=str)
    paths, effects = (held[words.str.contains(mark, regex=False)] for mark in ("~", "->"))
    said = []
    if len(paths):
        shown, n = _sized(paths, words, study, 4), len(paths)
        said.append(
            _("Supported paths, standardised: {paths}.", paths=shown)
            if n <= 4
            else _("The 4 largest of {n} supported paths, standardised: {paths}.", n=n, paths=shown)
        )
    if len(effects):
        shown, n = _sized(effects, words, study, 3), len(effects)
        said.append(
            _("Supported effects through mediators, standardised: {effects}.", effects=shown)
            if n <= 3
            else _(
                "The 3 largest of {n} supported effects through mediators, standardised: {effects}.",
                n=n,
                effects=shown,
            )
        )
    return joined(*said)


def _sized(found: pd.DataFrame, words: pd.Series, study: Study, most: int) -> Sentence:
    """The largest of some paths or effects, in the order of the study, each with its size."""
    size = found["std"].abs().sort_values(ascending=False, kind="stable")
    return clauses(
        joined(named_effect(study, _as_effect(words[at])), number(found["std"][at], 2), between=" ")
        for at in sorted(size.index[:most])
    )


def _as_effect(words: str) -> str:
    """A path "Y ~ X" as the effect X -> Y; effects as they are."""
    return ARROW.join(reversed(path(words))) if "~" in words else words


def _fits(fit: pd.DataFrame | None) -> Text:
    """Whether the fit meets Hu and Bentler's conventions, only the wider ones, or neither; robust indices if there are any."""
    if fit is None or not {"cfi", "rmsea", "srmr"} <= set(fit["measure"]):
        return joined("")
    value = reported(fit)
    close, wide = (
        value["cfi"] >= cfi and value["rmsea"] <= rmsea and value["srmr"] <= 0.08
        for cfi, rmsea in ((0.95, 0.06), (0.90, 0.08))
    )
    indices = _(
        "CFI {cfi:.3f}, RMSEA {rmsea:.3f}, SRMR {srmr:.3f}",
        cfi=value["cfi"],
        rmsea=value["rmsea"],
        srmr=value["srmr"],
    )
    if close:
        return _("The model fits acceptably ({indices}).", indices=indices)
    if wide:
        return _(
            "The model fits only by the wider conventions CFI ≥ .90 and RMSEA ≤ .08 ({indices}).",
            indices=indices,
        )
    return _("The model fits only loosely; read the sizes with care ({indices}).", indices=indices)


def _caveat(study: Study, n: int, kept: int) -> Text:
    if study.origin == "simulated":
        return _(
            "The responses are simulated from assumptions: this is a demonstration, not evidence."
        )
    if kept > n:
        return _(
            "This rests on {n:,} of {kept:,} respondents (the others lack an answer the model needs) asked once: "
            "agreement with the model's arrows, not proof of cause.",
            n=n,
            kept=kept,
        )
    return _(
        "This rests on {n:,} respondents asked once: agreement with the model's arrows, not proof of cause.",
        n=n,
    )
