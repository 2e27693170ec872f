"""WLSMV: models of ordinal items, fitted to their polychoric correlations.

The correlations are fitted by diagonally weighted least squares; standard errors and χ² are corrected
with the full asymptotic covariance Γ of thresholds and correlations (Muthén, du Toit & Spisic 1997;
Asparouhov & Muthén 2010, "Simple second order chi-square correction").
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd

from cxlib.sem.discrepancy import Discrepancy, Moments, differentiate, minimise
from cxlib.sem.estimate import DataError, Fit, _describe, _present, _start
from cxlib.sem.model import Model, ModelError, parse
from cxlib.sem.polychorics import BOUND, Missing, Polychoric, ordinal_alpha, polychoric

__all__ = ["OrdinalFit", "Polychoric", "fit_ordinal", "ordinal_alpha", "ordinal_measures", "polychoric"]


@dataclass(frozen=True, eq=False, kw_only=True)
class OrdinalFit(Fit):
    """A model fitted by WLSMV: a :class:`~cxlib.sem.Fit` of polychoric correlations.

    The first rows of `parameters` are those of ``model.table``, the thresholds follow (op ``|``).  Residual
    variances are what is left of 1 (delta parameterisation): they have no standard error, but vcov has
    their covariances.  sample, implied : correlations of the responses; chisq : the uncorrected χ²
    (n − 1)·F; polychoric : the sample's correlations, thresholds and Γ.
    """

    polychoric: Polychoric = field(repr=False)

    def parameter(self, lhs: str, op: str, rhs: str = "", group: int = 0) -> pd.Series:
        """The row of `parameters` with this name."""
        if op != "|":
            return super().parameter(lhs, op, rhs, group)
        thresholds = self.parameters[self.parameters["op"] == "|"]
        found = thresholds[(thresholds["lhs"] == lhs) & (thresholds["rhs"] == rhs)]
        if found.empty:
            raise ModelError(f"'{lhs} | {rhs}' is not in the model. Its thresholds are: " + ", ".join(
                f"{a} | {b}" for a, b in zip(thresholds["lhs"], thresholds["rhs"], strict=True)) + ".")
        return found.iloc[0]

    @property
    def method(self) -> str:
        """What was done, in words."""
        return "WLSMV: DWLS of polychoric correlations, robust standard errors, scaled and shifted χ²"

    def discrepancy(self, model: Model | None = None) -> _Correlations:
        """The function that was minimised, or the same of another model that has this one's free numbers."""
        return _Correlations(model or self.model, self.polychoric, _unit_variances(self.model))


