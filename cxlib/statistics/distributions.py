"""How answers are distributed: of one item, of several together, of a group, and against a quota."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from cxlib.sem.result import Z95

TESTS = ("mardia_skew", "mardia_kurtosis", "henze_zirkler")
BANDS = 10
"""Equal bands of a slider."""
PROMOTERS = ["n", "promoters", "passives", "detractors", "nps", "se", "ci_low", "ci_high"]
"""What :func:`net_promoters` gives."""


def items(frame: pd.DataFrame, ends: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Distribution of every item: item, n, missing, mean, sd, skew, kurtosis, floor, ceiling.

    sd has the divisor n − 1; skew is m₃/sd³ and kurtosis m₄/sd⁴ − 3 (mₖ: central moments with divisor n); floor and
    ceiling are the shares of answers at the lower and the upper of an item's `ends`.

    Notes
    -----
    R: ``psych::describe(x)`` (its default type = 3).
    """
    rows = []
    for item in frame:
        x = frame[item].dropna().to_numpy(float)
        mean, sd = (x.mean() if len(x) else np.nan), (x.std(ddof=1) if len(x) > 1 else np.nan)
        shape = (
            (((x - mean) ** 3).mean() / sd**3, ((x - mean) ** 4).mean() / sd**4 - 3)
            if sd > 0
            else (np.nan, np.nan)
        )
        shares = [(x == end).mean() if len(x) else np.nan for end in ends[str(item)]]
        rows.append((item, len(x), len(frame) - len(x), mean, sd, *shape, *shares))
    names = ["item", "n", "missing", "mean", "sd", "skew", "kurtosis", "floor", "ceiling"]
    return pd.DataFrame(rows, columns=names)


def option_shares(answers: pd.Series, low: float, high: float) -> pd.DataFrame:
    """Share of every answer option from `low` to `high`: option (1 = lowest), options, value, share, n.

    A scale of more than 11 options is a slider, and falls into BANDS equal bands.
    """
    x = answers.dropna()
    count, step = round(high - low) + 1, 1.0
    if count > 11:
        count, step = BANDS, (high - low) / BANDS
        option = ((x - low) // step).astype(int).clip(0, BANDS - 1)
    else:
        option = (x - low).round().astype(int)
    shares = option.value_counts().reindex(range(count), fill_value=0) / max(len(x), 1)
    return pd.DataFrame(
        {
            "option": range(1, count + 1),
            "options": count,
            "value": [low + k * step for k in range(count)],
            "share": shares.to_numpy(float),
            "n": len(x),
        }
    )


def quota_test(observed: Sequence[float], quota: Sequence[float]) -> float:
    """p of the χ² test of counts against shares that add up to one; missing if nothing was counted.

    Notes
    -----
    R: ``chisq.test(observed, p = quota)``.
    """
    from scipy.stats import chi2

    if not (total := sum(observed)):
        return np.nan
    expected = [share * total for share in quota]
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True) if e > 0)
    return float(chi2.sf(statistic, max(len(expected) - 1, 1)))


def t_interval(answers: pd.Series) -> tuple[int, float, float, float, float]:
    """n, mean, sd, and the 95 % t interval of the mean; of fewer than two answers there is none.

    Notes
    -----
    R: ``t.test(x)$conf.int``.
    """
    from scipy.stats import t

    x = answers.dropna()
    n, mean, sd = len(x), x.mean(), x.std()
    half = t.ppf(0.975, n - 1) * sd / np.sqrt(n) if n > 1 else np.nan
    return n, mean, sd, mean - half, mean + half


def net_promoters(answers: pd.Series) -> pd.DataFrame:
    """Net promoter score of answers from 0 to 10: n, promoters, passives, detractors (shares), nps, se, ci_low, ci_high (points).

    The share of 9–10 minus the share of 0–6; its standard error is the multinomial √((p + d − (p − d)²) / n).

    Notes
    -----
    Rocks (2016), doi:10.1080/00031305.2016.1158124, on the interval.
    """
    n, up, down = len(answers), float((answers >= 9).mean()), float((answers <= 6).mean())
    score, se = 100 * (up - down), 100 * np.sqrt((up + down - (up - down) ** 2) / n)
    low, high = max(score - Z95 * se, -100.0), min(score + Z95 * se, 100.0)
    return pd.DataFrame([(n, up, 1 - up - down, down, score, se, low, high)], columns=PROMOTERS)


@dataclass(frozen=True)
class Normality:
    """Tests of multivariate normality.

    table : statistic (mardia_skew, mardia_kurtosis, henze_zirkler), value, test (chisq, z; none), df, p, n
    n_used : complete rows; items : how many
    untested : why nothing was tested: "few" items, or a "singular" covariance matrix
    saturated : whether the Henze–Zirkler statistic sits at 1 whatever the data, as it does with many items
    """

    table: pd.DataFrame
    n_used: int
    items: int
    untested: Literal["", "few", "singular"] = ""
    saturated: bool = False


def multivariate_normality(frame: pd.DataFrame) -> Normality:
    """Mardia's skewness and kurtosis, and the Henze–Zirkler test, on the complete rows.

    With the covariance S (divisor n − 1) and Dᵢⱼ = (xᵢ − x̄)' S⁻¹ (xⱼ − x̄): skewness ΣΣ Dᵢⱼ³ / n² with n·b/6 as χ² on
    p(p+1)(p+2)/6 degrees of freedom, kurtosis Σ Dᵢᵢ² / n with z = (b − p(p+2)) / √(8p(p+2)/n).

    Notes
    -----
    Mardia (1970), doi:10.1093/biomet/57.3.519; Henze & Zirkler (1990), doi:10.1080/03610929008830400.
    R: ``psych::mardia(x, plot = FALSE)``; ``MVN::mvn(x, mvn_test = "hz")``.
    """
    import pingouin  # heavy: only this test needs it
    from scipy.stats import chi2, norm

    used = frame.dropna()
    n, p = used.shape
    none = pd.DataFrame(
        {"statistic": TESTS, "value": np.nan, "test": np.nan, "df": np.nan, "p": np.nan, "n": n}
    )
    if p < 2:
        return Normality(none, n, p, "few")
    x = used.to_numpy(float)
    if (
        n > p and (spread := x.std(axis=0)).all()
    ):  # in units of its own each item, lest a large one hide a small one
        used = (used - x.mean(axis=0)) / spread
        x = used.to_numpy(float)
    if n <= p or np.linalg.matrix_rank(x - x.mean(axis=0)) < p:
        return Normality(none, n, p, "singular")
    off = x - x.mean(axis=0)
    d = off @ np.linalg.solve(np.cov(x.T).reshape(p, p), off.T)
    skew, kurtosis = (d**3).sum() / n**2, (np.diag(d) ** 2).mean()
    chisq, df = n * skew / 6, p * (p + 1) * (p + 2) / 6
    z = (kurtosis - p * (p + 2)) / np.sqrt(8 * p * (p + 2) / n)
    henze = pingouin.multivariate_normality(used)
    rows = [
        (skew, chisq, df, chi2.sf(chisq, df)),
        (kurtosis, z, np.nan, 2 * norm.sf(abs(z))),
        (float(henze.hz), np.nan, np.nan, float(henze.pval)),
    ]
    table = pd.DataFrame(rows, columns=["value", "test", "df", "p"]).assign(n=n)
    table.insert(0, "statistic", TESTS)
    return Normality(table, n, p, saturated=abs(float(henze.hz) - 1) < 1e-6)
