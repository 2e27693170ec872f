"""The report: what a run found, for a reader who opens one file.

The order is that of the walk; a section holds what its notebook showed.  Everything is read from the
run folder, so the report can never say something the tables do not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from cxlib.core import display
from cxlib.core.result import Result, Text, block
from cxlib.core.words import _, c_, joined, number, p_text
from cxlib.run import index
from cxlib.run.failures import Failure, failures
from cxlib.run.files import note
from cxlib.stages.verdicts import WORDS as VERDICTS
from cxlib.study.schema import Study

STYLE = Path(__file__).with_suffix(".css")
VERDICT_TABLES = {"hypotheses": _("Hypotheses"), "claims": _("Published figures, tested")}
"""The tables of verdicts, which stand right below the answer, with their titles."""
FRONT = (*VERDICT_TABLES, "path_diagram")
DECISIVE = ("reading", "cleaning_flow", "cfa_fit", "model_status", "draws", "hypotheses")
"""The tables whose warnings decide whether the numbers can be believed."""
Section = tuple[str, str, list[str]]
"""A notebook's name, its title, and the names of what it has shown."""


def build(folder: Path, study: Study, language: str, answer: Text) -> str:
    """The report of a run as one HTML file that needs no other.

    Parameters
    ----------
    folder : Path
        A run folder, with tables, figures, notes and the index of what each notebook has shown.
    study : Study
    language : {"en", "zh"}
    answer : Text
        What :func:`cxlib.stages.verdicts.answer` says.

    Returns
    -------
    str
    """
    failed = failures(folder)
    sections, title = list(_sections(folder, failed, language)), escape(study.title[language])
    page = [
        f"<h1>{title}</h1>",
        _origin(study, language),
        _missing_parts(sections, failed, language),
        f"<p><strong>{escape(study.question[language])}</strong></p>" if study.question else "",
        _heading("answer", _("The answer")[language]),
        _answer(answer[language]),
        _figure(folder, "path_diagram", language),
        _warnings(folder, language),
        *(_verdict_table(folder, name, words, language) for name, words in VERDICT_TABLES.items()),
        _heading("details", _("The walk, step by step")[language]),
        _contents(sections),
        *(_section(folder, *section, failed, language) for section in sections),
        _heading("provenance", _("How it was made")[language]),
        _provenance(folder),
    ]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>\n{STYLE.read_text('utf-8')}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="{c_("language of a web page", "en")[language]}"><head>{head}</head><body><main>'
        + "\n".join(page)
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


def _heading(name: str, text: str) -> str:
    return f'<h2 id="{name}">{escape(text)}</h2>'


def _origin(study: Study, language: str) -> str:
    """Where the answers come from, above everything if they are simulated."""
    if study.origin == "real":
        said, kind = _("Real data: {source}", source=study.source), "meta"
    else:
        said, kind = (
            _(
                "SIMULATED DATA. The responses were drawn from a declared truth. What follows demonstrates the method; it is not "
                "evidence about any customer or company."
            ),
            "banner",
        )
    return f'<p class="{kind}">{escape(said[language])}</p>'


def _answer(text: str) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line.strip())
    return f'<div class="answer">{lines}</div>'


def _contents(sections: Sequence[Section]) -> str:
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _shown in sections)
    return f"<nav>{links}</nav>"


def _section(
    folder: Path,
    name: str,
    title: str,
    shown: Sequence[str],
    failed: Mapping[str, Failure],
    language: str,
) -> str:
    """What a notebook has shown, below why it stopped if it did."""
    told = (
        f'<p class="cx-warning">{escape(failed[name].text[language])}</p>' if name in failed else ""
    )
    body = "".join(
        _figure(folder, part, language) + _table(folder, part, language) for part in shown
    )
    return f'<h3 id="{name}">{escape(title)}</h3>{told}{body}'


def _missing_parts(
    sections: Sequence[Section], failed: Mapping[str, Failure], language: str
) -> str:
    """Above everything: which parts of the walk are missing, each with the sentence that says why."""
    if not failed:
        return ""
    lines = "".join(
        f"<li>{escape(heading)}: {escape(failed[name].text[language])}</li>"
        for name, heading, _shown in sections
        if name in failed
    )
    said = _(
        "This report is incomplete. These parts are missing, in whole or from some step on; the others stand:"
    )[language]
    return f'<div class="banner" id="missing"><p><strong>{said}</strong></p><ul>{lines}</ul></div>'


def _sections(folder: Path, failed: Mapping[str, Failure], language: str) -> Iterator[Section]:
    """Each notebook's title and what it has shown; one that failed has its place all the same."""
    for notebook in sorted({*index.notebooks(folder), *failed}):
        shown = index.entries(folder, notebook)
        names = list(dict.fromkeys(one.name for one in shown if one.name not in FRONT))
        if names or notebook in failed:
            title = shown[0].title if shown else index.title(notebook, language)
            yield notebook, title, names


def _figure(folder: Path, name: str, language: str) -> str:
    path = folder / "figures" / f"{name}.png"
    if not path.is_file():
        return ""
    return display.embed(
        path.read_bytes(), note(folder, f"figure_{name}").get("text", {}).get(language, "")
    )


def _table(folder: Path, name: str, language: str) -> str:
    path = folder / "tables" / f"{name}.csv"
    if not path.is_file():
        return ""
    said = note(folder, name)
    table = (
        pd.read_csv(path) if path.read_text("utf-8").strip() else pd.DataFrame()
    )  # a stage without pairs may have no columns
    result = Result(
        table,
        said.get("text", joined()),
        said.get("n", 0),
        said.get("method", ""),
        tuple(said.get("warnings", ())),
    )
    return (
        f"<details><summary>{escape(_('Table: {name}', name=name)[language])}</summary>"
        f'<div class="wide">{block(result, language, rows=30)}</div></details>'
    )


def _verdict_table(folder: Path, name: str, title: Text, language: str) -> str:
    """Hypotheses or claims: the statement, the estimate with its interval, n and the verdict."""
    path = folder / "tables" / f"{name}.csv"
    rows = pd.read_csv(path, dtype={"id": str}) if path.is_file() else pd.DataFrame()
    if rows.empty:
        return ""
    names = [
        "id",
        "statement",
        "test",
        _("Estimate (95% interval)")[language],
        "β",
        "p_adjusted",
        "n",
        "verdict",
    ]
    head = "".join(f"<th>{escape(display.heading(n, language))}</th>" for n in names)
    body = "".join(f"<tr>{_verdict_row(row, language)}</tr>" for row in rows.to_dict("records"))
    below = escape(note(folder, name).get("text", {}).get(language, ""))
    return (
        _heading(name, title[language])
        + f'<div class="wide"><table class="hypotheses"><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        f"</table></div><p>{below}</p>"
    )


def _verdict_row(row: Mapping[str, Any], language: str) -> str:
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


def _warnings(folder: Path, language: str) -> str:
    """What decides whether the numbers can be believed; every other warning stands with its table."""
    found = {w[language]: name for name in DECISIVE for w in note(folder, name).get("warnings", [])}
    lines = "".join(
        f'<p class="cx-warning">{escape(text)} <small>({escape(name)})</small></p>'
        for text, name in found.items()
    )
    return (
        _heading("warnings", _("Read this before the numbers")[language]) + lines if lines else ""
    )


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
