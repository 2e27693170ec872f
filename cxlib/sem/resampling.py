"""Bootstrap, jackknife and simulated samples of a fitted model: one engine, one kind of result.

Every function asks :mod:`cxlib.sem.kernel` for the exact optimum in many samples at once, and says in
how many of them there was one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from cxlib.sem import kernel
from cxlib.sem.estimate import Fit
from cxlib.sem.model import Model


@dataclass(frozen=True)
class Draws:
    """Estimates in many samples.

    theta : (R, npar), free numbers in the order of ``model.table.free``, NaN where there is no optimum
    status : (R,) "converged", "improper" (an optimum outside the admissible values) or "failed"
    gradient : (R,) largest |∂F/∂θ| at the end
    fmin : (R,) log|Σ| + tr(SΣ⁻¹) at the end
    counts : per group (R, units), how often each row (or cluster) is in each sample; empty for others
    """

    model: Model = field(repr=False)
    theta: np.ndarray = field(repr=False)
    status: np.ndarray = field(repr=False)
    gradient: np.ndarray = field(repr=False)
    fmin: np.ndarray = field(repr=False)
    counts: tuple[np.ndarray, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def failed(self) -> int:
        """Draws without an optimum; their theta is NaN."""
        return int((self.status == "failed").sum())

    @property
    def improper(self) -> int:
        """Draws whose optimum has a negative variance or a matrix that is not positive definite."""
        return int((self.status == "improper").sum())

    @property
    def converged(self) -> int:
        """Draws with an optimum, improper ones included."""
        return len(self) - self.failed

    def structural(self, group: int = 0, standardized: bool = False) -> np.ndarray:
        """B of every draw, (R, m, m) over ``model.state``: entry [r, i, j] is the path from j to i.

        standardized : multiply by the model-implied sd of j and divide by that of i (std.all).
        """
        part = matrices(self.model, self.theta, group)
        if not standardized:
            return part["beta"]
        sd = np.sqrt(np.einsum("rii->ri", part["phi"]))
        return part["beta"] * sd[:, None, :] / sd[:, :, None]

    def standardized(self) -> np.ndarray:
        """Completely standardised values (std.all) of every draw, (R, rows of ``model.table``)."""
        return standardize(self.model, self.theta)


def matrices(model: Model, theta: np.ndarray, group: int = 0) -> dict[str, np.ndarray]:
    """The matrices of every draw: lambda, beta, psi, theta, nu, alpha, and phi = Cov(η), sigma = Cov(x).

    Parameters
    ----------
    theta : ndarray, (R, npar)
    """
    r, p, m = len(theta), len(model.observed), len(model.state)
    shape = {"lambda": (r, p, m), "beta": (r, m, m), "psi": (r, m, m), "theta": (r, p, p), "nu": (r, p), "alpha": (r, m)}
    out = {name: np.zeros(size) for name, size in shape.items()}
    for at, name in enumerate(model.state[len(model.latent) :], len(model.latent)):
        out["lambda"][:, model.observed.index(name), at] = 1
    rows = model.table[model.table["group"] == group]
    values = _values(rows, theta)
    for name, target in out.items():
        mine = (rows["matrix"] == name).to_numpy()
        row, col = rows["row"].to_numpy(int)[mine], rows["col"].to_numpy(int)[mine]
        if name in ("nu", "alpha"):
            target[:, row] = values[:, mine]
        else:
            target[:, row, col] = values[:, mine]
            if name in ("psi", "theta"):
                target[:, col, row] = values[:, mine]
    total = np.linalg.inv(np.eye(m) - out["beta"])
    out["phi"] = total @ out["psi"] @ total.transpose(0, 2, 1)
    out["sigma"] = out["lambda"] @ out["phi"] @ out["lambda"].transpose(0, 2, 1) + out["theta"]
    return out


def standardize(model: Model, theta: np.ndarray) -> np.ndarray:
    """std.all of every row of ``model.table``, (R, rows), from theta (R, npar).

    Loadings and paths are multiplied by the sd of the predictor and divided by that of the outcome,
    variances divided by the total variance, covariances by the sd of the two residuals.

    Notes
    -----
    R: ``standardizedSolution(fit, type = "std.all")``.
    """
    out = np.empty((len(theta), len(model.table)))
    for group in range(model.n_groups):
        part = matrices(model, theta, group)
        mine = np.flatnonzero(model.table["group"] == group)
        rows = model.table.iloc[mine]
        names = [*model.observed, *(name for name in model.state if name in model.latent)]
        latent = [model.state.index(name) for name in names[len(model.observed) :]]
        states = {name: at for at, name in enumerate(model.state)}
        variance = np.hstack([np.einsum("rii->ri", part["sigma"]), np.einsum("rii->ri", part["phi"])[:, latent]])
        rest = np.stack([np.einsum("rii->ri", part["psi"])[:, states[name]] if name in states else
                         np.einsum("rii->ri", part["theta"])[:, at] for at, name in enumerate(names)], axis=1)
        at = {name: position for position, name in enumerate(names)}
        with np.errstate(invalid="ignore", divide="ignore"):
            sd, rest = np.sqrt(variance), np.sqrt(rest)
            values = _values(rows, theta)
            for k, row in enumerate(rows.itertuples()):
                a, b = at[row.lhs], at.get(row.rhs)
                scale = {"=~": lambda a=a, b=b: sd[:, a] / sd[:, b], "~": lambda a=a, b=b: sd[:, b] / sd[:, a],
                         "~1": lambda a=a: 1 / sd[:, a],
                         "~~": lambda a=a, b=b: 1 / variance[:, a] if a == b else 1 / (rest[:, a] * rest[:, b])}
                out[:, mine[k]] = values[:, k] * scale[row.op]()
    return out


def bootstrap(data: pd.DataFrame, fit: Fit, draws: int, rng: np.random.Generator, *, group: str | None = None,
              cluster: str | None = None, strata: str | None = None,
              scheme: Literal["multinomial", "poisson"] = "multinomial") -> Draws:
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
    scheme : str
        "multinomial": n of n with replacement; "poisson": every row a Poisson(1) number of times.

    Notes
    -----
    R: ``bootstrapLavaan(fit, R = draws, type = "ordinary")``.
    """
    rows = _rows(data, fit, group, cluster, strata)
    if scheme == "poisson":
        counts = rng.poisson(1.0, size=(draws, len(rows.stratum)))
    elif scheme == "multinomial":
        counts = np.empty((draws, len(rows.stratum)), dtype=np.int32)
        for level in np.unique(rows.stratum):
            mine = np.flatnonzero(rows.stratum == level)
            picked = rng.integers(len(mine), size=(draws, len(mine))) + len(mine) * np.arange(draws)[:, None]
            counts[:, mine] = np.bincount(picked.ravel(), minlength=draws * len(mine)).reshape(draws, -1)
    else:
        raise ValueError(f"scheme='{scheme}' is not a way to resample. Use 'multinomial' or 'poisson'.")
    return _refit(fit, rows, tuple(counts[:, units] for units in rows.units))


