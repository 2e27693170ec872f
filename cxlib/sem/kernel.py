"""Thousands of exact maximum-likelihood refits of one model, in lockstep.

A model is compiled once; every draw (a bootstrap sample, a leave-one-out sample, a simulated one)
is then a *lane*: the last axis of every array, so that each step of the arithmetic is one NumPy
call for all lanes of a chunk.

The likelihood is that of Σ = Λ(I−B)⁻¹Ψ(I−B)⁻ᵀΛ' + Θ with diagonal Θ.  With T = Ψ⁻¹(I−B) and
N = (I−B)'T + Λ'Θ⁻¹Λ, a state has the posterior precision N, so that (Fisher's identity) with
Y = E(xη') and M = E(ηη') given the sample covariances S

    ∂F/∂Λ = 2Θ⁻¹(ΛM − Y)    ∂F/∂B = 2((I−B)⁻ᵀ − TM)    ∂F/∂Ψ ∝ Ψ⁻¹ − TMT'
    ∂F/∂θ = (θ − s + 2λ'y − λ'Mλ)/θ²

which needs only products of the order of the number of states.  A state that *is* an observed
variable (a single indicator without residual, an observed predictor) has posterior variance 0 and
joins as data.  Whatever remains (correlated residuals, zero variances) is done with Σ itself.
Rubin & Thayer (1982, doi:10.1007/BF02293851) for the identity; Nocedal & Wright (2006,
doi:10.1007/978-0-387-40065-5) for L-BFGS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cxlib.sem.model import Model

CHUNK = 256
"""Lanes worked on together: the arrays of a chunk stay in the processor's cache."""
DECREMENT = 1e-15
"""A lane stops after a step whose predicted gain in F (twice) is below this."""


class Sample(NamedTuple):
    """Moments of one group, a lane each: cov (p, p, R), mean (p, R), n (R,)."""

    cov: np.ndarray
    mean: np.ndarray
    n: np.ndarray


@dataclass(frozen=True)
class Resamples:
    """Weighted samples whose moments are computed when asked for, so that memory stays bounded.

    features : per group, (units, 1 + p + p(p+1)/2): rows, Σx and Σx_i·x_j (i ≤ j) of each unit
    counts : per group, (R, units): how often each unit is in each sample; None: a sample a unit
    centre : per group, (p,): what was subtracted from x first
    """

    features: tuple[np.ndarray, ...] = field(repr=False)
    counts: tuple[np.ndarray | None, ...] = field(repr=False)
    centre: tuple[np.ndarray, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.features[0] if self.counts[0] is None else self.counts[0])

    def take(self, lanes: np.ndarray | None = None) -> list[Sample]:
        """Moments (divisor n) of these samples, or of all of them pooled; a :class:`Sample` a group."""
        out = []
        for features, counts, centre in zip(self.features, self.counts, self.centre, strict=True):
            p = len(centre)
            if lanes is None:
                pooled = np.ones(len(features)) if counts is None else counts.sum(axis=0, dtype=float)
                sums = (pooled @ features)[:, None] / len(self)
            else:
                sums = features[lanes].T if counts is None else features.T @ counts[lanes].T.astype(float)
            row, col = np.triu_indices(p)
            mean, second = sums[1 : p + 1] / sums[0], sums[p + 1 :] / sums[0]
            second -= mean[row] * mean[col]
            place = np.empty((p, p), dtype=int)
            place[row, col] = place[col, row] = np.arange(len(row))
            out.append(Sample(second[place], mean + centre[:, None], sums[0]))
        return out


