"""Reliability of a study: the contract's tables, warnings that name their scale, figures in both languages."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from planted import a_study, data_set, exact
from r_tables import r_table

from cxlib import sem
from cxlib.core import theme
from cxlib.core.result import Result
from cxlib.responses import cleaning, reading
from cxlib.stages import reliability
from cxlib.statistics import consistency
from cxlib.study import schema as study

SCALES = [
    "construct",
    "items",
    "n",
    "alpha",
    "alpha_low",
    "alpha_high",
    "alpha_std",
    "omega",
    "split_half",
    "mean_r",
]


@pytest.fixture(scope="module")
def ecsi() -> study.Study:
    return study.load("ecsi")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return data_set("ecsi")


@pytest.fixture(scope="module")
def scales(ecsi, data) -> Result:
    return reliability.reliability(data, ecsi)


@pytest.fixture(scope="module")
def items(ecsi, data) -> Result:
    return reliability.item_reliability(data, ecsi)


def test_the_tables_of_the_contract(ecsi, scales, items):
    assert list(scales.table.columns[:10]) == SCALES
    assert list(scales.table["construct"]) == list(ecsi.scales)
    assert list(scales.table["items"]) == [len(items) for items in ecsi.scales.values()]
    assert list(items.table.columns[:4]) == ["construct", "item", "r_drop", "alpha_if_dropped"]
    assert dict(zip(items.table["item"], items.table["construct"], strict=True)) == ecsi.items
    assert scales.n_used == items.n_used == 250
    assert scales.table[["items", "n"]].dtypes.eq("int64").all()


def test_each_row_is_what_the_scale_alone_gives(ecsi, data, scales, items):
    table, items = scales.table.set_index("construct"), items.table
    for code in ("IMAG", "PERQ", "CUSA"):
        frame = data[ecsi.scales[code]]
        own = consistency.alpha(frame).table.iloc[0]
        assert list(table.loc[code, own.index]) == list(own)
        assert table.loc[code, "omega"] == consistency.omega_total(frame).table["omega"].item()
        assert (
            table.loc[code, "split_half"]
            == consistency.split_half(frame).table["split_half"].item()
        )
        pd.testing.assert_frame_equal(
            items[items["construct"] == code].drop(columns="construct").reset_index(drop=True),
            consistency.item_statistics(frame).table,
        )


def test_every_missing_number_has_a_reason_that_names_its_scale(ecsi, scales, items):
    for result in (scales, items):
        gaps = set(result.table.loc[result.table.isna().any(axis=1), "construct"])
        assert gaps == {"PERV", "COMP"}
        for code in gaps:
            for language in ("en", "zh"):
                assert any(
                    w[language].startswith(ecsi.name(code, language)) for w in result.warnings
                )


def test_every_note_of_a_coefficient_has_its_words():
    """Each kind once, with values of its own making."""
    values = {
        "missing": {"left_out": 3, "rows": 8, "used": 5},
        "near": {"pairs": [("a", "b"), ("c", "d")]},
        "identical": {"pairs": [("a", "b")]},
        "resamples": {"lost": 2, "drawn": 9},
        "low": {"alpha": 0.614},
        "rest": {"items": ["a", "b"]},
        "against": {"item": "a", "r": -0.214},
        "rises": {"item": "a", "before": 0.614, "after": 0.714},
    }
    said = {
        kind: reliability.told(consistency.Note(kind, values.get(kind, {})))
        for kind in consistency.KINDS
    }
    assert len({text["en"] for text in said.values()}) == len(consistency.KINDS)
    for language, pairs in (("en", "a – b, c – d"), ("zh", "a – b、c – d")):
        assert pairs in said["near"][language]
        assert "−0.21" in said["against"][language]
        assert all(v in said["rises"][language] for v in ("0.61", "0.71"))


def test_low_scales_and_rising_alphas_are_pointed_out_as_conventions(scales, items):
    low = [w["en"] for w in scales.warnings if "below .70" in w["en"]]
    assert [w.split(" (")[1][:4] for w in low] == list(
        scales.table.loc[scales.table["alpha"] < 0.7, "construct"]
    )
    assert all("convention" in w for w in low)
    assert "4 of 6 scales reach .70" in scales.text["en"]
    assert "6 个量表中有 4 个" in scales.text["zh"]
    assert any("Without CUSL2 alpha rises from 0.44 to 0.70" in w["en"] for w in items.warnings)
    assert "CUSL2 (0.08)" in items.text["en"]


def test_rows_are_counted_for_each_scale(ecsi, data):
    holed = data.copy()
    holed.loc[:9, "IMAG1"] = np.nan
    holed.loc[5:24, "CUSA2"] = np.nan
    holed.loc[0, :] = np.nan
    result = reliability.reliability(holed, ecsi)
    n = result.table.set_index("construct")["n"]
    assert dict(n[["IMAG", "CUSA", "PERQ", "COMP"]]) == {
        "IMAG": 240,
        "CUSA": 229,
        "PERQ": 249,
        "COMP": 249,
    }
    assert result.n_used == 249
    assert "left out of that scale: 1 to 21 of 250 rows" in result.warnings[0]["en"]
    assert "1 至 21 行" in result.warnings[0]["zh"]


def test_a_scale_that_cannot_be_computed_leaves_the_others_alone(ecsi, data, scales):
    broken = data.assign(IMAG3=7.0, CUSA1=np.nan)
    result = reliability.reliability(broken, ecsi)
    table = result.table.set_index("construct")
    assert table.loc[["IMAG", "CUSA"], "alpha"].isna().all()
    assert dict(table.loc[["IMAG", "CUSA"], "n"]) == {"IMAG": 250, "CUSA": 0}
    rest = ["CUEX", "PERQ", "PERV", "COMP", "CUSL"]
    pd.testing.assert_frame_equal(table.loc[rest], scales.table.set_index("construct").loc[rest])
    assert any(
        "same answer to IMAG3" in w["en"] and "Image (IMAG)" in w["en"] for w in result.warnings
    )
    items = reliability.item_reliability(broken, ecsi)
    assert items.table.set_index("item").loc["IMAG3":"IMAG3", "r_drop"].isna().all()
    assert any("Only 0 rows answer all of CUSA1" in w["en"] for w in items.warnings)


def test_nothing_estimable_at_all():
    names, frame = (
        a_study({"A": ["A1"], "B": ["B1"]}),
        pd.DataFrame({"A1": [1.0, 2, 3], "B1": [3.0, 1, 2]}),
    )
    result, items = (
        reliability.reliability(frame, names),
        reliability.item_reliability(frame, names),
    )
    assert result.text["en"].startswith("No scale")
    assert len(result.warnings) == len(items.warnings) == 2
    assert "Of 0 items, none" in items.text["en"]
    for language in ("en", "zh"):
        reliability.plot_reliability(result, names, language=language)
        reliability.plot_items(items, names, language=language)


def test_an_absent_column_is_named(ecsi, data):
    with pytest.raises(ValueError, match="no column PERQ2, which the study 'ecsi' declares"):
        reliability.item_reliability(data.drop(columns="PERQ2"), ecsi)


def test_the_bootstrap_interval_stands_beside_feldts(ecsi, data):
    holed = data.copy()
    holed.loc[:19, "IMAG1"] = np.nan
    one, two, other = (
        reliability.reliability(holed, ecsi, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(one.table, two.table)
    assert not one.table["alpha_boot_low"].equals(other.table["alpha_boot_low"])
    table = one.table.set_index("construct").drop("COMP")
    assert (table["alpha_boot_low"] < table["alpha"]).all() and (
        table["alpha"] < table["alpha_boot_high"]
    ).all()
    assert (
        "2,000 bootstrap draws" in one.method["en"]
        and "boot" not in reliability.reliability(holed, ecsi).method["en"]
    )
    times = consistency.resampled(250, np.random.default_rng(1))
    own = consistency.alpha(holed[ecsi.scales["IMAG"]], times).table.iloc[0]
    assert list(table.loc["IMAG", ["alpha_boot_low", "alpha_boot_high"]]) == list(
        own[["alpha_boot_low", "alpha_boot_high"]]
    )


@pytest.mark.parametrize("name", ["hs", "vas"])
def test_the_omegas_of_a_second_order_construct_as_in_semtools(name):
    r = r_table("hierarchical", index_col="set").loc[name]
    scales = {
        "visual": ["x1", "x2", "x3"],
        "textual": ["x4", "x5", "x6"],
        "speed": ["x7", "x8", "x9"],
    }
    if name == "hs":
        declared, data = a_study(scales), data_set("hs")
        whole = declared.constructs["visual"].model_copy(update={"items": {}, "of": tuple(scales)})
        declared = declared.model_copy(update={"constructs": {**declared.constructs, "G": whole}})
    else:
        declared = study.load("vas")
        data = cleaning.recode(reading.read(declared).frame, declared)
    result = reliability.hierarchical(data, declared)
    row = result.table.iloc[0]
    assert (len(result.table), row["n"]) == (1, r["n"]) == (1, result.n_used)
    assert [row["omega_total"], row["omega_hierarchical"]] == pytest.approx(
        [r["omega_total"], r["omega_hierarchical"]], abs=1e-7
    )
    for language in ("en", "zh"):
        assert (
            f"{r['omega_hierarchical']:.2f}" in result.text[language]
            and f"{r['omega_total']:.2f}" in result.text[language]
        )


def test_hierarchical_omega_in_closed_form():
    """Three parts with loadings .8 on their construct, items .7 on their part: 9² of 81·.49·.64 and so on."""
    items = [f"{part}{i}" for part in "ABC" for i in range(3)]
    same = np.equal.outer([i[0] for i in items], [i[0] for i in items])
    cov = np.where(same, 0.49, 0.49 * 0.64)
    np.fill_diagonal(cov, 1)
    data = exact(pd.DataFrame(cov, items, items))
    declared = a_study({part: [f"{part}{i}" for i in range(3)] for part in "ABC"})
    whole = declared.constructs["A"].model_copy(update={"items": {}, "of": ("A", "B", "C")})
    declared = declared.model_copy(update={"constructs": {**declared.constructs, "G": whole}})
    row = reliability.hierarchical(data, declared).table.iloc[0]
    assert row["omega_hierarchical"] == pytest.approx(81 * 0.49 * 0.64 / cov.sum(), abs=1e-7)
    assert row["omega_total"] == pytest.approx(1 - 9 * 0.51 / cov.sum(), abs=1e-7)


def test_no_second_order_construct_is_said_and_one_without_answers_has_its_reason(ecsi, data):
    result = reliability.hierarchical(data, ecsi)
    assert (
        result.table.empty
        and "No construct of this study is of second order" in result.text["en"]
        and "没有二阶构念" in result.text["zh"]
    )
    vas = study.load("vas")
    result = reliability.hierarchical(pd.DataFrame(np.nan, range(9), list(vas.items)), vas)
    assert result.table["omega_total"].isna().all()
    assert any("(VASQ): Only 0 rows" in w["en"] for w in result.warnings)


def test_long_scales_say_that_they_need_a_generator():
    items = [f"A{i}" for i in range(18)]
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 1)) + rng.normal(size=(60, 18)), columns=items)
    names = a_study({"A": items})
    without, given = (
        reliability.reliability(frame, names),
        reliability.reliability(frame, names, rng=np.random.default_rng(1)),
    )
    assert without.table["split_half"].isna().all()
    assert "pass rng=" in without.warnings[0]["en"]
    assert given.warnings == ()
    assert given.table["split_half"].item() == pytest.approx(
        given.table["alpha_std"].item(), abs=0.01
    )


def test_many_items_stand_in_panels_of_whole_scales():
    wide = a_study({code: [f"{code}{i}" for i in range(1, 9)] for code in "ABCDEFGH"})
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        rng.normal(size=(50, 1)) + rng.normal(size=(50, 64)), columns=list(wide.items)
    )
    picture = reliability.plot_items(reliability.item_reliability(frame, wide), wide)
    labels = [[tick.get_text() for tick in axis.get_yticklabels()] for axis in picture.figure.axes]
    assert len(labels) == 2
    assert [part[0] for part in labels] == ["A in words", "E in words"]
    assert {name for part in labels for name in part} >= set(wide.items)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_figures_say_n_and_nothing_overlaps(ecsi, data, language):
    holed = data.copy()
    holed.loc[:9, "IMAG1"] = np.nan
    holed["PERQ2"] = 11 - holed["PERQ2"]
    scales, items = reliability.reliability(holed, ecsi), reliability.item_reliability(holed, ecsi)
    for picture in (
        reliability.plot_reliability(scales, ecsi, language=language),
        reliability.plot_items(items, ecsi, language=language),
    ):
        assert "n = 240–250" in picture.text["en"]
        assert "n = 240–250" in picture.text["zh"]
        axis = picture.figure.axes[0]
        with matplotlib.rc_context(theme.theme(picture.language)):
            picture.figure.canvas.draw()
            boxes = [
                label.get_window_extent()
                for label in [*axis.texts, *axis.get_yticklabels()]
                if label.get_text()
            ]
            assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
        words = " ".join(label.get_text() for label in axis.get_yticklabels())
        assert ecsi.name("CUSA", picture.language) in words


def test_the_dots_are_the_numbers(ecsi, scales):
    axis = reliability.plot_reliability(scales, ecsi).figure.axes[0]
    dots = {
        line.get_ydata()[0]: line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"
    }
    known = scales.table["alpha"].dropna()
    assert dots == dict(known.items())
    colours = {
        line.get_ydata()[0]: line.get_color() for line in axis.lines if line.get_marker() == "o"
    }
    assert colours[2] == theme.ROLES["service"]


def test_ordinal_alpha_stands_beside_the_standardised_one():
    """The value itself is held against psych in test_sem_ordinal.py."""
    loaded = study.load("ecsi")
    data = reading.read(loaded).frame
    table = reliability.ordinal_reliability(data, loaded).table.set_index("construct")
    assert list(table.index) == list(loaded.scales)
    assert table.loc["CUSA", "alpha_ordinal"] == sem.ordinal_alpha(data[loaded.scales["CUSA"]])
    assert (table["alpha_ordinal"].dropna() > table["alpha_std"].dropna()).all()


def test_an_ordinal_alpha_that_cannot_be_had_has_its_reason():
    loaded = study.load("ecsi")
    result = reliability.ordinal_reliability(reading.read(loaded).frame, loaded)
    assert np.isnan(result.table.set_index("construct").loc["COMP", "alpha_ordinal"])
    (warning,) = [w for w in result.warnings if "COMP" in w["en"]]
    assert (
        "single item" in warning["en"]
        and "单一题项" in warning["zh"]
        and "columns" not in warning["zh"]
    )
