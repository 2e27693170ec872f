"""Are two constructs two?  Ratios of item correlations (HTMT, HTMT2), and what loadings say: AVE, CR, omega, correlations of constructs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core.errors import Impossible
from cxlib.core.words import _

if TYPE_CHECKING:
    from cxlib.sem import Fit

Scales = Mapping[str, Sequence[str]]
"""Construct → its items."""
BLOCK = 250
"""Resamples that are held in memory at a time."""


@dataclass(frozen=True, eq=False)
class Resampled:
    """Ratios in bootstrap samples, (draws, k, k) each; draws in which an item does not vary are left out."""

    htmt: np.ndarray
    htmt2: np.ndarray


def htmt_matrix(data: pd.DataFrame, scales: Scales, geometric: bool = False) -> pd.DataFrame:
    """HTMT of every two constructs from the items alone; rows with a missing item are left out.

    The mean absolute correlation between the items of two constructs, over the geometric mean of the two mean
    correlations within; `geometric` takes geometric means throughout (HTMT2).

    Raises
    ------
    Impossible
        If an item is not a column of the data or has the same answer in every complete row.

    Notes
    -----
    A single item counts as perfectly reliable.  R: ``semTools::htmt(syntax, data, htmt2 = geometric)``.
    """
    r = complete(data, scales).corr().to_numpy()
    return pd.DataFrame(_ratios(r, scales, geometric), list(scales), list(scales))


def resampled_htmt(
    rows: pd.DataFrame, scales: Scales, draws: int, rng: np.random.Generator, unit: np.ndarray
) -> Resampled:
    """HTMT and HTMT2 in `draws` bootstrap samples of the units, whose number each row has in `unit`; `rows` are complete."""
    z = ((rows - rows.mean()) / rows.std(ddof=0)).to_numpy()
    n, (i, j) = len(z), np.triu_indices(z.shape[1])
    sums = (
        pd.DataFrame(np.hstack([np.ones((n, 1)), z, z[:, i] * z[:, j]]))
        .groupby(unit)
        .sum()
        .to_numpy()
    )
    units = len(sums)
    arithmetic: list[np.ndarray] = []
    geometric: list[np.ndarray] = []
    for size in [BLOCK] * (draws // BLOCK) + [draws % BLOCK]:
        drawn = rng.multinomial(units, np.full(units, 1 / units), size=size) @ sums
        moments = drawn[:, 1:] / drawn[:, :1]
        cov = np.empty((size, z.shape[1], z.shape[1]))
        cov[:, i, j] = cov[:, j, i] = moments[:, z.shape[1] :] - moments[:, i] * moments[:, j]
        variance = np.einsum("rii->ri", cov)
        varies = (variance > 1e-12).all(axis=1)
        sd = np.sqrt(variance[varies])
        r = cov[varies] / (sd[:, :, None] * sd[:, None, :])
        arithmetic.append(_ratios(r, scales, False))
        geometric.append(_ratios(r, scales, True))
    return Resampled(np.concatenate(arithmetic), np.concatenate(geometric))


def complete(data: pd.DataFrame, scales: Scales) -> pd.DataFrame:
    """The rows complete in all items, as numbers, in which every item varies."""
    items = [item for own in scales.values() for item in own]
    if absent := [item for item in items if item not in data]:
        raise Impossible(
            _(
                "{names}: not in data=. Its columns are {columns}.",
                names=absent,
                columns=list(data.columns[:20]),
            )
        )
    rows = data[items].dropna().astype(float)
    if still := list(rows.columns[rows.nunique() < 2]):
        raise Impossible(
            _(
                "{names}: no variation in the {n} rows complete in all items, hence no correlation. Leave the item out, or keep more rows.",
                names=still,
                n=len(rows),
            )
        )
    return rows


def below_diagonal(matrix: pd.DataFrame) -> list[tuple[str, str, float]]:
    """The entries below the diagonal with their names."""
    names, values = [str(name) for name in matrix], matrix.to_numpy()
    return [
        (b, a, float(values[i, j])) for i, a in enumerate(names) for j, b in enumerate(names[:i])
    ]


def scaled(cov: pd.DataFrame) -> pd.DataFrame:
    """Correlations of covariances, NaN where a variance is negative."""
    with np.errstate(invalid="ignore"):
        sd = np.sqrt(np.diag(cov))
    return cov.div(np.outer(sd, sd))


def indicators(fit: Fit) -> dict[str, list[str]]:
    """The direct indicators of each construct; a construct observed without error is its own."""
    loads = fit.model.table[fit.model.table["op"] == "=~"]
    return {
        code: list(loads.loc[loads["lhs"] == code, "rhs"]) or [code] for code in fit.model.state
    }


def items_of(code: str, own: Scales) -> list[str]:
    """All items of a construct, through its first-order constructs."""
    return [
        item for x in own[code] for item in (items_of(x, own) if x in own and x != code else [x])
    ]


def latent_correlations(fit: Fit) -> pd.DataFrame:
    """Model-implied correlations of the constructs."""
    state = list(fit.model.state)
    return scaled(pd.DataFrame(fit.discrepancy().point(fit.theta, 0).phi, state, state))


def convergent(fit: Fit) -> pd.DataFrame:
    """omega, cr and ave of each construct (rows); NaN for a single item.

    omega is Bollen's (1980) of the raw sum score, cr the same ratio with standardised loadings and ave the mean squared
    standardised loading (Fornell & Larcker 1981); of a second-order construct cr and ave are of its first-order ones.
    """
    own, observed, state = indicators(fit), list(fit.model.observed), list(fit.model.state)
    at = fit.discrepancy().point(fit.theta, 0)
    total = pd.DataFrame(at.d[:, len(observed) : len(observed) + len(state)], observed, state)
    sigma, phi = pd.DataFrame(at.sigma, observed, observed), pd.DataFrame(at.phi, state, state)
    std = fit.parameters[fit.parameters["op"] == "=~"].set_index(["lhs", "rhs"])["std"]
    variance = dict(zip(state, np.diag(at.phi), strict=True))
    out = pd.DataFrame(np.nan, list(own), ["omega", "cr", "ave"])
    for code in (c for c in own if len(own[c]) > 1):
        items, among = items_of(code, own), phi if own[code][0] in state else sigma
        whole = total.loc[items, code].sum() ** 2 * variance[code]
        out.loc[code] = (
            whole / sigma.loc[items, items].to_numpy().sum(),
            std[code].to_numpy().sum() ** 2
            / scaled(among.loc[own[code], own[code]]).to_numpy().sum(),
            (std[code].to_numpy() ** 2).mean(),
        )
    return out


def fornell_larcker_matrix(fit: Fit) -> pd.DataFrame:
    """√AVE on the diagonal, correlations of the constructs beside it."""
    square, root = latent_correlations(fit), np.sqrt(convergent(fit)["ave"])
    for code in square:
        square.loc[code, code] = root[code]
    return square


def convergent_and_discriminant(data: pd.DataFrame, fit: Fit) -> pd.DataFrame:
    """alpha, omega, cr, ave, msv and max_htmt of each construct (rows), `data` complete in the items of `fit`."""
    own, latent, table = indicators(fit), latent_correlations(fit), convergent(fit)
    first = first_order(fit)
    ratio = htmt_matrix(data, first)
    for code in own:
        s = data[items_of(code, own)].cov().to_numpy()
        others = [o for o in own if o != code and o not in own[code] and code not in own[o]]
        table.loc[code, "alpha"] = (
            len(s) / (len(s) - 1) * (1 - np.trace(s) / s.sum()) if len(s) > 1 else np.nan
        )
        table.loc[code, "msv"] = (latent.loc[code, others] ** 2).max()
        table.loc[code, "max_htmt"] = ratio[code].drop(code).max() if code in first else np.nan
    return table[["alpha", "omega", "cr", "ave", "msv", "max_htmt"]]


def first_order(fit: Fit) -> dict[str, list[str]]:
    """The constructs that are measured by items, with them."""
    observed = set(fit.model.observed)
    return {code: items for code, items in indicators(fit).items() if set(items) <= observed}


def _ratios(r: np.ndarray, scales: Scales, geometric: bool) -> np.ndarray:
    """HTMT of correlations, (…, p, p) → (…, k, k)."""
    members = np.repeat(np.eye(len(scales)), [len(own) for own in scales.values()], axis=0)
    size = members.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = members.T @ (np.log(np.abs(r)) if geometric else np.abs(r)) @ members
        within = (np.einsum("...kk->...k", sums) - (0 if geometric else size)) / (size * (size - 1))
        within = np.where(size == 1, 0 if geometric else 1, within)
        between = sums / np.outer(size, size)
        if geometric:
            between, within = np.exp(between), np.exp(within)
        out = between / np.sqrt(within[..., :, None] * within[..., None, :])
    out[~np.isfinite(out)] = np.nan  # items of a construct that do not correlate
    out[..., range(len(size)), range(len(size))] = 1.0
    return out
