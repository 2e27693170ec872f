"""How well a fitted model reproduces its sample: χ², incremental, absolute and information measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from cxlib.sem.estimate import Fit


def fit_measures(fit: Fit) -> pd.DataFrame:
    """Fit measures by lavaan's names and definitions; of a WLSMV solution see :mod:`cxlib.sem.ordinal`.

    Parameters
    ----------
    fit : Fit
        What :func:`~cxlib.sem.estimate.fit` returned.

    Returns
    -------
    DataFrame
        measure, value: npar, fmin (½F, as lavaan), chisq, df, pvalue, baseline_chisq, baseline_df, cfi, tli,
        nfi, ifi, rfi, logl, aic, bic, bic2 (sample-size adjusted), n, rmsea with its 90 % interval and the
        p-value of the hypothesis RMSEA ≤ .05, srmr, gfi, agfi.  Without degrees of freedom pvalue and
        rmsea_pvalue do not exist (NaN).

    Notes
    -----
    CFI: Bentler (1990), doi:10.1037/0033-2909.107.2.238.  TLI: Tucker & Lewis (1973), doi:10.1007/BF02291170.
    NFI: Bentler & Bonett (1980), doi:10.1037/0033-2909.88.3.588.  IFI and RFI: Bollen (1989, 1986),
    doi:10.1177/0049124189017003004, doi:10.1007/BF02294061.  RMSEA: Browne & Cudeck (1992),
    doi:10.1177/0049124192021002005; with G groups times √G (Steiger 1998).  SRMR: Bentler's, residuals over
    sample standard deviations, means included if they are modelled.  GFI: Jöreskog & Sörbom, weighted by the
    implied moments.  Moments of observed predictors (``fixed_x``) are neither parameters nor likelihood.

    R: ``lavaan::fitMeasures(fit)``.
    """
    if fit.estimator == "WLSMV":
        from cxlib.sem.ordinal import ordinal_measures

        return ordinal_measures(fit)
    from scipy.special import chdtrc

    from cxlib.sem.robust import measures as robust

    model, n, chisq, df = fit.model, fit.n_used, fit.chisq, fit.df
    base, base_df = baseline(fit)
    npar = model.npar - model.table.loc[model.table["exo"] == 1, "free"].nunique()
    logl = np.nan if fit.missing == "mi" else _saturated(fit) - chisq / 2
    gfi = _gfi(fit)
    values = {
        "npar": npar,
        "fmin": fit.fmin / 2,
        "chisq": chisq,
        "df": df,
        "pvalue": chdtrc(df, chisq) if df else np.nan,
        "baseline_chisq": base,
        "baseline_df": base_df,
        **incremental(chisq, df, base, base_df),
        "logl": logl,
        "aic": 2 * npar - 2 * logl,
        "bic": npar * np.log(n) - 2 * logl,
        "bic2": npar * np.log((n + 2) / 24) - 2 * logl,
        "n": n,
        **approximation(chisq, df, n, fit.model.n_groups),
        "srmr": _srmr(fit),
        "gfi": gfi,
        "agfi": 1 - (model.npar + df) / df * (1 - gfi) if df else 1.0,
    }
    if fit.patterns or fit.estimator != "ML":
        values |= robust(fit)
    return pd.DataFrame({"measure": list(values), "value": np.array(list(values.values()), float)})


def reported(table: pd.DataFrame) -> dict[str, float]:
    """The measures to report, by their plain names: scaled χ² and robust indices where there are any."""
    value = dict(zip(table["measure"], table["value"], strict=True))
    names = (
        "chisq",
        "pvalue",
        "cfi",
        "tli",
        "rmsea",
        "rmsea_ci_lower",
        "rmsea_ci_upper",
        "rmsea_pvalue",
    )
    better = {
        name: next(
            (
                v
                for kind in ("robust", "scaled")
                if np.isfinite(v := value.get(f"{name}_{kind}", np.nan))
            ),
            None,
        )
        for name in names
        if "chisq_scaled" in value
    }
    return value | {name: v for name, v in better.items() if v is not None}


def baseline(fit: Fit) -> tuple[float, int]:
    """χ² and df of the independence model, in which only observed predictors covary."""
    chisq, p, x = 0.0, len(fit.model.observed), list(fit.model.fixed_x)
    rest, df = (
        [name for name in fit.model.observed if name not in x],
        p * (p - 1) // 2 - len(x) * (len(x) - 1) // 2,
    )
    if fit.missing == "fiml":
        from cxlib.sem.robust import independence

        null, at = independence(fit)
        return fit.n_used * null.value(at), len(fit.sample) * df
    if fit.missing == "mi":
        from cxlib.sem.imputation import d3

        alone = np.eye(p) + np.outer(*[np.isin(fit.model.observed, x)] * 2) > 0
        null = [part._replace(cov=part.cov * alone) for part in fit.sample]
        return d3(fit, null, [baseline(copy)[0] for copy in fit.imputed], len(null) * df), len(
            null
        ) * df
    for sample in fit.sample:
        log_x = np.linalg.slogdet(sample.cov.loc[x, x].to_numpy())[1] if x else 0.0
        log_y = np.log(np.diag(sample.cov.loc[rest, rest])).sum()
        chisq += sample.n * (log_y + log_x - np.linalg.slogdet(sample.cov.to_numpy())[1])
    return float(chisq), len(fit.sample) * df


def cfi(
    chisq: float, df: int, base: float, base_df: int, c: float = 1.0, base_c: float = 1.0
) -> float:
    """Comparative fit of a χ² with expectation c·df under the model, against the baseline's."""
    excess = max(chisq - c * df, 0.0)
    most = max(excess, base - base_c * base_df)
    return 1.0 if most <= 0 else 1 - excess / most


