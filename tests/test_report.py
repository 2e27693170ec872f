"""The report: complete, honest on its first page, and a page a real browser shows as meant."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import pandas as pd
import pytest

from cxlib.core import theme
from cxlib.core.result import Result
from cxlib.run import failures, report
from cxlib.run.folder import open_run
from cxlib.study.schema import load

ANSWER = {"en": "Yes: quality moves value.\nn = 250.", "zh": "是：质量影响价值。\nn = 250。"}
MEASURE = """<script>addEventListener("load", () => {
  const box = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  const images = [...document.images].map(i => i.naturalWidth > 0);
  document.body.innerHTML = "<pre id=out>" + JSON.stringify({answer: box(document.querySelector(".answer")),
    width: document.documentElement.scrollWidth, images}) + "</pre>"; });</script>"""


@theme.picture
def plot(*, language="en"):
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    return figure, {"en": "n = 250. A <line>.", "zh": "n = 250。一条线。"}


@pytest.fixture
def run(tmp_path):
    opened = open_run("ecsi", str(tmp_path / "run"), notebook="03_reliability")
    warning = ({"en": "Alpha of PERV rests on two items.", "zh": "PERV 只有两题。"},)
    text = {"en": "All scales hold.", "zh": "量表均可用。"}
    opened.show(
        "reliability",
        Result(pd.DataFrame({"construct": ["PERV"], "alpha": [0.82]}), text, 250, "alpha", warning),
    )
    opened = replace(opened, notebook="06_structure")
    opened.show("path_diagram", plot())
    opened = replace(opened, notebook="05_measurement")
    doubt = ({"en": "Not to be trusted.", "zh": "不可信。"},)
    opened.show(
        "cfa_fit",
        Result(pd.DataFrame({"measure": ["cfi"], "value": [0.9]}), text, 250, "ML", doubt),
    )
    rows = pd.DataFrame(
        {
            "id": ["H1", "E1"], "statement": ["Good & better", "Image"], "model": ["main", "ecsi"], "test": ["path", "path"],
            "sign": ["+", "+"], "est": [0.5, float("nan")], "ci_low": [0.4, float("nan")], "ci_high": [0.6, float("nan")],
            "p": [0.0001, float("nan")], "p_adjusted": [0.0002, float("nan")], "n": [250, 250],
            "verdict": ["supported", "withheld"], "notebook": ["06_structure", "06_structure"],
        }
    )  # fmt: skip
    opened = replace(opened, notebook="14_report")
    opened.show("hypotheses", Result(rows, {"en": "One of two.", "zh": "两个中的一个。"}, 250))
    return opened


def build(run, language="en"):
    return report.build(run.folder, run.study, language, ANSWER)


def test_a_table_without_columns_does_not_stop_the_report(run):
    replace(run, notebook="05_measurement").show(
        "validity",
        Result(pd.DataFrame(), {"en": "There is no pair.", "zh": "没有构念对。"}, 250),
    )
    assert "There is no pair." in build(run)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_failed_is_named_above_everything_and_in_its_place(run, language):
    assert 'id="missing"' not in build(run, language)
    found = failures.Failure(
        "03_reliability",
        {"en": "It failed & why.", "zh": "失败了 & 原因。"},
        4,
        "ZeroDivisionError",
        "division by zero",
    )
    failures.note(run.folder, found)
    failures.note(run.folder, failures.skipped("02_description", "01_cleaning"))
    page = build(run, language)
    said = [
        page.index(words)
        for words in (
            'id="missing"',
            escape(found.text[language]),
            'id="answer"',
            'id="03_reliability"',
        )
    ]
    assert said == sorted(said) and page.rindex(escape(found.text[language])) > said[-1]
    assert page.count("01_cleaning") >= 2 and 'id="02_description"' in page, (
        "one that left no table has its place too"
    )
    assert "ZeroDivisionError" not in page
    assert "reliability" in page and page.count("<ul>") == page.count("</ul>") == 1
    with zipfile.ZipFile(io.BytesIO(report.word(page))) as package:
        text = re.sub(
            r"<[^>]+>", "", package.read("word/document.xml").decode()
        )  # Chinese is cut into runs
    assert text.index(escape(found.text[language])) < text.index(
        escape(ANSWER[language].splitlines()[0])
    )


def test_what_an_earlier_run_left_of_a_notebook_is_cleared_and_nothing_else(run):
    failures.note(run.folder, failures.skipped("03_reliability", "01_cleaning"))
    failures.clear(run.folder, "03_reliability", wholly=False)
    assert (
        not (run.folder / "tables" / "reliability.csv").exists()
        and (run.folder / "tables" / "cfa_fit.csv").exists()
    )
    assert (
        run.note("reliability") == {}
        and run.note("cfa_fit")
        and list(failures.failures(run.folder)) == ["03_reliability"]
    )
    failures.clear(run.folder, "03_reliability")
    assert failures.failures(run.folder) == {}


class Tags(HTMLParser):
    VOID = frozenset({"meta", "img", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_well_formed_and_needs_no_other_file(run, language):
    page = build(run, language)
    parser = Tags()
    parser.feed(page)
    assert parser.open == [] and len(set(parser.ids)) == len(parser.ids)
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_answer_comes_before_the_hypotheses_and_those_before_the_walk(run):
    page = build(run)
    order = [
        page.index(words)
        for words in (
            "Yes: quality moves value.",
            "Not to be trusted.",
            "Good &amp; better",
            'id="03_reliability"',
        )
    ]
    assert order == sorted(order)


def test_a_row_gives_estimate_interval_n_and_verdict_and_a_dash_for_what_is_withheld(run):
    text = re.sub(r"<[^>]+>", " ", build(run))
    assert re.search(r"0\.500 \[0\.400, 0\.600\]\s+–\s+&lt; \.001\s+250\s+supported", text)
    assert re.search(r"–\s+–\s+–\s+250\s+withheld", text)
    assert re.search(r"β\s+p adjusted\s+n\s+verdict", text)


def test_the_chinese_report_is_chinese(run):
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", build(run, "zh"), flags=re.S)
    assert "是：质量影响价值。" in text and "暂不下结论" in text
    assert "Hypotheses" not in text and "supported" not in text.replace("not supported", "")


def test_simulated_data_are_named_before_anything_else(run):
    study = load("ecsi").model_copy(update={"origin": "simulated"})
    page = report.build(run.folder, study, "en", ANSWER)
    assert page.index("SIMULATED DATA") < page.index("Yes: quality moves value.")


def test_the_word_document_holds_tables_figures_and_chinese(run):
    page = build(run, "zh")
    package = zipfile.ZipFile(io.BytesIO(report.word(page)))
    text = package.read("word/document.xml").decode()
    assert "是：质量影响价值。" in text and "<w:tbl>" in text
    drawn = {base64.b64decode(found) for found in re.findall(r"base64,([^\"]*)", page)}
    assert (
        drawn
        and {package.read(name) for name in package.namelist() if name.startswith("word/media/")}
        == drawn
    )


@pytest.fixture(scope="module")
def browser():
    """A Chromium; CX_BROWSER=required turns its absence from a reason to skip into a failure."""
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found is None and os.environ.get("CX_BROWSER") == "required":
        pytest.fail(
            "CX_BROWSER=required, and there is no Chromium on this machine to open the report in"
        )
    return found or pytest.skip("no Chromium on this machine to open the report in")


@pytest.mark.browser
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_browser_shows_the_answer_on_the_first_screen(browser, run, tmp_path, language):
    page = tmp_path / "page.html"
    page.write_text(build(run, language).replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
             "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,800", "--virtual-time-budget=3000"]  # fmt: skip
    done = subprocess.run(
        [browser, *flags, "--dump-dom", page.as_uri()],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    seen = json.loads(re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.S)[1])
    left, top, right, bottom = seen["answer"]
    assert top >= 0 and bottom <= 800, "the answer must be on the first screen"
    assert left >= 0 and right <= 1280 and seen["width"] <= 1280, "nothing may run over the edge"
    assert seen["images"] and all(seen["images"]), "every figure must load"
