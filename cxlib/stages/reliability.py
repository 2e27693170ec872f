"""Reliability of a study's scales: how consistently their items measure, and which item is the weak one.

The coefficients of one scale are in :mod:`cxlib.statistics.consistency` and can be called from here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.errors import Impossible
from cxlib.core.result import Result
from cxlib.core.words import number, plural
from cxlib.diagram import forests
from cxlib.statistics.consistency import (
    ENOUGH,
    alpha,
    complete_rows,
    item_statistics,
    omega_total,
    resampled,
    split_half,
)

if TYPE_CHECKING:
    from cxlib.study.schema import Study

    Words = dict[str, str]

__all__ = [
    "alpha",
    "hierarchical",
    "item_reliability",
    "item_statistics",
    "omega_total",
    "ordinal_reliability",
    "plot_items",
    "plot_reliability",
    "reliability",
    "resampled",
    "split_half",
]
WEAK = 0.30
"""A corrected item-total correlation below this is called weak (Nunnally and Bernstein 1994): a rule of thumb."""


def reliability(data: pd.DataFrame, study: Study, rng: np.random.Generator | None = None) -> Result:
    """Reliability of every scale of a study.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses, reverse items already recoded.
    study : Study
        Declares the constructs and their items.
    rng : Generator, optional
        For the bootstrap interval of alpha (2,000 draws of respondents, the same for all scales), and for scales of more
        than 16 items, whose splits are drawn.

    Returns
    -------
    Result
        construct, items, n (complete rows of that scale), alpha, alpha_low, alpha_high, alpha_std, omega, split_half,
        mean_r, lambda6, and with `rng` alpha_boot_low, alpha_boot_high.  What a scale cannot give is missing, and the
        warnings say why.

    Raises
    ------
    ValueError
        An item the data do not have.
    """
    data, times = data.reset_index(drop=True), None if rng is None else resampled(len(data), rng)
    table, used, warnings = _each(
        data,
        study,
        lambda rows: alpha(rows, None if times is None else times[rows.index]),
        lambda rows: split_half(rows, rng),
        omega_total,
    )
    table = table.reindex(
        columns=[
            "construct",
            "items",
            "n",
            "alpha",
            "alpha_low",
            "alpha_high",
            "alpha_std",
            "omega",
            "split_half",
            "mean_r",
            "lambda6",
            *([] if times is None else ["alpha_boot_low", "alpha_boot_high"]),
        ]
    )
    known = table.dropna(subset="alpha").sort_values("alpha")
    text = {
        "en": "No scale has an estimable reliability; the warnings say why.",
        "zh": "没有量表可以估计信度，原因见警告。",
    }
    if len(known):
        reach, ends = (
            int((known["alpha"] >= ENOUGH[0]).sum()),
            list(known.iloc[[0, -1]].itertuples()),
        )
        en = [f"{number(row.alpha, 2)} ({study.name(row.construct)})" for row in ends]
        zh = [f"{number(row.alpha, 2)}（{study.name(row.construct, 'zh')}）" for row in ends]
        text = {
            "en": f"Cronbach's alpha runs from {en[0]} to {en[1]}; {reach} of {plural(len(known), 'scale')} reach .70, "
            "a convention (Nunnally 1978).",
            "zh": f"Cronbach α 介于 {zh[0]}与 {zh[1]}之间；{len(known)} 个量表中有 {reach} 个达到惯例 .70（Nunnally，1978）。",
        }
    boot = (
        ""
        if times is None
        else f" and the percentile interval of {times.shape[1]:,} bootstrap draws (boot)"
    )
    return Result(
        table,
        text,
        used,
        f"Cronbach's alpha with Feldt's 95% interval{boot}; omega total (Σλ)²/((Σλ)² + Σθ), one-factor ML; "
        "mean Spearman–Brown corrected split half; listwise within a scale",
        tuple(warnings),
    )


def hierarchical(data: pd.DataFrame, study: Study) -> Result:
    """Omega of every second-order construct: construct, items, n, alpha, omega_total, omega_hierarchical.

    From a second-order maximum-likelihood model of all its items: omega_total = 1 − Σθ/1'Σ1 is the share of the sum's
    variance that any factor explains, omega_hierarchical = (Σλγ)²φ/1'Σ1 the share of the second-order factor alone (Σ
    the implied covariances; Zinbarg et al. 2005, doi:10.1007/s11336-003-0974-7).

    Parameters
    ----------
    data, study
        As :func:`reliability`.

    Notes
    -----
    R: ``semTools::compRelSEM(lavaan::cfa(model, data), obs.var = FALSE, higher = "G")`` is omega_hierarchical.
    """

    def omegas(frame: pd.DataFrame) -> Result:
        rows, notes = complete_rows(frame)
        code = next(code for code, items in wholes.items() if items == list(rows))
        parts = {part: study.scales[part] for part in study.constructs[code].of}
        try:
            fit = sem.fit(
                rows,
                "\n".join(
                    f"{a} =~ {' + '.join(b)}" for a, b in {**parts, code: list(parts)}.items()
                ),
            )
        except ValueError as error:
            raise Impossible(f"No omega: {error}", f"无法计算 ω：{error}") from error
        est, total = (
            fit.parameters.set_index(["lhs", "op", "rhs"])["est"],
            fit.implied[0].cov.to_numpy().sum(),
        )
        common = sum(
            est[code, "=~", part] * est[part, "=~", item]
            for part, own in parts.items()
            for item in own
        )
        table = (
            alpha(rows)
            .table[["alpha"]]
            .assign(
                omega_total=1 - sum(est[item, "~~", item] for item in rows) / total,
                omega_hierarchical=common**2 * est[code, "~~", code] / total,
            )
        )
        return Result(table, {}, len(rows), "", (*notes, *fit.warnings))

    wholes = {
        code: [item for part in construct.of for item in study.scales[part]]
        for code, construct in study.constructs.items()
        if construct.of
    }
    table, used, warnings = _each(data, study, omegas, scales=wholes)
    table = table.reindex(
        columns=["construct", "items", "n", "alpha", "omega_total", "omega_hierarchical"]
    )
    said = [
        (row.construct, *(number(v, 2) for v in (row.omega_total, row.omega_hierarchical)))
        for row in table.itertuples()
    ]
    text = {
        "en": " ".join(
            f"Of the variance of the sum of all items of {study.name(code)}, a share of {a} is reliable and {b} is due to "
            f"{study.name(code)} itself; the difference belongs to its parts."
            for code, a, b in said
        )
        or "No construct of this study is of second order.",
        "zh": "".join(
            f"“{study.name(code, 'zh')}”全部题项之和的方差中，可靠部分占 {a}，由该构念本身产生的占 {b}，两者之差属于各组成部分。"
            for code, a, b in said
        )
        or "本研究没有二阶构念。",
    }
    return Result(
        table,
        text,
        used,
        "omega total and hierarchical of a second-order ML model; listwise",
        tuple(warnings),
    )


def ordinal_reliability(data: pd.DataFrame, study: Study) -> Result:
    """Ordinal alpha of every scale, from polychoric correlations: construct, items, n, alpha_ordinal, alpha_std.

    It speaks of the normal responses behind the answers, alpha_std of the answers themselves, whose sum is what one uses.

    Notes
    -----
    Zumbo, Gadermann & Zeisser (2007), doi:10.22237/jmasm/1177992180.
    R: ``psych::alpha(lavaan::lavCor(frame, ordered = names(frame)))$total$raw_alpha``.
    """

    def ordinal(frame: pd.DataFrame) -> Result:
        standard = alpha(frame).table[["alpha_std"]]
        try:
            return Result(standard.assign(alpha_ordinal=sem.ordinal_alpha(frame)), {}, len(frame))
        except ValueError as error:
            raise Impossible(f"No ordinal alpha: {error}", f"无法计算有序 α：{error}") from error

    table, used, warnings = _each(data, study, ordinal)
    table = table.reindex(columns=["construct", "items", "n", "alpha_ordinal", "alpha_std"])
    gain = (table["alpha_ordinal"] - table["alpha_std"]).median()
    return Result(
        table,
        {
            "en": f"Taking the answers for ordered categories raises alpha by {number(gain, 2)} (median of the scales).",
            "zh": f"把回答当作有序类别时，α 提高 {number(gain, 2)}（各量表的中位数）。",
        },
        used,
        "ordinal alpha from polychoric correlations, beside standardised alpha; listwise within a scale",
        tuple(warnings),
    )


def item_reliability(data: pd.DataFrame, study: Study) -> Result:
    """What each item adds to its scale, for every scale of a study.

    Parameters
    ----------
    data, study
        As :func:`reliability`.

    Returns
    -------
    Result
        construct, item, r_drop, alpha_if_dropped, n, mean, sd.

    Raises
    ------
    ValueError
        As :func:`reliability`.
    """
    table, used, warnings = _each(data, study, item_statistics, by_item=True)
    table = table.reindex(
        columns=["construct", "item", "r_drop", "alpha_if_dropped", "n", "mean", "sd"]
    )
    weak, known = table[table["r_drop"] < WEAK], int(table["r_drop"].notna().sum())
    listed = [f"{row.item} ({number(row.r_drop, 2)})" for row in weak.itertuples()]
    text = {
        "en": f"Of {plural(known, 'item')}, {len(weak) or 'none'} go{'es' if len(weak) < 2 else ''} little with the rest of "
        f"{'the' if len(weak) > 1 else 'its'} scale (r below .30, a convention){': ' if listed else ''}{', '.join(listed)}.",
        "zh": f"{known} 个题项中{f'有 {len(weak)} 个' if listed else '没有题项'}与所属量表其余题项的相关低于惯例 .30"
        f"{'：' if listed else ''}{'、'.join(listed)}。",
    }
    return Result(
        table,
        text,
        used,
        "corrected item-total correlation; alpha if item dropped; listwise within a scale",
        tuple(warnings),
    )


@theme.picture
def plot_reliability(result: Result, study: Study, *, language: str = "en"):
    """Alpha with its interval, and omega, one row a construct."""
    from matplotlib import pyplot

    table, zh = result.table, language == "zh"
    figure, axes = pyplot.subplots(figsize=(7, 1.3 + 0.4 * len(table)))
    forests.labelled(
        axes,
        table.rename(
            columns={"alpha": "est", "alpha_low": "ci_low", "alpha_high": "ci_high"}
        ).assign(
            label=[
                f"{study.name(row.construct, language)} ({row.items})" for row in table.itertuples()
            ],
            heading=False,
            colour=[theme.ROLES[study.role(code)] for code in table["construct"]],
        ),
        language,
    )
    axes.plot(
        table["omega"],
        table.index,
        "D",
        markerfacecolor="none",
        markeredgecolor=theme.INK,
        markersize=10,
    )
    for line, side in zip(ENOUGH, ("right", "left"), strict=True):
        forests.convention(
            axes,
            line,
            f"{'惯例' if zh else 'convention'} {f'{line:.2f}'[1:]}"
            if side == "right"
            else f"{line:.2f}"[1:],
            side,
        )
    axes.set(
        xlim=(
            max(-0.5, np.floor(10 * np.nanmin([0.4, *table["alpha_low"], *table["omega"]])) / 10),
            1,
        ),
        xlabel="● α 与 95% 区间   ◇ ω   （括号内为题数）"
        if zh
        else "● alpha with 95% interval   ◇ omega   (number of items)",
    )
    return figure, {
        "en": f"Reliability of each scale (n = {_sizes(table)} complete rows). Dots and bold numbers are Cronbach's alpha with Feldt's "
        "95% interval, diamonds omega total; the dashed lines are conventions (Nunnally 1978), not tests. Look for intervals that "
        "reach left of them.",
        "zh": f"各量表的信度（完整作答 n = {_sizes(table)}）。圆点和粗体数字为 Cronbach α 及 Feldt 95% 区间，菱形为 ω 总系数；虚线只是惯例"
        "（Nunnally，1978），并非检验。请留意区间伸到虚线左侧的量表。",
    }


@theme.picture
def plot_items(result: Result, study: Study, *, language: str = "en"):
    """Corrected item-total correlations, items below the name of their construct."""
    table = result.table
    figure = forests.by_construct(
        table.assign(
            est=table["r_drop"],
            ci_low=table["r_drop"].clip(upper=0),
            ci_high=table["r_drop"].clip(lower=0),
        ),
        study,
        WEAK,
        {
            "en": "correlation of an item with the sum of the others of its scale",
            "zh": "题项与同量表其余题项之和的相关",
        }[language],
        language,
    )
    return figure, {
        "en": f"Corrected item-total correlations (n = {_sizes(table)}). Items left of the dashed line (.30, a convention) go little with "
        "their scale; a negative one is perhaps not reverse-coded.",
        "zh": f"校正后的题总相关（n = {_sizes(table)}）。虚线（.30，惯例）左侧的题项与所属量表关系较弱；若为负，可能未反向计分。",
    }


def _sizes(table: pd.DataFrame) -> str:
    low, high = table["n"].min(), table["n"].max()
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _each(
    data: pd.DataFrame,
    study: Study,
    *parts: Callable[[pd.DataFrame], Result],
    scales: dict[str, list[str]] | None = None,
    by_item: bool = False,
) -> tuple[pd.DataFrame, int, list[Words]]:
    """Measure every scale: the tables below one another, rows with at least one complete scale, warnings by name.

    The columns of the parts stand side by side, one line a scale or `by_item`; a part that has nothing to compute leaves its reason.
    """
    if absent := [item for item in study.items if item not in data]:
        raise ValueError(
            f"The data have no column {', '.join(absent)}, which the study '{study.id}' declares. Check the column names."
        )
    scales = study.scales if scales is None else scales
    tables, warnings, used = [pd.DataFrame()], [], np.zeros((len(scales), len(data)), bool)
    for (code, items), complete in zip(scales.items(), used, strict=True):
        complete[:] = data[items].notna().all(axis=1)
        frame, notes = data.loc[complete, items], []
        table = pd.DataFrame({"item": items} if by_item else {"items": [len(items)]}).assign(
            construct=code, n=len(frame)
        )
        for part in parts:
            try:
                result = part(frame)
            except Impossible as error:
                notes.append(error.sentence)
            else:
                table, notes = table.assign(**result.table), [*notes, *result.warnings]
        tables.append(table)
        warnings += [
            {
                "en": f"{study.name(code)} ({code}): {note['en']}",
                "zh": f"{study.name(code, 'zh')}（{code}）：{note['zh']}",
            }
            for note in {note["en"]: note for note in notes}.values()
        ]
    gaps = sorted((~used).sum(axis=1))
    if gaps and gaps[-1]:
        several = f"{gaps[0]:,} to {gaps[-1]:,}" if gaps[0] < gaps[-1] else f"{gaps[0]:,}"
        warnings.insert(
            0,
            {
                "en": f"A row with a missing answer is left out of that scale: {several} of {len(data):,} rows (column n).",
                "zh": f"有缺失答案的行不计入相应量表：各量表剔除 {several.replace(' to ', ' 至 ')} 行，共 {len(data):,} 行（见 n 列）。",
            },
        )
    return pd.concat(tables, ignore_index=True), int(used.any(axis=0).sum()), warnings
