"""Path diagrams: a structural model as a picture one can put in a paper or a talk."""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.errors import ArgumentError
from cxlib.core.result import Text
from cxlib.core.syntax import path, read
from cxlib.core.words import Sentence, _, c_, joined, listed, n_, number
from cxlib.diagram.layout import STEP, Arrow, Node, arrange, place_labels
from cxlib.study.names import ROLES, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

NAME, SMALL = 9.0, 8.0
"""Font sizes in points: names of constructs, and all else.  They differ little, so that nothing is too small when the
picture of a large model is reduced to a page."""
SPACING, GAP = 1.15, 0.05
"""Line spacing, and inches between a name and its R²."""
MOST_COVARIANCES = 3
LINE, WEAK = "#3A3A3A", "#A8A8A8"


@theme.picture
def plot_diagram(
    parameters: pd.DataFrame,
    study: Study,
    r2: pd.DataFrame | None = None,
    *,
    n: int | None = None,
    full: bool = False,
    marks: Literal["stars", "interval"] = "stars",
    language: str = "en",
) -> tuple[Figure, Text]:
    """Draw a fitted structural model with its standardised coefficients.

    Parameters
    ----------
    parameters : DataFrame
        The table sem_parameters of one group: lhs, op, rhs, p, std (and std_low, std_high for intervals).
    study : Study
        Gives names and roles.
    r2 : DataFrame, optional
        construct, r2; written in the constructs.
    n : int, optional
        Rows used, for the caption.
    full : bool
        Also items with their loadings, and the first-order constructs below a second-order one.
    marks : {"stars", "interval"}
        Stars for p < .05, .01, .001, or the 95 % interval of the standardised coefficient: the columns
        std_low and std_high.
    language : {"en", "zh"}

    Returns
    -------
    Picture
        Arrow width grows with the size of the coefficient; paths with p ≥ .05 are dashed and grey.
        More than three covariances of constructs, and any of items, are not drawn; the caption
        gives their range.  Printed to fill an A4 page, up to ten constructs and forty items, no letter is
        below 6 points.  Without a path, and not `full`, a picture that says so.

    Raises
    ------
    ValueError
        A column is missing, a parameter occurs twice (several groups), or an option is unknown.

    Notes
    -----
    R: ``semPlot::semPaths(fit, "std")``.
    """
    table = _checked(parameters, marks)
    paths, loadings = table[table["op"] == "~"], table[table["op"] == "=~"]
    if paths.empty and not full:
        return theme.blank(
            _(
                "The model has no path: there is no structure to draw, only a measurement model (full=True)."
            ),
            language,
        )
    names = list(dict.fromkeys([*paths["rhs"], *paths["lhs"]]))
    factors = set(loadings["lhs"])
    if full:
        names = list(dict.fromkeys([*(c for c in study.constructs if c in factors), *names]))
    names.sort(key=lambda c: list(study.constructs).index(c) if c in study.constructs else math.inf)
    explained = {} if r2 is None else dict(zip(r2["construct"], r2["r2"], strict=True))
    nodes = {
        c: _node(
            study,
            c,
            language,
            observed=c not in factors,
            note=f"R² = {_two(explained[c])}" if pd.notna(explained.get(c)) else "",
        )
        for c in names
    }
    if full:
        nodes |= {
            i: Node(i, i, nodes[f].role, "item")
            for f, i in zip(loadings["lhs"], loadings["rhs"], strict=True)
            if i not in nodes
        }
    pairs = table[
        (table["op"] == "~~")
        & (table["lhs"] != table["rhs"])
        & table["lhs"].isin(nodes)
        & table["rhs"].isin(nodes)
    ]
    drawn = pairs[pairs["lhs"].isin(names) & pairs["rhs"].isin(names)]
    drawn = drawn.head(0 if len(drawn) > MOST_COVARIANCES else None)
    arrows = _arrows(paths, loadings if full else loadings[:0], drawn, marks)
    signs = _("dashed: p ≥ .05")
    if marks == "stars":
        signs = _("* p < .05   ** p < .01   *** p < .001   dashed: p ≥ .05")
    return _picture(nodes, arrows, signs[language], language), _caption(
        study, paths, pairs.drop(drawn.index), n, full, marks == "interval"
    )


