"""How well a fitted model reproduces its sample: χ², incremental, absolute and information measures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlib.sem.baseline import baseline, baseline_scaling, independence
from cxlib.sem.discrepancy import Discrepancy, inverted
from cxlib.sem.fiml import FullInformation, Patterns
from cxlib.sem.indices import approximation, cfi, corrected, incremental, srmr, tli
from cxlib.sem.ordinal import OrdinalFit, ordinal_measures
from cxlib.sem.result import Fit
from cxlib.sem.robust import estimated


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
    if isinstance(fit, OrdinalFit):
        return ordinal_measures(fit)
    from scipy.special import chdtrc

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
        "srmr": srmr(fit.sample, fit.implied),
        "gfi": gfi,
        "agfi": 1 - (model.npar + df) / df * (1 - gfi) if df else 1.0,
    }
    if fit.patterns or fit.estimator != "ML":
        values |= scaled(fit)
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


def _saturated(fit: Fit) -> float:
    """Log-likelihood of the groups' own moments, given those of the observed predictors."""

    def part(s: np.ndarray) -> float:
        return (len(s) * (np.log(2 * np.pi) + 1) + np.linalg.slogdet(s)[1]) if len(s) else 0.0

    x, function, total = list(fit.model.fixed_x), fit.discrepancy(), 0.0
    for group, sample in enumerate(fit.sample):
        whole = part(sample.cov.to_numpy())
        if isinstance(function, FullInformation):
            rows = fit.patterns[group]
            whole = rows.share @ (
                function.saturated[group] + rows.seen.sum(axis=1) * np.log(2 * np.pi)
            )
        total += sample.n * (part(sample.cov.loc[x, x].to_numpy()) - whole) / 2
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
            delta, mean = (
                (sample.centre - implied.centre).to_numpy(),
                np.where(x, 0.0, sample.centre),
            )
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


def scaled(fit: Fit) -> dict[str, float]:
    """Scaled and robust fit measures by lavaan's names, "_" for "."."""
    from scipy.special import chdtrc

    chisq, df, n, groups = fit.chisq, fit.df, fit.n_used, fit.model.n_groups
    (base, base_df), c, out = baseline(fit), fit.scaling if df else 1.0, {}
    if fit.estimator != "ML":
        base_c = baseline_scaling(fit)
        near = approximation(chisq, c * df, n, groups)
        out = {
            "chisq_scaled": chisq / c,
            "df_scaled": df,
            "pvalue_scaled": chdtrc(df, chisq / c) if df else np.nan,
            "chisq_scaling_factor": fit.scaling,
            "baseline_chisq_scaled": base / base_c,
            "baseline_df_scaled": base_df,
            "baseline_chisq_scaling_factor": base_c,
            "cfi_scaled": cfi(chisq / c, df, base / base_c, base_df),
            "tli_scaled": tli(chisq / c, df, base / base_c, base_df),
            **{f"{name}_scaled": value for name, value in near.items()},
        }
    if fit.missing == "fiml":
        (chisq, c), (base, base_c) = (
            fiml_corrected(fit, fit.discrepancy(), fit.theta),
            fiml_corrected(fit, *independence(fit)),
        )
    return out | corrected(chisq, df, base, base_df, n, groups, c, base_c)


def fiml_corrected(fit: Fit, function: Discrepancy, theta: np.ndarray) -> tuple[float, float]:
    """χ² that complete data would have given, and its scaling factor.

    The moments are the saturated ones, whose larger sampling error the factor takes in (Zhang & Savalei 2022,
    doi:10.1037/met0000445: their versions V3 with a robust estimator, V6 without).
    """
    from scipy.linalg import block_diag

    observed, scattered, complete, delta, free = [], [], [], [], estimated(function.model)
    x = np.isin(function.model.observed, function.model.fixed_x)
    for group, (weight, part) in enumerate(zip(function.weight, fit.patterns, strict=True)):
        own, s = function.mean[group], function.s[group]
        kept = ~np.append(x, x[part.i] & x[part.j])
        scores, square = part.units(part.scores(own, s)[:, kept]).to_numpy(), np.ix_(kept, kept)
        observed.append(weight * part.information(own, s)[square])
        scattered.append(weight * scores.T @ scores / part.n)
        complete.append(weight * Patterns(own[None]).information(own, s, expected=True)[square])
        delta.append(function.delta(theta, group)[np.ix_(free, kept)])
    wm, jm, wc, slope = (
        block_diag(*observed),
        block_diag(*scattered),
        block_diag(*complete),
        np.hstack(delta),
    )
    inverse = inverted(wm)
    rest = inverse - slope.T @ inverted(slope @ wm @ slope.T) @ slope
    trace = np.trace(wc @ rest @ jm @ rest) if fit.estimator != "ML" else np.trace(wc @ rest)
    chisq = function.n * Discrepancy(function.model, function.samples).value(theta)
    return chisq, float(trace) / function.model.df if function.model.df else 1.0
