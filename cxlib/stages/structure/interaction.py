"""Latent moderation: does the slope of one construct on another depend on a third?

Y = γ₁X + γ₂W + γ₃XW + … + ζ, all latent: the slope of X is γ₁ + γ₃W.  The latent product is measured by products of
items, double mean-centred so that the model needs no means, its loadings free (unconstrained approach: Marsh, Wen &
Hau 2004, doi:10.1037/1082-989X.9.3.275; Lin, Wen, Marsh & Lin 2010, doi:10.1080/10705511.2010.488999); or factor
scores are multiplied, in two stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.absent import stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Result, Text
from cxlib.core.words import number, p_text
from cxlib.sem.result import Z95, tested
from cxlib.statistics.interaction import (
    by_products,
    by_scores,
    measurement,
    path_table,
    products,
    slopes,
    stretches,
    strongest_first,
)
from cxlib.statistics.structural import regression_scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

COLUMNS = ["outcome", "predictor", "est", "se", "z", "p", "ci_low", "ci_high", "std", "delta_r2"]
SLOPES = ["at", "moderator", "est", "se", "z", "p", "ci_low", "ci_high", "std"]
STRETCHES = ["low", "high", "low_sd", "high_sd", "significant", "sign", "share"]
CLOSE = 0.8
"""Correlation of X and W from which their product is hard to tell from the square of either (our convention; the
problem: MacCallum & Mar 1995, doi:10.1037/0033-2909.118.3.405)."""
NONE = {
    "en": "No outcome of the model has two predictors with items, so no interaction was tested.",
    "zh": "模型中没有哪个结果变量有两个带题项的预测变量，因此未检验交互作用。",
}
DOUBT = {
    "en": "The solution cannot be trusted, so nothing is said about the interaction.",
    "zh": "该解不可信，因此不对交互作用下结论。",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Interaction(Result):
    """The paths of a model with an interaction, and what slopes and figure need; without rows if none was tested.

    slope, vcov : slope of X at the mean of W and its change per unit of W, (2,), and their covariances, (2, 2)
    mean, sd : of W, in the units of its item with the strongest loading (NaN: none was estimated, or its variance is
        negative, and there are no slopes); values : W of every respondent used, by factor scores
    scale : sd of X / sd of Y; words : code → its name; fit : the model (two stages: the measurement model)
    """

    outcome: str = ""
    predictor: str = ""
    moderator: str = ""
    words: Mapping[str, Text] = field(default_factory=dict, repr=False)
    slope: np.ndarray | None = field(default=None, repr=False)
    vcov: np.ndarray | None = field(default=None, repr=False)
    values: np.ndarray | None = field(default=None, repr=False)
    mean: float = np.nan
    sd: float = np.nan
    scale: float = np.nan
    fit: sem.Fit | None = field(default=None, repr=False)

    def at(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slope of X and its standard error where W is `w` units from its mean."""
        return slopes(self.slope, self.vcov, w)


def candidates(data: pd.DataFrame, study: Study, model: str = "main") -> pd.DataFrame:
    """The predictors of one outcome in a model, strongest first (outcome, predictor, std); empty if none has two.

    The outcome is the satisfaction with most predictors, else the construct with most; second-order ones do not count.
    """
    table = sem.fit(data, study.syntax(model)).parameters.rename(
        columns={"lhs": "outcome", "rhs": "predictor"}
    )
    plain = {code for code, construct in study.constructs.items() if construct.items}
    paths = table[
        (table["op"] == "~") & table["outcome"].isin(plain) & table["predictor"].isin(plain)
    ]
    many = paths["outcome"].value_counts(sort=False).loc[lambda count: count > 1]
    best = max(
        many.index, key=lambda code: (study.role(code) == "satisfaction", many[code]), default=""
    )
    paths = paths[paths["outcome"] == best].sort_values(
        "std", key=lambda std: -std.abs(), kind="stable"
    )
    return paths[["outcome", "predictor", "std"]].reset_index(drop=True)


