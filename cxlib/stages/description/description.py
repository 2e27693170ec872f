"""What the answers look like before any model: items, respondents, construct scores, correlations, recommendation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.errors import DataError
from cxlib.core.result import Result, Text
from cxlib.core.words import number, p_text, plural
from cxlib.stages.description.composites import correlations, plot_correlations
from cxlib.statistics.scores import scores
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "by_group",
    "correlations",
    "items",
    "multivariate_normality",
    "nps",
    "plot_correlations",
    "plot_likert",
    "profile",
    "response_shares",
    "scores",
]
FEWEST = 10
"""Answers a group needs for its mean to be shown without a warning; a convention."""
LEAST_SPOKEN_OF = 30
"""Groups smaller than this are in the table but not in the sentence."""


def items(data: pd.DataFrame, study: Study) -> Result:
    """Distribution of every item.

    Returns
    -------
    Result
        item, construct, n, missing, mean, sd, skew, kurtosis, floor, ceiling.  sd has the divisor n − 1; skew is
        m₃/sd³ and kurtosis m₄/sd⁴ − 3 (mₖ: central moments with divisor n); floor and ceiling are the shares of answers
        at the lower and the upper end of the declared range.

    Notes
    -----
    R: ``psych::describe(x)`` (its default type = 3).
    """
    rows = []
    for item in (item for item in study.items if item in data):
        x = data[item].dropna().to_numpy(float)
        mean, sd = (x.mean() if len(x) else np.nan), (x.std(ddof=1) if len(x) > 1 else np.nan)
        shape = (
            (((x - mean) ** 3).mean() / sd**3, ((x - mean) ** 4).mean() / sd**4 - 3)
            if sd > 0
            else (np.nan, np.nan)
        )
        ends = [(x == end).mean() if len(x) else np.nan for end in study.scale_of(item)]
        rows.append((item, study.items[item], len(x), len(data) - len(x), mean, sd, *shape, *ends))
    table = pd.DataFrame(
        rows,
        columns=[
            "item",
            "construct",
            "n",
            "missing",
            "mean",
            "sd",
            "skew",
            "kurtosis",
            "floor",
            "ceiling",
        ],
    )
    flat, crowded = (
        table.loc[rows, "item"].tolist() for rows in (table["skew"].isna(), table["ceiling"] > 0.4)
    )
    warning = {
        "en": f"No spread in {', '.join(flat)}: skew and kurtosis do not exist.",
        "zh": f"{'、'.join(flat)} 没有变异，偏度和峰度无定义。",
    }
    skewed = int((table["skew"].abs() > 2).sum() + (table["kurtosis"].abs() > 7).sum())
    best, worst = table.loc[table["mean"].idxmax()], table.loc[table["mean"].idxmin()]
    low, high = (f"{number(row['mean'], 2)} ({row['item']})" for row in (worst, best))
    piled = {
        "en": "no item has more than 40 % of its answers at the top",
        "zh": "没有题项超过 40% 的回答位于最高分",
    }
    if crowded:
        piled = {
            "en": f"more than 40 % of answers sit at the top of {', '.join(crowded)}",
            "zh": f"{'、'.join(crowded)} 有 40% 以上的回答位于最高分",
        }
    odd = {
        "en": "no item passes |skew| 2 or |kurtosis| 7",
        "zh": "没有题项超过 |偏度| 2 或 |峰度| 7",
    }
    if skewed:
        odd = {
            "en": f"{plural(skewed, 'value')} beyond |skew| 2 or |kurtosis| 7",
            "zh": f"有 {skewed} 个值超过 |偏度| 2 或 |峰度| 7",
        }
    text = {
        "en": f"Means run from {low} to {high}; {piled['en']}; {odd['en']}.",
        "zh": f"题项均值介于 {low} 与 {high} 之间；{piled['zh']}；{odd['zh']}。",
    }
    return Result(
        table,
        text,
        len(data),
        "item distributions (skew and kurtosis of type 3)",
        (warning,) if flat else (),
    )


def response_shares(data: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Share of every answer option: item, construct, option (1 = lowest), options, value, share, n."""
    rows = []
    for item in (i for i in study.items if i in data):
        x = data[item].dropna()
        low, high = study.scale_of(item)
        count = round(high - low) + 1
        if count > 11:  # a slider: ten equal bands
            count, step = 10, (high - low) / 10
            option = np.clip(((x - low) // step).astype(int), 0, 9)
        else:
            step, option = 1, (x - low).round().astype(int)
        shares = option.value_counts().reindex(range(count), fill_value=0) / max(len(x), 1)
        rows += [
            (item, study.items[item], k + 1, count, low + k * step, float(s), len(x))
            for k, s in shares.items()
        ]
    return pd.DataFrame(
        rows, columns=["item", "construct", "option", "options", "value", "share", "n"]
    )


def profile(data: pd.DataFrame, study: Study) -> Result:
    """Who answered: every category and flag, against its declared quota.

    Returns
    -------
    Result
        column, level, n, share (of those who answered the column), quota, difference, p.  Quotas are shares of one however
        they were written; difference is the share among the levels that have a quota, minus the quota; p is the χ² test
        of the column against its quotas.  The three are missing where no quota is declared.

    Notes
    -----
    R: ``chisq.test(table(x), p = quota)``.
    """
    rows, tests, warnings = [], {}, []
    for name, column in study.columns.items():
        if column.kind not in ("category", "flag") or name not in data:
            continue
        answered = _levels(data[name])
        counts = answered.value_counts()
        total = sum(column.quota.values())
        quota = {level: value / total for level, value in column.quota.items()}
        n, within = len(answered), sum(int(counts.get(level, 0)) for level in quota)
        if n == 0:
            warnings.append({"en": f"Nobody answered {name}.", "zh": f"没有人回答 {name}。"})
        p = (
            _chi_square([counts.get(v, 0) for v in quota], [q * within for q in quota.values()])
            if within
            else np.nan
        )
        tests |= {name: p} if within else {}
        for level in list(column.levels) or sorted(counts.index):
            hit, wanted = int(counts.get(level, 0)), quota.get(level, np.nan)
            share, off = hit / n if n else np.nan, hit / within - wanted if within else np.nan
            rows.append((name, level, hit, share, wanted, off, p))
    table = pd.DataFrame(
        rows, columns=["column", "level", "n", "share", "quota", "difference", "p"]
    )
    if table.empty:
        text = {
            "en": "The study declares no category about its respondents, so there is no profile to compare.",
            "zh": "研究文件未声明受访者的类别变量，无样本结构可比较。",
        }
        return Result(table, text, len(data), "sample profile", (text,))
    count = table["column"].nunique()
    text = {
        "en": f"{len(data):,} respondents, described by {plural(count, 'column')}. No quota is declared.",
        "zh": f"共 {len(data):,} 名受访者，{count} 个背景变量。未声明配额。",
    }
    if tests:
        off = table.loc[table["difference"].abs().idxmax()]
        points = f"{100 * off['difference']:+.1f}".replace("-", "−")
        missed = {
            language: ", ".join(
                f"{study.name(c, language)} ({p_text(p)})" for c, p in tests.items() if p < 0.05
            )
            for language in text
        }
        place = {
            language: f"{study.name(off['column'], language)}: {_level(study, off['column'], off['level'], language)}"
            for language in text
        }
        verdict = {
            "en": "By a χ² test no column differs from its quotas.",
            "zh": "χ² 检验未发现与配额的差异。",
        }
        if missed["en"]:
            verdict = {
                "en": f"By a χ² test these differ from their quotas: {missed['en']}.",
                "zh": f"χ² 检验与配额有差异：{missed['zh']}。",
            }
        text = {
            "en": f"{len(data):,} respondents. The largest gap to a quota is {points} points ({place['en']}). {verdict['en']}",
            "zh": f"共 {len(data):,} 名受访者。与配额相差最大的是{place['zh']}（{points} 个百分点）。{verdict['zh']}",
        }
    return Result(table, text, len(data), "sample profile", tuple(warnings))


def multivariate_normality(frame: pd.DataFrame) -> Result:
    """Mardia's skewness and kurtosis, and the Henze–Zirkler test, on the complete rows.

    With the covariance S (divisor n − 1) and Dᵢⱼ = (xᵢ − x̄)' S⁻¹ (xⱼ − x̄): skewness ΣΣ Dᵢⱼ³ / n² with n·b/6 as χ² on
    p(p+1)(p+2)/6 degrees of freedom, kurtosis Σ Dᵢᵢ² / n with z = (b − p(p+2)) / √(8p(p+2)/n).

    Returns
    -------
    Result
        statistic (mardia_skew, mardia_kurtosis, henze_zirkler), value, test (chisq, z; none), df, p, n.

    Notes
    -----
    Mardia (1970), doi:10.1093/biomet/57.3.519; Henze & Zirkler (1990), doi:10.1080/03610929008830400.
    R: ``psych::mardia(x, plot = FALSE)``; ``MVN::mvn(x, mvn_test = "hz")``.
    """
    import pingouin
    from scipy.stats import chi2, norm

    tests, method = (
        ["mardia_skew", "mardia_kurtosis", "henze_zirkler"],
        "Mardia and Henze–Zirkler tests",
    )
    used = frame.dropna()
    n, p = used.shape
    x = used.to_numpy(float)
    if p < 2:
        text = {
            "en": "Not tested: normality of several items together needs at least two items.",
            "zh": "未检验：多元正态性至少需要两个题项。",
        }
        table = pd.DataFrame(
            {"statistic": tests, "value": np.nan, "test": np.nan, "df": np.nan, "p": np.nan, "n": n}
        )
        return Result(table, text, n, method, (text,))
    if (
        n > p and (spread := x.std(axis=0)).all()
    ):  # in units of its own each item, lest a large one hide a small one
        used = (used - x.mean(axis=0)) / spread
        x = used.to_numpy(float)
    if n <= p or np.linalg.matrix_rank(x - x.mean(axis=0)) < p:
        text = {
            "en": f"Not tested: {n} complete rows for {p} items, or items that determine each other, leave no invertible covariance matrix.",
            "zh": f"未检验：{p} 个题项只有 {n} 个完整行，或题项之间完全相关，协方差矩阵不可逆。",
        }
        table = pd.DataFrame(
            {"statistic": tests, "value": np.nan, "test": np.nan, "df": np.nan, "p": np.nan, "n": n}
        )
        return Result(table, text, n, method, (text,))
    off = x - x.mean(axis=0)
    d = off @ np.linalg.solve(np.cov(x.T).reshape(p, p), off.T)
    skew, kurtosis = (d**3).sum() / n**2, (np.diag(d) ** 2).mean()
    chisq, df = n * skew / 6, p * (p + 1) * (p + 2) / 6
    z = (kurtosis - p * (p + 2)) / np.sqrt(8 * p * (p + 2) / n)
    henze = pingouin.multivariate_normality(used)
    rows = [
        (skew, chisq, df, chi2.sf(chisq, df)),
        (kurtosis, z, np.nan, 2 * norm.sf(abs(z))),
        (float(henze.hz), np.nan, np.nan, float(henze.pval)),
    ]
    table = pd.DataFrame(rows, columns=["value", "test", "df", "p"]).assign(n=n)
    table.insert(0, "statistic", tests)
    # with many items the statistic sits at 1 whatever the data: then it says nothing
    saturated = abs(float(henze.hz) - 1) < 1e-6
    normal = bool((table["p"].iloc[: 2 if saturated else 3] >= 0.05).all())
    verdict = {
        "en": "the answers are not multivariate normal; use robust standard errors and test statistics",
        "zh": "数据不服从多元正态，应使用稳健标准误和校正的检验统计量",
    }
    if normal:
        verdict = {
            "en": "the tests do not speak against multivariate normality",
            "zh": "检验未否定多元正态",
        }
    test = f"z = {number(z, 2)}, {p_text(table['p'][1])}"
    text = {
        "en": f"Mardia's kurtosis is {kurtosis:.1f} where normal data give {p * (p + 2)} ({test}): {verdict['en']}.",
        "zh": f"Mardia 峰度为 {kurtosis:.1f}，正态数据应为 {p * (p + 2)}（{test}）：{verdict['zh']}。",
    }
    warnings: list[Text] = []
    if n < len(frame):
        warnings.append(
            {
                "en": f"{len(frame) - n} of {len(frame):,} rows have missing answers and were left out.",
                "zh": f"{len(frame):,} 行中有 {len(frame) - n} 行含缺失，未参与检验。",
            }
        )
    if saturated:
        warnings.append(
            {
                "en": f"With {p} items the Henze–Zirkler statistic is 1 whatever the answers: it says nothing here.",
                "zh": f"题项多达 {p} 个时，Henze–Zirkler 统计量恒为 1，此处没有意义。",
            }
        )
    return Result(table, text, n, method, tuple(warnings))


def nps(answers: pd.Series | None) -> Result:
    """Net promoter score: the share of answers 9–10 minus the share of 0–6, in points, with a 95 % interval.

    Standard error from the multinomial: √((p + d − (p − d)²) / n).

    Parameters
    ----------
    answers : Series or None
        Likelihood to recommend, 0–10; None (a study that did not ask) gives an empty result that says so.

    Returns
    -------
    Result
        n, promoters, passives, detractors (shares), nps, se, ci_low, ci_high (points).

    Raises
    ------
    DataError
        Answers outside 0–10.

    Notes
    -----
    Rocks (2016), doi:10.1080/00031305.2016.1158124, on the interval.
    """
    columns = ["n", "promoters", "passives", "detractors", "nps", "se", "ci_low", "ci_high"]
    x = pd.Series(dtype=float) if answers is None else answers.dropna().astype(float)
    if x.empty:
        text = {
            "en": "Likelihood to recommend (0–10) was not asked, so there is no net promoter score.",
            "zh": "问卷没有询问推荐意愿（0–10 分），因此没有净推荐值。",
        }
        return Result(
            pd.DataFrame(columns=columns, dtype=float), text, 0, "net promoter score", (text,)
        )
    if not x.between(0, 10).all():
        raise DataError(
            f"answers= holds {sorted(set(x[~x.between(0, 10)]))[:5]}: the net promoter score needs the 0–10 question."
        )
    n, up, down = len(x), float((x >= 9).mean()), float((x <= 6).mean())
    score, se = 100 * (up - down), 100 * np.sqrt((up + down - (up - down) ** 2) / n)
    low, high = (
        max(score - 1.959963984540054 * se, -100.0),
        min(score + 1.959963984540054 * se, 100.0),
    )
    table = pd.DataFrame([(n, up, 1 - up - down, down, score, se, low, high)], columns=columns)
    told = f"{number(score, 1)} [{number(low, 1)}, {number(high, 1)}]"
    text = {
        "en": f"Net promoter score {told}: {100 * up:.1f} % promoters minus {100 * down:.1f} % detractors, n = {n:,}.",
        "zh": f"净推荐值 {told}：推荐者 {100 * up:.1f}% 减去贬损者 {100 * down:.1f}%，n = {n:,}。",
    }
    return Result(table, text, n, "net promoter score, multinomial interval")


def by_group(data: pd.DataFrame, study: Study, constructs: list[str] | None = None) -> Result:
    """Mean score of the satisfaction constructs in every declared group, with a 95 % t interval.

    Returns
    -------
    Result
        grouping, level, construct, n, mean, sd, ci_low, ci_high; the first rows (grouping "all") are everybody.
    """
    from scipy.stats import t

    frame = scores(data, study)
    chosen = constructs or [c for c in frame if study.role(c) == "satisfaction"] or list(frame)
    parts: list[tuple[str, str, pd.Index]] = [("all", "all", data.index)]
    for name in study.groups:
        if name in data:
            column = _levels(data[name])
            levels = list(study.columns[name].levels) or sorted(column.unique())
            parts += [(name, level, column.index[column == level]) for level in levels]
    rows = []
    for grouping, level, index in parts:
        for code in chosen:
            x = frame.loc[index, code].dropna()
            n, sd = len(x), x.std()
            half = t.ppf(0.975, n - 1) * sd / np.sqrt(n) if n > 1 else np.nan
            rows.append((grouping, level, code, n, x.mean(), sd, x.mean() - half, x.mean() + half))
    table = pd.DataFrame(
        rows, columns=["grouping", "level", "construct", "n", "mean", "sd", "ci_low", "ci_high"]
    )
    thin = ", ".join(f"{r.grouping}={r.level}" for r in table[table["n"] < 2].itertuples())
    lone = {
        "en": f"No interval for groups of fewer than two answers: {thin}.",
        "zh": f"少于两个回答的组没有区间：{thin}。",
    }
    small = ", ".join(
        dict.fromkeys(
            f"{r.grouping}={r.level}" for r in table[table["n"].between(2, FEWEST - 1)].itertuples()
        )
    )
    wide = {
        "en": f"Fewer than {FEWEST} answers, so the mean and its interval say little: {small}.",
        "zh": f"不足 {FEWEST} 个回答，均值及其区间参考价值很小：{small}。",
    }
    warnings = ((lone,) if thin else ()) + ((wide,) if small else ())
    if len(parts) == 1:
        text = {
            "en": "The study declares no groups, so only the whole sample is shown.",
            "zh": "研究文件未声明分组变量，仅给出全体。",
        }
        return Result(table, text, len(data), "group means", (text, *warnings))
    first = table[
        (table["construct"] == chosen[0])
        & (table["grouping"] != "all")
        & (table["n"] >= LEAST_SPOKEN_OF)
    ]
    if first.empty:
        text = {
            "en": f"No group has {LEAST_SPOKEN_OF} respondents.",
            "zh": f"没有一组达到 {LEAST_SPOKEN_OF} 人。",
        }
        return Result(table, text, len(data), "group means with t intervals", warnings)
    means = first.groupby("grouping", sort=False)["mean"]
    widest = first[first["grouping"] == (means.max() - means.min()).idxmax()]
    ends = [widest.loc[widest["mean"].idxmax()], widest.loc[widest["mean"].idxmin()]]
    said = {
        language: [
            f"{_level(study, end['grouping'], end['level'], language)} {end['mean']:.2f} (n = {end['n']})"
            for end in ends
        ]
        for language in ("en", "zh")
    }
    by = ends[0]["grouping"]
    text = {
        "en": f"Among groups of at least {LEAST_SPOKEN_OF}, {study.name(chosen[0])} differs most by {study.name(by)}: {', '.join(said['en'])}. "
        "Whether that is more than chance is tested with the groups.",
        "zh": f"在不少于 {LEAST_SPOKEN_OF} 人的组中，{study.name(chosen[0], 'zh')}按{study.name(by, 'zh')}差异最大：{'、'.join(said['zh'])}。"
        "差异是否超出偶然，见分组分析。",
    }
    return Result(table, text, len(data), "group means with t intervals", warnings)


def _levels(column: pd.Series) -> pd.Series:
    """The answered cells as level codes."""
    return column.dropna().map(lambda v: f"{v:g}" if isinstance(v, float) else str(v))


def _level(study: Study, column: str, level: str, language: str) -> str:
    """The words for a level of a column."""
    words = study.columns[column].levels.get(level)
    return words[language] if words else level


def _chi_square(observed: list[float], expected: list[float]) -> float:
    from scipy.stats import chi2

    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True) if e > 0)
    return float(chi2.sf(statistic, max(len(expected) - 1, 1)))


