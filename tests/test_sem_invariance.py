"""cxlib.sem.invariance and permutation against lavaan (reference/groups.R), planted differences, and what must not matter."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from r_tables import r_table

from cxlib import sem
from cxlib.sem import invariance, permutation
from cxlib.sem.restrictions import likelihood_ratios

THREE = "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9"
FIVE = "\n".join(
    f"{name} =~ " + " + ".join(f"{name[0].upper()}{k}" for k in range(1, 6))
    for name in ("agree", "consc", "extra", "neuro", "open")
)
SYNTAX = {"hs": THREE, "bfi": FIVE, "age": FIVE, "holes": THREE}
GROUP = {"hs": "school", "bfi": "gender", "age": "age", "holes": "school"}
LEVELS = ("configural", "metric", "scalar", "strict")


@functools.cache
def table(name):
    return r_table(f"groups_{name}", keep_default_na=False, na_values=["NA"])


@functools.cache
def data(name):
    if name in ("hs", "holes"):
        return r_table("hs" if name == "hs" else "hs_missing")
    bfi = r_table("bfi")
    bfi = bfi[bfi.iloc[:, :25].notna().all(axis=1)]
    return (
        bfi.assign(age=pd.cut(bfi["age"], [0, 20, 30, 100], labels=["a", "b", "c"]).astype(str))
        if name == "age"
        else bfi
    )


@functools.cache
def ladder(name, estimator="ML"):
    return invariance.ladder(
        data(name),
        SYNTAX[name],
        GROUP[name],
        estimator=estimator,
        missing="fiml" if name == "holes" else "listwise",
    )


CASES = [
    ("hs", "ML"),
    ("hs", "MLR"),
    ("bfi", "ML"),
    ("bfi", "MLR"),
    ("age", "ML"),
    ("holes", "ML"),
    ("holes", "MLR"),
]


@pytest.mark.parametrize(("name", "estimator"), CASES)
def test_every_level_fits_as_in_lavaan(name, estimator):
    expected = table("fit")
    expected = expected[(expected["data"] == name) & (expected["estimator"] == estimator)]
    found = invariance.compare(ladder(name, estimator)).set_index("level")
    for row in expected.itertuples():
        if (column := row.measure.replace(".", "_")) in found:
            assert found.loc[row.level, column] == pytest.approx(row.value, rel=1e-6, abs=1e-8), (
                row.level,
                column,
            )
    assert {"chisq", "df", "cfi", "tli", "rmsea", "srmr", "aic", "bic"} <= {
        m.replace(".", "_") for m in expected["measure"]
    }


def test_holzinger_and_swineford_by_school():
    found = invariance.compare(ladder("hs")).set_index("level")
    assert found["chisq"].round(3).tolist() == [115.851, 124.044, 164.103, 181.511]
    assert found["df"].tolist() == [48, 54, 60, 69]


DIFFERENCES = [
    (name, estimator, method)
    for name, estimator in CASES
    for method in (["default"] if estimator == "ML" else ["satorra.bentler.2001", "satorra.2000"])
    if (name, method) != ("holes", "satorra.2000")
]  # of incomplete rows lavaan has none


@pytest.mark.parametrize(("name", "estimator", "method"), DIFFERENCES)
def test_differences_between_levels(name, estimator, method):
    expected = table("difference")
    expected = expected[
        (expected["data"] == name)
        & (expected["estimator"] == estimator)
        & (expected["method"] == method)
    ]
    found = invariance.compare(
        ladder(name, estimator), *[method] * (method != "default")
    ).set_index("level")
    assert len(expected) == 3
    for row in expected.itertuples():
        for column in ("d_chisq", "d_df", "d_p"):
            assert found.loc[row.level, column] == pytest.approx(
                getattr(row, column), rel=1e-5, abs=1e-8
            ), (row.level, column)


@pytest.mark.parametrize(("name", "estimator"), CASES)
def test_latent_means(name, estimator):
    expected = table("means")
    expected = expected[
        (expected["data"] == name) & (expected["estimator"] == estimator)
    ].set_index(["construct", "group"])
    found = invariance.latent_means(ladder(name, estimator)["scalar"]).set_index(
        ["construct", "group"]
    )
    assert set(found.index) == set(expected.index)
    for column in ("est", "se", "z", "p"):
        assert found[column].to_numpy() == pytest.approx(
            expected[column].loc[found.index].to_numpy(), rel=1e-5, abs=1e-7
        ), column


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_effect_sizes_of_latent_means(estimator):
    expected = table("means")
    expected = expected[(expected["data"] == "hs_d") & (expected["estimator"] == estimator)]
    found = invariance.latent_means(ladder("hs", estimator)["scalar"])
    assert found["d"].to_numpy() == pytest.approx(expected["est"].to_numpy(), rel=1e-6)
    assert found["d_se"].to_numpy() == pytest.approx(expected["se"].to_numpy(), rel=1e-6)


def test_latent_means_against_another_group():
    """Any group may come first; the effect size of two groups is the same either way round."""
    rows, (a, b, c) = data("age"), sorted(data("age")["age"].unique())
    turned = rows.assign(age=rows["age"].map({a: b, b: a, c: c}))
    fits = [
        ladder("age")["scalar"],
        invariance.fit_level(
            turned, sem.parse(SYNTAX["age"], means=True), "age", ("loadings", "intercepts")
        ),
    ]
    first, second = (invariance.latent_means(fit).set_index(["construct", "group"]) for fit in fits)
    for construct in fits[0].model.latent:
        assert first.loc[(construct, 1), "d"] == pytest.approx(
            -second.loc[(construct, 1), "d"], rel=1e-6
        )
        assert first.loc[(construct, 1), "d_se"] == pytest.approx(
            second.loc[(construct, 1), "d_se"], rel=1e-6
        )
        assert second.loc[(construct, 2), "d"] == pytest.approx(
            first.loc[(construct, 2), "d"] - first.loc[(construct, 1), "d"], rel=1e-6
        )


@pytest.mark.parametrize("name", ["hs", "bfi"])
@pytest.mark.parametrize("level", LEVELS[1:])
def test_score_tests(name, level):
    """Every equality that lavaan tests; the markers' too, which it has with variances fixed instead."""
    expected = table("score")
    expected = expected[(expected["data"] == name) & (expected["level"] == level)]
    found = invariance.score_tests(ladder(name)[level], ("loadings", "intercepts", "residuals"))
    found["rhs"] = found["rhs"].fillna("")
    found = found.set_index(["lhs", "op", "rhs"])
    assert set(found.index) == set(
        expected[["lhs", "op", "rhs"]].itertuples(index=False, name=None)
    )
    for row in expected.itertuples():
        assert found.loc[(row.lhs, row.op, row.rhs), "mi"] == pytest.approx(
            row.mi, rel=1e-5, abs=1e-7
        ), row
        assert found.loc[(row.lhs, row.op, row.rhs), "p"] == pytest.approx(
            row.p, rel=1e-4, abs=1e-9
        ), row


