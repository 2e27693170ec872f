"""WLSMV: models of ordinal items, fitted to their polychoric correlations.

The correlations are fitted by diagonally weighted least squares; standard errors and χ² are corrected
with the full asymptotic covariance Γ of thresholds and correlations (Muthén, du Toit & Spisic 1997;
Asparouhov & Muthén 2010, "Simple second order chi-square correction").  Groups that share their thresholds are
fitted to these too (Wu & Estabrook 2016, doi:10.1007/s11336-016-9506-0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.words import Said, _, joined, listed, n_
from cxlib.sem.discrepancy import Discrepancy, Moments, minimise
from cxlib.sem.indices import approximation, corrected, incremental, srmr
from cxlib.sem.model import Model, ModelError, parse, replicate
from cxlib.sem.polychorics import BOUND, Missing, Polychoric, ordinal_alpha, polychoric, unchosen
from cxlib.sem.responses import Responses, unit_variances
from cxlib.sem.result import Fit, tested
from cxlib.sem.samples import present, same_groups, same_length
from cxlib.sem.solution import describe
from cxlib.sem.start import starting_values

__all__ = [
    "OrdinalFit",
    "Polychoric",
    "fit_ordinal",
    "ordinal_alpha",
    "ordinal_measures",
    "polychoric",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class OrdinalFit(Fit):
    """A model fitted by WLSMV: a :class:`~cxlib.sem.Fit` of polychoric correlations, and of thresholds if groups share them.

    The first rows of `parameters` are those of ``model.table``, the thresholds follow (op ``|``).  Where a response
    has variance 1 (delta parameterisation) its residual variance is what is left of it: it has no standard error,
    but vcov has its covariances.  sample, implied : correlations of the responses; chisq : the uncorrected χ²
    Σ (n_g − 1)·F_g; polychorics : each group's correlations, thresholds and Γ;
    unit : what makes variances 1 (:func:`~cxlib.sem.responses.unit_variances`).
    """

    polychorics: tuple[Polychoric, ...] = field(repr=False)
    unit: np.ndarray = field(repr=False)

    @cached_property
    def df(self) -> int:
        """Degrees of freedom: fitted thresholds and correlations less free numbers."""
        return self.discrepancy().df

    def discrepancy(self, model: Model | None = None, saturated: bool = False) -> Responses:
        """The function that was minimised, or the same of another model with the same first rows in its table.

        saturated : with thresholds that are each group's own among the numbers too.
        """
        return Responses(model or self.model, self.polychorics, self.unit, saturated)


def fit_ordinal(
    data: pd.DataFrame,
    model: str | Model,
    *,
    group: str | None = None,
    missing: Missing = "listwise",
    start: np.ndarray | None = None,
) -> OrdinalFit:
    """Fit a model to ordinal items by WLSMV, in delta parameterisation.

    Every observed variable is ordinal.  DWLS on the polychoric correlations with weights 1/diag Γ, robust
    standard errors, scaled-and-shifted χ².  The responses have variance 1 (lavaan's ``~*~`` rows, all 1,
    are left out), the thresholds are the sample's, and residual variances follow.  A construct of one item
    is that item's response, free of error (lavaan leaves that model unidentified).

    A several-group model with intercepts has thresholds that are the same in all groups, and responses of variance 1
    in the first group only: in the others residual variances are free (lavaan frees ``~*~`` instead, the same
    model).  :func:`cxlib.sem.invariance.constrain` makes such models.

    Parameters
    ----------
    data : DataFrame
        One row a respondent.
    model : str or Model
        lavaan syntax; intercepts only as said above.
    group : str, optional
        Column of groups, taken in sorted order; a one-group model is configural in them.
    missing : {"listwise", "pairwise"}
        As in :func:`~cxlib.sem.polychorics.polychoric`.
    start : ndarray, optional
        Free numbers to start from, in the order of ``model.table.free``.

    Raises
    ------
    ModelError
        If the model cannot be read, has intercepts in one group, a fixed or labelled residual variance, an observed
        predictor that no ``~~`` line mentions, or more parameters than correlations.
    DataError
        As :func:`~cxlib.sem.polychorics.polychoric`; if two items' answers are in perfect order; if an answer that one
        group gave was given by nobody in another; if thresholds are equal and an item has only two categories.

    Notes
    -----
    R: ``lavaan::sem(model, data, group = group, ordered = TRUE, estimator = "WLSMV")``.
    """
    model = model if isinstance(model, Model) else parse(model)
    model, parts, labels = _parts(data, model, group, missing)
    unit = unit_variances(model)
    same_length(start, model)
    items, notes = tuple(polychoric(part, missing) for part in parts), []
    for one, label in zip(items, labels, strict=True):
        _weighable(one, label)
        notes += [_of(note, label) for note in one.warnings]
    function = Responses(model, items, unit)
    theta, decrement = _minimised(function, start)
    base = describe(_Normal(function), theta, decrement, notes, labels, (), "ML", "listwise")
    vcov, spread = _uncertainty(function, theta, np.isfinite(base.condition))
    number = model.table["free"].to_numpy(int)
    se = np.where(
        (number > 0) & ~np.isin(number - 1, function.unit),
        np.sqrt(np.maximum(np.diag(vcov), 0))[number - 1],
        np.nan,
    )
    rows = [base.parameters.assign(se=se)]
    for at, est in enumerate(function.thresholds(theta)):
        own = _thresholds(items[at], est, spread[at], base.implied[at].cov)
        rows.append(own.assign(group=labels[at]) if group else own)
    implied = tuple(
        Moments(cov / np.sqrt(np.outer(*[np.diag(cov)] * 2)), None, n) for cov, _, n in base.implied
    )
    known = {part.name: getattr(base, part.name) for part in fields(Fit)}
    known |= {
        "parameters": tested(pd.concat(rows, ignore_index=True)),
        "vcov": vcov,
        "estimator": "WLSMV",
        "missing": missing,
        "implied": implied,
    }
    return OrdinalFit(**known, polychorics=items, unit=unit)


def _parts(
    data: pd.DataFrame, model: Model, group: str | None, missing: str
) -> tuple[Model, list[pd.DataFrame], tuple[str, ...]]:
    """The model in as many groups as there are, the answers of each and its label."""
    present([*model.observed, *([group] if group else [])], data.columns)
    names = list(model.observed)
    labels: tuple[str, ...] = ("",)
    parts = [data[names]]
    if group is not None:
        levels = sorted(data[group].dropna().unique())
        labels = tuple(str(level) for level in levels)
        parts = [data.loc[data[group] == level, names] for level in levels]
        model = replicate(model, len(parts)) if model.n_groups == 1 else model
        _comparable(parts, labels, missing, model.means)
    same_groups(model, len(parts))
    return model, parts, labels


def _minimised(function: Responses, start: np.ndarray | None) -> tuple[np.ndarray, float]:
    """The best free numbers, and how far from an optimum they are."""
    reduced = function.reduced()
    first = (
        starting_values(function.model, list(function.samples))
        if start is None
        else np.asarray(start, float)
    )
    if not np.isfinite(reduced.value(first[function.rest])):
        raise ModelError(
            _(
                "At the starting values no residual variances make the variances of the responses 1. Look for a loading "
                "fixed at 0 or, if you gave start=, give another."
            )
        )
    found, decrement = minimise(reduced, first[function.rest])
    return function.complete(found), decrement


def _uncertainty(
    function: Responses, theta: np.ndarray, identified: bool
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Covariances of the free numbers, and variances of the thresholds of each group."""
    size, count, items = function.n - len(function.items), len(function.rest), function.items
    vcov = np.full([len(theta)] * 2, np.nan)
    spread = [
        np.diag(one.gamma)[: len(one.thresholds)] / w / size
        for w, one in zip(function.weight, items, strict=True)
    ]
    if identified:
        whole, follow = function.sandwich(theta)[1] / size, function.follow(theta)[:, function.rest]
        vcov = follow @ whole[:count, :count] @ follow.T
        spread = [np.diag(whole)[count:]] * len(items) if function.model.means else spread
    return vcov, spread