def fit_ordinal(data: pd.DataFrame, model: str | Model, *, missing: Missing = "listwise",
                start: np.ndarray | None = None) -> OrdinalFit:
    """Fit a model to ordinal items by WLSMV, in delta parameterisation.

    Every observed variable is ordinal.  DWLS on the polychoric correlations with weights 1/diag Γ, robust
    standard errors, scaled-and-shifted χ².  The responses have variance 1 (lavaan's ``~*~`` rows, all 1,
    are left out), the thresholds are the sample's, and residual variances follow.  A construct of one item
    is that item's response, free of error (lavaan leaves that model unidentified).

    Parameters
    ----------
    data : DataFrame
        One row a respondent.
    model : str or Model
        lavaan syntax; one group, no intercepts.
    missing : {"listwise", "pairwise"}
        As in :func:`~cxlib.sem.polychorics.polychoric`.
    start : ndarray, optional
        Free numbers to start from, in the order of ``model.table.free``.

    Raises
    ------
    ModelError
        If the model cannot be read, has intercepts, several groups, a fixed or labelled residual variance,
        an observed predictor that no ``~~`` line mentions, or more parameters than correlations.
    DataError
        As :func:`~cxlib.sem.polychorics.polychoric`; and if two items' answers are in perfect order.

    Notes
    -----
    R: ``lavaan::sem(model, data, ordered = TRUE, estimator = "WLSMV")``.
    """
    model = model if isinstance(model, Model) else parse(model)
    unit = _unit_variances(model)
    if start is not None and np.shape(start) != (model.npar,):
        raise ModelError(f"start= has shape {np.shape(start)}, but the model has {model.npar} free numbers.")
    _present(model.observed, data.columns)
    items = polychoric(data[list(model.observed)], missing)
    r = items.correlations
    if (perfect := np.argwhere(np.triu(np.abs(r.to_numpy()) >= BOUND - 1e-6, 1))).size:
        pair = " and ".join(f"'{r.columns[i]}'" for i in perfect[0])
        raise DataError(f"The answers to {pair} are in perfect order (polychoric correlation {BOUND} or beyond), so one "
                        "tells nothing that the other does not. Leave one out.")
    if (blind := items.gamma.columns[np.isnan(np.diag(items.gamma))]).size:
        raise DataError(f"{items.n} rows are too few: they do not tell how uncertain {', '.join(blind)} is, by which WLSMV "
                        "weights. Use fewer categories or another estimator.")
    function = _Correlations(model, items, unit)
    reduced = _Reduced(function)
    first = _start(model, list(function.samples)) if start is None else np.asarray(start, float)
    if not np.isfinite(reduced.value(first[reduced.rest])):
        raise ModelError("At the starting values no residual variances make the variances of the responses 1. Look for a "
                         "loading fixed at 0 or, if you gave start=, give another.")
    found, decrement = minimise(reduced, first[reduced.rest])
    theta = reduced.complete(found)
    base = _describe(_Normal(function), theta, decrement, list(items.warnings), ("",), (), "ML", "listwise")

    vcov = np.full((model.npar, model.npar), np.nan)
    if np.isfinite(base.condition):
        half, follow = function.half(theta)[0], np.delete(function.follow(theta), unit, axis=1)
        vcov = follow @ (half.T @ function.gamma @ half / (items.n - 1)) @ follow.T
    number = model.table["free"].to_numpy(int)
    se = np.where((number > 0) & ~np.isin(number - 1, unit), np.sqrt(np.maximum(np.diag(vcov), 0))[number - 1], np.nan)
    thresholds = items.thresholds.rename(columns={"item": "lhs", "threshold": "rhs"}).drop(columns="upper")
    rows = pd.concat([base.parameters.assign(se=se), thresholds.assign(op="|", std=thresholds["est"], label="")])
    known = {part.name: getattr(base, part.name) for part in fields(Fit)}
    known |= {"parameters": _tested(rows.reset_index(drop=True)), "vcov": vcov, "estimator": "WLSMV", "missing": missing}
    return OrdinalFit(**known, polychoric=items)


