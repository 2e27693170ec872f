"""Stage 08, what was measured as it is: group means, and whether an effect depends on something else.

Construct scores are means of answers, so measurement error makes differences and interactions smaller than they are.
Interactions are declared in the study file as hypotheses of kind ``interaction``: ``of: "sat100 ~ er100 * ce100"``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.result import Result, Text, nothing, together
from cxlib.core.words import number, p_text, plural
from cxlib.stages.groups.groups import (
    GROUP,
    SMALLEST,
    Comparison,
    blank,
)
from cxlib.statistics.multiple_testing import holm
from cxlib.statistics.scores import scores
from cxlib.study.conditions import where
from cxlib.study.levels import level_name, level_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

GROUP_MEANS = ["grouping", "construct", "group", "n", "mean", "sd", "ci_low", "ci_high"]
MEAN_TESTS = [
    "grouping",
    "construct",
    "group_a",
    "group_b",
    "difference",
    "se",
    "t",
    "df",
    "p",
    "p_adjusted",
    "hedges_g",
    "g_low",
    "g_high",
    "n",
]
MODERATION = [
    "id",
    "outcome",
    "driver",
    "moderator",
    "est",
    "se",
    "ci_low",
    "ci_high",
    "p",
    "p_adjusted",
    "std",
    "d_r2",
    "df",
    "n",
    "test",
    "notebook",
    "note",
]
SLOPES = [
    "outcome",
    "driver",
    "moderator",
    "at",
    "slope",
    "se",
    "ci_low",
    "ci_high",
    "p",
    "y_low",
    "y_high",
    "n",
]
DIFFERENCES = ["id", "outcome", "by", "f", "df", "df_error", "p", "n", "test", "notebook", "note"]
FEW = {
    "en": "Fewer than two groups are large enough for means.",
    "zh": "足够比较均值的组不足两个。",
}
FORMULA = re.compile(r"\s*(\w+)\s*~\s*(\w+)\s*[*]\s*(\w+)\s*")


def group_means(compared: Comparison) -> Result:
    """Mean score of every construct in every group, on the scale of its items (grouping, construct, group, n, mean, sd, ci).

    Composites, so errors of measurement and different ways of answering are in them; :func:`latent_means` is without.

    Notes
    -----
    R: ``t.test(x)$conf.int`` for every group.
    """
    from scipy.stats import t

    if len(compared.groups) < 2:
        return nothing(GROUP_MEANS, compared.why_not or FEW)
    found = _scores(compared).sort_values(GROUP)
    cells = found.melt(GROUP, var_name="construct", value_name="score").groupby(
        ["construct", GROUP], sort=False, observed=True
    )
    table = (
        cells["score"]
        .agg(n="count", mean="mean", sd="std")
        .reset_index(names=["construct", "group"])
        .astype({"group": str})
    )
    half = t.ppf(0.975, table["n"] - 1) * table["sd"] / np.sqrt(table["n"])
    table = table.assign(
        grouping=compared.column, ci_low=table["mean"] - half, ci_high=table["mean"] + half
    )[GROUP_MEANS]
    known, thin = (
        table.dropna(),
        ", ".join(
            f"{row.construct} ({row.group}: {row.n})"
            for row in table[table["sd"].isna()].itertuples()
        ),
    )
    if known.empty:
        return nothing(
            GROUP_MEANS,
            {
                "en": f"Fewer than two scores in every group, so there are no means with an interval: {thin}.",
                "zh": f"各组得分都不足两个，没有均值区间：{thin}。",
            },
        )
    code = known.groupby("construct", sort=False)["mean"].agg(np.ptp).idxmax()
    own = known[known["construct"] == code].sort_values("mean")
    low, high, gap = own["group"].iloc[0], own["group"].iloc[-1], number(np.ptp(own["mean"]), 2)
    return Result(
        table,
        {
            "en": f"The groups lie furthest apart on {compared.study.name(code, 'en')}: {compared.name(high, 'en')} {gap} points above "
            f"{compared.name(low, 'en')}.",
            "zh": f"各组在{compared.study.name(code, 'zh')}上相差最大：{compared.name(high, 'zh')}比{compared.name(low, 'zh')}高 {gap} 分。",
        },
        len(found),
        "means of construct scores, t intervals",
        (
            *_independent(compared.study),
            *(
                [
                    {
                        "en": f"Fewer than two scores, hence no interval: {thin}.",
                        "zh": f"得分不足两个，没有区间：{thin}。",
                    }
                ]
                if thin
                else []
            ),
        ),
    )


def _independent(study: Study) -> list[Text]:
    """What means and their tests take for granted, if the study has clusters."""
    return (
        [
            {
                "en": f"Means and their tests take respondents of one {study.cluster} as independent: intervals are too narrow, the more "
                "so for a column that is the same for a whole cluster.",
                "zh": f"均值及其检验把同一 {study.cluster} 的受访者视为独立：区间偏窄，若整群取值相同则更甚。",
            }
        ]
        if study.cluster
        else []
    )


def mean_tests(compared: Comparison) -> Result:
    """Every pair of groups on every construct: Welch's t, or Games and Howell's test if there are more than two groups.

    difference is the first less the second; p is Games–Howell's (of two groups Welch's), p_adjusted Holm's over the
    constructs; hedges_g with its 95 % interval.

    Notes
    -----
    Games & Howell (1976), doi:10.3102/10769986001002113; Hedges (1981), doi:10.3102/10769986006002107.
    R: ``t.test(x ~ g)``, ``rstatix::games_howell_test``, ``effectsize::hedges_g`` (its interval is noncentral).
    """
    import pingouin

    if len(compared.groups) < 2:
        return nothing(MEAN_TESTS, compared.why_not or FEW)
    means, parts, flat = _scores(compared), [], []
    for code in means.columns.drop(GROUP):
        own = means[[code, GROUP]].dropna()
        if (own.groupby(GROUP, observed=True)[code].nunique() < 2).any():
            flat.append(code)
            continue
        found = pingouin.pairwise_gameshowell(own, dv=code, between=GROUP, effsize="hedges").assign(
            construct=code
        )
        size = own.groupby(GROUP, observed=True).size()
        counts = [found[side].map(size).astype(int) for side in "AB"]
        ends = [
            pingouin.compute_esci(g, *n, eftype="hedges", decimals=12)
            for g, *n in zip(found["hedges"], *counts, strict=True)
        ]
        parts.append(
            found.assign(
                n=counts[0] + counts[1],
                g_low=[end[0] for end in ends],
                g_high=[end[1] for end in ends],
            )
        )
    columns = {
        "A": "group_a",
        "B": "group_b",
        "diff": "difference",
        "T": "t",
        "pval": "p",
        "hedges": "hedges_g",
    }
    table = (
        pd.concat(parts, ignore_index=True).rename(columns=columns)
        if parts
        else pd.DataFrame(columns=MEAN_TESTS)
    )
    table = table.assign(grouping=compared.column, p_adjusted=holm(table["p"]))[MEAN_TESTS]
    sure = int((table["p_adjusted"] < 0.05).sum())
    notes = (
        [
            {
                "en": f"{', '.join(flat)}: a group gave one answer throughout, so there is no test.",
                "zh": f"{'、'.join(flat)}：有一组的回答完全相同，无法检验。",
            }
        ]
        if flat
        else []
    )
    return Result(
        table,
        {
            "en": f"{sure} of {plural(len(table), 'difference')} of means are clear after Holm's correction.",
            "zh": f"{len(table)} 个均值差异中有 {sure} 个经 Holm 校正后明确。",
        },
        len(means),
        ("Games–Howell" if len(compared.groups) > 2 else "Welch's t") + ", Hedges' g",
        (*_independent(compared.study), *notes),
    )


def moderation(data: pd.DataFrame, study: Study, formulas: str = "") -> Result:
    """Test every declared interaction: does the effect of a driver depend on a moderator?

    Parameters
    ----------
    data : DataFrame
        Cleaned responses.
    study : Study
        Its hypotheses of kind "interaction" are tested.
    formulas : str
        Further ones, separated by ";": "sat100 ~ pc100 * age".

    Returns
    -------
    Result
        id, outcome, driver, moderator, est with interval and p (of the product term; empty for a moderator of more than two
        levels, which has several: then p is of the joint F test), p_adjusted (Holm's), std, d_r2 (what the interaction adds to R²).

    Raises
    ------
    ValueError
        A formula cannot be read, or names something the study does not have.

    Notes
    -----
    Least squares with driver and numeric moderator centred at their means; standard errors robust to clusters (CR1) if the
    study has them, else HC3 (MacKinnon & White 1985, doi:10.1016/0304-4076(85)90158-7).
    R: ``lm(y ~ x * w)`` with ``sandwich::vcovCL`` or ``vcovHC``.
    """
    tested = list(_tested(data, study, formulas))
    if not tested:
        return nothing(
            MODERATION,
            {
                "en": "The study declares no interaction (a hypothesis of kind 'interaction'), so no moderation is tested.",
                "zh": "该研究没有声明交互作用（kind 为 interaction 的假设），因此不检验调节作用。",
            },
        )
    table = pd.DataFrame([found.test for found in tested]).assign(notebook="08_groups", note="")
    table = table.assign(p_adjusted=holm(table["p"])).reindex(columns=MODERATION)
    notes = [note for found in tested for note in found.notes]
    if table["est"].isna().any():
        notes.append(
            {
                "en": "A moderator of more than two levels has several product terms: est is empty, p is of all of them.",
                "zh": "多于两个水平的调节变量有多个乘积项：est 为空，p 为联合检验。",
            }
        )
    sure = table[table["p_adjusted"] < 0.05]
    form = {"en": "{} × {} ({})", "zh": "{} × {}（{}）"}
    listed = {
        lang: [
            words.format(
                _word(study, row.driver, lang),
                _word(study, row.moderator, lang),
                p_text(row.p_adjusted),
            )
            for row in sure.itertuples()
        ]
        for lang, words in form.items()
    }
    verb = "is" if 1 in (len(sure), len(table)) else "are"
    return Result(
        table,
        {
            "en": f"{len(sure)} of {plural(len(table), 'interaction')} {verb} clear after Holm's correction"
            + (f": {'; '.join(listed['en'])}." if len(sure) else "."),
            "zh": f"{len(table)} 个交互作用中有 {len(sure)} 个经 Holm 校正后明确"
            + (f"：{'；'.join(listed['zh'])}。" if len(sure) else "。"),
        },
        int(table["n"].max()),
        f"least squares with product terms, {'cluster-robust (CR1)' if study.cluster else 'HC3'} standard errors",
        together(*notes),
    )


def simple_slopes(data: pd.DataFrame, study: Study, formulas: str = "") -> Result:
    """The slope of each driver where its moderator is low, average and high (mean ± 1 SD), or at each of its levels.

    y_low and y_high: what the model expects of the outcome where the driver is 1 SD below and above its mean.

    Notes
    -----
    Aiken & West (1991), Multiple Regression: Testing and Interpreting Interactions.
    """
    table = pd.concat(
        [pd.DataFrame(columns=SLOPES), *(found.slopes for found in _tested(data, study, formulas))],
        ignore_index=True,
    )
    if not len(table):
        return nothing(
            SLOPES,
            {
                "en": "No interaction is declared, so there are no simple slopes.",
                "zh": "没有声明交互作用，因此没有简单斜率。",
            },
        )
    panels = dict(list(table.groupby(["outcome", "driver", "moderator"], sort=False)))
    outcome, driver, moderator = max(
        panels, key=lambda key: np.ptp(panels[key]["slope"]) / abs(panels[key]["slope"].mean())
    )
    own = panels[outcome, driver, moderator].sort_values("slope")
    low, high = own.iloc[0], own.iloc[-1]
    form = {
        "en": "The slope of {0} on {1} runs from {5} ({2}: {3}) to {6} ({4}).",
        "zh": "{0}对{1}的斜率从 {5}（{2}：{3}）到 {6}（{4}）。",
    }
    text = {
        lang: words.format(
            *(_word(study, name, lang) for name in (driver, outcome, moderator)),
            *(_at(study, moderator, end["at"], lang) for end in (low, high)),
            *(number(end["slope"], 2) for end in (low, high)),
        )
        for lang, words in form.items()
    }
    return Result(table, text, int(table["n"].max()), "simple slopes")


@theme.picture
def plot_slopes(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """One panel an interaction: the expected outcome over the driver, a line for each value of the moderator."""
    from matplotlib import pyplot

    if not len(result.table):
        return blank(result.text, language)
    panels = list(result.table.groupby(["outcome", "driver", "moderator"], sort=False))
    across = min(len(panels), 2)
    down = -(-len(panels) // across)
    figure, axes = pyplot.subplots(down, across, figsize=(5.2 * across, 3.6 * down), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    ticks = {"en": ["−1 SD", "mean", "+1 SD"], "zh": ["−1 SD", "均值", "+1 SD"]}[language]
    for axis, ((outcome, driver, moderator), lines) in zip(axes.flat, panels, strict=False):
        rows = lines.sort_values("y_high")
        low, high = (
            rows[["y_low", "y_high"]].min(axis=None),
            rows[["y_low", "y_high"]].max(axis=None),
        )
        for row, y in zip(
            rows.itertuples(), theme.apart(rows["y_high"], 0.07 * (high - low), high), strict=True
        ):
            axis.plot(
                [-1, 1],
                [row.y_low, row.y_high],
                color=theme.ROLES["service"],
                linewidth=1.8,
                alpha=0.8,
            )
            axis.plot([1, 1.2], [row.y_high, y], color=theme.MUTED, linewidth=0.6)
            axis.annotate(
                f"{_at(study, moderator, row.at, language)}: {number(row.slope, 2)}",
                (1.25, y),
                va="center",
                fontsize=8,
            )
        axis.set(
            xlim=(-1.1, 2.3),
            xlabel=_word(study, driver, language),
            ylabel=_word(study, outcome, language),
        )
        axis.set_xticks([-1, 0, 1], ticks)
        axis.set_title(_word(study, moderator, language), fontsize=10)
    return figure, {
        "en": "What the model expects of the outcome as the driver grows, a line for each value of the moderator (the title) with its "
        f"slope; n up to {result.n_used:,}. Parallel lines: no moderation.",
        "zh": f"驱动变量增大时结果变量的预测值，每条线对应调节变量（标题）的一个取值并标出斜率；n 最多 {result.n_used:,}。平行线表示没有调节。",
    }


def differences(data: pd.DataFrame, study: Study) -> Result:
    """Hypotheses that a score differs between the levels of a column (of kind "differences"): Welch's analysis of variance.

    Notes
    -----
    Welch (1951), doi:10.1093/biomet/38.3-4.330.  R: ``oneway.test(y ~ g)``.
    """
    import pingouin

    rows = []
    for code, hypothesis in study.hypotheses.items():
        if hypothesis.kind == "differences":
            outcome, column = (part.strip() for part in hypothesis.of.split(" by "))
            frame = _within(data, hypothesis.where)
            own = pd.DataFrame({"y": variable(frame, study, outcome), "g": frame[column]}).dropna()
            large = own[own.groupby("g")["y"].transform("size") >= 2]
            f, df, df_error, p = pingouin.welch_anova(large, dv="y", between="g")[
                ["F", "ddof1", "ddof2", "p_unc"]
            ].iloc[0]
            test = f"Welch's F({df:.0f}, {df_error:.0f}) = {f:.2f}"
            rows.append(
                [code, outcome, column, f, df, df_error, p, len(own), test, "08_groups", ""]
            )
    table = pd.DataFrame(rows, columns=DIFFERENCES)
    return Result(
        table,
        {
            "en": f"{plural(len(table), 'hypothesis', 'hypotheses')} about differences between the levels of a column.",
            "zh": f"关于各水平差异的假设共 {len(table)} 个。",
        },
        int(table["n"].max()) if len(table) else 0,
        "Welch's F",
    )


def variable(data: pd.DataFrame, study: Study, name: str) -> pd.Series:
    """A score (0–100, as the study declares it), a construct's mean, or a column as it is.

    Raises
    ------
    ValueError
        The study has none of this name.
    """
    if name not in (*study.scores, *study.constructs, *data):
        raise ValueError(
            f"'{name}' is not a score, construct or column of the study '{study.id}'. Scores: {', '.join(study.scores) or 'none'}; "
            f"constructs: {', '.join(study.constructs)}; columns: {', '.join(study.columns)}."
        )
    if name not in study.scores:
        return scores(data, study)[name] if name in study.constructs else data[name]
    own, parts = scores(data, study), []
    for code in study.scores[name]:
        low, high = study.scale_of(
            code if code in study.items else next(iter(study.constructs[code].items))
        )
        parts.append(100 * ((own[code] if code in own else data[code]) - low) / (high - low))
    return pd.concat(parts, axis=1).mean(axis=1, skipna=False)


class _Regression(NamedTuple):
    """The test of an interaction, its simple slopes, and what to beware of."""

    test: dict
    slopes: pd.DataFrame
    notes: list[Text]


def _tested(data: pd.DataFrame, study: Study, formulas: str) -> Iterator[_Regression]:
    """Every interaction the study declares, then those asked for."""
    declared = [
        (code, h.of, h.where) for code, h in study.hypotheses.items() if h.kind == "interaction"
    ]
    for code, words, condition in declared + [
        ("", words, "") for words in formulas.split(";") if words.strip()
    ]:
        yield _regression(_within(data, condition), study, code, words.strip())


def _within(data: pd.DataFrame, condition: str) -> pd.DataFrame:
    return data[where(data, condition)] if condition else data


def _regression(data: pd.DataFrame, study: Study, code: str, words: str) -> _Regression:
    """Fit y ~ x * w."""
    from statsmodels.api import OLS

    if not (read := FORMULA.fullmatch(words)):
        raise ValueError(
            f"The interaction '{words}' cannot be read. Write 'outcome ~ driver * moderator'."
        )
    outcome, driver, moderator = read.groups()
    frame = pd.DataFrame(
        {role: variable(data, study, name) for role, name in zip("yxw", read.groups(), strict=True)}
    )
    numeric = pd.api.types.is_numeric_dtype
    if not numeric(frame["x"]) and numeric(frame["w"]):
        frame, driver, moderator = frame.rename(columns={"x": "w", "w": "x"}), moderator, driver
    if not (numeric(frame["y"]) and numeric(frame["x"])):
        raise ValueError(
            f"The interaction '{words}' needs an outcome and a driver that are numbers. Only the moderator may be a category."
        )
    if study.cluster:
        frame["cluster"] = data[study.cluster]
    frame, notes = frame.dropna(), []
    declared = study.columns.get(moderator)
    category = not numeric(frame["w"]) or (
        declared is not None and declared.kind in ("category", "flag")
    )
    if category:
        frame["w"] = frame["w"].map(level_of)
        count = frame["w"].value_counts()
        if few := sorted(count.index[count < SMALLEST]):
            notes.append(
                {
                    "en": f"{words}: {', '.join(few)} have fewer than {SMALLEST} respondents and were left out.",
                    "zh": f"{words}：{'、'.join(few)} 不足 {SMALLEST} 人，已剔除。",
                }
            )
        frame = frame[~frame["w"].isin(few)]
        known = list(declared.levels) if declared else []
        at = sorted(
            set(frame["w"]),
            key=lambda level: (known.index(level) if level in known else len(known), level),
        )
        if len(at) < 2:
            raise ValueError(
                f"The moderator '{moderator}' of '{words}' has fewer than two levels with {SMALLEST} respondents."
            )
        w, values, unit = (
            frame["w"].to_numpy()[:, None] == np.array(at[1:]),
            np.eye(len(at))[:, 1:],
            1.0,
        )
    else:
        unit, at = frame["w"].std(), ["-1 SD", "mean", "+1 SD"]
        w, values = (
            (frame["w"] - frame["w"].mean()).to_numpy()[:, None],
            np.array([[-unit], [0.0], [unit]]),
        )
    y, sd, k = frame["y"].to_numpy(float), frame["x"].std(), w.shape[1]
    x = (frame["x"] - frame["x"].mean()).to_numpy(float)[:, None]
    robust = {"cov_type": "HC3"}
    if study.cluster:
        robust = {"cov_type": "cluster", "cov_kwds": {"groups": pd.factorize(frame["cluster"])[0]}}
    fit = OLS(y, _design(x, w)).fit(use_t=True, **robust)
    joint, bare = fit.f_test(np.eye(2 + 2 * k)[-k:]), OLS(y, _design(x, w)[:, :-k]).fit()
    test = {
        "id": code,
        "outcome": outcome,
        "driver": driver,
        "moderator": moderator,
        "p": float(joint.pvalue),
        "d_r2": fit.rsquared - bare.rsquared,
        "df": k,
        "n": len(y),
        "test": f"interaction, F({k}, {joint.df_denom:.0f}) = {float(joint.fvalue):.2f}",
    }
    one = (
        fit.params[-1],
        fit.bse[-1],
        *fit.conf_int()[-1],
        fit.params[-1] * unit * sd / y.std(ddof=1),
    )
    test |= dict(
        zip(("est", "se", "ci_low", "ci_high", "std"), one if k == 1 else [np.nan] * 5, strict=True)
    )
    low, middle, high = (_design(np.full((len(at), 1), place), values) for place in (-sd, 0, sd))
    slope = fit.t_test((high - middle) / sd)
    ends = slope.conf_int()
    return _Regression(
        test,
        pd.DataFrame(
            {
                "outcome": outcome,
                "driver": driver,
                "moderator": moderator,
                "at": at,
                "slope": slope.effect,
                "se": slope.sd.ravel(),
                "ci_low": ends[:, 0],
                "ci_high": ends[:, 1],
                "p": slope.pvalue,
                "y_low": low @ fit.params,
                "y_high": high @ fit.params,
                "n": len(y),
            }
        ),
        notes,
    )


def _design(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Columns of a regression on x, w and their products."""
    return np.column_stack([np.ones(len(x)), x, w, w * x]).astype(float)


def _word(study: Study, name: str, language: str) -> str:
    """The words for a score, construct or column; a score of one construct goes by its name."""
    codes = study.scores.get(name, ())
    return study.name(codes[0], language) if len(codes) == 1 else study.name(name, language)


def _at(study: Study, moderator: str, value: str, language: str) -> str:
    """The words for a value of a moderator."""
    if moderator in study.columns:
        return level_name(study, moderator, value, language)
    return "均值" if value == "mean" and language == "zh" else value


def _scores(compared: Comparison) -> pd.DataFrame:
    """Construct scores of the rows whose group is large enough for means, and the group, in the declared order."""
    rows = compared.data[compared.data[GROUP].isin(compared.groups)]
    level = pd.Categorical(rows[GROUP], compared.groups)
    return scores(rows, compared.study)[compared.study.model_constructs(compared.model)].assign(
        **{GROUP: level}
    )
