"""Whether the effect of one variable depends on another: least squares with product terms, and the slopes they imply.

Standard errors are robust to clusters (CR1) if there are any, else HC3 (MacKinnon & White 1985,
doi:10.1016/0304-4076(85)90158-7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

AT = ["-1 SD", "mean", "+1 SD"]
"""Where the slopes of a moderator that is a number are taken."""


@dataclass(frozen=True)
class Interaction:
    """The test of an interaction, and the slopes of the driver along the moderator.

    est, se, ci_low, ci_high, std : of the product term; missing if the moderator has more than two levels
    f, df, df_error, p : of all product terms together
    d_r2 : what they add to R²
    n : rows used
    slopes : at, slope, se, ci_low, ci_high, p, y_low, y_high; the last two are what the model expects of the outcome where
    the driver is 1 SD below and above its mean
    """

    est: float
    se: float
    ci_low: float
    ci_high: float
    std: float
    f: float
    df: int
    df_error: float
    p: float
    d_r2: float
    n: int
    slopes: pd.DataFrame = field(repr=False)


def interaction(frame: pd.DataFrame, levels: Sequence[str] = ()) -> Interaction:
    """Regress y on x, w and their products, x and a numeric w centred at their means.

    Parameters
    ----------
    frame : DataFrame
        Complete rows: y, x, w, and cluster if there are clusters.
    levels : sequence of str
        Of a moderator that is a category, the first is the reference; empty for a number.

    Notes
    -----
    Aiken & West (1991), Multiple Regression: Testing and Interpreting Interactions.
    R: ``lm(y ~ x * w)`` with ``sandwich::vcovCL`` or ``vcovHC``.
    """
    from statsmodels.api import OLS  # heavy

    w, values, unit = _moderator(frame["w"], levels)
    y, sd, k = frame["y"].to_numpy(float), frame["x"].std(), w.shape[1]
    x = (frame["x"] - frame["x"].mean()).to_numpy(float)[:, None]
    robust: dict[str, object] = {"cov_type": "HC3"}
    if "cluster" in frame:
        robust = {"cov_type": "cluster", "cov_kwds": {"groups": pd.factorize(frame["cluster"])[0]}}
    fit = OLS(y, _design(x, w)).fit(use_t=True, **robust)
    joint, bare = fit.f_test(np.eye(2 + 2 * k)[-k:]), OLS(y, _design(x, w)[:, :-k]).fit()
    est, se, (ci_low, ci_high) = fit.params[-1], fit.bse[-1], fit.conf_int()[-1]
    std = est * unit * sd / y.std(ddof=1)
    at = list(levels) or AT
    low, middle, high = (_design(np.full((len(at), 1), place), values) for place in (-sd, 0, sd))
    slope = fit.t_test((high - middle) / sd)
    ends = slope.conf_int()
    return Interaction(
        est=est if k == 1 else np.nan,
        se=se if k == 1 else np.nan,
        ci_low=ci_low if k == 1 else np.nan,
        ci_high=ci_high if k == 1 else np.nan,
        std=std if k == 1 else np.nan,
        f=float(joint.fvalue),
        df=k,
        df_error=float(joint.df_denom),
        p=float(joint.pvalue),
        d_r2=fit.rsquared - bare.rsquared,
        n=len(y),
        slopes=pd.DataFrame(
            {
                "at": at,
                "slope": slope.effect,
                "se": slope.sd.ravel(),
                "ci_low": ends[:, 0],
                "ci_high": ends[:, 1],
                "p": slope.pvalue,
                "y_low": low @ fit.params,
                "y_high": high @ fit.params,
            }
        ),
    )


def _moderator(values: pd.Series, levels: Sequence[str]) -> tuple[np.ndarray, np.ndarray, float]:
    """Its columns in the regression, what they are at each place of interest, and the step that counts as one."""
    if levels:
        coded = values.to_numpy()[:, None] == np.array(levels[1:])
        return coded, np.eye(len(levels))[:, 1:], 1.0
    unit = values.std()
    centred = (values - values.mean()).to_numpy()[:, None]
    return centred, np.array([[-unit], [0.0], [unit]]), unit


def _design(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Columns of a regression on x, w and their products."""
    return np.column_stack([np.ones(len(x)), x, w, w * x]).astype(float)