def test_the_expected_difference_is_about_what_freeing_gives():
    found = invariance.score_tests(ladder("hs")["scalar"], ("intercepts",)).iloc[0]
    assert (found["lhs"], found["op"]) == ("x3", "~1")
    model = sem.parse(THREE, means=True)
    fit = invariance.fit_level(
        data("hs"), model, "school", ("loadings", "intercepts"), {("x3", "~1", "", 1)}
    )
    freed = fit.parameter("x3", "~1", "", 1)["est"] - fit.parameter("x3", "~1", "", 0)["est"]
    assert found["epc"] == pytest.approx(freed, rel=0.1)
    assert ladder("hs")["scalar"].chisq - fit.chisq == pytest.approx(found["mi"], rel=0.1)


def test_second_order_levels_in_their_own_order():
    expected = table("second")
    found = invariance.compare(
        invariance.ladder(data("hs"), THREE + "\ng =~ visual + textual + speed", "school")
    ).set_index("level")
    assert list(found.index) == list(dict.fromkeys(expected["level"]))
    for row in expected.itertuples():
        assert found.loc[row.level, row.measure] == pytest.approx(row.value, rel=1e-6, abs=1e-8), (
            row
        )


def test_one_parameter_free_in_one_of_three_groups():
    fit = invariance.fit_level(
        data("age"),
        sem.parse(FIVE, means=True),
        "age",
        ("loadings", "intercepts"),
        {("N4", "~1", "", 1)},
    )
    value = dict(sem.fit_measures(fit).to_numpy())
    for row in table("partial").itertuples():
        assert value[row.measure] == pytest.approx(row.value, rel=1e-6), row.measure


