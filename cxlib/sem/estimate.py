"""Maximum-likelihood estimation of a :class:`~cxlib.sem.model.Model` from sample moments.

The discrepancy of one group is F = log|Σ| + tr(SΣ⁻¹) − log|S| − p + (x̄−μ)'Σ⁻¹(x̄−μ), of several
groups Σ n_g/n F_g; χ² = n·F with divisor n (Jöreskog 1969, doi:10.1007/BF02289343; Bollen 1989,
doi:10.1002/9781118619179).  Every derivative of Σ is c(uv' + vu') with u and v columns of
D = [I, G, ΛΦ], G = Λ(I−B)⁻¹, and every derivative of μ is s·u, so gradient and expected information
are gathers from D'WD and D'Σ⁻¹D.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlib.sem.model import Model, ModelError, parse, replicate

TOLERANCE = 1e-9
"""Converged: Newton decrement √(g'H⁻¹g) below this.  No combination of parameters is then further
than TOLERANCE·√(n/2) of its own standard error from the optimum, whatever the items' units."""
SINGULAR = 1e-4


class DataError(ValueError):
    """The data cannot be used for the model; the message says which column, why, and what to do."""


class Moments(NamedTuple):
    """Covariances (divisor n), means (or None) and number of rows of one group."""

    cov: pd.DataFrame
    mean: pd.Series | None
    n: int


class Places(NamedTuple):
    """Where parameters sit: ∂Σ = c(uv' + vu') and ∂μ = s·u, u and v columns of D, s entry of (η, 1, 0)."""

    u: np.ndarray
    v: np.ndarray
    c: np.ndarray
    s: np.ndarray


class Point(NamedTuple):
    """One group's matrices at one parameter value."""

    sigma: np.ndarray
    mu: np.ndarray
    d: np.ndarray
    eta: np.ndarray
    phi: np.ndarray


def places(model: Model, rows: pd.DataFrame) -> Places:
    """Locate rows of a parameter table (columns matrix, row, col)."""
    p, m = len(model.observed), len(model.state)
    matrix, row, col = rows["matrix"].to_numpy(str), rows["row"].to_numpy(int), rows["col"].to_numpy(int)
    u = row + np.where(np.isin(matrix, ["beta", "psi", "alpha"]), p, 0)
    v = np.select([np.isin(matrix, ["lambda", "beta"]), matrix == "psi"], [p + m + col, p + col], col)
    symmetric, mean = np.isin(matrix, ["psi", "theta"]), np.isin(matrix, ["nu", "alpha"])
    c = np.where(mean, 0.0, np.where(symmetric & (row == col), 0.5, 1.0))
    s = np.where(mean, m, np.where(symmetric, m + 1, col))
    return Places(u, np.where(mean, 0, v), c, s)


class Discrepancy:
    """F of a model and its samples as a function of the free numbers θ, with its derivatives."""

    def __init__(self, model: Model, samples: Sequence[Moments]):
        names = list(model.observed)
        self.model, self.samples = model, tuple(samples)
        self.n = sum(sample.n for sample in samples)
        self.weight = [sample.n / self.n for sample in samples]
        rows = [model.table[(model.table["group"] == g) & (model.table["free"] > 0)] for g in range(model.n_groups)]
        self.places = [places(model, part) for part in rows]
        self.free = [part["free"].to_numpy(int) - 1 for part in rows]
        self.s = [sample.cov.loc[names, names].to_numpy(float) for sample in samples]
        self.log_s = [np.linalg.slogdet(s)[1] for s in self.s]
        self.mean = [sample.mean[names].to_numpy(float) if model.means else np.zeros(len(names)) for sample in samples]

    def point(self, theta: np.ndarray, group: int) -> Point:
        """Implied moments and the columns every derivative is made of."""
        part = self.model.matrices(theta, group)
        c = np.linalg.inv(np.eye(len(part["beta"])) - part["beta"])
        g, phi, eta = part["lambda"] @ c, c @ part["psi"] @ c.T, c @ part["alpha"]
        lambda_phi = part["lambda"] @ phi
        sigma = lambda_phi @ part["lambda"].T + part["theta"]
        mu = part["nu"] + part["lambda"] @ eta
        return Point(sigma, mu, np.hstack([np.eye(len(sigma)), g, lambda_phi]), np.append(eta, [1.0, 0.0]), phi)

    def value(self, theta: np.ndarray) -> float:
        """F, infinite where Σ is not positive definite."""
        total = 0.0
        for group, weight in enumerate(self.weight):
            try:
                at = self.point(theta, group)
                root = np.linalg.cholesky(at.sigma)
            except np.linalg.LinAlgError:
                return np.inf
            half = np.linalg.solve(root, np.column_stack([self.mean[group] - at.mu, np.linalg.cholesky(self.s[group])]))
            total += weight * (2 * np.log(np.diag(root)).sum() + (half**2).sum() - self.log_s[group] - len(root))
        return float(total)

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """∂F/∂θ (length npar); holomorphic, so a complex step gives the exact Hessian."""
        out = np.zeros(self.model.npar, dtype=theta.dtype)
        for group, weight in enumerate(self.weight):
            at, where = self.point(theta, group), self.places[group]
            inverse = np.linalg.inv(at.sigma)
            delta = self.mean[group] - at.mu
            w = inverse - inverse @ (self.s[group] + np.outer(delta, delta)) @ inverse
            local = (2 * where.c * (at.d.T @ w @ at.d)[where.u, where.v]
                     - 2 * at.eta[where.s] * (at.d.T @ (inverse @ delta))[where.u])
            np.add.at(out, self.free[group], weight * local)
        return out

    def information(self, theta: np.ndarray) -> np.ndarray:
        """Expected Hessian of F (npar × npar); the information of the sample is n/2 times it."""
        out = np.zeros((self.model.npar,) * 2)
        for group, weight in enumerate(self.weight):
            local = expected(self.point(theta, group), self.places[group])
            np.add.at(out, np.ix_(self.free[group], self.free[group]), weight * local)
        return out

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Observed Hessian of F (npar × npar), by complex steps of the gradient."""
        step = 1e-30j * np.eye(len(theta))
        out = np.array([self.gradient(theta + row).imag for row in step]) / 1e-30
        return (out + out.T) / 2

    def jacobian(self, theta: np.ndarray, group: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """∂Σ/∂θ (npar × p × p) and ∂μ/∂θ (npar × p) of one group."""
        at, where = self.point(theta, group), self.places[group]
        u, v = at.d.T[where.u], at.d.T[where.v]
        outer = where.c[:, None, None] * u[:, :, None] * v[:, None, :]
        sigma = np.zeros((self.model.npar, *at.sigma.shape))
        mu = np.zeros((self.model.npar, len(at.sigma)))
        np.add.at(sigma, self.free[group], outer + outer.transpose(0, 2, 1))
        np.add.at(mu, self.free[group], at.eta[where.s][:, None] * u)
        return sigma, mu


def expected(at: Point, where: Places) -> np.ndarray:
    """Expected Hessian of one group's F in the given places: tr(Σ⁻¹Σ_aΣ⁻¹Σ_b) + 2μ_a'Σ⁻¹μ_b."""
    k = at.d.T @ np.linalg.solve(at.sigma, at.d)
    u, v, c, s = where.u, where.v, where.c, at.eta[where.s]
    products = k[np.ix_(u, u)] * k[np.ix_(v, v)] + k[np.ix_(u, v)] * k[np.ix_(v, u)]
    return 2 * np.outer(c, c) * products + 2 * np.outer(s, s) * k[np.ix_(u, u)]


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    theta : free numbers in the order of ``model.table.free``; vcov : their covariances, 2/n H⁻¹ of
    the expected information; parameters : lhs, op, rhs, est, se, z, p, ci_low, ci_high, std (std.all),
    label, and group if there are several (a fixed one has no se); sample, implied : :class:`Moments`
    of each group; r2 : variable, r2; condition : largest variance inflation of an estimate;
    converged, proper : whether the optimum was reached and is admissible; trustworthy : both, and
    the data determine every parameter, else verdicts are withheld; warnings : reasons, en and zh.
    """

    model: Model
    theta: np.ndarray = field(repr=False)
    vcov: np.ndarray = field(repr=False)
    parameters: pd.DataFrame = field(repr=False)
    sample: tuple[Moments, ...] = field(repr=False)
    implied: tuple[Moments, ...] = field(repr=False)
    r2: pd.DataFrame = field(repr=False)
    fmin: float
    n_used: int
    condition: float
    converged: bool
    proper: bool
    trustworthy: bool
    warnings: tuple[dict[str, str], ...] = ()
    groups: tuple[str, ...] = ("",)

    @property
    def df(self) -> int:
        """Degrees of freedom."""
        return self.model.df

    @property
    def chisq(self) -> float:
        """χ² = n·F."""
        return self.n_used * self.fmin

    def discrepancy(self) -> Discrepancy:
        """The function that was minimised."""
        return Discrepancy(self.model, self.sample)

    def standardized(self) -> np.ndarray:
        """Completely standardised values (std.all), one a row of `parameters`."""
        return standardize(self.model, self.theta)

    def latent_covariance(self, group: int = 0) -> pd.DataFrame:
        """Implied covariances of the latent variables."""
        phi = self.discrepancy().point(self.theta, group).phi
        size = len(self.model.latent)
        return pd.DataFrame(phi[:size, :size], self.model.latent, self.model.latent)

    def parameter(self, lhs: str, op: str, rhs: str = "", group: int = 0) -> pd.Series:
        """The row of `parameters` with this name."""
        table = self.model.table
        pair = (table["lhs"] == lhs) & (table["rhs"] == rhs)
        if op == "~~":
            pair |= (table["lhs"] == rhs) & (table["rhs"] == lhs)
        found = np.flatnonzero(pair & (table["op"] == op) & (table["group"] == group))
        if not len(found):
            raise ModelError(f"'{lhs} {op} {rhs}' is not in the model. Its parameters are: " + ", ".join(
                f"{a} {o} {b}" for a, o, b in zip(table["lhs"], table["op"], table["rhs"], strict=True)) + ".")
        return self.parameters.iloc[found[0]]


def fit(data: pd.DataFrame, model: str | Model, *, means: bool = False, group: str | None = None,
        start: np.ndarray | None = None) -> Fit:
    """Fit a model to raw data by normal-theory maximum likelihood.

    Rows with a missing value in the model's variables are left out (and the warnings say so).  The
    start is semopy's fit or, where that is worse, our own; from there Fisher scoring and Newton steps
    go to the exact optimum.  Negative variances are allowed, as in lavaan, and warned of.

    Parameters
    ----------
    data : DataFrame
        One row a respondent; the model's variables numeric.
    model : str or Model
        lavaan syntax, or what :func:`~cxlib.sem.model.parse` made of it.
    means : bool
        Estimate intercepts too (syntax only; always with `group`).
    group : str, optional
        Column of groups, taken in sorted order; a one-group model is configural in them.
    start : ndarray, optional
        Free numbers to start from.

    Raises
    ------
    ModelError
        If the model cannot be read or has more parameters than moments.
    DataError
        If a variable is missing, not numeric, constant or a combination of others, or rows are too few.

    Notes
    -----
    R: ``lavaan::sem(model, data, meanstructure = means, group = group)``.
    """
    if not isinstance(model, Model):
        model = parse(model, means or group is not None)
    elif means and not model.means:
        raise ModelError("means=True needs a model with intercepts. Use parse(syntax, means=True).")
    values = _numeric(data, model, group)
    kept = values.notna().all(axis=1)
    labels = pd.Series("", index=data.index) if group is None else data[group]
    kept &= labels.notna()
    levels = sorted(labels[kept].unique())
    if group is not None and model.n_groups == 1:
        model = replicate(model, len(levels))
    samples = []
    for level in levels:
        part = values[kept & (labels == level)]
        centred = part - part.mean()
        samples.append(Moments(centred.T @ centred / len(part), part.mean(), len(part)))
    notes = []
    if dropped := int((~kept).sum()):
        notes.append({"en": f"{dropped} of {len(data)} rows have a missing value in the model's variables and were left "
                            f"out (listwise deletion); {len(data) - dropped} were used.",
                      "zh": f"{len(data)} 行中有 {dropped} 行在模型变量上有缺失值,已整行剔除;实际使用 {len(data) - dropped} 行。"})
    first = _semopy(model, values[kept]) if start is None and model.n_groups == 1 else start
    return _fit(model, samples, first, notes, tuple(str(level) for level in levels))


def fit_moments(covariances: pd.DataFrame | Sequence[pd.DataFrame], n: int | Sequence[int], model: str | Model,
                means: pd.Series | Sequence[pd.Series] | None = None, start: np.ndarray | None = None) -> Fit:
    """Fit a model to covariances with divisor n (a list of them for several groups).

    Raises
    ------
    ModelError, DataError
        As :func:`fit`.

    Notes
    -----
    R: ``lavaan::sem(model, sample.cov = S, sample.nobs = n, sample.cov.rescale = FALSE)``.
    """
    several = not isinstance(covariances, pd.DataFrame)
    covariances, sizes = (list(covariances), list(n)) if several else ([covariances], [n])
    averages = [None] * len(sizes) if means is None else list(means) if several else [means]
    if not isinstance(model, Model):
        model = parse(model, means is not None)
    if len(covariances) > 1 and model.n_groups == 1:
        model = replicate(model, len(covariances))
    if model.means and means is None:
        raise ModelError("The model has intercepts but there are no means=. Give the sample means too.")
    samples = []
    for cov, mean, size in zip(covariances, averages, sizes, strict=True):
        _present(model.observed, cov.columns)
        names = list(model.observed)
        samples.append(Moments(cov.loc[names, names].astype(float), None if mean is None else mean[names], int(size)))
    return _fit(model, samples, start, [], tuple(str(g + 1) for g in range(len(samples))) if several else ("",))


def standardize(model: Model, theta: np.ndarray) -> np.ndarray:
    """std.all of every row of ``model.table`` at the free numbers `theta`."""
    table, out = model.table, np.full(len(model.table), np.nan)
    for group in range(model.n_groups):
        part = model.matrices(theta, group)
        c = np.linalg.inv(np.eye(len(part["beta"])) - part["beta"])
        phi = c @ part["psi"] @ c.T
        sigma = part["lambda"] @ phi @ part["lambda"].T + part["theta"]
        total = dict(zip(model.state, np.diag(phi), strict=True)) | dict(zip(model.observed, np.diag(sigma), strict=True))
        rest = dict(zip(model.observed, np.diag(part["theta"]), strict=True)) | dict(
            zip(model.state, np.diag(part["psi"]), strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            sd = {name: np.sqrt(value) for name, value in total.items()}
            scale = {"=~": lambda a, b, sd=sd: sd[a] / sd[b], "~": lambda a, b, sd=sd: sd[b] / sd[a],
                     "~1": lambda a, b, sd=sd: 1 / sd[a],
                     "~~": lambda a, b, t=total, r=rest: 1 / t[a] if a == b else 1 / np.sqrt(r[a] * r[b])}
            for at in np.flatnonzero(table["group"] == group):
                row = table.iloc[at]
                value = theta[row["free"] - 1] if row["free"] else row["value"]
                out[at] = value * scale[row["op"]](row["lhs"], row["rhs"])
    return out


def _fit(model: Model, samples: list[Moments], start: np.ndarray | None, notes: list[dict], groups: tuple) -> Fit:
    """Check the moments, minimise, and describe what was found."""
    if len(samples) != model.n_groups:
        raise ModelError(f"The model has {model.n_groups} groups but the data have {len(samples)}.")
    if model.df < 0:
        raise ModelError(f"The model has {model.npar} free numbers but the data only {model.npar + model.df} moments "
                         f"(df = {model.df}), so it is not identified. Remove paths or covariances, or fix some.")
    for sample in samples:
        _usable(sample, model)
    function = Discrepancy(model, samples)
    own = _start(model, samples)
    candidates = [own] if start is None else sorted([np.asarray(start, float), own], key=function.value)
    for candidate in candidates:
        theta, decrement = minimise(function, candidate)
        if converged := decrement < TOLERANCE:
            break
    information = function.information(theta)
    scale = np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    singular = values[0] < 1e-10
    vcov = np.full_like(information, np.nan)
    if not singular:
        vcov = 2 / function.n * (vectors / values @ vectors.T) / np.outer(scale, scale)
    return _describe(function, theta, vcov, values, vectors, converged, notes, groups)


def minimise(function: Discrepancy, start: np.ndarray, limit: int = 500) -> tuple[np.ndarray, float]:
    """Minimise F from `start`; returns θ and its Newton decrement (infinite if there is no optimum).

    Levenberg–Marquardt on the expected information, Newton steps on the observed one near the optimum.
    """
    theta, value, damping, decrement = start, function.value(start), 0.0, np.inf
    for _ in range(limit):
        if not np.isfinite(value):
            return theta, np.inf
        gradient, curvature = function.gradient(theta), function.information(theta)
        if decrement < 0.1:
            observed = function.hessian(theta)
            if np.linalg.eigvalsh(observed)[0] > 0:
                curvature = observed
        scale = np.sqrt(np.maximum(np.diag(curvature), 1e-300))
        scaled, slope = curvature / np.outer(scale, scale), gradient / scale
        roots, axes = np.linalg.eigh(scaled)
        roots, along = np.maximum(roots, 1e-12), axes.T @ slope
        decrement = float(np.sqrt((along**2 / roots).sum()))
        while True:
            step = -(axes @ (along / (roots + damping))) / scale
            ahead = function.value(theta + step)
            if ahead <= value + 1e-4 * gradient @ step + 1e-13 * max(1.0, abs(value)):
                break
            damping = max(4 * damping, 1e-3)
            if damping > 1e10:
                return theta, decrement
        theta, value, damping = theta + step, ahead, damping / 8 if damping > 1e-6 else 0.0
        if decrement < TOLERANCE:
            return theta, decrement
    return theta, decrement


def _start(model: Model, samples: list[Moments]) -> np.ndarray:
    """Our own start: loadings 1 and latent variances .05 in units of the marker, B 0, residuals S_ii/2."""
    out, table = np.zeros(model.npar), model.table
    for group, sample in enumerate(samples):
        s, rows = sample.cov, table[table["group"] == group]
        unit, marker = {}, {}
        for latent in reversed(model.latent):
            loads = rows[(rows["lhs"] == latent) & (rows["op"] == "=~")]
            fixed = loads[(loads["value"].fillna(0) != 0)]
            first = (fixed if len(fixed) else loads).iloc[0]
            marker[latent] = marker.get(first["rhs"], first["rhs"])
            size = unit.get(first["rhs"]) or np.sqrt(s.loc[marker[latent], marker[latent]])
            unit[latent] = size / abs(first["value"]) if len(fixed) else 2.0
        for row in rows[rows["free"] > 0].itertuples():
            a, b = row.lhs, row.rhs
            if row.op == "=~":
                near = marker.get(b, b)
                value = (unit.get(b) or np.sqrt(s.loc[b, b])) / unit[a] * (np.sign(s.loc[marker[a], near]) or 1)
            elif row.op == "~1":
                value = 0.0 if a in model.latent else sample.mean[a]
            elif row.op == "~~" and (a == b or row.exo):
                value = 0.05 * unit[a] ** 2 if a in model.latent else s.loc[a, b] / (1 if row.exo else 2)
            else:
                value = 0.0
            out[row.free - 1] = value
    return out


def _semopy(model: Model, values: pd.DataFrame) -> np.ndarray | None:
    """semopy's fit as free numbers, None where it fails."""
    import warnings

    from semopy import Model as Semopy

    rows = model.table[model.table["op"] != "~1"]
    lines = [f"{row.lhs} {row.op} " + (f"free_{row.free}" if row.free else str(float(row.value))) + f"*{row.rhs}"
             for row in rows.itertuples()]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            other = Semopy("\n".join(lines))
            other.fit(values, options={"ftol": 1e-8, "maxiter": 500})
        active = [name for name, parameter in other.parameters.items() if parameter.active]
        found = dict(zip(active, other.param_vals, strict=True))
        out = _start(model, [Moments(values.cov(ddof=0), values.mean(), len(values))])
        for number in range(model.npar):
            out[number] = found.get(f"free_{number + 1}", out[number])
    except Exception:  # whatever semopy raises, our own start remains
        return None
    return out if np.isfinite(out).all() else None


def _present(wanted: Sequence[str], columns: pd.Index) -> None:
    """Raise for a variable that the data do not have, with the nearest names."""
    have = [str(name) for name in columns]
    for name in wanted:
        if name not in have:
            near = difflib.get_close_matches(name, have, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Its columns are {', '.join(have[:20])}."
            raise DataError(f"The model uses '{name}', which is not a column of the data. {hint} "
                            f"If '{name}' is a latent variable, define it: '{name} =~ item1 + item2 + item3'.")


def _numeric(data: pd.DataFrame, model: Model, group: str | None) -> pd.DataFrame:
    """The model's columns as floats, NaN where missing."""
    _present([*model.observed, *([group] if group else [])], data.columns)
    out = {}
    for name in model.observed:
        column = data[name]
        if isinstance(column, pd.DataFrame):
            raise DataError(f"The data have {column.shape[1]} columns called '{name}'. Give each its own name.")
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
            raise DataError(f"Column '{name}' is not numeric (it is {column.dtype}). Code it as numbers first, "
                            "for a category one 0/1 column a level.")
        out[name] = column.to_numpy(float, na_value=np.nan)
        if np.isinf(out[name]).any():
            raise DataError(f"Column '{name}' has infinite values. Set them to missing or correct them.")
    return pd.DataFrame(out, index=data.index)


def _usable(sample: Moments, model: Model) -> None:
    """Raise where a covariance matrix cannot be fitted, and name the columns to blame."""
    s, names = sample.cov.to_numpy(), list(model.observed)
    if sample.n <= len(names):
        raise DataError(f"There are {sample.n} complete rows for {len(names)} variables; more rows than variables are "
                        "needed. Use a smaller model, or see which columns have the missing values.")
    if not np.isfinite(s).all() or not np.allclose(s, s.T):
        raise DataError("The covariance matrix has missing or infinite entries, or is not symmetric.")
    sd = np.sqrt(np.maximum(np.diag(s), 0))
    size = 1e-10 * (1 if sample.mean is None else np.abs(sample.mean.to_numpy()).clip(1e-10))
    if (flat := sd <= size).any():
        raise DataError(f"Column '{names[int(np.argmax(flat))]}' is constant. Leave it out of the model.")
    values, vectors = np.linalg.eigh(s / np.outer(sd, sd))
    if values[0] < 1e-10:
        guilty = [name for name, weight in zip(names, vectors[:, 0], strict=True) if abs(weight) > 1e-4]
        raise DataError(f"Columns {', '.join(guilty)} are identical or exact combinations of each other, so the "
                        "covariance matrix cannot be inverted. Leave one of them out.")


def _describe(function: Discrepancy, theta: np.ndarray, vcov: np.ndarray, values: np.ndarray, vectors: np.ndarray,
              converged: bool, notes: list[dict], groups: tuple[str, ...]) -> Fit:
    """Tables and warnings of a solution."""
    from scipy.special import ndtr

    model, table = function.model, function.model.table
    number = table["free"].to_numpy(int)
    free = (number > 0) & (table["exo"] == 0).to_numpy()
    est = np.where(number > 0, theta[number - 1], table["value"])
    with np.errstate(invalid="ignore"):
        se = np.where(free, np.sqrt(np.diag(vcov))[number - 1], np.nan)
        z = est / se
    parameters = table[["lhs", "op", "rhs"]].assign(
        est=est, se=se, z=z, p=2 * ndtr(-np.abs(z)), ci_low=est - 1.959963984540054 * se,
        ci_high=est + 1.959963984540054 * se, std=standardize(model, theta), label=table["label"])
    if model.n_groups > 1:
        parameters["group"] = [groups[g] for g in table["group"]]
    implied, r2, proper = [], [], True
    for group, sample in enumerate(function.samples):
        at, part = function.point(theta, group), model.matrices(theta, group)
        names = list(model.observed)
        implied.append(Moments(pd.DataFrame(at.sigma, names, names),
                               pd.Series(at.mu, names) if model.means else None, sample.n))
        rows = table[(table["group"] == group)]
        for row in rows[rows["lhs"].eq(rows["rhs"])].itertuples():
            if est[row.Index] < 0:
                proper = False
                where = f" ({groups[group]})" if model.n_groups > 1 else ""
                notes.append({"en": f"The variance of {row.lhs}{where} is estimated negative ({est[row.Index]:.3f}): "
                                    "the solution is improper.",
                              "zh": f"{row.lhs}{where} 的方差估计为负({est[row.Index]:.3f}):该解不恰当(improper)。"})
    return Fit(model, theta, vcov, parameters, function.samples, tuple(implied), pd.DataFrame(r2),
               function.value(theta), function.n, 1 / values[0], converged, proper, converged and proper,
               tuple(notes), groups)
