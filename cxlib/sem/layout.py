"""The geometry of a path diagram: columns, heights, courses of arrows, places of labels.

The layout is layered: a construct stands in the column of its longest chain of causes, columns are
ordered to cross as few arrows as possible, and an arrow that skips a column gets a lane of its own
through it, so that no arrow passes behind a construct.  One unit is one inch; the y axis runs up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np

STEP = 0.02
"""Distance between the points of an evened track."""
Lane = tuple[int, int]
"""The passage of a link (its number) through a column (its number)."""


@dataclass
class Node:
    """A construct or an item: what it says, its size, where it stands."""

    code: str
    text: str
    role: str
    shape: Literal["ellipse", "box", "item"]
    note: str = ""
    x: float = 0.0
    y: float = 0.0
    w: float = 0.0
    h: float = 0.0

    @property
    def box(self) -> np.ndarray:
        """Left, bottom, right, top."""
        return np.array([self.x - self.w / 2, self.y - self.h / 2, self.x + self.w / 2, self.y + self.h / 2])

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
    constructs = [code for code, node in nodes.items() if node.shape != "item"]
    links = _links(nodes, arrows)
    columns, folded = _columns(constructs, links)
    where = {code: at for at, column in enumerate(columns) for code in column}
    chains = [[a, *((k, at) for at in range(where[a] + 1, where[b])), b] for k, (a, b, _) in enumerate(links)]
    lanes = [name for chain in chains for name in chain[1:-1]]
    grid = _ordered([column + [lane for lane in lanes if lane[1] == at] for at, column in enumerate(columns)],
                    chains, folded)
    items = {code: [a.head for a in arrows if a.kind == "loading" and a.tail == code and nodes[a.head].shape == "item"]
             for code in constructs}
    side = {code: -1 if at == 0 else 1 if at == len(columns) - 1 else 0 for code, at in where.items()}
    tallest = max((a.size[1] for a in arrows if a.kind == "path"), default=0.0)
    heights = _heights(nodes, grid, chains, items, side, folded, stretch, tallest)
    arcs = {where[a.tail] for a in arrows if a.kind == "covariance"}
    widest = max((a.size[0] for a in arrows if a.kind == "path"), default=0.3)
    zone: list[tuple[float, float]] = []
    left = 0.0
    for at, column in enumerate(columns):
        rows = [len(items[c]) * (nodes[items[c][0]].w + 0.08) for c in column if items[c] and not side[c]]
        width = max([nodes[c].w for c in column] + rows)
        zone.append((left, left + width))
        busy = sum(where[chain[0]] <= at < where[chain[-1]] for chain in chains)
        for code in column:
            nodes[code].x, nodes[code].y = left + width / 2, heights[code]
            _place_items(nodes[code], [nodes[i] for i in items[code]], side[code], 0.95 if at in arcs else 0.72)
        left += width + stretch * (widest + 0.5 + min(0.09 * busy, 1.5))
    _route(nodes, links, chains, where, zone, heights)
    _route_rest(nodes, arrows, where, side)


def _links(nodes: dict[str, Node], arrows: list[Arrow]) -> list[tuple[str, str, Arrow]]:
    """Arrows between constructs, each from left to right; what would close a circle is turned round."""
    links: list[tuple[str, str, Arrow]] = []
    for arrow in sorted(arrows, key=lambda arrow: arrow.kind != "loading"):
        left, right = (arrow.head, arrow.tail) if arrow.kind == "loading" else (arrow.tail, arrow.head)
        if arrow.kind == "covariance" or "item" in (nodes[left].shape, nodes[right].shape):
            continue
        reached = {right}
        while grown := {b for a, b, _ in links if a in reached} - reached:
            reached |= grown
        links.append((right, left, arrow) if left in reached else (left, right, arrow))
    return links


def _columns(names: list[str], links: list[tuple[str, str, Arrow]]) -> tuple[list[list[str]], set[int]]:
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
    last = len(columns) - tail
    columns = [[c for column in columns[:head] for c in column], *columns[head:last],
               [c for column in columns[last:] for c in column]]
    return columns, {at for at, size in ((0, head), (len(columns) - 1, tail)) if size > 1}


def _ordered(columns: list[list], chains: list[list], fixed: set[int]) -> list[list]:
    """The columns reordered to cross fewer arrows: barycentre sweeps, then single moves while they help."""
    where = {name: at for at, column in enumerate(columns) for name in column}
    gaps: list[list[tuple]] = [[] for _ in columns]
    for chain in chains:
        for a, b in pairwise(chain):
            if where[a] != where[b]:
                gaps[where[a]].append((a, b))

    def crossings(order: list[list]) -> int:
        rank = {name: at for column in order for at, name in enumerate(column)}
        total = 0
        for gap in gaps:
            ends = np.array([(rank[a], rank[b]) for a, b in gap]).reshape(-1, 2)
            apart = ends[:, None] - ends[None]
            total += int((apart[..., 0] * apart[..., 1] < 0).sum()) // 2
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


def _heights(nodes: dict[str, Node], grid: list[list], chains: list[list], items: dict, side: dict, folded: set,
             stretch: float, tallest: float) -> dict[str | Lane, float]:
    """Height of every construct and lane: near what it is joined to, in the given order, without touching.

    Lanes have room for the tallest label.
    """
    from scipy.optimize import isotonic_regression

    def reach(name: object) -> tuple[float, float]:
        """Room over and under the centre."""
        if isinstance(name, tuple):
            return max(0.09, tallest / 2), max(0.09, tallest / 2)
        half = nodes[name].h / 2
        if not items[name]:
            return half, half
        if side[name]:
            return (max(half, len(items[name]) * (nodes[items[name][0]].h + 0.06) / 2),) * 2
        return half + 0.55 + nodes[items[name][0]].h, half

    joined: dict = {}
    for chain in chains:
        for a, b in pairwise(chain):
            weight = 4.0 if isinstance(a, tuple) and isinstance(b, tuple) else 1.0
            joined.setdefault(a, []).append((b, weight))
            joined.setdefault(b, []).append((a, weight))
    offsets = []
    for at, column in enumerate(grid):
        steps = [0.0]
        for a, b in pairwise(column):
            lanes = isinstance(a, tuple) + isinstance(b, tuple)
            space = (0.6 if at in folded else 0.25 + tallest, 0.15, 0.08)[lanes]
            steps.append(reach(a)[1] + reach(b)[0] + stretch * space)
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
    return {name: -y for name, y in down.items()}


def _place_items(node: Node, own: list[Node], side: int, away: float) -> None:
    """Items beside their construct in the outer columns, over it elsewhere."""
    middle = (len(own) - 1) / 2
    for at, item in enumerate(own):
        if side:
            item.x, item.y = node.x + side * (node.w / 2 + away + item.w / 2), node.y + (middle - at) * (item.h + 0.06)
        else:
            item.x, item.y = node.x + (at - middle) * (item.w + 0.08), node.y + node.h / 2 + 0.5 + item.h / 2


def _bezier(p: np.ndarray, near_p: np.ndarray, near_q: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Points of the cubic Bézier curve from p to q."""
    t = np.linspace(0, 1, 61)[:, None]
    return (1 - t) ** 3 * p + 3 * t * (1 - t) ** 2 * near_p + 3 * t**2 * (1 - t) * near_q + t**3 * q


