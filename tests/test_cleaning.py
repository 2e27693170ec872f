"""Cleaning: planted faults are found and counted once, reverse items are turned once, nothing leaves in silence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from survey import reference, write

from cxlib.core.errors import DataError
from cxlib.responses import reading
from cxlib.stages.cleaning import cleaning
from cxlib.statistics import careless
from cxlib.study.conditions import where
from cxlib.study.schema import load

GAP = np.nan
SCALES = {
    "A": ["a1", "a2", "a3", "a4"],
    "B": ["b1", "b2", "b3", "b4"],
    "C": ["c1", "c2", "c3", "c4"],
}
ITEMS = [item for items in SCALES.values() for item in items]
RULES = {
    "columns": {
        "id": {"kind": "id"},
        "device": {"kind": "text"},
        "seconds": {"kind": "number", "unit": "s"},
        "check": {"kind": "number"},
        "given": {"kind": "flag"},
        "hours": {"kind": "number", "only_if": "given == 1"},
        "begin": {"kind": "date"},
        "end": {"kind": "date"},
    },
    "screening": {
        "duplicates": ["device"],
        "attention": {"check": 3},
        "duration": "seconds",
        "order": ITEMS,
        "contradictions": {"hours without": "given == 0 and hours >= 0", "dates": "end < begin"},
    },
}


def honest(n: int = 60, seed: int = 1) -> pd.DataFrame:
    """Answers from one factor a scale; a4 is worded the other way round."""
    rng = np.random.default_rng(seed)
    factor = (
        rng.normal(size=(n, 3))
        @ np.linalg.cholesky([[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]]).T
    )
    latent = np.repeat(factor, 4, axis=1) + 0.7 * rng.normal(size=(n, 12))
    frame = pd.DataFrame(np.clip(np.round(4 + 1.2 * latent), 1, 7), columns=ITEMS)
    frame["a4"] = 8 - frame["a4"]
    return frame.assign(
        id=[f"R{i}" for i in range(n)],
        device=[f"d{i}" for i in range(n)],
        seconds=600.0,
        check=3.0,
        given=1.0,
        hours=5.0,
        begin=pd.Timestamp("2026-01-01 10:00"),
        end=pd.Timestamp("2026-01-01 10:10"),
    )


def alpha(frame: pd.DataFrame) -> float:
    k = frame.shape[1]
    return k / (k - 1) * (1 - frame.var().sum() / frame.sum(axis=1).var())


@pytest.fixture
def study(tmp_path):
    return write(tmp_path, SCALES, reverse=("a4",), **RULES)


@pytest.fixture
def spoilt():
    """Sixty honest rows, of which ten are spoilt: R1 (twice), R2–R8 one fault each, R9 two faults."""
    frame = honest()
    frame.loc[1, "device"] = "d0"
    frame.loc[2, "check"] = 5
    frame.loc[3, "check"] = GAP  # not answered is not failed
    frame.loc[4, "seconds"] = 199
    frame.loc[5, "seconds"] = 200  # exactly a third of the median is not below it
    frame.loc[6, ITEMS] = 4.0
    frame.loc[7, "given"] = 0
    frame.loc[8, "end"] = pd.Timestamp("2026-01-01 09:00")
    frame.loc[9, ["check", "seconds"]] = [1, 10]
    return frame


def test_every_declared_rule_removes_what_it_should_and_counts_it_once(study, spoilt):
    result = cleaning.clean(spoilt, study)
    assert result.flow.table.to_numpy().tolist() == [
        ["received", 0, 60],
        ["duplicates", 1, 59],
        ["attention", 2, 57],
        ["speed", 1, 56],
        ["straightlining", 1, 55],
        ["contradictions", 2, 53],
    ]
    screening = result.screening.table.set_index("respondent")
    assert (
        screening.loc["R9", "reasons"] == "attention; speed"
        and screening.loc["R1", "reasons"] == "duplicates"
    )
    assert set(screening.index[~screening["kept"]]) == {"R1", "R2", "R4", "R6", "R7", "R8", "R9"}
    assert result.data["respondent"].tolist() == [
        f"R{i}" for i in range(60) if i not in (1, 2, 4, 6, 7, 8, 9)
    ]
    assert result.flow.text["en"].startswith(
        "Of 60 rows received, 7 were removed (answered more than once 1, failed an attention check 2"
    )
    assert len(screening) == 60 and list(result.screening.table)[:3] == [
        "respondent",
        "kept",
        "reasons",
    ]


def test_a_study_without_rules_loses_nobody(tmp_path, spoilt):
    result = cleaning.clean(spoilt, write(tmp_path, SCALES, reverse=("a4",)))
    assert result.flow.table.to_numpy().tolist() == [["received", 0, 60]] and len(result.data) == 60
    assert "declares no screening rule" in result.flow.text["en"]
    ecsi = load("ecsi")
    result = cleaning.clean(reading.read(ecsi), ecsi)
    assert (
        len(result.data) == 250
        and result.recoded == ()
        and result.data["respondent"].tolist() == list(range(1, 251))
    )


def test_the_order_of_the_rows_changes_nothing_but_which_copy_stays(study, spoilt):
    turned = cleaning.clean(spoilt[::-1].set_axis(range(60)), study)
    one, other = (set(c.data["respondent"]) for c in (cleaning.clean(spoilt, study), turned))
    assert one - other == {"R0"} and other - one == {"R1"}


def test_a_repeated_id_is_a_repeated_answer_even_without_a_rule(tmp_path):
    frame = pd.concat([honest(5), honest(5).head(2)], ignore_index=True)
    study = write(tmp_path, SCALES, columns={"id": {"kind": "id"}})
    assert cleaning.clean(frame, study).flow.table.to_numpy().tolist()[1:] == [["duplicates", 2, 5]]


def test_a_row_without_any_answer_leaves_first(study):
    frame = honest(20)
    frame.loc[3, ITEMS] = GAP
    flow = cleaning.clean(frame, study).flow.table
    assert flow["step"].tolist()[1] == "empty" and flow["removed"].tolist()[1] == 1


def test_no_row_left_says_which_rule_took_them(study):
    with pytest.raises(DataError, match=r"attention check: 20.*min_duration"):
        cleaning.clean(honest(20).assign(check=1.0), study)


def test_the_shortest_time_can_be_declared(tmp_path, spoilt):
    rules = {**RULES["screening"], "min_duration": 300}
    table = cleaning.clean(
        spoilt, write(tmp_path, SCALES, columns=RULES["columns"], screening=rules)
    ).flow.table.set_index("step")
    assert table.loc["speed", "removed"] == 2  # 199 and 200; R9 had left before


def test_reverse_items_are_turned_once_by_the_declared_range(study):
    frame = honest()
    frame["a4"] = frame["a4"].clip(2, 5)  # nobody used the ends
    result = cleaning.clean(frame, study)
    np.testing.assert_array_equal(result.data["a4"], 8 - frame["a4"])
    assert result.recoded == ("a4",)
    np.testing.assert_array_equal(result.data["a1"], frame["a1"])


def test_turning_a_second_time_is_refused(study):
    data = cleaning.clean(honest(), study).data
    for again in (cleaning.recode, cleaning.clean):
        with pytest.raises(DataError, match="recoded before"):
            again(data, study)
        with pytest.raises(DataError, match="recoded before"):
            again(data.copy(), study)


def test_a_reverse_item_turned_twice_ruins_alpha_and_is_told(study):
    once = cleaning.clean(honest(300), study)
    assert alpha(once.data[SCALES["A"]]) > 0.75 and once.flow.warnings == ()
    ready = honest(300).assign(a4=lambda f: 8 - f["a4"])  # a file that holds it already recoded
    twice = cleaning.clean(ready, study)
    assert alpha(twice.data[SCALES["A"]]) < alpha(once.data[SCALES["A"]]) - 0.3
    assert [w["en"] for w in twice.flow.warnings] == [
        "Item a4 runs against the rest of A after recoding: the file may hold it already recoded; if so, take 'reverse: true' out."
    ]


def test_an_undeclared_reverse_item_is_told(tmp_path):
    told = cleaning.clean(honest(300), write(tmp_path, SCALES)).flow.warnings
    assert (
        len(told) == 1
        and "Item a4 runs against the rest of A as it stands" in told[0]["en"]
        and "reverse: true" in told[0]["zh"]
    )


@given(
    low=st.integers(-3, 1),
    width=st.integers(1, 100),
    answers=st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
@settings(derandomize=True, deadline=None, max_examples=30)
def test_recoding_mirrors_the_declared_range(low, width, answers):
    ecsi = load("ecsi")
    construct = ecsi.constructs["PERV"]
    item = construct.items["PERV1"].model_copy(
        update={"reverse": True, "scale": (float(low), float(low + width))}
    )
    turned = ecsi.model_copy(
        update={"constructs": {"PERV": construct.model_copy(update={"items": {"PERV1": item}})}}
    )
    x = pd.DataFrame({"PERV1": low + width * np.array(answers)})
    y = cleaning.recode(x, turned)["PERV1"]
    np.testing.assert_allclose(y - low, low + width - x["PERV1"], atol=1e-9)
    assert y.between(low - 1e-9, low + width + 1e-9).all() and "recoded" not in x.attrs


def test_answers_to_questions_that_did_not_apply_become_missing_and_are_counted(tmp_path):
    frame = honest(10).assign(given=[0.0] * 3 + [1.0] * 6 + [GAP])
    study = write(tmp_path, SCALES, reverse=("a4",), columns=RULES["columns"])
    result = cleaning.clean(frame, study)
    assert result.data["hours"].isna().tolist() == [True] * 3 + [False] * 6 + [True]
    assert "hours (4)" in result.flow.warnings[0]["en"]


def test_a_construct_that_was_asked_of_some_says_of_whom(tmp_path):
    frame = honest(10).assign(given=[0.0] * 3 + [1.0] * 6 + [GAP])
    frame.loc[[0, 4], "b1"] = GAP
    write(tmp_path, SCALES, reverse=("a4",), columns=RULES["columns"])
    content = yaml.safe_load((tmp_path / "study.yml").read_text("utf-8"))
    content["constructs"]["B"]["only_if"] = "given == 1"
    (tmp_path / "study.yml").write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    result = cleaning.clean(frame, load(tmp_path / "study.yml"))
    assert result.data["b2"].isna().tolist() == [True] * 3 + [False] * 6 + [True]
    assert result.data[SCALES["A"]].notna().all(axis=None)
    told = [w["en"] for w in result.flow.warnings]
    assert told[0].endswith("hours (4), b1 (3), b2 (4), b3 (4), b4 (4).")
    assert told[1].startswith("B was asked of 6 of 10 respondents (given == 1)")


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("x > 2", [2, 3]),
        ("x >= 2 and not flag == 1", [3]),
        ("group == 'a' or x == 4", [0, 3]),
        ("code == 7", [1]),
        ("code != 7", [0, 2]),
        ("2 <= x and x <= 3", [1, 2]),
        ("x - flag == 2", [2]),
        ("-x < -3", [3]),
        ("end < begin", [1]),
        ("x == flag", [0]),
        ("not x > 2", [0, 1]),
    ],
)
def test_conditions(condition, rows):
    frame = pd.DataFrame(
        {
            "x": [1.0, 2, 3, 4],
            "flag": [1.0, 1, 1, GAP],
            "group": ["a", "b", None, "b"],
            "code": ["1", "7", "8", None],
            "begin": pd.to_datetime(["2026-01-02"] * 4),
            "end": pd.to_datetime(["2026-01-03", "2026-01-01", None, "2026-01-03"]),
        }
    )
    assert np.flatnonzero(where(frame, condition)).tolist() == rows


@pytest.mark.parametrize(
    "condition",
    [
        "x.to_csv('leak')",
        "__import__('os')",
        "[x for x in y]",
        "x > 1 > 0",
        "x * 2 > 1",
        "x >",
        "x = 1",
    ],
)
def test_conditions_only_compare(condition):
    with pytest.raises(DataError, match="cannot be read"):
        where(pd.DataFrame({"x": [1.0]}), condition)


def test_a_condition_on_a_column_that_is_not_there_names_it():
    with pytest.raises(DataError, match="'y > 1': there is no column 'y'"):
        where(pd.DataFrame({"x": [1.0]}), "y > 1")


def test_longest_run_passes_over_gaps():
    frame = pd.DataFrame([[1, 1, 2, 2, 2], [3, GAP, 3, 3, 1], [1, 2, 3, 4, 5], [GAP] * 5, [7] * 5])
    assert careless.longstring(frame).tolist() == [3, 3, 1, 0, 5]


def test_a_straight_run_is_measured_in_the_administered_order(tmp_path):
    frame = honest(30)
    frame.loc[0, ITEMS] = [1, 2] * 6
    frame.loc[1, ITEMS] = [5] * 9 + [1, 2, 3]
    frame.loc[2, ITEMS] = [5] * 10 + [1, 2]
    shuffled = ITEMS[::2] + ITEMS[1::2]
    for order, gone in ((ITEMS, ["R2"]), (shuffled, [])):
        study = write(tmp_path, SCALES, columns={"id": {"kind": "id"}}, screening={"order": order})
        table = cleaning.clean(frame, study).screening.table
        assert table.loc[~table["kept"], "respondent"].tolist() == gone
        assert table["longstring"][0] == (1 if order is ITEMS else 6)


def test_variability_within_a_row():
    frame = honest(20)[ITEMS]
    frame.loc[0] = 4.0
    np.testing.assert_allclose(careless.irv(frame), frame.to_numpy().std(axis=1, ddof=1))
    assert careless.irv(frame)[0] == 0


def test_even_odd_consistency_row_by_row():
    frame = honest(40)[ITEMS].assign(a4=lambda f: 8 - f["a4"])
    frame.loc[3, ["b1", "b3"]] = GAP
    frame.loc[4] = 5.0
    found = careless.even_odd(frame, SCALES)
    for row in (0, 1, 2, 20):
        odd = [frame.loc[row, items[0::2]].mean() for items in SCALES.values()]
        even = [frame.loc[row, items[1::2]].mean() for items in SCALES.values()]
        r = np.corrcoef(odd, even)[0, 1]
        assert found[row] == pytest.approx(max(2 * r / (1 + r), -1), rel=1e-9)
    assert np.isnan(found[3]) and np.isnan(found[4])
    assert careless.even_odd(frame, {"A": SCALES["A"], "B": SCALES["B"]}).isna().all()


@pytest.mark.parametrize("name", ["ecsi", "hs"])
def test_mahalanobis_is_that_of_psych(name):
    wanted = reference("description_mahalanobis").query("set == @name")["d2"]
    frame = (
        reading.read(load("ecsi")).frame if name == "ecsi" else reference("hs").loc[:, "x1":"x9"]
    )
    np.testing.assert_allclose(careless.mahalanobis(frame)["mahalanobis"], wanted, rtol=1e-9)


def test_mahalanobis_of_an_incomplete_row_uses_what_it_answered():
    frame = reference("hs").loc[:, "x1":"x9"]
    gapped = frame.head(5).copy()
    gapped.loc[:, ["x2", "x7"]] = GAP
    found = careless.mahalanobis(gapped, frame)
    wanted = careless.mahalanobis(frame.drop(columns=["x2", "x7"])).head(5)
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-9)


def test_distances_that_do_not_exist_are_said(study):
    frame = honest(40).assign(a2=lambda f: f["a1"])
    told = cleaning.clean(frame, study)
    assert told.screening.table["mahalanobis"].isna().all()
    assert any(
        "Mahalanobis distance could not be computed for 40 rows" in w["en"] for w in told.warnings
    )
    assert any("Items a1 and a2 have identical answers" in w["en"] for w in told.warnings)


def test_screening_is_held_against_the_key(study, spoilt):
    screening = cleaning.clean(spoilt, study).screening
    key = pd.DataFrame(
        {
            "resp_id": ["R2", "R3", "R4", "R6", "R7", "R20"],
            "kind": [
                "attention",
                "attention",
                "speeder",
                "straight_liner",
                "contradictory",
                "label",
            ],
        }
    )
    result = cleaning.against_key(screening, key)
    table = result.table.set_index(["kind", "rule"])
    assert table.loc[("attention", "attention"), ["n", "hits", "rate"]].tolist() == [2, 1, 0.5]
    assert table.loc[("speeder", "speed"), "rate"] == 1 and table.loc[
        ("label", ""), ["measure", "rate"]
    ].tolist() == ["kept", 1]
    assert table.loc[("none", "any"), ["n", "hits"]].tolist() == [
        54,
        51,
    ]  # R1, R8 and R9 were not in the key
    assert table.loc[("none", "speed"), "hits"] == 53
    n, share, z = 54, 51 / 54, 1.959963984540054
    wilson = (
        share
        + z * z / (2 * n)
        + np.array([-1, 1]) * z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    ) / (1 + z * z / n)
    np.testing.assert_allclose(
        table.loc[("none", "any"), ["low", "high"]].astype(float), wilson, rtol=1e-9
    )
    assert result.text["en"].startswith(
        "The rules found 4 of 5 rows planted for them, kept 1 of 1 rows"
    )


def test_a_key_of_another_simulation_is_refused_and_none_is_said(study, spoilt):
    screening = cleaning.clean(spoilt, study).screening
    with pytest.raises(DataError, match="names respondents that are not in the responses: X1"):
        cleaning.against_key(screening, pd.DataFrame({"resp_id": ["X1"], "kind": ["speeder"]}))
    assert "no key" in cleaning.against_key(screening, None).text["en"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_flow_picture_shows_every_count(study, spoilt, language):
    picture = cleaning.plot_flow(cleaning.clean(spoilt, study).flow, study, language=language)
    written = " ".join(t.get_text() for t in picture.figure.axes[0].texts)
    assert [int(n) for n in pd.Series(written).str.findall(r"n = (\d+)")[0]] == [
        60,
        53,
        1,
        2,
        1,
        1,
        2,
    ]
    assert "7" in picture.text[language]
