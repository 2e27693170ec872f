"""How results look: numbers, captions, both languages, the same bytes twice."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from copy import copy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlib.core import display, theme
from cxlib.core import words as core_words
from cxlib.core.result import Result, block, relied
from cxlib.core.words import p_text

RESULT = Result(
    pd.DataFrame(
        {"item": ["a", "b"], "mean": [1.23456, np.nan], "n": [10, 12], "kept": [True, False]}
    ),
    {"en": "Two items.", "zh": "两个题项。"},
    12,
    "means",
    ({"en": "Mind the <gap>.", "zh": "注意。"},),
)


@theme.picture
def plot(values, *, language="en"):
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot(values)
    axes.set_title({"en": "Values", "zh": "数值"}[language])
    return figure, {"en": "n = 3.", "zh": "n = 3。"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (-0.5, "−0.500"), (np.nan, "–"), (None, "–"), (2, "2.000")],
)
def test_numbers_in_sentences(value, text):
    assert core_words.number(value) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "p < .001"), (0.0234, "p = .023"), (1.0, "p = 1.000"), (np.nan, "p = –")],
)
def test_p_values_in_sentences(p, text):
    assert p_text(p) == text


def test_a_result_shows_its_warnings_above_its_numbers_and_n_below():
    markup = block(RESULT)
    assert (
        markup.index("Mind the &lt;gap&gt;.")
        < markup.index("1.235")
        < markup.index("Two items.")
        < markup.index("n = 12 · means")
    )
    assert "两个题项。" in block(RESULT, "zh") and "题项</th>" in block(RESULT, "zh")
    assert RESULT._repr_html_() == markup


def test_a_long_table_says_that_it_is_cut():
    long = Result(pd.DataFrame({"x": range(100)}), {"en": "", "zh": ""}, 100)
    assert "60 of 100 rows" in block(long) and "100 行中的 60 行" in block(long, "zh")


def test_the_method_below_a_table_speaks_the_readers_language():
    told = replace(RESULT, method={"en": "means", "zh": "均值"})
    assert "n = 12 · 均值" in block(told, "zh") and "n = 12 · means" in block(told)


def test_a_text_that_rests_on_a_doubtful_solution_begins_with_the_doubt():
    assert relied(RESULT.text, True) == RESULT.text
    for language in ("en", "zh"):
        told = relied(RESULT.text, False)[language]
        assert told.endswith(RESULT.text[language]) and told != RESULT.text[language]


def test_whole_numbers_carry_no_digits_and_missing_ones_a_dash():
    markup = display.html(pd.DataFrame({"df": [3.0, np.nan], "p": [0.5, 1.0], "name": ["x", None]}))
    assert "<td>3</td>" in markup and "<td>0.500</td>" in markup and markup.count("<td>–</td>") == 2


def test_numbers_held_as_objects_are_rounded_too():
    table = pd.concat(
        [pd.DataFrame(columns=["at", "slope"]), pd.DataFrame({"at": ["mean"], "slope": [1 / 3]})]
    )
    assert "0.333<" in display.html(table) and "0.3333" not in display.html(table)


def test_a_picture_is_the_same_bytes_twice_and_leaves_no_state():
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    first, second = theme.render(plot([1, 2, 3])), theme.render(plot([1, 2, 3]))
    assert first == second
    assert first[0].startswith(b"\x89PNG") and b"<svg" in first[1]
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_every_character_that_a_figure_may_hold_is_in_the_packaged_fonts():
    """All that the package and the studies can write, in both languages: no figure of any notebook has a box."""
    from fontTools.ttLib import TTFont
    from matplotlib import cbook
    from pylopdf_fonts_zh_cn import sans_path

    held = set()
    for path in (sans_path(), cbook._get_data_path("fonts/ttf/DejaVuSans.ttf")):
        with TTFont(path) as font:
            held |= {chr(code) for code in font.getBestCmap()}
    root = Path(__file__).resolve().parent.parent
    sources = [
        *root.glob("cxlib/**/*.py"),
        *root.glob("cxlib/**/*.po"),
        *root.glob("notebooks/**/*.ipynb"),
        *root.glob("data/*/*.yml"),
    ]
    assert len(sources) > 40
    lacking = {path.name: set(path.read_text("utf-8")) - held - set("\n\r\t") for path in sources}
    assert {name: absent for name, absent in lacking.items() if absent} == {}


def test_fonts_of_the_machine_play_no_part(tmp_path):
    """A cached list without a Chinese font (bare machine, or font installed later), and one with another font of that name."""
    from matplotlib import font_manager

    own = [f for f in font_manager.fontManager.ttflist if "mpl-data" in f.fname]
    impostor = replace(next(f for f in own if f.name == "DejaVu Serif"), name="Noto Sans SC")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from matplotlib import font_manager as f; from hashlib import sha256;"
        "from test_show import plot, theme; assert len(f.fontManager.ttflist) == int(sys.argv[2]);"
        "print(*[sha256(file).hexdigest() for file in theme.render(plot([1, 2], language='zh'))])"
    )
    here = [sha256(file).hexdigest() for file in theme.render(plot([1, 2], language="zh"))]
    for number, known in enumerate((own, [*own, impostor])):
        folder = tmp_path / str(number)
        folder.mkdir()
        cached = copy(font_manager.fontManager)
        cached.ttflist = known
        font_manager.json_dump(
            cached, folder / f"fontlist-v{font_manager.FontManager.__version__}.json"
        )
        run = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                code,
                str(Path(__file__).parent),
                str(len(known)),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "MPLCONFIGDIR": str(folder)},
        )
        assert run.stderr == ""
        assert run.stdout.split() == here


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_of_the_other_language_are_drawn_too_and_bold_ones_without_complaint(
    language, caplog
):
    @theme.picture
    def mixed(*, language):
        from matplotlib import pyplot

        figure, axes = pyplot.subplots()
        axes.set_title("Service 服务 χ² ✗ ₁")  # titles are bold
        return figure, {"en": "", "zh": ""}

    theme.render(mixed(language=language))  # a missing glyph would warn, and warnings are errors
    assert caplog.messages == []


def test_pdfs_embed_what_they_draw_with_and_chinese_as_outlines_that_every_viewer_draws():
    @theme.picture
    def bars(name, *, language="en"):
        from matplotlib import pyplot

        figure, axes = pyplot.subplots()
        axes.bar([name], [1])  # the name becomes text only when the figure is drawn
        return figure, {"en": "", "zh": ""}

    english, named, chinese = (
        theme.render(bars(words, language=language))[2]
        for words, language in (("Service", "en"), ("服务", "en"), ("服务", "zh"))
    )
    assert b"/FontFile2" in english and b"/Type3" not in english and b"NotoSansSC" not in english
    for file in (named, chinese):
        assert b"NotoSansSC" in file and b"/Type3" in file and b"/FontFile2" not in file
        assert len(file) < 100_000  # the characters used, not the font


@pytest.mark.parametrize(("language", "title"), [("en", "Values"), ("zh", "数值")])
def test_text_of_an_svg_file_stays_text_in_families_that_end_with_any(language, title):
    from xml.etree import ElementTree

    drawn = ElementTree.fromstring(theme.render(plot([1, 2], language=language))[1])
    texts = {
        "".join(node.itertext()): node.get("style")
        for node in drawn.iter("{http://www.w3.org/2000/svg}text")
    }
    assert all(f"'{name}'" in texts[title] for name in theme.FAMILIES[language])
    assert "sans-serif" in texts[title]


@pytest.mark.parametrize(
    ("text", "width", "most", "lines"),
    [
        (
            "GBI3  5.3 我愿意向朋友推荐这家公司",
            16,
            None,
            ["GBI3  5.3 我愿意", "向朋友推荐这家公", "司"],
        ),
        ("服务，态度、速度", 4, None, ["服", "务，", "态", "度、", "速度"]),
        ("服务（态度）好", 6, None, ["服务", "（态", "度）好"]),
        ("one two three", 7, None, ["one two", "three"]),
        ("服务人员态度好，速度快", 8, 2, ["服务人员", "态度好…"]),
        ("one two three four five", 9, 2, ["one two", "three…"]),
        ("", 9, 2, [""]),
    ],
)
def test_labels_break_between_chinese_characters_and_at_spaces(text, width, most, lines):
    assert theme.fold(text, width, most).split("\n") == lines


@given(st.text("服务质量很好，。、（）《》“”AB1.,-", max_size=60), st.integers(6, 30))
def test_a_folded_label_says_the_same_and_no_mark_stands_alone(text, width):
    lines = theme.fold(text, width).split("\n")
    assert "".join(lines) == text
    letters = "服务质量很好AB1"
    for above, below in itertools.pairwise(lines):
        if above[-1:] in letters:
            assert below[0] not in "，。、）》”"
        if below[0] in letters:
            assert above[-1:] not in ("（", "《", "“")


def test_every_role_has_a_colour_of_its_own():
    from typing import get_args

    from cxlib.study.schema import Construct

    assert set(theme.ROLES) == set(get_args(Construct.model_fields["role"].annotation))
    assert len(set(theme.ROLES.values())) == len(theme.ROLES)


def test_a_figure_that_lays_itself_out_is_saved_without_complaint():
    from cxlib.diagram.drawing import plot_conceptual
    from cxlib.study.schema import load

    drawn = plot_conceptual(load("ecsi"), "main")
    assert theme.render(drawn) == theme.render(
        drawn
    )  # matplotlib's own layout would warn, and warnings are errors


def test_every_rank_has_a_chinese_heading():
    assert [display.heading(f"rank_{k}", "zh") for k in (1, 2, 3)] == [
        "居首比例",
        "第 2 名比例",
        "第 3 名比例",
    ]


def test_a_figure_is_laid_out_once_for_all_formats(monkeypatch):
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    done, execute = [], ConstrainedLayoutEngine.execute
    monkeypatch.setattr(
        ConstrainedLayoutEngine,
        "execute",
        lambda self, figure: done.append(figure) or execute(self, figure),
    )
    shown = plot([1, 2, 3])
    assert theme.render(shown) == theme.render(shown)
    assert done == [shown.figure]


def test_the_area_saved_holds_what_stands_outside_the_axes():
    import io

    from matplotlib import image

    shown = plot([1, 2, 3])
    narrow = image.imread(io.BytesIO(theme.render(shown)[0])).shape[1]
    shown = plot([1, 2, 3])
    shown.figure.axes[0].annotate(
        "a label far to the right", (1.5, 0.5), xycoords="axes fraction", annotation_clip=False
    ).set_in_layout(True)
    shown.figure.set_layout_engine("none")
    assert image.imread(io.BytesIO(theme.render(shown)[0])).shape[1] > narrow


def test_fonts_in_a_pdf_are_truetype_without_the_tables_that_set_text_and_fonttools_is_left_as_it_was():
    from fontTools import subset

    before = subset.Options
    pdf = theme.render(plot([1, 2, 3]))[2]
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert subset.Options is before and "GPOS" not in subset.Options().drop_tables
