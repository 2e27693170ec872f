"""What a cell of a file means: blanks, missing codes, numbers with units, decimal commas, levels, and answers in words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from cxlib.core.errors import DataError
from cxlib.core.result import Text
from cxlib.core.words import _
from cxlib.study.schema import Column

WRITTEN: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("answer_words.yml").read_text("utf-8")
)
"""What people and survey sites write: no answer, yes and no, units of time."""
BLANK = frozenset(WRITTEN["blank"])
FLAGS = dict.fromkeys(WRITTEN["yes"], 1.0) | dict.fromkeys(WRITTEN["no"], 0.0)
THOUSANDS = re.compile(r"(?<!\d)[1-9]\d{0,2}(,\d{3})+(?!\d)")
NUMBERED = re.compile(
    r"(\d+)(?:\s*[-–—=.\u3001:)]\s*|\s+)(\D.*)"
)  # a code and its words in one answer: 5-very satisfied
NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([^\d\s].*)?", re.IGNORECASE)


def as_text(value: Any) -> str | float:
    """A cell as text: 7.0 is "7", surrounding spaces go, an empty one is NaN."""
    if isinstance(value, float | np.floating) and np.isfinite(value) and value == int(value):
        value = int(value)
    return np.nan if pd.isna(value) or not str(value).strip() else str(value).strip()


def unblank(cells: pd.Series, declared: Iterable[str] = ()) -> pd.Series:
    """The usual words for an empty cell as NaN, except where the study declares the word as a level."""
    empty = BLANK - set(declared)
    return cells.mask(
        cells.map(lambda v: isinstance(v, str) and (v.lower() in empty and plain(v) in empty)),
        np.nan,
    )


def meanings(column: Column, labelled: Mapping[str, str], name: str = "") -> dict:
    """What may stand in a cell → its level, or its number; `labelled` are the file's own value labels."""
    if column.kind == "number":
        numbers = {plain(word): number for word, number in column.answers.items()}
        return numbers | {
            plain(code): numbers[plain(label)]
            for code, label in labelled.items()
            if plain(label) in numbers
        }
    if column.kind not in ("category", "flag"):
        return {}
    allowed: dict = dict(FLAGS) if column.kind == "flag" else {}
    for code, words in column.levels.items():
        level = code if column.kind == "category" else FLAGS.get(code, np.nan)
        allowed |= {plain(word): level for word in (code, *words.texts.values())}
    allowed |= {
        plain(word): allowed.get(plain(level), level) for word, level in column.spellings.items()
    }
    for code, label in labelled.items():
        meant = allowed.get(plain(label))
        if meant is not None and allowed.setdefault(plain(code), meant) != meant:
            raise DataError(
                _(
                    "{name}: the file labels {code} as '{label}', which the study declares as the level {level}, not {other}. Correct "
                    "levels: in the study file.",
                    name=name,
                    code=code,
                    label=label,
                    level=meant,
                    other=allowed[plain(code)],
                )
            )
    return allowed


OFFSET = re.compile(r":\d\d(?:\.\d+)?\s*(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)$", re.IGNORECASE)
"""A time that says how far it is from UTC."""


def convert(
    cells: pd.Series, column: Column, missing: tuple, item: bool, allowed: Mapping | None = None
) -> tuple[pd.Series, dict[str, np.ndarray]]:
    """Cells of one column in the declared kind, and by problem the rows that were not simply read."""
    if column.kind in ("text", "id"):
        return cells, {}
    cells = cells.map(lambda v: unicodedata.normalize("NFKC", v).strip(), na_action="ignore")
    given = cells.notna().to_numpy()
    coded = cells.isin(
        {unicodedata.normalize("NFKC", str(as_text(code))) for code in missing}
    ).to_numpy()
    if column.kind == "date":
        return _dates(cells, given)
    if column.kind in ("category", "flag"):
        return _levels(cells, column, given, coded, allowed or {})
    point = "." if _commas(cells)[0] else ""
    values = pd.Series([_number(v, column, point) for v in cells], index=cells.index, dtype=float)
    problems: dict[str, np.ndarray] = {}
    if allowed and given.any():
        meant = cells.str.casefold().map(allowed).astype(float)
        problems["word"] = (meant.notna() & (meant != values)).to_numpy()
        values = meant.fillna(values)
    if item and (given & values.isna()).any():
        number = _numbered(cells.where(values.isna()), allowed or {})
        problems["numbered"], values = number.notna().to_numpy(), values.fillna(number)
    lower, upper = column.range or (-np.inf, np.inf)
    outside = ((values < lower) | (values > upper)).to_numpy()
    # 99 hours are hours: in a number column with a range, a missing code counts as one only outside that range
    coded = coded & (item | outside | (column.range is None))
    unread = given & ~coded & values.isna().to_numpy()
    outside = outside & ~coded
    problems |= {"missing code": coded, "range": outside, "answer" if item else "number": unread}
    return values.mask(coded | outside), problems


