"""Are two constructs two?  The heterotrait–monotrait ratio from the items alone, Fornell and Larcker's criterion from a fit.

Every cut-off named here is a convention of its authors, not a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core.absent import stage
from cxlib.core.result import Result
from cxlib.core.words import number, plural
from cxlib.stages.measurement.results import caution, of_fit, with_names
from cxlib.statistics.discriminant import (
    below_diagonal,
    complete,
    fornell_larcker_matrix,
    htmt_matrix,
    indicators,
    resampled_htmt,
)

if TYPE_CHECKING:
    from cxlib.sem import Fit
    from cxlib.study.schema import Study

    Words = dict[str, str]
    Scales = dict[str, list[str]]

HTMT_CONVENTIONS = (0.85, 0.90)
"""Below, for distinct and for related concepts: Henseler et al. (2015), doi:10.1007/s11747-014-0403-8."""


def htmt(data: pd.DataFrame, study: Study, model: str = "main") -> Result:
    """Heterotrait–monotrait ratio of correlations (square, first column construct).

    Henseler, Ringle & Sarstedt (2015), doi:10.1007/s11747-014-0403-8, of the rows complete in all items.

    Empty, with the reason, if the model has fewer than two constructs with items.

    Notes
    -----
    R: ``semTools::htmt(syntax, data, htmt2 = FALSE)`` (absolute correlations).
    """
    rows, scales, notes = _complete(data, study, model)
    if len(scales) < 2:
        return _alone(["construct"], model)
    square = htmt_matrix(rows, scales)
    pairs = below_diagonal(square)
    a, b, value = max(pairs, key=lambda pair: np.nan_to_num(pair[2]))
    gone = caution(
        [f"{a} – {b}" for a, b, v in pairs if np.isnan(v)],
        "Not defined, as the items of a construct do not correlate, hence empty: {}.",
        "某构念的题项互不相关，因而无定义、留空：{}。",
    )
    low, high = (sum(v >= limit for *_, v in pairs) for limit in HTMT_CONVENTIONS)
    text = {
        "en": f"The largest HTMT is {number(value, 2)} ({study.name(a)} and {study.name(b)}). Of {plural(len(pairs), 'pair')}, "
        f"{low} reach .85 and {high} reach .90, the conventions for distinct and for related concepts.",
        "zh": f"最大的 HTMT 是 {number(value, 2)}（{study.name(a, 'zh')}与{study.name(b, 'zh')}）。{len(pairs)} 对中达到 .85 的有 "
        f"{low} 对、达到 .90 的有 {high} 对（概念相异与相近时的惯例）。",
    }
    return Result(
        with_names(square),
        text,
        len(rows),
        "HTMT: absolute correlations, arithmetic means",
        (*notes, *filter(None, [gone])),
    )


def htmt_intervals(
    data: pd.DataFrame,
    study: Study,
    rng: np.random.Generator,
    model: str = "main",
    draws: int = 1000,
) -> Result:
    """HTMT and HTMT2 of every pair (a, b) with percentile bootstrap 95% intervals, from the same draws of respondents (of whole
    clusters, if the study declares them).

    HTMT2 does not assume equal loadings (Roemer, Schuberth & Henseler 2021, doi:10.1108/IMDS-02-2021-0082).

    Parameters
    ----------
    rng : Generator
        Source of the draws; the same state gives the same table.
    draws : int
        How many; a draw in which an item does not vary is left out, and the column draws says so.

    Returns
    -------
    Result
        a, b, htmt, htmt_low, htmt_high, htmt2, htmt2_low, htmt2_high, draws.

    Notes
    -----
    Discriminant validity is supported where the upper end is below the convention (Franke & Sarstedt 2019,
    doi:10.1108/IntR-12-2017-0515).  R: the values are ``semTools::htmt(syntax, data, htmt2 = FALSE)`` and ``TRUE``.
    """
    rows, scales, notes = _complete(data, study, model)
    if len(scales) < 2:
        return _alone(
            [
                "a",
                "b",
                "htmt",
                "htmt_low",
                "htmt_high",
                "htmt2",
                "htmt2_low",
                "htmt2_high",
                "draws",
            ],
            model,
        )
    n = len(rows)
    unit = (
        pd.factorize(data.loc[rows.index, study.cluster], use_na_sentinel=False)[0]
        if study.cluster
        else np.arange(n)
    )
    drawn = resampled_htmt(rows, scales, draws, rng, unit)
    sampled = {"htmt": drawn.htmt, "htmt2": drawn.htmt2}
    table, at = (
        pd.DataFrame(
            [pair[:2] for pair in below_diagonal(htmt_matrix(rows, scales))], columns=["a", "b"]
        ),
        np.tril_indices(len(scales), -1),
    )
    for name, ratios in sampled.items():
        table[name] = htmt_matrix(rows, scales, name == "htmt2").to_numpy()[at]
        table[f"{name}_low"], table[f"{name}_high"] = np.quantile(ratios, [0.025, 0.975], axis=0)[
            :, *at
        ]
    table["draws"] = used = len(drawn.htmt)
    if used < draws:
        notes += (
            {
                "en": f"In {draws - used} of {draws} draws an item did not vary; they were left out.",
                "zh": f"{draws} 次抽样中有 {draws - used} 次某题项没有变异，未计入。",
            },
        )
    if len(gone := table[table.isna().any(axis=1)]):
        pairs = ", ".join(f"{row.a} – {row.b}" for row in gone.itertuples())
        notes += (
            {
                "en": f"Not defined in the sample or in some draw, as the items of a construct do not correlate, hence empty: {pairs}.",
                "zh": f"样本或某次抽样中，某构念的题项互不相关，因而无定义、留空：{pairs}。",
            },
        )
    below = [
        (table[f"{name}_high"] < limit).sum() for name in sampled for limit in HTMT_CONVENTIONS
    ]
    upward = [
        f"{row.a} – {row.b}"
        for row in table.itertuples()
        if row.htmt < row.htmt_low or row.htmt2 < row.htmt2_low
    ]
    if upward:
        notes += (
            {
                "en": f"The interval lies above the estimate for {', '.join(upward)}: correlations near zero lose their sign here, so resamples "
                "scatter upwards. Only the upper end is of use.",
                "zh": f"{'、'.join(upward)} 的区间位于估计值之上：接近零的相关取绝对值后，重抽样值偏高。此时只看区间上限。",
            },
        )
    text = {
        "en": f"Of {plural(len(table), 'pair')} the whole 95% interval of HTMT lies below .85 for {below[0]} and below .90 for "
        f"{below[1]}; that of HTMT2 for {below[2]} and {below[3]}.",
        "zh": f"{len(table)} 对构念中，HTMT 的 95% 区间整个低于 .85 的有 {below[0]} 对，低于 .90 的有 {below[1]} 对；HTMT2 分别为 "
        f"{below[2]} 对和 {below[3]} 对。",
    }
    whole = f" of clusters ({study.cluster})" if study.cluster else ""
    return Result(
        table, text, n, f"HTMT and HTMT2, percentile bootstrap, {used} draws{whole}", notes
    )


@stage
def fornell_larcker(fit: Fit) -> Result:
    """√AVE on the diagonal, correlations of the constructs beside it (square, first column construct).

    Notes
    -----
    Criterion: √AVE exceeds every correlation in its row, doi:10.1177/002224378101800104.
    R: ``sqrt(AVE)`` as in :func:`validity`; ``lavaan::lavInspect(fit, "cor.lv")``.
    """
    square, own = fornell_larcker_matrix(fit), indicators(fit)
    failed = [
        f"{a} – {b} ({number(r, 2)})"
        for a, b, r in below_diagonal(square)
        if abs(r) > np.fmin(square.loc[a, a], square.loc[b, b])
        and a not in own[b]
        and b not in own[a]
    ]
    text = {
        "en": f"The correlation exceeds √AVE for {plural(len(failed), 'pair')}: {', '.join(failed)}."
        if failed
        else "Every √AVE exceeds the correlations of its construct.",
        "zh": f"有 {len(failed)} 对构念的相关大于 √AVE：{'、'.join(failed)}。"
        if failed
        else "每个构念的 √AVE 都大于它与其他构念的相关。",
    }
    if second := [c for c in own if set(own[c]) & set(own)]:
        text = {
            "en": f"{text['en']} {', '.join(second)} with its own parts is not counted: they are meant to go together.",
            "zh": f"{text['zh']}{'、'.join(second)} 与其下属构念本应相关，不计在内。",
        }
    one = caution(
        [c for c in own if len(own[c]) == 1],
        "{} has one item, hence no AVE.",
        "{} 只有一个题项，没有 AVE。",
    )
    return of_fit(
        fit,
        with_names(square),
        text,
        "√AVE (standardised loadings), model-implied correlations",
        [one],
    )


def _alone(columns: list[str], model: str) -> Result:
    """The empty result of a model without two constructs to compare."""
    text = {
        "en": f"HTMT compares constructs, and model '{model}' has no two with items: there is nothing to compare.",
        "zh": f"HTMT 用于比较构念，而模型“{model}”中没有两个带题项的构念：无从比较。",
    }
    return Result(pd.DataFrame(columns=columns), text, 0, "not computed", (text,))


def _complete(
    data: pd.DataFrame, study: Study, model: str
) -> tuple[pd.DataFrame, Scales, tuple[Words, ...]]:
    """Rows complete in the items of a model, its scales, and what a reader must know of both."""
    codes = study.model_constructs(model)
    scales = {code: own for code, own in study.scales.items() if code in codes}
    rows = complete(data, scales)
    lost, r = len(data) - len(rows), rows.corr()
    turned = [
        x
        for own in scales.values()
        for x in own
        if len(own) > 1 and r.loc[x, own].drop(x).mean() < 0
    ]
    notes = (
        caution(
            [str(lost)] if lost else [],
            f"{{}} of {len(data)} rows have a missing item and were left out (listwise).",
            f"{len(data)} 行中有 {{}} 行缺失题项，已整行剔除。",
        ),
        caution(
            [c for c in scales if len(scales[c]) == 1],
            "{} has one item, which HTMT takes as perfectly reliable.",
            "{} 只有一个题项，HTMT 把它当作完全可靠。",
        ),
        caution(
            [c for c in codes if c not in scales],
            "{} is of second order, without items of its own: left out.",
            "{} 是二阶构念，没有自己的题项，未计入。",
        ),
        caution(
            turned,
            "{} goes against the other items of its construct, which absolute correlations hide: check the reverse "
            "coding.",
            "{} 与本构念其他题项方向相反，而 HTMT 取绝对值会掩盖这一点：请检查反向计分。",
        ),
    )
    return rows, scales, tuple(note for note in notes if note)
