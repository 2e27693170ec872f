"""Exploratory factor analysis of items: can they be factored, into how many, and which item loads where.

Everything rests on the correlations of the complete rows, Pearson's or polychoric (answers as ordered categories, at
most 12 of them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core.errors import Impossible, ModelError
from cxlib.core.result import Text
from cxlib.core.words import _, joined, n_
from cxlib.statistics.consistency import numbers

CROSS_LOADING = 0.32
"""A second loading from here up (10 % shared variance) is flagged (Tabachnick and Fidell 2013); a rule of thumb."""
LOWEST = 0.005
"""Uniquenesses do not fall below this, as in psych; an item that reaches it is a Heywood case."""
EXACT: dict[str, Any] = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "maxcor": 30}
"""L-BFGS-B runs until the gradient vanishes or no step lowers the function any more."""

Correlation = Literal["pearson", "polychoric"]
Extraction = Literal["minres", "ml", "pa"]
Rotation = Literal["oblimin", "promax", "varimax", "none"]


@dataclass(frozen=True)
class EFA:
    """An exploratory factor solution.

    loadings : items × factors, the pattern; correlations : of the factors; communality : of the items; rmsr : root mean
    square residual correlation; converged : whether extraction and rotation reached their optimum; n_used : rows;
    extraction, correlation, rotation ("none" of one factor), kaiser (whether rows were normalised while rotating) : how it
    was computed; warnings : of the polychoric correlations.
    """

    loadings: pd.DataFrame
    correlations: pd.DataFrame
    communality: pd.Series
    rmsr: float
    converged: bool
    n_used: int
    extraction: Extraction
    correlation: Correlation
    rotation: Rotation
    kaiser: bool
    warnings: tuple[Text, ...] = ()

    @property
    def structure(self) -> pd.DataFrame:
        """Correlations of items with factors."""
        return self.loadings @ self.correlations

    @property
    def variance(self) -> pd.DataFrame:
        """What each factor explains of the items' variance: factor, ss_loadings, proportion, cumulative."""
        explained, p = (
            _explained(self.loadings.to_numpy(), self.correlations.to_numpy()),
            len(self.loadings),
        )
        return pd.DataFrame(
            {
                "factor": list(self.loadings),
                "ss_loadings": explained,
                "proportion": explained / p,
                "cumulative": explained.cumsum() / p,
            }
        )

    @property
    def cross(self) -> pd.DataFrame:
        """The items whose second loading is flagged: item, first, second, loading, second_loading."""
        two = {
            item: row.loc[row.abs().sort_values(ascending=False, kind="stable").index[:2]]
            for item, row in self.loadings.iterrows()
        }
        return pd.DataFrame(
            [
                (item, *row.index, *row)
                for item, row in two.items()
                if len(row) > 1 and abs(row.iloc[1]) >= CROSS_LOADING
            ],
            columns=["item", "first", "second", "loading", "second_loading"],
        )

    @property
    def heywood(self) -> tuple[str, ...]:
        """The items whose communality reaches its bound."""
        return tuple(self.communality.index[self.communality > 1 - LOWEST - 1e-6])


def kmo(frame: pd.DataFrame, correlation: Correlation = "pearson") -> tuple[float, pd.Series]:
    """Kaiser–Meyer–Olkin measure of sampling adequacy, overall and of each item.

    Σr²/(Σr² + Σq²) over pairs, q the partial correlations given all other items (Kaiser and Rice 1974,
    doi:10.1177/001316447403400115).

    Parameters
    ----------
    frame : DataFrame
        Items only; rows with a missing answer are left out.
    correlation : {"pearson", "polychoric"}
        Which correlations to look at.

    Returns
    -------
    (float, Series)
        Between 0 and 1, high if few factors may underlie the items.

    Raises
    ------
    ValueError
        Items constant, identical, linearly dependent or not numeric, rows no more than items, or polychoric correlations
        that are not positive definite.

    Notes
    -----
    R: ``psych::KMO(frame)``.
    """
    r, *_more = correlations(frame, correlation)
    inverse = np.linalg.inv(r)
    scale = np.sqrt(np.diag(inverse))
    r2, q2 = (np.where(np.eye(len(r)) > 0, 0, m**2) for m in (r, inverse / np.outer(scale, scale)))
    each = r2.sum(axis=0) / (r2.sum(axis=0) + q2.sum(axis=0))
    return float(r2.sum() / (r2.sum() + q2.sum())), pd.Series(each, index=frame.columns, name="kmo")


