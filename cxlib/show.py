"""How results look: one result type, one theme, one colour a role, two languages.

Everything a stage computes comes back as a :class:`Result` (a table with a sentence), everything
it draws as a :class:`Picture` (a figure with its caption).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.words import number, p_text  # noqa: F401 - stages take them from here until they move to words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

Text = Mapping[str, str]
"""The same sentence in each language: ``{"en": …, "zh": …}``."""

ROLES = {
    "expectation": "#7F7F7F",
    "service": "#0072B2",
    "experience": "#56B4E9",
    "perception": "#009E73",
    "satisfaction": "#E69F00",
    "loyalty": "#D55E00",
    "context": "#CC79A7",
}
"""One colour-blind-safe colour (Okabe and Ito) a role of a construct, the same in every figure."""
INK, MUTED, GRID = "#222222", "#777777", "#E3E3E3"
FAMILIES = {
    "en": ("DejaVu Sans", "Verdana", "Arial"),
    "zh": (
        "Noto Sans SC",
        "Noto Sans CJK SC",
        "Source Han Sans SC",
        "PingFang SC",
        "Microsoft YaHei",
    ),
}
"""The first draws the figures and comes with a package; the others are for whoever opens an SVG file, whose text stays text."""

WIDE = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef"
"""Characters of Chinese text, with its punctuation: a line may end after any of them."""
OPENING, CLOSING = "（《〈「『【〔“‘", "、，。；：！？）》〉」』】〕”’…—·％,.;:!?)%"
"""Marks that end no line, and marks that begin none."""
LEADING = 1.3
"""Distance of the lines of a label, which Chinese characters fill up to the top."""
PIECE = re.compile(rf"[{OPENING}]*(?:[^\s{WIDE}{OPENING}]+|[{WIDE}])[{CLOSING}]*\s*|\S\s*")


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
        return block(self)


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure, its caption in both languages, and the theme it must be saved under."""

    figure: Figure = field(repr=False)
    text: Text
    language: str = "en"


def plural(n: int, one: str, many: str | None = None) -> str:
    """ "1 item", "3 items"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def apart(places: Sequence[float], gap: float, top: float) -> np.ndarray:
    """Places of labels, given in rising order: moved as little as leaves `gap` between them and none above `top`."""
    rank = np.arange(len(places))
    lowest = np.maximum.accumulate(np.array(places, float) - gap * rank) + gap * rank
    return np.minimum(lowest, top - gap * rank[::-1])


def fold(text: str, width: int, most: int | None = None) -> str:
    """A label in lines of at most `width` columns, of which a Chinese character takes two.

    Lines break at spaces and between Chinese characters, so that a code and its wording stay together; no line begins
    with a mark that closes or ends with one that opens.  Of more than `most` lines the last shown ends in "…".
    """
    lines, line = [], ""
    for piece in PIECE.findall(text):
        if line and _columns((line + piece).rstrip()) > width:
            lines.append(line)
            line = ""
        line += piece
    lines = [kept.rstrip() for kept in (*lines, line)]
    if most is None or len(lines) <= most:
        return "\n".join(lines)
    last = PIECE.findall(lines[most - 1])
    while len(last) > 1 and _columns("".join(last).rstrip(CLOSING + " ")) >= width:
        last.pop()
    return "\n".join([*lines[: most - 1], "".join(last).rstrip(CLOSING + " ") + "…"])


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def blank(words: Text, language: str) -> tuple[Figure, Text]:
    """A picture that says why there is none."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 1.4))
    axes.set_axis_off()
    axes.annotate(
        fold(words[language], 80),
        (0.5, 0.5),
        ha="center",
        va="center",
        color=MUTED,
        linespacing=LEADING,
    )
    return figure, words


def relied(text: Text, trustworthy: bool) -> Text:
    """The text, behind a warning if the solution it rests on cannot be trusted."""
    doubt = {"en": "Not to be relied on, see the warning. ", "zh": "结果不可靠，见警告。"}
    return (
        text if trustworthy else {language: doubt[language] + text[language] for language in doubt}
    )


