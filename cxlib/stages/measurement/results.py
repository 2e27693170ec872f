"""What the results of a measurement model share: the fit's warnings, and matrices as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core.result import Result, Text, relied, together

if TYPE_CHECKING:
    from cxlib.sem import Fit


def with_names(matrix: pd.DataFrame, first: str = "construct") -> pd.DataFrame:
    """A matrix with its row names as first column."""
    return matrix.rename_axis(index=first, columns=None).reset_index()


def of_fit(
    fit: Fit, table: pd.DataFrame, text: Text, method: Text | str, *notes: Text | None
) -> Result:
    """A result that says above its numbers what is wrong with the fit, then the notes that apply."""
    return Result(
        table, relied(text, fit.trustworthy), fit.n_used, method, together(fit.warnings, *notes)
    )
