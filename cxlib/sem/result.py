"""What a fit comes back as: estimates, their covariances and tables, and what a reader must know before believing them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cxlib.core.errors import ModelError
from cxlib.sem.discrepancy import Discrepancy, Moments
from cxlib.sem.fiml import Patterns, count_clusters, objective
from cxlib.sem.model import Model, standardize

Z95 = 1.959963984540054
METHODS = {
    ("ML", "listwise"): "maximum likelihood, standard errors from the expected information",
    (
        "MLR",
        "listwise",
    ): "maximum likelihood, {robust}, χ² scaled by Yuan and Bentler (Mplus variant)",
    ("ML", "mi"): "maximum likelihood in multiply imputed data, pooled by Rubin's rules, χ² as D3",
    (
        "MLR",
        "mi",
    ): "maximum likelihood in multiply imputed data, {robust}, pooled by Rubin's rules, χ² as D3, scaled by the mean "
    "of the Yuan-Bentler factors (Mplus variant)",
    (
        "ML",
        "fiml",
    ): "full-information maximum likelihood, standard errors from the observed information",
    (
        "MLR",
        "fiml",
    ): "full-information maximum likelihood, {robust}, χ² scaled by Yuan and Bentler (Mplus variant)",
    **{
        (
            "WLSMV",
            missing,
        ): "WLSMV: DWLS of polychoric correlations, robust standard errors, scaled and shifted χ²"
        for missing in ("listwise", "pairwise")
    },
}
"""What an estimator does, by its name and the treatment of missing values."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model.

    theta : free numbers in the order of ``model.table.free``; vcov : their covariances, 2/n H⁻¹ of
    the expected information ("fiml": of the observed one), robust with estimator "MLR"; parameters : lhs, op, rhs, est, se, z, p,
    ci_low, ci_high, std (std.all), label, and group if there are several (a fixed one has no se); sample, implied : :class:`Moments`
    of each group; r2 : variable, r2; condition : largest variance inflation of an estimate;
    converged, proper : whether the optimum was reached and is admissible; trustworthy : both, and
    the data determine every parameter and its standard error, else verdicts are withheld; warnings : reasons, en and zh;
    scaling : what χ² is divided by to be scaled (NaN for "ML"); cluster : column whose clusters the standard errors
    take as the independent units (empty: rows); patterns : the rows of each group, where
    the rows themselves were used; imputed : the fits that "mi" pooled.
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
    estimator: str = "ML"
    missing: str = "listwise"
    cluster: str = ""
    scaling: float = np.nan
    patterns: tuple[Patterns, ...] = field(default=(), repr=False)
    imputed: tuple[Fit, ...] = field(default=(), repr=False)

    @property
    def df(self) -> int:
        """Degrees of freedom."""
        return self.model.df

    @property
    def chisq(self) -> float:
        """χ² = n·F."""
        return self.n_used * self.fmin

    @property
    def method(self) -> str:
        """What was done, in words."""
        errors = self.clustering["en"].strip(" .").replace("Standard errors are", "standard errors")
        return METHODS[self.estimator, self.missing].format(
            robust=errors or "Huber-White standard errors"
        )

    @property
    def clustering(self) -> dict[str, str]:
        """A sentence on the clusters that the standard errors allow for, empty if there are none."""
        if not self.cluster:
            return {"en": "", "zh": ""}
        j = count_clusters((self.imputed[0] if self.imputed else self).patterns)
        return {
            "en": f" Standard errors are robust to non-normality and to respondents of one {self.cluster} ({j} clusters).",
            "zh": f"标准误对非正态和同一 {self.cluster} 的受访者（{j} 个群）稳健。",
        }

    def discrepancy(self, model: Model | None = None) -> Discrepancy:
        """The function that was minimised, or the same of another model of the same variables."""
        return objective(
            model or self.model, self.sample, self.patterns if self.missing == "fiml" else ()
        )

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
        table = self.parameters
        pair = (table["lhs"] == lhs) & (table["rhs"] == rhs)
        if op == "~~":
            pair |= (table["lhs"] == rhs) & (table["rhs"] == lhs)
        found = table[pair & (table["op"] == op)]
        if len(found) <= group:
            known = table.loc[
                (table["op"] == "|") == (op == "|"), ["lhs", "op", "rhs"]
            ].drop_duplicates()
            raise ModelError(
                f"'{lhs} {op} {rhs}' is not in the model. Its {'thresholds' if op == '|' else 'parameters'} are: "
                + ", ".join(" ".join(name) for name in known.to_numpy())
                + "."
            )
        return found.iloc[group]


def tested(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows (est, se) with z, p and 95 % interval."""
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        z = rows["est"] / rows["se"]
    return rows.assign(
        z=z,
        p=2 * ndtr(-np.abs(z)),
        ci_low=rows["est"] - Z95 * rows["se"],
        ci_high=rows["est"] + Z95 * rows["se"],
    )
