"""Correlations of pairs of columns, each on the rows that have both."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from cxlib.statistics.multiple_testing import holm


def pairwise(frame: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Pearson correlations of the given pairs: a, b, r, ci_low, ci_high (95 %, Fisher z), p, p_holm, n.

    Of fewer than four common rows, or of a column that does not vary in them, r is missing.

    Notes
    -----
    R: ``cor.test(x, y)`` and ``p.adjust(p, "holm")``.
    """
    from scipy.stats import pearsonr

    rows = []
    for a, b in pairs:
        pair = frame[[a, b]].dropna()
        r, low, high, p = [np.nan] * 4
        if len(pair) > 3 and (pair.max() > pair.min()).all():
            found = pearsonr(pair[a], pair[b])
            r, p, (low, high) = found.statistic, found.pvalue, found.confidence_interval()
        rows.append((a, b, r, low, high, p, len(pair)))
    table = pd.DataFrame(rows, columns=["a", "b", "r", "ci_low", "ci_high", "p", "n"])
    table.insert(6, "p_holm", holm(table["p"]))
    return table