def interaction(
    data: pd.DataFrame,
    study: Study,
    outcome: str = "",
    predictor: str = "",
    moderator: str = "",
    *,
    covariates: Sequence[str] = (),
    method: Literal["product", "two_stage"] = "product",
    match: bool = True,
    estimator: Literal["MLR", "ML"] = "MLR",
    model: str = "main",
    rng: np.random.Generator | None = None,
    n_boot: int = 1000,
) -> Interaction:
    """Estimate whether the slope of `predictor` on `outcome` depends on `moderator`.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses, one row a respondent; rows with a missing value in a variable used are left out.
    study : Study
    outcome, predictor, moderator : str
        Constructs with items, or numeric columns (taken as measured without error).  All three empty: the outcome and
        the two strongest predictors of :func:`candidates` in `model`, the others as covariates.
    covariates : sequence of str
        Further predictors of the outcome.
    method : {"product", "two_stage"}
        Product indicators in one model, or regression on factor scores.
    match : bool
        The items of X and W with the strongest loadings make the first product, the next ones the second, and so on;
        what is left of the longer scale is in no product (Wu, Wen, Marsh & Hau 2013, doi:10.1080/10705511.2013.824772).
        False, or a single item on one side: all pairs, and residuals of products that share an item covary (Foldnes &
        Hagtvet 2014, doi:10.1037/a0035728).
    estimator : {"MLR", "ML"}
        Of the product model.  Products are not normal even where items are; hence robust errors by default.
    model : str
        For the automatic choice.
    rng, n_boot : numpy Generator, int
        For two stages: standard errors from `n_boot` bootstrap samples of both stages (of whole clusters, if the study
        declares them).

    Returns
    -------
    Interaction
        outcome, predictor ("X:W" is the interaction), est, se, z, p, ci_low, ci_high, std, delta_r2 (how much R² falls
        without the row).  Units are those of each construct's item with the strongest loading.

    Raises
    ------
    Impossible
        A variable is unknown, has no items or is given twice, the method is unknown, or two stages are given no `rng`.
    ModelError, DataError
        The model is not identified, or the data cannot be used for it (if chosen automatically: an empty result).

    Notes
    -----
    std of the interaction is γ₃·sd(X)·sd(W)/sd(Y), not that of a product made a z-score (Wen, Marsh & Hau 2010,
    doi:10.1080/10705510903438872).  Two stages: for normal X, W and errors E(Y | items of X and W) is γ₁x̂ + γ₂ŵ + γ₃x̂ŵ and
    a constant, x̂ and ŵ regression scores, so regressing Bartlett's scores of Y on them is consistent (Skrondal &
    Laake 2001, doi:10.1007/BF02296196, carried over to the product).
    R: ``sem("X =~ …; W =~ …; Y =~ …; XW =~ x1.w1 + …; Y ~ X + W + XW", indProd(data, …), estimator = "MLR")``.
    """
    if method not in ("product", "two_stage"):
        raise Impossible(f"method='{method}' is unknown. Use 'product' or 'two_stage'.")
    if method == "two_stage" and rng is None:
        raise Impossible(
            "method='two_stage' takes its standard errors from bootstrap samples of both stages. Give rng=."
        )
    if not (outcome or predictor or moderator):
        strong = candidates(data, study, model)
        if strong.empty:
            return Interaction(table=pd.DataFrame(columns=COLUMNS), text=NONE, n_used=0)
        first, second, *others = dict.fromkeys([*strong["predictor"], *covariates])
        try:
            return interaction(
                data,
                study,
                strong["outcome"][0],
                first,
                second,
                covariates=others,
                method=method,
                match=match,
                estimator=estimator,
                rng=rng,
                n_boot=n_boot,
            )
        except (sem.ModelError, sem.DataError) as error:
            return Interaction(
                table=pd.DataFrame(columns=COLUMNS),
                n_used=0,
                text={
                    "en": f"The interaction of {first} and {second} cannot be estimated: {error}",
                    "zh": f"无法估计 {first} 与 {second} 的交互作用：{error}",
                },
            )
    codes = [outcome, predictor, moderator, *covariates]
    items = {code: _items(data, study, code) for code in codes}
    listed = [item for code in codes for item in items[code]]
    if len(set(listed)) < len(listed):
        raise Impossible(
            f"Of {', '.join(codes)} two are the same or share an item. Give different ones."
        )
    alone = {
        code: f"{code}.observed" for code in codes if items[code] == [code]
    }  # a factor and its item need two names
    whole = [study.cluster] if study.cluster and method == "two_stage" else []
    frame = data[list(dict.fromkeys([*listed, *whole]))].dropna().rename(columns=alone)
    items = {code: [alone.get(item, item) for item in names] for code, names in items.items()}
    measured = sem.fit(frame, measurement(items))
    items = strongest_first(items, measured)
    names, words = (
        (predictor, moderator, f"{predictor}.{moderator}", *covariates),
        {code: {lang: study.name(code, lang) for lang in ("en", "zh")} for code in codes},
    )
    notes, lost = [], len(data) - len(frame)
    if lost:
        notes.append(
            {
                "en": f"{lost} of {len(data)} rows have a missing value in a variable used and were left out.",
                "zh": f"{len(data)} 行中有 {lost} 行在所用变量上有缺失值，已剔除。",
            }
        )
    if method == "product":
        pairs = min(len(items[predictor]), len(items[moderator]))
        match = match and pairs > 1
        chosen = [items[code][:pairs] if match else items[code] for code in names[:2]]
        found = by_products(
            frame, items, products(frame, *chosen, match), outcome, names, estimator
        )
        notes += [
            *found.fit.warnings,
            *(
                [
                    _unused(items[code], pairs, words[code])
                    for code in names[:2]
                    if len(items[code]) > pairs
                ]
                if match
                else []
            ),
        ]
        if study.cluster:
            notes.append(
                {
                    "en": f"Standard errors take respondents of one {study.cluster} as independent; method='two_stage' with "
                    "rng= resamples whole clusters.",
                    "zh": f"标准误把同一 {study.cluster} 的受访者视为独立；method='two_stage' 并给出 rng= 则整群重抽样。",
                }
            )
        what = f"product indicators ({'matched pairs' if match else 'all pairs'}, double mean-centred), {found.fit.method}"
    else:
        fit = sem.fit(frame, measurement(items))
        found = by_scores(frame, fit, names, study.cluster, rng, n_boot)
        notes += [*fit.warnings]
        if found.failed or found.improper:
            notes.append(
                {
                    "en": f"Of {n_boot:,} draws {found.failed} found no optimum and were left out, {found.improper} are improper and kept.",
                    "zh": f"{n_boot:,} 次抽样中有 {found.failed} 次没有最优解，已剔除；{found.improper} 次的解不恰当，予以保留。",
                }
            )
        what = f"two stages: regression on factor scores, standard errors of both from {n_boot:,} bootstrap samples"
    with np.errstate(invalid="ignore"):
        sd = pd.Series(np.sqrt(np.diag(found.phi)), found.phi.index)
    sd[names[2]] = sd[predictor] * sd[moderator]
    r = found.phi.loc[predictor, moderator] / sd[names[2]]
    if abs(r) >= CLOSE:
        x, w = words[predictor], words[moderator]
        notes.append(
            {
                "en": f"{x['en']} and {w['en']} correlate {number(r, 2)}: an interaction can then hardly be told from a "
                "curved effect of either.",
                "zh": f"{x['zh']}与{w['zh']}相关 {number(r, 2)}：此时交互作用很难与其中任一变量的曲线效应区分。",
            }
        )
    table = path_table(found, names, sd, outcome).assign(
        outcome=outcome, predictor=[*names[:2], f"{predictor}:{moderator}", *covariates]
    )
    mean, values = (
        float(frame[items[moderator][0]].mean()),
        regression_scores(measured, frame)[moderator],
    )
    shown = Interaction(
        table=table[COLUMNS],
        text=DOUBT,
        n_used=len(frame),
        method=what,
        warnings=tuple(notes),
        outcome=outcome,
        words=words,
        predictor=predictor,
        moderator=moderator,
        slope=found.est[[0, 2]],
        vcov=found.vcov[np.ix_([0, 2], [0, 2])],
        mean=mean,
        sd=float(sd[moderator]),
        values=mean + (values / values.std(ddof=0) * sd[moderator]).to_numpy(),
        scale=float(sd[predictor] / sd[outcome]),
        fit=found.fit,
    )
    return replace(shown, text=_said(shown)) if found.fit.trustworthy else shown


