"""Are two constructs two?  The heterotrait–monotrait ratio from the items alone, Fornell and Larcker's criterion from a fit.

Every cut-off named here is a convention of its authors, not a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core.absent import stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Result, relied
from cxlib.core.words import number, plural

if TYPE_CHECKING:
    from cxlib.sem import Fit
    from cxlib.study.schema import Study

    Words = dict[str, str]
    Scales = dict[str, list[str]]

HTMT_CONVENTIONS = (0.85, 0.90)
"""Below, for distinct and for related concepts: Henseler et al. (2015), doi:10.1007/s11747-014-0403-8."""


def htmt_matrix(data: pd.DataFrame, scales: Scales, geometric: bool = False) -> pd.DataFrame:
    """HTMT of every two constructs from the items alone; rows with a missing item are left out.

    The mean absolute correlation between the items of two constructs, over the geometric mean of the two mean
    correlations within; `geometric` takes geometric means throughout (HTMT2).

    Raises
    ------
    ValueError
        If an item is not a column of the data or has the same answer in every complete row.

    Notes
    -----
    A single item counts as perfectly reliable.  R: ``semTools::htmt(syntax, data, htmt2 = geometric)``.
    """
    r = _rows(data, scales).corr().to_numpy()
    return pd.DataFrame(_ratios(r, scales, geometric), list(scales), list(scales))


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
    z = ((rows - rows.mean()) / rows.std(ddof=0)).to_numpy()
    n, (i, j) = len(z), np.triu_indices(z.shape[1])
    unit = (
        pd.factorize(data.loc[rows.index, study.cluster], use_na_sentinel=False)[0]
        if study.cluster
        else np.arange(n)
    )
    sums = (
        pd.DataFrame(np.hstack([np.ones((n, 1)), z, z[:, i] * z[:, j]]))
        .groupby(unit)
        .sum()
        .to_numpy()
    )
    units, sampled = len(sums), {"htmt": [], "htmt2": []}
    for size in [250] * (draws // 250) + [draws % 250]:
        drawn = rng.multinomial(units, np.full(units, 1 / units), size=size) @ sums
        moments = drawn[:, 1:] / drawn[:, :1]
        cov = np.empty((size, z.shape[1], z.shape[1]))
        cov[:, i, j] = cov[:, j, i] = moments[:, z.shape[1] :] - moments[:, i] * moments[:, j]
        variance = np.einsum("rii->ri", cov)
        varies = (variance > 1e-12).all(axis=1)
        sd = np.sqrt(variance[varies])
        for name, ratios in sampled.items():
            ratios.append(
                _ratios(cov[varies] / (sd[:, :, None] * sd[:, None, :]), scales, name == "htmt2")
            )
    table, at = (
        pd.DataFrame(
            [pair[:2] for pair in below_diagonal(htmt_matrix(rows, scales))], columns=["a", "b"]
        ),
        np.tril_indices(len(scales), -1),
    )
    for name, ratios in sampled.items():
        table[name] = htmt_matrix(rows, scales, name == "htmt2").to_numpy()[at]
        table[f"{name}_low"], table[f"{name}_high"] = np.quantile(
            np.concatenate(ratios), [0.025, 0.975], axis=0
        )[:, *at]
    table["draws"] = used = sum(map(len, sampled["htmt"]))
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
    square, own, root = latent_correlations(fit), indicators(fit), np.sqrt(convergent(fit)["ave"])
    failed = [
        f"{a} – {b} ({number(r, 2)})"
        for a, b, r in below_diagonal(square)
        if abs(r) > np.fmin(root[a], root[b]) and a not in own[b] and b not in own[a]
    ]
    for code in square:
        square.loc[code, code] = root[code]
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


def caution(codes: list[str], en: str, zh: str) -> Words | None:
    """A warning about some constructs, None if there are none."""
    return {"en": en.format(", ".join(codes)), "zh": zh.format("、".join(codes))} if codes else None


def with_names(matrix: pd.DataFrame, first: str = "construct") -> pd.DataFrame:
    """A matrix with its row names as first column."""
    return matrix.rename_axis(index=first, columns=None).reset_index()


def below_diagonal(matrix: pd.DataFrame) -> list[tuple[str, str, float]]:
    """The entries below the diagonal with their names."""
    names = list(matrix)
    return [(b, a, float(matrix.loc[a, b])) for i, a in enumerate(names) for b in names[:i]]


def of_fit(
    fit: Fit, table: pd.DataFrame, text: Words, method: str, notes: list[Words | None] | None = None
) -> Result:
    """A result that says above its numbers what is wrong with the fit."""
    return Result(
        table,
        relied(text, fit.trustworthy),
        fit.n_used,
        method,
        (*fit.warnings, *filter(None, notes or [])),
    )


def scaled(cov: pd.DataFrame) -> pd.DataFrame:
    """Correlations of covariances, NaN where a variance is negative."""
    with np.errstate(invalid="ignore"):
        sd = np.sqrt(np.diag(cov))
    return cov / np.outer(sd, sd)


def indicators(fit: Fit) -> Scales:
    """The direct indicators of each construct; a construct observed without error is its own."""
    loads = fit.model.table[fit.model.table["op"] == "=~"]
    return {
        code: list(loads.loc[loads["lhs"] == code, "rhs"]) or [code] for code in fit.model.state
    }


def items_of(code: str, own: Scales) -> list[str]:
    """All items of a construct, through its first-order constructs."""
    return [
        item for x in own[code] for item in (items_of(x, own) if x in own and x != code else [x])
    ]


def latent_correlations(fit: Fit) -> pd.DataFrame:
    """Model-implied correlations of the constructs."""
    state = list(fit.model.state)
    return scaled(pd.DataFrame(fit.discrepancy().point(fit.theta, 0).phi, state, state))


def convergent(fit: Fit) -> pd.DataFrame:
    """omega, cr and ave of each construct (rows); NaN for a single item."""
    own, observed, state = indicators(fit), list(fit.model.observed), list(fit.model.state)
    at = fit.discrepancy().point(fit.theta, 0)
    total = pd.DataFrame(at.d[:, len(observed) : len(observed) + len(state)], observed, state)
    sigma, phi = pd.DataFrame(at.sigma, observed, observed), pd.DataFrame(at.phi, state, state)
    std = fit.parameters[fit.parameters["op"] == "=~"].set_index(["lhs", "rhs"])["std"]
    out = pd.DataFrame(np.nan, list(own), ["omega", "cr", "ave"])
    for code in (c for c in own if len(own[c]) > 1):
        items, among = items_of(code, own), phi if own[code][0] in state else sigma
        whole = total.loc[items, code].sum() ** 2 * phi.loc[code, code]
        out.loc[code] = (
            whole / sigma.loc[items, items].to_numpy().sum(),
            std[code].to_numpy().sum() ** 2
            / scaled(among.loc[own[code], own[code]]).to_numpy().sum(),
            (std[code].to_numpy() ** 2).mean(),
        )
    return out


def _ratios(r: np.ndarray, scales: Scales, geometric: bool) -> np.ndarray:
    """HTMT of correlations, (…, p, p) → (…, k, k)."""
    members = np.repeat(np.eye(len(scales)), [len(own) for own in scales.values()], axis=0)
    size = members.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = members.T @ (np.log(np.abs(r)) if geometric else np.abs(r)) @ members
        within = (np.einsum("...kk->...k", sums) - (0 if geometric else size)) / (size * (size - 1))
        within = np.where(size == 1, 0 if geometric else 1, within)
        between = sums / np.outer(size, size)
        if geometric:
            between, within = np.exp(between), np.exp(within)
        out = between / np.sqrt(within[..., :, None] * within[..., None, :])
    out[~np.isfinite(out)] = np.nan  # items of a construct that do not correlate
    out[..., range(len(size)), range(len(size))] = 1.0
    return out


def _rows(data: pd.DataFrame, scales: Scales) -> pd.DataFrame:
    """The rows complete in all items, as numbers."""
    items = [item for own in scales.values() for item in own]
    if absent := [item for item in items if item not in data]:
        raise ValueError(
            f"{', '.join(absent)}: not in data=. Its columns are {', '.join(map(str, data.columns[:20]))}."
        )
    rows = data[items].dropna().astype(float)
    if still := list(rows.columns[rows.nunique() < 2]):
        raise Impossible(
            f"{', '.join(still)}: no variation in the {len(rows)} rows complete in all items, hence no correlation. "
            "Leave the item out, or keep more rows.",
            f"{'、'.join(still)}：在 {len(rows)} 个完整行中没有变异，因而没有相关。请去掉该题项，或保留更多行。",
        )
    return rows


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
    rows = _rows(data, scales)
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
