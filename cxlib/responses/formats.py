"""A file of answers as cells of text, whatever program wrote it."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.words import _, joined, listed
from cxlib.responses.cells import as_text
from cxlib.study.places import where
from cxlib.study.schema import Study

FORMATS = {
    ".csv": _("a table of cells"),
    ".xlsx": _("an Excel workbook"),
    ".sav": "SPSS",
    ".parquet": "Parquet",
}


@dataclass(frozen=True)
class Sheet:
    """What a file holds.

    cells : text, empty ones NaN
    labels : column → its label, where the file has one
    levels : column → code → label of the value, likewise
    """

    cells: pd.DataFrame
    labels: dict[str, str] = field(default_factory=dict)
    levels: dict[str, dict[str, str]] = field(default_factory=dict)


def locate(file: str, study: Study, package: str = "") -> Path:
    """The path of a file beside the study file, or inside an installed package (whose code is not run).

    Raises
    ------
    DataError
        The package or the file is not there.
    """
    folder = study.folder
    if package:
        top, *inner = package.split(".")
        spec = importlib.util.find_spec(top)
        if spec is None or not spec.submodule_search_locations:
            raise DataError(
                _(
                    "The responses are in the Python package '{package}', which is not installed. Run: pip install {package}",
                    package=top,
                )
            )
        folder = Path(spec.submodule_search_locations[0], *inner)
    path = folder / file
    if not path.is_file():
        there = sorted(p.name for p in folder.glob("*") if p.suffix.lower() in FORMATS)
        raise DataError(
            joined(
                _(
                    "There is no file '{file}' in {folder}. Data files there: {names}. Put the file there or correct 'file:' in the study "
                    "file.",
                    file=file,
                    folder=folder,
                    names=there or _("none"),
                ),
                where(study, "responses"),
            )
        )
    return path


def load(path: Path, header_row: int = 1) -> Sheet:
    """The cells of a file below the row that holds the names of the columns.

    Raises
    ------
    DataError
        The file is of another kind or cannot be read, or two columns have one name.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise DataError(
            _(
                "'{file}' is of a kind that cannot be read. Allowed: {names}.",
                file=path.name,
                names=list(FORMATS),
            )
        )
    try:
        header, table, labels, levels = READERS[kind](path, header_row)
    except DataError:
        raise
    except Exception as error:  # each reader has its own family of errors
        raise DataError(
            _(
                "'{file}' cannot be read as {format}: {reason}. Open it in the program it comes from and save it again as {kind}, or as CSV UTF-8 (and "
                "correct 'file:'). If a title stands above the header, delete it or declare the row of the header: {{file: …, header: 2}}.",
                file=path.name,
                format=FORMATS[kind],
                reason=str(error).rstrip("."),
                kind=kind,
            )
        ) from error
    names = [
        n if isinstance(n := as_text(h), str) else f"Unnamed: {i}" for i, h in enumerate(header)
    ]
    if repeated := list(dict.fromkeys(n for n in names if names.count(n) > 1)):
        raise DataError(
            _(
                "'{file}' has more than one column named {names}. Rename or remove all but one.",
                file=path.name,
                names=listed(repeated, 6),
            )
        )
    cells = {n: table.iloc[:, i].map(as_text).astype(object) for i, n in enumerate(names)}
    return Sheet(pd.DataFrame(cells), labels, levels)


Read = tuple[Iterable[object], pd.DataFrame, dict[str, str], dict[str, dict[str, str]]]
"""Header, table, labels and levels."""


def _csv(path: Path, header_row: int) -> Read:
    text = _decoded(path.read_bytes(), path)
    line = re.sub(
        r'"[^"]*"', "", (text.split("\n", header_row) + [""] * header_row)[header_row - 1]
    )
    separator = max(",;\t|", key=line.count)
    how: dict[str, Any] = {
        "sep": separator,
        "header": None,
        "dtype": str,
        "keep_default_na": False,
        "index_col": False,
        "skiprows": header_row - 1,
    }
    width = pd.read_csv(io.StringIO(text), nrows=1, **how).shape[1]
    # one more, for a separator at the end of the lines
    sheet = pd.read_csv(io.StringIO(text), names=range(width + 1), **how)
    if (more := np.flatnonzero(sheet.pop(width).fillna("").str.strip())).size:
        raise DataError(
            _(
                "Row {row} below the header of '{file}' has more cells than the header: a text that holds '{separator}' needs quotes "
                '("…"). Save the file again as CSV UTF-8 or .xlsx.',
                row=more[0],
                file=path.name,
                separator=separator,
            )
        )
    return sheet.iloc[0], sheet.iloc[1:], {}, {}


def _xlsx(path: Path, header_row: int) -> Read:
    sheet = pd.read_excel(path, dtype=object, keep_default_na=False, header=None)
    header = sheet.iloc[header_row - 1 : header_row].squeeze(axis=0)
    return header, sheet.iloc[header_row:], {}, {}


def _sav(path: Path, _row: int) -> Read:
    import pyreadstat  # here: few studies are SPSS files

    table, meta = pyreadstat.read_sav(path, apply_value_formats=False)
    labels = {k: v for k, v in meta.column_names_to_labels.items() if v}
    levels = {
        k: {str(as_text(c)): str(w) for c, w in v.items()}
        for k, v in meta.variable_value_labels.items()
    }
    return table.columns, table, labels, levels


def _parquet(path: Path, _row: int) -> Read:
    table = pd.read_parquet(path)
    return table.columns, table, {}, {}


READERS: dict[str, Callable[[Path, int], Read]] = {
    ".csv": _csv,
    ".xlsx": _xlsx,
    ".sav": _sav,
    ".parquet": _parquet,
}


def _decoded(content: bytes, path: Path) -> str:
    """UTF-8 (with or without mark), UTF-16 with mark, or the Chinese national encoding of older Excel and Wenjuanxing."""
    for encoding in (
        ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030")
    ):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(
        _("'{file}' is neither UTF-8 nor GB 18030. Save it again as CSV UTF-8.", file=path.name)
    )
