"""What runs through mediators: direct, indirect and total effects with their intervals, what kind of mediation they make, and contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.sem.paths import Effect, edges, inference, values

if TYPE_CHECKING:
    from cxlib.sem import Fit
    from cxlib.sem.resampling import Draws

INTERVALS = ("bca", "percentile", "delta")
BEST = ["effect", "kind"]
"""The first row of each is its BCa interval, else percentile, else delta."""
PARTS = ["direct", "indirect", "total", "proportion"]
MEDIATION = [
    "start",
    "end",
    *(f"{name}{end}" for name in PARTS for end in ("", "_low", "_high")),
    "type",
]


def clear(table: pd.DataFrame) -> pd.Series:
    """Which intervals leave out zero."""
    return (table["ci_low"] > 0) | (table["ci_high"] < 0)


def one_interval(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """One row an effect: the interval of this kind, where it cannot be had the next of INTERVALS."""
    place = table["interval"].map(
        {name: (INTERVALS.index(name) - INTERVALS.index(kind)) % 3 for name in INTERVALS}
    )
    chosen = place.groupby([table[name] for name in BEST], sort=False).idxmin()
    return table.loc[chosen].reset_index(drop=True)


def estimated(
    fit: Fit, effects: Sequence[Effect], standardised: bool, *draws: Draws | None
) -> pd.DataFrame:
    """Every kind of interval of every effect: the columns of :func:`cxlib.sem.paths.inference`."""
    std = values(fit.model, effects, fit.theta[None], True)[0]
    return inference(
        fit,
        lambda theta: values(fit.model, effects, theta, standardised),
        [(e.name, e.kind, s) for e, s in zip(effects, std, strict=True)],
        *draws,
    )


def contrasted(
    fit: Fit, pairs: Sequence[tuple[Effect, Effect]], standardised: bool, *draws: Draws | None
) -> pd.DataFrame:
    """First less second effect of each pair, kind "contrast".

    Notes
    -----
    R: ``d := a1*b1 - a2*b2``.
    """

    def gap(theta: np.ndarray, standardised: bool) -> np.ndarray:
        first, second = (
            values(fit.model, side, theta, standardised) for side in zip(*pairs, strict=True)
        )
        return first - second

    labels = [
        (f"{a.name} > {b.name}", "contrast", s)
        for (a, b), s in zip(pairs, gap(fit.theta[None], True)[0], strict=True)
    ]
    return inference(fit, lambda theta: gap(theta, standardised), labels, *draws)


def decomposed(fit: Fit, pairs: Sequence[tuple[str, str]], *draws: Draws | None) -> pd.DataFrame:
    """Direct, total indirect and total effect of each pair, the share that is indirect, and the kind of mediation (MEDIATION).

    Intervals are BCa, else percentile, else delta.  The proportion is missing where it has no meaning: no direct path, direct
    and indirect effect of opposite signs, or an interval of the total that holds zero.

    Notes
    -----
    Zhao, Lynch & Chen (2010), doi:10.1086/651257, for the kinds.
    """
    rows = [_decomposed(fit, start, end, *draws) for start, end in pairs]
    return pd.DataFrame(rows, columns=MEDIATION)


def _decomposed(fit: Fit, start: str, end: str, *draws: Draws | None) -> dict[str, Any]:
    """The row of one pair."""
    have = [name for name in PARTS if name != "direct" or (start, end) in edges(fit.model)]
    parts = [
        Effect("", "total" if name == "proportion" else name, ((start, end),)) for name in have
    ]

    def statistic(theta: np.ndarray) -> np.ndarray:
        out = values(fit.model, parts, theta)
        out[:, -1] = out[:, -3] / out[:, -2]
        return out

    found = inference(fit, statistic, [(name, name, np.nan) for name in have], *draws)
    found = (
        found.drop_duplicates(BEST).set_index("kind")[["est", "ci_low", "ci_high"]].reindex(PARTS)
    )
    row: dict[str, Any] = {"start": start, "end": end}
    for name in PARTS:
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), found.loc[name], strict=True))
    row["type"] = kind_of_mediation(row)
    if not row["direct"] * row["indirect"] > 0 or row["total_low"] <= 0 <= row["total_high"]:
        row |= dict.fromkeys(("proportion", "proportion_low", "proportion_high"), np.nan)
    return row


def kind_of_mediation(row: dict[str, Any]) -> str:
    """The kind of mediation from the intervals of the direct and the indirect effect."""
    direct, indirect = (
        row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0 for name in ("direct", "indirect")
    )
    if np.isnan(row["direct"]):
        return "not testable" if indirect else "none"
    if direct and indirect:
        return "partial" if row["direct"] * row["indirect"] > 0 else "competitive"
    return "full" if indirect else "direct only" if direct else "none"


def indirect_effects(
    fit: Fit, pairs: Sequence[tuple[str, str]], *draws: Draws | None
) -> pd.DataFrame:
    """Total indirect effect of each pair, in their order: est, and sure (whether its interval leaves out zero)."""
    wanted = [Effect("", "indirect", (pair,)) for pair in pairs]
    found = inference(
        fit,
        lambda theta: values(fit.model, wanted, theta),
        [(f"{start} {end}", "", np.nan) for start, end in pairs],
        *draws,
    )
    found = found.drop_duplicates("effect")
    return pd.DataFrame({"est": found["est"], "sure": clear(found)}).reset_index(drop=True)


def against(
    fit: Fit, other: Fit, start: str, end: str, indirect: float, sure: bool
) -> dict[str, Any]:
    """A model and the same with (or without) the direct path: std of the path, the χ² difference, and the kind of mediation.

    Notes
    -----
    James, Mulaik & Brett (2006), doi:10.1177/1094428105285144.  R: ``lavaan::lavTestLRT(with_path, without_path)``.
    """
    there = (start, end) in edges(fit.model)
    small, large = (other, fit) if there else (fit, other)
    rows = large.parameters
    std = rows.loc[
        (rows["lhs"] == end) & (rows["op"] == "~") & (rows["rhs"] == start), "std"
    ].item()
    test = sem.difference(small, large).iloc[0][["d_chisq", "d_df", "d_p"]]
    better = test["d_p"] < 0.05
    both = "partial" if std * indirect > 0 else "competitive"
    kind = {
        (True, True): both,
        (True, False): "full",
        (False, True): "direct only",
        (False, False): "none",
    }[bool(sure), bool(better)]
    return {
        "in_model": there,
        "std": std,
        **test,
        "mediation": kind if other.trustworthy else "unknown",
    }
