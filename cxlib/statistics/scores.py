"""Construct scores: the plain mean of the items."""

from __future__ import annotations

import pandas as pd

from cxlib.study.schema import Study

MOST_MISSING = 1 / 3
"""A construct score needs at least two thirds of its items."""


def scores(data: pd.DataFrame, study: Study, most_missing: float = MOST_MISSING) -> pd.DataFrame:
    """Construct scores: the mean of a row's answered items, missing if more than a third (`most_missing`) of them are missing.

    A second-order construct is the mean of its first-order scores under the same rule.  Columns keep the scale of
    their items.
    """
    result = pd.DataFrame(index=data.index)
    for code, construct in study.constructs.items():
        if construct.items:
            result[code] = _mean(data[list(construct.items)], most_missing)
    for code, construct in study.constructs.items():
        if construct.of and set(construct.of) <= set(result):
            result[code] = _mean(result[list(construct.of)], most_missing)
    return result


def _mean(part: pd.DataFrame, most_missing: float) -> pd.Series:
    return part.mean(axis=1).where(part.isna().mean(axis=1) <= most_missing + 1e-12)
