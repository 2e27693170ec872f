"""Fit indices as functions of χ², degrees of freedom and n."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cxlib.sem.discrepancy import Moments


def cfi(
    chisq: float, df: float, base: float, base_df: float, c: float = 1.0, base_c: float = 1.0
) -> float:
    """Comparative fit of a χ² with expectation c·df under the model, against the baseline's."""
    excess = max(chisq - c * df, 0.0)
    most = max(excess, base - base_c * base_df)
    return 1.0 if most <= 0 else 1 - excess / most


def tli(
    chisq: float, df: float, base: float, base_df: float, c: float = 1.0, base_c: float = 1.0
) -> float:
    """Tucker-Lewis index of a χ² with expectation c·df under the model."""
    whole = (base - base_c * base_df) * df
    return 1 - (chisq - c * df) * base_df / whole if whole else 1.0


def incremental(chisq: float, df: float, base: float, base_df: float) -> dict[str, float]:
    """What compares χ² with the baseline's, by name."""
    return {
        "cfi": cfi(chisq, df, base, base_df),
        "tli": tli(chisq, df, base, base_df),
        "nfi": (base - chisq) / base if base else 1.0,
        "ifi": (base - chisq) / (base - df) if base != df else 1.0,
        "rfi": max(1 - (chisq / df) / (base / base_df), 0.0) if df and base else 1.0,
    }


def approximation(
    chisq: float, df: float, n: float, groups: float, c: float = 1.0
) -> dict[str, float]:
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
    chisq: float,
    df: float,
    base: float,
    base_df: float,
    n: float,
    groups: float,
    c: float,
    base_c: float,
) -> dict[str, float]:
    """Robust CFI, TLI and RMSEA of two χ² with expectations c·df and base_c·base_df."""
    found = {
        "cfi": cfi(chisq, df, base, base_df, c, base_c),
        "tli": tli(chisq, df, base, base_df, c, base_c),
        **approximation(chisq, df, n, groups, c),
    }
    return {f"{name}_robust": value for name, value in found.items()}


def rmsea_interval(
    chisq: float, df: float, n: float, groups: float = 1, level: float = 0.90
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


def srmr(samples: Sequence[Moments], fitted: Sequence[Moments]) -> float:
    """Root mean square of Bentler's standardised residuals, averaged over groups."""
    total, size = 0.0, sum(sample.n for sample in samples)
    for sample, implied in zip(samples, fitted, strict=True):
        sd = np.sqrt(np.diag(sample.cov))
        residual = ((sample.cov - implied.cov).to_numpy() / np.outer(sd, sd))[
            np.tril_indices(len(sd))
        ]
        if implied.mean is not None:
            residual = np.append(residual, (sample.mean - implied.mean).to_numpy() / sd)
        total += sample.n / size * np.sqrt((residual**2).mean())
    return float(total)
