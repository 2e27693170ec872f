"""Construct scores, the plain mean of their items, and how they correlate."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.result import Result, Text
from cxlib.core.words import number, plural
from cxlib.statistics.multiple_testing import holm
from cxlib.statistics.scores import scores
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    from scipy.stats import pearsonr

    method = "Pearson correlations of construct scores, Holm-adjusted"
    frame, rows = scores(data, study), []
    for a, b in combinations(frame, 2):
        if b in study.constructs[a].of or a in study.constructs[b].of:
            continue
        pair = frame[[a, b]].dropna()
        r, low, high, p = [np.nan] * 4
        if len(pair) > 3 and (pair.max() > pair.min()).all():
            found = pearsonr(pair[a], pair[b])
            r, p, (low, high) = found.statistic, found.pvalue, found.confidence_interval()
        rows.append((a, b, r, low, high, p, len(pair)))
    table = pd.DataFrame(
        rows, columns=["construct_a", "construct_b", "r", "ci_low", "ci_high", "p", "n"]
    )
    table.insert(6, "p_holm", holm(table["p"]))
    without = ", ".join(
        f"{row.construct_a}–{row.construct_b}" for row in table[table["r"].isna()].itertuples()
    )
    warnings = [{"en": f"No correlation for {without}: fewer than four common rows, or a constant score.",
                 "zh": f"{without} 无法计算相关：共同样本不足四行，或得分为常数。"}] if without else []  # fmt: skip
    if table["r"].isna().all():
        text = {
            "en": "There is no pair of constructs to correlate.",
            "zh": "没有可计算相关的构念。",
        }
        return Result(table, text, len(data), method, (text, *warnings))
    top, named = _strongest(table, study)
    clear, ci = (
        int((table["p_holm"] < 0.05).sum()),
        f"[{number(top['ci_low'], 2)}, {number(top['ci_high'], 2)}]",
    )
    text = {"en": f"{clear} of {plural(len(table), 'correlation')} differ from zero after Holm's correction; the strongest is "
                  f"{named['en']} {ci}, n = {top['n']}.",
            "zh": f"经 Holm 校正，{len(table)} 个相关中有 {clear} 个不为零；最强的是{named['zh']} {ci}，n = {top['n']}。"}  # fmt: skip
    return Result(table, text, int(table["n"].min()), method, tuple(warnings))


@theme.picture
def plot_correlations(
    table: pd.DataFrame | Result, study: Study, *, language: str = "en"
) -> tuple[Figure, Text]:
    """Heat map of the construct correlations, lower triangle; those that Holm's correction leaves unclear are grey."""
    import seaborn
    from matplotlib import pyplot

    pairs = table.table if isinstance(table, Result) else table
    if pairs["r"].isna().all():
        return theme.blank(
            {"en": "There is no pair of constructs to correlate.", "zh": "没有可计算相关的构念。"},
            language,
        )
    codes = list(dict.fromkeys([*pairs["construct_a"], *pairs["construct_b"]]))
    wide = pairs.pivot_table(["r", "p_holm"], "construct_b", "construct_a", sort=False)
    grid, p = (
        wide[value].reindex(index=codes[1:], columns=codes[:-1]) for value in ("r", "p_holm")
    )
    small = len(codes) > 12
    cell = 0.42 if small else 0.62
    size = max(4.5, 2.4 + cell * len(codes)), max(2.5, 0.9 + cell * len(codes) * 0.8)
    figure, axes = pyplot.subplots(figsize=size)
    words = grid.map(lambda r: number(r, 2).replace("0.", ".", 1))
    seaborn.heatmap(grid, annot=words, fmt="", cmap="RdBu_r", vmin=-1, vmax=1, annot_kws={"fontsize": 7 if small else 9},
                    cbar_kws={"shrink": 0.6, "label": "r"}, ax=axes)  # fmt: skip
    axes.set(xlabel="", ylabel="")
    axes.grid(False)
    axes.set_xticklabels(codes[:-1], rotation=90 if small else 0)
    axes.set_yticklabels(
        [f"{study.name(code, language)}  {code}" for code in codes[1:]], rotation=0
    )
    shown = grid.notna().to_numpy()
    for text, own, unclear in zip(
        axes.texts, grid.to_numpy()[shown], p.to_numpy()[shown] >= 0.05, strict=True
    ):
        text.set_color("white" if abs(own) > 0.6 else theme.MUTED if unclear else theme.INK)
    n, (_, strongest) = pairs["n"], _strongest(pairs, study)
    size = f"n = {n.min():,}" + (f"–{n.max():,}" if n.min() < n.max() else "")
    return figure, {
        "en": f"Correlations of construct scores ({size}). The strongest: {strongest['en']}. Grey figures do not differ from zero "
              "after Holm's correction.",
        "zh": f"构念得分的相关系数（{size}）。最强：{strongest['zh']}。灰色数字经 Holm 校正后与零无显著差异。"}  # fmt: skip


def _strongest(pairs: pd.DataFrame, study: Study) -> tuple[pd.Series, Text]:
    """The strongest correlation, and it in words."""
    top = pairs.loc[pairs["r"].abs().idxmax()]
    a, b, r = top["construct_a"], top["construct_b"], number(top["r"], 2)
    return top, {"en": f"{study.name(a)} with {study.name(b)}, r = {r}",
                 "zh": f"{study.name(a, 'zh')}与{study.name(b, 'zh')}，r = {r}"}  # fmt: skip
