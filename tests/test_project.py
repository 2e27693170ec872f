"""What the project promises about itself: the same packages everywhere, no addresses, light imports, small functions."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WANTED = {*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]}


def name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def test_conda_users_get_the_same_packages():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    by_pip = next(part["pip"] for part in listed if isinstance(part, dict))
    packages = {part for part in listed if isinstance(part, str)} | set(by_pip)
    assert packages - {"pip", f"python{PROJECT['requires-python']}", "-e ."} == WANTED


def test_the_lock_holds_every_package_with_a_hash_and_no_address():
    text = (ROOT / "requirements.lock").read_text("utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    locked = {name(block) for block in blocks}
    assert {name(requirement) for requirement in WANTED} <= locked
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|--index|--find-links", text)


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, cxlib; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {
        "numpy",
        "pandas",
        "scipy",
        "matplotlib",
        "seaborn",
        "semopy",
        "pydantic",
        "papermill",
    } & set(loaded)


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring."""
    first = function.body[0]
    told = ast.get_docstring(function) is not None
    size = function.end_lineno - function.lineno + 1
    return size - (first.end_lineno - first.lineno + 1) * told


def test_functions_stay_small():
    """Sixty lines without the docstring; ruff counts branches and statements."""
    large = {
        f"{path.relative_to(ROOT)}:{node.name}": lines(node)
        for path in (ROOT / "cxlib").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines(node) > 60
    }
    assert large == {}


def test_every_field_of_the_study_file_is_documented():
    from cxlib.study import schema as study

    text = (ROOT / "data" / "README.md").read_text("utf-8")
    section = text[
        text.index("## The study file, field by field") : text.index("## Answers as they come")
    ]
    said = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", section))))
    classes = (
        study.Study,
        study.Construct,
        study.Item,
        study.Column,
        study.Responses,
        study.Screening,
        study.Linked,
        study.Hypothesis,
        study.Claim,
    )
    fields = {name for part in classes for name in part.model_fields} - {"path", "digest"}
    assert fields - said == set()
