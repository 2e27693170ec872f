"""What the results of a measurement model share: the fit's warnings, and matrices as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core.result import Result, Text, relied

if TYPE_CHECKING:
    from cxlib.sem import Fit


def caution(codes: list[str], en: str, zh: str) -> Text | None:
    """A warning about some constructs, None if there are none."""
    return {"en": en.format(", ".join(codes)), "zh": zh.format("、".join(codes))} if codes else None


def with_names(matrix: pd.DataFrame, first: str = "construct") -> pd.DataFrame:
    """A matrix with its row names as first column."""
    return matrix.rename_axis(index=first, columns=None).reset_index()


def of_fit(
    fit: Fit, table: pd.DataFrame, text: Text, method: str, notes: Sequence[Text | None] = ()
) -> Result:
    """A result that says above its numbers what is wrong with the fit."""
    return Result(
        table,
        relied(text, fit.trustworthy),
        fit.n_used,
        method,
        (*fit.warnings, *filter(None, notes)),
    )
