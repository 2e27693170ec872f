"""cxlib.sem.fiml against lavaan, closed forms, and answers deleted from a known population."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robust_reference import (
    CASES,
    INCOMPLETE,
    compare_measures,
    compare_parameters,
    fitted,
    measures,
    table,
)
from scipy.stats import multivariate_normal
from sem_reference import data, index

from cxlib import sem
from cxlib.sem.fiml import Patterns, moments

THREE = CASES.loc["hs_fiml", "syntax"]
ONE = "f =~ a + b + c + d"
ITEMS = [f"x{i}" for i in range(1, 10)]


def rows(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return pd.DataFrame(
        1 + rng.normal(size=(n, 1)) + rng.normal(size=(n, 4)) * 0.8, columns=list("abcd")
    )


@pytest.mark.parametrize("case", INCOMPLETE)
def test_estimates_and_standard_errors_are_lavaans(case):
    compare_parameters(case)


@pytest.mark.parametrize("case", INCOMPLETE)
def test_measures_are_lavaans(case):
    compare_measures(case)


def test_modification_indices_are_lavaans():
    theirs = table("modification")
    theirs = theirs[theirs["case"] == "hs_fiml_mlr"]
    theirs, ours = index(theirs, [1] * len(theirs)), sem.modification_indices(fitted("hs_fiml_mlr"))
    ours = index(ours, [1] * len(ours))
    assert set(ours.index) <= set(theirs.index) and len(ours) > 40
    theirs = theirs.loc[ours.index]
    np.testing.assert_allclose(ours["mi"], theirs["mi"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(ours["epc"], theirs["epc"], rtol=1e-6, atol=1e-7)


def test_complete_rows_give_the_estimates_and_the_fit_of_complete_rows():
    hs = data("hs")
    full, plain = sem.fit(hs, THREE, missing="fiml"), sem.fit(hs, THREE, means=True)
    np.testing.assert_allclose(full.theta, plain.theta, rtol=1e-7, atol=1e-8)
    ours = measures(full)
    pd.testing.assert_series_equal(
        ours[measures(plain).index], measures(plain), rtol=1e-7, atol=1e-9
    )
    for name in ("cfi", "tli", "rmsea", "rmsea_ci_upper"):
        # nothing is missing, so the correction for missing values corrects nothing
        assert ours[f"{name}_robust"] == pytest.approx(ours[name], rel=1e-6)
    assert not full.warnings


def test_likelihood_is_the_sum_over_what_each_row_has():
    fit, total = fitted("hs_fiml"), 0.0
    for row in data("hs_missing")[list(fit.model.observed)].to_numpy(float):
        seen = ~np.isnan(row)
        if seen.any():
            cov = fit.implied[0].cov.to_numpy()[np.ix_(seen, seen)]
            total += multivariate_normal(fit.implied[0].mean[seen], cov).logpdf(row[seen])
    assert measures(fit)["logl"] == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("case", ["hs_fiml", "metric_fiml_mlr", "mimic_fiml"])
def test_derivatives_are_those_of_the_likelihood(case):
    fit = fitted(case)
    function, theta = fit.discrepancy(), fit.theta * 1.03 + 0.01
    size = 1e-5 * np.maximum(1, np.abs(theta))
    slope = [
        (function.value(theta + step) - function.value(theta - step)) / (2 * size[k])
        for k, step in enumerate(np.diag(size))
    ]
    np.testing.assert_allclose(function.gradient(theta), slope, rtol=1e-5, atol=1e-7)
    bend = [
        (function.gradient(theta + step) - function.gradient(theta - step)) / (2 * size[k])
        for k, step in enumerate(np.diag(size))
    ]
    np.testing.assert_allclose(function.hessian(theta), bend, rtol=1e-5, atol=1e-6)


def test_information_of_the_moments_is_the_slope_of_their_scores():
    part = Patterns(data("hs_missing")[ITEMS[:4]].dropna(how="all").to_numpy())
    mu, sigma = np.array([5.0, 6.1, 2.2, 3.0]), np.eye(4) + 0.3
    i, j = part.i, part.j

    def score(at: np.ndarray) -> np.ndarray:
        spread = np.zeros((4, 4))
        spread[i, j] = spread[j, i] = at[4:]
        return part.scores(at[:4], spread).mean(axis=0)

    at = np.append(mu, sigma[i, j])
    slope = [(score(at + step) - score(at - step)) / 2e-5 for step in 1e-5 * np.eye(len(at))]
    np.testing.assert_allclose(part.information(mu, sigma), -np.array(slope), atol=1e-7)


def test_moments_of_a_monotone_pattern_have_a_closed_form():
    x = rows(np.random.default_rng(3), 200)[["a", "b"]]
    x.loc[x["a"] < 0.8, "b"] = np.nan
    seen = x.dropna()
    slope = np.cov(seen.T, ddof=0)[0, 1] / seen["a"].var(ddof=0)
    rest = seen["b"].var(ddof=0) - slope**2 * seen["a"].var(ddof=0)
    mean, cov = moments(x)  # Anderson (1957), doi:10.1080/01621459.1957.10501379
    assert mean == pytest.approx(
        [x["a"].mean(), seen["b"].mean() + slope * (x["a"].mean() - seen["a"].mean())]
    )
    variance = x["a"].var(ddof=0)
    np.testing.assert_allclose(
        cov, [[variance, slope * variance], [slope * variance, rest + slope**2 * variance]]
    )


def test_moments_are_where_the_likelihood_is_flat():
    x = data("bfi").iloc[:, :25]
    mean, cov = moments(x)
    pull, push = Patterns(x.to_numpy()).pull(mean, cov)
    assert np.abs(pull).max() < 1e-9 and np.abs(push).max() < 1e-9


def test_answers_missing_at_random_do_not_bias_what_uses_them_all():
    x = rows(np.random.default_rng(11), 20_000)
    x.loc[x["a"] > 1.5, ["c", "d"]] = np.nan
    full, listwise = sem.fit(x, ONE, missing="fiml"), sem.fit(x, ONE, means=True)
    assert full.n_used == 20_000 and listwise.n_used < 15_000
    for item in "bcd":
        assert full.parameter("f", "=~", item)["est"] == pytest.approx(1, abs=0.04)
        assert full.parameter(item, "~1")["est"] == pytest.approx(1, abs=0.04)
    assert full.parameter("f", "~~", "f")["est"] == pytest.approx(1, abs=0.05)
    assert (
        listwise.parameter("c", "~1")["est"] < 0.7
        and listwise.parameter("f", "~~", "f")["est"] < 0.7
    )


@pytest.mark.slow
def test_standard_errors_are_the_spread_of_the_estimates():
    rng, found = np.random.default_rng(2), []
    for _ in range(150):
        x = rows(rng, 250)
        loading = sem.fit(x.mask(rng.random(x.shape) < 0.3), ONE, missing="fiml").parameter(
            "f", "=~", "b"
        )
        found.append((loading["est"], loading["se"]))
    estimates, errors = np.array(found).T
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=3 / np.sqrt(300))


def test_order_and_units_do_not_matter():
    holes = data("hs_missing")
    turned = "speed =~ x7 + x9 + x8\nvisual =~ x1 + x3 + x2\ntextual =~ x4 + x6 + x5"
    other = sem.fit(
        holes[::-1].assign(x1=holes["x1"] * 30, x8=holes["x8"] - 100),
        turned,
        estimator="MLR",
        missing="fiml",
    )
    likelihood = [
        "logl",
        "aic",
        "bic",
        "bic2",
        "gfi",
        "agfi",
    ]  # lavaan's GFI depends on where scales begin, if means enter
    np.testing.assert_allclose(
        measures(other).drop(likelihood),
        measures(fitted("hs_fiml_mlr")).drop(likelihood),
        rtol=1e-6,
        atol=1e-8,
    )


def english(fit: sem.Fit) -> str:
    return " ".join(note["en"] for note in fit.warnings)


def test_rows_left_out_and_patterns_are_told():
    said = english(fitted("hs_fiml"))
    assert (
        "1 of 301 rows were left out: 1 without any value of the model's variables; 300 were used"
        in said
    )
    holes = data("hs_missing").loc[lambda x: x[ITEMS].notna().any(axis=1), ITEMS]
    assert (
        f"{holes.isna().any(axis=1).sum()} of 300 rows are incomplete, in {len(holes.isna().drop_duplicates())} patterns"
        in said
    )
    assert "3 without a value of ageyr, sex" in english(fitted("mimic_fiml"))
    nobody = sem.fit(
        data("hs_missing").assign(school=lambda x: x["school"].mask(x.index < 2)),
        THREE,
        group="school",
        missing="fiml",
    )
    assert nobody.n_used == 298 and "2 without a value of school" in english(nobody)


def test_thin_coverage_is_told_and_none_refused():
    x = rows(np.random.default_rng(4), 400)
    x.loc[:190, "a"] = np.nan
    x.loc[210:, "b"] = np.nan
    said = english(sem.fit(x, ONE, missing="fiml"))
    assert "Only 4.8 % of the rows have both" in said and "a" in said
    x.loc[:300, "a"] = np.nan
    with pytest.raises(sem.DataError, match="No row has both"):
        sem.fit(x, ONE, missing="fiml")


def test_sixty_rows_with_forty_percent_missing_are_refused_with_the_reason():
    rng = np.random.default_rng(1)
    x = pd.DataFrame(
        rng.normal(size=(60, 3)).repeat(3, axis=1) + rng.normal(size=(60, 9)) * 0.7, columns=ITEMS
    )
    with pytest.raises(sem.DataError, match="too few of the 60 rows have them together"):
        sem.fit(x.mask(rng.random(x.shape) < 0.4), THREE, missing="fiml")


def test_a_model_without_intercepts_is_refused():
    with pytest.raises(sem.ModelError, match=r"parse\(syntax, means=True\)"):
        sem.fit(data("hs_missing"), sem.parse(THREE), missing="fiml")


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    n=st.integers(3, 60),
    holes=st.floats(0, 0.6),
    seed=st.integers(0, 999),
    estimator=st.sampled_from(["ML", "MLR"]),
)
def test_small_and_broken_samples_give_numbers_or_a_reason(n, holes, seed, estimator):
    rng = np.random.default_rng(seed)
    x = rows(rng, n).round()
    try:
        fit = sem.fit(x.mask(rng.random(x.shape) < holes), ONE, missing="fiml", estimator=estimator)
    except sem.DataError as error:
        assert len(str(error)) > 30
        return
    assert np.isfinite(fit.theta).all() and np.isfinite(fit.chisq)
    free, routine = (
        fit.model.table["free"] > 0,
        ("rows are incomplete", "rows were left out", "rows have both"),
    )
    silent = measures(fit).notna().all() and fit.parameters.loc[free, "se"].notna().all()
    assert silent or [
        note for note in fit.warnings if not any(part in note["en"] for part in routine)
    ]


def test_stages_pass_on_estimator_and_missing_and_report_the_robust_numbers():
    from cxlib.stages.measurement import measurement
    from cxlib.stages.structure import structure
    from cxlib.study import schema as study

    ecsi = study.load("ecsi")
    x = data("mobi").astype(float)
    x = x.mask(np.random.default_rng(6).random(x.shape) < 0.05)
    robust = "main", "MLR", "fiml"
    for stage, fit in (
        (measurement, measurement.cfa(x, ecsi, *robust)),
        (structure, structure.sem_fit(x, ecsi, *robust)),
    ):
        value, told = measures(fit), stage.fit_table(fit)
        assert fit.n_used == 250 and str(told.method).startswith(
            "full-information maximum likelihood, Huber-White"
        )
        assert (
            f"{value['chisq_scaled']:.2f}" in told.text["en"]
            and f"{value['cfi_robust']:.3f}" in told.text["en"]
        )
    checks = measurement.method_bias(measurement.cfa(x, ecsi, "main", "MLR", "fiml"))
    d = checks.table.set_index(["check", "statistic"])["value"]
    assert d["one_factor", "d_df"] == 6 and d["one_factor", "d_chisq"] > 50
    assert any(
        "complete rows" in note["en"]
        for note in measurement.validity(x, ecsi, measurement.cfa(x, ecsi, missing="fiml")).warnings
    )
    imputed = measurement.cfa(x, ecsi, missing="mi", rng=np.random.default_rng(1))
    assert "pooled" in str(measurement.fit_table(imputed).method) and len(
        measurement.method_bias(imputed).table
    )
    table = structure.compare(structure.fit_models(x, ecsi, "MLR", "fiml"), ecsi)
    assert "full-information" in str(table.method) and (table.table["n"] == 250).all()