def bartlett(frame: pd.DataFrame, correlation: Correlation = "pearson") -> tuple[float, int, float]:
    """Bartlett's test that the items are uncorrelated: χ² = −(n − 1 − (2p+5)/6) log|R|, its df and p.

    Parameters
    ----------
    frame : DataFrame
        Items only (Bartlett 1951, doi:10.1093/biomet/38.3-4.337).
    correlation
        As :func:`kmo`; of polychoric correlations the statistic is no exact χ².

    Raises
    ------
    ValueError
        As :func:`kmo`.

    Notes
    -----
    R: ``psych::cortest.bartlett(cor(frame), n)``.
    """
    from scipy.stats import chi2

    r, n, _notes = correlations(frame, correlation)
    p = len(r)
    value = float(-np.linalg.slogdet(r)[1] * (n - 1 - (2 * p + 5) / 6))
    df = p * (p - 1) // 2
    return value, df, float(chi2.sf(value, df))


def parallel(
    frame: pd.DataFrame,
    rng: np.random.Generator,
    draws: int = 500,
    quantile: float = 0.95,
    method: Literal["pca", "fa"] = "pca",
) -> pd.DataFrame:
    """Parallel analysis: observed eigenvalues beside those of uncorrelated normal items of the same size.

    As many factors are retained as lead in an unbroken run above the quantile of the random ones (Horn 1965,
    doi:10.1007/BF02289447; Glorfeld 1995, doi:10.1177/0013164495055003002).

    Parameters
    ----------
    frame : DataFrame
        Items only.
    rng : Generator
        Source of the random data.
    draws : int
        Random data sets.
    quantile : float
        Quantile of the random eigenvalues to beat.
    method : {"pca", "fa"}
        Eigenvalues of the correlations (components), or of the correlations with squared multiple correlations on the
        diagonal (common factors; Humphreys and Montanelli 1975, doi:10.1207/s15327906mbr1002_5).

    Returns
    -------
    DataFrame
        factor, observed, random (the quantile).

    Raises
    ------
    ValueError
        As :func:`kmo`, or an unknown method.

    Notes
    -----
    Always of Pearson correlations, as their random counterpart is.
    R: ``psych::fa.parallel(frame, SMC = TRUE, quant = .95)``, ``$pc.values`` and ``$fa.values``.
    """
    _known("method", method, ("pca", "fa"))
    r, n, _notes = correlations(frame)
    p = len(r)
    noise = np.array(
        [np.corrcoef(rng.standard_normal((n, p)), rowvar=False) for _draw in range(draws)]
    )
    observed, random = _spectrum(r[None], method)[0], _spectrum(noise, method)
    return pd.DataFrame(
        {
            "factor": np.arange(1, p + 1),
            "observed": observed,
            "random": np.quantile(random, quantile, axis=0),
        }
    )


def map_test(frame: pd.DataFrame, correlation: Correlation = "pearson") -> pd.DataFrame:
    """Velicer's minimum average partial: mean squared partial correlation after 0, 1, 2 … components.

    The number of factors is where it is smallest (Velicer 1976, doi:10.1007/BF02293557); map4 averages fourth
    powers (Velicer, Eaton and Fava 2000).

    Parameters
    ----------
    frame : DataFrame
        Items only.
    correlation
        As :func:`kmo`.

    Returns
    -------
    DataFrame
        factors, map, map4.

    Raises
    ------
    ValueError
        As :func:`kmo`.

    Notes
    -----
    R: ``psych::vss(frame)$map`` (which starts at one component).
    """
    r, *_more = correlations(frame, correlation)
    p = len(r)
    values, vectors = np.linalg.eigh(r)
    parts = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1]
    out = []
    for m in range(p - 1):
        rest = r - parts[:, :m] @ parts[:, :m].T
        scale = np.sqrt(np.diag(rest))
        off = (rest / np.outer(scale, scale))[~np.eye(p, dtype=bool)]
        out.append((m, (off**2).mean(), (off**4).mean()))
    return pd.DataFrame(out, columns=["factors", "map", "map4"])


