"""Missing answers: how many, in which patterns, and whether they look random.

Nothing is filled in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.errors import DataError
from cxlib.core.result import Result, Text
from cxlib.core.words import p_text
from cxlib.sem.fiml import moments, pattern_rows
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def by_item(data: pd.DataFrame, study: Study) -> Result:
    """Missing answers by item: item, construct, n (answered), missing, share."""
    items = [item for item in study.items if item in data]
    absent = data[items].isna()
    columns = {
        "item": items,
        "construct": [study.items[i] for i in items],
        "n": (~absent).sum(),
        "missing": absent.sum(),
        "share": absent.mean(),
    }
    table = pd.DataFrame(columns).reset_index(drop=True)
    total, cells, complete = (
        int(table["missing"].sum()),
        absent.size,
        int((~absent.any(axis=1)).sum()),
    )
    text = {
        "en": f"No answer is missing: all {len(data):,} rows answered all {len(items)} items.",
        "zh": f"没有缺失：{len(data):,} 名受访者全部回答了 {len(items)} 个题项。",
    }
    if total:
        worst = table.loc[table["share"].idxmax()]
        text = {
            "en": f"{total:,} of {cells:,} answers ({100 * total / cells:.1f} %) are missing; {complete:,} of {len(data):,} rows are "
            f"complete. Most are missing in {worst['item']} ({100 * worst['share']:.1f} %).",
            "zh": f"{cells:,} 个回答中缺失 {total:,} 个（{100 * total / cells:.1f}%）；{len(data):,} 行中有 {complete:,} 行完整。"
            f"缺失最多的题项是 {worst['item']}（{100 * worst['share']:.1f}%）。",
        }
    return Result(table, text, len(data), "missing answers by item")


def patterns(frame: pd.DataFrame) -> pd.DataFrame:
    """Patterns of missing answers, the most frequent first: n, missing (how many items), items (which)."""
    absent = frame.isna().to_numpy()
    rows = [
        (len(rows), int((~seen).sum()), " ".join(frame.columns[~seen]))
        for rows, seen in pattern_rows(~absent)
    ]
    return pd.DataFrame(rows, columns=["n", "missing", "items"]).sort_values(
        ["n", "missing", "items"], ascending=[False, True, True], ignore_index=True
    )


def littles_mcar(frame: pd.DataFrame) -> Result:
    """Little's test that answers are missing completely at random.

    d² = Σⱼ nⱼ (ȳⱼ − μ̂ⱼ)' Σ̂ⱼ⁻¹ (ȳⱼ − μ̂ⱼ) over the missing-data patterns j, with maximum-likelihood μ̂ and Σ̂ (divisor n);
    χ² with Σ pⱼ − p degrees of freedom.

    Returns
    -------
    Result
        One row: chisq, df, p, patterns, n.

    Notes
    -----
    Little (1988), doi:10.1080/01621459.1988.10478722.  Rows without any answer are left out.
    R: ``naniar::mcar_test(x)`` (which also keeps the divisor n).
    """
    from scipy.stats import chi2

    used, method, columns = (
        frame.dropna(how="all"),
        "Little's MCAR test",
        ["chisq", "df", "p", "patterns", "n"],
    )
    groups, text = (
        pattern_rows(used.notna().to_numpy()),
        {
            "en": "No answer is missing, so there is nothing to test.",
            "zh": "没有缺失值，无需检验。",
        },
    )
    if used.isna().any(axis=None):
        try:
            if len(used) <= used.shape[1]:
                raise DataError(
                    f"{len(used)} rows for {used.shape[1]} items leave no invertible covariance matrix."
                )
            mean, covariance = moments(used)
            text = {}
        except DataError as error:
            text = {
                "en": f"Not tested. {error}",
                "zh": "未检验：无法估计协方差矩阵（行数太少、题项无变异或完全相关）。",
            }
    if text:
        return Result(
            pd.DataFrame([(np.nan, 0, np.nan, len(groups), len(used))], columns=columns),
            text,
            len(used),
            method,
            (text,),
        )
    values, chisq, df = used.to_numpy(float), 0.0, -len(mean)
    for rows, seen in groups:
        off = values[np.ix_(rows, seen)].mean(axis=0) - mean[seen]
        chisq += len(rows) * off @ np.linalg.solve(covariance[np.ix_(seen, seen)], off)
        df += int(seen.sum())
    p = float(chi2.sf(chisq, df))
    told = f"χ²({df}) = {chisq:.2f}, {p_text(p)}"
    text = {
        "en": f"Little's test: {told} — nothing here speaks against answers missing completely at random.",
        "zh": f"Little 检验：{told}，没有证据否定完全随机缺失。",
    }
    if p < 0.05:
        text = {
            "en": f"Little's test: {told} — answers are not missing completely at random.",
            "zh": f"Little 检验：{told}，缺失并非完全随机。",
        }
    small = {
        "en": f"{len(groups)} patterns in {len(used):,} rows: the test rests on very small groups, do not lean on its p value.",
        "zh": f"{len(used):,} 行中有 {len(groups)} 种缺失模式：各组样本很小，p 值仅供参考。",
    }
    table = pd.DataFrame([(chisq, df, p, len(groups), len(used))], columns=columns)
    return Result(table, text, len(used), method, (small,) if len(used) < 5 * len(groups) else ())


@theme.picture
def plot_missing(data: pd.DataFrame, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Share of missing answers by item, above the most frequent patterns of missing answers."""
    from matplotlib import pyplot

    items = [item for item in study.items if item in data]
    share, kinds = 100 * data[items].isna().mean().to_numpy(), patterns(data[items])
    top = kinds[kinds["missing"] > 0].head(12)
    colours = [theme.ROLES[study.role(item)] for item in items]
    width = max(6.5, 1.5 + 0.2 * len(items))
    figure, (bars, grid) = pyplot.subplots(
        2,
        1,
        figsize=(width, 3.2 + 0.24 * len(top)),
        sharex=True,
        height_ratios=[2, max(0.24 * len(top), 0.5)],
    )
    bars.bar(range(len(items)), share, color=colours)
    bars.set_ylabel({"en": "missing (%)", "zh": "缺失率（%）"}[language])
    bars.set_ylim(0, max(share.max() * 1.15, 1))
    bars.grid(axis="x", visible=False)
    for y, row in enumerate(top.itertuples()):
        gone = [i for i, item in enumerate(items) if item in row.items.split()]
        grid.scatter(range(len(items)), [y] * len(items), s=14, color=theme.GRID, zorder=2)
        grid.scatter(
            gone, [y] * len(gone), s=22, color=[colours[i] for i in gone], marker="s", zorder=3
        )
    grid.set_yticks(range(len(top)), [f"n = {n:,}" for n in top["n"]], fontsize=8)
    grid.set_ylim(len(top) - 0.4, -0.6)
    grid.set_xticks(range(len(items)), items, rotation=90, fontsize=7)
    grid.grid(False)
    grid.spines[:].set_visible(False)
    if top.empty:
        grid.set_ylim(1, -1)
        nothing = {"en": "no missing answers", "zh": "没有缺失"}[language]
        grid.text(len(items) / 2 - 0.5, 0, nothing, ha="center", va="center")
    complete = int(kinds.loc[kinds["missing"] == 0, "n"].sum())
    absent = len(kinds) - bool(complete)
    if not absent:
        return figure, {
            "en": f"No answer is missing in {len(data):,} rows.",
            "zh": f"{len(data):,} 行均无缺失。",
        }
    return figure, {
        "en": f"Missing answers by item (above) and the {len(top)} most frequent of {absent} patterns of missing answers (below); "
        f"{complete:,} of {len(data):,} rows are complete. Look for blocks: they mean questions that were not reached or not asked.",
        "zh": f"各题项缺失率（上）与 {absent} 种缺失模式中最常见的 {len(top)} 种（下）；{len(data):,} 行中 {complete:,} 行完整。"
        "若成块缺失，说明该部分题目未答到或未被询问。",
    }
