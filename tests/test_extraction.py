"""Exploratory factors against psych with every step taken to its end, planted structures, invariances, messages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import data_set, exact
from r_tables import r_table

from cxlib.statistics.extraction import bartlett, efa, kmo, map_test, parallel, rotate

PRINTED = r_table("factors", keep_default_na=False, dtype={"row": str, "column": str})
MORE = r_table("factorability", keep_default_na=False).set_index(["set", "table"])
NUMBER = {"hs": 3, "ecsi": 4, "bfi": 5}
DATA = {name: data_set(name).dropna() for name in NUMBER}
SOLUTIONS = [
    (name, method, rotation)
    for (name, table, method, rotation), _ in PRINTED.groupby(
        ["set", "table", "method", "rotation"]
    )
    if table == "loadings"
]


def printed(name: str, table: str, method: str = "", rotation: str = "") -> pd.DataFrame:
    keys = {"set": name, "table": table, "method": method, "rotation": rotation}
    return PRINTED[np.logical_and.reduce([PRINTED[column] == key for column, key in keys.items()])]


def square(rows: pd.DataFrame) -> np.ndarray:
    """Rows and columns in the order R wrote them."""
    table = rows.pivot_table("value", "row", "column", sort=False)
    return table.loc[:, sorted(table.columns, key=int)].to_numpy()


def simple_structure(phi: float = 0.4) -> tuple[pd.DataFrame, np.ndarray]:
    """Nine items, each of one of three correlated factors, whose sample correlations have that structure exactly."""
    pattern = np.zeros((9, 3))
    pattern[range(9), np.repeat(range(3), 3)] = [0.9, 0.8, 0.85, 0.7, 0.8, 0.75, 0.6, 0.7, 0.5]
    r = pattern @ (np.full((3, 3), phi) + (1 - phi) * np.eye(3)) @ pattern.T
    np.fill_diagonal(r, 1)
    return exact(r), pattern


@pytest.mark.parametrize("name", NUMBER)
def test_factorability_as_in_psych(name):
    r = printed(name, "statistic").set_index("row")["value"]
    value, each = kmo(DATA[name])
    chisq, df, p = bartlett(DATA[name])
    assert value == pytest.approx(r["kmo"], abs=1e-10)
    assert [chisq, df] == pytest.approx([r["bartlett_chisq"], r["bartlett_df"]], rel=1e-10)
    assert p == pytest.approx(r["bartlett_p"], rel=1e-9)
    items = printed(name, "kmo")
    assert list(each.index) == list(items["row"])
    np.testing.assert_allclose(each, items["value"], atol=1e-10)


@pytest.mark.parametrize("name", NUMBER)
def test_eigenvalues_and_map_as_in_psych(name):
    for method, r in (
        ("pca", printed(name, "pca")["value"]),
        ("fa", MORE.loc[(name, "smc"), "value"]),
    ):
        found = parallel(DATA[name], np.random.default_rng(0), draws=2, method=method)
        np.testing.assert_allclose(found["observed"], r, atol=1e-10)
    found = map_test(DATA[name]).set_index("factors")["map"]
    np.testing.assert_allclose(
        found.loc[1:], printed(name, "map")["value"].iloc[: len(found) - 1], atol=1e-10
    )


@pytest.mark.parametrize(("name", "method", "rotation"), SOLUTIONS, ids=str)
def test_loadings_as_in_psych(name, method, rotation):
    kaiser = {"oblimin_kaiser": True, "varimax_raw": False}.get(rotation)
    solution = efa(DATA[name], NUMBER[name], method, rotation.split("_")[0], kaiser)
    tolerance = 1e-6 if "oblimin" in rotation else 1e-7
    np.testing.assert_allclose(
        solution.loadings, square(printed(name, "loadings", method, rotation)), atol=tolerance
    )
    np.testing.assert_allclose(
        solution.correlations, square(printed(name, "phi", method, rotation)), atol=tolerance
    )
    assert solution.rmsr == pytest.approx(printed(name, "rmsr", method)["value"].item(), abs=1e-8)
    assert solution.converged


@pytest.mark.parametrize("name", ["hs", "bfi"])
@pytest.mark.parametrize("method", ["minres", "ml"])
@pytest.mark.parametrize("rotation", ["none", "oblimin"])
def test_loadings_as_psych_prints_them(name, method, rotation):
    r = square(printed(name, "psych", method, rotation))
    np.testing.assert_allclose(
        efa(DATA[name], NUMBER[name], method, rotation).loadings, r, atol=1e-5
    )


@pytest.mark.parametrize("method", ["minres", "ml", "pa"])
@pytest.mark.parametrize("phi", [0.0, 0.4])
def test_a_planted_simple_structure_comes_back(method, phi):
    frame, pattern = simple_structure(phi)
    solution = efa(frame, 3, method)
    np.testing.assert_allclose(solution.loadings, pattern, atol=1e-5)
    np.testing.assert_allclose(
        solution.correlations, np.full((3, 3), phi) + (1 - phi) * np.eye(3), atol=1e-5
    )
    assert solution.rmsr < 1e-6
    assert solution.cross.empty
    assert solution.heywood == ()


@pytest.mark.parametrize("rotation", ["none", "varimax"])
def test_orthogonal_factors_do_not_correlate(rotation):
    solution = efa(DATA["hs"], 3, rotation=rotation)
    np.testing.assert_array_equal(solution.correlations, np.eye(3))
    np.testing.assert_array_equal(solution.structure, solution.loadings)


@pytest.mark.parametrize("rotation", ["none", "oblimin", "promax", "varimax"])
def test_the_parts_of_a_solution_agree(rotation):
    solution = efa(DATA["ecsi"], 4, rotation=rotation)
    pattern, phi = solution.loadings.to_numpy(), solution.correlations.to_numpy()
    np.testing.assert_allclose(solution.structure, pattern @ phi, atol=1e-12)
    np.testing.assert_allclose(np.diag(pattern @ phi @ pattern.T), solution.communality, atol=1e-8)
    np.testing.assert_allclose(np.diag(phi), 1, atol=1e-10)
    table = solution.variance
    assert table["ss_loadings"].is_monotonic_decreasing
    assert table["ss_loadings"].sum() == pytest.approx(solution.communality.sum(), abs=1e-8)
    assert table["cumulative"].iloc[-1] == pytest.approx(solution.communality.mean(), abs=1e-8)
    assert (pattern.sum(axis=0) > 0).all()


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["minres", "ml"]),
    st.sampled_from(["oblimin", "promax", "varimax"]),
)
def test_order_units_and_direction_of_items_do_not_matter(seed, method, rotation):
    rng = np.random.default_rng(seed)
    frame = DATA["hs"]
    sign = rng.choice([-1, 1], 9)
    order = rng.permutation(9)
    moved = (frame * rng.uniform(0.1, 20, 9) * sign + rng.normal(size=9)).iloc[:, order]
    one, two = efa(frame, 3, method, rotation), efa(moved, 3, method, rotation)
    np.testing.assert_allclose(two.communality[one.communality.index], one.communality, atol=1e-6)
    a, b = one.loadings.to_numpy(), two.loadings.loc[one.loadings.index].to_numpy() * sign[:, None]
    np.testing.assert_allclose(np.abs(b), np.abs(a), atol=1e-5)
    np.testing.assert_allclose(b * np.sign((a * b).sum(axis=0)), a, atol=1e-5)


def test_no_rotation_of_the_axes_is_better_than_the_one_found():
    """Quartimin at least as low as in psych's own solution; varimax not improved by turning any two axes."""

    def quartimin(pattern: np.ndarray) -> float:
        squares = pattern**2
        return ((squares.sum(axis=1) ** 2).sum() - (squares**2).sum()) / 4

    for name in ("hs", "bfi"):
        found = quartimin(efa(DATA[name], NUMBER[name]).loadings.to_numpy())
        assert found <= quartimin(square(printed(name, "psych", "minres", "oblimin"))) + 1e-6
    pattern = efa(DATA["bfi"], 5, rotation="varimax", kaiser=False).loadings.to_numpy()
    best = ((pattern**2).var(axis=0)).sum()
    for i, j in zip(*np.triu_indices(5, 1), strict=True):
        for angle in (-0.3, -0.01, 0.01, 0.3):
            turned = pattern.copy()
            turned[:, [i, j]] = pattern[:, [i, j]] @ [
                [np.cos(angle), -np.sin(angle)],
                [np.sin(angle), np.cos(angle)],
            ]
            assert ((turned**2).var(axis=0)).sum() < best


