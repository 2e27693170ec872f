"""A study is one file: what was asked, of whom, and what is claimed about it.

`load("ecsi")` or `load("path/to/study.yml")` returns a frozen :class:`Study`, or raises one
:class:`StudyError` that lists every mistake with its line, the value found, what is allowed and what to do.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from cxlib.core.errors import Mistake
from cxlib.core.syntax import names, read, uncommented
from cxlib.core.tables import makes
from cxlib.core.words import Sentence, _, joined, languages, n_
from cxlib.study.checks import (
    TESTS,
    explain,
    inconsistencies,
    line_at,
    lines_of,
    model_lines,
    repeated,
    unknown,
)

if TYPE_CHECKING:
    import pandas as pd

DATA = Path(__file__).resolve().parents[2] / "data"
"""Where the studies that ship with the suite live."""


class StudyError(Mistake, ValueError):
    """Everything that is wrong with a study file, each with its line and its remedy."""

    def __init__(self, path: Path, problems: list[tuple[int, Sentence]]):
        """`problems` are (line, message); line 0 is the file as a whole."""
        self.path, self.problems = (
            path,
            sorted(problems, key=lambda problem: (problem[0], str(problem[1]))),
        )
        lines = [
            _("  line {line}: {message}", line=line, message=message)
            if line
            else _("  {message}", message=message)
            for line, message in self.problems
        ]
        head = n_("{path} has {n} mistake:", "{path} has {n} mistakes:", len(lines), path=path)
        super().__init__(joined(head, *lines, between="\n"))

    def __reduce__(self) -> tuple:
        """Keep the parts when it is sent to another process."""
        return type(self), (self.path, self.problems)


class UnknownModel(Mistake, ValueError):
    """The study has no model of this name."""


class NoStudy(Mistake, FileNotFoundError):
    """There is no such study."""


def _both(value: Any) -> Any:
    """A plain string stands for every language: English is read where a further one has no words of its own."""
    return {"en": value, "zh": value} if isinstance(value, str) else value


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text_key(value: Any) -> Any:
    """YAML reads 1: as a number, yes: as a truth value and null: as nothing; levels are kept as they are in the data file."""
    words = {True: "yes", False: "no", None: "null"}
    return (
        {words[k] if isinstance(k, bool | None) else str(k): v for k, v in value.items()}
        if isinstance(value, dict)
        else value
    )


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Wording(_Frozen):
    """The same words in English, in Chinese, and in what further languages the study file gives them (``fr: …``)."""

    en: str
    zh: str
    _further: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _with_further(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Take the words in every language that has a catalogue; any other key stays a mistake."""
        if not isinstance(value, dict):
            return handler(value)
        further = {k: v for k, v in value.items() if k in languages() and k not in cls.model_fields}
        read = handler({k: v for k, v in value.items() if k not in further})
        if wrong := [k for k, text in further.items() if not isinstance(text, str)]:
            raise ValidationError.from_exception_data(
                cls.__name__,
                [{"type": "string_type", "loc": (k,), "input": further[k]} for k in wrong],
            )
        read._further = further
        return read

    @property
    def texts(self) -> dict[str, str]:
        """Language → words, of the languages the study file has them in."""
        return {"en": self.en, "zh": self.zh, **self._further}

    def __getitem__(self, language: str) -> str:
        """The words in `language`, in English where there are none."""
        return self.texts.get(language, self.en)


Words = Annotated[Wording, BeforeValidator(_both)]
Answers = Annotated[dict[str, float], BeforeValidator(_text_key)]
Range = Annotated[tuple[float, float], BeforeValidator(_pair)]


class Item(Wording):
    """One question answered on a scale."""

    reverse: bool = False
    scale: Range | None = None


class Construct(_Frozen):
    """A latent variable: its role in the story, and its items or its first-order constructs."""

    role: Literal[
        "service", "perception", "satisfaction", "loyalty", "expectation", "experience", "context"
    ]
    name: Words
    items: dict[str, Item] = {}
    of: tuple[str, ...] = ()
    scale: Range | None = None
    answers: Answers = {}  # as in Study; these come first
    only_if: str = ""  # who was asked


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
    answers: Answers = {}  # of a number: words → number
    only_if: str = ""
    quota: Annotated[dict[str, float], BeforeValidator(_text_key)] = {}


