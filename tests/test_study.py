"""The study file: what it means, and that every mistake in it is told at once."""

from __future__ import annotations

import textwrap

import pytest
import yaml

from cxlib.study.schema import StudyError, find, load

GOOD = """
id: tiny
title: {en: Tiny, zh: 小}
origin: real
source: made up for the tests
responses: {file: answers.csv}
scale: [1, 7]
constructs:
  Q:
    role: service
    name: {en: Quality, zh: 质量}
    items:
      q1: {en: First., zh: 一。}
      q2: {en: Second., zh: 二。, reverse: true}
      q3: {en: Third., zh: 三。, scale: [0, 10]}
  S:
    role: satisfaction
    name: Satisfaction
    items:
      s1: {en: Fourth., zh: 四。}
      s2: {en: Fifth., zh: 五。}
columns:
  gender: {kind: category, levels: {1: {en: male, zh: 男}, 2: {en: female, zh: 女}}, group: true}
models:
  main: |
    S ~ Q   # the only path
hypotheses:
  H1: {path: "S ~ Q", en: Quality satisfies., zh: 质量带来满意。}
"""


def write(folder, text):
    path = folder / "study.yml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def problems(folder, text):
    with pytest.raises(StudyError) as caught:
        load(write(folder, text))
    return [(line, str(message)) for line, message in caught.value.problems]


def test_a_study_says_what_its_file_says(tmp_path):
    study = load(write(tmp_path, GOOD))
    assert study.scales == {"Q": ["q1", "q2", "q3"], "S": ["s1", "s2"]}
    assert study.items["s2"] == "S"
    assert study.reversed == ["q2"]
    assert (study.scale_of("q1"), study.scale_of("q3")) == ((1, 7), (0, 10))
    assert study.name("Q", "zh") == "质量"
    assert study.name("S", "zh") == "Satisfaction"  # a plain string stands for both languages
    assert study.name("q1") == "First."
    assert study.role("q1") == study.role("Q") == "service"
    assert study.groups == ["gender"]
    assert study.columns["gender"].levels["1"].zh == "男"
    assert study.syntax() == "Q =~ q1 + q2 + q3\nS =~ s1 + s2\nS ~ Q"


def test_it_is_frozen(tmp_path):
    study = load(write(tmp_path, GOOD))
    with pytest.raises(ValueError, match="frozen"):
        study.scale = (0, 1)


def test_only_the_constructs_a_model_names_enter_its_measurement_part():
    study = load("ecsi")
    assert study.model_constructs("main") == ["PERQ", "PERV", "CUSA", "CUSL"]
    assert "IMAG" not in study.measurement("main")
    assert "COMP =~ CUSCO" in study.measurement("ecsi")


def test_the_instrument_and_the_statements_hold_every_row():
    study = load("ecsi")
    instrument = study.instrument("zh")
    assert list(instrument["item"]) == list(study.items)
    assert set(instrument["low"]) == {1} and set(instrument["high"]) == {10}
    assert list(study.statements()["id"]) == list(study.hypotheses)