def _dates(cells: pd.Series, given: np.ndarray) -> tuple[pd.Series, dict[str, np.ndarray]]:
    """Times without an offset; those with one are turned into UTC."""
    values = pd.to_datetime(cells, errors="coerce", format="mixed", utc=True).dt.tz_localize(None)
    zoned = cells.astype("string").str.contains(OFFSET).fillna(False).to_numpy(bool)
    there = values.notna().to_numpy()
    return values, {"date": given & ~there, "offset": zoned & there}


def _levels(
    cells: pd.Series, column: Column, given: np.ndarray, coded: np.ndarray, allowed: Mapping
) -> tuple[pd.Series, dict[str, np.ndarray]]:
    """Levels of a category as their codes, flags as 0 and 1."""
    if column.kind == "category" and not allowed:
        return cells.mask(coded), {"missing code": coded}
    values = cells
    if given.any():
        words = cells.str.casefold()
        values, coded = words.map(dict(allowed)), coded & ~words.isin(list(allowed)).to_numpy()
    values = values.astype(float if column.kind == "flag" else object)
    return values, {"missing code": coded, "level": given & ~coded & values.isna().to_numpy()}


def _numbered(cells: pd.Series, answers: Mapping[str, float]) -> pd.Series:
    """The number before the words ("5-very satisfied"), if in the column each has one wording and none contradicts `answers`."""
    read = cells.str.casefold().str.extract(f"^{NUMBERED.pattern}$")
    number, pairs = read[0].astype(float), read.dropna().drop_duplicates()
    unsure = (
        pairs[0].duplicated().any()
        or pairs[1].duplicated().any()
        or (pairs[1].map(answers).fillna(number) != number[pairs.index]).any()
    )
    return number * np.nan if unsure else number


def plain(text: str) -> str:
    """Full-width to ASCII, no outer spaces, no capitals."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _commas(cells: pd.Series) -> tuple[list[str], list[str]]:
    """The numbers whose comma can only be a decimal one, and those whose comma may part thousands."""
    cells = cells[cells.str.contains(r"\d,\d", na=False)] if cells.notna().any() else cells.dropna()
    return [v for v in cells if not THOUSANDS.search(v)], [v for v in cells if THOUSANDS.search(v)]


def comma_note(cells: pd.Series, name: str) -> tuple[Text, ...]:
    """How a comma before three digits was read, which could be either."""
    decimal, either = _commas(
        cells.map(lambda v: unicodedata.normalize("NFKC", v), na_action="ignore")
    )
    if not either:
        return ()
    if decimal:
        return (
            _(
                "{name}: the comma was read as the decimal point in the whole column ({because}), as in {example}.",
                name=name,
                because=decimal[0],
                example=either[0],
            ),
        )
    return (
        _(
            "{name}: the comma was read as parting thousands in the whole column, as in {example}.",
            name=name,
            example=either[0],
        ),
    )


def _number(cell: object, column: Column, point: str = "") -> float:
    """ "1 d", "24h", "1,440 min" in the declared unit; NaN where it cannot be read."""
    read = isinstance(cell, str) and NUMBER.fullmatch(re.sub(r"(?<=\d),(?=\d)", point, cell))
    if not read:
        return np.nan
    unit = column.unit.casefold()
    same = next((names for names in WRITTEN["times"] if unit in names), (unit,))
    factors = {
        "": 1.0,
        **dict.fromkeys(same, 1.0),
        **{k.casefold(): v for k, v in column.units.items()},
    }
    return float(read[1]) * factors.get((read[2] or "").strip().casefold(), np.nan)
