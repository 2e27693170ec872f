"""The one reader of the model language."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlib.core.syntax import (
    ModelSyntaxError,
    Term,
    chains,
    names,
    path,
    read,
    rivals,
    scan,
    spelled,
    uncommented,
    without,
    write,
)
from cxlib.sem import parse


def told(text: str) -> list[tuple]:
    return [(t.lhs, t.op, t.rhs, "NA" if t.freed else t.label or t.value) for t in read(text)]


@pytest.mark.parametrize(
    ("term", "label", "value", "freed"),
    [
        ("x", "", None, False),
        ("a*x", "a", None, False),
        ("nan*x", "nan", None, False),
        ("inf * x", "inf", None, False),
        ("infinity*x", "infinity", None, False),
        ("NA*x", "", None, True),
        (".5*x", "", 0.5, False),
        ("0.5*x", "", 0.5, False),
        ("-1*x", "", -1.0, False),
        ("- .3 * x", "", -0.3, False),
        ("+2*x", "", 2.0, False),
        ("1e-3*x", "", 1e-3, False),
        ("5.*x", "", 5.0, False),
        ("质量*x", "质量", None, False),
    ],
)
def test_what_multiplies_a_term(term, label, value, freed):
    (found,) = read(f"y ~ {term}")
    assert (found.lhs, found.op, found.rhs, found.label, found.value, found.freed) == (
        "y",
        "~",
        "x",
        label,
        value,
        freed,
    )


@pytest.mark.parametrize(
    "text",
    [
        "y ~ x + a*z\ny ~~ w",
        "y ~ x +\n a*z\ny ~~ w",
        "y ~ x\n  + a*z\n\ny ~~ w",
        "y ~ x + # why\n\n# more\n a*z ; y ~~ w",
        "y ~\nx + a *\nz\ny ~~ w",
        "  y~x+a*z;y~~w;",
        "y ~ x + a*z ! R's other comment\ny ~~ w",
        "y\n~ x + a*z\ny ~~ w",
    ],
)
def test_lines_go_on_and_are_parted_as_in_lavaan(text):
    assert told(text) == [("y", "~", "x", None), ("y", "~", "z", "a"), ("y", "~~", "w", None)]


def test_several_on_the_left_and_intercepts():
    assert told("a + b ~ x + 1") == [
        ("a", "~", "x", None),
        ("a", "~", "1", None),
        ("b", "~", "x", None),
        ("b", "~", "1", None),
    ]
    assert told("x ~ 0*1") == [("x", "~", "1", 0.0)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("y = x", "'=~', '~' or '~~'"),
        ("y ~ x ~ z", "'=~', '~' or '~~'"),
        ("y x", "'=~', '~' or '~~'"),
        ("y ~", "side is empty"),
        ("; ~ x", "side is empty"),
        ("y ~ x + + z", "Two '+'"),
        ("y ~ x + ", "Two '+'"),
        ("ab := a*b", "':='"),
        ("a == b", "'=='"),
        ("a > 0", "'>'"),
        ("F <~ x", "'<~'"),
        ("x | t1", "'|'"),
        ("y ~ x:z", "product"),
        ("y ~ start(.5)*x", "start()"),
        ("y ~ c(a,b)*x", "by group"),
        ("y ~ equal(a)*x", "equal()"),
        ("y ~ 2*3*x", "more than one '*'"),
        ("y ~ a*b*x", "more than one '*'"),
        ("y ~ 5", "'0*1'"),
        ("y ~ x - z", "joined by '+' only"),
        ("y ~ -x", "joined by '+' only"),
        ("y ~ 3a*x", "'3a'"),
        ("y ~ x$z", "'$'"),
        ("y ~~ 1", "intercept"),
        ("a*y ~ x", "stands on the right"),
        ("y z ~ x", "not one name"),
        ("y ~ x z", "not a term"),
        ("y ～ x", "Write '~'"),
        ("y ~ x ＋ z", "Write '+'"),
        ("y ~ x + x", "written twice"),
        ("y ~ y", "explained by itself"),
        ("y ~ x*z + x", "multiplies two variables"),
        ("y ~ *x", "before '*'"),
    ],
)
def test_what_is_not_read_is_refused_by_name_and_line_in_every_language(line, words):
    with pytest.raises(ModelSyntaxError) as caught:
        read(f"a1 ~ b1\n# two\n\n{line}")
    assert caught.value.line == 4 and words in str(caught.value)
    assert caught.value["zh"] != caught.value["en"]
    assert pickle.loads(pickle.dumps(caught.value)).line == 4


def test_the_line_is_that_of_the_term():
    with pytest.raises(ModelSyntaxError) as caught:
        read("y ~ a +\n b +\n 3c")
    assert caught.value.line == 3
    assert [error.line for error in scan("y ~ x\nz = 1\ny ~ x\nw ~ q + 1a")[1]] == [2, 3, 4]


@pytest.mark.parametrize("text", ["", "\n # nothing\n ;"])
def test_an_empty_model_is_refused(text):
    with pytest.raises(ModelSyntaxError, match="empty"):
        read(text)


CODES = st.from_regex(r"[A-Za-z_质][A-Za-z0-9_.量]{0,4}", fullmatch=True)
TERMS = st.builds(
    lambda lhs, op, rhs, mark: Term(lhs, op, rhs, *mark),
    CODES.map("L{}".format),
    st.sampled_from(["=~", "~", "~~"]),
    CODES.map("R{}".format),
    st.one_of(
        st.just(("", None, False)),
        st.just(("", None, True)),
        CODES.map(lambda c: (f"k{c}", None, False)),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda v: ("", v, False)),
    ),
)


@given(st.lists(TERMS, min_size=1, max_size=8, unique_by=lambda t: t.key))
def test_what_is_written_is_read_as_the_same(terms):
    assert [(t.key, t.label, t.value, t.freed) for t in read(write(terms))] == [
        (t.key, t.label, t.value, t.freed) for t in terms
    ]


@given(st.text(alphabet="ab1.+*~=#; \n-NA(", max_size=25))
def test_any_text_is_read_or_refused_and_then_parsed_alike(text):
    """What the reader passes, the engine takes: there is no second grammar."""
    terms, mistakes = scan(text)
    if mistakes:
        with pytest.raises(ModelSyntaxError):
            parse(text)
    else:
        assert {*parse(text).observed, *parse(text).latent} == set(names(terms))


def test_a_path_is_taken_out():
    assert told(without("F =~ a + b\ny ~ k*F + x # c\nz ~ F", "F", "z")) == told(
        "F =~ a + b\ny ~ k*F + x"
    )
    assert told(without("y ~ k*F + x\ny ~~ F", "F", "y")) == told("y ~ x\ny ~~ F")
    assert uncommented("a ~ b  # c\n\n# d\n c ~ d") == "a ~ b\nc ~ d"


def test_paths_effects_and_contrasts():
    assert path(" Y~ X ") == ("Y", "X")
    assert chains("A + B->M -> Y") == (("A", "M", "Y"), ("B", "M", "Y"))
    assert spelled("A+B->M->Y") == "A + B -> M -> Y"
    assert rivals("A->Y > B -> Y, C->Y") == [("A -> Y", "B -> Y"), ("A -> Y", "C -> Y")]


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        (path, "Y ~ X + Z"),
        (path, "Y"),
        (path, "Y ~~ X"),
        (path, "Y ~ a*X"),
        (chains, "A"),
        (chains, "A -> "),
        (chains, "A + -> B"),
        (chains, "A > B"),
        (rivals, "A -> Y"),
        (rivals, "A -> Y > B"),
        (rivals, "A -> Y > B -> Y > C -> Y"),
    ],
)
def test_what_is_no_path_effect_or_contrast_is_refused(reader, words):
    with pytest.raises(ModelSyntaxError, match="cannot be read"):
        reader(words)


def test_the_engine_reads_models_without_another_package():
    code = "import sys, cxlib.sem.model; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    assert (
        "semopy"
        not in subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    code = "import sys, cxlib.core.syntax; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    assert not {"numpy", "pandas", "pydantic"} & set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
