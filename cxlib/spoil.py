"""Spoil rows of simulated responses the way real ones arrive spoilt, and keep the key.

Each spoilt row has one fault, so that screening can be judged kind by kind against the key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from cxlib.draws import Stream
from cxlib.study import Column, Study

FULL_WIDTH = str.maketrans("0123456789.-", "０１２３４５６７８９．－")


Cells = dict[str, np.ndarray]
Fault = Callable[[Cells, Study, int, np.ndarray], "list[str] | None"]


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
    for kind in sorted(planted, key=lambda name: name != "duplicate"):  # duplicates first: they need two free rows
        wanted = round(planted[kind] * len(frame))
        for at in order:
            if not wanted:
                break
            if not free[at] or (kind == "duplicate" and (at % size == 0 or not free[at - 1])):
                continue
            changed = KINDS[kind](cells, study, int(at), stream.uniform(f"{kind} {ids[at]}", 8))
            if changed is None:
                continue
            key.append((at, ids[at], kind, " ".join(changed)))
            free[at] = False
            free[at - 1] &= kind != "duplicate"
            wanted -= 1
    return pd.DataFrame(cells), pd.DataFrame([row[1:] for row in sorted(key)], columns=["resp_id", "kind", "column"])


def _items(study: Study, u: np.ndarray, count: int) -> list[str]:
    """Some items, by chance."""
    items = list(study.items)
    return list(dict.fromkeys(items[int(v * len(items))] for v in u[:count]))


def _any(values: list, u: float):
    return values[int(u * len(values))]


def _columns(study: Study, fits: Callable[[Column], bool]) -> list[str]:
    return [name for name, column in study.columns.items() if fits(column)]


def _duplicate(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str]:
    for name in list(cells)[1:]:
        cells[name][at] = cells[name][at - 1]
    return []


def _speeder(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str] | None:
    """A fifth of the usual time or less, and answers by chance."""
    name, dates = study.screening.duration, _columns(study, lambda c: c.kind == "date")
    seconds = int(np.median(cells[name].astype(float)) * (0.05 + 0.15 * u[0]))
    cells[name][at] = seconds
    if len(dates) > 1:
        end = np.datetime64(cells[dates[0]][at]) + np.timedelta64(seconds, "s")
        cells[dates[1]][at] = str(end)
    chance = np.random.default_rng(int(u[1] * 2**32)).random(len(study.items))
    for item, v in zip(study.items, chance, strict=True):
        low, high = study.scale_of(item)
        cells[item][at] = int(low + math.floor(v * (high - low + 1)))
    return [name]


def _straight(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str]:
    """One and the same answer throughout, near the middle or the agreeing end."""
    for item in study.items:
        low, high = study.scale_of(item)
        cells[item][at] = int((low + high) / 2 + math.floor(u[0] * (high - low) / 2))
    return []


def _inattentive(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str]:
    name, asked = next(iter(study.screening.attention.items()))
    low, high = study.columns[name].range or study.scale
    cells[name][at] = int(_any([v for v in range(int(low), int(high) + 1) if v != asked], u[0]))
    return [name]


def _block(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str]:
    """The last fifth to two fifths of the items were never reached."""
    items = list(study.items)
    missed = items[-int(len(items) * (0.2 + 0.2 * u[0])) :]
    for item in missed:
        cells[item][at] = None
    return missed


def _outside(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str]:
    found = _items(study, u, 2)
    for item in found:
        low, high = study.scale_of(item)
        cells[item][at] = int(_any([low - 1, high + 1, 11 * high], u[4]))
    return found


def _unknown(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str]:
    found = _items(study, u, 4)
    for item in found:
        cells[item][at] = int(study.missing[0])
    return found


def _full_width(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str]:
    """Typed with a Chinese input method."""
    found = [
        name for name in (*study.items, *_columns(study, lambda c: c.kind == "number")) if cells[name][at] is not None
    ]
    for name in found:
        cells[name][at] = str(cells[name][at]).translate(FULL_WIDTH)
    return found


def _units(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str] | None:
    """Numbers written with a unit, the declared one or another."""
    found = [name for name in _columns(study, lambda c: bool(c.units)) if cells[name][at] is not None]
    for name in found:
        value, units = cells[name][at], study.columns[name].units
        exact = [
            (unit, value / factor)
            for unit, factor in units.items()
            if abs(round(value / factor, 2) - value / factor) < 1e-9
        ]
        unit, number = _any(exact, u[2])
        cells[name][at] = f"{round(number, 2):g}{unit}" if abs(number) < 1e5 else f"{number:.0f}{unit}"
    return found or None


def _label(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str] | None:
    """Words, in simplified or traditional characters, where a code belongs."""
    found = [name for name in _columns(study, lambda c: bool(c.spellings)) if cells[name][at] is not None]
    for name in found:
        column, level = study.columns[name], cells[name][at]
        cells[name][at] = _any(
            [column.levels[level].zh, *(w for w, meant in column.spellings.items() if meant == level)], u[0]
        )
    return found or None


def _contradictory(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str] | None:
    """An answer to a question that was not to be asked."""
    named = " ".join(study.screening.contradictions.values())
    for name in _columns(study, lambda c: bool(c.only_if) and c.kind == "number"):
        if name in named and cells[name][at] is None:
            cells[name][at] = _any([v for v in cells[name] if v is not None and not isinstance(v, str)], u[0])
            return [name]
    return None


def _reversed(cells: Cells, study: Study, at: int, u: np.ndarray) -> list[str] | None:
    dates = _columns(study, lambda c: c.kind == "date")[:2]
    if len(dates) < 2:
        return None
    cells[dates[0]][at], cells[dates[1]][at] = cells[dates[1]][at], cells[dates[0]][at]
    return dates


KINDS: dict[str, Fault] = {
    "duplicate": _duplicate,
    "speeder": _speeder,
    "straight_liner": _straight,
    "attention": _inattentive,
    "block_missing": _block,
    "out_of_range": _outside,
    "not_known": _unknown,
    "full_width": _full_width,
    "mixed_units": _units,
    "label": _label,
    "contradictory": _contradictory,
    "reversed_dates": _reversed,
}
"""Kind of fault → what makes it: returns the cells it changed, or None where a row does not lend itself."""
