"""How tables and figures look in a notebook and in the report: HTML that needs no other file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core.words import catalogue, number

if TYPE_CHECKING:
    from cxlib.core.result import Result


def embed(png: bytes, caption: str) -> str:
    """A figure with its caption as HTML that needs no other file."""
    import base64
    from html import escape

    data = base64.b64encode(png).decode()
    return (
        f'<figure style="margin:0"><img style="max-width:100%" alt="{escape(caption, quote=True)}" '
        f'src="data:image/png;base64,{data}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def block(result: Result, language: str = "en", rows: int = 60) -> str:
    """A result as HTML: its warnings above its numbers, the table, the sentence, n and method."""
    from html import escape

    parts = [f'<p class="cx-warning">⚠ {escape(w[language])}</p>' for w in result.warnings]
    parts.append(html(result.table.head(rows), language))
    if len(result.table) > rows:
        more = {
            "en": f"{rows} of {len(result.table)} rows; the file has all.",
            "zh": f"仅列出 {len(result.table)} 行中的 {rows} 行，文件中为全部。",
        }
        parts.append(f"<p><small>{more[language]}</small></p>")
    parts.append(f"<p>{escape(result.text[language])}</p>")
    note = " · ".join(
        filter(None, [f"n = {result.n_used:,}" if result.n_used else "", result.method])
    )
    parts.append(f"<p><small>{escape(note)}</small></p>" if note else "")
    return "\n".join(parts)


def html(table: pd.DataFrame, language: str = "en", digits: int = 3) -> str:
    """A table as HTML for the notebook and the report, rounded; the file keeps full precision."""
    shown = (
        table.infer_objects()
    )  # a table put together from an empty one holds its numbers as objects
    for name in shown.columns:
        values = shown[name]
        if pd.api.types.is_bool_dtype(values):
            shown[name] = values.map({True: "✓", False: "✗"})
        elif pd.api.types.is_float_dtype(values):
            whole = values.dropna().mod(1).eq(0).all()
            shown[name] = values.map(lambda v, d=0 if whole else digits: number(v, d))
        elif not pd.api.types.is_numeric_dtype(values):
            shown[name] = values.map(lambda v: "–" if pd.isna(v) else str(v))
    shown.columns = [heading(str(name), language) for name in shown.columns]
    return shown.to_html(index=False, border=0, classes="cx", escape=True)


def heading(name: str, language: str = "en") -> str:
    """The heading of a column in the reader's language: its entry in the catalogue, else its name in words."""
    known = catalogue(language)
    for pattern in (name, re.sub(r"\d+", "{k}", name)):
        if ("column", pattern) in known:
            return known["column", pattern].format(k=re.sub(r"\D", "", name))
    return name.replace("_", " ")
