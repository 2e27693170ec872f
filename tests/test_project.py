"""What the project promises about itself: the same packages everywhere, no addresses, light imports, small modules."""

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
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pandas", "scipy", "matplotlib", "seaborn", "semopy", "pydantic", "papermill"} & set(loaded)


def test_modules_stay_small():
    sizes = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in (ROOT / "cxlib").rglob("*.py")}
    assert {path: size for path, size in sizes.items() if size > 500} == {}


def test_dependencies_point_one_way():
    """No stage module imports another; nothing below the run imports the run."""
    stages = {"power", "cleaning", "description", "reliability", "factors", "measurement", "structure", "mediation"}
    above = {"cli", "notebooks", "run"}
    for path in (ROOT / "cxlib").rglob("*.py"):
        imported = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cxlib"):
                imported |= {alias.name for alias in node.names} if node.module == "cxlib" else {node.module.split(".")[1]}
        if path.stem in stages:
            assert not imported & (stages - {path.stem}), path
        if path.stem not in above | {"__init__"}:
            assert not imported & above, path


def test_every_field_of_the_study_file_is_documented():
    from cxlib import study

    text = (ROOT / "data" / "README.md").read_text("utf-8")
    section = text[text.index("## The study file, field by field") : text.index("## Answers as they come")]
    said = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", section))))
    classes = (study.Study, study.Construct, study.Item, study.Column, study.Responses, study.Screening, study.Linked,
               study.Hypothesis, study.Claim)
    fields = {name for part in classes for name in part.model_fields} - {"path", "digest"}
    assert fields - said == set()
