"""Could one common method, or one mood, have made the correlations?  Harman, a single factor, a method factor, a marker.

None of these is a test that method variance is absent; each says how much there could be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core.absent import stage
from cxlib.core.result import Result, Text, makes, nothing, together
from cxlib.core.words import Sentence, _, joined, number, p_text
from cxlib.stages.measurement.results import of_fit
from cxlib.statistics.common_method import (
    Marked,
    Rivals,
    difference,
    fitted_to_moments,
    marker,
    rivals,
)
from cxlib.statistics.discriminant import below_diagonal, indicators, latent_correlations
from cxlib.study.names import named

if TYPE_CHECKING:
    from cxlib.sem import Fit
    from cxlib.study.schema import Study

COLUMNS = "check statistic value"
NO_MARKER = _(
    "The study declares no marker, a question that has nothing to do with any construct: with a line 'marker: <item, construct or number column>' in the study file, the correlations are also shown with its share taken out."
)


@makes("method_bias", COLUMNS)
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
        return nothing(
            COLUMNS.split(),
            _(
                "The measurement model has no degree of freedom: nothing is left that could tell a common method from the constructs."
            ),
        )
    found = rivals(fit)
    versus = difference(found.single, found.base)
    statistics, marked, unsound = _marker(fit, data, study)
    checks = {
        "harman_pca": {"share": found.component},
        "harman_factor": {"share": found.factor},
        "one_factor": versus,
        "method_factor": dict(zip(("share", "share_low", "share_high"), found.share, strict=True))
        | difference(found.base, found.common),
        **statistics,
    }
    table = pd.DataFrame(
        [
            (check, statistic, value)
            for check, values in checks.items()
            for statistic, value in values.items()
        ],
        columns=COLUMNS.split(),
    )
    harman = _(
        "The first component holds {component:.0%} and a single factor {factor:.0%} of the items' variance (Harman; under 50% by convention).",
        component=found.component,
        factor=found.factor,
    )
    return of_fit(
        fit,
        table,
        joined(harman, _single(versus), _method_factor(found), marked),
        _(
            "Harman (principal component, ML factor), single-factor CFA, orthogonal method factor with equal loadings, marker (partial correlations; CFA, Method-C)"
        )
        if statistics
        else _(
            "Harman (principal component, ML factor), single-factor CFA, orthogonal method factor with equal loadings"
        ),
        *_of_rivals(found),
        *unsound,
        *_cautions(fit, found),
    )


def _single(versus: Mapping[str, float]) -> Sentence:
    """Whether one factor fits as well as the constructs."""
    test = _difference_said(versus)
    if versus["d_p"] < 0.05:
        return _("One factor for all items fits worse than the model, {test}.", test=test)
    return _("One factor for all items fits no worse than the model, {test}.", test=test)


def _method_factor(found: Rivals) -> Sentence:
    """What a method factor would hold of an item's variance."""
    share, low, high = (number(100 * value, 1) for value in found.share)
    if found.common.trustworthy:
        return _(
            "A method factor common to all items would hold {share}% [{low}, {high}] of an item's variance.",
            share=share,
            low=low,
            high=high,
        )
    if found.share[0] < 0:
        return _("A method factor common to all items finds no variance of its own.")
    return _(
        "These data cannot separate a method factor from the constructs: it has no admissible solution."
    )


def _of_rivals(found: Rivals) -> tuple[Text, ...]:
    """The warnings of the models compared, with the name of the model."""
    single = (_("Single factor: {warning}", warning=w) for w in found.single.warnings)
    common = (
        _("Model with the method factor: {warning}", warning=w) for w in found.common.warnings
    )
    return (*single, *common)


def _cautions(fit: Fit, found: Rivals) -> list[Sentence]:
    """What limits the comparison of the fit with its rivals."""
    own, after = indicators(fit), latent_correlations(found.common)
    notes: list[Sentence] = []
    if fit.estimator != "ML" or not fitted_to_moments(fit):
        notes.append(
            _(
                "All models compared here are fitted by maximum likelihood, not by {estimator}: the shares are comparable, the χ² differences are uncorrected and therefore rough.",
                estimator=fit.missing.upper() if fit.missing in ("fiml", "mi") else fit.estimator,
            )
        )
    if len(own) == 1:
        notes.append(
            _("{name} is the only construct: a single factor is the model itself.", name=list(own))
        )
    if found.share[0] < 0:
        notes.append(
            _("The method factor's variance is estimated below zero: read its share as 0.")
        )
    turned = [
        f"{a} – {b}"
        for (a, b, before), (*_names, now) in zip(
            below_diagonal(latent_correlations(fit)), below_diagonal(after), strict=False
        )
        if before > 0 > now
    ]
    if turned:
        notes.append(
            _(
                "With the method factor these positive correlations turn negative: {pairs}. It takes up what the constructs truly share, so its share is an upper bound.",
                pairs=turned,
            )
        )
    return notes


def _marker(
    fit: Fit, data: pd.DataFrame | None, study: Study | None
) -> tuple[dict[str, Mapping[str, float]], Text, tuple[Text, ...]]:
    """The statistics of the study's marker, what they say, and what a reader must know."""
    if study is None or data is None or not study.marker:
        return {}, NO_MARKER, ()
    code = study.marker
    whole = code in study.constructs
    items = list(study.constructs[code].items) if whole else [code]
    scales = {c: x for c, x in indicators(fit).items() if set(x) <= set(fit.model.observed)}
    if set(items) & set(fit.model.observed) or len(scales) < 2:
        text = _(
            "The marker {code} belongs to this model, or the model has one construct only: it is not used.",
            code=code,
        )
        return {}, text, ()
    rows = data[[*fit.model.observed, *items]].dropna().astype(float)
    found = marker(rows, fit, items, scales)
    single = _("The marker {code} is one question, taken as free of error.", code=code)
    bad = [
        _("Marker model: {warning}", warning=w)
        for rival in found.fits
        if not rival.trustworthy
        for w in rival.warnings
    ]
    return (
        {"marker": found.correlations, "marker_factor": found.factor},
        _of_marker(found, named(study, code) if whole else code),
        together(*bad, single if len(items) == 1 else None),
    )


def _of_marker(found: Marked, name: Text | str) -> Sentence:
    """What is left of the correlations without the marker's share, and whether it acts on the items."""
    values = {
        "name": name,
        "low": number(found.correlations["r_lowest"], 2),
        "second": number(found.correlations["r_second"], 2),
        "before": found.correlations["significant"],
        "still": found.correlations["significant_adjusted"],
        "pairs": found.correlations["pairs"],
        "test": _difference_said(found.factor),
        "moved": number(found.factor["largest_change"], 2),
    }
    partial = _(
        "The marker {name} correlates {low} and {second} with the two constructs it goes least with; with the latter taken out, {still} of {before} significant correlations (of {pairs}) stay so (Lindell and Whitney 2001).",
        **values,
    )
    if found.factor["d_p"] < 0.05:
        return joined(
            partial,
            _(
                "Letting it act on all items improves fit, {test} (Williams et al. 2010); no correlation between constructs changes by more than {moved}.",
                **values,
            ),
        )
    return joined(
        partial,
        _(
            "Letting it act on all items does not improve fit, {test} (Williams et al. 2010); no correlation between constructs changes by more than {moved}.",
            **values,
        ),
    )


def _difference_said(change: Mapping[str, float]) -> str:
    """A difference of χ² in the notation all languages share."""
    return f"Δχ²({change['d_df']:.0f}) = {number(change['d_chisq'], 1)}, {p_text(change['d_p'])}"
