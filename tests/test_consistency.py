"""The consistency of one scale against psych and semTools, closed forms, and what must not be silent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import data_set, exact
from r_tables import r_table

from cxlib.core.errors import Impossible
from cxlib.statistics.consistency import (
    Measured,
    alpha,
    item_statistics,
    omega_total,
    resampled,
    split_half,
)

PRINTED = r_table("reliability", keep_default_na=False)
SCALES = {
    key: list(dict.fromkeys(rows.loc[rows["item"] != "", "item"]))
    for key, rows in PRINTED.groupby(["set", "scale"])
}
MORE = {"A1": [1, 2, 3, 4, 5.0], "B1": [2, 1, 4, 3, 5.0], "C1": [1, 3, 2, 5, 4.0]}


def printed(key: tuple[str, str], item: str = "") -> dict[str, float]:
    rows = PRINTED[
        (PRINTED["set"] == key[0]) & (PRINTED["scale"] == key[1]) & (PRINTED["item"] == item)
    ]
    return dict(zip(rows["statistic"], rows["value"], strict=True))


def kinds(found: Measured) -> list[str]:
    return [note.kind for note in found.notes]


def compound(k: int, rho: float) -> np.ndarray:
    """Correlations of k parallel items."""
    return np.full((k, k), rho) + (1 - rho) * np.eye(k)


@pytest.mark.parametrize("key", SCALES, ids="-".join)
def test_a_scale_as_in_r(key):
    frame, r = data_set(key[0])[SCALES[key]], printed(key)
    found = (
        alpha(frame).table.iloc[0]
        if len(SCALES[key]) == 2
        else pd.concat([alpha(frame).table.iloc[0], omega_total(frame).table.iloc[0][["omega"]]])
    )
    for name in ("n", "alpha", "alpha_low", "alpha_high", "alpha_std", "mean_r", "lambda6"):
        assert found[name] == pytest.approx(r[name], abs=1e-10), name
    if "omega" in r:
        assert found["omega"] == pytest.approx(r["omega"], abs=1e-6)
        assert found["omega"] == pytest.approx(r["omega_reliability"], abs=1e-6)
    halves = split_half(frame).table.iloc[0]
    for name in ("split_half", "lowest", "highest"):
        assert halves[name] == pytest.approx(r[name], abs=1e-10), name


@pytest.mark.parametrize("key", SCALES, ids="-".join)
def test_items_as_in_r(key):
    table = item_statistics(data_set(key[0])[SCALES[key]]).table.set_index("item")
    for item in SCALES[key]:
        r = printed(key, item)
        assert dict(table.loc[item, list(r)]) == pytest.approx(r, abs=1e-10)


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("k", [2, 3, 4, 5, 8])
def test_every_coefficient_of_parallel_items_is_spearman_brown(k, rho):
    frame = exact(4 * compound(k, rho))
    stepped_up = k * rho / (1 + (k - 1) * rho)
    found, halves = alpha(frame).table.iloc[0], split_half(frame).table.iloc[0]
    for value in (found["alpha"], found["alpha_std"], *halves[["split_half", "lowest", "highest"]]):
        assert value == pytest.approx(stepped_up, abs=1e-10)
    assert found["mean_r"] == pytest.approx(rho, abs=1e-10)
    if k > 2:
        assert omega_total(frame).table["omega"].item() == pytest.approx(stepped_up, abs=1e-7)


def test_omega_is_the_planted_share_of_the_common_factor():
    loads, residual = np.array([0.5, 1.0, 1.5, 2.0]), np.array([1.0, 0.5, 2.0, 1.0])
    frame = exact(np.outer(loads, loads) + np.diag(residual))
    omega = omega_total(frame).table["omega"].item()
    assert omega == pytest.approx(25 / 29.5, abs=1e-7)
    assert alpha(frame).table["alpha"].item() < omega


def test_alpha_is_the_mean_of_the_split_covariances():
    """Cronbach's (1951) own result, over halves of raw scores and without our algebra."""
    frame = data_set("ecsi")[[f"IMAG{i}" for i in range(1, 5)]]
    total = frame.sum(axis=1).var()
    pairs = [["IMAG1", other] for other in frame.columns[1:]]
    parts = [4 * frame[a].sum(axis=1).cov(frame.drop(columns=a).sum(axis=1)) / total for a in pairs]
    assert alpha(frame).table["alpha"].item() == pytest.approx(np.mean(parts), abs=1e-12)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 7), st.floats(0.1, 50), st.floats(-5, 5))
