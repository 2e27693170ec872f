"""Sentences: written once in English, in the code; every other language is a catalogue under locale/.

A module says what it has to say as whole sentences with named values::

    from cxlib.core.words import _, c_, joined, listed, n_, number, p_text

    _("{good} of {models} can be trusted.", good=3, models=5)

`_` returns a :class:`Sentence`: it is written when somebody asks for it in a language, ``sentence["en"]``,
``sentence["zh"]``; ``str(sentence)`` is the English one.  It is a mapping from language to text, so it stands wherever
``{"en": …, "zh": …}`` stood.  The first argument is a plain literal, never an f-string (a test sees to it): the
catalogue is looked up by it.  A brace that is meant as one is doubled: ``_("Write {{file: a.csv}}.")``.

What a value may be
    A number, with its format in the sentence: ``_("{n:,} rows, {share:.0%}", n=1200, share=0.4)``.
    Digits as the reports write them: ``_("b = {b}, {p}", b=number(-0.31), p=p_text(0.0004))`` → b = −0.310, p < .001.
    A name in the reader's language, anything that gives a text by language (a study's ``Wording``, a Sentence, a
    mapping): ``_("{name} is best.", name=study.constructs["Q"].name)``.
    Several names: a list, a tuple, an index, or ``listed(names, most=6)``, are joined by ", " and in Chinese by "、".
A plural
    ``n_("{n:,} row was dropped.", "{n:,} rows were dropped.", n)``; the value `n` is given by itself.  Inside another
    sentence: ``_("{rows} and {items}.", rows=n_("{n:,} row", "{n:,} rows", 3), items=n_(…))``.  A translation has as
    many forms as its language needs; the catalogue's head says under Plural-Forms which number takes which.
A part that is not always there
    ``joined(first, second if doubtful else "", third)`` puts whole sentences one behind the other and leaves out the
    empty; inside a sentence pass a Sentence or "" as a value.
One English word that needs two translations
    ``c_("column", "level")``, ``c_("of a group", "level")``: the context tells them apart in the catalogue.

A translation stands in ``locale/<language>/LC_MESSAGES/cxlib.po``, an ordinary gettext catalogue that is read as it is;
nothing is compiled.  ``pybabel extract -k n_:1,2 -k c_:1c,2`` and ``pybabel update`` know these functions.  Without an
entry the English sentence stands; the tests name every sentence that has none.
"""

from __future__ import annotations

import functools
import gettext
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Number
from pathlib import Path
from typing import Any, TypeGuard

LOCALE = Path(__file__).resolve().parents[1] / "locale"
SEPARATORS, CLAUSES = {"zh": "、"}, {"zh": "；"}
"""What stands between the names of a list, ", " where nothing else is said, and between clauses, else "; "."""
UNSPACED = {"zh"}
"""Languages that put no space between sentences."""
Key = tuple[str, str]
"""Context and English message."""


class Sentence(Mapping[str, str]):
    """A sentence that is written when it is asked for in a language."""

    __slots__ = ("context", "many", "message", "values_")

    def __init__(self, message: str, values: Mapping[str, Any], many: str = "", context: str = ""):
        """`many` is the English plural; `values["n"]` decides."""
        self.message, self.values_, self.many, self.context = message, dict(values), many, context

    def __getitem__(self, language: str) -> str:
        """The sentence in `language`."""
        if language not in languages():
            raise KeyError(language)
        forms = catalogue(language).get((self.context, self.message))
        if forms is None:
            text = self.many if self.many and self.values_["n"] != 1 else self.message
        else:
            text = forms[plural_form(language)(int(self.values_["n"])) if self.many else 0]
        return text.format(**{name: said(value, language) for name, value in self.values_.items()})

    def __iter__(self) -> Iterator[str]:
        """The languages."""
        return iter(languages())

    def __len__(self) -> int:
        """How many languages there are."""
        return len(languages())

    def __str__(self) -> str:
        """The English sentence."""
        return self["en"]

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(str(self))

    def __hash__(self) -> int:
        """By what it says."""
        return hash(str(self))

    def __repr__(self) -> str:
        """The English sentence, quoted."""
        return f"Sentence({self['en']!r})"


class Joined(Sentence):
    """Sentences one behind the other, or the names of a list."""

    __slots__ = ("between", "parts")

    def __init__(self, parts: Iterable[Any], between: Mapping[str, str], default: str):
        """`between` is what stands between two parts, by language; `default` in the others."""
        super().__init__("", {})
        self.parts, self.between = (
            tuple(parts),
            {language: between.get(language, default) for language in languages()},
        )

    def __getitem__(self, language: str) -> str:
        """The parts in `language`."""
        return self.between[language].join(
            text for part in self.parts if (text := str(said(part, language)))
        )


