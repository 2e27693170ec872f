"""The one reader of the model language: lavaan's lines "F =~ a + b", "Y ~ X + c*Z", "a ~~ b", and effects "A + B -> M -> Y".

Knows no study and no statistics: a text becomes a tuple of :class:`Term`, or one :class:`ModelSyntaxError` a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, product

from cxlib.core.errors import ModelError
from cxlib.core.words import Sentence, _, joined

ARROW = " -> "
NAME = re.compile(r"[^\W\d][\w.]*")
"""A name in a model: letters of any script, digits, "_" and ".", not beginning with a digit."""
_TOKEN = re.compile(
    rf"""(?P<op>=~|~~|:=|==|<~|~\*~|~|<|>|\|)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<name>{NAME.pattern})|(?P<sign>[-+*:(),=])|(?P<space>\s+)|(?P<other>[\w.]+|.)""",
    re.VERBOSE,
)
_OPEN_END, _OPEN_START = re.compile(r"(?:[-+*~]|=~)\s*$"), re.compile(r"\s*(?:[+*~]|=~)")
_WIDE = {
    "＋": "+",
    "＊": "*",
    "×": "*",
    "～": "~",
    "〜": "~",
    "；": ";",
    "−": "-",
    "－": "-",
    "＝": "=",
    "，": ",",
    "（": "(",
    "）": ")",
}


class ModelSyntaxError(ModelError):
    """A mistake in a model: its line within the model, the text there, and the reason (what is wrong, what is allowed)."""

    def __init__(self, line: int, text: str, reason: Mapping[str, str]):
        """`line` counts from 1; 0 is the model as a whole."""
        self.line, self.text, self.reason = line, text, reason
        where = _("Line {line} of the model cannot be read: '{text}'.", line=line, text=text)
        super().__init__(joined(where, reason) if line else reason)

    def __reduce__(self) -> tuple:
        """Keep the parts when it is sent to another process."""
        return type(self), (self.line, self.text, self.reason)


@dataclass(frozen=True)
class Term:
    """One relation of a model as it is written.

    lhs, op, rhs : "F", "=~", "a"; `rhs` of an intercept is "1"
    label : shared by parameters that are equal
    value : the number it is fixed to, None if it is none
    freed : written with ``NA*``: a first indicator is not fixed to 1
    line : where it stands in the text, from 1
    """

    lhs: str
    op: str
    rhs: str
    label: str = ""
    value: float | None = None
    freed: bool = False
    line: int = 0

    @property
    def key(self) -> tuple:
        """What may be written once; a covariance has no direction."""
        return (
            (self.op, frozenset((self.lhs, self.rhs)))
            if self.op == "~~"
            else (self.op, self.lhs, self.rhs)
        )

    def __str__(self) -> str:
        """The right-hand side, with what multiplies it."""
        mark = (
            "NA" if self.freed else self.label or ("" if self.value is None else repr(self.value))
        )
        return f"{mark}*{self.rhs}" if mark else self.rhs


def read(text: str) -> tuple[Term, ...]:
    """The terms of a model, in the order written.

    Lines end at a line break or ``;``; one that ends in an operator, or whose next line begins with one, goes on.
    ``#`` and ``!`` begin a comment.  A term may be multiplied by a number, by a label, or by ``NA``.

    Raises
    ------
    ModelSyntaxError
        The first mistake; :func:`scan` gives all.
    """
    terms, mistakes = scan(text)
    if mistakes:
        raise mistakes[0]
    return terms


def scan(text: str) -> tuple[tuple[Term, ...], tuple[ModelSyntaxError, ...]]:
    """The terms that can be read, and every mistake."""
    terms: list[Term] = []
    mistakes: list[ModelSyntaxError] = []
    for line, statement in statements(text):
        try:
            terms += _Statement(line, statement).terms()
        except ModelSyntaxError as error:
            mistakes.append(error)
    if not terms and not mistakes:
        mistakes.append(
            ModelSyntaxError(
                0,
                "",
                _(
                    "The model is empty. Write at least one line such as 'FACTOR =~ item1 + item2 + item3' or "
                    "'OUTCOME ~ PREDICTOR'."
                ),
            )
        )
    return tuple(terms), tuple(
        sorted([*mistakes, *_conflicts(terms)], key=lambda error: error.line)
    )


def statements(text: str) -> list[tuple[int, str]]:
    """Each statement with the number of its first line; a continued one keeps its line breaks."""
    lines = [re.split("[#!]", line)[0] for line in text.splitlines()]
    out: list[tuple[int, str]] = []
    going = False
    blank = ""
    for at, line in enumerate(lines, 1):
        if not line.strip():
            blank += "\n"
            continue
        first, *more = line.split(";")
        if out and (going or _OPEN_START.match(first)):
            out[-1] = (out[-1][0], out[-1][1] + "\n" + blank + first)
        else:
            out.append((at, first))
        out += [(at, part) for part in more]
        going, blank = bool(_OPEN_END.search(out[-1][1])), ""
    return [(line, statement) for line, statement in out if statement.strip()]


def names(terms: Iterable[Term]) -> list[str]:
    """Every variable of a model, in the order it is named."""
    return list(
        dict.fromkeys(name for term in terms for name in (term.lhs, term.rhs) if name != "1")
    )


def write(terms: Iterable[Term]) -> str:
    """The terms as text that :func:`read` reads as the same terms."""
    return "\n".join(
        f"{lhs} {op} " + " + ".join(map(str, part))
        for (lhs, op), part in groupby(terms, lambda t: (t.lhs, t.op))
    )


def without(text: str, start: str, end: str) -> str:
    """A model without the path from `start` to `end`."""
    return write(term for term in read(text) if (term.op, term.rhs, term.lhs) != ("~", start, end))


def uncommented(text: str) -> str:
    """The lines of a model without comments and blanks."""
    return "\n".join(
        line for part in text.splitlines() if (line := re.split("[#!]", part)[0].strip())
    )


def path(words: str) -> tuple[str, str]:
    """(outcome, predictor) of "Y ~ X".

    Raises
    ------
    ModelSyntaxError
        It is not one path.
    """
    read_ = re.fullmatch(rf"\s*({NAME.pattern})\s*~\s*({NAME.pattern})\s*", words)
    if not read_:
        raise ModelSyntaxError(
            0,
            words,
            _(
                "The path '{words}' cannot be read. Write one outcome and one predictor: 'Y ~ X'.",
                words=words,
            ),
        )
    return read_[1], read_[2]


def steps(words: str) -> tuple[tuple[str, ...], ...]:
    """The places of an effect, each with its alternatives: "A + B -> M -> Y" is (A, B), (M), (Y).

    Raises
    ------
    ModelSyntaxError
        A place is empty or holds something else than names joined by "+", or there is only one.
    """
    out = tuple(tuple(code.strip() for code in step.split("+")) for step in words.split("->"))
    if len(out) < 2 or not all(NAME.fullmatch(code) for step in out for code in step):
        raise ModelSyntaxError(
            0,
            words,
            _(
                "The effect '{words}' cannot be read. Write codes joined by '->', such as 'A -> B -> C', and '+' between "
                "alternatives at one place: 'A + B -> C'.",
                words=words,
            ),
        )
    return out


def chains(words: str) -> tuple[tuple[str, ...], ...]:
    """The chains an effect sums over: "A + B -> M -> Y" means (A, M, Y) and (B, M, Y)."""
    return tuple(product(*steps(words)))


def spelled(words: str) -> str:
    """An effect as the tables of effects write it."""
    return ARROW.join(" + ".join(step) for step in steps(words))


def rivals(contrast: str) -> list[tuple[str, str]]:
    """The effects a contrast sets against each other: "A -> Y > B -> Y, C -> Y" is A against B, and A against C.

    Raises
    ------
    ModelSyntaxError
        It has not two sides, or one of their effects cannot be read.
    """
    sides = re.split(r"(?<!-)>", contrast)
    if len(sides) != 2:
        raise ModelSyntaxError(
            0,
            contrast,
            _(
                "The contrast '{words}' cannot be read. Write the larger effects, '>' and the smaller ones: "
                "'A -> Y > B -> Y, C -> Y'.",
                words=contrast,
            ),
        )
    larger, smaller = ([spelled(effect) for effect in side.split(",")] for side in sides)
    return list(product(larger, smaller))


class _Statement:
    """One statement while it is read: its tokens as (kind, text, line)."""

    def __init__(self, line: int, text: str):
        self.line, self.text = line, " ".join(text.split())
        self.tokens = [
            (str(m.lastgroup), m[0], line + text.count("\n", 0, m.start()))
            for m in _TOKEN.finditer(text)
            if m.lastgroup != "space"
        ]

    def terms(self) -> Iterator[Term]:
        """Every left-hand name against every right-hand term."""
        self._refuse()
        at = [kind for kind, _text, _line in self.tokens].index("op")
        op = self.tokens[at][1]
        left = [self._name(part, self.line) for part in self._split(self.tokens[:at], self.line)]
        right = [
            self._term(part) for part in self._split(self.tokens[at + 1 :], self.tokens[at][2])
        ]
        for lhs in left:
            for name, label, value, freed, line in right:
                if name == "1" and op != "~":
                    raise self._error(
                        _("'1' stands for an intercept, which is written 'x ~ 1'."), line
                    )
                yield Term(lhs, op, name, label, value, freed, line)

    def _error(self, reason: Sentence, line: int | None = None) -> ModelSyntaxError:
        return ModelSyntaxError(line or self.line, self.text, reason)

    def _refuse(self) -> None:
        """What lavaan knows and this reader does not, or nobody knows, by name."""
        operators = [text for kind, text, _line in self.tokens if kind == "op"]
        for kind, text, line in self.tokens:
            if text in _WIDE:
                raise self._error(
                    _(
                        "'{text}' is a full-width sign. Write '{plain}'.",
                        text=text,
                        plain=_WIDE[text],
                    ),
                    line,
                )
            if text == ":=":
                raise self._error(
                    _(
                        "New quantities (':=') are not defined in a model: indirect, total and compared effects are asked for by a "
                        "hypothesis (effect:, total:, contrast:). Take the line out."
                    ),
                    line,
                )
            if text in ("==", "<", ">"):
                raise self._error(
                    _(
                        "Constraints ('{text}') are not read. Give two terms the same label to make them equal (a*X), or a number to "
                        "fix one (0.5*X).",
                        text=text,
                    ),
                    line,
                )
            if text in ("<~", "~*~", "|"):
                raise self._error(
                    _("The operator '{text}' is not read. Allowed: '=~', '~' and '~~'.", text=text),
                    line,
                )
            if text == ":":
                raise self._error(
                    _(
                        "':' would multiply two variables. Form the product as a column of the data first."
                    ),
                    line,
                )
            if kind == "other":
                raise self._error(
                    _(
                        "'{text}' is neither a name nor a sign of the language. Names hold letters, digits, '_' and '.', and do not begin "
                        "with a digit.",
                        text=text,
                    ),
                    line,
                )
        if len(operators) != 1:
            raise self._error(
                _(
                    "Write one '=~', '~' or '~~' between names joined by '+', each relation in a line of its own: 'FACTOR =~ item1 + "
                    "item2', 'OUTCOME ~ PREDICTOR', 'a ~~ b'."
                )
            )

    def _split(
        self, tokens: list[tuple[str, str, int]], line: int
    ) -> list[list[tuple[str, str, int]]]:
        """The parts between the '+' that join terms (not the sign of a number, not inside brackets)."""
        parts: list[list] = [[]]
        depth = 0
        for token in tokens:
            depth += {"(": 1, ")": -1}.get(token[1], 0)
            if token[1] == "+" and depth == 0 and parts[-1]:
                parts.append([])
            elif token[1] == "+" and not parts[-1] and len(parts) > 1:
                raise self._error(
                    _(
                        "Two '+' stand together, or one stands at an end. Write a name on both sides of each."
                    ),
                    token[2],
                )
            else:
                parts[-1].append(token)
        if not parts[-1]:
            raise self._error(
                _(
                    "Two '+' stand together, or one stands at an end. Write a name on both sides of each."
                )
                if tokens
                else _("One side is empty. Write a name on both sides of the operator."),
                line,
            )
        return parts

    def _name(self, tokens: list[tuple[str, str, int]], line: int) -> str:
        if [kind for kind, _text, _line in tokens] != ["name"]:
            text = "".join(text for _kind, text, _line in tokens)
            raise self._error(
                _(
                    "'{text}' is not one name. Write names joined by '+'; what multiplies a term stands on the right: a*X.",
                    text=text,
                ),
                line,
            )
        return tokens[0][1]

    def _term(self, tokens: list[tuple[str, str, int]]) -> tuple[str, str, float | None, bool, int]:
        """(name or "1", label, value, freed, line) of one term of the right-hand side."""
        line, text = tokens[-1][2], "".join(text for _kind, text, _line in tokens)
        self._refuse_calls(text, line)
        *marks, last = _parted(tokens)
        if len(marks) > 1:
            raise self._error(
                _(
                    "'{text}' has more than one '*'. Write one number or one label before a name.",
                    text=text,
                ),
                line,
            )
        label, value, freed = self._mark(marks[0], text, line) if marks else ("", None, False)
        if [token[1] for token in last] == ["1"]:
            return "1", label, value, freed, line
        if [token[0] for token in last] == ["number"]:
            raise self._error(
                _(
                    "'{text}': a number stands before a name, as in 0.5*X; an intercept is '1', fixed to a number '0*1'.",
                    text=text,
                ),
                line,
            )
        if any(token[1] == "-" for token in last):
            raise self._error(
                _(
                    "'{text}': terms are joined by '+' only. Write '+ -1*X' for a fixed negative path.",
                    text=text,
                ),
                line,
            )
        if [token[0] for token in last] != ["name"]:
            raise self._error(
                _(
                    "'{text}' is not a term. Write a name, or a number or label, '*' and a name.",
                    text=text,
                ),
                line,
            )
        return last[0][1], label, value, freed, line

    def _refuse_calls(self, text: str, line: int) -> None:
        """start(), c() and the like, each with what to write instead."""
        called = re.match(rf"({NAME.pattern})\(", text)
        if called and called[1] == "start":
            raise self._error(
                _(
                    "'{text}': starting values are chosen by the estimation and do not change its result. Leave start() out.",
                    text=text,
                ),
                line,
            )
        if called and called[1] == "c":
            raise self._error(
                _(
                    "'{text}': values by group are not written in a model; which parameters are equal in groups is tested in the notebook on "
                    "groups. Write one label or number.",
                    text=text,
                ),
                line,
            )
        if called:
            raise self._error(
                _(
                    "'{text}': {name}() is not read. Allowed before '*': a number, a label, or NA.",
                    text=text,
                    name=called[1],
                ),
                line,
            )

    def _mark(
        self, tokens: list[tuple[str, str, int]], text: str, line: int
    ) -> tuple[str, float | None, bool]:
        written = "".join(part for _kind, part, _line in tokens)
        if (
            tokens
            and tokens[-1][0] == "number"
            and [part for _kind, part, _line in tokens[:-1]] in ([], ["-"], ["+"])
        ):
            return "", float(written), False
        if len(tokens) == 1 and tokens[0][0] == "name":
            return ("", None, True) if written == "NA" else (written, None, False)
        raise self._error(
            _(
                "'{text}': '{mark}' is no number and no label. Allowed before '*': a number, a label, or NA.",
                text=text,
                mark=written,
            ),
            line,
        )


def _parted(tokens: list[tuple[str, str, int]]) -> list[list[tuple[str, str, int]]]:
    """The parts between the '*' of a term."""
    parts: list[list] = [[]]
    for token in tokens:
        if token[1] == "*":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _conflicts(terms: list[Term]) -> Iterator[ModelSyntaxError]:
    """Terms written twice, variables that point to themselves, labels that are variables."""
    seen: dict[tuple, Term] = {}
    known = set(names(terms))
    for term in terms:
        text = f"{term.lhs} {term.op} {term.rhs}"
        if term.key in seen:
            first = seen[term.key].line
            said = (
                _("both times in this line")
                if first == term.line
                else _("first in line {first} of the model", first=first)
            )
            yield ModelSyntaxError(
                term.line,
                f"{term.lhs} {term.op} {term}",
                _("'{text}' is written twice: {said}. Write each term once.", text=text, said=said),
            )
        elif term.op != "~~" and term.lhs == term.rhs:
            yield ModelSyntaxError(
                term.line,
                text,
                _(
                    "'{text}' points to itself: '{name}' is explained by itself. Take it off the right-hand side.",
                    text=text,
                    name=term.lhs,
                ),
            )
        if term.label in known:
            yield ModelSyntaxError(
                term.line,
                f"{term.lhs} {term.op} {term}",
                _(
                    "'{label}*{name}' multiplies two variables, but '{label}' would be read as a label. Use a label that is not a variable, or form the "
                    "product as a column of the data first.",
                    label=term.label,
                    name=term.rhs,
                ),
            )
        seen.setdefault(term.key, term)
