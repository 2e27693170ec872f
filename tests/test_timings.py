"""Where the time of a run went, from notebooks whose times are known."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cxlib.run import timings


def code(source, seconds, shown=""):
    return {"cell_type": "code", "source": [source], "metadata": {"papermill": {"duration": seconds}},
            "outputs": [{"data": {"text/html": shown}}] if shown else []}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "notebooks").mkdir()
    prose = {
        "cell_type": "markdown",
        "source": ["# Title"],
        "metadata": {"papermill": {"duration": 9.0}},
    }
    cells = [
        prose,
        code("first()\nsecond()", 1.5),
        code("draw()", 4.0, "<figure><img></figure>"),
        code("third()", 0.5),
        code("unrun()", None),
    ]
    content = {"cells": cells, "metadata": {"papermill": {"duration": 7.0}}}
    (tmp_path / "notebooks" / "03_some.ipynb").write_text(json.dumps(content), "utf-8")
    return tmp_path


def test_time_is_split_into_start_up_drawing_and_the_rest(folder):
    row = timings.notebooks(folder).set_index("notebook").loc["03_some"]
    assert row.to_dict() == {"seconds": 7.0, "start_up": 1.0, "drawing": 4.0, "other": 2.0}


def test_cells_keep_their_number_and_first_line(folder):
    spent = timings.cells(folder)
    assert spent[["cell", "line", "draws"]].values.tolist() == [
        [2, "first()", False],
        [3, "draw()", True],
        [4, "third()", False],
    ]


def test_the_slowest_cells_are_listed_below_their_notebook(folder):
    lines = timings.listed(folder, slowest=2).splitlines()
    assert len(lines) == 4 and lines[1].split() == ["03_some", "7.0", "1.0", "4.0", "2.0"]
    assert [line.split()[-1] for line in lines[2:]] == ["draw()", "first()"]


@pytest.mark.slow
def test_a_run_lists_its_times_after_its_folder(tmp_path):
    command = [
        sys.executable,
        "-m",
        "cxlib.run.cli",
        "run",
        "ecsi",
        "--only",
        "01",
        "--timings",
        "--out",
        str(tmp_path / "run"),
    ]
    lines = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=300
    ).stdout.splitlines()
    assert lines[0] == str(tmp_path / "run")
    assert lines[2].startswith("01_cleaning") and sum(
        map(float, lines[2].split()[2:])
    ) == pytest.approx(float(lines[2].split()[1]), abs=0.2)