def test_one_factor_needs_no_rotation():
    solution = efa(DATA["hs"][["x4", "x5", "x6"]], 1, "ml")
    pattern, phi, converged = rotate(solution.loadings.to_numpy(), "oblimin")
    np.testing.assert_array_equal(pattern, solution.loadings)
    assert phi.shape == (1, 1) and converged
    assert (solution.extraction, solution.correlation) == ("ml", "pearson")
    assert solution.rotation == "none" and not solution.kaiser
    r = DATA["hs"][["x4", "x5", "x6"]].corr().to_numpy()
    assert solution.loadings.iloc[0, 0] ** 2 == pytest.approx(r[0, 1] * r[0, 2] / r[1, 2], abs=1e-7)
    assert efa(DATA["hs"], 1).cross.empty


@pytest.mark.parametrize("method", ["minres", "ml", "pa"])
def test_a_heywood_case_is_named(method):
    """One factor with these correlations would need a communality of .7·.7/.4 = 1.225."""
    frame = exact(np.array([[1, 0.7, 0.7], [0.7, 1, 0.4], [0.7, 0.4, 1]]))
    assert efa(frame, 1, method).heywood == ("i1",)


def test_cross_loadings_are_those_from_32_up():
    solution = efa(DATA["ecsi"], 4)
    second = np.sort(solution.loadings.abs().to_numpy(), axis=1)[:, -2]
    assert list(solution.cross["item"]) == list(solution.loadings.index[second >= 0.32])
    for row in solution.cross.itertuples():
        own = solution.loadings.loc[row.item]
        assert (own[row.first], own[row.second]) == (row.loading, row.second_loading)
        assert abs(row.loading) >= abs(row.second_loading)


