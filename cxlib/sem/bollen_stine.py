"""The Bollen–Stine bootstrap: how large χ² gets in samples from data for which the model is exactly true."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlib.sem.resampling import bootstrap
from cxlib.sem.result import Fit


class BollenStine(NamedTuple):
    """p: share of samples whose χ² is at least the observed; chisq: χ² of each sample, NaN where there is no optimum."""

    p: float
    chisq: np.ndarray


def transformed(data: pd.DataFrame, fit: Fit) -> pd.DataFrame:
    """Complete rows turned so that the model is exactly true of them: (x − x̄) S⁻¹ᐟ² Σ¹ᐟ² + μ.

    They keep their shape as far as possible.  Where the model has no means, x̄ stays.  The roots are those of the
    correlations, in units of the sample's standard deviations, so that they do not depend on the variables' units.
    """
    x, (sample,), (implied,) = (
        data[list(fit.model.observed)].dropna().astype(float),
        fit.sample,
        fit.implied,
    )
    sd = np.sqrt(np.diag(sample.cov))
    turn = _power(sample.cov.to_numpy() / np.outer(sd, sd), -0.5) @ _power(
        implied.cov.to_numpy() / np.outer(sd, sd), 0.5
    )
    centre = x.mean() if implied.mean is None else implied.mean
    return pd.DataFrame(
        (x - x.mean()).to_numpy() / sd @ turn * sd + centre.to_numpy(), x.index, x.columns
    )


def bollen_stine(data: pd.DataFrame, fit: Fit, draws: int, rng: np.random.Generator) -> BollenStine:
    """Bootstrap p value of exact fit, valid when items are not normal.

    Parameters
    ----------
    data : DataFrame
        What `fit` was fitted to.
    fit : Fit
        Of one group.
    draws : int
    rng : numpy Generator

    Notes
    -----
    Bollen & Stine (1992), doi:10.1177/0049124192021002004.
    R: ``T <- bootstrapLavaan(fit, R = draws, type = "bollen.stine", FUN = fitMeasures, fit.measures = "chisq")``,
    then ``mean(T >= fitMeasures(fit, "chisq"))``.
    """
    found = bootstrap(transformed(data, fit), fit, draws, rng)
    floor = np.zeros(draws)
    for lanes in np.array_split(np.arange(draws), max(1, draws // 200)):
        for sample in found.samples.take(lanes):
            floor[lanes] += sample.n * (
                np.linalg.slogdet(np.moveaxis(sample.cov, -1, 0))[1] + len(sample.cov)
            )
    chisq = np.where(found.status == "failed", np.nan, fit.n_used * found.fmin - floor)
    known = chisq[~np.isnan(chisq)]
    return BollenStine(float((known >= fit.chisq).mean()) if len(known) else np.nan, chisq)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Symmetric power of a positive definite matrix."""
    roots, axes = np.linalg.eigh(matrix)
    return axes * roots**exponent @ axes.T