def efa(
    frame: pd.DataFrame,
    factors: int,
    method: Extraction = "minres",
    rotation: Rotation = "oblimin",
    kaiser: bool | None = None,
    correlation: Correlation = "pearson",
) -> EFA:
    """Exploratory factor analysis of the correlations.

    Extraction runs to full convergence: "minres" minimises the squared residual correlations, "ml" is maximum
    likelihood, "pa" iterates principal axes (and ends where minres does).  Columns are ordered by the variance
    they explain and signed to a positive sum of loadings.

    Parameters
    ----------
    frame : DataFrame
        Items only; rows with a missing answer are left out.
    factors : int
        How many.
    method : {"minres", "ml", "pa"}
        Extraction.
    rotation : {"oblimin", "promax", "varimax", "none"}
        Direct quartimin (oblimin with γ = 0), promax with power 4, varimax, or none.
    kaiser : bool, optional
        Rows scaled to unit length while rotating.  By default as psych: yes for varimax and promax, no for
        oblimin (SPSS normalises that too).
    correlation
        As :func:`kmo`.

    Returns
    -------
    EFA

    Raises
    ------
    ValueError
        As :func:`kmo`, too many factors for the number of items, or an unknown method or rotation.

    Notes
    -----
    R: ``psych::fa(frame, factors, fm = "minres", rotate = "oblimin")``, whose default tolerances stop at about
    four digits (Harman and Jones 1966, doi:10.1007/BF02289468; Jennrich 2002, doi:10.1007/BF02294706).
    """
    _known("method", method, get_args(Extraction))
    _known("rotation", rotation, get_args(Rotation))
    r, n, notes = correlations(frame, correlation)
    p = len(r)
    most = int(np.floor(p + 0.5 - np.sqrt(2 * p + 0.25)))
    if not 1 <= factors <= most:
        raise Impossible(
            _(
                "factors={factors} is not possible with {items} items: allowed are 1 to {most}, beyond which the model "
                "has more unknowns than correlations.",
                factors=factors,
                items=p,
                most=most,
            )
        )
    unique, converged = _extract(r, factors, method)
    raw = _axes(r, unique, factors, method)
    raw = raw * np.where(raw.sum(axis=0) < 0, -1, 1)
    pattern, phi, turned = rotate(raw, rotation, kaiser)
    order = np.argsort(-_explained(pattern, phi), kind="stable")
    sign = np.where(pattern.sum(axis=0) < 0, -1, 1)[order]
    pattern, phi = pattern[:, order] * sign, phi[np.ix_(order, order)] * np.outer(sign, sign)
    names, items = [f"F{j + 1}" for j in range(factors)], list(frame.columns)
    residual = (r - raw @ raw.T)[~np.eye(p, dtype=bool)]
    turning: Rotation = "none" if factors == 1 else rotation
    normal = rotation in ("varimax", "promax") if kaiser is None else kaiser
    return EFA(
        pd.DataFrame(pattern, items, names),
        pd.DataFrame(phi, names, names),
        pd.Series((raw**2).sum(axis=1), items, name="communality"),
        float(np.sqrt((residual**2).mean())),
        converged and turned,
        n,
        method,
        correlation,
        turning,
        turning != "none" and normal,
        notes,
    )


def number(
    frame: pd.DataFrame,
    rng: np.random.Generator,
    draws: int = 500,
    correlation: Correlation = "pearson",
) -> tuple[dict[str, int], pd.DataFrame]:
    """How many factors each criterion finds, and the eigenvalues behind it.

    Returns
    -------
    (dict, DataFrame)
        parallel (components), parallel_fa (common factors), map, kaiser; factor, observed, random, observed_fa, random_fa.
    """
    roots, common = parallel(frame, rng, draws), parallel(frame, rng, draws, method="fa")
    partial = map_test(frame, correlation)
    found = {
        "parallel": int((roots["observed"] > roots["random"]).cummin().sum()),
        "parallel_fa": int((common["observed"] > common["random"]).cummin().sum()),
        "map": int(partial["factors"].iloc[int(partial["map"].argmin())]),
        "kaiser": int((roots["observed"] > 1).sum()),
    }
    return found, roots.assign(observed_fa=common["observed"], random_fa=common["random"])


def by_factor(pattern: pd.DataFrame) -> list[str]:
    """The items by the factor they load highest on, the clearest first."""
    size = pattern.abs()
    home = size.idxmax(axis=1).map({factor: at for at, factor in enumerate(pattern)})
    return list(
        pd.DataFrame({"home": home, "size": -size.max(axis=1)})
        .sort_values(["home", "size"], kind="stable")
        .index
    )


