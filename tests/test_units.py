"""What does not depend on the unit of a column: z, χ², the standardised solution, and whether a fit is trusted."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from cxlib import sem
from cxlib.sem import resampling
from cxlib.sem.discrepancy import definite
from cxlib.sem.invariance import fit_level, levels, score_tests
from cxlib.sem.restrictions import likelihood_ratios
from cxlib.sem.solution import describe
from cxlib.stages.cleaning import missing
from cxlib.stages.description import description
from cxlib.statistics import careless, consistency

MODEL = """QUAL =~ q1 + q2 + q3
VAL =~ v1 + v2 + v3
VAL ~ QUAL + income
shop ~ VAL + QUAL + income"""
UNITS = [{"income": 1e6, "q1": 1e-6}, {"income": 1e-6, "v2": 1e6, "shop": 1e-6, "q2": 1e5}]


@cache
def answers() -> pd.DataFrame:
    """A survey with an observed predictor and an observed outcome, holes where the answers before say so."""
    rng, n = np.random.default_rng(2026), 240
    income, quality = rng.normal(size=n), rng.normal(size=n)
    value = 0.6 * quality - 0.3 * income + 0.7 * rng.normal(size=n)
    data = pd.DataFrame(
        {
            f"q{i}": load * quality + 0.6 * rng.normal(size=n)
            for i, load in enumerate((1, 0.8, 0.9), 1)
        }
    )
    data = data.assign(
        **{
            f"v{i}": load * value + 0.6 * rng.normal(size=n)
            for i, load in enumerate((1, 0.9, 0.7), 1)
        }
    )
    data["shop"] = 2 + 0.5 * value + 0.2 * quality + 0.6 * rng.normal(size=n)
    data["income"], data["firm"], data["region"] = (
        4 + income,
        np.arange(n) % 40,
        np.where(np.arange(n) % 2, "east", "west"),
    )
    for name in ("q2", "v1", "v3"):
        data.loc[rng.random(n) < 0.12, name] = np.nan
    return data


def told(kind: str, data: pd.DataFrame) -> sem.Fit:
    """A fit of this kind."""
    rng, choose = (
        np.random.default_rng(7),
        {
            "ML": {},
            "MLR": {"estimator": "MLR"},
            "clusters": {"estimator": "MLR", "cluster": "firm"},
            "fiml": {"missing": "fiml"},
            "fiml MLR": {"missing": "fiml", "estimator": "MLR"},
            "fiml clusters": {"missing": "fiml", "estimator": "MLR", "cluster": "firm"},
            "groups": {"group": "region"},
            "groups fiml": {"group": "region", "missing": "fiml", "estimator": "MLR"},
        },
    )
    return sem.fit(
        data,
        MODEL,
        **({"missing": "mi", "imputations": 3, "rng": rng} if kind == "mi" else choose[kind]),
    )


def scaled(units: dict[str, float]) -> pd.DataFrame:
    """The survey with some columns in other units."""
    return answers().assign(
        **{column: answers()[column] * factor for column, factor in units.items()}
    )


@cache
def plain(kind: str) -> sem.Fit:
    """The fit in the units the survey has."""
    return told(kind, answers())


def same(ours, theirs, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Equal numbers, gaps in the same places."""
    np.testing.assert_allclose(
        np.asarray(ours, float), np.asarray(theirs, float), rtol=rtol, atol=atol
    )


@pytest.mark.parametrize("units", UNITS, ids=["two", "four"])
@pytest.mark.parametrize(
    "kind",
    ["ML", "MLR", "clusters", "fiml", "fiml MLR", "fiml clusters", "groups", "groups fiml", "mi"],
)
def test_a_fit_does_not_depend_on_units(kind, units):
    before, after = plain(kind), told(kind, scaled(units))
    assert before.trustworthy and after.trustworthy and before.parameters["z"].notna().sum() >= 18
    same(after.parameters[["z", "std"]], before.parameters[["z", "std"]])
    same(
        [after.chisq, after.scaling, after.condition],
        [before.chisq, before.scaling, before.condition],
    )
    unlike = sem.fit_measures(before)["measure"].isin(
        ["logl", "unrestricted_logl", "aic", "bic", "bic2", "rmr"]
    )
    same(
        sem.fit_measures(after).loc[~unlike, "value"],
        sem.fit_measures(before).loc[~unlike, "value"],
    )
    assert [note["en"] for note in after.warnings] == [note["en"] for note in before.warnings]


