"""The geometry of a path diagram: columns, heights, courses of arrows, places of labels.

The layout is layered: a construct stands in the column of its longest chain of causes, columns are
ordered to cross as few arrows as possible, and an arrow that skips a column gets a lane of its own
through it, so that no arrow passes behind a construct.  One unit is one inch; the y axis runs up.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np

STEP = 0.02
"""Distance between the points of a track."""
MOST_COLUMNS, MOST_IN_A_ROW = 4, 4
Link = tuple["Node", "Node", "Arrow"]
"""What stands left, what stands right, and the arrow between them."""


@dataclass(eq=False)
class Node:
    """A construct, an item, or the lane of an arrow through a column: what it says, its size, where it stands."""

    code: str
    text: str
    role: str
    shape: Literal["ellipse", "box", "item", "lane"]
    note: str = ""
    x: float = 0.0
    y: float = 0.0
    w: float = 0.0
    h: float = 0.0
    items: list[tuple[Node, float, float]] = field(default_factory=list)
    """Its items, and where they stand from its centre."""

    @property
    def box(self) -> np.ndarray:
        """Left, bottom, right, top."""
        return np.array(
            [self.x - self.w / 2, self.y - self.h / 2, self.x + self.w / 2, self.y + self.h / 2]
        )

    def reach(self, way: int) -> float:
        """Room it takes, with its items, over (1) or under (-1) its centre."""
        return max([self.h / 2, *(way * up + item.h / 2 for item, _, up in self.items)])

    def border(self, x: float, y: float) -> np.ndarray:
        """The point of the border that faces (x, y)."""
        dx, dy, a, b = x - self.x, y - self.y, self.w / 2, self.h / 2
        reach = (
            math.hypot(dx / a, dy / b) if self.shape == "ellipse" else max(abs(dx / a), abs(dy / b))
        )
        return np.array([self.x + dx / reach, self.y + dy / reach])

    def port(self, side: int, up: float) -> np.ndarray:
        """The point of the left (-1) or right (+1) border at the height `up` over the centre."""
        bulge = math.sqrt(1 - (2 * up / self.h) ** 2) if self.shape == "ellipse" else 1
        return np.array([self.x + side * bulge * self.w / 2, self.y + up])


@dataclass
class Arrow:
    """An arrow: its label, the label's size (white margin included) and place, its course from tail to head."""

    tail: str
    head: str
    label: str = ""
    width: float = 1.2
    weak: bool = False
    kind: Literal["path", "loading", "covariance"] = "path"
    size: np.ndarray = field(default_factory=lambda: np.zeros(2))
    track: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    spot: np.ndarray = field(default_factory=lambda: np.zeros(2))


def arrange(nodes: dict[str, Node], arrows: list[Arrow], stretch: float = 1.0) -> None:
    """Give every node (of known size) its place and every arrow its track.

    Parameters
    ----------
    nodes : dict of Node
        By code.  An item belongs to the construct a loading leads to it from.
    arrows : list of Arrow
    stretch : float
        Factor of the spaces between nodes.
    """
    links = _links(nodes, arrows)
    columns, stacks = _columns([node for node in nodes.values() if node.shape != "item"], links)
    where = {node: at for at, column in enumerate(columns) for node in column}
    sizes: list[np.ndarray] = [a.size for a in arrows if a.kind == "path"]
    widest, tallest = np.max([np.array([0.3, 0.18]), *sizes], axis=0)
    chains = []
    for a, b, _ in links:
        lanes = {Node("", "", "", "lane", h=tallest): at for at in range(where[a] + 1, where[b])}
        for lane, at in lanes.items():
            columns[at].append(lane)
        where |= lanes
        chains.append([a, *lanes, b])
    steps = [(a, b) for chain in chains for a, b in pairwise(chain) if where[a] != where[b]]
    _order(columns, steps, where, stacks)
    side = {node: -1 if at == 0 else int(at == len(columns) - 1) for node, at in where.items()}
    arcs = {where[nodes[a.tail]] for a in arrows if a.kind == "covariance"}
    zone: list[tuple[float, float]] = []
    left = 0.0
    for at, column in enumerate(columns):
        half = 0.0
        for node in [node for node in column if node.shape != "lane"]:
            own = [
                nodes[a.head]
                for a in arrows
                if (a.tail, a.kind) == (node.code, "loading") and nodes[a.head].shape == "item"
            ]
            ways = (
                (-1,)
                if at in stacks and node is not column[0]
                else (1, -1)[: 1 + (len(own) > MOST_IN_A_ROW and not side[node])]
            )
            _place_items(node, own, side[node], ways, 0.9 if at in arcs else 0.66)
            half = max(
                [
                    half,
                    node.w / 2,
                    *(abs(x) + item.w / 2 for item, x, _ in node.items if not side[node]),
                ]
            )
        zone.append((left, left + 2 * half))
        busy = sum(where[a] <= at < where[b] for a, b, _ in links)
        left += 2 * half + stretch * (widest + 0.35 + min(0.06 * busy, 0.9))
    _set_heights(
        columns,
        steps,
        [(0.45 if at in stacks else 0.2) + tallest for at in range(len(columns))],
        stretch,
    )
    for node in nodes.values():
        if node in where:
            node.x = sum(zone[where[node]]) / 2
            for item, x, y in node.items:
                item.x, item.y = node.x + x, node.y + y
    _route(nodes, links, chains, where, zone)
    _route_rest(nodes, arrows, side)
    for arrow in arrows:
        arrow.track = _even(arrow.track)


