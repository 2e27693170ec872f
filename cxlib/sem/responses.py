"""The normal responses behind ordinal items, and what a model leaves of their correlations and thresholds.

Diagonally weighted least squares: the discrepancy that WLSMV (:mod:`cxlib.sem.ordinal`) minimises, its derivatives, and
the covariances that follow from Γ, the asymptotic covariance of thresholds and correlations (Muthén 1984,
doi:10.1007/BF02294210).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlib.core.words import _
from cxlib.sem.discrepancy import Discrepancy, Moments, Point, Within, differentiate
from cxlib.sem.model import Model, ModelError
from cxlib.sem.polychorics import Polychoric


class Responses(Discrepancy):
    """F = Σ_g (n_g−1)/n Σ e²/Γ_ee, e what the standardised responses leave of the correlations and, if shared, thresholds.

    A response has mean μ and variance σ² in its group, so that its thresholds are (τ − μ)/σ there.  Given all else F is
    quadratic in τ: the free numbers θ are the others'.  Residual variances that make a variance 1 (`unit`) are no
    parameters: derivatives by them are 0, those by the others (`rest`) take their change into account.
    """

    def __init__(
        self, model: Model, items: Sequence[Polychoric], unit: np.ndarray, saturated: bool = False
    ):
        """Take the samples; `unit` from :func:`unit_variances`; saturated: own thresholds are among the numbers."""
        names, self.items = list(model.observed), tuple(items)
        super().__init__(
            model, [Moments(one.correlations, pd.Series(0.0, names), one.n) for one in items]
        )
        self.pairs = np.triu_indices(len(names), 1)
        self.held, self.unit = (
            unit[:, 0] * len(names) + unit[:, 1],
            model.table["free"].to_numpy(int)[unit[:, 2]] - 1,
        )
        self.rest = np.setdiff1d(np.arange(model.npar), self.unit)
        self.item, self.tau, self.given, self.gamma, self.labels, first = [], [], [], [], [], 0
        for at, one in enumerate(items):
            fitted = one.thresholds if model.means or saturated else one.thresholds[:0]
            kept = one.gamma.columns[len(one.thresholds) - len(fitted) :]
            self.item.append(pd.Index(names).get_indexer(fitted["item"]))
            self.tau.append(first + np.arange(len(fitted)))
            self.given.append(np.append(fitted["est"], one.correlations.to_numpy()[self.pairs]))
            self.gamma.append(one.gamma.loc[kept, kept].to_numpy())
            self.labels += [(at, *sorted(label.split("~~"))) for label in kept]
            first += 0 if model.means else len(fitted)
        self.sample_tau = [one.thresholds["est"].to_numpy() for one in items]
        self.count = len(self.rest) + len(set().union(*self.tau))
        self.precision = [
            (one.n - 1) / one.n / np.diag(gamma)
            for one, gamma in zip(items, self.gamma, strict=True)
        ]
        self.weights = np.concatenate(
            [w / np.diag(gamma) for w, gamma in zip(self.weight, self.gamma, strict=True)]
        )
        self.df = len(self.weights) - self.count

    def thresholds(self, theta: np.ndarray) -> list[np.ndarray]:
        """The best thresholds of every group: the sample's, where they are not shared."""
        tau = self._best([self.point(theta, g) for g in range(len(self.s))])
        return [
            tau[number] if len(number) else own
            for number, own in zip(self.tau, self.sample_tau, strict=True)
        ]

    def _best(self, points: Sequence[Point]) -> np.ndarray:
        """The thresholds that minimise F."""
        top, bottom = np.zeros((2, self.count - len(self.rest)), dtype=points[0].sigma.dtype)
        for w, at, item, number, z, v in zip(
            self.weight, points, self.item, self.tau, self.given, self.precision, strict=True
        ):
            sd, k = np.sqrt(np.diag(at.sigma))[item], len(item)
            np.add.at(top, number, w * v[:k] * (z[:k] + at.mu[item] / sd) / sd)
            np.add.at(bottom, number, w * v[:k] / sd**2)
        return top / bottom

    def implied(self, theta: np.ndarray) -> list[tuple[Point, np.ndarray, np.ndarray]]:
        """Every group's matrices, standard deviations, and thresholds and correlations of the standardised responses."""
        points = [self.point(theta, g) for g in range(len(self.s))]
        tau, out = self._best(points), []
        for at, item, number in zip(points, self.item, self.tau, strict=True):
            sd = np.sqrt(np.diag(at.sigma))
            out.append(
                (
                    at,
                    sd,
                    np.append(
                        (tau[number] - at.mu[item]) / sd[item],
                        (at.sigma / np.outer(sd, sd))[self.pairs],
                    ),
                )
            )
        return out

    def value(self, theta: np.ndarray) -> float:
        """F, infinite where the structural equations cannot be solved or a variance is not positive."""
        try:
            with np.errstate(invalid="ignore", divide="ignore"):
                total = sum(
                    w * (v @ (given - fitted) ** 2)
                    for w, v, given, (_, _, fitted) in zip(
                        self.weight, self.precision, self.given, self.implied(theta), strict=True
                    )
                )
        except np.linalg.LinAlgError:
            return np.inf
        return float(total) if np.isfinite(total) else np.inf

    def _pulls(self, theta: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """∂F/∂Σ and −½ ∂F/∂μ of every group; holomorphic."""
        out = []
        for v, given, item, (at, sd, fitted) in zip(
            self.precision, self.given, self.item, self.implied(theta), strict=True
        ):
            force, k, of = v * (given - fitted), len(item), np.arange(len(sd))[:, None] == item
            pull = np.zeros_like(at.sigma)
            pull[self.pairs] = -force[k:]
            pull = (pull + pull.T) / np.outer(sd, sd)
            np.fill_diagonal(
                pull, (of @ (force[:k] * fitted[:k]) - (pull * at.sigma).sum(axis=1)) / sd**2
            )
            out.append((pull, -(of @ force[:k]) / sd))
        return out

    def gradient(self, theta: np.ndarray, held: Sequence[tuple] | None = None) -> np.ndarray:
        """∂F/∂θ, the residual variances following."""
        return self.follow(theta).T @ super().gradient(theta, self._pulls(theta))

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Exact curvature of F: that of its Lagrangian with the variances held at 1."""
        forces = np.linalg.solve(
            self._variances(theta)[self.unit],
            super().gradient(theta, self._pulls(theta))[self.unit],
        )
        fixed = np.zeros((len(self.s), len(self.s[0])))
        fixed.flat[self.held] = forces
        fixed /= np.array(self.weight)[:, None]
        bent = differentiate(
            lambda at: Discrepancy.gradient(
                self,
                at,
                [
                    (pull - np.diag(extra), mean)
                    for (pull, mean), extra in zip(self._pulls(at), fixed, strict=True)
                ],
            ),
            theta,
        )
        follow = self.follow(theta)
        return follow.T @ bent @ follow

    def information(self, theta: np.ndarray) -> np.ndarray:
        """Gauss–Newton curvature of F, the thresholds following."""
        slopes, out, k = self.slopes(theta), np.zeros((self.npar, self.npar)), len(self.rest)
        whole = (
            2
            * slopes.T
            @ (
                np.concatenate([w * v for w, v in zip(self.weight, self.precision, strict=True)])[
                    :, None
                ]
                * slopes
            )
        )
        out[np.ix_(self.rest, self.rest)] = (
            whole[:k, :k] - whole[:k, k:] / np.diag(whole)[k:] @ whole[k:, :k]
        )
        return out

    def _variances(self, theta: np.ndarray) -> np.ndarray:
        """Derivatives of the variances that are held at 1 (npar × as many)."""
        return np.hstack(
            [np.diagonal(self.jacobian(theta, g)[0], axis1=1, axis2=2) for g in range(len(self.s))]
        )[:, self.held]

    def complete(self, rest: np.ndarray) -> np.ndarray:
        """All free numbers from the parameters: the implied variances are linear in the residual ones."""
        theta = np.zeros(self.npar)
        theta[self.rest] = rest
        own = np.concatenate([np.diag(self.point(theta, g).sigma) for g in range(len(self.s))])[
            self.held
        ]
        theta[self.unit] = np.linalg.solve(self._variances(theta)[self.unit].T, 1 - own)
        return theta

    def reduced(self) -> Within:
        """F of the parameters alone."""
        return Within(self, self.complete, np.eye(self.npar)[:, self.rest])

    def follow(self, theta: np.ndarray) -> np.ndarray:
        """Derivatives of all completed numbers by each (npar × npar)."""
        variances, out = self._variances(theta), np.eye(self.npar)
        out[self.unit] = -np.linalg.solve(variances[self.unit].T, variances.T)
        out[:, self.unit] = 0
        return out

    def slopes(self, theta: np.ndarray) -> np.ndarray:
        """Δ, the derivatives of the fitted thresholds and correlations of all groups by the parameters, thresholds last."""
        k, (i, j), out = len(self.rest), self.pairs, []
        for g, (_at, sd, fitted) in enumerate(self.implied(theta)):
            sigma, mu = self.jacobian(theta, g)
            item, part = self.item[g], np.zeros((len(fitted), self.count))
            relative = np.diagonal(sigma, axis1=1, axis2=2) / sd**2 / 2
            own = np.hstack(
                [
                    -mu[:, item] / sd[item] - relative[:, item] * fitted[: len(item)],
                    sigma[:, i, j] / (sd[i] * sd[j])
                    - (relative[:, i] + relative[:, j]) * fitted[len(item) :],
                ]
            )
            part[:, :k] = own.T @ self.follow(theta)[:, self.rest]
            part[np.arange(len(item)), k + self.tau[g]] = 1 / sd[item]
            out.append(part)
        return np.vstack(out)

    def times_gamma(self, columns: np.ndarray) -> np.ndarray:
        """n times the covariance of the fitted thresholds and correlations, times columns."""
        cut = np.cumsum([len(gamma) for gamma in self.gamma])[:-1]
        return np.vstack(
            [
                gamma @ part / w
                for w, gamma, part in zip(
                    self.weight, self.gamma, np.split(columns, cut), strict=True
                )
            ]
        )

    def solution(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Δ, (Δ'WΔ)⁻¹Δ'W and (Δ'WΔ)⁻¹ of the parameters."""
        slopes = self.slopes(theta)
        weighted = self.weights[:, None] * slopes
        inverse = np.linalg.inv(slopes.T @ weighted)
        return slopes, inverse @ weighted.T, inverse

    def sandwich(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Δ'WΔ)⁻¹, and the covariance of the parameters times n."""
        _slopes, half, inverse = self.solution(theta)
        return inverse, half @ self.times_gamma(half.T)

    def traces(self, theta: np.ndarray | None = None) -> tuple[float, float]:
        """tr UΓ and tr (UΓ)²; without θ those of the model without correlations."""
        parts = [
            gamma[len(item) :, len(item) :] if theta is None else gamma
            for item, gamma in zip(self.item, self.gamma, strict=True)
        ]
        weighted = [gamma / np.diag(gamma)[:, None] for gamma in parts]
        first, second = sum(map(len, parts)), sum(float((part * part.T).sum()) for part in weighted)
        if theta is None:
            return first, second
        slopes, half, _inverse = self.solution(theta)
        flow = self.times_gamma(self.weights[:, None] * slopes)
        twice, inner = self.times_gamma(self.weights[:, None] * flow), half @ flow
        return first - np.trace(inner), second - 2 * np.trace(half @ twice) + float(
            (inner * inner.T).sum()
        )


def unit_variances(model: Model) -> np.ndarray:
    """What makes the variance of a response 1: a row each with group, item, and row of the table of a free number."""
    if model.means and model.n_groups == 1:
        raise ModelError(
            _(
                "estimator='WLSMV' of one group is for models without '~ 1' lines: the responses behind ordinal items have "
                "mean 0, and thresholds instead of intercepts. Leave them out, or use estimator='MLR'."
            )
        )
    if model.fixed_x:
        raise ModelError(
            _(
                "'{name}' is an observed predictor, which is not an ordinal item unless you say so. If it is one, write "
                "'{name} ~~ {name}' and its covariances with the other predictors; else use estimator='MLR'.",
                name=model.fixed_x[0],
            )
        )
    found, pairs = [], model.n_groups * len(model.observed) * (len(model.observed) - 1) // 2
    for group in range(1 if model.means else model.n_groups):
        table = model.table[model.table["group"] == group].reset_index(names="at")
        variances = table[(table["op"] == "~~") & (table["lhs"] == table["rhs"])].set_index("lhs")
        loadings = table[table["op"] == "=~"]
        for position, name in enumerate(model.observed):
            row, latent = variances.loc[name], loadings.loc[loadings["rhs"] == name, "lhs"].tolist()
            if (
                row["value"] == 0
                and len(latent) == 1
                and loadings["lhs"].tolist().count(latent[0]) == 1
            ):
                row = variances.loc[latent[0]]
            alike = model.table.loc[model.table["free"] == row["free"], ["lhs", "op", "rhs"]]
            if not row["free"] or (
                len(alike) > 1 and not (model.means and len(alike.drop_duplicates()) == 1)
            ):
                raise ModelError(
                    _(
                        "The model fixes or labels the variance of '{name}'. Of an ordinal item it is not a parameter: the "
                        "response has variance 1, its residual what is left. Remove that line.",
                        name=name,
                    )
                )
            found.append((group, position, row["at"]))
    if not model.means and not 0 < model.npar - len(found) <= pairs:
        raise ModelError(
            _(
                "The model has {free} free numbers for {pairs} correlations; between 1 and {pairs} are possible. Remove paths "
                "or covariances, or free some.",
                free=model.npar - len(found),
                pairs=pairs,
            )
        )
    return np.array(found)
