"""Screening held against a key: what the rules found of rows that were spoilt on purpose."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.result import Result, makes
from cxlib.core.words import _, listed

COLUMNS = ["kind", "rule", "n", "hits", "measure", "rate", "low", "high"]
CAUGHT_BY = {
    "duplicate": "duplicates",
    "attention": "attention",
    "speeder": "speed",
    "straight_liner": "straightlining",
    "contradictory": "contradictions",
    "reversed_dates": "contradictions",
}
"""Kinds of planted rows that a rule is there to find; the other kinds spoil single answers."""


@makes("screening_rates", "kind rule n hits measure rate low high")
def against_key(screening: Result | pd.DataFrame, key: pd.DataFrame | None) -> Result:
    """How well the screening found planted bad rows.

    Parameters
    ----------
    screening : Result or DataFrame
        ``Cleaned.screening``.
    key : DataFrame or None
        One planted row a line: respondent id (first column) and `kind`; None where the study has no key.

    Returns
    -------
    Result
        kind, rule, n, hits, measure, rate, low, high (95 %, Wilson).  A kind that a rule is there to find: the share of
        its rows that this rule hit (sensitivity).  A kind that only spoils single answers, which reading mends or sets
        to missing: the share of its rows kept (kept).  Kind "none": the share of the rows without a planted fault that
        each rule, and all rules together (rule "any"), passed over (specificity).
    """
    table = screening.table if isinstance(screening, Result) else screening
    if key is None:
        text = _(
            "The study has no key of planted rows, as real studies have none: what the rules missed cannot be known."
        )
        return Result(pd.DataFrame(columns=COLUMNS), text, len(table))
    met = table["reasons"].str.split("; ").groupby(table["respondent"].astype(str))
    reasons = met.agg(lambda lists: set().union(*lists) - {""})
    planted = key["kind"].groupby(key.iloc[:, 0].astype(str)).agg(set)
    strangers = planted.index.difference(reasons.index)
    if len(strangers):
        raise DataError(
            _(
                "key= names respondents that are not in the responses: {names}. Key and responses must come from the same simulation.",
                names=listed(strangers, 5),
            )
        )
    honest = reasons[~reasons.index.isin(planted.index)]
    result = pd.DataFrame(
        [*_faults(reasons, planted), *_passed(honest)],
        columns=COLUMNS,
    )
    total = (
        result.groupby("measure")[["hits", "n"]]
        .sum()
        .reindex(["sensitivity", "kept"], fill_value=0)
    )
    (found, faults), (held, spoilt) = total.to_numpy()
    text = _(
        "The rules found {found} of {faults} rows planted for them, kept {held} of {spoilt} rows with single spoilt answers, and kept "
        "{passed:,} of {honest:,} honest rows.",
        found=found,
        faults=faults,
        held=held,
        spoilt=spoilt,
        passed=int(result["hits"].iloc[-1]),
        honest=len(honest),
    )
    return Result(result, text, len(table), _("sensitivity and specificity"))


def _faults(reasons: pd.Series, planted: pd.Series) -> list[tuple]:
    """Of every kind of planted rows, those that its rule hit, or that were kept."""
    rows = []
    for kind in sorted(set().union(*planted)):
        found = reasons[planted.index[[kind in kinds for kinds in planted]]]
        rule = CAUGHT_BY.get(kind, "")
        hits = sum(rule in met if rule else not met for met in found)
        measure = "sensitivity" if rule else "kept"
        rows.append((kind, rule, len(found), hits, measure, *_share(hits, len(found))))
    return rows


def _passed(honest: pd.Series) -> list[tuple]:
    """Of the honest rows, those that each rule, and all rules, passed over."""
    rows = []
    for rule in [*dict.fromkeys(CAUGHT_BY.values()), "any"]:
        passed = sum(not met if rule == "any" else rule not in met for met in honest)
        share = _share(passed, len(honest))
        rows.append(("none", rule, len(honest), passed, "specificity", *share))
    return rows


def _share(hits: int, n: int) -> tuple[float, float, float]:
    """A share with its 95 % Wilson interval."""
    from scipy.stats import binomtest  # here: only simulated studies have a key

    if not n:
        return np.nan, np.nan, np.nan
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return hits / n, interval.low, interval.high
