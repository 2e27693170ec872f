"""Inference without normality: sandwich standard errors, scaled χ².

Scores and information of the moments (μ, vech Σ) come from :mod:`cxlib.sem.fiml`; complete rows are one
pattern.  With A the information of θ, B = Δ' (mean of ss') Δ from the rows' scores s, the covariance of the
estimates is A⁻¹BA⁻¹/n (Huber 1967; White 1982, doi:10.2307/1912526), and χ² is divided by
c = [tr(A₁⁻¹B₁) − tr(A⁻¹B)]/df, A₁ and B₁ those of the saturated moments (Yuan & Bentler 2000,
doi:10.1111/0081-1750.00078, as Mplus computes it).  Rows of one cluster are not
independent: their scores are summed first, with the factor J/(J − 1) of J clusters in a group, and the divisor
stays n (Muthén & Satorra 1995, doi:10.2307/271070; as lavaan's ``cluster=``).  lavaan takes a cluster that crosses
groups as another one in each; here its scores are summed over the groups too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlib.core.words import Said, _
from cxlib.sem.discrepancy import Discrepancy, definite, inverted
from cxlib.sem.fiml import FullInformation, Patterns, count_clusters
from cxlib.sem.model import Model
from cxlib.sem.result import Fit

FEWEST_CLUSTERS = 30
"""Sandwich standard errors of fewer clusters are too small (Cameron, Gelbach & Miller 2008, doi:10.1162/rest.90.3.414)."""


def inference(
    function: Discrepancy, theta: np.ndarray, patterns: Sequence[Patterns], estimator: str
) -> tuple[np.ndarray, float, list[Said]]:
    """Covariance of the estimates (NaN if there is none), scaling factor of χ² (NaN for "ML"), and what is wrong with them."""
    notes: list[Said] = []
    bread = information(function, theta, estimator)
    if not definite(bread):
        return np.full_like(bread, np.nan), np.nan, notes
    inverse = inverted(bread)
    if estimator == "ML":
        return inverse / function.n, np.nan, notes
    meat = scatter(function, theta, patterns)
    trace, df = _saturated_trace(function, patterns) - np.trace(inverse @ meat), function.model.df
    scaling = trace / df if df and trace > 0 else np.nan
    if df and trace <= 0:
        notes.append(
            _(
                "The scaling factor of χ² is negative ({factor:.3f}): there is no scaled test.",
                factor=trace / df,
            )
        )
    notes += _few(patterns, function.n, len(theta))
    return inverse @ meat @ inverse / function.n, scaling, notes


def _few(patterns: Sequence[Patterns], rows: int, free: int) -> list[Said]:
    """What is to be said of sandwich standard errors that rest on few rows or clusters."""
    if patterns[0].cluster is None:
        if rows > free:
            return []
        return [
            _(
                "{rows} rows are too few for robust standard errors of {free} free numbers: their covariance matrix is "
                "singular. Each of them is rough, and the scaled test should not be relied on.",
                rows=rows,
                free=free,
            )
        ]
    clusters = count_clusters(patterns)
    if clusters <= free:
        return [
            _(
                "{clusters} clusters are too few for robust standard errors of {free} free numbers: their covariance "
                "matrix is singular. Each of them is rough, and the scaled test should not be relied on.",
                clusters=clusters,
                free=free,
            )
        ]
    if clusters < FEWEST_CLUSTERS:
        return [
            _(
                "Standard errors of only {clusters} clusters tend to be too small; they need about {least}.",
                clusters=clusters,
                least=FEWEST_CLUSTERS,
            )
        ]
    return []


def information(function: Discrepancy, theta: np.ndarray, estimator: str) -> np.ndarray:
    """A, of an average row: expected for "ML" of complete rows, else observed."""
    expected = estimator == "ML" and not isinstance(function, FullInformation)
    return (function.information(theta) if expected else function.hessian(theta)) / 2


def scatter(
    function: Discrepancy, theta: np.ndarray, patterns: Sequence[Patterns], centred: bool = False
) -> np.ndarray:
    """B of the free numbers; centred: about what the observed predictors explain, without any about the means."""
    units, x = [], [name in function.model.fixed_x for name in function.model.observed]
    for group, part in enumerate(patterns):
        at, own = function.point(theta, group), _means(function, group)
        if centred:
            given = np.column_stack(
                [
                    np.ones(part.n),
                    (part.values[:, x] - part.values[:, x].mean(axis=0))
                    / part.values[:, x].std(axis=0),
                ]
            )
            given = given @ np.linalg.lstsq(given, part.values, rcond=None)[0]
            rows = part.scores(own, at.sigma) - Patterns(given).scores(own, at.sigma)
            rows -= rows.mean(axis=0)
        else:
            rows = part.scores(at.mu if function.model.means else own, at.sigma)
        units.append(part.units(rows @ function.delta(theta, group).T))
    scores = pd.concat(units)
    if part.cluster is not None:
        scores = scores.groupby(level=0).sum()
    return scores.to_numpy().T @ scores.to_numpy() / function.n


def _saturated_trace(function: Discrepancy, patterns: Sequence[Patterns]) -> float:
    """tr(A₁⁻¹B₁) of the saturated moments, summed over groups."""
    total, first = 0.0, 0 if function.model.means else len(function.s[0])
    for group, part in enumerate(patterns):
        own, s = _means(function, group), function.s[group]
        rows = part.units(part.scores(own, s)[:, first:]).to_numpy()
        total += (
            np.trace(inverted(part.information(own, s)[first:, first:]) @ (rows.T @ rows)) / part.n
        )
    return float(total)


def _means(function: Discrepancy, group: int) -> np.ndarray:
    """The sample's means, of a model without means too."""
    return function.samples[group].centre[list(function.model.observed)].to_numpy(float)


def sandwich(fit: Fit, free: np.ndarray | slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """A⁻¹ and A⁻¹BA⁻¹ of some free numbers; of complete rows B is the scatter about the means, as in lavaan."""
    function = fit.discrepancy()
    inverse = inverted(information(function, fit.theta, fit.estimator)[free][:, free])
    meat = scatter(function, fit.theta, fit.patterns, centred=fit.missing != "fiml")
    return inverse, inverse @ meat[free][:, free] @ inverse


def estimated(model: Model) -> np.ndarray:
    """Positions of the free numbers that are not moments of observed predictors."""
    return np.setdiff1d(np.arange(model.npar), model.table.loc[model.table["exo"] == 1, "free"] - 1)
