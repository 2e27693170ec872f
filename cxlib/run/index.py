"""What each notebook has shown, in its order: the index from which the report takes its sections.

A file a notebook, so notebooks that run side by side do not overwrite each other's entries.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cxlib.run.files import notebook_folder, read_json, write_json

Kind = Literal["table", "figure"]


@dataclass(frozen=True)
class Entry:
    """A table or a figure that a notebook has shown.

    order : its place among those of its notebook, from 1
    notebook, name, kind : whose it is, its name in the run folder, and what it is
    title : of the notebook, in the language of the run
    """

    order: int
    notebook: str
    name: str
    kind: Kind
    title: str


def add(folder: Path, notebook: str, language: str, name: str, kind: Kind) -> None:
    """Enter what a notebook shows; what it shows again keeps its place."""
    found = entries(folder, notebook)
    if (name, kind) in {(one.name, one.kind) for one in found}:
        return
    entry = Entry(len(found) + 1, notebook, name, kind, title(notebook, language))
    write_json(_file(folder, notebook), {"shown": [asdict(one) for one in (*found, entry)]})


def entries(folder: Path, notebook: str) -> tuple[Entry, ...]:
    """What a notebook has shown in the run of a folder, in its order."""
    return tuple(Entry(**one) for one in read_json(_file(folder, notebook)).get("shown", ()))


def notebooks(folder: Path) -> list[str]:
    """The notebooks that have shown something, in the order of the walk."""
    return sorted(
        path.stem.removeprefix("index_") for path in (folder / "notes").glob("index_*.json")
    )


def clear(folder: Path, notebook: str) -> None:
    """Forget what a notebook has shown."""
    _file(folder, notebook).unlink(missing_ok=True)


def title(notebook: str, language: str) -> str:
    """A notebook's first heading in a language; the name of one that does not come with the suite."""
    path = notebook_folder(language) / f"{notebook}.ipynb"
    if not path.is_file():
        return notebook
    first = json.loads(path.read_text("utf-8"))["cells"][0]
    return "".join(first["source"]).splitlines()[0].lstrip("# ")


def _file(folder: Path, notebook: str) -> Path:
    return folder / "notes" / f"index_{notebook}.json"
