"""The notebooks as files: what keeps them readable.  That they run is tested in test_run.py."""

from __future__ import annotations

import ast
import statistics

import nbformat
import pytest

from cxlib.notebooks import NOTEBOOKS, declared, in_language, notebooks

ALL = notebooks()


def cells(notebook):
    return nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells


def code(notebook):
    return [cell for cell in cells(notebook) if cell.cell_type == "code"]


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def test_the_walk_is_complete():
    assert [name[:2] for name in ALL][:8] == ["00", "01", "02", "03", "04", "05", "06", "07"]
    assert ALL[-1] == "14_report"


@pytest.mark.parametrize("notebook", ALL)
def test_it_is_valid_and_says_its_kernel(notebook):
    content = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4)
    nbformat.validate(content)
    assert content.metadata.kernelspec.name == "python3"
    assert content.metadata.language_info.name == "python"


@pytest.mark.parametrize("notebook", ALL)
def test_no_outputs_are_committed(notebook):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code(notebook))


@pytest.mark.parametrize("notebook", ALL)
def test_code_cells_are_short_calls(notebook):
    sizes = [len(lines(cell)) for cell in code(notebook)]
    assert max(sizes) <= 15
    assert statistics.median(sizes) <= 4
    for cell in code(notebook):
        defined = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.With)]
        assert defined == [], cell.source
        assert "open(" not in cell.source.replace("open_run(", "")


@pytest.mark.parametrize("notebook", ALL)
def test_one_title_a_language(notebook):
    for language in ("en", "zh"):
        shown = nbformat.reads(in_language(notebook, language), as_version=4).cells
        prose = [line for cell in shown if cell.cell_type == "markdown" for line in cell.source.splitlines()]
        assert sum(line.startswith("# ") for line in prose) == 1


@pytest.mark.parametrize("notebook", ALL)
def test_the_two_languages_keep_step(notebook):
    """Each English cell is followed by its Chinese one, with the same headings."""
    prose = [cell for cell in cells(notebook) if cell.cell_type == "markdown"]
    assert [cell.metadata.tags for cell in prose] == [["en"], ["zh"]] * (len(prose) // 2)
    for english, chinese in zip(prose[::2], prose[1::2], strict=True):
        levels = [[line.split(" ")[0] for line in cell.source.splitlines() if line.startswith("#")] for cell in (english, chinese)]
        assert levels[0] == levels[1], english.source


@pytest.mark.parametrize("notebook", ALL)
def test_parameters_are_plain_literals_with_help(notebook):
    tagged = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert all("#" in line for line in lines(tagged[0]))
    found = declared(notebook)
    assert list(found)[:4] == ["study", "out", "language", "seed"]
    assert all(isinstance(value, str | int | float | bool) for value in found.values())


@pytest.mark.parametrize("notebook", ALL)
def test_it_opens_the_run_and_closes_with_versions_and_an_exercise(notebook):
    sources = [cell.source for cell in code(notebook)]
    assert "run = cxlib.open_run(study, out, language, seed)" in sources[1]
    assert sources[-1] == f'run.close("{notebook}")'
    prose = "\n".join(cell.source for cell in cells(notebook) if cell.cell_type == "markdown")
    for words in ("**Try it.**", "**试一试。**", "<details><summary>Answer</summary>", "<details><summary>答案</summary>"):
        assert words in prose
