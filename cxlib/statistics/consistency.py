"""The internal consistency of one scale, from its items alone: alpha, omega, split halves, and what each item adds.

Every coefficient rests on the complete rows of the scale; covariances have divisor n − 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from cxlib.core.errors import Impossible
from cxlib.core.words import _, listed, n_
from cxlib.sem.estimate import fit_moments

Kind = Literal[
    "missing",
    "near",
    "identical",
    "lambda6",
    "alpha_std",
    "resamples",
    "low",
    "omega_singular",
    "omega_not_converged",
    "omega_improper",
    "halves",
    "two_items",
    "rest",
    "against",
    "rises",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What there may be to say of a coefficient."""
NEAR = 0.95
"""Items that correlate beyond this may be copies of one question; a convention."""
ENOUGH = (0.70, 0.80)
"""Alpha for early and for basic research (Nunnally 1978, Psychometric Theory): rules of thumb, not tests."""
SPLITS = 10_000
"""Up to this many splits (16 items) all are computed; beyond, this many are drawn."""


class Note(NamedTuple):
    """Something a reader must know before believing a number: what it is, and its values; the stage has the words."""

    kind: Kind
    values: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Measured:
    """What one scale gives: a table, the complete rows it rests on, and what must be said of it."""

    table: pd.DataFrame
    n_used: int
    notes: tuple[Note, ...] = ()


def alpha(frame: pd.DataFrame, times: np.ndarray | None = None) -> Measured:
    """Cronbach's alpha of one scale, raw and standardised, with Feldt's 95% interval and a bootstrap interval.

    α = k/(k−1) (1 − Σs²ᵢ/s²) with s² the variance of the sum; alpha_std puts correlations for covariances;
    lambda6 is Guttman's λ₆ = 1 − Σ(1−SMCᵢ)/ΣR.  The interval rests on (1−α)/(1−α̂) ~ F(n−1, (n−1)(k−1))
    (Cronbach 1951, doi:10.1007/BF02310555; Feldt 1965, doi:10.1007/BF02289499).  Feldt's interval assumes normal answers;
    the percentile bootstrap does not.

    Parameters
    ----------
    frame : DataFrame
        The items of one scale, keyed in one direction; rows with a missing answer are left out.
    times : ndarray, optional
        Rows × resamples: how often each row is drawn, as :func:`resampled` gives it, for the bootstrap interval.

    Returns
    -------
    Measured
        One row: items, n, alpha, alpha_low, alpha_high, alpha_std, mean_r, lambda6; with `times` alpha_boot_low and
        alpha_boot_high too.  Resamples in which the sum does not vary are left out, and the notes say so.

    Raises
    ------
    Impossible
        Fewer than two items or three complete rows, an item that is constant or not numeric.

    Notes
    -----
    R: ``psych::alpha(frame)$total`` and ``psych::alpha.ci(a, n, k)``; ``psych::alpha(frame, n.iter = 2000)$boot.ci``
    (other random numbers).
    """
    from scipy.stats import f

    rows, notes = complete_rows(frame)
    n, k = rows.shape
    value, r = alpha_of(rows.cov().to_numpy()), rows.corr().to_numpy()
    low, high = (1 - (1 - value) * f.ppf([0.975, 0.025], n - 1, (n - 1) * (k - 1))).tolist()
    table = pd.DataFrame(
        [
            {
                "items": k,
                "n": n,
                "alpha": value,
                "alpha_low": low,
                "alpha_high": high,
                "alpha_std": alpha_of(r),
                "mean_r": (r.sum() - k) / (k * (k - 1)),
                "lambda6": _lambda6(r),
            }
        ]
    )
    notes += [Note(name) for name in ("lambda6", "alpha_std") if table[name].isna().item()]
    if times is not None:
        low, high, lost = _interval(rows, times[frame.notna().all(axis=1).to_numpy()])
        table["alpha_boot_low"], table["alpha_boot_high"] = low, high
        if lost:
            notes.append(Note("resamples", {"lost": lost, "drawn": times.shape[1]}))
    if value < ENOUGH[0]:
        notes.append(Note("low", {"alpha": value}))
    return Measured(table, n, tuple(notes))


