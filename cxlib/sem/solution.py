"""A solution as a :class:`~cxlib.sem.result.Fit`: its tables, whether it is one, and whether the data determine it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlib.core.words import Said, Sentence, _, joined, listed
from cxlib.sem.discrepancy import (
    TOLERANCE,
    Discrepancy,
    Moments,
    Point,
    pseudo_inverted,
    unit_diagonal,
)
from cxlib.sem.fiml import Patterns
from cxlib.sem.model import Model, standardize
from cxlib.sem.result import Fit, tested
from cxlib.sem.robust import inference

CONDITION = 100.0
"""Largest condition index of a solution that may be trusted.  The expected information is X'X of the
regression of the weighted moments on the parameters; with X's columns scaled to unit length the index
√(λ_max/λ_min) does not depend on units, and above 100 the parameters are collinear beyond use (Belsley,
Kuh & Welsch 1980, doi:10.1002/0471725153): the least determined combination of them has a standard
error dozens of times larger than its parts would have alone.  Intercepts are taken out first, so that
it does not depend on where the scales begin either."""


class Determined(NamedTuple):
    """How well the data determine the parameters, see :data:`CONDITION`: identified, the smallest eigenvalue, the least certain ones."""

    identified: bool
    lowest: float
    condition: float
    least: np.ndarray


def describe(
    function: Discrepancy,
    theta: np.ndarray,
    decrement: float,
    notes: Sequence[Said],
    groups: tuple[str, ...],
    patterns: Sequence[Patterns],
    estimator: str,
    missing: str,
    cluster: str = "",
    vcov: np.ndarray | None = None,
) -> Fit:
    """Tables and warnings of a solution."""
    model, found, told = function.model, determined(function, theta), list(notes)
    scaling = np.nan
    if vcov is None:
        vcov, scaling, more = inference(function, theta, patterns, estimator)
        told += more if found.identified else []
    if not found.identified:
        vcov, scaling = np.full_like(vcov, np.nan), np.nan
    certain, converged = bool(np.isfinite(vcov).all()), decrement < TOLERANCE
    points = [function.point(theta, group) for group in range(len(function.samples))]
    parameters = _parameters(model, theta, vcov, groups)
    flaws = [
        *_negative(model, parameters),
        *(
            flaw
            for at in range(len(points))
            for flaw in _indefinite(model, theta, points, groups, at)
        ),
    ]
    return Fit(
        model,
        theta,
        vcov,
        parameters,
        function.samples,
        tuple(_implied(function, points)),
        _explained(model, parameters),
        max(function.value(theta), 0.0),
        function.n,
        found.condition,
        converged,
        not flaws,
        converged and not flaws and certain and found.condition <= CONDITION,
        (*told, *_doubts(model, found, certain, converged, flaws)),
        groups,
        estimator,
        missing,
        cluster,
        scaling,
        tuple(patterns),
    )


def determined(function: Discrepancy, theta: np.ndarray) -> Determined:
    """Judge the expected information, its diagonal scaled to one and intercepts taken out."""
    table, information = function.model.table, function.information(theta)
    intercepts = np.isin(np.arange(len(theta)) + 1, table.loc[table["op"] == "~1", "free"])
    block, across = (
        information[np.ix_(intercepts, intercepts)],
        information[np.ix_(~intercepts, intercepts)],
    )
    rest = (
        information[np.ix_(~intercepts, ~intercepts)] - across @ pseudo_inverted(block) @ across.T
    )
    values, vectors = np.linalg.eigh(unit_diagonal(rest)[0])
    identified = values[0] > 1e-10 and (
        not intercepts.any() or np.linalg.eigvalsh(unit_diagonal(block)[0])[0] > 1e-10
    )
    condition = float(np.sqrt(values[-1] / values[0])) if identified else np.inf
    least = np.flatnonzero(~intercepts)[np.argsort(-np.abs(vectors[:, 0]))[:3]] + 1
    return Determined(bool(identified), float(values[0]), condition, least)


def _parameters(
    model: Model, theta: np.ndarray, vcov: np.ndarray, groups: tuple[str, ...]
) -> pd.DataFrame:
    """The table of parameters; what is fixed, and moments of observed predictors, have no standard error."""
    table = model.table
    number = table["free"].to_numpy(int)
    estimated = (number > 0) & table["exo"].eq(0).to_numpy()
    se = np.where(estimated, np.sqrt(np.maximum(np.diag(vcov), 0))[number - 1], np.nan)
    parameters = tested(table[["lhs", "op", "rhs"]].assign(est=model.values(theta), se=se)).assign(
        std=standardize(model, theta), label=table["label"]
    )
    if model.n_groups > 1:
        parameters["group"] = [groups[g] for g in table["group"]]
    return parameters


def _variances(table: pd.DataFrame) -> pd.Series:
    """Which rows are variances."""
    return table["op"].eq("~~") & table["lhs"].eq(table["rhs"])


def _explained(model: Model, parameters: pd.DataFrame) -> pd.DataFrame:
    """variable, r2 (and group) of all that is explained; no share of a negative variance."""
    table = model.table
    endogenous = {*table.loc[table["op"] == "=~", "rhs"], *table.loc[table["op"] == "~", "lhs"]}
    r2 = parameters[_variances(table) & table["lhs"].isin(endogenous)]
    r2 = r2.assign(variable=r2["lhs"], r2=(1 - r2["std"]).where(r2["std"] >= 0))
    columns = ["variable", "r2", *(["group"] if model.n_groups > 1 else [])]
    return r2[columns].reset_index(drop=True)


def _implied(function: Discrepancy, points: Sequence[Point]) -> Iterator[Moments]:
    """The moments that the model implies in each group."""
    names = list(function.model.observed)
    for sample, at in zip(function.samples, points, strict=True):
        mean = pd.Series(at.mu, names) if function.model.means else None
        yield Moments(pd.DataFrame(at.sigma, names, names), mean, sample.n)


def _negative(model: Model, parameters: pd.DataFrame) -> list[Sentence]:
    """Variances that are estimated negative."""
    return [
        _(
            "The variance of {name}{where} is estimated negative ({est:.3g}).",
            name=row.lhs,
            where=f" ({row.group})" if model.n_groups > 1 else "",
            est=row.est,
        )
        for row in parameters[_variances(model.table) & (parameters["est"] < 0)].itertuples()
    ]


def _indefinite(
    model: Model, theta: np.ndarray, points: Sequence[Point], groups: tuple[str, ...], at: int
) -> list[Sentence]:
    """Covariance matrices of a group that no data could have, though no variance is negative."""
    part, size = model.matrices(theta, at), len(model.latent)
    where = f" ({groups[at]})" if model.n_groups > 1 else ""
    rest = (
        part["theta"]
        + part["lambda"][:, size:] @ part["psi"][size:, size:] @ part["lambda"][:, size:].T
    )
    found = (
        (
            points[at].phi[:size, :size],
            _(
                "The covariance matrix of the latent variables{where} is not positive definite: one of them correlates "
                "beyond 1 with the others.",
                where=where,
            ),
        ),
        (
            rest,
            _(
                "The covariance matrix of the residuals{where} is not positive definite: one of them correlates beyond 1 "
                "with the others.",
                where=where,
            ),
        ),
    )
    return [
        said
        for matrix, said in found
        if len(matrix)
        and np.diag(matrix).min() >= 0
        and np.linalg.eigvalsh(unit_diagonal(matrix)[0])[0] < -1e-10
    ]


def _doubts(
    model: Model, found: Determined, certain: bool, converged: bool, flaws: Sequence[Sentence]
) -> Iterator[Said]:
    """What a reader must know before believing a solution."""
    if found.identified and not certain:
        yield _(
            "The information matrix is not positive definite at the solution: there are no standard errors, so nothing can "
            "be tested. Use a simpler model, or missing='listwise' if the model has few complete pairs of answers."
        )
    if not converged:
        yield _("The estimation found no optimum: the numbers are where it stopped, not estimates.")
    for flaw in flaws:
        yield joined(flaw, _("The solution is improper."))
    if found.condition > CONDITION:
        rows = model.table.drop_duplicates("free").set_index("free")
        least = rows.loc[found.least, ["lhs", "op", "rhs"]].to_numpy()
        yield _(
            "The data hardly determine the model (empirically under-identified): the smallest eigenvalue of the scaled "
            "information is {lowest:.1e}, the condition index {condition:.0f} where {limit:.0f} is the limit. Least "
            "determined: {names}. Do not trust their estimates and tests.",
            lowest=found.lowest,
            condition=found.condition,
            limit=CONDITION,
            names=listed(" ".join(row).strip() for row in least),
        )
    if not model.df:
        yield _(
            "The model has no degrees of freedom: it reproduces any data, so its fit tests nothing and has no p."
        )
