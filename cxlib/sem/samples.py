"""From a frame to what is fitted: the model's columns as numbers, their moments, and whether these can be fitted."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError, ModelError
from cxlib.core.words import Said, _, joined, listed
from cxlib.sem.discrepancy import Moments
from cxlib.sem.model import Model


def present(wanted: Sequence[str], columns: pd.Index) -> None:
    """Raise for a variable that the data do not have, with the nearest names."""
    have = [str(name) for name in columns]
    for name in wanted:
        if name not in have:
            near = difflib.get_close_matches(name, have, n=3, cutoff=0.5)
            hint = (
                _("Did you mean {near}?", near=_either(near))
                if near
                else _("Its columns are {names}.", names=listed(have, 20))
            )
            raise DataError(
                joined(
                    _("The model uses '{name}', which is not a column of the data.", name=name),
                    hint,
                    _(
                        "If '{name}' is a latent variable, define it: '{name} =~ item1 + item2 + item3'.",
                        name=name,
                    ),
                )
            )


def _either(names: Sequence[str]) -> Said:
    """One name or another."""
    said: Said = names[0]
    for name in names[1:]:
        said = _("{a} or {b}", a=said, b=name)
    return said


def numeric(data: pd.DataFrame, model: Model, columns: Sequence[str]) -> pd.DataFrame:
    """The model's columns as floats, NaN where missing."""
    present([*model.observed, *columns], data.columns)
    out = {}
    for name in model.observed:
        column = data[name]
        if isinstance(column, pd.DataFrame):
            raise DataError(
                _(
                    "The data have {n} columns called '{name}'. Give each its own name.",
                    n=column.shape[1],
                    name=name,
                )
            )
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
            raise DataError(
                _(
                    "Column '{name}' is not numeric (it is {kind}). Code it as numbers first, for a category one 0/1 "
                    "column a level.",
                    name=name,
                    kind=str(column.dtype),
                )
            )
        out[name] = column.to_numpy(float, na_value=np.nan)
        if np.isinf(out[name]).any():
            raise DataError(
                _(
                    "Column '{name}' has infinite values. Set them to missing or correct them.",
                    name=name,
                )
            )
    return pd.DataFrame(out, index=data.index)


def moments_of(rows: pd.DataFrame) -> Moments:
    """Moments of complete rows."""
    centred = rows - rows.mean()
    return Moments(centred.T @ centred / len(rows), rows.mean(), len(rows))


def same_groups(model: Model, groups: int) -> None:
    """Raise for a model of other groups than the data have."""
    if groups != model.n_groups:
        raise ModelError(
            _(
                "The model has {groups} groups but the data have {own}.",
                groups=model.n_groups,
                own=groups,
            )
        )


def same_length(start: np.ndarray | None, model: Model) -> None:
    """Raise for a start that is not one number for each free one."""
    if start is not None and np.shape(start) != (model.npar,):
        raise ModelError(
            _(
                "start= has shape {shape}, but the model has {free} free numbers.",
                shape=str(np.shape(start)),
                free=model.npar,
            )
        )


def usable(sample: Moments, model: Model) -> None:
    """Raise where a covariance matrix cannot be fitted, and name the columns to blame."""
    s, names = sample.cov.to_numpy(), list(model.observed)
    if sample.n <= len(names):
        raise DataError(
            _(
                "There are {rows} complete rows for {variables} variables; more rows than variables are needed. Use a "
                "smaller model, or see which columns have the missing values.",
                rows=sample.n,
                variables=len(names),
            )
        )
    sd = np.sqrt(np.maximum(np.diag(s), 0))
    unit = np.where(sd > 0, sd, 1)
    if not np.isfinite(s).all() or not np.allclose(
        s / np.outer(unit, unit), s.T / np.outer(unit, unit)
    ):
        raise DataError(
            _("The covariance matrix has missing or infinite entries, or is not symmetric.")
        )
    size = np.zeros(len(sd)) if sample.mean is None else 1e-10 * np.abs(sample.mean.to_numpy())
    if (flat := sd <= size).any():
        name = names[int(np.argmax(flat))]
        raise DataError(_("Column '{name}' is constant. Leave it out of the model.", name=name))
    values, vectors = np.linalg.eigh(s / np.outer(sd, sd))
    if values[0] < 1e-10:
        guilty = [
            name for name, weight in zip(names, vectors[:, 0], strict=True) if abs(weight) > 1e-4
        ]
        raise DataError(
            _(
                "Columns {names} are identical or exact combinations of each other, so the covariance matrix cannot be "
                "inverted. Leave one of them out.",
                names=listed(guilty),
            )
        )
