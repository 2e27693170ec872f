"""The command line as a user meets it: a process, its messages and its exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
import yaml
from interrupted import with_sigint

from cxlib.core.words import languages
from cxlib.responses.formats import locate
from cxlib.run.files import notebook_folder
from cxlib.study.schema import find, load


def cxlib(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "cxlib.run.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **more,
    )


@pytest.fixture
def study(tmp_path):
    """A copy of the real study with its answers beside it, to be spoilt."""
    content = yaml.safe_load(find("ecsi").read_text("utf-8"))
    loaded = load("ecsi")
    answers = pd.read_csv(locate(loaded.responses.file, loaded, loaded.responses.package))
    content["responses"] = {"file": "answers.csv"}

    def write(change=None, answers=answers):
        kept = yaml.safe_load(yaml.safe_dump(content, allow_unicode=True))
        if change:
            change(kept)
        (tmp_path / "study.yml").write_text(
            yaml.safe_dump(kept, allow_unicode=True), encoding="utf-8"
        )
        answers.to_csv(tmp_path / "answers.csv", index=False)
        return tmp_path / "study.yml"

    write.answers = answers
    return write


def refused(done, *words, code=2):
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_check_prints_a_summary():
    done = cxlib("check", "ecsi")
    assert done.returncode == 0
    assert "250 rows, 24 items in 7 constructs" in done.stdout
    assert "in order" in done.stdout


def test_check_and_errors_speak_chinese(tmp_path):
    done = cxlib("check", "ecsi", "--language", "zh")
    assert done.returncode == 0 and "250 行" in done.stdout and "rows" not in done.stdout
    for command in ("check", "run"):
        refused(
            cxlib(command, "esci", "--language", "zh"), "没有名为“esci”的研究", "是否想写“ecsi”"
        )


def test_check_says_what_is_odd_in_the_data(study):
    done = cxlib("check", study(answers=study.answers.assign(CUSA1=7, CUSA2=None)))
    assert done.returncode == 0
    for words in (
        "250 of 6,000 answers (4.2 %) are missing; 0 of 250 rows are complete",
        "note        Item CUSA1 has the same answer",
        "Item CUSA2 has no answer",
    ):
        assert words in done.stdout


def test_a_file_without_answers_is_not_in_order(study):
    refused(cxlib("check", study(answers=study.answers.head(0))), "no row of answers below it")
    refused(
        cxlib("check", study(answers=study.answers * float("nan"))),
        "None of the 24 items has an answer in any of the 250 rows",
    )


def test_check_evaluates_the_conditions_of_the_study(study):
    refused(
        cxlib("check", study(lambda s: s["constructs"]["CUSL"].update(only_if="stayed == 1"))),
        "there is no column 'stayed'",
    )


def test_a_missing_study_is_told_with_the_nearest_one():
    refused(cxlib("run", "esci"), "no study 'esci'", "Did you mean 'ecsi'?")


def test_malformed_yaml_is_told_with_its_line(tmp_path):
    (tmp_path / "study.yml").write_text("id: x\ntitle: {en: a\n", encoding="utf-8")
    refused(cxlib("check", tmp_path), "line 3", "not readable as YAML")


def test_an_unknown_construct_in_a_model(study):
    refused(
        cxlib("check", study(lambda s: s["models"].update(main="CUSA ~ PERX"))),
        "no construct 'PERX'",
        "Did you mean 'PERV'?",
    )


def test_an_item_that_is_not_in_the_data(study):
    refused(cxlib("run", study(answers=study.answers.drop(columns="CUSA2"))), "CUSA2")


def test_a_value_outside_the_declared_range(study):
    answers = study.answers.copy()
    answers.loc[6, "CUSL1"] = 11
    refused(cxlib("run", study(answers=answers)), "CUSL1", "11", "1", "10")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: a.assign(CUSA1=7), ["CUSA1"]),
        (lambda a: a.assign(CUSA1=a["CUSA2"]), ["CUSA1", "CUSA2"]),
        (lambda a: a.head(12), ["12"]),
    ],
    ids=["constant item", "identical items", "fewer rows than items"],
)
def test_data_no_model_can_be_fitted_to_end_in_a_report_that_says_why(
    study, tmp_path, spoil, words
):
    out = tmp_path / "out"
    done = cxlib(
        "run",
        study(answers=spoil(study.answers)),
        "--out",
        out,
        "--only",
        "01,05,06",
        "--jobs",
        "1",
        "--set",
        "n_boot=100",
    )
    assert done.returncode == 0, done.stderr
    said = json.loads((out / "notes" / "cfa_fit.json").read_text("utf-8"))
    for word in words:
        assert word in said["text"]["en"] and word in said["text"]["zh"]
    status = pd.read_csv(out / "tables" / "model_status.csv").set_index("model")
    assert not status.loc["main", "trustworthy"] and all(
        word in status.loc["main", "note"] for word in words
    )


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("n_bot=500", "no chosen notebook has this parameter"),
        ("n_boot=many", "a whole number"),
        ("n_boot=1", "at least 100"),
        ("seed=-1", "at least 0"),
        ("estimator=FOO", "ML, MLR, WLSMV"),
        ("missing=pairwise", "listwise, fiml, mi"),
        ("n_boot", "write it as name=value"),
        ("study=vas", "no chosen notebook has this parameter"),
    ],
)
def test_parameters_are_strict(pair, words):
    done = cxlib("run", "ecsi", "--only", "07", "--set", pair)
    refused(done, words, code=1)


def test_a_notebook_that_is_not_there():
    refused(cxlib("run", "ecsi", "--only", "03,99"), "no notebook '99'", "03_reliability", code=1)


def test_a_folder_that_is_not_a_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    refused(
        cxlib("run", "ecsi", "--only", "01", "--out", tmp_path),
        "not an empty folder and not a run",
        code=1,
    )
    assert (tmp_path / "thesis.txt").read_text("utf-8") == "precious"


def test_a_file_in_place_of_the_run_folder_is_left_alone(tmp_path):
    (tmp_path / "out").write_text("precious", encoding="utf-8")
    refused(
        cxlib("run", "ecsi", "--only", "01", "--out", tmp_path / "out"),
        "not an empty folder and not a run",
        code=1,
    )
    refused(
        cxlib("run", "ecsi", "--only", "01", "--out", tmp_path / "out" / "deeper"),
        "no folder can be made there",
        code=1,
    )


def test_a_run_that_is_being_written_is_not_disturbed(tmp_path):
    (tmp_path / f".run.part{os.getpid()}").mkdir()
    refused(
        cxlib("run", "ecsi", "--only", "01", "--out", tmp_path / "run"),
        "another run",
        str(os.getpid()),
        code=1,
    )


@pytest.mark.slow
def test_a_partial_run_of_another_study_does_not_pass_off_the_old_report(tmp_path):
    out = tmp_path / "run"
    assert cxlib("run", "ecsi", "--only", "01", "--out", out).returncode == 0
    (out / "report.html").write_text("of another study", encoding="utf-8")
    done = cxlib("run", "ecsi", "--only", "01", "--out", out, "--set", "seed=7")
    assert done.stdout.strip() == str(out) and not (out / "report.html").exists()


def stopped(tmp_path, number, sigint):
    """What becomes of a run that is sent a signal once its first notebook has finished."""
    command = with_sigint(
        sigint,
        "run",
        "ecsi",
        "--only",
        "01,03",
        "--out",
        str(tmp_path / "run"),
    )
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.time() + 120
    while (
        not list(tmp_path.glob(".run.part*/notes/done_01_cleaning.json")) and time.time() < deadline
    ):
        time.sleep(0.1)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


posix = pytest.mark.skipif(
    sys.platform == "win32", reason="signals are sent to a process differently on Windows"
)


@posix
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_ctrl_c_and_kill_leave_nothing_behind(tmp_path, name, code):
    status, errors = stopped(tmp_path, getattr(signal, name), "default_int_handler")
    assert status == code, errors
    assert "Interrupted" in errors and "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@posix
def test_a_job_told_to_ignore_ctrl_c_runs_on(tmp_path):
    status, errors = stopped(tmp_path, signal.SIGINT, "SIG_IGN")
    assert (status, errors) == (0, "")
    assert (tmp_path / "run" / "tables" / "reliability.csv").is_file()


def broken(folder, changes):
    """A copy of the suite in which notebooks are broken: {notebook: (words of its code, what stands there instead)}."""
    root = find("ecsi").parent.parent.parent
    for part in ("cxlib", "notebooks", "data"):
        shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in changes.items():
        for language in languages():
            path = folder / notebook_folder(language).relative_to(root) / f"{name}.ipynb"
            text = path.read_text("utf-8")
            assert old in text
            path.write_text(text.replace(old, new), encoding="utf-8")
    return {"cwd": folder, "env": {**os.environ, "PYTHONPATH": str(folder)}}


NEEDS = 'run.need(\\"01_cleaning\\")'
RAISES = {"raises": "1 / 0", "dies": "import os; os._exit(1)"}


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("how", "words"),
    [("raises", ["ZeroDivisionError", "notebooks/03_reliability.ipynb"]), ("dies", ["--jobs 1"])],
)
def test_a_notebook_that_fails_stops_only_itself_and_the_report_says_so(
    tmp_path, how, words, language
):
    suite = broken(tmp_path, {"03_reliability": (NEEDS, RAISES[how])})
    done = cxlib("run", "ecsi", "--only", "01,02,03", "--language", language, **suite)
    folder = tmp_path / "runs" / "ecsi"
    refused(done, "03_reliability", *words, code=1)
    assert Path(done.stdout.strip()) == folder / "report.html"
    sentence = done.stderr.strip().removeprefix("cxlib: ")
    page = unescape((folder / "report.html").read_text("utf-8"))
    assert page.count(sentence) == 2, "at the top and in its place"
    assert page.index(sentence) < page.index('id="answer"') < page.rindex(sentence)
    assert ("其他结果不受影响" in sentence) == (language == "zh")
    assert (folder / "tables" / "items.csv").is_file() and "items" in page
    with zipfile.ZipFile(folder / "report.docx") as package:
        assert "03_reliability" in package.read("word/document.xml").decode()
    made = json.loads((folder / "run.json").read_text("utf-8"))
    assert list(made["failed"]) == ["03_reliability"] and made["failed"]["03_reliability"]["cell"]
    kept = (folder / "notebooks" / "03_reliability.ipynb").read_text("utf-8")
    assert RAISES[how] in kept and (how == "dies" or "ZeroDivisionError" in kept)
    assert [p.name for p in folder.parent.iterdir()] == ["ecsi"]


@pytest.mark.slow
def test_what_needs_a_failed_notebook_is_not_run_and_named(tmp_path):
    suite = broken(tmp_path, {"01_cleaning": ("raw = cxlib", "raw = None.cxlib")})
    done = cxlib("run", "ecsi", "--only", "00,01,03", "--set", "reps=50", **suite)
    refused(
        done, "AttributeError", "03_reliability was not run, because it needs 01_cleaning", code=1
    )
    folder = tmp_path / "runs" / "ecsi"
    assert (folder / "tables" / "power.csv").is_file() and not (
        folder / "notebooks" / "03_reliability.ipynb"
    ).exists()


@pytest.mark.slow
def test_a_report_that_fails_itself_leaves_a_report_without_verdicts(tmp_path):
    suite = broken(tmp_path, {"14_report": ("run.need(", "1 / 0 or run.need(")})
    done = cxlib("run", "ecsi", "--only", "01,14", **suite)
    refused(done, "14_report", "ZeroDivisionError", code=1)
    page = (tmp_path / "runs" / "ecsi" / "report.html").read_text("utf-8")
    assert "cleaning_flow" in page and "14_report" in page and 'id="hypotheses"' not in page


def test_a_refusal_in_words_is_told_in_its_words(study, tmp_path):
    done = cxlib(
        "run",
        study(),
        "--out",
        tmp_path / "out",
        "--only",
        "01,08",
        "--set",
        "interactions=CUSA ~ nosuch * PERQ",
        "--set",
        "n_boot=100",
    )
    refused(done, "'nosuch' is not", code=1)
    assert "ValueError" not in done.stderr and "did not foresee" not in done.stderr


@pytest.mark.slow
def test_tables_of_an_earlier_run_do_not_stand_in_for_those_of_a_failed_notebook(tmp_path):
    suite = broken(tmp_path, {})
    assert cxlib("run", "ecsi", "--only", "01,02,03", **suite).returncode == 0
    folder = tmp_path / "runs" / "ecsi"
    assert (folder / "tables" / "reliability.csv").is_file()
    (
        shutil.rmtree(tmp_path / "cxlib"),
        shutil.rmtree(tmp_path / "notebooks"),
        shutil.rmtree(tmp_path / "data"),
    )
    suite = broken(tmp_path, {"03_reliability": (NEEDS, RAISES["raises"])})
    refused(cxlib("run", "ecsi", "--only", "03", **suite), "03_reliability", code=1)
    assert (
        not (folder / "tables" / "reliability.csv").exists()
        and (folder / "tables" / "items.csv").is_file()
    )
    assert not (folder / "notes" / "done_03_reliability.json").exists()
    assert "alpha_if_dropped" not in (folder / "report.html").read_text("utf-8")


def test_paths_are_printed_for_the_next_command(tmp_path):
    done = cxlib("run", "ecsi", "--only", "01", "--out", tmp_path / "a")
    assert Path(done.stdout.strip()) == tmp_path / "a"
