"""One model, thousands of covariance matrices: F, its gradient and information for all of them at once.

A model is compiled once into index arrays.  Every draw (a bootstrap sample, a leave-one-out sample, a
simulated one) is then a *lane*, the last axis of every array, so that each step is one NumPy call for
all lanes.  Σ = Λ(I−B)⁻¹Ψ(I−B)⁻ᵀΛ' + Θ, and F = log|Σ| + tr(SΣ⁻¹) + (x̄−μ)'Σ⁻¹(x̄−μ).

With diagonal Θ, T = Ψ⁻¹(I−B) and N = (I−B)'T + Λ'Θ⁻¹Λ the states have posterior precision N; with
Y = E(xη') and M = E(ηη') given the sample, Fisher's identity says

    ∂F/∂Λ = 2Θ⁻¹(ΛM − Y)    ∂F/∂B = 2((I−B)⁻ᵀ − TM)    ∂F/∂Ψ ∝ Ψ⁻¹ − TMT'
    ∂F/∂θ = (θ − s + 2λ'y − λ'Mλ)/θ²

where every product is of the size of the states, not of the items.  A state that *is* an observed
variable (an observed predictor, a single indicator without residual) has no posterior variance and
joins as data.  Σ is positive definite exactly if N has as many negative eigenvalues as Ψ and Θ
together (Haynsworth 1968, doi:10.1016/0024-3795(68)90050-5), so negative variances stay exact.
Whatever remains (correlated residuals, variances fixed to 0) is done with Σ itself.
Fisher's identity for factor models: Rubin & Thayer (1982, doi:10.1007/BF02293851).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlib.sem.discrepancy import places
from cxlib.sem.model import MATRICES, Model


class Sample(NamedTuple):
    """Moments of one group, a lane each: cov (p, p, R), mean (p, R), n (R,)."""

    cov: np.ndarray
    mean: np.ndarray
    n: np.ndarray


class _Part(NamedTuple):
    """Entries of one matrix: where each value comes from (row of [θ; constants]) and where it goes."""

    take: np.ndarray
    row: np.ndarray
    col: np.ndarray


class _Loadings(NamedTuple):
    """Sums over loadings: `by_state` pairs (loadings, items) of each state; the rest by products with 0/1.

    Loadings a, b of the same item are a pair: `first`, `second` number them, `cell` is (state of a, state
    of b) without repeats, `to_cell` adds pairs up into cells, `to_first` into a, `to_item` loadings into items.
    """

    by_state: tuple
    first: np.ndarray
    second: np.ndarray
    cell: tuple
    to_cell: np.ndarray
    to_first: np.ndarray
    to_item: np.ndarray


@dataclass(frozen=True)
class _Group:
    """One group's entries.  Items and states are reordered: first the soft ones, then the exact states.

    items, states : how many are soft; order, scale : turn a sample into this order, exact states in their
    own unit; unit : loadings that are no parameters; diagonal : Θ is; blocks : states whose disturbances covary.
    """

    parts: dict[str, _Part]
    size: tuple[int, int]
    items: int
    states: int
    order: np.ndarray
    scale: np.ndarray
    unit: np.ndarray
    diagonal: bool
    recursive: bool
    means: bool
    blocks: tuple
    loadings: _Loadings


@dataclass(frozen=True)
class Compiled:
    """A model as index arrays, made by :func:`compile`."""

    model: Model
    groups: tuple[_Group, ...] = field(repr=False)
    constants: np.ndarray = field(repr=False)
    gather: np.ndarray = field(repr=False)
    starts: np.ndarray | None = field(repr=False)

    def value(self, theta: np.ndarray, samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
        """F (R,) and ∂F/∂θ (npar, R) at theta (npar, R), groups weighted by n_g/n.

        F is infinite where Σ is not positive definite.  The samples come from :meth:`prepare`.
        """
        total, size = np.zeros(theta.shape[1]), sum(sample.n for sample in samples)
        local: list[np.ndarray] = []
        for group, x, sample in zip(self.groups, self._entries(theta), samples, strict=True):
            value, gradient = (_diagonal if group.diagonal else _dense)(group, x, sample)
            share = sample.n / size
            total = total + share * value
            local.extend(
                [piece * share for piece in gradient] if len(self.groups) > 1 else gradient
            )
        gathered = np.concatenate(local)[self.gather]
        return total, gathered if self.starts is None else np.add.reduceat(
            gathered, self.starts, axis=0
        )

    def prepare(self, samples: Sequence[Sample]) -> list[Sample]:
        """Samples with their items in the order and scale of the compiled groups."""
        out = []
        for group, sample in zip(self.groups, samples, strict=True):
            cov, scale = sample.cov, group.scale[:, None]
            if (group.order != np.arange(len(cov))).any():
                cov = cov[group.order[:, None], group.order]
            if (scale != 1).any():
                cov = cov * scale * scale[:, None]
            out.append(Sample(cov, sample.mean[group.order] * scale, sample.n))
        return out

    def hessian(self, theta: np.ndarray, samples: Sequence[Sample]) -> np.ndarray:
        """Observed Hessian of F at one θ (npar,) and one sample, by central differences in one call."""
        total = sum(sample.n[0] for sample in samples)
        unit = (
            np.einsum(
                "rii->i",
                information(self.model, theta[None], [sample.n[0] / total for sample in samples]),
            )
            ** -0.5
        )
        step = (
            1e-5 * unit
        )  # of the size of a standard error in one row, whatever the variables' units
        wide = [
            Sample(*(np.repeat(part, 2 * len(theta), axis=-1) for part in one)) for one in samples
        ]
        gradient = self.value(theta[:, None] + np.hstack([np.diag(step), -np.diag(step)]), wide)[1]
        out = (gradient[:, : len(theta)] - gradient[:, len(theta) :]) / (2 * step)
        return (out + out.T) / 2

    @cached_property
    def dense(self) -> Compiled:
        """The same model worked with Σ itself."""
        return compile(self.model, dense=True)

    def proper(self, theta: np.ndarray) -> np.ndarray:
        """Whether Ψ and Θ have no negative eigenvalue, a lane each."""
        good = np.ones(theta.shape[1], dtype=bool)
        for group, x in zip(self.groups, self._entries(theta), strict=True):
            for name in ("theta", "psi"):
                _, row, col = group.parts[name]
                good &= (x[name][row == col] >= 0).all(axis=0)
                mixed = np.union1d(row[row != col], col[row != col])
                inside = np.isin(row, mixed) & np.isin(col, mixed)
                block = _Part(
                    row, np.searchsorted(mixed, row[inside]), np.searchsorted(mixed, col[inside])
                )
                good &= _inverse(_symmetric(block, x[name][inside], len(mixed)))[2] == 0
        return good

    def _entries(self, theta: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Values of every entry of every matrix of each group, (entries, R)."""
        constants = np.broadcast_to(self.constants[:, None], (len(self.constants), theta.shape[1]))
        values = np.concatenate([theta, constants])
        return [
            {name: values[part.take] for name, part in group.parts.items()} for group in self.groups
        ]


