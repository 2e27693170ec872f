"""Path diagrams: a structural model as a picture one can put in a paper or a talk.

The layout is layered: a construct stands in the column of its longest chain of causes, columns are
ordered to cross as few arrows as possible, and an arrow that skips a column gets a lane of its own
through it, so that no arrow passes behind a construct.  One unit of the drawing is one inch.
"""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from cxlib import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cxlib.study import Study

ROLE_WORDS = {
    "expectation": ("expectation", "期望"), "service": ("service", "服务"), "experience": ("experience", "体验"),
    "perception": ("perception", "感知"), "satisfaction": ("satisfaction", "满意"), "loyalty": ("loyalty", "忠诚"),
    "context": ("context", "情境"),
}
NAME, NOTE, LABEL, SMALL = 10.0, 8.5, 8.5, 7.0
"""Font sizes in points: construct, R² and key, coefficient, item and loading."""
MOST_COVARIANCES = 3
LINE = "#3A3A3A"


@dataclass
class _Node:
    """A construct or an item: what it says, where it stands, how much room its items take."""

    code: str
    text: str
    role: str
    shape: Literal["ellipse", "box", "item"]
    note: str = ""
    x: float = 0.0
    y: float = 0.0
    w: float = 0.0
    h: float = 0.0

    def border(self, x: float, y: float) -> np.ndarray:
        """The point of the border that faces (x, y)."""
        dx, dy, a, b = x - self.x, y - self.y, self.w / 2, self.h / 2
        reach = math.hypot(dx / a, dy / b) if self.shape == "ellipse" else max(abs(dx / a), abs(dy / b))
        return np.array([self.x + dx / reach, self.y + dy / reach])

    def port(self, side: int, up: float) -> np.ndarray:
        """The point of the left (-1) or right (+1) border at the height `up` over the centre."""
        bulge = math.sqrt(1 - (2 * up / self.h) ** 2) if self.shape == "ellipse" else 1
        return np.array([self.x + side * bulge * self.w / 2, self.y + up])


@dataclass
class _Arrow:
    """An arrow with its label; `track` is its course from tail to head."""

    tail: str
    head: str
    label: str = ""
    width: float = 1.2
    weak: bool = False
    kind: Literal["path", "loading", "covariance"] = "path"
    track: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


@show.picture
def plot_diagram(parameters: pd.DataFrame, study: Study, r2: pd.DataFrame | None = None, *, n: int | None = None,
                 full: bool = False, marks: Literal["stars", "interval"] = "stars",
                 only: Literal["all", "significant"] = "all", language: str = "en") -> tuple[Figure, show.Text]:
    """Draw a fitted structural model with its standardised coefficients.

    Parameters
    ----------
    parameters : DataFrame
        The table sem_parameters of one group: lhs, op, rhs, est, se, p, ci_low, ci_high, std.
    study : Study
        Gives names and roles.
    r2 : DataFrame, optional
        construct, r2; written in the constructs.
    n : int, optional
        Rows used, for the caption.
    full : bool
        Also items with their loadings, and the first-order constructs below a second-order one.
    marks : {"stars", "interval"}
        Stars for p < .05, .01, .001, or the 95 % interval: that of the estimate, times std / est.
    only : {"all", "significant"}
        "significant" leaves out paths with p ≥ .05; the caption says how many.
    language : {"en", "zh"}

    Returns
    -------
    Picture
        Arrow width grows with the size of the coefficient; paths with p ≥ .05 are dashed and grey.
        More than three covariances are not drawn; the caption gives their range.

    Raises
    ------
    ValueError
        A column is missing, a parameter occurs twice (several groups), an option is unknown, or
        there is nothing to draw.

    Notes
    -----
    R: ``semPlot::semPaths(fit, "std")``.
    """
    table = _checked(parameters, marks, only)
    paths, loadings = table[table["op"] == "~"], table[table["op"] == "=~"]
    if paths.empty and not full:
        raise ValueError("parameters= has no path (no row with op '~'), so there is no structure to draw. "
                         "Give the table of a structural model, or full=True to draw a measurement model.")
    weak = paths["p"] >= 0.05
    dropped = int(weak.sum()) if only == "significant" else 0
    names = list(dict.fromkeys([*paths["rhs"], *paths["lhs"]]))
    factors = set(loadings["lhs"])
    if full:
        names = list(dict.fromkeys([*(c for c in study.constructs if c in factors), *names]))
    names.sort(key=lambda c: list(study.constructs).index(c) if c in study.constructs else math.inf)
    explained = {} if r2 is None else dict(zip(r2["construct"], r2["r2"], strict=True))
    nodes = {c: _node(study, c, language, observed=c not in factors,
                      note=f"R² = {show.number(explained[c], 2)}" if pd.notna(explained.get(c)) else "") for c in names}
    arrows = [_Arrow(row.rhs, row.lhs, _coefficient(row, marks), 0.7 + 4 * min(abs(row.std), 1), row.p >= 0.05)
              for row in paths.itertuples() if not (only == "significant" and row.p >= 0.05)]
    if full:
        arrows += [_Arrow(row.lhs, row.rhs, show.number(row.std, 2), 0.9, row.p >= 0.05, "loading")
                   for row in loadings.itertuples()]
        nodes |= {i: _Node(i, i, nodes[f].role, "item") for f, i in zip(loadings["lhs"], loadings["rhs"], strict=True)
                  if i not in nodes}
    pairs = table[(table["op"] == "~~") & (table["lhs"] != table["rhs"])
                  & table["lhs"].isin(names) & table["rhs"].isin(names)]
    drawn = pairs if len(pairs) <= MOST_COVARIANCES else pairs.head(0)
    arrows += [_Arrow(row.lhs, row.rhs, show.number(row.std, 2), 0.9, row.p >= 0.05, "covariance")
               for row in drawn.itertuples()]
    signs = {"en": "dashed: p ≥ .05", "zh": "虚线：p ≥ .05"}[language]
    if marks == "stars":
        signs = "* p < .05   ** p < .01   *** p < .001" + ("" if dropped else f"   {signs}")
    figure = _picture(nodes, arrows, signs, language)
    return figure, _caption(study, paths, pairs, n, full, marks, dropped)


