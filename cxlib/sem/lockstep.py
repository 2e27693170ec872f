"""Refits of a compiled model to thousands of samples, all minimised in lockstep to the exact optimum.

L-BFGS (Nocedal & Wright 2006, doi:10.1007/978-0-387-40065-5) for every draw at once, started at the
full-sample estimate with the inverse Hessian of all draws pooled as its metric.  Draws that this does
not bring to an optimum are tried again, from there and from a cold start, with a metric of their own:
the inverse information at their current point, renewed every few steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cxlib.sem.discrepancy import Moments, definite, inverted
from cxlib.sem.kernel import Compiled, Sample, information
from cxlib.sem.model import Model
from cxlib.sem.start import starting_values

CHUNK = 256
"""Lanes worked on together, so that their arrays stay in the processor's cache."""
PILOT = 64
"""Draws that show whether the full-sample estimate is a useful start."""
MEMORY = 3, 40
"""Steps remembered with a metric that fits already, and with a rough one."""
DECREMENT = 1e-16
"""A lane has converged after a step whose predicted gain g'H⁻¹g is below this, whatever the units:
every estimate is then within √(DECREMENT·n/2) of its own standard error from the optimum."""

EXACT = 1e-6
"""A larger gradient, in units of one over the root of the information, is polished further."""


@dataclass(frozen=True)
class Resamples:
    """Weighted samples, of which only sums are kept; their moments are computed when asked for.

    sums : per group, (R, 1 + p + p(p+1)/2): n, Σx and Σx_i·x_j (i ≤ j) of each sample, from :func:`features`
    centre : per group, (p,): what was subtracted from x first
    """

    sums: tuple[np.ndarray, ...] = field(repr=False)
    centre: tuple[np.ndarray, ...] = field(repr=False)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.sums[0])

    def take(self, lanes: np.ndarray | None = None) -> list[Sample]:
        """Moments (divisor n) of these samples, or of all of them pooled; a :class:`Sample` a group."""
        out = []
        for each, centre in zip(self.sums, self.centre, strict=True):
            sums = np.ascontiguousarray(
                (each.mean(axis=0)[None] if lanes is None else each[lanes]).T
            )
            p = len(centre)
            row, col = np.triu_indices(p)
            mean, second = sums[1 : p + 1] / sums[0], sums[p + 1 :] / sums[0]
            second -= mean[row] * mean[col]
            place = np.empty((p, p), dtype=int)
            place[row, col] = place[col, row] = np.arange(len(row))
            out.append(Sample(second[place], mean + centre[:, None], sums[0]))
        return out


def features(x: np.ndarray) -> np.ndarray:
    """1, x_i and x_i·x_j (i ≤ j) of every row of x (n, p): what :class:`Resamples` holds sums of."""
    row, col = np.triu_indices(x.shape[1])
    return np.hstack([np.ones((len(x), 1)), x, x[:, row] * x[:, col]])


def weighted(x: np.ndarray, counts: np.ndarray) -> Resamples:
    """Samples of one group that take every row of x (n, p) counts (R, n) times."""
    centre = x.mean(axis=0)
    return Resamples((counts.astype(float) @ features(x - centre),), (centre,))


