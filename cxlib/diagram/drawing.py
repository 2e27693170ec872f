"""Path diagrams: a structural model as a picture one can put in a paper or a talk."""

from __future__ import annotations

import math
import re
import textwrap
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.result import Text
from cxlib.core.syntax import path
from cxlib.core.words import number, plural
from cxlib.diagram.layout import STEP, Arrow, Node, arrange, place_labels
from cxlib.sem.model import parse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

ROLE_WORDS = {
    "expectation": ("expectation", "期望"),
    "service": ("service", "服务"),
    "experience": ("experience", "体验"),
    "perception": ("perception", "感知"),
    "satisfaction": ("satisfaction", "满意"),
    "loyalty": ("loyalty", "忠诚"),
    "context": ("context", "情境"),
}
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
            {
                "en": "The model has no path: there is no structure to draw, only a measurement model (full=True).",
                "zh": "模型没有路径：没有可画的结构，只有测量模型（full=True）。",
            },
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
    arrows = [
        Arrow(
            row.rhs,
            row.lhs,
            _coefficient(row, marks),
            0.6 + 3.2 * min(abs(np.nan_to_num(row.std)), 1),
            row.p >= 0.05,
        )
        for row in paths.itertuples()
    ]
    if full:
        arrows += [
            Arrow(row.lhs, row.rhs, _two(row.std), 0.9, row.p >= 0.05, "loading")
            for row in loadings.itertuples()
        ]
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
    arrows += [
        Arrow(row.lhs, row.rhs, _two(row.std), 0.9, row.p >= 0.05, "covariance")
        for row in drawn.itertuples()
    ]
    signs = {"en": "dashed: p ≥ .05", "zh": "虚线：p ≥ .05"}[language]
    if marks == "stars":
        signs = f"* p < .05   ** p < .01   *** p < .001   {signs}"
    return _picture(nodes, arrows, signs, language), _caption(
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
        raise ValueError(
            f"model='{model}' is not in study '{study.id}'. Allowed: {', '.join(study.models)}."
        )
    table = parse(study.syntax(model)).table
    paths = list(table.loc[table["op"] == "~", ["rhs", "lhs"]].itertuples(index=False, name=None))
    if not paths:
        return theme.blank(
            {
                "en": f"Model '{model}' has no path: there is no structure to draw.",
                "zh": f"模型“{model}”没有路径：没有可画的结构。",
            },
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
    signs = {"en": "dashed: no hypothesis", "zh": "虚线：无假设"}[language] if bare else ""
    figure = _picture(nodes, arrows, signs, language)
    through = [code for code, h in mine.items() if h.effect]
    caption = {
        "en": f"What is expected before any data: {plural(len(nodes), 'construct')} and "
        f"{plural(len(paths), 'path')}; on the arrows, hypothesis and expected sign.",
        "zh": f"看数据之前的设想：{len(nodes)} 个构念、{len(paths)} 条路径，箭头上是假设编号与预期方向。",
    }
    if bare:
        caption["en"] += f" {plural(bare, 'path has', 'paths have')} no hypothesis (dashed)."
        caption["zh"] += f"其中 {bare} 条没有对应的假设（虚线）。"
    if through:
        caption["en"] += f" Effects through mediators: {', '.join(through)}."
        caption["zh"] += f"经中介变量的假设：{'、'.join(through)}。"
    return figure, caption


def _checked(parameters: pd.DataFrame, marks: str) -> pd.DataFrame:
    """The parameter table, if it can be drawn."""
    if marks not in ("stars", "interval"):
        raise ValueError(f"marks='{marks}' is unknown. Allowed: stars, interval.")
    needed = ["lhs", "op", "rhs", "p", "std"] + (
        ["std_low", "std_high"] if marks == "interval" else []
    )
    if missing := [name for name in needed if name not in parameters]:
        raise ValueError(
            f"parameters= lacks the columns {', '.join(missing)}. Give the table sem_parameters."
        )
    table = parameters[parameters["op"].isin(["=~", "~", "~~"])]
    if (twice := table.duplicated(["lhs", "op", "rhs"])).any():
        row = table[twice].iloc[0]
        raise ValueError(
            f"'{row['lhs']} {row['op']} {row['rhs']}' occurs more than once in parameters=. "
            "Draw one group at a time: select its rows first."
        )
    return table


def _two(value: float) -> str:
    """Two decimals, never −0.00."""
    return number(round(value, 2) + 0.0, 2)


def _coefficient(row: tuple, marks: str) -> str:
    """The label of a path."""
    if marks == "stars":
        return _two(row.std) + "*" * sum(row.p < bound for bound in (0.05, 0.01, 0.001))
    return f"{_two(row.std)}\n[{_two(row.std_low)}, {_two(row.std_high)}]"


def _node(study: Study, code: str, language: str, *, observed: bool, note: str = "") -> Node:
    """A construct (or observed variable) with its name wrapped."""
    name = study.name(code, language)
    if language == "zh" and not name.isascii():
        lines = []
        for part in re.split(r"(?=[(（])", name):
            rows = math.ceil(len(part) / 6)
            size = math.ceil(len(part) / rows)
            lines += re.findall(rf".{{1,{size}}}[型的性化者度力]?[)）、，]*", part)
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
    said = [
        (
            f"{'Full' if full else 'Structural'} model with standardised coefficients"
            + (f", n = {n:,}." if n is not None else "."),
            f"{'完整' if full else '结构'}模型，数字为标准化系数"
            + (f"，n = {n:,}。" if n is not None else "。"),
        )
    ]
    if paths["std"].notna().any():
        weak, top = int((paths["p"] >= 0.05).sum()), paths.loc[paths["std"].abs().idxmax()]
        said.append(
            (
                f"The thickest path runs from {study.name(top['rhs'])} to {study.name(top['lhs'])} ({_two(top['std'])});",
                f"最粗的路径是{study.name(top['rhs'], 'zh')}到{study.name(top['lhs'], 'zh')}（{_two(top['std'])}）；",
            )
        )
        said.append(
            (
                f"{weak} of {plural(len(paths), 'path')} cannot be told from zero (p ≥ .05), dashed.",
                f"{len(paths)} 条路径中有 {weak} 条与零无显著差异（p ≥ .05），画为虚线。",
            )
            if weak
            else (
                "every path differs from zero (p < .05).",
                f"{len(paths)} 条路径每条都显著（p < .05）。",
            )
        )
    if intervals:
        said.append(("In brackets: the 95 % interval.", "方括号内为 95% 置信区间。"))
    if len(hidden):
        low, high = (_two(value) for value in (hidden["std"].min(), hidden["std"].max()))
        said.append(
            (
                f"{plural(len(hidden), 'covariance')} ({low} to {high}) not drawn.",
                f"另有 {len(hidden)} 个协方差（{low} 至 {high}）未画出。",
            )
        )
    return {"en": " ".join(en for en, _ in said), "zh": "".join(zh for _, zh in said)}


def _picture(nodes: dict[str, Node], arrows: list[Arrow], signs: str, language: str) -> Figure:
    """Lay out and draw; if labels still meet, once more with wider spacing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="none")
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
    box = drawn.get_window_extent(axes.figure.canvas.get_renderer())
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
        half = arrow.size / 2
        axes.add_patch(
            Rectangle(arrow.spot - half, *(2 * half), facecolor="white", edgecolor="none", zorder=6)
        )
        axes.text(
            *arrow.spot,
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
    style = {
        "facecolor": 1 - 0.18 * (1 - np.array(to_rgb(colour))),
        "edgecolor": colour,
        "lw": 1.0 if item else 1.8,
        "zorder": 4,
        "gid": f"node:{node.code}",
    }
    axes.add_patch(
        Ellipse((node.x, node.y), node.w, node.h, **style)
        if node.shape == "ellipse"
        else Rectangle(node.box[:2], node.w, node.h, **style)
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
        ("● " + words[language == "zh"], theme.ROLES[role], "bold")
        for role, words in ROLE_WORDS.items()
        if role in used
    ]
    x, y = corner + np.array([0, 0.02])
    for text, colour, weight in [*entries, (signs, theme.MUTED, "normal")]:
        axes.text(x, y, text, size=SMALL, color=colour, weight=weight, va="center", gid="key")
        x += _extent(axes, text, SMALL, weight)[0] + 0.2
    return float(x - 0.2)
