"""Spoil rows of simulated responses the way real ones arrive spoilt, and keep the key.

Each spoilt row has one fault, so that screening can be judged kind by kind against the key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxlib.simulation.draws import Stream
from cxlib.study.schema import Column, Study

FULL_WIDTH = {ord(mark): ord(mark) + 0xFEE0 for mark in "0123456789.-"}
"""Digits as a Chinese input method writes them."""


def spoil(
    frame: pd.DataFrame, study: Study, planted: Mapping[str, float], stream: Stream, size: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Spoil a share of the rows for every kind of fault; no row has two.

    Parameters
    ----------
    frame : DataFrame
        Honest responses; the first column is the respondent's id.
    planted : mapping
        Kind → share of rows, of :data:`KINDS`.
    size : int
        Rows of a cluster: a duplicate repeats the row before it, from the same cluster.

    Returns
    -------
    DataFrame, DataFrame
        The raw responses; the key (resp_id, kind, column: the cells concerned, empty for the whole row).
    """
    cells = {
        str(name): column.astype(object).where(column.notna(), None).to_numpy(copy=True)
        for name, column in frame.items()
    }
    order = np.argsort(stream.uniform("spoilt rows", len(frame)), kind="stable")
    ids, free, key = frame.iloc[:, 0].to_numpy(), np.ones(len(frame), bool), []
    for kind in sorted(
        planted, key=lambda name: name != "duplicate"
    ):  # duplicates first: they need two free rows
        wanted = round(planted[kind] * len(frame))
        for at in order:
            if not wanted:
                break
            if not free[at] or (kind == "duplicate" and (at % size == 0 or not free[at - 1])):
                continue
            changed = KINDS[kind](
                _Row(cells, study, int(at), stream.uniform(f"{kind} {ids[at]}", 8))
            )
            if changed is None:
                continue
            key.append((at, ids[at], kind, " ".join(changed)))
            free[at] = False
            free[at - 1] &= kind != "duplicate"
            wanted -= 1
    return pd.DataFrame(cells), pd.DataFrame(
        [row[1:] for row in sorted(key)], columns=["resp_id", "kind", "column"]
    )


@dataclass
class _Row:
    """A row to be spoilt, with its chances `u`."""

    cells: dict[str, np.ndarray]
    study: Study
    at: int
    u: np.ndarray

    def __getitem__(self, name: str) -> Any:
        return self.cells[name][self.at]

    def __setitem__(self, name: str, value: Any) -> None:
        self.cells[name][self.at] = value

    def answer(self, items: list[str], new: Callable[[float, float], int | None]) -> list[str]:
        """Answer items anew, within their scale or without."""
        for item in items:
            self[item] = new(*self.study.scale_of(item))
        return items

    def some(self, count: int) -> list[str]:
        """So many items by chance, or fewer."""
        return list(dict.fromkeys(_any(list(self.study.items), v) for v in self.u[:count]))

    def answered(self, fits: Callable[[Column], Any]) -> list[str]:
        """The columns of a sort that are not empty in this row."""
        return [
            name
            for name, column in self.study.columns.items()
            if fits(column) and self[name] is not None
        ]

    def times(self) -> list[str]:
        """The columns in which the questionnaire began and ended, if there are two."""
        dates = [name for name, column in self.study.columns.items() if column.kind == "date"]
        return dates[:2] if len(dates) > 1 else []


def _any(values: list, u: float) -> Any:
    return values[int(u * len(values))]


def _duplicate(row: _Row) -> list[str]:
    for name in list(row.cells)[1:]:
        row[name] = row.cells[name][row.at - 1]
    return []


