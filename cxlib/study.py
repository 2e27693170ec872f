"""A study is one file: what was asked, of whom, and what is claimed about it.

`load("ecsi")` or `load("path/to/study.yml")` returns a frozen :class:`Study`, or raises one
:class:`StudyError` that lists every mistake with its line, the value found, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise, product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

DATA = Path(__file__).resolve().parent.parent / "data"
"""Where the studies that ship with the suite live."""
TESTS = ("path", "effect", "total", "contrast", "nested", "of", "needs")
MODEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class StudyError(ValueError):
    """Everything that is wrong with a study file, each with its line and its remedy."""

    def __init__(self, path: Path, problems: list[tuple[int, str]]):
        """`problems` are (line, message); line 0 is the file as a whole."""
        self.path, self.problems = path, sorted(problems)
        lines = [f"  line {line}: {message}" if line else f"  {message}" for line, message in self.problems]
        count = len(lines)
        super().__init__(f"{path} has {count} mistake{'s' if count > 1 else ''}:\n" + "\n".join(lines))


def _both(value: Any) -> Any:
    """A plain string stands for both languages."""
    return {"en": value, "zh": value} if isinstance(value, str) else value


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text_key(value: Any) -> Any:
    """YAML reads 1: as a number and yes: as a truth value; levels are kept as they are in the data file."""
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Wording(_Frozen):
    """The same words in English and Chinese."""

    en: str
    zh: str

    def __getitem__(self, language: str) -> str:
        """The words in `language`."""
        return self.zh if language == "zh" else self.en


Words = Annotated[Wording, BeforeValidator(_both)]
Range = Annotated[tuple[float, float], BeforeValidator(_pair)]


class Item(_Frozen):
    """One question answered on a scale."""

    en: str
    zh: str
    reverse: bool = False
    scale: Range | None = None


class Construct(_Frozen):
    """A latent variable: its role in the story, and its items or its first-order constructs."""

    role: Literal["service", "perception", "satisfaction", "loyalty", "expectation", "experience", "context"]
    name: Words
    items: dict[str, Item] = {}
    of: tuple[str, ...] = ()
    scale: Range | None = None


class Column(_Frozen):
    """A column that is not a scale item."""

    kind: Literal["category", "number", "flag", "text", "date", "id", "private"]
    name: Words | None = None
    levels: Annotated[dict[str, Words], BeforeValidator(_text_key)] = {}
    group: bool = False
    unit: str = ""
    units: dict[str, float] = {}
    spellings: dict[str, str] = {}  # other ways a level is written → level
    range: Range | None = None
    only_if: str = ""
    quota: Annotated[dict[str, float], BeforeValidator(_text_key)] = {}


class Responses(_Frozen):
    """Where the answers are: a file beside the study, or one shipped inside a Python package."""

    file: str
    package: str = ""


class Screening(_Frozen):
    """What marks a careless or repeated answer."""

    duration: str = ""
    min_duration: float | None = None
    attention: dict[str, float] = {}
    order: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    contradictions: dict[str, str] = {}
    out_of_range: Literal["error", "missing"] = "error"
    key: str = ""


class Linked(_Frozen):
    """A table joined to the responses by a key."""

    file: str
    on: str
    rows: Literal["one", "many"] = "one"
    columns: dict[str, Column] = {}


class Hypothesis(_Frozen):
    """A statement with its expected sign and the one thing that tests it: exactly one of TESTS is filled in."""

    model: str = "main"
    path: str = ""  # "Y ~ X"; with `by`, a grouping column: the path differs between its levels, first minus second
    effect: str = ""  # "A + B -> M -> Y": the sum of its chains A -> M -> Y and B -> M -> Y
    total: str = ""  # "A + B -> Y": every way to Y, direct ones included
    contrast: str = ""  # "A -> Y > B -> Y, C -> Y": each total effect on the left is larger than each on the right
    nested: str = ""  # a model that is `model` without some paths
    of: str = ""  # a statistic of the data, with `kind` and `where` as in a claim
    needs: str = ""  # what the study lacks for it: listed, not tested
    kind: str = ""
    where: str = ""
    by: str = ""
    sign: Literal["+", "-", "<>", "0"] = "+"
    en: str
    zh: str
    family: str = ""
    role: Literal["confirmatory", "secondary", "exploratory"] = "confirmatory"


class Claim(_Frozen):
    """A published figure to be tested, never taken as truth."""

    figure: float | None = None
    kind: str
    of: str
    where: str = ""
    unit: str = ""
    en: str
    zh: str
    note: Words | None = None


class Study(_Frozen):
    """A study, as its file declares it."""

    id: str
    title: Words
    origin: Literal["real", "simulated"]
    source: str
    question: Words | None = None
    population: Words | None = None
    responses: Responses
    scale: Range
    missing: tuple[float | str, ...] = ()
    constructs: dict[str, Construct]
    pairs: dict[str, str] = {}
    scores: dict[str, tuple[str, ...]] = {}  # 0–100: the mean of these constructs' (or items') means, rescaled
    columns: dict[str, Column] = {}
    tables: dict[str, Linked] = {}
    screening: Screening = Screening()
    cluster: str = ""
    models: dict[str, str]
    hypotheses: dict[str, Hypothesis] = {}
    claims: dict[str, Claim] = {}
    truth: dict[str, Any] | None = None
    path: Path = Field(default=Path(), exclude=True)
    digest: str = Field(default="", exclude=True)

    @property
    def folder(self) -> Path:
        """Where the study file lies, and the files it names."""
        return self.path.parent

    @property
    def items(self) -> dict[str, str]:
        """Item → construct, in the order of the file."""
        return {item: code for code, construct in self.constructs.items() for item in construct.items}

    @property
    def scales(self) -> dict[str, list[str]]:
        """Construct → items, for the constructs that have items of their own."""
        return {code: list(c.items) for code, c in self.constructs.items() if c.items}

    @property
    def reversed(self) -> list[str]:
        """Items that are worded against their construct."""
        return [item for c in self.constructs.values() for item, question in c.items.items() if question.reverse]

    @property
    def groups(self) -> list[str]:
        """Columns by which groups are compared."""
        return [name for name, column in self.columns.items() if column.group]

    def scale_of(self, item: str) -> tuple[float, float]:
        """The declared range of an item: its own, else its construct's, else the study's."""
        construct = self.constructs[self.items[item]]
        return construct.items[item].scale or construct.scale or self.scale

    def name(self, code: str, language: str = "en") -> str:
        """The words for a construct, item or column; the code itself where the file has none."""
        if code in self.constructs:
            return self.constructs[code].name[language]
        if code in self.items:
            question = self.constructs[self.items[code]].items[code]
            return question.zh if language == "zh" else question.en
        column = self.columns.get(code)
        return column.name[language] if column and column.name else code

    def role(self, code: str) -> str:
        """The role of a construct, or of the construct an item belongs to."""
        return self.constructs[self.items.get(code, code)].role

    def model_constructs(self, model: str = "main") -> list[str]:
        """The constructs a model names, with the first-order ones below a second-order one."""
        named = set(MODEL_NAME.findall(_uncommented(self.models[model])))
        named |= {part for code in named & set(self.constructs) for part in self.constructs[code].of}
        return [code for code in self.constructs if code in named]

    def measurement(self, model: str = "main") -> str:
        """lavaan syntax of the measurement part of a model."""
        lines = []
        for code in self.model_constructs(model):
            construct = self.constructs[code]
            parts = construct.of or tuple(construct.items)
            if parts != (code,):
                lines.append(f"{code} =~ " + " + ".join(parts))
        return "\n".join(lines)

    def syntax(self, model: str = "main") -> str:
        """lavaan syntax of a whole model: measurement and structural part."""
        return self.measurement(model) + "\n" + _uncommented(self.models[model])


def _uncommented(text: str) -> str:
    return "\n".join(line.split("#")[0].rstrip() for line in text.splitlines() if line.split("#")[0].strip())


def find(study: str | Path) -> Path:
    """The study file that `study` means: an id under data/, a folder, or a file.

    Raises
    ------
    FileNotFoundError
        With the nearest names and the list of the studies that exist.
    """
    for candidate in (Path(study), Path(study) / "study.yml", DATA / str(study) / "study.yml"):
        if candidate.is_file():
            return candidate.resolve()
    known = sorted(p.parent.name for p in DATA.glob("*/study.yml"))
    near = difflib.get_close_matches(str(study), known, 1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise FileNotFoundError(f"There is no study '{study}'.{hint} Known studies: {', '.join(known) or 'none'}. "
                            "Give one of them, or the path of a study.yml.")


def load(study: str | Path) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    study : str or Path
        An id under data/, a folder with a study.yml, or the file itself.

    Raises
    ------
    FileNotFoundError
        There is no such study.
    StudyError
        The file has mistakes; all are listed.
    """
    path = find(study)
    source = path.read_bytes()
    try:
        root = yaml.compose(source.decode("utf-8-sig"), Loader=yaml.SafeLoader)
        raw = yaml.safe_load(source.decode("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        raise StudyError(path, [(mark.line + 1 if mark else 0, f"not readable as YAML: {what}. Check the indentation, and put "
                                 "text that holds ': ' or '#' in quotes.")]) from None
    if not isinstance(raw, dict):
        raise StudyError(path, [(1, "the file is not a list of 'key: value' lines. Start from a study that ships under data/.")])
    lines = dict(_lines(root))
    problems = list(_repeated(root))
    for part, table in (("hypotheses", Hypothesis), ("claims", Claim)):
        if isinstance(raw.get(part), str):
            raw[part] = _rows(path, raw[part], part, lines, problems, table)
    try:
        checked = Study.model_validate({**raw, "path": path, "digest": hashlib.sha256(source).hexdigest()})
    except ValidationError as errors:
        checked = None
        problems += [(_line(lines, e["loc"]), _explain(e)) for e in errors.errors()]
    problems += [(_line(lines, where), message) for where, message in _inconsistencies(raw)]
    if problems or checked is None:
        raise StudyError(path, list(dict.fromkeys(problems)))
    return checked