def _thresholds(
    items: Polychoric, est: np.ndarray, spread: np.ndarray, implied: pd.DataFrame
) -> pd.DataFrame:
    """The thresholds of one group as rows of the table of parameters."""
    sd = np.sqrt(np.diag(implied))[implied.columns.get_indexer(items.thresholds["item"])]
    return pd.DataFrame(
        {
            "lhs": items.thresholds["item"],
            "op": "|",
            "rhs": items.thresholds["threshold"],
            "est": est,
            "se": np.sqrt(spread),
            "std": est / sd,
            "label": "",
        }
    )


def ordinal_measures(fit: OrdinalFit) -> pd.DataFrame:
    """Fit measures of a WLSMV solution, by lavaan's names and definitions.

    Returns
    -------
    DataFrame
        measure, value: npar (thresholds included), fmin (½F), n; chisq, df, pvalue, baseline_chisq, baseline_df,
        cfi, tli, nfi, ifi, rfi, rmsea with its 90 % interval and the p-value of RMSEA ≤ .05, all from the
        uncorrected DWLS χ²; the same with _scaled from the scaled-and-shifted χ², its chisq_scaling_factor and
        chisq_shift; cfi, tli and rmsea with _robust; srmr (of the correlations), gfi and agfi (weighted,
        thresholds included).  NaN, each for the reason said in the fit's warnings: what needs degrees of freedom
        without any, _scaled and _robust of an unidentified model, _robust if the polychoric matrix is not
        positive definite; and _robust of groups with equal thresholds, for which there is none.  There is no
        likelihood, so no aic and bic.

    Notes
    -----
    χ²_scaled = a·χ² + b, a = √(df/tr (UΓ)²), b = df − a·tr UΓ, U = W − WΔ(Δ'WΔ)⁻¹Δ'W; lavaan's scaling factor
    is 1/a.  _robust: normal-theory discrepancy of the polychoric correlations at the WLSMV solution, its
    expectation ĉ·df from Γ (Savalei 2021, doi:10.1080/00273171.2020.1717922).  Cut-offs made for normal-theory ML
    do not carry over to the others: at the same misfit these look better (Xia & Yang 2019,
    doi:10.3758/s13428-018-1055-2).

    R: ``lavaan::fitMeasures(fit)``.
    """
    from scipy.special import chdtrc

    n, df, groups, p = fit.n_used, fit.df, fit.model.n_groups, len(fit.model.observed)
    null_df, size, function = groups * p * (p - 1) // 2, n - groups, fit.discrepancy()
    a, b = _scaled_shifted(
        df, *(function.traces(fit.theta) if np.isfinite(fit.condition) else (np.nan, np.nan))
    )
    null_a, null_b = _scaled_shifted(null_df, *function.traces())
    moments, null, gfi = 0, 0.0, 1.0
    for one, given, (_at, _sd, fitted) in zip(
        fit.polychorics, function.given, function.implied(fit.theta), strict=True
    ):
        spread, correlations = np.diag(one.gamma), one.correlations.to_numpy()[function.pairs]
        whole = np.append(one.thresholds["est"], correlations) ** 2 / spread
        null += (one.n - 1) * float(whole[-len(correlations) :].sum())
        gfi -= (
            one.n / n * float(((given - fitted) ** 2 / spread[-len(given) :]).sum() / whole.sum())
        )
        moments += len(whole)
    values = {"npar": moments - df, "fmin": fit.fmin / 2, "n": n}
    for suffix, chisq, base in (
        ("", fit.chisq, null),
        ("_scaled", a * fit.chisq + b, null_a * null + null_b),
    ):
        part = {
            "chisq": chisq,
            "df": df,
            "pvalue": chdtrc(df, chisq) if df else np.nan,
            "baseline_chisq": base,
            "baseline_df": null_df,
            **incremental(chisq, df, base, null_df),
            **approximation(chisq, df, size, groups),
        }
        values |= {
            name + suffix: value if np.isfinite(chisq) else np.nan for name, value in part.items()
        }
    values |= {
        "chisq_scaling_factor": 1 / a if df else np.nan,
        "chisq_shift": b if df else np.nan,
        **_robust(fit, function),
        "srmr": srmr(fit.sample, fit.implied),
        "gfi": gfi,
        "agfi": 1 - moments / df * (1 - gfi) if df else 1.0,
    }
    return pd.DataFrame({"measure": list(values), "value": np.array(list(values.values()), float)})


