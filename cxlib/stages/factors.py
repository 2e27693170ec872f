"""The factors a study's items form by themselves, beside the constructs it declares.

The methods are in :mod:`cxlib.statistics.extraction` and can be called from here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.absent import Absent, absent, stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Result
from cxlib.core.words import number, p_text, plural
from cxlib.statistics.extraction import (
    EFA,
    Correlation,
    Extraction,
    Rotation,
    bartlett,
    efa,
    kmo,
    map_test,
    parallel,
    rotate,
    too_few,
)

if TYPE_CHECKING:
    from cxlib.study.schema import Study

    Words = dict[str, str]

__all__ = [
    "EFA",
    "bartlett",
    "efa",
    "factor_correlations",
    "factor_number",
    "factorability",
    "kmo",
    "loadings",
    "map_test",
    "parallel",
    "plot_loadings",
    "plot_scree",
    "rotate",
    "split",
    "structure",
]

KMO_WORDS = (
    (0.9, "marvellous", "极佳"),
    (0.8, "meritorious", "良好"),
    (0.7, "middling", "中等"),
    (0.6, "mediocre", "普通"),
    (0.5, "miserable", "欠佳"),
    (0.0, "unacceptable", "不可接受"),
)
"""Kaiser's (1974, doi:10.1007/BF02291575) words, each from its value up; rules of thumb, not tests."""
NEAR = 0.95
"""Items that correlate beyond this may be copies of one question; a convention."""
FEWEST = 100
"""Fewer rows are called few; a convention (Gorsuch 1983, Factor Analysis)."""
SHOWN = 0.20
"""Smaller loadings are not written into the figure."""


@dataclass(frozen=True)
class Factorability(Result):
    """Whether the items can be factored, with the KMO of each (item, kmo)."""

    items: Result | None = None


@dataclass(frozen=True)
class FactorNumber(Result):
    """How many factors, with the eigenvalues behind it (factor, observed, random, observed_fa, random_fa)."""

    eigenvalues: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Loadings(Result):
    """The loadings of a study's items, with the whole solution behind them."""

    efa: EFA | None = None


def split(
    data: pd.DataFrame, study: Study, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame | Absent, Result]:
    """Two random halves of the respondents, to explore and to confirm, and their sizes (half, n, complete).

    complete counts the rows without a missing answer to any item; the first half has the odd row.  Where a half would
    not have more complete rows than items, all rows explore, and there is no other half.
    """
    order, cut, items = rng.permutation(len(data)), (len(data) + 1) // 2, list(study.items)
    parts = data.iloc[np.sort(order[:cut])], data.iloc[np.sort(order[cut:])]
    sizes = [
        (name, len(part), len(part[items].dropna()))
        for name, part in zip(("explore", "confirm"), parts, strict=True)
    ]
    (_, a, whole_a), (_, b, whole_b) = sizes
    if min(whole_a, whole_b) <= len(items):
        return data, *_undivided(data, items)
    text = {
        "en": f"{a} respondents explore and {b} others confirm; {whole_a} and {whole_b} of them answered every item.",
        "zh": f"{a} 名受访者用于探索，另外 {b} 名用于验证；其中分别有 {whole_a} 名和 {whole_b} 名回答了全部题项。",
    }
    return *parts, Result(
        pd.DataFrame(sizes, columns=["half", "n", "complete"]),
        text,
        len(data),
        "random halves, seed fixed",
    )


def _undivided(data: pd.DataFrame, items: list[str]) -> tuple[Absent, Result]:
    """No second half, and the sizes of what explores: everybody."""
    whole = len(data[items].dropna())
    none = absent(
        Impossible(
            f"{whole} complete rows cannot be halved: each half needs more rows than the {len(items)} items, so nobody is left to confirm "
            "on what others explored. Ask more people, or read the fit of the measurement model, which uses all rows.",
            f"{whole} 个完整行不能对半分：每一半的行数都须多于 {len(items)} 个题项，因此没有另一半样本可供验证。请增加受访者，或参看使用全部数据的测量模型拟合。",
        )
    )
    said = {
        "en": f"All {len(data)} respondents explore, {whole} of whom answered every item. The other half is left out: "
        f"fewer rows than the {len(items)} items need.",
        "zh": f"全部 {len(data)} 名受访者用于探索，其中 {whole} 名回答了全部题项。不设另一半样本：行数少于 {len(items)} 个题项所需。",
    }
    table = pd.DataFrame([("explore", len(data), whole)], columns=["half", "n", "complete"])
    return none, Result(table, said, len(data), "no halves", (said,))