def compile(model: Model, dense: bool = False) -> Compiled:
    """Turn a model into index arrays; numbers may be shared between entries and groups (equality).

    dense : work with Σ itself even if Θ is diagonal: slower, but exact also where a residual variance is
    next to 0.
    """
    constants: list[float] = []
    groups, owners = [], []
    for number in range(model.n_groups):
        group, owner, fixed = _group(model, number, model.npar + len(constants), dense)
        constants.extend(fixed)
        groups.append(group)
        owners.append(owner)
    owner = np.concatenate(owners)
    gather = np.argsort(owner, kind="stable")
    gather = gather[owner[gather] > 0]
    starts = np.unique(owner[gather], return_index=True)[1]
    return Compiled(
        model,
        tuple(groups),
        np.array(constants, dtype=float),
        gather,
        starts if len(starts) < len(gather) else None,
    )


def _group(
    model: Model, number: int, offset: int, dense: bool
) -> tuple[_Group, np.ndarray, list[float]]:
    """Index arrays of one group, the free number of each entry (0: fixed), and the fixed values."""
    table = model.table[
        (model.table["group"] == number) & ((model.table["free"] > 0) | (model.table["value"] != 0))
    ]
    by = {name: table[table["matrix"] == name] for name in MATRICES}
    p, m, latent = len(model.observed), len(model.state), len(model.latent)
    loads, theta, psi = by["lambda"], by["theta"], by["psi"]
    residual = {*theta["row"], *theta["col"]}
    exact = _exact(model, loads, residual)
    taken = [item for item, _ in exact.values()]
    diagonal = bool(
        not dense
        and (theta["row"] == theta["col"]).all()
        and len(theta) + len(exact) == p
        and residual.isdisjoint(taken)
        and set(psi.loc[psi["row"] == psi["col"], "row"]) == set(range(m))
    )
    unit = np.zeros((p, m))
    if diagonal:
        by["lambda"] = loads = loads[~loads["row"].isin(taken)]
        unit[np.arange(p - len(exact), p), np.arange(m - len(exact), m)] = 1
    else:
        unit[[item for item, _ in list(exact.values())[: m - latent]], np.arange(latent, m)] = 1
        exact, taken = {}, []
    soft = [at for at in range(m) if at not in exact]
    order = _order(p, m, loads if diagonal else loads[:0], taken)
    item_at, state_at = np.argsort(order), np.argsort([*soft, *exact])
    parts, owner = {}, []
    fixed: list[float] = []
    for name, rows in by.items():
        row = (state_at if name in ("beta", "psi", "alpha") else item_at)[rows["row"].to_numpy(int)]
        col = (item_at if name == "theta" else state_at)[rows["col"].to_numpy(int)]
        sort = np.lexsort((row, col) if name == "lambda" else (col, row))
        free, value = rows["free"].to_numpy(int)[sort], rows["value"].to_numpy(float)[sort]
        take = free - 1
        take[free == 0] = offset + len(fixed) + np.arange((free == 0).sum())
        fixed.extend(value[free == 0])
        owner.append(free)
        parts[name] = _Part(take, row[sort], col[sort])
    paths = np.zeros((m, m))
    paths[parts["beta"].row, parts["beta"].col] = 1
    scale = np.array([1.0] * (p - len(exact)) + [1 / value for _, value in exact.values()])
    group = _Group(
        parts,
        (p, m),
        p - len(exact),
        len(soft),
        order,
        scale,
        unit,
        diagonal,
        not np.linalg.matrix_power(paths, m).any(),
        model.means,
        _blocks(parts["psi"], m),
        _loadings(parts["lambda"], len(soft), p - len(exact)),
    )
    return group, np.concatenate(owner), fixed