def forest(axes: Axes, rows: pd.DataFrame, labels: Sequence[str]) -> None:
    """Draw estimates with their intervals, about zero, in lines from the top down.

    Parameters
    ----------
    axes : Axes
    rows : DataFrame
        est, ci_low, ci_high; place (0 is the first line; fractions stand between), colour, mark, hollow.
    labels : sequence of str
        One a line.
    """
    for row in rows.itertuples():
        axes.plot(
            [row.ci_low, row.ci_high],
            [row.place, row.place],
            color=row.colour,
            linewidth=2,
            alpha=0.6,
        )
        axes.plot(
            row.est,
            row.place,
            row.mark,
            color=row.colour,
            markersize=6,
            markerfacecolor="white" if row.hollow else row.colour,
        )
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


@functools.cache
def _register() -> None:
    """Make the packaged Chinese font known to matplotlib: the file itself, before any font of that name on the machine.

    What is installed, and matplotlib's cached list of it (which never learns of a font installed later), then plays no part.
    The package holds one weight; it stands for bold too, or matplotlib would complain of every bold title.
    """
    from matplotlib.font_manager import fontManager
    from pylopdf_fonts_zh_cn import sans_path

    fontManager.addfont(sans_path())
    regular = fontManager.ttflist.pop()
    fontManager.ttflist[:0] = [regular, replace(regular, weight=700)]


def theme(language: str = "en") -> dict:
    """The rcParams of every figure."""
    import seaborn

    _register()
    other = "en" if language == "zh" else "zh"
    return {
        **seaborn.axes_style("whitegrid"),
        **seaborn.plotting_context("notebook", font_scale=0.9),
        # matplotlib looks for a missing character in one font a family, so the font of the other language is a family too.
        "font.family": [FAMILIES[language][0], "sans-serif", FAMILIES[other][0]],
        "font.sans-serif": list(FAMILIES[language]),
        "axes.edgecolor": GRID,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "grid.color": GRID,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.unicode_minus": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.dpi": 110,
        "savefig.dpi": 160,
        "savefig.bbox": "tight",
        "svg.hashsalt": "cxlib",
        "svg.fonttype": "none",
        "figure.constrained_layout.use": True,
    }


def picture(draw: Callable) -> Callable[..., Picture]:
    """Make a drawing function, `draw(..., language="en")` returning (figure, caption), return a :class:`Picture` in the one theme."""

    @functools.wraps(draw)
    def wrapped(*args, language: str = "en", **kwargs) -> Picture:
        import matplotlib
        from matplotlib import pyplot

        with matplotlib.rc_context(theme(language)):
            figure, caption = draw(*args, language=language, **kwargs)
            pyplot.close(figure)
        return Picture(figure, caption, language)

    return wrapped