@stage
def factorability(
    data: pd.DataFrame,
    study: Study,
    items: Sequence[str] | None = None,
    correlation: Correlation = "pearson",
) -> Factorability:
    """Whether the items share enough to be factored: KMO and Bartlett's test.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses.
    study : Study
        Declares the items.
    items : sequence of str, optional
        All items of the study by default.  Constant items, and copies of others, are left out with a warning.
    correlation
        As :func:`cxlib.statistics.extraction.kmo`.

    Returns
    -------
    Factorability
        statistic (kmo, bartlett_chisq, bartlett_df, bartlett_p), value; ``.items`` has item, kmo.

    Raises
    ------
    ValueError
        An item that the study or the data do not have, or too few rows.
    """
    frame, warnings = _frame(data, study, items)
    value, each = kmo(frame, correlation)
    chisq, df, p = bartlett(frame, correlation)
    table = pd.DataFrame(
        {
            "statistic": ["kmo", "bartlett_chisq", "bartlett_df", "bartlett_p"],
            "value": [value, chisq, float(df), p],
        }
    )
    _, en, zh = next(grade for grade in KMO_WORDS if value >= grade[0])
    lowest = each.idxmin()
    text = {
        "en": f"The KMO of {frame.shape[1]} items is {value:.2f}, {en} in Kaiser's (1974) words; Bartlett's test gives "
        f"χ²({df}) = {chisq:.1f}, {p_text(p)}.",
        "zh": f"{frame.shape[1]} 个题项的 KMO 为 {value:.2f}，按 Kaiser（1974）属“{zh}”；Bartlett 球形检验 χ²({df}) = {chisq:.1f}，"
        f"{p_text(p)}。",
    }
    if correlation == "polychoric":
        warnings.append(
            {
                "en": "Of polychoric correlations Bartlett's statistic is no exact χ²; read it as a rough guide.",
                "zh": "基于多分格相关时，Bartlett 统计量并不严格服从 χ² 分布，只可粗略参考。",
            }
        )
    if low := ", ".join(f"{item} ({v:.2f})" for item, v in each.items() if v < KMO_WORDS[-2][0]):
        warnings.append(
            {
                "en": f"KMO below .50, a convention: {low}. These items share little with the others.",
                "zh": f"KMO 低于惯例 .50：{low}。这些题项与其余题项共享甚少。",
            }
        )
    said = {
        "en": f"The lowest KMO of an item is {each[lowest]:.2f} ({lowest}).",
        "zh": f"题项 KMO 最低为 {each[lowest]:.2f}（{lowest}）。",
    }
    method = f"KMO (Kaiser and Rice 1974); Bartlett (1951); {correlation} correlations; listwise"
    return Factorability(
        table,
        text,
        len(frame),
        method,
        tuple(warnings),
        Result(each.rename_axis("item").reset_index(), said, len(frame), method),
    )


@stage
def kmo_items(result: Factorability) -> Result:
    """The KMO of every item (item, kmo)."""
    return result.items


@stage
def eigenvalues(result: FactorNumber) -> pd.DataFrame:
    """The eigenvalues of the data beside those of random data (factor, observed, random, observed_fa, random_fa)."""
    return result.eigenvalues


