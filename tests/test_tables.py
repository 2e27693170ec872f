"""The contract of the tables: what stages declare, what whole runs leave, what readers take from them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pandas as pd
import pytest

import cxlib
from cxlib.core.result import Table
from cxlib.core.words import catalogue, languages
from cxlib.run import report
from cxlib.stages import verdicts

OTHERS = [language for language in languages() if language != "en"]
STUDIES = ["ecsi", "vas"]


def modules() -> Iterator[object]:
    for found in pkgutil.walk_packages(cxlib.__path__, "cxlib."):
        yield importlib.import_module(found.name)


def declarations() -> list[tuple[str, Table]]:
    """Every table that a function of a module, or a method of a class, is declared to make, with the module's name."""
    found = []
    for module in modules():
        own = [one for one in vars(module).values() if of(one, module)]
        methods = [m for one in own if inspect.isclass(one) for m in vars(one).values()]
        found += [
            (module.__name__, table)
            for one in (*own, *methods)
            if not inspect.isclass(one)
            for table in getattr(one, "tables", ())
            if isinstance(table, Table)
        ]
    return found


def of(one: object, module: object) -> bool:
    return getattr(one, "__module__", "") == module.__name__


ALL = declarations()


def declared(name: str) -> list[Table]:
    """The declarations of a table: its own, else those whose pattern its name follows."""
    exact = [table for _module, table in ALL if table.name == name]
    return exact or [table for _module, table in ALL if fnmatchcase(name, table.name)]


def pattern(column: str, known: tuple[str, ...]) -> str:
    """A column as a declaration names it: by its name, or with {k} for its number."""
    return column if column in known else re.sub(r"\d+", "{k}", column)


@pytest.fixture(scope="session", params=STUDIES)
def folder(request, whole_run):
    return whole_run(request.param)


def columns(folder) -> dict[str, list[str]]:
    """The tables of a run; without those that the data did not allow, which have no columns."""
    paths = sorted((folder / "tables").glob("*.csv"))
    return {
        path.stem: list(pd.read_csv(path, nrows=0).columns)
        for path in paths
        if path.read_text("utf-8").strip()
    }


def test_no_table_is_declared_twice():
    names = [table.name for _module, table in ALL]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_every_table_of_a_run_is_declared_once(folder):
    found = {path.stem: len(declared(path.stem)) for path in (folder / "tables").glob("*.csv")}
    assert {name: count for name, count in sorted(found.items()) if count != 1} == {}


def test_every_table_of_a_run_has_the_columns_that_are_declared_in_their_order(folder):
    wrong = {}
    for name, there in columns(folder).items():
        for table in declared(name):
            known = (*table.columns, *table.more)
            found = list(dict.fromkeys(pattern(column, known) for column in there))
            always = [column for column in found if column in table.columns]
            strangers = [column for column in found if column not in known]
            if always != list(table.columns) or (strangers and not table.open):
                wrong[name] = (f"declared: {table.columns}", f"found: {there}")
    assert wrong == {}


def test_every_declared_table_is_left_by_some_run(whole_run):
    left = {path.stem for study in STUDIES for path in (whole_run(study) / "tables").iterdir()}
    made = {table.name for name in left for table in declared(name)}
    assert sorted({table.name for _module, table in ALL} - made) == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_declared_column_has_a_heading(language):
    known = {message for context, message in catalogue(language) if context == "column"}
    wanted = {column for _module, table in ALL for column in (*table.columns, *table.more)}
    assert sorted(wanted - known) == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_heading_is_left_over(language, whole_run):
    """A heading belongs to a declared column, or to a column of a table whose further columns a study decides."""
    known = {message for context, message in catalogue(language) if context == "column"}
    used = {column for _module, table in ALL for column in (*table.columns, *table.more)}
    for study in STUDIES:
        for name, there in columns(whole_run(study)).items():
            if any(table.open for table in declared(name)):
                used |= {pattern(column, tuple(known)) for column in there}
    assert sorted(known - used) == []


@pytest.mark.parametrize("read", verdicts.READS, ids=lambda table: table.name)
def test_what_verdicts_read_another_module_declares(read):
    makers = [
        table for module, table in ALL if table.name == read.name and module != verdicts.__name__
    ]
    assert len(makers) == 1, read.name
    (made,) = makers
    assert sorted(set(read.columns) - set(made.columns)) == []
    assert sorted(set(read.more) - {*made.columns, *made.more}) == []


def test_what_the_report_puts_first_is_declared():
    assert [name for name in report.DECISIVE if not declared(name)] == []
