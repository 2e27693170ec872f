"""Power: semTools' numbers for the fit, closed forms and brute force for paths and effects."""

from __future__ import annotations

from math import sqrt

import matplotlib
import numpy as np
import pandas as pd
import pytest
from r_tables import r_table

from cxlib import sem
from cxlib.core import theme
from cxlib.simulation.truth import population
from cxlib.stages import power
from cxlib.statistics import power as statistic
from cxlib.study import schema as study


@pytest.fixture(scope="module")
def vas():
    return study.load("vas")


@pytest.fixture(scope="module")
def small():
    """Three constructs in a chain, declared sizes: quick to fit."""
    items = {code: {"role": role, "name": code, "items": {f"{code}{i}": {"en": code, "zh": code} for i in (1, 2, 3)}}
             for code, role in (("X", "service"), ("M", "perception"), ("Y", "loyalty"))}  # fmt: skip
    return study.Study.model_validate({
        "id": "small", "title": "small", "origin": "real", "source": "none", "responses": {"file": "x.csv"},
        "scale": [1, 7], "constructs": items, "models": {"main": "M ~ X\nY ~ M + X"}, "hypotheses": {
            "H1": {"effect": "X -> M -> Y", "en": "x", "zh": "x"},
            "H2": {"total": "X -> Y", "en": "x", "zh": "x"}}})  # fmt: skip


SIZES = {"M ~ X": 0.35, "Y ~ M": 0.30, "Y ~ X": 0.0}


@pytest.fixture(scope="module")
def result(small):
    return power.power(
        small, n=150, population=SIZES, reps=2000, rng=np.random.default_rng(1), sizes=[150, 600]
    )


# Fit


def test_power_of_the_test_of_close_fit_is_that_of_semtools():
    for row in r_table("power_rmsea").itertuples():
        found = statistic.power_rmsea(row.n, row.df, row.rmsea0, row.rmsea1, row.alpha, row.groups)
        assert found == pytest.approx(row.power, abs=1e-9), row


def test_respondents_needed_are_those_of_semtools():
    """By its findRMSEApower; findRMSEAsamplesize passes over 501 to 504, 1001 to 1004 … (2505 for 2501 here)."""
    for row in r_table("power_n").itertuples():
        assert statistic.n_for_rmsea(row.df, row.rmsea0, row.rmsea1, row.power) == row.n, row


def test_power_of_the_fit_is_the_share_of_samples_that_reject():
    """Squared normal numbers with the noncentrality of RMSEA .08 against the critical value of .05."""
    rng, df, n = np.random.default_rng(3), 24, 200
    normal = (rng.standard_normal((200_000, df)) for _ in range(2))
    null, true = (
        ((z + sqrt((n - 1) * r**2)) ** 2).sum(axis=1)
        for z, r in zip(normal, (0.05, 0.08), strict=True)
    )
    share = (true > np.quantile(null, 0.95)).mean()
    assert abs(share - statistic.power_rmsea(n, df)) < 0.006


@pytest.mark.parametrize(
    "wrong", [{"df": 0}, {"df": 5, "rmsea1": 0.05}, {"df": 5, "rmsea0": -0.01}]
)
def test_impossible_questions_about_fit_are_refused(wrong):
    with pytest.raises(ValueError, match="df= is"):
        statistic.power_rmsea(200, **wrong)


def test_every_model_of_the_study_is_in_the_table_of_fit(vas):
    found = power.rmsea_table(vas, n=880)
    assert found.table["model"].tolist() == list(vas.models)
    expected = [statistic.power_rmsea(880, df) for df in found.table["df"]]
    assert found.table["power"].tolist() == pytest.approx(expected, abs=1e-12)
    assert "625" in found.text["en"] and str(found.table["n_needed"][0]) in found.text["zh"]
    assert "n" not in power.rmsea_table(study.load("ecsi")).table


# Paths and effects


def test_wald_power_is_the_normal_tail():
    assert statistic.wald_power(1.959963984540054) == pytest.approx(0.5, abs=1e-12)
    assert statistic.wald_power(-2.801585217518) == pytest.approx(0.80, abs=1e-9)
    assert statistic.wald_power(0.0) == 0.05


