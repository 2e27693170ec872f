"""Stage 07: what runs through the mediators — direct, specific, indirect and total effects, and their contrasts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.absent import stage
from cxlib.core.errors import EffectError
from cxlib.core.result import Result, Text, makes, relied
from cxlib.core.syntax import rivals, without
from cxlib.core.words import Sentence, _, joined, n_, number
from cxlib.diagram import forests
from cxlib.sem.paths import ARROW, COLUMNS, Effect, between, edges, effect, predictors, values
from cxlib.statistics.mediation import (
    BEST,
    INTERVALS,
    MEDIATION,
    against,
    clear,
    contrasted,
    decomposed,
    estimated,
    indirect_effects,
    one_interval,
)
from cxlib.study.names import named, named_effect
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.sem.resampling import Draws

MOST_LEFT_OUT = 20_000
DRAWS = ["sample", "draws", "converged", "improper", "failed"]
COMPARED = ["start", "end", "in_model", "std", "d_chisq", "d_df", "d_p", "mediation"]
KINDS = {
    "full": _("Fully mediated (only the indirect effect differs from zero)"),
    "partial": _("Partly mediated (direct and indirect effect, same sign)"),
    "competitive": _("Mediated against the direct effect (opposite signs)"),
    "direct only": _("Not mediated (only the direct effect differs from zero)"),
    "none": _("No clear effect"),
    "not testable": _(
        "Mediated by assumption (the model has no direct path; compare it with one that has)"
    ),
}
"""Kinds of mediation."""
NOT_RESAMPLED = _(
    "Nothing was resampled: refits need complete rows and maximum likelihood. Intervals are those of the delta method."
)


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


def _both(draws: Resampled | None) -> tuple[Draws | None, ...]:
    """What inference takes, nothing if nothing was resampled."""
    return draws.both if draws else ()


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


@makes("draws", " ".join(DRAWS))
@stage
def draws_table(draws: Resampled | None) -> Result:
    """How the refits ended (sample, draws, converged, improper, failed); converged ones include the improper."""
    if draws is None:
        return Result(pd.DataFrame(columns=DRAWS), NOT_RESAMPLED, 0)
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
    first = table.iloc[0].to_dict()
    told = {name: first[name] for name in ("converged", "draws", "improper")}
    text = (
        _(
            "{converged:,} of {draws:,} resamples of clusters ({cluster}) have an optimum; {improper:,} of these are improper and kept.",
            cluster=draws.cluster,
            **told,
        )
        if draws.cluster
        else _(
            "{converged:,} of {draws:,} resamples of respondents have an optimum; {improper:,} of these are improper and kept.",
            **told,
        )
    )
    return Result(
        table, text, draws.n_used, _("exact maximum-likelihood refits"), _draw_warnings(draws)
    )


@makes("effects", " ".join([*COLUMNS, "n"]))
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
        raise EffectError(
            _(
                "kind='{kind}' is not an interval. Use one of {names}.",
                kind=kind,
                names=list(INTERVALS),
            )
        )
    table = one_interval(_effects(fit, draws, study, model, False), kind)
    return Result(
        table.assign(n=fit.n_used),
        relied(_said(table, study), fit.trustworthy),
        fit.n_used,
        _("unstandardised effects, contrasts standardised, {method}", method=fit.method),
        _warnings(fit, draws, table),
    )


@makes("effects_intervals", " ".join([*COLUMNS, "scale"]))
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
        _(
            "The lower limits of the delta and the BCa interval differ by up to {gap}.",
            gap=number(gap),
        ),
        fit.n_used,
        _("BCa, percentile and delta-method intervals"),
        _warnings(fit, draws, table),
    )


@makes("contrasts", " ".join([*COLUMNS, "scale"]))
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
            _("No two effects of this model can be set against each other."),
            fit.n_used,
        )
    table = contrasted(fit, chosen, False, *_both(draws)).assign(scale="unstandardised")
    best = table.drop_duplicates(BEST)
    return Result(
        table,
        n_(
            "The 95% interval leaves out zero in {sure} of {n:,} contrast between effects.",
            "The 95% interval leaves out zero in {sure} of {n:,} contrasts between effects.",
            len(best),
            sure=int(clear(best).sum()),
        ),
        fit.n_used,
        _("differences between effects"),
        _warnings(fit, draws, table),
    )


@makes("mediation", " ".join(MEDIATION))
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
    table = decomposed(fit, _mediated_pairs(fit.model, study, model), *_both(draws))
    return Result(
        table,
        relied(_mediated(table, study), fit.trustworthy),
        fit.n_used,
        _("intervals of direct and indirect effects"),
        (*_warnings(fit, draws, table), *_proportions(table, fit.n_used)),
    )


@makes("full_or_partial", " ".join(COMPARED))
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
    rows: list[dict[str, Any]] = []
    notes = list(fit.warnings)
    pairs = _mediated_pairs(fit.model, study, model) if fit.missing != "mi" else []
    through = indirect_effects(fit, pairs, *_both(draws))
    for (start, end), indirect in zip(pairs, through.itertuples(), strict=True):
        there = (start, end) in edges(fit.model)
        other = sem.fit(
            data,
            without(study.syntax(model), start, end)
            if there
            else f"{study.syntax(model)}\n{end} ~ {start}",
            estimator=fit.estimator,
            missing=fit.missing,
            cluster=fit.cluster or None,
        )
        row = against(fit, other, start, end, indirect.est, indirect.sure)
        rows.append({"start": start, "end": end, **row})
        if not (other.trustworthy and abs(row["std"]) < 1):
            notes.append(
                _(
                    "{start} → {end} hardly tells anything: with the path (or without) the solution is improper or the path beyond 1 "
                    "({std}).",
                    start=start,
                    end=end,
                    std=number(row["std"], 2),
                )
            )
    if fit.missing == "mi":
        notes.append(_("Imputed data have no χ² difference; use missing='fiml'."))
    table = pd.DataFrame(rows, columns=COMPARED)
    better = table[table["mediation"].isin(["partial", "competitive", "direct only"])]
    text = n_(
        "A direct path improves the fit in {better} of {n:,} pair: {pairs}.",
        "A direct path improves the fit in {better} of {n:,} pairs: {pairs}.",
        len(table),
        better=len(better),
        pairs=_pairs(better, study) or _("none"),
    )
    return Result(
        table,
        relied(text, fit.trustworthy),
        fit.n_used,
        _("χ² difference of nested models ({method})", method=fit.method),
        tuple(notes),
    )


@makes("effects_*", " ".join([*COLUMNS, "n"]))
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
    labels = [_labelled(row.effect, row.kind, study)[language] for row in table.itertuples()]
    wide = re.compile(f"[{theme.WIDE}]")  # twice as wide as a letter
    room = 0.075 * max((len(text) + len(wide.findall(text)) for text in labels), default=0)
    figure, axes = pyplot.subplots(figsize=(4.8 + room, 1.0 + 0.34 * len(table)))
    forests.forest(
        axes,
        table.assign(
            place=range(len(table)),
            mark=table["kind"].map(marks),
            hollow=~clear(table),
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
    axes.set_xlabel(_("unstandardised effect (95% interval)")[language])
    kind = "/".join(table["interval"].unique()).replace("bca", "BCa")
    used = int(table["converged"].min()) if len(table) else 0
    told = {"interval": kind, "n": result.n_used}
    return figure, joined(
        _(
            "Effects with 95% {interval} intervals ({draws:,} bootstrap samples), n = {n:,}.",
            draws=used,
            **told,
        )
        if used
        else _("Effects with 95% {interval} intervals, n = {n:,}.", **told),
        _(
            "Squares are direct, circles single chains, diamonds sums; the interval of a hollow mark holds zero."
        ),
        left,
    )


def _labelled(words: str, kind: str, study: Study) -> Sentence:
    """An effect with its kind, where the chain does not show it."""
    name = named_effect(study, words)
    if kind == "direct":
        return _("{effect} (direct)", effect=name)
    if kind == "indirect":
        return _("{effect} (total indirect)", effect=name)
    return _("{effect} (total)", effect=name) if kind == "total" else name


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
    return figure, joined(
        _(
            "{draws:,} bootstrap values of each effect, n = {n:,}: the solid line is the estimate, the bar below its 95% interval, the "
            "dashed line zero.",
            draws=len(drawn),
            n=fit.n_used,
        ),
        left,
    )


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
                (effect(model, larger, "total"), effect(model, smaller, "total"))
                for larger, smaller in rivals(hypothesis.contrast)
            ]
    return list(dict.fromkeys(out))


def _effects(
    fit: sem.Fit, draws: Resampled | None, study: Study, model: str, standardised: bool
) -> pd.DataFrame:
    """Every kind of interval of every effect asked for, then of the contrasts of the study's hypotheses."""
    table = estimated(fit, _wanted(fit.model, study, model), standardised, *_both(draws))
    if pairs := _compared(fit.model, study, model):
        apart = contrasted(fit, pairs, True, *_both(draws))
        return pd.concat([table, apart], ignore_index=True)
    return table