def jackknife(data: pd.DataFrame, fit: Fit, *, group: str | None = None, cluster: str | None = None) -> Draws:
    """Refit the model leaving out one row (or one cluster) at a time."""
    rows = _rows(data, fit, group, cluster, None)
    features = []
    for mine, units in zip(rows.features, rows.units, strict=True):
        left = np.tile(mine.sum(axis=0), (len(rows.stratum), 1))
        left[units] -= mine
        features.append(left)
    samples = kernel.Resamples(tuple(features), (None,) * len(features), rows.centre)
    return _draws(fit.model, kernel.refit(kernel.compile(fit.model), samples, fit.theta), ())


def intervals(draws: np.ndarray, estimate: np.ndarray, jack: np.ndarray | None = None, level: float = 0.95,
              kind: Literal["bca", "percentile"] = "bca") -> np.ndarray:
    """Bootstrap confidence intervals, (k, 2).

    Parameters
    ----------
    draws : ndarray, (R, k)
        Any statistics of the draws; rows with NaN (failed draws) are left out.
    estimate : ndarray, (k,)
        The same statistics in the full sample.
    jack : ndarray, (n, k)
        The same statistics with one row left out at a time; needed for "bca".

    Notes
    -----
    BCa: Φ(z₀ + (z₀ ± z)/(1 − a(z₀ ± z))) with z₀ = Φ⁻¹(share of draws below the estimate, ties half)
    and a = Σd³/(6(Σd²)^1.5), d the centred jackknife values (Efron 1987, doi:10.1080/01621459.1987.10478410).
    """
    from scipy.special import ndtr, ndtri

    draws, estimate = np.atleast_2d(draws), np.atleast_1d(estimate)
    if kind not in ("bca", "percentile"):
        raise ValueError(f"kind='{kind}' is not an interval. Use 'bca' or 'percentile'.")
    if kind == "bca" and jack is None:
        raise ValueError("kind='bca' needs jack=, the leave-one-out values. Use jackknife(), or kind='percentile'.")
    draws = draws[np.isfinite(draws).all(axis=1)]
    tail = np.array([(1 - level) / 2, (1 + level) / 2])
    share = np.tile(tail, (len(estimate), 1))
    if kind == "bca":
        below = ((draws < estimate).mean(axis=0) + (draws <= estimate).mean(axis=0)) / 2
        jack = np.atleast_2d(jack)
        jack = jack[np.isfinite(jack).all(axis=1)]
        gap = jack.mean(axis=0) - jack
        with np.errstate(invalid="ignore", divide="ignore"):
            a = (gap**3).sum(axis=0) / (6 * (gap**2).sum(axis=0) ** 1.5)
        a = np.where(np.isfinite(a), a, 0.0)[:, None]
        z0 = ndtri(below)[:, None]
        z = z0 + ndtri(tail)
        share = ndtr(z0 + z / (1 - a * z))
    return np.array([np.quantile(column, both) if np.isfinite(both).all() else (np.nan, np.nan)
                     for column, both in zip(draws.T, share, strict=True)])