def _curve(points: list[np.ndarray], level: float) -> np.ndarray:
    """A smooth line from port to port through lanes (pairs of points), level in the lanes.

    At the constructs it is level too (1), or heads straight for where it is bound (0), or in between.
    """
    parts = []
    for at, (p, q) in enumerate(pairwise(points)):
        flat = np.array([(q[0] - p[0]) / 2, 0])
        free = level * flat + (1 - level) * 0.3 * (q - p)
        parts.append(_bezier(p, p + (flat if at else free), q - (flat if at < len(points) - 2 else free), q))
    line = np.vstack(parts)
    return line[np.r_[True, np.abs(np.diff(line, axis=0)).sum(axis=1) > 1e-9]]


def _inside(track: np.ndarray, boxes: np.ndarray, margin: float = 0.03) -> np.ndarray:
    """How many points of a track lie in each box."""
    x, y = track[:, :1], track[:, 1:]
    return ((x > boxes[:, 0] - margin) & (x < boxes[:, 2] + margin)
            & (y > boxes[:, 1] - margin) & (y < boxes[:, 3] + margin)).sum(axis=0)


def _route(nodes: dict[str, Node], links: list, chains: list[list], where: dict, zone: list, heights: dict) -> None:
    """Tracks between constructs: straight where that is clear, else level through lanes and curved between them."""
    ends: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for k, chain in enumerate(chains):
        if where[chain[0]] != where[chain[-1]]:
            ends.setdefault((chain[0], 1), []).append((heights[chain[1]], k))
            ends.setdefault((chain[-1], -1), []).append((heights[chain[-2]], k))
    port = {}
    for (code, end), joining in ends.items():
        room = min(0.43 * nodes[code].h, 0.055 * (len(joining) - 1))
        for (_, k), up in zip(sorted(joining), np.linspace(-room, room, len(joining)), strict=True):
            port[k, end] = nodes[code].port(end, up if len(joining) > 1 else 0.0)
    boxes = {code: node.box for code, node in nodes.items()}
    bent: dict[int, tuple[list[np.ndarray], list[bool]]] = {}
    for k, (a, b, arrow) in enumerate(links):
        if where[a] == where[b]:
            arrow.track = np.linspace((nodes[a].x, boxes[a][1]), (nodes[b].x, boxes[b][3]), 31)
            continue
        p, q = port[k, 1], port[k, -1]
        others = np.array([box for code, box in boxes.items() if code not in (a, b)]).reshape(-1, 4)
        arrow.track = np.linspace(p, q, 121)
        if len(chains[k]) > 2 or _inside(arrow.track, others).any():
            through = [np.array([zone[lane[1]][end], heights[lane]]) for lane in chains[k][1:-1] for end in (0, 1)]
            out, into = np.array([zone[where[a]][1], p[1]]), np.array([zone[where[b]][0], q[1]])
            tries = [_curve([p, *through, q], level) for level in (0, 0.25, 0.5, 0.75)]
            tries.append(_curve([p, out, *through, into, q], 1))
            bent[k] = tries, [bool(_inside(track, others).any()) for track in tries]
    if bent:  # one bend for all, so that arrows side by side do not cross; another only for those it leads into a box
        common = int(np.argmin(np.sum([hit for _, hit in bent.values()], axis=0)))
        for k, (tries, hit) in bent.items():
            links[k][2].track = tries[int(np.argmin(hit)) if hit[common] else common]
    for a, _, arrow in links:
        if arrow.tail != a:
            arrow.track = arrow.track[::-1]