def _lambda6(r: np.ndarray) -> float:
    """Guttman's λ₆; missing where some item is a combination of the others."""
    if np.linalg.eigvalsh(r)[0] <= 1e-10:
        return np.nan
    return 1 - (1 / np.diag(np.linalg.inv(r))).sum() / r.sum()


def _interval(rows: pd.DataFrame, drawn: np.ndarray) -> tuple[float, float, int]:
    """The percentile interval of alpha over resamples, and how many are lost because the sum does not vary in them."""
    k = rows.shape[1]
    x = np.column_stack([rows, rows.sum(axis=1)]) - np.append(rows.mean(), rows.sum(axis=1).mean())
    spread = (x**2).T @ drawn - (x.T @ drawn) ** 2 / np.maximum(drawn.sum(axis=0), 1)
    varies = spread[-1] > 1e-12 * (x[:, -1] ** 2).sum()
    values = k / (k - 1) * (1 - spread[:-1, varies].sum(axis=0) / spread[-1, varies])
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high), int((~varies).sum())


def resampled(n: int, rng: np.random.Generator, draws: int = 2000) -> np.ndarray:
    """How often each of n respondents is drawn (n × draws), for the bootstrap interval of :func:`alpha`."""
    cells = rng.integers(n, size=(n, draws)) * draws + np.arange(draws)
    return np.bincount(cells.ravel(), minlength=n * draws).reshape(n, draws).astype(float)


def omega_total(frame: pd.DataFrame) -> Measured:
    """Omega total of one scale: the share of the sum's variance that is due to one common factor.

    ω = (Σλ)²/((Σλ)² + Σθ), loadings λ and residual variances θ of a one-factor maximum-likelihood model, whose own
    variance stands below the line (McDonald 1999; Raykov 2001, doi:10.1348/000711001159582).

    Parameters
    ----------
    frame : DataFrame
        At least three items of one scale.

    Returns
    -------
    Measured
        One row: items, n, omega.

    Raises
    ------
    Impossible
        As :func:`alpha`; with two items the model has more unknowns than covariances.

    Notes
    -----
    R: ``semTools::compRelSEM(lavaan::cfa("F =~ a + b + c", frame), obs.var = FALSE)``; also the row omega of
    ``semTools::reliability()``.
    """
    rows, notes = complete_rows(frame)
    n, k = rows.shape
    if k < 3:
        raise Impossible(
            _(
                "Omega needs at least three items: two identify no one-factor model. Report split_half, here the "
                "Spearman–Brown coefficient (Eisinga et al. 2013, doi:10.1007/s00038-012-0416-3)."
            )
        )
    value, names = np.nan, [f"i{j}" for j in range(k)]
    try:
        fitted = fit_moments(
            pd.DataFrame(np.cov(rows.to_numpy().T, bias=True), names, names),
            n,
            "F =~ " + " + ".join(names),
        )
    except (ValueError, np.linalg.LinAlgError):
        notes.append(Note("omega_singular"))
    else:
        table = fitted.parameters
        variances = table[table["op"] == "~~"].set_index("lhs")["est"]
        common = table.loc[table["op"] == "=~", "est"].sum() ** 2 * variances.pop("F")
        value = common / (common + variances.sum()) if fitted.converged else np.nan
        if not fitted.converged:
            notes.append(Note("omega_not_converged"))
        elif not fitted.proper:
            notes.append(Note("omega_improper"))
    return Measured(pd.DataFrame([{"items": k, "n": n, "omega": value}]), n, tuple(notes))


def omega_hierarchical(
    parameters: pd.DataFrame, cov: pd.DataFrame, whole: str, parts: Mapping[str, Sequence[str]]
) -> tuple[float, float]:
    """Omega total and omega hierarchical of a fitted second-order model.

    Parameters
    ----------
    parameters : DataFrame
        lhs, op, rhs, est of the model.
    cov : DataFrame
        The covariances of the items that it implies.
    whole, parts
        The second-order factor; its parts and their items.
    """
    est, total = parameters.set_index(["lhs", "op", "rhs"])["est"], cov.to_numpy().sum()
    common = sum(
        est[whole, "=~", part] * est[part, "=~", item]
        for part, own in parts.items()
        for item in own
    )
    return (
        1 - sum(est[item, "~~", item] for own in parts.values() for item in own) / total,
        common**2 * est[whole, "~~", whole] / total,
    )