def namesakes(pattern: pd.DataFrame, owners: Mapping[str, str]) -> dict[str, str]:
    """Factor → the owner of at least half of the items that load highest on it; the clearest first, each owner once."""
    size, owner = pattern.abs(), np.array([owners[str(item)] for item in pattern.index])
    most, out = size.idxmax(axis=1).to_numpy(), dict[str, str]()
    means = {
        (size.loc[owner == code, factor].mean(), code, factor)
        for code in set(owner)
        for factor in map(str, pattern)
    }
    for _mean, code, factor in sorted(means, reverse=True):
        carried = owner[most == factor]
        if (
            factor not in out
            and code not in out.values()
            and 2 * (carried == code).sum() >= max(len(carried), 1)
        ):
            out[factor] = code
    return out


def rotate(
    loadings: np.ndarray, rotation: Rotation, kaiser: bool | None = None
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Rotate loadings (items × factors): the pattern, the factor correlations, and whether the rotation converged.

    Parameters
    ----------
    loadings : ndarray
        Unrotated loadings.
    rotation, kaiser
        As :func:`efa`.

    Notes
    -----
    R: ``GPArotation::oblimin(L)``, ``psych::kaiser(L, "Promax")``, ``stats::varimax(L)``, each with eps near 0.
    """
    m = loadings.shape[1]
    if m == 1 or rotation == "none":
        return loadings, np.eye(m), True
    if kaiser is None:
        kaiser = rotation != "oblimin"
    scale = np.sqrt((loadings**2).sum(axis=1, keepdims=True)) if kaiser else 1.0
    a = loadings / scale
    if rotation == "oblimin":
        t, converged = _oblimin(a)
        return scale * (a @ np.linalg.inv(t).T), t.T @ t, converged
    t, converged = _varimax(a)
    pattern = a @ t
    if rotation == "varimax":
        return scale * pattern, np.eye(m), converged
    u = np.linalg.lstsq(pattern, pattern * np.abs(pattern) ** 3, rcond=None)[0]
    u = u * np.sqrt(np.diag(np.linalg.inv(u.T @ u)))
    back = np.linalg.inv(u)
    return scale * (pattern @ u), back @ back.T, converged


def correlations(
    frame: pd.DataFrame, correlation: Correlation = "pearson"
) -> tuple[np.ndarray, int, tuple[Text, ...]]:
    """The correlations of the complete rows, how many rows these are, and warnings; raises ValueError as :func:`kmo`."""
    _known("correlation", correlation, get_args(Correlation))
    rows = complete_rows(frame)
    ordinal = sem.polychoric(rows) if correlation == "polychoric" else None
    r, notes = (
        (rows.corr().to_numpy(), ())
        if ordinal is None
        else (ordinal.correlations.to_numpy(), ordinal.warnings)
    )
    if np.linalg.eigvalsh(r)[0] <= 0:
        raise Impossible(
            joined(
                _("The Pearson correlations of these items are not positive definite.")
                if correlation == "pearson"
                else _("The polychoric correlations of these items are not positive definite."),
                _(
                    "No factor model can have produced them. Leave out near-duplicate items or rare categories, or use "
                    "correlation='pearson'."
                ),
            )
        )
    return r, len(rows), notes


def too_few(complete: int, rows: int, items: int) -> Impossible:
    """The refusal to factor more items than there are complete rows."""
    return Impossible(
        _(
            "Only {complete} of {rows} rows are complete, for {items} items. More rows than items are needed; take fewer "
            "items or look at the missing answers.",
            complete=complete,
            rows=rows,
            items=items,
        )
    )


def _known(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ModelError(
            _(
                "{name}='{value}' is unknown. Allowed: {allowed}.",
                name=name,
                value=value,
                allowed=allowed,
            )
        )


def complete_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The complete rows of the items as floats.

    Raises
    ------
    ValueError
        Fewer than three items, not numeric, constant, identical or dependent, or rows no more than items.
    """
    n, p = len(frame.dropna()), frame.shape[1]
    if p < 3:
        raise Impossible(
            n_(
                "There is {n} item: {names}. Factoring needs at least 3.",
                "There are {n} items: {names}. Factoring needs at least 3.",
                p,
                names=list(map(str, frame.columns)),
            )
        )
    if n <= p:
        raise too_few(n, len(frame), p)
    rows = numbers(frame)
    r = rows.corr().to_numpy()
    pairs = [
        _("{a} and {b}", a=str(frame.columns[i]), b=str(frame.columns[j]))
        for i, j in combinations(range(p), 2)
        if abs(r[i, j]) > 1 - 1e-12
    ]
    if pairs:
        raise Impossible(
            _(
                "Identical (or mirrored) items: {pairs}. Their correlation matrix is singular. Perhaps a column was copied; "
                "leave one out.",
                pairs=joined(*pairs, between="; "),
            )
        )
    if np.linalg.eigvalsh(r)[0] < 1e-10:
        raise Impossible(
            _(
                "The correlation matrix is singular: some item is a combination of others, such as a sum score. "
                "Leave it out."
            )
        )
    return rows


def _explained(pattern: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """The variance of the items that each factor explains."""
    return np.diag(phi @ pattern.T @ pattern)


def _axes(r: np.ndarray, unique: np.ndarray, m: int, method: str) -> np.ndarray:
    """Unrotated loadings at given uniquenesses."""
    if method == "ml":
        root = np.sqrt(unique)
        values, vectors = np.linalg.eigh(r / np.outer(root, root))
        return root[:, None] * (vectors * np.sqrt(np.maximum(values - 1, 0)))[:, : -m - 1 : -1]
    values, vectors = np.linalg.eigh(r - np.diag(unique))
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, : -m - 1 : -1]


def _extract(r: np.ndarray, m: int, method: str, limit: int = 20_000) -> tuple[np.ndarray, bool]:
    """Uniquenesses that minimise the discrepancy, and whether the optimum was reached."""
    start = 1 / np.diag(np.linalg.inv(r))
    if method == "pa":
        for _step in range(limit):
            new = 1 - (_axes(r, start, m, method) ** 2).sum(axis=1)
            change, start = np.abs(new - start).max(), new
            if change < 1e-10:
                return start, True
        return start, False
    from scipy.optimize import minimize

    def discrepancy(unique: np.ndarray) -> tuple[float, np.ndarray]:
        if method == "minres":
            values, vectors = np.linalg.eigh(r - np.diag(unique))
            rest, axes = values[:-m], vectors[:, :-m]
            return (rest**2).sum() / 2, -(axes**2 * rest).sum(axis=1)
        root = np.sqrt(unique)
        values, vectors = np.linalg.eigh(r / np.outer(root, root))
        rest, axes = values[:-m], vectors[:, :-m]
        return (rest - np.log(rest) - 1).sum(), (axes**2 * (1 - rest)).sum(axis=1) / unique

    found = minimize(
        discrepancy,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(LOWEST, 1.0)] * len(r),
        options={**EXACT, "gtol": 1e-9},
    )
    slope = discrepancy(found.x)[1]
    inside = np.clip(found.x - slope, LOWEST, 1.0) - found.x
    return found.x, bool(np.abs(inside).max() < 1e-6)


