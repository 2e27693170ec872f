"""Where a fitted model misses: modification indices and residuals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd

from cxlib.sem.discrepancy import Discrepancy, pseudo_inverted
from cxlib.sem.model import COLUMNS, Model, scales
from cxlib.sem.result import Fit


def modification_indices(fit: Fit, ops: Sequence[str] = ("=~", "~~", "~")) -> pd.DataFrame:
    """What χ² would lose, about, if one parameter that the model lacks were free.

    The candidates are lavaan's: cross-loadings (``=~``), covariances of indicators' residuals and of
    latent variables (``~~``), in a model with regressions paths among their variables (``~``), and what
    the model fixes; but nothing that would explain an observed predictor, whose moments are given.  One
    whose effect the free parameters already have (such as a marker's loading) is left out.

    Parameters
    ----------
    fit : Fit
        What :func:`~cxlib.sem.estimate.fit` returned.
    ops : sequence of str
        Kinds of parameters to try.

    Returns
    -------
    DataFrame
        lhs, op, rhs, mi (χ² with 1 df), epc (expected parameter change), sepc_all (standardised), and
        group if there are several; the largest mi first.

    Notes
    -----
    Score test with the expected information, MI = (n/2) g²/V and EPC = −g/V, g = ∂F/∂θ_c and
    V = H_cc − H_cf H_ff⁻¹ H_fc (Sörbom 1989, doi:10.1007/BF02294623; Saris, Satorra & Sörbom 1987,
    doi:10.2307/271030).  An index is a lead that needs a theory: of forty candidates two pass 3.84
    by chance.

    R: ``lavaan::modindices(fit)``.
    """
    extended, fixed = _extended(fit.model, ops)
    known = fit.model.npar
    theta = np.append(fit.theta, fixed)
    function = fit.discrepancy(extended)
    exo = extended.table.loc[extended.table["exo"] == 1, "free"].unique() - 1
    free = np.setdiff1d(np.arange(known), exo)
    mi, epc, told = score_test(
        function, theta, np.arange(known, len(theta)), np.eye(len(theta))[:, free]
    )
    tried = np.flatnonzero(extended.table["free"] > known)
    table, scale = extended.table.iloc[tried], scales(extended, theta)[tried]
    with np.errstate(invalid="ignore"):  # a variable without variance has no standardised change
        out = table[["lhs", "op", "rhs"]].assign(mi=mi, epc=epc, sepc_all=epc * scale)
    if fit.model.n_groups > 1:
        out["group"] = [fit.groups[g] for g in table["group"]]
    return out[told].sort_values("mi", ascending=False, kind="stable", ignore_index=True)


def score_test(
    function: Discrepancy, theta: np.ndarray, tried: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MI and EPC of the `tried` numbers, each on its own beside the directions in `free` (npar × their number).

    The last array says which are told apart from those directions.
    """
    gradient, h = function.gradient(theta)[tried], function.information(theta)
    across, total = h[tried] @ free, np.diag(h)[tried]
    left = total - np.einsum("ij,ji->i", across, pseudo_inverted(free.T @ h @ free) @ across.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        epc = -gradient / left
    return -function.n / 2 * gradient * epc, epc, left > 1e-8 * total


def residuals(fit: Fit, group: int = 0) -> pd.DataFrame:
    """Sample less implied correlations (square, observed × observed).

    Notes
    -----
    R: ``lavaan::resid(fit, type = "cor.bollen")$cov``.
    """
    s, sigma = fit.sample[group].cov, fit.implied[group].cov
    sd, implied = np.sqrt(np.diag(s)), np.sqrt(np.diag(sigma))
    return s / np.outer(sd, sd) - sigma / np.outer(implied, implied)


def _extended(model: Model, ops: Sequence[str]) -> tuple[Model, np.ndarray]:
    """The model with every variable a state and the candidates free after the rest; their present values."""
    state = (*model.latent, *model.observed)
    at = {name: i for i, name in enumerate(state)}
    names = [tuple(row) for row in model.table[["lhs", "op", "rhs"]].to_numpy()]
    have = {(op, frozenset((a, b)) if op == "~~" else (a, b)) for a, op, b in names}
    indicators = {b for _, op, b in names if op == "=~"}
    structural = [name for name in state if any(op == "~" and name in (a, b) for a, op, b in names)]
    found = {
        "=~": [(f, x) for f, x in product(model.latent, model.observed) if x not in structural],
        "~~": [
            *combinations([x for x in model.observed if x in indicators], 2),
            *combinations(model.latent, 2),
        ],
        "~": [
            (y, x)
            for y, x in product(structural, structural)
            if y not in (x, *model.fixed_x)
            and not (x in model.latent and y in model.observed and y in indicators)
        ],
    }
    rows = [
        {
            "lhs": a,
            "op": op,
            "rhs": b,
            "group": group,
            "label": "",
            "free": 0,
            "value": 0.0,
            "exo": 0,
        }
        for group in range(model.n_groups)
        for op in ops
        for a, b in found[op]
        if (op, frozenset((a, b)) if op == "~~" else (a, b)) not in have
    ]
    table = pd.DataFrame([*model.table[list(COLUMNS)].to_dict("records"), *rows])
    table["matrix"] = table["op"].map({"=~": "beta", "~": "beta", "~~": "psi", "~1": "alpha"})
    loading = table["op"] == "=~"
    table["row"] = table["rhs"].where(loading, table["lhs"]).map(at)
    table["col"] = table["lhs"].where(loading, table["rhs"]).map(at).fillna(0).astype(int)
    tried = (table["free"] == 0) & table["op"].isin(ops)
    fixed = table.loc[tried, "value"].to_numpy(float)
    table.loc[tried, "free"] = np.arange(1, tried.sum() + 1) + model.npar
    return Model(model.observed, model.latent, state, table, model.syntax), fixed