@theme.picture
def plot_likert(
    shares: pd.DataFrame, study: Study, of: str = "", *, language: str = "en"
) -> tuple[Figure, Text]:
    """Diverging stacked bars of the answers to each item: `of` one construct or one role, by default all.

    `shares` is the table of :func:`response_shares`.
    """
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    chosen = shares[[of in ("", code, study.role(code)) for code in shares["construct"]]]
    if chosen.empty:
        raise DataError(
            f"of='{of}' is no construct or role with items. Known: {', '.join([*study.scales, *theme.ROLES])}."
        )
    groups = list(chosen.groupby("construct", sort=False))
    names = list(chosen["item"].unique())
    figure, axes = pyplot.subplots(figsize=(9.5, 1.3 + 0.42 * len(names) + 0.5 * len(groups)))
    y, places, labels, reach, ends = 0.0, [], [], [0.0, 0.0], []
    for code, part in groups:
        colour, plate = (
            theme.ROLES[study.role(code)],
            {"facecolor": "white", "edgecolor": "none", "pad": 2},
        )
        axes.text(
            0,
            y,
            study.name(code, language),
            color=colour,
            weight="bold",
            ha="center",
            va="center",
            zorder=4,
            bbox=plate,
        )
        y += 0.9
        for item, bars in part.groupby("item", sort=False):
            share, count = bars["share"].to_numpy(), len(bars)
            below = count // 2
            left = -(share[:below].sum() + (share[below] / 2 if count % 2 else 0))
            reach = [min(reach[0], left), max(reach[1], share.sum() + left)]
            starts = left + np.concatenate([[0], share.cumsum()[:-1]])
            axes.barh(
                y,
                share,
                left=starts,
                height=0.72,
                color=_ramp(count, colour),
                edgecolor="white",
                linewidth=0.4,
            )
            ends.append((y, share[:below].sum(), share[-below:].sum()))
            places.append(y)
            mark = {"en": " (R)", "zh": "（反）"}[language] if item in study.reversed else ""
            labels.append(theme.fold(f"{item}{mark}  {study.name(item, language)}", 58, most=2))
            y += 1
        y += 0.35
    for place, low, high in ends:
        axes.text(
            reach[0] - 0.02,
            place,
            f"{100 * low:.0f} %",
            ha="right",
            va="center",
            fontsize=8,
            color=theme.MUTED,
        )
        axes.text(
            reach[1] + 0.02,
            place,
            f"{100 * high:.0f} %",
            ha="left",
            va="center",
            fontsize=8,
            color=theme.INK,
        )
    axes.set_yticks(places, labels, fontsize=8, linespacing=theme.LEADING)
    axes.set(ylim=(y - 0.4, -0.7), xlim=(reach[0] - 0.12, reach[1] + 0.12), xticks=[])
    axes.grid(False)
    axes.axvline(0, color=theme.MUTED, linewidth=0.8, zorder=3)
    axes.spines[:].set_visible(False)
    axes.tick_params(left=False)
    if chosen["options"].min() == chosen["options"].max():
        values, roles = (
            chosen.loc[chosen["item"] == names[0], "value"],
            {study.role(code) for code, _ in groups},
        )
        colours = _ramp(len(values), theme.ROLES[roles.pop()] if len(roles) == 1 else theme.INK)
        figure.legend(
            [Patch(color=c) for c in colours],
            [f"{v:g}" for v in values],
            loc="outside lower right",
            ncols=len(values),
            frameon=False,
            fontsize=8,
            handlelength=1,
            columnspacing=0.8,
        )
    high = {item: e[2] for item, e in zip(names, ends, strict=True)}
    top, bottom, n = max(high, key=high.get), min(high, key=high.get), chosen["n"]
    size = f"n = {n.min():,}" + (f"–{n.max():,}" if n.min() < n.max() else "")
    turned = [item for item in names if item in study.reversed]
    return figure, {
        "en": f"Answers to each item, lower half of the scale to the left, upper half to the right, shares at both ends ({size}). "
        + (
            f"Highest: {top} ({100 * high[top]:.0f} %); lowest: {bottom} ({100 * high[bottom]:.0f} %)."
            if len(names) > 1
            else f"Upper half: {100 * high[top]:.0f} %."
        )
        + (
            f" Marked (R), recoded so that right is favourable: {', '.join(turned)}."
            if turned
            else ""
        ),
        "zh": f"各题项的回答分布：左为量表低半段，右为高半段，两端为其占比（{size}）。"
        + (
            f"最高：{top}（{100 * high[top]:.0f}%）；最低：{bottom}（{100 * high[bottom]:.0f}%）。"
            if len(names) > 1
            else f"高半段占 {100 * high[top]:.0f}%。"
        )
        + (
            f"标（反）者为反向题，已重新计分（右侧为有利）：{'、'.join(turned)}。" if turned else ""
        ),
    }


def _ramp(count: int, colour: str) -> list:
    """Option colours from dark grey over near white to the role's colour."""
    from matplotlib.colors import to_rgb

    low, high, pale = (np.array(to_rgb(c)) for c in (theme.INK, colour, "#F1F1F1"))
    steps = np.linspace(-1, 1, count)
    return [tuple(pale + (0.75 * (low - pale) * -s if s < 0 else (high - pale) * s)) for s in steps]
