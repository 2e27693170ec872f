"""Could one common method, or one mood, have made the correlations?  Harman, a single factor, a method factor, a marker.

None of these is a test that method variance is absent; each says how much there could be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core.absent import stage
from cxlib.core.result import Result
from cxlib.core.words import number, p_text
from cxlib.stages.measurement.results import caution, of_fit
from cxlib.statistics.common_method import difference, fitted_to_moments, marker, rivals
from cxlib.statistics.discriminant import below_diagonal, indicators, latent_correlations

if TYPE_CHECKING:
    from cxlib.sem import Fit
    from cxlib.study.schema import Study

    Words = dict[str, str]
    Checks = dict[str, dict[str, float]]

NO_MARKER = {
    "en": "The study declares no marker, a question that has nothing to do with any construct: with a line "
    "'marker: <item, construct or number column>' in the study file, the correlations are also shown with its share taken out.",
    "zh": "研究没有声明标记变量（与各构念在理论上无关的题目）：在研究文件中加一行“marker: <题项、构念或数值列>”，即可同时给出扣除其影响后的相关。",
}


@stage
def method_bias(fit: Fit, data: pd.DataFrame | None = None, study: Study | None = None) -> Result:
    """Could one common method have made the correlations?  (columns check, statistic, value; empty if `fit` has no df)

    - harman_pca, harman_factor: share of the items' variance on the first unrotated principal component,
      and on a single maximum-likelihood factor (mean squared loading).
    - one_factor: a single factor for all items against `fit`.
    - method_factor: `fit` with one more, uncorrelated factor on which all standardised items load equally;
      share is its part of an item's variance, with a Wald interval.
    - marker, if the study declares one: its two lowest correlations with a construct's mean score, in size (r_lowest,
      r_second); how many of the correlations between constructs (pairs) are significant at .05, and how many
      still are when r_second, r_s, is partialled out: r' = (r − r_s)/(1 − r_s), t = r'√((n−3)/(1−r'²)).
    - marker_factor: Method-C, in which all standardised items load equally on the marker too, against the baseline,
      in which they do not; in both, the marker's own part is fixed at what the model with a free marker gives, and it is
      uncorrelated with the constructs.  loading is the common loading for a marker of variance 1, largest_change that
      of a correlation between constructs.

    Parameters
    ----------
    fit : Fit
        The measurement model.
    data, study : DataFrame, Study
        The responses it was fitted to and the study that declares the marker; without them no marker is looked for.

    Notes
    -----
    Podsakoff et al. (2003), doi:10.1037/0021-9010.88.5.879; marker: Lindell & Whitney (2001),
    doi:10.1037/0021-9010.86.1.114; marker_factor: Williams, Hartman & Cavazotte (2010), doi:10.1177/1094428110366036.
    A small Harman share does not exclude method variance, and a method factor cannot be told from a general factor of
    content.  The rivals are fitted by maximum likelihood whatever estimator `fit` used, and then `fit` is too.

    R: ``eigen(cor(items))``; ``lavaan::cfa`` with one factor; ``lavaan::cfa`` on ``scale(items)`` with
    ``METHOD =~ 1*x1 + 1*x2 + …`` and ``METHOD ~~ 0*`` every construct; for the marker tests/reference/marker.R.
    """
    if fit.df < 1:
        text = {
            "en": "The measurement model has no degree of freedom: nothing is left that could tell a common method from the constructs.",
            "zh": "测量模型的自由度为 0：没有余下的信息可用来区分共同方法与构念。",
        }
        return Result(
            pd.DataFrame(columns=["check", "statistic", "value"]),
            text,
            fit.n_used,
            "not computed",
            (text,),
        )
    own, found = indicators(fit), rivals(fit)
    one, common, share = found.single, found.common, found.share
    component, factor = found.component, found.factor
    versus = difference(one, found.base)
    statistics, marked, unsound = _marker(fit, data, study)
    checks = {
        "harman_pca": {"share": component},
        "harman_factor": {"share": factor},
        "one_factor": versus,
        "method_factor": dict(zip(("share", "share_low", "share_high"), share, strict=True))
        | difference(found.base, common),
        **statistics,
    }
    table = pd.DataFrame(
        [
            (check, statistic, value)
            for check, values in checks.items()
            for statistic, value in values.items()
        ],
        columns=["check", "statistic", "value"],
    )
    other = fit.estimator if fit.missing not in ("fiml", "mi") else fit.missing.upper()
    after = latent_correlations(common)
    turned = [
        f"{a} – {b}"
        for a, b, value in below_diagonal(latent_correlations(fit))
        if value > 0 > after.loc[a, b]
    ]
    notes = [
        {"en": f"{en}: {w['en']}", "zh": f"{zh}：{w['zh']}"}
        for rival, en, zh in (
            (one, "Single factor", "单因子模型"),
            (common, "Model with the method factor", "含方法因子的模型"),
        )
        for w in rival.warnings
    ]
    notes += [
        *unsound,
        caution(
            [] if fit.estimator == "ML" and fitted_to_moments(fit) else [other],
            "All models compared here are fitted by maximum likelihood, "
            "not by {}: the shares are comparable, the χ² differences are uncorrected and therefore rough.",
            "此处比较的模型一律用极大似然拟合，而非 {}：比例可以比较，χ² 之差未经校正，只可粗略参考。",
        ),
        caution(
            list(own) if len(own) == 1 else [],
            "{} is the only construct: a single factor is the model itself.",
            "只有 {} 一个构念：单因子模型就是本模型。",
        ),
        caution(
            ["0"] if share[0] < 0 else [],
            "The method factor's variance is estimated below zero: read its share as {}.",
            "方法因子的方差估计值小于零：其比例应视为 {}。",
        ),
        caution(
            turned,
            "With the method factor these positive correlations turn negative: {}. It takes up what the "
            "constructs truly share, so its share is an upper bound.",
            "加入方法因子后，这些正相关变为负：{}。它吸收了构念之间的实质共性，其比例只是上限。",
        ),
    ]
    interval = (
        f"{number(100 * share[0], 1)}% [{number(100 * share[1], 1)}, {number(100 * share[2], 1)}]"
    )
    if common.trustworthy:
        method = {
            "en": f"A method factor common to all items would hold {interval} of an item's variance.",
            "zh": f"所有题项共有的方法因子约占题项方差的 {interval}。",
        }
    elif share[0] < 0:
        method = {
            "en": "A method factor common to all items finds no variance of its own.",
            "zh": "所有题项共有的方法因子没有自己的方差。",
        }
    else:
        method = {
            "en": "These data cannot separate a method factor from the constructs: it has no admissible solution.",
            "zh": "这些数据无法把方法因子与构念分开：它没有可接受的解。",
        }
    worse = versus["d_p"] < 0.05
    return of_fit(
        fit,
        table,
        {
            "en": f"The first component holds {component:.0%} and a single factor {factor:.0%} of the items' variance (Harman; under 50% "
            f"by convention). One factor for all items fits {'worse' if worse else 'no worse'} than the model, {_said(versus)}. "
            f"{method['en']} {marked['en']}",
            "zh": f"第一主成分占题项方差的 {component:.0%}，单一公因子占 {factor:.0%}（Harman 检验，惯例为低于 50%）。所有题项只用一个因子，拟合"
            f"{'差于' if worse else '不差于'}本模型，{_said(versus)}。{method['zh']}{marked['zh']}",
        },
        "Harman (principal component, ML factor), single-factor CFA, orthogonal method factor with equal loadings"
        + ", marker (partial correlations; CFA, Method-C)" * bool(statistics),
        notes,
    )


def _marker(
    fit: Fit, data: pd.DataFrame | None, study: Study | None
) -> tuple[Checks, Words, list[Words]]:
    """The statistics of the study's marker, what they say, and what a reader must know."""
    if study is None or data is None or not study.marker:
        return {}, NO_MARKER, []
    own, code, whole = indicators(fit), study.marker, study.marker in study.constructs
    items = list(study.constructs[code].items) if whole else [code]
    scales = {c: x for c, x in own.items() if set(x) <= set(fit.model.observed)}
    if set(items) & set(fit.model.observed) or len(scales) < 2:
        return (
            {},
            {
                "en": f"The marker {code} belongs to this model, or the model has one construct only: it is not used.",
                "zh": f"标记变量 {code} 属于本模型，或模型只有一个构念：未使用。",
            },
            [],
        )
    rows = data[[*fit.model.observed, *items]].dropna().astype(float)
    found = marker(rows, fit, items, scales)
    low, second, counted = (
        found.correlations["r_lowest"],
        found.correlations["r_second"],
        found.correlations["pairs"],
    )
    counts = [found.correlations["significant"], found.correlations["significant_adjusted"]]
    change, moved = found.factor, found.factor["largest_change"]
    table = {"marker": found.correlations, "marker_factor": found.factor}
    bad = [w for rival in found.fits if not rival.trustworthy for w in rival.warnings]
    notes = [{"en": f"Marker model: {w['en']}", "zh": f"标记变量模型：{w['zh']}"} for w in bad] + [
        w
        for w in [
            caution(
                [code] if len(items) == 1 else [],
                "The marker {} is one question, taken as free of error.",
                "标记变量 {} 只有一题，视为没有误差。",
            )
        ]
        if w
    ]
    verdict = change["d_p"] < 0.05
    return (
        table,
        {
            "en": f"The marker {study.name(code) if whole else code} correlates {number(low, 2)} and {number(second, 2)} with the two constructs it goes least "
            f"with; with the latter taken out, {counts[1]} of {counts[0]} significant correlations (of {counted}) stay so (Lindell "
            f"and Whitney 2001). Letting it act on all items {'improves' if verdict else 'does not improve'} fit, {_said(change)} "
            f"(Williams et al. 2010); no correlation between constructs changes by more than {number(moved, 2)}.",
            "zh": f"标记变量“{study.name(code, 'zh') if whole else code}”与关系最弱的两个构念相关 {number(low, 2)} 和 {number(second, 2)}；扣除后者，{counted} 个相关中"
            f"原本显著的 {counts[0]} 个仍有 {counts[1]} 个显著（Lindell 与 Whitney，2001）。让它作用于所有题项，拟合{'有' if verdict else '没有'}改善，"
            f"{_said(change)}（Williams 等，2010）；构念间相关的变化不超过 {number(moved, 2)}。",
        },
        notes,
    )


def _said(change: dict[str, float]) -> str:
    """A difference of χ² in the notation both languages share."""
    return f"Δχ²({change['d_df']:.0f}) = {number(change['d_chisq'], 1)}, {p_text(change['d_p'])}"
