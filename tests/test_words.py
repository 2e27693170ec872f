"""Sentences: written once, translated by a catalogue that is complete, agrees with the code and holds nothing else."""

from __future__ import annotations

import ast
import pickle
import string
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxlib.core import words
from cxlib.core.errors import Mistake
from cxlib.core.words import (
    _,
    c_,
    catalogue,
    entries,
    joined,
    languages,
    listed,
    n_,
    number,
    p_text,
)

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "cxlib").rglob("*.py"))
OTHERS = [language for language in languages() if language != "en"]
ARGUMENTS = {"_": (0,), "n_": (0, 1), "c_": (0, 1)}


def calls(source: str) -> Iterator[ast.Call]:
    """The calls of `_`, `n_` and `c_` in a module that takes them from words (or is it)."""
    nodes = list(ast.walk(ast.parse(source)))
    known = {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
    known |= {
        alias.name
        for n in nodes
        if isinstance(n, ast.ImportFrom) and n.module == "cxlib.core.words"
        for alias in n.names
    }
    for node in nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in known & set(ARGUMENTS)
        ):
            yield node


def messages() -> dict[tuple[str, str], list[str]]:
    """(context, English) → the forms the code writes it in."""
    found = {}
    for path in FILES:
        for call in calls(path.read_text("utf-8")):
            first, *more = [call.args[i].value for i in ARGUMENTS[call.func.id]]
            key = (first, more[0]) if call.func.id == "c_" else ("", first)
            found.setdefault(key, []).extend([key[1], *(more if call.func.id == "n_" else ())])
    return found


def placeholders(text: str) -> set[tuple[str, str, str]]:
    return {
        (name, spec, conversion or "")
        for _text, name, spec, conversion in string.Formatter().parse(text)
        if name is not None
    }


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_message_is_a_literal_and_the_function_is_not_shadowed(path):
    source = path.read_text("utf-8")
    found = list(calls(source))
    for call in found:
        for at in ARGUMENTS[call.func.id]:
            assert isinstance(call.args[at], ast.Constant) and isinstance(
                call.args[at].value, str
            ), f"{path.name}:{call.lineno}"
    if found:
        tree = ast.parse(source)
        inner = {
            id(n)
            for c in ast.walk(tree)
            if isinstance(c, ast.comprehension)
            for n in ast.walk(c.target)
        }
        stored = [
            n.lineno
            for n in ast.walk(tree)
            if isinstance(n, ast.Name)
            and n.id == "_"
            and isinstance(n.ctx, ast.Store)
            and id(n) not in inner
        ]
        assert stored == [], f"{path.name} assigns to _"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_value_a_message_names_is_given(path):
    for call in calls(path.read_text("utf-8")):
        given = {k.arg for k in call.keywords} | ({"n"} if call.func.id == "n_" else set())
        if None in given:  # **values
            continue
        forms = [call.args[i].value for i in ARGUMENTS[call.func.id]][call.func.id == "c_" :]
        assert {name for form in forms for name, *_rest in placeholders(form)} <= given, (
            f"{path.name}:{call.lineno}"
        )


@pytest.mark.parametrize("language", OTHERS)
def test_every_message_has_a_translation_with_the_same_values(language):
    known, wanted = catalogue(language), messages()
    assert sorted(set(wanted) - set(known)) == []
    for key, forms in wanted.items():
        named = {name for name, *_rest in set().union(*map(placeholders, forms))}
        written = {name for name, *_rest in set().union(*map(placeholders, known[key]))}
        assert named - {"n"} <= written <= named, key  # "one row" may stand for {n} row
        if len(known[key]) == 1:
            assert written == named, key


@pytest.mark.parametrize("language", OTHERS)
def test_every_plural_has_the_forms_that_its_language_needs(language):
    needed = {words.plural_form(language)(n) for n in range(2000)}
    for key, forms in messages().items():
        count = len(catalogue(language)[key])
        assert needed == set(range(count)) if len(set(forms)) > 1 else count == 1, key


