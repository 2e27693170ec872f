"""Permutation test of invariance: every level refitted to thousands of random groupings of the same respondents.

If groups do not matter, the change of χ² (or CFI) in the real groups is one among those of random groups of the
same sizes; p is its place among them.  Nothing is assumed about the distribution of the answers, and configural
is tested as well: whether the model misses more in these groups than in any (Jorgensen, Kite, Chen & Short 2018,
doi:10.1037/met0000152).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlib.core.errors import ArgumentError
from cxlib.core.words import _
from cxlib.sem import kernel, lockstep
from cxlib.sem.baseline import baseline
from cxlib.sem.estimate import fit as fit_model
from cxlib.sem.indices import cfi
from cxlib.sem.invariance import carried
from cxlib.sem.model import Model, number
from cxlib.sem.result import Fit


class Permuted(NamedTuple):
    """χ² and CFI of every level (columns) in every draw (rows), NaN where a level has no optimum, and p of the changes."""

    chisq: pd.DataFrame
    cfi: pd.DataFrame
    p: pd.DataFrame


def permutation(
    data: pd.DataFrame,
    fits: Mapping[str, Fit],
    group: str,
    draws: int,
    rng: np.random.Generator,
    cluster: str | None = None,
) -> Permuted:
    """Test every level by refitting it to groups made at random.

    Parameters
    ----------
    data : DataFrame
        What `fits` were fitted to, listwise.
    fits : mapping
        From :func:`cxlib.sem.invariance.ladder`.
    draws : int
    rng : numpy Generator
    cluster : str, optional
        Respondents of one cluster are alike: labels are exchanged within clusters, or between whole clusters if all
        respondents of a cluster are of one group.

    Raises
    ------
    ArgumentError
        If the fits are not of complete rows.

    Notes
    -----
    p = (1 + draws at least as large)/(1 + draws).
    R: ``semTools::permuteMeasEq(draws, uncon = configural, con = metric, AFIs = c("chisq", "cfi"))``.
    """
    last = list(fits.values())[-1]
    names = list(last.model.observed)
    rows = data[data[[*names, group, *([cluster] if cluster else [])]].notna().all(axis=1)]
    if len(rows) != last.n_used or last.missing != "listwise":
        raise ArgumentError(
            _(
                "The fits used {used} rows (missing='{missing}'), but {complete} rows are complete. A permutation test needs "
                "fits of complete rows, missing='listwise', to the same data.",
                used=last.n_used,
                missing=last.missing,
                complete=len(rows),
            )
        )
    code = np.unique(rows[group], return_inverse=True)[1]
    labels = _shuffled(
        code, None if cluster is None else pd.factorize(rows[cluster])[0], draws, rng
    )
    x = rows[names].to_numpy(float)
    features, centre = lockstep.features(x - x.mean(axis=0)), x.mean(axis=0)
    sums = [(labels == g).astype(float) @ features for g in range(last.model.n_groups - 1)]
    sums.append(features.sum(axis=0) - sum(sums))
    samples = lockstep.Resamples(tuple(sums), (centre,) * len(sums))
    saturated, null = np.zeros(draws), np.zeros(draws)
    for sample in samples.take(np.arange(draws)):
        log_s = np.linalg.slogdet(np.moveaxis(sample.cov, -1, 0))[1]
        saturated += sample.n * (log_s + len(names))
        null += sample.n * (np.log(np.einsum("iir->ir", sample.cov)).sum(axis=0) - log_s)
    one = next(iter(fits.values())).model
    one = Model(
        one.observed, one.latent, one.state, number(one.table[one.table["group"] == 0]), one.syntax
    )
    pooled = fit_model(rows, one)
    chisq, at = (
        {},
        {
            (r.lhs, r.op, r.rhs): v
            for r, v in zip(one.table.itertuples(), one.values(pooled.theta), strict=True)
        },
    )
    for level, fit in fits.items():
        start = carried(
            np.array([at.get((r.lhs, r.op, r.rhs), 0.0) for r in fit.model.table.itertuples()]),
            fit.model,
            fit.model,
        )
        found = lockstep.refit(kernel.compile(fit.model), samples, start)
        chisq[level] = np.where(
            found.status == "failed", np.nan, len(rows) * found.fmin - saturated
        )
    return _places(fits, pd.DataFrame(chisq), null)


def _shuffled(
    code: np.ndarray, cluster: np.ndarray | None, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Group numbers in random order, (draws, n), respecting clusters."""
    if cluster is None:
        return rng.permuted(np.tile(code, (draws, 1)), axis=1)
    first = pd.Series(code).groupby(cluster).first().to_numpy()
    if (first[cluster] == code).all():
        return rng.permuted(np.tile(first, (draws, 1)), axis=1)[:, cluster]
    sort, out = np.argsort(cluster, kind="stable"), np.empty((draws, len(code)), dtype=code.dtype)
    for draw in range(draws):
        out[draw, np.lexsort((rng.random(len(code)), cluster))] = code[sort]
    return out


def _places(fits: Mapping[str, Fit], chisq: pd.DataFrame, null: np.ndarray) -> Permuted:
    """Where the changes in the real groups lie among those in random ones."""
    base, base_df = baseline(next(iter(fits.values())))
    drawn = pd.DataFrame(
        {
            level: [
                cfi(value, fit.df, other, base_df)
                for value, other in zip(chisq[level], null, strict=True)
            ]
            for level, fit in fits.items()
        }
    ).where(chisq.notna())
    rows, before = [], np.zeros(())
    for level, fit in fits.items():
        misfit = np.vstack(
            [
                np.append(fit.chisq, chisq[level]),
                -np.append(cfi(fit.chisq, fit.df, base, base_df), drawn[level]),
            ]
        )
        change, before = misfit - before, misfit
        real, random = change[:, :1], change[:, 1:]
        good = np.isfinite(random).all(axis=0)
        reached = (random[:, good] >= real - 1e-9).sum(axis=1)
        rows.append(
            {
                "level": level,
                "p_permutation": (1 + reached[0]) / (1 + good.sum()),
                "p_permutation_cfi": (1 + reached[1]) / (1 + good.sum()),
                "permutations": int(good.sum()),
            }
        )
    return Permuted(chisq, drawn, pd.DataFrame(rows))