@stage
def factor_number(
    data: pd.DataFrame,
    study: Study,
    rng: np.random.Generator,
    items: Sequence[str] | None = None,
    draws: int = 500,
    correlation: Correlation = "pearson",
) -> FactorNumber:
    """How many factors: parallel analysis, Velicer's MAP, and Kaiser's eigenvalue rule as a foil.

    Parameters
    ----------
    data, study, items, correlation
        As :func:`factorability`; parallel analysis and Kaiser's rule stay with Pearson correlations.
    rng : Generator
        Source of the random data of parallel analysis.
    draws : int
        Random data sets.

    Returns
    -------
    FactorNumber
        criterion (parallel: components, parallel_fa: common factors, map, kaiser), factors; ``.eigenvalues`` has factor,
        observed, random, observed_fa, random_fa.
    """
    frame, warnings = _frame(data, study, items)
    roots, common, partial = (
        parallel(frame, rng, draws),
        parallel(frame, rng, draws, method="fa"),
        map_test(frame, correlation),
    )
    found = {
        "parallel": int((roots["observed"] > roots["random"]).cummin().sum()),
        "parallel_fa": int((common["observed"] > common["random"]).cummin().sum()),
        "map": int(partial.loc[partial["map"].idxmin(), "factors"]),
        "kaiser": int((roots["observed"] > 1).sum()),
    }
    declared = int(
        (pd.Series([study.items[item] for item in frame.columns]).value_counts() > 1).sum()
    )  # one item is no factor
    text = {
        "en": f"Parallel analysis finds {plural(found['parallel'], 'factor')} (of common factors {found['parallel_fa']}) and "
        f"Velicer's MAP {found['map']}; {plural(declared, 'construct')} of several items {'is' if declared == 1 else 'are'} "
        f"declared. Eigenvalues above 1 would give {found['kaiser']}, a rule that tends to find too many.",
        "zh": f"平行分析得到 {found['parallel']} 个因子（按公因子为 {found['parallel_fa']} 个），Velicer MAP 得到 {found['map']} 个；声明的多题项构念有 {declared} 个。"
        f"“特征值大于 1”给出 {found['kaiser']} 个，该规则往往偏多。",
    }
    if found["parallel"] < declared:
        few = len(frame) < FEWEST
        why = (
            {"en": "so few rows may simply not show more", "zh": "也可能只是行数太少，看不出更多"}
            if few
            else {"en": "some may be hard to tell apart", "zh": "有的构念可能难以区分"}
        )
        if (
            found["parallel_fa"] >= declared
        ):  # components of constructs that correlate hide behind the first
            why = {
                "en": f"but of common factors, which suit correlated constructs better, {found['parallel_fa']}; see what n_factors={declared} gives",
                "zh": f"但按公因子（更适合彼此相关的构念）为 {found['parallel_fa']} 个；不妨设 n_factors={declared} 再看",
            }
        warnings.append(
            {
                "en": f"The answers show {plural(found['parallel'], 'dimension')}, fewer than the {declared} constructs of "
                f"several items: {why['en']}. See discriminant validity in the measurement model.",
                "zh": f"数据呈现 {found['parallel']} 个维度，少于 {declared} 个多题项构念：{why['zh']}，请看测量模型的区分效度。",
            }
        )
    return FactorNumber(
        pd.DataFrame({"criterion": list(found), "factors": list(found.values())}),
        text,
        len(frame),
        f"Horn's parallel analysis ({draws} normal samples, 95% quantile); Velicer's MAP (1976, {correlation} correlations); "
        "eigenvalues above 1; listwise",
        tuple(warnings),
        roots.assign(observed_fa=common["observed"], random_fa=common["random"]),
    )


@stage
def loadings(
    data: pd.DataFrame,
    study: Study,
    factors: int | FactorNumber | None = None,
    items: Sequence[str] | None = None,
    method: Extraction = "minres",
    rotation: Rotation = "oblimin",
    correlation: Correlation = "pearson",
) -> Loadings:
    """Exploratory loadings of a study's items, factors named by the construct whose items they carry.

    A factor bears the name of a construct if at least half of the items that load highest on it belong to that
    construct; each name is given once, to the factor with the highest mean loading.  The others stay F1, F2 ….

    Parameters
    ----------
    data, study, items
        As :func:`factorability`.
    factors : int or FactorNumber, optional
        How many, or what :func:`factor_number` found (parallel analysis counts); by default as many as constructs.
    method, rotation, correlation
        As :func:`cxlib.statistics.extraction.efa`.

    Returns
    -------
    Loadings
        item, one column a factor, communality, items sorted by the factor they load highest on; ``.efa`` is the whole
        solution in the order of the study.

    Raises
    ------
    ValueError
        As :func:`factorability`, or more factors than the items allow.
    """
    frame, warnings = _frame(data, study, items)
    if isinstance(factors, FactorNumber):
        factors = int(factors.table["factors"].iloc[0])
    if factors == 0:
        factors = 1
        warnings.append(
            {
                "en": "No factor stands out from chance; one is shown, and should not be interpreted.",
                "zh": "没有因子超出随机水平；此处仅列出一个，不宜解释。",
            }
        )
    solution = efa(
        frame,
        factors or len({study.items[item] for item in frame.columns}),
        method,
        rotation,
        correlation=correlation,
    )
    names = _names(solution.loadings, study)
    solution = replace(
        solution,
        loadings=solution.loadings.rename(columns=names),
        correlations=solution.correlations.rename(index=names, columns=names),
    )
    pattern = solution.loadings
    named = [code for code in study.constructs if code in pattern]
    home = pattern.abs().idxmax(axis=1)
    stray = [
        item
        for item in pattern.index
        if study.items[item] in named and home[item] != study.items[item]
    ]
    share, m, k = solution.variance["cumulative"].iloc[-1], pattern.shape[1], len(pattern)
    text = {
        "en": f"{plural(m, 'factor')} account{'s' if m == 1 else ''} for {share:.0%} of the variance of {k} items. "
        + (
            f"{'It bears' if m == 1 else f'{len(named)} of them bear' + 's' * (len(named) == 1)} the name of a construct; of "
            f"{'this construct' if len(named) == 1 else 'these constructs'}'{'s' * (len(named) == 1)} items, "
            f"{', '.join(stray) or 'none'} load{'s' * (len(stray) < 2)} highest on another factor."
            if named
            else f"Items of several constructs share {'it' if m == 1 else 'each factor'}, so no factor bears the name of a construct."
        ),
        "zh": f"{m} 个因子解释 {k} 个题项方差的 {share:.0%}，"
        + (
            f"其中 {len(named)} 个以构念命名；这些构念的题项中，{'、'.join(stray) or '没有题项'}在其他因子上载荷最高。"
            if named
            else f"但没有因子可用构念命名：{'该因子' if m == 1 else '每个因子都'}由几个构念的题项共享。"
        ),
    }
    table = (
        pattern.assign(communality=solution.communality)
        .loc[_sorted(pattern)]
        .rename_axis("item")
        .reset_index()
    )
    return Loadings(
        table,
        text,
        solution.n_used,
        f"{solution.method}; listwise",
        (*_flags(solution), *warnings),
        solution,
    )