@theme.picture
def plot_conceptual(
    study: Study, model: str = "main", *, language: str = "en"
) -> tuple[Figure, Text]:
    """Draw what a study expects before any data: constructs, paths, hypotheses with their signs.

    Parameters
    ----------
    study : Study
    model : str
        One of ``study.models``.
    language : {"en", "zh"}

    Returns
    -------
    Picture
        A path without a hypothesis is dashed and grey; hypotheses about effects through mediators
        are named in the caption.  Without a path, a picture that says so.

    Raises
    ------
    ValueError
        The study has no such model.
    """
    if model not in study.models:
        raise ArgumentError(
            _(
                "model='{model}' is not in study '{study}'. Allowed: {models}.",
                model=model,
                study=study.id,
                models=listed(study.models),
            )
        )
    terms = read(study.syntax(model))
    paths = [(term.rhs, term.lhs) for term in terms if term.op == "~" and term.rhs != "1"]
    if not paths:
        return theme.blank(
            _("Model '{model}' has no path: there is no structure to draw.", model=model),
            language,
        )
    mine = {code: h for code, h in study.hypotheses.items() if h.model == model}
    about: dict[tuple[str, str], list[str]] = {}
    for code, hypothesis in mine.items():
        if hypothesis.path and not hypothesis.by:
            outcome, predictor = path(hypothesis.path)
            sign = {"+": "+", "-": "−", "<>": "±", "0": "0"}[hypothesis.sign]
            about.setdefault((predictor, outcome), []).append(f"{code} ({sign})")
    drawn = dict.fromkeys(code for path in paths for code in path)
    nodes = {
        c: _node(study, c, language, observed=c not in study.constructs)
        for c in [*study.constructs, *drawn]
        if c in drawn
    }
    arrows = [
        Arrow(a, b, "\n".join(about.get((a, b), [])), 1.4, (a, b) not in about) for a, b in paths
    ]
    bare = len(paths) - len(about)
    signs = _("dashed: no hypothesis")[language] if bare else ""
    figure = _picture(nodes, arrows, signs, language)
    through = [code for code, h in mine.items() if h.effect]
    return figure, joined(
        _(
            "What is expected before any data: {constructs} and {paths}; on the arrows, hypothesis and expected "
            "sign.",
            constructs=n_("{n:,} construct", "{n:,} constructs", len(nodes)),
            paths=n_("{n:,} path", "{n:,} paths", len(paths)),
        ),
        n_(
            "{n:,} path has no hypothesis (dashed).",
            "{n:,} paths have no hypothesis (dashed).",
            bare,
        )
        if bare
        else "",
        _("Effects through mediators: {codes}.", codes=listed(through)) if through else "",
    )


def _checked(parameters: pd.DataFrame, marks: str) -> pd.DataFrame:
    """The parameter table, if it can be drawn."""
    if marks not in ("stars", "interval"):
        raise ArgumentError(_("marks='{marks}' is unknown. Allowed: stars, interval.", marks=marks))
    needed = ["lhs", "op", "rhs", "p", "std"] + (
        ["std_low", "std_high"] if marks == "interval" else []
    )
    if missing := [name for name in needed if name not in parameters]:
        raise ArgumentError(
            _(
                "parameters= lacks the columns {columns}. Give the table sem_parameters.",
                columns=listed(missing),
            )
        )
    table = parameters[parameters["op"].isin(["=~", "~", "~~"])]
    if (twice := table.duplicated(["lhs", "op", "rhs"])).any():
        row = table[twice].iloc[0]
        raise ArgumentError(
            _(
                "'{lhs} {op} {rhs}' occurs more than once in parameters=. Draw one group at a time: select its rows "
                "first.",
                **row[["lhs", "op", "rhs"]],
            )
        )
    return table


def _arrows(
    paths: pd.DataFrame, loadings: pd.DataFrame, covariances: pd.DataFrame, marks: str
) -> list[Arrow]:
    """What is drawn of a table: the larger a path, the thicker it is."""
    return [
        *(
            Arrow(
                row.rhs,
                row.lhs,
                _coefficient(row, marks),
                0.6 + 3.2 * min(abs(np.nan_to_num(row.std)), 1),
                row.p >= 0.05,
            )
            for row in paths.itertuples()
        ),
        *(
            Arrow(row.lhs, row.rhs, _two(row.std), 0.9, row.p >= 0.05, "loading")
            for row in loadings.itertuples()
        ),
        *(
            Arrow(row.lhs, row.rhs, _two(row.std), 0.9, row.p >= 0.05, "covariance")
            for row in covariances.itertuples()
        ),
    ]


def _two(value: float) -> str:
    """Two decimals, never −0.00."""
    return number(round(value, 2) + 0.0, 2)


def _coefficient(row: Any, marks: str) -> str:
    """The label of a path."""
    if marks == "stars":
        return _two(row.std) + "*" * sum(row.p < bound for bound in (0.05, 0.01, 0.001))
    return f"{_two(row.std)}\n[{_two(row.std_low)}, {_two(row.std_high)}]"


