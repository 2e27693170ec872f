"""How much of the correlations one common method could have made: Harman, a single factor, a method factor, a marker.

The rivals are fitted to moments by maximum likelihood, whatever estimator the measurement model was fitted by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.statistics.discriminant import (
    Scales,
    below_diagonal,
    indicators,
    items_of,
    latent_correlations,
    scaled,
)

if TYPE_CHECKING:
    from cxlib.sem import Fit, Model


@dataclass(frozen=True, eq=False)
class Rivals:
    """A measurement model and what it is compared with.

    base : the model itself, by maximum likelihood; single : one factor for all items; common : the model with an
    uncorrelated factor on which all standardised items load equally; component, factor : share of the items' variance on
    the first unrotated principal component, and on `single` (mean squared loading); share : the part of an item's variance
    that the factor of `common` holds, with its Wald interval, (3,), NaN without an optimum.
    """

    base: Fit
    single: Fit
    common: Fit
    component: float
    factor: float
    share: np.ndarray


@dataclass(frozen=True, eq=False)
class Marked:
    """What a marker says (the statistics of :func:`cxlib.stages.measurement.common_method.method_bias`), and its models."""

    correlations: Mapping[str, float]
    factor: Mapping[str, float]
    fits: tuple[Fit, Fit, Fit]


def fitted_to_moments(fit: Fit) -> bool:
    """Whether the fit is one to covariances, with which the rivals are compared as it is."""
    return fit.estimator != "WLSMV" and fit.missing not in ("fiml", "mi")


def rivals(fit: Fit) -> Rivals:
    """Fit the rivals of a measurement model, see :class:`Rivals`."""
    names, own, r = list(fit.model.observed), indicators(fit), scaled(fit.sample[0].cov)
    base = (
        fit
        if fitted_to_moments(fit)
        else sem.fit_moments(fit.sample[0].cov, fit.n_used, fit.model.syntax)
    )
    single = sem.fit_moments(r, fit.n_used, "SINGLE =~ " + " + ".join(names))
    method = "METHOD =~ " + " + ".join(f"1*{name}" for name in names if name not in own)
    model = sem.parse("\n".join([fit.model.syntax, method, *_apart(fit, "METHOD")]))
    common = sem.fit_moments(r, fit.n_used, model, start=_standardized_start(fit, model))
    variance = common.parameter("METHOD", "~~", "METHOD")[["est", "ci_low", "ci_high"]].to_numpy(
        float
    )
    return Rivals(
        base,
        single,
        common,
        component=np.linalg.eigvalsh(r)[-1] / len(names),
        factor=(single.parameters.loc[single.parameters["op"] == "=~", "std"] ** 2).mean(),
        share=variance * np.mean(1 / np.diag(common.implied[0].cov))
        if common.converged
        else np.full(3, np.nan),
    )


def marker(rows: pd.DataFrame, fit: Fit, items: Sequence[str], scales: Scales) -> Marked:
    """What is left of the correlations when the share of a marker is taken out.

    Parameters
    ----------
    rows : DataFrame
        Complete answers to the items of `fit` and of the marker.
    fit : Fit
        The measurement model, to which the marker does not belong.
    items : sequence of str
        The marker's items.
    scales : mapping
        The constructs whose mean scores are correlated, two or more, with their items.

    Notes
    -----
    r' = (r − r_s)/(1 − r_s), t = r'√((n−3)/(1−r'²)) with r_s the second-lowest correlation with the marker (Lindell &
    Whitney 2001, doi:10.1037/0021-9010.86.1.114); Method-C (Williams, Hartman & Cavazotte 2010,
    doi:10.1177/1094428110366036).
    """
    n, scores = len(rows), pd.DataFrame({c: rows[list(x)].mean(axis=1) for c, x in scales.items()})
    low, second = np.sort(scores.corrwith(rows[list(items)].mean(axis=1)).abs())[:2]
    before = np.array([r for *_, r in below_diagonal(scores.corr())])
    still = (before - second) / (1 - second)
    correlations = {
        "n": n,
        "r_lowest": low,
        "r_second": second,
        "pairs": len(before),
        "significant": int(_significant(before, n, 2).sum()),
        "significant_adjusted": int(_significant(still, n, 3).sum()),
    }
    return Marked(correlations, *_method_c(rows, fit, items))


def difference(restricted: Fit, free: Fit) -> dict[str, float]:
    """Difference test of two nested models (d_chisq, d_df, d_p)."""
    from scipy.special import chdtrc  # heavy, and needed here only

    chisq, df = restricted.chisq - free.chisq, restricted.df - free.df
    return {
        "d_chisq": chisq,
        "d_df": df,
        "d_p": float(chdtrc(df, max(chisq, 0))) if df > 0 else np.nan,
    }


def _method_c(
    rows: pd.DataFrame, fit: Fit, items: Sequence[str]
) -> tuple[dict[str, float], tuple[Fit, Fit, Fit]]:
    """Loading, difference test and largest change of a correlation when all items load equally on the marker; the fits."""
    own, r = indicators(fit), rows.corr()
    measured = [f"MARKER ~~ {c}" for c in own if c not in fit.model.latent]
    free = sem.fit_moments(
        r,
        len(rows),
        "\n".join([fit.model.syntax, "MARKER =~ " + " + ".join(items), *measured]),
    )
    at = free.parameters.set_index(["lhs", "op", "rhs"])["est"]
    part = "MARKER =~ " + " + ".join(f"{at['MARKER', '=~', item]:.15f}*{item}" for item in items)
    rest = [
        fit.model.syntax,
        *_apart(fit, "MARKER"),
        *(f"{x} ~~ {at[x, '~~', x]:.15f}*{x}" for x in ("MARKER", *items)),
    ]
    loads = [name for name in fit.model.observed if name not in own]
    models = [
        sem.parse("\n".join([whole, *rest]))
        for whole in (part, " + ".join([part, *(f"equal*{name}" for name in loads)]))
    ]
    baseline, equal = (
        sem.fit_moments(r, len(rows), model, start=_standardized_start(free, model))
        for model in models
    )
    change, moved = (
        difference(baseline, equal),
        (latent_correlations(equal) - latent_correlations(baseline)).abs().max(axis=None),
    )
    loading = equal.parameter("MARKER", "=~", loads[0])["est"] * np.sqrt(
        at["MARKER", "~~", "MARKER"]
    )
    if not (free.converged and baseline.converged and equal.converged):
        loading, change, moved = np.nan, dict.fromkeys(change, np.nan), np.nan
    return {"loading": loading, **change, "largest_change": moved}, (free, baseline, equal)


def _apart(fit: Fit, factor: str) -> list[str]:
    """Lines that keep a factor and the constructs uncorrelated, and the item of a one-item construct free of error."""
    own = indicators(fit)
    return [
        *(f"{factor} ~~ 0*{code}" for code in own),
        *(f"{x[0]} ~~ 0*{x[0]}" for code, x in own.items() if len(x) == 1 and x != [code]),
    ]


def _significant(r: np.ndarray, n: int, lost: int) -> np.ndarray:
    """Which correlations differ from 0 at .05, with n − lost degrees of freedom."""
    from scipy.special import stdtr

    return 2 * stdtr(n - lost, -np.abs(r) * np.sqrt((n - lost) / (1 - r**2))) < 0.05


def _standardized_start(fit: Fit, model: Model) -> np.ndarray:
    """A fit's free numbers for items of variance 1, as start of a model with more parameters."""
    own, known = indicators(fit), fit.parameters.set_index(["lhs", "op", "rhs"])["est"]
    sd = dict(zip(fit.model.observed, np.sqrt(np.diag(fit.sample[0].cov)), strict=True))
    sd = {code: sd[items_of(code, own)[0]] for code in own} | sd
    start = np.full(model.npar, 0.02)
    for lhs, op, rhs, free in model.table[["lhs", "op", "rhs", "free"]].itertuples(
        index=False, name=None
    ):
        if free and (lhs, op, rhs) in known.index:
            start[free - 1] = known[lhs, op, rhs] * (
                sd[lhs] / sd[rhs] if op == "=~" else 1 / (sd[lhs] * sd[rhs])
            )
    return start