@show.picture
def plot_conceptual(study: Study, model: str = "main", *, language: str = "en") -> tuple[Figure, show.Text]:
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
        are named in the caption.

    Raises
    ------
    ValueError
        The study has no such model, or the model has no path.
    """
    if model not in study.models:
        raise ValueError(f"model='{model}' is not in study '{study.id}'. Allowed: {', '.join(study.models)}.")
    paths = [(term.split("*")[-1].strip(), found[1]) for line in study.models[model].splitlines()
             if (found := re.fullmatch(r"\s*([\w.]+)\s*~(?!~)\s*([^#]+)(#.*)?", line)) for term in found[2].split("+")]
    if not paths:
        raise ValueError(f"Model '{model}' has no path ('outcome ~ predictor'), so there is nothing to draw.")
    mine = {code: h for code, h in study.hypotheses.items() if h.model == model}
    about: dict[tuple[str, str], list[str]] = {}
    for code, hypothesis in mine.items():
        if hypothesis.path:
            outcome, predictor = (part.strip() for part in hypothesis.path.split("~"))
            sign = {"+": "+", "-": "−", "<>": "±", "0": "0"}[hypothesis.sign]
            about.setdefault((predictor, outcome), []).append(f"{code} ({sign})")
    drawn = {code for path in paths for code in path}
    nodes = {c: _node(study, c, language, observed=False) for c in study.constructs if c in drawn}
    nodes |= {c: _node(study, c, language, observed=True) for c in sorted(drawn - set(nodes))}
    arrows = [_Arrow(a, b, "\n".join(about.get((a, b), [])), 1.4, (a, b) not in about) for a, b in paths]
    bare = len(paths) - len(about)
    signs = {"en": "dashed: no hypothesis", "zh": "虚线：无假设"}[language] if bare else ""
    figure = _picture(nodes, arrows, signs, language)
    through = [code for code, h in mine.items() if h.effect]
    caption = {
        "en": f"What is expected before any data: {show.plural(len(nodes), 'construct')} and "
              f"{show.plural(len(paths), 'path')}, each with its hypothesis and expected sign.",
        "zh": f"看数据之前的设想：{len(nodes)} 个构念、{len(paths)} 条路径，箭头上是假设编号与预期方向。"}
    if bare:
        caption["en"] += f" {show.plural(bare, 'path has', 'paths have')} no hypothesis (dashed)."
        caption["zh"] += f"其中 {bare} 条没有对应假设(虚线)。"
    if through:
        caption["en"] += f" Effects through mediators: {', '.join(through)}."
        caption["zh"] += f"经中介变量的假设：{'、'.join(through)}。"
    return figure, caption


def _checked(parameters: pd.DataFrame, marks: str, only: str) -> pd.DataFrame:
    """The parameter table, if it can be drawn."""
    for name, value, allowed in (("marks", marks, ("stars", "interval")), ("only", only, ("all", "significant"))):
        if value not in allowed:
            raise ValueError(f"{name}='{value}' is unknown. Allowed: {', '.join(allowed)}.")
    needed = ["lhs", "op", "rhs", "est", "p", "std"] + (["ci_low", "ci_high"] if marks == "interval" else [])
    if missing := [name for name in needed if name not in parameters]:
        raise ValueError(f"parameters= lacks the columns {', '.join(missing)}. Give the table sem_parameters.")
    table = parameters[parameters["op"].isin(["=~", "~", "~~"])]
    if (twice := table.duplicated(["lhs", "op", "rhs"])).any():
        row = table[twice].iloc[0]
        raise ValueError(f"'{row['lhs']} {row['op']} {row['rhs']}' occurs more than once in parameters=. "
                         "Draw one group at a time: select its rows first.")
    return table


def _coefficient(row: tuple, marks: str) -> str:
    """The label of a path."""
    if marks == "stars":
        return show.number(row.std, 2) + "*" * sum(row.p < bound for bound in (0.05, 0.01, 0.001))
    scale = row.std / row.est if row.est else np.nan
    low, high = sorted((row.ci_low * scale, row.ci_high * scale))
    return f"{show.number(row.std, 2)}\n[{show.number(low, 2)}, {show.number(high, 2)}]"


def _node(study: Study, code: str, language: str, *, observed: bool, note: str = "") -> _Node:
    """A construct (or observed variable) with its name wrapped."""
    name = study.name(code, language)
    if language == "zh" and not name.isascii():
        rows = math.ceil(len(name) / 7)
        size = math.ceil(len(name) / rows)
        text = "\n".join(name[at:at + size] for at in range(0, len(name), size))
    else:
        text = "\n".join(textwrap.wrap(name, 16, break_long_words=False))
    role = study.constructs[code].role if code in study.constructs else "context"
    return _Node(code, text, role, "box" if observed else "ellipse", note)


def _caption(study: Study, paths: pd.DataFrame, pairs: pd.DataFrame, n: int | None, full: bool, marks: str,
             dropped: int) -> dict[str, str]:
    """What the picture shows and what to look at, in both languages."""
    en = f"{'Full' if full else 'Structural'} model with standardised coefficients"
    zh = f"{'完整' if full else '结构'}模型，数字为标准化系数"
    en, zh = (en + f", n = {n:,}.", zh + f"，n = {n:,}。") if n is not None else (en + ".", zh + "。")
    if len(paths):
        top = paths.loc[paths["std"].abs().idxmax()]
        size, (a, b) = show.number(top["std"], 2), (top["rhs"], top["lhs"])
        weak = int((paths["p"] >= 0.05).sum())
        en += f" The thickest path runs from {study.name(a)} to {study.name(b)} ({size}); " + (
            f"{weak} of {show.plural(len(paths), 'path')} cannot be told from zero (p ≥ .05)"
            if weak else f"all {show.plural(len(paths), 'path')} differ from zero (p < .05)")
        zh += f"最粗的路径是{study.name(a, 'zh')}到{study.name(b, 'zh')}({size})；{len(paths)} 条路径中" + (
            f"有 {weak} 条与零无显著差异(p ≥ .05)" if weak else "每条都显著(p < .05)")
        en += " and are left out." if dropped else ", dashed." if weak else "."
        zh += "，图中略去。" if dropped else "，画为虚线。" if weak else "。"
    if marks == "interval":
        en += " In brackets: the 95 % interval of the estimate, rescaled to the standardised coefficient."
        zh += "方括号内为估计值的 95% 置信区间，按标准化系数换算。"
    if len(pairs) > MOST_COVARIANCES:
        low, high = (show.number(v, 2) for v in (pairs["std"].min(), pairs["std"].max()))
        en += f" {len(pairs)} covariances between constructs ({low} to {high}) are not drawn."
        zh += f"构念间的 {len(pairs)} 个协方差({low} 至 {high})未画出。"
    return {"en": en, "zh": zh}


def _picture(nodes: dict[str, _Node], arrows: list[_Arrow], signs: str, language: str) -> Figure:
    """Lay out and draw; if labels still meet, once more with wider spacing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="none")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    for stretch in (1.0, 1.15, 1.35, 1.6, 2.0):
        _layout(axes, nodes, arrows, stretch)
        labels, clear = _labels(axes, nodes, arrows)
        if clear:
            break
    _draw(axes, nodes, arrows, labels)
    corners = np.vstack([*(_box(node).reshape(2, 2) for node in nodes.values()), *(a.track for a in arrows), *labels])
    low, high = corners.min(axis=0), corners.max(axis=0)
    _key(axes, nodes, signs, language, low)
    low, high = low - (0.15, 0.42), high + 0.15
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.axis("off")
    figure.set_size_inches(*(high - low))
    return figure


