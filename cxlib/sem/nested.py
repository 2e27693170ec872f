"""Difference tests of two nested fits: plain, scaled, and scaled and shifted."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from cxlib.core.errors import ArgumentError
from cxlib.core.words import _
from cxlib.sem.discrepancy import unit_diagonal
from cxlib.sem.ordinal import OrdinalFit
from cxlib.sem.result import Fit
from cxlib.sem.robust import estimated, sandwich


def difference(
    small: Fit,
    large: Fit,
    method: Literal["satorra.bentler.2001", "satorra.2000"] = "satorra.bentler.2001",
) -> pd.DataFrame:
    """Test of the restrictions that make `small` of `large`, two fits of the same rows.

    Plain difference of χ² for estimator "ML", else scaled.

    Returns
    -------
    DataFrame
        One row (NaN where the estimates do not determine a scaling): d_chisq (the difference of the χ² / scaling + shift), d_df, d_p, scaling, shift, method
        ("standard" for "ML"; "satorra.2000" for "WLSMV", and where the 2001 factor is negative, as it can be in small
        samples).

    Raises
    ------
    ArgumentError
        If the fits differ in rows, variables, estimator or cluster, or `small` has not more degrees of freedom.

    Notes
    -----
    "satorra.bentler.2001" (doi:10.1007/BF02296192): c = (df₀c₀ − df₁c₁)/(df₀ − df₁).  "satorra.2000"
    (doi:10.1007/978-1-4615-4603-0_17), scaled and shifted to the mean and variance of χ² (Asparouhov & Muthén
    2010) by tr(UΓ) and tr((UΓ)²) at the larger model, restrictions by the delta method; of incomplete rows
    lavaan has none.
    R: ``lavaan::lavTestLRT(large, small, method = method)``.
    """
    _nested(small, large)
    from scipy.special import chdtrc

    df, scaling, shift, used = small.df - large.df, 1.0, 0.0, str(method)
    if small.estimator == "ML":
        used = "standard"
    elif method == "satorra.bentler.2001" and small.estimator != "WLSMV":
        scaling = (small.df * small.scaling - (large.df * large.scaling if large.df else 0.0)) / df
        used = method if scaling > 0 else "satorra.2000"
    elif method not in ("satorra.bentler.2001", "satorra.2000"):
        raise ArgumentError(
            _(
                "method='{method}' is not known. Use 'satorra.bentler.2001' or 'satorra.2000'.",
                method=method,
            )
        )
    if used == "satorra.2000" or small.estimator == "WLSMV":
        used = "satorra.2000"
        try:
            k = _satorra_2000(small, large)
        except (
            np.linalg.LinAlgError
        ):  # the larger model's restrictions have no information: there is no test
            k = np.full((df, df), np.nan)
        scaling = float(np.sqrt(np.trace(k @ k) / df))
        shift = df - float(np.trace(k)) / scaling
    chisq = (small.chisq - large.chisq) / scaling + shift
    return pd.DataFrame(
        {
            "d_chisq": [chisq],
            "d_df": [df],
            "d_p": [float(chdtrc(df, max(chisq, 0.0)))],
            "scaling": [scaling],
            "shift": [shift],
            "method": [used],
        }
    )


def _nested(small: Fit, large: Fit) -> None:
    """Raise for two fits that are not comparable."""
    alike = (
        small.n_used == large.n_used
        and small.missing != "mi"
        and small.estimator == large.estimator
        and small.missing == large.missing
        and small.cluster == large.cluster
        and set(small.model.observed) == set(large.model.observed)
        and small.groups == large.groups
    )
    if not alike or small.df <= large.df:
        raise ArgumentError(
            _(
                "The models are not comparable: n {n} and {other_n}, df {df} and {other_df}, {estimator} and "
                "{other_estimator}. Give first the model with more degrees of freedom, then the one it restricts, fitted to "
                "the same variables and rows by the same estimator with the same cluster, and not imputed.",
                n=small.n_used,
                other_n=large.n_used,
                df=small.df,
                other_df=large.df,
                estimator=small.estimator,
                other_estimator=large.estimator,
            )
        )


def _satorra_2000(small: Fit, large: Fit) -> np.ndarray:
    """A matrix with the eigenvalues of UΓ of the restrictions, at the estimates of the larger model."""
    if isinstance(small, OrdinalFit) and isinstance(large, OrdinalFit):
        own = (
            large.model.means == small.model.means
        )  # thresholds cancel, unless only the smaller model's are shared
        wide, narrow = (fit.discrepancy(saturated=not own) for fit in (large, small))
        order = [narrow.labels.index(label) for label in wide.labels]
        inverse, spread = wide.sandwich(large.theta)
        slopes = [wide.slopes(large.theta), narrow.slopes(small.theta)[order]]
    else:
        inverse, spread = sandwich(large, estimated(large.model))
        unit = np.tile(_moment_units(large), large.model.n_groups)
        slopes = [
            (
                np.hstack(
                    [
                        fit.discrepancy().delta(fit.theta, group, large.model.observed)
                        for group in range(fit.model.n_groups)
                    ]
                )
                * unit
            )[estimated(fit.model)].T
            for fit in (large, small)
        ]
    inverse, se = unit_diagonal(inverse)
    directions = slopes[1] / np.maximum(np.linalg.norm(slopes[1], axis=0), np.finfo(float).tiny)
    basis = np.linalg.svd(np.linalg.lstsq(slopes[0] * se, directions, rcond=None)[0])[0][
        :, large.df - small.df :
    ]
    return np.linalg.solve(basis.T @ inverse @ basis, basis.T @ (spread / np.outer(se, se)) @ basis)


def _moment_units(fit: Fit) -> np.ndarray:
    """Factors that bring the moments (μ, vech Σ) to the power of ten nearest to the variables' standard deviations.

    lavaan regresses the slopes of one model on those of the other without weights, which depends on units a little (in
    the fourth digit) and, where they differ by millions, loses the small ones.
    """
    unit = 10.0 ** -np.round(
        np.log10(np.diag(fit.sample[0].cov.loc[list(fit.model.observed), list(fit.model.observed)]))
        / 2
    )
    i, j = np.tril_indices(len(unit))
    return np.append(unit, unit[i] * unit[j])
