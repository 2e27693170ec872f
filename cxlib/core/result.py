"""What every computation comes back as: a table with its sentence, a figure with its caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core import display

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Text = Mapping[str, str]
"""The same sentence in each language: ``{"en": …, "zh": …}``."""


@dataclass(frozen=True)
class Result:
    """A table, what it says, and on how many rows it rests.

    table : DataFrame with numeric columns at full precision
    text : one or two sentences written from the numbers, in both languages
    n_used : rows of data used
    method : the exact name of what was computed
    warnings : what a reader must know before believing the numbers, in both languages
    """

    table: pd.DataFrame
    text: Text
    n_used: int
    method: str = ""
    warnings: tuple[Text, ...] = ()

    def _repr_html_(self) -> str:
        return display.block(self)


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure, its caption in both languages, and the theme it must be saved under."""

    figure: Figure = field(repr=False)
    text: Text
    language: str = "en"


def relied(text: Text, trustworthy: bool) -> Text:
    """The text, behind a warning if the solution it rests on cannot be trusted."""
    doubt = {"en": "Not to be relied on, see the warning. ", "zh": "结果不可靠，见警告。"}
    return (
        text if trustworthy else {language: doubt[language] + text[language] for language in doubt}
    )


def together(*notes: Text | tuple[Text, ...] | None) -> tuple[Text, ...]:
    """All that is to be said, once."""
    flat = [
        note for part in notes if part for note in (part if isinstance(part, tuple) else (part,))
    ]
    return tuple({note["en"]: note for note in flat}.values())


def nothing(columns: Sequence[str], why: Text, notes: tuple[Text, ...] = ()) -> Result:
    """An empty, marked result."""
    return Result(pd.DataFrame(columns=list(columns)), why, 0, "not computed", together(notes, why))
