"""Bad and tiny data through the stages: a result with its warning or a refusal with its reason, and no silent gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from planted import a_study, exact

from cxlib.core.result import Result
from cxlib.stages import factors, reliability
from cxlib.stages.groups import groups, moderation
from cxlib.stages.measurement import discriminant, measurement
from cxlib.stages.structure import structure
from cxlib.study.schema import Study

ESTIMATORS = (
    ("ML", "listwise"),
    ("MLR", "listwise"),
    ("WLSMV", "listwise"),
    ("ML", "fiml"),
    ("MLR", "fiml"),
    ("WLSMV", "pairwise"),
)


def answers(
    rng: np.random.Generator, scales: dict[str, list[str]], n: int, loading: float = 0.7
) -> pd.DataFrame:
    """Answers from 1 to 5 to items of constructs that correlate .5."""
    common = rng.normal(size=(n, 1)) * np.sqrt(0.5) + rng.normal(size=(n, len(scales))) * np.sqrt(
        0.5
    )
    out = {
        item: loading * common[:, at] + np.sqrt(1 - loading**2) * rng.normal(size=n)
        for at, items in enumerate(scales.values())
        for item in items
    }
    return pd.DataFrame(out).mul(1.1).add(3).round().clip(1, 5)


def gaps(result: Result) -> list[str]:
    """The rows with an empty number that no warning explains; a parameter may be said to be fixed instead."""
    table, said = result.table, " ".join(words["en"] for words in (result.text, *result.warnings))
    empty = table[table.select_dtypes("number").isna().any(axis=1)]
    if "op" in table and " fixed" in result.text["en"]:
        empty = empty[empty[["est", "std"]].isna().any(axis=1)]
    if any(doubt in said for doubt in ("hardly determine the model", "found no optimum")):
        return []  # said of the whole model
    if not result.warnings:
        return [str(row) for row in empty.to_numpy()]
    named = [name for name in ("construct", "item") if name in table]
    return [
        str(row)
        for row in empty[named].astype(str).to_numpy()
        if named and not any(code in said for code in row)
    ]


def a_grouped(scales: dict[str, list[str]]) -> Study:
    """A study of these scales with a column of groups, each construct regressed on the one before."""
    codes = list(scales)
    paths = "\n".join(f"{b} ~ {a}" for a, b in pairwise(codes)) or f"{codes[0]} ~~ {codes[0]}"
    return a_study(
        scales, columns={"half": {"kind": "category", "group": True}}, models={"main": paths}
    )


def results(call: Callable[[], object]) -> list[Result]:
    """What a stage gives, or nothing if it refuses in words."""
    try:
        made = call()
    except ValueError as error:
        assert not isinstance(error, (np.linalg.LinAlgError, UnicodeError))
        assert len(str(error)) > 30 and str(error).rstrip()[-1] in ".)", str(error)
        return []
    return [made] if isinstance(made, Result) else made


def of_reliability(data: pd.DataFrame, study: Study) -> Iterator[Callable]:
    for stage in (
        reliability.reliability,
        reliability.ordinal_reliability,
        reliability.item_reliability,
    ):
        yield lambda stage=stage: stage(data, study)


def of_factors(data: pd.DataFrame, study: Study) -> Iterator[Callable]:
    yield lambda: factors.factorability(data, study)
    yield lambda: factors.factor_number(data, study, np.random.default_rng(1), draws=5)
    for method, rotation, correlation in (
        ("minres", "oblimin", "pearson"),
        ("ml", "promax", "pearson"),
        ("pa", "varimax", "pearson"),
        ("minres", "oblimin", "polychoric"),
    ):
        yield lambda m=method, r=rotation, c=correlation: factors.loadings(
            data, study, method=m, rotation=r, correlation=c
        )


def of_measurement(
    data: pd.DataFrame, study: Study, estimator: str, missing: str
) -> Iterator[Callable]:
    def described() -> list[Result]:
        fit = measurement.cfa(data, study, "main", estimator, missing)
        made = [
            stage(fit)
            for stage in (
                measurement.fit_table,
                measurement.parameters,
                measurement.loadings,
                measurement.fornell_larcker,
                measurement.residuals,
                measurement.modification,
            )
        ]
        return [
            *made,
            *results(lambda: measurement.validity(data, study, fit)),
            *results(lambda: measurement.method_bias(fit)),
        ]

    yield described
    yield lambda: discriminant.htmt(data, study)
    yield lambda: discriminant.htmt_intervals(data, study, np.random.default_rng(1), draws=20)


def of_structure(
    data: pd.DataFrame, study: Study, estimator: str, missing: str
) -> Iterator[Callable]:
    def described() -> list[Result]:
        fits = structure.fit_models(data, study, estimator, missing)
        main = fits["main"]
        return [
            structure.status(fits),
            structure.fit_table(main),
            structure.parameters(main, study),
            structure.r2(main, study),
            structure.f2(main, study),
            structure.compare(fits, study),
        ]

    yield described


def of_groups(data: pd.DataFrame, study: Study) -> Iterator[Callable]:
    data = data.assign(half=np.where(np.arange(len(data)) % 2, "a", "b"))
    compared = groups.compare(data, study, "half")
    yield lambda: groups.sizes(compared)
    for estimator, missing in (("ML", "listwise"), ("MLR", "fiml"), ("WLSMV", "listwise")):

        def climbed(e: str = estimator, m: str = missing) -> list[Result]:
            ladder = groups.ladder(compared, estimator=e, missing=m)
            return [
                groups.invariance(ladder),
                groups.partial_invariance(ladder),
                groups.latent_means(ladder),
            ]

        yield climbed
    yield lambda: moderation.group_means(compared)
    yield lambda: moderation.mean_tests(compared)


FEW = settings(
    derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate)
)  # shrinking would refit for minutes


@st.composite
def surveys(draw: st.DrawFn, most: int = 80) -> tuple[pd.DataFrame, Study]:
    """A few scales of a few items, answered by few, spoilt in one of the ways that surveys are."""
    scales = {
        code: [f"{code}{i + 1}" for i in range(draw(st.integers(1, 4)))]
        for code in "ABCD"[: draw(st.integers(1, 4))]
    }
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    data = answers(rng, scales, draw(st.integers(5, most)), draw(st.sampled_from([0.3, 0.7, 0.95])))
    first, last = data.columns[0], data.columns[-1]
    spoilt = draw(
        st.sampled_from(
            ["no", "constant", "copy", "near copy", "empty category", "unanswered", "0.1", "0.4"]
        )
    )
    match spoilt:
        case "constant":
            data[first] = 3.0
        case "copy":
            data[last] = data[first]
        case "near copy":
            data[last] = data[first].where(np.arange(len(data)) > 0, 6 - data[first])
        case "empty category":
            data[first] = data[first].replace(3, 4)
        case "unanswered":
            data[last] = np.nan
        case "0.1" | "0.4":
            data = data.mask(rng.random(data.shape) < float(spoilt))
    return data, a_grouped(scales)


def every_result_speaks(stage: Callable, data: pd.DataFrame, study: Study, *how: str) -> None:
    for call in stage(data, study, *how):
        for result in results(call):
            assert not gaps(result), result
            assert all(
                words[language].strip()
                for words in (result.text, *result.warnings)
                for language in ("en", "zh")
            )


@pytest.mark.slow
@settings(FEW, max_examples=12)
@given(surveys())
def test_reliability_and_factors_of_small_surveys_give_a_result_or_a_reason(survey):
    every_result_speaks(of_reliability, *survey)
    every_result_speaks(of_factors, *survey)


@pytest.mark.slow
@settings(FEW, max_examples=24)
@given(surveys(), st.sampled_from(ESTIMATORS))
def test_measurement_of_small_surveys_gives_a_result_or_a_reason(survey, how):
    every_result_speaks(of_measurement, *survey, *how)


@pytest.mark.slow
@settings(FEW, max_examples=24)
@given(surveys(), st.sampled_from(ESTIMATORS))
def test_structure_of_small_surveys_gives_a_result_or_a_reason(survey, how):
    every_result_speaks(of_structure, *survey, *how)


@pytest.mark.slow
@settings(FEW, max_examples=8)
@given(surveys(most=320))
def test_groups_of_small_surveys_give_a_result_or_a_reason(survey):
    every_result_speaks(of_groups, *survey)


# What a reviewer would try -------------------------------------------------------------------------------------------------

THREE = {code: [f"{code}{i}" for i in (1, 2, 3)] for code in "ABC"}
NORMAL = [pair for pair in ESTIMATORS if pair[0] != "WLSMV"]
ORDINAL = [pair for pair in ESTIMATORS if pair[0] == "WLSMV"]


def plain(n: int = 300, seed: int = 4) -> pd.DataFrame:
    return answers(np.random.default_rng(seed), THREE, n)


def told(result: object) -> str:
    return " ".join(words["en"] for words in result.warnings)


def refused(stage: Callable, *arguments: object) -> str:
    with pytest.raises(ValueError) as error:
        stage(*arguments)
    return str(error.value)


@pytest.mark.parametrize(("estimator", "missing"), NORMAL)
def test_a_heywood_case_is_called_improper_in_every_stage(estimator, missing):
    study = a_study({"A": THREE["A"]})
    data = exact(np.array([[1, 0.8, 0.7], [0.8, 1, 0.5], [0.7, 0.5, 1]])).set_axis(
        THREE["A"], axis=1
    )
    fit = measurement.cfa(data, study, "main", estimator, missing)
    assert not fit.proper and "A1 is estimated negative" in told(fit) and "improper" in told(fit)
    for result in (
        measurement.fit_table(fit),
        measurement.parameters(fit),
        measurement.loadings(fit),
        measurement.validity(data, study, fit),
    ):
        assert "improper" in told(result)
    assert "Heywood" in told(factors.loadings(data, study)) and "improper" in told(
        reliability.reliability(data, study)
    )


def test_a_heywood_case_of_ordinal_answers_is_called_improper():
    rows = exact(np.array([[1, 0.8, 0.7], [0.8, 1, 0.5], [0.7, 0.5, 1]]), 2000).set_axis(
        THREE["A"], axis=1
    )
    data = rows.apply(lambda x: np.digitize(x, [-1, 0, 1]) + 1.0)
    fit = measurement.cfa(data, a_study({"A": THREE["A"]}), "main", "WLSMV")
    assert not fit.proper and "improper" in told(fit)


@pytest.mark.parametrize(("estimator", "missing"), ESTIMATORS)
def test_a_model_that_is_not_identified_is_refused(estimator, missing):
    said = refused(
        measurement.cfa, plain(), a_study({"A": ["A1", "A2"]}), "main", estimator, missing
    )
    assert "free numbers" in said and "Remove paths" in said


@pytest.mark.parametrize(("estimator", "missing"), NORMAL)
def test_a_model_that_the_data_do_not_identify_has_no_standard_errors(estimator, missing):
    cov = np.eye(4)
    cov[0, 1] = cov[1, 0] = cov[2, 3] = cov[3, 2] = 0.5
    study = a_study({"A": ["A1", "A2"], "B": ["B1", "B2"]})
    fit = measurement.cfa(
        exact(cov).set_axis(["A1", "A2", "B1", "B2"], axis=1), study, "main", estimator, missing
    )
    assert (
        "hardly determine" in told(fit)
        and fit.parameters["se"].isna().all()
        and not fit.trustworthy
    )


def test_a_category_that_nobody_chose_is_told_where_categories_count():
    data, study = plain().replace({"A1": {3: 4}}), a_study(THREE)
    for estimator, missing in ORDINAL:
        assert "Nobody used 3 of item A1" in told(
            measurement.cfa(data, study, "main", estimator, missing)
        )
    assert "Nobody used 3 of item A1" in told(
        factors.loadings(data, study, correlation="polychoric")
    )
    for estimator, missing in NORMAL:
        assert measurement.cfa(data, study, "main", estimator, missing).trustworthy


def test_a_category_that_one_half_lacks_concerns_that_half_only():
    data, study = plain(400), a_study(THREE)
    data["A1"] = data["A1"].replace(3, 4)
    half, other, _ = factors.split(data, study, np.random.default_rng(1))
    half = half.assign(A1=half["A1"].where(np.arange(len(half)) > 5, 3))
    assert "Nobody" not in told(factors.loadings(half, study, correlation="polychoric"))
    fit = measurement.cfa(other, study, "main", "WLSMV")
    assert "Nobody used 3 of item A1" in told(fit) and fit.converged
    assert measurement.cfa(other, study).trustworthy


def test_a_group_that_lacks_a_category_has_no_thresholds_to_compare_and_says_so():
    study = a_grouped(THREE)
    data = plain(400).assign(half=np.where(np.arange(400) % 2, "a", "b"))
    data.loc[data["half"] == "a", "A1"] = data.loc[data["half"] == "a", "A1"].replace(3, 4)
    compared = groups.compare(data, study, "half")
    said = groups.invariance(groups.ladder(compared, estimator="WLSMV")).text["en"]
    assert "3 to A1 in group 'a'" in said and "MLR" in said
    assert len(groups.invariance(groups.ladder(compared, estimator="MLR")).table) == 4


def test_a_construct_of_one_item_has_no_reliability_and_says_so():
    scales = {"A": THREE["A"], "B": ["B1"]}
    data, study = plain(), a_study(scales)
    assert "A single item (B1)" in told(reliability.reliability(data, study))
    fit = measurement.cfa(data, study)
    assert "B has one item" in told(measurement.validity(data, study, fit))
    assert "factors=2 is not possible with 4 items" in refused(factors.loadings, data, study)


def test_near_duplicates_are_named():
    data = plain().assign(
        A2=lambda x: x["A1"].where(x.index > 0, 6 - x["A1"]).where(x.index > 1, x["A1"] % 5 + 1)
    )
    study = a_study(THREE)
    for result in (
        reliability.reliability(data, study),
        factors.factorability(data, study),
        factors.loadings(data, study),
    ):
        assert "Nearly the same answers" in told(result) and "A1 – A2" in told(result)
    assert "improper" in told(measurement.cfa(data, study))
    copy = data.assign(A2=data["A1"])
    for estimator, missing in ESTIMATORS:
        assert (
            "'A1' and 'A2'"
            in (said := refused(measurement.cfa, copy, study, "main", estimator, missing))
            or "A1, A2" in said
        )


def test_forty_percent_missing_is_refused_listwise_and_used_otherwise():
    data, study = plain().mask(np.random.default_rng(4).random((300, 9)) < 0.4), a_study(THREE)
    for estimator in ("ML", "MLR"):
        assert "complete rows for 9 variables" in refused(
            measurement.cfa, data, study, "main", estimator
        )
        fit = measurement.cfa(data, study, "main", estimator, "fiml")
        assert fit.n_used > 290 and fit.trustworthy and "missing at random" in told(fit)
    assert "pairwise" in told(measurement.cfa(data, study, "main", "WLSMV", "pairwise"))
    assert "rows are complete, for 9 items" in refused(factors.loadings, data, study)
    assert "A row with a missing answer is left out of that scale" in told(
        reliability.reliability(data, study)
    )


@pytest.mark.parametrize(("estimator", "missing"), ESTIMATORS)
def test_sixty_respondents_give_a_result(estimator, missing):
    data, study = plain(60, 2), a_study(THREE)
    fit = measurement.cfa(data, study, "main", estimator, missing)
    assert fit.n_used == 60 and fit.converged
    assert not gaps(measurement.fit_table(fit)) and not gaps(measurement.validity(data, study, fit))


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_sixty_respondents_with_forty_percent_missing_are_refused(estimator):
    data = plain(60, 2).mask(np.random.default_rng(1).random((60, 9)) < 0.4)
    for missing in ("listwise", "fiml"):
        assert "rows" in refused(measurement.cfa, data, a_study(THREE), "main", estimator, missing)