def test_simulated_power_of_a_path_agrees_with_its_closed_form(result):
    """At n = 600 the normal approximation holds up to .01; 4 standard errors of 2,000 samples are allowed."""
    paths = result.table[(result.table["kind"] == "path") & (result.table["n"] == 600)]
    error = np.sqrt(paths["formula"] * (1 - paths["formula"]) / 2000)
    assert ((paths["power"] - paths["formula"]).abs() < 4 * error + 0.01).all()


@pytest.mark.slow
def test_power_is_the_share_of_fitted_raw_samples_that_notice(small, result):
    """Brute force: raw normal rows, one ordinary fit each, at n = 150."""
    cov = power._covariance(small, "main", SIZES)
    rng, reps, hits = np.random.default_rng(8), 300, []
    root = np.linalg.cholesky(cov)
    for _ in range(reps):
        data = pd.DataFrame(rng.standard_normal((150, len(cov))) @ root.T, columns=cov.columns)
        rows = sem.fit(data, small.syntax()).parameters.set_index(["lhs", "op", "rhs"])["z"]
        first, second, direct = rows["M", "~", "X"], rows["Y", "~", "M"], rows["Y", "~", "X"]
        hits.append(
            [first > 1.96, second > 1.96, first > 1.96 and second > 1.96, abs(direct) > 1.96]
        )
    table = result.table[result.table["n"] == 150].set_index("name")["power"]
    for share, name in zip(
        np.mean(hits, axis=0), ["M ~ X", "Y ~ M", "X -> M -> Y", "Y ~ X"], strict=True
    ):
        assert abs(share - table[name]) < 3.5 * sqrt(
            table[name] * (1 - table[name]) * (1 / reps + 1 / 2000)
        ), name


def test_sizes_that_are_declared_are_the_populations(result):
    found = result.table.drop_duplicates("name").set_index("name")["std"]
    assert found["M ~ X"] == pytest.approx(0.35, abs=1e-6)
    assert found["X -> M -> Y"] == pytest.approx(0.35 * 0.30, abs=1e-6)
    assert found["X -> Y"] == pytest.approx(0.35 * 0.30, abs=1e-6)


def test_false_alarms_are_as_frequent_as_the_level_allows_and_never_enough_to_find(result):
    absent = result.table[(result.table["name"] == "Y ~ X") & (result.table["n"] == 600)].iloc[0]
    assert absent["ci_low"] - 0.01 < 0.05 < absent["ci_high"] + 0.01
    assert np.isinf(absent["n_80"]) and absent["formula"] == 0.05


def test_respondents_for_eighty_per_cent_give_eighty_per_cent(small):
    needed = power.power(
        small, n=100, population=SIZES, reps=20, rng=np.random.default_rng(2), sizes=[100]
    ).table
    row = needed.set_index("name").loc["X -> M -> Y"]
    rng = np.random.default_rng(4)
    again = power.power(
        small, n=int(row["n_80"]), population=SIZES, reps=2000, rng=rng, sizes=[200]
    )
    found = again.table.set_index(["name", "n"]).loc[("X -> M -> Y", row["n_80"])]
    assert found["formula"] == pytest.approx(0.80, abs=0.005)
    assert abs(found["power"] - 0.80) < 4 * sqrt(0.16 / 2000) + 0.01


def test_the_same_generator_gives_the_same_power_and_a_larger_sample_more(small, result):
    again = power.power(
        small, n=150, population=SIZES, reps=2000, rng=np.random.default_rng(1), sizes=[150, 600]
    )
    pd.testing.assert_frame_equal(again.table, result.table)
    wide = result.table.pivot_table(index="name", columns="n", values="power").drop(index="Y ~ X")
    assert (wide[600] > wide[150]).all()


