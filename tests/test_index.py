"""The index of what notebooks show: their order, whichever way and however often they are run."""

from __future__ import annotations

import pandas as pd
import pytest

from cxlib.core import theme
from cxlib.core.words import languages
from cxlib.run import index
from cxlib.run.folder import open_run


@theme.picture
def plot(*, language="en"):
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    return figure, {"en": "n = 2.", "zh": "n = 2。"}


TABLE = pd.DataFrame({"x": [1]})


def opened(folder, notebook="", language="en"):
    return open_run("ecsi", str(folder / "run"), language, notebook=notebook)


def shown(run, notebook):
    return [(one.order, one.name, one.kind) for one in index.entries(run.folder, notebook)]


def test_what_is_shown_is_entered_in_its_order_and_what_is_shown_again_keeps_its_place(tmp_path):
    run = opened(tmp_path, "03_reliability")
    run.show("scales", TABLE)
    run.show("scales", plot())
    run.show("items", TABLE)
    wanted = [(1, "scales", "table"), (2, "scales", "figure"), (3, "items", "table")]
    assert shown(run, "03_reliability") == wanted
    opened(tmp_path, "03_reliability").show("scales", TABLE)  # a cell that is run again by hand
    assert shown(run, "03_reliability") == wanted


def test_notebooks_side_by_side_keep_their_entries_apart(tmp_path):
    for name, notebook in (("b", "06_structure"), ("a", "03_reliability"), ("c", "06_structure")):
        run = opened(tmp_path, notebook)
        run.show(name, TABLE)
    assert index.notebooks(run.folder) == ["03_reliability", "06_structure"]
    assert shown(run, "06_structure") == [(1, "b", "table"), (2, "c", "table")]
    index.clear(run.folder, "06_structure")
    assert index.notebooks(run.folder) == ["03_reliability"]
    assert shown(run, "06_structure") == []


def test_a_script_shows_without_a_place(tmp_path):
    run = opened(tmp_path)
    run.show("a", TABLE)
    run.close()
    assert index.notebooks(run.folder) == [] and len(run.table("a")) == 1
    assert [path.stem for path in (run.folder / "notes").iterdir()] == ["a"]


@pytest.mark.parametrize("language", languages())
def test_an_entry_has_the_title_of_its_notebook_in_the_language_of_the_run(tmp_path, language):
    for notebook in ("03_reliability", "99_of_my_own"):
        opened(tmp_path, notebook, language).show("a", TABLE)
    folder = tmp_path / "run"
    (ours,), (own,) = (index.entries(folder, n) for n in ("03_reliability", "99_of_my_own"))
    assert ours.title == index.title("03_reliability", language) != "03_reliability"
    assert own.title == own.notebook == "99_of_my_own"
    titles = {index.title("03_reliability", other) for other in languages()}
    assert len(titles) == len(languages())
