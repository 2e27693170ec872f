"""The notebooks as files: what keeps them readable, one language a file.  That they run is tested in test_run.py."""

from __future__ import annotations

import ast
import io
import re
import statistics
import tokenize

import nbformat
import pytest

from cxlib.core.words import languages
from cxlib.run.files import notebook_folder
from cxlib.run.notebooks import notebooks
from cxlib.run.parameters import OWN, declared

ALL = notebooks()
FILES = [(language, name) for language in languages() for name in ALL]
TRANSLATED = [(language, name) for language, name in FILES if language != "en"]
CHINESE = re.compile(r"[\u3400-\u9fff]")
CHINESE_OR_ITS_PUNCTUATION = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
CLOSING = {
    "en": ("**Try it.**", "<details><summary>Answer</summary>"),
    "zh": ("**试一试。**", "<details><summary>答案</summary>"),
}


def path(language, notebook):
    return notebook_folder(language) / f"{notebook}.ipynb"


def cells(language, notebook, kind):
    return [
        cell
        for cell in nbformat.read(path(language, notebook), as_version=4).cells
        if cell.cell_type == kind
    ]


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def levels(cell):
    """The levels of the headings of a prose cell."""
    return [line.split(" ")[0] for line in cell.source.splitlines() if re.match(r"#+ ", line)]


def parameters(language, notebook):
    found = [
        cell
        for cell in cells(language, notebook, "code")
        if "parameters" in cell.metadata.get("tags", [])
    ]
    assert len(found) == 1
    return found[0]


def literals(source):
    """The names a cell assigns, each with its value and the comment that stands beside it."""
    read = list(tokenize.generate_tokens(io.StringIO(source).readline))
    beside = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in read
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in ast.parse(source).body:
        helps = [beside[at] for at in range(node.lineno, node.end_lineno + 1) if at in beside]
        found[node.targets[0].id] = (ast.literal_eval(node.value), " ".join(helps))
    return found


def without_comments(source):
    """The source's tokens but for comments and the place where they stand."""
    read = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in read if token.type not in (tokenize.COMMENT, tokenize.NL)]


def without_code(prose):
    return re.sub(r"`[^`]*`|<code>.*?</code>", "", prose)


def test_the_walk_is_complete_in_every_language():
    assert [name[:2] for name in ALL][:8] == ["00", "01", "02", "03", "04", "05", "06", "07"]
    assert ALL[-1] == "14_report"
    for language in languages():
        assert sorted(file.stem for file in notebook_folder(language).glob("*.ipynb")) == ALL


@pytest.mark.parametrize(("language", "notebook"), FILES)
def test_it_is_valid_and_says_its_kernel(language, notebook):
    content = nbformat.read(path(language, notebook), as_version=4)
    nbformat.validate(content)
    assert content.metadata.kernelspec.name == "python3"
    assert content.metadata.language_info.name == "python"


@pytest.mark.parametrize(("language", "notebook"), FILES)
def test_no_outputs_are_committed(language, notebook):
    assert all(
        cell.outputs == [] and cell.execution_count is None
        for cell in cells(language, notebook, "code")
    )


@pytest.mark.parametrize(("language", "notebook"), FILES)
def test_code_cells_are_short_calls(language, notebook):
    code = cells(language, notebook, "code")
    sizes = [len(lines(cell)) for cell in code]
    assert max(sizes) <= 15
    assert statistics.median(sizes) <= 4
    for cell in code:
        defined = [
            n
            for n in ast.walk(ast.parse(cell.source))
            if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.With)
        ]
        assert defined == [], cell.source
        assert "open(" not in cell.source.replace("open_run(", "")


@pytest.mark.parametrize(("language", "notebook"), FILES)
def test_one_title(language, notebook):
    prose = cells(language, notebook, "markdown")
    assert levels(prose[0])[:1] == ["#"]
    assert sum(levels(cell).count("#") for cell in prose) == 1


@pytest.mark.parametrize("notebook", ALL)
def test_an_english_notebook_holds_no_chinese(notebook):
    for kind in ("markdown", "code"):
        for cell in cells("en", notebook, kind):
            assert not CHINESE_OR_ITS_PUNCTUATION.search(cell.source), cell.source