def _lines(node: yaml.Node, where: tuple = ()) -> Iterator[tuple[tuple, int]]:
    """Every place of the file with its line."""
    yield where, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*where, str(key.value)), key.start_mark.line + 1
            for place, line in _lines(value, (*where, str(key.value))):
                if place != (*where, str(key.value)):
                    yield place, line
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _lines(value, (*where, str(position)))


def _repeated(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Keys written twice: YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, f"'{key.value}' is written twice (first in line {seen[key.value]}). Keep one."
            seen[key.value] = key.start_mark.line + 1
            yield from _repeated(value)


def _line(lines: Mapping[tuple, int], where: tuple) -> int:
    """The line of the deepest known part of a place."""
    place = tuple(str(part) for part in where)
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 0) if place else 0


def _rows(path: Path, name: str, part: str, lines: Mapping, problems: list, table: type[_Frozen]) -> dict:
    """Hypotheses or claims kept as a CSV beside the study file."""
    import pandas as pd

    file = path.parent / name
    if not file.is_file():
        problems.append((_line(lines, (part,)), f"{part}: the file '{name}' is not beside the study file. Allowed: a CSV with the "
                         f"columns id, {', '.join(table.model_fields)}."))
        return {}
    frame = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    if "id" not in frame or frame["id"].duplicated().any():
        problems.append((_line(lines, (part,)), f"{part}: '{name}' needs a column 'id' whose values differ."))
        return {}
    return {row["id"]: {k: v for k, v in row.items() if k != "id" and v != ""} for row in frame.to_dict("records")}


