"""Stage 05, the measurement model: do the items measure the constructs they are said to measure?

A confirmatory factor model, the validity of its constructs, and whether one common method could have made
the correlations.  Every cut-off named here is a convention of its authors, not a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.absent import stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Result
from cxlib.core.words import joined, number, p_text, plural
from cxlib.diagram import forests
from cxlib.sem.result import Z95
from cxlib.stages.measurement.common_method import method_bias
from cxlib.stages.measurement.discriminant import fornell_larcker
from cxlib.stages.measurement.results import caution, of_fit, with_names
from cxlib.statistics.discriminant import (
    below_diagonal,
    convergent_and_discriminant,
    first_order,
    indicators,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.sem import Fit
    from cxlib.study.schema import Study

    Words = dict[str, str]

__all__ = [
    "cfa",
    "fit_table",
    "fornell_larcker",
    "loadings",
    "method_bias",
    "modification",
    "parameters",
    "plot_loadings",
    "plot_residuals",
    "residuals",
    "validity",
]
FIT_CONVENTIONS = {"cfi": 0.95, "rmsea": 0.06, "srmr": 0.08}
"""At least, at most, at most: Hu & Bentler (1999), doi:10.1080/10705519909540118."""
VALIDITY_CONVENTIONS = {"cr": 0.70, "ave": 0.50}
"""At least: Fornell & Larcker (1981), doi:10.1177/002224378101800104."""


@stage
def cfa(
    data: pd.DataFrame,
    study: Study,
    model: str = "main",
    estimator: str = "ML",
    missing: str = "listwise",
    rng: np.random.Generator | None = None,
) -> Fit:
    """Fit the measurement part of a model: every construct by its items, all constructs correlated.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses, one row a respondent.
    study : Study
        Names the constructs and their items.
    model : str
        Which of the study's models; only the constructs it names enter.
    estimator, missing, rng :
        As in :func:`cxlib.sem.fit`: "ML", "MLR" or "WLSMV"; "listwise", "fiml", "mi" (with rng) or "pairwise".

    Raises
    ------
    Impossible
        The model names no construct of several items.
    ValueError
        There is no such estimator.

    Notes
    -----
    A construct of one item enters as that item, taken as free of error.  R: ``lavaan::cfa(syntax, data)``.
    """
    parts = {
        c: study.constructs[c].of or tuple(study.constructs[c].items)
        for c in study.model_constructs(model)
    }
    latent = [code for code, own in parts.items() if own != (code,)]
    if not any(len(own) > 1 for own in parts.values()):
        codes = ", ".join(study.constructs)
        raise Impossible(
            f"Model '{model}' of study '{study.id}' names no construct with two or more items, so there is "
            f"nothing to measure. Name some of these in it: {codes}.",
            f"研究“{study.id}”的模型“{model}”中没有两题及以上的构念，因此无可测量。可在模型中使用：{codes}。",
        )
    alone = [code for code in parts if code not in latent]
    observed = [f"{code} ~~ " + " + ".join([*latent, *alone[:at]]) for at, code in enumerate(alone)]
    return sem.fit(
        data,
        "\n".join([study.measurement(model), *observed]),
        estimator=estimator,
        missing=missing,
        rng=rng,
        cluster=study.cluster or None,
    )


@stage
def fit_table(fit: Fit) -> Result:
    """How well the model reproduces the covariances (columns measure, value).

    The sentence speaks of the scaled χ² and the robust indices if the estimator is robust.

    Notes
    -----
    R: ``lavaan::fitMeasures(fit)``.
    """
    table = sem.fit_measures(fit)
    value, scaled = sem.reported(table), fit.estimator != "ML"
    failed = [
        m.upper()
        for m, limit in FIT_CONVENTIONS.items()
        if not (value[m] >= limit if m == "cfi" else value[m] <= limit)
    ]
    said = (
        f"χ²({value['df']:.0f}) = {number(value['chisq'], 2)}, {p_text(value['pvalue'])}; CFI {number(value['cfi'])}, "
        f"RMSEA {number(value['rmsea'])} [{number(value['rmsea_ci_lower'])}, {number(value['rmsea_ci_upper'])}; RMSEA ≤ .05: "
        f"{p_text(value['rmsea_pvalue'])}], SRMR {number(value['srmr'])}"
    )
    met = {
        "en": f"not met: {', '.join(failed)}" if failed else "all three are met",
        "zh": f"未达到：{'、'.join(failed)}" if failed else "三项都达到",
    }
    return of_fit(
        fit,
        table,
        {
            "en": f"{said}{' (χ² scaled, CFI and RMSEA robust)' if scaled else ''}. Conventions of Hu and Bentler (1999), CFI ≥ .95, RMSEA ≤ .06, SRMR ≤ .08: {met['en']}.",
            "zh": f"{said}{'（χ² 经校正，CFI 与 RMSEA 为稳健值）' if scaled else ''}。Hu 与 Bentler（1999）的惯例 CFI ≥ .95、RMSEA ≤ .06、SRMR ≤ .08：{met['zh']}。",
        },
        fit.method,
    )


@stage
def parameters(fit: Fit) -> Result:
    """All parameters (columns lhs, op, rhs, est, se, z, p, ci_low, ci_high, std).

    Notes
    -----
    R: ``lavaan::parameterEstimates(fit, standardized = TRUE)``, std.all.
    """
    table = fit.parameters[["lhs", "op", "rhs", "est", "se", "z", "p", "ci_low", "ci_high", "std"]]
    fixed, ordinal = int((fit.model.table["free"] == 0).sum()), fit.estimator == "WLSMV"
    bare = int(table["se"].isna().sum()) - fixed
    estimated = (
        len(table) - fixed - (bare if ordinal else 0)
    )  # of ordered answers, residual variances follow from the loadings
    en, zh = (
        (
            (
                f"; {bare} residual variances follow from the loadings.",
                f"；{bare} 个残差方差由载荷推得。",
            )
            if ordinal
            else (
                f"; {bare} of the estimated ones {'has' if bare == 1 else 'have'} no standard error of {'its' if bare == 1 else 'their'} own.",
                f"；估计的参数中有 {bare} 个没有自己的标准误。",
            )
        )
        if bare
        else (".", "。")
    )
    return of_fit(
        fit,
        table.reset_index(drop=True),
        joined(
            {
                "en": f"{plural(estimated, 'parameter')} estimated, {fixed} fixed in advance (such as the first loading of each construct)"
                f"{en}",
                "zh": f"估计了 {estimated} 个参数，{fixed} 个事先固定（例如每个构念的第一个载荷）{zh}",
            },
            fit.clustering,
        ),
        fit.method,
    )


@stage
def loadings(fit: Fit) -> Result:
    """Standardised loadings with their intervals (construct, item, std, se, ci_low, ci_high, r2).

    r2 is std², what the construct explains of an item that has no other construct.

    Notes
    -----
    Delta method.  R: ``lavaan::standardizedSolution(fit)``.
    """
    rows = fit.model.table[fit.model.table["op"] == "=~"]
    std = _std_loadings(fit, fit.theta)
    slopes = (
        np.array(
            [_std_loadings(fit, step).imag for step in fit.theta + 1e-30j * np.eye(len(fit.theta))]
        )
        / 1e-30
    )
    se = np.where(
        np.isnan(std),
        np.nan,
        np.sqrt(np.maximum(np.einsum("ai,ab,bi->i", slopes, fit.vcov, slopes), 0)),
    )
    table = pd.DataFrame(
        {
            "construct": rows["lhs"].to_numpy(),
            "item": rows["rhs"].to_numpy(),
            "std": std,
            "se": se,
            "ci_low": std - Z95 * se,
            "ci_high": std + Z95 * se,
            "r2": std**2,
        }
    )
    weak = ", ".join(
        f"{row.item} ({number(row.std, 2)})" for row in table[table["std"] < 0.5].itertuples()
    )
    strong = f"{(table['std'] >= 0.5).sum()}", len(table)
    return of_fit(
        fit,
        table,
        {
            "en": f"{strong[0]} of {strong[1]} standardised loadings are .50 or more{'; below: ' + weak if weak else ''}.",
            "zh": f"{strong[1]} 个标准化载荷中有 {strong[0]} 个不低于 .50{'；低于的有：' + weak if weak else ''}。",
        },
        "completely standardised loadings, delta-method standard errors",
    )


@stage
def validity(data: pd.DataFrame, study: Study, fit: Fit) -> Result:
    """Reliability and validity a construct (construct, alpha, omega, cr, ave, msv, max_htmt).

    - alpha: Cronbach's (1951) raw alpha, k/(k−1)·(1 − tr S/1'S1), doi:10.1007/BF02310555.
    - omega: Bollen's (1980) omega of the raw sum score, (Σλ)²φ/1'Σ1, with raw λ, doi:10.2307/2095172.
    - cr: composite reliability, the same ratio with standardised loadings (Fornell & Larcker 1981).
    - ave: mean squared standardised loading (Fornell & Larcker 1981), the form of the textbooks;
      ``semTools::AVE`` of raw data weights the items by their variances instead, Σλ²φ/tr S.
    - msv: largest squared correlation with another construct of the model.
    - max_htmt: largest :func:`htmt` with another construct.

    Parameters
    ----------
    data : DataFrame
        The responses `fit` was fitted to.
    study : Study
        For the names.
    fit : Fit
        What :func:`cfa` returned.

    Notes
    -----
    A second-order construct has alpha and omega of all its items, cr and ave of its first-order constructs,
    and no HTMT; a single item has no coefficient.  R: ``psych::alpha(items)``;
    ``semTools::compRelSEM(fit, obs.var = FALSE)``; cr and ave: ``compRelSEM`` and ``AVE`` with
    ``obs.var = FALSE`` of the model fitted to ``scale(data)``.
    """
    rows = data[list(fit.model.observed)].dropna().astype(float)
    own, first = indicators(fit), first_order(fit)
    table = convergent_and_discriminant(rows, fit)
    notes = [
        caution(
            [c for c in own if len(own[c]) == 1],
            "{} has one item: no reliability can be estimated, the model takes "
            "it as free of error.",
            "{} 只有一个题项：无法估计信度，模型把它当作没有误差。",
        ),
        caution(
            [c for c in own if len(own[c]) == 2],
            "{} has two items: alpha rests on one correlation, and the loadings "
            "are told apart only by other constructs.",
            "{} 只有两个题项：α 只依赖一个相关，载荷要靠其他构念才能区分。",
        ),
        caution(
            [c for c in own if c not in first],
            "{} is of second order: it shares items with its parts and has no HTMT.",
            "{} 是二阶构念：与其组成部分共用题项，没有 HTMT。",
        ),
        caution(
            [str(len(rows))] if fit.missing in ("fiml", "mi") else [],
            "Alpha and HTMT rest on the {} complete rows.",
            "α 与 HTMT 只用 {} 行完整数据。",
        ),
        caution(
            list(table.index[table["msv"].isna()]),
            "{} has no other construct to be compared with: no MSV.",
            "{} 没有可比较的其他构念：没有 MSV。",
        ),
    ]
    text = {}
    for language, good, bad, shared, comma, stop in (
        (
            "en",
            "{} is {} or more for every construct",
            "{} is below {} for {}",
            "MSV exceeds AVE (its items say less about it than another construct does) for {}",
            ", ",
            ". ",
        ),
        (
            "zh",
            "所有构念的 {} 都不低于 {}",
            "{} 低于 {} 的有：{}",
            "MSV 大于 AVE（另一构念比它自己的题项更能说明它）：{}",
            "、",
            "。",
        ),
    ):
        parts = []
        for name, limit in VALIDITY_CONVENTIONS.items():
            low = comma.join(
                f"{study.name(c, language)} ({number(v, 2)})"
                for c, v in table[name].items()
                if v < limit
            )
            parts.append((bad if low else good).format(name.upper(), f"{limit:.2f}"[1:], low))
        if over := [study.name(c, language) for c in table.index[table["msv"] > table["ave"]]]:
            parts.append(shared.format(comma.join(over)))
        text[language] = stop.join(parts) + stop.strip()
    table = with_names(table)
    method = (
        "alpha of the answers as numbers; omega, CR and AVE of the continuous answers behind the ordered categories"
        if fit.estimator == "WLSMV"
        else "alpha and omega of the raw sum score; CR and AVE from standardised loadings"
    )
    return of_fit(fit, table, text, method, notes)


@stage
def modification(fit: Fit, top: int = 20) -> Result:
    """The parameters whose release would improve fit most (lhs, op, rhs, mi, epc, std), largest first.

    mi is the expected fall of χ² (score test), epc the value the parameter would take, std the same standardised.

    Notes
    -----
    R: ``lavaan::modificationIndices(fit, sort. = TRUE)``, sepc.all.
    """
    every = (
        sem.modification_indices(fit)
        .rename(columns={"sepc_all": "std"})
        .replace({"std": [np.inf, -np.inf]}, np.nan)
    )
    text = {"en": "Nothing was left out that could be added.", "zh": "没有可以再加入的参数。"}
    if len(every):
        first, counts = (
            every.iloc[0],
            ((every["mi"] > 3.84).sum(), len(every), round(0.05 * len(every))),
        )
        name, mi, std = (
            f"{first['lhs']} {first['op']} {first['rhs']}",
            number(first["mi"], 1),
            number(first["std"], 2),
        )
        text = {
            "en": f"The largest index is {mi}, for {name} (expected standardised value {std}). Of all {counts[1]} indices "
            f"{counts[0]} exceed 3.84, where chance alone would give about {counts[2]}.",
            "zh": f"最大的修正指数是 {name} 的 {mi}（预期标准化值 {std}）。全部 {counts[1]} 个指数中有 {counts[0]} 个超过 3.84，"
            f"单凭偶然约有 {counts[2]} 个。",
        }
    exact = [
        f"{row.lhs} {row.op} {row.rhs}" for row in every.head(top).itertuples() if np.isnan(row.std)
    ]
    note = {
        "en": "These are the largest of many, so a change made because of one also fits this sample's chance (MacCallum et al. "
        "1992, doi:10.1037/0033-2909.111.3.490). Change the model only for a reason that stands without the index, "
        "report it, and test it on new data.",
        "zh": "这些是众多指数中的最大者，因指数大而改模型会把本样本的偶然也拟合进去（MacCallum 等，1992，"
        "doi:10.1037/0033-2909.111.3.490）。只有不看指数也站得住的理由才可改，并须报告、用新数据检验。",
    }
    return of_fit(
        fit,
        every.head(top),
        text,
        "modification indices (score test)",
        [
            note,
            caution(
                exact,
                "No standardised value for {}: one side has no variance to be correlated.",
                "{} 没有标准化值：一侧没有可相关的方差。",
            ),
        ],
    )


@stage
def residuals(fit: Fit) -> Result:
    """Correlations of the items less those the model implies (square, first column item).

    Notes
    -----
    R: ``lavaan::lavResiduals(fit, type = "cor")$cov``.
    """
    square = sem.residuals(fit)
    pairs = below_diagonal(square)
    a, b, value = max(pairs, key=lambda pair: abs(pair[2]))
    large = sum(abs(pair[2]) > 0.10 for pair in pairs)
    return of_fit(
        fit,
        with_names(square, "item"),
        {
            "en": f"{large} of {plural(len(pairs), 'residual correlation')} exceed .10 in size; the largest is {number(value, 2)} ({a}, {b}).",
            "zh": f"{len(pairs)} 个残差相关中有 {large} 个绝对值超过 .10；最大的是 {number(value, 2)}（{a}、{b}）。",
        },
        "residual correlations (sample less implied)",
    )


@stage
@theme.picture
def plot_loadings(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Words]:
    """Draw :func:`loadings`: one row an item, its interval, the colour of the construct's role."""
    figure = forests.by_construct(
        result.table.rename(columns={"std": "est"}),
        study,
        0.7,
        {"en": "standardised loading, 95% interval", "zh": "标准化载荷，95% 区间"}[language],
        language,
    )
    return figure, {
        "en": f"Standardised loadings (n = {result.n_used:,}). Left of the dashed line at .70 a construct explains less than half of "
        f"its item. {result.text['en']}",
        "zh": f"标准化载荷（n = {result.n_used:,}）。虚线 .70 左侧，构念解释的方差不到题项的一半。{result.text['zh']}",
    }


