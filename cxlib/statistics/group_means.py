"""Means of scores in groups, and the tests of their differences: Welch's, and Games and Howell's of every pair."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

MEANS = ["construct", "group", "n", "mean", "sd", "ci_low", "ci_high"]
PAIRS = [
    "construct",
    "group_a",
    "group_b",
    "difference",
    "se",
    "t",
    "df",
    "p",
    "hedges_g",
    "g_low",
    "g_high",
    "n",
]


def means(frame: pd.DataFrame, group: str) -> pd.DataFrame:
    """Mean of every score in every group, with its t interval: construct, group, n, mean, sd, ci_low, ci_high.

    Parameters
    ----------
    frame : DataFrame
        A column a score, and the groups as an ordered category in the column `group`.

    Notes
    -----
    R: ``t.test(x)$conf.int`` for every group.
    """
    from scipy.stats import t

    cells = (
        frame.sort_values(group)
        .melt(group, var_name="construct", value_name="score")
        .groupby(["construct", group], sort=False, observed=True)
    )
    table = pd.DataFrame(cells["score"].agg(n="count", mean="mean", sd="std"))
    table = table.reset_index(names=["construct", "group"]).astype({"group": str})
    half = t.ppf(0.975, table["n"] - 1) * table["sd"] / np.sqrt(table["n"])
    return table.assign(ci_low=table["mean"] - half, ci_high=table["mean"] + half)[MEANS]


def pairs(frame: pd.DataFrame, group: str) -> tuple[pd.DataFrame, list[str]]:
    """Every pair of groups on every score (PAIRS), and the scores that do not vary in some group: they have no test.

    p is Games and Howell's, of two groups Welch's; difference is the first less the second, hedges_g has its 95% interval.

    Notes
    -----
    Games & Howell (1976), doi:10.3102/10769986001002113; Hedges (1981), doi:10.3102/10769986006002107.
    R: ``t.test(x ~ g)``, ``rstatix::games_howell_test``, ``effectsize::hedges_g`` (its interval is noncentral).
    """
    parts: list[pd.DataFrame] = []
    flat: list[str] = []
    for code in frame.columns.drop(group):
        own = frame[[code, group]].dropna()
        if (own.groupby(group, observed=True)[code].nunique() < 2).any():
            flat.append(code)
        else:
            parts.append(_pairs(own, code, group))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=PAIRS)
    return table, flat


def _pairs(own: pd.DataFrame, code: str, group: str) -> pd.DataFrame:
    """Every pair of groups on one score."""
    import pingouin  # heavy

    found = pingouin.pairwise_gameshowell(own, dv=code, between=group, effsize="hedges")
    size = own.groupby(group, observed=True).size()
    counts = [found[side].map(size).astype(int) for side in "AB"]
    ends = [
        pingouin.compute_esci(g, *n, eftype="hedges", decimals=12)
        for g, *n in zip(found["hedges"], *counts, strict=True)
    ]
    columns = {
        "A": "group_a",
        "B": "group_b",
        "diff": "difference",
        "T": "t",
        "pval": "p",
        "hedges": "hedges_g",
    }
    return found.rename(columns=columns).assign(
        construct=code,
        n=counts[0] + counts[1],
        g_low=[end[0] for end in ends],
        g_high=[end[1] for end in ends],
    )[PAIRS]


class Welch(NamedTuple):
    """Welch's analysis of variance."""

    f: float
    df: float
    df_error: float
    p: float


def welch(frame: pd.DataFrame, outcome: str, group: str) -> Welch:
    """Test that the means of all groups of two and more rows are equal, variances unequal.

    Notes
    -----
    Welch (1951), doi:10.1093/biomet/38.3-4.330.  R: ``oneway.test(y ~ g)``.
    """
    import pingouin  # heavy

    large = frame[frame.groupby(group)[outcome].transform("size") >= 2]
    found = pingouin.welch_anova(large, dv=outcome, between=group)
    return Welch(*found[["F", "ddof1", "ddof2", "p_unc"]].iloc[0])
