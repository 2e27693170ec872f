"""How results look: numbers, captions, both languages, the same bytes twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cxlib import show

RESULT = show.Result(
    pd.DataFrame({"item": ["a", "b"], "mean": [1.23456, np.nan], "n": [10, 12], "kept": [True, False]}),
    {"en": "Two items.", "zh": "两个题项。"},
    12,
    "means",
    ({"en": "Mind the <gap>.", "zh": "注意。"},),
)


@show.picture
def plot(values, *, language="en"):
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot(values)
    axes.set_title({"en": "Values", "zh": "数值"}[language])
    return figure, {"en": "n = 3.", "zh": "n = 3。"}


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (-0.5, "−0.500"), (np.nan, "–"), (None, "–"), (2, "2.000")]
)
def test_numbers_in_sentences(value, text):
    assert show.number(value) == text


@pytest.mark.parametrize(("p", "text"), [(0.0004, "p < .001"), (0.0234, "p = .023"), (1.0, "p = 1.000"), (np.nan, "p = –")])
def test_p_values_in_sentences(p, text):
    assert show.p_text(p) == text


def test_plural():
    assert (show.plural(1, "item"), show.plural(1200, "item"), show.plural(2, "axis", "axes")) == ("1 item", "1,200 items", "2 axes")


def test_a_result_shows_its_warnings_above_its_numbers_and_n_below():
    markup = show.block(RESULT)
    assert markup.index("Mind the &lt;gap&gt;.") < markup.index("1.235") < markup.index("Two items.") < markup.index("n = 12 · means")
    assert "两个题项。" in show.block(RESULT, "zh") and "题项</th>" in show.block(RESULT, "zh")
    assert RESULT._repr_html_() == markup


def test_a_long_table_says_that_it_is_cut():
    long = show.Result(pd.DataFrame({"x": range(100)}), {"en": "", "zh": ""}, 100)
    assert "60 of 100 rows" in show.block(long)


def test_whole_numbers_carry_no_digits_and_missing_ones_a_dash():
    markup = show.html(pd.DataFrame({"df": [3.0, np.nan], "p": [0.5, 1.0], "name": ["x", None]}))
    assert "<td>3</td>" in markup and "<td>0.500</td>" in markup and markup.count("<td>–</td>") == 2


def test_numbers_held_as_objects_are_rounded_too():
    table = pd.concat([pd.DataFrame(columns=["at", "slope"]), pd.DataFrame({"at": ["mean"], "slope": [1 / 3]})])
    assert "0.333<" in show.html(table) and "0.3333" not in show.html(table)


def test_a_picture_is_the_same_bytes_twice_and_leaves_no_state():
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    first, second = show.render(plot([1, 2, 3])), show.render(plot([1, 2, 3]))
    assert first == second
    assert first[0].startswith(b"\x89PNG") and b"<svg" in first[1]
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_without_a_chinese_font_labels_are_english_and_the_caption_says_so(monkeypatch):
    monkeypatch.setattr(show, "cjk_font", lambda: None)
    shown = plot([1, 2], language="zh")
    assert shown.language == "en"
    assert shown.figure.axes[0].get_title(loc="left") == "Values" or shown.figure.axes[0].get_title() == "Values"
    assert "Noto Sans CJK" in shown.text["zh"]


@pytest.mark.skipif(show.cjk_font() is None, reason="no Chinese font on this machine")
def test_with_a_chinese_font_every_character_is_drawn(recwarn):
    show.render(plot([1, 2], language="zh"))  # a missing glyph would warn, and warnings are errors
    assert not recwarn.list


def test_every_role_has_a_colour_of_its_own():
    from typing import get_args

    from cxlib.study import Construct

    assert set(show.ROLES) == set(get_args(Construct.model_fields["role"].annotation))
    assert len(set(show.ROLES.values())) == len(show.ROLES)


def test_a_figure_that_lays_itself_out_is_saved_without_complaint():
    from cxlib import sem
    from cxlib.study import load

    drawn = sem.plot_conceptual(load("ecsi"), "main")
    assert show.render(drawn) == show.render(drawn)  # matplotlib's own layout would warn, and warnings are errors


def test_every_rank_has_a_chinese_heading():
    assert [show.heading(f"rank_{k}", "zh") for k in (1, 2, 3)] == ["居首比例", "第 2 名比例", "第 3 名比例"]