def _extent(axes: Axes, text: str, size: float, weight: str = "normal") -> np.ndarray:
    """Width and height of a text in inches."""
    drawn = axes.text(0, 0, text, size=size, weight=weight, linespacing=1.15)
    box = drawn.get_window_extent(axes.figure.canvas.get_renderer())
    drawn.remove()
    return np.array([box.width, box.height]) / axes.figure.dpi


def _links(arrows: list[_Arrow], nodes: dict[str, _Node]) -> list[tuple[str, str, _Arrow]]:
    """Arrows between constructs, each from left to right; what would close a circle is turned round."""
    links: list[tuple[str, str, _Arrow]] = []
    for arrow in sorted(arrows, key=lambda arrow: arrow.kind != "loading"):
        left, right = (arrow.head, arrow.tail) if arrow.kind == "loading" else (arrow.tail, arrow.head)
        if arrow.kind == "covariance" or "item" in (nodes[left].shape, nodes[right].shape):
            continue
        reached = {right}
        while grown := {b for a, b, _ in links if a in reached} - reached:
            reached |= grown
        links.append((right, left, arrow) if left in reached else (left, right, arrow))
    return links


def _columns(names: list[str], links: list[tuple[str, str, _Arrow]]) -> tuple[list[list[str]], set[int]]:
    """Columns by the longest chain of causes, and which of them were folded.

    A picture of more than five columns is folded: a chain of constructs that stand alone at either
    end shares one column, its arrows running down.
    """
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for a, b, _ in links:
            depth[b] = max(depth[b], depth[a] + 1)
    for a, b, arrow in links:
        if arrow.kind == "loading" and sum(a in link[:2] for link in links) == 1:
            depth[a] = depth[b] - 1
    columns = [[c for c in names if depth[c] == at] for at in range(max(depth.values()) + 1)]
    if len(columns) <= 5:
        return columns, set()
    pairs = {(a, b) for a, b, _ in links}

    def run(ends: list[list[str]]) -> int:
        """How many columns from one end form a plain chain."""
        k = 1
        while k < 3 and len(ends[0]) == len(ends[k]) == 1 and len(
                {(a, b) for a, b in pairs if {a, b} <= {c[0] for c in ends[:k + 1] if len(c) == 1}}) == k:
            k += 1
        return k

    head, tail = run(columns), run(columns[::-1])
    columns = [sum(columns[:head], []), *columns[head:len(columns) - tail], sum(columns[len(columns) - tail:], [])]
    return columns, {at for at, size in ((0, head), (len(columns) - 1, tail)) if size > 1}