def _exact(model: Model, loads: pd.DataFrame, residual: set[int]) -> dict[int, tuple[int, float]]:
    """The states that are an observed variable: which, and its loading."""
    latent = len(model.latent)
    exact = {
        at: (model.observed.index(model.state[at]), 1.0) for at in range(latent, len(model.state))
    }
    for at, mine in loads.groupby("col"):
        item, value = int(mine["row"].iloc[0]), float(mine["value"].iloc[0])
        if (
            len(mine) == 1
            and not np.isnan(value)
            and item not in residual
            and (loads["row"] == item).sum() == 1
        ):
            exact[at] = item, value
    return exact


def _order(items: int, states: int, loads: pd.DataFrame, last: list[int]) -> np.ndarray:
    """Items by the first state they load on, then those that are states themselves."""
    first = dict(zip(loads["row"][::-1], loads["col"][::-1], strict=True))
    rest = sorted(set(range(items)) - set(last), key=lambda item: (first.get(item, states), item))
    return np.array([*rest, *last], dtype=int)


def _blocks(psi: _Part, states: int) -> tuple[slice | np.ndarray, ...]:
    """States whose disturbances covary, directly or through others."""
    label = np.arange(states)
    for _ in range(states):
        for a, b in zip(psi.row, psi.col, strict=True):
            label[a] = label[b] = min(label[a], label[b])
    return tuple(_span(np.flatnonzero(label == value)) for value in np.unique(label))