def ordinal_measures(fit: OrdinalFit) -> pd.DataFrame:
    """Fit measures of a WLSMV solution, by lavaan's names and definitions.

    Returns
    -------
    DataFrame
        measure, value: npar (thresholds included), fmin (½F), n; chisq, df, pvalue, baseline_chisq, baseline_df,
        cfi, tli, nfi, ifi, rfi, rmsea with its 90 % interval and the p-value of RMSEA ≤ .05, all from the
        uncorrected DWLS χ²; the same with _scaled from the scaled-and-shifted χ², its chisq_scaling_factor and
        chisq_shift; cfi, tli and rmsea with _robust; srmr (of the correlations), gfi and agfi (weighted,
        thresholds included).  NaN, each for the reason said in the fit's warnings: what needs degrees of freedom
        without any, _scaled and _robust of an unidentified model, _robust if the polychoric matrix is not
        positive definite.  There is no likelihood, so no aic and bic.

    Notes
    -----
    χ²_scaled = a·χ² + b, a = √(df/tr (UΓ)²), b = df − a·tr UΓ, U = W − WΔ(Δ'WΔ)⁻¹Δ'W; lavaan's scaling factor
    is 1/a.  _robust: normal-theory discrepancy of the polychoric correlations at the WLSMV solution, its
    expectation ĉ·df from Γ (Savalei 2021, doi:10.1080/00273171.2020.1717922).  Cut-offs made for normal-theory ML
    do not carry over to the others: at the same misfit these look better (Xia & Yang 2019,
    doi:10.3758/s13428-018-1055-2).

    R: ``lavaan::fitMeasures(fit)``.
    """
    from scipy.special import chdtrc

    from cxlib.sem.measures import _noncentral, _srmr, cfi, rmsea, rmsea_interval, tli

    n, df, p = fit.n_used, fit.df, len(fit.model.observed)
    null_df = p * (p - 1) // 2
    function = fit.discrepancy()
    weighted = function.gamma / np.diag(function.gamma)[:, None]
    left = np.full_like(weighted, np.nan)
    if np.isfinite(fit.condition):
        half, slopes = function.half(fit.theta)
        left = weighted - half @ (slopes.T @ weighted)
    a, b = _scaled_shifted(df, left)
    null_a, null_b = _scaled_shifted(null_df, weighted)
    null = n * float(function.weights @ function.given**2)
    values = {"npar": fit.model.npar - p + len(fit.polychoric.thresholds), "fmin": fit.fmin / 2, "n": n}
    for suffix, chisq, base in (("", fit.chisq, null), ("_scaled", a * fit.chisq + b, null_a * null + null_b)):
        low, high = rmsea_interval(chisq, df, n - 1)
        part = {
            "chisq": chisq, "df": df, "pvalue": chdtrc(df, chisq) if df else np.nan,
            "baseline_chisq": base, "baseline_df": null_df, "cfi": cfi(chisq, df, base, null_df), "tli": tli(chisq, df, base, null_df),
            "nfi": (base - chisq) / base, "ifi": (base - chisq) / (base - df),
            "rfi": max(1 - (chisq / df) / (base / null_df), 0.0) if df else 1.0,
            "rmsea": rmsea(chisq, df, n - 1, 1), "rmsea_ci_lower": low, "rmsea_ci_upper": high,
            "rmsea_pvalue": 1 - _noncentral(chisq, df, (n - 1) * df * 0.05**2) if df else np.nan}
        values |= {name + suffix: value if np.isfinite(chisq) else np.nan for name, value in part.items()}
    tau = fit.polychoric.thresholds["est"].to_numpy()
    gfi = 1 - fit.chisq / (null + (n - 1) * float((tau**2 / np.diag(fit.polychoric.gamma)[:len(tau)]).sum()))
    values |= {"chisq_scaling_factor": 1 / a if df else np.nan, "chisq_shift": b if df else np.nan, **_robust(fit, function),
               "srmr": _srmr(fit), "gfi": gfi,
               "agfi": 1 - (len(tau) + null_df) / df * (1 - gfi) if df else 1.0}
    return pd.DataFrame({"measure": list(values), "value": np.array(list(values.values()), float)})