def tli(
    chisq: float, df: int, base: float, base_df: int, c: float = 1.0, base_c: float = 1.0
) -> float:
    """Tucker-Lewis index of a χ² with expectation c·df under the model."""
    whole = (base - base_c * base_df) * df
    return 1 - (chisq - c * df) * base_df / whole if whole else 1.0


def incremental(chisq: float, df: int, base: float, base_df: int) -> dict[str, float]:
    """What compares χ² with the baseline's, by name."""
    return {
        "cfi": cfi(chisq, df, base, base_df),
        "tli": tli(chisq, df, base, base_df),
        "nfi": (base - chisq) / base if base else 1.0,
        "ifi": (base - chisq) / (base - df) if base != df else 1.0,
        "rfi": max(1 - (chisq / df) / (base / base_df), 0.0) if df and base else 1.0,
    }


def approximation(chisq: float, df: float, n: int, groups: int, c: float = 1.0) -> dict[str, float]:
    """RMSEA of a χ² with expectation c·df under the model, its 90 % interval, and p of RMSEA ≤ .05 (none without df)."""
    low, high = rmsea_interval(chisq / c, df, n, groups)
    close = 1 - _noncentral(chisq / c, df, n * df * 0.05**2 / (groups * c)) if df else np.nan
    return {
        "rmsea": float(np.sqrt(groups * max(chisq - c * df, 0.0) / (n * df))) if df else 0.0,
        "rmsea_ci_lower": low * np.sqrt(c),
        "rmsea_ci_upper": high * np.sqrt(c),
        "rmsea_pvalue": close,
    }


def corrected(
    chisq: float, df: int, base: float, base_df: int, n: int, groups: int, c: float, base_c: float
) -> dict[str, float]:
    """Robust CFI, TLI and RMSEA of two χ² with expectations c·df and base_c·base_df."""
    found = {
        "cfi": cfi(chisq, df, base, base_df, c, base_c),
        "tli": tli(chisq, df, base, base_df, c, base_c),
        **approximation(chisq, df, n, groups, c),
    }
    return {f"{name}_robust": value for name, value in found.items()}