FORMATS = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""How figures are saved (screen, web and Word, LaTeX and print), without what would differ from run to run."""


def render(shown: Picture) -> tuple[bytes, ...]:
    """A picture in each of FORMATS; the same picture gives the same bytes."""
    import io

    import matplotlib
    from matplotlib.text import Text as Label

    files = [io.BytesIO() for _ in FORMATS]
    # A figure that lays itself out (a diagram) must not be given matplotlib's layout when it is saved.
    with matplotlib.rc_context({**theme(shown.language), "figure.constrained_layout.use": False}):
        area = _laid_out(shown.figure)
        # Publishers refuse Type 3 fonts, so PDFs embed TrueType; the Chinese font has PostScript outlines, which matplotlib
        # (3.11) declares as TrueType when asked for it, and Ghostscript then leaves all text out: its subset is Type 3.
        # What the ticks say is known once the figure has been laid out.
        chinese = any(
            re.search(f"[{WIDE}]", label.get_text()) for label in shown.figure.findobj(Label)
        )
        with matplotlib.rc_context(
            {"pdf.fonttype": 3 if chinese or shown.language == "zh" else 42}
        ):
            for file, (kind, metadata) in zip(files, FORMATS.items(), strict=True):
                shown.figure.savefig(file, format=kind, metadata=metadata, bbox_inches=area)
    return tuple(file.getvalue() for file in files)


def _laid_out(figure: Figure) -> Bbox:
    """Lay a figure out for good, at the resolution it is saved in, and say what area (in inches) it fills.

    Left to itself, matplotlib lays a figure out and measures it anew for each format: most of the time of saving.
    """
    from matplotlib import rcParams

    shown_at, figure.dpi = figure.dpi, rcParams["savefig.dpi"]
    figure.draw_without_rendering()
    area = figure.get_tightbbox().padded(rcParams["savefig.pad_inches"])
    figure.set_layout_engine(
        None
    )  # none at all: after "none" savefig would still draw everything twice
    figure.dpi = shown_at
    return area


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


HEADINGS = {
    "item": "题项",
    "construct": "构念",
    "items": "题数",
    "missing": "缺失",
    "mean": "均值",
    "sd": "标准差",
    "skew": "偏度",
    "kurtosis": "峰度",
    "floor": "地板率",
    "ceiling": "天花板率",
    "step": "步骤",
    "removed": "剔除",
    "remaining": "剩余",
    "respondent": "受访者",
    "kept": "保留",
    "reasons": "原因",
    "alpha": "α",
    "alpha_low": "α 下限",
    "alpha_high": "α 上限",
    "alpha_std": "标准化 α",
    "omega": "ω",
    "split_half": "分半信度",
    "mean_r": "平均相关",
    "alpha_if_dropped": "删除后 α",
    "r_drop": "校正题总相关",
    "statistic": "统计量",
    "value": "值",
    "criterion": "准则",
    "factors": "因子数",
    "factor": "因子",
    "observed": "观测值",
    "random": "随机值",
    "communality": "共同度",
    "measure": "指标",
    "lhs": "左",
    "op": "关系",
    "rhs": "右",
    "est": "估计值",
    "se": "标准误",
    "ci_low": "区间下限",
    "ci_high": "区间上限",
    "std": "标准化",
    "label": "标签",
    "effect": "效应",
    "kind": "类型",
    "interval": "区间方法",
    "draws": "抽样次数",
    "converged": "收敛",
    "statement": "陈述",
    "model": "模型",
    "test": "检验",
    "sign": "方向",
    "p_adjusted": "校正后 p",
    "verdict": "结论",
    "notebook": "笔记本",
    "level": "水平",
    "group": "组",
    "share": "比例",
    "percent": "百分比",
    "name": "名称",
    "role": "角色",
    "wording": "题目",
    "moderator": "调节变量",
    "delta_r2": "ΔR²",
    "low_sd": "下限（标准差）",
    "high_sd": "上限（标准差）",
    "significant": "显著",
    "at": "标准差数",
    "lambda6": "Guttman λ6",
    "alpha_ordinal": "有序 α",
    "values": "取值",
    "rows": "行",
    "rule": "规则",
    "hits": "命中",
    "duration": "用时",
    "attention": "注意检查",
    "table": "表",
    "key": "键",
    "joined": "连接行数",
    "without": "无记录人数",
    "cr": "组合信度",
    "ave": "AVE",
    "msv": "MSV",
    "max_htmt": "最大 HTMT",
    "mi": "修正指数",
    "epc": "预期变化",
    "check": "检查",
    "r2": "R²",
    "a": "构念一",
    "b": "构念二",
    "predictor": "预测变量",
    "outcome": "结果",
    "weight": "权重",
    "rank_1": "居首比例",
    **{f"rank_{k}": f"第 {k} 名比例" for k in range(2, 21)},
    "grouping": "分组",
    "column": "列",
    "quota": "配额",
    "difference": "差值",
    "trustworthy": "可信",
    "proper": "恰当",
    "improper": "不恰当",
    "failed": "失败",
    "sample": "样本",
    "family": "族",
    "scale": "尺度",
    "power": "功效",
    "holds": "成立",
    "reverse": "反向",
    "low": "下限",
    "high": "上限",
    "rate": "比率",
    "n_needed": "所需样本",
    "problem": "问题",
    "note": "说明",
    "figure": "来源数字",
    "unit": "单位",
    "test_statistic": "检验统计量",
    "alpha_boot_low": "α 自助下限",
    "alpha_boot_high": "α 自助上限",
    "omega_total": "ω 总系数",
    "omega_hierarchical": "分层 ω",
    "half": "样本之半",
    "complete": "完整作答",
    "used": "可用",
    "observed_fa": "观测值（公因子）",
    "random_fa": "随机值（公因子）",
    "htmt": "HTMT",
    "htmt_low": "HTMT 下限",
    "htmt_high": "HTMT 上限",
    "htmt2": "HTMT2",
    "htmt2_low": "HTMT2 下限",
    "htmt2_high": "HTMT2 上限",
    "kmo": "KMO",
    "construct_a": "构念一",
    "construct_b": "构念二",
    "p_holm": "Holm 校正 p",
    "respondents": "受访者数",
    "patterns": "缺失模式数",
    "chisq": "χ²",
    "pvalue": "p",
    "npar": "参数数",
    "d_chisq": "Δχ²",
    "d_df": "Δdf",
    "d_p": "Δχ² 的 p",
    "d_cfi": "ΔCFI",
    "d_rmsea": "ΔRMSEA",
    "d_srmr": "ΔSRMR",
    "d_r2": "ΔR²",
    "f2": "f²",
    "r2_without": "去掉后的 R²",
    "start": "起点",
    "end": "终点",
    "type": "类别",
    "total": "总效应",
    "total_low": "总效应下限",
    "total_high": "总效应上限",
    "direct": "直接效应",
    "direct_low": "直接效应下限",
    "direct_high": "直接效应上限",
    "indirect": "间接效应",
    "indirect_low": "间接效应下限",
    "indirect_high": "间接效应上限",
    "proportion": "中介比例",
    "proportion_low": "中介比例下限",
    "proportion_high": "中介比例上限",
    "mediation": "中介类型",
    "in_model": "在模型中",
    "nested": "嵌套",
    "comparable": "可比",
    "group_a": "组一",
    "group_b": "组二",
    "wald": "Wald χ²",
    "lr_chisq": "似然比 χ²",
    "lr_p": "似然比 p",
    "boot_low": "自助下限",
    "boot_high": "自助上限",
    "boot_p": "自助 p",
    "permutations": "置换次数",
    "p_permutation": "置换 p",
    "p_permutation_cfi": "置换 p（CFI）",
    "freed": "放开的参数",
    "reference": "参照组",
    "d_low": "d 下限",
    "d_high": "d 上限",
    "hedges_g": "Hedges g",
    "g_low": "g 下限",
    "g_high": "g 上限",
    "compared_by": "比较方法",
    "driver": "驱动变量",
    "slope": "斜率",
    "y_low": "低值处的结果",
    "y_high": "高值处的结果",
    "rank": "名次",
    "id": "编号",
    "samples": "样本数",
    "formula": "公式",
    "n_80": "功效 80% 所需 n",
    "longstring": "最长连选",
    "even_odd": "奇偶一致性",
    "irv": "个体内变异",
    "mahalanobis": "马氏距离",
    "mahalanobis_p": "马氏距离 p",
    "promoters": "推荐者",
    "passives": "中立者",
    "detractors": "贬损者",
}
"""Chinese headings of the tables; statistics keep their international symbols."""


def heading(name: str, language: str = "en") -> str:
    """The heading of a column in the reader's language."""
    return HEADINGS.get(name, name) if language == "zh" else name.replace("_", " ")
