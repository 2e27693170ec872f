"""What failed in a run: which notebook, why in the reader's words, and what of it may still be shown.

A failure is a file of its own in the run folder, so notebooks that fail side by side do not overwrite each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

SHOWN = re.compile(r'run\.show\(\s*(f?)"(\w+)')
ANSI = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"^(?:File )?(\S+?\.(?:py|ipynb)):\d+", re.MULTILINE)
DIED = "DeadKernelError"


@dataclass(frozen=True)
class Failure:
    """A notebook that did not finish.

    notebook : its name
    text : what failed, why and what to do, in both languages
    cell : the cell in which it failed, counted from 1 in the kept copy; None if it was not started
    error, detail : the exception's name and message, for whoever mends it
    """

    notebook: str
    text: Mapping[str, str]
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
    at = {"en": f", cell {cell}", "zh": f"的第 {cell} 个单元格"} if cell else {"en": "", "zh": ""}
    kept = f"notebooks/{notebook}.ipynb"
    if name == DIED:
        text = {
            "en": f"The process that computed {notebook} ended{at['en'].replace(', cell', ' in cell')} without a word, most often for want of memory. The other "
            "results stand. Close other programs, or run it alone with --jobs 1 and fewer draws (--set n_boot=500).",
            "zh": f"计算 {notebook} 的进程{at['zh'].replace('的第', '在第')}意外终止，多因内存不足。其他结果不受影响。请关闭其他程序，或用 --jobs 1 "
            "单独运行并减少抽样次数（--set n_boot=500）。",
        }
    elif _told(getattr(error, "traceback", ())):
        text = {
            "en": f"{notebook} stopped{at['en'].replace(', cell', ' in cell')}: {detail} The other results stand.",
            "zh": f"{notebook} {at['zh'].replace('的第', '在第')}停止，其他结果不受影响。原因（英文）：{detail}",
        }
    else:
        text = {
            "en": f"The suite failed in {notebook}{at['en']}, for a reason it did not foresee ({name}): the fault is its own, not the study's. "
            f"The other results stand. Please report it with {kept}, which holds the details.",
            "zh": f"程序在 {notebook}{at['zh']}出错，原因未曾预料（{name}）：这是程序的缺陷，不是研究的问题。其他结果不受影响。"
            f"请连同 {kept}（其中有详细信息）一起报告。",
        }
    return Failure(notebook, text, cell, name, detail)


def skipped(notebook: str, needed: str) -> Failure:
    """A notebook that was not started because one that it needs has failed."""
    return Failure(
        notebook,
        {
            "en": f"{notebook} was not run, because it needs {needed}, which failed. Mend that first.",
            "zh": f"{notebook} 未运行：它需要 {needed}，而后者失败了。请先解决后者的问题。",
        },
    )


def note(folder: Path, found: Failure) -> None:
    """Write a failure to the run folder."""
    from cxlib.run.folder import write

    write(
        folder / "notes" / f"failed_{found.notebook}.json",
        json.dumps(asdict(found), ensure_ascii=False, indent=1).encode(),
    )


def failures(folder: Path) -> dict[str, Failure]:
    """What failed in the run of a folder, by notebook, in the order of the walk."""
    files = sorted((folder / "notes").glob("failed_*.json"))
    found = (Failure(**json.loads(path.read_text("utf-8"))) for path in files)
    return {one.notebook: one for one in found}


def detail(found: Mapping[str, Failure]) -> dict[str, dict]:
    """What run.json keeps of each failure."""
    return {
        name: {"cell": one.cell, "error": one.error, "detail": one.detail, "text": one.text["en"]}
        for name, one in found.items()
    }


def shown(notebook: Path, there: Iterable[str]) -> list[str]:
    """The tables and figures, of those that are there, which a notebook shows, in its order."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    code, names = (
        "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"),
        list[str](),
    )
    for open_ended, name in SHOWN.findall(
        code
    ):  # f"likert_{role}" stands for all that begin with likert_
        names += [n for n in there if n.startswith(name)] if open_ended else [name]
    return [name for name in dict.fromkeys(names) if name in there]


def clear(folder: Path, notebook: str, *, wholly: bool = True) -> None:
    """Remove what an earlier run left of a notebook, so that it is never taken for what this run found.

    Unless `wholly`, its executed copy and the note that it failed stay.
    """
    from cxlib.run.folder import NOTEBOOKS

    files = [path for part in ("tables", "figures") for path in (folder / part).glob("*.*")]
    names = set(shown(NOTEBOOKS / f"{notebook}.ipynb", {path.stem for path in files}))
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