@pytest.mark.parametrize("units", UNITS, ids=["two", "four"])
def test_modification_indices_do_not_depend_on_units(units):
    index, values = ["lhs", "op", "rhs"], ["mi", "sepc_all"]
    for kind in ("ML", "fiml"):
        before, after = (
            sem.modification_indices(fit).set_index(index)[values].sort_index()
            for fit in (plain(kind), told(kind, scaled(units)))
        )
        assert before.index.equals(after.index)
        same(after, before)


def by_region(level: str, units: dict[str, float]) -> sem.Fit:
    """The survey by region, up to this level of invariance."""
    model = sem.parse(MODEL, means=True)
    return fit_level(scaled(units), model, "region", levels(model)[level], set(), estimator="MLR")


@pytest.mark.parametrize("units", UNITS, ids=["two", "four"])
def test_tests_of_equality_do_not_depend_on_units(units):
    before, after = by_region("metric", {}), by_region("metric", units)
    same(
        *(
            score_tests(fit, ("loadings",))
            .set_index(["lhs", "op", "rhs", "group"])
            .sort_index()[["mi", "p"]]
            for fit in (after, before)
        )
    )
    table = before.model.table
    contrasts = []
    for name in ("QUAL", "income"):
        free = (
            table.loc[
                (table["op"] == "~") & (table["rhs"] == name) & (table["lhs"] == "VAL"), "free"
            ].to_numpy(int)
            - 1
        )
        contrasts.append(np.eye(before.model.npar)[free[:1]] - np.eye(before.model.npar)[free[1:2]])
    ours, theirs = (likelihood_ratios(fit, contrasts) for fit in (after, before))
    assert theirs["d_chisq"].gt(0).all()
    same(ours, theirs)
    for method in ("satorra.bentler.2001", "satorra.2000"):
        numbers = [
            sem.difference(fit, by_region("configural", given), method)[["d_chisq", "d_df", "d_p"]]
            for fit, given in ((after, units), (before, {}))
        ]
        same(*numbers)


@pytest.mark.parametrize("units", UNITS, ids=["two", "four"])
def test_resamples_do_not_depend_on_units(units):
    before, after = (
        [data := scaled(given).dropna(), sem.fit(data, MODEL, means=True)] for given in ({}, units)
    )
    ours, theirs = (
        resampling.bootstrap(data, fit, 60, np.random.default_rng(5))
        for data, fit in (after, before)
    )
    assert (ours.status == theirs.status).all() and (theirs.status != "failed").all()
    ratio = after[1].theta / before[1].theta
    same(ours.theta / ratio, theirs.theta)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_distances_and_tests_of_the_answers_do_not_depend_on_units(factor):
    items = ["q1", "q2", "q3", "v1", "v2", "v3"]
    before, after = answers()[items], scaled({"q2": factor})[items]
    assert careless.mahalanobis(before)["mahalanobis"].notna().all()
    same(careless.mahalanobis(after), careless.mahalanobis(before))
    same(missing.littles_mcar(after).table, missing.littles_mcar(before).table)
    ours, theirs = (description.multivariate_normality(frame).table for frame in (after, before))
    assert theirs["value"].notna().all()
    same(ours[["value", "p"]], theirs[["value", "p"]])


def test_items_in_very_different_units_still_have_a_corrected_correlation():
    frame = answers()[["q1", "q2", "q3"]].dropna().assign(q1=lambda rows: 1e7 * rows["q1"])
    found = consistency.item_statistics(frame).table.set_index("item")["r_drop"]
    assert found["q1"] == pytest.approx(frame["q1"].corr(frame["q2"] + frame["q3"]))


def test_a_fit_without_standard_errors_says_so_and_is_not_trusted():
    fit = plain("fiml")
    function = fit.discrepancy()
    far = fit.theta.copy()
    far[fit.parameters["lhs"].eq("QUAL").to_numpy().nonzero()[0][1]] += (
        3  # a loading where the likelihood is no longer concave
    )
    assert not definite(function.hessian(far)) and fit.trustworthy
    found = describe(function, far, 0.0, [], fit.groups, fit.patterns, "ML", "fiml")
    assert found.converged and found.parameters["se"].isna().all() and not found.trustworthy
    assert "no standard errors" in found.warnings[-1]["en"] and "标准误" in found.warnings[-1]["zh"]
    assert "no standard errors" not in " ".join(note["en"] for note in fit.warnings)
