"""Multiple imputation: completed copies of the data, and the fits to them as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.words import Said, _
from cxlib.sem.discrepancy import Discrepancy, Moments
from cxlib.sem.fiml import moments, pattern_rows
from cxlib.sem.result import Fit
from cxlib.sem.solution import describe


def impute(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One completed copy: missing values drawn given the observed ones, from moments of resampled rows.

    Notes
    -----
    Expectation–maximisation with bootstrapping, whose draws are approximately from the posterior of the
    normal model (Honaker & King 2010, doi:10.1111/j.1540-5907.2010.00447.x).  R: ``Amelia::amelia(rows)``.
    """
    mean, cov = moments(rows.iloc[rng.integers(len(rows), size=len(rows))])
    out = rows.to_numpy(float, copy=True)
    for at, seen in pattern_rows(~np.isnan(out)):
        if not seen.all():
            slope = np.linalg.solve(cov[np.ix_(seen, seen)], cov[np.ix_(seen, ~seen)])
            root = np.linalg.cholesky(cov[np.ix_(~seen, ~seen)] - cov[np.ix_(~seen, seen)] @ slope)
            centre = mean[~seen] + (out[np.ix_(at, seen)] - mean[seen]) @ slope
            out[np.ix_(at, ~seen)] = centre + rng.normal(size=centre.shape) @ root.T
    return pd.DataFrame(out, rows.index, rows.columns)


def pool(fits: Sequence[Fit], notes: Sequence[Said] = ()) -> Fit:
    """The fits of completed copies as one, by Rubin's rules, with χ² = df·D₃, in "MLR" divided by the mean scaling factor.

    Notes
    -----
    Estimates: mean; covariance: W + (1 + 1/m)B (Rubin 1987, doi:10.1002/9780470316696).  D₃ = L̃/(1 + r)/df,
    r = (m + 1)/(df(m − 1))·(L̄ − L̃), with L̄ the mean of the χ² and L̃ of the likelihood ratios at the pooled
    estimates and moments (Meng & Rubin 1992, doi:10.1093/biomet/79.1.103).
    R: ``semTools::runMI(…)``; ``semTools::lavTestLRT.mi(fit, test = "D3", asymptotic = TRUE)``, which scales in the same way.
    """
    sound = [fit for fit in fits if fit.converged and np.isfinite(fit.vcov).all()]
    if len(sound) < 2:
        raise DataError(
            _(
                "Only {sound} of {copies} imputed copies could be fitted. Use a smaller model.",
                sound=len(sound),
                copies=len(fits),
            )
        )
    thetas, m = np.array([fit.theta for fit in sound]), len(sound)
    between = (1 + 1 / m) * np.atleast_2d(np.cov(thetas.T))
    vcov = np.mean([fit.vcov for fit in sound], axis=0) + between
    samples = [
        Moments(
            sum(part.cov for part in parts) / m, sum(part.mean for part in parts) / m, parts[0].n
        )
        for parts in zip(*(fit.sample for fit in sound), strict=True)
    ]
    lost = np.max(np.diag(between) / np.diag(vcov))
    notes = [
        *notes,
        _(
            "{m} of {copies} imputed copies were fitted and pooled by Rubin's rules, χ² as D3; at most {lost:.0f} % of the "
            "information on a parameter is missing. There is no likelihood, so no AIC and BIC.",
            m=m,
            copies=len(fits),
            lost=100 * lost,
        ),
    ]
    pooled = describe(
        Discrepancy(sound[0].model, samples),
        thetas.mean(axis=0),
        0.0,
        notes,
        sound[0].groups,
        (),
        sound[0].estimator,
        "mi",
        sound[0].cluster,
        vcov,
    )
    pooled = replace(
        pooled, imputed=tuple(sound), scaling=float(np.mean([fit.scaling for fit in sound]))
    )
    return replace(
        pooled,
        fmin=d3(pooled, pooled.implied, [fit.chisq for fit in sound], pooled.df) / pooled.n_used,
    )


def d3(fit: Fit, implied: Sequence[Moments], chisq: Sequence[float], df: int) -> float:
    """df·D₃ of a model with these implied moments and, in the imputed copies, these χ²."""

    def deviance(own: Moments, to: Moments) -> float:
        cov, off = (
            to.cov.to_numpy(),
            (own.centre - to.centre).to_numpy() if fit.model.means else np.zeros(1),
        )
        return np.linalg.slogdet(cov)[1] + np.trace(
            np.linalg.solve(cov, own.cov.to_numpy() + np.outer(off, off))
        )

    ratio = [
        sum(
            own.n * (deviance(own, to) - deviance(own, free))
            for own, to, free in zip(copy.sample, implied, fit.sample, strict=True)
        )
        for copy in fit.imputed
    ]
    m, pooled = len(ratio), float(np.mean(ratio))
    return pooled / (1 + (m + 1) / (df * (m - 1)) * (float(np.mean(chisq)) - pooled)) if df else 0.0