def _node(study: Study, code: str, language: str, *, observed: bool, note: str = "") -> Node:
    """A construct (or observed variable) with its name wrapped."""
    name = study.name(code, language)
    if any(unicodedata.east_asian_width(sign) in "WF" for sign in name):  # no spaces to wrap at
        tied = re.escape(c_("no line begins with one of these", "),")[language])
        lines: list[str] = []
        for part in re.split(r"(?=[(\uff08])", name):
            rows = math.ceil(len(part) / 6)
            lines += re.findall(rf".{{1,{math.ceil(len(part) / rows)}}}[{tied}]*", part)
        text = "\n".join(lines)
    else:
        tries = [textwrap.wrap(name, width, break_long_words=False) for width in (13, 16, 20, 26)]
        text = "\n".join(next((lines for lines in tries if len(lines) <= 3), tries[-1]))
    role = study.constructs[code].role if code in study.constructs else "context"
    return Node(code, text, role, "box" if observed else "ellipse", note)


def _caption(
    study: Study,
    paths: pd.DataFrame,
    hidden: pd.DataFrame,
    n: int | None,
    full: bool,
    intervals: bool,
) -> Text:
    """What the picture shows and what to look at."""
    drawn = (
        _("Full model with standardised coefficients")
        if full
        else _("Structural model with standardised coefficients")
    )
    said: list[Sentence] = [
        _("{model}.", model=drawn) if n is None else _("{model}, n = {n:,}.", model=drawn, n=n)
    ]
    if paths["std"].notna().any():
        weak, top = int((paths["p"] >= 0.05).sum()), paths.loc[paths["std"].abs().idxmax()]
        said.append(
            _(
                "The thickest path runs from {start} to {end} ({value});",
                start=named(study, top["rhs"]),
                end=named(study, top["lhs"]),
                value=_two(top["std"]),
            )
        )
        if weak:
            said.append(
                n_(
                    "{weak} of {n:,} path cannot be told from zero (p ≥ .05), dashed.",
                    "{weak} of {n:,} paths cannot be told from zero (p ≥ .05), dashed.",
                    len(paths),
                    weak=weak,
                )
            )
        elif len(paths) > 1:
            said.append(_("every path differs from zero (p < .05)."))
        else:
            said.append(_("it differs from zero (p < .05)."))
    if intervals:
        said.append(_("In brackets: the 95 % interval."))
    if len(hidden):
        said.append(
            n_(
                "{n:,} covariance ({low} to {high}) not drawn.",
                "{n:,} covariances ({low} to {high}) not drawn.",
                len(hidden),
                low=_two(hidden["std"].min()),
                high=_two(hidden["std"].max()),
            )
        )
    return joined(*said)


