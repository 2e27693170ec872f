"""Incomplete answers: their maximum-likelihood moments and the full-information likelihood of a model.

Rows that answered the same questions form a pattern, and each pattern contributes the normal likelihood of
what it answered (Arbuckle 1996; Rubin 1976, doi:10.1093/biomet/63.3.581: valid if answers are missing at
random given those observed).  With W the inverse of Σ's observed block, padded with zeros, e = W(ȳ−μ) and
P = WSW + ee', all derivatives are sums over patterns of W, e and P, and so is every EM step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.words import Said, _, listed
from cxlib.sem.discrepancy import Discrepancy, Moments, differentiate
from cxlib.sem.model import Model

LEAST_COVERAGE = 0.10
"""Share of rows with both of two variables below which a warning is due, as in Mplus and lavaan."""


def pattern_rows(seen: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows that answered the same questions, and which those are."""
    kinds, which = np.unique(seen, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    return list(
        zip(np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1]), kinds, strict=True)
    )


class Patterns:
    """One group's rows (n × p, NaN where missing) by pattern of answers.

    Moments of the likelihood are ordered μ, then the lower triangle of Σ by rows.
    """

    def __init__(self, values: np.ndarray, cluster: np.ndarray | None = None):
        """Sort the rows, each of a cluster if there are any, into patterns; take the moments of each (divisor its own n)."""
        self.values, self.n, self.cluster = values, len(values), cluster
        found = pattern_rows(~np.isnan(values))
        self.rows, self.seen = [rows for rows, _ in found], np.array([seen for _, seen in found])
        self.both = self.seen[:, :, None] & self.seen[:, None, :]
        self.ones = np.eye(len(values.T)) * ~self.seen[:, None, :]
        self.share = np.array([len(rows) for rows in self.rows]) / self.n
        parts = [np.where(seen, values[rows], 0.0) for rows, seen in found]
        self.mean = np.array([part.mean(axis=0) for part in parts])
        self.cov = np.array([np.cov(part.T, ddof=0).reshape(len(part.T), -1) for part in parts])
        self.i, self.j = np.tril_indices(values.shape[1])
        self.c = np.where(self.i == self.j, 0.5, 1.0)

    def _observed(self, sigma: np.ndarray) -> np.ndarray:
        """Σ's observed block of every pattern, among ones on the diagonal."""
        return np.where(self.both, sigma, self.ones)

    def terms(self, mu: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """W (k × p × p), e (k × p) and P (k × p × p) of every pattern."""
        w = np.linalg.inv(self._observed(sigma)) * self.both
        e = np.einsum("kij,kj->ki", w, self.mean - mu)
        p, several = e[:, :, None] * e[:, None, :], self.share * self.n > 1.5
        p[several] += w[several] @ self.cov[several] @ w[several]
        return w, e, p

    def pull(self, mu: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂F/∂Σ and −½ ∂F/∂μ, F = −2/n log-likelihood."""
        w, e, p = self.terms(mu, sigma)
        return np.tensordot(self.share, w - p, 1), self.share @ e

    def deviance(self, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """−2 log-likelihood of a row of every pattern (length k), without its constant."""
        off, observed = self.mean - mu, self._observed(sigma)
        w = np.linalg.inv(observed) * self.both
        return np.linalg.slogdet(observed)[1] + (
            w * (self.cov + off[:, :, None] * off[:, None, :])
        ).sum(axis=(1, 2))

    def information(self, mu: np.ndarray, sigma: np.ndarray, expected: bool = False) -> np.ndarray:
        """Observed or expected information of the moments μ and vech Σ, of an average row."""
        w, e, p = self.terms(mu, sigma)
        weighted, i, j = self.share[:, None, None] * w, self.i, self.j
        pair = np.tensordot(weighted, w / 2 if expected else p - w / 2, (0, 0))
        a, b = i[:, None], j[:, None]
        spread = np.outer(self.c, self.c) * (
            pair[b, i, j, a] + pair[b, j, i, a] + pair[a, i, j, b] + pair[a, j, i, b]
        )
        mixed = np.tensordot(weighted, e * (not expected), (0, 0))
        across = (mixed[:, i, j] + mixed[:, j, i]) * self.c
        return np.block([[weighted.sum(axis=0), across], [across.T, spread]])

    def scores(self, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Derivative of every row's log-likelihood by the moments (n × their number)."""
        w = self.terms(mu, sigma)[0]
        out = np.empty((self.n, len(mu) + len(self.i)))
        for rows, seen, inverse in zip(self.rows, self.seen, w, strict=True):
            e = np.where(seen, self.values[rows] - mu, 0.0) @ inverse
            out[rows] = np.hstack(
                [e, (e[:, self.i] * e[:, self.j] - inverse[self.i, self.j]) * self.c]
            )
        return out

    def units(self, scores: np.ndarray) -> pd.DataFrame:
        """Scores of what is independent, one a row: rows, or J clusters with the factor J/(J − 1) in their squares."""
        if self.cluster is None:
            return pd.DataFrame(scores)
        sums = pd.DataFrame(scores).groupby(self.cluster).sum()
        return sums * np.sqrt(len(sums) / (len(sums) - 1))


class FullInformation(Discrepancy):
    """F = −2/n (log-likelihood − that of the saturated model) of incomplete rows, and its derivatives."""

    def __init__(self, model: Model, samples: Sequence[Moments], patterns: Sequence[Patterns]):
        """Take the saturated (EM) moments and the patterns, both in the model's order of variables."""
        super().__init__(model, samples)
        self.patterns = tuple(patterns)
        self.saturated = [
            part.deviance(*known) for part, *known in zip(patterns, self.mean, self.s, strict=True)
        ]

    def value(self, theta: np.ndarray) -> float:
        """F, infinite where Σ is not positive definite."""
        total = 0.0
        for group, (weight, part) in enumerate(zip(self.weight, self.patterns, strict=True)):
            try:
                at = self.point(theta, group)
                np.linalg.cholesky(at.sigma)
            except np.linalg.LinAlgError:
                return np.inf
            total += weight * part.share @ (part.deviance(at.mu, at.sigma) - self.saturated[group])
        return float(total)

    def pull(self, mu: np.ndarray, sigma: np.ndarray, group: int) -> tuple[np.ndarray, np.ndarray]:
        """∂F/∂Σ and −½ ∂F/∂μ of one group."""
        return self.patterns[group].pull(mu, sigma)

    def information(self, theta: np.ndarray) -> np.ndarray:
        """Expected Hessian of F given who answered what."""
        return self._quadratic(theta, expected=True)

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Observed Hessian of F: that of the moments, and the curvature of the moments in θ."""
        out = self._quadratic(theta, expected=False)
        at = [self.point(theta, group) for group in range(len(self.weight))]
        held = [self.pull(point.mu, point.sigma, group) for group, point in enumerate(at)]
        return out + differentiate(lambda moved: self.gradient(moved, held), theta)

    def _quadratic(self, theta: np.ndarray, expected: bool) -> np.ndarray:
        """Σ n_g/n 2Δ'AΔ with A the information of the moments."""
        out = np.zeros((self.npar, self.npar))
        for group, (weight, part) in enumerate(zip(self.weight, self.patterns, strict=True)):
            at, delta = self.point(theta, group), self.delta(theta, group)
            out += 2 * weight * delta @ part.information(at.mu, at.sigma, expected) @ delta.T
        return out


def count_clusters(patterns: Sequence[Patterns]) -> int:
    """Number of clusters, one that crosses groups counted once."""
    return len(np.unique(np.concatenate([part.cluster for part in patterns])))


def objective(
    model: Model, samples: Sequence[Moments], patterns: Sequence[Patterns]
) -> Discrepancy:
    """The discrepancy of rows by pattern, or of moments if there are none."""
    return FullInformation(model, samples, patterns) if patterns else Discrepancy(model, samples)


def account(values: pd.DataFrame, kept: pd.Series, needed: pd.DataFrame) -> list[Said]:
    """What was done with missing values: rows left out and why (none of `needed` may be missing), patterns, thin coverage."""
    notes: list[Said] = []
    rows, x = values[kept], listed(needed.columns)
    if lost := int((~kept).sum()):
        none = int(values.isna().all(axis=1).sum())
        why = [
            _("{n} without any value of the model's variables", n=none) if none else "",
            _("{n} without a value of {x}, which is taken as given", n=lost - none, x=x)
            if lost > none
            else "",
        ]
        notes.append(
            _(
                "{lost} of {of} rows were left out: {why}; {kept} were used.",
                lost=lost,
                of=len(values),
                why=listed(filter(None, why)),
                kept=len(rows),
            )
        )
    if incomplete := int(rows.isna().any(axis=1).sum()):
        notes.append(
            _(
                "{incomplete} of {of} rows are incomplete, in {kinds} patterns; each row counts with what it has, which is "
                "right if values are missing at random given the observed ones.",
                incomplete=incomplete,
                of=len(rows),
                kinds=len(np.unique(rows.isna(), axis=0)),
            )
        )
    share, a, b = thinnest(rows)
    if share < LEAST_COVERAGE:
        notes.append(
            _(
                "Only {percent:.1f} % of the rows have both {a} and {b}: what relates them rests on the other variables and "
                "the model more than on data.",
                percent=100 * share,
                a=a,
                b=b,
            )
        )
    return notes


def thinnest(rows: pd.DataFrame) -> tuple[float, str, str]:
    """The pair of variables fewest rows have both of, and that share."""
    seen = rows.notna().to_numpy(float)
    coverage = seen.T @ seen / max(len(rows), 1)
    a, b = np.unravel_index(np.argmin(coverage), coverage.shape)
    return float(coverage[a, b]), rows.columns[a], rows.columns[b]


def saturated(rows: pd.DataFrame) -> Moments:
    """Maximum-likelihood moments of one group's rows.

    Raises
    ------
    DataError
        As :func:`moments`, or no row has both of two variables.
    """
    share, a, b = thinnest(rows)
    if share == 0:
        raise DataError(
            _(
                "No row has both {a} and {b} (of {n} rows), so nothing says how they covary. Leave one of them out, or use "
                "missing='listwise'.",
                a=a,
                b=b,
                n=len(rows),
            )
        )
    mean, cov = moments(rows)
    return Moments(
        pd.DataFrame(cov, rows.columns, rows.columns), pd.Series(mean, rows.columns), len(rows)
    )


def moments(
    frame: pd.DataFrame, tolerance: float = 1e-10, limit: int = 5000
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum-likelihood mean and covariance (divisor n) of incomplete normal data, by EM.

    Raises
    ------
    DataError
        An item is constant or never answered, items are linear combinations of each other, or EM did not converge.

    Notes
    -----
    Dempster, Laird & Rubin (1977), doi:10.1111/j.2517-6161.1977.tb01600.x; a step is μ + Σv and
    Σ − ΣGΣ − Σvv'Σ, with G = ∂F/∂Σ and v = −½ ∂F/∂μ.
    R: ``lavaan::lavInspect(lavaan::cfa(…, missing = "ml"), "sampstat.h1")``.
    """
    values = frame.to_numpy(float)
    flat = [c for c in frame if frame[c].min() == frame[c].max() or frame[c].isna().all()]
    if flat:
        raise DataError(
            _(
                "No covariance matrix: these do not vary, or nobody answered them: {names}. Leave them out.",
                names=listed(flat),
            )
        )
    mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    if not np.isnan(values).any():
        return mean, np.cov(values.T, ddof=0).reshape(len(mean), -1)
    patterns, mu, sigma = Patterns((values - mean) / spread), np.zeros(len(mean)), np.eye(len(mean))
    for _turn in range(limit):
        if np.linalg.eigvalsh(sigma)[0] < 1e-10:
            raise DataError(
                _(
                    "No covariance matrix: some items are linear combinations of others, or too few of the {n} rows have "
                    "them together. Leave items out.",
                    n=len(values),
                )
            )
        pull, push = patterns.pull(mu, sigma)
        shift = sigma @ push
        step = -sigma @ pull @ sigma - np.outer(shift, shift)
        if (
            max(np.abs(shift).max(), np.abs(step).max()) < 1e-3
        ):  # EM is slow near the end, Newton is not
            score = np.append(push, -patterns.c * pull[patterns.i, patterns.j])
            try:
                newton = np.linalg.solve(patterns.information(mu, sigma), score)
            except np.linalg.LinAlgError:
                break
            if np.abs(newton).max() < 0.05:
                shift, step[patterns.i, patterns.j] = newton[: len(mu)], newton[len(mu) :]
                step[patterns.j, patterns.i] = newton[len(mu) :]
        mu, sigma = mu + shift, sigma + (step + step.T) / 2
        if max(np.abs(shift).max(), np.abs(step).max()) < tolerance:
            return mean + mu * spread, sigma * np.outer(spread, spread)
    raise DataError(
        _(
            "EM did not converge: some pairs of items are hardly ever answered together. Leave out the items that only a "
            "part of the sample was asked."
        )
    )