def _links(nodes: dict[str, Node], arrows: list[Arrow]) -> list[Link]:
    """Arrows between constructs, each from left to right; what would close a circle is turned round."""
    links: list[Link] = []
    for arrow in sorted(arrows, key=lambda arrow: arrow.kind != "loading"):
        left, right = (
            nodes[code]
            for code in (arrow.tail, arrow.head)[:: -1 if arrow.kind == "loading" else 1]
        )
        if arrow.kind == "covariance" or "item" in (left.shape, right.shape):
            continue
        reached = {right}
        while grown := {b for a, b, _ in links if a in reached} - reached:
            reached |= grown
        links.append((right, left, arrow) if left in reached else (left, right, arrow))
    return links


def _columns(constructs: list[Node], links: list[Link]) -> tuple[list[list[Node]], set[int]]:
    """Columns by the longest chain of causes, and which of them are stacks.

    While there are too many columns, two neighbours become one stack whose arrows run up or down: at either
    end up to three constructs, between them two that no other arrow has to pass.
    """
    depth = dict.fromkeys(constructs, 0)
    for _ in constructs:
        for a, b, _ in links:
            depth[b] = max(depth[b], depth[a] + 1)
    for a, b, arrow in links:
        if arrow.kind == "loading" and sum(a in link[:2] for link in links) == 1:
            depth[a] = depth[b] - 1
    columns = [[c for c in constructs if depth[c] == at] for at in range(max(depth.values()) + 1)]
    stacks: list[list[Node]] = []

    def stack(at: int) -> list[Node]:
        """The columns `at` and `at + 1` in one, each next to what it is joined to; empty if that cannot be."""
        both, outer = columns[at] + columns[at + 1], at == 0 or at + 2 == len(columns)
        joined = Counter(node for a, b, _ in links if a in both and b in both for node in (a, b))
        passing = any(depth[a] < depth[both[0]] and depth[b] > depth[both[-1]] for a, b, _ in links)
        if len(both) > 2 + outer or sorted(joined.values()) != [1, 1, 2][: len(both)] or passing:
            return []
        return sorted(both, key=lambda node: both.index(node) if joined[node] == 1 else 0.5)

    while len(columns) > MOST_COLUMNS:
        order = sorted(range(len(columns) - 1), key=lambda at: (0 < at < len(columns) - 2, at))
        if not (found := [(at, made) for at in order if (made := stack(at))]):
            break
        at, made = found[0]
        columns[at : at + 2] = [made]
        stacks.append(made)
    return columns, {at for at, column in enumerate(columns) if column in stacks}