def _ordered(columns: list[list], chains: list[list], fixed: set[int]) -> list[list]:
    """The columns reordered to cross fewer arrows: barycentre sweeps, then single moves while they help."""
    where = {name: at for at, column in enumerate(columns) for name in column}
    gaps: list[list[tuple]] = [[] for _ in columns]
    for chain in chains:
        for a, b in zip(chain, chain[1:], strict=False):
            if where[a] != where[b]:
                gaps[where[a]].append((a, b))

    def crossings(order: list[list]) -> int:
        rank = {name: at for column in order for at, name in enumerate(column)}
        total = 0
        for gap in gaps:
            ends = np.array([(rank[a], rank[b]) for a, b in gap]).reshape(-1, 2)
            total += int((np.subtract.outer(ends[:, 0], ends[:, 0]) * np.subtract.outer(ends[:, 1], ends[:, 1]) < 0).sum())
        return total

    def swept(order: list[list]) -> list[list]:
        order = [list(column) for column in order]
        for at in (*range(1, len(order)), *range(len(order) - 2, -1, -1), *range(1, len(order))):
            rank = {name: i - len(column) / 2 for column in order for i, name in enumerate(column)}
            near = {n: [rank[b if a == n else a] for gap in gaps for a, b in gap if n in (a, b)] for n in order[at]}
            if at not in fixed:
                order[at].sort(key=lambda n, near=near, rank=rank: np.mean(near[n]) if near[n] else rank[n])
        return order

    def moved(order: list[list]) -> list[list]:
        best, improved = crossings(order), True
        while improved:
            improved = False
            for at, column in enumerate(order):
                for name in list(column) if at not in fixed else []:
                    for to in range(len(column)):
                        trial = [n for n in order[at] if n != name]
                        trial.insert(to, name)
                        candidate = [*order[:at], trial, *order[at + 1:]]
                        if (count := crossings(candidate)) < best:
                            order, best, improved = candidate, count, True
        return order

    return min((moved(columns), moved(swept(columns))), key=crossings)


