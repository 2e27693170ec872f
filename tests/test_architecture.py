"""The house: which floor may import which, for every module there is and every one to come."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cxlib
from cxlib import STAGES

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "cxlib").rglob("*.py"))
MIDDLE = {"study", "statistics", "sem", "responses", "diagram", "simulation"}
MAY = {
    "core": set(),
    "sem": {"core"},
    "study": {"core"},
    "statistics": {"core", "sem"},
    "responses": {"core", "study", "sem", "statistics"},
    "diagram": {"core", "study"},
    "simulation": {"core", "study"},
    "stages": {"core", *MIDDLE},
    "run": {"core", *MIDDLE, "stages"},
}
"""The floors, and the ones each may import."""


def place(path: Path) -> tuple[str, ...]:
    """Where a module stands, below cxlib: ("stages", "groups", "paths")."""
    return path.relative_to(ROOT / "cxlib").with_suffix("").parts


def imported(path: Path) -> list[tuple[str, ...]]:
    """What a module imports of cxlib, wherever in it, as places."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            raise AssertionError(f"{path}: write the whole name of the module")
    return [tuple(name.split(".")[1:]) for name in found if name.split(".")[0] == "cxlib"]


def room(where: tuple[str, ...]) -> tuple[str, ...]:
    """A floor; on the floor of the stages, one stage."""
    return where[:2] if where[0] == "stages" else where[:1]


def test_every_module_stands_on_a_floor():
    assert {place(path)[0] for path in MODULES} - {"__init__"} == set(MAY)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: ".".join(place(p)))
def test_imports_point_down(path):
    here = place(path)
    if here == ("__init__",):
        return  # the face names every floor, and loads what is asked for
    for there in imported(path):
        assert there or here[0] == "run", f"{path.name} imports the face"
        assert not there or room(there) == room(here) or there[0] in MAY[here[0]], ".".join(there)


def test_no_modules_import_each_other_in_a_circle():
    edges = {}
    names = {place(path): path for path in MODULES}
    for where, path in names.items():
        edges[where] = {
            found for there in imported(path) for found in (there, there[:-1]) if found in names
        } - {where}
    done: set[tuple[str, ...]] = set()

    def walk(where: tuple[str, ...], above: tuple[tuple[str, ...], ...]) -> None:
        assert where not in above, " -> ".join(".".join(p) for p in (*above, where))
        if where not in done:
            for there in sorted(edges[where]):
                walk(there, (*above, where))
            done.add(where)

    for where in sorted(names):
        walk(where, ())


def test_the_face_gives_what_the_notebooks_call():
    for name, where in STAGES.items():
        module = importlib.import_module(where)
        assert getattr(cxlib, name) is module, f"cxlib.{name} is a floor by the same name"
    called = {
        found
        for path in (ROOT / "notebooks").rglob("*.ipynb")
        for found in re.findall(r"\bcxlib\.(\w+)(?:\.(\w+))?", path.read_text("utf-8"))
    }
    for name, function in called:
        assert hasattr(getattr(cxlib, name), function or "__call__"), f"cxlib.{name}.{function}"


ALONE = """
import importlib, pkgutil, sys
import numpy as np, pandas as pd
from cxlib import sem

for module in pkgutil.iter_modules(sem.__path__):
    importlib.import_module(f"cxlib.sem.{module.name}")
rng = np.random.default_rng(3)
data = pd.DataFrame(rng.normal(size=(90, 1)) + rng.normal(size=(90, 3)), columns=list("abc"))
data.iloc[:20, 0] = np.nan
fit = sem.fit(data, "F =~ a + b + c")
assert any(all("20" in text for text in note.values()) for note in fit.warnings)
sem.fit_measures(fit)
print(*sorted(name for name in sys.modules if name.split(".")[0] in BARRED or name.startswith("cxlib.")))
"""


def test_the_engine_works_without_the_rest():
    barred = {"matplotlib", "pydantic", "seaborn", "yaml", "statsmodels", "sklearn"}
    run = subprocess.run(
        [sys.executable, "-c", f"BARRED = {barred!r}\n{ALONE}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {name for name in run.stdout.split() if not name.startswith("cxlib.sem")} == {
        "cxlib.core",
        "cxlib.core.errors",
        "cxlib.core.syntax",
        "cxlib.core.words",
    }


def the_map() -> list[str]:
    """One line a module: where it stands and the first line it says of itself."""
    return [
        f"- `{path.relative_to(ROOT / 'cxlib').as_posix()}`: {ast.get_docstring(ast.parse(path.read_text('utf-8'))).splitlines()[0]}"
        for path in MODULES
    ]


def test_the_map_of_the_house_is_true():
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert [line for line in page.splitlines() if line.startswith("- `")] == the_map()