@stage
def structure(result: Loadings) -> Result:
    """Correlations of the items with the factors (item, one column a factor), sorted as the loadings.

    A loading is what a factor does with the others held constant, a structure coefficient what item and factor share
    in all; with uncorrelated factors they are the same.
    """
    whole, pattern = result.efa.structure, result.efa.loadings
    gap = (whole - pattern).abs().max(axis=1)
    item, same = gap.idxmax(), gap.max() < 1e-12
    a, b = (
        number(part.loc[item, (whole - pattern).loc[item].abs().idxmax()], 2)
        for part in (whole, pattern)
    )
    text = {
        "en": "The factors are uncorrelated: structure and pattern are the same.",
        "zh": "因子互不相关：结构系数与模式系数相同。",
    }
    if not same:
        text = {
            "en": f"Structure and pattern differ most for {item}: its correlation with a factor is {a}, its loading {b}.",
            "zh": f"结构系数与模式系数相差最大的是 {item}：与某因子相关 {a}，载荷为 {b}。",
        }
    return Result(
        whole.loc[_sorted(pattern)].rename_axis("item").reset_index(),
        text,
        result.n_used,
        result.method,
    )


@stage
def factor_correlations(result: Loadings) -> Result:
    """Correlations of the factors of a solution: factor, one column a factor."""
    r = result.efa.correlations
    text = {"en": "There is only one factor.", "zh": "只有一个因子。"}
    if len(r) > 1:
        i, j = max(
            zip(*np.triu_indices(len(r), 1), strict=True), key=lambda pair: abs(r.iloc[pair])
        )
        text = {
            "en": f"The factors that go most together are {r.index[i]} and {r.index[j]} (r = {number(r.iloc[i, j], 2)}).",
            "zh": f"相关最高的因子是 {r.index[i]} 与 {r.index[j]}（r = {number(r.iloc[i, j], 2)}）。",
        }
    return Result(r.rename_axis("factor").reset_index(), text, result.n_used, result.method)