def _layout(axes: Axes, nodes: dict[str, _Node], arrows: list[_Arrow], stretch: float) -> None:
    """Give every node its place and every arrow its track."""
    constructs = {code: node for code, node in nodes.items() if node.shape != "item"}
    _sizes(axes, nodes)
    links = _links(arrows, nodes)
    columns, folded = _columns(list(constructs), links)
    where = {code: at for at, column in enumerate(columns) for code in column}
    last = len(columns) - 1
    chains = [[a, *((k, at) for at in range(where[a] + 1, where[b])), b] for k, (a, b, _) in enumerate(links)]
    grid = _ordered([[*column, *(lane for chain in chains for lane in chain if isinstance(lane, tuple) and lane[1] == at)]
                     for at, column in enumerate(columns)], chains, folded)
    items = {code: [a.head for a in arrows if a.kind == "loading" and a.tail == code and nodes[a.head].shape == "item"]
             for code in constructs}
    side = {code: -1 if where[code] == 0 else 1 if where[code] == last else 0 for code in constructs}
    arcs = {where[a.tail] for a in arrows if a.kind == "covariance"}
    heights = _place_down(nodes, grid, chains, items, side, folded, stretch)
    left = 0.0
    zone: dict[int, tuple[float, float]] = {}
    for at, column in enumerate(grid):
        own = [nodes[c] for c in column if not isinstance(c, tuple)]
        rows = [len(items[c]) * (nodes[items[c][0]].w + 0.08) for c in (n.code for n in own) if items[c] and not side[c]]
        width = max([node.w for node in own] + rows)
        zone[at] = (left, left + width)
        for node in own:
            node.x = left + width / 2
        busy = sum(at in (where[c] if not isinstance(c, tuple) else c[1] for c in chain[:-1]) for chain in chains)
        left += width + stretch * min(1.25 + 0.09 * busy, 2.8)
    for code, own in items.items():
        _place_items(nodes[code], [nodes[i] for i in own], side[code], 0.95 if where[code] in arcs else 0.72)
    _route(nodes, arrows, links, chains, where, zone, heights)


def _sizes(axes: Axes, nodes: dict[str, _Node]) -> None:
    """Constructs all of one size, large enough for the longest name; items likewise."""
    need = {"item": np.zeros(2), "construct": np.zeros(2)}
    for node in nodes.values():
        if node.shape == "item":
            need["item"] = np.maximum(need["item"], _extent(axes, node.text, SMALL) + (0.12, 0.1))
        else:
            size = _extent(axes, node.text, NAME, "bold")
            note = _extent(axes, node.note, NOTE) if node.note else np.zeros(2)
            block = np.array([max(size[0], note[0]), size[1] + (note[1] + 0.05 if node.note else 0)])
            need["construct"] = np.maximum(need["construct"], block * ((1.32, 1.42) if node.shape == "ellipse" else (1.1, 1.2)))
    floor = np.array([1.25, 0.7])
    for node in nodes.values():
        node.w, node.h = need["item"] if node.shape == "item" else np.maximum(need["construct"], floor)


