"""Stage 07: what runs through the mediators — direct, specific, indirect and total effects, and their contrasts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.absent import stage
from cxlib.core.errors import EffectError
from cxlib.core.result import Result, Text, makes, relied
from cxlib.core.syntax import rivals, without
from cxlib.core.words import number, plural
from cxlib.diagram import forests
from cxlib.sem.paths import (
    ARROW,
    COLUMNS,
    Effect,
    between,
    edges,
    effect,
    inference,
    predictors,
    values,
)
from cxlib.study.names import named_effect
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.sem.resampling import Draws

INTERVALS = ("bca", "percentile", "delta")
MOST_LEFT_OUT = 20_000
BEST = ["effect", "kind"]
"""The first row of each is its BCa interval, else percentile, else delta."""
KINDS = {
    "full": (
        "fully mediated (only the indirect effect differs from zero)",
        "完全中介（仅间接效应不为零）",
    ),
    "partial": (
        "partly mediated (direct and indirect effect, same sign)",
        "部分中介（直接与间接效应同号且均不为零）",
    ),
    "competitive": (
        "mediated against the direct effect (opposite signs)",
        "竞争性中介（直接与间接效应异号）",
    ),
    "direct only": (
        "not mediated (only the direct effect differs from zero)",
        "无中介（仅直接效应不为零）",
    ),
    "none": ("no clear effect", "没有明确的效应"),
    "not testable": (
        "mediated by assumption (the model has no direct path; compare it with one that has)",
        "按假定完全中介（模型没有直接路径，须与含该路径的模型比较）",
    ),
}
"""Kinds of mediation, in both languages."""
NOT_RESAMPLED = {
    "en": "Nothing was resampled: refits need complete rows and maximum likelihood. Intervals are those of the delta method.",
    "zh": "未做重抽样：重抽样拟合要求完整样本行和最大似然估计。区间由 delta 法得出。",
}


EFFECTS = " ".join((*COLUMNS, "n"))
INTERVAL = " ".join((*COLUMNS, "scale"))
"""The columns of the tables of effects, and of those of every interval."""


@dataclass(frozen=True)
class Resampled:
    """Bootstrap draws of a fit, and its leave-one-out estimates for BCa (None: too many rows)."""

    bootstrap: Draws = field(repr=False)
    jackknife: Draws | None = field(repr=False)
    n_used: int
    cluster: str = ""

    @property
    def both(self) -> tuple[Draws, Draws | None]:
        """What inference takes."""
        return self.bootstrap, self.jackknife


@stage
def bootstrap(
    fit: sem.Fit, data: pd.DataFrame, study: Study, n_boot: int, rng: np.random.Generator
) -> Resampled | None:
    """Refit the model to `n_boot` resamples of the respondents, or of the study's clusters, and leaving each out once.

    None for a fit of incomplete rows or of ordered categories (WLSMV): refits are by maximum likelihood of complete rows.

    Above 20,000 respondents (clusters) the leave-one-out estimates are not computed: BCa and percentile
    intervals are then the same for any purpose.

    Notes
    -----
    R: ``lavaan::bootstrapLavaan(fit, R = n_boot)``.
    """
    from cxlib.sem import resampling

    if fit.missing != "listwise" or fit.estimator == "WLSMV":
        return None
    draws = resampling.bootstrap(data, fit, n_boot, rng, cluster=study.cluster or None)
    units = data[study.cluster].nunique() if study.cluster else fit.n_used
    left_out = (
        resampling.jackknife(data, fit, cluster=study.cluster or None)
        if units <= MOST_LEFT_OUT
        else None
    )
    return Resampled(draws, left_out, fit.n_used, study.cluster)


@makes("draws", "sample draws converged improper failed")
@stage
def draws_table(draws: Resampled | None) -> Result:
    """How the refits ended (sample, draws, converged, improper, failed); converged ones include the improper."""
    if draws is None:
        return Result(
            pd.DataFrame(columns=["sample", "draws", "converged", "improper", "failed"]),
            NOT_RESAMPLED,
            0,
        )
    kinds = {"bootstrap": draws.bootstrap} | (
        {} if draws.jackknife is None else {"leave-one-out": draws.jackknife}
    )
    table = pd.DataFrame(
        [
            {
                "sample": name,
                "draws": len(found),
                "converged": found.converged,
                "improper": found.improper,
                "failed": found.failed,
            }
            for name, found in kinds.items()
        ]
    )
    first = table.iloc[0]
    unit = (
        (f"clusters ({draws.cluster})", f"群（{draws.cluster}）")
        if draws.cluster
        else ("respondents", "受访者")
    )
    return Result(
        table,
        {
            "en": f"{first['converged']:,} of {first['draws']:,} resamples of {unit[0]} have an optimum; {first['improper']:,} of "
            "these are improper and kept.",
            "zh": f"对{unit[1]}的 {first['draws']:,} 次重抽样中有 {first['converged']:,} 次有最优解，其中 {first['improper']:,} "
            "次的解不恰当，予以保留。",
        },
        draws.n_used,
        "exact maximum-likelihood refits",
        _draw_warnings(draws),
    )


@makes("effects", EFFECTS)
@stage
def effects(
    fit: sem.Fit, draws: Resampled | None, study: Study, *, kind: str = "bca", model: str = "main"
) -> Result:
    """Effects with their 95% intervals, one row each; see :func:`all_intervals` for every kind of interval on both scales.

    All effects between every exogenous and every terminal construct, and what the study's hypotheses ask for; effects
    which these compare ("A -> Y > B -> Y") follow as kind ``contrast``, on the standardised scale.

    Parameters
    ----------
    fit : Fit
        The model's fit to the full sample.
    draws : Resampled or None
        From :func:`bootstrap`; without it there are delta intervals only.
    study : Study
        A hypothesis names an effect: "A -> M -> Y" is one chain, "A + B -> M -> Y" a sum.
    kind : {"bca", "percentile", "delta"}
        Which interval; where it cannot be had, the next of these, as the column interval says.
    model : str
        The model's name in the study, for its hypotheses.

    Returns
    -------
    Result
        effect, kind, est, se, ci_low, ci_high, p, std, interval, draws, converged, n.  Of `draws` samples drawn,
        `converged` have an optimum and were used, improper ones among them.

    Notes
    -----
    p is that of the row's own interval, see :func:`cxlib.sem.paths.inference`.
    R: ``ind := a*b`` in the syntax; ``parameterEstimates(sem(..., se = "bootstrap"), boot.ci.type = "perc")``.
    """
    if kind not in INTERVALS:
        raise EffectError(f"kind='{kind}' is not an interval. Use one of {', '.join(INTERVALS)}.")
    table = _effects(fit, draws, study, model, False)
    place = table["interval"].map(
        {name: (INTERVALS.index(name) - INTERVALS.index(kind)) % 3 for name in INTERVALS}
    )
    table = table.loc[
        place.groupby([table[name] for name in BEST], sort=False).idxmin()
    ].reset_index(drop=True)
    return Result(
        table.assign(n=fit.n_used),
        relied(_said(table, study), fit.trustworthy),
        fit.n_used,
        f"unstandardised effects, contrasts standardised, {fit.method}",
        _warnings(fit, draws, table),
    )


@makes("effects_intervals", INTERVAL)
@stage
def all_intervals(
    fit: sem.Fit, draws: Resampled | None, study: Study, *, model: str = "main"
) -> Result:
    """BCa, percentile and delta interval of every effect from the same draws, on both scales (column scale)."""
    table = pd.concat(
        [
            _effects(fit, draws, study, model, scale == "standardised").assign(scale=scale)
            for scale in ("unstandardised", "standardised")
        ],
        ignore_index=True,
    )
    wide = table[table["scale"] == "unstandardised"].pivot_table(
        index=BEST, columns="interval", values="ci_low", sort=False
    )
    gap = (wide["bca"] - wide["delta"]).abs().max() if "bca" in wide else np.nan
    return Result(
        table,
        {
            "en": f"The lower limits of the delta and the BCa interval differ by up to {number(gap)}.",
            "zh": f"delta 与 BCa 区间的下限最多相差 {number(gap)}。",
        },
        fit.n_used,
        "BCa, percentile and delta-method intervals",
        _warnings(fit, draws, table),
    )


@makes("contrasts", INTERVAL)
@stage
def contrasts(
    fit: sem.Fit, draws: Resampled | None, study: Study, *, model: str = "main"
) -> Result:
    """Differences between all specific indirect effects of the same two constructs: is one mediator stronger than another?

    Columns as in :func:`all_intervals`, kind "contrast", effect "first > second", unstandardised (both have the same units).

    Notes
    -----
    R: ``d := a1*b1 - a2*b2``.
    """
    by_pair: dict[tuple[str, str], list[Effect]] = {}
    for found in _wanted(fit.model, study, model):
        if found.kind == "specific" and len(found.chains) == 1:
            by_pair.setdefault((found.chains[0][0], found.chains[0][-1]), []).append(found)
    chosen = [pair for group in by_pair.values() for pair in combinations(group, 2)]
    if not chosen:
        return Result(
            pd.DataFrame(columns=[*COLUMNS, "scale"]),
            {
                "en": "No two effects of this model can be set against each other.",
                "zh": "该模型没有可相互比较的效应。",
            },
            fit.n_used,
        )
    table = _contrasted(fit, draws, chosen, False).assign(scale="unstandardised")
    best = table.drop_duplicates(BEST)
    sure = _sure(best).sum()
    return Result(
        table,
        {
            "en": f"The 95% interval leaves out zero in {sure} of {plural(len(best), 'contrast')} between effects.",
            "zh": f"{len(best)} 个效应对比中有 {sure} 个的 95% 区间不含零。",
        },
        fit.n_used,
        "differences between effects",
        _warnings(fit, draws, table),
    )


@makes(
    "mediation",
    "start end direct direct_low direct_high indirect indirect_low indirect_high total total_low total_high "
    "proportion proportion_low proportion_high type",
)
@stage
def summary(fit: sem.Fit, draws: Resampled | None, study: Study, *, model: str = "main") -> Result:
    """Full, partial or no mediation, and the proportion mediated, of each pair of constructs with a mediator.

    The kind follows from the 95% intervals (BCa, else percentile, else delta) of the direct and the total
    indirect effect: ``full`` (indirect only), ``partial`` (both, same sign), ``competitive`` (both, opposite
    signs), ``direct only``, ``none``; ``not testable`` where the model has no direct path: then full mediation
    was assumed, and only a comparison with a model that has the path can test it.

    The proportion indirect / total is given only where direct and indirect effect have the same sign and the
    interval of the total leaves out zero; otherwise it has no meaning and is missing.

    Notes
    -----
    Zhao, Lynch & Chen (2010), doi:10.1086/651257, for the kinds; MacKinnon, Warsi & Dwyer (1995),
    doi:10.1207/s15327906mbr3001_3: the proportion is unstable below about 500 respondents.
    """
    names, rows = ["direct", "indirect", "total", "proportion"], []
    for start, end in _mediated_pairs(fit.model, study, model):
        have = [name for name in names if name != "direct" or (start, end) in edges(fit.model)]
        parts = [
            Effect("", "total" if name == "proportion" else name, ((start, end),)) for name in have
        ]

        def statistic(theta: np.ndarray, parts: list[Effect] = parts) -> np.ndarray:
            out = values(fit.model, parts, theta)
            out[:, -1] = out[:, -3] / out[:, -2]
            return out

        found = inference(
            fit, statistic, [(name, name, np.nan) for name in have], *(draws.both if draws else ())
        )
        found = (
            found.drop_duplicates(BEST)
            .set_index("kind")[["est", "ci_low", "ci_high"]]
            .reindex(names)
        )
        row = {"start": start, "end": end}
        for name in names:
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), found.loc[name], strict=True))
        row["type"] = _type(row)
        if not row["direct"] * row["indirect"] > 0 or row["total_low"] <= 0 <= row["total_high"]:
            row |= dict.fromkeys(("proportion", "proportion_low", "proportion_high"), np.nan)
        rows.append(row)
    table = pd.DataFrame(
        rows,
        columns=[
            "start",
            "end",
            *(f"{name}{end}" for name in names for end in ("", "_low", "_high")),
            "type",
        ],
    )
    return Result(
        table,
        relied(_mediated(table, study), fit.trustworthy),
        fit.n_used,
        "intervals of direct and indirect effects",
        (*_warnings(fit, draws, table), *_proportions(table, fit.n_used)),
    )


@makes("full_or_partial", "start end in_model std d_chisq d_df d_p mediation")
@stage
def full_or_partial(
    fit: sem.Fit, draws: Resampled | None, data: pd.DataFrame, study: Study, *, model: str = "main"
) -> Result:
    """Full against partial mediation by nested comparison: the model with the direct path against the one without it.

    One row a pair of constructs that :func:`summary` names: start, end, in_model (whether the study's model has the path),
    std (of the path), d_chisq, d_df, d_p, mediation: if the interval of the total indirect effect leaves out zero, ``partial``
    (``competitive`` if it has the other sign) if the path improves the fit (p < .05) and ``full`` if it does not; else ``direct
    only`` and ``none``; ``unknown`` if the other model has no trustworthy solution.  Each pair is tested alone.  Imputed data give no such test.

    Notes
    -----
    James, Mulaik & Brett (2006), doi:10.1177/1094428105285144.  R: ``lavaan::lavTestLRT(with_path, without_path)``.
    """
    rows, notes = [], list(fit.warnings)
    pairs = _mediated_pairs(fit.model, study, model) if fit.missing != "mi" else []
    through = inference(
        fit,
        lambda theta: values(fit.model, [Effect("", "indirect", (pair,)) for pair in pairs], theta),
        [(f"{start} {end}", "", np.nan) for start, end in pairs],
        *(draws.both if draws else ()),
    )
    through = through.drop_duplicates("effect").assign(sure=_sure).set_index("effect")
    for start, end in pairs:
        there = (start, end) in edges(fit.model)
        syntax = (
            without(study.syntax(model), start, end)
            if there
            else f"{study.syntax(model)}\n{end} ~ {start}"
        )
        other = sem.fit(
            data, syntax, estimator=fit.estimator, missing=fit.missing, cluster=fit.cluster or None
        )
        small, large = (other, fit) if there else (fit, other)
        std = large.parameters.query("lhs == @end and op == '~' and rhs == @start")["std"].item()
        test = sem.difference(small, large).iloc[0][["d_chisq", "d_df", "d_p"]]
        better, indirect = test["d_p"] < 0.05, through.loc[f"{start} {end}"]
        both = "partial" if std * indirect["est"] > 0 else "competitive"
        kind = (
            (both if better else "full")
            if indirect["sure"]
            else ("direct only" if better else "none")
        )
        rows.append(
            {
                "start": start,
                "end": end,
                "in_model": there,
                "std": std,
                **test,
                "mediation": kind if other.trustworthy else "unknown",
            }
        )
        if not (other.trustworthy and abs(std) < 1):
            notes.append(
                {
                    "en": f"{start} → {end} hardly tells anything: with the path (or without) the solution is improper or the path "
                    f"beyond 1 ({number(std, 2)}).",
                    "zh": f"{start} → {end} 几乎不说明问题：加入（或去掉）该路径后，解不恰当，或路径超出 1（{number(std, 2)}）。",
                }
            )
    table = pd.DataFrame(
        rows, columns=["start", "end", "in_model", "std", "d_chisq", "d_df", "d_p", "mediation"]
    )
    if fit.missing == "mi":
        notes.append(
            {
                "en": "Imputed data have no χ² difference; use missing='fiml'.",
                "zh": "插补数据没有 χ² 差异检验；可用 missing='fiml'。",
            }
        )
    better = table[table["mediation"].isin(["partial", "competitive", "direct only"])]
    en, zh = (
        comma.join(
            f"{study.name(row.start, lang)} → {study.name(row.end, lang)}"
            for row in better.itertuples()
        )
        for lang, comma in (("en", ", "), ("zh", "、"))
    )
    return Result(
        table,
        relied(
            {
                "en": f"A direct path improves the fit in {len(better)} of {plural(len(table), 'pair')}: {en or 'none'}.",
                "zh": f"{len(table)} 对中有 {len(better)} 对加入直接路径可改善拟合：{zh or '无'}。",
            },
            fit.trustworthy,
        ),
        fit.n_used,
        f"χ² difference of nested models ({fit.method})",
        tuple(notes),
    )


@makes("effects_*", EFFECTS)
def other_effects(
    data: pd.DataFrame,
    study: Study,
    n_boot: int,
    rng: np.random.Generator,
    estimator: str = "ML",
    missing: str = "listwise",
) -> dict[str, Result]:
    """The effects that hypotheses about other models than the main one ask for, by model.

    Models that cannot be fitted or trusted are left out: verdicts about them are withheld anyway.
    """
    out = {}
    asked = {h.model for h in study.hypotheses.values() if h.effect or h.total or h.contrast}
    for model in [name for name in study.models if name != "main" and name in asked]:
        try:
            fit = sem.fit(
                data,
                study.syntax(model),
                estimator=estimator,
                missing=missing,
                rng=rng,
                cluster=study.cluster or None,
            )
        except (sem.ModelError, sem.DataError):
            continue
        if fit.trustworthy:
            out[model] = effects(fit, bootstrap(fit, data, study, n_boot, rng), study, model=model)
    return out


@stage
@theme.picture
def plot_effects(
    result: Result, study: Study, *, language: str = "en", most: int = 30
) -> tuple[Figure, Text]:
    """Forest of the `most` largest effects, pair by pair, one interval each (BCa where there is one)."""
    from matplotlib import pyplot

    table, left = _largest(result.table[result.table["kind"] != "contrast"], most)
    marks = {"direct": "s", "specific": "o", "indirect": "D", "total": "D"}
    words = {
        "direct": (" (direct)", "（直接）"),
        "indirect": (" (total indirect)", "（总间接）"),
        "total": (" (total)", "（总）"),
    }
    labels = [
        named_effect(study, row.effect)[language] + words.get(row.kind, ("", ""))[language == "zh"]
        for row in table.itertuples()
    ]
    room = max((len(text) for text in labels), default=0) * (0.15 if language == "zh" else 0.075)
    figure, axes = pyplot.subplots(figsize=(4.8 + room, 1.0 + 0.34 * len(table)))
    forests.forest(
        axes,
        table.assign(
            place=range(len(table)),
            mark=table["kind"].map(marks),
            hollow=~_sure(table),
            colour=[_colour(name, study) for name in table["effect"]],
        ),
        labels,
    )
    for place, row in enumerate(table.itertuples()):
        axes.annotate(
            number(row.est, 2),
            (row.ci_high, place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.margins(x=0.12)
    axes.tick_params(axis="y", labelsize=9)
    axes.set_xlabel(
        {"en": "unstandardised effect (95% interval)", "zh": "非标准化效应（95% 区间）"}[language]
    )
    kind = "/".join(table["interval"].unique()).replace("bca", "BCa")
    used = int(table["converged"].min()) if len(table) else 0
    en, zh = (f" ({used:,} bootstrap samples)", f"（{used:,} 次重抽样）") if used else ("", "")
    return figure, {
        "en": f"Effects with 95% {kind} intervals{en}, n = {result.n_used:,}. Squares are direct, circles "
        f"single chains, diamonds sums; the interval of a hollow mark holds zero.{left['en']}",
        "zh": f"效应及 95% {kind} 区间{zh}，n = {result.n_used:,}。方块为直接效应，圆点为单条链，"
        f"菱形为合计；空心标记的区间包含零。{left['zh']}",
    }


@stage
@theme.picture
def plot_distributions(
    fit: sem.Fit, draws: Resampled | None, study: Study, *, language: str = "en", most: int = 9
) -> tuple[Figure, Text]:
    """Bootstrap distributions of the `most` largest specific effects, with interval, estimate and zero."""
    from matplotlib import pyplot

    if draws is None:
        return theme.blank(NOT_RESAMPLED, language)
    found = effects(fit, draws, study).table
    table, left = _largest(found, most, "specific" if "specific" in set(found["kind"]) else "")
    drawn = values(
        fit.model,
        [
            effect(fit.model, row.effect, row.kind if row.kind in ("total", "indirect") else "")
            for row in table.itertuples()
        ],
        draws.bootstrap.theta[draws.bootstrap.status != "failed"],
    )
    columns, lines = min(3, max(len(table), 1)), -(-len(table) // 3) or 1
    figure, grid = pyplot.subplots(
        lines, columns, figsize=(max(3.4 * columns, 5), 2.7 * lines), squeeze=False
    )
    for axes in grid.flat[len(table) :]:
        axes.set_visible(False)
    for axes, row, column in zip(grid.flat, table.itertuples(), drawn.T, strict=False):
        axes.hist(
            column,
            bins=max(10, round(2 * len(column) ** (1 / 3))),
            color=_colour(row.effect, study),
            alpha=0.5,
            linewidth=0,
        )
        axes.axvspan(row.ci_low, row.ci_high, ymax=0.04, color=theme.INK, linewidth=0)
        axes.axvline(row.est, color=theme.INK, linewidth=1.2)
        axes.axvline(0, color=theme.MUTED, linewidth=1, linestyle="--")
        axes.set_title(
            theme.fold(named_effect(study, row.effect)[language], 34),
            fontsize=9,
            linespacing=theme.LEADING,
        )
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=4)
        axes.set_xlabel(
            f"{number(row.est, 2)} [{number(row.ci_low, 2)}, {number(row.ci_high, 2)}]",
            fontsize=9,
        )
    return figure, {
        "en": f"{len(drawn):,} bootstrap values of each effect, n = {fit.n_used:,}: the solid line is the estimate, the bar "
        f"below its 95% interval, the dashed line zero.{left['en']}",
        "zh": f"各效应的 {len(drawn):,} 个自助值，n = {fit.n_used:,}：实线为估计值，底部横条为 95% 区间，虚线为零。{left['zh']}",
    }


def _wanted(model: sem.Model, study: Study, name: str) -> list[Effect]:
    """Every effect of the exogenous on the terminal constructs, and those of the hypotheses, each once."""
    paths_into = predictors(model)
    causes = dict.fromkeys(cause for own in paths_into.values() for cause in own)
    pairs = list(
        product(
            [c for c in causes if c not in paths_into], [o for o in paths_into if o not in causes]
        )
    )
    sums = []
    for hypothesis in study.hypotheses.values():
        for words, kind in ((hypothesis.effect, ""), (hypothesis.total, "total")):
            if words and hypothesis.model == name:
                sums.append(effect(model, words, kind))
                pairs += [(chain[0], chain[-1]) for chain in sums[-1].chains]
    found = [each for start, end in dict.fromkeys(pairs) for each in between(model, start, end)]
    return list(dict.fromkeys([*found, *sums]))


def _mediated_pairs(model: sem.Model, study: Study, name: str) -> list[tuple[str, str]]:
    """Starts and ends of the effects asked for that run through a mediator."""
    return list(
        dict.fromkeys(
            (e.chains[0][0], e.chains[0][-1])
            for e in _wanted(model, study, name)
            if e.kind == "indirect"
        )
    )


def _compared(model: sem.Model, study: Study, name: str) -> list[tuple[Effect, Effect]]:
    """The total effects which the study's hypotheses set against each other."""
    out: list[tuple[Effect, Effect]] = []
    for hypothesis in study.hypotheses.values():
        if hypothesis.contrast and hypothesis.model == name:
            out += [
                tuple(effect(model, words, "total") for words in pair)
                for pair in rivals(hypothesis.contrast)
            ]
    return list(dict.fromkeys(out))


def _effects(
    fit: sem.Fit, draws: Resampled | None, study: Study, model: str, standardised: bool
) -> pd.DataFrame:
    """Every kind of interval of every effect asked for, then of the contrasts of the study's hypotheses."""
    wanted = _wanted(fit.model, study, model)
    std = values(fit.model, wanted, fit.theta[None], True)[0]
    table = inference(
        fit,
        lambda theta: values(fit.model, wanted, theta, standardised),
        [(e.name, e.kind, s) for e, s in zip(wanted, std, strict=True)],
        *(draws.both if draws else ()),
    )
    pairs = _compared(fit.model, study, model)
    return (
        pd.concat([table, _contrasted(fit, draws, pairs, True)], ignore_index=True)
        if pairs
        else table
    )


def _contrasted(
    fit: sem.Fit,
    draws: Resampled | None,
    chosen: Sequence[tuple[Effect, Effect]],
    standardised: bool,
) -> pd.DataFrame:
    """First less second effect of each pair."""

    def gap(theta: np.ndarray, standardised: bool) -> np.ndarray:
        first, second = (
            values(fit.model, side, theta, standardised) for side in zip(*chosen, strict=True)
        )
        return first - second

    labels = [
        (f"{a.name} > {b.name}", "contrast", s)
        for (a, b), s in zip(chosen, gap(fit.theta[None], True)[0], strict=True)
    ]
    return inference(
        fit, lambda theta: gap(theta, standardised), labels, *(draws.both if draws else ())
    )


def _largest(table: pd.DataFrame, most: int, kind: str = "") -> tuple[pd.DataFrame, Text]:
    """The largest effects in the order of the table, and a sentence on those left out."""
    table = (table[table["kind"] == kind] if kind else table).drop_duplicates(BEST)
    left = len(table) - most
    keep = table["std"].abs().sort_values(ascending=False, kind="stable").index[:most]
    return table.loc[keep].sort_index(), {
        "en": f" {left} smaller ones are not drawn." if left > 0 else "",
        "zh": f"另有 {left} 个较小的未画出。" if left > 0 else "",
    }


def _sure(table: pd.DataFrame) -> pd.Series:
    """Which intervals leave out zero."""
    return (table["ci_low"] > 0) | (table["ci_high"] < 0)


def _type(row: dict) -> str:
    """The kind of mediation from the two intervals."""
    direct, indirect = (
        row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0 for name in ("direct", "indirect")
    )
    if np.isnan(row["direct"]):
        return "not testable" if indirect else "none"
    if direct and indirect:
        return "partial" if row["direct"] * row["indirect"] > 0 else "competitive"
    return "full" if indirect else "direct only" if direct else "none"


def _colour(name: str, study: Study) -> str:
    """The colour of the construct an effect ends in."""
    end = name.rsplit(ARROW, 1)[-1]
    return theme.ROLES[study.role(end)] if end in study.constructs else theme.INK


def _said(table: pd.DataFrame, study: Study) -> Text:
    """How many indirect effects are beyond doubt, and the largest."""
    best = table[table["kind"] == "specific"].drop_duplicates(BEST)
    if best.empty:
        return {
            "en": "No effect asked for runs through a mediator.",
            "zh": "所求效应均不经由中介。",
        }
    if best["std"].isna().all():
        return {
            "en": f"None of {plural(len(best), 'specific indirect effect')} has a size: the solution gives no standardised values.",
            "zh": f"{len(best)} 个特定间接效应均无法确定大小：该解给不出标准化值。",
        }
    sure = _sure(best).sum()
    top = best.loc[best["std"].abs().idxmax()]
    limits = f"[{number(top['ci_low'])}, {number(top['ci_high'])}]"
    return {
        "en": f"The 95% interval leaves out zero in {sure} of {plural(len(best), 'specific indirect effect')}. The "
        f"largest runs {named_effect(study, top['effect'])['en']}: {number(top['est'])} {limits}, standardised "
        f"{number(top['std'], 2)}.",
        "zh": f"{len(best)} 个特定间接效应中有 {sure} 个的 95% 区间不含零。最大的是{named_effect(study, top['effect'])['zh']}："
        f"{number(top['est'])} {limits}，标准化为 {number(top['std'], 2)}。",
    }


def _mediated(table: pd.DataFrame, study: Study) -> Text:
    """One clause a kind."""
    if table.empty:
        return {"en": "No pair of constructs has a mediator.", "zh": "没有带中介的构念对。"}
    said: dict[str, list[str]] = {"en": [], "zh": []}
    for kind, rows in table.groupby("type", sort=False):
        for at, (language, comma, colon) in enumerate((("en", ", ", ": "), ("zh", "、", "："))):
            pairs = comma.join(
                f"{study.name(row.start, language)} → {study.name(row.end, language)}"
                for row in rows.itertuples()
            )
            said[language].append(f"{KINDS[kind][at]}{colon}{pairs}")
    return {
        "en": ". ".join(clause[0].upper() + clause[1:] for clause in said["en"]) + ".",
        "zh": "；".join(said["zh"]) + "。",
    }


def _proportions(table: pd.DataFrame, n: int) -> Iterable[Text]:
    """The caveats of the proportion mediated."""
    if table.empty:
        return
    if table["proportion"].isna().any():
        yield {
            "en": "The proportion mediated is missing where the model has no direct path, direct and indirect effect "
            "have opposite signs, or the total may be zero: there it has no meaning.",
            "zh": "模型没有直接路径、直接与间接效应异号，或总效应可能为零时，中介比例没有意义，故缺失。",
        }
    if table["proportion"].notna().any() and n < 500:
        yield {
            "en": f"With {n} respondents the proportion mediated is unstable (500 or more are advised): read its interval.",
            "zh": f"样本仅 {n} 人，中介比例不稳定（建议 500 人以上）：请看其区间。",
        }


def _warnings(fit: sem.Fit, draws: Resampled | None, table: pd.DataFrame) -> tuple[Text, ...]:
    """What stands above the numbers: the fit's own warnings, then how the draws ended."""
    out: list[Text] = list(fit.warnings)
    if draws is None:
        out.append(NOT_RESAMPLED)
    else:
        if draws.cluster:
            out.append(
                {
                    "en": f"The bootstrap resamples whole clusters ({draws.cluster}), so BCa and percentile intervals do not take "
                    "their respondents as independent.",
                    "zh": f"自助法整群重抽样（{draws.cluster}），因此 BCa 与百分位区间不把同一群的受访者视为独立。",
                }
            )
        out += _draw_warnings(draws)
        lost = (
            draws.bootstrap.converged - table["converged"].min()
            if "converged" in table and len(table)
            else 0
        )
        if lost:
            out.append(
                {
                    "en": f"In {lost} draws an effect does not exist (a variance is negative); these were left out.",
                    "zh": f"有 {lost} 次重抽样的效应不存在（方差为负），已剔除。",
                }
            )
    if "ci_low" in table and table["ci_low"].isna().any():
        out.append(
            {
                "en": "Some intervals are missing: this solution, or these draws, do not determine an error.",
                "zh": "部分区间缺失：该解或这些抽样不能确定误差。",
            }
        )
    return tuple(out)


def _draw_warnings(draws: Resampled) -> tuple[Text, ...]:
    """Failed and improper refits."""
    found, out = draws.bootstrap, []
    count = f"{len(found):,}"
    if found.failed:
        many = found.failed > len(found) / 20
        out.append(
            {
                "en": f"Bootstrap samples without an optimum, left out: {found.failed} of {count}"
                + (": more than 1 in 20, so the intervals may be wrong." if many else "."),
                "zh": f"{count} 次重抽样中有 {found.failed} 次没有最优解，已剔除"
                + ("：超过二十分之一，区间可能有误。" if many else "。"),
            }
        )
    if found.improper:
        out.append(
            {
                "en": f"{found.improper} of {count} bootstrap solutions are improper (such as a negative variance); kept.",
                "zh": f"{count} 次重抽样中有 {found.improper} 次的解不恰当（如方差为负），予以保留。",
            }
        )
    if draws.jackknife is None:
        out.append(
            {
                "en": f"No BCa interval: more than {MOST_LEFT_OUT:,} leave-one-out refits would be needed.",
                "zh": f"没有 BCa 区间：需要 {MOST_LEFT_OUT:,} 次以上的逐一剔除拟合。",
            }
        )
    elif draws.jackknife.failed:
        out.append(
            {
                "en": f"{draws.jackknife.failed} of {len(draws.jackknife):,} leave-one-out samples have no optimum; BCa "
                "uses the rest.",
                "zh": f"{len(draws.jackknife):,} 个逐一剔除样本中有 {draws.jackknife.failed} 个没有最优解；BCa 依据其余样本。",
            }
        )
    return tuple(out)
