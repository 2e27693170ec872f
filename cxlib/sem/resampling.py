"""Bootstrap, jackknife, intervals and simulated samples of a fitted model: one engine serves them all.

Every function has :mod:`cxlib.sem.lockstep` find the exact optimum in many samples at once, and says in
how many of them there was one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from cxlib.core.errors import ArgumentError
from cxlib.core.words import _
from cxlib.sem import kernel, lockstep
from cxlib.sem.discrepancy import inverted
from cxlib.sem.model import Model
from cxlib.sem.result import Fit

BLOCK, LANES = 4096, 256
"""Units and draws whose counts exist at one time."""
MOST_KEPT = 20_000
"""Units up to which a bootstrap's counts are kept."""


@dataclass(frozen=True)
class Draws:
    """Estimates of one model in many samples.

    theta : (R, npar), free numbers in the order of ``model.table.free``, NaN where there is no optimum
    status : (R,) "converged", "improper" (an optimum where Ψ or Θ has a negative eigenvalue) or "failed"
    gradient : (R,) largest |∂F/∂θ| at the end; fmin : (R,) F as in :mod:`cxlib.sem.kernel`
    samples : their moments
    counts : per group (R, units), how often each row (or cluster) is in each sample; empty if not resampled, and
        above 20,000 units, where they are drawn, added up and forgotten
    """

    model: Model = field(repr=False)
    theta: np.ndarray = field(repr=False)
    status: np.ndarray = field(repr=False)
    gradient: np.ndarray = field(repr=False)
    fmin: np.ndarray = field(repr=False)
    samples: lockstep.Resamples = field(repr=False)
    counts: tuple[np.ndarray, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Number of draws, failed ones included."""
        return len(self.theta)

    @property
    def failed(self) -> int:
        """Draws without an optimum; their theta is NaN."""
        return int((self.status == "failed").sum())

    @property
    def improper(self) -> int:
        """Draws whose optimum is improper; they are kept."""
        return int((self.status == "improper").sum())

    @property
    def converged(self) -> int:
        """Draws with an optimum, improper ones included."""
        return len(self) - self.failed

    def structural(self, group: int = 0, standardized: bool = False) -> np.ndarray:
        """B of every draw, (R, m, m) over ``model.state``: entry [r, i, j] is the path from j to i.

        standardized : times the implied sd of j, divided by that of i (std.all).
        """
        at = kernel.matrices(self.model, self.theta, group)
        if not standardized:
            return at["beta"]
        with np.errstate(invalid="ignore"):
            sd = np.sqrt(np.einsum("rii->ri", at["phi"]))
        return at["beta"] * sd[:, None, :] / sd[:, :, None]

    def standardized(self) -> np.ndarray:
        """Completely standardised values (std.all) of every draw, (R, rows of ``model.table``)."""
        return standardize(self.model, self.theta)


def standardize(model: Model, theta: np.ndarray) -> np.ndarray:
    """std.all of every row of ``model.table``, (R, rows), at theta (R, npar); NaN where a variance is negative.

    Loadings and paths are multiplied by the sd of the cause and divided by that of the effect, variances
    divided by the total variance, covariances by both residual sd, intercepts by the total sd.

    Notes
    -----
    R: ``standardizedSolution(fit, type = "std.all")``.
    """
    out, table = np.empty((len(theta), len(model.table))), model.table
    for group in range(model.n_groups):
        at = kernel.matrices(model, theta, group)
        with np.errstate(invalid="ignore", divide="ignore"):
            state, item, psi, residual = (
                np.sqrt(np.einsum("rii->ri", at[name])) for name in ("phi", "sigma", "psi", "theta")
            )
            for matrix in table["matrix"].unique():
                mine = np.flatnonzero((table["matrix"] == matrix) & (table["group"] == group))
                row, col = table["row"].to_numpy(int)[mine], table["col"].to_numpy(int)[mine]
                effect = item if matrix in ("lambda", "theta", "nu") else state
                scale = 1 / effect[:, row]
                if matrix in ("lambda", "beta"):
                    scale = scale * state[:, col]
                elif matrix in ("psi", "theta"):
                    rest = psi if matrix == "psi" else residual
                    scale = np.where(row == col, scale**2, 1 / (rest[:, row] * rest[:, col]))
                out[:, mine] = kernel.entries(table.iloc[mine], theta) * scale
    return out


def bootstrap(
    data: pd.DataFrame,
    fit: Fit,
    draws: int,
    rng: np.random.Generator,
    *,
    group: str | None = None,
    cluster: str | None = None,
    strata: str | None = None,
    scheme: Literal["multinomial", "poisson"] = "multinomial",
) -> Draws:
    """Refit the model to resampled data.

    Parameters
    ----------
    data : DataFrame
        What `fit` was fitted to; rows with a missing value in the model's variables are left out.
    fit : Fit
        From :func:`cxlib.sem.fit`; every draw starts there.
    draws : int
    rng : numpy Generator
    group : str, optional
        Column of the groups of a several-group fit; each group keeps its size.
    cluster : str, optional
        Resample whole clusters (customers of one firm) instead of rows.
    strata : str, optional
        Resample within the levels of this column.
    scheme : {"multinomial", "poisson"}
        n of n with replacement, or every row a Poisson(1) number of times.

    Raises
    ------
    ArgumentError
        If the data are not those of the fit, or clusters cross strata.

    Notes
    -----
    Rows are worked on a block at a time, so memory does not grow with draws × rows.
    R: ``bootstrapLavaan(fit, R = draws, type = "ordinary")``.
    """
    if scheme not in ("multinomial", "poisson"):
        raise ArgumentError(
            _(
                "scheme='{scheme}' is not a way to resample. Use 'multinomial' or 'poisson'.",
                scheme=scheme,
            )
        )
    if draws < 1:
        raise ArgumentError(
            _(
                "draws={draws} is no number of resamples. Give at least 1; intervals need 1,000 or more.",
                draws=draws,
            )
        )
    rows = _rows(data, fit, group, cluster, strata)
    sums = tuple(np.zeros((draws, 1 + p + p * (p + 1) // 2)) for p in map(len, rows.centre))
    kept = (
        np.empty((draws, len(rows.order)), dtype=np.uint16)
        if len(rows.order) <= MOST_KEPT
        else None
    )
    for begin, end in pairwise(rows.strata):
        edges = np.array([*range(begin, end, BLOCK), end])
        sizes = np.diff(edges)
        share = (
            rng.multinomial(end - begin, sizes / sizes.sum(), size=draws)
            if len(sizes) > 1
            else np.full((draws, 1), sizes)
        )
        for at, (first, last) in enumerate(pairwise(edges)):
            parts = [rows.features(number, first, last) for number in range(len(sums))]
            for lanes in (slice(one, min(one + LANES, draws)) for one in range(0, draws, LANES)):
                counts = _counts(last - first, share[lanes, at], rng, scheme)
                for total, (have, part) in zip(sums, parts, strict=True):
                    total[lanes] += counts[:, have] @ part
                if kept is not None:
                    kept[lanes, rows.order[first:last]] = counts
    samples = lockstep.Resamples(sums, rows.centre)
    found = () if kept is None else tuple(kept[:, units] for units in rows.members)
    return _draws(
        fit.model, lockstep.refit(kernel.compile(fit.model), samples, fit.theta), samples, found
    )


def jackknife(
    data: pd.DataFrame, fit: Fit, *, group: str | None = None, cluster: str | None = None
) -> Draws:
    """Refit the model leaving out one row (or one cluster) at a time, in the order of the data."""
    rows = _rows(data, fit, group, cluster, None)
    sums = []
    for number in range(len(rows.x)):
        have, part = rows.features(number, 0, len(rows.order))
        left = np.tile(part.sum(axis=0), (len(rows.order), 1))
        left[rows.order[have]] -= part
        sums.append(left)
    samples = lockstep.Resamples(tuple(sums), rows.centre)
    return _draws(fit.model, lockstep.refit(kernel.compile(fit.model), samples, fit.theta), samples)


def intervals(
    draws: np.ndarray,
    estimate: np.ndarray,
    jack: np.ndarray | None = None,
    level: float = 0.95,
    kind: Literal["bca", "percentile"] = "bca",
) -> np.ndarray:
    """Bootstrap confidence intervals, (k, 2).

    Parameters
    ----------
    draws : ndarray, (R, k)
        Any statistics of the draws; rows with NaN (failed draws) are left out.
    estimate : ndarray, (k,)
        The same statistics in the full sample.
    jack : ndarray, (n, k)
        The same statistics with one row left out at a time; needed for "bca".
    level : float
    kind : {"bca", "percentile"}

    Returns
    -------
    ndarray
        Low and high; NaN for "bca" if all draws lie on one side of the estimate.

    Raises
    ------
    ArgumentError
        Unknown kind, or "bca" without `jack`.

    Notes
    -----
    BCa: quantiles Φ(z₀ + (z₀ + z)/(1 − a(z₀ + z))) with z₀ = Φ⁻¹(share of draws below the estimate, ties half)
    and a = Σd³/(6(Σd²)^1.5), d the mean of the jackknife values less each (Efron 1987,
    doi:10.1080/01621459.1987.10478410).  R: ``boot::boot.ci(b, type = c("perc", "bca"))`` up to how quantiles
    are interpolated (here linearly, ``quantile(type = 7)``).
    """
    from scipy.special import ndtr, ndtri

    if kind not in ("bca", "percentile"):
        raise ArgumentError(
            _("kind='{kind}' is not an interval. Use 'bca' or 'percentile'.", kind=kind)
        )
    if kind == "bca" and jack is None:
        raise ArgumentError(
            _(
                "kind='bca' needs jack=, the leave-one-out values. Use jackknife(), or kind='percentile'."
            )
        )
    tail = np.array([(1 - level) / 2, (1 + level) / 2])
    draws = draws[np.isfinite(draws).all(axis=1)]
    share = np.tile(tail, (draws.shape[1], 1))
    if kind == "bca" and jack is not None:
        jack = jack[np.isfinite(jack).all(axis=1)]
        z0 = ndtri(((draws < estimate).mean(axis=0) + (draws <= estimate).mean(axis=0)) / 2)[
            :, None
        ]
        pull = jack.mean(axis=0) - jack
        with np.errstate(invalid="ignore", divide="ignore"):
            a = np.nan_to_num((pull**3).sum(axis=0) / (6 * (pull**2).sum(axis=0) ** 1.5))[:, None]
            share = ndtr(z0 + (z0 + ndtri(tail)) / (1 - a * (z0 + ndtri(tail))))
    return np.array(
        [
            np.quantile(one, both) if np.isfinite(both).all() else (np.nan, np.nan)
            for one, both in zip(draws.T, share, strict=True)
        ]
    ).reshape(-1, 2)


def simulate_covariances(
    sigma: np.ndarray, n: int, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Covariance matrices (draws, p, p), divisor n, of samples of n normal rows with covariances `sigma`.

    Wishart by Bartlett's decomposition: S = LAA'L'/n, A lower triangular with χ on its diagonal.
    """
    p = len(sigma)
    a = np.tril(rng.standard_normal((draws, p, p)), -1)
    a[:, np.arange(p), np.arange(p)] = np.sqrt(rng.chisquare(n - 1 - np.arange(p), size=(draws, p)))
    half = np.linalg.cholesky(sigma) @ a
    return half @ half.transpose(0, 2, 1) / n


def vcov(model: Model, theta: np.ndarray, n: int | Sequence[int]) -> np.ndarray:
    """Covariances of the estimates at theta (R, npar), (R, npar, npar): 2/n times the inverse expected information.

    NaN where theta is.  For thousands of draws call it a few dozen at a time: it needs R·npar² numbers.
    """
    sizes = np.atleast_1d(n)
    out, there = (
        np.full((len(theta), model.npar, model.npar), np.nan),
        np.isfinite(theta).all(axis=1),
    )
    out[there] = (
        2 / sizes.sum() * inverted(kernel.information(model, theta[there], sizes / sizes.sum()))
    )
    return out


class _Rows(NamedTuple):
    """What is resampled: rows of every group, sorted by unit (a row or a cluster), and units sorted by stratum.

    x, centre : per group, values less their means, and these means; starts : per group, where in x each unit begins
    order : the number of each unit in the order of the data; strata : where in it each stratum begins, and the end
    members : per group, the numbers of the units that have rows in it
    """

    x: tuple[np.ndarray, ...]
    centre: tuple[np.ndarray, ...]
    starts: tuple[np.ndarray, ...]
    order: np.ndarray
    strata: np.ndarray
    members: tuple[np.ndarray, ...]

    def features(self, group: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Which of the units first..last have rows in a group, and the sums of these rows' features."""
        starts = self.starts[group][first : last + 1]
        have = np.flatnonzero(np.diff(starts))
        rows = lockstep.features(self.x[group][starts[0] : starts[-1]])
        return have, rows if len(have) == len(rows) else np.add.reduceat(
            rows, starts[have] - starts[0]
        )


def _rows(
    data: pd.DataFrame, fit: Fit, group: str | None, cluster: str | None, strata: str | None
) -> _Rows:
    """The rows of the fit as units that can be drawn."""
    model, several = fit.model, fit.model.n_groups > 1
    used = _used(data, fit, group, cluster, strata)
    level = used[group].astype(str).to_numpy() if several else np.full(len(used), fit.groups[0])
    unit = np.arange(len(used)) if cluster is None else pd.factorize(used[cluster])[0]
    keys = pd.DataFrame(
        {"unit": unit, "group": level, "strata": used[strata].to_numpy() if strata else 0}
    )
    crossing = keys.groupby("unit").nunique().gt(1).any()
    if crossing["strata"]:
        raise ArgumentError(
            _(
                "Some clusters of '{cluster}' lie in several strata of '{strata}'. A stratum must hold whole clusters.",
                cluster=cluster,
                strata=strata,
            )
        )
    names = ["strata"] if crossing["group"] else ["group", "strata"]
    stratum = keys.drop_duplicates("unit").sort_values("unit").groupby(names).ngroup().to_numpy()
    order = np.argsort(stratum, kind="stable")
    place = np.argsort(order)[unit]
    x, centres, starts = [], [], []
    for name in fit.groups:
        mine = np.flatnonzero(level == name)
        mine = mine[np.argsort(place[mine], kind="stable")]
        values = used.iloc[mine][list(model.observed)].to_numpy(float)
        x.append(values - values.mean(axis=0))
        centres.append(values.mean(axis=0))
        starts.append(np.searchsorted(place[mine], np.arange(len(order) + 1)))
    return _Rows(
        tuple(x),
        tuple(centres),
        tuple(starts),
        order,
        np.searchsorted(stratum[order], np.arange(stratum.max() + 2)),
        tuple(np.unique(unit[level == name]) for name in fit.groups),
    )


def _used(
    data: pd.DataFrame, fit: Fit, group: str | None, cluster: str | None, strata: str | None
) -> pd.DataFrame:
    """The rows of the fit, if these are the data and there is a way to resample them."""
    if fit.estimator == "WLSMV":
        raise ArgumentError(
            _(
                "Resampling refits by maximum likelihood, but this fit is WLSMV on ordered categories. Use its robust "
                "standard errors, or fit with estimator='ML' or 'MLR'."
            )
        )
    model, several = fit.model, fit.model.n_groups > 1
    if several != (group is not None):
        raise ArgumentError(
            _(
                "The fit has {n} groups but group= is empty. Name the column of its groups.",
                n=model.n_groups,
            )
            if several
            else _("The fit has one group but group='{group}'. Leave group= out.", group=group)
        )
    used = data[
        data[[*model.observed, *filter(None, (group, cluster, strata))]].notna().all(axis=1)
    ]
    if len(used) != fit.n_used:
        raise ArgumentError(
            _(
                "The fit used {used} rows but data= has {complete} without missing values in the model's variables, group, "
                "cluster and strata. Give the same rows to both, each with its cluster; incomplete rows (missing='fiml') "
                "cannot be resampled here.",
                used=fit.n_used,
                complete=len(used),
            )
        )
    return used


def _counts(units: int, size: np.ndarray, rng: np.random.Generator, scheme: str) -> np.ndarray:
    """How often each of the units is drawn, (lanes, units) as floats; size (lanes,): units drawn of each lane."""
    if scheme == "poisson":
        return rng.poisson(1.0, size=(len(size), units)).astype(float)
    drawn = np.repeat(units * np.arange(len(size)), size) + rng.integers(units, size=size.sum())
    return np.bincount(drawn, minlength=units * len(size)).reshape(len(size), units).astype(float)


def _draws(
    model: Model,
    refits: lockstep.Refits,
    samples: lockstep.Resamples,
    counts: tuple[np.ndarray, ...] = (),
) -> Draws:
    """Refits as draws."""
    return Draws(model, refits.theta, refits.status, refits.gradient, refits.fmin, samples, counts)
