"""Likelihood-ratio tests of many small restrictions of one fit, without a new fit for each.

The optimum under Cθ = 0 is reached by Newton's steps within the restriction, from the unrestricted estimates and with
the Hessian there: on so short a way it hardly changes, so that a step costs one gradient.  Where these do not arrive,
F is minimised within the restriction.  It is the optimum of the restricted model, to the same accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlib.sem.discrepancy import TOLERANCE, Discrepancy, Within, definite, inverted, minimise
from cxlib.sem.ordinal import OrdinalFit
from cxlib.sem.result import Fit
from cxlib.sem.robust import sandwich

STEPS = 40


def likelihood_ratios(fit: Fit, restrictions: Sequence[np.ndarray]) -> pd.DataFrame:
    """Test each of several linear restrictions Cθ = 0 of the free numbers on its own.

    Parameters
    ----------
    fit : Fit
        Without the restrictions.
    restrictions : sequence of ndarray, (rows, npar) each
        C of full row rank, such as a row with 1 and −1 for the equality of two paths.

    Returns
    -------
    DataFrame
        d_chisq, d_df, d_p a restriction, scaled after Satorra (2000) with a robust estimator; NaN where no restricted
        optimum is found, or where the fit is none.

    Notes
    -----
    Satorra (2000), doi:10.1007/978-1-4615-4603-0_17: the scaling needs the larger model only.
    R: ``lavTestLRT(fit, restricted, method = "satorra.2000", A.method = "exact")``.
    """
    from scipy.special import chdtrc

    function: Discrepancy | Within = fit.discrepancy()
    theta, rows, robust = fit.theta, [], None
    if isinstance(fit, OrdinalFit):  # of the parameters alone
        responses = fit.discrepancy()
        robust, rest = responses.sandwich(theta), responses.rest
        function, theta = responses.reduced(), theta[rest]
        restrictions = [contrast[:, rest] for contrast in restrictions]
    elif fit.estimator != "ML":
        robust = sandwich(fit)
    hessian = function.hessian(theta)
    if not fit.converged or not definite(hessian):
        return pd.DataFrame(
            {"d_chisq": np.nan, "d_df": [len(c) for c in restrictions], "d_p": np.nan}
        )
    inverse = inverted(hessian)
    for contrast in restrictions:
        chisq = fit.n_used * _restricted(function, theta, inverse, contrast) - fit.chisq
        if robust:
            a, v = (contrast @ part[: len(theta), : len(theta)] @ contrast.T for part in robust)
            chisq /= np.trace(np.linalg.solve(a, v)) / len(contrast)
        rows.append(
            {
                "d_chisq": chisq,
                "d_df": len(contrast),
                "d_p": float(chdtrc(len(contrast), max(chisq, 0.0))),
            }
        )
    return pd.DataFrame(rows, columns=["d_chisq", "d_df", "d_p"])


def _restricted(
    function: Discrepancy | Within, theta: np.ndarray, inverse: np.ndarray, contrast: np.ndarray
) -> float:
    """The least F where contrast·θ = 0, NaN if it is not found."""
    across = inverse @ contrast.T
    back = across @ inverted(contrast @ across)
    near, before = theta - back @ (contrast @ theta), np.inf
    for _ in range(STEPS):
        gradient = function.gradient(near)
        step = inverse @ gradient - back @ (across.T @ gradient)
        near, decrement = near - step, float(np.sqrt(max(gradient @ step, 0.0)))
        if decrement < TOLERANCE:
            return function.value(near)
        if not decrement < before:  # too far away for the old Hessian
            break
        before = decrement
    unit = np.sqrt(
        np.diag(inverse)
    )  # directions that mix numbers of different units are no good axes
    basis = unit[:, None] * np.linalg.svd(contrast * unit)[2][len(contrast) :].T
    origin = theta - unit * (np.linalg.pinv(contrast * unit) @ (contrast @ theta))
    within = Within(function, lambda alpha: origin + basis @ alpha, basis)
    alpha, decrement = minimise(within, np.zeros(basis.shape[1]))
    return within.value(alpha) if decrement < TOLERANCE else np.nan