@pytest.mark.parametrize("notebook", ALL)
def test_a_chinese_notebook_speaks_chinese(notebook):
    """Every prose cell, every heading and every help comment; with the punctuation of Chinese."""
    for cell in cells("zh", notebook, "markdown"):
        assert CHINESE.search(cell.source), cell.source
        assert all(
            CHINESE.search(line) for line in cell.source.splitlines() if line.startswith("#")
        ), cell.source
        assert not re.search(
            r"[\u3400-\u9fff][,;:?!()\"]|[,;:?!()\"][\u3400-\u9fff]", without_code(cell.source)
        ), cell.source
    for line in lines(parameters("zh", notebook)):
        assert CHINESE.search(line.split("#", 1)[1]), line


@pytest.mark.parametrize("notebook", ALL)
def test_a_chinese_notebook_calls_an_item_one_name(notebook):
    """题项 is the item; 题目内容, its wording, is the only other word for it."""
    for cell in cells("zh", notebook, "markdown"):
        assert not re.search(r"题目(?!内容)|道题", cell.source), cell.source


@pytest.mark.parametrize(("language", "notebook"), TRANSLATED)
def test_a_translation_keeps_step(language, notebook):
    """The same cells in the same order: code to the letter, headings by level."""
    english, translated = (
        nbformat.read(path(own, notebook), as_version=4) for own in ("en", language)
    )
    assert [cell.cell_type for cell in english.cells] == [
        cell.cell_type for cell in translated.cells
    ]
    assert english.metadata == translated.metadata
    for one, other in zip(english.cells, translated.cells, strict=True):
        assert one.metadata == other.metadata
        if one.cell_type == "markdown":
            assert levels(one) == levels(other), one.source
        elif "parameters" in one.metadata.get("tags", []):
            changed = one.source.replace('language = "en"', f'language = "{language}"')
            assert without_comments(changed) == without_comments(other.source)
        else:
            assert one.source == other.source


@pytest.mark.parametrize(("language", "notebook"), TRANSLATED)
def test_a_translation_names_the_same_tables_and_sources(language, notebook):
    """What a notebook leaves, and the works it cites, are the same for every reader."""
    english, translated = (
        "\n".join(cell.source for cell in cells(own, notebook, "markdown"))
        for own in ("en", language)
    )
    for pattern in (r"doi:[^\s;:,)，；：）]+", r"`([a-z0-9]+(?:_[a-z0-9]+)+)`"):
        assert set(re.findall(pattern, english)) == set(re.findall(pattern, translated))


@pytest.mark.parametrize(("language", "notebook"), FILES)
def test_parameters_are_plain_literals_with_help(language, notebook):
    found = literals(parameters(language, notebook).source)
    assert list(found)[:4] == ["study", "out", "language", "seed"]
    assert all(isinstance(value, str | int | float | bool) for value, _help in found.values())
    assert all(help_ for _value, help_ in found.values())


@pytest.mark.parametrize(("language", "notebook"), FILES)
def test_parameters_are_those_of_the_table_with_its_defaults_and_its_help(language, notebook):
    """What `--set`, `--help` and the check of the first cell go by is what the reader sees."""
    table = {
        name: (language if name == "language" else one.default, one.help[language])
        for name, one in declared(notebook).items()
    }
    found = literals(parameters(language, notebook).source)
    assert list(found) == list(table)
    for name, (value, help_) in found.items():
        assert type(value) is type(table[name][0])
        assert (value, help_) == table[name]


def test_the_table_names_every_notebook_and_no_other():
    assert sorted(OWN) == ALL


@pytest.mark.parametrize("notebook", ALL)
def test_a_default_is_a_value_that_the_notebook_takes(notebook):
    for name, one in declared(notebook).items():
        assert one.takes(one.default), name


@pytest.mark.parametrize(("language", "notebook"), FILES)
def test_it_opens_the_run_and_closes_with_versions_and_an_exercise(language, notebook):
    sources = [cell.source for cell in cells(language, notebook, "code")]
    opening = f'run = cxlib.open_run(study, out, language, seed, "{notebook}", globals())'
    assert opening in sources[1]
    assert sources[-1] == "run.close()"
    prose = "\n".join(cell.source for cell in cells(language, notebook, "markdown"))
    assert "<details><summary>" in prose
    for words in CLOSING.get(language, ()):
        assert words in prose