@dataclass(frozen=True)
class Refits:
    """One row a draw: theta (R, npar), NaN where no optimum was found; fmin (R,); gradient (R,).

    fmin is log|Σ| + tr(SΣ⁻¹) + (x̄−μ)'Σ⁻¹(x̄−μ), summed over groups by n_g/n; gradient the largest
    |∂F/∂θ| at the end; status "converged", "improper" (an optimum with a negative variance or a
    Ψ that is not positive definite) or "failed".
    """

    theta: np.ndarray = field(repr=False)
    fmin: np.ndarray = field(repr=False)
    gradient: np.ndarray = field(repr=False)
    status: np.ndarray = field(repr=False)

    @property
    def converged(self) -> int:
        """Draws with an optimum, improper ones included."""
        return len(self.status) - self.failed

    @property
    def improper(self) -> int:
        """Draws whose optimum is improper."""
        return int((self.status == "improper").sum())

    @property
    def failed(self) -> int:
        """Draws without an optimum."""
        return int((self.status == "failed").sum())


class _Part(NamedTuple):
    """Entries of one matrix: where each value comes from (row of [θ; constants]) and where it goes."""

    take: np.ndarray
    row: np.ndarray
    col: np.ndarray


@dataclass(frozen=True)
class _Group:
    """One group's entries, items and states reordered: soft items by state, then the exact ones."""

    parts: dict[str, _Part]
    p: int
    m: int
    soft_items: int
    soft: int
    order: np.ndarray
    scale: np.ndarray
    base: np.ndarray
    diagonal: bool
    recursive: bool
    means: bool
    blocks: tuple
    members: tuple
    pairs: tuple