def rmsea_interval(
    chisq: float, df: float, n: int, groups: int = 1, level: float = 0.90
) -> tuple[float, float]:
    """Confidence limits of the RMSEA: noncentralities at which χ² is the upper or lower tail point."""
    from scipy.optimize import brentq

    if not np.isfinite(chisq + df):
        return np.nan, np.nan
    limits = []
    for tail in ((1 + level) / 2, (1 - level) / 2):
        if df < 1 or _noncentral(chisq, df, 0.0) < tail:
            limits.append(0.0)
            continue
        top = chisq + 10.0
        while _noncentral(chisq, df, top) > tail:
            top *= 2
        noncentrality = brentq(
            lambda value, tail=tail: _noncentral(chisq, df, value) - tail, 0.0, top, xtol=1e-10
        )
        limits.append(float(np.sqrt(groups * noncentrality / (n * df))))
    return limits[0], limits[1]


def _noncentral(chisq: float, df: float, noncentrality: float) -> float:
    """Distribution function of the noncentral χ²."""
    from scipy.special import chndtr

    return float(chndtr(chisq, df, noncentrality))


def _saturated(fit: Fit) -> float:
    """Log-likelihood of the groups' own moments, given those of the observed predictors."""

    def part(s: np.ndarray) -> float:
        return (len(s) * (np.log(2 * np.pi) + 1) + np.linalg.slogdet(s)[1]) if len(s) else 0.0

    x, function, total = list(fit.model.fixed_x), fit.discrepancy(), 0.0
    for group, sample in enumerate(fit.sample):
        whole = part(sample.cov.to_numpy())
        if fit.missing == "fiml":
            rows = fit.patterns[group]
            whole = rows.share @ (
                function.saturated[group] + rows.seen.sum(axis=1) * np.log(2 * np.pi)
            )
        total += sample.n * (part(sample.cov.loc[x, x].to_numpy()) - whole) / 2
    return float(total)


def _srmr(fit: Fit) -> float:
    """Root mean square of Bentler's standardised residuals, averaged over groups."""
    total = 0.0
    for sample, implied in zip(fit.sample, fit.implied, strict=True):
        sd = np.sqrt(np.diag(sample.cov))
        residual = ((sample.cov - implied.cov).to_numpy() / np.outer(sd, sd))[
            np.tril_indices(len(sd))
        ]
        if implied.mean is not None:
            residual = np.append(residual, (sample.mean - implied.mean).to_numpy() / sd)
        total += sample.n / fit.n_used * np.sqrt((residual**2).mean())
    return float(total)


def _gfi(fit: Fit) -> float:
    """Share of the sample moments, weighted by the implied ones, that the model reproduces."""
    total, x = 0.0, [name in fit.model.fixed_x for name in fit.model.observed]
    for group, (sample, implied) in enumerate(zip(fit.sample, fit.implied, strict=True)):
        if fit.missing == "fiml":
            total += sample.n / fit.n_used * _gfi_incomplete(fit, group)
            continue
        inverse, given = np.linalg.inv(implied.cov.to_numpy()), sample.cov.to_numpy().copy()
        miss = inverse @ (given - implied.cov.to_numpy())
        given[np.ix_(x, x)] = 0
        given = inverse @ given
        wrong, whole = np.trace(miss @ miss) / 2, np.trace(given @ given) / 2
        if implied.mean is not None:
            delta, mean = (sample.mean - implied.mean).to_numpy(), np.where(x, 0.0, sample.mean)
            wrong, whole = wrong + delta @ inverse @ delta, whole + mean @ inverse @ mean
        total += sample.n / fit.n_used * (1 - wrong / whole)
    return float(total)


def _gfi_incomplete(fit: Fit, group: int) -> float:
    """:func:`_gfi` of one group with the expected information of the incomplete rows as weight."""
    at, part = fit.discrepancy().point(fit.theta, group), fit.patterns[group]
    pairwise = pd.DataFrame(part.values)
    given = np.append(pairwise.mean(), pairwise.cov().to_numpy()[part.i, part.j] * (1 - 1 / part.n))
    x = np.isin(fit.model.observed, fit.model.fixed_x)
    given[np.append(x, x[part.i] & x[part.j])] = 0
    miss = np.where(given, given - np.append(at.mu, at.sigma[part.i, part.j]), 0)
    weight = part.information(at.mu, at.sigma, expected=True)
    return 1 - miss @ weight @ miss / (given @ weight @ given)
