"""The maximum-likelihood discrepancy of a model from sample moments, its derivatives and its minimum.

F of one group is log|Σ| + tr(SΣ⁻¹) − log|S| − p + (x̄−μ)'Σ⁻¹(x̄−μ), of several groups Σ n_g/n F_g
(Jöreskog 1969, doi:10.1007/BF02289343; Bollen 1989, doi:10.1002/9781118619179).  Every derivative
of Σ is c(uv' + vu') with u and v columns of D = [I, G, ΛΦ], G = Λ(I−B)⁻¹, and every derivative of μ
is s·u, so gradient and expected information are gathers from D'WD and D'Σ⁻¹D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlib.sem.model import Model

TOLERANCE = 1e-9
"""Converged: Newton decrement √(g'H⁻¹g) below this.  No combination of parameters is then further
than TOLERANCE·√(n/2) of its own standard error from the optimum, whatever the items' units."""


class Moments(NamedTuple):
    """Covariances (divisor n), means (or None) and number of rows of one group."""

    cov: pd.DataFrame
    mean: pd.Series | None
    n: int

    @property
    def centre(self) -> pd.Series:
        """The means, NaN where they are not known."""
        return pd.Series(np.nan, self.cov.columns) if self.mean is None else self.mean


class Places(NamedTuple):
    """Where parameters sit: ∂Σ = c(uv' + vu') and ∂μ = s·u, u and v columns of D, s entry of (η, 1, 0)."""

    u: np.ndarray
    v: np.ndarray
    c: np.ndarray
    s: np.ndarray


class Point(NamedTuple):
    """One group's matrices at one parameter value."""

    sigma: np.ndarray
    mu: np.ndarray
    d: np.ndarray
    eta: np.ndarray
    phi: np.ndarray


def places(model: Model, rows: pd.DataFrame) -> Places:
    """Locate rows of a parameter table (columns matrix, row, col)."""
    p, m = len(model.observed), len(model.state)
    matrix, row, col = (
        rows["matrix"].to_numpy(str),
        rows["row"].to_numpy(int),
        rows["col"].to_numpy(int),
    )
    u = row + np.where(np.isin(matrix, ["beta", "psi", "alpha"]), p, 0)
    v = np.select(
        [np.isin(matrix, ["lambda", "beta"]), matrix == "psi"], [p + m + col, p + col], col
    )
    symmetric, mean = np.isin(matrix, ["psi", "theta"]), np.isin(matrix, ["nu", "alpha"])
    c = np.where(mean, 0.0, np.where(symmetric & (row == col), 0.5, 1.0))
    s = np.where(mean, m, np.where(symmetric, m + 1, col))
    return Places(u, np.where(mean, 0, v), c, s)


class Discrepancy:
    """F of a model and its samples as a function of the free numbers θ, with its derivatives."""

    def __init__(self, model: Model, samples: Sequence[Moments]):
        """Locate the free parameters and take the samples in the model's order of variables."""
        names = list(model.observed)
        self.model, self.samples, self.npar = model, tuple(samples), model.npar
        self.n = sum(sample.n for sample in samples)
        self.weight = [sample.n / self.n for sample in samples]
        rows = [
            model.table[(model.table["group"] == g) & (model.table["free"] > 0)]
            for g in range(model.n_groups)
        ]
        self.places = [places(model, part) for part in rows]
        self.free = [part["free"].to_numpy(int) - 1 for part in rows]
        self.s = [sample.cov.loc[names, names].to_numpy(float) for sample in samples]
        self.log_s = [np.linalg.slogdet(s)[1] for s in self.s]
        self.mean = [
            sample.centre[names].to_numpy(float) if model.means else np.zeros(len(names))
            for sample in samples
        ]

    def point(self, theta: np.ndarray, group: int) -> Point:
        """Implied moments and the columns every derivative is made of."""
        part = self.model.matrices(theta, group)
        c = np.linalg.inv(np.eye(len(part["beta"])) - part["beta"])
        g, phi, eta = part["lambda"] @ c, c @ part["psi"] @ c.T, c @ part["alpha"]
        lambda_phi = part["lambda"] @ phi
        sigma = lambda_phi @ part["lambda"].T + part["theta"]
        mu = part["nu"] + part["lambda"] @ eta
        return Point(
            sigma,
            mu,
            np.hstack([np.eye(len(sigma)), g, lambda_phi]),
            np.append(eta, [1.0, 0.0]),
            phi,
        )

    def value(self, theta: np.ndarray) -> float:
        """F, infinite where Σ is not positive definite."""
        total = 0.0
        for group, weight in enumerate(self.weight):
            try:
                at = self.point(theta, group)
                root = np.linalg.cholesky(at.sigma)
            except np.linalg.LinAlgError:
                return np.inf
            half = np.linalg.solve(
                root, np.column_stack([self.mean[group] - at.mu, np.linalg.cholesky(self.s[group])])
            )
            total += weight * (
                2 * np.log(np.diag(root)).sum() + (half**2).sum() - self.log_s[group] - len(root)
            )
        return float(total)

    def pull(self, mu: np.ndarray, sigma: np.ndarray, group: int) -> tuple[np.ndarray, np.ndarray]:
        """∂F/∂Σ and −½ ∂F/∂μ of one group."""
        inverse, delta = np.linalg.inv(sigma), self.mean[group] - mu
        return inverse - inverse @ (
            self.s[group] + np.outer(delta, delta)
        ) @ inverse, inverse @ delta

    def gradient(self, theta: np.ndarray, held: Sequence[tuple] | None = None) -> np.ndarray:
        """∂F/∂θ (length npar), with `held` instead of :meth:`pull` if given; holomorphic."""
        out = np.zeros(self.npar, dtype=theta.dtype)
        for group, weight in enumerate(self.weight):
            at, where = self.point(theta, group), self.places[group]
            w, e = held[group] if held else self.pull(at.mu, at.sigma, group)
            local = (
                2 * where.c * (at.d.T @ w @ at.d)[where.u, where.v]
                - 2 * at.eta[where.s] * (at.d.T @ e)[where.u]
            )
            np.add.at(out, self.free[group], weight * local)
        return out

    def information(self, theta: np.ndarray) -> np.ndarray:
        """Expected Hessian of F, Σ n_g/n [tr(Σ⁻¹Σ_aΣ⁻¹Σ_b) + 2μ_a'Σ⁻¹μ_b]; the information of the sample is n/2 times it."""
        out = np.zeros((self.npar, self.npar))
        for group, weight in enumerate(self.weight):
            at, (u, v, c, s) = self.point(theta, group), self.places[group]
            k, s = at.d.T @ np.linalg.solve(at.sigma, at.d), at.eta[s]
            products = k[np.ix_(u, u)] * k[np.ix_(v, v)] + k[np.ix_(u, v)] * k[np.ix_(v, u)]
            local = 2 * np.outer(c, c) * products + 2 * np.outer(s, s) * k[np.ix_(u, u)]
            np.add.at(out, np.ix_(self.free[group], self.free[group]), weight * local)
        return out

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Observed Hessian of F (npar × npar)."""
        return differentiate(self.gradient, theta)

    def jacobian(self, theta: np.ndarray, group: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """∂Σ/∂θ (npar × p × p) and ∂μ/∂θ (npar × p) of one group."""
        at, where = self.point(theta, group), self.places[group]
        u, v = at.d.T[where.u], at.d.T[where.v]
        outer = where.c[:, None, None] * u[:, :, None] * v[:, None, :]
        sigma = np.zeros((self.npar, *at.sigma.shape))
        mu = np.zeros((self.npar, len(at.sigma)))
        np.add.at(sigma, self.free[group], outer + outer.transpose(0, 2, 1))
        np.add.at(mu, self.free[group], at.eta[where.s][:, None] * u)
        return sigma, mu

    def delta(self, theta: np.ndarray, group: int = 0, names: Sequence[str] = ()) -> np.ndarray:
        """∂(μ, vech Σ)/∂θ (npar × p + p(p+1)/2) of one group, the variables in the order of `names`, else the model's."""
        sigma, mu = self.jacobian(theta, group)
        order = [self.model.observed.index(name) for name in names or self.model.observed]
        i, j = np.tril_indices(len(order))
        return np.hstack([mu[:, order], sigma[:, order][:, :, order][:, i, j]])


def differentiate(gradient: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> np.ndarray:
    """The symmetric Jacobian of a gradient, exact by complex steps."""
    out = np.array([gradient(theta + row).imag for row in 1e-30j * np.eye(len(theta))]) / 1e-30
    return (out + out.T) / 2


def unit_diagonal(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A symmetric matrix (the last two axes) with ±1 on its diagonal, and the scale √|diagonal| that was divided out.

    Whether it is definite does not depend on units, but what rounding leaves of a small eigenvalue does: judge the scaled one.
    """
    scale = np.sqrt(np.abs(np.einsum("...ii->...i", matrix)))
    scale = np.where(scale > 0, scale, 1.0)
    return matrix / (scale[..., :, None] * scale[..., None, :]), scale


def definite(matrix: np.ndarray) -> bool:
    """Whether a symmetric matrix is positive definite, whatever the units of its rows."""
    return bool(np.isfinite(matrix).all() and np.linalg.eigvalsh(unit_diagonal(matrix)[0])[0] > 0)


def inverted(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric matrix (the last two axes), as exact in every unit of its rows.

    Raises
    ------
    numpy.linalg.LinAlgError
        It has none.
    """
    scaled, scale = unit_diagonal(matrix)
    return np.linalg.inv(scaled) / (scale[..., :, None] * scale[..., None, :])


def pseudo_inverted(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a positive semidefinite matrix where it has one: directions without variance are left out."""
    scaled, scale = unit_diagonal(matrix)
    return np.linalg.pinv(scaled, hermitian=True) / np.outer(scale, scale)


class Within:
    """F of fewer numbers α at θ = complete(α), to be minimised; `basis` turns F's derivatives into those by α."""

    def __init__(
        self,
        function: Discrepancy | Within,
        complete: Callable[[np.ndarray], np.ndarray],
        basis: np.ndarray,
    ):
        """Of a function of all numbers (npar); basis: npar × fewer."""
        self.function, self.complete, self.basis = function, complete, basis

    def value(self, alpha: np.ndarray) -> float:
        """F, infinite where there is no θ."""
        try:
            return self.function.value(self.complete(alpha))
        except np.linalg.LinAlgError:
            return np.inf

    def gradient(self, alpha: np.ndarray) -> np.ndarray:
        """∂F/∂α."""
        return self.basis.T @ self.function.gradient(self.complete(alpha))

    def information(self, alpha: np.ndarray) -> np.ndarray:
        """Expected curvature of F."""
        return self.basis.T @ self.function.information(self.complete(alpha)) @ self.basis

    def hessian(self, alpha: np.ndarray) -> np.ndarray:
        """Exact curvature of F."""
        return self.basis.T @ self.function.hessian(self.complete(alpha)) @ self.basis


def minimise(
    function: Discrepancy | Within, start: np.ndarray, limit: int = 300
) -> tuple[np.ndarray, float]:
    """Minimise F from `start`; returns θ and its Newton decrement (infinite if there is no optimum).

    Levenberg–Marquardt on the expected information, damped at first because a full step from far away
    may run to where a marker's loading vanishes; Newton steps on the observed one near the optimum.
    """
    theta, value, damping, decrement, before, observed = (
        start,
        function.value(start),
        1.0,
        np.inf,
        np.inf,
        None,
    )
    for _ in range(limit):
        if not np.isfinite(value):
            return theta, np.inf
        gradient = function.gradient(theta)
        if decrement < 0.1 and (observed is None or decrement > before / 10):
            observed = function.hessian(theta)
            if not definite(observed):
                observed = None
        curvature = function.information(theta) if observed is None else observed
        scaled, scale = unit_diagonal(curvature)
        slope = gradient / scale
        roots, axes = np.linalg.eigh(scaled)
        roots, along = np.maximum(roots, 1e-12), axes.T @ slope
        before, decrement = decrement, float(np.sqrt((along**2 / roots).sum()))
        while True:
            step = -(axes @ (along / (roots + damping))) / scale
            ahead = function.value(theta + step)
            if ahead <= value + 1e-4 * gradient @ step + 1e-13 * max(1.0, abs(value)):
                break
            damping = max(4 * damping, 1e-3)
            if damping > 1e10:
                return theta, decrement
        theta, value, damping = theta + step, ahead, damping / 8 if damping > 1e-6 else 0.0
        if decrement < TOLERANCE:
            return theta, decrement
    return theta, decrement