def _place_down(nodes: dict, grid: list, chains: list, items: dict, side: dict, folded: set, stretch: float) -> dict:
    """Height of every construct and lane: as near as possible to what each is joined to, in the given order, without touching."""
    from scipy.optimize import isotonic_regression

    def reach(name: object) -> tuple[float, float]:
        """Room over and under the centre."""
        if isinstance(name, tuple):
            return 0.09, 0.09
        half = nodes[name].h / 2
        if not items[name]:
            return half, half
        if side[name]:
            return (max(half, len(items[name]) * (nodes[items[name][0]].h + 0.06) / 2),) * 2
        return half + 0.55 + nodes[items[name][0]].h, half

    joined: dict = {}
    for chain in chains:
        for a, b in zip(chain, chain[1:], strict=False):
            weight = 4.0 if isinstance(a, tuple) and isinstance(b, tuple) else 1.0
            joined.setdefault(a, []).append((b, weight))
            joined.setdefault(b, []).append((a, weight))
    offsets = []
    for at, column in enumerate(grid):
        steps = [0.0]
        for a, b in zip(column, column[1:], strict=False):
            lanes = isinstance(a, tuple) + isinstance(b, tuple)
            steps.append(reach(a)[1] + reach(b)[0] + stretch * ((0.6 if at in folded else 0.4), 0.16, 0.1)[lanes])
        offsets.append(np.cumsum(steps))
    down = {name: y - offset[-1] / 2 for column, offset in zip(grid, offsets, strict=True)
            for name, y in zip(column, offset, strict=True)}
    for sweep in range(24):
        for at in range(len(grid))[::1 if sweep % 2 else -1]:
            column, offset = grid[at], offsets[at]
            wish, weight = np.zeros(len(column)), np.full(len(column), 0.05)
            for i, name in enumerate(column):
                near = [(down[other], w) for other, w in joined.get(name, []) if other not in column]
                wish[i] = np.average([y for y, _ in near], weights=[w for _, w in near]) if near else down[name]
                weight[i] += sum(w for _, w in near)
            for name, y in zip(column, isotonic_regression(wish - offset, weights=weight).x + offset, strict=True):
                down[name] = y
    for code in items:
        nodes[code].y = -down[code]
    return {name: -y for name, y in down.items()}


def _place_items(node: _Node, own: list[_Node], side: int, away: float) -> None:
    """Items beside their construct in the outer columns, over it elsewhere."""
    middle = (len(own) - 1) / 2
    for at, item in enumerate(own):
        if side:
            item.x, item.y = node.x + side * (node.w / 2 + away + item.w / 2), node.y + (middle - at) * (item.h + 0.06)
        else:
            item.x, item.y = node.x + (at - middle) * (item.w + 0.08), node.y + node.h / 2 + 0.5 + item.h / 2


def _curve(points: list[np.ndarray]) -> np.ndarray:
    """A smooth line through points that come in pairs: level within a pair, bent between pairs."""
    t = np.linspace(0, 1, 31)[:, None]
    parts = [np.array(points[:1])]
    for at, (p, q) in enumerate(zip(points, points[1:], strict=False)):
        if at % 2 == 0:
            parts.append(p + t * (q - p))
        else:
            bend = np.array([(q[0] - p[0]) / 2, 0])
            parts.append((1 - t) ** 3 * p + 3 * t * (1 - t) ** 2 * (p + bend) + 3 * t**2 * (1 - t) * (q - bend) + t**3 * q)
    line = np.vstack(parts)
    return line[np.r_[True, np.abs(np.diff(line, axis=0)).sum(axis=1) > 1e-9]]


def _bow(p: np.ndarray, q: np.ndarray, away: np.ndarray) -> np.ndarray:
    """A curve from p to q, both of its controls moved by `away`."""
    t = np.linspace(0, 1, 61)[:, None]
    return (1 - t) ** 3 * p + 3 * t * (1 - t) ** 2 * (p + away) + 3 * t**2 * (1 - t) * (q + away) + t**3 * q


def _box(node: _Node) -> np.ndarray:
    """Left, bottom, right, top."""
    return np.array([node.x - node.w / 2, node.y - node.h / 2, node.x + node.w / 2, node.y + node.h / 2])


def _inside(track: np.ndarray, boxes: np.ndarray, margin: float = 0.03) -> np.ndarray:
    """How many points of a track lie in each box."""
    x, y = track[:, :1], track[:, 1:]
    return ((x > boxes[:, 0] - margin) & (x < boxes[:, 2] + margin)
            & (y > boxes[:, 1] - margin) & (y < boxes[:, 3] + margin)).sum(axis=0)