def test_every_mistake_is_told_at_once_with_its_line(tmp_path):
    bad = (
        GOOD.replace("origin: real", "orgin: real")
        .replace("scale: [1, 7]", "scale: [7, 1]")
        .replace("role: satisfaction", "role: satisfied")
        .replace("S ~ Q   # the only path", "S ~ QQ")
        .replace("s2: {en: Fifth.", "q1: {en: Fifth.")
    )
    path = write(tmp_path, bad)
    found = problems(tmp_path, bad)
    lines = path.read_text("utf-8").splitlines()
    told = {line: message for line, message in found}
    assert "origin is missing" in told[0]
    for line, words in (
        ("orgin: real", "Did you mean 'origin'?"),
        ("scale: [7, 1]", "Write [1, 7]"),
        ("    role: satisfied", "Did you mean 'satisfaction'?"),
        ("    S ~ QQ", "no construct 'QQ'"),
        ("      q1: {en: Fifth., zh: 五。}", "already belongs to 'Q'"),
    ):
        assert words in told[lines.index(line) + 1], line


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("S ~ Q   #", "S = Q   #", "cannot be read"),
        ("  main: |", "  other: |", "no model called 'main'"),
        ("S ~ Q   #", "S ~ gender   #", "is of kind 'category'. Allowed in a model: number, flag"),
        ("S ~ Q   #", "S ~ Q + S   #", "'S' is explained by itself"),
        ("      q1:", "      q-1:", "'q-1' cannot be a code in a model"),
        ('path: "S ~ Q"', 'path: "Q ~ S"', "has no path 'Q ~ S'"),
        ('path: "S ~ Q"', 'effect: "Q -> Z"', "no construct 'Z'"),
        ('path: "S ~ Q", ', "", "there is nothing to test it"),
        ("en: Quality satisfies.", "en: Quality, satisfies.", "needs quotes"),
        ("kind: category", "kind: text", "Allowed for a group: category, flag"),
        ("id: tiny", "id: tiny\nid: again", "written twice"),
        ("scale: [1, 7]", "scale: [1, 7]\npairs: {Q: X}", "no construct 'X'"),
        ("scale: [1, 7]", "scale: [1, 7]\ncluster: firm", "no column 'firm'"),
        (
            "scale: [1, 7]",
            "scale: [1, 7]\nmarker: firm",
            "marker: there is no item, construct or number column 'firm'",
        ),
        (
            "scale: [1, 7]",
            "scale: [1, 7]\nhypotheses_: 3",
            "unknown key 'hypotheses_'. Did you mean 'hypotheses'?",
        ),
        (
            "scale: [1, 7]",
            "scale: [1, 7]\nanswers: {agree: 9}",
            "'agree' stands for 9. Allowed: 1 to 7",
        ),
        ("scale: [1, 7]", "scale: [1, 7]\nanswers: {agree: }", "answers.agree is None"),
        ("kind: category", "kind: category, answers: {yes: 1}", "Write levels: and spellings:"),
        ("scale: [1, 7]", "scale: [1, 7]\nscores: {s100: [S, q4]}", "no construct or item 'q4'"),
        ("scale: [1, 7]", "scale: [7, 1]\nanswers: {agree: 5}", "Write [1, 7]"),
        ("scale: [1, 7]", "scale: seven", "scale is 'seven'"),
        ("    items:\n      s1", "    of: [Q]\n    items:\n      s1", "either 'items'"),
    ],
)
def test_a_mistake_names_what_is_wrong_and_what_to_do(tmp_path, old, new, words):
    assert old in GOOD
    assert any(words in message for _, message in problems(tmp_path, GOOD.replace(old, new)))


def test_codes_may_be_chinese(tmp_path):
    text = GOOD.replace("  Q:", "  质量:").replace("S ~ Q", "S ~ 质量")
    assert load(write(tmp_path, text)).model_constructs() == ["质量", "S"]


def test_yes_and_no_as_levels_stay_words(tmp_path):
    study = load(
        write(
            tmp_path,
            GOOD.replace(
                "levels: {1: {en: male, zh: 男}, 2: {en: female, zh: 女}}",
                "levels: {yes: 是, no: 否}",
            ),
        )
    )
    assert list(study.columns["gender"].levels) == ["yes", "no"]


def test_an_unknown_model_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"no model 'mian'\. Did you mean 'main'"):
        load(write(tmp_path, GOOD)).syntax("mian")


def test_text_that_is_not_yaml_is_told_with_its_line(tmp_path):
    ((line, message),) = problems(tmp_path, "id: tiny\ntitle: {en: Tiny\nscale: [1, 7]\n")
    assert line == 3
    assert "not readable as YAML" in message


def test_a_list_is_not_a_study(tmp_path):
    assert "key: value" in problems(tmp_path, "- a\n- b\n")[0][1]


def test_hypotheses_may_stand_in_a_file_beside(tmp_path):
    content = yaml.safe_load(GOOD)
    content["hypotheses"] = "hypotheses.csv"
    (tmp_path / "hypotheses.csv").write_text(
        'id,path,en,zh,sign\nH1,S ~ Q,"Good, better",好,+\n', encoding="utf-8"
    )
    study = load(write(tmp_path, yaml.safe_dump(content, allow_unicode=True)))
    assert study.hypotheses["H1"].en == "Good, better"
    (tmp_path / "hypotheses.csv").unlink()
    assert (
        "not beside the study file"
        in problems(tmp_path, yaml.safe_dump(content, allow_unicode=True))[0][1]
    )


def test_an_unknown_study_is_told_with_the_nearest_name():
    with pytest.raises(FileNotFoundError, match=r"Did you mean 'ecsi'\?"):
        find("esci")


