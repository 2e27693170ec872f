"""The report: what a run found, for a reader who opens one file.

The order is that of the walk; a section holds what its notebook showed.  Everything is read from the
run folder, so the report can never say something the tables do not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

import pandas as pd

from cxlib.core import display
from cxlib.core.result import Result, Text, block
from cxlib.core.words import number, p_text
from cxlib.run.failures import Failure, failures, shown
from cxlib.stages.verdicts import WORDS as VERDICTS
from cxlib.study.schema import Study

WORDS = {
    "incomplete": {
        "en": "This report is incomplete. These parts are missing, in whole or from some step on; the others stand:",
        "zh": "本报告不完整。以下部分全部或部分缺失，其余结果不受影响：",
    },
    "answer": {"en": "The answer", "zh": "结论"},
    "hypotheses": {"en": "Hypotheses", "zh": "假设检验"},
    "claims": {"en": "Published figures, tested", "zh": "对已发表数字的检验"},
    "read_first": {"en": "Read this before the numbers", "zh": "阅读数字之前"},
    "details": {"en": "The walk, step by step", "zh": "分步结果"},
    "provenance": {"en": "How it was made", "zh": "计算说明"},
    "table": {"en": "Table", "zh": "表"},
    "estimate": {"en": "Estimate (95% interval)", "zh": "估计值（95% 区间）"},
    "simulated": {
        "en": "SIMULATED DATA. The responses were drawn from a declared truth. What follows demonstrates the method; it is not "
        "evidence about any customer or company.",
        "zh": "模拟数据。本研究的回答由事先声明的总体参数生成，以下结果仅演示方法，不构成关于任何客户或企业的证据。",
    },
    "real": {"en": "Real data: {source}", "zh": "真实数据：{source}"},
}
STYLE = Path(__file__).with_suffix(".css")
FRONT = ("hypotheses", "claims", "path_diagram")
DECISIVE = ("reading", "cleaning_flow", "cfa_fit", "model_status", "draws", "hypotheses")


def build(folder: Path, notebooks: Path, study: Study, language: str, answer: Text) -> str:
    """The report of a run as one HTML file that needs no other.

    Parameters
    ----------
    folder : Path
        A run folder, with tables, figures and notes.
    notebooks : Path
        The notebooks in the reader's language, whose first lines are the titles and whose `run.show("name", …)` lines give the order.
    study : Study
    language : {"en", "zh"}
    answer : Text
        What :func:`cxlib.stages.verdicts.answer` says.

    Returns
    -------
    str
    """

    def say(key: str, **values: object) -> str:
        return WORDS[key][language].format(**values)

    failed = failures(folder)
    sections, title = list(_sections(folder, notebooks, failed)), escape(study.title[language])
    origin = (
        ("banner", say("simulated"))
        if study.origin == "simulated"
        else ("meta", say("real", source=study.source))
    )
    sentences = "".join(
        f"<p>{escape(line)}</p>" for line in answer[language].splitlines() if line.strip()
    )
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="{origin[0]}">{escape(origin[1])}</p>',
        _missing_parts(sections, failed, language),
        f"<p><strong>{escape(study.question[language])}</strong></p>" if study.question else "",
        f'<h2 id="answer">{say("answer")}</h2><div class="answer">{sentences}</div>',
        _figure(folder, "path_diagram", language),
        _warnings(folder, say("read_first"), language),
        *(_verdict_table(folder, name, say(name), language) for name in ("hypotheses", "claims")),
        f'<h2 id="details">{say("details")}</h2>',
        "<nav>"
        + "".join(f'<a href="#{name}">{escape(heading)}</a>' for name, heading, _ in sections)
        + "</nav>",
    ]
    for name, heading, parts_shown in sections:
        body = "".join(
            _figure(folder, part, language) + _table(folder, part, language) for part in parts_shown
        )
        told = (
            f'<p class="cx-warning">{escape(failed[name].text[language])}</p>'
            if name in failed
            else ""
        )
        parts.append(f'<h3 id="{name}">{escape(heading)}</h3>{told}{body}')
    parts.append(f'<h2 id="provenance">{say("provenance")}</h2>{_provenance(folder)}')
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>\n{STYLE.read_text('utf-8')}</style>"
    )
    lang = {"en": "en", "zh": "zh-Hans"}[language]
    return (
        f'<!doctype html>\n<html lang="{lang}"><head>{head}</head><body><main>'
        + "\n".join(parts)
        + "</main></body></html>\n"
    )


def word(markup: str) -> bytes:
    """The same report as a Word document (pandoc: headings, tables and figures stay what they are)."""
    import tempfile

    import pypandoc

    plain = re.sub(
        r"</?(details|summary|nav|figure|main)[^>]*>|<style>.*?</style>|<a [^>]*>.*?</a>",
        "",
        markup,
        flags=re.S,
    )
    plain = re.sub(r"<figcaption>(.*?)</figcaption>", r"<p><em>\1</em></p>", plain, flags=re.S)
    with tempfile.TemporaryDirectory() as work:

        def as_file(found: re.Match) -> str:
            """A picture in the text, of which pandoc reads every letter, as a file, which it takes as it is."""
            path = Path(work) / f"{hashlib.sha256(found[1].encode()).hexdigest()}.png"
            path.write_bytes(base64.b64decode(found[1]))
            return f'src="{path.as_posix()}"'

        plain = re.sub(r'src="data:image/png;base64,([^"]*)"', as_file, plain)
        target = Path(work) / "report.docx"
        pypandoc.convert_text(plain, "docx", format="html", outputfile=str(target))
        return target.read_bytes()


def _missing_parts(sections: list, failed: Mapping[str, Failure], language: str) -> str:
    """Above everything: which parts of the walk are missing, each with the sentence that says why."""
    if not failed:
        return ""
    lines = "".join(
        f"<li>{escape(heading)}: {escape(failed[name].text[language])}</li>"
        for name, heading, _ in sections
        if name in failed
    )
    return f'<div class="banner" id="missing"><p><strong>{WORDS["incomplete"][language]}</strong></p><ul>{lines}</ul></div>'


def _sections(
    folder: Path, notebooks: Path, failed: Mapping[str, Failure]
) -> Iterator[tuple[str, str, list[str]]]:
    """Each notebook's title and what it shows, as far as the run has it; one that failed has its place all the same."""
    there = sorted(
        {path.stem for part in ("tables", "figures") for path in (folder / part).glob("*.*")}
    )
    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        names = [n for n in shown(path, there) if n not in FRONT]
        if names or path.stem in failed:
            yield path.stem, "".join(cells[0]["source"]).splitlines()[0].lstrip("# "), names


