"""Indices of careless answering, one value a row, from the answers alone: they describe and remove nobody.

Overviews: Meade & Craig (2012), doi:10.1037/a0028085; Curran (2016), doi:10.1016/j.jesp.2015.07.006.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.sem.discrepancy import unit_diagonal
from cxlib.sem.fiml import moments, pattern_rows


def longstring(frame: pd.DataFrame) -> pd.Series:
    """Longest run of one and the same answer in a row; columns in the administered order, unanswered ones passed over.

    Notes
    -----
    Johnson (2005), doi:10.1016/j.jrp.2004.09.009.  R: ``careless::longstring(x)`` (complete rows).
    """

    def longest(row: np.ndarray) -> int:
        row = row[~np.isnan(row)]
        if not len(row):
            return 0
        edges = np.flatnonzero(np.diff(row) != 0)
        return int(np.diff(np.concatenate([[-1], edges, [len(row) - 1]])).max())

    return pd.Series(
        [longest(row) for row in frame.to_numpy(float)], index=frame.index, dtype=float
    )


def irv(frame: pd.DataFrame) -> pd.Series:
    """Intra-individual response variability: standard deviation (n − 1) of a row's raw answers.

    Notes
    -----
    Dunn et al. (2018), doi:10.1007/s10869-016-9479-0.  R: ``careless::irv(x)``.
    """
    return frame.std(axis=1, ddof=1)


def even_odd(frame: pd.DataFrame, scales: Mapping[str, list[str]]) -> pd.Series:
    """Even-odd consistency: each person's correlation, over the scales, of the means of odd and even items.

    Stepped up by Spearman–Brown, 2r / (1 + r), and never below −1.  Needs three scales of two items; items recoded.

    Notes
    -----
    Johnson (2005), doi:10.1016/j.jrp.2004.09.009.  R: ``careless::evenodd(x, factors)`` (with its sign turned).
    """
    usable = [items for items in scales.values() if len(items) > 1]
    if len(usable) < 3:
        return pd.Series(np.nan, index=frame.index)
    halves = [
        pd.concat([frame[items[start::2]].mean(axis=1) for items in usable], axis=1).to_numpy()
        for start in (0, 1)
    ]
    both = ~np.isnan(halves[0] + halves[1])
    odd, even = (np.ma.masked_array(half, ~both) for half in halves)
    odd, even = odd - odd.mean(axis=1)[:, None], even - even.mean(axis=1)[:, None]
    scale = np.ma.sqrt((odd**2).sum(axis=1) * (even**2).sum(axis=1))
    r = np.ma.masked_where(
        (scale < 1e-12) | (both.sum(axis=1) < 3), (odd * even).sum(axis=1)
    ) / np.ma.masked_less(scale, 1e-12)
    full = np.ma.filled(r, np.nan).clip(-1, 1)
    return pd.Series(np.maximum(2 * full / np.maximum(1 + full, 1e-12), -1), index=frame.index)


def mahalanobis(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> pd.DataFrame:
    """Squared Mahalanobis distance of each row over the items it answered, with its χ² probability.

    Mean and covariance (divisor n − 1; by EM if answers are missing) come from `reference`, by default the frame itself.

    Returns
    -------
    DataFrame
        mahalanobis, mahalanobis_p; missing where there is no invertible covariance matrix.

    Notes
    -----
    R: ``psych::outlier(x)`` for complete rows.
    """
    from scipy.stats import chi2

    base = (frame if reference is None else reference).dropna(how="all")
    distance, answered = np.full(len(frame), np.nan), frame.notna().to_numpy()
    mean, covariance = np.zeros(frame.shape[1]), np.zeros((1, 1))
    if len(base) > frame.shape[1]:
        with suppress(DataError):
            mean, covariance = moments(base)
    if np.linalg.matrix_rank(unit_diagonal(covariance)[0], hermitian=True) == frame.shape[1]:
        covariance = covariance * len(base) / (len(base) - 1)
        for rows, seen in pattern_rows(answered):
            if seen.any():
                off = frame.to_numpy(float)[np.ix_(rows, seen)] - mean[seen]
                distance[rows] = (
                    off * np.linalg.solve(covariance[np.ix_(seen, seen)], off.T).T
                ).sum(axis=1)
    p = np.where(np.isnan(distance), np.nan, chi2.sf(distance, np.maximum(answered.sum(axis=1), 1)))
    return pd.DataFrame({"mahalanobis": distance, "mahalanobis_p": p}, index=frame.index)
