"""cxlib.sem.model against lavaan's parameter tables, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from r_tables import r_table
from sem_reference import GROUPED, MODELS, SYNTAX, key, of

from cxlib.sem import ModelError, parse, replicate


def names(model) -> list[tuple]:
    return [key(*row) for row in model.table[["lhs", "op", "rhs"]].to_numpy()]


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_lavaans_in_lavaans_order(name):
    model = parse(SYNTAX[name], means=name in GROUPED or name.endswith("means"))
    rows = of("parameters", name)
    rows = rows[(rows["group"] == 1) & ~((rows["op"] == "~1") & rows["lhs"].isin(model.latent))]
    ours = names(model)
    assert [n for n in ours if n[1] != "~1"] == [n for n in rows.index if n[1] != "~1"]
    assert set(ours) == set(rows.index)


@pytest.mark.parametrize("name", [n for n in MODELS if n not in GROUPED])
def test_counts_are_lavaans(name):
    model = parse(SYNTAX[name], means=name.endswith("means"))
    fit = of("fit", name).set_index("measure")["value"]
    assert model.df == fit["df"]
    assert model.npar - (model.table["exo"] == 1).sum() == fit["npar"]


@pytest.mark.parametrize("syntax", r_table("labels")["syntax"].unique())
def test_a_label_shared_with_a_fixed_number_fixes_what_lavaan_fixes(syntax):
    rows = r_table("labels").query("syntax == @syntax")
    model = parse(syntax)
    fixed = {key(*row) for row in rows.loc[rows["free"] == 0, ["lhs", "op", "rhs"]].to_numpy()}
    ours = model.table[model.table["free"] == 0]
    assert {key(*row) for row in ours[["lhs", "op", "rhs"]].to_numpy()} == fixed
    assert (ours["value"] == 1).all() and model.df == rows["df"].iloc[0]


def test_first_indicator_is_fixed_unless_told_otherwise():
    free = parse("f =~ NA*a + b + c\nf ~~ 1*f")
    value = dict(zip(names(free), free.table["value"], strict=True))
    assert np.isnan(value[(1, "=~", "f", "a")]) and value[(1, "~~", "f", "f")] == 1
    assert parse("f =~ a + b + c").table["value"].iloc[0] == 1
    assert parse("f =~ 0.5*a + b + c").table["value"].iloc[0] == 0.5


def test_single_indicator_has_no_residual_unless_shared():
    model = parse("f =~ a\ng =~ b + c + d\ng ~ f")
    assert model.table.set_index("lhs").query("op == '~~'").loc["a", "value"] == 0
    shared = parse("f =~ a\ng =~ a + c + d\ng ~ f")
    assert np.isnan(shared.table.set_index("lhs").query("op == '~~'").loc["a", "value"])


def test_latent_and_observed_predictors_covary_only_if_written():
    syntax = "f =~ a + b + c\ny ~ f + x + z"
    assert key("f", "~~", "x") not in names(parse(syntax))
    assert key("x", "~~", "z") in names(parse(syntax))
    assert parse(syntax).fixed_x == ("x", "z")
    written = parse(syntax + "\nf ~~ x")
    assert key("f", "~~", "x") in names(written) and written.fixed_x == ("z",)


def test_a_shared_label_is_one_parameter():
    model = parse("f =~ a + k*b + k*c + d")
    numbers = model.table.set_index("rhs")["free"]
    assert numbers["b"].iloc[0] == numbers["c"].iloc[0] != numbers["d"].iloc[0]
    assert model.npar == 2 + 4 + 1


def test_groups_are_free_but_for_labels():
    model = parse("f =~ a + k*b + c + d", means=True)
    two = replicate(model, 2)
    assert two.n_groups == 2 and two.npar == 2 * model.npar - 1 and two.df == 2 * model.df + 1


def test_comments_and_continued_lines():
    plain = parse("f =~ a + b + c\ny ~ f")
    assert names(parse("# a comment\nf =~ a +   # first\n   b + c\n\n  y~f ")) == names(plain)


def test_intercepts_may_be_written():
    model = parse("f =~ a + b + c\nf ~ 1\na ~ 0*1")
    rows = model.table[model.table["op"] == "~1"].set_index("lhs")
    assert set(rows.index) == {"f", "a", "b", "c"}
    assert rows.loc["a", "value"] == 0 and rows.loc["f", "matrix"] == "alpha"
    assert parse("y ~ x", means=True).means and not parse("y ~ x").means


def test_matrices_give_the_moments_of_a_path_model_traced_by_hand():
    model = parse(
        "f =~ 1*a + 2*b\nf ~ 0.5*x\ny ~ 3*f + -1*x\na ~~ 0.1*b\nx ~~ 4*x\nf ~~ 1*f\ny ~~ 2*y\na ~~ 1*a\nb ~~ 1*b"
    )
    part = model.matrices(np.zeros(0))
    inverse = np.linalg.inv(np.eye(len(model.state)) - part["beta"])
    total = part["lambda"] @ inverse
    sigma = total @ part["psi"] @ total.T + part["theta"]
    at = [model.observed.index(name) for name in "abxy"]
    var_f, cov_fx = 0.25 * 4 + 1, 0.5 * 4
    cov_fy = 3 * var_f - cov_fx
    expected = np.array(
        [
            [var_f + 1, 2 * var_f + 0.1, cov_fx, cov_fy],
            [2 * var_f + 0.1, 4 * var_f + 1, 2 * cov_fx, 2 * cov_fy],
            [cov_fx, 2 * cov_fx, 4, 3 * cov_fx - 4],
            [cov_fy, 2 * cov_fy, 3 * cov_fx - 4, 9 * var_f + 4 - 6 * cov_fx + 2],
        ]
    )
    np.testing.assert_allclose(sigma[np.ix_(at, at)], expected, rtol=1e-13)


def test_matrices_without_free_numbers_need_none():
    assert parse("f =~ 1*a + 1*b\nf ~~ 1*f\na ~~ 1*a\nb ~~ 1*b").npar == 0


@pytest.mark.parametrize(
    ("syntax", "message"),
    [
        ("", "The model is empty"),
        ("# only a comment", "The model is empty"),
        ("f = a + b", "Line 1 of the model cannot be read: 'f = a \\+ b'"),
        ("f =~ a + b + c\ne := a*b", "Line 2 of the model cannot be read"),
        ("f =~ a + b + a", "'f =~ a' is written twice"),
        ("f =~ a + b + c\nf =~ a", "'f =~ a' is written twice"),
        ("a ~~ b\nb ~~ a", "'b ~~ a' is written twice"),
        ("f ~ f", "points to itself"),
        ("y ~ x*z + x", "'x\\*z' multiplies two variables"),
        ("f =~ a + + b", "cannot be read"),
    ],
)
def test_errors_say_what_is_wrong(syntax, message):
    with pytest.raises(ModelError, match=message):
        parse(syntax)


def test_a_label_does_not_free_the_marker_and_holds_what_shares_it():
    """lavaan fixes the first loading at 1 whatever its label; another one of the same label is then fixed with it."""
    model = parse("f =~ k*a + b + c")
    row = model.table.iloc[0]
    assert (row["value"], row["label"], row["free"]) == (1, "k", 0) and model.npar == 2 + 1 + 3
    shared = parse("f =~ k*a + k*b + c").table
    assert list(shared["value"].iloc[:2]) == [1, 1] and shared["free"].iloc[2] > 0
    assert (
        parse("f =~ NA*a + k*b + k*c\nf ~~ 1*f").df == parse("f =~ NA*a + b + c\nf ~~ 1*f").df + 1
    )


@pytest.mark.parametrize("label", ["nan", "inf", "NaN", "infinity", "start"])
def test_words_that_python_takes_for_numbers_are_labels(label):
    assert parse(f"y ~ {label}*x\nz ~ {label}*y").df == parse("y ~ x\nz ~ y").df + 1