def test_a_study_with_a_truth_and_a_second_order_construct_needs_no_population(vas):
    found = power.power(
        vas, "V2", n=600, reps=40, rng=np.random.default_rng(1), sizes=[600]
    ).table.set_index("name")
    rounded = population(vas).covariance(rounded=True)
    fitted = sem.fit_moments(rounded, 600, vas.syntax("V2")).parameters.set_index(
        ["lhs", "op", "rhs"]
    )["std"]
    assert found.loc["CE ~ PI", "std"] == pytest.approx(fitted["CE", "~", "PI"], abs=1e-5)
    assert "VASQ -> PI -> CE -> CP -> LY" in found.index and (found["samples"] == 40).all()


def test_without_population_or_size_the_remedy_is_named(small):
    with pytest.raises(ValueError, match="Give population="):
        power.power(small, n=100, rng=np.random.default_rng(1))
    with pytest.raises(ValueError, match="Give n="):
        power.power(small, population=SIZES, rng=np.random.default_rng(1))


def test_a_control_has_no_population_and_leaves_the_power_of_the_other_paths(small):
    """Paths from a column, to one, and a fixed and a labelled path beside them."""
    models = {
        "main": "M ~ 0.3*X\nY ~ b*M + X",
        "control": "M ~ 0.3*X + age\nY ~ b*M + X + age\nvisits ~ Y\nage ~~ visits",
    }
    asked = {**{code: h.model_dump() for code, h in small.hypotheses.items()},
             "H3": {"effect": "age -> M -> Y", "model": "control", "en": "x", "zh": "x"}}  # fmt: skip
    own = study.Study.model_validate(small.model_dump() | {
        "models": models, "hypotheses": asked, "columns": {"age": {"kind": "number"}, "visits": {"kind": "number"}}})  # fmt: skip
    assert power.assumed(own, 0.3, "control") == power.assumed(own, 0.3, "main")
    plain, found = (power.power(own, model, n=150, reps=40, population=SIZES, rng=np.random.default_rng(2), sizes=[150])
                    for model in models)  # fmt: skip
    paths = plain.table["kind"] == "path"
    assert list(found.table["name"][found.table["kind"] == "path"]) == list(
        plain.table["name"][paths]
    )
    both = plain.table.merge(found.table, on=["kind", "name"])
    assert (both["power_x"] == both["power_y"]).all() and len(both) == 2
    assert all(
        column in found.warnings[0][language]
        for column in ("age", "visits")
        for language in ("en", "zh")
    )
    assert len(found.warnings) == len(plain.warnings) + 1


@pytest.mark.parametrize("text", ["X ~~ M\nM ~~ Y", "X ~ age"])
def test_a_model_without_paths_between_constructs_has_no_power_and_says_so(small, text):
    own = small.model_copy(update={"models": {"main": text}})
    found = power.power(own, n=100, population=power.assumed(own), rng=np.random.default_rng(1))
    assert found.table.empty and list(found.table) == power.COLUMNS and found.text in found.warnings
    for language in ("en", "zh"):
        assert power.plot_power(found, own, language=language).text == found.text


def test_where_nothing_exists_there_is_nothing_to_notice(small):
    found = power.power(
        small,
        n=100,
        reps=20,
        sizes=[100],
        population=power.assumed(small, 0.0),
        rng=np.random.default_rng(1),
    )
    assert "nothing to notice" in found.text["en"] and np.isinf(found.table["n_80"]).all()


def test_a_model_without_degrees_of_freedom_has_no_test_of_fit(small):
    found = power.rmsea_table(small.model_copy(update={"models": {"main": "X ~~ X"}}), 100)
    assert found.table["df"].tolist() == [0] and "inf" not in found.text["en"] + found.text["zh"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_names_in_the_figure_do_not_overlap(small, result, language):
    picture = power.plot_power(result, small, language=language)
    assert "150" in picture.text["en"] and "150" in picture.text["zh"]
    with matplotlib.rc_context(theme.theme(picture.language)):
        picture.figure.canvas.draw()
        for axis in picture.figure.axes:
            boxes = [text.get_window_extent() for text in axis.texts]
            assert len(boxes) >= 2
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