@pytest.mark.parametrize("language", OTHERS)
def test_no_translation_is_left_over_or_written_twice(language):
    keys = [
        key
        for key, _forms in entries(
            (words.LOCALE / language / "LC_MESSAGES" / "cxlib.po").read_text("utf-8")
        )
    ]
    sentences = {key for key in keys if key[0] != "column"}  # headings belong to declared tables
    assert sorted(sentences - set(messages())) == []
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("language", OTHERS)
def test_catalogues_are_read_in_an_instant(language):
    catalogue.cache_clear()
    start = time.process_time()
    catalogue(language)
    assert time.process_time() - start < 0.05


PO = """
# head
msgid ""
msgstr "Language: zh\\n"

#: file.py:3
msgid "{n} of {names} \\"fits\\"."
msgstr ""
"{names}中"
"有 {n} 个“合适”。"

msgctxt "place"
msgid "level"
msgstr "楼层"

msgid "level"
msgstr "水平"

msgid "{n:,} row"
msgid_plural "{n:,} rows"
msgstr[0] "{n:,} 行"

#, fuzzy
msgid "guess"
msgstr "猜"

#~ msgid "old"
#~ msgstr "旧"
"""


@pytest.fixture
def chinese(monkeypatch):
    read = {key: forms for key, forms in entries(PO) if all(forms)}
    monkeypatch.setattr(words, "catalogue", lambda language: read if language == "zh" else {})


def test_a_sentence_is_written_in_the_language_it_is_asked_for_in(chinese):
    sentence = _('{n} of {names} "fits".', n=2, names=["A", {"en": "quality", "zh": "质量"}])
    assert sentence["en"] == '2 of A, quality "fits".' == str(sentence)
    assert sentence["zh"] == "A、质量中有 2 个“合适”。"
    assert dict(sentence) == {language: sentence[language] for language in languages()} == sentence
    with pytest.raises(KeyError):
        sentence["xx"]


def test_plurals_contexts_and_what_is_not_translated(chinese):
    rows = [n_("{n:,} row", "{n:,} rows", n) for n in (1, 1200)]
    assert [row["en"] for row in rows] == ["1 row", "1,200 rows"]
    assert [row["zh"] for row in rows] == ["1 行", "1,200 行"]
    assert (c_("place", "level")["zh"], _("level")["zh"]) == ("楼层", "水平")
    assert _("guess")["zh"] == "guess" and _("old")["zh"] == "old"


def test_sentences_hold_sentences_and_stand_behind_each_other(chinese):
    inner = n_("{n:,} row", "{n:,} rows", 2)
    both = joined(_("level"), "", inner)
    assert (both["en"], both["zh"]) == ("level 2 rows", "水平2 行")
    assert _("Kept: {what}.", what=inner)["zh"] == "Kept: 2 行."
    assert pickle.loads(pickle.dumps(both)) == both
    assert not joined("", "") and len({both, joined(_("level"), inner)}) == 1


def test_lists_say_how_many_there_are():
    assert listed("abc")["zh"] == "a、b、c"
    assert listed(range(3), 6)["en"] == "0, 1, 2"
    assert listed(range(9), 2)["en"].startswith("0, 1, …") and "9" in listed(range(9), 2)["zh"]


def test_numbers_read_the_same_in_every_language():
    assert (
        _("{b} {n:,} {share:.0%}", b=number(-0.3149), n=1200, share=0.4)["zh"] == "−0.315 1,200 40%"
    )
    assert (p_text(0.0004), p_text(0.0231), p_text(float("nan")), number(None)) == (
        "p < .001",
        "p = .023",
        "p = –",
        "–",
    )


def test_an_error_speaks_every_language(chinese):
    error = Mistake(_("level"))
    assert (str(error), error["zh"], Mistake("plain")["zh"]) == ("level", "水平", "plain")
    assert pickle.loads(pickle.dumps(error))["zh"] == "水平"