@pytest.mark.parametrize("method", ["pca", "fa"])
def test_parallel_analysis_finds_what_was_planted(method):
    rng = np.random.default_rng(5)
    factors, noise = rng.normal(size=(300, 2)), rng.normal(size=(300, 8))
    two = pd.DataFrame(np.repeat(factors, 4, axis=1) + noise)
    for frame, expected in ((two, 2), (pd.DataFrame(noise), 0)):
        roots = parallel(frame, np.random.default_rng(1), draws=50, method=method)
        assert (roots["observed"] > roots["random"]).cummin().sum() == expected
    assert map_test(two).set_index("factors")["map"].idxmin() == 2
    assert map_test(pd.DataFrame(noise)).set_index("factors")["map"].idxmin() == 0


def test_the_random_eigenvalues():
    frame = DATA["hs"]
    before = np.random.get_state()[1].copy()  # noqa: NPY002 – the global generator must stay untouched
    one, two = (parallel(frame, np.random.default_rng(3)) for _ in range(2))
    assert (before == np.random.get_state()[1]).all()  # noqa: NPY002
    pd.testing.assert_frame_equal(one, two)
    assert one["observed"].sum() == pytest.approx(9)
    median = parallel(frame, np.random.default_rng(3), quantile=0.5)["random"]
    assert (median < one["random"]).all()
    other = parallel(frame, np.random.default_rng(4))["random"]
    assert 0 < (other - one["random"]).abs().max() < 0.03


def test_rows_with_a_missing_answer_are_left_out():
    holed = data_set("bfi")
    assert efa(holed, 2).n_used == len(holed.dropna()) == 2436
    assert kmo(holed)[0] == kmo(holed.dropna())[0]


NORMAL = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 5)), columns=list("abcde"))


@pytest.mark.parametrize(
    "method",
    [kmo, bartlett, map_test, lambda f: parallel(f, np.random.default_rng(0)), lambda f: efa(f, 1)],
)
@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (NORMAL.assign(b=3.0), "Every one of 30 complete rows has the same answer to b"),
        (NORMAL.assign(copy=NORMAL["a"]), "a and copy"),
        (NORMAL.assign(mirror=6 - NORMAL["a"]), "a and mirror"),
        (NORMAL.assign(total=NORMAL.sum(axis=1)), "singular"),
        (NORMAL.head(5), "Only 5 of 5 rows are complete, for 5 items"),
        (NORMAL.assign(b="much"), "The answers to b are not numbers"),
        (NORMAL.assign(b=np.inf), "infinite"),
        (NORMAL[["a", "b"]], "at least 3"),
    ],
)
def test_what_cannot_be_factored_says_why(method, frame, message):
    with pytest.raises(ValueError, match=message):
        method(frame)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factors": 3}, "allowed are 1 to 2"),
        ({"factors": 0}, "allowed are 1 to 2"),
        ({"factors": 1, "method": "uls"}, "Allowed: minres, ml, pa"),
        ({"factors": 1, "rotation": "quartimax"}, "Allowed: oblimin, promax"),
    ],
)
def test_what_is_not_allowed_says_what_is(arguments, message):
    with pytest.raises(ValueError, match=message):
        efa(NORMAL, **arguments)
    with pytest.raises(ValueError, match="Allowed: pca, fa"):
        parallel(NORMAL, np.random.default_rng(0), method="minres")


def test_factors_of_polychoric_correlations_are_those_of_psych_on_lavaans():
    """Ours takes polychorics exact to 1e-7; lavaan's own floor on cell probabilities moves a few in the seventh digit."""
    frame = r_table("bfi").iloc[:, :25].dropna()
    printed = r_table("factors_polychoric", index_col="item")
    solution = efa(frame, 5, correlation="polychoric")
    np.testing.assert_allclose(solution.loadings, printed, atol=1e-5)
    assert (solution.extraction, solution.correlation) == ("minres", "polychoric")


def test_factorability_and_map_of_polychoric_correlations_as_in_psych():
    """To 1e-5, as lavaan's own floor on cell probabilities moves its polychorics in the seventh digit."""
    value, each = kmo(DATA["bfi"], "polychoric")
    np.testing.assert_allclose([value, *each], MORE.loc[("bfi", "kmo"), "value"], atol=1e-5)
    np.testing.assert_allclose(
        bartlett(DATA["bfi"], "polychoric")[:2], MORE.loc[("bfi", "bartlett"), "value"], rtol=1e-5
    )
    found = map_test(DATA["bfi"], "polychoric").set_index("factors")["map"].loc[1:]
    np.testing.assert_allclose(
        found, MORE.loc[("bfi", "map"), "value"].iloc[: len(found)], atol=1e-5
    )


def test_an_unknown_kind_of_correlation_is_refused():
    with pytest.raises(ValueError, match="Allowed: pearson, polychoric"):
        efa(pd.DataFrame(np.random.default_rng(0).normal(size=(50, 4))), 1, correlation="spearman")