def test_a_freed_marker_is_the_same_model_whichever_item_is_the_marker():
    """Freeing x1's loading where x1 is the marker, and where x2 is."""
    place = {("visual", "=~", "x1", 1)}
    fits = [
        invariance.fit_level(
            data("hs"), sem.parse(words, means=True), "school", ("loadings",), place
        )
        for words in (THREE, THREE.replace("x1 + x2", "NA*x1 + 1*x2"))
    ]
    assert fits[0].df == fits[1].df == 53
    assert fits[0].chisq == pytest.approx(fits[1].chisq, rel=1e-9)


def test_random_groups_fit_as_in_lavaan(monkeypatch):
    labels = table("labels").to_numpy().T
    monkeypatch.setattr(permutation, "_shuffled", lambda *_: labels)
    found = permutation.permutation(
        data("hs"), ladder("hs"), "school", len(labels), np.random.default_rng(1)
    )
    for row in table("permuted").itertuples():
        assert found.chisq.loc[row.draw - 1, row.level] == pytest.approx(row.chisq, rel=1e-7)
        assert found.cfi.loc[row.draw - 1, row.level] == pytest.approx(row.cfi, rel=1e-7)


def test_permutation_p_counts_draws_at_least_as_bad():
    found = permutation.permutation(
        data("hs"), ladder("hs"), "school", 300, np.random.default_rng(1)
    )
    change = found.chisq.diff(axis=1)
    real = invariance.compare(ladder("hs")).set_index("level")["d_chisq"]
    p = found.p.set_index("level")
    for level in LEVELS[1:]:
        assert p.loc[level, "p_permutation"] == (1 + (change[level] >= real[level]).sum()) / 301
    assert p.loc["scalar", "p_permutation"] == 1 / 301
    assert p.loc["metric", "p_permutation"] > 0.05


def test_clusters_are_kept_in_permutation():
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(40), 5)
    crossing = rng.integers(0, 2, 200)
    for draw in permutation._shuffled(crossing, cluster, 20, rng):
        assert (np.bincount(cluster, draw) == np.bincount(cluster, crossing)).all()
    whole = (np.arange(40) % 2)[cluster]
    drawn = permutation._shuffled(whole, cluster, 20, rng)
    assert all(pd.Series(draw).groupby(cluster).nunique().eq(1).all() for draw in drawn)
    assert (drawn.sum(axis=1) == whole.sum()).all() and (drawn != whole).any()


def planted(rng, n=600, loading=0.0, intercepts=(), mean=0.5):
    """Two groups, two constructs of five items each; the second group differs where it says."""
    frames = []
    for group in range(2):
        eta = rng.multivariate_normal([mean * group, 0], [[1, 0.4], [0.4, 1]], n)
        loads = np.array([[0.8] * 5, [0.8] * 5])
        loads[0, 2] -= loading * group
        x = np.hstack([eta[:, [k]] * loads[k] for k in range(2)]) + rng.normal(size=(n, 10)) * 0.6
        for item, shift in intercepts:
            x[:, item] += shift * group
        frames.append(pd.DataFrame(x, columns=[f"y{i}" for i in range(10)]).assign(g="ab"[group]))
    return pd.concat(frames, ignore_index=True)


TWO = "A =~ y0 + y1 + y2 + y3 + y4\nB =~ y5 + y6 + y7 + y8 + y9"


@pytest.mark.parametrize("seed", range(3))
def test_planted_differences_are_found_and_only_those(seed):
    """One loading (and with it its intercept) and two intercepts."""
    rows = planted(np.random.default_rng([7, seed]), loading=0.35, intercepts=((4, 0.5), (7, -0.5)))
    fits, freed, steps = invariance.partial(rows, TWO, "g", criterion="chisq")
    assert freed == {
        ("A", "=~", "y2", 1),
        ("y2", "~1", "", 1),
        ("y4", "~1", "", 1),
        ("y7", "~1", "", 1),
    }
    assert list(fits) == list(LEVELS)
    assert steps["outcome"].iloc[-1] == "holds"
    means = invariance.latent_means(fits["scalar"])
    assert (np.abs(means["d"] - [0.5, 0.0]) < 4 * means["d_se"]).all()


