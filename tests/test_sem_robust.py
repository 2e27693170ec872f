"""cxlib.sem.robust against lavaan, ordinary regression and simulated populations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from robust_reference import (
    CASES,
    CLUSTER_CASES,
    CLUSTER_FIT,
    CLUSTER_PARAMETERS,
    COMPLETE,
    clustered,
    compare_measures,
    compare_parameters,
    fitted,
    fitted_clusters,
    measures,
    same_measures,
    same_parameters,
    table,
)
from sem_reference import data, index

from cxlib import sem

ONE = "f =~ a + b + c + d"


@pytest.mark.parametrize("case", COMPLETE)
def test_estimates_and_standard_errors_are_lavaans(case):
    compare_parameters(case)


@pytest.mark.parametrize("case", COMPLETE)
def test_scaled_and_robust_measures_are_lavaans(case):
    compare_measures(case)


@pytest.mark.parametrize("case", COMPLETE[:3])
def test_every_scaled_and_robust_measure_is_given(case):
    names = set(measures(fitted(case)).index)
    assert {
        f"{name}_scaled"
        for name in (
            "chisq",
            "df",
            "pvalue",
            "baseline_chisq",
            "baseline_df",
            "cfi",
            "tli",
            "rmsea",
            "rmsea_ci_lower",
            "rmsea_ci_upper",
            "rmsea_pvalue",
        )
    } <= names
    assert {
        f"{name}_robust"
        for name in ("cfi", "tli", "rmsea", "rmsea_ci_lower", "rmsea_ci_upper", "rmsea_pvalue")
    } <= names
    assert {"chisq_scaling_factor", "baseline_chisq_scaling_factor"} <= names


@pytest.mark.parametrize(
    "row", list(table("difference").itertuples()), ids=lambda row: f"{row.small}-{row.method}"
)
def test_difference_tests_are_lavaans(row):
    ours = sem.difference(fitted(row.small), fitted(row.large), row.method).iloc[0]
    assert ours["method"] == row.method and ours["d_df"] == row.d_df
    assert ours["d_chisq"] == pytest.approx(row.d_chisq, rel=1e-7)
    assert ours["d_p"] == pytest.approx(row.d_p, rel=1e-5, abs=1e-12)


def test_modification_indices_of_a_robust_fit_are_lavaans():
    rows = table("modification")
    theirs = rows[rows["case"] == "mimic_mlr"]
    theirs, ours = index(theirs, [1] * len(theirs)), sem.modification_indices(fitted("mimic_mlr"))
    ours = index(ours, [1] * len(ours))
    shared = ours.index.intersection(theirs.index)
    assert len(shared) > 10
    np.testing.assert_allclose(
        ours.loc[shared, "mi"], theirs.loc[shared, "mi"], rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(
        ours.loc[shared, "epc"], theirs.loc[shared, "epc"], rtol=1e-6, atol=1e-7
    )


def test_the_sandwich_of_a_regression_is_whites():
    import statsmodels.api as sm

    hs = data("hs")
    fit = sem.fit(hs, "x9 ~ x1 + x2 + x3", means=True, estimator="MLR")
    white = sm.OLS(hs["x9"], sm.add_constant(hs[["x1", "x2", "x3"]])).fit(cov_type="HC0")
    for name in ("x1", "x2", "x3"):
        assert fit.parameter("x9", "~", name)["se"] == pytest.approx(white.bse[name], rel=1e-9)
    assert fit.parameter("x9", "~1")["se"] == pytest.approx(white.bse["const"], rel=1e-9)


def population(rng: np.random.Generator, n: int, radii: tuple[float, ...] = (1.0,)) -> pd.DataFrame:
    """Four indicators of a factor, elliptical: normal rows times a radius drawn from a few."""
    rows = rng.normal(size=(n, 1)) + rng.normal(size=(n, 4)) * 0.8
    return pd.DataFrame(rows * rng.choice(radii, size=(n, 1)), columns=list("abcd"))


def test_the_factor_of_an_elliptical_population_is_its_relative_kurtosis():
    radii = np.array([0.5, 1.5])
    fit = sem.fit(population(np.random.default_rng(5), 60_000, (0.5, 1.5)), ONE, estimator="MLR")
    assert fit.scaling == pytest.approx((radii**4).mean() / (radii**2).mean() ** 2, rel=0.03)


@pytest.mark.slow
def test_robust_standard_errors_are_the_spread_of_the_estimates_and_scaled_tests_keep_their_level():
    rng, tests, estimates, robust, naive = np.random.default_rng(5), [], [], [], []
    for _ in range(120):
        rows = population(rng, 300, (0.5, 1.5))
        fit = sem.fit(rows, ONE, estimator="MLR")
        loading = fit.parameter("f", "=~", "b")
        tests.append((fit.chisq / fit.df, fit.chisq / fit.scaling / fit.df))
        estimates.append(loading["est"])
        robust.append(loading["se"])
        naive.append(sem.fit(rows, ONE).parameter("f", "=~", "b")["se"])
    plain, scaled = np.mean(tests, axis=0)
    assert scaled == pytest.approx(1, abs=3 / np.sqrt(120)) and plain > 1.3
    assert np.mean(robust) == pytest.approx(np.std(estimates), rel=3 / np.sqrt(240))
    assert np.mean(naive) < 0.9 * np.std(estimates)


def test_normal_data_need_no_correction():
    rows = population(np.random.default_rng(8), 20_000)
    plain = sem.fit(rows, ONE)
    fit = sem.fit(rows, ONE, estimator="MLR")
    assert fit.scaling == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(fit.theta, plain.theta)
    np.testing.assert_allclose(np.diag(fit.vcov), np.diag(plain.vcov), rtol=0.05)


def test_order_and_units_do_not_matter():
    hs = data("hs")
    turned = "speed =~ x7 + x9 + x8\nvisual =~ x1 + x3 + x2\ntextual =~ x4 + x6 + x5"
    fit, other = (
        fitted("hs_mlr"),
        sem.fit(hs[::-1].assign(x1=hs["x1"] * 30, x8=hs["x8"] - 100), turned, estimator="MLR"),
    )
    likelihood = ["logl", "aic", "bic", "bic2"]
    np.testing.assert_allclose(
        measures(other).drop(likelihood), measures(fit).drop(likelihood), rtol=1e-6, atol=1e-9
    )
    assert other.parameter("textual", "=~", "x5")["se"] == pytest.approx(
        fit.parameter("textual", "=~", "x5")["se"], rel=1e-7
    )


def test_variables_in_another_order_are_the_same_difference():
    small = sem.fit(data("hs"), "g =~ x9 + x3 + x1 + x4 + x5 + x6 + x7 + x8 + x2", estimator="MLR")
    one = sem.difference(small, fitted("hs_mlr"), "satorra.2000").iloc[0]
    two = sem.difference(fitted("one_mlr"), fitted("hs_mlr"), "satorra.2000").iloc[0]
    # the restrictions are linearised in moments, which another marker leaves alone
    assert one["d_chisq"] == pytest.approx(two["d_chisq"], rel=1e-7)


def test_difference_of_plain_fits_is_that_of_their_chi_squares():
    hs = data("hs")
    small, large = (sem.fit(hs, CASES.loc[case, "syntax"]) for case in ("one_mlr", "hs_mlr"))
    ours = sem.difference(small, large).iloc[0]
    assert ours["d_chisq"] == pytest.approx(small.chisq - large.chisq)
    assert ours["method"] == "standard" and ours["d_df"] == 3


def test_a_negative_factor_of_2001_gives_way_to_satorra_2000():
    ours = sem.difference(replace(fitted("one_mlr"), scaling=0.1), fitted("hs_mlr")).iloc[0]
    theirs = table("difference").set_index(["small", "method"]).loc[("one_mlr", "satorra.2000")]
    assert ours["method"] == "satorra.2000" and ours["d_chisq"] == pytest.approx(
        theirs["d_chisq"], rel=1e-7
    )


def test_the_wrong_way_round_or_other_rows_are_refused():
    for small, large in (
        ("hs_mlr", "one_mlr"),
        ("one_mlr", "bfi_mlr"),
        ("one_mlr", "hs_listwise_mlr"),
    ):
        with pytest.raises(ValueError, match="not comparable"):
            sem.difference(fitted(small), fitted(large))
    with pytest.raises(ValueError, match=r"Use 'satorra.bentler.2001'"):
        sem.difference(fitted("one_mlr"), fitted("hs_mlr"), "yuan")


@pytest.mark.parametrize(
    ("estimator", "missing"), [("WLS", "listwise"), ("ML", "pairwise"), ("MLM", "listwise")]
)
def test_what_there_is_not_is_refused_by_name(estimator, missing):
    with pytest.raises(ValueError, match=f"estimator='{estimator}' with missing='{missing}'"):
        sem.fit(data("hs"), ONE, estimator=estimator, missing=missing)


def test_a_saturated_model_has_nothing_to_scale():
    ours = measures(sem.fit(data("hs"), "f =~ x1 + x2 + x3", estimator="MLR"))
    assert ours[
        ["cfi_scaled", "tli_scaled", "cfi_robust", "tli_robust"]
    ].to_numpy() == pytest.approx(1)
    assert ours[["chisq_scaled", "rmsea_scaled", "rmsea_robust"]].to_numpy() == pytest.approx(
        0, abs=1e-9
    )
    assert ours[["pvalue_scaled", "chisq_scaling_factor", "rmsea_pvalue_robust"]].isna().all()


def test_fewer_rows_than_parameters_are_warned_of():
    fit = sem.fit(population(np.random.default_rng(1), 8), ONE, estimator="MLR")
    assert any(
        "8 rows are too few for robust standard errors" in note["en"] for note in fit.warnings
    )
    assert not any("too few" in note["en"] for note in fitted("hs_mlr").warnings)


TWO = CLUSTER_CASES.set_index("case").loc["two_listwise", "syntax"]
FIRMS = clustered("")


@pytest.mark.parametrize("case", CLUSTER_CASES["case"])
def test_clusters_are_lavaans(case):
    same_parameters(fitted_clusters(case), CLUSTER_PARAMETERS[CLUSTER_PARAMETERS["case"] == case])
    same_measures(fitted_clusters(case), CLUSTER_FIT[CLUSTER_FIT["case"] == case])


@pytest.mark.parametrize(
    "row", list(clustered("_difference").itertuples()), ids=lambda row: f"{row.small}-{row.method}"
)
def test_difference_tests_of_clusters_are_lavaans(row):
    ours = sem.difference(fitted_clusters(row.small), fitted_clusters(row.large), row.method).iloc[
        0
    ]
    assert ours["method"] == row.method and ours["d_df"] == row.d_df
    assert ours["d_chisq"] == pytest.approx(row.d_chisq, rel=1e-7)
    assert ours["d_p"] == pytest.approx(row.d_p, rel=1e-5)


@pytest.mark.parametrize("equal", [False, True], ids=["whole", "crossing groups"])
def test_the_clustered_sandwich_of_a_regression_is_that_of_least_squares(equal):
    import statsmodels.api as sm

    # all equal in both groups is one regression; every firm has both sexes, so that J is the same in each
    rows = FIRMS[FIRMS.groupby("firm")["sex"].transform("nunique") == 2]
    syntax = "y1 ~ a*y4 + b*y5 + c*1\ny1 ~~ d*y1" if equal else "y1 ~ y4 + y5"
    fit = sem.fit(rows, syntax, group="sex" if equal else None, estimator="MLR", cluster="firm")
    j = rows["firm"].nunique()
    theirs = sm.OLS(rows["y1"], sm.add_constant(rows[["y4", "y5"]])).fit(
        cov_type="cluster",
        cov_kwds={"groups": pd.factorize(rows["firm"])[0], "use_correction": False},
    )
    for op, rhs, name in (("~", "y4", "y4"), ("~", "y5", "y5"), ("~1", "", "const")):
        assert fit.parameter("y1", op, rhs)["se"] == pytest.approx(
            theirs.bse[name] * np.sqrt(j / (j - 1)), rel=1e-8
        )


def test_a_cluster_a_row_is_no_cluster():
    hs = data("hs")
    alone, plain = (
        sem.fit(
            hs.assign(row=range(len(hs))),
            CASES.loc["hs_mlr", "syntax"],
            means=True,
            estimator="MLR",
            cluster=c,
        )
        for c in ("row", None)
    )
    np.testing.assert_allclose(alone.vcov, plain.vcov * 301 / 300, rtol=1e-9)
    assert alone.scaling == pytest.approx(plain.scaling * 301 / 300)


def test_the_names_and_order_of_clusters_do_not_matter():
    names = dict(
        zip(FIRMS["firm"].unique(), np.random.default_rng(2).permutation(70) * 1.5, strict=True)
    )
    again = sem.fit(
        FIRMS.assign(firm=FIRMS["firm"].map(names)).sample(frac=1, random_state=3),
        TWO,
        estimator="MLR",
        cluster="firm",
    )
    np.testing.assert_allclose(
        again.vcov, fitted_clusters("two_listwise").vcov, rtol=1e-7, atol=1e-10
    )
    assert again.scaling == pytest.approx(fitted_clusters("two_listwise").scaling)


@pytest.mark.slow
def test_standard_errors_of_clusters_are_the_spread_of_the_estimates():
    rng, estimates, robust, naive = np.random.default_rng(12), [], [], []
    for _ in range(120):
        rows = population(rng, 400) + np.repeat(rng.normal(size=(50, 4)) * 0.7, 8, axis=0)
        loading = sem.fit(
            rows.assign(firm=np.repeat(np.arange(50), 8)), "a ~ b", estimator="MLR", cluster="firm"
        )
        estimates.append(loading.parameter("a", "~", "b")["est"])
        robust.append(loading.parameter("a", "~", "b")["se"])
        naive.append(sem.fit(rows, "a ~ b", estimator="MLR").parameter("a", "~", "b")["se"])
    assert np.mean(robust) == pytest.approx(np.std(estimates), rel=3 / np.sqrt(240))
    assert np.mean(naive) < 0.85 * np.std(estimates)


def test_clusters_are_said_and_rows_without_one_left_out():
    fit = fitted_clusters("two_listwise")
    assert (
        "standard errors robust to non-normality and to respondents of one firm (70 clusters)"
        in str(fit.method)
    )
    assert fit.cluster == "firm" and not fit.warnings
    unknown = FIRMS.assign(firm=FIRMS["firm"].mask(FIRMS.index < 9))
    for missing, said in (
        ("listwise", "9 of 678 rows have a missing value in the model's variables or firm"),
        ("fiml", "9 without a value of firm"),
    ):
        fit = sem.fit(unknown, TWO, estimator="MLR", cluster="firm", missing=missing)
        assert said in fit.warnings[0]["en"] and fit.n_used == 669


def test_too_few_clusters_are_warned_of_or_refused():
    for clusters, said in (
        (15, "15 clusters are too few for robust standard errors of 19"),
        (25, "only 25 clusters"),
        (60, ""),
    ):
        fit = sem.fit(
            FIRMS.assign(firm=FIRMS.index % clusters), TWO, estimator="MLR", cluster="firm"
        )
        assert [said in note["en"] for note in fit.warnings] == [True] * bool(said)
    with pytest.raises(sem.DataError, match="same 'firm'"):
        sem.fit(FIRMS.assign(firm=1), TWO, estimator="MLR", cluster="firm")
    with pytest.raises(sem.DataError, match="'company', which is not a column"):
        sem.fit(FIRMS, TWO, estimator="MLR", cluster="company")


def test_other_estimators_say_that_they_take_clusters_as_independent():
    plain, fit = sem.fit(FIRMS, TWO), sem.fit(FIRMS, TWO, cluster="firm")
    np.testing.assert_allclose(fit.vcov, plain.vcov)
    assert [note["en"] for note in fit.warnings] == [
        "Standard errors of the ML fit take respondents of one firm as independent; estimator='MLR' does not."
    ]