class Responses(_Frozen):
    """Where the answers are: a file beside the study, or one shipped inside a Python package."""

    file: str
    package: str = ""
    header: Annotated[int, Field(ge=1)] = 1  # the row that holds the names of the columns


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
    key: str
    rows: Literal["one", "many"] = "one"
    header: Annotated[int, Field(ge=1)] = 1
    columns: dict[str, Column] = {}


class Hypothesis(Wording):
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
    family: str = ""
    role: Literal["confirmatory", "secondary", "exploratory"] = "confirmatory"


class Claim(Wording):
    """A published figure to be tested, never taken as truth."""

    figure: float | None = None
    kind: str
    of: str
    where: str = ""
    unit: str = ""
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
    answers: Answers = {}  # answers that are words in the file → the number each stands for
    missing: tuple[float | str, ...] = ()
    constructs: dict[str, Construct]
    pairs: dict[str, str] = {}
    marker: str = ""  # an item, construct or number column that has nothing to do with any construct of the models
    scores: dict[
        str, tuple[str, ...]
    ] = {}  # 0–100: the mean of these constructs' (or items') means, rescaled
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
        return {
            item: code for code, construct in self.constructs.items() for item in construct.items
        }

    @property
    def scales(self) -> dict[str, list[str]]:
        """Construct → items, for the constructs that have items of their own."""
        return {code: list(c.items) for code, c in self.constructs.items() if c.items}

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Second-order construct → the first-order constructs it is made of."""
        return {code: c.of for code, c in self.constructs.items() if c.of}

    @property
    def reversed(self) -> list[str]:
        """Items that are worded against their construct."""
        return [
            item
            for c in self.constructs.values()
            for item, question in c.items.items()
            if question.reverse
        ]

    @property
    def groups(self) -> list[str]:
        """Columns by which groups are compared."""
        return [name for name, column in self.columns.items() if column.group]

    @property
    def roles(self) -> list[str]:
        """The roles that constructs with items play, in the order of the file."""
        return list(dict.fromkeys(c.role for c in self.constructs.values() if c.items))

    def scale_of(self, item: str) -> tuple[float, float]:
        """The declared range of an item: its own, else its construct's, else the study's."""
        construct = self.constructs[self.items[item]]
        return construct.items[item].scale or construct.scale or self.scale

    def answers_of(self, item: str) -> dict[str, float]:
        """What the words of an item's answers stand for: its construct's, then the study's."""
        return self.answers | self.constructs[self.items[item]].answers

    def wording(self, code: str) -> Wording | None:
        """What the file calls a construct, item or column, in its languages."""
        if code in self.constructs:
            return self.constructs[code].name
        if code in self.items:
            return self.constructs[self.items[code]].items[code]
        column = self.columns.get(code)
        return column.name if column else None

    def name(self, code: str, language: str = "en") -> str:
        """The words for a construct, item or column; the code itself where the file has none."""
        words = self.wording(code)
        return words[language] if words else code

    def role(self, code: str) -> str:
        """The role of a construct, or of the construct an item belongs to."""
        return self.constructs[self.items.get(code, code)].role

    def model_constructs(self, model: str = "main") -> list[str]:
        """The constructs a model names, with the first-order ones below a second-order one."""
        if model not in self.models:
            raise UnknownModel(unknown(_("model"), model, self.models))
        named = set(names(read(self.models[model])))
        while (
            parts := {
                part for code in named & set(self.constructs) for part in self.constructs[code].of
            }
            - named
        ):
            named |= parts
        return [code for code in self.constructs if code in named]

    @makes("instrument", "construct name role item wording reverse low high")
    def instrument(self, language: str = "en") -> pd.DataFrame:
        """Every question: construct, its name and role, item, wording, whether reversed, and its range."""
        import pandas as pd

        columns = ["construct", "name", "role", "item", "wording", "reverse", "low", "high"]
        rows = [
            (
                code,
                c.name[language],
                c.role,
                item,
                self.name(item, language),
                question.reverse,
                *self.scale_of(item),
            )
            for code, c in self.constructs.items()
            for item, question in c.items.items()
        ]
        return pd.DataFrame(rows, columns=columns)

    @makes("statements", "id statement model test sign role")
    def statements(self, language: str = "en") -> pd.DataFrame:
        """Every hypothesis: id, statement, model, what tests it, expected sign and role."""
        import pandas as pd

        rows = [
            (
                name,
                h[language],
                h.model,
                next(getattr(h, test) for test in TESTS if getattr(h, test)),
                h.sign,
                h.role,
            )
            for name, h in self.hypotheses.items()
        ]
        return pd.DataFrame(rows, columns=["id", "statement", "model", "test", "sign", "role"])

    def measurement(self, model: str = "main") -> str:
        """lavaan syntax of the measurement part of a model."""
        parts = {
            code: self.constructs[code].of or tuple(self.constructs[code].items)
            for code in self.model_constructs(model)
        }
        return "\n".join(
            f"{code} =~ " + " + ".join(part) for code, part in parts.items() if part != (code,)
        )

    def syntax(self, model: str = "main") -> str:
        """lavaan syntax of a whole model: measurement and structural part."""
        return self.measurement(model) + "\n" + uncommented(self.models[model])


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
    known = {p.parent.name: p for p in sorted(DATA.glob("*/study.yml"))}
    raise NoStudy(
        joined(
            unknown(_("study"), str(study), known),
            _("Give one of them, or the path of a study.yml."),
        )
    )


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
        raise StudyError(path, [_unreadable(error)]) from None
    if root is None or not isinstance(raw, dict):
        raise StudyError(
            path,
            [
                (
                    1,
                    _(
                        "the file is not a list of 'key: value' lines. Start from a study that ships under data/."
                    ),
                )
            ],
        )
    lines = {**dict(lines_of(root)), **dict(model_lines(root, source.decode("utf-8-sig")))}
    problems = list(repeated(root))
    for part, table in (("hypotheses", Hypothesis), ("claims", Claim)):
        if isinstance(raw.get(part), str):
            try:
                raw[part] = _rows(path.parent / raw[part], table)
            except TableError as error:
                problems.append(
                    (
                        line_at(lines, (part,)),
                        _("{part}: {problem}", part=part, problem=error.sentence),
                    )
                )
                raw[part] = {}
    try:
        checked = Study.model_validate(
            {**raw, "path": path, "digest": hashlib.sha256(source).hexdigest()}
        )
    except ValidationError as errors:
        checked = None
        problems += [(line_at(lines, e["loc"]), explain(e, Study)) for e in errors.errors()]
    problems += [(line_at(lines, where), message) for where, message in inconsistencies(raw)]
    if problems or checked is None:
        raise StudyError(path, list(dict.fromkeys(problems)))
    return checked


