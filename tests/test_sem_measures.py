"""cxlib.sem.measures against lavaan and closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ncx2
from sem_reference import MODELS, SYNTAX, data, fitted, of

from cxlib import sem
from cxlib.sem.indices import rmsea_interval

LAVAAN = {
    "n": "ntotal",
    "baseline_chisq": "baseline.chisq",
    "baseline_df": "baseline.df",
    "rmsea_pvalue": "rmsea.pvalue",
    "rmsea_ci_lower": "rmsea.ci.lower",
    "rmsea_ci_upper": "rmsea.ci.upper",
}


def values(fit) -> pd.Series:
    return sem.fit_measures(fit).set_index("measure")["value"]


@pytest.mark.parametrize("name", MODELS)
def test_measures_are_lavaans(name):
    ours, rows = values(fitted(name)), of("fit", name).set_index("measure")["value"]
    theirs = rows[[LAVAAN.get(measure, measure) for measure in ours.index]]
    if name != "heywood":  # lavaan refuses the incremental measures of this one
        assert (ours.isna().to_numpy() == theirs.isna().to_numpy()).all()
    said = theirs.notna().to_numpy()
    # uniroot leaves lavaan's interval, and nothing else, up to 1e-6 short
    loose = ours.index[said].isin(["rmsea_ci_lower", "rmsea_ci_upper"])
    np.testing.assert_allclose(ours[said][~loose], theirs[said][~loose], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours[said][loose], theirs[said][loose], atol=1e-6)


def test_a_saturated_model_fits_perfectly_and_tests_nothing():
    ours = values(sem.fit(data("hs"), "f =~ x1 + x2 + x3"))
    assert ours["df"] == 0 and ours[["cfi", "tli", "gfi", "agfi"]].to_numpy() == pytest.approx(1)
    assert ours[
        ["chisq", "rmsea", "rmsea_ci_lower", "rmsea_ci_upper", "srmr"]
    ].to_numpy() == pytest.approx(0, abs=1e-9)
    assert ours[["pvalue", "rmsea_pvalue"]].isna().all()


def test_the_independence_model_is_its_own_baseline():
    hs = data("hs")[["x1", "x4", "x7"]]
    ours = values(sem.fit(hs, "x1 ~~ x1\nx4 ~~ x4\nx7 ~~ x7"))
    expected = -301 * np.log(np.linalg.det(hs.corr()))
    assert ours["chisq"] == pytest.approx(expected) == ours["baseline_chisq"]
    assert ours["df"] == ours["baseline_df"] == 3
    assert ours[["cfi", "tli", "nfi", "ifi"]].to_numpy() == pytest.approx(0, abs=1e-9)


def test_likelihood_is_that_of_the_normal_distribution():
    from scipy.stats import multivariate_normal

    fit = fitted("hs_means")
    rows = data("hs")[list(fit.model.observed)]
    expected = multivariate_normal(fit.implied[0].mean, fit.implied[0].cov).logpdf(rows).sum()
    ours = values(fit)
    assert ours["logl"] == pytest.approx(expected, rel=1e-10)
    assert ours["aic"] == pytest.approx(-2 * expected + 60) and ours["n"] == 301
    assert ours["bic"] == pytest.approx(-2 * expected + 30 * np.log(301))


@pytest.mark.parametrize(
    ("chisq", "df", "n", "groups"), [(85.3, 24, 301, 1), (20.0, 24, 301, 1), (575.6, 241, 250, 2)]
)
def test_rmsea_limits_are_the_tails_of_the_noncentral_chi_square(chisq, df, n, groups):
    for limit, tail in zip(rmsea_interval(chisq, df, n, groups), (0.95, 0.05), strict=True):
        if limit:
            assert ncx2.cdf(chisq, df, limit**2 * n * df / groups) == pytest.approx(tail, abs=1e-8)
        else:
            assert ncx2.cdf(chisq, df, 1e-12) < tail


def test_units_change_no_measure_but_the_likelihood():
    hs = data("hs")
    a, b = values(fitted("hs")), values(sem.fit(hs.assign(x1=hs["x1"] * 40), SYNTAX["hs"]))
    likelihood = ["logl", "aic", "bic", "bic2"]
    np.testing.assert_allclose(a.drop(likelihood), b.drop(likelihood), rtol=1e-8)
    assert a["logl"] - b["logl"] == pytest.approx(301 * np.log(40))
