"""Every notebook on studies of few rows: each step gives a result or the reason why there is none, and no cell raises."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from survey import write

from cxlib.core import absent, theme
from cxlib.core.errors import Impossible
from cxlib.core.result import Picture
from cxlib.run.folder import Run, open_run
from cxlib.run.notebooks import NOTEBOOKS, notebooks
from cxlib.stages import power

QUICK = {"reps": 50, "n_boot": 100, "n_permutations": 0}


def a_survey(folder, rows, sizes, change=None, **declared):
    """A study of constructs of these sizes, each regressed on the one before, answered by `rows` people."""
    rng = np.random.default_rng(1)
    scales = {
        code: [f"{code}{i + 1}" for i in range(size)]
        for code, size in zip("ABCDE", sizes, strict=False)
    }
    common = 0.7 * (rng.normal(size=(rows, 1)) + rng.normal(size=(rows, len(scales))))
    answers = pd.DataFrame(
        {
            item: 0.7 * (common[:, at] + rng.normal(size=rows))
            for at, items in enumerate(scales.values())
            for item in items
        }
    )
    answers = answers.add(3).round().clip(1, 5)
    paths = [f"{b} ~ {a}" for a, b in pairwise(scales)]
    stated = {
        f"H{at}": {"path": path, "sign": "+", "en": path, "zh": path}
        for at, path in enumerate(paths)
    }
    declared = {
        "models": {"main": "\n".join(paths) or "A ~~ A"},
        "hypotheses": stated,
        "scale": [1, 5],
    } | declared
    return write(folder, scales, answers if change is None else change(answers), **declared)


def walk(study, out, language="en"):
    """The code cells of every notebook, one after the other; what a cell raises is raised."""
    for name in notebooks():
        space = {"display": lambda *shown: None}
        for at, cell in enumerate(
            c
            for c in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))["cells"]
            if c["cell_type"] == "code"
        ):
            exec(compile("".join(cell["source"]), f"{name}, code cell {at}", "exec"), space)
            if at == 0:
                space |= {"study": str(study.path), "out": str(out), "language": language} | {
                    k: v for k, v in QUICK.items() if k in space
                }
    return open_run(str(study.path), str(out), language)


def grouped(**levels):
    """Answers with a column of groups of these sizes."""
    names = [level for level, count in levels.items() for _ in range(count)]
    return lambda answers: answers.assign(g=names)


GROUPS = {"columns": {"g": {"kind": "category", "group": True}}}
SURVEYS = {
    "fewer rows than items": (20, (6, 5, 5, 5, 5), None, {}),
    "as many rows as items": (9, (3, 3, 3), grouped(a=5, b=4), GROUPS),
    "three rows": (3, (3, 3, 3), grouped(a=2, b=1), GROUPS),
    "one row": (1, (2, 2), None, {}),
    "five rows of two items": (5, (1, 1), None, {}),
    "one construct of one item": (30, (1,), None, {}),
    "one construct of two items": (12, (2,), None, {}),
    "a constant item": (60, (3, 3), lambda answers: answers.assign(A1=3.0), {}),
    "an item nobody answered": (60, (3, 3), lambda answers: answers.assign(B1=np.nan), {}),
    "groups of one to three": (60, (3, 3), grouped(a=1, b=2, c=3, d=54), GROUPS),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SURVEYS)
def test_every_notebook_finishes_and_says_what_the_data_do_not_allow(name, tmp_path, monkeypatch):
    rows, sizes, change, declared = SURVEYS[name]
    study = a_survey(tmp_path, rows, sizes, change, **declared)
    monkeypatch.setattr(theme, "render", lambda picture: (b"png", b"svg", b"pdf"))
    monkeypatch.setattr("cxlib.run.report.word", lambda page: b"docx")
    run = walk(study, tmp_path / "out", "zh" if rows < 10 else "en")
    assert {path.stem for path in (run.folder / "notes").glob("done_*.json")} == {
        f"done_{name}" for name in notebooks()
    }
    for path in (run.folder / "tables").glob("*.csv"):
        said = run.note(path.stem)["text"]
        assert path.read_text("utf-8").strip() or (len(said["en"]) > 20 and len(said["zh"]) > 8), (
            path.stem
        )
    assert list(run.table("hypotheses")["id"]) == list(study.hypotheses)
    assert (run.folder / "report.html").is_file()


@pytest.mark.parametrize("n", [2, 26, 51, 106, 107])
def test_the_power_curve_begins_where_a_sample_can_be_simulated(n, tmp_path):
    study = a_survey(tmp_path, 0, (6, 5, 5, 5, 5))
    found = power.power(
        study, n=n, rng=np.random.default_rng(1), population=power.assumed(study, 0.3), reps=50
    )
    sizes = set(found.table["n"])
    assert min(sizes) == 27 and max(sizes) >= 2 * min(n, 27) and (n in sizes) == (n > 26)
    said = [words for words in found.warnings if "left out" in words["en"] and "27" in words["en"]]
    assert len(said) == (n < 107) and all("27" in words["zh"] for words in said)
    assert ("cannot be estimated" in found.text["en"]) == (n <= 26)


def test_a_stage_passes_on_why_there_is_nothing():
    @absent.stage
    def doubled(number):
        return 2 * number

    @absent.stage
    def plot_doubled(number, *, language="en"):
        return None

    refusal = Impossible({"en": "Too few rows.", "zh": "行数太少。"})
    assert doubled(2) == 4
    for given in (refusal, absent.absent(refusal)):
        assert (
            doubled(given).text["en"].endswith(str(refusal))
            and refusal["zh"] in doubled(number=given).text["zh"]
        )
        assert isinstance(plot_doubled(given, language="en"), Picture)


def test_only_what_the_data_do_not_allow_becomes_an_empty_result(tmp_path):
    run = Run(None, tmp_path)

    def refuse(error):
        raise error

    assert isinstance(run.attempt(refuse, Impossible("Too few rows.")), absent.Absent)
    for error in (ValueError("df <= 0"), ZeroDivisionError(), KeyError("x")):
        with pytest.raises(type(error)):
            run.attempt(refuse, error)