def _largest(table: pd.DataFrame, most: int, kind: str = "") -> tuple[pd.DataFrame, Text]:
    """The largest effects in the order of the table, and a sentence on those left out."""
    table = (table[table["kind"] == kind] if kind else table).drop_duplicates(BEST)
    left = len(table) - most
    keep = table["std"].abs().sort_values(ascending=False, kind="stable").index[:most]
    undrawn = n_(
        "{n:,} smaller one is not drawn.", "{n:,} smaller ones are not drawn.", max(left, 0)
    )
    return table.loc[keep].sort_index(), undrawn if left > 0 else joined("")


def _colour(name: str, study: Study) -> str:
    """The colour of the construct an effect ends in."""
    end = name.rsplit(ARROW, 1)[-1]
    return theme.ROLES[study.role(end)] if end in study.constructs else theme.INK


def _said(table: pd.DataFrame, study: Study) -> Text:
    """How many indirect effects are beyond doubt, and the largest."""
    best = table[table["kind"] == "specific"].drop_duplicates(BEST)
    if best.empty:
        return _("No effect asked for runs through a mediator.")
    if best["std"].isna().all():
        return n_(
            "None of {n:,} specific indirect effect has a size: the solution gives no standardised values.",
            "None of {n:,} specific indirect effects has a size: the solution gives no standardised values.",
            len(best),
        )
    top = best.loc[best["std"].abs().idxmax()]
    return joined(
        n_(
            "The 95% interval leaves out zero in {sure} of {n:,} specific indirect effect.",
            "The 95% interval leaves out zero in {sure} of {n:,} specific indirect effects.",
            len(best),
            sure=int(clear(best).sum()),
        ),
        _(
            "The largest runs {effect}: {est} [{low}, {high}], standardised {std}.",
            effect=named_effect(study, top["effect"]),
            est=number(top["est"]),
            low=number(top["ci_low"]),
            high=number(top["ci_high"]),
            std=number(top["std"], 2),
        ),
    )