def _route(nodes: dict, arrows: list, links: list, chains: list, where: dict, zone: dict, heights: dict) -> None:
    """The track of every arrow: straight where that is clear, else level through its lanes and curved between them."""
    ends: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for k, chain in enumerate(chains):
        if where[chain[0]] != where[chain[-1]]:
            ends.setdefault((chain[0], 1), []).append((heights[chain[1]], k))
            ends.setdefault((chain[-1], -1), []).append((heights[chain[-2]], k))
    port = {}
    for (code, side), list_ in ends.items():
        room = min(0.34 * nodes[code].h, 0.075 * (len(list_) - 1))
        for (_, k), up in zip(sorted(list_), np.linspace(-room, room, len(list_)), strict=True):
            port[k, side] = nodes[code].port(side, up if len(list_) > 1 else 0.0)
    boxes = {code: _box(node) for code, node in nodes.items()}
    for k, (a, b, arrow) in enumerate(links):
        if where[a] == where[b]:
            arrow.track = np.linspace((nodes[a].x, boxes[a][1]), (nodes[b].x, boxes[b][3]), 31)
            continue
        p, q = port[k, 1], port[k, -1]
        others = np.array([box for code, box in boxes.items() if code not in (a, b)]).reshape(-1, 4)
        straight = np.linspace(p, q, 121)
        if len(chains[k]) == 2 and not _inside(straight, others).any():
            arrow.track = straight
        else:
            through = [np.array([zone[lane[1]][end], heights[lane]]) for lane in chains[k][1:-1] for end in (0, 1)]
            arrow.track = _curve([p, np.array([zone[where[a]][1], p[1]]), *through, np.array([zone[where[b]][0], q[1]]), q])
        if arrow.tail != a:
            arrow.track = arrow.track[::-1]
    for arrow in arrows:
        tail, head = nodes[arrow.tail], nodes[arrow.head]
        if arrow.kind == "loading" and head.shape == "item":
            over = abs(head.y - tail.y) > head.h and head.y - head.h / 2 > tail.y + tail.h / 2 + 0.3
            tip = np.array([head.x, boxes[head.code][1]]) if over else head.port(int(np.sign(tail.x - head.x)), 0.0)
            arrow.track = np.linspace(tail.border(*tip), tip, 31)
        elif arrow.kind == "covariance" and where[tail.code] == where[head.code]:
            side = -1 if where[tail.code] == 0 else 1
            up = 0.2 * tail.h * np.sign(head.y - tail.y)
            away = np.array([side * (0.3 + 0.18 * abs(head.y - tail.y)), 0])
            arrow.track = _bow(tail.port(side, up), head.port(side, -up), away)
        elif arrow.kind == "covariance":
            others = np.array([box for code, box in boxes.items() if code not in (tail.code, head.code)]).reshape(-1, 4)
            tries = [_bow(tail.border(*(np.array([head.x, head.y]) + 2 * away)), head.border(*(np.array([tail.x, tail.y]) + 2 * away)),
                          away) for up in (0.4, -0.4, 0.8, -0.8, 1.2, -1.2) for away in [np.array([0, up])]]
            arrow.track = min(tries, key=lambda track, others=others: _inside(track, others).sum())


def _labels(axes: Axes, nodes: dict[str, _Node], arrows: list[_Arrow]) -> tuple[list[np.ndarray], bool]:
    """Where each label stands (one centre an arrow), and whether all are free of nodes and of each other.

    Each label has places along its arrow with a cost (other arrows under it, distance from the
    middle); labels are then moved one by one to their cheapest place until none moves.
    """
    boxes = np.array([_box(node) for node in nodes.values()])
    tracks = [_even(arrow.track) for arrow in arrows]
    spots, costs, halves = [], [], []
    for at, arrow in enumerate(arrows):
        half = _extent(axes, arrow.label, SMALL if arrow.kind == "loading" else LABEL) / 2 + 0.035
        share = np.linspace(0.06, 0.94, 89)
        spot = tracks[at][np.round(share * (len(tracks[at]) - 1)).astype(int)]
        area = np.hstack([spot - half, spot + half])
        under = sum(_inside(track, area, 0.02) for k, track in enumerate(tracks) if k != at)
        on_node = ((area[:, None, :2] < boxes[:, 2:]) & (area[:, None, 2:] > boxes[:, :2])).all(axis=2).sum(axis=1)
        spots.append(spot)
        halves.append(half)
        costs.append(1e6 * on_node + 1.0 * np.asarray(under) + (8 if arrow.kind == "loading" else 2) * np.abs(share - 0.5))
    chosen = [int(np.argmin(cost)) for cost in costs]
    live = [at for at, arrow in enumerate(arrows) if arrow.label]
    clash = {}
    for _ in range(40):
        moved = False
        clash = {}
        for at in live:
            cost = costs[at].copy()
            for other in live:
                if other != at:
                    gap = np.abs(spots[at] - spots[other][chosen[other]])
                    cost += 1e4 * (gap < halves[at] + halves[other]).all(axis=1)
            best = int(np.argmin(cost))
            clash[at] = cost[best] >= 1e4
            if cost[best] < cost[chosen[at]] - 1e-9:
                chosen[at], moved = best, True
        if not moved:
            break
    return [spots[at][chosen[at]] for at in range(len(arrows))], not any(clash.values())