class _Normal(Discrepancy):
    """The normal-theory information, which tells as well what is identified, beside the F that was minimised."""

    def __init__(self, whole: Responses):
        super().__init__(whole.model, whole.samples)
        self.whole = whole

    def value(self, theta: np.ndarray) -> float:
        """The F that was minimised."""
        return self.whole.value(theta)

    def information(self, theta: np.ndarray) -> np.ndarray:
        """Expected Hessian; its diagonal is raised by less than counts, so that it can always be inverted."""
        information = super().information(theta)
        return information + 1e-13 * np.diag(np.diag(information))


def _scaled_shifted(df: int, trace: float, square: float) -> tuple[float, float]:
    """a and b of the scaled-and-shifted χ² = a·χ² + b, from tr UΓ and tr (UΓ)²."""
    if not df:
        return 1.0, 0.0
    a = float(np.sqrt(df / square))
    return a, df - a * trace


def _robust(fit: OrdinalFit, function: Responses) -> dict[str, float]:
    """Robust CFI, TLI and RMSEA (Savalei 2021)."""
    n, df, groups = fit.n_used, fit.df, fit.model.n_groups
    definite = not fit.model.means and all(np.linalg.eigvalsh(s)[0] > 1e-8 for s in function.s)
    chisq = n * Discrepancy.value(function, fit.theta) if definite else np.inf
    if not np.isfinite([chisq, fit.condition]).all():
        return corrected(*[np.nan] * 8)
    i, j = function.pairs
    slopes, half, _inverse = function.solution(fit.theta)
    maker = np.eye(len(slopes)) - slopes @ half
    spread, cut = function.times_gamma(maker.T), len(i)
    trace = 0.0
    for g, w in enumerate(function.weight):
        inverse, rows = np.linalg.inv(fit.implied[g].cov.to_numpy()), slice(g * cut, (g + 1) * cut)
        normal = (
            inverse[np.ix_(i, i)] * inverse[np.ix_(j, j)]
            + inverse[np.ix_(i, j)] * inverse[np.ix_(j, i)]
        )
        trace += w * float((normal * (maker[rows] @ spread[:, rows])).sum())
    c, null_df = trace / df if df else 1.0, len(slopes)
    null = -n * sum(w * log for w, log in zip(function.weight, function.log_s, strict=True))
    null_c = (
        sum(
            float(np.trace(gamma)) / w
            for w, gamma in zip(function.weight, function.gamma, strict=True)
        )
        / null_df
    )
    return corrected(chisq, df, null, null_df, n - groups, groups, c, null_c)


