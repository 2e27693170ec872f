"""Relative importance: how much each of several correlated predictors contributes to what they explain."""

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
    correlation = np.corrcoef(np.column_stack([predictors, outcome]), rowvar=False)
    return pd.Series(_weights(correlation[None])[0], index=predictors.columns)


def resampled_weights(predictors: pd.DataFrame, outcome: pd.Series, n_boot: int, rng: np.random.Generator,
                      cluster: pd.Series | None = None) -> np.ndarray:
    """Relative weights in bootstrap samples of the rows, or of whole clusters: (n_boot, predictors).

    Notes
    -----
    Tonidandel, LeBreton & Johnson (2009), doi:10.1037/a0017735.  Moments come from resampling counts, a chunk at
    a time, so memory stays bounded at any n.
    """
    x = np.column_stack([predictors, outcome])
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    k = z.shape[1]
    sums = np.hstack([np.ones((len(z), 1)), z, (z[:, :, None] * z[:, None, :]).reshape(len(z), -1)])
    if cluster is not None:
        sums = pd.DataFrame(sums).groupby(pd.factorize(cluster)[0]).sum().to_numpy()
    units, out = len(sums), []
    chunk = max(1, 4_000_000 // units)
    for start in range(0, n_boot, chunk):
        count = rng.multinomial(units, np.full(units, 1 / units), size=min(chunk, n_boot - start))
        drawn = count @ sums
        mean, cov = drawn[:, 1 : k + 1] / drawn[:, :1], (drawn[:, k + 1 :] / drawn[:, :1]).reshape(-1, k, k)
        cov = cov - mean[:, :, None] * mean[:, None, :]
        sd = np.sqrt(np.einsum("rii->ri", cov))
        out.append(_weights(cov / sd[:, :, None] / sd[:, None, :]))
    return np.concatenate(out)


def _weights(correlations: np.ndarray) -> np.ndarray:
    """Relative weights (R, k) from correlations (R, k+1, k+1) whose last variable is the outcome."""
    eigenvalues, vectors = np.linalg.eigh(correlations[:, :-1, :-1])
    half = (vectors * np.sqrt(np.maximum(eigenvalues, 0))[:, None, :]) @ vectors.transpose(0, 2, 1)
    beta = np.linalg.solve(half, correlations[:, :-1, -1:])
    return (half**2 @ beta**2)[..., 0]