def _loadings(part: _Part, states: int, items: int) -> _Loadings:
    """Which loadings belong together."""
    first, second = np.nonzero(part.row[:, None] == part.row)
    cells, which = np.unique(
        part.col[first] * max(states, 1) + part.col[second], return_inverse=True
    )
    mine = [np.flatnonzero(part.col == at) for at in range(states)]
    return _Loadings(
        tuple((_span(one), _span(part.row[one])) for one in mine),
        first,
        second,
        np.divmod(cells, max(states, 1)),
        1.0 * (np.arange(len(cells))[:, None] == which),
        1.0 * (np.arange(len(part.row))[:, None] == first),
        1.0 * (np.arange(items)[:, None] == part.row),
    )


def _span(index: np.ndarray) -> slice | np.ndarray:
    """The same index as a slice if it is an unbroken run: a slice makes no copy."""
    return slice(index[0], index[-1] + 1) if len(index) and (np.diff(index) == 1).all() else index


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b, a lane each."""
    return np.einsum("ikr,kjr->ijr", a, b)


def _inverse(a: np.ndarray, symmetric: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inverse, log|det| and (of a symmetric matrix) number of negative eigenvalues, a lane each, by halves."""
    if len(a) < 2:
        return 1 / a, np.log(np.abs(a)).sum(axis=(0, 1)), (a < 0).sum(axis=(0, 1))
    out, half = np.empty_like(a), len(a) // 2
    if len(a) == 2:
        rest = a[1, 1] - a[0, 1] * a[1, 0] / a[0, 0]
        determinant = a[0, 0] * rest
        out[0, 0], out[1, 1], out[0, 1], out[1, 0] = a[1, 1], a[0, 0], -a[0, 1], -a[1, 0]
        return out / determinant, np.log(np.abs(determinant)), (a[0, 0] < 0) + 1 * (rest < 0)
    head, log_head, negative_head = _inverse(a[:half, :half], symmetric)
    right = _product(head, a[:half, half:])
    left = right.transpose(1, 0, 2) if symmetric else _product(a[half:, :half], head)
    tail, log_tail, negative_tail = _inverse(
        a[half:, half:] - _product(a[half:, :half], right), symmetric
    )
    out[half:, half:], out[:half, half:] = tail, -_product(right, tail)
    out[half:, :half] = out[:half, half:].transpose(1, 0, 2) if symmetric else -_product(tail, left)
    out[:half, :half] = head - _product(out[:half, half:], left)
    return out, log_head + log_tail, negative_head + negative_tail


def _symmetric(part: _Part, values: np.ndarray, size: int) -> np.ndarray:
    """A symmetric matrix from its entries, (size, size, R)."""
    out = np.zeros((size, size, values.shape[1]))
    out[part.row, part.col] = out[part.col, part.row] = values
    return out


def _paths(group: _Group, x: dict) -> np.ndarray:
    """I − B, (m, m, R)."""
    beta, states = group.parts["beta"], np.arange(group.size[1])
    out = np.zeros((len(states), len(states), x["psi"].shape[1]))
    out[states, states], out[beta.row, beta.col] = 1, -x["beta"]
    return out


