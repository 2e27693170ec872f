"""Missing answers: counts by hand, Little's test against R, and tests that cannot be made."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from survey import reference, write

from cxlib.stages.cleaning import missing

HS = [f"x{i}" for i in range(1, 10)]


def holed() -> pd.DataFrame:
    """Nine items with answers missing by rule, as in reference/description.R."""
    frame = reference("hs")[HS]
    frame.loc[frame["x1"] < 4, "x5"] = np.nan
    frame.loc[2::7, "x9"] = np.nan
    frame.loc[4::11, "x2"] = np.nan
    return frame


@pytest.mark.parametrize("name", ["hs", "bfi"])
def test_littles_test_is_the_one_from_lavaans_moments(name):
    frame = holed() if name == "hs" else reference("bfi").iloc[:, :10]
    result = missing.littles_mcar(frame)
    wanted = reference("description_mcar").set_index("set").loc[name]
    found = result.table.loc[0]
    assert found[["df", "patterns", "n"]].tolist() == wanted[["df", "patterns", "n"]].tolist()
    np.testing.assert_allclose(
        [found["chisq"], found["p"]], [wanted["chisq"], wanted["p"]], rtol=1e-9
    )


def test_littles_test_of_one_gap_is_a_comparison_of_means():
    """With y missing for some and x for none, d² is n₂(x̄₂ − x̄)²/s² + n₁(x̄₁ − x̄)²/s² (divisor n) on one degree of freedom."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=80), "y": rng.normal(size=80)})
    frame["y"] += frame["x"]
    frame.loc[:19, "y"] = np.nan
    x, gone = frame["x"], frame["y"].isna()
    by_hand = (
        20 * (x[gone].mean() - x.mean()) ** 2 + 60 * (x[~gone].mean() - x.mean()) ** 2
    ) / x.var(ddof=0)
    row = missing.littles_mcar(frame).table.loc[0]
    assert row["df"] == 1 and row["chisq"] == pytest.approx(by_hand, rel=1e-8)


@pytest.mark.slow
def test_littles_test_rejects_about_one_random_sample_in_twenty_and_finds_what_is_not_random():
    rng, rejected = np.random.default_rng(2), 0
    for _ in range(200):
        x = rng.multivariate_normal([0, 0, 0], [[1, 0.5, 0.4], [0.5, 1, 0.3], [0.4, 0.3, 1]], 200)
        rejected += (
            missing.littles_mcar(
                pd.DataFrame(np.where(rng.random(x.shape) < [0, 0.2, 0.2], np.nan, x))
            ).table["p"][0]
            < 0.05
        )
    assert rejected <= 20  # 10 expected, 3.2 standard deviations allowed
    frame = pd.DataFrame(x, columns=list("abc"))
    frame["c"] = frame["c"].mask(frame["a"] > 0.5)
    result = missing.littles_mcar(frame)
    assert result.table["p"][0] < 1e-6 and "not missing completely at random" in result.text["en"]


@given(st.permutations(HS), st.floats(0.1, 100))
@settings(derandomize=True, deadline=None, max_examples=10)
def test_littles_test_does_not_depend_on_order_or_units(order, factor):
    frame = holed()
    one, other = (
        missing.littles_mcar(frame).table,
        missing.littles_mcar(frame[order].sample(frac=1, random_state=1) * factor).table,
    )
    np.testing.assert_allclose(other[["chisq", "df"]], one[["chisq", "df"]], rtol=1e-6)


def test_nothing_missing_is_said_not_tested():
    result = missing.littles_mcar(reference("hs")[HS])
    assert (
        np.isnan(result.table["p"][0])
        and "nothing to test" in result.warnings[0]["en"]
        and "无需检验" in result.text["zh"]
    )


def test_a_test_that_cannot_be_made_says_why():
    frame = holed()
    few = missing.littles_mcar(frame.head(9))
    assert np.isnan(few.table["p"][0]) and "9 rows for 9 items" in few.warnings[0]["en"]
    flat = missing.littles_mcar(frame.assign(x1=3.0))
    assert np.isnan(flat.table["p"][0]) and "x1" in flat.warnings[0]["en"]


def test_many_patterns_in_few_rows_are_a_warning():
    rng = np.random.default_rng(3)
    x = pd.DataFrame(rng.normal(size=(60, 6)))
    result = missing.littles_mcar(x.mask(rng.random(x.shape) < 0.2))
    assert "very small groups" in result.warnings[0]["en"]


def test_counts_and_patterns_by_hand(tmp_path):
    study = write(tmp_path, {"A": ["a1", "a2"], "B": ["b1"]})
    gap = np.nan
    data = pd.DataFrame(
        {"a1": [1, gap, gap, 4, 5], "a2": [1, 2, gap, 4, 5], "b1": [1.0, 2, 3, 4, gap]}
    )
    result = missing.by_item(data, study)
    assert result.table["missing"].tolist() == [2, 1, 1] and result.table["n"].tolist() == [3, 4, 4]
    assert result.text["en"].startswith(
        "4 of 15 answers (26.7 %) are missing; 2 of 5 rows are complete. Most are missing in a1 (40.0 %)"
    )
    kinds = missing.patterns(data[["a1", "a2", "b1"]])
    assert kinds.to_numpy().tolist() == [[2, 0, ""], [1, 1, "a1"], [1, 1, "b1"], [1, 2, "a1 a2"]]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_picture_shows_the_share_of_every_item(tmp_path, language):
    study = write(tmp_path, {"A": ["a1", "a2"], "B": ["b1"]})
    data = pd.DataFrame(
        {"a1": [1, np.nan, 3, 4], "a2": [1.0, 2, 3, 4], "b1": [1.0, np.nan, np.nan, 4]}
    )
    picture = missing.plot_missing(data, study, language=language)
    bars, grid = picture.figure.axes
    assert [b.get_height() for b in bars.patches] == [25, 0, 50]
    assert [t.get_text() for t in grid.get_yticklabels()] == ["n = 1", "n = 1"]
    assert "4" in picture.text[language]
    complete = missing.plot_missing(data.fillna(1), study, language=language)
    assert {"en": "No answer is missing", "zh": "均无缺失"}[language] in complete.text[language]
