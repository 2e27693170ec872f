"""Construct scores, the plain mean of their items, and how they correlate."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core import theme
from cxlib.core.result import Result, Text, makes
from cxlib.core.words import Sentence, _, n_, number
from cxlib.statistics.correlation import pairwise
from cxlib.statistics.scores import scores
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


NO_PAIR = _("There is no pair of constructs to correlate.")


@makes("correlations", "construct_a construct_b r ci_low ci_high p p_holm n")
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
    method = _("Pearson correlations of construct scores, Holm-adjusted")
    frame = scores(data, study.scales, study.parts)
    table = pairwise(
        frame,
        [
            (a, b)
            for a, b in combinations(map(str, frame), 2)
            if b not in study.constructs[a].of and a not in study.constructs[b].of
        ],
    ).rename(columns={"a": "construct_a", "b": "construct_b"})
    without = [
        f"{row.construct_a}–{row.construct_b}" for row in table[table["r"].isna()].itertuples()
    ]
    warnings: list[Text] = (
        [
            _(
                "No correlation for {pairs}: fewer than four common rows, or a constant score.",
                pairs=without,
            )
        ]
        if without
        else []
    )
    if table["r"].isna().all():
        return Result(table, NO_PAIR, len(data), method, (NO_PAIR, *warnings))
    top = _top(table)
    text = _(
        "{clear} of {correlations} differ from zero after Holm's correction; the strongest is {strongest} [{low}, {high}], "
        "n = {n}.",
        clear=int((table["p_holm"] < 0.05).sum()),
        correlations=n_("{n:,} correlation", "{n:,} correlations", len(table)),
        strongest=_named(top, study),
        low=number(top["ci_low"], 2),
        high=number(top["ci_high"], 2),
        n=top["n"],
    )
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
        return theme.blank(NO_PAIR, language)
    codes = list(dict.fromkeys([*pairs["construct_a"], *pairs["construct_b"]]))
    grid, p = (
        pairs.pivot_table(value, "construct_b", "construct_a", sort=False).reindex(
            index=codes[1:], columns=codes[:-1]
        )
        for value in ("r", "p_holm")
    )
    small = len(codes) > 12
    cell = 0.42 if small else 0.62
    width = max(4.5, 2.4 + cell * len(codes)), max(2.5, 0.9 + cell * len(codes) * 0.8)
    figure, axes = pyplot.subplots(figsize=width)
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
    n = pairs["n"]
    size = f"n = {n.min():,}" + (f"–{n.max():,}" if n.min() < n.max() else "")
    return figure, _(
        "Correlations of construct scores ({size}). The strongest: {strongest}. Grey figures do not differ from zero after "
        "Holm's correction.",
        size=size,
        strongest=_named(_top(pairs), study),
    )


def _top(pairs: pd.DataFrame) -> pd.Series:
    """The strongest correlation."""
    return pairs.iloc[int(pairs["r"].abs().argmax())]


def _named(pair: pd.Series, study: Study) -> Sentence:
    """A correlation in words."""
    a, b = (study.constructs[pair[end]].name for end in ("construct_a", "construct_b"))
    return _("{a} with {b}, r = {r}", a=a, b=b, r=number(pair["r"], 2))
