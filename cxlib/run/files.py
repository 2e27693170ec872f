"""The files of a run: where they are, and how they are written, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"


def notebook_folder(language: str) -> Path:
    """Where the notebooks of a language are: English beside the folders of the others."""
    return NOTEBOOKS if language == "en" else NOTEBOOKS / language


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    os.replace(part, path)


def write_json(path: Path, content: Any) -> None:
    """Write a file of data that a person can read too."""
    write(path, json.dumps(content, ensure_ascii=False, indent=1).encode())


def read_json(path: Path) -> dict[str, Any]:
    """What :func:`write_json` wrote; empty if there is no such file."""
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def note(folder: Path, name: str) -> dict[str, Any]:
    """The sentence, warnings and n that belong to a table or figure of a run; empty if there are none."""
    return read_json(folder / "notes" / f"{name}.json")


def stamp(folder: Path, **parts: Mapping[str, Any]) -> None:
    """Add to what run.json already says."""
    content = read_json(folder / "run.json")
    for name, part in parts.items():
        content[name] = {**content.get(name, {}), **part}
    write_json(folder / "run.json", content)
