"""Which column of a file is which declared item or column: by its code, its wording, or what is like them."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from cxlib.core.errors import DataError
from cxlib.core.result import Text
from cxlib.core.words import _, joined, listed
from cxlib.responses.formats import load
from cxlib.study.places import where
from cxlib.study.schema import Study

AFTER = r"\s*(?:[\u3001\u3002)\uff09]|[.\uff0e:\uff1a](?!\d))\s*"  # what may follow a question number or a code; 1.1 is another number


def matched(
    headers: Iterable[str], labels: Mapping[str, str], wordings: Mapping[str, Iterable[str]]
) -> tuple[dict[str, str], tuple[Text, ...]]:
    """Declared name → column of the file, the surest way of finding it first, and what was found less surely.

    Raises
    ------
    DataError
        A column fits several names, or a name several columns.
    """
    keys = {name: {k for k in map(_key, (name, *words)) if k} for name, words in wordings.items()}
    ways = (
        lambda header, name: header == name,
        lambda header, name: header in wordings[name],
        lambda header, name: _key(labels.get(header, "")) in keys[name],
        lambda header, name: _key(header) in keys[name],
        lambda header, name: any(
            _prefixed(text, name, keys[name]) for text in (header, labels.get(header, ""))
        ),
    )
    found: dict[str, str] = {}
    unsure: list[str] = []
    for place, way in enumerate(ways):
        free = [header for header in headers if header not in found.values()]
        pairs = [
            (name, header)
            for name in wordings
            if name not in found
            for header in free
            if way(header, name)
        ]
        _refuse_several(pairs)
        found |= dict(pairs)
        unsure += [f"{name} = '{header}'" for name, header in pairs if place > 1]
    if not unsure:
        return found, ()
    return found, (
        _(
            "Columns found by a similar name or by their label, please check: {which}.",
            which=listed(unsure, 12),
        ),
    )


def refuse_absent(
    absent: list[str],
    unused: list[str],
    path: Path,
    wordings: Mapping[str, Iterable[str]],
    study: Study,
) -> None:
    """Say which declared names are not in the file, and which of its columns come nearest."""
    lines = []
    for name in absent:
        alike = (
            difflib.get_close_matches(w, unused, 1) or [h for h in unused if len(w) > 1 and w in h]
            for w in (name, *wordings[name])
        )
        near = next(
            (_("The nearest column is '{header}'.", header=words[0]) for words in alike if words),
            "",
        )
        what = _("Rename the column in the file to '{name}', or correct the code.", name=name)
        lines.append(
            _("  {name}: {problem}", name=name, problem=joined(near, what, where(study, name)))
        )
    raise DataError(
        joined(
            _(
                "{n} declared in the study '{study}' but not in '{file}':",
                n=len(absent),
                study=study.id,
                file=path.name,
            ),
            *lines,
            _(
                "  Columns not used so far: {names}. A column is found by its code, or by its words (of an item en: or zh:, of a column name:).",
                names=listed(unused, 40) if unused else _("none"),
            ),
            between="\n",
        )
    )


def refuse_title(
    path: Path, header_row: int, wordings: Mapping[str, Iterable[str]], found: int
) -> None:
    """Say what to do if one of the next rows holds more of the declared names: a title stands above the header."""
    for row in range(header_row + 1, header_row + 6):
        held = 0
        with suppress(DataError):
            held = len(matched(list(load(path, row).cells.columns), {}, wordings)[0])
        if held > found:
            raise DataError(
                _(
                    "Row {row} of '{file}' looks like the header: {held} of the {names} declared names are in it, in row {header} {found}. "
                    "Delete the rows above it, or say so in the study file: {{file: {file}, header: {row}}}.",
                    row=row,
                    file=path.name,
                    held=held,
                    names=len(wordings),
                    header=header_row,
                    found=found,
                )
            )


def _refuse_several(pairs: list[tuple[str, str]]) -> None:
    for name, header in pairs:
        columns = [f"'{h}'" for n, h in pairs if n == name]
        names = [n for n, h in pairs if h == header]
        if len(columns) > 1:
            raise DataError(
                _(
                    "{name} fits several columns of the file: {names}. Rename the right column in the file to '{name}'.",
                    name=name,
                    names=listed(columns, 6),
                )
            )
        if len(names) > 1:
            raise DataError(
                _(
                    "The column '{header}' fits several declared names: {names}. Rename the right column in the file to '{name}'.",
                    header=header,
                    names=listed(names, 6),
                    name=name,
                )
            )


def _key(text: str) -> str:
    """What is compared: width, case, spaces and punctuation do not matter, except between digits (Q1_1 is not Q11)."""
    plain = re.sub(
        r"(?<=\d)[\W_]+(?=\d)", "\0", unicodedata.normalize("NFKC", str(text)).casefold()
    )
    return re.sub(r"[^\w\0]+|_", "", plain)


def _prefixed(text: str, name: str, words: set[str]) -> bool:
    """Whether a header is a code or wording after a question number or matrix title, or a code before more words."""
    rest = re.sub(rf"^[Qq]?\d+{AFTER}", "", text.strip())
    code = rf"{re.escape(name)}(?:{AFTER}|\s+(?P<wording>.*))"
    forms = [rest, re.split(r"[—–]+|(?<=\D)[:\uff1a]", rest)[-1]]
    if any(_key(form) in words for form in forms):
        return True
    read = [
        re.match(code, unicodedata.normalize("NFKC", form).strip(), re.IGNORECASE)
        for form in (text, rest)
    ]
    return any(m and (m["wording"] is None or _key(m["wording"]) in words) for m in read)
