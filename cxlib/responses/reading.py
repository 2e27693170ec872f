"""Raw responses, typed as the study declares them: nothing guessed, nothing dropped in silence.

`read(study)` finds each declared item and column in the file (by its code, or by its wording), turns declared
missing codes into missing values, labels into codes and mixed units into one, and says what it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.result import Text, makes
from cxlib.core.words import _, joined, listed
from cxlib.responses.cells import comma_note, convert, meanings, unblank
from cxlib.responses.columns import matched, refuse_absent, refuse_title
from cxlib.responses.complaints import Log
from cxlib.responses.formats import load, locate
from cxlib.study.places import where
from cxlib.study.schema import Column, Study, Wording


@dataclass(frozen=True)
class Reading:
    """What was read.

    frame : one row a respondent in the order of the file (index `row`, counted from 1 below the header); items,
        numbers and flags are floats, categories are level codes (text), dates are timestamps
    notes : what was changed on the way in
    changes : DataFrame column, problem, n, values, rows — the same, for the machine
    ignored : columns of the file that the study does not declare, and private ones; they were not read
    """

    frame: pd.DataFrame
    notes: tuple[Text, ...] = ()
    changes: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    ignored: tuple[str, ...] = ()


@makes("reading", "column problem n values rows")
def read(study: Study) -> Reading:
    """Read the responses of a study.

    Raises
    ------
    DataError
        The file cannot be found or read; declared items or columns are not in it; an answer lies outside its
        declared range, is a word that `answers:` does not list, or a level is unknown, and the study does not say
        `screening: {out_of_range: missing}`; there is no row, or no answer to any item.
    """
    columns = {name: c for name, c in study.columns.items() if c.kind != "private"}
    for name in (
        study.screening.attention.keys() & columns.keys()
    ):  # answered on the scale of the items
        columns[name] = columns[name].model_copy(
            update={"answers": study.answers | columns[name].answers}
        )
    items = {
        item: Column(kind="number", range=study.scale_of(item), answers=study.answers_of(item))
        for item in study.items
    }
    wordings = {name: _wordings(study.wording(name), name) for name in (*items, *study.columns)}
    file, path = study.responses.file, locate(study.responses.file, study, study.responses.package)
    reading = _typed(path, study.responses.header, {**items, **columns}, wordings, study)
    if reading.frame.empty:
        raise DataError(
            joined(
                _(
                    "'{file}' has a header and no row of answers below it. Export the answers again, or correct 'file:'.",
                    file=file,
                ),
                where(study, "responses"),
            )
        )
    if reading.frame[list(items)].isna().all(axis=None):
        raise DataError(
            joined(
                _(
                    "None of the {items} items has an answer in any of the {rows:,} rows of '{file}': look into the file.",
                    items=len(items),
                    rows=len(reading.frame),
                    file=file,
                ),
                *reading.notes,
            )
        )
    return reading


def linked(study: Study, name: str) -> Reading:
    """Read a linked table by its declaration.

    Raises
    ------
    DataError
        No such table; `rows: one` and a key comes twice; or as in :func:`read`.
    """
    if name not in study.tables:
        raise DataError(
            _(
                "The study '{study}' declares no table '{name}'. Declared: {names}.",
                study=study.id,
                name=name,
                names=list(study.tables) or _("none"),
            )
        )
    table = study.tables[name]
    columns = {
        table.key: Column(kind="id"),
        **{k: c for k, c in table.columns.items() if c.kind != "private"},
    }
    wordings = {name: _wordings(column.name, name) for name, column in columns.items()}
    reading = _typed(locate(table.file, study), table.header, columns, wordings, study)
    key = reading.frame[table.key]
    if table.rows == "one" and key.duplicated().any():
        raise DataError(
            _(
                "Table '{name}': '{key}' repeats ({values}), but the study declares rows: one. Remove the repeated rows, or declare rows: "
                "many.",
                name=name,
                key=table.key,
                values=listed(key[key.duplicated()].unique(), 6),
            )
        )
    return reading


def key(study: Study) -> pd.DataFrame | None:
    """The key of planted bad rows (columns respondent id and `kind`) of a simulated study, or None if it names none."""
    if not study.screening.key:
        return None
    return load(locate(study.screening.key, study)).cells.apply(unblank)


def _wordings(wording: Wording | None, name: str) -> tuple[str, ...]:
    """The words by which a column of the file may go, in every language the study file has them in."""
    return tuple(wording.texts.values()) if wording else (name,)


def _typed(
    path: Path,
    header_row: int,
    columns: Mapping[str, Column],
    wordings: Mapping[str, Iterable[str]],
    study: Study,
) -> Reading:
    """The declared columns of a file, each turned into its declared kind."""
    sheet = load(path, header_row)
    found, notes = matched(list(sheet.cells.columns), sheet.labels, wordings)
    absent = [name for name in columns if name not in found]
    unused = [h for h in sheet.cells if h not in {found[n] for n in columns if n in found}]
    if absent:
        refuse_title(path, header_row, wordings, len(found))
        refuse_absent(absent, unused, path, wordings, study)
    frame, log = {}, Log(study)
    asked = {*study.items, *study.screening.attention}
    for name, column in columns.items():
        given, labels = sheet.cells[found[name]], sheet.levels.get(found[name], {})
        levels = meanings(column, labels, name)
        unblanked = unblank(given, levels)
        read, problems = convert(unblanked, column, study.missing, name in asked, levels)
        problems = {"blank": (given.notna() & unblanked.isna()).to_numpy()} | problems
        notes += comma_note(unblanked, name) if column.kind == "number" else ()
        cells = pd.DataFrame({"given": given, "unblanked": unblanked, "read": read})
        log.take(name, column, cells, labels, problems)
        frame[name] = read
    log.refuse(path.name)
    result = pd.DataFrame(frame)
    result.index = pd.RangeIndex(1, len(result) + 1, name="row")
    return Reading(result, log.notes() + notes, log.table(), tuple(unused))
