"""How consistently the items of a scale measure: alpha, omega, split halves, and what each item adds.

Every coefficient rests on the complete rows of its own scale; covariances have divisor n − 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import show
from cxlib.show import Result

if TYPE_CHECKING:
    from cxlib.study import Study

CONVENTIONS = (0.70, 0.80)
"""Nunnally (1978): modest for early research, enough for basic research. Rules of thumb, not tests."""
WEAK = 0.30
"""Corrected item-total correlations below this are called weak (Nunnally and Bernstein 1994); a rule of thumb."""
SPLITS = 10_000
"""Up to this many splits every one is computed; beyond it this many are drawn."""
METHOD = ("Cronbach's alpha on covariances with Feldt's 95% interval (Feldt, Woodruff and Salih 1987); omega total "
          "(Σλ)²/((Σλ)² + Σθ) of a one-factor maximum-likelihood model; split_half: mean over all splits of the "
          "Spearman–Brown corrected correlation of the halves; listwise within a scale")


def alpha(frame: pd.DataFrame, level: float = 0.95) -> Result:
    """Cronbach's alpha of one scale, raw and standardised, with Feldt's interval.

    α = k/(k−1) (1 − Σs²ᵢ/s²) with s² the variance of the sum; alpha_std puts correlations for covariances;
    lambda6 is Guttman's λ₆ = 1 − Σ(1−SMCᵢ)/ΣR of the correlations.  The interval rests on
    (1−α)/(1−α̂) ~ F(n−1, (n−1)(k−1)) (Feldt 1965, doi:10.1007/BF02289499).

    Parameters
    ----------
    frame : DataFrame
        The items of one scale, keyed in one direction; rows with a missing answer are left out.
    level : float
        Confidence level of the interval.

    Returns
    -------
    Result
        One row: items, n, alpha, alpha_low, alpha_high, alpha_std, mean_r, lambda6.

    Raises
    ------
    ValueError
        Fewer than two items, too few rows, an item that is constant or not numeric.

    Notes
    -----
    R: ``psych::alpha(frame)$total`` and ``psych::alpha.ci(a, n, k)``.
    """
    from scipy.stats import f

    rows = _complete(frame)
    n, k = rows.shape
    value = _alpha(rows.cov().to_numpy())
    tail = (1 - level) / 2
    low, high = (1 - (1 - value) * f.ppf([1 - tail, tail], n - 1, (n - 1) * (k - 1))).tolist()
    r = rows.corr().to_numpy()
    warnings = [*_dropped(frame, rows), *_identical(rows)]
    lambda6 = np.nan if np.linalg.matrix_rank(r) < k else 1 - (1 / np.diag(np.linalg.inv(r))).sum() / r.sum()
    if np.isnan(lambda6) and not _identical(rows):
        warnings.append({"en": "Guttman's λ6 is not estimable: some item is a combination of the others.",
                         "zh": "无法估计 Guttman λ6:有题项是其他题项的线性组合。"})
    table = pd.DataFrame([{"items": k, "n": n, "alpha": value, "alpha_low": low, "alpha_high": high,
                           "alpha_std": _alpha(r), "mean_r": _mean_r(r), "lambda6": lambda6}])
    text = {"en": f"Cronbach's alpha of {k} items and {n} respondents is {value:.2f} "
                  f"({level:.0%} interval {low:.2f} to {high:.2f}).",
            "zh": f"{k} 个题项、{n} 名受访者的 Cronbach α 为 {value:.2f}({level:.0%} 区间 {low:.2f} 至 {high:.2f})。"}
    return Result(table, text, n, "Cronbach's alpha, Feldt interval", tuple(warnings))


def bootstrap_alpha(frame: pd.DataFrame, rng: np.random.Generator, draws: int = 2000, level: float = 0.95) -> Result:
    """Percentile bootstrap interval of alpha, which does not assume normal answers as Feldt's does.

    Parameters
    ----------
    frame : DataFrame
        The items of one scale.
    rng : Generator
        Source of the resampled rows.
    draws : int
        Number of bootstrap samples.
    level : float
        Confidence level.

    Returns
    -------
    Result
        One row: alpha, alpha_low, alpha_high, draws, n.

    Raises
    ------
    ValueError
        As :func:`alpha`.

    Notes
    -----
    R: ``psych::alpha(frame, n.iter = draws)$boot.ci`` (other random numbers).
    """
    rows = _complete(frame)
    n, k = rows.shape
    x = rows.to_numpy() - rows.to_numpy().mean(axis=0)
    x = np.column_stack([x, x.sum(axis=1)])
    weights = rng.multinomial(n, np.full(n, 1 / n), size=draws)
    spread = weights @ x**2 - (weights @ x) ** 2 / n
    keep = spread[:, -1] > 0
    values = k / (k - 1) * (1 - spread[keep, :-1].sum(axis=1) / spread[keep, -1])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
    value = _alpha(rows.cov().to_numpy())
    table = pd.DataFrame([{"alpha": value, "alpha_low": low, "alpha_high": high, "draws": len(values), "n": n}])
    text = {"en": f"Alpha is {value:.2f}; {level:.0%} of {len(values)} bootstrap samples give {low:.2f} to {high:.2f}.",
            "zh": f"α 为 {value:.2f};{len(values)} 次自助抽样中有 {level:.0%} 落在 {low:.2f} 至 {high:.2f} 之间。"}
    return Result(table, text, n, "percentile bootstrap of Cronbach's alpha", tuple(_dropped(frame, rows)))


def omega_total(frame: pd.DataFrame) -> Result:
    """Omega total of one scale: the share of the sum's variance due to one common factor.

    ω = (Σλ)²/((Σλ)² + Σθ) with the model's own variance below the line, loadings λ and residual variances θ
    from a one-factor maximum-likelihood model (McDonald 1999; Raykov 2001, doi:10.1348/000711001159582).

    Parameters
    ----------
    frame : DataFrame
        At least three items of one scale.

    Returns
    -------
    Result
        One row: items, n, omega.

    Raises
    ------
    ValueError
        As :func:`alpha`, or fewer than three items: with two the model has more unknowns than covariances.

    Notes
    -----
    R: ``semTools::compRelSEM(lavaan::cfa("F =~ a + b + c", frame), obs.var = FALSE)``,
    which ``semTools::reliability()`` called omega.
    """
    from cxlib.sem.estimate import fit_moments

    rows = _complete(frame)
    n, k = rows.shape
    if k < 3:
        raise ValueError(f"Omega of {k} items is not estimable: a one-factor model needs at least three. "
                         "Report alpha or the Spearman–Brown coefficient instead.")
    warnings = [*_dropped(frame, rows), *_identical(rows)]
    value = np.nan
    cov = pd.DataFrame(np.cov(rows.to_numpy().T, bias=True), names := [f"i{j}" for j in range(k)], names)
    try:
        fitted = fit_moments(cov, n, "F =~ " + " + ".join(names))
    except (ValueError, np.linalg.LinAlgError) as error:
        warnings.append({"en": f"Omega is not estimable: {error}", "zh": f"无法估计 ω:单因子模型拟合失败({error})"})
    else:
        table = fitted.parameters
        loads, variances = table[table["op"] == "=~"]["est"], table[table["op"] == "~~"].set_index("lhs")["est"]
        common = loads.sum() ** 2 * variances["F"]
        value = common / (common + variances.drop("F").sum())
        if not fitted.converged:
            value = np.nan
            warnings.append({"en": "Omega is not estimable: the one-factor model did not converge.",
                             "zh": "无法估计 ω:单因子模型未收敛。"})
        elif not fitted.proper:
            warnings.append({"en": "Omega rests on an improper one-factor solution (a negative variance); do not interpret it.",
                             "zh": "ω 来自不恰当的单因子解(方差为负),不宜解释。"})
    text = {"en": f"Omega total of {k} items and {n} respondents is {show.number(value, 2)}.",
            "zh": f"{k} 个题项、{n} 名受访者的 ω 总系数为 {show.number(value, 2)}。"}
    return Result(pd.DataFrame([{"items": k, "n": n, "omega": value}]), text, n,
                  "omega total, one-factor ML, model-implied variance", tuple(warnings))


def split_half(frame: pd.DataFrame, rng: np.random.Generator | None = None) -> Result:
    """Split-half reliability over all ways to split the items into two halves.

    Each split's correlation r of the two half sums is stepped up to full length by 2r/(1+r) (Spearman 1910;
    Brown 1910), with an odd number of items by Horst's formula for unequal lengths (1951,
    doi:10.1177/001316445101100306), which has no solution for r < 0, where 2r/(1+r) stands.

    Parameters
    ----------
    frame : DataFrame
        The items of one scale.
    rng : Generator, optional
        Needed beyond 16 items, where 10,000 random splits stand for all.

    Returns
    -------
    Result
        One row: items, n, splits, split_half (the mean), lowest, highest.

    Raises
    ------
    ValueError
        As :func:`alpha`, or more than 16 items without `rng`.

    Notes
    -----
    R: the halves of ``psych::splitHalf(frame, covar = TRUE, brute = TRUE)``; psych reports 4 cov(A,B)/var(A+B) of
    each, whose mean over all equal splits is alpha itself, not the stepped-up correlation.
    """
    rows = _complete(frame)
    n, k = rows.shape
    half = k // 2
    number = comb(k, half) if k % 2 else comb(k, half) // 2
    if number <= SPLITS:
        chosen = combinations(range(k), half) if k % 2 else ((0, *rest) for rest in combinations(range(1, k), half - 1))
        first = np.zeros((number, k))
        np.put_along_axis(first, np.array(list(chosen)), 1.0, axis=1)
    elif rng is None:
        raise ValueError(f"{k} items have {number:,} splits, so they are sampled. Pass rng=, a numpy Generator.")
    else:
        number = SPLITS
        first = rng.permuted(np.tile(np.r_[np.ones(half), np.zeros(k - half)], (number, 1)), axis=1)
    second, cov = 1 - first, rows.cov().to_numpy()
    between, within = ((first @ cov) * second).sum(axis=1), ((first @ cov) * first).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.clip(between / np.sqrt(within * ((second @ cov) * second).sum(axis=1)), -1, 1)
        value = 2 * r / (1 + r)
        if k % 2:
            pq, r2 = half * (k - half) / k**2, r**2
            horst = (np.sqrt(r2**2 + 4 * r2 * (1 - r2) * pq) - r2) / (2 * pq * (1 - r2))
            value = np.where(r >= 1, 1.0, np.where(r > 0, horst, value))
    mean = float(value.mean()) if np.isfinite(value).all() else np.nan
    warnings = [*_dropped(frame, rows), *_identical(rows)]
    if np.isnan(mean):
        warnings.append({"en": "Split-half reliability is not estimable: in some split a half does not vary or the halves "
                               "are opposite. Perhaps an item is not reverse-coded.",
                         "zh": "无法估计分半信度:某种分法中一半没有变异或两半完全相反,可能有题项未反向计分。"})
    text = {"en": f"The {number:,} splits of {k} items give a mean split-half reliability of {show.number(mean, 2)} "
                  f"(lowest {show.number(value.min(), 2)}, highest {show.number(value.max(), 2)}).",
            "zh": f"{k} 个题项的 {number:,} 种分法平均分半信度为 {show.number(mean, 2)}(最低 {show.number(value.min(), 2)},"
                  f"最高 {show.number(value.max(), 2)})。"}
    table = pd.DataFrame([{"items": k, "n": n, "splits": number, "split_half": mean,
                           "lowest": value.min(), "highest": value.max()}])
    return Result(table, text, n, "mean Spearman–Brown corrected split half", tuple(warnings))


def item_statistics(frame: pd.DataFrame) -> Result:
    """What each item adds to its scale.

    r_drop correlates the item with the sum of the others; alpha_if_dropped is the alpha of the others.

    Parameters
    ----------
    frame : DataFrame
        The items of one scale.

    Returns
    -------
    Result
        One row an item: item, r_drop, alpha_if_dropped, n, mean, sd.

    Raises
    ------
    ValueError
        As :func:`alpha`.

    Notes
    -----
    R: ``psych::alpha(frame)$item.stats$r.drop`` and ``$alpha.drop$raw_alpha``.  For two items psych shows a
    regression slope as raw_alpha; one item has no alpha, so here it is missing.
    """
    rows = _complete(frame)
    n, k = rows.shape
    cov = rows.cov().to_numpy()
    variance = np.diag(cov)
    with np.errstate(divide="ignore", invalid="ignore"):
        r_drop = (cov.sum(axis=1) - variance) / np.sqrt(variance * (cov.sum() - 2 * cov.sum(axis=1) + variance))
    others = [np.delete(np.arange(k), j) for j in range(k)]
    dropped = [_alpha(cov[np.ix_(keep, keep)]) if k > 2 else np.nan for keep in others]
    table = pd.DataFrame({"item": rows.columns, "r_drop": r_drop, "alpha_if_dropped": dropped, "n": n,
                          "mean": rows.mean().to_numpy(), "sd": np.sqrt(variance)})
    warnings = [*_dropped(frame, rows), *_identical(rows), *_weak_items(table, _alpha(cov))]
    weakest = table.loc[table["r_drop"].fillna(-2).idxmin()]
    text = {"en": f"The item that goes least with the others is {weakest['item']} (r = {show.number(weakest['r_drop'], 2)}).",
            "zh": f"与其余题项相关最低的是 {weakest['item']}(r = {show.number(weakest['r_drop'], 2)})。"}
    return Result(table, text, n, "corrected item-total correlation; alpha if item dropped", tuple(warnings))


def reliability(data: pd.DataFrame, study: Study, constructs: Sequence[str] | None = None,
                rng: np.random.Generator | None = None) -> Result:
    """Reliability of every scale of a study.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses, reverse items already recoded.
    study : Study
        Declares the constructs and their items.
    constructs : sequence of str, optional
        Constructs to report; all that have items by default.
    rng : Generator, optional
        For scales of more than 16 items, whose splits are sampled.

    Returns
    -------
    Result
        construct, items, n (complete rows of that scale), alpha, alpha_low, alpha_high, alpha_std, omega,
        split_half, mean_r, lambda6; what a scale cannot give is missing and explained in the warnings.

    Raises
    ------
    ValueError
        A construct the study does not have, or an item the data do not have.
    """
    rows, warnings, used = [], [], pd.Series(False, index=data.index)
    for code, frame in _scales(data, study, constructs).items():
        complete = frame.notna().all(axis=1)
        used |= complete
        row = {"construct": code, "items": frame.shape[1], "n": int(complete.sum())}
        try:
            first = alpha(frame)
            row |= first.table.drop(columns=["items", "n"]).iloc[0].to_dict()
            notes = list(first.warnings)
            row["split_half"] = np.nan
            if frame.shape[1] <= 16 or rng is not None:
                half = split_half(frame, rng)
                row["split_half"], notes = half.table["split_half"].item(), notes + list(half.warnings)
            else:
                notes.append({"en": "more than 16 items, so the splits are sampled; pass rng= for split_half.",
                              "zh": "题项超过 16 个,分半信度需抽样计算;请传入 rng=。"})
            if frame.shape[1] > 2:
                total = omega_total(frame)
                row["omega"], notes = total.table["omega"].item(), notes + list(total.warnings)
            else:
                notes.append({"en": "two items identify no one-factor model, so omega is not estimable; split_half is the "
                                    "Spearman–Brown coefficient, the one to report (Eisinga et al. 2013).",
                              "zh": "两个题项无法识别单因子模型,ω 不可估计;split_half 即 Spearman–Brown 系数,宜报告该值"
                                    "(Eisinga 等,2013)。"})
        except ValueError as error:
            notes = [_impossible(frame, error)]
        warnings += _named(study, code, notes)
        rows.append(row)
    columns = ["construct", "items", "n", "alpha", "alpha_low", "alpha_high", "alpha_std", "omega", "split_half", "mean_r",
               "lambda6"]
    table = pd.DataFrame(rows).reindex(columns=columns)
    low = table[table["alpha"] < CONVENTIONS[0]]
    for row in low.itertuples():
        warnings += _named(study, row.construct, [{
            "en": f"alpha is {row.alpha:.2f}, below .70, a convention (Nunnally 1978) and not a test.",
            "zh": f"α 为 {row.alpha:.2f},低于 .70;这是惯例(Nunnally,1978),并非检验。"}])
    return Result(table, _summary(table, study), int(used.sum()), METHOD, tuple(warnings))


def item_reliability(data: pd.DataFrame, study: Study, constructs: Sequence[str] | None = None) -> Result:
    """What each item adds to its scale, for every scale of a study.

    Parameters
    ----------
    data, study, constructs
        As :func:`reliability`.

    Returns
    -------
    Result
        construct, item, r_drop, alpha_if_dropped, n, mean, sd.

    Raises
    ------
    ValueError
        A construct the study does not have, or an item the data do not have.
    """
    parts, warnings, used = [], [], pd.Series(False, index=data.index)
    for code, frame in _scales(data, study, constructs).items():
        used |= frame.notna().all(axis=1)
        try:
            result = item_statistics(frame)
            part, notes = result.table, list(result.warnings)
            if frame.shape[1] == 2:
                notes.append({"en": "with two items there is no alpha if one is dropped.", "zh": "只有两个题项,删除一个后无 α。"})
        except ValueError as error:
            part, notes = pd.DataFrame({"item": frame.columns, "n": int(frame.notna().all(axis=1).sum())}), [
                _impossible(frame, error)]
        warnings += _named(study, code, notes)
        parts.append(part.assign(construct=code))
    table = pd.concat(parts, ignore_index=True).reindex(
        columns=["construct", "item", "r_drop", "alpha_if_dropped", "n", "mean", "sd"])
    weak = table[table["r_drop"] < WEAK]
    listed = ", ".join(f"{r.item} ({r.r_drop:.2f})".replace("-", "−") for r in weak.itertuples())
    known = int(table["r_drop"].notna().sum())
    text = {"en": f"Of {known} items, {len(weak) or 'none'} correlate{'s' if len(weak) == 1 else ''} below .30 with the rest "
                  f"of their scale{': ' + listed if listed else ''}.",
            "zh": f"{known} 个题项中,{'没有' if weak.empty else f'有 {len(weak)} 个'}题项与同量表其余题项的相关低于 .30"
                  f"{':' + listed if listed else ''}。"}
    return Result(table, text, int(used.sum()), "corrected item-total correlation; alpha if item dropped", tuple(warnings))


@show.picture
def plot_reliability(result: Result, study: Study, *, language: str = "en"):
    """Alpha with its interval, and omega, one row a construct."""
    from matplotlib import pyplot

    table, zh = result.table.iloc[::-1].reset_index(drop=True), language == "zh"
    figure, axes = pyplot.subplots(figsize=(7, 1.3 + 0.42 * len(table)))
    left = min(0.4, np.floor(10 * max(table["alpha_low"].min(skipna=True), -1)) / 10) if table["alpha"].notna().any() else 0.4
    for line in CONVENTIONS:
        axes.axvline(line, color=show.MUTED, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
        axes.annotate(f"{'惯例' if zh else 'convention'}\n.{line * 100:.0f}", (line, 1), (0, 3), ha="center",
                      va="bottom", color=show.MUTED, fontsize=8, xycoords=axes.get_xaxis_transform(),
                      textcoords="offset points")
    for row in table.itertuples():
        color = show.ROLES[study.role(row.construct)]
        if pd.isna(row.alpha):
            note = ("单一题项,不可估计" if zh else "one item: not estimable") if row.items == 1 else (
                "不可估计" if zh else "not estimable")
            axes.text(left + 0.01, row.Index, note, va="center", color=show.MUTED, fontsize=9)
            continue
        axes.plot([max(row.alpha_low, left), row.alpha_high], [row.Index] * 2, color=color, linewidth=2.5, zorder=2)
        axes.plot(max(row.alpha, left), row.Index, "o", color=color, markersize=8, zorder=4)
        if pd.notna(row.omega):
            axes.plot(max(row.omega, left), row.Index, "D", markerfacecolor="none", markeredgecolor=show.INK, markersize=10,
                      zorder=3)
        axes.annotate(f"{row.alpha:.2f}".replace("-", "−"), (1.015, row.Index), xycoords=axes.get_yaxis_transform(),
                      va="center", color=color, fontweight="bold", annotation_clip=False)
    axes.set_yticks(range(len(table)), [f"{study.name(r.construct, language)} ({r.items})" for r in table.itertuples()])
    axes.set(xlim=(left, 1), ylim=(-0.6, len(table) - 0.4),
             xlabel="● α 与 95% 区间   ◇ ω   (括号内为题项数)" if zh else "● alpha with 95% interval   ◇ omega   (number of items)")
    axes.grid(axis="y", visible=False)
    low, high = int(table["n"].min()), int(table["n"].max())
    n = f"{low:,}" if low == high else f"{low:,}–{high:,}"
    return figure, {
        "en": f"Reliability of each scale (n = {n} complete rows). Dots are Cronbach's alpha with Feldt's 95% interval, diamonds "
              "omega total; the dashed lines are conventions (Nunnally 1978), not tests. Look for intervals that reach below them.",
        "zh": f"各量表的信度(完整作答 n = {n})。圆点为 Cronbach α 及 Feldt 95% 区间,菱形为 ω 总系数;虚线只是惯例"
              "(Nunnally,1978),并非检验。请留意区间下限低于虚线的量表。"}


@show.picture
def plot_items(result: Result, study: Study, *, language: str = "en"):
    """Corrected item-total correlations, items below the name of their construct."""
    from matplotlib import pyplot

    table, zh = result.table, language == "zh"
    lines = []
    for code, part in table.groupby("construct", sort=False):
        lines += [(code, None), *((code, row) for row in part.itertuples())]
    figure, axes = pyplot.subplots(figsize=(7, 1.0 + 0.21 * len(lines)))
    left = min(0.0, float(np.floor(10 * table["r_drop"].min()) / 10)) if table["r_drop"].notna().any() else 0.0
    axes.axvline(WEAK, color=show.MUTED, linestyle=(0, (4, 3)), linewidth=1)
    axes.annotate("惯例 .30" if zh else "convention .30", (WEAK, 1), (0, 3), xycoords=axes.get_xaxis_transform(),
                  textcoords="offset points", ha="center", color=show.MUTED, fontsize=8)
    for y, (code, row) in enumerate(lines):
        if row is None:
            continue
        if pd.isna(row.r_drop):
            axes.text(left + 0.01, y, "不可估计" if zh else "not estimable", va="center", color=show.MUTED, fontsize=8)
            continue
        color = show.ROLES[study.role(code)]
        axes.plot([left, row.r_drop], [y, y], color=color, linewidth=1, alpha=0.5)
        axes.plot(row.r_drop, y, "o", color=color, markersize=6)
        axes.annotate(f"{row.r_drop:.2f}".replace("-", "−"), (row.r_drop, y), (7, 0), textcoords="offset points", va="center",
                      fontsize=8, fontweight="bold" if row.r_drop < WEAK else "normal")
    labels = [study.name(code, language) if row is None else row.item for code, row in lines]
    axes.set_yticks(range(len(lines)), labels, fontsize=8)
    for tick, (_, row) in zip(axes.get_yticklabels(), lines, strict=True):
        tick.set_fontweight("bold" if row is None else "normal")
    axes.set(xlim=(left, 1.02), ylim=(len(lines) - 0.3, -0.7),
             xlabel="题项与同量表其余题项之和的相关" if zh else "correlation of an item with the sum of the others of its scale")
    axes.grid(axis="y", visible=False)
    low, high = int(table["n"].min()), int(table["n"].max())
    n = f"{low:,}" if low == high else f"{low:,}–{high:,}"
    return figure, {
        "en": f"Corrected item-total correlations (n = {n}). Items left of the dashed line (.30, a convention) go little with "
              "their scale; a negative one is perhaps not reverse-coded.",
        "zh": f"校正后的题总相关(n = {n})。位于虚线(.30,惯例)左侧的题项与所属量表关系较弱;若为负,可能未反向计分。"}


def _alpha(cov: np.ndarray) -> float:
    k, total = len(cov), cov.sum()
    return k / (k - 1) * (1 - np.trace(cov) / total) if total > 1e-12 * np.trace(cov) else -np.inf


def _mean_r(r: np.ndarray) -> float:
    return (r.sum() - len(r)) / (len(r) * (len(r) - 1))


def _complete(frame: pd.DataFrame) -> pd.DataFrame:
    """The complete rows as floats, or an error that says why there is nothing to compute."""
    k = frame.shape[1]
    if k < 2:
        raise ValueError(f"Reliability needs at least two items, but there is {k}: {list(frame.columns)}. A single item has "
                         "no internal consistency; use a test–retest design or a known reliability.")
    text = [str(c) for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    if text:
        raise ValueError(f"Items {text} are not numeric. Code the answers as numbers first.")
    rows = frame.astype(float).dropna()
    if len(rows) < 3:
        raise ValueError(f"Only {len(rows)} of {len(frame)} rows answer all of {list(frame.columns)}. At least 3 are needed.")
    constant = [str(c) for c in rows.columns if rows[c].nunique() == 1]
    if constant:
        raise ValueError(f"Item(s) {', '.join(constant)} have the same answer in all {len(rows)} complete rows, so they "
                         "correlate with nothing. Leave them out.")
    return rows


def _dropped(frame: pd.DataFrame, rows: pd.DataFrame) -> list[dict[str, str]]:
    gone = len(frame) - len(rows)
    return [{"en": f"{gone} of {len(frame)} rows have a missing answer and were left out; {len(rows)} were used.",
             "zh": f"{len(frame)} 行中有 {gone} 行存在缺失答案,已剔除;实际使用 {len(rows)} 行。"}] if gone else []


def _identical(rows: pd.DataFrame) -> list[dict[str, str]]:
    pairs = [f"{a} = {b}" for a, b in combinations(rows.columns, 2) if (rows[a] == rows[b]).all()]
    return [{"en": f"identical items ({', '.join(pairs)}): perhaps one column was copied; the coefficients are too high and "
                   "those that need an inverse are not estimable.",
             "zh": f"题项完全相同({', '.join(pairs)}):可能复制了同一列;系数偏高,需要矩阵求逆的系数无法估计。"}] if pairs else []


def _weak_items(table: pd.DataFrame, whole: float) -> list[dict[str, str]]:
    """Negative item-total correlations, and items without which alpha is higher by a visible .01."""
    out = []
    for row in table.itertuples():
        if row.r_drop < 0:
            out.append({"en": f"{row.item} goes against its scale (r = {show.number(row.r_drop, 2)}): perhaps it is not "
                              "reverse-coded.",
                        "zh": f"{row.item} 与所属量表方向相反(r = {show.number(row.r_drop, 2)}):可能未反向计分。"})
        if row.alpha_if_dropped > whole + 0.01:
            out.append({"en": f"without {row.item} alpha rises from {whole:.2f} to {row.alpha_if_dropped:.2f}; read its wording "
                              "before dropping it.",
                        "zh": f"删除 {row.item} 后 α 由 {whole:.2f} 升至 {row.alpha_if_dropped:.2f};删除前请先检查题意。"})
    return out


def _impossible(frame: pd.DataFrame, error: ValueError) -> dict[str, str]:
    """Why a scale has no reliability, in both languages."""
    if frame.shape[1] == 1:
        return {"en": "a single item has no internal consistency, so nothing is estimable.", "zh": "单一题项没有内部一致性,无法估计。"}
    rows = frame.dropna()
    constant = [str(c) for c in frame.columns if rows[c].nunique() == 1]
    return {"en": f"not estimable. {error}",
            "zh": f"无法估计:题项 {', '.join(constant)} 的答案全部相同,请剔除。" if constant else
                  f"无法估计:完整作答仅 {len(rows)} 行或题项不是数值。"}


def _named(study: Study, code: str, notes: list[dict[str, str]]) -> list[dict[str, str]]:
    unique = {note["en"]: note for note in notes}.values()
    return [{"en": f"{study.name(code)} ({code}): {note['en']}", "zh": f"{study.name(code, 'zh')}({code}):{note['zh']}"}
            for note in unique]


def _scales(data: pd.DataFrame, study: Study, constructs: Sequence[str] | None) -> dict[str, pd.DataFrame]:
    """Construct → its items' columns."""
    scales = study.scales
    wanted = list(scales) if constructs is None else list(constructs)
    unknown = [code for code in wanted if code not in scales]
    if unknown:
        raise ValueError(f"The study '{study.id}' has no scale {unknown}. Its scales are: {', '.join(scales)}.")
    missing = [item for code in wanted for item in scales[code] if item not in data]
    if missing:
        raise ValueError(f"The data lack the items {', '.join(missing)} of the study '{study.id}'. Check the column names.")
    return {code: data[scales[code]] for code in wanted}


def _summary(table: pd.DataFrame, study: Study) -> dict[str, str]:
    """One sentence from the table."""
    known = table.dropna(subset=["alpha"])
    if known.empty:
        return {"en": "No scale has an estimable reliability; the warnings say why.", "zh": "没有量表可估计信度,原因见提示。"}
    low, high = known.loc[known["alpha"].idxmin()], known.loc[known["alpha"].idxmax()]
    reach = int((known["alpha"] >= CONVENTIONS[0]).sum())
    a, b = (f"{row['alpha']:.2f}".replace("-", "−") for row in (low, high))
    return {"en": f"Cronbach's alpha runs from {a} ({study.name(low['construct'])}) to {b} ({study.name(high['construct'])}); "
                  f"{reach} of {show.plural(len(known), 'scale')} reach .70, a convention (Nunnally 1978).",
            "zh": f"Cronbach α 介于 {a}({study.name(low['construct'], 'zh')})与 {b}({study.name(high['construct'], 'zh')})之间;"
                  f"{len(known)} 个量表中有 {reach} 个达到 .70 的惯例标准(Nunnally,1978)。"}
