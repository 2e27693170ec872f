"""cxlib.sem.estimate against lavaan, closed forms, planted values and what must not matter."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sem_reference import GROUPED, MODELS, SYNTAX, data, data_of, fitted, index, of

from cxlib import sem
from cxlib.core.errors import DataError
from cxlib.core.words import languages
from cxlib.sem import Discrepancy, ModelError, Moments
from cxlib.sem.discrepancy import minimise

PLANTED = """f =~ a + b + c
g =~ d + e + h
g ~ f + x
y ~ g + x
a ~~ d"""


def by_name(fit) -> pd.DataFrame:
    group = fit.model.table["group"] + 1
    return index(fit.parameters, group)


def moments_of(model, theta, n=200) -> list[Moments]:
    function = Discrepancy(model, [Moments(*_unit(model), n)] * model.n_groups)
    points = [function.point(theta, g) for g in range(model.n_groups)]
    names = list(model.observed)
    return [
        Moments(pd.DataFrame(at.sigma, names, names), pd.Series(at.mu, names), n) for at in points
    ]


def _unit(model):
    names = list(model.observed)
    return pd.DataFrame(np.eye(len(names)), names, names), pd.Series(0.0, names)


def somewhere(model, seed=0) -> np.ndarray:
    """Values at which the implied covariances are positive definite."""
    rng = np.random.default_rng(seed)
    theta = np.zeros(model.npar)
    for row in model.table[model.table["free"] > 0].itertuples():
        if row.op == "~~":
            theta[row.free - 1] = (
                rng.uniform(0.8, 1.6) if row.lhs == row.rhs else rng.uniform(-0.2, 0.2)
            )
        else:
            theta[row.free - 1] = rng.uniform(0.4, 1.0)
    return theta


# lavaan -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_estimates_standard_errors_and_standardised_values_are_lavaans(name):
    fit, rows = fitted(name), of("parameters", name)
    ours = by_name(fit)
    both = [key for key in rows.index if key in set(ours.index)]
    assert all(key[1] == "~1" and key[2] in fit.model.latent for key in set(rows.index) - set(both))
    rows, ours = rows.loc[both], ours.loc[both]
    np.testing.assert_allclose(ours["est"], rows["est"], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours["std"], rows["std.all"], rtol=1e-8, atol=1e-9)
    free = ours["se"].notna()
    assert (free == (rows["se"] > 0)).all()
    for column, theirs in (
        ("se", "se"),
        ("z", "z"),
        ("p", "pvalue"),
        ("ci_low", "ci.lower"),
        ("ci_high", "ci.upper"),
    ):
        np.testing.assert_allclose(
            ours.loc[free, column], rows.loc[free, theirs], rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("name", MODELS)
def test_explained_variance_is_lavaans(name):
    fit, rows = fitted(name), of("r2", name)
    ours = fit.r2.assign(
        g=1
        if "group" not in fit.r2
        else fit.r2["group"].map({g: i + 1 for i, g in enumerate(fit.groups)})
    )
    merged = rows.merge(
        ours, left_on=["group", "variable"], right_on=["g", "variable"], suffixes=("_lavaan", "")
    )
    assert len(merged) == len(rows) == len(ours)
    np.testing.assert_allclose(merged["r2"], merged["r2_lavaan"], rtol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_a_solution_is_proper_where_lavaan_says_so(name):
    proper = of("fit", name).set_index("measure").loc["proper", "value"]
    assert fitted(name).proper == bool(proper)
    assert any("improper" in note["en"] for note in fitted(name).warnings) != fitted(name).proper


@pytest.mark.parametrize("name", MODELS)
def test_the_optimum_is_exact(name):
    fit = fitted(name)
    function = fit.discrepancy()
    gradient = function.gradient(fit.theta)
    assert fit.converged
    assert gradient @ np.linalg.solve(function.information(fit.theta), gradient) < 1e-18
    assert np.linalg.eigvalsh(function.hessian(fit.theta))[0] > 0


# judging a solution ---------------------------------------------------------------------------------


def test_a_model_that_the_data_hardly_determine_is_not_trusted():
    fit = fitted("ecsi_full")
    assert fit.converged and fit.proper and not fit.trustworthy
    assert fit.condition > 1000
    assert "empirically under-identified" in fit.warnings[-1]["en"]
    assert all("CUSA ~ CUEX" in text for text in fit.warnings[-1].values())


@pytest.mark.parametrize(
    "name",
    [name for name in MODELS if name not in ("ecsi_full", "ecsi_cfa", "ecsi_six", "heywood")],
)
def test_sound_models_are_trusted(name):
    fit = fitted(name)
    assert fit.trustworthy and fit.warnings == () and fit.condition < 10


def test_condition_does_not_depend_on_units_or_origins():
    hs, syntax = data("hs"), SYNTAX["mimic"]
    plain = sem.fit(hs, syntax, means=True)
    moved = sem.fit(
        hs.assign(ageyr=hs["ageyr"] * 12 + 2000, x1=hs["x1"] * 100 - 30), syntax, means=True
    )
    assert plain.condition < 10
    assert moved.condition == pytest.approx(plain.condition, rel=1e-6)
    assert moved.trustworthy


def test_an_unidentified_model_has_no_standard_errors():
    fit = sem.fit(data("hs"), "f =~ NA*x1 + x2 + x3 + x4\nf ~~ f")
    assert not fit.trustworthy and fit.parameters["se"].isna().all() and fit.condition == np.inf
    assert "under-identified" in fit.warnings[-1]["en"]


def test_where_there_is_no_optimum_it_says_so():
    cov = pd.DataFrame([[1, 0.5, 0.3], [0.5, 1, 0], [0.3, 0, 1]], list("abc"), list("abc"))
    fit = sem.fit_moments(cov, 100, "f =~ a + b + c")
    assert not fit.converged and not fit.trustworthy
    assert "found no optimum" in fit.warnings[0]["en"] and "没有收敛" in fit.warnings[0]["zh"]


def test_a_negative_variance_is_named():
    fit = fitted("heywood")
    assert fit.parameter("x6", "~~", "x6").est < 0
    assert fit.r2.set_index("variable").loc["x6"].isna().all()
    assert any("variance of x6 is estimated negative" in note["en"] for note in fit.warnings)
    assert all(tuple(note) == languages() for note in fit.warnings)


def test_correlations_beyond_one_are_improper():
    fit = fitted("ecsi_cfa")
    assert np.linalg.eigvalsh(fit.latent_covariance())[0] < 0
    assert (
        "latent variables is not positive definite" in fit.warnings[0]["en"] and not fit.trustworthy
    )


@pytest.mark.parametrize(
    "syntax", ["f =~ c + d + e + y + z\ny ~~ z", "f =~ c + d + e\ny ~ f\nz ~ f\ny ~~ z"]
)
def test_residuals_that_correlate_beyond_one_are_improper(syntax):
    loading = np.array([1, 0.8, 0.8, 0.9, 0.9])
    rest = np.diag([0.5, 0.5, 0.5, 1.0, 0.1])
    rest[3, 4] = rest[4, 3] = 0.33
    names = list("cdeyz")
    fit = sem.fit_moments(
        pd.DataFrame(np.outer(loading, loading) + rest, names, names), 200, syntax
    )
    assert fit.converged and not fit.proper and fit.parameter("y", "~~", "z")["std"] > 1
    assert "covariance matrix of the residuals is not positive definite" in fit.warnings[0]["en"]


# derivatives ----------------------------------------------------------------------------------------

DIFFERENT = {
    "factors": sem.parse(SYNTAX["hs"]),
    "labels": sem.parse(SYNTAX["pd"]),
    "second": sem.parse(SYNTAX["second"]),
    "observed": sem.parse(PLANTED),
    "loop": sem.parse("y ~ 0.3*z + x\nz ~ y + w"),
    "means": sem.parse(PLANTED + "\nf ~ 1\na ~ 0*1", means=True),
    "groups": sem.replicate(sem.parse("f =~ a + k*b + c + d\ny ~ f + x", means=True), 2),
}


def _problem(name):
    model = DIFFERENT[name]
    theta = somewhere(model)
    samples = [
        Moments(sample.cov * 1.1 + 0.2 * np.eye(len(sample.cov)), sample.mean + 0.3, 100 + 50 * g)
        for g, sample in enumerate(moments_of(model, somewhere(model, 1)))
    ]
    return Discrepancy(model, samples), theta


def _numeric(function, theta, step=1e-5):
    rows = []
    for at in range(len(theta)):
        ahead, behind = theta.copy(), theta.copy()
        ahead[at] += step
        behind[at] -= step
        rows.append((np.asarray(function(ahead)) - np.asarray(function(behind))) / (2 * step))
    return np.array(rows)


@pytest.mark.parametrize("name", DIFFERENT)
def test_gradient_and_hessian_are_the_numeric_ones(name):
    function, theta = _problem(name)
    np.testing.assert_allclose(
        function.gradient(theta), _numeric(function.value, theta), rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(
        function.hessian(theta), _numeric(function.gradient, theta), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", DIFFERENT)
def test_expected_information_is_the_hessian_where_the_model_holds(name):
    model = DIFFERENT[name]
    theta = somewhere(model)
    function = Discrepancy(model, moments_of(model, theta))
    assert function.value(theta) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(function.information(theta), function.hessian(theta), atol=1e-11)


@pytest.mark.parametrize("name", DIFFERENT)
def test_jacobian_is_the_numeric_one(name):
    function, theta = _problem(name)
    for group in range(function.model.n_groups):
        sigma, mu = function.jacobian(theta, group)
        numeric = _numeric(lambda at, g=group: function.point(at, g).sigma, theta)
        np.testing.assert_allclose(sigma, numeric, atol=1e-8)
        np.testing.assert_allclose(
            mu, _numeric(lambda at, g=group: function.point(at, g).mu, theta), atol=1e-8
        )


# closed forms and planted values ----------------------------------------------------------------------


def test_three_indicators_have_a_closed_form():
    s = data("hs")[["x1", "x2", "x3"]].cov(ddof=0).to_numpy()
    fit = fitted_three()
    assert fit.parameter("f", "=~", "x2").est == pytest.approx(s[1, 2] / s[0, 2], rel=1e-9)
    assert fit.parameter("f", "~~", "f").est == pytest.approx(s[0, 1] * s[0, 2] / s[1, 2], rel=1e-9)
    assert fit.parameter("x1", "~~", "x1").est == pytest.approx(
        s[0, 0] - s[0, 1] * s[0, 2] / s[1, 2], rel=1e-9
    )
    assert fit.df == 0 and fit.chisq == pytest.approx(0, abs=1e-9)


def fitted_three():
    return sem.fit(data("hs"), "f =~ x1 + x2 + x3")


def test_a_regression_is_least_squares():
    hs = data("hs")
    x = np.column_stack([np.ones(len(hs)), hs[["x1", "x2"]]])
    slopes, rest = np.linalg.lstsq(x, hs["x9"], rcond=None)[:2]
    fit = sem.fit(hs, "x9 ~ x1 + x2", means=True)
    variance = rest[0] / len(hs)
    error = np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x)))
    for name, slope, se in zip(("~1", "x1", "x2"), slopes, error, strict=True):
        row = fit.parameter("x9", "~1") if name == "~1" else fit.parameter("x9", "~", name)
        assert row.est == pytest.approx(slope, rel=1e-9) and row.se == pytest.approx(se, rel=1e-9)
    assert fit.parameter("x9", "~~", "x9").est == pytest.approx(variance, rel=1e-9)
    assert fit.r2["r2"].item() == pytest.approx(1 - variance / hs["x9"].var(ddof=0), rel=1e-9)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_planted_values_are_recovered_from_their_moments(seed):
    model = DIFFERENT[("observed", "means", "groups", "labels")[seed % 4]]
    theta = somewhere(model, seed)
    samples = moments_of(model, theta)
    fit = sem.fit_moments(
        [s.cov for s in samples],
        [s.n for s in samples],
        model,
        [s.mean for s in samples] if model.means else None,
    )
    assert fit.converged
    np.testing.assert_allclose(fit.theta, theta, atol=1e-6)
    assert fit.chisq == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_standard_errors_are_those_of_repeated_samples():
    model, rng = sem.parse("f =~ a + b + c\ng =~ d + e + h\ng ~ f"), np.random.default_rng(3)
    theta = somewhere(model)
    population = moments_of(model, theta, 400)[0]
    root = np.linalg.cholesky(population.cov)
    names = population.cov.columns
    found = []
    for _ in range(150):
        rows = rng.standard_normal((400, len(names))) @ root.T
        found.append(
            sem.fit_moments(pd.DataFrame(np.cov(rows.T, ddof=0), names, names), 400, model).theta
        )
    se = np.sqrt(np.diag(sem.fit_moments(population.cov, 400, model).vcov))
    assert np.abs(np.std(found, axis=0) / se - 1).max() < 4 / np.sqrt(2 * 150)
    assert (np.abs(np.mean(found, axis=0) - theta) / (se / np.sqrt(150))).max() < 4


# what must not matter ---------------------------------------------------------------------------------


def test_order_of_lines_items_rows_and_columns():
    hs, fit = data("hs"), fitted("hs")
    syntax = "speed =~ NA*x9 + 1*x7 + x8\nvisual =~ NA*x3 + x2 + 1*x1\ntextual =~ NA*x6 + 1*x4 + x5"
    other = sem.fit(hs.sample(frac=1, random_state=1)[hs.columns[::-1]], syntax)
    assert other.chisq == pytest.approx(fit.chisq, abs=1e-9)
    a, b = by_name(fit), by_name(other).loc[by_name(fit).index]
    for column in ("est", "se", "std"):
        np.testing.assert_allclose(a[column], b[column], rtol=1e-8)


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.sampled_from(["x1", "x2", "x5", "x9"]), st.floats(-3, 3), st.booleans())
def test_units_of_an_item_change_neither_fit_nor_standardised_values(item, power, turned):
    hs, fit = data("hs"), fitted("hs")
    scaled = sem.fit(
        hs.assign(**{item: hs[item] * 10**power * (-1 if turned else 1) + 5}), SYNTAX["hs"]
    )
    assert scaled.chisq == pytest.approx(fit.chisq, abs=1e-7)
    np.testing.assert_allclose(
        scaled.parameters["std"].abs(), fit.parameters["std"].abs(), atol=1e-7
    )
    assert scaled.trustworthy


def test_marker_or_unit_variance_are_the_same_model():
    fit = fitted("hs")
    syntax = (
        SYNTAX["hs"].replace("=~ x", "=~ NA*x")
        + "\nvisual ~~ 1*visual\ntextual ~~ 1*textual\nspeed ~~ 1*speed"
    )
    other = sem.fit(data("hs"), syntax)
    assert other.chisq == pytest.approx(fit.chisq, abs=1e-9)
    np.testing.assert_allclose(
        by_name(other)["std"].loc[by_name(fit).index].abs(), by_name(fit)["std"].abs(), atol=1e-9
    )


def test_start_values_do_not_matter_and_semopy_agrees():
    from semopy import Model as Semopy

    for name in ("hs", "pd", "path", "ecsi"):
        fit = fitted(name)
        function, rows = fit.discrepancy(), fit.model.table
        theirs = Semopy(
            "\n".join(
                f"{row.lhs} {row.op} {f'free_{row.free}' if row.free else float(row.value)}*{row.rhs}"
                for row in rows.itertuples()
            )
        )
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            theirs.fit(
                data_of(name)[list(fit.model.observed)], options={"ftol": 1e-8, "maxiter": 500}
            )
        named = dict(
            zip(
                [n for n, parameter in theirs.parameters.items() if parameter.active],
                theirs.param_vals,
                strict=True,
            )
        )
        start = np.array(
            [named.get(f"free_{n + 1}", value) for n, value in enumerate(fit.theta)]
        )  # it does not estimate fixed.x
        assert fit.fmin <= function.value(start) < fit.fmin + 1e-5
        for first in (start, fit.theta * 1.2):
            theta, decrement = minimise(function, first)
            assert decrement < 1e-9
            np.testing.assert_allclose(theta, fit.theta, rtol=1e-8, atol=1e-9)


@pytest.mark.slow
def test_numbers_do_not_depend_on_the_order_in_which_python_hashes():
    code = (
        "import sem_reference as r; print(*[r.fitted(m).theta.tobytes().hex() + r.fitted(m).parameters.to_csv()"
        " for m in ('pd', 'mimic')])"
    )
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), *sys.path])
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1] and len(said[0]) > 1000


def test_moments_are_enough():
    s = data("hs")[list(fitted("hs").model.observed)].cov(ddof=0)
    fit = sem.fit_moments(s, 301, SYNTAX["hs"])
    np.testing.assert_allclose(fit.theta, fitted("hs").theta, rtol=1e-9)


def test_groups_from_moments_are_groups_from_data():
    hs, names = data("hs"), [f"x{i}" for i in range(1, 10)]
    parts = [hs.loc[hs["school"] == level, names] for level in ("Grant-White", "Pasteur")]
    fit = sem.fit_moments(
        [p.cov(ddof=0) for p in parts],
        [len(p) for p in parts],
        SYNTAX["hs"],
        [p.mean() for p in parts],
    )
    np.testing.assert_allclose(fit.theta, fitted("hs_groups").theta, rtol=1e-9)
    assert fitted("hs_groups").groups == ("Grant-White", "Pasteur")
    assert set(fitted("hs_groups").parameters["group"]) == {"Grant-White", "Pasteur"}


# data -------------------------------------------------------------------------------------------------


def test_rows_with_missing_values_are_left_out_and_said():
    hs = data("hs")
    holed = hs.copy()
    holed.loc[[3, 7], "x1"] = np.nan
    holed.loc[9, "x9"] = np.nan
    holed.loc[20, "agemo"] = np.nan
    before = holed.copy()
    fit = sem.fit(holed, SYNTAX["hs"])
    assert (
        fit.n_used == 298
        and "3 of 301 rows" in fit.warnings[0]["en"]
        and "301 行中有 3 行" in fit.warnings[0]["zh"]
    )
    np.testing.assert_allclose(
        fit.theta, sem.fit(hs.drop(index=[3, 7, 9]), SYNTAX["hs"]).theta, rtol=1e-9
    )
    pd.testing.assert_frame_equal(holed, before)


def test_nullable_integers_just_work():
    mobi = data("mobi").astype("Int64")
    mobi.loc[0, "PERQ1"] = pd.NA
    fit = sem.fit(mobi, SYNTAX["ecsi"])
    assert fit.n_used == 249 and fit.trustworthy


HS = data("hs")


@pytest.mark.parametrize(
    ("change", "syntax", "message"),
    [
        ({}, "f =~ x1 + x2 + X3", "uses 'X3', which is not a column of the data. Did you mean x3"),
        ({"x1": HS["x1"].astype(str)}, SYNTAX["hs"], "'x1' is not numeric"),
        (
            {"x1": pd.Categorical(HS["x1"].round())},
            SYNTAX["hs"],
            "'x1' is not numeric \\(it is category\\)",
        ),
        ({"x1": 4.2}, SYNTAX["hs"], "'x1' is constant"),
        (
            {"x1": HS["x2"] * 2 + 1},
            SYNTAX["hs"],
            "Columns x1, x2 are identical or exact combinations",
        ),
        (
            {"x1": HS["x2"] + HS["x9"]},
            SYNTAX["hs"],
            "Columns x1, x2, x9 are identical or exact combinations",
        ),
        ({"x1": HS["x1"].where(HS.index < 9)}, SYNTAX["hs"], "9 complete rows for 9 variables"),
        ({"x1": np.nan}, SYNTAX["hs"], "0 complete rows for 9 variables"),
        (
            {"x1": HS["x1"].replace(HS["x1"].iloc[0], np.inf)},
            SYNTAX["hs"],
            "'x1' has infinite values",
        ),
    ],
)
def test_data_errors_say_what_is_wrong(change, syntax, message):
    with pytest.raises(DataError, match=message):
        sem.fit(HS.assign(**change), syntax)


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(DataError, match="2 columns called 'x1'"):
        sem.fit(pd.concat([HS, HS[["x1"]]], axis=1), SYNTAX["hs"])


def test_more_parameters_than_moments_are_refused():
    with pytest.raises(ModelError, match="df = -1"):
        sem.fit(HS, "f =~ x1 + x2")


def test_a_fully_fixed_model_is_refused():
    with pytest.raises(ModelError, match="nothing to estimate"):
        sem.fit(HS, "x1 ~~ 1*x1\nx2 ~~ 1*x2")


def test_a_wrong_start_or_an_unknown_parameter_is_refused():
    with pytest.raises(ModelError, match="21 free numbers"):
        sem.fit(HS, SYNTAX["hs"], start=np.ones(3))
    with pytest.raises(ModelError, match="'visual ~ speed' is not in the model"):
        fitted("hs").parameter("visual", "~", "speed")


def test_covariances_are_found_either_way():
    fit = fitted("hs")
    assert fit.parameter("visual", "~~", "speed").est == fit.parameter("speed", "~~", "visual").est


def test_grouped_models_have_one_row_a_group():
    assert all(len(fitted(name).sample) == 2 for name in GROUPED)
    assert [s.n for s in fitted("hs_groups").sample] == [145, 156]


def test_many_rows_lost_to_missing_answers_name_the_way_round_it():
    rng = np.random.default_rng(4)
    factor = rng.normal(size=(200, 1))
    rows = pd.DataFrame(factor + rng.normal(size=(200, 4)), columns=list("abcd"))
    for gone, named in ((10, False), (60, True)):
        rows.loc[: gone - 1, "a"] = np.nan
        (said,) = sem.fit(rows, "f =~ a + b + c + d").warnings
        assert {"missing='fiml'" in text for text in said.values()} == {named}
