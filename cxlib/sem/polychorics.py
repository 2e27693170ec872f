"""Polychoric correlations of ordinal items, and the joint covariance of thresholds and correlations.

An answer in category k says that a standard normal response y* lies between the thresholds τ_{k−1} and
τ_k.  Thresholds come from each item's margins, each correlation from its table given the thresholds
(Olsson 1979, doi:10.1007/BF02296207); their joint covariance from the scores of both steps (Muthén 1984,
doi:10.1007/BF02294210).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.words import Said, _, listed

CATEGORIES = 12
"""An item with more distinct answers is refused: its table is too sparse, and a normal-theory estimator fits."""
BOUND = 0.999
"""A polychoric correlation stops here, as in lavaan; the answers then fix the order of one item by the other."""
FLOOR = 1e-13
"""Below this a cell's probability is rounding error, and a correlation that gives it to a cell in use is too far out.
lavaan stops at 1.5e-8 and goes on, so that a few answers against the order of all others hardly count in it: where
all but two of 263 rows agree it says .999, the likelihood .933."""
FAR = 38.0
"""A threshold beyond which the normal distribution has no mass in double precision."""

Missing = Literal["listwise", "pairwise"]


@dataclass(frozen=True, eq=False)
class Polychoric:
    """Thresholds and correlations of the normal responses behind ordinal items.

    correlations : items × items; thresholds : item, threshold (t1, t2, …), upper (the last category below
    it), est, se; gamma : n times the asymptotic covariance of thresholds (``x1|t1``) and correlations
    (``x1~~x2``); n : rows used; n_pairs : items × items, rows behind each correlation; warnings : sentences.
    """

    correlations: pd.DataFrame
    thresholds: pd.DataFrame
    gamma: pd.DataFrame = field(repr=False)
    n: int
    n_pairs: pd.DataFrame = field(repr=False)
    warnings: tuple[Said, ...] = ()


def polychoric(frame: pd.DataFrame, missing: Missing = "listwise") -> Polychoric:
    """Polychoric correlations (tetrachoric for two categories) by two-step maximum likelihood.

    Only the order of the answers counts.  A two-by-two table with one empty cell gets half a case in it at
    unchanged margins (lavaan's ``zero.add = c(0.5, 0)``); empty cells of larger tables stay.

    Parameters
    ----------
    frame : DataFrame
        Items only, two or more, with 2 to 12 distinct numbers (or an ordered categorical) each.
    missing : {"listwise", "pairwise"}
        Leave out every row with a missing answer, or use for each item and pair the rows that have it.

    Raises
    ------
    DataError
        If an item is not numeric, constant, or has more than 12 distinct answers; or no rows are left.

    Notes
    -----
    R: ``lavaan::lavCor(frame, ordered = names(frame))``; gamma ``lavInspect(fit, "gamma")``.
    """
    from scipy.special import ndtri

    codes, levels, notes = _codes(frame, missing)
    names, (n, p), width = [str(name) for name in frame.columns], codes.shape, max(map(len, levels))
    answered = codes[:, :, None] == np.arange(width)
    flat = answered.reshape(n, -1).astype(float)
    a, b = np.triu_indices(p, 1)
    tables = (flat.T @ flat).reshape(p, width, p, width)[a, :, b, :]
    together = tables.sum(axis=(1, 2)).astype(int)
    if not together.all():
        one, other = names[a[together.argmin()]], names[b[together.argmin()]]
        raise DataError(
            _(
                "Nobody answered both '{a}' and '{b}', so their correlation is unknown. Leave one of them out.",
                a=one,
                b=other,
            )
        )
    known = answered.any(axis=2).sum(axis=0)
    below = np.cumsum(answered.sum(axis=0), axis=1)[:, :-1] / known[:, None]
    real = np.arange(width - 1) < np.array([len(level) for level in levels])[:, None] - 1
    tau = np.where(real, ndtri(np.where(real, below, 0.5)), FAR)
    binary = np.array([len(level) == 2 for level in levels])
    corrected = binary[a] & binary[b] & ((tables[:, :2, :2] == 0).sum(axis=(1, 2)) == 1)
    rho = _correlate(np.where(corrected[:, None, None], _filled(tables), tables), tau[a], tau[b])
    correlations, pairs = np.eye(p), np.diag(known).astype(int)
    correlations[a, b] = correlations[b, a] = rho
    pairs[a, b] = pairs[b, a] = together
    influence = _influence(codes, tables, tau, real, rho, below, known)
    where = [(i, k) for i in range(p) for k in range(len(levels[i]) - 1)]
    labels = [f"{names[i]}|t{k + 1}" for i, k in where] + [
        f"{names[i]}~~{names[j]}" for i, j in zip(a, b, strict=True)
    ]
    gamma = n * influence.T @ influence
    notes += _judge(names, correlations, corrected, np.isnan(np.diag(gamma)[len(where) :]))
    thresholds = pd.DataFrame(
        {
            "item": [names[i] for i, _ in where],
            "threshold": [f"t{k + 1}" for _, k in where],
            "upper": [levels[i][k] for i, k in where],
            "est": tau[real],
            "se": np.sqrt(np.diag(gamma)[: len(where)] / (n - 1)),
        }
    )
    return Polychoric(
        pd.DataFrame(correlations, names, names),
        thresholds,
        pd.DataFrame(gamma, labels, labels),
        n,
        pd.DataFrame(pairs, names, names),
        tuple(notes),
    )


def unchosen(parts: Mapping[str, pd.DataFrame]) -> list[tuple[str, str, object]]:
    """(group, item, answer) of every answer that nobody of a group gave, though others did; group → its answers."""
    given = {
        item: {label: set(part[item].dropna().unique()) for label, part in parts.items()}
        for item in next(iter(parts.values()))
    }
    return [
        (label, item, answer)
        for item, by_group in given.items()
        for label, own in by_group.items()
        for answer in sorted(set().union(*by_group.values()) - own)
    ]


def merge_unchosen(parts: Mapping[str, pd.DataFrame]) -> dict[str, dict[Any, Any]]:
    """Item → answer → the answer to merge it into, until every group gave every answer: the neighbour nearer the middle, the outermost first."""
    into: dict[str, dict[Any, Any]] = {}
    while gaps := unchosen({label: part.replace(into) for label, part in parts.items()}):
        item = gaps[0][1]
        given = sorted(
            {into.get(item, {}).get(a, a) for part in parts.values() for a in part[item].dropna()}
        )
        at = max(
            (given.index(a) for _, other, a in gaps if other == item),
            key=lambda k: abs(k - (len(given) - 1) / 2),
        )
        answer = given[at]
        to = given[at + 1 if at < len(given) / 2 else at - 1]
        into[item] = {a: to if b == answer else b for a, b in into.get(item, {}).items()} | {
            answer: to
        }
    return into


def ordinal_alpha(frame: pd.DataFrame) -> float:
    """Ordinal alpha: standardised alpha of the polychoric correlations, k/(k−1)·(1 − k/ΣR).

    It is the reliability of a sum of the normal responses, not of the observed answers, which it usually
    exceeds (Zumbo, Gadermann & Zeisser 2007, doi:10.22237/jmasm/1177992180; Chalmers 2018,
    doi:10.1177/0013164417727036).

    Parameters
    ----------
    frame : DataFrame
        Two or more items; rows with a missing answer are left out.

    Notes
    -----
    R: ``psych::alpha(lavaan::lavCor(frame, ordered = names(frame)))$total$raw_alpha``.
    """
    r = polychoric(frame).correlations.to_numpy()
    return float(len(r) / (len(r) - 1) * (1 - len(r) / r.sum()))


def _codes(frame: pd.DataFrame, missing: str) -> tuple[np.ndarray, list[list], list[Said]]:
    """Category numbers 0, 1, … (−1: missing) of the rows used, each item's categories, and notes."""
    if missing not in ("listwise", "pairwise"):
        raise DataError(
            _(
                "missing='{missing}' is not possible for ordinal items. Allowed: listwise, pairwise.",
                missing=missing,
            )
        )
    if frame.shape[1] < 2 or not frame.columns.is_unique:
        raise DataError(
            _(
                "Two or more columns with names of their own are needed; there are {names}.",
                names=str(list(frame.columns)),
            )
        )
    _ordered(frame)
    kept = frame.notna().all(axis=1) if missing == "listwise" else frame.notna().any(axis=1)
    used = frame[kept]
    notes = _left_out(frame, used, missing)
    codes, levels = np.empty(used.shape, dtype=np.intp), []
    for at, (name, column) in enumerate(used.items()):
        codes[:, at], found = pd.factorize(column, sort=True)
        _informative(name, list(found), len(used))
        levels.append(list(found))
        if not isinstance(found, pd.CategoricalIndex):
            notes += _unused(name, found.to_numpy(float))
    return codes, levels, notes


def _ordered(frame: pd.DataFrame) -> None:
    """Raise for a column whose values are not ordered categories."""
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
            continue
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
            raise DataError(
                _(
                    "Column '{name}' is {kind}, so its categories have no order. Code them as numbers, or make it an ordered "
                    "categorical.",
                    name=name,
                    kind=str(column.dtype),
                )
            )
        if np.isinf(column.to_numpy(float, na_value=np.nan)).any():
            raise DataError(
                _(
                    "Column '{name}' has infinite values. Set them to missing or correct them.",
                    name=name,
                )
            )


def _informative(name: object, found: list, n: int) -> None:
    """Raise for an item with too few or too many categories."""
    if len(found) < 2:
        raise DataError(
            _(
                "Item '{name}' has only the answer {answer} in the {n} rows used, so it tells nothing. Leave it out.",
                name=name,
                answer=str(found[0]),
                n=n,
            )
            if len(found)
            else _(
                "Item '{name}' has no answer in the {n} rows used, so it tells nothing. Leave it out.",
                name=name,
                n=n,
            )
        )
    if len(found) > CATEGORIES:
        raise DataError(
            _(
                "Item '{name}' has {n} distinct values; up to {most} are taken as categories. Use a normal-theory "
                "estimator (estimator='MLR') for it, or group its values first.",
                name=name,
                n=len(found),
                most=CATEGORIES,
            )
        )


def _left_out(frame: pd.DataFrame, used: pd.DataFrame, missing: str) -> list[Said]:
    """What was done with missing answers."""
    notes: list[Said] = []
    if dropped := len(frame) - len(used):
        notes.append(
            _(
                "{dropped} of {of} rows have a missing value in these items and were left out; {kept} were used.",
                dropped=dropped,
                of=len(frame),
                kept=len(used),
            )
            if missing == "listwise"
            else _(
                "{dropped} of {of} rows have only missing values in these items and were left out; {kept} were used.",
                dropped=dropped,
                of=len(frame),
                kept=len(used),
            )
        )
    if missing == "pairwise" and (holes := int(used.isna().any(axis=1).sum())):
        notes.append(
            _(
                "{holes} of {of} rows have missing answers; each correlation rests on the rows that have both (pairwise), "
                "which is unbiased only if answers are missing completely at random.",
                holes=holes,
                of=len(used),
            )
        )
    return notes


def _unused(name: object, whole: np.ndarray) -> list[Said]:
    """What nobody chose between the lowest and the highest answer of an item that is coded in whole numbers."""
    if (whole != whole.round()).any():
        return []
    unused = sorted(set(np.arange(whole[0], whole[-1])) - set(whole))
    if not 0 < len(unused) < CATEGORIES:
        return []
    return [
        _(
            "Nobody used {answers} of item {name}; its thresholds lie between the categories in use.",
            answers=listed(f"{value:g}" for value in unused),
            name=name,
        )
    ]


def _filled(tables: np.ndarray) -> np.ndarray:
    """Tables with half a case moved into the empty cell of their 2 × 2 corner, margins unchanged."""
    out = tables.copy()
    main = (tables[:, 0, 0] == 0) | (tables[:, 1, 1] == 0)
    out[:, :2, :2] += np.where(main, 0.5, -0.5)[:, None, None] * np.array([[1, -1], [-1, 1]])
    return out


def _judge(names: list[str], r: np.ndarray, corrected: np.ndarray, blind: np.ndarray) -> list[Said]:
    """What a reader must know before believing the correlations."""
    a, b = np.triu_indices(len(r), 1)

    def named(chosen: np.ndarray) -> Said:
        return listed(f"{names[i]}–{names[j]}" for i, j in zip(a[chosen], b[chosen], strict=True))

    notes: list[Said] = []
    if corrected.any():
        notes.append(
            _(
                "Two-by-two tables with an empty cell got half a case in it, margins unchanged: {pairs}. Their correlations "
                "depend on that.",
                pairs=named(corrected),
            )
        )
    if (near := np.abs(r[a, b]) > 0.99).any():
        notes.append(
            _(
                "Polychoric correlations beyond .99: {pairs}. These items ask the same; keep one of each.",
                pairs=named(near),
            )
        )
    if blind.any():
        notes.append(
            _(
                "Too few answers to tell how uncertain these correlations are: {pairs}. Their rows of gamma are empty.",
                pairs=named(blind),
            )
        )
    if (lowest := float(np.linalg.eigvalsh(r)[0])) <= 1e-8:
        notes.append(
            _(
                "The polychoric correlation matrix is not positive definite (smallest eigenvalue {lowest:.3f}): the pairs were "
                "estimated one by one and contradict each other, as happens with few rows or sparse categories. What needs "
                "its inverse is left out.",
                lowest=lowest,
            )
        )
    return notes


def _bivariate_normal(h: np.ndarray, k: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Distribution function of two normals correlated `rho`, by Owen's T (Owen 1956, doi:10.1214/aoms/1177728074)."""
    from scipy.special import ndtr, owens_t

    h, k, root = np.where(h == 0, 1e-300, h), np.where(k == 0, 1e-300, k), np.sqrt(1 - rho**2)
    with np.errstate(over="ignore"):
        first, second = (k / h - rho) / root, (h / k - rho) / root
    return (ndtr(h) + ndtr(k) - ((h < 0) != (k < 0))) / 2 - owens_t(h, first) - owens_t(k, second)


def _cells(corner: np.ndarray) -> np.ndarray:
    """Differences of values at the thresholds (pairs × thresholds × thresholds) that vanish at both ends."""
    return np.diff(np.diff(np.pad(corner, ((0, 0), (1, 1), (1, 1))), axis=1), axis=2)


def _probable(
    tau_a: np.ndarray, tau_b: np.ndarray, rho: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cell probabilities of every pair and their first two derivatives by the correlation."""
    from scipy.special import ndtr

    h, k, r = tau_a[:, :, None], tau_b[:, None, :], rho[:, None, None]
    inner = _bivariate_normal(h, k, r)
    below = np.pad(inner, ((0, 0), (1, 1), (1, 1)))
    below[:, 1:-1, -1], below[:, -1, 1:-1], below[:, -1, -1] = ndtr(tau_a), ndtr(tau_b), 1
    rest = 1 - r**2
    density = np.exp(-(h**2 - 2 * r * h * k + k**2) / (2 * rest)) / (2 * np.pi * np.sqrt(rest))
    curve = density * (r / rest + (h * k * (1 + r**2) - r * (h**2 + k**2)) / rest**2)
    return (
        np.maximum(np.diff(np.diff(below, axis=1), axis=2), FLOOR),
        _cells(density),
        _cells(curve),
    )


def _correlate(tables: np.ndarray, tau_a: np.ndarray, tau_b: np.ndarray) -> np.ndarray:
    """The correlation of every pair: Newton steps inside the interval where the score changes sign, or halving it."""
    rho, low, high = (
        np.zeros(len(tables)),
        np.full(len(tables), -BOUND),
        np.full(len(tables), BOUND),
    )
    open_ = np.arange(len(tables))
    for turn in range(60):
        probable, slope, curve = _probable(tau_a[open_], tau_b[open_], rho[open_])
        ratio = slope / probable
        score = (tables[open_] * ratio).sum(axis=(1, 2))
        second = (tables[open_] * (curve / probable - ratio**2)).sum(axis=(1, 2))
        beyond = ((tables[open_] > 0) & (probable <= FLOOR)).any(axis=(1, 2))
        score = np.where(beyond, -rho[open_], score)
        low[open_], high[open_] = (
            np.where(score > 0, rho[open_], low[open_]),
            np.where(score > 0, high[open_], rho[open_]),
        )
        ahead = rho[open_] - score / np.where(second < 0, second, -np.inf)
        inside = ~beyond & (second < 0) & (ahead > low[open_]) & (ahead < high[open_]) & (turn < 25)
        ahead = np.where(inside, ahead, (low[open_] + high[open_]) / 2)
        moved = np.abs(ahead - rho[open_])
        rho[open_] = ahead
        if not (open_ := open_[moved > 1e-9]).size:
            break
    return rho


def _influence(
    codes: np.ndarray,
    tables: np.ndarray,
    tau: np.ndarray,
    real: np.ndarray,
    rho: np.ndarray,
    below: np.ndarray,
    known: np.ndarray,
) -> np.ndarray:
    """Influence of every row on thresholds and correlations; its cross-product is their covariance."""
    from scipy.special import ndtr

    p, (a, b) = codes.shape[1], np.triu_indices(codes.shape[1], 1)
    density = np.exp(-(tau**2) / 2) / np.sqrt(2 * np.pi)
    reached = np.arange(tau.shape[1] + 1)[:, None] <= np.arange(tau.shape[1])
    margin = (reached - below[:, None]) / np.where(real, known[:, None] * density, np.inf)[:, None]
    absent = codes < 0
    thresholds = margin[np.arange(p), codes]
    thresholds[absent] = 0
    probable, slope, _curve = _probable(tau[a], tau[b], rho)
    ratio = slope / probable
    pull = tables * ratio / probable
    across = np.zeros((len(rho), p, tau.shape[1]))
    root = np.sqrt(1 - rho**2)[:, None, None]
    for one, other, flow in ((a, b, pull), (b, a, pull.transpose(0, 2, 1))):
        share = ndtr(
            (
                np.pad(
                    tau[other], ((0, 0), (1, 1)), constant_values=((0, 0), (-FAR * 1e3, FAR * 1e3))
                )[:, None]
                - rho[:, None, None] * tau[one][:, :, None]
            )
            / root
        )
        lost = (np.diff(share, axis=2) * -np.diff(flow, axis=1)).sum(axis=2)
        across[np.arange(len(rho)), one] = density[one] * lost
    scores = ratio[np.arange(len(rho)), codes[:, a], codes[:, b]]
    scores[absent[:, a] | absent[:, b]] = 0
    thresholds = thresholds[:, real]
    pooled = (tables * ratio**2).sum(axis=(1, 2))  # no information: the likelihood is flat there
    pooled[pooled <= 1e-12 * tables.sum(axis=(1, 2))] = np.nan
    return np.hstack([thresholds, (scores - thresholds @ across[:, real].T) / pooled])
