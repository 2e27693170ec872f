"""Latent interactions in numbers: products of items, the model they measure, regression on factor scores, and where a slope is zero.

Y = γ₁X + γ₂W + γ₃XW + … + ζ, all latent: the slope of X is γ₁ + γ₃W.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core.errors import Impossible
from cxlib.core.words import _
from cxlib.sem.discrepancy import inverted
from cxlib.sem.result import Z95, tested

Items = Mapping[str, Sequence[str]]
"""Construct → its items."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Coefficients of X, W, XW and covariates.

    est, vcov : the coefficients in this order, and their covariances; phi : covariances of all latent variables; fit : the
    model (two stages: the measurement model); failed, improper : resamples without an optimum, which are left out, and with
    an improper one.
    """

    fit: sem.Fit = field(repr=False)
    est: np.ndarray
    vcov: np.ndarray = field(repr=False)
    phi: pd.DataFrame = field(repr=False)
    failed: int = 0
    improper: int = 0


def measurement(items: Items) -> str:
    """The model in which each construct is measured by its items."""
    return "\n".join(f"{code} =~ " + " + ".join(names) for code, names in items.items())


def strongest_first(items: Items, measured: sem.Fit) -> dict[str, list[str]]:
    """The items of each construct by the size of their loading; of equal ones the order stays."""
    strength = measured.parameters.query("op == '=~'").set_index("rhs")["std"].abs().round(12)
    return {code: sorted(names, key=lambda item: -strength[item]) for code, names in items.items()}


def products(
    data: pd.DataFrame, first: Sequence[str], second: Sequence[str], match: bool = True
) -> pd.DataFrame:
    """Centre items, multiply them, centre the products (columns "x1.w1"): matched one to one, or all pairs.

    Raises
    ------
    Impossible
        Items are to be matched, but the lists differ in length.

    Notes
    -----
    Rows must be complete.  R: ``semTools::indProd(data, first, second, match = match, doubleMC = TRUE)``.
    """
    if match and len(first) != len(second):
        raise Impossible(
            _(
                "match=True pairs items one to one, but there are {first} and {second}. Give as many of each, or match=False for all pairs.",
                first=len(first),
                second=len(second),
            )
        )
    centred = data[[*first, *second]] - data[[*first, *second]].mean()
    pairs = zip(first, second, strict=True) if match else product(first, second)
    out = pd.DataFrame({f"{a}.{b}": centred[a] * centred[b] for a, b in pairs}, index=data.index)
    return out - out.mean()


def by_products(
    frame: pd.DataFrame,
    items: Items,
    multiplied: pd.DataFrame,
    outcome: str,
    names: Sequence[str],
    estimator: str,
) -> Paths:
    """One model in which `multiplied`, of :func:`products`, measure XW; `names` are X, W, XW and covariates.

    Residuals of products that share an item covary.
    """
    pairs = [
        (f"{a}.{b}", {a, b})
        for a, b in product(items[names[0]], items[names[1]])
        if f"{a}.{b}" in multiplied
    ]
    shared = [
        f"{one} ~~ {other}"
        for (one, mine), (other, theirs) in combinations(pairs, 2)
        if mine & theirs
    ]
    # the first product is that of the two markers, so the latent product has the unit of X times that of W
    syntax = [
        measurement({**items, names[2]: [str(name) for name in multiplied]}),
        f"{outcome} ~ " + " + ".join(names),
        *shared,
    ]
    fit = sem.fit(pd.concat([frame, multiplied], axis=1), "\n".join(syntax), estimator=estimator)
    at = fit.model.table.query("op == '~'").set_index("rhs").loc[list(names), "free"].to_numpy() - 1
    return Paths(fit, fit.theta[at], fit.vcov[np.ix_(at, at)], fit.latent_covariance())


def by_scores(
    frame: pd.DataFrame,
    fit: sem.Fit,
    names: Sequence[str],
    cluster: str,
    rng: np.random.Generator,
    n_boot: int,
) -> Paths:
    """Two stages: regression of factor scores on factor scores and their product, bootstrapped from the answers on.

    The outcome is the first construct of `fit`; `cluster` is the column whose clusters are resampled whole, if any.

    Raises
    ------
    Impossible
        There are too many rows to resample.
    """
    from cxlib.sem.resampling import bootstrap

    draws = bootstrap(frame, fit, n_boot, rng, cluster=cluster or None)
    if not draws.counts:
        raise Impossible(
            _(
                "{n:,} respondents are too many to bootstrap two stages. Use method='product'.",
                n=len(frame),
            )
        )
    values, phi = frame[list(fit.model.observed)].to_numpy(float), fit.latent_covariance()
    unit = pd.factorize(frame[cluster])[0] if cluster else np.arange(len(frame))
    drawn = [
        _second_stage(fit.model, theta, values, counts[unit])
        for theta, counts, status in zip(draws.theta, draws.counts[0], draws.status, strict=True)
        if status != "failed"
    ]
    first, second, both = names[:3]
    phi[both] = phi.loc[both] = 0.0  # of normal variables: the product covaries with none of them
    phi.loc[both, both] = (
        phi.loc[first, first] * phi.loc[second, second] + phi.loc[first, second] ** 2
    )
    est = _second_stage(fit.model, fit.theta, values, np.ones(len(values)))
    return Paths(fit, est, np.cov(np.transpose(drawn)), phi, draws.failed, draws.improper)


def path_table(paths: Paths, names: Sequence[str], sd: pd.Series, outcome: str) -> pd.DataFrame:
    """Tests of the paths, their standardised values, and how much R² falls without each (est … ci_high, std, delta_r2).

    `sd` holds the standard deviations of the outcome, X, W and covariates, and under the name of XW the product of those of
    X and W: the interaction is standardised by it, not as if the product were a variable made a z-score (Wen, Marsh & Hau
    2010, doi:10.1080/10705510903438872).
    """
    order, phi = list(names), paths.phi
    spread, variance = float(sd[outcome]), float(np.diag(phi.loc[[outcome], [outcome]])[0])
    return tested(pd.DataFrame({"est": paths.est, "se": np.sqrt(np.diag(paths.vcov))})).assign(
        std=paths.est * sd[order].to_numpy() / spread,
        delta_r2=paths.est**2 / np.diag(inverted(phi.loc[order, order].to_numpy())) / variance,
    )


def slopes(slope: np.ndarray, vcov: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """slope[0] + slope[1]·w and its standard errors."""
    point = np.column_stack([np.ones(len(w)), w])
    return point @ slope, np.sqrt(np.einsum("ri,ij,rj->r", point, vcov, point))


def bounds(slope: np.ndarray, vcov: np.ndarray) -> np.ndarray:
    """Values w where the 95% interval of slope[0] + slope[1]·w just touches zero: none, one or two, ascending.

    Roots of (γ₃² − z²v₃₃)w² + 2(γ₁γ₃ − z²v₁₃)w + γ₁² − z²v₁₁ (Bauer & Curran 2005, doi:10.1207/s15327906mbr4003_5).
    """
    (c, half), (_half, a) = np.outer(slope, slope) - Z95**2 * np.asarray(vcov)
    if a == 0:
        return np.array([-c / (2 * half)]) if half else np.empty(0)
    if not half**2 - a * c > 0:  # nor is there a bound where there are no standard errors
        return np.empty(0)
    far = -(
        half + np.copysign(np.sqrt(half**2 - a * c), half)
    )  # no cancellation; the other root follows from their product
    return np.sort([far / a, c / far])


def stretches(
    slope: np.ndarray, vcov: np.ndarray, values: np.ndarray, mean: float, sd: float
) -> pd.DataFrame:
    """Stretches of the moderator, ascending, in which the slope differs from zero or does not, and who is there.

    low, high (±inf at the ends), low_sd, high_sd (from the mean), significant, sign, share of `values`, which are those of
    the respondents.
    """
    w = bounds(slope, vcov)
    est, se = slopes(
        slope,
        vcov,
        np.concatenate([[w[0] - sd], (w[:-1] + w[1:]) / 2, [w[-1] + sd]])
        if len(w)
        else np.zeros(1),
    )
    ends, sure = np.concatenate([[-np.inf], w, [np.inf]]), np.abs(est) > Z95 * se
    place = np.searchsorted(w, values - mean, side="right")
    return pd.DataFrame(
        {
            "low": mean + ends[:-1],
            "high": mean + ends[1:],
            "low_sd": ends[:-1] / sd,
            "high_sd": ends[1:] / sd,
            "significant": sure,
            "sign": np.where(~sure, "", np.where(est > 0, "+", "-")),
            "share": np.bincount(place, minlength=len(est)) / len(place),
        }
    )


def _second_stage(
    model: sem.Model, theta: np.ndarray, values: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Coefficients of X, W, XW and covariates.

    Weighted regression of Bartlett's scores of the first factor on regression scores of the others from their items.
    """
    part, centred = model.matrices(theta), values - np.average(values, axis=0, weights=weight)
    rest, own = np.diag(part["theta"]), part["lambda"][:, 0] != 0
    loading, phi, mine = part["lambda"][~own, 1:], part["psi"][1:, 1:], part["lambda"][own, 0]
    scores = centred[:, ~own] @ np.linalg.solve(
        loading @ phi @ loading.T + np.diag(rest[~own]), loading @ phi
    )
    by = mine / rest[own] if len(mine) > 1 else mine  # a single item has no residual
    y = centred[:, own] @ by / (by @ mine)
    x = np.column_stack(
        [np.ones(len(y)), scores[:, :2], scores[:, 0] * scores[:, 1], scores[:, 2:]]
    )
    return (inverted(x.T @ (x * weight[:, None])) @ (x.T @ (y * weight)))[1:]
