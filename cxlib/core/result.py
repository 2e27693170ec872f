"""What every computation comes back as: a table with its sentence, a figure with its caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core import display
from cxlib.core.tables import Table, makes
from cxlib.core.words import _, joined, said

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "Result", "Table", "Text", "block", "makes", "nothing", "relied", "together"]
Text = Mapping[str, str]
"""The same sentence in each language, most often a :class:`cxlib.core.words.Sentence`."""


@dataclass(frozen=True)
class Result:
    """A table, what it says, and on how many rows it rests.

    table : DataFrame with numeric columns at full precision
    text : one or two sentences written from the numbers
    n_used : rows of data used
    method : the exact name of what was computed
    warnings : what a reader must know before believing the numbers
    """

    table: pd.DataFrame
    text: Text
    n_used: int
    method: Text | str = ""
    warnings: tuple[Text, ...] = ()

    def _repr_html_(self) -> str:
        return block(self)


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure, its caption, and the language of the theme it must be saved under."""

    figure: Figure = field(repr=False)
    text: Text
    language: str = "en"


def relied(text: Text, trustworthy: bool) -> Text:
    """The text, behind a warning if the solution it rests on cannot be trusted."""
    return text if trustworthy else joined(_("Not to be relied on, see the warning."), text)


def block(result: Result, language: str = "en", rows: int = 60) -> str:
    """A result as HTML: its warnings above its numbers, the table, the sentence, n and method."""
    from html import escape

    parts = [f'<p class="cx-warning">⚠ {escape(w[language])}</p>' for w in result.warnings]
    parts.append(display.html(result.table.head(rows), language))
    if len(result.table) > rows:
        more = _("{shown} of {all} rows; the file has all.", shown=rows, all=len(result.table))
        parts.append(f"<p><small>{escape(more[language])}</small></p>")
    parts.append(f"<p>{escape(result.text[language])}</p>")
    note = " · ".join(
        filter(
            None,
            [f"n = {result.n_used:,}" if result.n_used else "", said(result.method, language)],
        )
    )
    parts.append(f"<p><small>{escape(note)}</small></p>" if note else "")
    return "\n".join(parts)


def together(*notes: Text | tuple[Text, ...] | None) -> tuple[Text, ...]:
    """All that is to be said, once."""
    flat = [
        note for part in notes if part for note in (part if isinstance(part, tuple) else (part,))
    ]
    return tuple({note["en"]: note for note in flat}.values())


def nothing(columns: Sequence[str], why: Text, notes: tuple[Text, ...] = ()) -> Result:
    """An empty, marked result."""
    return Result(
        pd.DataFrame(columns=list(columns)), why, 0, _("not computed"), together(notes, why)
    )