def _note(folder: Path, name: str) -> dict:
    path = folder / "notes" / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _figure(folder: Path, name: str, language: str) -> str:
    path = folder / "figures" / f"{name}.png"
    if not path.is_file():
        return ""
    return display.embed(
        path.read_bytes(), _note(folder, f"figure_{name}").get("text", {}).get(language, "")
    )


def _table(folder: Path, name: str, language: str) -> str:
    path = folder / "tables" / f"{name}.csv"
    if not path.is_file():
        return ""
    note = _note(folder, name)
    table = (
        pd.read_csv(path) if path.read_text("utf-8").strip() else pd.DataFrame()
    )  # a stage without pairs may have no columns
    result = Result(
        table,
        note.get("text", {"en": "", "zh": ""}),
        note.get("n", 0),
        note.get("method", ""),
        tuple(note.get("warnings", ())),
    )
    return (
        f"<details><summary>{WORDS['table'][language]}: {escape(name)}</summary>"
        f'<div class="wide">{block(result, language, rows=30)}</div></details>'
    )


def _verdict_table(folder: Path, name: str, title: str, language: str) -> str:
    """Hypotheses or claims: the statement, the estimate with its interval, n and the verdict."""
    path = folder / "tables" / f"{name}.csv"
    rows = pd.read_csv(path, dtype={"id": str}) if path.is_file() else pd.DataFrame()
    if rows.empty:
        return ""
    names = [
        "id",
        "statement",
        "test",
        WORDS["estimate"][language],
        "β",
        "p_adjusted",
        "n",
        "verdict",
    ]
    head = "".join(f"<th>{escape(display.heading(n, language))}</th>" for n in names)
    body = "".join(f"<tr>{_verdict_row(row, language)}</tr>" for row in rows.to_dict("records"))
    note = escape(_note(folder, name).get("text", {}).get(language, ""))
    return (
        f'<h2 id="{name}">{title}</h2><div class="wide"><table class="hypotheses"><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        f"</table></div><p>{note}</p>"
    )


def _verdict_row(row: Mapping, language: str) -> str:
    verdict = str(row["verdict"])
    key = next((v for v in VERDICTS if verdict.startswith(v)), verdict)
    shown = verdict.replace(key, VERDICTS[key][language], 1) if key in VERDICTS else verdict
    estimate = f"{number(row['est'])} [{number(row['ci_low'])}, {number(row['ci_high'])}]"
    p = row.get("p_adjusted", float("nan"))
    cells = [
        row["id"],
        row["statement"],
        row.get("test", row.get("figure")),
        "–" if pd.isna(row["est"]) else estimate,
        number(row.get("std"), 2),
        "–" if pd.isna(p) else p_text(p).removeprefix("p ").removeprefix("= "),
        f"{row['n']:,.0f}" if pd.notna(row["n"]) else None,
    ]
    marked = f'<span class="verdict v-{key.replace(" ", "-")}">{escape(shown)}</span>'
    return (
        "".join(f"<td>{escape('–' if pd.isna(c) else str(c))}</td>" for c in cells)
        + f"<td>{marked}</td>"
    )


def _warnings(folder: Path, title: str, language: str) -> str:
    """What decides whether the numbers can be believed; every other warning stands with its table."""
    found = {
        w[language]: name for name in DECISIVE for w in _note(folder, name).get("warnings", [])
    }
    lines = "".join(
        f'<p class="cx-warning">{escape(text)} <small>({escape(name)})</small></p>'
        for text, name in found.items()
    )
    return f'<h2 id="warnings">{title}</h2>{lines}' if lines else ""


def _provenance(folder: Path) -> str:
    stamp = json.loads((folder / "run.json").read_text("utf-8"))
    said = {
        key: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
        for key, value in stamp.items()
    }
    rows = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in said.items()
    )
    return f'<div class="wide"><table>{rows}</table></div>'
