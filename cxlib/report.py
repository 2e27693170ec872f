"""The report: what a run found, for a reader who opens one file.

The order is that of the walk; a section holds what its notebook showed.  Everything is read from the
run folder, so the report can never say something the tables do not.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

import pandas as pd

from cxlib import show
from cxlib.study import Study
from cxlib.verdicts import WORDS as VERDICTS

SHOWN = re.compile(r'run\.show\(\s*(f?)"(\w+)')
WORDS = {
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
    "rows": {"en": "{n} respondents analysed", "zh": "分析样本 {n} 人"},
    "more": {"en": "all rows: tables/{name}.csv", "zh": "全部数据见 tables/{name}.csv"},
}
FRONT = ("hypotheses", "claims", "path_diagram")
DECISIVE = ("reading", "cleaning_flow", "cfa_fit", "model_status", "draws", "hypotheses")
STYLE = """
:root{--ink:#222;--muted:#666;--line:#e3e3e3;--accent:#0072B2}
*{box-sizing:border-box}body{margin:0;color:var(--ink);background:#fafafa;line-height:1.55;
font-family:system-ui,"Segoe UI","Noto Sans","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;font-size:16px}
main{max-width:1060px;margin:0 auto;padding:24px 28px 80px;background:#fff;min-height:100vh}
h1{font-size:1.7rem;margin:.2em 0}h2{font-size:1.25rem;margin:2em 0 .4em;border-bottom:2px solid var(--line);padding-bottom:.2em}
h3{font-size:1.02rem;margin:1.4em 0 .3em}.meta{color:var(--muted);font-size:.9rem;margin:.2em 0}
.banner{background:#fff3cd;border:1px solid #e0b400;padding:.6em .9em;border-radius:6px;font-weight:600;margin:.6em 0}
.answer{border-left:5px solid var(--accent);background:#f2f8fc;padding:.7em 1.1em;border-radius:0 6px 6px 0;font-size:1.06rem;margin:.8em 0}
.answer p{margin:.25em 0}.cx-warning{background:#fdecea;border-left:4px solid #D55E00;padding:.45em .8em;margin:.4em 0;font-size:.92rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.86rem;margin:.4em 0}
th,td{padding:.28em .6em;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}
th{border-bottom:2px solid #bbb;background:#fff}td:first-child,th:first-child{text-align:left}
table.hypotheses td:nth-child(-n+3),table.hypotheses th:nth-child(-n+3){text-align:left}
figure{margin:1em 0}figure img{max-width:100%;height:auto}figcaption{color:var(--muted);font-size:.88rem}
details{border:1px solid var(--line);border-radius:6px;padding:.4em .9em;margin:.6em 0}summary{cursor:pointer;font-weight:600}
.verdict{white-space:nowrap;font-weight:600;padding:.05em .5em;border-radius:4px;background:#eee}
.v-supported{background:#d8f0e6;color:#00563f}.v-not-supported{background:#eee;color:#444}
.v-contradicted{background:#fbdcc8;color:#8a3a00}.v-withheld,.v-not-tested{background:#fff3cd;color:#6b5500}
nav{font-size:.88rem;color:var(--muted)}nav a{color:var(--accent);margin-right:1em;text-decoration:none}
@media print{body{background:#fff}main{max-width:none;padding:0}details{border:0}}
"""


def build(folder: Path, notebooks: Path, study: Study, language: str, answer: show.Text) -> str:
    """The report of a run as one HTML file that needs no other.

    Parameters
    ----------
    folder : Path
        A run folder, with tables, figures and notes.
    notebooks : Path
        The notebooks, whose `run.show("name", …)` lines give the order.
    study : Study
    language : {"en", "zh"}
    answer : Text
        What :func:`cxlib.verdicts.answer` says.

    Returns
    -------
    str
    """

    def say(key: str, **values: object) -> str:
        return WORDS[key][language].format(**values)

    sections = list(_sections(folder, notebooks, language))
    parts = [f"<h1>{escape(study.title[language])}</h1>"]
    if study.origin == "simulated":
        parts.append(f'<p class="banner">{escape(say("simulated"))}</p>')
    else:
        parts.append(f'<p class="meta">{escape(say("real", source=study.source))}</p>')
    if study.question:
        parts.append(f"<p><strong>{escape(study.question[language])}</strong></p>")
    sentences = "".join(f"<p>{escape(line)}</p>" for line in answer[language].splitlines() if line.strip())
    parts.append(f'<h2 id="answer">{say("answer")}</h2><div class="answer">{sentences}</div>')
    parts.append(_figure(folder, "path_diagram", language))
    parts.append(_warnings(folder, say("read_first"), language))
    parts += [_verdict_table(folder, name, say(name), language) for name in ("hypotheses", "claims")]
    parts.append(
        f'<h2 id="details">{say("details")}</h2><nav>'
        + "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in sections)
        + "</nav>"
    )
    for name, title, shown in sections:
        body = "".join(_figure(folder, part, language) + _table(folder, part, language) for part in shown)
        parts.append(f'<h3 id="{name}">{escape(title)}</h3>{body}')
    parts.append(f'<h2 id="provenance">{say("provenance")}</h2>{_provenance(folder)}')
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(study.title[language])}</title>'
    lang = {"en": "en", "zh": "zh-Hans"}[language]
    return (
        f'<!doctype html>\n<html lang="{lang}"><head>{head}<style>{STYLE}</style></head><body><main>'
        + "\n".join(parts)
        + "</main></body></html>\n"
    )


def word(markup: str) -> bytes:
    """The same report as a Word document (pandoc: headings, tables and figures stay what they are)."""
    import tempfile

    import pypandoc

    plain = re.sub(
        r"</?(details|summary|nav|figure|main)[^>]*>|<style>.*?</style>|<a [^>]*>.*?</a>", "", markup, flags=re.S
    )
    plain = re.sub(r"<figcaption>(.*?)</figcaption>", r"<p><em>\1</em></p>", plain, flags=re.S)
    with tempfile.TemporaryDirectory() as work:
        target = Path(work) / "report.docx"
        pypandoc.convert_text(plain, "docx", format="html", outputfile=str(target))
        return target.read_bytes()


def _sections(folder: Path, notebooks: Path, language: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each notebook's title and what it shows, as far as the run has it."""
    other = {"en": "zh", "zh": "en"}[language]
    there = sorted({path.stem for part in ("tables", "figures") for path in (folder / part).glob("*.*")})
    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if other not in c["metadata"].get("tags", [])]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        names: list[str] = []
        for open_ended, name in SHOWN.findall(code):  # f"likert_{role}" stands for all that begin with likert_
            names += [n for n in there if n.startswith(name)] if open_ended else [name]
        names = [n for n in dict.fromkeys(names) if n in there and n not in FRONT]
        if names:
            yield path.stem, "".join(cells[0]["source"]).splitlines()[0].lstrip("# "), names


def _note(folder: Path, name: str) -> dict:
    path = folder / "notes" / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _figure(folder: Path, name: str, language: str) -> str:
    path = folder / "figures" / f"{name}.png"
    if not path.is_file():
        return ""
    caption = escape(_note(folder, f"figure_{name}").get("text", {}).get(language, ""))
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="{escape(caption, quote=True)}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'


def _table(folder: Path, name: str, language: str) -> str:
    path = folder / "tables" / f"{name}.csv"
    if not path.is_file():
        return ""
    note = _note(folder, name)
    result = show.Result(
        pd.read_csv(path),
        note.get("text", {"en": "", "zh": ""}),
        note.get("n", 0),
        note.get("method", ""),
        tuple(note.get("warnings", ())),
    )
    return (
        f"<details><summary>{WORDS['table'][language]}: {escape(name)}</summary>"
        f'<div class="wide">{show.block(result, language, rows=30)}</div></details>'
    )


def _verdict_table(folder: Path, name: str, title: str, language: str) -> str:
    """Hypotheses or claims: the statement, the estimate with its interval, n and the verdict."""
    path = folder / "tables" / f"{name}.csv"
    rows = pd.read_csv(path, dtype={"id": str}) if path.is_file() else pd.DataFrame()
    if rows.empty:
        return ""
    names = ["id", "statement", "test", WORDS["estimate"][language], "β", "p", "n", "verdict"]
    head = "".join(f"<th>{escape(show.heading(n, language))}</th>" for n in names)
    body = "".join(f"<tr>{_verdict_row(row, language)}</tr>" for row in rows.to_dict("records"))
    note = escape(_note(folder, name).get("text", {}).get(language, ""))
    return (f'<h2 id="{name}">{title}</h2><div class="wide"><table class="hypotheses"><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
            f"</table></div><p>{note}</p>")


def _verdict_row(row: Mapping, language: str) -> str:
    verdict = str(row["verdict"])
    key = next((v for v in VERDICTS if verdict.startswith(v)), verdict)
    shown = verdict.replace(key, VERDICTS.get(key, key), 1) if language == "zh" else verdict
    estimate = f"{show.number(row['est'])} [{show.number(row['ci_low'])}, {show.number(row['ci_high'])}]"
    p = row.get("p_adjusted", float("nan"))
    cells = [row["id"], row["statement"], row.get("test", row.get("figure")), "–" if pd.isna(row["est"]) else estimate,
             show.number(row.get("std"), 2), "–" if pd.isna(p) else show.p_text(p).removeprefix("p ").removeprefix("= "),
             f"{row['n']:,.0f}" if pd.notna(row["n"]) else None]
    marked = f'<span class="verdict v-{key.replace(" ", "-")}">{escape(shown)}</span>'
    return "".join(f"<td>{escape('–' if pd.isna(c) else str(c))}</td>" for c in cells) + f"<td>{marked}</td>"


def _warnings(folder: Path, title: str, language: str) -> str:
    """What decides whether the numbers can be believed; every other warning stands with its table."""
    found = {w[language]: name for name in DECISIVE for w in _note(folder, name).get("warnings", [])}
    lines = "".join(f'<p class="cx-warning">{escape(text)} <small>({escape(name)})</small></p>' for text, name in found.items())
    return f'<h2 id="warnings">{title}</h2>{lines}' if lines else ""


def _provenance(folder: Path) -> str:
    stamp = json.loads((folder / "run.json").read_text("utf-8"))
    rows = "".join(
        f"<tr><td>{escape(str(k))}</td><td>{escape(json.dumps(v, ensure_ascii=False) if isinstance(v, dict) else str(v))}</td></tr>"
        for k, v in stamp.items()
    )
    return f'<div class="wide"><table>{rows}</table></div>'