@pytest.mark.parametrize(
    "study", sorted(p.parent.name for p in find("ecsi").parent.parent.glob("*/study.yml"))
)
def test_every_study_that_ships_is_in_order_and_in_both_languages(study):
    loaded = load(study)
    for code, construct in loaded.constructs.items():
        assert construct.name.en != construct.name.zh, code
    for item in loaded.items:
        assert loaded.name(item, "en") != loaded.name(item, "zh"), item


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("S ~ Q   #", "S ~ start(.5)*Q   #", "start()"),
        ("S ~ Q   #", "S ~ c(a,b)*Q   #", "values by group"),
        ("S ~ Q   #", "S ~ Q + Q   #", "written twice"),
        ("S ~ Q   #", "S ~ S*Q   #", "multiplies two variables"),
        ("S ~ Q   #", "S ~ q1*Q   #", "the label 'q1' is an item"),
        ("S ~ Q   #", "S ~ Q +   #", "Two '+'"),
        ("S ~ Q   #", "S ~ 1 + Q   #", "intercepts are not written"),
        ("S ~ Q   #", "S ~ q1   #", "'q1' is an item"),
        ("S ~ Q   #", "S ~ Q; Q =~ S   #", "the measurement part"),
        ('path: "S ~ Q"', 'path: "S ~ Q + Q"', "cannot be read"),
        ('path: "S ~ Q"', 'effect: "Q"', "cannot be read"),
        ('path: "S ~ Q"', 'total: "S -> Q"', "no way from 'S' to 'Q'"),
        ('path: "S ~ Q"', 'total: "Q -> S -> Q"', "a start and an end only"),
        ('path: "S ~ Q"', 'contrast: "Q -> S"', "The contrast"),
        ('path: "S ~ Q"', 'contrast: "Q -> S > S -> Q"', "no way from 'S' to 'Q'"),
        ('path: "S ~ Q"', 'path: "S ~ Q", by: sex', "no group column 'sex'"),
        ('path: "S ~ Q"', 'effect: "Q -> S", by: gender', "together with path:"),
        ('path: "S ~ Q"', "nested: main", "compared with itself"),
        ("  gender:", "  Q: {kind: number}\n  gender:", "'Q' is a construct and a column too"),
        ("      s2:", "      S:", "'S' is a construct and an item"),
        (
            "    items:\n      s1: {en: Fourth., zh: 四。}\n      s2: {en: Fifth., zh: 五。}",
            "    of: [Q]",
            "one construct only",
        ),
        (
            "    items:\n      s1: {en: Fourth., zh: 四。}\n      s2: {en: Fifth., zh: 五。}",
            "    of: [Q, S]",
            "a part of itself",
        ),
        ("q1: {en: First., zh: 一。}", "q1: First.", "its words are needed"),
        ("q1: {en: First., zh: 一。}", "q1: {en: 3, zh: 一。}", "a text is needed"),
        ("scale: [1, 7]", "scale: [1, 7]\nscreening: {order: q1}", "a list is needed"),
        ("scale: [1, 7]", "scale: [1, 7]\nscreening: 3", "lines 'key: value'"),
        ("file: answers.csv", "file: answers.csv, header: 0", "at least 1"),
        ("file: answers.csv", "file: answers.csv, header: x", "a whole number"),
        ("group: true", "group: maybe", "true or false"),
    ],
)
def test_what_a_notebook_would_refuse_is_refused_here_and_by_pydantic_in_our_words(
    tmp_path, old, new, words
):
    assert old in GOOD
    with pytest.raises(StudyError) as caught:
        load(write(tmp_path, GOOD.replace(old, new)))
    told = [(message["en"], message["zh"]) for _, message in caught.value.problems]
    assert any(words in en for en, _ in told), told
    assert all(en != zh and "nput should" not in en for en, zh in told), told


def test_a_mistake_in_a_model_names_its_line_of_the_file(tmp_path):
    for text in (
        "|\n    S ~ Q\n    # why\n\n    S ~~ Q +\n      1a",
        '"S ~ Q\\n\\\n\n    S ~~ 1a"',
        "'S ~ Q\n\n    S ~~ 1a'",
    ):
        bad = GOOD.replace("|\n    S ~ Q   # the only path", text)
        path = write(tmp_path, bad)
        at = next(
            i for i, line in enumerate(path.read_text("utf-8").splitlines(), 1) if "1a" in line
        )
        assert [line for line, message in problems(tmp_path, bad) if "1a" in message] == [at], text
