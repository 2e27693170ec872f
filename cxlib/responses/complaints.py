"""What is said of cells that were not simply read: notes where reading goes on, refusals where it cannot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.result import Text
from cxlib.core.words import Sentence, _, joined, listed, n_
from cxlib.responses.cells import WRITTEN
from cxlib.study.places import where
from cxlib.study.schema import Column, Study

MOST_WORDS = 30
"""More different answers than this are not listed: they do not come from a scale."""


@dataclass(frozen=True)
class Change:
    """Cells of a column with one problem: what stood in them, and in which rows (from 1 below the header)."""

    column: str
    problem: str
    told: list[str]
    rows: list[int]


@dataclass
class Log:
    """What happened to the cells of a file, column by column."""

    study: Study
    changes: list[Change] = field(default_factory=list)
    errors: list[Sentence] = field(default_factory=list)
    strays: list[tuple[str, str, int]] = field(default_factory=list)

    def take(
        self,
        name: str,
        column: Column,
        cells: pd.DataFrame,
        labels: Mapping[str, str],
        problems: Mapping[str, np.ndarray],
    ) -> None:
        """Take note of a column: `cells` are given, without blanks, and read; `labels` are those of the file."""
        for problem, bad in problems.items():
            if not bad.any():
                continue
            told = [
                f"{code} ({labels[code]})" if labels.get(code) else code
                for code in dict.fromkeys(cells["given"][bad])
            ]
            change = Change(name, problem, told, [int(i) + 1 for i in np.flatnonzero(bad)])
            self.changes.append(change)
            self._refuse(change, column, cells)

    def _refuse(self, change: Change, column: Column, cells: pd.DataFrame) -> None:
        """Keep what the study does not let pass."""
        strict = self.study.screening.out_of_range == "error"
        name, unread = change.column, bool(cells["read"].isna().all())
        if change.problem == "answer" and (strict or unread):
            # words throughout are no stray answers
            self.strays += [(name, cells["unblanked"].iloc[row - 1], row) for row in change.rows]
        elif change.problem in ("range", "level") and strict:
            self.errors.append(joined(_not_allowed(change, column), where(self.study, name)))
        elif change.problem == "number" and strict and unread:
            self.errors.append(
                joined(
                    _(
                        "{name}: none of its {n} values is a number in a known unit ({values}). Declare what follows the number, as in "
                        "units: {{min: 60}}, or kind: text.",
                        name=name,
                        n=len(change.rows),
                        values=listed(change.told, 6),
                    ),
                    where(self.study, name),
                )
            )

    def refuse(self, file: str) -> None:
        """Raise what was kept, as one error."""
        errors = list(self.errors)
        if errors:
            errors.append(
                _(
                    "To go on with them as missing, say so in the study file: screening: {{out_of_range: missing}}."
                )
            )
        if self.strays:
            strays = pd.DataFrame(self.strays, columns=["item", "text", "row"])
            errors.append(_undeclared(strays, self.study))
        if errors:
            raise DataError(
                joined(
                    _(
                        "'{file}' holds values that the study '{study}' does not allow:",
                        file=file,
                        study=self.study.id,
                    ),
                    *errors,
                    between="\n  ",
                )
            )

    def table(self) -> pd.DataFrame:
        """Column, problem, n, values, rows."""
        rows = [
            (c.column, c.problem, len(c.rows), _some(c.told), _some(c.rows)) for c in self.changes
        ]
        return pd.DataFrame(rows, columns=["column", "problem", "n", "values", "rows"])

    def notes(self) -> tuple[Text, ...]:
        """One sentence a problem."""
        problems = dict.fromkeys(change.problem for change in self.changes)
        return tuple(
            _note(problem, [change for change in self.changes if change.problem == problem])
            for problem in problems
        )


def _not_allowed(change: Change, column: Column) -> Sentence:
    """What is wrong with the values of a column, and the two remedies."""
    place = n_(
        "{name}: {values} in {n:,} row ({rows})",
        "{name}: {values} in {n:,} rows ({rows})",
        len(change.rows),
        name=change.column,
        values=listed(change.told, 6),
        rows=listed(change.rows, 6),
    )
    if change.problem == "range" and column.range:
        return _(
            "{place}; allowed {low:g} to {high:g}. Correct its scale (range), or add the value to missing:.",
            place=place,
            low=column.range[0],
            high=column.range[1],
        )
    return _(
        "{place}; allowed {levels}. Add the level to the column, or the value to missing:.",
        place=place,
        levels=list(column.levels) or "0, 1, yes, no",
    )


def _undeclared(strays: pd.DataFrame, study: Study) -> Sentence:
    """Answers that are words nobody declared (columns item, text, row), with the lines that would declare them."""
    once = strays[(strays["row"] <= 3) & ~strays["text"].duplicated(keep=False)]
    heads = [row for row, part in once.groupby("row") if len(part) == len(study.items) > 1]
    told: list[Sentence | str] = [
        n_(
            "Row {rows} below the header holds no answers but a second header: delete it.",
            "Rows {rows} below the header hold no answers but a second header: delete them.",
            len(heads),
            rows=listed(heads, 6),
        )
    ] * bool(heads)
    strays = strays[~strays["row"].isin(heads)]
    lines = _lines(strays)
    items = strays["item"].unique()
    if any(study.answers_of(i) for i in items if i in study.items):
        told += [
            joined(
                _(
                    "{items}: words that answers: does not list. Add these lines to it, each with the number it stands for; what is no answer "
                    "goes to missing: instead.",
                    items=listed(items, 12),
                ),
                where(study, "answers"),
            ),
            *lines,
        ]
    elif lines:
        told += [
            _(
                "{items}: words where answers must be numbers. Export the option numbers, not their texts ({menu}), or add these lines to the "
                "study file, at the left margin (or inside one construct, for its items), and write behind each the number it stands for; what is "
                "no answer goes to missing: instead.",
                items=listed(items, 12),
                menu=WRITTEN["by_number"],
            ),
            "answers:",
            *lines,
        ]
    return joined(*told, between="\n")


def _lines(strays: pd.DataFrame) -> list[Sentence | str]:
    """The words as the lines of a study file that would declare them."""
    lines: list[Sentence | str] = []
    for text, part in list(strays.groupby("text", sort=False))[:MOST_WORDS]:
        digits = re.findall(r"\d+", str(text))
        word = (
            str(text)
            if re.fullmatch(r"[^\W\d][\w ]*", str(text))
            else json.dumps(text, ensure_ascii=False)
        )
        lines.append(
            n_(
                "  {word}: {digit}   # {n:,} time, in {items}",
                "  {word}: {digit}   # {n:,} times, in {items}",
                len(part),
                word=word,
                digit=digits[0] if len(digits) == 1 else " ",
                items=listed(part["item"].unique(), 4),
            )
        )
    if (more := strays["text"].nunique() - MOST_WORDS) > 0:
        lines.append(
            _("  # and {more:,} further texts: are these columns answered on a scale?", more=more)
        )
    return lines


def _note(problem: str, changes: list[Change]) -> Sentence:
    """What was done about one problem, in how many cells of which columns."""
    columns = listed(
        [
            _("{column} ({n}: {values})", column=c.column, n=len(c.rows), values=listed(c.told, 6))
            if problem == "blank"
            else f"{c.column} ({len(c.rows)})"
            for c in sorted(changes, key=lambda change: -len(change.rows))
        ],
        8,
    )
    return _counted(problem, sum(len(c.rows) for c in changes), columns, listed(changes[0].told, 6))


def _counted(problem: str, count: int, columns: Sentence, values: Sentence) -> Sentence:
    """The sentence that belongs to a problem."""
    match problem:
        case "blank":
            return n_(
                "{n:,} value stood for no answer and became missing: {columns}. Where it is an answer, declare it as one of the column's "
                "levels:, in quotes.",
                "{n:,} values stood for no answer and became missing: {columns}. Where it is an answer, declare it as one of the column's "
                "levels:, in quotes.",
                count,
                columns=columns,
            )
        case "missing code":
            return n_(
                "{n:,} value was declared as missing and became missing: {columns}.",
                "{n:,} values were declared as missing and became missing: {columns}.",
                count,
                columns=columns,
            )
        case "range":
            return n_(
                "{n:,} value lay outside the declared range and became missing: {columns}.",
                "{n:,} values lay outside the declared range and became missing: {columns}.",
                count,
                columns=columns,
            )
        case "level":
            return n_(
                "{n:,} value is no declared level and became missing: {columns}.",
                "{n:,} values are no declared level and became missing: {columns}.",
                count,
                columns=columns,
            )
        case "answer":
            return n_(
                "{n:,} value could not be read as a number and became missing: {columns}.",
                "{n:,} values could not be read as numbers and became missing: {columns}.",
                count,
                columns=columns,
            )
        case "date":
            return n_(
                "{n:,} value could not be read as a date and became missing: {columns}.",
                "{n:,} values could not be read as dates and became missing: {columns}.",
                count,
                columns=columns,
            )
        case "offset":
            return n_(
                "{n:,} value was a time with an offset and was converted to UTC: {columns}.",
                "{n:,} values were times with an offset and were converted to UTC: {columns}.",
                count,
                columns=columns,
            )
    return _counted_with_values(problem, count, columns, values)


def _counted_with_values(problem: str, count: int, columns: Sentence, values: Sentence) -> Sentence:
    """The same where it helps to see what stood in the cells."""
    match problem:
        case "number":
            return n_(
                "{n:,} value could not be read as a number in a known unit and became missing: {columns} ({values}).",
                "{n:,} values could not be read as numbers in a known unit and became missing: {columns} ({values}).",
                count,
                columns=columns,
                values=values,
            )
        case "word":
            return n_(
                "{n:,} value was a word, or a code labelled with one, and became the number that answers: declares: {columns} ({values}).",
                "{n:,} values were words, or codes labelled with them, and became the numbers that answers: declares: {columns} ({values}).",
                count,
                columns=columns,
                values=values,
            )
        case "numbered":
            return n_(
                "{n:,} value held a number and words and was read by the number, please check: {columns} ({values}).",
                "{n:,} values held a number and words and were read by the number, please check: {columns} ({values}).",
                count,
                columns=columns,
                values=values,
            )
    raise KeyError(problem)


def _some(values: Iterable[object], limit: int = 6) -> str:
    """Values for a cell of a table; many end in how many there are."""
    values = [str(v) for v in values]
    return ", ".join(values[:limit]) + (
        f", … ({len(values)} in all)" if len(values) > limit else ""
    )
