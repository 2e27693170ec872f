"""Parameters: what is refused before anything runs, by the command line and by a notebook that is run by itself."""

from __future__ import annotations

import json

import pytest
from survey import write

from cxlib.core.words import languages
from cxlib.run.failures import RunError
from cxlib.run.files import notebook_folder
from cxlib.run.folder import open_run
from cxlib.run.parameters import OWN, check, declared, explained, given
from cxlib.study.schema import load

ALL = list(OWN)
SCALES = {"A": ["A1", "A2"], "B": ["B1", "B2"]}


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """A study of two models and one grouping column."""
    import pandas as pd

    columns = {"shop": {"kind": "category", "group": True}}
    answers = pd.DataFrame(
        {item: [1, 2, 3, 4] for items in SCALES.values() for item in items} | {"shop": list("xyxy")}
    )
    models = {"main": "B ~ A", "back": "A ~ B"}
    return write(
        tmp_path_factory.mktemp("grouped"), SCALES, answers, columns=columns, models=models
    )


WRONG = [
    ("04_factors", "method", "pca"),
    ("04_factors", "rotation", "quartimax"),
    ("04_factors", "correlation", "Pearson"),
    ("04_factors", "n_factors", -1),
    ("05_measurement", "estimator", "FOO"),
    ("05_measurement", "missing", "pairwise"),
    ("05_measurement", "model", "other"),
    ("06_structure", "marks", "none"),
    ("06_structure", "n_boot", 99),
    ("07_mediation", "interval", "BCA"),
    ("06_structure", "missing", "pairwise"),
    ("08_groups", "criterion", "cfi"),
    ("08_groups", "group", "gender"),
    ("08_groups", "n_boot", 1),
    ("08_groups", "n_permutations", 0.5),
    ("08_groups", "merge_answers", 1),
    ("00_study", "effect", float("nan")),
    ("00_study", "reps", True),
    ("01_cleaning", "seed", -1),
    ("02_description", "language", "de"),
]


@pytest.mark.parametrize(("notebook", "name", "value"), WRONG)
def test_a_wrong_value_is_refused_in_every_language_with_the_values_there_are(
    grouped, notebook, name, value
):
    with pytest.raises(RunError) as told:
        check(notebook, {name: value}, grouped)
    wanted = declared(notebook)[name].wanted(grouped)
    for language in languages():
        said = told.value[language]
        assert name in said and str(value) in said and wanted[language] in said


@pytest.mark.parametrize(
    ("notebook", "name", "value"),
    [
        ("08_groups", "n_boot", 0),
        ("08_groups", "group", "shop"),
        ("08_groups", "group", ""),
        ("05_measurement", "model", "back"),
        ("00_study", "effect", 1),
        ("08_groups", "merge_answers", True),
        ("03_reliability", "no_such_name", object()),
    ],
)
def test_what_a_notebook_can_work_with_is_not_refused(grouped, notebook, name, value):
    check(notebook, {name: value}, grouped)


def test_a_pair_is_read_as_what_its_parameter_is(grouped):
    pairs = ["n_boot=200", "effect=0.3", "merge_answers=True", "missing=fiml", "group=shop"]
    read = {"n_boot": 200, "effect": 0.3, "merge_answers": True, "missing": "fiml", "group": "shop"}
    found = given(pairs, ALL, grouped)
    assert found == read
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in read.items()
    }


def test_the_notebooks_that_would_take_a_value_are_named(grouped):
    with pytest.raises(RunError) as told:
        given(["missing=pairwise"], ALL, grouped)
    assert "05_measurement" in str(told.value) and "08_groups" in str(told.value)
    assert given(["missing=pairwise"], ["08_groups"], grouped) == {"missing": "pairwise"}
    assert given(["missing=mi"], ALL, grouped) == {"missing": "mi"}, "08 says what it does instead"


@pytest.mark.parametrize("pair", ["out=x", "language=zh", "study=vas", "estimater=ML"])
def test_what_no_notebook_declares_is_told_with_what_they_do(grouped, pair):
    with pytest.raises(RunError) as told:
        given([pair], ["06_structure"], grouped)
    for name in ("n_boot", "estimator", "marks", "missing", "seed"):
        assert name in str(told.value)


@pytest.mark.parametrize("language", languages())
def test_help_names_every_parameter_of_every_notebook(language):
    text = explained()[language]
    for notebook, own in OWN.items():
        assert (notebook in text) == bool(own)
        for one in own:
            assert f"{one.name}={one.default}" in text and one.help[language] in text


def cells(notebook, language):
    content = json.loads((notebook_folder(language) / f"{notebook}.ipynb").read_text("utf-8"))
    return ["".join(c["source"]) for c in content["cells"] if c["cell_type"] == "code"]


@pytest.mark.parametrize("language", languages())
def test_a_notebook_run_by_itself_refuses_a_wrong_value_in_its_first_cell(tmp_path, language):
    declaring, opening, *_rest = cells("05_measurement", language)
    space: dict = {}
    exec(declaring, space)
    space |= {"study": "ecsi", "out": str(tmp_path / "run"), "estimator": "FOO"}
    with pytest.raises(RunError, match="estimator = 'FOO'"):
        exec(opening, space)
    assert not (tmp_path / "run").exists()


def test_a_run_knows_the_notebook_that_opened_it(tmp_path):
    run = open_run("ecsi", str(tmp_path / "run"), notebook="06_structure", values={"n_boot": 100})
    assert run.notebook == "06_structure"
    with pytest.raises(RunError):
        open_run("ecsi", str(tmp_path / "run"), notebook="06_structure", values={"n_boot": 0})
    open_run("ecsi", str(tmp_path / "run"), values={"n_boot": 0})  # a script has names of its own
    assert load("ecsi").id == run.study.id