def _varimax(a: np.ndarray, limit: int = 10_000) -> tuple[np.ndarray, bool]:
    """The rotation matrix of varimax, and whether it converged."""
    t = np.eye(a.shape[1])
    for _step in range(limit):
        z = a @ t
        u, _size, v = np.linalg.svd(a.T @ (z**3 - z * (z**2).mean(axis=0)))
        change, t = np.abs(u @ v - t).max(), u @ v
        if change < 1e-12:
            return t, True
    return t, False


def _oblimin(a: np.ndarray) -> tuple[np.ndarray, bool]:
    """The axes T (unit columns) of direct quartimin and whether it converged; loadings are A T⁻ᵀ, correlations TᵀT."""
    from scipy.optimize import minimize

    m = a.shape[1]

    def at(flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = flat.reshape(m, m)
        length = np.linalg.norm(x, axis=0)
        t = x / length
        back = np.linalg.inv(t)
        pattern = a @ back.T
        others = (pattern**2).sum(axis=1, keepdims=True) - pattern**2
        slope = -(pattern.T @ (pattern * others) @ back).T
        return (pattern**2 * others).sum() / 4, (
            (slope - t * (t * slope).sum(axis=0)) / length
        ).ravel()

    found = minimize(
        at, np.eye(m).ravel(), jac=True, method="L-BFGS-B", options={**EXACT, "gtol": 1e-10}
    )
    x = found.x.reshape(m, m)
    return x / np.linalg.norm(x, axis=0), bool(np.abs(found.jac).max() < 1e-6)


def _spectrum(r: np.ndarray, method: str) -> np.ndarray:
    """Eigenvalues, largest first, of correlation matrices (draws × p × p)."""
    if method == "fa":
        r, at = r.copy(), np.arange(r.shape[-1])
        r[:, at, at] = 1 - 1 / np.linalg.inv(r)[:, at, at]
    return np.linalg.eigvalsh(r)[:, ::-1]
