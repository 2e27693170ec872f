"""Numbers of a structural model beyond its parameters: effect sizes, paths with their intervals, factor scores, nesting."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.sem.discrepancy import inverted
from cxlib.sem.paths import effect, inference, predictors, values


def effect_sizes(fit: sem.Fit) -> pd.DataFrame:
    """Cohen's f² of every path (outcome, predictor, r2, r2_without, f2), from the implied covariances.

    f² = (R² − R² without the predictor) / (1 − R²), empty where R² is 1 or more.  Nothing is refitted: without a predictor
    R² falls by its b² / (V⁻¹)ⱼⱼ over the variance of the outcome, V the predictors' covariances.
    """
    phi, parts = (
        _state_covariance(fit),
        [pd.DataFrame(columns=["outcome", "predictor", "r2", "r2_without", "f2"])],
    )
    for outcome, causes in predictors(fit.model).items():
        inverse, total = inverted(phi.loc[causes, causes].to_numpy()), phi.loc[outcome, outcome]
        b = inverse @ phi.loc[causes, outcome]
        full, lost = b @ phi.loc[causes, outcome] / total, b**2 / np.diag(inverse) / total
        parts.append(
            pd.DataFrame(
                {
                    "outcome": outcome,
                    "predictor": causes,
                    "r2": full,
                    "r2_without": full - lost,
                    "f2": lost / (1 - full) if full < 1 else np.nan,
                }
            )
        )
    return pd.concat(parts[1:] or parts, ignore_index=True)


def standardised_paths(fit: sem.Fit) -> pd.DataFrame:
    """Standardised paths with delta-method standard errors and 95% intervals (lhs, rhs, std, se, ci_low, ci_high).

    Notes
    -----
    R: ``lavaan::standardizedSolution(fit)``.
    """
    rows = fit.model.table[(fit.model.table["op"] == "~") & (fit.model.table["group"] == 0)]
    wanted = [effect(fit.model, f"{row.rhs} -> {row.lhs}") for row in rows.itertuples()]
    found = inference(
        fit,
        lambda theta: values(fit.model, wanted, theta, True),
        [(e.name, e.kind, np.nan) for e in wanted],
    )
    return (
        rows[["lhs", "rhs"]]
        .reset_index(drop=True)
        .assign(std=found["est"], **found[["se", "ci_low", "ci_high"]])
    )


def regression_scores(fit: sem.Fit, data: pd.DataFrame) -> pd.DataFrame:
    """Scores of the latent variables, Φ Λ' Σ⁻¹ (x − x̄); none for a row with a missing item.

    Notes
    -----
    Thurstone's regression method.  R: ``lavaan::lavPredict(fit, method = "regression")``.
    """
    latent, observed = list(fit.model.latent), list(fit.model.observed)
    weights = np.linalg.solve(
        fit.implied[0].cov.to_numpy(),
        fit.model.matrices(fit.theta)["lambda"] @ _state_covariance(fit).to_numpy(),
    )
    answers = data[observed].astype(float)
    return pd.DataFrame(
        (answers - answers.dropna().mean()).to_numpy() @ weights[:, : len(latent)],
        data.index,
        latent,
    )


def nested(small: sem.Model, large: sem.Model) -> bool:
    """Whether `small` is `large` with free parameters fixed or set equal."""
    mine, theirs = _status(small), _status(large)
    absent = (False, 0.0)
    if small.npar >= large.npar or not all(
        theirs.get(key, absent)[0] or theirs.get(key, absent) == mine.get(key, absent)
        for key in {*mine, *theirs}
    ):
        return False
    tied: dict[float, set[tuple[bool, float]]] = {}
    for key, (free, value) in theirs.items():
        if free:
            tied.setdefault(value, set()).add(mine.get(key, absent))
    return all(len(found) == 1 for found in tied.values())


def _status(model: sem.Model) -> dict[tuple, tuple[bool, float]]:
    """(op, variables, group) → (free?, its number or the value it is fixed to)."""
    return {
        (r.op, *(sorted((r.lhs, r.rhs)) if r.op == "~~" else (r.lhs, r.rhs)), r.group): (
            bool(r.free),
            float(r.free or r.value),
        )
        for r in model.table.itertuples()
    }


def _state_covariance(fit: sem.Fit) -> pd.DataFrame:
    """Implied covariances of the latent variables and of the observed ones in the structure."""
    phi = fit.discrepancy().point(fit.theta, 0).phi
    return pd.DataFrame(phi, fit.model.state, fit.model.state)
