"""How results look: one result type, one theme, one colour a role, two languages.

Everything a stage computes comes back as a :class:`Result` (a table with a sentence), everything
it draws as a :class:`Picture` (a figure with its caption).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Text = Mapping[str, str]
"""The same sentence in each language: ``{"en": …, "zh": …}``."""

ROLES = {
    "expectation": "#7F7F7F", "service": "#0072B2", "experience": "#56B4E9", "perception": "#009E73",
    "satisfaction": "#E69F00", "loyalty": "#D55E00", "context": "#CC79A7",
}
"""One colour-blind-safe colour (Okabe and Ito) a role of a construct, the same in every figure."""
INK, MUTED, GRID = "#222222", "#777777", "#E3E3E3"
FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "Source Han Sans CN", "Microsoft YaHei",
         "PingFang SC", "Hiragino Sans GB", "SimHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Arial Unicode MS")


@dataclass(frozen=True)
class Result:
    """A table, what it says, and on how many rows it rests.

    table : DataFrame with numeric columns at full precision
    text : one or two sentences written from the numbers, in both languages
    n_used : rows of data used
    method : the exact name of what was computed
    warnings : what a reader must know before believing the numbers, in both languages
    """

    table: pd.DataFrame
    text: Text
    n_used: int
    method: str = ""
    warnings: tuple[Text, ...] = ()

    def _repr_html_(self) -> str:
        return html(self.table) + f"<p>{self.text['en']}</p>"


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure, its caption in both languages, and the theme it must be saved under."""

    figure: Figure = field(repr=False)
    text: Text
    language: str = "en"


def plural(n: int, one: str, many: str | None = None) -> str:
    """"1 item", "3 items"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def number(value: float, digits: int = 3) -> str:
    """A number for a sentence: fixed digits, thin minus, "–" for a missing one."""
    if value is None or pd.isna(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def p_text(p: float) -> str:
    """"p < .001" or "p = .023"."""
    if pd.isna(p):
        return "p = –"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def cjk_font() -> str | None:
    """The installed font that has Chinese characters, or None."""
    from matplotlib import font_manager

    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return next((name for name in FONTS if name in installed), None)


def theme(language: str = "en") -> dict:
    """The rcParams of every figure."""
    import seaborn

    found = cjk_font() if language == "zh" else None
    return {
        **seaborn.axes_style("whitegrid"), **seaborn.plotting_context("notebook", font_scale=0.9),
        "font.family": "sans-serif", "font.sans-serif": [*([found] if found else []), "DejaVu Sans"],
        "axes.edgecolor": GRID, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
        "grid.color": GRID, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.unicode_minus": False,
        "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110, "savefig.dpi": 160,
        "savefig.bbox": "tight", "svg.hashsalt": "cxlib", "svg.fonttype": "path", "figure.constrained_layout.use": True,
    }


def picture(draw: Callable) -> Callable[..., Picture]:
    """Make a drawing function return a :class:`Picture` in the one theme.

    `draw(..., language="en")` returns (figure, caption).  With language "zh" and no Chinese font on
    the machine it is drawn with English labels, and the caption says how to get a font.
    """

    @functools.wraps(draw)
    def wrapped(*args, language: str = "en", **kwargs) -> Picture:
        import matplotlib
        from matplotlib import pyplot

        drawn = "en" if language == "zh" and cjk_font() is None else language
        with matplotlib.rc_context(theme(drawn)):
            figure, caption = draw(*args, language=drawn, **kwargs)
            pyplot.close(figure)
        if drawn != language:
            caption = {**caption, "zh": caption["zh"] + "(本机没有中文字体,图中用英文;安装 Noto Sans CJK 后重跑即可。)"}
        return Picture(figure, caption, drawn)

    return wrapped


def html(table: pd.DataFrame, digits: int = 3) -> str:
    """A table as HTML for the notebook and the report, rounded; the file keeps full precision."""
    shown = table.copy()
    for name in shown.columns:
        if pd.api.types.is_float_dtype(shown[name]):
            whole = shown[name].dropna().mod(1).eq(0).all()
            shown[name] = shown[name].map(lambda v, d=0 if whole else digits: number(v, d))
    return shown.to_html(index=False, border=0, classes="cx", na_rep="–", escape=True)
