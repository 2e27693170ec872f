"""Maximum-likelihood estimation of a :class:`~cxlib.sem.model.Model`, from data or from moments.

χ² = n·F with divisor n; standard errors from the expected information, or robust
(:mod:`cxlib.sem.robust`); incomplete rows left out, or used in full (:mod:`cxlib.sem.fiml`); the optimum is
exact (see :mod:`cxlib.sem.discrepancy`), whatever the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from cxlib.core.errors import ArgumentError, DataError
from cxlib.core.words import Said, Sentence, _, joined, n_
from cxlib.sem.discrepancy import TOLERANCE, Discrepancy, Moments, minimise
from cxlib.sem.fiml import Patterns, account, objective, saturated
from cxlib.sem.imputation import impute, pool
from cxlib.sem.model import Model, ModelError, parse, replicate
from cxlib.sem.ordinal import fit_ordinal
from cxlib.sem.polychorics import Missing as Choice
from cxlib.sem.result import Estimator, Fit, Missing, methods
from cxlib.sem.samples import moments_of, numeric, present, same_groups, same_length, usable
from cxlib.sem.solution import describe
from cxlib.sem.start import starting_values

MANY = 0.10
"""A larger share of rows lost to missing answers is called many, and the way round it named."""


def fit(
    data: pd.DataFrame,
    model: str | Model,
    *,
    means: bool = False,
    group: str | None = None,
    start: np.ndarray | None = None,
    estimator: Estimator = "ML",
    missing: Missing = "listwise",
    rng: np.random.Generator | None = None,
    imputations: int = 20,
    cluster: str | None = None,
) -> Fit:
    """Fit a model to raw data by normal-theory maximum likelihood, or ordinal data by WLSMV.

    What was done with missing values the warnings say.  Fisher
    scoring and Newton steps go to the exact optimum from `start` or, if it leads nowhere, from simple values of our own.
    Negative variances are allowed, as in
    lavaan, and warned of.

    Parameters
    ----------
    data : DataFrame
        One row a respondent; the model's variables numeric.
    model : str or Model
        lavaan syntax, or what :func:`~cxlib.sem.model.parse` made of it.
    means : bool
        Estimate intercepts too (syntax only; always with `group`).
    group : str, optional
        Column of groups, taken in sorted order; a one-group model is configural in them.
    start : ndarray, optional
        Free numbers to start from.
    estimator : str
        "ML"; "MLR" gives the same estimates with standard errors and a scaled χ² that hold
        without normality (:mod:`cxlib.sem.robust`); "WLSMV" is for ordinal items (:mod:`cxlib.sem.ordinal`,
        which also takes missing = "pairwise").
    missing : str
        "listwise" leaves out every row with a missing value in the model's variables; "fiml" uses what
        each row has (:mod:`cxlib.sem.fiml`), with intercepts, and leaves out rows without any value or
        without one of an observed predictor; "mi" pools the fits of `imputations` completed copies, "ML" or
        "MLR" (:mod:`cxlib.sem.imputation`).  Both need values missing at random given those observed.
    rng : numpy Generator
        For "mi".
    cluster : str, optional
        Column of clusters (customers of one firm): with "MLR" the standard errors and the scaled χ² do not take the
        rows of one cluster as independent, and the model has intercepts; any other estimator warns that it does.

    Raises
    ------
    ModelError
        If the model cannot be read or has more parameters than moments.
    DataError
        If a variable is missing, not numeric, constant or a combination of others, two are never observed
        together, or rows are too few.
    ArgumentError
        For an estimator or a treatment of missing values that there is not.

    Notes
    -----
    R: ``lavaan::sem(model, data, meanstructure = means, group = group, estimator = estimator,
    missing = "ml", cluster = cluster)``.
    """
    if cluster and estimator != "MLR":
        found = fit(
            data,
            model,
            means=means,
            group=group,
            start=start,
            estimator=estimator,
            missing=missing,
            rng=rng,
            imputations=imputations,
        )
        independent = _(
            "Standard errors of the {estimator} fit take respondents of one {cluster} as independent; estimator='MLR' does not.",
            estimator=estimator,
            cluster=cluster,
        )
        return replace(found, warnings=(*found.warnings, independent))
    _available(estimator, missing, means, rng, imputations)
    if estimator == "WLSMV":
        return fit_ordinal(data, model, group=group, missing=cast(Choice, missing), start=start)
    full = missing == "fiml"
    model = _with_intercepts(model, means, full or bool(cluster), several=bool(group))
    rows = _rows(data, model, group, cluster, missing)
    if group is not None and model.n_groups == 1:
        model = replicate(model, len(rows.groups))
    whole: Model = model

    def solve(parts: Sequence[pd.DataFrame], missing: str, notes: Sequence[Said] = ()) -> Fit:
        """Fit these rows of every group."""
        samples = [saturated(part) if full else moments_of(part) for part in parts]
        patterns = (
            [Patterns(part.to_numpy(), own) for part, own in zip(parts, rows.units, strict=True)]
            if full or estimator != "ML"
            else []
        )
        return _fit(
            whole, samples, start, notes, rows.groups, patterns, estimator, missing, cluster or ""
        )

    if missing == "mi" and rng is not None:
        copies = (
            solve([impute(part, rng) for part in rows.parts], "listwise")
            for _copy in range(imputations)
        )
        return pool(list(copies), rows.notes)
    return solve(rows.parts, missing, rows.notes)


def _with_intercepts(model: str | Model, means: bool, needed: bool, several: bool) -> Model:
    """The model as it is read, with intercepts where something needs them."""
    if not isinstance(model, Model):
        return parse(model, means or needed or several)
    if (means or needed) and not model.means:
        raise ModelError(
            _(
                "Intercepts (means=True, missing='fiml', cluster=) need a model that has them. Use parse(syntax, means=True)."
            )
        )
    return model


def _available(
    estimator: str, missing: str, means: bool, rng: np.random.Generator | None, imputations: int
) -> None:
    """Raise for an estimator or a treatment of missing values that there is not."""
    if estimator == "WLSMV":  # the treatments it knows are those of polychoric correlations
        if means:
            raise ModelError(
                _(
                    "estimator='WLSMV' has thresholds instead of intercepts. Leave out means=, or use 'MLR'."
                )
            )
        return
    if (estimator, missing) not in methods():
        raise ArgumentError(
            _(
                "estimator='{estimator}' with missing='{missing}' is not available. Use estimator='ML' or 'MLR' "
                "with missing='listwise', 'fiml' or 'mi', 'WLSMV' with 'listwise' or 'pairwise'.",
                estimator=estimator,
                missing=missing,
            )
        )
    if missing == "mi" and (rng is None or imputations < 2):
        raise ArgumentError(
            _(
                "missing='mi' needs rng=, a numpy Generator to draw from, and imputations= of 2 or more."
            )
        )


class _Rows(NamedTuple):
    """What is fitted, a group each: its label, its rows and the cluster of each; and what was done with missing values."""

    groups: tuple[str, ...]
    parts: list[pd.DataFrame]
    units: list[np.ndarray | None]
    notes: list[Said]


def _rows(
    data: pd.DataFrame, model: Model, group: str | None, cluster: str | None, missing: str
) -> _Rows:
    """The rows that can be used, by group."""
    columns = [name for name in (group, cluster) if name]
    values = numeric(data, model, columns)
    needed = {"listwise": values, "fiml": values[list(model.fixed_x)], "mi": values.iloc[:, :0]}[
        missing
    ]
    needed = pd.concat([needed, data[columns]], axis=1)
    kept = needed.notna().all(axis=1) & values.notna().any(axis=1)
    labels = pd.Series("", index=data.index) if group is None else data[group]
    units = None if cluster is None else pd.factorize(data[cluster])[0]
    levels = sorted(labels[kept].unique())
    own = [kept & (labels == level) for level in levels]
    if units is not None and any(len(np.unique(units[mine])) < 2 for mine in own):
        raise DataError(
            _(
                "All rows (of a group) have the same '{cluster}', so nothing says how clusters vary. Leave out cluster=.",
                cluster=cluster,
            )
        )
    notes: list[Said] = []
    if missing != "listwise":
        notes = account(values, kept, needed)
    elif dropped := int((~kept).sum()):
        notes = [_dropped(dropped, len(data), cluster)]
    return _Rows(
        tuple(str(level) for level in levels),
        [values[mine] for mine in own],
        [None if units is None else units[mine] for mine in own],
        notes,
    )


def _dropped(rows: int, of: int, cluster: str | None) -> Sentence:
    """What listwise deletion left out, and the way round it where that is much."""
    kept = of - rows
    said = (
        _(
            "{rows} of {of} rows have a missing value in the model's variables or {cluster} and were left out (listwise "
            "deletion); {kept} were used.",
            rows=rows,
            of=of,
            kept=kept,
            cluster=cluster,
        )
        if cluster
        else _(
            "{rows} of {of} rows have a missing value in the model's variables and were left out (listwise deletion); "
            "{kept} were used.",
            rows=rows,
            of=of,
            kept=kept,
        )
    )
    return joined(said, _("missing='fiml' uses every answer given.") if rows > MANY * of else "")


def fit_moments(
    covariances: pd.DataFrame | Sequence[pd.DataFrame],
    n: int | Sequence[int],
    model: str | Model,
    means: pd.Series | Sequence[pd.Series] | None = None,
    start: np.ndarray | None = None,
) -> Fit:
    """Fit a model to covariances with divisor n (a list of them for several groups).

    Raises
    ------
    ModelError, DataError
        As :func:`fit`.

    Notes
    -----
    R: ``lavaan::sem(model, sample.cov = S, sample.nobs = n, sample.cov.rescale = FALSE)``.
    """
    several = not isinstance(covariances, pd.DataFrame)
    covariances = [covariances] if isinstance(covariances, pd.DataFrame) else list(covariances)
    sizes = np.atleast_1d(np.asarray(n))
    averages = [None] * len(sizes) if means is None else list(means) if several else [means]
    if not isinstance(model, Model):
        model = parse(model, means is not None)
    if len(covariances) > 1 and model.n_groups == 1:
        model = replicate(model, len(covariances))
    if model.means and means is None:
        raise ModelError(
            _("The model has intercepts but there are no means=. Give the sample means too.")
        )
    samples = []
    for cov, mean, size in zip(covariances, averages, sizes, strict=True):
        present(model.observed, cov.columns)
        names = list(model.observed)
        samples.append(
            Moments(
                cov.loc[names, names].astype(float),
                None if mean is None else mean[names],
                int(size),
            )
        )
    return _fit(
        model,
        samples,
        start,
        [],
        tuple(str(g + 1) for g in range(len(samples))) if several else ("",),
    )


def _fit(
    model: Model,
    samples: list[Moments],
    start: np.ndarray | None,
    notes: Sequence[Said],
    groups: tuple,
    patterns: Sequence[Patterns] = (),
    estimator: str = "ML",
    missing: str = "listwise",
    cluster: str = "",
) -> Fit:
    """Check the moments, minimise, and describe what was found."""
    _estimable(model, samples, start)
    function, found = objective(model, samples, patterns if missing == "fiml" else ()), []
    moments = Discrepancy(model, samples)
    for propose in (
        lambda: start,
        lambda: (
            minimise(moments, starting_values(model, samples))[0] if missing == "fiml" else None
        ),
        lambda: starting_values(model, samples),
    ):
        if (first := propose()) is not None:
            found.append(minimise(function, np.asarray(first, float)))
            if found[-1][1] < TOLERANCE:
                break
    theta, decrement = min(
        found, key=lambda solution: (solution[1] >= TOLERANCE, function.value(solution[0]))
    )
    return describe(
        function, theta, decrement, notes, groups, patterns, estimator, missing, cluster
    )


def _estimable(model: Model, samples: Sequence[Moments], start: np.ndarray | None) -> None:
    """Raise where the model cannot be fitted to these moments, or not from this start."""
    if not samples:
        raise DataError(
            n_(
                "There are 0 complete rows for {n} variable. See which columns have the missing values.",
                "There are 0 complete rows for {n} variables. See which columns have the missing values.",
                len(model.observed),
            )
        )
    same_groups(model, len(samples))
    if not model.npar:
        raise ModelError(
            _(
                "Every parameter of the model is fixed, so there is nothing to estimate. Free at least one."
            )
        )
    if model.df < 0:
        raise ModelError(
            _(
                "The model has {free} free numbers but the data only {moments} moments (df = {df}), so it is not "
                "identified. Remove paths or covariances, or fix some.",
                free=model.npar,
                moments=model.npar + model.df,
                df=model.df,
            )
        )
    same_length(start, model)
    for sample in samples:
        usable(sample, model)