Said = str | Mapping[str, str]


def _(message: str, /, **values: Any) -> Sentence:
    """A sentence with its values, see above."""
    return Sentence(message, values)


def n_(one: str, many: str, n: int, /, **values: Any) -> Sentence:
    """A sentence that depends on a number, `n` in its text."""
    return Sentence(one, {**values, "n": n}, many)


def c_(context: str, message: str, /, **values: Any) -> Sentence:
    """A sentence, or a word, that means this in `context`."""
    return Sentence(message, values, context=context)


def joined(*parts: Said, between: str | None = None) -> Sentence:
    """Whole sentences one behind the other; empty ones are left out.  `between` is the same in every language."""
    if between is not None:
        return Joined(parts, {}, between)
    return Joined(parts, dict.fromkeys(UNSPACED, ""), " ")


def listed(names: Iterable[Any], most: int | None = None) -> Sentence:
    """Names as a list; beyond `most` it ends in how many there are."""
    names = list(names)
    shown = Joined(names[:most], SEPARATORS, ", ")
    if most is None or len(names) <= most:
        return shown
    return _("{names}, … ({n:,} in all)", names=shown, n=len(names))


def clauses(parts: Iterable[Any]) -> Sentence:
    """What is listed with commas of its own, set apart by semicolons."""
    return Joined(parts, CLAUSES, "; ")


def said(value: Any, language: str) -> Any:
    """A value as a sentence in `language` holds it: numbers stay numbers, what has languages gives its text."""
    if isinstance(value, str | Number):
        return value
    if isinstance(value, Mapping) or hasattr(value, "en"):  # a study's Wording is iterable too
        return value[language]
    return listed(value)[language] if isinstance(value, Iterable) else str(value)


def number(value: float | None, digits: int = 3) -> str:
    """A number for a sentence: fixed digits, true minus, "–" for a missing one."""
    if not _present(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def p_text(p: float | None) -> str:
    """ "p < .001" or "p = .023"."""
    if not _present(p):
        return "p = –"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def _present(value: Any) -> TypeGuard[float]:
    try:
        return not math.isnan(value)
    except TypeError:  # None, pandas' NA
        return False


@functools.cache
def languages() -> tuple[str, ...]:
    """English, and every language that has a catalogue."""
    return (
        "en",
        *sorted(
            path.name for path in LOCALE.iterdir() if (path / "LC_MESSAGES" / "cxlib.po").is_file()
        ),
    )


@functools.cache
def catalogue(language: str) -> dict[Key, tuple[str, ...]]:
    """Every translation into a language, in all its plural forms, by context and English message; none for English itself."""
    if language == "en":
        return {}
    return {key: forms for key, forms in entries(_source(language)) if all(forms)}


@functools.cache
def plural_form(language: str) -> Callable[[int], int]:
    """Which form of a plural a number takes, by the head of the catalogue; without such a line the first."""
    rule = re.search(r'^"Plural-Forms:.*?plural=([^;\\]+)', _source(language), re.MULTILINE)
    return gettext.c2py(rule[1] if rule else "0")


def _source(language: str) -> str:
    return (LOCALE / language / "LC_MESSAGES" / "cxlib.po").read_text("utf-8")


def entries(po: str) -> Iterator[tuple[Key, tuple[str, ...]]]:
    """The entries of a gettext catalogue: (context, message) and the forms of its translation, one where there is no
    plural; without the head, obsolete and fuzzy ones."""
    for block in re.split(r"\n\s*\n", po):
        parts: dict[str, str] = {}
        keyword, lines = "", block.splitlines()
        if any(line.startswith("#,") and "fuzzy" in line for line in lines):
            continue
        for line in lines:
            if line.startswith("#") or not line.strip():
                continue
            start, _space, rest = line.partition(" ")
            keyword, text = (keyword, line) if line.startswith('"') else (start, rest)
            parts[keyword] = parts.get(keyword, "") + _unquoted(text.strip())
        if parts.get("msgid"):
            forms = [text for keyword, text in parts.items() if keyword.startswith("msgstr")]
            yield (parts.get("msgctxt", ""), parts["msgid"]), tuple(forms)


def _unquoted(text: str) -> str:
    escapes = {"n": "\n", "t": "\t"}
    return (
        re.sub(r"\\(.)", lambda m: escapes.get(m[1], m[1]), text[1:-1])
        if "\\" in text
        else text[1:-1]
    )
