"""cxlib.sem.imputation against semTools, full information, and a known population."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from r_tables import r_table
from robust_reference import CASES, measures, pooled, table
from sem_reference import data

from cxlib import sem
from cxlib.sem.imputation import impute, pool

THREE = CASES.loc["hs_fiml", "syntax"]
ONE = "f =~ a + b + c + d"


def rows(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return pd.DataFrame(
        1 + rng.normal(size=(n, 1)) + rng.normal(size=(n, 4)) * 0.8, columns=list("abcd")
    )


@pytest.mark.parametrize("means", [False, True])
def test_pooling_is_semtools(means):
    fit, theirs = pooled(means), table("pooled")
    theirs = theirs[theirs["means"] == means].set_index(["kind", "name"])["value"]
    names = (fit.parameters["lhs"] + fit.parameters["op"] + fit.parameters["rhs"])[
        fit.parameters["se"].notna()
    ]
    ours = fit.parameters.loc[names.index].set_index(names)
    for kind in ("est", "se"):
        # nlminb stops within 1e-6 of each copy's optimum
        np.testing.assert_allclose(ours[kind], theirs[kind][names], rtol=1e-5, atol=1e-6)
    value, said = measures(fit), theirs["measure"]
    for name in ("chisq", "baseline.chisq", "cfi", "tli", "rmsea", "rmsea.ci.upper"):
        assert value[name.replace(".", "_")] == pytest.approx(said[name], rel=1e-5), name


def test_pooling_of_robust_fits_is_semtools():
    copies = [
        rows.assign(firm=np.arange(1, len(rows) + 1) % 40)
        for _, rows in table("copies").groupby("copy")
    ]
    fit = pool([sem.fit(rows, THREE, estimator="MLR", cluster="firm") for rows in copies])
    theirs = r_table("cluster_pooled").set_index(["kind", "name"])["value"]
    names = (fit.parameters["lhs"] + fit.parameters["op"] + fit.parameters["rhs"])[
        fit.parameters["se"].notna()
    ]
    ours = fit.parameters.loc[names.index].set_index(names)
    for kind in ("est", "se"):
        np.testing.assert_allclose(ours[kind], theirs[kind][names], rtol=1e-6)
    value, said = measures(fit), theirs["measure"]
    # semTools' tli.robust is 1 whatever the data
    for name in (
        "chisq",
        "chisq.scaled",
        "pvalue.scaled",
        "chisq.scaling.factor",
        "baseline.chisq.scaled",
        "cfi.scaled",
        "cfi.robust",
        "tli.scaled",
        "rmsea.scaled",
        "rmsea.robust",
        "rmsea.ci.upper.robust",
        "srmr",
    ):
        assert value[name.replace(".", "_")] == pytest.approx(said[name], rel=1e-5), name
    assert "respondents of one firm (40 clusters), pooled by Rubin's rules" in str(fit.method)


def test_copies_keep_what_was_observed_and_fill_the_rest():
    x = data("hs_missing")[[f"x{i}" for i in range(1, 10)]].dropna(how="all")
    copy = impute(x, np.random.default_rng(1))
    assert copy.notna().all(axis=None) and copy.where(x.notna()).equals(x.astype(float))
    assert not impute(x, np.random.default_rng(2)).equals(copy)
    pd.testing.assert_frame_equal(impute(x, np.random.default_rng(1)), copy)


def test_many_copies_say_what_full_information_says():
    rng, m = np.random.default_rng(3), 60
    x = rows(rng, 800)
    x = x.mask(rng.random(x.shape) < 0.2)
    many, full = (
        sem.fit(x, ONE, means=True, missing=missing, rng=rng, imputations=m)
        for missing in ("mi", "fiml")
    )
    # the mean of m copies still varies, by the spread between them
    error = np.std([copy.theta for copy in many.imputed], axis=0) / np.sqrt(m)
    assert (np.abs(many.theta - full.theta) < 4 * error).all()
    np.testing.assert_allclose(np.sqrt(np.diag(many.vcov)), np.sqrt(np.diag(full.vcov)), rtol=0.1)


def test_a_population_is_recovered_from_answers_missing_at_random():
    x = rows(np.random.default_rng(11), 10_000)
    x.loc[x["a"] > 1.5, ["c", "d"]] = np.nan
    fit = sem.fit(x, ONE, means=True, missing="mi", rng=np.random.default_rng(1), imputations=5)
    for item in "bcd":
        assert fit.parameter("f", "=~", item)["est"] == pytest.approx(1, abs=0.06)
        assert fit.parameter(item, "~1")["est"] == pytest.approx(1, abs=0.06)


def test_robust_copies_say_what_robust_full_information_says():
    rng, x = np.random.default_rng(8), rows(np.random.default_rng(6), 600)
    x = (
        (x * rng.choice([0.5, 1.5], size=(600, 1)))
        .mask(rng.random(x.shape) < 0.1)
        .assign(firm=np.arange(600) % 60)
    )
    many, full = (
        sem.fit(x, ONE, missing=missing, estimator="MLR", cluster="firm", rng=rng)
        for missing in ("mi", "fiml")
    )
    np.testing.assert_allclose(np.sqrt(np.diag(many.vcov)), np.sqrt(np.diag(full.vcov)), rtol=0.1)
    assert many.scaling == pytest.approx(full.scaling, rel=0.1)
    assert many.cluster == "firm" and many.clustering["en"].endswith(
        "respondents of one firm (60 clusters)."
    )


def test_groups_are_imputed_and_fitted_apart():
    fit = sem.fit(
        data("hs_missing"),
        THREE,
        group="school",
        missing="mi",
        rng=np.random.default_rng(4),
        imputations=4,
    )
    assert fit.groups == ("Grant-White", "Pasteur") and fit.n_used == 300 and len(fit.imputed) == 4
    assert measures(fit)["df"] == 48 and 0.8 < measures(fit)["cfi"] < 1


def test_complete_data_lose_nothing():
    hs = data("hs")
    fit, plain = (
        sem.fit(hs, THREE, missing="mi", rng=np.random.default_rng(1), imputations=2),
        sem.fit(hs, THREE),
    )
    np.testing.assert_allclose(fit.parameters["se"], plain.parameters["se"], rtol=1e-6)
    names = [name for name in measures(plain).index if name not in ("logl", "aic", "bic", "bic2")]
    np.testing.assert_allclose(measures(fit)[names], measures(plain)[names], rtol=1e-6, atol=1e-8)
    assert measures(fit)[["logl", "aic", "bic", "bic2"]].isna().all()


def test_what_was_done_is_told_and_what_cannot_be_done_refused():
    holes, rng = data("hs_missing"), np.random.default_rng(1)
    fit = sem.fit(holes, THREE, missing="mi", rng=rng, imputations=3)
    said = " ".join(note["en"] for note in fit.warnings)
    assert (
        "3 of 3 imputed copies" in said
        and "no AIC" in said
        and "1 of 301 rows were left out" in said
    )
    assert str(fit.method).startswith("maximum likelihood in multiply imputed data")
    for wrong in ({"rng": None}, {"rng": rng, "imputations": 1}):
        with pytest.raises(ValueError, match="needs rng="):
            sem.fit(holes, THREE, missing="mi", **wrong)
    with pytest.raises(ValueError, match="estimator='WLS' with missing='mi'"):
        sem.fit(holes, THREE, missing="mi", estimator="WLS", rng=rng)
    with pytest.raises(ValueError, match="not imputed"):
        sem.difference(
            sem.fit(
                holes,
                "g =~ x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9",
                missing="mi",
                rng=rng,
                imputations=3,
            ),
            fit,
        )
    with pytest.raises(sem.DataError, match="Only 1 of 1"):
        pool([fit])