def _unreadable(error: Exception) -> tuple[int, Sentence]:
    """Where a file is no YAML, and what mostly helps."""
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 0
    if isinstance(error, UnicodeDecodeError):
        return line, _("the file is not UTF-8. Save it again as UTF-8.")
    if "\\t" in str(getattr(error, "problem", "")):
        return line, _("not readable as YAML: a tab stands here. Indent with spaces.")
    return line, _(
        "not readable as YAML at or just before this line. Check the indentation and the brackets, and put text that holds ': ' or '#', or "
        "between {{ and }} a comma or '?', in quotes."
    )


class TableError(Mistake, ValueError):
    """A table of hypotheses or claims beside the study file cannot be used."""


def _rows(file: Path, table: type[_Frozen]) -> dict:
    """Hypotheses or claims kept as a CSV beside the study file."""
    import pandas as pd

    if not file.is_file():
        raise TableError(
            _(
                "the file '{file}' is not beside the study file. Allowed: a CSV with the columns id, {names}.",
                file=file.name,
                names=list(table.model_fields),
            )
        )
    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError):  # encoding, no columns, rows of unequal length
        raise TableError(
            _(
                "'{file}' cannot be read as CSV. Save it again as CSV UTF-8, texts with a comma in quotes.",
                file=file.name,
            )
        ) from None
    if "id" not in frame or frame["id"].duplicated().any():
        raise TableError(_("'{file}' needs a column 'id' whose values differ.", file=file.name))
    return {
        row["id"]: {k: v for k, v in row.items() if k != "id" and v != ""}
        for row in frame.to_dict("records")
    }
