"""The internal consistency of one scale, from its items alone: alpha, omega, split halves, and what each item adds.

Every coefficient rests on the complete rows of the scale; covariances have divisor n − 1.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd

from cxlib.core import words
from cxlib.core.errors import Impossible
from cxlib.core.result import Result
from cxlib.core.words import plural

Words = dict[str, str]

NEAR = 0.95
"""Items that correlate beyond this may be copies of one question; a convention."""
ENOUGH = (0.70, 0.80)
"""Alpha for early and for basic research (Nunnally 1978, Psychometric Theory): rules of thumb, not tests."""
SPLITS = 10_000
"""Up to this many splits (16 items) all are computed; beyond, this many are drawn."""


def alpha(frame: pd.DataFrame, times: np.ndarray | None = None) -> Result:
    """Cronbach's alpha of one scale, raw and standardised, with Feldt's 95% interval and a bootstrap interval.

    α = k/(k−1) (1 − Σs²ᵢ/s²) with s² the variance of the sum; alpha_std puts correlations for covariances;
    lambda6 is Guttman's λ₆ = 1 − Σ(1−SMCᵢ)/ΣR.  The interval rests on (1−α)/(1−α̂) ~ F(n−1, (n−1)(k−1))
    (Cronbach 1951, doi:10.1007/BF02310555; Feldt 1965, doi:10.1007/BF02289499).  Feldt's interval assumes normal answers;
    the percentile bootstrap does not.

    Parameters
    ----------
    frame : DataFrame
        The items of one scale, keyed in one direction; rows with a missing answer are left out.
    times : ndarray, optional
        Rows × resamples: how often each row is drawn, as :func:`resampled` gives it, for the bootstrap interval.

    Returns
    -------
    Result
        One row: items, n, alpha, alpha_low, alpha_high, alpha_std, mean_r, lambda6; with `times` alpha_boot_low and
        alpha_boot_high too.  Resamples in which the sum does not vary are left out, and the warnings say so.

    Raises
    ------
    Impossible
        Fewer than two items or three complete rows, an item that is constant or not numeric.

    Notes
    -----
    R: ``psych::alpha(frame)$total`` and ``psych::alpha.ci(a, n, k)``; ``psych::alpha(frame, n.iter = 2000)$boot.ci``
    (other random numbers).
    """
    from scipy.stats import f

    rows, warnings = complete_rows(frame)
    n, k = rows.shape
    value, r = alpha_of(rows.cov().to_numpy()), rows.corr().to_numpy()
    low, high = (1 - (1 - value) * f.ppf([0.975, 0.025], n - 1, (n - 1) * (k - 1))).tolist()
    lambda6 = np.nan
    if np.linalg.eigvalsh(r)[0] > 1e-10:
        lambda6 = 1 - (1 / np.diag(np.linalg.inv(r))).sum() / r.sum()
    else:
        warnings.append(
            {
                "en": "Guttman's λ6 is not estimable: some item is a combination of the others.",
                "zh": "无法估计 Guttman λ6：有题项是其他题项的线性组合。",
            }
        )
    standard = alpha_of(r)
    if np.isnan(standard):
        warnings.append(
            {
                "en": "alpha_std is not estimable: the sum of the standardised items does not vary.",
                "zh": "无法估计 alpha_std：标准化题项之和没有变异。",
            }
        )
    table = pd.DataFrame(
        [
            {
                "items": k,
                "n": n,
                "alpha": value,
                "alpha_low": low,
                "alpha_high": high,
                "alpha_std": standard,
                "mean_r": (r.sum() - k) / (k * (k - 1)),
                "lambda6": lambda6,
            }
        ]
    )
    if times is not None:
        x = np.column_stack([rows, rows.sum(axis=1)]) - np.append(
            rows.mean(), rows.sum(axis=1).mean()
        )
        drawn = times[frame.notna().all(axis=1).to_numpy()]
        spread = (x**2).T @ drawn - (x.T @ drawn) ** 2 / np.maximum(drawn.sum(axis=0), 1)
        varies = spread[-1] > 1e-12 * (x[:, -1] ** 2).sum()
        if lost := int((~varies).sum()):
            warnings.append(
                {
                    "en": f"In {lost} of {len(varies)} resamples the sum does not vary; they were left out.",
                    "zh": f"{len(varies)} 次重抽样中有 {lost} 次总分没有变异，已剔除。",
                }
            )
        values = k / (k - 1) * (1 - spread[:-1, varies].sum(axis=0) / spread[-1, varies])
        table["alpha_boot_low"], table["alpha_boot_high"] = np.quantile(values, [0.025, 0.975])
    if value < ENOUGH[0]:
        warnings.append(
            {
                "en": f"Alpha is {words.number(value, 2)}, below .70: a convention (Nunnally 1978), not a test.",
                "zh": f"α 为 {words.number(value, 2)}，低于 .70：这是惯例（Nunnally，1978），并非检验。",
            }
        )
    a, b, c = (words.number(v, 2) for v in (value, low, high))
    text = {
        "en": f"Cronbach's alpha of {k} items and {n} respondents is {a} (95% interval {b} to {c}).",
        "zh": f"{k} 个题项、{n} 名受访者的 Cronbach α 为 {a}（95% 区间 {b} 至 {c}）。",
    }
    return Result(table, text, n, "Cronbach's alpha, Feldt's interval", tuple(warnings))


def resampled(n: int, rng: np.random.Generator, draws: int = 2000) -> np.ndarray:
    """How often each of n respondents is drawn (n × draws), for the bootstrap interval of :func:`alpha`."""
    cells = rng.integers(n, size=(n, draws)) * draws + np.arange(draws)
    return np.bincount(cells.ravel(), minlength=n * draws).reshape(n, draws).astype(float)


def omega_total(frame: pd.DataFrame) -> Result:
    """Omega total of one scale: the share of the sum's variance that is due to one common factor.

    ω = (Σλ)²/((Σλ)² + Σθ), loadings λ and residual variances θ of a one-factor maximum-likelihood model, whose own
    variance stands below the line (McDonald 1999; Raykov 2001, doi:10.1348/000711001159582).

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
    Impossible
        As :func:`alpha`; with two items the model has more unknowns than covariances.

    Notes
    -----
    R: ``semTools::compRelSEM(lavaan::cfa("F =~ a + b + c", frame), obs.var = FALSE)``; also the row omega of
    ``semTools::reliability()``.
    """
    from cxlib.sem.estimate import fit_moments

    rows, warnings = complete_rows(frame)
    n, k = rows.shape
    if k < 3:
        raise Impossible(
            "Omega needs at least three items: two identify no one-factor model. Report split_half, here the "
            "Spearman–Brown coefficient (Eisinga et al. 2013, doi:10.1007/s00038-012-0416-3).",
            "ω 至少需要三个题项：两个题项无法识别单因子模型。宜报告 split_half，此处即 Spearman–Brown 系数"
            "（Eisinga 等，2013）。",
        )
    value, names = np.nan, [f"i{j}" for j in range(k)]
    try:
        fitted = fit_moments(
            pd.DataFrame(np.cov(rows.to_numpy().T, bias=True), names, names),
            n,
            "F =~ " + " + ".join(names),
        )
    except (ValueError, np.linalg.LinAlgError):
        warnings.append(
            {
                "en": "Omega is not estimable: the one-factor model cannot be fitted, as some item is a combination of "
                "the others.",
                "zh": "无法估计 ω：有题项是其他题项的线性组合，单因子模型无法拟合。",
            }
        )
    else:
        table = fitted.parameters
        variances = table[table["op"] == "~~"].set_index("lhs")["est"]
        common = table.loc[table["op"] == "=~", "est"].sum() ** 2 * variances.pop("F")
        value = common / (common + variances.sum()) if fitted.converged else np.nan
        if not fitted.converged:
            warnings.append(
                {
                    "en": "Omega is not estimable: the one-factor model did not converge.",
                    "zh": "无法估计 ω：单因子模型未收敛。",
                }
            )
        elif not fitted.proper:
            warnings.append(
                {
                    "en": "Omega rests on an improper one-factor solution (a negative variance); do not rely on it.",
                    "zh": "ω 来自不恰当的单因子解（方差为负），不可依赖。",
                }
            )
    text = {
        "en": f"Omega total of {k} items and {n} respondents is {words.number(value, 2)}.",
        "zh": f"{k} 个题项、{n} 名受访者的 ω 总系数为 {words.number(value, 2)}。",
    }
    return Result(
        pd.DataFrame([{"items": k, "n": n, "omega": value}]),
        text,
        n,
        "omega total, one-factor ML, model-implied variance",
        tuple(warnings),
    )


def split_half(frame: pd.DataFrame, rng: np.random.Generator | None = None) -> Result:
    """Split-half reliability, the mean over all ways to split the items into two halves.

    The correlation r of the two half sums is stepped up to full length by 2r/(1+r) (Spearman 1910; Brown 1910), with
    an odd number of items by Horst's (1951) formula for unequal lengths; that has no solution for r < 0, where
    2r/(1+r) stands.  For two items it is the Spearman–Brown coefficient.

    Parameters
    ----------
    frame : DataFrame
        The items of one scale.
    rng : Generator, optional
        Needed beyond 16 items, where 10,000 random splits stand for all.

    Returns
    -------
    Result
        One row: items, n, split_half, lowest, highest, splits.

    Raises
    ------
    Impossible
        As :func:`alpha`, or more than 16 items without `rng`.

    Notes
    -----
    R: the splits of ``psych::splitHalf(frame, covar = TRUE, brute = TRUE)``.  psych reports 4cov(A,B)/var(A+B) of each,
    whose mean over equal halves is alpha itself; here the stepped-up correlation is averaged.
    """
    rows, warnings = complete_rows(frame)
    n, k = rows.shape
    half = k // 2
    number = comb(k, half) if k % 2 else comb(k, half) // 2
    if number <= SPLITS:
        chosen = (
            combinations(range(k), half)
            if k % 2
            else ((0, *rest) for rest in combinations(range(1, k), half - 1))
        )
        first = np.zeros((number, k))
        np.put_along_axis(first, np.array(list(chosen)), 1.0, axis=1)
    elif rng is None:
        raise Impossible(
            f"{k} items can be split in {number:,} ways, so splits are drawn: pass rng=, a numpy Generator.",
            f"{k} 个题项有 {number:,} 种分法，需要随机抽取：请传入 rng=。",
        )
    else:
        number = SPLITS
        first = rng.permuted(np.tile(np.repeat([1.0, 0.0], [half, k - half]), (number, 1)), axis=1)
    cov = rows.cov().to_numpy()
    one, two = first @ cov, (1 - first) @ cov
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (one * (1 - first)).sum(axis=1) / np.sqrt(
            (one * first).sum(axis=1) * (two * (1 - first)).sum(axis=1)
        )
        r = np.where(np.abs(r) > 1 - 1e-12, np.sign(r), r)
        values = 2 * r / (1 + r)
        if k % 2:
            pq = half * (k - half) / k**2
            horst = (np.sqrt(r**4 + 4 * r**2 * (1 - r**2) * pq) - r**2) / (2 * pq * (1 - r**2))
            values = np.where((r > 0) & (r < 1), horst, values)
    mean, lowest, highest = (
        (values.mean(), values.min(), values.max()) if np.isfinite(values).all() else [np.nan] * 3
    )
    if np.isnan(mean):
        warnings.append(
            {
                "en": "Split-half reliability is not estimable: in some split a half does not vary, or the halves are "
                "opposite. Perhaps an item is not reverse-coded.",
                "zh": "无法估计分半信度：某种分法中有一半没有变异，或两半完全相反。可能有题项未反向计分。",
            }
        )
    a, b, c = (words.number(v, 2) for v in (mean, lowest, highest))
    text = {
        "en": f"Split-half reliability is {a} on average over {number:,} splits of {k} items (from {b} to {c}).",
        "zh": f"{k} 个题项 {number:,} 种分法的平均分半信度为 {a}（{b} 至 {c}）。",
    }
    table = pd.DataFrame(
        [
            {
                "items": k,
                "n": n,
                "split_half": mean,
                "lowest": lowest,
                "highest": highest,
                "splits": number,
            }
        ]
    )
    return Result(
        table, text, n, "mean Spearman–Brown corrected split-half correlation", tuple(warnings)
    )


def item_statistics(frame: pd.DataFrame) -> Result:
    """What each item adds: r_drop, its correlation with the sum of the others, and the alpha of the others.

    Parameters
    ----------
    frame : DataFrame
        The items of one scale.

    Returns
    -------
    Result
        One row an item: item, r_drop, alpha_if_dropped (missing for two items), n, mean, sd.

    Raises
    ------
    Impossible
        As :func:`alpha`.

    Notes
    -----
    R: ``psych::alpha(frame)$item.stats$r.drop`` and ``$alpha.drop$raw_alpha``; for two items psych shows a regression
    slope there, though a single item has no alpha.
    """
    rows, warnings = complete_rows(frame)
    n, k = rows.shape
    cov = rows.cov().to_numpy()
    variance, shared = np.diag(cov), cov.sum(axis=1) - np.diag(cov)
    rest = np.array([np.delete(np.delete(cov, j, 0), j, 1).sum() for j in range(k)])
    known = rest > 1e-12 * (np.trace(cov) - variance)
    r_drop = np.where(known, shared / np.sqrt(variance * np.where(known, rest, 1)), np.nan)
    dropped = (
        np.full(k, np.nan)
        if k == 2
        else [alpha_of(np.delete(np.delete(cov, j, 0), j, 1)) for j in range(k)]
    )
    if k == 2:
        warnings.append(
            {
                "en": "With two items there is no alpha if one is dropped.",
                "zh": "只有两个题项，删除其一后没有 α。",
            }
        )
    if not known.all():
        warnings.append(
            {
                "en": f"r_drop and alpha_if_dropped of {', '.join(map(str, rows.columns[~known]))} are not estimable: the sum of the others does not vary.",
                "zh": f"{'、'.join(map(str, rows.columns[~known]))} 的 r_drop 和 alpha_if_dropped 无法估计：其余题项之和没有变异。",
            }
        )
    table = pd.DataFrame(
        {
            "item": rows.columns,
            "r_drop": r_drop,
            "alpha_if_dropped": dropped,
            "n": n,
            "mean": rows.mean().to_numpy(),
            "sd": np.sqrt(variance),
        }
    )
    whole = alpha_of(cov)
    for row in table.itertuples():
        r, before, after = (words.number(v, 2) for v in (row.r_drop, whole, row.alpha_if_dropped))
        if row.r_drop < 0:
            warnings.append(
                {
                    "en": f"{row.item} goes against its scale (r = {r}): perhaps it is not reverse-coded.",
                    "zh": f"{row.item} 与所属量表方向相反（r = {r}）：可能未反向计分。",
                }
            )
        if row.alpha_if_dropped > whole and before != after:
            warnings.append(
                {
                    "en": f"Without {row.item} alpha rises from {before} to {after}; read its wording before dropping it.",
                    "zh": f"删除 {row.item} 后 α 由 {before} 升至 {after}；删除前请先检查题意。",
                }
            )
    weakest = table.loc[table["r_drop"].fillna(2).idxmin()]
    text = {
        "en": f"The item that goes least with the others is {weakest['item']} (r = {words.number(weakest['r_drop'], 2)}).",
        "zh": f"与其余题项相关最低的是 {weakest['item']}（r = {words.number(weakest['r_drop'], 2)}）。",
    }
    return Result(
        table, text, n, "corrected item-total correlation; alpha if item dropped", tuple(warnings)
    )


def alpha_of(cov: np.ndarray) -> float:
    """Alpha of a covariance matrix; missing where the sum does not vary."""
    k, total = len(cov), cov.sum()
    return k / (k - 1) * (1 - np.trace(cov) / total) if total > 1e-12 * np.trace(cov) else np.nan


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The complete rows as floats, or a :class:`Impossible` if some item is no finite number, or the same in all rows."""
    text = [str(c) for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    if text:
        raise Impossible(
            f"The answers to {', '.join(text)} are not numbers. Code them as numbers first.",
            f"{'、'.join(text)} 的答案不是数值，请先编码为数值。",
        )
    rows, items = frame.astype(float).dropna(), ", ".join(map(str, frame.columns))
    if not np.isfinite(rows.to_numpy()).all():
        raise Impossible(
            f"Some answers to {items} are infinite. Correct or blank them.",
            f"{items} 中有无穷大的值，请更正或置为缺失。",
        )
    if same := ", ".join(map(str, rows.columns[(rows.max() == rows.min()).to_numpy()])):
        raise Impossible(
            f"Every one of {len(rows)} complete rows has the same answer to {same}, so it goes with nothing. Leave it out.",
            f"{len(rows)} 行完整作答对 {same} 的回答全部相同，与任何题项都不相关，请剔除。",
        )
    return rows


def complete_rows(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Words]]:
    """The complete rows as floats, with what is odd about them, or a :class:`Impossible` if there is nothing to compute."""
    k, total, n, items = (
        frame.shape[1],
        len(frame),
        len(frame.dropna()),
        ", ".join(map(str, frame.columns)),
    )
    if k < 2:
        raise Impossible(
            f"A single item ({items}) has no internal consistency, so nothing is estimable.",
            f"单一题项（{items}）没有内部一致性，无法估计。",
        )
    if n < 3:
        raise Impossible(
            f"Only {plural(n, 'row')} answer{'s' if n == 1 else ''} all of {items}; at least 3 are needed.",
            f"只有 {n} 行完整回答 {items}，至少需要 3 行。",
        )
    rows = numbers(frame)
    if rows.sum(axis=1).var() <= 1e-12 * rows.var().sum():
        raise Impossible(
            f"The sum of {items} does not vary, so it has no reliability. Perhaps an item is not reverse-coded.",
            f"{items} 之和没有变异，因而没有信度。可能有题项未反向计分。",
        )
    warnings = []
    if n < total:
        warnings.append(
            {
                "en": f"{total - n} of {total} rows have a missing answer and were left out; {n} were used.",
                "zh": f"{total} 行中有 {total - n} 行存在缺失答案，已剔除；使用 {n} 行。",
            }
        )
    pairs = ", ".join(
        f"{a} = {b}" for a, b in combinations(rows.columns, 2) if (rows[a] == rows[b]).all()
    )
    r = rows.corr().to_numpy()
    near = ", ".join(
        f"{rows.columns[i]} – {rows.columns[j]}"
        for i, j in combinations(range(k), 2)
        if NEAR < r[i, j] < 1 - 1e-9
    )
    if near:
        warnings.append(
            {
                "en": f"Nearly the same answers (r above .95, a convention): {near}. If they ask the same, alpha is too high.",
                "zh": f"回答几乎相同（r 高于惯例 .95）：{near}。若题意相同，α 因此偏高。",
            }
        )
    if pairs:
        warnings.append(
            {
                "en": f"Identical in every row: {pairs}. Perhaps a column was copied; alpha is then too high.",
                "zh": f"每一行都相同：{pairs}。可能复制了列，α 因此偏高。",
            }
        )
    return rows, warnings
