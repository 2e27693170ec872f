"""The factors of a study: the contract's tables, factors named after constructs, warnings, figures in both languages."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from planted import a_study, data_set

from cxlib.core import theme
from cxlib.core.absent import Absent
from cxlib.stages import factors
from cxlib.statistics import extraction
from cxlib.study import schema as study


@pytest.fixture(scope="module")
def ecsi() -> study.Study:
    return study.load("ecsi")


@pytest.fixture(scope="module")
def data(ecsi) -> pd.DataFrame:
    return data_set("ecsi")[list(ecsi.items)]


@pytest.fixture(scope="module")
def number(ecsi, data) -> factors.FactorNumber:
    return factors.factor_number(data, ecsi, np.random.default_rng(1))


@pytest.fixture(scope="module")
def solution(ecsi, data) -> factors.Loadings:
    return factors.loadings(data, ecsi, 4)


def three_constructs(n: int = 400) -> tuple[pd.DataFrame, study.Study]:
    """Twelve items of three correlated constructs; C4 is written for C but measures A."""
    scales = {code: [f"{code}{i}" for i in range(1, 5)] for code in "ABC"}
    rng = np.random.default_rng(7)
    latent = rng.multivariate_normal(np.zeros(3), np.full((3, 3), 0.4) + 0.6 * np.eye(3), n)
    items = [item for own in scales.values() for item in own]
    frame = pd.DataFrame(
        {item: 0.8 * latent[:, "ABC".index(item[0])] + 0.6 * rng.normal(size=n) for item in items}
    )
    frame["C4"] = 0.8 * latent[:, 0] + 0.6 * rng.normal(size=n)
    return frame, a_study(scales)


def test_the_tables_of_the_contract(ecsi, data, number, solution):
    table = factors.factorability(data, ecsi)
    assert list(table.table.columns) == ["statistic", "value"]
    assert list(table.table["statistic"]) == ["kmo", "bartlett_chisq", "bartlett_df", "bartlett_p"]
    assert list(table.table["value"]) == [extraction.kmo(data)[0], *extraction.bartlett(data)]
    assert list(table.items.table.columns) == ["item", "kmo"] and table.items.n_used == 250
    assert dict(table.items.table.to_numpy()) == dict(extraction.kmo(data)[1])
    assert list(number.table["criterion"]) == ["parallel", "parallel_fa", "map", "kaiser"]
    assert list(number.eigenvalues.columns) == [
        "factor",
        "observed",
        "random",
        "observed_fa",
        "random_fa",
    ]
    assert [solution.table.columns[0], solution.table.columns[-1]] == ["item", "communality"]
    assert set(solution.table["item"]) == set(ecsi.items)
    between = factors.factor_correlations(solution).table
    assert (
        list(between["factor"]) == list(solution.table.columns[1:-1]) == list(between.columns[1:])
    )
    for result in (table, number, solution):
        assert result.n_used == 250
        assert result.text["en"]
        assert result.text["zh"]


def test_the_counts_are_those_of_the_eigenvalues(data, number):
    found = number.table.set_index("criterion")["factors"]
    roots = number.eigenvalues
    assert found["kaiser"] == (roots["observed"] > 1).sum()
    for criterion, kind in (("parallel", ""), ("parallel_fa", "_fa")):
        below = roots.loc[roots[f"observed{kind}"] <= roots[f"random{kind}"], "factor"]
        assert found[criterion] == below.min() - 1
    assert found["map"] == extraction.map_test(data).set_index("factors")["map"].idxmin()
    assert f"finds {found['parallel']} factors" in number.text["en"]
    assert (
        "fewer than the 6 constructs of several items" in number.warnings[0]["en"]
    )  # COMP has one item


@pytest.mark.parametrize(
    ("rotation", "factor_count", "said"),
    [
        ("oblimin", 2, "oblimin rotation without"),
        ("varimax", 2, "varimax rotation with "),
        ("oblimin", 1, "no rotation"),
    ],
)
def test_the_method_says_how_the_loadings_were_turned(ecsi, data, rotation, factor_count, said):
    method = factors.loadings(data, ecsi, factor_count, method="ml", rotation=rotation).method
    assert method["en"].startswith("ml extraction of Pearson") and said in method["en"]
    assert "ml 提取" in method["zh"] and not re.search(r"rotation|listwise|Kaiser n", method["zh"])


def test_planted_constructs_name_their_factors_and_a_stray_item_is_told():
    frame, names = three_constructs()
    number = factors.factor_number(frame, names, np.random.default_rng(0))
    assert list(number.table["factors"]) == [3, 3, 3, 3]
    assert number.warnings == ()
    for rotation in ("oblimin", "promax", "varimax"):
        result = factors.loadings(frame, names, 3, rotation=rotation)
        assert set(result.table.columns[1:-1]) == set("ABC")
        pattern = result.table.set_index("item")[list("ABC")]
        assert dict(pattern.idxmax(axis=1)) == {
            item: "A" if item == "C4" else item[0] for item in frame
        }
        assert "C4 loads highest on another factor" in result.text["en"]
        assert "C4在其他因子上载荷最高" in result.text["zh"]
        assert list(result.efa.variance["factor"]) == list(result.efa.loadings)
        assert list(result.efa.correlations.index) == list(result.efa.loadings)
    assert factors.loadings(frame, names).table.shape == (12, 5)


def test_the_tables_are_sorted_and_the_structure_is_the_pattern_times_the_correlations(solution):
    pattern, whole = (
        solution.table.set_index("item").drop(columns="communality"),
        factors.structure(solution).table.set_index("item"),
    )
    home = pattern.abs().to_numpy().argmax(axis=1)
    assert (np.diff(home) >= 0).all()
    for factor in set(home):
        assert (np.diff(pattern.abs().to_numpy()[home == factor, factor]) <= 0).all()
    assert list(whole.index) == list(pattern.index)
    np.testing.assert_allclose(
        whole, pattern.to_numpy() @ solution.efa.correlations.to_numpy(), atol=1e-12
    )


def test_structure_and_pattern_are_the_same_of_uncorrelated_factors(ecsi, data):
    result = factors.structure(factors.loadings(data, ecsi, 3, rotation="varimax"))
    assert (
        "structure and pattern are the same" in result.text["en"]
        and "结构系数与模式系数相同" in result.text["zh"]
    )


@pytest.mark.parametrize(
    ("m", "english", "chinese"),
    [
        (1, "1 factor accounts for", "该因子由几个构念的题项共享"),
        (3, "3 factors account for", "个以构念命名"),
    ],
)
def test_one_factor_is_told_in_the_singular(m, english, chinese):
    frame, names = three_constructs()
    text = factors.loadings(frame, names, m).text
    assert text["en"].startswith(english) and chinese in text["zh"]
    assert ("share it, so no factor" in text["en"]) == (m == 1) and "share each" not in text["en"]
    alone = factors.loadings(
        frame[["A1", "A2", "A3", "A4"]], names, 1, ["A1", "A2", "A3", "A4"]
    ).text["en"]
    assert "It bears the name of a construct; of this construct's items, none loads" in alone


def test_both_halves_say_how_many_they_are(ecsi, data):
    holed = data.copy()
    holed.loc[:9, "IMAG1"] = np.nan
    one, two, sizes = factors.split(holed, ecsi, np.random.default_rng(1))
    assert list(sizes.table["half"]) == ["explore", "confirm"] and list(sizes.table["n"]) == [
        len(one),
        len(two),
    ] == [125, 125]
    assert (
        list(sizes.table["complete"]) == [len(one.dropna()), len(two.dropna())]
        and sizes.table["complete"].sum() == 240
    )
    assert (
        not set(one.index) & set(two.index)
        and "125 respondents explore and 125 others confirm" in sizes.text["en"]
    )
    again, *_ = factors.split(holed, ecsi, np.random.default_rng(1))
    pd.testing.assert_frame_equal(one, again)
    assert [
        len(part) for part in factors.split(holed.iloc[:249], ecsi, np.random.default_rng(1))[:2]
    ] == [125, 124]
    assert sorted([*one.index, *two.index]) == list(holed.index)


@pytest.mark.parametrize("rows", [1, 2, 30, 49])
def test_rows_too_few_to_be_halved_all_explore_and_nobody_confirms(ecsi, data, rows):
    all_of_them, nobody, sizes = factors.split(data.iloc[:rows], ecsi, np.random.default_rng(1))
    assert len(all_of_them) == rows and isinstance(nobody, Absent)
    assert list(sizes.table["half"]) == ["explore"] and list(sizes.table["n"]) == [rows]
    assert (
        "halved" in nobody.text["en"]
        and "24" in sizes.warnings[0]["en"]
        and "24" in sizes.warnings[0]["zh"]
    )
    enough, others, _ = factors.split(data.iloc[:50], ecsi, np.random.default_rng(1))
    assert [len(enough), len(others)] == [25, 25]


def test_ordered_answers_are_factored_by_their_polychoric_correlations(ecsi, data):
    first, second = (
        factors.factorability(data, ecsi, correlation=kind) for kind in ("pearson", "polychoric")
    )
    assert (
        second.table["value"][0] == extraction.kmo(data, "polychoric")[0] != first.table["value"][0]
    )
    assert any("no exact χ²" in w["en"] for w in second.warnings) and first.warnings == ()
    number = factors.factor_number(
        data, ecsi, np.random.default_rng(1), draws=20, correlation="polychoric"
    )
    assert (
        number.table.set_index("criterion").loc["map", "factors"]
        == extraction.map_test(data, "polychoric")["map"].idxmin()
    )
    for result in (second, number):
        assert "polychoric" in result.method["en"] and "多分格" in result.method["zh"]


@pytest.mark.parametrize("planted", [2, 5])
def test_a_wrong_number_of_factors_is_found(planted):
    """Items are written for three constructs, but there are two or five things underneath."""
    rng = np.random.default_rng(11)
    latent = rng.multivariate_normal(
        np.zeros(planted), np.full((planted, planted), 0.3) + 0.7 * np.eye(planted), 600
    )
    frame = pd.DataFrame(
        0.75 * latent[:, np.arange(20) % planted] + 0.66 * rng.normal(size=(600, 20)),
        columns=[f"q{i}" for i in range(20)],
    )
    names = a_study({code: list(frame.columns[at::3]) for at, code in enumerate("ABC")})
    number = factors.factor_number(frame, names, np.random.default_rng(2), draws=100)
    found = number.table.set_index("criterion")["factors"]
    assert found["parallel"] == found["parallel_fa"] == found["map"] == planted
    assert any("fewer than the 3 constructs" in w["en"] for w in number.warnings) == (planted < 3)


def test_a_planted_cross_loading_is_flagged():
    frame, names = three_constructs()
    clean = factors.loadings(frame, names, 3)
    assert not any("Cross-loading" in w["en"] for w in clean.warnings)
    frame["B2"] = frame["B2"] + 0.8 * frame[["C1", "C2", "C3"]].mean(axis=1)
    result = factors.loadings(frame, names, 3)
    assert any(
        w["en"].startswith("Cross-loading") and w["en"].endswith(": B2.") for w in result.warnings
    )
    assert list(result.efa.cross["item"]) == ["B2"] and set(
        result.efa.cross.iloc[0][["first", "second"]]
    ) == {"B", "C"}


def test_names_are_given_once_and_never_taken_from_a_construct():
    """More factors than constructs: the extra ones stay numbered, in words if a construct is called F1."""
    frame, _ = three_constructs()
    names = a_study(
        {"F1": ["A1", "A2", "A3", "A4", "B1", "B2"], "F2": ["B3", "B4", "C1", "C2", "C3", "C4"]}
    )
    columns = list(factors.loadings(frame, names, 3).efa.loadings)
    assert len(set(columns)) == 3
    assert sum(column in names.constructs for column in columns) <= 2
    assert all(column in names.constructs or column.startswith("Factor ") for column in columns)


def test_the_study_changes_names_and_nothing_else(ecsi, data, solution):
    plain = extraction.efa(data, 4)
    np.testing.assert_array_equal(solution.efa.loadings, plain.loadings)
    np.testing.assert_array_equal(
        solution.table.set_index("item")["communality"][plain.communality.index], plain.communality
    )
    np.testing.assert_array_equal(solution.efa.correlations, plain.correlations)
    assert list(solution.efa.cross["item"]) == list(plain.cross["item"])
    assert any(
        "Cross-loading" in w["en"] and plain.cross["item"].iloc[0] in w["en"]
        for w in solution.warnings
    )
    named = [c for c in solution.efa.loadings if c in ecsi.constructs]
    for code in named:
        home = solution.efa.loadings.abs().idxmax(axis=1)
        carried = [ecsi.items[item] for item in home.index[home == code]]
        assert carried.count(code) >= len(carried) / 2


def test_items_without_correlations_are_left_out_and_named(ecsi, data):
    broken = data.assign(IMAG3=7.0, CUSA1=data["PERQ1"])
    for result in (
        factors.factorability(broken, ecsi),
        factors.factor_number(broken, ecsi, np.random.default_rng(0), draws=20),
        factors.loadings(broken, ecsi, 3),
    ):
        words = [w["en"] for w in result.warnings]
        assert any("same answer: IMAG3" in w for w in words)
        assert any("identical to another item" in w and "CUSA1" in w for w in words)
    assert "KMO of 22 items" in factors.factorability(broken, ecsi).text["en"]


def test_missing_answers_are_counted(ecsi, data):
    holed = data.copy()
    holed.loc[:9, "IMAG1"] = np.nan
    for result in (factors.factorability(holed, ecsi), factors.loadings(holed, ecsi, 3)):
        assert result.n_used == 240
        assert any("10 of 250 rows" in w["en"] for w in result.warnings)
    np.testing.assert_array_equal(
        factors.loadings(holed, ecsi, 3).efa.loadings, extraction.efa(data.iloc[10:], 3).loadings
    )


def test_no_factor_at_all(ecsi):
    noise = pd.DataFrame(np.random.default_rng(3).normal(size=(200, 24)), columns=list(ecsi.items))
    number = factors.factor_number(noise, ecsi, np.random.default_rng(0), draws=100)
    assert number.table.set_index("criterion").loc["parallel", "factors"] == 0
    result = factors.loadings(noise, ecsi, 0)
    assert result.table.shape == (24, 3)
    assert any("No factor stands out from chance" in w["en"] for w in result.warnings)
    assert any("KMO below .50" in w["en"] for w in factors.factorability(noise, ecsi).warnings)
    assert "only one factor" in factors.factor_correlations(result).text["en"]
    for language in ("en", "zh"):
        assert "0" in factors.plot_scree(number, ecsi, language=language).text["en"]


def test_improper_solutions_are_said_before_all_else(ecsi, data):
    items = ["CUSL1", "CUSL2", "CUSL3"]
    result = factors.loadings(data, ecsi, 1, items)
    assert result.efa.heywood == ("CUSL3",)
    assert result.warnings[0]["en"].startswith("Heywood case: the communality of CUSL3")


def test_mistakes(ecsi, data):
    with pytest.raises(ValueError, match="no item IMAG9"):
        factors.factorability(data, ecsi, ["IMAG1", "IMAG9"])
    with pytest.raises(ValueError, match="no column PERQ2, which the study 'ecsi' declares"):
        factors.loadings(data.drop(columns="PERQ2"), ecsi)
    with pytest.raises(ValueError, match="Only 20 of 20 rows are complete, for 24 items"):
        factors.factor_number(data.head(20), ecsi, np.random.default_rng(0))
    with pytest.raises(ValueError, match="allowed are 1 to 17"):
        factors.loadings(data, ecsi, 18)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_figures_say_n_and_nothing_overlaps(ecsi, data, number, solution, language):
    seven = factors.loadings(data, ecsi)
    for picture in (
        factors.plot_scree(number, ecsi, language=language),
        factors.plot_loadings(solution, ecsi, language=language),
        factors.plot_loadings(seven, ecsi, language=language),
    ):
        assert "n = 250" in picture.text["en"]
        assert "n = 250" in picture.text["zh"]
        axis = picture.figure.axes[0]
        with matplotlib.rc_context(theme.theme(picture.language)):
            picture.figure.canvas.draw()
            boxes = [
                label.get_window_extent()
                for label in [*axis.texts, *axis.get_yticklabels()]
                if label.get_text()
            ]
            assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    colours = {tick.get_text(): tick.get_color() for tick in axis.get_yticklabels()}
    assert colours == {item: theme.ROLES[ecsi.role(item)] for item in ecsi.items}
    heads = {tick.get_text() for tick in axis.get_xticklabels()}
    assert {
        ecsi.name(code, picture.language) for code in seven.efa.loadings if code in ecsi.constructs
    } <= heads


def test_the_scree_plot_fills_the_retained_dots(ecsi, number):
    picture = factors.plot_scree(number, ecsi)
    kept = number.table.set_index("criterion").loc["parallel", "factors"]
    filled, hollow = [line for line in picture.figure.axes[0].lines if line.get_marker() == "o"]
    assert len(filled.get_xdata()) == kept
    assert len(hollow.get_xdata()) == 24 - kept
    assert f"{kept} retained" in [text.get_text() for text in picture.figure.axes[0].texts]


def test_few_rows_are_told_and_do_not_speak_against_the_constructs():
    data, own = three_constructs(400)
    said = factors.factor_number(data.iloc[:25], own, np.random.default_rng(1)).warnings
    assert said[0]["en"].startswith("25 rows are few") and "25 行" in said[0]["zh"]
    assert all("hard to tell apart" not in w["en"] for w in said)


def test_constructs_that_correlate_highly_are_not_called_one_where_common_factors_show_them():
    """Three parts of one service: their components hide behind the first, their common factors do not."""
    rng = np.random.default_rng(0)
    general = rng.normal(size=(600, 1))
    parts = 0.85 * general + np.sqrt(1 - 0.85**2) * rng.normal(size=(600, 3))
    rows = 0.8 * np.repeat(parts, 4, axis=1) + 0.6 * rng.normal(size=(600, 12))
    _, own = three_constructs(10)
    found = factors.factor_number(
        pd.DataFrame(rows, columns=list(own.items)), own, np.random.default_rng(1)
    )
    counts = found.table.set_index("criterion")["factors"]
    assert counts["parallel"] < 3 <= counts["parallel_fa"]
    assert "n_factors=3" in found.warnings[0]["en"] and "n_factors=3" in found.warnings[0]["zh"]


def test_enough_rows_are_not_called_few():
    data, own = three_constructs(400)
    assert not factors.factor_number(data, own, np.random.default_rng(1)).warnings
