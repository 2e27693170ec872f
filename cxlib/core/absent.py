"""What the data do not allow: the reason in place of a result, from the step that finds it to the last that would need it.

A stage refuses by raising; :meth:`cxlib.run.folder.Run.attempt` keeps the refusal as an :class:`Absent`, and every stage
that is given one (or the refusal itself) returns it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from cxlib.core import theme
from cxlib.core.errors import Mistake
from cxlib.core.result import Result, Text

Stage = TypeVar("Stage", bound=Callable)


@dataclass(frozen=True)
class Absent(Result):
    """A result that the data do not allow: no table, and the reason as its text and its warning."""


def absent(error: ValueError) -> Absent:
    """The empty result that a refusal leaves."""
    words = reason(error)
    text = {"en": f"Not computed. {words['en']}", "zh": f"未计算。{words['zh']}"}
    return Absent(pd.DataFrame(), text, 0, "not computed", (text,))


def reason(error: ValueError) -> Text:
    """Why something was refused, in both languages as far as the refusal has both."""
    if isinstance(error, Mistake):
        return {language: error[language] for language in ("en", "zh")}
    return {"en": str(error), "zh": f"（原因为英文）{error}"}


def stage(function: Stage) -> Stage:
    """Let a stage pass on what an earlier step could not give; a stage that draws gives a picture of the reason."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        if (found := _first([*args, *kwargs.values()])) is None:
            return function(*args, **kwargs)
        if not function.__name__.startswith("plot_"):
            return found
        return theme.picture(lambda *, language: theme.blank(found.text, language))(
            language=kwargs.get("language", "en")
        )

    return wrapped


def _first(given: Iterable) -> Absent | None:
    """The first argument that is not there."""
    for one in given:
        if isinstance(one, Absent):
            return one
        if isinstance(one, ValueError):
            return absent(one)
    return None