@stage
def simple_slopes(result: Interaction, at: Iterable[float] = (-1, 0, 1)) -> Result:
    """Slopes of X where W is `at` standard deviations from its mean (at, moderator, est, se, z, p, ci_low, ci_high, std).

    Notes
    -----
    γ₁ + γ₃w with variance v₁₁ + 2w·v₁₃ + w²·v₃₃, w taken as given (Aiken & West 1991).
    R: ``semTools::probe2WayMC(fit, c("X", "W", "XW"), "Y", "W", sd * at)``.
    """
    if np.isnan(result.sd):
        return Result(
            pd.DataFrame(columns=SLOPES), result.text, result.n_used, warnings=result.warnings
        )
    at = np.asarray(list(at), float)
    table = tested(
        pd.DataFrame(dict(zip(("est", "se"), result.at(at * result.sd), strict=True)))
    ).assign(at=at, moderator=result.mean + at * result.sd)
    table["std"] = table["est"] * result.scale
    x, w, y = (result.words[code] for code in (result.predictor, result.moderator, result.outcome))
    said = [
        (
            f"{row.at:+g}".replace("-", "−").replace("+0", "0"),
            number(row.std, 2),
            p_text(row.p),
        )
        for row in table.itertuples()
    ]
    return Result(
        table[SLOPES],
        DOUBT
        if not result.fit.trustworthy
        else {
            "en": f"Standardised slope of {x['en']} on {y['en']}, by standard deviations of {w['en']} from its mean: "
            + ", ".join(f"{std} at {where} ({p})" for where, std, p in said)
            + ".",
            "zh": f"{x['zh']}对{y['zh']}的标准化斜率，按{w['zh']}距均值的标准差数："
            + "，".join(f"{where} 处为 {std}（{p}）" for where, std, p in said)
            + "。",
        },
        result.n_used,
        "simple slopes, delta method",
        result.warnings,
    )


