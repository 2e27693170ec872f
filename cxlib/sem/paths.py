"""Effects along the paths of a model, with every interval from the same draws.

With B the paths between the states, the effect along a chain is the product of its paths, the total effect
is (I − B)⁻¹ − I, and the indirect effect is the total less the direct one (Bollen 1987, doi:10.2307/271028).
Effects are functions of the parameters, so nothing here refits a model: the same function is evaluated at the
estimate, at every draw, at every leave-one-out estimate, and, by complex steps, differentiated for the
delta method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlib.core.errors import EffectError
from cxlib.core.syntax import ARROW, ModelSyntaxError, chains, spelled
from cxlib.core.words import _, listed
from cxlib.sem.model import Model
from cxlib.sem.resampling import Draws, intervals
from cxlib.sem.result import Z95, Fit

COLUMNS = [
    "effect",
    "kind",
    "est",
    "se",
    "ci_low",
    "ci_high",
    "p",
    "std",
    "interval",
    "draws",
    "converged",
]


class Effect(NamedTuple):
    """What is estimated: the sum of products along chains, or of total (indirect) effects of starts on an end."""

    name: str
    kind: str
    chains: tuple[tuple[str, ...], ...]


def effect(model: Model, words: str, kind: str = "") -> Effect:
    """Read an effect: "TS -> PV -> SA -> LY" is one chain, "TS + CV -> PV -> SA" the sum of two.

    Parameters
    ----------
    model : Model
        Must have the paths.
    words : str
        Codes joined by ``->``; ``+`` sums over alternatives at a place.
    kind : {"", "total", "indirect"}
        With "total" or "indirect" only start and end are given, and every way between them counts.

    Raises
    ------
    EffectError
        A name is not in the model, or the model lacks a path of the chain.
    """
    try:
        found, drawn = chains(words), edges(model)
    except ModelSyntaxError as error:
        raise EffectError(error.reason) from None
    for chain in found:
        if absent := [code for code in chain if code not in model.state]:
            raise EffectError(
                _(
                    "The effect '{words}' names '{name}', which is not in the structure of the model. There are: {names}.",
                    words=words,
                    name=absent[0],
                    names=listed(model.state),
                )
            )
        if kind and len(chain) != 2:
            raise EffectError(
                _(
                    "The effect '{words}' cannot be read. Write for kind '{kind}' its start and end: 'A -> C'.",
                    words=words,
                    kind=kind,
                )
            )
        missing = [] if kind else [step for step in pairwise(chain) if step not in drawn]
        if missing:
            a, b = missing[0]
            raise EffectError(
                _(
                    "The effect '{words}' needs the path '{b} ~ {a}', which the model does not have. Add it to the model, or "
                    "ask for all effects of the pair: ('{start}', '{end}').",
                    words=words,
                    a=a,
                    b=b,
                    start=chain[0],
                    end=chain[-1],
                )
            )
        if kind and not between(model, *chain):
            raise EffectError(
                _(
                    "The model has no way from '{start}' to '{end}'. Check the direction of the arrow.",
                    start=chain[0],
                    end=chain[1],
                )
            )
    return Effect(spelled(words), kind or ("direct" if len(found[0]) == 2 else "specific"), found)


def between(model: Model, start: str, end: str) -> list[Effect]:
    """All effects of one construct on another: direct, each specific chain, total indirect, total.

    Empty if no path leads from `start` to `end`.  Chains pass no construct twice; in a model with a loop
    the total, from (I − B)⁻¹, is more than their sum.
    """
    for code in (start, end):
        if code not in model.state:
            raise EffectError(
                _(
                    "'{name}' is not in the structure of the model. There are: {names}.",
                    name=code,
                    names=listed(model.state),
                )
            )
    drawn = edges(model)
    unfinished: list[tuple[str, ...]] = [(start,)]
    out: list[Effect] = []
    while unfinished:
        chain = unfinished.pop(0)
        for a, b in drawn:
            if a == chain[-1] and b == end:
                out.append(
                    Effect(
                        ARROW.join((*chain, b)),
                        "specific" if len(chain) > 1 else "direct",
                        ((*chain, b),),
                    )
                )
            elif a == chain[-1] and b not in chain:
                unfinished.append((*chain, b))
    if out:
        kinds = (
            ("indirect", "total") if any(found.kind == "specific" for found in out) else ("total",)
        )
        out += [Effect(ARROW.join((start, end)), kind, ((start, end),)) for kind in kinds]
    return out


def edges(model: Model) -> dict[tuple[str, str], None]:
    """(from, to) of every path between states, loadings of second-order constructs included."""
    rows = model.table[(model.table["matrix"] == "beta") & (model.table["group"] == 0)]
    return dict.fromkeys(
        (model.state[col], model.state[row])
        for row, col in zip(rows["row"], rows["col"], strict=True)
    )


def predictors(model: Model) -> dict[str, list[str]]:
    """What has a path (``~``) into each outcome, both in the order written."""
    rows = model.table[(model.table["op"] == "~") & (model.table["group"] == 0)]
    return {
        outcome: list(dict.fromkeys(own["rhs"])) for outcome, own in rows.groupby("lhs", sort=False)
    }


def values(
    model: Model,
    wanted: Sequence[Effect],
    theta: np.ndarray,
    standardised: bool = False,
    group: int = 0,
) -> np.ndarray:
    """Effects (R, k) at free numbers `theta` (R, npar), real or complex.

    Standardised effects use the model-implied standard deviations (std.all); where a variance is
    negative they are NaN.
    """
    at = {name: place for place, name in enumerate(model.state)}
    size = (len(theta), len(at), len(at))
    b, psi, identity = np.zeros(size, theta.dtype), np.zeros(size, theta.dtype), np.eye(len(at))
    rows = model.table[
        (model.table["group"] == group) & model.table["matrix"].isin(["beta", "psi"])
    ]
    for row in rows.itertuples():
        value = theta[:, row.free - 1] if row.free else row.value
        if row.matrix == "beta":
            b[:, row.row, row.col] = value
        else:
            psi[:, row.row, row.col] = psi[:, row.col, row.row] = value
    if standardised:
        c = np.linalg.inv(identity - b)
        with np.errstate(invalid="ignore"):
            sd = np.sqrt(np.einsum("rij,rjk,rik->ri", c, psi, c))
        b = b * sd[:, None, :] / sd[:, :, None]
    total = np.linalg.inv(identity - b) - identity
    out = np.zeros((len(theta), len(wanted)), theta.dtype)
    for column, found in enumerate(wanted):
        for steps in ([at[code] for code in chain] for chain in found.chains):
            if found.kind in ("total", "indirect"):
                out[:, column] += total[:, steps[-1], steps[0]]
                out[:, column] -= b[:, steps[-1], steps[0]] if found.kind == "indirect" else 0
            else:
                out[:, column] += np.prod(
                    [b[:, to, start] for start, to in pairwise(steps)], axis=0
                )
    return out


def inference(
    fit: Fit,
    statistic: Callable[[np.ndarray], np.ndarray],
    labels: Sequence[tuple[str, str, float]],
    draws: Draws | None = None,
    jackknife: Draws | None = None,
) -> pd.DataFrame:
    """Estimate, standard error, 95% interval and p of any statistic of the parameters.

    Parameters
    ----------
    fit : Fit
    statistic : callable
        (R, npar) → (R, k), analytic (it is differentiated by complex steps).
    labels : sequence
        effect, kind and std of each of the k columns.
    draws, jackknife : Draws, optional
        For the percentile, and with both for the BCa interval.

    Returns
    -------
    DataFrame
        COLUMNS; of each statistic one row a kind of interval, in the order bca, percentile, delta.

    Notes
    -----
    p is two-sided: 2Φ(−|z|) for delta, else the level at which the interval's own limit reaches 0; where no draw
    is beyond 0, the tail is taken as normal (and as smaller than one draw), so that corrections for many tests are
    not stopped by the number of draws.  BCa: Efron (1987), doi:10.1080/01621459.1987.10478410.
    """
    from scipy.special import ndtr

    estimate = statistic(fit.theta[None])[0]
    slope = statistic(fit.theta + 1e-30j * np.eye(len(fit.theta))).imag / 1e-30
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(np.einsum("ki,kl,li->i", slope, fit.vcov, slope))
        found = {
            "delta": (
                error,
                estimate - Z95 * error,
                estimate + Z95 * error,
                2 * ndtr(-np.abs(estimate / error)),
            )
        }
    drawn, left_out = (
        None if d is None else _finite(statistic(d.theta[d.status != "failed"]))
        for d in (draws, jackknife)
    )
    if drawn is not None and len(drawn) > 1:
        spread = drawn.std(axis=0, ddof=1)
        found["percentile"] = (
            spread,
            *intervals(drawn, estimate, kind="percentile").T,
            _p(drawn, estimate, None),
        )
        if left_out is not None and len(left_out):
            found["bca"] = (
                spread,
                *intervals(drawn, estimate, left_out).T,
                _p(drawn, estimate, left_out),
            )
    rows = []
    for k, (name, kind, std) in enumerate(labels):
        for interval in [word for word in ("bca", "percentile", "delta") if word in found]:
            se, low, high, p = (column[k] for column in found[interval])
            rows.append(
                [
                    name,
                    kind,
                    estimate[k],
                    se,
                    low,
                    high,
                    p,
                    std,
                    interval,
                    0 if draws is None else len(draws),
                    0 if drawn is None else len(drawn),
                ]
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _finite(rows: np.ndarray) -> np.ndarray:
    return rows[np.isfinite(rows).all(axis=1)]


def _p(drawn: np.ndarray, estimate: np.ndarray, left_out: np.ndarray | None) -> np.ndarray:
    """Two-sided level at which the percentile (or, with leave-one-out values, the BCa) limit reaches zero."""
    from scipy.special import ndtr, ndtri

    share = ((drawn < 0).mean(axis=0) + (drawn <= 0).mean(axis=0)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        beyond = np.minimum(
            ndtr(-np.abs(drawn.mean(axis=0) / drawn.std(axis=0))), 1 / (len(drawn) + 1)
        )
    share = np.where(share == 0, beyond, np.where(share == 1, 1 - beyond, share))
    if left_out is not None:
        bias = ndtri(((drawn < estimate).mean(axis=0) + (drawn <= estimate).mean(axis=0)) / 2)
        pull = left_out.mean(axis=0) - left_out
        with np.errstate(invalid="ignore", divide="ignore"):
            a = np.nan_to_num((pull**3).sum(axis=0) / (6 * (pull**2).sum(axis=0) ** 1.5))
            gap = ndtri(share) - bias
            share = ndtr(gap / (1 + a * gap) - bias)
    return np.minimum(2 * np.minimum(share, 1 - share), 1.0)