def _even(track: np.ndarray, step: float = 0.02) -> np.ndarray:
    """The track at equal steps."""
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(track, axis=0).T))]
    at = np.linspace(0, along[-1], max(int(along[-1] / step), 30))
    return np.column_stack([np.interp(at, along, track[:, i]) for i in (0, 1)])


def _draw(axes: Axes, nodes: dict[str, _Node], arrows: list[_Arrow], labels: list[np.ndarray]) -> None:
    """Arrows, then constructs, then labels."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Ellipse, Polygon, Rectangle

    def head(tip: np.ndarray, way: np.ndarray, width: float, colour: str) -> None:
        long, wide = 0.09 + 0.018 * width, 0.035 + 0.011 * width
        across = np.array([-way[1], way[0]])
        axes.add_patch(Polygon([tip, tip - long * way + wide * across, tip - long * way - wide * across],
                               closed=True, facecolor=colour, edgecolor="none", zorder=3))

    for arrow, label in zip(arrows, labels, strict=True):
        colour = "#A8A8A8" if arrow.weak or arrow.kind == "covariance" else LINE
        track = _even(arrow.track)
        cut = int(np.ceil((0.08 + 0.018 * arrow.width) / 0.02))
        back, start = track[-cut], track[cut - 1]
        line = track[cut - 1 if arrow.kind == "covariance" else 0:-cut + 1]
        axes.plot(*line.T, color=colour, lw=arrow.width, solid_capstyle="butt", zorder=2,
                  ls=(0, (4, 2.2)) if arrow.weak else "-", gid=f"arrow:{arrow.tail}>{arrow.head}")
        head(track[-1], (track[-1] - back) / np.hypot(*(track[-1] - back)), arrow.width, colour)
        if arrow.kind == "covariance":
            head(track[0], (track[0] - start) / np.hypot(*(track[0] - start)), arrow.width, colour)
        if arrow.label:
            axes.text(*label, arrow.label, size=SMALL if arrow.kind == "loading" else LABEL, ha="center", va="center",
                      color=show.MUTED if arrow.weak or arrow.kind == "covariance" else show.INK, linespacing=1.15,
                      zorder=6, gid=f"label:{arrow.tail}>{arrow.head}",
                      bbox={"facecolor": "white", "edgecolor": "none", "boxstyle": "square,pad=0.12"})
    for node in nodes.values():
        colour = show.ROLES[node.role]
        tint = 1 - 0.18 * (1 - np.array(to_rgb(colour)))
        style = {"facecolor": tint, "edgecolor": colour, "lw": 1.0 if node.shape == "item" else 1.8, "zorder": 4,
                 "gid": f"node:{node.code}"}
        axes.add_patch(Ellipse((node.x, node.y), node.w, node.h, **style) if node.shape == "ellipse"
                       else Rectangle((node.x - node.w / 2, node.y - node.h / 2), node.w, node.h, **style))
        big = node.shape != "item"
        shift = (_extent(axes, node.note, NOTE)[1] + 0.05) / 2 if node.note else 0.0
        axes.text(node.x, node.y + shift, node.text, size=NAME if big else SMALL, weight="bold" if big else "normal",
                  ha="center", va="center", linespacing=1.15, zorder=5, gid=f"name:{node.code}")
        if node.note:
            low = node.y - _extent(axes, node.text, NAME, "bold")[1] / 2 - 0.03
            axes.text(node.x, low, node.note, size=NOTE, ha="center", va="center", zorder=5, gid=f"note:{node.code}")


def _key(axes: Axes, nodes: dict[str, _Node], signs: str, language: str, low: np.ndarray) -> None:
    """One line under the picture: the roles in their colours, then the signs."""
    used = {node.role for node in nodes.values()}
    x = float(low[0])
    for role in (role for role in ROLE_WORDS if role in used):
        text = "● " + ROLE_WORDS[role][language == "zh"]
        axes.text(x, low[1] - 0.25, text, size=NOTE, color=show.ROLES[role], weight="bold", va="center", gid="key")
        x += _extent(axes, text, NOTE, "bold")[0] + 0.2
    axes.text(x + 0.1, low[1] - 0.25, signs, size=NOTE, color=show.MUTED, va="center", gid="key")
