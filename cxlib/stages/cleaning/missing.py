"""Missing answers in words and in a picture: how many, in which patterns, and whether they look random.

Nothing is filled in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core import theme
from cxlib.core.result import Result, Text, makes
from cxlib.core.words import Sentence, _, joined, p_text
from cxlib.statistics import missing
from cxlib.statistics.missing import Mcar, patterns
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@makes("missing", "item construct n missing share")
def by_item(data: pd.DataFrame, study: Study) -> Result:
    """Missing answers by item: item, construct, n (answered), missing, share."""
    items = [item for item in study.items if item in data]
    absent = data[items].isna()
    columns = {
        "item": items,
        "construct": [study.items[i] for i in items],
        "n": (~absent).sum(),
        "missing": absent.sum(),
        "share": absent.mean(),
    }
    table = pd.DataFrame(columns).reset_index(drop=True)
    total = int(table["missing"].sum())
    text = _(
        "No answer is missing: all {rows:,} rows answered all {items} items.",
        rows=len(data),
        items=len(items),
    )
    if total:
        worst = table.loc[table["share"].idxmax()]
        text = _(
            "{missing:,} of {cells:,} answers ({share:.1f} %) are missing; {complete:,} of {rows:,} rows are complete. Most are missing "
            "in {worst} ({most:.1f} %).",
            missing=total,
            cells=absent.size,
            share=100 * total / absent.size,
            complete=int((~absent.any(axis=1)).sum()),
            rows=len(data),
            worst=worst["item"],
            most=100 * worst["share"],
        )
    return Result(table, text, len(data), _("missing answers by item"))


@makes("mcar", "chisq df p patterns n")
def littles_mcar(frame: pd.DataFrame) -> Result:
    """Little's test that answers are missing completely at random, see :func:`cxlib.statistics.missing.littles_mcar`.

    Returns
    -------
    Result
        One row: chisq, df, p, patterns, n.
    """
    found = missing.littles_mcar(frame)
    row = (found.chisq, found.df, found.p, found.patterns, found.n)
    table = pd.DataFrame([row], columns=["chisq", "df", "p", "patterns", "n"])
    text, method = _verdict(found), _("Little's MCAR test")
    if found.df == 0:
        return Result(table, text, found.n, method, (text,))
    small = _(
        "{patterns} patterns in {rows:,} rows: the test rests on very small groups, do not lean on its p value.",
        patterns=found.patterns,
        rows=found.n,
    )
    return Result(table, text, found.n, method, (small,) if found.n < 5 * found.patterns else ())


def _verdict(found: Mcar) -> Sentence:
    """What the test says."""
    if found.refused:
        return _("Not tested. {reason}", reason=found.refused.sentence)
    if found.df == 0:
        return _("No answer is missing, so there is nothing to test.")
    values = {"df": found.df, "chisq": found.chisq, "p": p_text(found.p)}
    if found.p < 0.05:
        return _(
            "Little's test: χ²({df}) = {chisq:.2f}, {p} — answers are not missing completely at random.",
            **values,
        )
    return _(
        "Little's test: χ²({df}) = {chisq:.2f}, {p} — nothing here speaks against answers missing completely at random.",
        **values,
    )


@theme.picture
def plot_missing(data: pd.DataFrame, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Share of missing answers by item, above the most frequent patterns of missing answers."""
    from matplotlib import pyplot

    items = [item for item in study.items if item in data]
    share, kinds = 100 * data[items].isna().mean().to_numpy(), patterns(data[items])
    top = kinds[kinds["missing"] > 0].head(12)
    colours = [theme.ROLES[study.role(item)] for item in items]
    figure, (bars, grid) = pyplot.subplots(
        2,
        1,
        figsize=(max(6.5, 1.5 + 0.2 * len(items)), 3.2 + 0.24 * len(top)),
        sharex=True,
        height_ratios=[2, max(0.24 * len(top), 0.5)],
    )
    bars.bar(range(len(items)), share, color=colours)
    bars.set_ylabel(_("missing (%)")[language])
    bars.set_ylim(0, max(share.max() * 1.15, 1))
    bars.grid(axis="x", visible=False)
    _grid(grid, top, items, colours)
    if top.empty:
        grid.set_ylim(1, -1)
        grid.text(
            len(items) / 2 - 0.5, 0, _("no missing answers")[language], ha="center", va="center"
        )
    complete = int(kinds.loc[kinds["missing"] == 0, "n"].sum())
    absent = len(kinds) - bool(complete)
    if not absent:
        return figure, _("No answer is missing in {rows:,} rows.", rows=len(data))
    return figure, _caption(len(top), absent, complete, len(data))


def _grid(axes: Axes, top: pd.DataFrame, items: list[str], colours: list[str]) -> None:
    """A line a pattern, with a mark where an item is missing."""
    for y, row in enumerate(top.itertuples()):
        gone = [i for i, item in enumerate(items) if item in row.items.split()]
        axes.scatter(range(len(items)), [y] * len(items), s=14, color=theme.GRID, zorder=2)
        axes.scatter(
            gone, [y] * len(gone), s=22, color=[colours[i] for i in gone], marker="s", zorder=3
        )
    axes.set_yticks(range(len(top)), [f"n = {n:,}" for n in top["n"]], fontsize=8)
    axes.set_ylim(len(top) - 0.4, -0.6)
    axes.set_xticks(range(len(items)), items, rotation=90, fontsize=7)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _caption(shown: int, patterns: int, complete: int, rows: int) -> Sentence:
    return joined(
        _(
            "Missing answers by item (above) and the {shown} most frequent of {patterns} patterns of missing answers (below); "
            "{complete:,} of {rows:,} rows are complete.",
            shown=shown,
            patterns=patterns,
            complete=complete,
            rows=rows,
        ),
        _("Look for blocks: they mean questions that were not reached or not asked."),
    )