def _diagonal(group: _Group, x: dict, sample: Sample) -> tuple[np.ndarray, list[np.ndarray]]:
    """F and its gradient at every entry, Θ diagonal: everything at the size of the states."""
    soft, items, by = group.states, group.items, group.loadings
    (_, rows, col), beta, psi = group.parts["lambda"], group.parts["beta"], group.parts["psi"]
    lam, theta, s, row = x["lambda"], x["theta"], sample.cov, _span(rows)
    paths = _paths(group, x)
    total, log_paths = (
        _inverse(paths, symmetric=False)[:2]
        if group.means or not group.recursive
        else (np.empty((0, 0, 0)), np.zeros(()))
    )
    if group.means:
        average, delta = _means(group, x, total, sample.mean)
        s = s + delta[:, None] * delta
    precision, t, log_psi, negative = _disturbances(group, x["psi"], paths)
    weight, negative = lam / theta[row], negative + (theta < 0).sum(axis=0)
    n = np.einsum("kir,kjr->ijr", paths, t)
    n[by.cell] += by.to_cell @ (weight[by.first] * lam[by.second])
    inverse, log_n, negative_n = _inverse(n[:soft, :soft])
    b, u, y = _forms(group, s, n, inverse, weight)
    a = _product(inverse, u)
    moment, own = np.empty_like(paths), np.einsum("iir->ir", s)[:items]
    moment[:soft, :soft] = inverse + _product(a, inverse)
    moment[soft:, :soft], moment[soft:, soft:] = _product(b[items:], inverse), s[items:, items:]
    moment[:soft, soft:] = moment[soft:, :soft].transpose(1, 0, 2)
    value = (
        np.log(np.abs(theta)).sum(axis=0)
        + log_psi
        + log_n
        - 2 * log_paths
        - 2 * np.log(np.abs(group.scale)).sum()
        + (own / theta).sum(axis=0)
        + np.einsum("ijr,ijr->r", n[soft:, soft:], s[items:, items:])
        - np.einsum("iir->r", a)
    )
    gap = by.to_first @ (lam[by.second] * moment[col[by.second], col[by.first]]) - y
    tm = _product(t, moment)
    to_beta = -2 * tm[beta.row, beta.col]
    if not group.recursive:
        to_beta += 2 * total[beta.col, beta.row]
    to_psi = precision[psi.row, psi.col] - np.einsum("kjr,kjr->kr", tm[psi.row], t[psi.col])
    gradient = [
        2 * gap / theta[row],
        to_beta,
        np.where(psi.row == psi.col, 1, 2)[:, None] * to_psi,
        (theta - own + by.to_item @ (lam * (y - gap))) / theta**2,
    ]
    if group.means:
        v = _to_states(group, lam, np.vstack([delta[:items] / theta, 0 * delta[items:]]))[:soft]
        eta = np.einsum(
            "ijr,jr->ir", inverse, v - np.einsum("ijr,jr->ir", n[:soft, soft:], delta[items:])
        )
        push = [
            (delta[:items] - by.to_item @ (lam * eta[col])) / theta,
            np.einsum("ijr,jr->ir", n[soft:], np.vstack([eta, delta[items:]])),
        ]
        gradient = _with_means(group, gradient, -2 * np.vstack(push), x, average, total)
    return np.where(negative_n == negative, value, np.inf), gradient