def test_nothing_is_freed_where_nothing_differs():
    _, freed, steps = invariance.partial(
        planted(np.random.default_rng(11)), TWO, "g", criterion="chisq"
    )
    assert not freed
    assert steps["outcome"].tolist() == ["holds"] * 4
    assert steps["step"].tolist() == [0] * 4


def test_a_marker_that_differs_is_found():
    rows = planted(np.random.default_rng(3))
    rows.loc[rows["g"] == "b", "y5"] += 0.6
    assert invariance.partial(rows, TWO, "g", criterion="chisq")[1] == {("y5", "~1", "", 1)}


def test_the_search_stops_where_a_construct_would_lose_its_anchors():
    rows = planted(np.random.default_rng(3), intercepts=((0, 1.0), (1, 0.4), (2, -0.6), (3, -1.2)))
    fits, freed, steps = invariance.partial(rows, TWO, "g", criterion="chisq")
    assert sum(op == "~1" and item in {f"y{i}" for i in range(5)} for item, op, _, _ in freed) == 3
    assert steps["outcome"].iloc[-1] in ("no anchors left", "no significant score test")
    assert list(fits)[-1] == "scalar"


def test_known_fits_are_used():
    fits = ladder("hs")
    found, _, steps = invariance.partial(data("hs"), THREE, "school", criterion="chisq", known=fits)
    alone, _, same = invariance.partial(data("hs"), THREE, "school", criterion="chisq")
    assert found["metric"] is fits["metric"] and found["scalar"] is not fits["scalar"]
    pd.testing.assert_frame_equal(steps, same, rtol=1e-7)
    assert list(alone) == list(found)


