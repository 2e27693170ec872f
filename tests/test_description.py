"""Items, profile, normality, scores, correlations, recommendation: R's numbers, closed forms, and what must not happen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from r_tables import r_table
from survey import reference, write

from cxlib.responses import reading
from cxlib.stages.description import description
from cxlib.study.schema import load

HS = {"visual": ["x1", "x2", "x3"], "textual": ["x4", "x5", "x6"], "speed": ["x7", "x8", "x9"]}
BFI = {code: [f"{code}{i}" for i in range(1, 6)] for code in "ACENO"}


@pytest.fixture(scope="module")
def surveys(tmp_path_factory):
    """The data sets of the R script as studies."""
    ecsi = load("ecsi")
    made = {"ecsi": (reading.read(ecsi).frame, ecsi)}
    for name, scales, scale in (("hs", HS, [0, 10]), ("bfi", BFI, [1, 6])):
        columns = (
            {
                "sex": {
                    "kind": "category",
                    "levels": {1: "one", 2: "two"},
                    "quota": {1: 50, 2: 50},
                },
                "school": {"kind": "category", "group": True},
            }
            if name == "hs"
            else {}
        )
        study = write(tmp_path_factory.mktemp(name), scales, scale=scale, columns=columns)
        frame = r_table(f"{name}")
        made[name] = frame.assign(sex=frame["sex"].astype(str)) if name == "hs" else frame, study
    return made


@pytest.mark.parametrize("name", ["ecsi", "hs", "bfi"])
def test_items_are_those_of_psych(surveys, name):
    table = description.items(*surveys[name]).table.set_index("item")
    wanted = reference("description_items").query("set == @name").set_index("item")
    for column in ("n", "mean", "sd", "skew", "kurtosis"):
        np.testing.assert_allclose(
            table.loc[wanted.index, column], wanted[column], rtol=1e-10, atol=1e-11
        )


def test_floor_and_ceiling_are_shares_at_the_declared_ends(tmp_path):
    study = write(tmp_path, {"A": ["a1", "a2"]}, scale=[1, 5])
    data = pd.DataFrame({"a1": [1, 5, 5, 3, np.nan], "a2": [2.0, 3, 4, 4, 3]})
    table = description.items(data, study).table
    assert table["floor"].tolist() == [0.25, 0] and table["ceiling"].tolist() == [0.5, 0]
    assert table["n"].tolist() == [4, 5] and table["missing"].tolist() == [1, 0]


def test_an_item_without_spread_is_named_not_hidden(tmp_path):
    study = write(tmp_path, {"A": ["a1", "a2"]})
    result = description.items(pd.DataFrame({"a1": [3.0, 3, 3], "a2": [1.0, 2, 3]}), study)
    assert np.isnan(result.table.loc[0, "skew"]) and result.table.loc[0, "sd"] == 0
    assert "a1" in result.warnings[0]["en"] and "a1" in result.warnings[0]["zh"]


@given(st.lists(st.integers(1, 7), min_size=5, max_size=40).filter(lambda x: len(set(x)) > 1))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_reversal_turns_the_skew_and_swaps_the_ends(surveys, answers):
    study = surveys["hs"][1].model_copy(update={"scale": (1.0, 7.0)})
    x = pd.DataFrame({"x1": np.array(answers, float), "x2": 8 - np.array(answers, float)})
    one, other = description.items(x, study).table.to_dict("records")
    assert one["skew"] == pytest.approx(-other["skew"], abs=1e-9) and one[
        "kurtosis"
    ] == pytest.approx(other["kurtosis"], abs=1e-9)
    assert (one["floor"], one["ceiling"]) == (other["ceiling"], other["floor"])


@pytest.mark.parametrize("name", ["ecsi", "hs", "bfi"])
def test_multivariate_normality_is_that_of_psych(surveys, name):
    data, study = surveys[name]
    result = description.multivariate_normality(data[list(study.items)])
    table = result.table.set_index("statistic")
    wanted = reference("description_normality").set_index("set").loc[name]
    assert result.n_used == wanted["n"]
    found = [
        *table.loc["mardia_skew", ["value", "test", "p"]],
        *table.loc["mardia_kurtosis", ["value", "test", "p"]],
    ]
    np.testing.assert_allclose(
        found,
        wanted[["b1p", "chisq", "p_skew", "b2p", "z", "p_kurtosis"]].astype(float),
        rtol=1e-8,
        atol=1e-12,
    )
    if name != "bfi":
        np.testing.assert_allclose(
            table.loc["henze_zirkler", ["value", "p"]].astype(float),
            wanted[["hz", "p_hz"]].astype(float),
            rtol=1e-9,
            atol=1e-12,
        )
    else:
        assert f"{len(data) - 2436} of 2,800" in result.warnings[0]["en"]


def test_normality_does_not_depend_on_scale_or_order(surveys):
    frame = surveys["hs"][0][[item for items in HS.values() for item in items]]
    one = description.multivariate_normality(frame).table
    other = description.multivariate_normality(
        frame[frame.columns[::-1]] * np.arange(1, 10) + 3
    ).table
    np.testing.assert_allclose(one["value"], other["value"], rtol=1e-8)


def test_normality_that_cannot_be_tested_says_so(surveys):
    frame = surveys["hs"][0][[item for items in HS.values() for item in items]]
    for bad in (frame.head(8), frame.assign(copy=frame["x1"] + frame["x2"])):
        result = description.multivariate_normality(bad)
        assert result.table["p"].isna().all() and "Not tested" in result.warnings[0]["en"]


def test_a_henze_zirkler_statistic_stuck_at_one_is_not_a_verdict():
    x = pd.DataFrame(np.random.default_rng(3).normal(size=(200, 70)))
    result = description.multivariate_normality(x)
    assert any("says nothing" in w["en"] for w in result.warnings)


@pytest.mark.parametrize("name", ["ecsi", "hs"])
def test_correlations_are_those_of_cor_test_with_holm(surveys, name):
    result = description.correlations(*surveys[name])
    wanted = reference("description_correlations").query("set == @name")
    table = result.table.set_index(["construct_a", "construct_b"])
    for row in wanted.itertuples():
        found = table.loc[(row.a, row.b)]
        np.testing.assert_allclose(
            found[["r", "ci_low", "ci_high"]].astype(float),
            [row.r, row.low, row.high],
            rtol=0,
            atol=1e-12,
        )
        np.testing.assert_allclose(
            found[["p", "p_holm"]].astype(float), [row.p, row.p_holm], rtol=1e-8
        )
    assert len(table) == len(wanted)


def test_each_correlation_says_how_many_rows_it_rests_on(tmp_path):
    study = write(tmp_path, {"A": ["a1"], "B": ["b1"], "C": ["c1"]})
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.integers(1, 8, (20, 3)).astype(float), columns=["a1", "b1", "c1"])
    data.loc[:4, "a1"] = np.nan
    data["c1"] = 4.0
    result = description.correlations(data, study)
    assert result.table["n"].tolist() == [15, 15, 20]
    assert result.table["r"].isna().tolist() == [False, True, True]
    assert "A–C, B–C" in result.warnings[0]["en"]
    assert result.table.loc[0, "p"] == result.table.loc[0, "p_holm"]


def test_one_construct_has_no_correlation_to_draw(surveys):
    data, study = surveys["hs"]
    alone = study.model_copy(update={"constructs": {"visual": study.constructs["visual"]}})
    result = description.correlations(data, alone)
    picture = description.plot_correlations(result, alone)
    assert result.table.empty and picture.text == result.text in result.warnings


def test_scores_need_two_thirds_of_their_items(tmp_path):
    study = write(tmp_path, {"A": ["a1", "a2", "a3"], "B": ["b1", "b2"]})
    gap = np.nan
    data = pd.DataFrame(
        {
            "a1": [1, 1, gap, 3],
            "a2": [2, gap, gap, 4],
            "a3": [3, 4, 5, 5],
            "b1": [2.0, 2, 3, gap],
            "b2": [4, gap, 3, gap],
        }
    )
    scores = description.scores(data, study.scales, study.parts)
    np.testing.assert_array_equal(scores["A"], [2, 2.5, gap, 4])
    np.testing.assert_array_equal(scores["B"], [3, gap, 3, gap])


def test_a_second_order_score_is_the_mean_of_its_parts(tmp_path):
    study = write(tmp_path, {"A": ["a1"], "B": ["b1"], "C": ["c1"]})
    whole = study.constructs["A"].model_copy(update={"items": {}, "of": ("A", "B")})
    study = study.model_copy(update={"constructs": {**study.constructs, "W": whole}})
    data = pd.DataFrame(
        np.random.default_rng(2).integers(1, 8, (30, 3)).astype(float), columns=["a1", "b1", "c1"]
    )
    np.testing.assert_allclose(
        description.scores(data, study.scales, study.parts)["W"], (data["a1"] + data["b1"]) / 2
    )
    pairs = (
        description.correlations(data, study)
        .table[["construct_a", "construct_b"]]
        .agg("-".join, axis=1)
    )
    assert pairs.tolist() == [
        "A-B",
        "A-C",
        "B-C",
        "C-W",
    ]  # a whole is not correlated with its own parts


def test_net_promoter_score_by_hand():
    answers = pd.Series(
        [10] * 30 + [9] * 20 + [8] * 15 + [7] * 5 + [6] * 10 + [0] * 20 + [np.nan] * 4
    )
    row = description.nps(answers).table.iloc[0]
    assert (row["n"], row["promoters"], row["passives"], row["detractors"]) == (
        100,
        0.5,
        pytest.approx(0.2),
        0.3,
    )
    each = np.r_[np.ones(50), np.zeros(20), -np.ones(30)]  # the score is the mean of +1, 0, −1
    assert row["nps"] == pytest.approx(100 * each.mean()) and row["se"] == pytest.approx(
        100 * each.std() / 10
    )
    assert row["ci_high"] - row["nps"] == pytest.approx(1.9599639845 * row["se"])


@pytest.mark.parametrize("answers", [None, pd.Series([np.nan, np.nan])])
def test_no_recommendation_question_leaves_a_marked_empty_result(answers):
    result = description.nps(answers)
    assert (
        result.table.empty
        and "was not asked" in result.warnings[0]["en"]
        and "没有" in result.text["zh"]
    )


def test_recommendation_outside_its_scale_is_refused():
    with pytest.raises(ValueError, match=r"11\.0.*0–10"):
        description.nps(pd.Series([5, 11]))


def test_the_interval_of_the_net_promoter_score_covers():
    rng, held = np.random.default_rng(7), 0
    for _ in range(400):
        row = description.nps(
            pd.Series(rng.choice([10, 8, 3], 150, p=[0.35, 0.4, 0.25]))
        ).table.iloc[0]
        held += row["ci_low"] <= 10 <= row["ci_high"]
    assert 0.92 <= held / 400 <= 0.98  # 95 % ± 3 standard errors


def test_group_means_are_those_of_t_test(surveys):
    data, study = surveys["hs"]
    table = description.by_group(data, study, ["speed"]).table.set_index(["grouping", "level"])
    for row in reference("description_groups").itertuples():
        found = table.loc[("school", row.school), ["n", "mean", "ci_low", "ci_high"]].astype(float)
        np.testing.assert_allclose(found, [row.n, row.mean, row.low, row.high], rtol=1e-10)
    assert table.loc[("all", "all"), "n"] == len(data)


def test_a_profile_is_held_against_its_quota(surveys):
    data, study = surveys["hs"]
    table = description.profile(data, study).table.query("column == 'sex'")
    assert table["n"].tolist() == [146, 155] and table["quota"].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(table["difference"], np.array([146, 155]) / 301 - 0.5)
    np.testing.assert_allclose(table["p"], reference("description_quota")["p"][0], rtol=1e-10)


def test_answers_without_a_quota_do_not_count_against_the_others(surveys):
    data, study = surveys["hs"]
    more = pd.concat([data, data.head(20).assign(sex="3")], ignore_index=True)
    column = study.columns["sex"].model_copy(update={"levels": {}})
    study = study.model_copy(update={"columns": {"sex": column}})
    one, other = (description.profile(d, study).table.set_index("level") for d in (data, more))
    np.testing.assert_allclose(one["difference"], other.loc[one.index, "difference"])
    assert other.loc["3", "n"] == 20 and np.isnan(other.loc["3", "quota"])


def test_a_study_that_declares_nothing_gets_sentences_not_errors(surveys):
    data, study = surveys["ecsi"]
    assert "no category" in description.profile(data, study).text["en"]
    groups = description.by_group(data, study)
    assert groups.table["grouping"].tolist() == ["all"] and "no groups" in groups.text["en"]


@pytest.mark.parametrize(
    ("scale", "options"), [([1, 10], 10), ([1, 7], 7), ([0, 10], 11), ([0, 100], 10)]
)
def test_shares_of_answers_add_up_on_any_scale(tmp_path, scale, options):
    study = write(tmp_path, {"A": ["a1", "a2"]}, scale=scale)
    rng = np.random.default_rng(5)
    data = pd.DataFrame(
        rng.integers(scale[0], scale[1] + 1, (200, 2)).astype(float), columns=["a1", "a2"]
    )
    shares = description.response_shares(data, study)
    assert shares.groupby("item").size().tolist() == [options] * 2
    np.testing.assert_allclose(shares.groupby("item")["share"].sum(), 1)
    assert shares.loc[0, "value"] == scale[0]
    top = data["a1"] >= (shares["value"][options - 1])
    assert shares.loc[options - 1, "share"] == pytest.approx(top.mean())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_answer_bars_balance_around_the_middle(surveys, language):
    data, study = surveys["ecsi"]
    picture = description.plot_likert(
        description.response_shares(data, study), study, "satisfaction", language=language
    )
    bars = picture.figure.axes[0].patches
    assert len(bars) == 3 * 10 and all(b.get_x() <= 1e-12 for b in bars[:5])
    lower = (data["CUSA1"] <= 5).mean()
    assert bars[0].get_x() == pytest.approx(-lower)
    assert f"{100 * (1 - lower):.0f} %" in [t.get_text() for t in picture.figure.axes[0].texts]
    assert "n = 250" in picture.text[language]


def test_a_picture_of_nothing_names_what_there_is(surveys):
    data, study = surveys["ecsi"]
    with pytest.raises(ValueError, match=r"of='LOY' is no construct or role.*CUSL.*loyalty"):
        description.plot_likert(description.response_shares(data, study), study, "LOY")


def test_the_heat_map_shows_each_pair_once(surveys):
    data, study = surveys["hs"]
    picture = description.plot_correlations(description.correlations(data, study), study)
    grid = np.ma.filled(picture.figure.axes[0].collections[0].get_array(), np.nan)
    assert np.isfinite(grid).sum() == 3 and "r = 0" in picture.text["en"]
