"""Forests of scales and of items: a dot with its interval, and its number at the right end of the line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.words import Sentence, _, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

LINES = 55
"""A forest of items has another panel for every so many lines."""


def forest(axes: Axes, rows: pd.DataFrame, labels: Sequence[str]) -> None:
    """Draw estimates with their intervals, about zero, in lines from the top down.

    Parameters
    ----------
    axes : Axes
    rows : DataFrame
        est, ci_low, ci_high; place (0 is the first line; fractions stand between), colour, mark, hollow.
    labels : sequence of str
        One a line.
    """
    for row in rows.to_dict("records"):
        axes.plot(
            [row["ci_low"], row["ci_high"]],
            [row["place"], row["place"]],
            color=row["colour"],
            linewidth=2,
            alpha=0.6,
        )
        axes.plot(
            row["est"],
            row["place"],
            row["mark"],
            color=row["colour"],
            markersize=6,
            markerfacecolor="white" if row["hollow"] else row["colour"],
        )
    axes.axvline(0, color=theme.MUTED, linewidth=1)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def labelled(axes: Axes, rows: pd.DataFrame, language: str) -> None:
    """Draw rows (label, est, ci_low, ci_high, colour, heading) from the top down; a heading has no estimate."""
    known = rows.dropna(subset="est")
    forest(axes, known.assign(place=known.index, mark="o", hollow=False), rows["label"].tolist())
    ticks = axes.get_yticklabels()
    for at, (tick, row) in enumerate(zip(ticks, rows.to_dict("records"), strict=True)):
        if row["heading"]:
            tick.set(fontweight="bold", color=row["colour"])
        elif pd.isna(row["est"]):
            axes.annotate(
                _("not estimable")[language],
                (0.01, at),
                xycoords=axes.get_yaxis_transform(),
                va="center",
                color=theme.MUTED,
                fontsize="small",
            )
        else:
            axes.annotate(
                number(row["est"], 2),
                (1.015, at),
                xycoords=axes.get_yaxis_transform(),
                va="center",
                color=row["colour"],
                fontsize="small",
                fontweight="bold",
                annotation_clip=False,
            )


def convention(axes: Axes, at: float, words: str, side: str = "center") -> None:
    """A dashed line for a convention, its words above it or to one side."""
    axes.axvline(at, color=theme.MUTED, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    axes.annotate(
        words,
        (at, 1),
        ({"center": 0, "right": 8, "left": -8}[side], 3),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha=side,
        color=theme.MUTED,
        fontsize=8,
    )


def conventional(at: float) -> Sentence:
    """What is written above the line of a convention."""
    return _("convention {value}", value=f"{at:.2f}"[1:])


def by_construct(
    rows: pd.DataFrame, study: Study, line: float, xlabel: str, language: str
) -> Figure:
    """Items below the name of their construct, constructs kept whole, beside the convention at `line`.

    Parameters
    ----------
    rows : DataFrame
        construct, item, est, ci_low, ci_high.
    """
    from matplotlib import pyplot

    blocks: list[pd.DataFrame] = [
        pd.concat(
            [
                pd.DataFrame({"label": [study.name(str(code), language)], "heading": True}),
                part.assign(label=part["item"], heading=False),
            ]
        ).assign(colour=theme.ROLES[study.role(str(code))])
        for code, part in rows.groupby("construct", sort=False)
    ]
    before = np.cumsum([0, *map(len, blocks)])
    size = -(-before[-1] // LINES)
    panels = [
        pd.concat(
            [
                block
                for block, done in zip(blocks, before, strict=False)
                if done * size // before[-1] == at
            ],
            ignore_index=True,
        )
        for at in range(size)
    ]
    longest = max(map(len, panels))
    figure, axes = pyplot.subplots(
        1,
        size,
        figsize=(7 if size == 1 else 5 * size, 1.0 + 0.21 * longest),
        sharex=True,
        squeeze=False,
    )
    lowest, highest = np.nanmin([0, *rows["ci_low"]]), np.nanmax([1, *rows["ci_high"]])
    for axis, panel in zip(axes[0], panels, strict=True):
        labelled(axis, panel, language)
        convention(axis, line, conventional(line)[language])
        axis.set(
            xlim=(lowest - 0.05 if lowest < 0 else 0, highest + 0.02), ylim=(longest - 0.3, -0.7)
        )
        axis.tick_params(axis="y", labelsize=8)
    figure.supxlabel(xlabel, fontsize="medium")
    return figure