@stage
def johnson_neyman(result: Interaction) -> Result:
    """Where along the moderator the slope of X differs from zero, and which share of the respondents is there.

    Returns
    -------
    Result
        One row a stretch of the moderator, ascending: low, high (units of its item with the strongest loading, ±inf at
        the ends), low_sd, high_sd (from its mean), significant, sign ("+", "-", or "" if not significant), share.

    Notes
    -----
    Johnson & Neyman (1936); see :func:`bounds`.  Shares go by factor scores, stretched to the sd of the moderator.
    R: ``interactions::johnson_neyman(lm(y ~ x * w), x, w)`` for observed variables, up to t for z.
    """
    if np.isnan(result.sd):
        return Result(
            pd.DataFrame(columns=STRETCHES), result.text, result.n_used, warnings=result.warnings
        )
    table = stretches(result.slope, result.vcov, result.values, result.mean, result.sd)
    return Result(
        table,
        _where(result, table) if result.fit.trustworthy else DOUBT,
        result.n_used,
        "Johnson-Neyman, 95% confidence",
        result.warnings,
    )


@stage
@theme.picture
def plot_interaction(
    result: Interaction, study: Study, *, language: str = "en"
) -> tuple[Figure, Text]:
    """Johnson–Neyman figure: slope of X against W with its band and bounds; below, where the respondents are."""
    from matplotlib import pyplot

    if np.isnan(result.sd):
        figure = pyplot.figure(figsize=(6, 1))
        figure.text(0.5, 0.5, "—", ha="center")
        return figure, result.text
    found, z = johnson_neyman(result), (result.values - result.mean) / result.sd
    left, right = min(z.min(), -2), max(z.max(), 2)
    figure, (axes, people) = pyplot.subplots(
        2, 1, sharex=True, figsize=(7.5, 4.8), height_ratios=(4, 1)
    )
    colour = (
        theme.ROLES[study.role(result.predictor)]
        if result.predictor in study.constructs
        else theme.INK
    )
    for row in found.table.itertuples():
        at = np.linspace(max(row.low_sd, left), min(row.high_sd, right), 200)
        if at[0] < at[-1]:
            est, se = result.at(at * result.sd)
            tone, line = (colour, "-") if row.significant else (theme.MUTED, "--")
            axes.fill_between(
                at, est - Z95 * se, est + Z95 * se, color=tone, alpha=0.2, linewidth=0
            )
            axes.plot(at, est, color=tone, linewidth=2, linestyle=line)
    axes.axhline(0, color=theme.MUTED, linewidth=1)
    edges = found.table["low_sd"].to_numpy()[1:]
    seen = edges[(edges > left) & (edges < right)]
    for place, side in zip(
        seen, ("right", "left") if len(seen) == 2 else ("center",), strict=False
    ):
        axes.axvline(place, color=theme.INK, linewidth=1, linestyle=":")
        axes.annotate(
            f"{number(place, 2)} {'SD' if language == 'en' else '标准差'}",
            (place, 1),
            (0, 4),
            fontsize=9,
            ha=side,
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
        )
    people.hist(z, bins=30, range=(left, right), color=theme.MUTED, linewidth=0)
    people.set_yticks([])
    people.grid(visible=False)
    x, y, w = (
        study.name(code, language) for code in (result.predictor, result.outcome, result.moderator)
    )
    axes.set_ylabel(
        theme.fold({"en": f"slope of {x} on {y}", "zh": f"{x}对{y}的斜率"}[language], 36),
        linespacing=theme.LEADING,
    )
    people.set_xlabel(
        theme.fold(
            {"en": f"{w} (standard deviations from its mean)", "zh": f"{w}（距均值的标准差数）"}[
                language
            ],
            72,
        ),
        linespacing=theme.LEADING,
    )
    return figure, {
        "en": f"Slope with its 95% band, n = {result.n_used:,}: dashed and grey where the band holds zero, dotted "
        f"lines where that begins or ends; below, the respondents. {found.text['en']}",
        "zh": f"斜率及其 95% 置信带，n = {result.n_used:,}：灰色虚线处置信带包含零，点线为起止之处；下方为受访者的分布。"
        f"{found.text['zh']}",
    }


