"""The tables of a run: each is declared beside the function that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Table:
    """A table of the run folder: the contract between the stage that makes it and whoever reads it.

    name : as under tables/; `*` stands for a name of the study (a model, a grouping)
    columns : those it always has
    more : those it has when they are asked for
    open : whether further columns are names of the study (constructs, items, factors)
    """

    name: str
    columns: tuple[str, ...]
    more: tuple[str, ...] = ()
    open: bool = False


def makes(name: str, columns: str, *, more: str = "", open: bool = False) -> Callable[[F], F]:
    """Declare, beside the function, a table that a run writes from what it returns; may stand several times.

    The names of the columns are words of one string: ``@makes("mcar", "chisq df p patterns")``.
    """

    def declare(function: F) -> F:
        table = Table(name, tuple(columns.split()), tuple(more.split()), open)
        function.tables = (table, *getattr(function, "tables", ()))  # type: ignore[attr-defined]
        return function

    return declare