@stage
@theme.picture
def plot_residuals(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Words]:
    """Draw :func:`residuals` as a heat map, items grouped by construct."""
    import seaborn
    from matplotlib import pyplot

    square = result.table.set_index("item")
    items, count = list(square), len(square)
    shown = square.where(np.tri(count, k=-1, dtype=bool))
    limit, side = max(0.2, shown.abs().max(axis=None)), max(6.0, 1.5 + 0.21 * count)
    words = shown.map(
        lambda r: number(r, 2).replace("0.", ".") if count <= 20 and abs(r) > 0.10 else ""
    )
    figure, axis = pyplot.subplots(figsize=(side + 1, side))
    bar = axis.inset_axes((0.62, 0.93, 0.36, 0.025))
    seaborn.heatmap(
        shown,
        annot=words,
        fmt="",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        annot_kws={"fontsize": 7},
        square=True,
        ax=axis,
        xticklabels=True,
        yticklabels=True,
        cbar_ax=bar,
        cbar_kws={"orientation": "horizontal"},
    )
    bar.set_xlabel(
        {"en": "sample − implied correlation", "zh": "样本相关 − 模型相关"}[language], fontsize=9
    )
    owner = [study.items.get(item, item) for item in items]
    for code in dict.fromkeys(owner):
        first, last, colour = (
            owner.index(code),
            count - owner[::-1].index(code),
            theme.ROLES[study.role(code)],
        )
        axis.plot([first, first, last], [first, last, last], color=colour, lw=1.5)
        axis.text(
            (first + last) / 2 + 1,
            (first + last) / 2,
            study.name(code, language),
            color=colour,
            weight="bold",
            va="center",
        )
    axis.set(xlabel="", ylabel="")
    axis.grid(visible=False)
    axis.tick_params(labelsize=8 if count <= 25 else 6.5)
    return figure, {
        "en": f"Residual correlations (n = {result.n_used:,}). Red: two items go together more than the model says; blue: less. "
        f"{result.text['en']}",
        "zh": f"残差相关（n = {result.n_used:,}）。红色：两题项的相关高于模型所说；蓝色：低于。{result.text['zh']}",
    }


def _std_loadings(fit: Fit, theta: np.ndarray) -> np.ndarray:
    """Standardised loadings at the free numbers `theta` (complex for a derivative)."""
    at, model = fit.discrepancy().point(theta, 0), fit.model
    with np.errstate(invalid="ignore"):
        sd = dict(zip(model.observed, np.sqrt(np.diag(at.sigma)), strict=True))
        sd |= dict(zip(model.state, np.sqrt(np.diag(at.phi)), strict=True))
    return np.array(
        [
            (theta[row.free - 1] if row.free else row.value) * sd[row.lhs] / sd[row.rhs]
            for row in model.table[model.table["op"] == "=~"].itertuples()
        ]
    )