def _route_rest(nodes: dict[str, Node], arrows: list[Arrow], where: dict, side: dict) -> None:
    """Tracks to items, and arcs of covariances: beside a column, or between columns where the fewest nodes are."""
    for arrow in arrows:
        tail, head = nodes[arrow.tail], nodes[arrow.head]
        if arrow.kind == "loading" and head.shape == "item":
            tip = head.port(-side[tail.code], 0.0) if side[tail.code] else np.array([head.x, head.box[1]])
            arrow.track = np.linspace(tail.border(*tip), tip, 31)
        elif arrow.kind == "covariance" and where[tail.code] == where[head.code]:
            out = -1 if where[tail.code] == 0 else 1
            up = 0.2 * tail.h * np.sign(head.y - tail.y)
            away = np.array([out * (0.3 + 0.18 * abs(head.y - tail.y)), 0])
            p, q = tail.port(out, up), head.port(out, -up)
            arrow.track = _bezier(p, p + away, q + away, q)
        elif arrow.kind == "covariance":
            others = np.array([node.box for node in nodes.values() if node not in (tail, head)]).reshape(-1, 4)
            tries = []
            for up in (0.4, -0.4, 0.8, -0.8, 1.2, -1.2):
                away = np.array([0, up])
                p, q = tail.border(head.x, head.y + 2 * up), head.border(tail.x, tail.y + 2 * up)
                tries.append(_bezier(p, p + away, q + away, q))
            arrow.track = min(tries, key=lambda track, others=others: _inside(track, others).sum())


def place_labels(nodes: dict[str, Node], arrows: list[Arrow]) -> bool:
    """Set the `spot` of every label; True if all are free of nodes and of each other.

    Each label has places along its arrow with a cost (arrows and arrowheads it would cover, distance
    from the middle); labels then move one by one to their cheapest place until none moves.
    """
    boxes = np.array([node.box for node in nodes.values()])
    tracks = [even(arrow.track) for arrow in arrows]
    tips = np.array([track[-min(6, len(track))] for track in tracks])
    share = np.linspace(0.06, 0.94, 89)
    spots, costs, halves = [], [], []
    for at, (arrow, track) in enumerate(zip(arrows, tracks, strict=True)):
        spot = track[np.round(share * (len(track) - 1)).astype(int)]
        half = arrow.size / 2
        area = np.hstack([spot - half, spot + half])
        on_node = ((area[:, None, :2] < boxes[:, 2:]) & (area[:, None, 2:] > boxes[:, :2])).all(axis=2).sum(axis=1)
        on_tip = (np.abs(tips[None] - spot[:, None]) < half + 0.07).all(axis=2).sum(axis=1)
        on_line = sum((_inside(other, area, 0.02) for k, other in enumerate(tracks) if k != at), np.zeros(len(area)))
        off_middle = (8 if arrow.kind == "loading" else 2) * np.abs(share - 0.5)
        spots.append(spot)
        halves.append(half)
        costs.append(1e6 * on_node + 40 * on_tip + on_line + off_middle)
    chosen = [int(np.argmin(cost)) for cost in costs]
    live = [at for at, arrow in enumerate(arrows) if arrow.label]
    free = {}
    for _ in range(40):
        before = list(chosen)
        for at in live:
            cost = costs[at].copy()
            for other in live:
                if other != at:
                    apart = np.abs(spots[at] - spots[other][chosen[other]])
                    cost += 1e4 * (apart < halves[at] + halves[other]).all(axis=1)
            chosen[at] = int(np.argmin(cost))
            free[at] = cost[chosen[at]] < 1e4
        if chosen == before:
            break
    for at, arrow in enumerate(arrows):
        arrow.spot = spots[at][chosen[at]]
    return all(free.values())


def even(track: np.ndarray, step: float = STEP) -> np.ndarray:
    """The track at equal steps."""
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(track, axis=0).T))]
    at = np.linspace(0, along[-1], max(int(along[-1] / step), 30))
    return np.column_stack([np.interp(at, along, track[:, i]) for i in (0, 1)])