def _place_items(
    node: Node, own: list[Node], side: int, ways: tuple[int, ...], away: float
) -> None:
    """Where items stand, from the centre of their construct: beside it, or over (1) and under (-1) it."""
    node.items, size = [], -(-len(own) // len(ways))
    for at, item in enumerate(own):
        row, place = divmod(at, size)
        off = place - (min(size, len(own) - row * size) - 1) / 2
        node.items.append(
            (item, side * (node.w / 2 + away + item.w / 2), -off * (item.h + 0.06))
            if side
            else (item, off * (item.w + 0.08), ways[row] * (node.h / 2 + 0.44 + item.h / 2))
        )


def _order(
    columns: list[list[Node]],
    steps: list[tuple[Node, Node]],
    where: dict[Node, int],
    fixed: set[int],
) -> None:
    """Reorder the columns to cross fewer arrows: single moves while they help."""

    def crossings() -> int:
        rank = {node: at for column in columns for at, node in enumerate(column)}
        ends = np.array([(where[a], rank[a], rank[b]) for a, b in steps]).reshape(-1, 3)
        apart = ends[:, None] - ends
        return int(((apart[..., 0] == 0) & (apart[..., 1] * apart[..., 2] < 0)).sum())

    best, improved = crossings(), True
    while improved:
        improved = False
        for column in [column for at, column in enumerate(columns) if at not in fixed]:
            for node in list(column):
                for to in range(len(column)):
                    before = list(column)
                    column.remove(node)
                    column.insert(to, node)
                    if (count := crossings()) < best:
                        best, improved = count, True
                    else:
                        column[:] = before


def _set_heights(
    columns: list[list[Node]], steps: list[tuple[Node, Node]], gaps: list[float], stretch: float
) -> None:
    """Height of every construct and lane: near what it is joined to, in the given order, without touching."""
    from scipy.optimize import isotonic_regression

    joined = defaultdict(list)
    for a, b in steps:
        weight = 4.0 if a.shape == b.shape == "lane" else 1.0
        joined[a].append((b, weight))
        joined[b].append((a, weight))
    offsets = []
    for column, gap in zip(columns, gaps, strict=True):
        room = [
            a.reach(-1) + b.reach(1) + stretch * (gap, 0.12, 0.05)[(a.shape, b.shape).count("lane")]
            for a, b in pairwise(column)
        ]
        offsets.append(-np.cumsum([0.0, *room]))
        for node, y in zip(column, offsets[-1] - offsets[-1][-1] / 2, strict=True):
            node.y = y
    for sweep in range(24):
        for column, offset in list(zip(columns, offsets, strict=True))[:: 1 if sweep % 2 else -1]:
            near = [joined[node] or [(node, 0.0)] for node in column]
            wish = np.array(
                [
                    sum(other.y * (w or 1) for other, w in some) / sum(w or 1 for _, w in some)
                    for some in near
                ]
            )
            weights = np.array([0.05 + sum(w for _, w in some) for some in near])
            best = isotonic_regression(wish - offset, weights=weights, increasing=False).x + offset
            for node, y in zip(column, best, strict=True):
                node.y = y


def _curve(points: list[np.ndarray], free: bool) -> np.ndarray:
    """A smooth line through points, level at each; at its two ends, if `free`, heading for where it is bound."""
    t, parts = np.linspace(0, 1, 61)[:, None], []
    for at, (p, q) in enumerate(pairwise(points)):
        level = np.array([(q[0] - p[0]) / 2, 0])
        out, into = (
            0.3 * (q - p) if free and end else level for end in (at == 0, at == len(points) - 2)
        )
        parts.append(
            (1 - t) ** 3 * p
            + 3 * t * (1 - t) ** 2 * (p + out)
            + 3 * t**2 * (1 - t) * (q - into)
            + t**3 * q
        )
    return np.vstack(parts)


def _inside(track: np.ndarray, boxes: np.ndarray, margin: float = 0.03) -> np.ndarray:
    """How many points of a track lie in each box."""
    x, y = track[:, :1], track[:, 1:]
    return (
        (x > boxes[:, 0] - margin)
        & (x < boxes[:, 2] + margin)
        & (y > boxes[:, 1] - margin)
        & (y < boxes[:, 3] + margin)
    ).sum(axis=0)


def _route(
    nodes: dict[str, Node],
    links: list[Link],
    chains: list[list[Node]],
    where: dict[Node, int],
    zone: list[tuple[float, float]],
) -> None:
    """Tracks between constructs: straight where that is clear, else level through the columns and curved between them."""
    ends = defaultdict(list)
    for k, chain in enumerate(chains):
        if where[chain[0]] != where[chain[-1]]:
            ends[chain[0], 1].append((chain[1].y, k))
            ends[chain[-1], -1].append((chain[-2].y, k))
    port = {}
    for (node, end), joining in ends.items():
        room = min(0.43 * node.h, 0.06 * (len(joining) - 1)) if len(joining) > 1 else 0.0
        for (_, k), up in zip(sorted(joining), np.linspace(-room, room, len(joining)), strict=True):
            port[k, end] = node.port(end, up)
    for k, (a, b, arrow) in enumerate(links):
        p, q = (
            (port[k, 1], port[k, -1])
            if (k, 1) in port
            else (a.border(b.x, b.y), b.border(a.x, a.y))
        )
        arrow.track = np.linspace(p, q, 121)
        others = np.array([node.box for node in nodes.values() if node not in (a, b)]).reshape(
            -1, 4
        )
        if len(chains[k]) > 2 or _inside(arrow.track, others).any():
            through = [np.array([x, lane.y]) for lane in chains[k][1:-1] for x in zone[where[lane]]]
            out, into = np.array([zone[where[a]][1], p[1]]), np.array([zone[where[b]][0], q[1]])
            arrow.track = _curve([p, *through, q], True)
            if len(chains[k]) == 2 or _inside(arrow.track, others).any():
                arrow.track = _curve([p, out, *through, into, q], False)
        if arrow.tail != a.code:
            arrow.track = arrow.track[::-1]


def _route_rest(nodes: dict[str, Node], arrows: list[Arrow], side: dict[Node, int]) -> None:
    """Tracks to items, and arcs of covariances beside their constructs."""
    for arrow in arrows:
        tail, head = nodes[arrow.tail], nodes[arrow.head]
        if arrow.kind == "loading" and head.shape == "item":
            if side[tail]:
                tip = face = head.port(-side[tail], 0.0)
            else:  # spread where they start, so that the loadings have room side by side
                tip = np.array([head.x, head.y - np.sign(head.y - tail.y) * head.h / 2])
                face = tip + np.array([head.x - tail.x, 0])
            arrow.track = np.linspace(tail.border(*face), tip, 31)
        elif arrow.kind == "covariance":
            out, up = side[tail] or 1, 0.2 * tail.h * np.sign(head.y - tail.y)
            p, q = tail.port(out, up), head.port(out, -up)
            bulge = np.array([out * (0.22 + 0.14 * abs(head.y - tail.y)), 0])
            turn = np.linspace(0, np.pi, 61)[:, None]
            arrow.track = (p + q) / 2 + (p - q) / 2 * np.cos(turn) + bulge * np.sin(turn)


def place_labels(nodes: dict[str, Node], arrows: list[Arrow]) -> bool:
    """Set the `spot` of every label; True if all are free of nodes and of each other.

    Each label has places along its arrow with a cost (arrows and arrowheads it would cover, distance
    from the middle); labels then move one by one to their cheapest place until none moves.
    """
    boxes = np.array([node.box for node in nodes.values()])
    tips = np.array([arrow.track[-min(6, len(arrow.track))] for arrow in arrows])
    share = np.linspace(0.06, 0.94, 89)
    live = [arrow for arrow in arrows if arrow.label]
    spots, costs = [], []
    for arrow in live:
        spot, half = (
            arrow.track[np.round(share * (len(arrow.track) - 1)).astype(int)],
            arrow.size / 2,
        )
        area = np.hstack([spot - half, spot + half])
        on_node = (
            ((area[:, None, :2] < boxes[:, 2:]) & (area[:, None, 2:] > boxes[:, :2]))
            .all(axis=2)
            .sum(axis=1)
        )
        on_tip = (np.abs(tips[None] - spot[:, None]) < half + 0.07).all(axis=2).sum(axis=1)
        on_line = sum(_inside(other.track, area, 0.02) for other in arrows if other is not arrow)
        off_middle = (8 if arrow.kind == "loading" else 2) * np.abs(share - 0.5)
        spots.append(spot)
        costs.append(1e6 * on_node + 40 * on_tip + on_line + off_middle)
    for sweep in range(40):
        free, still = True, True
        for arrow, spot, own in zip(live, spots, costs, strict=True):
            cost = own + (0 if sweep == 0 else 1e4) * sum(
                (np.abs(spot - other.spot) < (arrow.size + other.size) / 2).all(axis=1)
                for other in live
                if other is not arrow
            )
            best = int(np.argmin(cost))
            free, still = (
                free and bool(cost[best] < 1e4),
                still and bool((arrow.spot == spot[best]).all()),
            )
            arrow.spot = spot[best]
        if still and sweep:
            break
    return free


def _even(track: np.ndarray) -> np.ndarray:
    """The track at equal steps."""
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(track, axis=0).T))]
    at = np.linspace(0, along[-1], max(int(along[-1] / STEP), 30))
    return np.column_stack([np.interp(at, along, track[:, i]) for i in (0, 1)])