def test_order_units_and_direction_of_the_scale_do_not_matter(seed, k, scale, shift):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        rng.normal(size=(40, 1)) + rng.normal(size=(40, k)), columns=list("abcdefg")[:k]
    )
    other = shift - scale * frame[rng.permutation(frame.columns)]
    for coefficient in (alpha, split_half):
        one, two = coefficient(frame).table.iloc[0], coefficient(other).table.iloc[0]
        np.testing.assert_allclose(one, two, atol=1e-8)
    one, two = (
        item_statistics(f).table.set_index("item")[["r_drop", "alpha_if_dropped"]]
        for f in (frame, other)
    )
    np.testing.assert_allclose(one, two.loc[one.index], atol=1e-8)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(3, 6))
def test_what_rests_on_correlations_does_not_know_the_units_of_an_item(seed, k):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(40, 1)) + rng.normal(size=(40, k)))
    columns = ["alpha_std", "mean_r", "lambda6"]
    one, two = (alpha(f).table[columns].iloc[0] for f in (frame, frame * rng.uniform(0.1, 9, k)))
    np.testing.assert_allclose(one, two, atol=1e-9)


def test_rows_with_a_missing_answer_are_left_out_and_counted():
    frame = data_set("bfi")[SCALES["bfi", "N"]]
    for coefficient in (alpha, split_half, omega_total, item_statistics):
        holed, full = coefficient(frame), coefficient(frame.dropna())
        pd.testing.assert_frame_equal(holed.table, full.table)
        assert holed.n_used == len(frame.dropna()) == holed.table["n"].iloc[0]
        gone = len(frame) - len(frame.dropna())
        assert holed.notes[0] == (
            "missing",
            {"left_out": gone, "rows": len(frame), "used": len(frame.dropna())},
        )
        assert "missing" not in kinds(full)


def test_the_bootstrap_interval():
    frame = exact(compound(5, 0.4), n=400)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 – the global generator must stay untouched
    one, two, other = (
        alpha(frame, resampled(400, np.random.default_rng(seed))).table.iloc[0]
        for seed in (1, 1, 2)
    )
    assert (before == np.random.get_state()[1]).all()  # noqa: NPY002
    pd.testing.assert_series_equal(one, two)
    assert one["alpha_boot_low"] != other["alpha_boot_low"]
    assert list(one[["alpha_boot_low", "alpha_boot_high"]]) == pytest.approx(
        list(one[["alpha_low", "alpha_high"]]), abs=0.02
    )


def test_resamples_draw_as_many_rows_as_there_are_each_as_often():
    times = resampled(50, np.random.default_rng(0), 4000)
    assert (times.sum(axis=0) == 50).all()
    assert np.abs(times.mean(axis=1) - 1).max() < 5 / np.sqrt(4000)
    assert times.var() == pytest.approx(1 - 1 / 50, abs=0.02)  # of a binomial count


@pytest.mark.parametrize("holed", [False, True])
def test_the_bootstrap_counts_weights_as_repeated_rows(holed):
    """One resample, made by hand from the same counts."""
    frame = data_set("hs")[["x1", "x2", "x3"]]
    if holed:
        frame.loc[:9, "x2"] = np.nan
    times = resampled(len(frame), np.random.default_rng(3), 1)
    repeated = frame.loc[frame.index.repeat(times[:, 0].astype(int))]
    found = alpha(frame, times).table.iloc[0]
    assert (
        found["alpha_boot_low"]
        == found["alpha_boot_high"]
        == pytest.approx(alpha(repeated).table["alpha"].item(), abs=1e-12)
    )


def test_resamples_without_variance_are_counted_out():
    frame = pd.DataFrame({"a": [1.0, 1, 1, 2], "b": [1.0, 1, 1, 3]})
    times = resampled(4, np.random.default_rng(0), 200)
    lost = (times[3] == 0).sum() + (times[3] == 4).sum()
    result = alpha(frame, times)
    assert 0 < lost < 200 and result.table[["alpha_boot_low", "alpha_boot_high"]].notna().all(
        axis=None
    )
    assert ("resamples", {"lost": lost, "drawn": 200}) in result.notes