@settings(derandomize=True, deadline=None, max_examples=4)
@given(st.permutations(range(9)), st.sampled_from(["school", "swapped"]))
def test_order_of_items_and_names_of_groups_do_not_matter(order, group):
    lines = {"visual": [], "textual": [], "speed": []}
    for at in order:
        lines[("visual", "textual", "speed")[at // 3]].append(f"x{at + 1}")
    words = "\n".join(f"{name} =~ " + " + ".join(items) for name, items in lines.items())
    rows = data("hs").assign(swapped=data("hs")["school"].map({"Pasteur": "a", "Grant-White": "b"}))
    found = invariance.compare(invariance.ladder(rows, words, group))
    assert found["chisq"].to_numpy() == pytest.approx(
        invariance.compare(ladder("hs"))["chisq"].to_numpy(), rel=1e-8
    )


@settings(derandomize=True, deadline=None, max_examples=3)
@given(st.floats(0.05, 50), st.floats(-100, 100))
def test_units_and_origins_of_items_do_not_matter(scale, origin):
    rows = data("hs").assign(x2=data("hs")["x2"] * scale + origin, x9=data("hs")["x9"] * -scale)
    fits = invariance.ladder(rows, THREE, "school")
    assert invariance.compare(fits)["chisq"].to_numpy() == pytest.approx(
        invariance.compare(ladder("hs"))["chisq"].to_numpy(), rel=1e-7
    )
    scores = invariance.score_tests(fits["scalar"]).set_index(["op", "lhs", "rhs"])["mi"]
    same = invariance.score_tests(ladder("hs")["scalar"]).set_index(["op", "lhs", "rhs"])["mi"]
    assert scores.loc[same.index].to_numpy() == pytest.approx(same.to_numpy(), rel=1e-5, abs=1e-7)
    assert invariance.latent_means(fits["scalar"])["d"].to_numpy() == pytest.approx(
        invariance.latent_means(ladder("hs")["scalar"])["d"].to_numpy(), rel=1e-5, abs=1e-8
    )


# ordinal items (reference/groups_ordinal.R) ------------------------------------------------------------

ORDINAL = {
    "hs": (THREE, "school"),
    "bfi": ("\n".join(FIVE.splitlines()[:2]), "gender"),
    "age": ("\n".join(FIVE.splitlines()[:2]), "age"),
}
STEPS = ("configural", "thresholds", "metric", "scalar", "strict")


@functools.cache
def answers(name):
    if name == "hs":
        return r_table("ordinal_hs").assign(school=data("hs")["school"])
    bfi = r_table("bfi")
    bfi = bfi[bfi.iloc[:, :10].notna().all(axis=1)]
    return bfi.assign(age=pd.cut(bfi["age"], [0, 20, 30, 100], labels=["a", "b", "c"]).astype(str))


@functools.cache
def climbed(name):
    return invariance.ladder(answers(name), *ORDINAL[name], estimator="WLSMV")


def ordinal(kind, name, level):
    rows = table(f"ordinal_{kind}")
    return rows[(rows["data"] == name) & (rows["level"] == level)]


LEVELS_OF = [(name, level) for name in ORDINAL for level in STEPS]


@pytest.mark.parametrize(("name", "level"), LEVELS_OF)
def test_measures_of_ordinal_levels(name, level):
    """All that lavaan has; it leaves out nfi and rfi where the baseline has fewer degrees of freedom than the model."""
    fit = climbed(name)[level]
    found, met = sem.fit_measures(fit).set_index("measure")["value"], set()
    for row in ordinal("fit", name, level).itertuples():
        measure = row.measure.replace(".", "_")
        if measure in found and not (
            np.isnan(row.value) and measure[:3] in ("nfi", "rfi") and fit.df > found["baseline_df"]
        ):
            met.add(measure)
            assert found[measure] == pytest.approx(row.value, rel=1e-6, abs=1e-8, nan_ok=True), (
                measure
            )
    assert met | {"n", "nfi", "rfi", "nfi_scaled", "rfi_scaled"} == set(found.index)
    assert np.isfinite(found["cfi_robust"]) == (level == "configural")


@pytest.mark.parametrize(("name", "level"), [case for case in LEVELS_OF if case[1] != "strict"])
def test_estimates_of_ordinal_levels(name, level):
    """lavaan's strict level is in another parameterisation (theta), its intercepts and means of 0 are not parameters here."""
    fit, seen = climbed(name)[level], 0
    rows = ordinal("parameters", name, level)
    for row in rows[(rows["op"] != "~*~") & ((rows["op"] != "~1") | (rows["se"] > 0))].itertuples():
        found = fit.parameter(row.lhs, row.op, row.rhs, row.group - 1)
        assert found["est"] == pytest.approx(row.est, abs=2e-7), row
        assert found["std"] == pytest.approx(row[-1], abs=2e-7), row
        if row.se > 0:
            assert found["se"] == pytest.approx(row.se, rel=1e-6), row
            seen += 1
    assert seen == rows.query("se > 0 and op != '~*~'").shape[0] > 50


@pytest.mark.parametrize("level", ["thresholds", "metric", "scalar"])
def test_scales_of_the_responses(level):
    """lavaan's ``~*~`` is 1/sd of the response, here a function of the parameters."""
    fit = climbed("hs")[level]
    function, rows = (
        fit.discrepancy(),
        ordinal("parameters", "hs", level).query("op == '~*~' and se > 0"),
    )
    variance, slope = (
        np.diag(function.point(fit.theta, 1).sigma),
        np.diagonal(function.jacobian(fit.theta, 1)[0], axis1=1, axis2=2),
    )
    slope = -slope / variance**1.5 / 2
    assert len(rows) == 9
    for row in rows.itertuples():
        at = fit.model.observed.index(row.lhs)
        assert variance[at] ** -0.5 == pytest.approx(row.est, rel=1e-6)
        assert np.sqrt(slope[:, at] @ fit.vcov @ slope[:, at]) == pytest.approx(row.se, rel=1e-6)


@pytest.mark.parametrize("name", ORDINAL)
def test_differences_between_ordinal_levels(name):
    found = invariance.compare(climbed(name)).set_index("level")
    for level in STEPS[1:]:
        for column in ("d_chisq", "d_df", "d_p"):
            assert found.loc[level, column] == pytest.approx(
                ordinal("difference", name, level)[column].item(), rel=1e-6, abs=1e-10
            ), level
    for level in STEPS:
        expected = ordinal("fit", name, level).set_index("measure")["value"]
        for measure in ("chisq", "pvalue", "cfi", "tli", "rmsea"):
            assert found.loc[level, measure] == pytest.approx(
                expected[f"{measure}.scaled"], rel=1e-6, abs=1e-8
            )
    assert found["d_cfi"].iloc[1] == pytest.approx(found["cfi"].iloc[1] - found["cfi"].iloc[0])
    assert found[["aic", "bic"]].isna().all(axis=None) and np.isfinite(
        found.drop(columns=["aic", "bic"]).iloc[1:]
    ).all(axis=None)


NESTED = {
    "loadings": (
        "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6",
        "visual =~ x1 + a*x2 + a*x3\ntextual =~ x4 + b*x5 + b*x6",
    ),
    "residual": (
        "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nx1 ~~ x4",
        "textual =~ x4 + x5 + x6\nvisual =~ x1 + x2 + x3",
    ),
    "path": (
        THREE + "\ntextual ~ visual\nspeed ~ visual + textual",
        THREE + "\ntextual ~ visual\nspeed ~ textual",
    ),
}


@pytest.mark.parametrize("name", NESTED)
def test_difference_of_ordinal_models_of_one_group(name):
    """In "residual" the items of the two models stand in another order."""
    large, small = (sem.fit(answers("hs"), syntax, estimator="WLSMV") for syntax in NESTED[name])
    found = sem.difference(small, large).iloc[0]
    assert found["method"] == "satorra.2000"
    for column in ("d_chisq", "d_df", "d_p"):
        assert found[column] == pytest.approx(
            ordinal("difference", "one", name)[column].item(), rel=1e-6
        ), column


def test_the_configural_level_is_each_group_alone():
    fit = climbed("hs")["configural"]
    alone = [sem.fit(part, THREE, estimator="WLSMV") for _, part in answers("hs").groupby("school")]
    assert fit.chisq == pytest.approx(sum(one.chisq for one in alone), rel=1e-9)
    assert fit.df == sum(one.df for one in alone)
    for g, one in enumerate(alone):
        for row in one.parameters.itertuples():
            assert fit.parameter(row.lhs, row.op, row.rhs, g)["est"] == pytest.approx(
                row.est, abs=1e-7
            )


def test_thresholds_of_three_categories_cannot_be_tested():
    """Two thresholds an item are one place and one scale: the same fit, and no test."""
    rows = answers("hs")[["x1", "x2", "x3", "school"]]
    found = invariance.compare(
        invariance.ladder(
            rows.assign(x4=pd.cut(answers("hs")["x4"], [0, 2, 3, 9], labels=False)),
            "f =~ x1 + x2 + x3 + x4",
            "school",
            estimator="WLSMV",
        )
    )
    assert found["df"].tolist() == [4, 4, 7, 10, 14]
    assert found["chisq"].iloc[1] == pytest.approx(found["chisq"].iloc[0], rel=1e-6)
    assert np.isnan(found["d_chisq"].iloc[1]) and found["d_cfi"].iloc[1] == pytest.approx(
        0, abs=1e-9
    )


@pytest.mark.parametrize("level", ["thresholds", "scalar", "strict"])
def test_derivatives_of_ordinal_levels_are_the_numeric_ones(level):
    fit = climbed("hs")[level]
    function = fit.discrepancy().reduced()
    best = fit.theta[fit.discrepancy().rest]
    assert np.abs(function.gradient(best)).max() < 1e-7
    theta, step = 1.02 * best + 0.01, 1e-5 * np.eye(len(best))
    slope = [(function.value(theta + h) - function.value(theta - h)) / 2e-5 for h in step]
    curve = [(function.gradient(theta + h) - function.gradient(theta - h)) / 2e-5 for h in step]
    np.testing.assert_allclose(function.gradient(theta), slope, atol=1e-6)
    np.testing.assert_allclose(function.hessian(theta), curve, rtol=1e-6, atol=1e-6)


def cut(rows, places=((-1, 0, 1),)):
    """The planted items in categories, each item of group b at its own places if there are more."""
    out = {}
    for at, item in enumerate(
        TWO.replace("A =~ ", "").replace("B =~ ", "").replace("\n", " + ").split(" + ")
    ):
        bounds = {"a": places[0], "b": places[-1] if at in (1, 6) else places[0]}
        out[item] = [
            int(np.digitize(x, bounds[g])) for x, g in zip(rows[item], rows["g"], strict=True)
        ]
    return pd.DataFrame(out).assign(g=rows["g"])


@pytest.mark.slow
def test_planted_ordinal_differences_are_found_at_their_level():
    rows = planted(np.random.default_rng(5), n=800, mean=0.5)
    fits = invariance.ladder(cut(rows), TWO, "g", estimator="WLSMV")
    found = invariance.compare(fits).set_index("level")
    assert (found["d_p"].iloc[1:] > 0.01).all()
    means = invariance.latent_means(fits["scalar"])
    assert (np.abs(means["d"] - [0.5, 0.0]) < 4 * means["d_se"]).all() and means["d_se"].max() < 0.1
    other = invariance.compare(
        invariance.ladder(cut(rows, ((-1, 0, 1), (-1, 0.6, 1))), TWO, "g", estimator="WLSMV")
    ).set_index("level")
    assert other.loc["thresholds", "d_p"] < 1e-6
    shifted = planted(np.random.default_rng(5), n=800, intercepts=((4, 0.6),))
    found = invariance.compare(
        invariance.ladder(cut(shifted), TWO, "g", estimator="WLSMV")
    ).set_index("level")
    assert (
        found.loc["scalar", "d_p"] < 1e-6
        and found.loc[["thresholds", "metric"], "d_p"].min() > 0.001
    )


def test_nothing_is_freed_in_ordinal_groups():
    fits, freed, steps = invariance.partial(
        answers("hs"), *ORDINAL["hs"], estimator="WLSMV", known=climbed("hs")
    )
    assert not freed and list(fits) == ["configural", "thresholds", "metric", "scalar"]
    assert steps["outcome"].tolist() == ["holds", "holds", "holds", "not searched"]


def test_a_path_of_ordinal_groups_is_tested_as_in_lavaan():
    model = sem.parse(THREE + "\ntextual ~ visual\nspeed ~ visual", means=True)
    fit = invariance.fit_level(answers("hs"), model, "school", ("loadings",), estimator="WLSMV")
    contrast = np.zeros((1, fit.model.npar))
    contrast[0, fit.model.table.query("op == '~' and lhs == 'speed'")["free"] - 1] = 1, -1
    found = likelihood_ratios(fit, [contrast]).iloc[0]
    for column in ("d_chisq", "d_df", "d_p"):
        assert found[column] == pytest.approx(
            ordinal("difference", "hs", "path")[column].item(), rel=1e-6
        ), column


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda rows: rows.assign(
                x7=rows["x7"].where(rows["school"] != "Pasteur", rows["x7"].clip(upper=4))
            ),
            "Nobody in group 'Pasteur' gave the answer 5 to 'x7', which others gave.*Merge that answer with the next one in all groups",
        ),
        (
            lambda rows: rows.assign(x1=(rows["x1"] > 1).astype(int)),
            "Item 'x1' has two categories.*Leave such items out",
        ),
        (
            lambda rows: rows.assign(x5=rows["x4"].where(rows["school"] == "Pasteur", rows["x5"])),
            "perfect order in group 'Pasteur'",
        ),
    ],
)
def test_ordinal_items_that_cannot_be_compared(change, words):
    with pytest.raises(sem.DataError, match=words):
        invariance.ladder(change(answers("hs")), *ORDINAL["hs"], estimator="WLSMV")