class _Correlations(Discrepancy):
    """F = (n−1)/n Σ (r − ρ)²/Γ_rr of a model whose residual variances make the variance of every response 1.

    They are no parameters: derivatives by them are 0, those by the others take their change into account.
    """

    def __init__(self, model: Model, items: Polychoric, unit: np.ndarray):
        super().__init__(model, [Moments(items.correlations, None, items.n)])
        self.unit, self.pairs = unit, np.triu_indices(len(items.correlations), 1)
        self.given = items.correlations.to_numpy()[self.pairs]
        self.gamma = items.gamma.to_numpy()[-len(self.given):, -len(self.given):]
        self.weights = (self.n - 1) / self.n / np.diag(self.gamma)

    def complete(self, theta: np.ndarray) -> np.ndarray:
        """The free numbers with their residual variances: the implied variances are linear in these."""
        theta = theta.copy()
        theta[self.unit] = 0
        by_unit = np.diagonal(self.jacobian(theta)[0][self.unit], axis1=1, axis2=2)
        theta[self.unit] = np.linalg.solve(by_unit.T, 1 - np.diag(self.point(theta, 0).sigma))
        return theta

    def follow(self, theta: np.ndarray) -> np.ndarray:
        """Derivatives of all completed numbers by each (npar × npar)."""
        variances = np.diagonal(self.jacobian(theta)[0], axis1=1, axis2=2)
        out = np.eye(len(theta))
        out[self.unit] = -np.linalg.solve(variances[self.unit].T, variances.T)
        out[:, self.unit] = 0
        return out

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """r − ρ, one a pair."""
        return self.given - self.point(theta, 0).sigma[self.pairs]

    def slopes(self, theta: np.ndarray) -> np.ndarray:
        """Δ, the derivatives of ρ (pairs × npar)."""
        return self.jacobian(theta)[0][:, *self.pairs].T @ self.follow(theta)

    def half(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """WΔ(Δ'WΔ)⁻¹ and Δ of the parameters."""
        slopes = np.delete(self.slopes(theta), self.unit, axis=1)
        weighted = self.weights[:, None] * slopes
        return weighted @ np.linalg.inv(slopes.T @ weighted), slopes

    def value(self, theta: np.ndarray) -> float:
        """F, infinite where the structural equations cannot be solved."""
        try:
            return float(self.weights @ self.residual(theta) ** 2)
        except np.linalg.LinAlgError:
            return np.inf

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """∂F/∂θ."""
        return -2 * self.slopes(theta).T @ (self.weights * self.residual(theta))

    def information(self, theta: np.ndarray) -> np.ndarray:
        """Gauss–Newton curvature of F."""
        slopes = self.slopes(theta)
        return 2 * slopes.T @ (self.weights[:, None] * slopes)

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Exact curvature of F: that of its Lagrangian with the variances held at 1."""
        jacobian, follow, pull = self.jacobian(theta)[0], self.follow(theta), np.zeros_like(self.s[0])
        pull[self.pairs] = -self.weights * self.residual(theta)
        pull += pull.T
        variances, forces = np.diagonal(jacobian[self.unit], axis1=1, axis2=2), (jacobian[self.unit] * pull).sum(axis=(1, 2))
        np.fill_diagonal(pull, -np.linalg.solve(variances, forces))
        held = [(pull, np.zeros(len(pull)))]
        bent = differentiate(lambda at: Discrepancy.gradient(self, at, held), theta)
        slopes = jacobian[:, *self.pairs]
        return follow.T @ (bent + 2 * (slopes * self.weights) @ slopes.T) @ follow


class _Reduced:
    """F of the parameters alone, to be minimised."""

    def __init__(self, whole: _Correlations):
        self.whole, self.rest = whole, np.setdiff1d(np.arange(whole.npar), whole.unit)

    def complete(self, reduced: np.ndarray) -> np.ndarray:
        """All free numbers."""
        theta = np.zeros(self.whole.npar)
        theta[self.rest] = reduced
        return self.whole.complete(theta)

    def value(self, reduced: np.ndarray) -> float:
        """F, infinite where no residual variances make the variances 1."""
        try:
            return self.whole.value(self.complete(reduced))
        except np.linalg.LinAlgError:
            return np.inf

    def gradient(self, reduced: np.ndarray) -> np.ndarray:
        """∂F/∂θ."""
        return self.whole.gradient(self.complete(reduced))[self.rest]

    def information(self, reduced: np.ndarray) -> np.ndarray:
        """Gauss–Newton curvature of F."""
        return self.whole.information(self.complete(reduced))[np.ix_(self.rest, self.rest)]

    def hessian(self, reduced: np.ndarray) -> np.ndarray:
        """Exact curvature of F."""
        return self.whole.hessian(self.complete(reduced))[np.ix_(self.rest, self.rest)]


class _Normal(Discrepancy):
    """The normal-theory information, which tells as well what is identified, beside the F that was minimised."""

    def __init__(self, whole: _Correlations):
        super().__init__(whole.model, whole.samples)
        self.value = whole.value

    def information(self, theta: np.ndarray) -> np.ndarray:
        """Expected Hessian; its diagonal is raised by less than counts, so that it can always be inverted."""
        information = super().information(theta)
        return information + 1e-13 * np.diag(np.diag(information))


def _scaled_shifted(df: int, u_gamma: np.ndarray) -> tuple[float, float]:
    """a and b of the scaled-and-shifted χ² = a·χ² + b."""
    if not df:
        return 1.0, 0.0
    a = float(np.sqrt(df / (u_gamma * u_gamma.T).sum()))
    return a, df - a * float(np.trace(u_gamma))


def _robust(fit: OrdinalFit, function: _Correlations) -> dict[str, float]:
    """Robust CFI, TLI and RMSEA (Savalei 2021)."""
    from cxlib.sem.measures import _noncentral, cfi, rmsea, rmsea_interval, tli

    names = ("cfi_robust", "tli_robust", "rmsea_robust", "rmsea_ci_lower_robust", "rmsea_ci_upper_robust",
             "rmsea_pvalue_robust")
    n, df = fit.n_used, fit.df
    chisq = n * Discrepancy.value(function, fit.theta) if np.linalg.eigvalsh(function.s[0])[0] > 1e-8 else np.inf
    if not np.isfinite([chisq, fit.condition]).all():
        return dict.fromkeys(names, np.nan)
    (i, j), inverse = function.pairs, np.linalg.inv(fit.implied[0].cov.to_numpy())
    normal = inverse[np.ix_(i, i)] * inverse[np.ix_(j, j)] + inverse[np.ix_(i, j)] * inverse[np.ix_(j, i)]
    half, slopes = function.half(fit.theta)
    maker = np.eye(len(half)) - slopes @ half.T
    c = float(((normal @ maker) * (maker @ function.gamma)).sum()) / df if df else 1.0
    null, null_df, null_c = -n * function.log_s[0], len(half), float(np.trace(function.gamma)) / len(half)
    low, high = (np.sqrt(c) * limit for limit in rmsea_interval(chisq / c, df, n - 1))
    return dict(zip(names, (
        cfi(chisq, df, null, null_df, c, null_c), tli(chisq, df, null, null_df, c, null_c), rmsea(chisq, df, n - 1, 1, c), low,
        high, 1 - _noncentral(chisq / c, df, (n - 1) * df * 0.05**2 / c) if df else np.nan), strict=True))


def _tested(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with z, p and the interval of their estimates."""
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        z = rows["est"] / rows["se"]
    return rows.assign(z=z, p=2 * ndtr(-np.abs(z)), ci_low=rows["est"] - 1.959963984540054 * rows["se"],
                       ci_high=rows["est"] + 1.959963984540054 * rows["se"])


def _unit_variances(model: Model) -> np.ndarray:
    """Places of the free numbers, one an observed variable, that give its response the variance 1."""
    if model.means or model.n_groups > 1:
        raise ModelError("estimator='WLSMV' is for one group and models without '~ 1' lines: the responses behind ordinal "
                         "items have mean 0, and thresholds instead of intercepts. Leave them out, or use estimator='MLR'.")
    if model.fixed_x:
        name = model.fixed_x[0]
        raise ModelError(f"'{name}' is an observed predictor, which is not an ordinal item unless you say so. If it is one, "
                         f"write '{name} ~~ {name}' and its covariances with the other predictors; else use "
                         "estimator='MLR'.")
    table, found = model.table, []
    variances = table[(table["op"] == "~~") & (table["lhs"] == table["rhs"])].set_index("lhs")
    loadings = table[table["op"] == "=~"]
    for name in model.observed:
        row, latent = variances.loc[name], loadings.loc[loadings["rhs"] == name, "lhs"].tolist()
        if row["value"] == 0 and len(latent) == 1 and loadings["lhs"].tolist().count(latent[0]) == 1:
            row = variances.loc[latent[0]]
        if not row["free"] or row["label"]:
            raise ModelError(f"The model fixes or labels the variance of '{name}'. Of an ordinal item it is not a parameter: "
                             "the response has variance 1, its residual what is left. Remove that line.")
        found.append(int(row["free"]) - 1)
    pairs = len(model.observed) * (len(model.observed) - 1) // 2
    if not 0 < model.npar - len(found) <= pairs:
        raise ModelError(f"The model has {model.npar - len(found)} free numbers for {pairs} correlations; between 1 and {pairs} "
                         "are possible. Remove paths or covariances, or free some.")
    return np.array(found)