def test_two_items():
    frame = data_set("ecsi")[["PERV1", "PERV2"]]
    r = frame.corr().iloc[0, 1]
    assert split_half(frame).table["split_half"].item() == pytest.approx(2 * r / (1 + r), abs=1e-12)
    items = item_statistics(frame)
    assert items.table["alpha_if_dropped"].isna().all()
    assert kinds(items) == ["two_items"]
    with pytest.raises(Impossible, match="at least three items"):
        omega_total(frame)


def test_many_items_need_a_generator_for_their_splits():
    frame = exact(compound(17, 0.3))
    with pytest.raises(Impossible, match="pass rng="):
        split_half(frame)
    drawn = split_half(frame, np.random.default_rng(0)).table.iloc[0]
    assert drawn["splits"] == 10_000
    assert drawn["split_half"] == pytest.approx(17 * 0.3 / (1 + 16 * 0.3), abs=1e-10)
    assert split_half(frame.iloc[:, :16]).table["splits"].item() == 6435


@pytest.mark.parametrize("coefficient", [alpha, split_half, omega_total, item_statistics])
@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"A1": MORE["A1"]}, "A single item \\(A1\\)"),
        ({**MORE, "D1": [3.0] * 5}, "same answer to D1"),
        ({**MORE, "D1": list("abcde")}, "D1 are not numbers"),
        ({**MORE, "D1": [1, 2, None, None, None]}, "Only 2 rows answer all of"),
        ({**MORE, "D1": [1, 2, 3, 4, np.inf]}, "infinite"),
        ({"A1": MORE["A1"], "B1": [5, 4, 3, 2, 1.0]}, "does not vary"),
    ],
)
def test_what_cannot_be_computed_is_said_in_both_languages(coefficient, frame, message):
    with pytest.raises(Impossible, match=message) as error:
        coefficient(pd.DataFrame(frame))
    assert str(error.value) == error.value["en"]
    assert error.value["zh"]


def test_a_constant_item_hides_behind_a_missing_answer():
    frame = pd.DataFrame({**MORE, "D1": [2, 2, 2, 2, np.nan]})
    assert frame["D1"].nunique(dropna=False) == 2
    with pytest.raises(Impossible, match="Every one of 4 complete rows has the same answer to D1"):
        alpha(frame)


def test_identical_and_dependent_items_are_named():
    frame = pd.DataFrame(MORE).assign(copy=MORE["A1"])
    for coefficient in (alpha, item_statistics, split_half, omega_total):
        assert ("identical", {"pairs": [("A1", "copy")]}) in coefficient(frame).notes
    dependent = pd.DataFrame(MORE).assign(total=lambda f: f.sum(axis=1))
    result = alpha(dependent)
    assert np.isnan(result.table["lambda6"].item())
    assert "lambda6" in kinds(result)
    result = omega_total(dependent)
    assert np.isnan(result.table["omega"].item())
    assert "omega_singular" in kinds(result)


def test_an_item_that_is_not_reverse_coded_is_found():
    frame = data_set("ecsi")[[f"PERQ{i}" for i in range(1, 8)]]
    clean = item_statistics(frame)
    assert clean.notes == ()
    frame["PERQ3"] = 11 - frame["PERQ3"]
    result = item_statistics(frame)
    assert result.table.set_index("item")["r_drop"].idxmin() == "PERQ3"
    assert kinds(result)[:2] == ["against", "rises"]
    against, rises = (note.values for note in result.notes[:2])
    assert against["item"] == rises["item"] == "PERQ3"
    assert against["r"] < 0 and rises["before"] < rises["after"]
    assert rises["before"] == alpha(frame).table["alpha"].item()


def test_an_improper_one_factor_model_is_called_so():
    result = omega_total(data_set("ecsi")[["CUSL1", "CUSL2", "CUSL3"]])
    assert kinds(result) == ["omega_improper"]


def test_nothing_missing_is_silent_when_parts_of_the_scale_cancel():
    """x and −x leave no variance in some sums though the whole varies."""
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    for coefficient in (alpha, split_half, item_statistics, omega_total):
        result = coefficient(pd.DataFrame({"a": x, "b": -x, "c": y}))
        assert result.notes
    result = alpha(pd.DataFrame({"a": x, "b": -2 * x}))
    assert np.isnan(result.table["alpha_std"].item())
    assert "alpha_std" in kinds(result)
