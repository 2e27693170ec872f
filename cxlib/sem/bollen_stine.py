"""The Bollen–Stine bootstrap: how large χ² gets in samples from data for which the model is exactly true."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from cxlib.sem.estimate import Fit


class BollenStine(NamedTuple):
    """p: share of samples whose χ² is at least the observed; chisq: χ² of each sample, NaN where there is no optimum."""

    p: float
    chisq: np.ndarray


def transformed(data: pd.DataFrame, fit: Fit) -> pd.DataFrame:
    """Complete rows turned so that their covariances are those the model implies: x S⁻¹ᐟ² Σ¹ᐟ² around the means.

    They keep their shape as far as possible, but the model now fits them exactly.
    """
    names = list(fit.model.observed)
    rows = data[names].dropna().astype(float)
    turn = _power(fit.sample[0].cov.to_numpy(), -0.5) @ _power(fit.implied[0].cov.to_numpy(), 0.5)
    return pd.DataFrame((rows - rows.mean()).to_numpy() @ turn + rows.mean().to_numpy(), rows.index, names)


def bollen_stine(data: pd.DataFrame, fit: Fit, draws: int, rng: np.random.Generator) -> BollenStine:
    """Bootstrap p value of exact fit, valid when items are not normal.

    Parameters
    ----------
    data : DataFrame
        What `fit` (one group) was fitted to.
    fit : Fit
    draws : int
    rng : numpy Generator

    Notes
    -----
    Bollen & Stine (1992), doi:10.1177/0049124192021002004.
    R: ``T <- bootstrapLavaan(fit, R = draws, type = "bollen.stine", FUN = fitMeasures, fit.measures = "chisq")``,
    then ``mean(T >= fitMeasures(fit, "chisq"))``.
    """
    from cxlib.sem import resampling

    rows = transformed(data, fit)
    found = resampling.bootstrap(rows, fit, draws, rng)
    x = (rows - rows.mean()).to_numpy()
    n, p = x.shape
    products = (x[:, :, None] * x[:, None, :]).reshape(n, -1)
    chisq = np.full(draws, np.nan)
    for lanes in np.array_split(np.flatnonzero(found.status != "failed"), max(1, draws // 200)):
        count = found.counts[0][lanes].astype(float)
        mean, second = count @ x / n, (count @ products / n).reshape(-1, p, p)
        log_s = np.linalg.slogdet(second - mean[:, :, None] * mean[:, None, :])[1]
        chisq[lanes] = n * (found.fmin[lanes] - log_s - p)
    known = chisq[~np.isnan(chisq)]
    return BollenStine(float((known >= fit.chisq).mean()) if len(known) else np.nan, chisq)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Symmetric power of a positive definite matrix."""
    roots, axes = np.linalg.eigh(matrix)
    return axes * roots**exponent @ axes.T