def _pairs(table: pd.DataFrame, study: Study) -> list[Sentence]:
    """The pairs of constructs of a table, by their names."""
    return [
        joined(named(study, row.start), named(study, row.end), between=" → ")
        for row in table.itertuples()
    ]


def _mediated(table: pd.DataFrame, study: Study) -> Text:
    """One sentence a kind."""
    if table.empty:
        return _("No pair of constructs has a mediator.")
    return joined(
        *(
            _("{kind}: {pairs}.", kind=KINDS[kind], pairs=_pairs(rows, study))
            for kind, rows in table.groupby("type", sort=False)
        )
    )


def _proportions(table: pd.DataFrame, n: int) -> Iterable[Text]:
    """The caveats of the proportion mediated."""
    if table.empty:
        return
    if table["proportion"].isna().any():
        yield _(
            "The proportion mediated is missing where the model has no direct path, direct and indirect effect have opposite signs, "
            "or the total may be zero: there it has no meaning."
        )
    if table["proportion"].notna().any() and n < 500:
        yield _(
            "With {n} respondents the proportion mediated is unstable (500 or more are advised): read its interval.",
            n=n,
        )


def _warnings(fit: sem.Fit, draws: Resampled | None, table: pd.DataFrame) -> tuple[Text, ...]:
    """What stands above the numbers: the fit's own warnings, then how the draws ended."""
    out: list[Text] = list(fit.warnings)
    if draws is None:
        out.append(NOT_RESAMPLED)
    else:
        if draws.cluster:
            out.append(
                _(
                    "The bootstrap resamples whole clusters ({cluster}), so BCa and percentile intervals do not take their respondents as "
                    "independent.",
                    cluster=draws.cluster,
                )
            )
        out += _draw_warnings(draws)
        lost = (
            draws.bootstrap.converged - table["converged"].min()
            if "converged" in table and len(table)
            else 0
        )
        if lost:
            out.append(
                n_(
                    "In {n:,} draw an effect does not exist (a variance is negative); it was left out.",
                    "In {n:,} draws an effect does not exist (a variance is negative); these were left out.",
                    int(lost),
                )
            )
    if "ci_low" in table and table["ci_low"].isna().any():
        out.append(
            _(
                "Some intervals are missing: this solution, or these draws, do not determine an error."
            )
        )
    return tuple(out)


def _draw_warnings(draws: Resampled) -> tuple[Text, ...]:
    """Failed and improper refits."""
    found = draws.bootstrap
    out: list[Text] = []
    if found.failed > len(found) / 20:
        out.append(
            _(
                "Bootstrap samples without an optimum, left out: {failed} of {draws:,}: more than 1 in 20, so the intervals may be wrong.",
                failed=found.failed,
                draws=len(found),
            )
        )
    elif found.failed:
        out.append(
            _(
                "Bootstrap samples without an optimum, left out: {failed} of {draws:,}.",
                failed=found.failed,
                draws=len(found),
            )
        )
    if found.improper:
        out.append(
            _(
                "{improper} of {draws:,} bootstrap solutions are improper (such as a negative variance); kept.",
                improper=found.improper,
                draws=len(found),
            )
        )
    if draws.jackknife is None:
        out.append(
            _(
                "No BCa interval: more than {most:,} leave-one-out refits would be needed.",
                most=MOST_LEFT_OUT,
            )
        )
    elif draws.jackknife.failed:
        out.append(
            _(
                "{failed} of {samples:,} leave-one-out samples have no optimum; BCa uses the rest.",
                failed=draws.jackknife.failed,
                samples=len(draws.jackknife),
            )
        )
    return tuple(out)