def _items(data: pd.DataFrame, study: Study, code: str) -> list[str]:
    """The items of a construct, or a column as its own item."""
    construct = study.constructs.get(code)
    if construct is None and code not in data.columns:
        raise Impossible(
            f"'{code}' is neither a construct nor a column. Constructs: {', '.join(study.constructs)}."
        )
    if construct is not None and not construct.items:
        raise Impossible(
            f"'{code}' has no items of its own to be multiplied. Use one of its parts: {', '.join(construct.of)}."
        )
    return [code] if construct is None else list(construct.items)


def _unused(names: Sequence[str], pairs: int, words: Text) -> Text:
    left = len(names) - pairs
    return {
        "en": f"The products leave out {left} of the {len(names)} items of {words['en']}, by loading the weakest; match=False uses all.",
        "zh": f"{words['zh']}的 {len(names)} 个题项中，载荷最弱的 {left} 个未进入乘积；match=False 则全部使用。",
    }


def _said(result: Interaction) -> Text:
    """What the interaction says, from its row."""
    row, (x, w, y) = (
        result.table.iloc[2],
        (result.words[c] for c in (result.predictor, result.moderator, result.outcome)),
    )
    std, size, gain, p = (
        row["std"],
        number(abs(row["std"]), 2),
        f"{row['delta_r2'] * 100:.1f}%",
        p_text(row["p"]),
    )
    if row["p"] >= 0.05:
        return {
            "en": f"There is no clear evidence that the slope of {x['en']} on {y['en']} depends on {w['en']} (standardised "
            f"interaction {number(std, 2)}, {p}; {gain} of the variance).",
            "zh": f"没有明确证据表明{x['zh']}对{y['zh']}的斜率取决于{w['zh']}（标准化交互作用 {number(std, 2)}，{p}；占方差的 {gain}）。",
        }
    return {
        "en": f"With each standard deviation more of {w['en']}, the standardised slope of {x['en']} on {y['en']} is {size} "
        f"{'higher' if std > 0 else 'lower'} ({p}); the interaction explains {gain} of the variance.",
        "zh": f"{w['zh']}每高一个标准差，{x['zh']}对{y['zh']}的标准化斜率就{'高' if std > 0 else '低'} {size}（{p}）；"
        f"交互作用解释 {gain} 的方差。",
    }


def _where(result: Interaction, table: pd.DataFrame) -> Text:
    """Where the slope differs from zero among the respondents; a bound beyond them is none."""
    x, w = result.words[result.predictor], result.words[result.moderator]
    en, zh = [], []
    for row in table[table["significant"] & (table["share"] > 0)].itertuples():
        open_low, open_high = row.low <= result.values.min(), row.high > result.values.max()
        low, high, share = (
            number(row.low, 2),
            number(row.high, 2),
            f"{row.share * 100:.0f}%",
        )
        place = (
            ("at every level that occurs", "在出现的各个水平上")
            if open_low and open_high
            else (f"below {high}", f"低于 {high} 时")
            if open_low
            else (f"above {low}", f"高于 {low} 时")
            if open_high
            else (f"between {low} and {high}", f"在 {low} 与 {high} 之间")
        )
        en.append(
            f"{'positive' if row.sign == '+' else 'negative'} {place[0]} ({share} of the respondents)"
        )
        zh.append(f"{place[1]}为{'正' if row.sign == '+' else '负'}（{share} 的受访者）")
    if not en:
        return {
            "en": f"The slope of {x['en']} differs from zero at no level of {w['en']} that occurs.",
            "zh": f"在出现的任何{w['zh']}水平上，{x['zh']}的斜率都不能与零区分。",
        }
    return {
        "en": f"Along {w['en']}, the slope of {x['en']} is {' and '.join(en)}.",
        "zh": f"沿{w['zh']}来看，{x['zh']}的斜率{'，'.join(zh)}。",
    }
