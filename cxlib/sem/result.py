"""What a fit comes back as: estimates, their covariances and tables, and what a reader must know before believing them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from cxlib.core.errors import ModelError
from cxlib.core.words import Said, Sentence, _, joined, listed
from cxlib.sem.discrepancy import Discrepancy, Moments
from cxlib.sem.fiml import Patterns, count_clusters, objective
from cxlib.sem.model import Model, standardize

Estimator = Literal["ML", "MLR", "WLSMV"]
Missing = Literal["listwise", "fiml", "mi", "pairwise"]
Z95 = 1.959963984540054


def methods(robust: Said = "") -> dict[tuple[str, str], Sentence]:
    """What an estimator does, by its name and the treatment of missing values; `robust` names the standard errors of "MLR"."""
    weighted = _(
        "WLSMV: DWLS of polychoric correlations, robust standard errors, scaled and shifted χ²"
    )
    return {
        ("ML", "listwise"): _("maximum likelihood, standard errors from the expected information"),
        ("MLR", "listwise"): _(
            "maximum likelihood, {robust}, χ² scaled by Yuan and Bentler (Mplus variant)",
            robust=robust,
        ),
        ("ML", "mi"): _(
            "maximum likelihood in multiply imputed data, pooled by Rubin's rules, χ² as D3"
        ),
        ("MLR", "mi"): _(
            "maximum likelihood in multiply imputed data, {robust}, pooled by Rubin's rules, χ² as D3, scaled by the mean "
            "of the Yuan-Bentler factors (Mplus variant)",
            robust=robust,
        ),
        ("ML", "fiml"): _(
            "full-information maximum likelihood, standard errors from the observed information"
        ),
        ("MLR", "fiml"): _(
            "full-information maximum likelihood, {robust}, χ² scaled by Yuan and Bentler (Mplus variant)",
            robust=robust,
        ),
        ("WLSMV", "listwise"): weighted,
        ("WLSMV", "pairwise"): weighted,
    }


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model.

    theta : free numbers in the order of ``model.table.free``; vcov : their covariances, 2/n H⁻¹ of
    the expected information ("fiml": of the observed one), robust with estimator "MLR"; parameters : lhs, op, rhs, est, se, z, p,
    ci_low, ci_high, std (std.all), label, and group if there are several (a fixed one has no se); sample, implied : :class:`Moments`
    of each group; r2 : variable, r2; condition : largest variance inflation of an estimate;
    converged, proper : whether the optimum was reached and is admissible; trustworthy : both, and
    the data determine every parameter and its standard error, else verdicts are withheld; warnings : reasons, sentences as data;
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
    warnings: tuple[Said, ...] = ()
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
    def clusters(self) -> int:
        """Number of clusters that the standard errors allow for, 0 if rows are independent."""
        if not self.cluster:
            return 0
        return count_clusters((self.imputed[0] if self.imputed else self).patterns)

    @property
    def method(self) -> Sentence:
        """What was done, in words."""
        if self.cluster:
            errors = _(
                "standard errors robust to non-normality and to respondents of one {cluster} ({j} clusters)",
                cluster=self.cluster,
                j=self.clusters,
            )
        else:
            errors = _("Huber-White standard errors")
        return methods(errors)[self.estimator, self.missing]

    @property
    def clustering(self) -> Sentence:
        """A sentence on the clusters that the standard errors allow for, empty if there are none."""
        if not self.cluster:
            return joined()
        return _(
            "Standard errors are robust to non-normality and to respondents of one {cluster} ({j} clusters).",
            cluster=self.cluster,
            j=self.clusters,
        )

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
            name = " ".join((lhs, op, rhs)).strip()
            have = [" ".join(row).strip() for row in known.to_numpy()]
            raise ModelError(
                _(
                    "'{name}' is not in the model. Its thresholds are: {known}.",
                    name=name,
                    known=listed(have),
                )
                if op == "|"
                else _(
                    "'{name}' is not in the model. Its parameters are: {known}.",
                    name=name,
                    known=listed(have),
                )
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