def covariances(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Covariance matrices (R, p, p), divisor n, of x (n, p) with every row taken counts (R, n) times."""
    return np.moveaxis(weighted(x, counts).take(np.arange(len(counts)))[0].cov, -1, 0)


def given(cov: Sequence[np.ndarray], mean: Sequence[np.ndarray], n: Sequence[float]) -> Resamples:
    """Moments that exist already, per group cov (R, p, p), mean (R, p) and n, as samples."""
    out = []
    for s, average, size in zip(cov, mean, n, strict=True):
        row, col = np.triu_indices(s.shape[1])
        second = s[:, row, col] + average[:, row] * average[:, col]
        out.append(size * np.hstack([np.ones((len(s), 1)), average, second]))
    return Resamples(tuple(out), tuple(np.zeros(one.shape[1]) for one in mean))


@dataclass(frozen=True)
class Refits:
    """One row a draw: theta (R, npar), NaN where no optimum was found; fmin, gradient, status (R,).

    fmin is F as in :mod:`cxlib.sem.kernel` (without −log|S| − p), gradient the largest |∂F/∂θ| at the end,
    status "converged", "improper" (an optimum where Ψ or Θ has a negative eigenvalue) or "failed".
    """

    theta: np.ndarray = field(repr=False)
    fmin: np.ndarray = field(repr=False)
    gradient: np.ndarray = field(repr=False)
    status: np.ndarray = field(repr=False)


def refit(compiled: Compiled, samples: Resamples, start: np.ndarray) -> Refits:
    """Fit the model to every sample.

    Parameters
    ----------
    compiled : Compiled
    samples : Resamples
    start : ndarray, (npar,)
        The estimate in the full sample, or the truth the samples were simulated from.
    """
    model, work = compiled.model, _Work(compiled, samples, start)
    with np.errstate(all="ignore"):
        pooled, todo = samples.take(), np.arange(len(samples))
        share = [one.n[0] / sum(other.n[0] for other in pooled) for one in pooled]
        sound, todo = _from_the_estimate(work, pooled, start, todo)
        if len(todo):
            cold = starting_values(model, [_moments(one, model) for one in pooled])
            scale = 1 / np.einsum("rii->i", information(model, cold[None], share))
            engine = compiled.dense if sound else compiled
            for begin in (start, cold) if sound else (cold, start):
                work.theta[:, todo] = begin[:, None]
                if begin is cold:
                    todo = work.descend(todo, scale[:, None], 30, engine=engine)
                todo = work.rescue(todo, engine)
        # Next to θ = 0 the form with 1/θ loses digits: such a lane goes on with Σ itself.
        unit = np.sqrt(np.einsum("rii->i", information(model, start[None], share)))
        doubtful = work.finished & ((np.abs(work.gradient) / unit[:, None]).max(axis=0) > EXACT)
        if doubtful.any():
            work.rescue(np.flatnonzero(doubtful), compiled.dense, rounds=2)
        proper = compiled.proper(work.theta)
    status = np.where(work.finished, np.where(proper, "converged", "improper"), "failed")
    theta = np.where(work.finished, work.theta, np.nan).T
    return Refits(theta, work.value, np.abs(work.gradient).max(axis=0), status)


class _Work:
    """Refits under way: where every lane stands, F and its gradient there, and which lanes are finished."""

    def __init__(self, compiled: Compiled, samples: Resamples, start: np.ndarray):
        total = len(samples)
        self.compiled, self.samples, self.start = compiled, samples, start
        self.theta = np.repeat(start[:, None], total, axis=1)
        self.value = np.full(total, np.nan)
        self.gradient = np.full(self.theta.shape, np.nan)
        self.finished = np.zeros(total, dtype=bool)
        self.units = _units(compiled.model)

    def stretch(self, now: np.ndarray) -> np.ndarray:
        """How much larger variances and covariances are than at the start: 1/∂²F changes by the square."""
        (number, first, second), out = self.units, np.ones_like(now)
        unit = (self.start[first] * self.start[second])[:, None]
        out[number] = np.sqrt(np.clip(now[first] * now[second] / unit, 0.1, 10))
        return out

    def descend(
        self,
        lanes: np.ndarray,
        metric: np.ndarray | None,
        limit: int,
        leave: float = 0.0,
        chunk: int = CHUNK,
        engine: Compiled | None = None,
    ) -> np.ndarray:
        """Descend with these lanes and say which are unfinished; without a metric each has its own."""
        engine = engine or self.compiled
        for at in range(0, len(lanes), chunk):
            some = lanes[at : at + chunk]
            data = engine.prepare(self.samples.take(some))
            now = _own_metric(engine, self.theta[:, some], data) if metric is None else metric
            (
                self.theta[:, some],
                self.value[some],
                self.gradient[:, some],
                self.finished[some],
            ) = _descend(engine, data, self.theta[:, some], now, limit, leave, self.stretch)
        return lanes[~self.finished[lanes]]

    def rescue(self, lanes: np.ndarray, engine: Compiled, rounds: int = 8) -> np.ndarray:
        """Descend with a metric of each lane's own, renewed every round."""
        chunk = min(CHUNK, 1 + 1_000_000 // engine.model.npar**2)
        for _ in range(rounds):
            lanes = self.descend(lanes, None, 40, chunk=chunk, engine=engine)
        return lanes


def _from_the_estimate(
    work: _Work, pooled: Sequence[Sample], start: np.ndarray, todo: np.ndarray
) -> tuple[bool, np.ndarray]:
    """Descend from the full-sample estimate with the Hessian there, if a pilot shows that it helps; what is left to do."""
    curvature = work.compiled.hessian(start, work.compiled.prepare(pooled))
    if not definite(curvature):
        return False, todo
    metric = inverted(curvature)
    left = work.descend(todo[:PILOT], metric, 60)
    if len(left) >= 0.2 * min(PILOT, len(todo)):
        return False, todo
    left = np.concatenate([left, work.descend(todo[PILOT:], metric, 60, leave=0.15)])
    return True, work.descend(left, metric, 60)


def _moments(sample: Sample, model: Model) -> Moments:
    """The first lane of a sample as moments of the model's variables."""
    return Moments(
        pd.DataFrame(sample.cov[:, :, 0], model.observed, model.observed),
        pd.Series(sample.mean[:, 0], model.observed),
        0,
    )


def _units(model: Model) -> np.ndarray:
    """Free numbers of (co)variances and of the two variances whose product is the square of each one's unit, (3, count)."""
    rows = model.table[(model.table["free"] > 0) & model.table["matrix"].isin(["psi", "theta"])]
    variance = {
        (row.group, row.matrix, row.row): row.free - 1
        for row in rows.itertuples()
        if row.row == row.col
    }
    found = [
        (
            row.free - 1,
            variance.get((row.group, row.matrix, row.row)),
            variance.get((row.group, row.matrix, row.col)),
        )
        for row in rows.itertuples()
    ]
    return np.array([one for one in found if None not in one], dtype=int).reshape(-1, 3).T


def _information_of_one(model: Model, theta: np.ndarray, share: Sequence[float]) -> np.ndarray:
    """Expected information at one point (1, npar, npar), NaN where Σ is singular."""
    try:
        return information(model, theta[None], share)
    except np.linalg.LinAlgError:
        return np.full((1, len(theta), len(theta)), np.nan)


def _own_metric(compiled: Compiled, theta: np.ndarray, data: list[Sample]) -> np.ndarray:
    """Inverse expected information of every lane at its own point, slightly ridged, (npar, npar, R)."""
    share = [one.n.mean() / sum(other.n.mean() for other in data) for one in data]
    try:
        curvature = information(compiled.model, theta.T, share)
    except (
        np.linalg.LinAlgError
    ):  # a lane stands where Σ is singular, as resamples of few rows may: it alone has no metric
        curvature = np.concatenate(
            [_information_of_one(compiled.model, one, share) for one in theta.T]
        )
    scale = 1 / np.sqrt(np.einsum("rii->ri", curvature))
    outer = scale[:, :, None] * scale[:, None, :]
    inverse = np.linalg.inv(curvature * outer + 1e-6 * np.eye(len(theta))) * outer
    return np.ascontiguousarray(np.moveaxis(inverse, 0, -1))


def _descend(
    compiled: Compiled,
    data: list[Sample],
    theta: np.ndarray,
    metric: np.ndarray,
    limit: int,
    leave: float,
    stretch: Callable[[np.ndarray], np.ndarray],
) -> list[np.ndarray]:
    """L-BFGS from `theta` (npar, R) until a share `leave` of the lanes is unfinished; θ, F, ∂F/∂θ, finished.

    metric : (npar, npar), stretched once in each lane to its own variances; (npar, npar, R); or (npar, 1), a
        diagonal that is rescaled by every step.
    """
    shared, diagonal = metric.ndim == 2, metric.shape[1] == 1
    memory = MEMORY[diagonal or not shared]
    lanes = theta.shape[1]
    value, gradient = compiled.value(theta, data)
    result = [theta.copy(), value.copy(), gradient.copy(), np.zeros(lanes, dtype=bool)]
    active: np.ndarray = np.arange(lanes)
    gone: np.ndarray = np.zeros(lanes, dtype=bool)
    gauge: np.ndarray = np.ones(lanes)
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    direction = -_measured(gradient, metric, gauge)
    slope, step = np.einsum("qr,qr->r", gradient, direction), np.ones(lanes)
    for _ in range(limit):
        s = step * direction
        trial, after = compiled.value(theta + s, data)
        good = trial <= value + 1e-4 * step * slope + 1e-11
        if not good.all():
            s, trial, after = (
                np.where(good, s, 0),
                np.where(good, trial, value),
                np.where(good, after, gradient),
            )
        y = after - gradient
        theta, value, gradient = theta + s, trial, after
        bend = np.einsum("qr,qr->r", s, y)
        pairs = [*pairs[1 - memory :], (s, y, np.where(bend > 1e-18, 1 / bend, 0))]
        finished = good & (-slope * step < DECREMENT)
        step = np.where(good, 1.0, step / 2)
        stop = (finished | (step < 1e-9)) & ~gone
        if stop.any():
            _keep(result, (theta, value, gradient, finished), active, stop)
            gone = gone | stop
            if len(gone) - gone.sum() <= leave * lanes:
                break
            if gone.mean() > 0.1:  # moving lanes together costs more than a few idle ones
                keep = ~gone
                active, value, slope, step, theta, gradient, direction, gone, gauge = (
                    one[..., keep]
                    for one in (active, value, slope, step, theta, gradient, direction, gone, gauge)
                )
                metric = metric if shared else metric[:, :, keep]
                data = [Sample(*(part[..., keep] for part in one)) for one in data]
                pairs = [(s[:, keep], y[:, keep], weight[keep]) for s, y, weight in pairs]
        if diagonal:
            s, y, weight = pairs[-1]
            gauge = np.where(weight > 0, 1 / (weight * np.einsum("qr,qr->r", y, metric * y)), gauge)
        elif len(pairs) == 1:
            gauge = stretch(theta)
        direction, slope = _downhill(pairs, gradient, metric, gauge)
    _keep(result[:3], (theta, value, gradient), active, ~gone)
    return result


def _keep(
    result: Sequence[np.ndarray], now: Sequence[np.ndarray], active: np.ndarray, which: np.ndarray
) -> None:
    """Write what some of the active lanes have reached to their places in the result."""
    for target, source in zip(result, now, strict=True):
        target[..., active[which]] = source[..., which]


def _measured(gradient: np.ndarray, metric: np.ndarray, gauge: np.ndarray) -> np.ndarray:
    """The metric of :func:`_descend` times a gradient."""
    if metric.ndim == 3:
        return np.einsum("abr,br->ar", metric, gradient)
    if metric.shape[1] == 1:
        return metric * gradient * gauge
    return gauge * (metric @ (gauge * gradient))


def _downhill(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    gradient: np.ndarray,
    metric: np.ndarray,
    gauge: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The way down and its slope: minus the gradient times the inverse Hessian that the last steps tell, from the metric on."""
    ahead, parts, scratch = gradient.copy(), [], np.empty_like(gradient)
    for s, y, weight in reversed(pairs):
        parts.append(weight * np.einsum("qr,qr->r", s, ahead))
        ahead -= np.multiply(parts[-1], y, out=scratch)
    ahead = _measured(ahead, metric, gauge)
    for (s, y, weight), part in zip(pairs, reversed(parts), strict=True):
        ahead += np.multiply(part - weight * np.einsum("qr,qr->r", y, ahead), s, out=scratch)
    slope = np.einsum("qr,qr->r", gradient, ahead)
    back = slope <= 0
    if back.any():
        ahead = np.where(back, _measured(gradient, metric, gauge), ahead)
        slope = np.einsum("qr,qr->r", gradient, ahead)
    return -ahead, -slope