def _explain(error: Mapping) -> str:
    """A pydantic error in words."""
    where = ".".join(str(part) for part in error["loc"])
    kind, found = error["type"], error["input"]
    if kind == "missing":
        return f"{where} is missing. Add it."
    if kind == "extra_forbidden" and found is None:
        return f"{where} has no value: a text with a comma or a colon needs quotes. Write \"…, …\"."
    if kind == "extra_forbidden":
        owner: Any = Study
        for part in error["loc"][:-1]:
            known = getattr(owner, "model_fields", {})
            if part in known:
                owner = {"constructs": Construct, "columns": Column, "items": Item, "screening": Screening, "tables": Linked,
                         "hypotheses": Hypothesis, "claims": Claim, "responses": Responses}.get(str(part), owner)
        allowed = [f for f in getattr(owner, "model_fields", {}) if f not in ("path", "digest")]
        near = difflib.get_close_matches(str(error["loc"][-1]), allowed, 1)
        return (f"{where}: unknown key '{error['loc'][-1]}'." + (f" Did you mean '{near[0]}'?" if near else "")
                + f" Allowed: {', '.join(allowed)}.")
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        near = difflib.get_close_matches(str(found), re.findall(r"'([^']+)'", expected), 1)
        return f"{where} is '{found}'." + (f" Did you mean '{near[0]}'?" if near else "") + f" Allowed: {expected}."
    shown = repr(found) if len(repr(found)) < 60 else repr(found)[:57] + "…"
    return f"{where} is {shown}: {error['msg'][0].lower() + error['msg'][1:]}. Correct the value."


