"""How tables and figures look in a notebook and in the report: HTML that needs no other file."""

from __future__ import annotations

import re

import pandas as pd

from cxlib.core.words import catalogue, number


def embed(png: bytes, caption: str) -> str:
    """A figure with its caption as HTML that needs no other file."""
    import base64
    from html import escape

    data = base64.b64encode(png).decode()
    return (
        f'<figure style="margin:0"><img style="max-width:100%" alt="{escape(caption, quote=True)}" '
        f'src="data:image/png;base64,{data}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


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
            return known["column", pattern][0].format(k=re.sub(r"\D", "", name))
    return name.replace("_", " ")
