"""What failed in a run: which notebook, why in the reader's words, and what of it may still be shown.

A failure is a file of its own in the run folder, so notebooks that fail side by side do not overwrite each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxlib.core.errors import Mistake
from cxlib.core.result import Text
from cxlib.core.words import Sentence, _, joined
from cxlib.run import index
from cxlib.run.files import write_json

ANSI = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"^(?:File )?(\S+?\.(?:py|ipynb)):\d+", re.MULTILINE)
DIED = "DeadKernelError"


class RunError(Mistake, RuntimeError):
    """A run that cannot start or did not finish; the message names notebook, cell and cause."""


@dataclass(frozen=True)
class Failure:
    """A notebook that did not finish.

    notebook : its name
    text : what failed, why and what to do, in every language
    cell : the cell in which it failed, counted from 1 in the kept copy; None if it was not started
    error, detail : the exception's name and message, for whoever mends it
    """

    notebook: str
    text: Text
    cell: int | None = None
    error: str = ""
    detail: str = ""


def failure(notebook: str, error: Exception, executed: Path) -> Failure:
    """What an exception that ended a notebook means to a person.

    Parameters
    ----------
    notebook : str
    error : Exception
        What papermill raised; that a cell raised, that the kernel died, or that there was none.
    executed : Path
        The executed copy, as far as it came.
    """
    name, detail = (
        getattr(error, "ename", type(error).__name__),
        str(getattr(error, "evalue", error)),
    )
    cell = error.cell_index + 1 if hasattr(error, "cell_index") else _reached(executed)
    return Failure(notebook, _why(notebook, error, name, detail, cell), cell, name, detail)


def _why(notebook: str, error: Exception, name: str, detail: str, cell: int | None) -> Sentence:
    """The sentence of a failure: the kernel died, the suite refused in words of its own, or it broke."""
    if name == DIED:
        died = (
            _(
                "The process that computed {notebook} ended in cell {cell} without a word, most often for want of memory.",
                notebook=notebook,
                cell=cell,
            )
            if cell
            else _(
                "The process that computed {notebook} ended without a word, most often for want of memory.",
                notebook=notebook,
            )
        )
        return joined(
            died,
            _(
                "The other results stand. Close other programs, or run it alone with --jobs 1 and fewer draws (--set n_boot=500)."
            ),
        )
    if _told(getattr(error, "traceback", ())):
        return (
            _(
                "{notebook} stopped in cell {cell}: {detail} The other results stand.",
                notebook=notebook,
                cell=cell,
                detail=detail,
            )
            if cell
            else _(
                "{notebook} stopped: {detail} The other results stand.",
                notebook=notebook,
                detail=detail,
            )
        )
    broke = (
        _(
            "The suite failed in {notebook}, cell {cell}, for a reason it did not foresee ({name}): the fault is its own, not the study's.",
            notebook=notebook,
            cell=cell,
            name=name,
        )
        if cell
        else _(
            "The suite failed in {notebook}, for a reason it did not foresee ({name}): the fault is its own, not the study's.",
            notebook=notebook,
            name=name,
        )
    )
    return joined(
        broke,
        _(
            "The other results stand. Please report it with {file}, which holds the details.",
            file=f"notebooks/{notebook}.ipynb",
        ),
    )


def skipped(notebook: str, needed: str) -> Failure:
    """A notebook that was not started because one that it needs has failed."""
    return Failure(
        notebook,
        _(
            "{notebook} was not run, because it needs {needed}, which failed. Mend that first.",
            notebook=notebook,
            needed=needed,
        ),
    )


def note(folder: Path, found: Failure) -> None:
    """Write a failure to the run folder."""
    written = {**vars(found), "text": dict(found.text)}
    write_json(folder / "notes" / f"failed_{found.notebook}.json", written)


def failures(folder: Path) -> dict[str, Failure]:
    """What failed in the run of a folder, by notebook, in the order of the walk."""
    files = sorted((folder / "notes").glob("failed_*.json"))
    found = (Failure(**json.loads(path.read_text("utf-8"))) for path in files)
    return {one.notebook: one for one in found}


def detail(found: Mapping[str, Failure]) -> dict[str, dict[str, Any]]:
    """What run.json keeps of each failure."""
    return {
        name: {"cell": one.cell, "error": one.error, "detail": one.detail, "text": one.text["en"]}
        for name, one in found.items()
    }


def clear(folder: Path, notebook: str, *, wholly: bool = True) -> None:
    """Remove what an earlier run left of a notebook, so that it is never taken for what this run found.

    Unless `wholly`, its executed copy and the note that it failed stay.
    """
    names = {one.name for one in index.entries(folder, notebook)}
    files = [path for part in ("tables", "figures") for path in (folder / part).glob("*.*")]
    gone = [path for path in files if path.stem in names]
    gone += [
        folder / "notes" / f"{name}.json"
        for name in [*names, *(f"figure_{n}" for n in names), f"done_{notebook}"]
    ]
    gone += [folder / "notes" / f"failed_{notebook}.json"] if wholly else []
    gone += [folder / "notebooks" / f"{notebook}.ipynb"] if wholly else []
    gone += {
        "01_cleaning": [folder / "responses.parquet"],
        "14_report": [folder / "report.html", folder / "report.docx"],
    }.get(notebook, [])
    for path in gone:
        path.unlink(missing_ok=True)
    index.clear(folder, notebook)


def _reached(executed: Path) -> int | None:
    """The last cell that was started, where a notebook ended without an exception of its own."""
    cells = json.loads(executed.read_text("utf-8"))["cells"] if executed.is_file() else []
    started = [
        at
        for at, cell in enumerate(cells, 1)
        if cell["metadata"].get("papermill", {}).get("exception") is not None
    ]
    return started[-1] if started else None


def _told(traceback: Iterable[str]) -> bool:
    """Whether a traceback ends in a sentence that cxlib itself raised, rather than in an error that befell it."""
    frames = [
        frame
        for frame in ANSI.sub("", "\n".join(traceback)).split("\n\n")
        if re.search(r"^-+> ?\d+", frame, re.MULTILINE)
    ]
    where = FRAME.search(frames[-1]) if frames else None
    arrow = re.search(r"^-+> ?\d+(.*)$", frames[-1], re.MULTILINE) if frames else None
    return bool(
        where
        and arrow
        and "cxlib" in Path(where[1]).parts
        and arrow[1].strip().startswith("raise ")
    )
