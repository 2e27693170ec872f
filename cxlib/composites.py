"""Construct scores, the plain mean of their items, and how they correlate."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import show
from cxlib.show import Result, Text
from cxlib.study import Study
from cxlib.verdicts import holm

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MISSING = 1 / 3
"""A construct score needs at least two thirds of its items."""


def scores(data: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Construct scores: the mean of a row's answered items, missing if more than a third of them are missing.

    A second-order construct is the mean of its first-order scores under the same rule.  Columns keep the scale of
    their items.
    """
    result = pd.DataFrame(index=data.index)
    for code, construct in study.constructs.items():
        if construct.items:
            result[code] = _mean(data[list(construct.items)])
    for code, construct in study.constructs.items():
        if construct.of and set(construct.of) <= set(result):
            result[code] = _mean(result[list(construct.of)])
    return result


def correlations(data: pd.DataFrame, study: Study) -> Result:
    """Pearson correlations of the construct scores, each on the rows that have both.

    Returns
    -------
    Result
        construct_a, construct_b, r, ci_low, ci_high (95 %, Fisher z), p, p_holm, n.  Pairs of a second-order construct
        with one of its own parts are left out.

    Notes
    -----
    R: ``cor.test(x, y)`` and ``p.adjust(p, "holm")``.
    """
    from scipy.stats import norm, t

    frame, rows = scores(data, study), []
    for a, b in combinations(frame, 2):
        if b in study.constructs[a].of or a in study.constructs[b].of:
            continue
        pair = frame[[a, b]].dropna()
        n = len(pair)
        r = float(pair[a].corr(pair[b])) if n > 3 and pair[a].std() > 0 and pair[b].std() > 0 else np.nan
        r = float(np.clip(r, -1, 1))
        statistic = abs(r) * np.sqrt((n - 2) / max(1 - r * r, 1e-300)) if n > 3 else np.nan
        half = norm.ppf(0.975) / np.sqrt(n - 3) if n > 3 else np.nan
        centre = np.arctanh(np.clip(r, -1 + 1e-16, 1 - 1e-16))
        rows.append(
            (
                a,
                b,
                r,
                np.tanh(centre - half),
                np.tanh(centre + half),
                2 * t.sf(statistic, n - 2) if n > 3 else np.nan,
                n,
            )
        )
    table = pd.DataFrame(rows, columns=["construct_a", "construct_b", "r", "ci_low", "ci_high", "p", "n"])
    table.insert(6, "p_holm", holm(table["p"]))
    usable = table.dropna(subset="r")
    warnings = _without_r(table) if len(usable) < len(table) else ()
    if usable.empty:
        text = {"en": "There is no pair of constructs to correlate.", "zh": "没有可计算相关的构念。"}
        return Result(table, text, len(data), "Pearson correlations of construct scores", (text, *warnings))
    top = usable.loc[usable["r"].abs().idxmax()]
    clear = int((usable["p_holm"] < 0.05).sum())
    text = {
        "en": f"{clear} of {show.plural(len(table), 'correlation')} differ from zero after Holm's correction; the strongest is "
        f"{study.name(top['construct_a'])} with {study.name(top['construct_b'])}, r = {show.number(top['r'], 2)} "
        f"[{show.number(top['ci_low'], 2)}, {show.number(top['ci_high'], 2)}], n = {top['n']}.",
        "zh": f"经 Holm 校正，{len(table)} 个相关中有 {clear} 个不为零；最强的是{study.name(top['construct_a'], 'zh')}与"
        f"{study.name(top['construct_b'], 'zh')},r = {show.number(top['r'], 2)}[{show.number(top['ci_low'], 2)}, "
        f"{show.number(top['ci_high'], 2)}],n = {top['n']}。",
    }
    return Result(
        table, text, int(table["n"].min()), "Pearson correlations of construct scores, Holm-adjusted", warnings
    )


@show.picture
def plot_correlations(table: pd.DataFrame | Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Heat map of the construct correlations, lower triangle; those that Holm's correction leaves unclear are grey."""
    from matplotlib import pyplot

    pairs = table.table if isinstance(table, Result) else table
    codes = list(dict.fromkeys([*pairs["construct_a"], *pairs["construct_b"]]))
    codes.sort(key=list(study.constructs).index)
    k = len(codes)
    grid, clear = np.full((k, k), np.nan), np.zeros((k, k), bool)
    for row in pairs.itertuples():
        i, j = sorted((codes.index(row.construct_a), codes.index(row.construct_b)), reverse=True)
        grid[i, j], clear[i, j] = row.r, row.p_holm < 0.05
    cell = 0.62 if k <= 12 else 0.42
    figure, axes = pyplot.subplots(figsize=(max(4.5, 2.4 + cell * k), max(2.5, 0.9 + cell * k * 0.8)))
    image = axes.imshow(grid[1:, :-1], cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for i in range(1, k):
        for j in range(i):
            if not np.isnan(grid[i, j]):
                colour = "white" if abs(grid[i, j]) > 0.6 else show.INK if clear[i, j] else show.MUTED
                axes.text(
                    j,
                    i - 1,
                    show.number(grid[i, j], 2).replace("0.", ".", 1),
                    ha="center",
                    va="center",
                    color=colour,
                    fontsize=9 if k <= 12 else 7,
                )
    axes.set_xticks(range(k - 1), codes[:-1], rotation=0 if k <= 12 else 90)
    axes.set_yticks(range(k - 1), [f"{study.name(c, language)}  {c}" for c in codes[1:]])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.6, label="r")
    n, top = pairs["n"], pairs.loc[pairs["r"].abs().idxmax()]
    size = f"n = {n.min():,}" + (f"–{n.max():,}" if n.min() < n.max() else "")
    return figure, {
        "en": f"Correlations of construct scores ({size}). The strongest: {study.name(top['construct_a'])} with "
        f"{study.name(top['construct_b'])}, r = {show.number(top['r'], 2)}. Grey figures do not differ from zero after Holm's correction.",
        "zh": f"构念得分的相关系数（{size}）。最强：{study.name(top['construct_a'], 'zh')}与{study.name(top['construct_b'], 'zh')},"
        f"r = {show.number(top['r'], 2)}。灰色数字经 Holm 校正后与零无显著差异。",
    }


def _mean(part: pd.DataFrame) -> pd.Series:
    return part.mean(axis=1).where(part.isna().mean(axis=1) <= MOST_MISSING + 1e-12)


def _without_r(table: pd.DataFrame) -> tuple[Text, ...]:
    pairs = ", ".join(f"{r.construct_a}–{r.construct_b}" for r in table[table["r"].isna()].itertuples())
    return (
        {
            "en": f"No correlation for {pairs}: fewer than four common rows, or a constant score.",
            "zh": f"{pairs} 无法计算相关：共同样本不足四行，或得分为常数。",
        },
    )
