"""Paths and indirect effects of a model fitted to several groups: what they are in each group, and whether they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.sem import paths
from cxlib.sem.model import Model
from cxlib.sem.restrictions import likelihood_ratios
from cxlib.sem.result import Z95

if TYPE_CHECKING:
    from cxlib.sem import Fit
    from cxlib.sem.resampling import Draws


def in_groups(fit: Fit, effects: Sequence[paths.Effect]) -> pd.DataFrame:
    """Every effect in every group with delta-method intervals, effect by effect: the columns of
    :func:`cxlib.sem.paths.inference`, group (its number), and n.

    Notes
    -----
    R: ``sem(model, data, group = "g", group.equal = "loadings")``, indirect effects defined with ``:=``.
    """
    parts: list[pd.DataFrame] = []
    for g, sample in enumerate(fit.sample):

        def own(theta: np.ndarray, g: int = g) -> np.ndarray:
            return paths.values(fit.model, effects, theta, False, g)

        std = standardised(fit, effects, g)
        labels = [(e.name, e.kind, value) for e, value in zip(effects, std, strict=True)]
        parts.append(paths.inference(fit, own, labels).assign(group=g, n=sample.n))
    return pd.concat(parts).sort_index(kind="stable", ignore_index=True)


def standardised(fit: Fit, effects: Sequence[paths.Effect], group: int) -> np.ndarray:
    """The effects in a group on the standardised scale."""
    return paths.values(fit.model, effects, fit.theta[None], True, group)[0]


def gaps(model: Model, effects: Sequence[paths.Effect], theta: np.ndarray) -> np.ndarray:
    """Effects of the first group less those of each other one, (R, k, groups - 1)."""
    first, *others = (paths.values(model, effects, theta, False, g) for g in range(model.n_groups))
    return np.stack([first - other for other in others], axis=2)


def wald(fit: Fit, effects: Sequence[paths.Effect]) -> pd.DataFrame:
    """Test that each effect is equal in all groups: effect, kind, wald (χ²), df, p.

    Of two groups also est (first less second), se and the interval (NaN for more), by the delta method.
    """
    from scipy.special import chdtrc

    gap = gaps(fit.model, effects, fit.theta[None])[0]
    slope = gaps(fit.model, effects, fit.theta + 1e-30j * np.eye(len(fit.theta))).imag / 1e-30
    cov = np.einsum("pki,pq,qkj->kij", slope, fit.vcov, slope, optimize=True)
    chisq, df = (
        np.einsum("ki,ki->k", gap, np.linalg.solve(cov, gap[:, :, None])[:, :, 0]),
        gap.shape[1],
    )
    est, se = (gap[:, 0], np.sqrt(cov[:, 0, 0])) if df == 1 else (np.nan, np.nan)
    return pd.DataFrame(
        {
            "effect": [e.name for e in effects],
            "kind": [e.kind for e in effects],
            "wald": chisq,
            "df": df,
            "p": chdtrc(df, chisq),
            "est": est,
            "se": se,
            "ci_low": est - Z95 * se,
            "ci_high": est + Z95 * se,
        }
    )


def equal_paths(fit: Fit, effects: Sequence[paths.Effect]) -> pd.DataFrame:
    """Likelihood ratio of each path against the model in which it is equal in all groups: d_chisq, d_p (NaN: no optimum)."""
    return likelihood_ratios(fit, [_equalities(fit.model, one) for one in effects])


def resampled(fit: Fit, effects: Sequence[paths.Effect], draws: Draws) -> pd.DataFrame:
    """Percentile interval of the first group's effects less the second's: ci_low, ci_high, p, converged."""
    found = paths.inference(
        fit,
        lambda theta: gaps(fit.model, effects, theta)[..., 0],
        [(e.name, e.kind, np.nan) for e in effects],
        draws,
    )
    found = found[found["interval"] == "percentile"]
    return found[["ci_low", "ci_high", "p", "converged"]].reset_index(drop=True)


def _equalities(model: Model, effect: paths.Effect) -> np.ndarray:
    """The restriction that a path is equal in all groups: rows with 1 and −1."""
    start, end = effect.chains[0]
    table = model.table
    free = (
        table.loc[
            (table["lhs"] == end) & (table["op"] == "~") & (table["rhs"] == start), "free"
        ].to_numpy(int)
        - 1
    )
    out = np.zeros((len(free) - 1, model.npar))
    out[:, free[0]] = 1
    out[np.arange(len(free) - 1), free[1:]] = -1
    return out
