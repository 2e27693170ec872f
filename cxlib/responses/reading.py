"""Raw responses, typed as the study declares them: nothing guessed, nothing dropped in silence.

`read(study)` finds each declared item and column in the file (by its code, or by its wording), turns declared
missing codes into missing values, labels into codes and mixed units into one, and says what it did.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.result import Result, Text
from cxlib.core.words import Sentence, _, joined, listed, n_, plural
from cxlib.responses.cells import WRITTEN, as_text, comma_note, convert, meanings, unblank
from cxlib.study.schema import Column, Study

MOST_WORDS = 30
"""More different answers than this are not listed: they do not come from a scale."""
FORMATS = {
    ".csv": _("a table of cells"),
    ".xlsx": _("an Excel workbook"),
    ".sav": "SPSS",
    ".parquet": "Parquet",
}
AFTER = r"\s*(?:[、。)）]|[.．:：](?!\d))\s*"  # what may follow a question number or a code; 1.1 is another number


@dataclass(frozen=True)
class Reading:
    """What was read.

    frame : one row a respondent in the order of the file (index `row`, counted from 1 below the header); items,
        numbers and flags are floats, categories are level codes (text), dates are timestamps
    notes : what was changed on the way in, in both languages
    changes : DataFrame column, problem, n, values, rows — the same, for the machine
    ignored : columns of the file that the study does not declare, and private ones; they were not read
    """

    frame: pd.DataFrame
    notes: tuple[Text, ...] = ()
    changes: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    ignored: tuple[str, ...] = ()


def read(study: Study) -> Reading:
    """Read the responses of a study.

    Raises
    ------
    DataError
        The file cannot be found or read; declared items or columns are not in it; an answer lies outside its
        declared range, is a word that `answers:` does not list, or a level is unknown, and the study does not say
        `screening: {out_of_range: missing}`; there is no row, or no answer to any item.
    """
    columns = {name: c for name, c in study.columns.items() if c.kind != "private"}
    for name in (
        study.screening.attention.keys() & columns.keys()
    ):  # answered on the scale of the items
        columns[name] = columns[name].model_copy(
            update={"answers": study.answers | columns[name].answers}
        )
    items = {
        item: Column(kind="number", range=study.scale_of(item), answers=study.answers_of(item))
        for item in study.items
    }
    wordings = {
        name: (study.name(name, "en"), study.name(name, "zh")) for name in (*items, *study.columns)
    }
    file, path = study.responses.file, locate(study.responses.file, study, study.responses.package)
    reading = _typed(path, study.responses.header, {**items, **columns}, wordings, study)
    if reading.frame.empty:
        raise DataError(
            joined(
                _(
                    "'{file}' has a header and no row of answers below it. Export the answers again, or correct 'file:'.",
                    file=file,
                ),
                _where(study, "responses"),
            )
        )
    if reading.frame[list(items)].isna().all(axis=None):
        raise DataError(
            joined(
                _(
                    "None of the {items} items has an answer in any of the {rows:,} rows of '{file}': look into the file.",
                    items=len(items),
                    rows=len(reading.frame),
                    file=file,
                ),
                *reading.notes,
            )
        )
    return reading


def linked(study: Study, name: str) -> Reading:
    """Read a linked table by its declaration.

    Raises
    ------
    DataError
        No such table; `rows: one` and a key comes twice; or as in :func:`read`.
    """
    if name not in study.tables:
        raise DataError(
            _(
                "The study '{study}' declares no table '{name}'. Declared: {names}.",
                study=study.id,
                name=name,
                names=list(study.tables) or _("none"),
            )
        )
    table = study.tables[name]
    columns = {
        table.key: Column(kind="id"),
        **{k: c for k, c in table.columns.items() if c.kind != "private"},
    }
    wordings = {k: (c.name.en, c.name.zh) if c.name else (k,) for k, c in columns.items()}
    reading = _typed(locate(table.file, study), table.header, columns, wordings, study)
    key = reading.frame[table.key]
    if table.rows == "one" and key.duplicated().any():
        raise DataError(
            _(
                "Table '{name}': '{key}' repeats ({values}), but the study declares rows: one. Remove the repeated rows, or declare rows: "
                "many.",
                name=name,
                key=table.key,
                values=_names(key[key.duplicated()].unique()),
            )
        )
    return reading


def joins(study: Study, data: pd.DataFrame) -> Result:
    """Every linked table against the analysis: its key, its rows before and after the join, and who has none.

    Returns
    -------
    Result
        table, key, rows, joined (rows that belong to a respondent of the analysis), respondents, without (respondents
        that have no row in it).  The join never adds respondents: ``rows: one`` is checked.

    Raises
    ------
    DataError
        The key is not a column of the responses; or as :func:`linked`.
    """
    rows, notes = [], []
    for name, table in study.tables.items():
        if table.key not in data:
            raise DataError(
                _(
                    "Table '{name}' is joined by '{key}', which is not a column of the responses. Declare it under columns: as kind: id.",
                    name=name,
                    key=table.key,
                )
            )
        reading = linked(study, name)
        have, wanted = (
            reading.frame[table.key].dropna().astype(str),
            data[table.key].dropna().astype(str),
        )  # no key is nobody's
        rows.append(
            (
                name,
                table.key,
                len(reading.frame),
                int(have.isin(wanted).sum()),
                len(data),
                len(data) - int(wanted.isin(have).sum()),
            )
        )
        notes += reading.notes
    table = pd.DataFrame(rows, columns=["table", "key", "rows", "joined", "respondents", "without"])
    used, held = int(table["joined"].sum()), int(table["rows"].sum())
    text = {
        "en": f"{len(rows)} linked tables; {used:,} of their {held:,} rows belong to respondents of the analysis. Rows of respondents who "
        "were screened out stay unused.",
        "zh": f"共 {len(rows)} 张关联表；其 {held:,} 行中有 {used:,} 行属于分析样本。被筛除者的记录不使用。",
    }
    if not rows:
        text = {"en": "The study declares no linked tables.", "zh": "本研究没有声明关联表。"}
    return Result(table, text, len(data), "joins checked by key", tuple(notes))


def key(study: Study) -> pd.DataFrame | None:
    """The key of planted bad rows (columns respondent id and `kind`) of a simulated study, or None if it names none."""
    if not study.screening.key:
        return None
    return _load(locate(study.screening.key, study))[0].apply(unblank)


def check_items(frame: pd.DataFrame, study: Study) -> tuple[Text, ...]:
    """Items that cannot inform a factor (unanswered, constant, copied), and scales whose ends nobody uses."""
    found: list[Text] = []
    seen: dict[bytes, str] = {}
    for item in (item for item in study.items if item in frame):
        answers = frame[item].dropna()
        first = seen.setdefault(frame[item].to_numpy(float).tobytes(), item)
        if answers.empty:
            found.append(
                {
                    "en": f"Item {item} has no answer in any row: leave it out of the study, or look for its answers in the file.",
                    "zh": f"题项 {item} 没有任何回答：请从研究文件中删去该题，或在数据文件中查找其回答。",
                }
            )
        elif answers.min() == answers.max():
            found.append(
                {
                    "en": f"Item {item} has the same answer in every row: it carries no information and cannot load on a factor.",
                    "zh": f"题项 {item} 的所有回答都相同，不含信息，无法进入因子。",
                }
            )
        elif first != item:
            found.append(
                {
                    "en": f"Items {first} and {item} have identical answers in all {len(frame):,} rows: one is a copy.",
                    "zh": f"题项 {first} 与 {item} 在全部 {len(frame):,} 行中完全相同：其中一题是复制的。",
                }
            )
    return tuple(found) + _unused_ends(frame, study)


def _unused_ends(frame: pd.DataFrame, study: Study) -> tuple[Text, ...]:
    """Constructs no item of which is ever answered with its lowest, or highest, category: often a wrong scale."""
    narrow: dict[tuple[float, ...], list[str]] = {}
    for code, declared in study.scales.items():
        items = [item for item in declared if item in frame]
        for low, high in dict.fromkeys(study.scale_of(item) for item in items):
            answers = frame[[item for item in items if study.scale_of(item) == (low, high)]].copy()
            for item in answers.columns.intersection(frame.attrs.get("recoded", [])):
                answers[item] = low + high - answers[item]  # as it was answered
            first, last = answers.min().min(), answers.max().max()
            if (
                answers.notna().any(axis=1).sum() >= 50
                and high - low <= 10
                and (first > low or last < high)
            ):
                narrow.setdefault((low, high, first, last), []).append(code)
    return tuple(
        {
            "en": f"{', '.join(codes)}: declared {low:g}–{high:g}, observed {first:g}–{last:g} over all items. If the questionnaire "
            f"offered {first:g}–{last:g}, correct scale:, otherwise reverse items are turned round wrongly.",
            "zh": f"{'、'.join(codes)}：声明的量表为 {low:g}–{high:g}，全部题项的实际回答为 {first:g}–{last:g}。若问卷只提供 "
            f"{first:g}–{last:g}，请更正 scale:，否则反向题会被错误转换。",
        }
        for (low, high, first, last), codes in narrow.items()
    )


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
                _where(study, "responses"),
            )
        )
    return path


def _load(
    path: Path, header_row: int = 1
) -> tuple[pd.DataFrame, dict[str, str], dict[str, dict[str, str]]]:
    """The file as text cells (empty as NaN); the labels of its columns and of their values, where it has them."""
    kind, labels, values = path.suffix.lower(), {}, {}
    if kind not in FORMATS:
        raise DataError(
            _(
                "'{file}' is of a kind that cannot be read. Allowed: {names}.",
                file=path.name,
                names=list(FORMATS),
            )
        )
    try:
        if kind == ".csv":
            text = _decoded(path.read_bytes(), path)
            line = re.sub(
                r'"[^"]*"', "", (text.split("\n", header_row) + [""] * header_row)[header_row - 1]
            )
            separator = max(",;\t|", key=line.count)
            how = {
                "sep": separator,
                "header": None,
                "dtype": str,
                "keep_default_na": False,
                "index_col": False,
                "skiprows": header_row - 1,
            }
            width = pd.read_csv(io.StringIO(text), nrows=1, **how).shape[1]
            sheet = pd.read_csv(
                io.StringIO(text), names=range(width + 1), **how
            )  # one more, for a separator at the end of the lines
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
            header, table = sheet.iloc[0], sheet.iloc[1:]
        elif kind == ".xlsx":
            sheet = pd.read_excel(path, dtype=object, keep_default_na=False, header=None)
            header, table = (
                sheet.iloc[header_row - 1 : header_row].squeeze(axis=0),
                sheet.iloc[header_row:],
            )
        elif kind == ".sav":
            import pyreadstat

            table, meta = pyreadstat.read_sav(path, apply_value_formats=False)
            header, labels = (
                table.columns,
                {k: v for k, v in meta.column_names_to_labels.items() if v},
            )
            values = {
                k: {as_text(c): str(w) for c, w in v.items()}
                for k, v in meta.variable_value_labels.items()
            }
        else:
            table = pd.read_parquet(path)
            header = table.columns
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
                names=_names(repeated),
            )
        )
    return (
        pd.DataFrame(
            {n: table.iloc[:, i].map(as_text).astype(object) for i, n in enumerate(names)}
        ),
        labels,
        values,
    )


def _refuse_title(
    path: Path, header_row: int, wordings: Mapping[str, Iterable[str]], found: int
) -> None:
    """Say what to do if one of the next rows holds more of the declared names: a title stands above the header."""
    for row in range(header_row + 1, header_row + 6):
        held = 0
        with suppress(DataError):
            held = len(_matched(list(_load(path, row)[0].columns), {}, wordings)[0])
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
    forms = [rest, re.split(r"[—–]+|(?<=\D)[:：]", rest)[-1]]
    if any(_key(form) in words for form in forms):
        return True
    read = [
        re.match(code, unicodedata.normalize("NFKC", form).strip(), re.IGNORECASE)
        for form in (text, rest)
    ]
    return any(m and (m["wording"] is None or _key(m["wording"]) in words) for m in read)


def _matched(
    headers: Iterable[str], labels: Mapping[str, str], wordings: Mapping[str, Iterable[str]]
) -> tuple[dict[str, str], tuple[Text, ...]]:
    """Declared name → column of the file, the surest way of finding it first, and what was found less surely."""
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
    unsure = []
    for place, way in enumerate(ways):
        free = [header for header in headers if header not in found.values()]
        pairs = [
            (name, header)
            for name in wordings
            if name not in found
            for header in free
            if way(header, name)
        ]
        for name, header in pairs:
            both = [f"'{h}'" for n, h in pairs if n == name], [n for n, h in pairs if h == header]
            if max(map(len, both)) > 1:
                if len(both[0]) == 1:
                    raise DataError(
                        _(
                            "The column '{header}' fits several declared names: {names}. Rename the right column in the file to '{name}'.",
                            header=header,
                            names=_names(both[1]),
                            name=name,
                        )
                    )
                raise DataError(
                    _(
                        "{name} fits several columns of the file: {names}. Rename the right column in the file to '{name}'.",
                        name=name,
                        names=_names(both[0]),
                    )
                )
        found |= dict(pairs)
        unsure += [f"{name} = '{header}'" for name, header in pairs if place > 1]
    if not unsure:
        return found, ()
    which = _some(unsure, 12)
    return found, (
        {
            "en": f"Columns found by a similar name or by their label, please check: {which}.",
            "zh": f"以下各列按相近的列名或变量标签识别，请核对：{which}。",
        },
    )


def _typed(
    path: Path,
    header_row: int,
    columns: Mapping[str, Column],
    wordings: Mapping[str, Iterable[str]],
    study: Study,
) -> Reading:
    """The declared columns of a file, each turned into its declared kind."""
    table, labels, values = _load(path, header_row)
    found, notes = _matched(list(table.columns), labels, wordings)
    absent = [name for name in columns if name not in found]
    unused = [h for h in table.columns if h not in {found[n] for n in columns if n in found}]
    if absent:
        _refuse_title(path, header_row, wordings, len(found))
        lines = []
        for name in absent:
            alike = (
                difflib.get_close_matches(w, unused, 1)
                or [h for h in unused if len(w) > 1 and w in h]
                for w in (name, *wordings[name])
            )
            near = next(
                (
                    _("The nearest column is '{header}'.", header=words[0])
                    for words in alike
                    if words
                ),
                "",
            )
            what = _("Rename the column in the file to '{name}', or correct the code.", name=name)
            lines.append(
                _("  {name}: {problem}", name=name, problem=joined(near, what, _where(study, name)))
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
                    names=_names(unused, 40) if unused else _("none"),
                ),
                between="\n",
            )
        )
    frame, changes, errors, strays = {}, [], [], []
    asked = {*study.items, *study.screening.attention}
    for name, column in columns.items():
        levels = meanings(column, values.get(found[name], {}), name)
        given = table[found[name]]
        cells = unblank(given, levels)
        frame[name], problems = convert(cells, column, study.missing, name in asked, levels)
        problems = {"blank": (given.notna() & cells.isna()).to_numpy()} | problems
        notes += comma_note(cells, name) if column.kind == "number" else ()
        for problem, bad in problems.items():
            if not bad.any():
                continue
            told, rows = list(dict.fromkeys(given[bad])), [int(i) + 1 for i in np.flatnonzero(bad)]
            told = [
                f"{code} ({label})" if (label := values.get(found[name], {}).get(code)) else code
                for code in told
            ]
            changes.append((name, problem, len(rows), _some(told), _some(rows)))
            strict = study.screening.out_of_range == "error"
            if problem == "answer" and (
                strict or frame[name].isna().all()
            ):  # words throughout are no stray answers
                strays += [(name, cells.iloc[row - 1], row) for row in rows]
            elif problem in ("range", "level") and strict:
                errors.append(
                    joined(_complaint(name, problem, column, told, rows), _where(study, name))
                )
            elif problem == "number" and strict and frame[name].isna().all():
                errors.append(
                    joined(
                        _(
                            "{name}: none of its {n} values is a number in a known unit ({values}). Declare what follows the number, as in "
                            "units: {{min: 60}}, or kind: text.",
                            name=name,
                            n=len(rows),
                            values=_names(told),
                        ),
                        _where(study, name),
                    )
                )
    if errors:
        errors.append(
            _(
                "To go on with them as missing, say so in the study file: screening: {{out_of_range: missing}}."
            )
        )
    if strays:
        errors.append(_undeclared(pd.DataFrame(strays, columns=["item", "text", "row"]), study))
    if errors:
        raise DataError(
            joined(
                _(
                    "'{file}' holds values that the study '{study}' does not allow:",
                    file=path.name,
                    study=study.id,
                ),
                *errors,
                between="\n  ",
            )
        )
    result = pd.DataFrame(frame)
    result.index = pd.RangeIndex(1, len(result) + 1, name="row")
    listed = pd.DataFrame(changes, columns=["column", "problem", "n", "values", "rows"])
    return Reading(result, _notes(listed) + notes, listed, tuple(unused))


def _complaint(name: str, problem: str, column: Column, values: list, rows: list[int]) -> Sentence:
    """What is wrong with the values of a column, and the two remedies."""
    place = n_(
        "{name}: {values} in {n:,} row ({rows})",
        "{name}: {values} in {n:,} rows ({rows})",
        len(rows),
        name=name,
        values=_names(values),
        rows=_names(rows),
    )
    if problem == "range" and column.range:
        return _(
            "{place}; allowed {low:g} to {high:g}. Correct its scale (range), or add the value to missing:.",
            place=place,
            low=column.range[0],
            high=column.range[1],
        )
    return _(
        "{place}; allowed {levels}. Add the level to the column, or the value to missing:.",
        place=place,
        levels=list(column.levels) or "0, 1, yes, no",
    )


def _undeclared(strays: pd.DataFrame, study: Study) -> Sentence:
    """Answers that are words nobody declared (columns item, text, row), with the lines that would declare them."""
    once = strays[(strays["row"] <= 3) & ~strays["text"].duplicated(keep=False)]
    heads = [row for row, part in once.groupby("row") if len(part) == len(study.items) > 1]
    told: list[Sentence | str] = [
        n_(
            "Row {rows} below the header holds no answers but a second header: delete it.",
            "Rows {rows} below the header hold no answers but a second header: delete them.",
            len(heads),
            rows=_names(heads),
        )
    ] * bool(heads)
    lines: list[Sentence | str] = []
    strays = strays[~strays["row"].isin(heads)]
    for text, part in list(strays.groupby("text", sort=False))[:MOST_WORDS]:
        digits = re.findall(r"\d+", text)
        word = (
            text if re.fullmatch(r"[^\W\d][\w ]*", text) else json.dumps(text, ensure_ascii=False)
        )
        lines.append(
            n_(
                "  {word}: {digit}   # {n:,} time, in {items}",
                "  {word}: {digit}   # {n:,} times, in {items}",
                len(part),
                word=word,
                digit=digits[0] if len(digits) == 1 else " ",
                items=_names(part["item"].unique(), 4),
            )
        )
    if (more := strays["text"].nunique() - MOST_WORDS) > 0:
        lines.append(
            _("  # and {more:,} further texts: are these columns answered on a scale?", more=more)
        )
    items = strays["item"].unique()
    if any(study.answers_of(i) for i in items if i in study.items):
        told += [
            joined(
                _(
                    "{items}: words that answers: does not list. Add these lines to it, each with the number it stands for; what is no answer "
                    "goes to missing: instead.",
                    items=_names(items, 12),
                ),
                _where(study, "answers"),
            ),
            *lines,
        ]
    elif lines:
        told += [
            _(
                "{items}: words where answers must be numbers. Export the option numbers, not their texts ({menu}), or add these lines to the "
                "study file, at the left margin (or inside one construct, for its items), and write behind each the number it stands for; what is "
                "no answer goes to missing: instead.",
                items=_names(items, 12),
                menu=WRITTEN["by_number"],
            ),
            "answers:",
            *lines,
        ]
    return joined(*told, between="\n")


def _notes(changes: pd.DataFrame) -> tuple[Text, ...]:
    """One sentence a problem."""
    words = {
        "blank": ("stood for no answer", "为表示未作答的文字"),
        "missing code": ("were declared as missing", "为声明的缺失代码"),
        "range": ("lay outside the declared range", "超出声明的取值范围"),
        "level": ("are no declared level", "不是声明的类别"),
        "answer": ("could not be read as numbers", "无法读为数字"),
        "number": ("could not be read as numbers in a known unit", "无法按已知单位读为数字"),
        "date": ("could not be read as dates", "无法读为日期"),
        "offset": (
            "were times with an offset and were converted to UTC",
            "为带时区偏移的时间，已换算为 UTC",
        ),
        "word": (
            "were words, or codes labelled with them, and became the numbers that answers: declares",
            "为文字（或带文字标签的代码），已按 answers: 的声明转为数字",
        ),
        "numbered": (
            "held a number and words and were read by the number, please check",
            "同时含数字和文字，已按数字读取，请核对",
        ),
    }
    notes = []
    for problem, part in changes.groupby("problem", sort=False):
        en, zh = words[str(problem)]
        total = int(part["n"].sum())
        ordered = part.sort_values("n", ascending=False, kind="stable")
        which = _some([f"{r.column} ({r.n})" for r in ordered.itertuples()], 8)
        if problem in ("word", "numbered", "number"):
            which += f" ({part['values'].iloc[0]})"
        keep = {"en": "", "zh": ""}
        if problem == "blank":
            which = _some(
                [
                    f"{r.column} ({r.n}: {r.told})"
                    for r in ordered.rename(columns={"values": "told"}).itertuples()
                ],
                8,
            )
            keep = {
                "en": " Where it is an answer, declare it as one of the column's levels:, in quotes.",
                "zh": "若其本身就是一种回答，请在该列的 levels: 中加引号声明。",
            }
        if problem not in ("word", "numbered", "offset"):
            en, zh = f"{en} and became missing", f"{zh}，已设为缺失"
        notes.append(
            {
                "en": f"{plural(total, 'value')} {en if total > 1 else en.replace('were', 'was', 1)}: {which}.{keep['en']}",
                "zh": f"{total:,} 个值{zh}：{which}。{keep['zh']}",
            }
        )
    return tuple(notes)


def _some(values: Iterable, limit: int = 6) -> str:
    values = [str(v) for v in values]
    return ", ".join(values[:limit]) + (
        f", … ({len(values)} in all)" if len(values) > limit else ""
    )


def _names(values: Iterable, limit: int = 6) -> Sentence:
    """Names or values for a message; many end in how many there are."""
    return listed((str(v) for v in values), limit)


def _where(study: Study, name: str) -> Sentence | str:
    """Where the study file speaks of `name`, as far as the file can still be found."""
    for path in sorted(study.folder.glob("*.yml")):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == study.digest:
            for number, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
                if re.search(rf"(^|[{{,])\s*[\"']?{re.escape(name)}[\"']?\s*:", line):
                    return _("See {file}, line {line}.", file=path.name, line=number)
    return ""