def test_ordinal_models_of_several_groups_that_cannot_be_used():
    with pytest.raises(sem.ModelError, match="has 2 groups but the data have 3"):
        sem.fit(
            answers("age"),
            sem.model.replicate(sem.parse(ORDINAL["age"][0]), 2),
            group="age",
            estimator="WLSMV",
        )
    with pytest.raises(sem.DataError, match="'scool', which is not a column"):
        sem.fit(answers("hs"), THREE, group="scool", estimator="WLSMV")
    with pytest.raises(sem.ModelError, match="fixes or labels the variance of 'x1'"):
        sem.fit(answers("hs"), THREE + "\nx1 ~~ e*x1", group="school", estimator="WLSMV")


def test_what_is_refused():
    with pytest.raises(sem.ModelError, match="means=True"):
        invariance.constrain(sem.parse(THREE), 2, ("loadings",))
    with pytest.raises(sem.ModelError, match="scalar level"):
        invariance.latent_means(ladder("hs")["metric"])
    with pytest.raises(ValueError, match="criterion='cfi'"):
        invariance.holds({"d_cfi": 0.0, "d_rmsea": 0.0, "d_p": 1.0}, "cfi")
    with pytest.raises(ValueError, match="listwise"):
        permutation.permutation(
            data("holes"), ladder("holes"), "school", 10, np.random.default_rng(1)
        )