def _inconsistencies(raw: Mapping) -> Iterator[tuple[tuple, str]]:
    """What single fields cannot show: names that do not meet, ranges the wrong way round, items used twice."""
    constructs = {k: v for k, v in _mapping(raw.get("constructs")).items() if isinstance(v, dict)}
    columns, models = _mapping(raw.get("columns")), _mapping(raw.get("models"))
    owner: dict[str, str] = {}
    for code, construct in constructs.items():
        items, parts = _mapping(construct.get("items")), construct.get("of") or []
        if bool(items) == bool(parts):
            yield ("constructs", code), f"construct '{code}' needs either 'items' (its questions) or 'of' (its constructs), and not both."
        for part in parts:
            if part not in constructs:
                yield ("constructs", code, "of"), _unknown("construct", part, constructs)
        for item in items:
            if item in owner:
                yield ("constructs", code, "items", item), f"item '{item}' already belongs to '{owner[item]}'. An item belongs to one construct."
            owner[item] = code
        for where, holder in ((("constructs", code), construct), *((("constructs", code, "items", i), q) for i, q in items.items())):
            yield from _ordered(where, holder, "scale")
    yield from _ordered((), raw, "scale")
    for name, column in columns.items():
        yield from _ordered(("columns", name), column, "range")
        if name in owner:
            yield ("columns", name), f"'{name}' is an item of '{owner[name]}' and a column too. Keep one."
        if isinstance(column, dict) and column.get("group") and column.get("kind") not in ("category", "flag"):
            yield ("columns", name), f"column '{name}' is a group but of kind '{column.get('kind')}'. Allowed for a group: category, flag."
    for expected, perceived in _mapping(raw.get("pairs")).items():
        for code in (expected, perceived):
            if code not in constructs:
                yield ("pairs", expected), _unknown("construct", code, constructs)
    if "models" in raw and "main" not in models:
        yield ("models",), "there is no model called 'main'. Name the study's own model 'main'."
    for name, text in models.items():
        yield from ((("models", name), message) for message in _model_problems(name, text, constructs, columns))
    screening = _mapping(raw.get("screening"))
    for key in ("order", "duplicates", "attention"):
        for name in screening.get(key) or []:
            if name not in owner and name not in columns:
                yield ("screening", key), _unknown("column", name, {**owner, **columns})
    for key, where in ((screening.get("duration"), ("screening", "duration")), (raw.get("cluster"), ("cluster",))):
        if key and key not in columns:
            yield where, _unknown("column", key, columns)
    for name, hypothesis in _mapping(raw.get("hypotheses")).items():
        if isinstance(hypothesis, dict):
            yield from ((("hypotheses", name), m) for m in _hypothesis_problems(name, hypothesis, models, constructs))