@dataclass(frozen=True)
class Compiled:
    """A model as index arrays, made by :func:`compile`."""

    model: Model
    groups: tuple[_Group, ...] = field(repr=False)
    constants: np.ndarray = field(repr=False)
    gather: np.ndarray = field(repr=False)
    starts: np.ndarray | None = field(repr=False)

    def value(self, theta: np.ndarray, samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
        """F (R,) and ∂F/∂θ (npar, R) at theta (npar, R); F is infinite where Σ is not positive definite.

        The samples must have been through :meth:`prepare`.
        """
        everything = np.concatenate([theta, np.broadcast_to(self.constants[:, None], (len(self.constants), theta.shape[1]))])
        total, local = 0.0, []
        size = sum(sample.n for sample in samples)
        for group, sample in zip(self.groups, samples, strict=True):
            x = {name: everything[part.take] for name, part in group.parts.items()}
            value, gradient = (_diagonal if group.diagonal else _dense)(group, x, sample)
            share = sample.n / size
            total = total + share * value
            local.extend(piece * share if len(self.groups) > 1 else piece for piece in gradient)
        gathered = np.concatenate(local)[self.gather]
        return total, gathered if self.starts is None else np.add.reduceat(gathered, self.starts, axis=0)

    def prepare(self, samples: Sequence[Sample]) -> list[Sample]:
        """Samples with their items in the order and scale of the compiled groups."""
        out = []
        for group, sample in zip(self.groups, samples, strict=True):
            order, scale = group.order, group.scale[:, None]
            cov = sample.cov if (order == np.arange(group.p)).all() else sample.cov[order[:, None], order]
            if (group.scale != 1).any():
                cov = cov * scale * group.scale[:, None, None]
            out.append(Sample(cov, sample.mean[order] * scale, sample.n))
        return out

    def proper(self, theta: np.ndarray) -> np.ndarray:
        """Whether Ψ and Θ have no negative eigenvalue, a lane each."""
        everything = np.concatenate([theta, np.broadcast_to(self.constants[:, None], (len(self.constants), theta.shape[1]))])
        good = np.ones(theta.shape[1], dtype=bool)
        for group in self.groups:
            for name, size in (("psi", group.m), ("theta", group.p)):
                part = group.parts[name]
                matrix = _symmetric(part, everything[part.take], size)
                good &= (np.einsum("iir->ir", matrix) >= 0).all(axis=0)
                mixed = np.unique(np.concatenate([part.row[part.row != part.col], part.col[part.row != part.col]]))
                good &= _inverse(matrix[mixed[:, None], mixed])[2] == 0
        return good


def compile(model: Model) -> Compiled:
    """Turn a model into index arrays.

    Parameters
    ----------
    model : Model
        Its table says which entry of which matrix each number is; numbers may be shared between
        entries and groups (equality).
    """
    constants, groups, owner = [], [], []
    for number in range(model.n_groups):
        group, free, fixed = _group(model, number, model.npar + len(constants))
        constants.extend(fixed)
        groups.append(group)
        owner.append(free)
    numbers = np.concatenate(owner)
    gather = np.argsort(numbers, kind="stable")
    gather = gather[numbers[gather] > 0]
    _, starts = np.unique(numbers[gather], return_index=True)
    shared = len(starts) < len(gather)
    return Compiled(model, tuple(groups), np.array(constants, dtype=float), gather, starts if shared else None)


def _group(model: Model, number: int, offset: int) -> tuple[_Group, np.ndarray, list[float]]:
    """Index arrays of one group, the free number of each entry (0: fixed), and the fixed values."""
    table = model.table[model.table["group"] == number]
    table = table[(table["free"] > 0) | (table["value"] != 0)]
    p, m = len(model.observed), len(model.state)
    by = {name: table[table["matrix"] == name] for name in ("lambda", "beta", "psi", "theta", "nu", "alpha")}
    base = np.zeros((p, m))
    for at in range(len(model.latent), m):
        base[model.observed.index(model.state[at]), at] = 1
    loads = by["lambda"]
    residual = set(by["theta"]["row"]) | set(by["theta"]["col"])
    exact = {at: int(np.flatnonzero(base[:, at])[0]) for at in range(len(model.latent), m)}
    unit = dict.fromkeys(exact, 1.0)
    for at in range(len(model.latent)):
        mine = loads[loads["col"] == at]
        if len(mine) == 1 and mine["free"].iloc[0] == 0 and (item := mine["row"].iloc[0]) not in residual \
                and (loads["row"] == item).sum() == 1:
            exact[at], unit[at] = int(item), float(mine["value"].iloc[0])
    theta, psi = by["theta"], by["psi"]
    diagonal = (theta["row"] == theta["col"]).all() and len(theta) + len(exact) == p \
        and set(exact.values()).isdisjoint(residual) and set(psi.loc[psi["row"] == psi["col"], "row"]) == set(range(m))
    if not diagonal:
        exact, unit = {}, {}
    soft = [at for at in range(m) if at not in exact]
    if diagonal:
        by["lambda"] = loads = loads[~loads["row"].isin(list(exact.values()))]
    first = {item: soft.index(state) for item, state in zip(loads["row"][::-1], loads["col"][::-1], strict=True)} if diagonal else {}
    soft_items = sorted((i for i in range(p) if i not in exact.values()), key=lambda i: first.get(i, m))
    order = np.array([*soft_items, *exact.values()], dtype=int)
    item_at, state_at = np.argsort(order), np.argsort([*soft, *exact])
    parts, free, fixed = {}, [], []
    for name, rows in by.items():
        row = (item_at if name in ("lambda", "theta", "nu") else state_at)[rows["row"].to_numpy(int)]
        col = (item_at if name == "theta" else state_at)[rows["col"].to_numpy(int)]
        keys = {"lambda": (row, col), "theta": (col, row)}.get(name, (np.arange(len(rows)),))
        sort = np.lexsort(keys)
        numbers, values = rows["free"].to_numpy(int)[sort], rows["value"].to_numpy(float)[sort]
        take = numbers - 1
        take[numbers == 0] = offset + len(fixed) + np.arange((numbers == 0).sum())
        fixed.extend(values[numbers == 0])
        free.append(numbers)
        parts[name] = _Part(take, row[sort], col[sort])
    beta, lam = parts["beta"], parts["lambda"]
    adjacency = np.zeros((m, m), dtype=bool)
    adjacency[beta.row, beta.col] = True
    power = adjacency.copy()
    for _ in range(m):
        power = power @ adjacency
    blocks = tuple(_span(block) for block in _components(m, parts["psi"]))
    members = tuple((_span(np.flatnonzero(lam.col == j)), _span(lam.row[lam.col == j])) for j in range(len(soft)))
    first_of, second_of = np.nonzero(lam.row[:, None] == lam.row)
    cell = lam.col[first_of] * m + lam.col[second_of]
    cells, which = np.unique(cell, return_inverse=True)
    into = np.zeros((len(cells), len(cell)))
    into[which, np.arange(len(cell))] = 1
    back = (np.arange(len(lam.row))[:, None] == first_of).astype(float)
    by_item = (np.arange(len(soft_items))[:, None] == lam.row).astype(float)
    if diagonal:
        base = np.zeros((p, m))
        base[np.arange(len(soft_items), p), np.arange(len(soft), m)] = 1
    scale = np.array([1.0] * len(soft_items) + [1 / value for value in unit.values()])
    group = _Group(parts, p, m, len(soft_items), len(soft), order, scale, base, bool(diagonal), not power.any(),
                   model.means, blocks, members, (first_of, second_of, cells // m, cells % m, into, back, by_item))
    return group, np.concatenate(free), fixed


def _components(m: int, psi: _Part) -> list[np.ndarray]:
    """Sets of states whose disturbances covary."""
    label = np.arange(m)
    for _ in range(m):
        for a, b in zip(psi.row, psi.col, strict=True):
            label[a] = label[b] = min(label[a], label[b])
    return [np.flatnonzero(label == value) for value in np.unique(label)]


def _span(index: np.ndarray) -> slice | np.ndarray:
    """The same index as a slice if it is an unbroken run: a slice makes no copy."""
    if len(index) and (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b, a lane each."""
    return np.einsum("ikr,kjr->ijr", a, b)


def _inverse(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inverse, log|det| and number of negative eigenvalues (if symmetric), a lane each, by halves."""
    k = len(a)
    if k == 0:
        return a, np.zeros(a.shape[2]), np.zeros(a.shape[2], dtype=int)
    if k == 1:
        return 1 / a, np.log(np.abs(a[0, 0])), (a[0, 0] < 0).astype(int)
    half = k // 2
    head, log_head, negative_head = _inverse(a[:half, :half])
    right, left = _product(head, a[:half, half:]), _product(a[half:, :half], head)
    tail, log_tail, negative_tail = _inverse(a[half:, half:] - _product(a[half:, :half], right))
    out = np.empty_like(a)
    out[half:, half:] = tail
    out[half:, :half] = -_product(tail, left)
    out[:half, half:] = -_product(right, tail)
    out[:half, :half] = head - _product(right, out[half:, :half])
    return out, log_head + log_tail, negative_head + negative_tail


def _symmetric(part: _Part, values: np.ndarray, size: int) -> np.ndarray:
    """A symmetric matrix from its entries, (size, size, R)."""
    out = np.zeros((size, size, values.shape[1]))
    out[part.row, part.col] = out[part.col, part.row] = values
    return out


def _path(group: _Group, x: dict) -> np.ndarray:
    """I − B, (m, m, R)."""
    out = np.zeros((group.m, group.m, x["psi"].shape[1]))
    out[np.arange(group.m), np.arange(group.m)] = 1
    out[group.parts["beta"].row, group.parts["beta"].col] = -x["beta"]
    return out


def _diagonal(group: _Group, x: dict, sample: Sample) -> tuple[np.ndarray, list[np.ndarray]]:
    """F and its gradient at every entry, diagonal Θ: everything at the size of the states."""
    soft, items, parts = group.soft, group.soft_items, group.parts
    first_of, second_of, cell_row, cell_col, into, back, by_item = group.pairs
    lam, theta, lanes = x["lambda"], x["theta"], x["psi"].shape[1]
    row = _span(parts["lambda"].row)
    weight = lam / theta[row]
    path = _path(group, x)
    disturbance = _symmetric(parts["psi"], x["psi"], group.m)
    precision, log_psi, negative = np.zeros_like(path), 0.0, (theta < 0).sum(axis=0)
    for block in group.blocks:
        at = (block, block) if isinstance(block, slice) else np.ix_(block, block)
        precision[at], log_block, negative_block = _inverse(disturbance[at])
        log_psi, negative = log_psi + log_block, negative + negative_block
    t = _product(precision, path)
    n = np.einsum("kir,kjr->ijr", path, t)
    n[cell_row, cell_col] += into @ (weight[first_of] * lam[second_of])
    inverse, log_n, negative_n = _inverse(n[:soft, :soft])
    s, total = sample.cov, None
    if group.means or not group.recursive:
        total, log_path, _ = _inverse(path)
    if group.means:
        average, delta = _means(group, x, total, sample.mean)
        s = s + delta[:, None] * delta
    b = np.empty((group.p, soft, lanes))
    for j, (mine, which) in enumerate(group.members):
        np.einsum("ikr,kr->ir", s[:, which], weight[mine], out=b[:, j])
    if soft < group.m:
        b -= np.einsum("ikr,kjr->ijr", s[:, items:], n[soft:, :soft])
    u, y = np.empty((soft, soft, lanes)), np.empty_like(lam)
    for j, (mine, which) in enumerate(group.members):
        u[j] = np.einsum("kr,klr->lr", weight[mine], b[which])
        y[mine] = np.einsum("klr,lr->kr", b[which], inverse[j])
    if soft < group.m:
        u -= _product(n[:soft, soft:], b[items:])
    a = _product(inverse, u)
    moment = np.empty_like(path)
    moment[:soft, :soft] = inverse + _product(a, inverse)
    if soft < group.m:
        moment[soft:, :soft] = _product(b[items:], inverse)
        moment[:soft, soft:] = moment[soft:, :soft].transpose(1, 0, 2)
        moment[soft:, soft:] = s[items:, items:]
    own = np.einsum("iir->ir", s)[:items]
    value = (np.log(np.abs(theta)).sum(axis=0) + log_psi + log_n + (own / theta).sum(axis=0)
             - np.einsum("iir->r", a) - 2 * np.log(group.scale).sum())
    if soft < group.m:
        value += np.einsum("ijr,ijr->r", n[soft:, soft:], s[items:, items:])
    if not group.recursive:
        value -= 2 * log_path
    value = np.where(negative_n == negative, value, np.inf)
    column = parts["lambda"].col
    gap = back @ (lam[second_of] * moment[column[second_of], column[first_of]]) - y
    tm = _product(t, moment)
    beta, psi = parts["beta"], parts["psi"]
    grad_beta = -2 * tm[beta.row, beta.col]
    if not group.recursive:
        grad_beta += 2 * total[beta.col, beta.row]
    grad_psi = precision[psi.row, psi.col] - np.einsum("kjr,kjr->kr", tm[psi.row], t[psi.col])
    grad_theta = (theta - own + by_item @ (lam * (y - gap))) / theta**2
    gradient = [2 * gap / theta[row], grad_beta, np.where(psi.row == psi.col, 1, 2)[:, None] * grad_psi,
                grad_theta]
    if not group.means:
        return value, gradient
    seen = by_item.T @ (delta[:items] / theta) * lam   # not yet summed by state
    v = np.stack([seen[mine].sum(axis=0) for mine, _ in group.members]) if soft else np.empty((0, lanes))
    eta = np.einsum("ijr,jr->ir", inverse, v - np.einsum("ijr,jr->ir", n[:soft, soft:], delta[items:]))
    rest = delta[:items] - by_item @ (lam * eta[column])
    push = np.concatenate([rest / theta, np.einsum("ijr,jr->ir", n[soft:, soft:], delta[items:])
                           + np.einsum("ijr,jr->ir", n[soft:, :soft], eta)])
    return value, _with_means(group, gradient, -2 * push, x, average, total)


def _dense(group: _Group, x: dict, sample: Sample) -> tuple[np.ndarray, list[np.ndarray]]:
    """F and its gradient at every entry with Σ itself: any Θ and Ψ."""
    parts = group.parts
    total, _, _ = _inverse(_path(group, x))
    lam = np.repeat(group.base[:, :, None], x["psi"].shape[1], axis=2)
    lam[parts["lambda"].row, parts["lambda"].col] = x["lambda"]
    g = _product(lam, total)
    g_psi = _product(g, _symmetric(parts["psi"], x["psi"], group.m))
    sigma = np.einsum("ikr,jkr->ijr", g_psi, g) + _symmetric(parts["theta"], x["theta"], group.p)
    inverse, log_sigma, negative = _inverse(sigma)
    s = sample.cov
    if group.means:
        average, delta = _means(group, x, total, sample.mean)
        s = s + delta[:, None] * delta
    half = _product(inverse, s)
    value = np.where(negative == 0, log_sigma + np.einsum("iir->r", half), np.inf)
    w = inverse - _product(half, inverse)
    wl = _product(w, np.einsum("ikr,jkr->ijr", g_psi, total))
    beta, psi, theta = parts["beta"], parts["psi"], parts["theta"]
    gradient = [2 * wl[parts["lambda"].row, parts["lambda"].col],
                2 * np.einsum("kir,kjr->ijr", g, wl)[beta.row, beta.col],
                np.where(psi.row == psi.col, 1, 2)[:, None] * np.einsum("kir,kjr->ijr", g, _product(w, g))[psi.row, psi.col],
                np.where(theta.row == theta.col, 1, 2)[:, None] * w[theta.row, theta.col]]
    if not group.means:
        return value, gradient
    return value, _with_means(group, gradient, -2 * np.einsum("ijr,jr->ir", inverse, delta), x, average, total)


def _means(group: _Group, x: dict, total: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E(η) = (I−B)⁻¹α and x̄ − μ."""
    alpha = np.zeros((group.m, mean.shape[1]))
    alpha[group.parts["alpha"].row] = x["alpha"]
    average = np.einsum("ijr,jr->ir", total, alpha)
    implied = group.base @ average
    implied[: group.soft_items] += group.pairs[-1] @ (x["lambda"] * average[group.parts["lambda"].col])
    nu = group.parts["nu"].row
    implied[nu] += x["nu"] * group.scale[nu, None]
    return average, mean - implied


def _with_means(group: _Group, gradient: list, push: np.ndarray, x: dict, average: np.ndarray, total: np.ndarray) -> list:
    """Add what the means contribute: push is ∂F/∂μ."""
    lam, beta, nu = group.parts["lambda"], group.parts["beta"], group.parts["nu"].row
    state = group.base.T @ push
    for j, (mine, which) in enumerate(group.members):
        state[j] += (x["lambda"][mine] * push[which]).sum(axis=0)
    state = np.einsum("kir,kr->ir", total, state)
    return [gradient[0] + push[lam.row] * average[lam.col], gradient[1] + state[beta.row] * average[beta.col], *gradient[2:],
            push[nu] * group.scale[nu, None], state[group.parts["alpha"].row]]


def _hessian(compiled: Compiled, theta: np.ndarray, sample: list[Sample]) -> np.ndarray:
    """Observed Hessian of F at one θ, by central differences of the gradient, all in one call."""
    step = 1e-5 * np.maximum(np.abs(theta), 0.1)
    points = theta[:, None] + np.hstack([np.diag(step), -np.diag(step)])
    wide = [Sample(*(np.repeat(part, 2 * len(theta), axis=-1) for part in one)) for one in sample]
    gradient = compiled.value(points, wide)[1]
    out = (gradient[:, : len(theta)] - gradient[:, len(theta) :]) / (2 * step)
    return (out + out.T) / 2


def _descend(compiled: Compiled, samples: list[Sample], theta: np.ndarray, metric: np.ndarray, memory: int, limit: int,
             leave: float):
    """L-BFGS of all lanes from `theta` (npar, R), until a share `leave` is unfinished; θ, F, gradient, finished."""
    lanes = theta.shape[1]
    active = np.arange(lanes)
    value, gradient = compiled.value(theta, samples)
    result = [theta.copy(), value.copy(), gradient.copy(), np.zeros(lanes, dtype=bool)]
    first = (lambda g: metric @ g) if metric.ndim == 2 and metric.shape[0] == metric.shape[1] else (lambda g: metric * g)
    pairs: list[tuple] = []
    direction = -first(gradient)
    slope, step = np.einsum("qr,qr->r", gradient, direction), np.ones(lanes)
    for _ in range(limit):
        ahead, gradient_ahead = compiled.value(theta + step * direction, samples)
        good = ahead <= value + 1e-4 * step * slope + 1e-11
        s = np.where(good, step * direction, 0)
        y = np.where(good, gradient_ahead - gradient, 0)
        theta, value, gradient = theta + s, np.where(good, ahead, value), np.where(good, gradient_ahead, gradient)
        curvature = np.einsum("qr,qr->r", s, y)
        pairs = [*pairs[-memory + 1 :], (s, y, np.divide(1, curvature, out=np.zeros_like(curvature), where=curvature > 1e-18))]
        finished = good & (-slope * step < DECREMENT)
        step = np.where(good, 1.0, step / 2)
        stop = finished | (step < 1e-9)
        if stop.any():
            for target, source in zip(result, (theta, value, gradient, finished), strict=True):
                target[..., active[stop]] = source[..., stop]
            keep = ~stop
            if keep.sum() <= leave * lanes:
                stop = keep
                break
            active, value, slope, step, good = active[keep], value[keep], slope[keep], step[keep], good[keep]
            theta, gradient, direction = theta[:, keep], gradient[:, keep], direction[:, keep]
            samples = [Sample(*(part[..., keep] for part in one)) for one in samples]
            pairs = [(s[:, keep], y[:, keep], rho[keep]) for s, y, rho in pairs]
        q, weights = gradient, []
        for s, y, rho in reversed(pairs):
            weights.append(rho * np.einsum("qr,qr->r", s, q))
            q = q - weights[-1] * y
        q = first(q)
        for (s, y, rho), weight in zip(pairs, reversed(weights), strict=True):
            q += (weight - rho * np.einsum("qr,qr->r", y, q)) * s
        downhill = np.einsum("qr,qr->r", gradient, q)
        direction = np.where(good, -q, direction)
        slope = np.where(good, -downhill, slope)
    else:
        stop = np.ones(len(active), dtype=bool)
    for target, source in zip(result[:3], (theta, value, gradient), strict=True):
        target[..., active[stop]] = source[..., stop]
    return result


def refit(compiled: Compiled, samples: Resamples, start: np.ndarray, limit: int = 300) -> Refits:
    """Fit the model to every sample, to the exact optimum."""
    total, npar = len(samples), compiled.model.npar
    theta, value, gradient = np.full((npar, total), np.nan), np.full(total, np.nan), np.full((npar, total), np.nan)
    finished = np.zeros(total, dtype=bool)
    with np.errstate(all="ignore"):
        metric = np.linalg.inv(_hessian(compiled, start, compiled.prepare(samples.take())))
        theta[:] = start[:, None]
        todo = np.arange(total)
        for leave in (0.15, 0.0):
            for at in range(0, len(todo), CHUNK):
                lanes = todo[at : at + CHUNK]
                theta[:, lanes], value[lanes], gradient[:, lanes], finished[lanes] = _descend(
                    compiled, compiled.prepare(samples.take(lanes)), theta[:, lanes], metric, 12, limit, leave)
            todo = np.flatnonzero(~finished)
        proper = compiled.proper(theta)
    status = np.where(finished, np.where(proper, "converged", "improper"), "failed")
    return Refits(theta.T, value, np.abs(gradient).max(axis=0), status)
