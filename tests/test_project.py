"""What the project promises about itself: the same packages everywhere, no addresses, light imports, small modules."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
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


def test_modules_stay_small():
    sizes = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in (ROOT / "cxlib").rglob("*.py")
    }
    assert {path: size for path, size in sizes.items() if size > 500} == {}


def test_dependencies_point_one_way():
    """No stage module imports another; nothing below the run imports the run."""
    stages = {
        "power",
        "cleaning",
        "description",
        "reliability",
        "factors",
        "measurement",
        "structure",
        "mediation",
    }
    above = {"cli", "notebooks", "run"}
    for path in (ROOT / "cxlib").rglob("*.py"):
        imported = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cxlib"):
                imported |= (
                    {alias.name for alias in node.names}
                    if node.module == "cxlib"
                    else {node.module.split(".")[1]}
                )
        if path.stem in stages:
            assert not imported & (stages - {path.stem}), path
        if path.stem not in above | {"__init__"}:
            assert not imported & above, path


def encodingless(source: str) -> list[str]:
    """Calls that read or write text in whatever encoding the machine has."""
    out = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        called = getattr(call.func, "attr", getattr(call.func, "id", ""))
        said = {word.arg for word in call.keywords}
        words = [
            value.value
            for value in call.args
            if isinstance(value, ast.Constant) and isinstance(value.value, str)
        ]
        text = called in {"read_text", "write_text"} or (
            called == "open" and not any(set(w) <= set("rwxab+") and "b" in w for w in words)
        )
        in_os = isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") in {
            "os",
            "webbrowser",
        }
        if (
            text
            and not in_os
            and "encoding" not in said
            and not any(word.startswith("utf-8") for word in words)
        ):
            out.append(ast.unparse(call))
    return out


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("path.read_text()", True), ("path.read_text('utf-8')", False), ("path.write_text(content)", True),
        ("path.write_text(content, encoding='utf-8')", False), ("open(path)", True), ("path.open('w')", True),
        ("open(path, 'rb')", False), ("open(path, encoding='utf-8-sig')", False), ("os.open(path, 0)", False),
    ],
)  # fmt: skip
def test_a_call_without_an_encoding_is_seen(source, found):
    assert bool(encodingless(source)) == found


@pytest.mark.parametrize("folder", ["cxlib", "tests", "benchmarks"])
def test_no_text_is_read_or_written_in_the_encoding_of_the_machine(folder):
    found = {
        path.relative_to(ROOT).as_posix(): encodingless(path.read_text("utf-8"))
        for path in (ROOT / folder).rglob("*.py")
    }
    assert found and {path: calls for path, calls in found.items() if calls} == {}


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
