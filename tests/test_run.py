"""A whole run of the real study, from one call: what it leaves, that it is the same twice, and that it shows no warning."""

from __future__ import annotations

import json
import re
from html import escape

import nbformat
import pandas as pd
import pytest

from cxlib.core.words import languages
from cxlib.run import index, report
from cxlib.run.failures import RunError
from cxlib.run.files import notebook_folder, stamp
from cxlib.run.folder import open_run
from cxlib.run.notebooks import execute, notebooks

MEASURES = {
    "chisq", "df", "pvalue", "cfi", "tli", "rmsea", "rmsea_ci_lower", "rmsea_ci_upper", "srmr", "gfi", "agfi", "nfi", "ifi",
    "logl", "aic", "bic", "npar", "n",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(whole_run):
    return whole_run("ecsi")


def table(folder, name):
    return pd.read_csv(folder / "tables" / f"{name}.csv")


@pytest.mark.parametrize("name", ["htmt", "fornell_larcker", "residuals"])
def test_square_tables_are_square(folder, name):
    square = table(folder, name)
    assert list(square.iloc[:, 0]) == list(square.columns[1:])


def test_loadings_have_a_column_a_factor_and_the_communality(folder):
    loadings, correlations = table(folder, "loadings"), table(folder, "factor_correlations")
    assert loadings.columns[0] == "item" and loadings.columns[-1] == "communality"
    assert list(loadings.columns)[1:-1] == list(correlations.columns)[1:]


@pytest.mark.parametrize("name", ["cfa_fit", "sem_fit"])
def test_fit_tables_hold_every_measure(folder, name):
    assert set(table(folder, name)["measure"]) >= MEASURES


def test_every_hypothesis_has_exactly_one_row(folder):
    from cxlib.study.schema import load

    hypotheses = table(folder, "hypotheses")
    assert list(hypotheses["id"]) == list(load("ecsi").hypotheses)
    assert hypotheses["verdict"].notna().all()


def test_the_near_singular_model_gets_no_verdicts_and_says_why(folder):
    """The full ECSI structure: lavaan fits it too, but its information matrix is nearly singular."""
    hypotheses = table(folder, "hypotheses").set_index("id")
    full = hypotheses[hypotheses["model"] == "ecsi"]
    assert len(full) == 12 and set(full["verdict"]) == {"withheld"}
    main = hypotheses[hypotheses["model"] == "main"]
    assert not main["verdict"].str.startswith(("withheld", "not tested")).any()
    status = table(folder, "model_status").set_index("model")
    assert status.loc["main", "trustworthy"] and not status.loc["ecsi", "trustworthy"]
    assert "ecsi" in (folder / "report.html").read_text("utf-8")


def test_the_run_says_how_it_was_made(folder):
    made = json.loads((folder / "run.json").read_text("utf-8"))
    assert (
        made["study"] == "ecsi" and made["seed"] == 2026 and made["parameters"] == {"n_boot": 200}
    )
    assert set(made["seconds"]) == {*notebooks(), "all"}
    assert {"python", "cxlib", "numpy", "semopy"} <= set(made["versions"])
    assert len(made["fingerprint"]) == 16


def test_every_notebook_ran_without_a_warning(folder):
    for name in notebooks():
        ran = nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4)
        for cell in (c for c in ran.cells if c.cell_type == "code"):
            assert cell.execution_count, name
            noise = [o for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
            assert noise == [], (name, cell.source, noise)


def test_every_figure_is_there_for_paper_and_for_screen(folder):
    stems = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {
        "conceptual",
        "cleaning_flow",
        "reliability",
        "eigenvalues",
        "loadings",
        "path_diagram",
        "effects",
    } <= stems
    assert {path.stem for path in (folder / "figures").glob("*.svg")} == stems


def test_every_table_and_figure_has_one_place_in_the_report(folder):
    found = [
        entry for notebook in index.notebooks(folder) for entry in index.entries(folder, notebook)
    ]
    for kind, part in (("table", "tables"), ("figure", "figures")):
        names = [entry.name for entry in found if entry.kind == kind]
        assert sorted(names) == sorted({path.stem for path in (folder / part).iterdir()})
    page = (folder / "report.html").read_text("utf-8")
    for entry in found:
        if entry.name not in report.FRONT:
            assert f'<h3 id="{entry.notebook}">{escape(entry.title)}</h3>' in page, entry


def test_nothing_unfinished_is_left(folder):
    assert [path for path in folder.parent.rglob("*") if path.name.startswith(".")] == []


def test_the_report_is_named_without_the_folder_it_was_staged_in(folder):
    cells = json.loads((folder / "notebooks" / "14_report.ipynb").read_text("utf-8"))["cells"]
    shown = str([cell.get("outputs") for cell in cells])
    assert "report.html, report.docx" in shown and ".part" not in shown


@pytest.mark.slow
def test_the_same_run_again_gives_the_same_tables_byte_for_byte(folder, tmp_path):
    again = execute(
        "ecsi", out=str(tmp_path / "again"), pairs=["n_boot=200"], progress=False, jobs=1
    )
    first = {path.name: path.read_bytes() for path in (folder / "tables").iterdir()}
    second = {path.name: path.read_bytes() for path in (again / "tables").iterdir()}
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "said", "title"),
    [("en", "Computed here", "Cleaning"), ("zh", "已在此补算", "数据清洗")],
)
def test_one_notebook_alone_computes_what_it_needs_and_says_so(tmp_path, language, said, title):
    """A file is run as it stands, from its folder: its language is that of all it needs."""
    import papermill

    source = notebook_folder(language) / "03_reliability.ipynb"
    parameters = {"study": "ecsi", "out": str(tmp_path / "run")}
    papermill.execute_notebook(
        str(source),
        str(tmp_path / "out.ipynb"),
        parameters,
        progress_bar=False,
        cwd=str(source.parent),
    )
    text = (tmp_path / "out.ipynb").read_text("utf-8")
    assert re.search(rf"{said}[^<]*01_cleaning", text)
    assert (tmp_path / "run" / "tables" / "reliability.csv").is_file()
    needed = nbformat.read(tmp_path / "run" / "notebooks" / "01_cleaning.ipynb", as_version=4)
    assert title in next(cell.source for cell in needed.cells if cell.cell_type == "markdown")


