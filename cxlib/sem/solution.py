"""A solution as a :class:`~cxlib.sem.result.Fit`: its tables, whether it is one, and whether the data determine it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlib.core.words import Said, Sentence, _, joined, listed
from cxlib.sem.discrepancy import (
    TOLERANCE,
    Discrepancy,
    Moments,
    pseudo_inverted,
    unit_diagonal,
)
from cxlib.sem.fiml import Patterns
from cxlib.sem.model import standardize
from cxlib.sem.result import Fit, tested
from cxlib.sem.robust import inference

CONDITION = 100.0
"""Largest condition index of a solution that may be trusted.  The expected information is X'X of the
regression of the weighted moments on the parameters; with X's columns scaled to unit length the index
√(λ_max/λ_min) does not depend on units, and above 100 the parameters are collinear beyond use (Belsley,
Kuh & Welsch 1980, doi:10.1002/0471725153): the least determined combination of them has a standard
error dozens of times larger than its parts would have alone.  Intercepts are taken out first, so that
it does not depend on where the scales begin either."""


def describe(
    function: Discrepancy,
    theta: np.ndarray,
    decrement: float,
    notes: list[Said],
    groups: tuple,
    patterns: Sequence[Patterns],
    estimator: str,
    missing: str,
    cluster: str = "",
    vcov: np.ndarray | None = None,
) -> Fit:
    """Tables and warnings of a solution."""
    model, table = function.model, function.model.table
    information = function.information(theta)
    intercepts = np.isin(np.arange(model.npar) + 1, table.loc[table["op"] == "~1", "free"])
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
    vcov, scaling, more = (
        (vcov, np.nan, []) if vcov is not None else inference(function, theta, patterns, estimator)
    )
    if identified:
        notes.extend(more)
    else:
        vcov, scaling = np.full_like(information, np.nan), np.nan
    certain = bool(np.isfinite(vcov).all())
    if identified and not certain:
        notes.append(
            _(
                "The information matrix is not positive definite at the solution: there are no standard errors, so nothing "
                "can be tested. Use a simpler model, or missing='listwise' if the model has few complete pairs of answers."
            )
        )

    number = table["free"].to_numpy(int)
    estimated = (number > 0) & table["exo"].eq(0).to_numpy()
    se = np.where(estimated, np.sqrt(np.maximum(np.diag(vcov), 0))[number - 1], np.nan)
    parameters = tested(table[["lhs", "op", "rhs"]].assign(est=model.values(theta), se=se)).assign(
        std=standardize(model, theta), label=table["label"]
    )
    if model.n_groups > 1:
        parameters["group"] = [groups[g] for g in table["group"]]
    variance = table["op"].eq("~~") & table["lhs"].eq(table["rhs"])
    endogenous = {*table.loc[table["op"] == "=~", "rhs"], *table.loc[table["op"] == "~", "lhs"]}
    r2 = parameters[variance & table["lhs"].isin(endogenous)]
    r2 = r2.assign(variable=r2["lhs"], r2=(1 - r2["std"]).where(r2["std"] >= 0))
    r2 = r2[["variable", "r2", *(["group"] if model.n_groups > 1 else [])]].reset_index(drop=True)

    converged = decrement < TOLERANCE
    flaws: list[Sentence] = []
    if not converged:
        notes.append(
            _("The estimation found no optimum: the numbers are where it stopped, not estimates.")
        )
    for row in parameters[variance & (parameters["est"] < 0)].itertuples():
        flaws.append(
            _(
                "The variance of {name}{where} is estimated negative ({est:.3g}).",
                name=row.lhs,
                where=f" ({row.group})" if model.n_groups > 1 else "",
                est=row.est,
            )
        )
    implied = []
    for group, sample in enumerate(function.samples):
        at, names = function.point(theta, group), list(model.observed)
        implied.append(
            Moments(
                pd.DataFrame(at.sigma, names, names),
                pd.Series(at.mu, names) if model.means else None,
                sample.n,
            )
        )
        part, size = model.matrices(theta, group), len(model.latent)
        rest = (
            part["theta"]
            + part["lambda"][:, size:] @ part["psi"][size:, size:] @ part["lambda"][:, size:].T
        )
        where = f" ({groups[group]})" if model.n_groups > 1 else ""
        for matrix, said in (
            (
                at.phi[:size, :size],
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
        ):
            if (
                len(matrix)
                and np.diag(matrix).min() >= 0
                and np.linalg.eigvalsh(unit_diagonal(matrix)[0])[0] < -1e-10
            ):
                flaws.append(said)
    notes.extend(joined(flaw, _("The solution is improper.")) for flaw in flaws)
    if condition > CONDITION:
        worst = np.flatnonzero(~intercepts)[np.argsort(-np.abs(vectors[:, 0]))[:3]] + 1
        named = listed(
            " ".join(row).strip()
            for row in table.drop_duplicates("free")
            .set_index("free")
            .loc[worst, ["lhs", "op", "rhs"]]
            .to_numpy()
        )
        notes.append(
            _(
                "The data hardly determine the model (empirically under-identified): the smallest eigenvalue of the scaled "
                "information is {lowest:.1e}, the condition index {condition:.0f} where {limit:.0f} is the limit. Least "
                "determined: {names}. Do not trust their estimates and tests.",
                lowest=values[0],
                condition=condition,
                limit=CONDITION,
                names=named,
            )
        )
    if not model.df:
        notes.append(
            _(
                "The model has no degrees of freedom: it reproduces any data, so its fit tests nothing and has no p."
            )
        )
    return Fit(
        model,
        theta,
        vcov,
        parameters,
        function.samples,
        tuple(implied),
        r2,
        max(function.value(theta), 0.0),
        function.n,
        condition,
        converged,
        not flaws,
        converged and not flaws and certain and condition <= CONDITION,
        tuple(notes),
        groups,
        estimator,
        missing,
        cluster,
        scaling,
        tuple(patterns),
    )