def _forms(
    group: _Group, s: np.ndarray, n: np.ndarray, inverse: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """b = E(x v') and u = E(v v'), v the linear form whose product with N⁻¹ is the posterior mean; y = E(x η') at the loadings."""
    soft, items, m = group.states, group.items, group.size[1]
    b, u, y = np.empty((len(s), soft, s.shape[2])), np.empty_like(inverse), np.empty_like(weight)
    for at, (loads, which) in enumerate(group.loadings.by_state):
        np.einsum("ikr,kr->ir", s[:, which], weight[loads], out=b[:, at])
    if soft < m:
        b -= _product(s[:, items:], n[soft:, :soft])
    for at, (loads, which) in enumerate(group.loadings.by_state):
        np.einsum("kr,klr->lr", weight[loads], b[which], out=u[at])
        y[loads] = np.einsum("klr,lr->kr", b[which], inverse[at])
    if soft < m:
        u -= _product(n[:soft, soft:], b[items:])
    return b, u, y


def _disturbances(
    group: _Group, psi: np.ndarray, paths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ψ⁻¹, T = Ψ⁻¹(I−B), log|Ψ| and the number of its negative eigenvalues, block by block."""
    disturbance = _symmetric(group.parts["psi"], psi, group.size[1])
    precision, t = np.zeros_like(paths), np.empty_like(paths)
    log_psi, negative = np.zeros(psi.shape[1]), np.zeros(psi.shape[1], dtype=int)
    for block in group.blocks:
        at = (block, block) if isinstance(block, slice) else np.ix_(block, block)
        precision[at], log_block, negative_block = _inverse(disturbance[at])
        t[block] = _product(precision[at], paths[block])
        log_psi, negative = log_psi + log_block, negative + negative_block
    return precision, t, log_psi, negative


def _dense(group: _Group, x: dict, sample: Sample) -> tuple[np.ndarray, list[np.ndarray]]:
    """F and its gradient at every entry with Σ itself: any Θ and Ψ."""
    (_, row, col), beta, psi, theta = (group.parts[name] for name in MATRICES[:4])
    total, s = _inverse(_paths(group, x), symmetric=False)[0], sample.cov
    lam = np.repeat(group.unit[:, :, None], len(sample.n), axis=2)
    lam[row, col] = x["lambda"]
    g = _product(lam, total)
    g_psi = _product(g, _symmetric(psi, x["psi"], group.size[1]))
    sigma = np.einsum("ikr,jkr->ijr", g_psi, g) + _symmetric(theta, x["theta"], group.size[0])
    inverse, log_sigma, negative = _inverse(sigma)
    if group.means:
        average, delta = _means(group, x, total, sample.mean)
        s = s + delta[:, None] * delta
    half = _product(inverse, s)
    w = inverse - _product(half, inverse)
    w_lambda = _product(w, np.einsum("ikr,jkr->ijr", g_psi, total))
    twice = [np.where(part.row == part.col, 1, 2)[:, None] for part in (psi, theta)]
    gradient = [
        2 * w_lambda[row, col],
        2 * np.einsum("kir,kjr->ijr", g, w_lambda)[beta.row, beta.col],
        twice[0] * np.einsum("kir,kjr->ijr", g, _product(w, g))[psi.row, psi.col],
        twice[1] * w[theta.row, theta.col],
    ]
    if group.means:
        gradient = _with_means(
            group, gradient, -2 * np.einsum("ijr,jr->ir", inverse, delta), x, average, total
        )
    return np.where(negative == 0, log_sigma + np.einsum("iir->r", half), np.inf), gradient


def _means(
    group: _Group, x: dict, total: np.ndarray, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """E(η) = (I−B)⁻¹α and x̄ − μ."""
    nu, alpha = group.parts["nu"].row, group.parts["alpha"].row
    average = np.einsum("ijr,jr->ir", total[:, alpha], x["alpha"])
    delta = mean - group.unit @ average
    delta[: group.items] -= group.loadings.to_item @ (
        x["lambda"] * average[group.parts["lambda"].col]
    )
    delta[nu] -= x["nu"] * group.scale[nu, None]
    return average, delta


def _to_states(group: _Group, lam: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Λ' times a vector of items, (m, R)."""
    out = group.unit.T @ items
    for at, (loads, which) in enumerate(group.loadings.by_state):
        out[at] += (lam[loads] * items[which]).sum(axis=0)
    return out


def _with_means(
    group: _Group, gradient: list, push: np.ndarray, x: dict, average: np.ndarray, total: np.ndarray
) -> list:
    """The gradient with what the means contribute and its own entries; push is ∂F/∂μ."""
    (_, row, col), beta = group.parts["lambda"], group.parts["beta"]
    nu, alpha = group.parts["nu"].row, group.parts["alpha"].row
    state = np.einsum("kir,kr->ir", total, _to_states(group, x["lambda"], push))
    return [
        gradient[0] + push[row] * average[col],
        gradient[1] + state[beta.row] * average[beta.col],
        *gradient[2:],
        push[nu] * group.scale[nu, None],
        state[alpha],
    ]


def entries(rows: pd.DataFrame, theta: np.ndarray) -> np.ndarray:
    """The value of every row of a parameter table at theta (R, npar), (R, rows)."""
    free = rows["free"].to_numpy(int)
    return np.where(free > 0, theta[:, np.maximum(free, 1) - 1], rows["value"].to_numpy(float))


def matrices(model: Model, theta: np.ndarray, group: int = 0) -> dict[str, np.ndarray]:
    """The matrices of one group at theta (R, npar), draws first: those of the model, and what they imply.

    Returns
    -------
    dict
        lambda, beta, psi, theta, nu, alpha; total = (I−B)⁻¹, phi = Cov(η), sigma = Cov(x).
    """
    m = len(model.state)
    size = model.shapes
    out: dict[str, np.ndarray] = {name: np.zeros((len(theta), *size[name])) for name in MATRICES}
    for at, name in enumerate(model.state[len(model.latent) :], len(model.latent)):
        out["lambda"][:, model.observed.index(name), at] = 1
    for name, rows in model.table[model.table["group"] == group].groupby("matrix"):
        values, row, col = (
            entries(rows, theta),
            rows["row"].to_numpy(int),
            rows["col"].to_numpy(int),
        )
        if name in ("nu", "alpha"):
            out[name][:, row] = values
        else:
            out[name][:, row, col] = values
        if name in ("psi", "theta"):
            out[name][:, col, row] = values
    out["total"] = np.linalg.inv(np.eye(m) - out["beta"])
    out["phi"] = out["total"] @ out["psi"] @ out["total"].transpose(0, 2, 1)
    out["sigma"] = out["lambda"] @ out["phi"] @ out["lambda"].transpose(0, 2, 1) + out["theta"]
    return out


def information(model: Model, theta: np.ndarray, share: Sequence[float] = (1.0,)) -> np.ndarray:
    """Expected Hessian of F at theta (R, npar), (R, npar, npar); share: n_g/n of each group.

    The covariances of the estimates are 2/n times its inverse.
    """
    out = np.zeros((len(theta), model.npar, model.npar))
    for group, weight in enumerate(share):
        rows = model.table[(model.table["group"] == group) & (model.table["free"] > 0)]
        u, v, c, s = places(model, rows)
        at = matrices(model, theta, group)
        g = at["lambda"] @ at["total"]
        eye = np.broadcast_to(np.eye(g.shape[1]), (len(g), g.shape[1], g.shape[1]))
        d = np.concatenate([eye, g, at["lambda"] @ at["phi"]], axis=2)
        k = d.transpose(0, 2, 1) @ np.linalg.solve(at["sigma"], d)
        eta = np.pad(np.einsum("rij,rj->ri", at["total"], at["alpha"]), ((0, 0), (0, 2)))
        eta[:, -2] = 1
        u_u, mean = k[:, u[:, None], u], eta[:, s]
        local = (
            2
            * np.outer(c, c)
            * (u_u * k[:, v[:, None], v] + k[:, u[:, None], v] * k[:, v[:, None], u])
        )
        local += 2 * mean[:, :, None] * mean[:, None, :] * u_u
        owner = 1.0 * (np.arange(1, model.npar + 1)[:, None] == rows["free"].to_numpy())
        out += weight * (owner @ local @ owner.T)
    return out
