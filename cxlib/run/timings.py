"""Where the time of a run went, read from the notebooks it left."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cxlib.core.words import _


def cells(folder: Path) -> pd.DataFrame:
    """Every code cell of a run's notebooks.

    Parameters
    ----------
    folder : Path
        A run folder.

    Returns
    -------
    DataFrame
        notebook, cell (its number in the notebook), line (its first), draws (whether it shows a figure), seconds.
    """
    return pd.DataFrame(_cells(folder), columns=["notebook", "cell", "line", "draws", "seconds"])


def _cells(folder: Path) -> Iterator[tuple[str, int, str, bool, float]]:
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        for number, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"], 1):
            seconds = cell["metadata"].get("papermill", {}).get("duration")
            if cell["cell_type"] == "code" and seconds is not None:
                shown = json.dumps(cell["outputs"])
                yield (
                    path.stem,
                    number,
                    ("".join(cell["source"]).splitlines() or [""])[0],
                    "<figure" in shown,
                    float(seconds),
                )


def notebooks(folder: Path) -> pd.DataFrame:
    """The notebooks of a run and what each spent its time on.

    Parameters
    ----------
    folder : Path
        A run folder.

    Returns
    -------
    DataFrame
        notebook, seconds (on the clock, from start to end), start_up (outside cells: the kernel's start and end),
        drawing (cells that show a figure: computing what is drawn, drawing it, saving it), other (the other cells).
    """
    rows, spent = [], cells(folder)
    for name, own in spent.groupby("notebook"):
        content = json.loads((folder / "notebooks" / f"{name}.ipynb").read_text("utf-8"))
        seconds = content["metadata"]["papermill"].get("duration") or own["seconds"].sum()
        drawing, other = (
            own.loc[own["draws"], "seconds"].sum(),
            own.loc[~own["draws"], "seconds"].sum(),
        )
        rows.append((name, seconds, max(seconds - drawing - other, 0.0), drawing, other))
    return pd.DataFrame(rows, columns=["notebook", "seconds", "start_up", "drawing", "other"])


def listed(folder: Path, language: str = "en", slowest: int = 3) -> str:
    """The times of a run as lines of text: a notebook, then its slowest cells."""
    spent = cells(folder)
    words = (_("notebook"), _("seconds"), _("start-up"), _("drawing"), _("other"))
    first, *others = (word[language] for word in words)
    lines = [first + " " * (20 - _width(first))]
    for word, width in zip(others, (9, 10, 9, 8), strict=True):
        lines[0] += " " * (width - _width(word)) + word
    for row in notebooks(folder).itertuples():
        lines.append(
            f"{row.notebook:<20}{row.seconds:9.1f}{row.start_up:10.1f}{row.drawing:9.1f}{row.other:8.1f}"
        )
        most = spent[spent["notebook"] == row.notebook].nlargest(slowest, "seconds")
        lines += [
            _(
                "    cell {cell:>3}{seconds:8.1f}  {line}",
                cell=cell.cell,
                seconds=cell.seconds,
                line=str(cell.line)[:90],
            )[language]
            for cell in most.itertuples()
        ]
    return "\n".join(lines)


def _width(text: str) -> int:
    """The columns of a terminal that a text takes: two for a Chinese character."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)