def _picture(nodes: dict[str, Node], arrows: list[Arrow], signs: str, language: str) -> Figure:
    """Lay out and draw; if labels still meet, once more with wider spacing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        layout="none"  # type: ignore[arg-type]  # matplotlib takes it, its stub of Figure leaves it out
    )
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    _measure(axes, nodes, arrows)
    for stretch in (1.0, 1.15, 1.35, 1.6, 2.0):
        arrange(nodes, arrows, stretch)
        if place_labels(nodes, arrows):
            break
    for arrow in arrows:
        _draw_arrow(axes, arrow)
    for node in nodes.values():
        _draw_node(axes, node)
    corners = np.vstack(
        [
            *(node.box.reshape(2, 2) for node in nodes.values()),
            *(arrow.track for arrow in arrows),
            *(arrow.spot + way * arrow.size / 2 for arrow in arrows for way in (-1, 1)),
        ]
    )
    low, high = corners.min(axis=0) - 0.15, corners.max(axis=0) + 0.15
    low[1] -= 0.27
    high[0] = max(high[0], _key(axes, nodes, signs, language, low + 0.15) + 0.15)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.axis("off")
    figure.set_size_inches(*(high - low))
    return figure


def _extent(axes: Axes, text: str, size: float, weight: str = "normal") -> np.ndarray:
    """Width and height of a text in inches, nothing for no text."""
    drawn = axes.text(0, 0, text, size=size, weight=weight, linespacing=SPACING)
    box = drawn.get_window_extent()
    drawn.remove()
    return np.array([box.width, box.height]) / axes.figure.dpi if text else np.zeros(2)


def _measure(axes: Axes, nodes: dict[str, Node], arrows: list[Arrow]) -> None:
    """Sizes: constructs all alike, large enough for the longest name; items likewise; every label its own."""
    item, construct = np.zeros(2), np.array([1.1, 0.66])
    for node in nodes.values():
        if node.shape == "item":
            item = np.maximum(item, _extent(axes, node.text, SMALL) + np.array([0.12, 0.1]))
        else:
            name, note = _extent(axes, node.text, NAME, "bold"), _extent(axes, node.note, SMALL)
            block = np.array([max(name[0], note[0]), name[1] + note[1] + (GAP if node.note else 0)])
            construct = np.maximum(construct, block * [1.34, 1.51])
    for node in nodes.values():
        node.w, node.h = item if node.shape == "item" else construct
    for arrow in arrows:
        if arrow.label:
            arrow.size = _extent(axes, arrow.label, SMALL) + (
                (0.05, 0.03) if arrow.kind == "loading" else (0.12, 0.05)
            )


def _draw_arrow(axes: Axes, arrow: Arrow) -> None:
    """The line, its head (two for a covariance), and the label on white."""
    from matplotlib.patches import Polygon, Rectangle

    double = arrow.kind == "covariance"
    colour = WEAK if arrow.weak or double else LINE
    long, wide = 0.08 + 0.016 * arrow.width, 0.03 + 0.009 * arrow.width
    track = arrow.track
    cut = math.ceil((long - 0.01) / STEP)
    axes.plot(
        *track[cut - 1 if double else 0 : len(track) - cut + 1].T,
        color=colour,
        lw=arrow.width,
        zorder=2,
        solid_capstyle="butt",
        ls=(0, (4, 2.2)) if arrow.weak else "-",
        gid=f"arrow:{arrow.tail}>{arrow.head}",
    )
    for tip, before in ((track[-1], track[-cut]), (track[0], track[cut - 1]))[: 1 + double]:
        way = (tip - before) / np.hypot(*(tip - before))
        across = wide * np.array([-way[1], way[0]])
        axes.add_patch(
            Polygon(
                [tip, tip - long * way + across, tip - long * way - across],
                closed=True,
                facecolor=colour,
                edgecolor="none",
                zorder=3,
            )
        )
    if arrow.label:
        (x, y), (width, height) = arrow.spot, arrow.size
        corner = (x - width / 2, y - height / 2)
        axes.add_patch(
            Rectangle(corner, width, height, facecolor="white", edgecolor="none", zorder=6)
        )
        axes.text(
            x,
            y,
            arrow.label,
            size=SMALL,
            ha="center",
            va="center",
            linespacing=SPACING,
            zorder=7,
            color=theme.MUTED if arrow.weak or double else theme.INK,
            gid=f"label:{arrow.tail}>{arrow.head}",
        )


def _draw_node(axes: Axes, node: Node) -> None:
    """The shape in the colour of the role, the name, and R² under it."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Ellipse, Rectangle

    colour, item = theme.ROLES[node.role], node.shape == "item"
    style: dict[str, Any] = {
        "facecolor": 1 - 0.18 * (1 - np.array(to_rgb(colour))),
        "edgecolor": colour,
        "lw": 1.0 if item else 1.8,
        "zorder": 4,
        "gid": f"node:{node.code}",
    }
    left, bottom = node.box[:2]
    axes.add_patch(
        Ellipse((node.x, node.y), node.w, node.h, **style)
        if node.shape == "ellipse"
        else Rectangle((left, bottom), node.w, node.h, **style)
    )
    size, weight = (SMALL, "normal") if item else (NAME, "bold")
    tall, note = _extent(axes, node.text, size, weight)[1], _extent(axes, node.note, SMALL)[1]
    apart = (tall + GAP, note + GAP) if node.note else (0, 0)
    for kind, text, up, font in (
        ("name", node.text, apart[1] / 2, {"size": size, "weight": weight}),
        ("note", node.note, -apart[0] / 2, {"size": SMALL}),
    ):
        if text:
            axes.text(
                node.x,
                node.y + up,
                text,
                ha="center",
                va="center",
                linespacing=SPACING,
                zorder=5,
                gid=f"{kind}:{node.code}",
                **font,
            )


def _key(
    axes: Axes, nodes: dict[str, Node], signs: str, language: str, corner: np.ndarray
) -> float:
    """One line under the picture, the roles in their colours, then the signs; returns where it ends."""
    used = {node.role for node in nodes.values()}
    entries = [
        ("● " + words[language], theme.ROLES[role], "bold")
        for role, words in ROLES.items()
        if role in used
    ]
    x, y = corner + np.array([0, 0.02])
    for text, colour, weight in [*entries, (signs, theme.MUTED, "normal")]:
        axes.text(x, y, text, size=SMALL, color=colour, weight=weight, va="center", gid="key")
        x += _extent(axes, text, SMALL, weight)[0] + 0.2
    return float(x - 0.2)
