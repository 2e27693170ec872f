"""Construct scores: the plain mean of the items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

MOST_MISSING = 1 / 3
"""A construct score needs at least two thirds of its items."""


def scores(
    data: pd.DataFrame,
    scales: Mapping[str, Sequence[str]],
    parts: Mapping[str, Sequence[str]],
    most_missing: float = MOST_MISSING,
) -> pd.DataFrame:
    """Construct scores: the mean of a row's answered items, missing if more than a third (`most_missing`) of them are missing.

    A second-order construct is the mean of its first-order scores under the same rule.  Columns keep the scale of
    their items.

    Parameters
    ----------
    data : DataFrame
    scales : mapping
        Construct → its items.
    parts : mapping
        Second-order construct → its first-order constructs; one whose parts have no items here gets no score.
    most_missing : float
    """
    result = pd.DataFrame(index=data.index)
    for code, items in scales.items():
        result[code] = _mean(data[list(items)], most_missing)
    for code, own in parts.items():
        if set(own) <= set(result):
            result[code] = _mean(result[list(own)], most_missing)
    return result


def _mean(part: pd.DataFrame, most_missing: float) -> pd.Series:
    return part.mean(axis=1).where(part.isna().mean(axis=1) <= most_missing + 1e-12)