def _speeder(row: _Row) -> list[str]:
    """A fifth of the usual time or less, and answers by chance."""
    name = row.study.screening.duration
    row[name] = int(np.median(row.cells[name].astype(float)) * (0.05 + 0.15 * row.u[0]))
    if times := row.times():
        row[times[1]] = str(np.datetime64(row[times[0]]) + np.timedelta64(row[name], "s"))
    chance = iter(np.random.default_rng(int(row.u[1] * 2**32)).random(len(row.study.items)))
    row.answer(
        list(row.study.items),
        lambda low, high: int(low + math.floor(next(chance) * (high - low + 1))),
    )
    return [name]


def _straight_liner(row: _Row) -> list[str]:
    """One and the same answer throughout, near the middle or the agreeing end."""
    row.answer(
        list(row.study.items),
        lambda low, high: int((low + high) / 2 + math.floor(row.u[0] * (high - low) / 2)),
    )
    return []


def _attention(row: _Row) -> list[str]:
    name, asked = next(iter(row.study.screening.attention.items()))
    low, high = row.study.columns[name].range or row.study.scale
    row[name] = _any([v for v in range(int(low), int(high) + 1) if v != asked], row.u[0])
    return [name]


def _block_missing(row: _Row) -> list[str]:
    """The last fifth to two fifths of the items were never reached."""
    items = list(row.study.items)
    return row.answer(items[-int(len(items) * (0.2 + 0.2 * row.u[0])) :], lambda low, high: None)


def _out_of_range(row: _Row) -> list[str]:
    return row.answer(
        row.some(2), lambda low, high: int(_any([low - 1, high + 1, 11 * high], row.u[4]))
    )


def _not_known(row: _Row) -> list[str]:
    return row.answer(row.some(4), lambda low, high: int(row.study.missing[0]))


def _full_width(row: _Row) -> list[str]:
    """Typed with a Chinese input method."""
    found = [item for item in row.study.items if row[item] is not None] + row.answered(
        lambda c: c.kind == "number"
    )
    for name in found:
        row[name] = str(row[name]).translate(FULL_WIDTH)
    return found


def _mixed_units(row: _Row) -> list[str] | None:
    """Numbers written with a unit, the declared one or another."""
    found = row.answered(lambda c: c.units)
    for name in found:
        every = [
            (unit, row[name] / factor) for unit, factor in row.study.columns[name].units.items()
        ]
        unit, number = _any(
            [(unit, value) for unit, value in every if abs(round(value, 2) - value) < 1e-9],
            row.u[2],
        )
        row[name] = f"{round(number, 2):g}{unit}" if abs(number) < 1e5 else f"{number:.0f}{unit}"
    return found or None


def _label(row: _Row) -> list[str] | None:
    """Words, in simplified or traditional characters, where a code belongs."""
    found = row.answered(lambda c: c.spellings)
    for name in found:
        column, level = row.study.columns[name], row[name]
        others = [word for word, meant in column.spellings.items() if meant == level]
        _code, *translated = column.levels[level].texts.values()
        row[name] = _any([*translated, *others], row.u[0])
    return found or None


def _contradictory(row: _Row) -> list[str] | None:
    """An answer to a question that was not to be asked."""
    named = " ".join(row.study.screening.contradictions.values())
    for name, column in row.study.columns.items():
        if column.only_if and column.kind == "number" and name in named and row[name] is None:
            row[name] = _any(
                [v for v in row.cells[name] if v is not None and not isinstance(v, str)], row.u[0]
            )
            return [name]
    return None


def _reversed_dates(row: _Row) -> list[str] | None:
    if times := row.times():
        row[times[0]], row[times[1]] = row[times[1]], row[times[0]]
    return times or None


KINDS: dict[str, Callable[[_Row], list[str] | None]] = {
    fault.__name__[1:]: fault
    for fault in (
        _duplicate, _speeder, _straight_liner, _attention, _block_missing, _out_of_range, _not_known, _full_width,
        _mixed_units, _label, _contradictory, _reversed_dates,
    )
}  # fmt: skip
"""Kind of fault → what makes it: returns the cells it changed, or None where a row does not lend itself."""