def test_the_notebooks_of_a_run_name_its_folder_not_the_one_it_was_made_in(folder):
    kept = [path.read_text("utf-8") for path in (folder / "notebooks").iterdir()]
    assert kept and all(str(folder) in text and f".{folder.name}.part" not in text for text in kept)


def test_what_is_computed_on_the_way_gets_the_parameters_of_the_run(tmp_path, monkeypatch):
    run = open_run("ecsi", str(tmp_path / "run"), seed=7)
    stamp(run.folder, parameters={"n_boot": 300, "estimator": "MLR"})
    given = {}
    monkeypatch.setattr(
        "cxlib.run.execution.execute_one",
        lambda name, folder, parameters: given.update({name: parameters}),
    )
    run.need("01_cleaning", "06_structure")
    assert given["01_cleaning"] == {
        "study": "ecsi",
        "out": str(run.folder),
        "language": "en",
        "seed": 7,
    }
    assert given["06_structure"] == given["01_cleaning"] | {"n_boot": 300, "estimator": "MLR"}


def test_results_of_another_version_of_the_study_are_not_kept(tmp_path):
    run = open_run("ecsi", str(tmp_path / "run"))
    run.show("some", pd.DataFrame({"x": [1]}))
    assert open_run("ecsi", str(tmp_path / "run")).table("some")["x"].tolist() == [1]
    with pytest.raises(FileNotFoundError, match="has no table 'some'"):
        open_run("ecsi", str(tmp_path / "run"), seed=1).table("some")


def test_each_task_has_random_numbers_of_its_own_and_the_global_state_is_left_alone(tmp_path):
    import numpy as np

    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    run = open_run("ecsi", str(tmp_path / "run"))
    a, b, again = (run.rng(task).random(3).tolist() for task in ("a", "b", "a"))
    assert a == again != b
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_an_unknown_language_is_refused(tmp_path):
    with pytest.raises(RunError, match=f"one of {', '.join(languages())}"):
        open_run("ecsi", str(tmp_path / "run"), language="de")
