"""What the data do not allow: the reason in place of a result, from the step that finds it to the last that would need it.

A stage refuses by raising; :meth:`cxlib.run.folder.Run.attempt` keeps the refusal as an :class:`Absent`, and every stage
that is given one (or the refusal itself) returns it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pandas as pd

from cxlib.core import theme
from cxlib.core.errors import Mistake
from cxlib.core.result import Result, Text
from cxlib.core.words import _, joined

Stage = TypeVar("Stage", bound=Callable[..., Any])


@dataclass(frozen=True)
class Absent(Result):
    """A result that the data do not allow: no table, and the reason as its text and its warning."""


def absent(error: ValueError) -> Absent:
    """The empty result that a refusal leaves."""
    text = joined(_("Not computed."), reason(error))
    return Absent(pd.DataFrame(), text, 0, _("not computed"), (text,))


def reason(error: ValueError) -> Text:
    """Why something was refused, in every language as far as the refusal has it."""
    if isinstance(error, Mistake):
        return joined(error.sentence)
    return _("{reason}", reason=str(error))


def stage(function: Stage) -> Stage:
    """Let a stage pass on what an earlier step could not give; a stage that draws gives a picture of the reason."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if (found := _first([*args, *kwargs.values()])) is None:
            return function(*args, **kwargs)
        if not function.__name__.startswith("plot_"):
            return found
        return theme.picture(lambda *, language: theme.blank(found.text, language))(
            language=kwargs.get("language", "en")
        )

    return cast(Stage, wrapped)


def _first(given: Iterable[Any]) -> Absent | None:
    """The first argument that is not there."""
    for one in given:
        if isinstance(one, Absent):
            return one
        if isinstance(one, ValueError):
            return absent(one)
    return None