@dataclass(frozen=True)
class _Rows:
    """What is resampled: features and unit numbers per group, and the stratum of every unit."""

    features: tuple[np.ndarray, ...]
    units: tuple[np.ndarray, ...]
    centre: tuple[np.ndarray, ...]
    stratum: np.ndarray


def _rows(data: pd.DataFrame, fit: Fit, group: str | None, cluster: str | None, strata: str | None) -> _Rows:
    """Sums of every unit (a row or a cluster) in every group."""
    model, several = fit.model, fit.model.n_groups > 1
    if several != (group is not None):
        raise ValueError(f"The fit has {model.n_groups} group(s) but group={group!r}. "
                         + ("Name the column of groups." if several else "Leave group out."))
    wanted = [*model.observed, *(name for name in (group, cluster, strata) if name)]
    used = data[data[wanted].notna().all(axis=1)] if len(data) else data
    level = used[group].astype(str) if several else pd.Series(fit.groups[0], index=used.index)
    unit = np.arange(len(used)) if cluster is None else pd.factorize(used[cluster])[0]
    keys = pd.DataFrame({"unit": unit, "group": level.to_numpy(), "strata": used[strata].to_numpy() if strata else 0})
    crossing = keys.groupby("unit").nunique().gt(1).any()
    if crossing["strata"]:
        raise ValueError(f"Some clusters of '{cluster}' lie in several strata of '{strata}'. Strata must contain whole clusters.")
    names = ["strata"] if crossing["group"] else ["group", "strata"]
    stratum = keys.drop_duplicates("unit").sort_values("unit").groupby(names).ngroup().to_numpy()
    features, units, centres = [], [], []
    for name in fit.groups:
        mine = (level == name).to_numpy()
        x = used.loc[mine, list(model.observed)].to_numpy(float)
        centre = x.mean(axis=0)
        x = x - centre
        row, col = np.triu_indices(x.shape[1])
        one = np.hstack([np.ones((len(x), 1)), x, x[:, row] * x[:, col]])
        have, which = np.unique(unit[mine], return_inverse=True)
        if len(have) < len(one):
            total = np.zeros((len(have), one.shape[1]))
            np.add.at(total, which, one)
            one = total
        features.append(one)
        units.append(have)
        centres.append(centre)
    return _Rows(tuple(features), tuple(units), tuple(centres), stratum)


def _refit(fit: Fit, rows: _Rows, counts: tuple[np.ndarray, ...]) -> Draws:
    """Refit to the counted rows."""
    samples = kernel.Resamples(rows.features, counts, rows.centre)
    return _draws(fit.model, kernel.refit(kernel.compile(fit.model), samples, fit.theta), counts)


def _draws(model: Model, refits: kernel.Refits, counts: tuple[np.ndarray, ...]) -> Draws:
    """Refits as draws, failed ones NaN."""
    theta = np.where((refits.status == "failed")[:, None], np.nan, refits.theta)
    return Draws(model, theta, refits.status, refits.gradient, refits.fmin, counts)


def _values(rows: pd.DataFrame, theta: np.ndarray) -> np.ndarray:
    """The value of every row of a parameter table in every draw, (R, rows)."""
    free = rows["free"].to_numpy(int)
    return np.where(free > 0, theta[:, np.maximum(free, 1) - 1], rows["value"].to_numpy(float))