@stage
@theme.picture
def plot_scree(result: FactorNumber, study: Study, *, language: str = "en"):
    """Observed eigenvalues beside random ones, with the number retained."""
    from matplotlib import pyplot

    roots, zh = result.eigenvalues, language == "zh"
    kept = int(result.table.set_index("criterion").loc["parallel", "factors"])
    figure, axes = pyplot.subplots(figsize=(7, 4))
    x, seen, random = roots["factor"], roots["observed"], roots["random"]
    axes.plot(x, random, color=theme.MUTED, linestyle=(0, (4, 3)), linewidth=1.5)
    axes.plot(x, seen, color=theme.GRID, linewidth=1.5, zorder=1)
    axes.plot(x[:kept], seen[:kept], "o", color=theme.ROLES["service"], markersize=7)
    axes.plot(
        x[kept:],
        seen[kept:],
        "o",
        markerfacecolor="white",
        markeredgecolor=theme.MUTED,
        markersize=5,
    )
    axes.annotate(
        "随机数据（95% 分位）" if zh else "random data (95% quantile)",
        (x.iloc[-1], random.iloc[-1]),
        (0, 14),
        textcoords="offset points",
        ha="right",
        color=theme.MUTED,
        fontsize=9,
    )
    if kept:
        axes.annotate(
            f"保留 {kept} 个" if zh else f"{kept} retained",
            (x[kept - 1], seen[kept - 1]),
            (22, 24),
            textcoords="offset points",
            color=theme.ROLES["service"],
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": theme.ROLES["service"]},
        )
    axes.set(
        xlabel="因子序号" if zh else "factor",
        ylabel="特征值" if zh else "eigenvalue",
        ylim=(0, None),
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    n = f"{result.n_used:,}"
    return figure, {
        "en": f"Eigenvalues of the {len(x)} items' correlations (n = {n}). Filled dots lie above what random data of the same "
        f"size give, so {plural(kept, 'factor')} {'is' if kept == 1 else 'are'} retained.",
        "zh": f"{len(x)} 个题项相关矩阵的特征值（n = {n}）。实心点高于同规模随机数据，因此保留 {kept} 个因子。",
    }


@stage
@theme.picture
def plot_loadings(result: Loadings, study: Study, *, language: str = "en"):
    """Heat map of the loadings, items sorted by construct and coloured by its role."""
    import seaborn
    from matplotlib import pyplot

    pattern = result.efa.loadings
    pattern = pattern[
        [c for c in study.constructs if c in pattern]
        + [f for f in pattern if f not in study.constructs]
    ]
    pattern = pattern.loc[[item for item in study.items if item in pattern.index]]
    rows, columns = pattern.shape
    figure, axes = pyplot.subplots(figsize=(2.2 + 0.85 * columns, 1.6 + 0.24 * rows))
    words = pattern.map(lambda value: number(value, 2) if abs(value) >= SHOWN else "")
    seaborn.heatmap(
        pattern,
        annot=words,
        fmt="",
        cmap="RdBu_r",
        vmin=-1,
        vmax=1,
        cbar=False,
        annot_kws={"fontsize": 7.5},
        ax=axes,
    )
    owner = [study.items[item] for item in pattern.index]
    for y in range(1, rows):
        if owner[y] != owner[y - 1]:
            axes.axhline(y, color=theme.INK, linewidth=0.8)
    axes.set_yticks(np.arange(rows) + 0.5, pattern.index, fontsize=8, rotation=0)
    for tick, code in zip(axes.get_yticklabels(), owner, strict=True):
        tick.set_color(theme.ROLES[study.role(code)])
    axes.xaxis.tick_top()
    axes.set_xticks(
        np.arange(columns) + 0.5,
        [study.name(factor, language) for factor in pattern],
        rotation=30,
        ha="left",
        rotation_mode="anchor",
        fontsize=8,
    )
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0)
    return figure, {
        "en": f"Factor loadings ({result.method}; n = {result.n_used:,}); numbers below .20 are not written. Factors bear the name "
        "of the construct whose items they carry; lines part the items of one construct from the next. Look for items that "
        "sit elsewhere.",
        "zh": f"因子载荷（{result.method}；n = {result.n_used:,}）；绝对值小于 .20 的数字不写出。因子以其所承载题项的构念命名，横线隔开不同"
        "构念的题项。请留意落在别处的题项。",
    }


def _sorted(pattern: pd.DataFrame) -> list[str]:
    """The items by the factor they load highest on, the clearest first."""
    size = pattern.abs()
    home = size.idxmax(axis=1).map({factor: at for at, factor in enumerate(pattern)})
    return list(
        pd.DataFrame({"home": home, "size": -size.max(axis=1)})
        .sort_values(["home", "size"], kind="stable")
        .index
    )


