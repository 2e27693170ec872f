"""A third language is a catalogue (and words of its own in a study file, where wanted): no module names it."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml
from survey import write

from cxlib.core import words
from cxlib.core.result import Result, block
from cxlib.core.words import _, listed, n_
from cxlib.responses.reading import read
from cxlib.run.cli import summary
from cxlib.study.names import named
from cxlib.study.schema import StudyError, Wording, load

FRENCH = """
msgid ""
msgstr ""
"Language: fr\\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\\n"

msgid "{n:,} row was dropped."
msgid_plural "{n:,} rows were dropped."
msgstr[0] "{n:,} ligne a été retirée."
msgstr[1] "{n:,} lignes ont été retirées."

msgid "{n:,} cell"
msgid_plural "{n:,} cells"
msgstr[0] "{n:,} cellule"
msgstr[1] ""

msgid "The best of {names} is {name}."
msgstr "Le meilleur de {names} est {name}."

msgid "  scale       {low:g} to {high:g}"
msgstr "  échelle     de {low:g} à {high:g}"

msgctxt "column"
msgid "construct"
msgstr "construit"
"""


def forget():
    for cached in (words.languages, words.catalogue, words.plural_form):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def french(tmp_path, monkeypatch):
    """A locale folder with the catalogues there are, and a French one of a handful of entries."""
    for language in words.languages()[1:]:
        folder = tmp_path / "locale" / language
        folder.parent.mkdir(exist_ok=True)
        folder.symlink_to(words.LOCALE / language)
    file = tmp_path / "locale" / "fr" / "LC_MESSAGES" / "cxlib.po"
    file.parent.mkdir(parents=True)
    file.write_text(FRENCH, "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(words, "LOCALE", tmp_path / "locale")
        forget()
        yield
    forget()


ROWS = pd.DataFrame({"q1": [1, 4, 7], "q2": [2, 5, 3], "s1": [3, 3, 6]})
COLUMNS = {
    "city": {
        "kind": "category",
        "name": {"en": "City", "zh": "城市", "fr": "Ville"},
        "levels": {"l": {"en": "London", "zh": "伦敦", "fr": "Londres"}, "o": "Oslo"},
    }
}


@pytest.fixture
def study(tmp_path):
    """Two constructs, of which the first has a French name, and a column that the file of answers names in French."""
    made = write(
        tmp_path,
        {"Q": ["q1", "q2"], "S": ["s1"]},
        ROWS.assign(Ville=["Londres", "Oslo", "London"]),
        columns=COLUMNS,
    )
    raw = yaml.safe_load(made.path.read_text("utf-8"))
    raw["constructs"]["Q"]["name"]["fr"] = "Qualité"
    raw["constructs"]["Q"]["items"]["q1"]["fr"] = "Le service est bon."
    made.path.write_text(yaml.safe_dump(raw, allow_unicode=True), "utf-8")
    return load(made.path)


def test_a_plural_is_chosen_by_the_rule_of_the_catalogue():
    rows = [
        n_("{n:,} row was dropped.", "{n:,} rows were dropped.", n) for n in (0, 1, 3, ROWS.size)
    ]
    assert [row["fr"].split()[1] for row in rows] == ["ligne", "ligne", "lignes", "lignes"]
    assert [row["en"].split()[1] for row in rows] == ["rows", "row", "rows", "rows"]


def test_a_plural_without_all_its_forms_stays_english():
    assert [n_("{n:,} cell", "{n:,} cells", n)["fr"] for n in (0, 1)] == ["0 cells", "1 cell"]


def test_a_sentence_holds_names_of_a_study_in_the_language_or_in_english(study):
    names = [study.constructs[code].name for code in study.constructs]
    best = _("The best of {names} is {name}.", names=names, name=names[0])
    assert best["fr"] == "Le meilleur de Qualité, Construct S est Qualité."
    assert best["en"] == "The best of Construct Q, Construct S is Construct Q."
    assert "构念Q、构念S" in best["zh"]
    assert named(study, "Q")["fr"] == study.name("Q", "fr") == "Qualité"
    assert (
        study.name("q1", "fr") == "Le service est bon." and study.name("S", "fr") == "Construct S"
    )
    assert listed(names, most=1)["fr"].startswith("Qualité, … (2 in all")


def test_columns_and_levels_are_found_by_their_words_in_the_language(study):
    assert read(study).frame["city"].tolist() == ["l", "o", "l"]


def test_what_check_says_and_a_result_come_out_in_the_language(study):
    lines = summary(study, 3)["fr"].splitlines()
    assert "  échelle     de 1 à 7" in lines
    assert any("3 rows" in line for line in lines)  # nobody has translated it
    table = pd.DataFrame({"construct": ["Q"], "alpha": [0.8]})
    best = _("The best of {names} is {name}.", names=["Q"], name=study.constructs["Q"].name)
    markup = block(Result(table, best, 3, _("mean"), (n_("{n:,} cell", "{n:,} cells", 2),)), "fr")
    for said in ("construit", "Le meilleur de Q est Qualité.", "2 cells", "mean"):
        assert said in markup


def test_words_of_a_language_without_a_catalogue_are_an_unknown_key(study):
    text = study.path.read_text("utf-8")
    study.path.write_text(text.replace("fr: Qualité", "de: Qualität"), "utf-8")
    with pytest.raises(StudyError, match=r"unknown key 'de'.*en, zh, fr"):
        load(study.path)


def test_words_in_a_further_language_are_text(study):
    text = study.path.read_text("utf-8")
    study.path.write_text(text.replace("fr: Qualité", "fr: 3"), "utf-8")
    with pytest.raises(StudyError, match="a text is needed") as refusal:
        load(study.path)
    ((line, message),) = refusal.value.problems
    assert "fr: 3" in study.path.read_text("utf-8").splitlines()[line - 1]
    assert "name.fr" in message["en"]


def test_words_are_the_same_after_a_copy_and_differ_by_every_language():
    one = Wording.model_validate({"en": "a", "zh": "b", "fr": "c"})
    assert one == one.model_copy() and one.model_copy()["fr"] == "c"
    assert one != Wording(en="a", zh="b") and Wording(en="a", zh="b")["fr"] == "a"
