"""How much each of several correlated predictors contributes to what they explain together."""

from __future__ import annotations

import numpy as np
import pandas as pd


def relative_weights(predictors: pd.DataFrame, outcome: pd.Series) -> pd.Series:
    """Johnson's relative weights; none is negative, and they add up to R².

    Rows must be complete.

    Notes
    -----
    R_xx = QDQ', Λ = Q√D Q', β = Λ⁻¹ r_xy, weight_j = Σ_k Λ²_jk β²_k.
    Johnson (2000), doi:10.1207/S15327906MBR3501_1.
    R: ``e <- eigen(cor(X)); L <- e$vectors %*% diag(sqrt(e$values)) %*% t(e$vectors)``, then
    ``L^2 %*% solve(L, cor(X, y))^2``.
    """
    return pd.Series(
        _weights(np.corrcoef(np.column_stack([predictors, outcome]), rowvar=False)),
        index=predictors.columns,
    )


def resampled_weights(
    predictors: pd.DataFrame,
    outcome: pd.Series,
    n_boot: int,
    rng: np.random.Generator,
    cluster: pd.Series | None = None,
) -> np.ndarray:
    """Relative weights in bootstrap samples of the rows, or of whole clusters: (n_boot, predictors).

    Samples whose correlations cannot be inverted give none, so there may be fewer rows.

    Notes
    -----
    Tonidandel, LeBreton & Johnson (2009), doi:10.1037/a0017735.
    """
    x = np.column_stack([predictors, outcome])
    unit = np.arange(len(x)) if cluster is None else pd.factorize(cluster)[0]
    chance = np.full(unit.max() + 1, 1 / (unit.max() + 1))
    counts = (rng.multinomial(len(chance), chance)[unit] for _ in range(n_boot))
    covariances = (np.cov(x, rowvar=False, fweights=count) for count in counts)
    usable = [
        cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
        for cov in covariances
        if (np.diag(cov) > 1e-12).all()
    ]
    found = [_weights(r) for r in usable if np.linalg.eigvalsh(r[:-1, :-1])[0] > 1e-10]
    return np.array(found).reshape(-1, x.shape[1] - 1)


def ranked_weights(weight: pd.Series, drawn: np.ndarray) -> pd.DataFrame:
    """The predictors, most important first: weight, its 95% percentile interval, share of R², rank, how often each rank was taken.

    Parameters
    ----------
    weight : Series
        Of :func:`relative_weights`.
    drawn : array (draws, predictors)
        Of :func:`resampled_weights`.

    Returns
    -------
    DataFrame
        predictor, weight, ci_low, ci_high, share, rank, rank_1 … rank_k.
    """
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    place = (-drawn).argsort(axis=1).argsort(axis=1)
    table = pd.DataFrame(
        {
            "predictor": list(weight.index),
            "weight": weight.to_numpy(),
            "ci_low": low,
            "ci_high": high,
        }
    )
    table["share"] = table["weight"] / table["weight"].sum()
    table["rank"] = table["weight"].rank(ascending=False, method="first").astype(int)
    for rank in range(len(table)):
        table[f"rank_{rank + 1}"] = (place == rank).mean(axis=0)
    return table.sort_values("rank", kind="stable").reset_index(drop=True)


def _weights(correlation: np.ndarray) -> np.ndarray:
    """Relative weights (k,) from correlations (k+1, k+1) whose last variable is the outcome."""
    eigenvalues, vectors = np.linalg.eigh(correlation[:-1, :-1])
    half = (vectors * np.sqrt(np.maximum(eigenvalues, 0))) @ vectors.T
    return half**2 @ np.linalg.solve(half, correlation[:-1, -1]) ** 2