def _names(pattern: pd.DataFrame, study: Study) -> dict[str, str]:
    """Factor → construct, the clearest first, each construct once; the others keep a name no construct has."""
    size, owner = pattern.abs(), np.array([study.items[item] for item in pattern.index])
    most, out = size.idxmax(axis=1).to_numpy(), {}
    means = {
        (size.loc[owner == code, factor].mean(), code, factor)
        for code in set(owner)
        for factor in pattern
    }
    for _, code, factor in sorted(means, reverse=True):
        carried = owner[most == factor]
        if (
            factor not in out
            and code not in out.values()
            and 2 * (carried == code).sum() >= max(len(carried), 1)
        ):
            out[factor] = code
    return {f: out.get(f, f if f not in study.constructs else f"Factor {f[1:]}") for f in pattern}


def _flags(solution: EFA) -> list[Words]:
    """What a reader must know before believing a solution."""
    out = list(solution.warnings)
    if not solution.converged:
        out.append(
            {
                "en": "The solution did not converge; do not interpret the loadings. Try fewer factors.",
                "zh": "求解未收敛，载荷不宜解释；请减少因子数。",
            }
        )
    if solution.heywood:
        listed = ", ".join(map(str, solution.heywood))
        out.append(
            {
                "en": f"Heywood case: the communality of {listed} reaches 1, so the solution is improper. Try fewer factors.",
                "zh": f"Heywood 情形：{listed} 的共同度达到 1，解不恰当；请减少因子数。",
            }
        )
    if len(solution.cross):
        listed = ", ".join(solution.cross["item"])
        out.append(
            {
                "en": f"Cross-loading (a second loading of at least .32, a convention of Tabachnick and Fidell): {listed}.",
                "zh": f"交叉载荷（第二载荷不低于 .32，Tabachnick 与 Fidell 的惯例）：{listed}。",
            }
        )
    return out


def _frame(
    data: pd.DataFrame, study: Study, items: Sequence[str] | None
) -> tuple[pd.DataFrame, list[Words]]:
    """The complete rows of the items asked for, without those that have no correlations, and what was left out."""
    wanted, warnings = list(study.items) if items is None else list(items), []
    if unknown := [item for item in wanted if item not in study.items]:
        raise ValueError(
            f"The study '{study.id}' has no item {', '.join(unknown)}. Its items are {', '.join(study.items)}."
        )
    if absent := [item for item in wanted if item not in data]:
        raise ValueError(
            f"The data have no column {', '.join(absent)}, which the study '{study.id}' declares. Check the column names."
        )
    rows = data[wanted].dropna()
    if len(rows) < 3:
        raise too_few(len(rows), len(data), len(wanted))
    if len(rows) < len(data):
        warnings.append(
            {
                "en": f"{len(data) - len(rows)} of {len(data)} rows have a missing answer and were left out; {len(rows)} "
                "were used.",
                "zh": f"{len(data)} 行中有 {len(data) - len(rows)} 行存在缺失答案，已剔除；使用 {len(rows)} 行。",
            }
        )
    if len(rows) < FEWEST:
        warnings.append(
            {
                "en": f"{len(rows)} rows are few for factors: below {FEWEST}, a convention (Gorsuch 1983), their number and loadings change "
                "much from sample to sample.",
                "zh": f"{len(rows)} 行不足以可靠地提取因子：少于惯例 {FEWEST}（Gorsuch，1983）时，因子数与载荷随样本变动很大。",
            }
        )
    if constant := [item for item in wanted if (rows[item] == rows[item].iloc[0]).all()]:
        warnings.append(
            {
                "en": f"Left out, because everyone gave the same answer: {', '.join(constant)}.",
                "zh": f"所有人回答相同，已剔除：{', '.join(constant)}。",
            }
        )
    rest = rows.drop(columns=constant)
    if copies := list(rest.columns[rest.T.duplicated()]):
        warnings.append(
            {
                "en": f"Left out, because identical to another item in every row (perhaps a column was copied): "
                f"{', '.join(copies)}.",
                "zh": f"与另一题项每行都相同（可能复制了列），已剔除：{', '.join(copies)}。",
            }
        )
    rest = rest.drop(columns=copies)
    r = rest.corr().abs().to_numpy()
    if near := [
        f"{rest.columns[i]} – {rest.columns[j]}"
        for i, j in combinations(range(len(r)), 2)
        if r[i, j] > NEAR
    ]:
        warnings.append(
            {
                "en": f"Nearly the same answers (correlation beyond .95, a convention): {', '.join(near)}. They may make a "
                "factor of their own; keep one of each.",
                "zh": f"回答几乎相同（相关超过惯例 .95）：{'、'.join(near)}。它们可能自成一个因子，宜各留其一。",
            }
        )
    return rest, warnings