def _model_problems(name: str, text: Any, constructs: Mapping, columns: Mapping) -> Iterator[str]:
    if not isinstance(text, str) or not _uncommented(text):
        yield f"model '{name}' is empty. Write lines such as 'SATISFACTION ~ QUALITY'."
        return
    for line in _uncommented(text).splitlines():
        relation = re.fullmatch(r"\s*([\w.]+)\s*(~~|~)\s*(.+)", line)
        if not relation:
            yield (f"model '{name}': '{line.strip()}' cannot be read. Allowed: 'outcome ~ predictor + predictor' and 'a ~~ b'; the "
                   "measurement part ('=~') follows from the constructs.")
            continue
        for term in (relation[1], *relation[3].split("+")):
            code = term.split("*")[-1].strip()
            if code not in constructs and code not in columns:
                yield f"model '{name}': " + _unknown("construct", code, constructs)


def chains(effect: str) -> list[tuple[str, ...]]:
    """The chains an effect sums over: "A + B -> M -> Y" means (A, M, Y) and (B, M, Y)."""
    return list(product(*([code.strip() for code in step.split("+")] for step in effect.split("->"))))


def _hypothesis_problems(name: str, hypothesis: Mapping, models: Mapping, constructs: Mapping) -> Iterator[str]:
    model, given = hypothesis.get("model", "main"), [test for test in TESTS if hypothesis.get(test)]
    if len(given) != 1:
        yield f"hypothesis '{name}' has {given or 'nothing'} to test it. Write one of {', '.join(TESTS)} (path: \"Y ~ X\", effect: \"X -> M -> Y\")."
        return
    test, words = given[0], str(hypothesis[given[0]])
    parts = [" -> ".join(words.split("~")[::-1])] if test == "path" else re.split(r"(?<!-)>|,", words)
    walks = [] if test in ("nested", "of", "needs") else [chain for part in parts for chain in chains(part)]
    named = [("model", code, models) for code in ([model, words] if test == "nested" else [model])]
    for kind, code, known in named + [("construct", code, constructs) for chain in walks for code in chain]:
        if code not in known:
            yield f"hypothesis '{name}': " + _unknown(kind, code, known)
            return
    drawn = {(m[1], t.split("*")[-1].strip()) for line in _uncommented(str(models[model])).splitlines()
             if (m := re.fullmatch(r"\s*([\w.]+)\s*~(?!~)\s*(.+)", line)) for t in m[2].split("+")}
    for predictor, outcome in (step for chain in walks for step in pairwise(chain) if test in ("path", "effect")):
        if (outcome, predictor) not in drawn:
            yield f"hypothesis '{name}': model '{model}' has no path '{outcome} ~ {predictor}'. Add it to the model or correct the hypothesis."


def _mapping(value: Any) -> dict:
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else {}


def _ordered(where: tuple, holder: Any, key: str) -> Iterator[tuple[tuple, str]]:
    value = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int | float) for v in value) and value[0] >= value[1]:
        yield (*where, key), f"{key} is {value}: the lower end comes first and is smaller. Write [{value[1]}, {value[0]}]."


def _unknown(kind: str, name: str, known: Mapping) -> str:
    near = difflib.get_close_matches(str(name), list(known), 1)
    listed = ", ".join(list(known)[:30]) or "none"
    return f"there is no {kind} '{name}'." + (f" Did you mean '{near[0]}'?" if near else "") + f" Known: {listed}."