def _of(note: Said, label: str) -> Said:
    """A note with the group it is about, if there are groups."""
    return _("{note} ({group})", note=note, group=label) if label else note


def _weighable(items: Polychoric, label: str) -> None:
    """Raise for items in perfect order, and where rows are too few to tell how uncertain a correlation is."""
    r, place = items.correlations, _(" in group '{group}'", group=label) if label else ""
    if (perfect := np.argwhere(np.triu(np.abs(r.to_numpy()) >= BOUND - 1e-6, 1))).size:
        raise DataError(
            _(
                "The answers to '{a}' and '{b}' are in perfect order{place} (polychoric correlation {bound} or beyond), so "
                "one tells nothing that the other does not. Leave one out.",
                a=r.columns[perfect[0][0]],
                b=r.columns[perfect[0][1]],
                place=place,
                bound=BOUND,
            )
        )
    if (blind := items.gamma.columns[np.isnan(np.diag(items.gamma))]).size:
        raise DataError(
            _(
                "{n} rows are too few{place}: they do not tell how uncertain {names} is, by which WLSMV weights. Use fewer "
                "categories or another estimator.",
                n=items.n,
                place=place,
                names=listed(blind),
            )
        )


def _comparable(
    parts: Sequence[pd.DataFrame], labels: Sequence[str], missing: str, shared: bool
) -> None:
    """Raise for an answer that one group did not give, and for thresholds to share where an item has only one."""
    used = [part.dropna() if missing == "listwise" else part for part in parts]
    if gaps := unchosen(dict(zip(labels, used, strict=True))):
        label, item, answer = gaps[0]
        raise DataError(
            joined(
                _(
                    "Nobody in group '{group}' gave the answer {answer} to '{item}', which others gave, so the thresholds of "
                    "the groups cannot be compared.",
                    group=label,
                    answer=str(answer),
                    item=item,
                ),
                n_("There is {n} more such gap.", "There are {n} more such gaps.", len(gaps) - 1)
                if len(gaps) > 1
                else "",
                _(
                    "Merge that answer with the next one in all groups, leave the item or the group out, or use "
                    "estimator='MLR', which takes answers as numbers."
                ),
            )
        )
    if shared and (two := [item for item in used[0] if used[0][item].nunique() == 2]):
        raise DataError(
            _(
                "Item '{item}' has two categories: one threshold does not tell a shift of the response from a change of its "
                "scale, so that steps above configural cannot be told apart (Wu & Estabrook 2016). Leave such items out or "
                "use estimator='MLR'.",
                item=two[0],
            )
        )