def split_half(frame: pd.DataFrame, rng: np.random.Generator | None = None) -> Measured:
    """Split-half reliability, the mean over all ways to split the items into two halves.

    The correlation r of the two half sums is stepped up to full length by 2r/(1+r) (Spearman 1910; Brown 1910), with
    an odd number of items by Horst's (1951) formula for unequal lengths; that has no solution for r < 0, where
    2r/(1+r) stands.  For two items it is the Spearman–Brown coefficient.

    Parameters
    ----------
    frame : DataFrame
        The items of one scale.
    rng : Generator, optional
        Needed beyond 16 items, where 10,000 random splits stand for all.

    Returns
    -------
    Measured
        One row: items, n, split_half, lowest, highest, splits.

    Raises
    ------
    Impossible
        As :func:`alpha`, or more than 16 items without `rng`.

    Notes
    -----
    R: the splits of ``psych::splitHalf(frame, covar = TRUE, brute = TRUE)``.  psych reports 4cov(A,B)/var(A+B) of each,
    whose mean over equal halves is alpha itself; here the stepped-up correlation is averaged.
    """
    rows, notes = complete_rows(frame)
    n, k = rows.shape
    first = _splits(k, rng)
    values = _stepped_up(rows.cov().to_numpy(), first)
    mean, lowest, highest = (
        (values.mean(), values.min(), values.max()) if np.isfinite(values).all() else [np.nan] * 3
    )
    if np.isnan(mean):
        notes.append(Note("halves"))
    row = {
        "items": k,
        "n": n,
        "split_half": mean,
        "lowest": lowest,
        "highest": highest,
        "splits": len(first),
    }
    return Measured(pd.DataFrame([row]), n, tuple(notes))


def _splits(k: int, rng: np.random.Generator | None) -> np.ndarray:
    """Splits × items: 1 for the items of the first half; all splits, or SPLITS drawn ones."""
    half = k // 2
    many = comb(k, half) if k % 2 else comb(k, half) // 2
    if many <= SPLITS:
        chosen: Iterator[tuple[int, ...]] = (
            combinations(range(k), half)
            if k % 2
            else ((0, *rest) for rest in combinations(range(1, k), half - 1))
        )
        first = np.zeros((many, k))
        np.put_along_axis(first, np.array(list(chosen)), 1.0, axis=1)
        return first
    if rng is None:
        raise Impossible(
            _(
                "{items} items can be split in {ways:,} ways, so splits are drawn: pass rng=, a numpy Generator.",
                items=k,
                ways=many,
            )
        )
    return rng.permuted(np.tile(np.repeat([1.0, 0.0], [half, k - half]), (SPLITS, 1)), axis=1)


