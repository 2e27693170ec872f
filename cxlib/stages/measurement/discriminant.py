"""Are two constructs two?  The heterotrait–monotrait ratio from the items alone, Fornell and Larcker's criterion from a fit.

Every cut-off named here is a convention of its authors, not a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core.absent import stage
from cxlib.core.result import Result, Text, makes, nothing, together
from cxlib.core.words import Sentence, _, joined, n_, number
from cxlib.stages.measurement.results import of_fit, with_names
from cxlib.statistics.discriminant import (
    Scales,
    below_diagonal,
    complete,
    fornell_larcker_matrix,
    htmt_matrix,
    indicators,
    resampled_htmt,
)
from cxlib.study.names import named

if TYPE_CHECKING:
    from cxlib.sem import Fit
    from cxlib.study.schema import Study

HTMT_CONVENTIONS = (0.85, 0.90)
"""Below, for distinct and for related concepts: Henseler et al. (2015), doi:10.1007/s11747-014-0403-8."""
INTERVALS = "a b htmt htmt_low htmt_high htmt2 htmt2_low htmt2_high draws"


@makes("htmt", "construct", open=True)
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
        return nothing(["construct"], _alone(model))
    square = htmt_matrix(rows, scales)
    pairs = below_diagonal(square)
    a, b, value = max(pairs, key=lambda pair: np.nan_to_num(pair[2]))
    low, high = (sum(v >= limit for *_names, v in pairs) for limit in HTMT_CONVENTIONS)
    text = joined(
        _(
            "The largest HTMT is {value} ({a} and {b}).",
            value=number(value, 2),
            a=named(study, a),
            b=named(study, b),
        ),
        n_(
            "Of {n:,} pair, {low} reach .85 and {high} reach .90, the conventions for distinct and for related concepts.",
            "Of {n:,} pairs, {low} reach .85 and {high} reach .90, the conventions for distinct and for related concepts.",
            len(pairs),
            low=low,
            high=high,
        ),
    )
    undefined = [f"{a} – {b}" for a, b, v in pairs if np.isnan(v)]
    gone = _(
        "Not defined, as the items of a construct do not correlate, hence empty: {pairs}.",
        pairs=undefined,
    )
    return Result(
        with_names(square),
        text,
        len(rows),
        _("HTMT: absolute correlations, arithmetic means"),
        together(*notes, gone if undefined else None),
    )


@makes("htmt_intervals", INTERVALS)
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
        return nothing(INTERVALS.split(), _alone(model))
    unit = (
        pd.factorize(data.loc[rows.index, study.cluster], use_na_sentinel=False)[0]
        if study.cluster
        else np.arange(len(rows))
    )
    drawn = resampled_htmt(rows, scales, draws, rng, unit)
    square, at = htmt_matrix(rows, scales), np.tril_indices(len(scales), -1)
    table = pd.DataFrame([(a, b) for a, b, _value in below_diagonal(square)], columns=["a", "b"])
    for name, ratios in (("htmt", drawn.htmt), ("htmt2", drawn.htmt2)):
        table[name] = htmt_matrix(rows, scales, name == "htmt2").to_numpy()[at]
        ends = np.quantile(ratios, [0.025, 0.975], axis=0)[:, *at]
        table[f"{name}_low"], table[f"{name}_high"] = ends
    table["draws"] = used = len(drawn.htmt)
    return Result(
        table,
        _below(table),
        len(rows),
        _(
            "HTMT and HTMT2, percentile bootstrap, {n} draws of clusters ({cluster})",
            n=used,
            cluster=study.cluster,
        )
        if study.cluster
        else _("HTMT and HTMT2, percentile bootstrap, {n} draws", n=used),
        together(*notes, *_doubts(table, draws)),
    )


@makes("fornell_larcker", "construct", open=True)
@stage
def fornell_larcker(fit: Fit) -> Result:
    """√AVE on the diagonal, correlations of the constructs beside it (square, first column construct).

    Notes
    -----
    Criterion: √AVE exceeds every correlation in its row, doi:10.1177/002224378101800104.
    R: ``sqrt(AVE)`` as in :func:`validity`; ``lavaan::lavInspect(fit, "cor.lv")``.
    """
    square, own = fornell_larcker_matrix(fit), indicators(fit)
    root = dict(zip(square, np.diag(square), strict=True))
    failed = [
        f"{a} – {b} ({number(r, 2)})"
        for a, b, r in below_diagonal(square)
        if abs(r) > np.fmin(root[a], root[b]) and a not in own[b] and b not in own[a]
    ]
    text = (
        n_(
            "The correlation exceeds √AVE for {n:,} pair: {pairs}.",
            "The correlation exceeds √AVE for {n:,} pairs: {pairs}.",
            len(failed),
            pairs=failed,
        )
        if failed
        else _("Every √AVE exceeds the correlations of its construct.")
    )
    second = [code for code in own if set(own[code]) & set(own)]
    parts = n_(
        "{names} with its own parts is not counted: they are meant to go together.",
        "{names} with their own parts are not counted: they are meant to go together.",
        len(second),
        names=second,
    )
    single = [code for code in own if len(own[code]) == 1]
    return of_fit(
        fit,
        with_names(square),
        joined(text, parts if second else ""),
        _("√AVE (standardised loadings), model-implied correlations"),
        n_(
            "{names} has one item, hence no AVE.",
            "{names} have one item each, hence no AVE.",
            len(single),
            names=single,
        )
        if single
        else None,
    )


def _below(table: pd.DataFrame) -> Text:
    """For how many pairs the whole interval is below the conventions."""
    first, second, third, fourth = (
        int((table[f"{name}_high"] < limit).sum())
        for name in ("htmt", "htmt2")
        for limit in HTMT_CONVENTIONS
    )
    return n_(
        "Of {n:,} pair the whole 95% interval of HTMT lies below .85 for {first} and below .90 for {second}; that of HTMT2 for {third} and {fourth}.",
        "Of {n:,} pairs the whole 95% interval of HTMT lies below .85 for {first} and below .90 for {second}; that of HTMT2 for {third} and {fourth}.",
        len(table),
        first=first,
        second=second,
        third=third,
        fourth=fourth,
    )


def _doubts(table: pd.DataFrame, draws: int) -> list[Sentence]:
    """What a reader must know of the intervals: draws left out, pairs without a value, intervals above their estimate."""
    notes: list[Sentence] = []
    lost = draws - int(table["draws"].iloc[0])
    if lost:
        notes.append(
            _(
                "In {lost} of {draws} draws an item did not vary; they were left out.",
                lost=lost,
                draws=draws,
            )
        )
    gone = table[table.isna().any(axis=1)]
    upward = table[(table["htmt"] < table["htmt_low"]) | (table["htmt2"] < table["htmt2_low"])]
    if len(gone):
        notes.append(
            _(
                "Not defined in the sample or in some draw, as the items of a construct do not correlate, hence empty: {pairs}.",
                pairs=list(gone["a"] + " – " + gone["b"]),
            )
        )
    if len(upward):
        notes.append(
            _(
                "The interval lies above the estimate for {pairs}: correlations near zero lose their sign here, so resamples scatter upwards. Only the upper end is of use.",
                pairs=list(upward["a"] + " – " + upward["b"]),
            )
        )
    return notes


def _alone(model: str) -> Sentence:
    """Why a model without two constructs to compare has no HTMT."""
    return _(
        "HTMT compares constructs, and model '{model}' has no two with items: there is nothing to compare.",
        model=model,
    )


def _complete(
    data: pd.DataFrame, study: Study, model: str
) -> tuple[pd.DataFrame, Scales, list[Sentence]]:
    """Rows complete in the items of a model, its scales, and what a reader must know of both."""
    codes = study.model_constructs(model)
    scales = {code: own for code, own in study.scales.items() if code in codes}
    rows = complete(data, scales)
    lost, r = len(data) - len(rows), rows.corr()
    notes: list[Sentence] = []
    if lost:
        notes.append(
            _(
                "{lost} of {n} rows have a missing item and were left out (listwise).",
                lost=lost,
                n=len(data),
            )
        )
    if single := [code for code in scales if len(scales[code]) == 1]:
        notes.append(
            n_(
                "{names} has one item, which HTMT takes as perfectly reliable.",
                "{names} have one item each, which HTMT takes as perfectly reliable.",
                len(single),
                names=single,
            )
        )
    if second := [code for code in codes if code not in scales]:
        notes.append(
            n_(
                "{names} is of second order, without items of its own: left out.",
                "{names} are of second order, without items of their own: left out.",
                len(second),
                names=second,
            )
        )
    turned = [
        x
        for own in scales.values()
        for x in own
        if len(own) > 1 and r.loc[x, own].drop(x).mean() < 0
    ]
    if turned:
        notes.append(
            n_(
                "{names} goes against the other items of its construct, which absolute correlations hide: check the reverse coding.",
                "{names} go against the other items of their construct, which absolute correlations hide: check the reverse coding.",
                len(turned),
                names=turned,
            )
        )
    return rows, scales, notes
