"""What drives an outcome: how much each of several correlated predictors contributes to what they explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.absent import stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Result, Text
from cxlib.core.words import number
from cxlib.sem import parse, paths
from cxlib.statistics.importance import relative_weights, resampled_weights
from cxlib.statistics.scores import scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study


def drivers(
    data: pd.DataFrame,
    study: Study,
    rng: np.random.Generator,
    n_boot: int = 2000,
    *,
    outcome: str = "",
    predictors: Sequence[str] = (),
    model: str = "main",
) -> Result:
    """Relative importance of what drives an outcome: Johnson's weights of construct scores (item means).

    Parameters
    ----------
    data, study :
        Cleaned responses, one row a respondent, and their study.
    rng : numpy Generator
        For the bootstrap.
    n_boot : int
        Bootstrap samples (of whole clusters, if the study declares them).
    outcome : str
        A construct or numeric column; by default the satisfaction that has most direct predictors in the
        model, else the construct that has.
    predictors : sequence of str
        By default the outcome's direct predictors in the model.

    Returns
    -------
    Result
        outcome, predictor, weight (they add up to R²) with its 95% percentile interval, share of R², rank, and
        rank_1 … rank_k: the share of bootstrap samples in which the predictor took that rank.  Empty, with the reason,
        if no outcome is named and the model has no path.

    Notes
    -----
    See :func:`cxlib.statistics.importance.relative_weights`.  Weights share out what observed scores explain; they are
    no causal effects, and measurement error makes them smaller.
    """
    causes = paths.predictors(parse(study.syntax(model)))
    if not (outcome or causes):
        text = {
            "en": f"Model '{model}' has no path, so nothing drives anything in it.",
            "zh": f"模型“{model}”没有路径，其中没有驱动关系。",
        }
        return Result(
            pd.DataFrame(
                columns=["outcome", "predictor", "weight", "ci_low", "ci_high", "share", "rank"]
            ),
            text,
            0,
            "not computed",
            (text,),
        )
    if not outcome:
        outcome = max(
            causes,
            key=lambda code: (
                code in study.constructs and study.role(code) == "satisfaction",
                len(causes[code]),
            ),
        )
    if outcome not in study.constructs and outcome not in data.columns:
        raise Impossible(
            f"'{outcome}' is neither a construct nor a column. Constructs: {', '.join(study.constructs)}.",
            f"“{outcome}”既不是构念也不是列。构念有：{'、'.join(study.constructs)}。",
        )
    names = list(predictors) or causes.get(outcome, [])
    if not names:
        raise Impossible(
            f"Model '{model}' has no path into '{outcome}'. Give predictors=[…], or another outcome.",
            f"模型“{model}”中没有指向“{outcome}”的路径。请给出 predictors=[…]，或换一个结果变量。",
        )
    means = scores(data, study, most_missing=0)
    frame = pd.DataFrame(
        {
            name: means[name] if name in means else data[name].astype(float)
            for name in (*names, outcome)
        }
    )
    complete = frame.dropna()
    if flat := [name for name in frame if complete[name].nunique() < 2]:
        raise Impossible(
            f"The scores of {', '.join(flat)} do not vary, so importance is not defined. Leave them out.",
            f"{'、'.join(flat)} 的得分没有变异，无法定义重要性。请将其去掉。",
        )
    if len(complete) <= len(names) + 1:
        raise Impossible(
            f"{len(complete)} respondents have all {len(names) + 1} scores; importance needs more than {len(names) + 1}. "
            "Ask more people, or give fewer predictors.",
            f"只有 {len(complete)} 名受访者具备全部 {len(names) + 1} 个得分；计算重要性须多于 {len(names) + 1} 名。请增加受访者或减少预测变量。",
        )
    weight = relative_weights(complete[names], complete[outcome])
    drawn = resampled_weights(
        complete[names],
        complete[outcome],
        n_boot,
        rng,
        data.loc[complete.index, study.cluster] if study.cluster else None,
    )
    if not len(drawn):
        raise Impossible(
            f"In no bootstrap sample of {len(complete)} respondents do all scores vary, so importance has no intervals. "
            "Ask more people.",
            f"{len(complete)} 名受访者的所有自助样本中得分都不全有变异，重要性没有区间。请增加受访者。",
        )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    place = (-drawn).argsort(axis=1).argsort(axis=1)
    table = pd.DataFrame(
        {
            "outcome": outcome,
            "predictor": names,
            "weight": weight.to_numpy(),
            "ci_low": low,
            "ci_high": high,
        }
    )
    table["share"] = table["weight"] / table["weight"].sum()
    table["rank"] = table["weight"].rank(ascending=False, method="first").astype(int)
    for rank in range(len(names)):
        table[f"rank_{rank + 1}"] = (place == rank).mean(axis=0)
    table = table.sort_values("rank", kind="stable").reset_index(drop=True)
    lost, top, r_square = len(frame) - len(complete), table.iloc[0], number(weight.sum(), 2)
    notes = [
        {
            "en": f"{lost} respondents with a missing score were left out.",
            "zh": f"剔除了 {lost} 名得分缺失的受访者。",
        }
    ]
    share, first = f"{top['share'] * 100:.0f}%", f"{top['rank_1'] * 100:.0f}%"
    flat_draws = [
        {
            "en": f"{n_boot - len(drawn)} of {n_boot} bootstrap samples were left out, because a score did not vary in them or followed from the others.",
            "zh": f"{n_boot} 个自助样本中有 {n_boot - len(drawn)} 个因得分没有变异或可由其他得分推出而未计入。",
        }
    ] * (len(drawn) < n_boot)
    best, of = (
        {lang: study.name(code, lang) for lang in ("en", "zh")}
        for code in (top["predictor"], outcome)
    )
    return Result(
        table,
        {
            "en": f"{best['en']} matters most for {of['en']}: {share} of the explained variance (R² {r_square}), first in {first} of "
            "the bootstrap samples.",
            "zh": f"对{of['zh']}最重要的是{best['zh']}：占解释方差的 {share}（R² {r_square}），在 {first} 的重抽样中居首。",
        }
        if len(names) > 1
        else {
            "en": f"{best['en']} is the only driver of {of['en']} in the model: there is nothing to rank (R² {r_square}).",
            "zh": f"{best['zh']}是模型中{of['zh']}的唯一驱动因素：无从排序（R² {r_square}）。",
        },
        len(complete),
        f"Johnson's relative weights of item means; percentile intervals of {n_boot:,} bootstrap samples",
        tuple([*notes[: bool(lost)], *flat_draws]),
    )


@stage
@theme.picture
def plot_drivers(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Bars of the relative weights with their intervals and the share of samples in which each ranks first."""
    from matplotlib import pyplot

    table = result.table
    if table.empty:
        return theme.blank(result.text, language)
    outcome = table["outcome"].iloc[0]
    figure, axes = pyplot.subplots(figsize=(7.5, 1.0 + 0.45 * len(table)))
    for place, row in enumerate(table.itertuples()):
        colour = (
            theme.ROLES[study.role(row.predictor)]
            if row.predictor in study.constructs
            else theme.MUTED
        )
        axes.barh(place, row.weight, color=colour, height=0.6)
        axes.plot([row.ci_low, row.ci_high], [place, place], color=theme.INK, linewidth=1.5)
        first = {
            "en": f"{row.share * 100:.0f}%; first in {row.rank_1 * 100:.0f}%",
            "zh": f"{row.share * 100:.0f}%；{row.rank_1 * 100:.0f}% 居首",
        }[language]
        axes.annotate(
            first if len(table) > 1 else number(row.weight, 2),
            (row.ci_high, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(table)), [study.name(name, language) for name in table["predictor"]])
    axes.invert_yaxis()
    axes.set_xlim(0, table["ci_high"].max() * 1.35)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(
        {"en": "relative weight (part of R²)", "zh": "相对权重（R² 的组成部分）"}[language]
    )
    beside = (
        (
            "; beside each bar its share of the explained variance and how often it ranks first",
            "；条旁为其占解释方差的份额，以及居首的频率",
        )
        if len(table) > 1
        else ("", "")
    )
    return figure, {
        "en": f"What drives {study.name(outcome, 'en')}: relative weights with 95% bootstrap intervals, n = {result.n_used:,}{beside[0]}.",
        "zh": f"{study.name(outcome, 'zh')}的驱动因素：相对权重及 95% 自助区间，n = {result.n_used:,}{beside[1]}。",
    }