def _stepped_up(cov: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The correlation of the two halves of each split at full length; not finite where a half does not vary."""
    k, half = len(cov), len(cov) // 2
    one, two = first @ cov, (1 - first) @ cov
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (one * (1 - first)).sum(axis=1) / np.sqrt(
            (one * first).sum(axis=1) * (two * (1 - first)).sum(axis=1)
        )
        r = np.where(np.abs(r) > 1 - 1e-12, np.sign(r), r)
        values = 2 * r / (1 + r)
        if k % 2:
            pq = half * (k - half) / k**2
            horst = (np.sqrt(r**4 + 4 * r**2 * (1 - r**2) * pq) - r**2) / (2 * pq * (1 - r**2))
            values = np.where((r > 0) & (r < 1), horst, values)
    return values


def item_statistics(frame: pd.DataFrame) -> Measured:
    """What each item adds: r_drop, its correlation with the sum of the others, and the alpha of the others.

    Parameters
    ----------
    frame : DataFrame
        The items of one scale.

    Returns
    -------
    Measured
        One row an item: item, r_drop, alpha_if_dropped (missing for two items), n, mean, sd.

    Raises
    ------
    Impossible
        As :func:`alpha`.

    Notes
    -----
    R: ``psych::alpha(frame)$item.stats$r.drop`` and ``$alpha.drop$raw_alpha``; for two items psych shows a regression
    slope there, though a single item has no alpha.
    """
    rows, notes = complete_rows(frame)
    n, k = rows.shape
    cov = rows.cov().to_numpy()
    variance, shared = np.diag(cov), cov.sum(axis=1) - np.diag(cov)
    others = [np.delete(np.delete(cov, j, 0), j, 1) for j in range(k)]
    rest = np.array([part.sum() for part in others])
    known = rest > 1e-12 * (np.trace(cov) - variance)
    r_drop = np.where(known, shared / np.sqrt(variance * np.where(known, rest, 1)), np.nan)
    table = pd.DataFrame(
        {
            "item": rows.columns,
            "r_drop": r_drop,
            "alpha_if_dropped": np.nan if k == 2 else [alpha_of(part) for part in others],
            "n": n,
            "mean": rows.mean().to_numpy(),
            "sd": np.sqrt(variance),
        }
    )
    if k == 2:
        notes.append(Note("two_items"))
    if not known.all():
        notes.append(Note("rest", {"items": list(rows.columns[~known])}))
    return Measured(table, n, (*notes, *_misfits(table, alpha_of(cov))))


def _misfits(table: pd.DataFrame, whole: float) -> Iterator[Note]:
    """Items that go against their scale, and items without which alpha rises by as much as two digits show."""
    for item, r, dropped in table[["item", "r_drop", "alpha_if_dropped"]].itertuples(index=False):
        if r < 0:
            yield Note("against", {"item": item, "r": r})
        if dropped > whole and f"{whole:.2f}" != f"{dropped:.2f}":
            yield Note("rises", {"item": item, "before": whole, "after": dropped})


def alpha_of(cov: np.ndarray) -> float:
    """Alpha of a covariance matrix; missing where the sum does not vary."""
    k, total = len(cov), cov.sum()
    return k / (k - 1) * (1 - np.trace(cov) / total) if total > 1e-12 * np.trace(cov) else np.nan


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The complete rows as floats, or a :class:`Impossible` if some item is no finite number, or the same in all rows."""
    text = [str(c) for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    if text:
        raise Impossible(
            _("The answers to {items} are not numbers. Code them as numbers first.", items=text)
        )
    rows, items = frame.astype(float).dropna(), list(map(str, frame.columns))
    if not np.isfinite(rows.to_numpy()).all():
        raise Impossible(
            _("Some answers to {items} are infinite. Correct or blank them.", items=items)
        )
    if same := list(map(str, rows.columns[(rows.max() == rows.min()).to_numpy()])):
        raise Impossible(
            _(
                "Every one of {rows} complete rows has the same answer to {items}, so it goes with nothing. Leave it out.",
                rows=len(rows),
                items=same,
            )
        )
    return rows


def complete_rows(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Note]]:
    """The complete rows as floats, with what is odd about them, or a :class:`Impossible` if there is nothing to compute."""
    k, total, n = frame.shape[1], len(frame), len(frame.dropna())
    items = listed(map(str, frame.columns))
    if k < 2:
        raise Impossible(
            _(
                "A single item ({items}) has no internal consistency, so nothing is estimable.",
                items=items,
            )
        )
    if n < 3:
        raise Impossible(
            n_(
                "Only {n:,} row answers all of {items}; at least 3 are needed.",
                "Only {n:,} rows answer all of {items}; at least 3 are needed.",
                n,
                items=items,
            )
        )
    rows = numbers(frame)
    if rows.sum(axis=1).var() <= 1e-12 * rows.var().sum():
        raise Impossible(
            _(
                "The sum of {items} does not vary, so it has no reliability. Perhaps an item is not reverse-coded.",
                items=items,
            )
        )
    notes = (
        [Note("missing", {"left_out": total - n, "rows": total, "used": n})] if n < total else []
    )
    r, pairs = rows.corr().to_numpy(), list(combinations(range(k), 2))
    named = [(rows.columns[i], rows.columns[j]) for i, j in pairs]
    near = [pair for pair, (i, j) in zip(named, pairs, strict=True) if NEAR < r[i, j] < 1 - 1e-9]
    same_rows = [pair for pair in named if (rows[pair[0]] == rows[pair[1]]).all()]
    if near:
        notes.append(Note("near", {"pairs": near}))
    if same_rows:
        notes.append(Note("identical", {"pairs": same_rows}))
    return rows, notes
