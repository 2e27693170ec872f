"""Missing answers: which patterns they form, and whether they look missing completely at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.words import _
from cxlib.sem.fiml import moments, pattern_rows


@dataclass(frozen=True)
class Mcar:
    """Little's test: its χ² on `df` degrees of freedom, over so many patterns of the `n` rows with an answer.

    Where nothing was tested chisq and p are NaN and df is 0; `refused` says why, unless no answer is missing.
    """

    chisq: float
    df: int
    p: float
    patterns: int
    n: int
    refused: DataError | None = None


def patterns(frame: pd.DataFrame) -> pd.DataFrame:
    """Patterns of missing answers, the most frequent first: n, missing (how many items), items (which)."""
    absent = frame.isna().to_numpy()
    rows = [
        (len(rows), int((~seen).sum()), " ".join(frame.columns[~seen]))
        for rows, seen in pattern_rows(~absent)
    ]
    return pd.DataFrame(rows, columns=["n", "missing", "items"]).sort_values(
        ["n", "missing", "items"], ascending=[False, True, True], ignore_index=True
    )


def littles_mcar(frame: pd.DataFrame) -> Mcar:
    """Little's test that answers are missing completely at random.

    d² = Σⱼ nⱼ (ȳⱼ − μ̂ⱼ)' Σ̂ⱼ⁻¹ (ȳⱼ − μ̂ⱼ) over the missing-data patterns j, with maximum-likelihood μ̂ and Σ̂ (divisor n);
    χ² with Σ pⱼ − p degrees of freedom.

    Notes
    -----
    Little (1988), doi:10.1080/01621459.1988.10478722.  Rows without any answer are left out.
    R: ``naniar::mcar_test(x)`` (which also keeps the divisor n).
    """
    from scipy.stats import chi2

    used = frame.dropna(how="all")
    groups = pattern_rows(used.notna().to_numpy())
    if not used.isna().any(axis=None):
        return Mcar(np.nan, 0, np.nan, len(groups), len(used))
    try:
        if len(used) <= used.shape[1]:
            raise DataError(
                _(
                    "{rows} rows for {items} items leave no invertible covariance matrix.",
                    rows=len(used),
                    items=used.shape[1],
                )
            )
        mean, covariance = moments(used)
    except DataError as error:
        return Mcar(np.nan, 0, np.nan, len(groups), len(used), error)
    values, chisq, df = used.to_numpy(float), 0.0, -len(mean)
    for rows, seen in groups:
        off = values[np.ix_(rows, seen)].mean(axis=0) - mean[seen]
        chisq += len(rows) * off @ np.linalg.solve(covariance[np.ix_(seen, seen)], off)
        df += int(seen.sum())
    return Mcar(chisq, df, float(chi2.sf(chisq, df)), len(groups), len(used))
