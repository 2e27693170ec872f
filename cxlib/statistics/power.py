"""Power: of the test of close fit in closed form, of paths and effects by simulated samples of a model.

Samples are drawn as covariance matrices (Wishart), and the model is refitted to each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from cxlib import sem
from cxlib.core.errors import Impossible
from cxlib.core.words import _
from cxlib.sem import kernel, lockstep, paths, resampling
from cxlib.sem.model import Model
from cxlib.sem.paths import Effect

CHUNK = 200
"""Samples whose standard errors are worked out at a time: memory stays bounded."""


@dataclass(frozen=True)
class Simulation:
    """What simulated samples noticed.

    table : one line a size and test: test (its place), std in the population, n, power with its 95 % interval ci_low,
        ci_high (Wilson), formula (the large-sample value), n_80 (respondents for .80 by it), samples used
    sizes : those that gave a solution
    without : those of which no sample did
    """

    table: pd.DataFrame
    sizes: tuple[int, ...]
    without: tuple[int, ...]


def monte_carlo(
    model: Model,
    cov: pd.DataFrame,
    tests: Sequence[tuple[Effect, list[int]]],
    sizes: Sequence[int],
    reps: int,
    rng: np.random.Generator,
) -> Simulation:
    """In how many samples of a population each test is significant with the population's sign.

    Parameters
    ----------
    model : Model
    cov : DataFrame
        Covariances of its observed variables in the population.
    tests : sequence of (Effect, list of int)
        Effects, and the places of the tests that must all be significant for it to be noticed.
    sizes : sequence of int
        Respondents.
    reps : int
        Samples a size.
    rng : numpy Generator
    """
    cov = cov.loc[list(model.observed), list(model.observed)]
    compiled, theta = kernel.compile(model), sem.fit_moments(cov, 100_000, model).theta
    effects, steps = [effect for effect, _steps in tests], [places for _effect, places in tests]
    std = paths.values(model, effects, theta[None], standardised=True)[0]
    sign = np.where(np.abs(std) < 1e-6, 0, np.sign(std))
    exact = np.abs(_z(model, effects, theta[None], 1)[0])  # in the population, at n = 1

    def formula(k: int, size: float) -> float:
        """Power of a test in large samples."""
        return float(np.prod([wald_power(exact[step] * np.sqrt(size)) for step in steps[k]]))

    every = range(len(tests))
    needed = [smallest(partial(formula, k), 0.80) if sign[k] else np.inf for k in every]
    parts, without = [], []
    for size in sizes:
        drawn = resampling.simulate_covariances(cov.to_numpy(), size, reps, rng)
        moments = lockstep.given([drawn], [np.zeros((reps, len(cov)))], [size])
        refits = lockstep.refit(compiled, moments, theta)
        solved = refits.theta[refits.status != "failed"]
        if not len(solved):
            without.append(size)
            continue
        chunks = (solved[at : at + CHUNK] for at in range(0, len(solved), CHUNK))
        z = np.concatenate([_z(model, effects, chunk, size) for chunk in chunks])
        noticed = np.column_stack([_noticed(z[:, steps[k]], sign[k]) for k in every])
        large = [formula(k, size) for k in every]
        parts.append(_counted(noticed, size).assign(std=std, formula=large, n_80=needed))
    sizes = tuple(size for size in sizes if size not in without)
    return Simulation(
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(), sizes, tuple(without)
    )


def _counted(noticed: np.ndarray, size: int) -> pd.DataFrame:
    """The share of samples that noticed each test, with the interval of its simulation."""
    from statsmodels.stats.proportion import proportion_confint  # here: it is slow to import

    low, high = proportion_confint(noticed.sum(axis=0), len(noticed), method="wilson")
    return pd.DataFrame(
        {
            "test": range(noticed.shape[1]),
            "n": size,
            "power": noticed.mean(axis=0),
            "ci_low": low,
            "ci_high": high,
            "samples": len(noticed),
        }
    )


def wald_power(ratio: float) -> float:
    """Power of a two-sided z test (.05) in the right direction; `ratio` is the effect over its standard error.

    Notes
    -----
    Φ(|ratio| − z₀.₉₇₅); without an effect the rate of false alarms, .05.
    R: ``pnorm(abs(ratio) - qnorm(.975))``.
    """
    return float(ndtr(abs(ratio) + ndtri(0.025))) if abs(ratio) > 1e-9 else 0.05


def power_rmsea(
    n: float,
    df: int,
    rmsea0: float = 0.05,
    rmsea1: float = 0.08,
    alpha: float = 0.05,
    groups: int = 1,
) -> float:
    """Power to tell a population of RMSEA `rmsea1` from one of `rmsea0`.

    Parameters
    ----------
    n : float
        Respondents of all groups.
    df : int
        Degrees of freedom of the model.
    rmsea0, rmsea1 : float
        Hypothesised and true RMSEA.  rmsea0 < rmsea1 tests close fit, rmsea0 > rmsea1 tests fit that is not close.

    Raises
    ------
    Impossible
        df below 1, or equal or negative RMSEA.

    Notes
    -----
    χ² is noncentral with λ = (n − 1)·df·RMSEA²/groups (MacCallum, Browne & Sugawara 1996,
    doi:10.1037/1082-989X.1.2.130).
    R: ``semTools::findRMSEApower(rmsea0, rmsea1, df, n, alpha, group = groups)``.
    """
    from scipy.stats import chi2, ncx2

    if df < 1 or rmsea0 == rmsea1 or min(rmsea0, rmsea1) < 0:
        raise Impossible(
            _(
                "df= is {df}, rmsea0= {rmsea0}, rmsea1= {rmsea1}: df is at least 1, and the two RMSEA differ and are not negative.",
                df=df,
                rmsea0=rmsea0,
                rmsea1=rmsea1,
            )
        )
    centre = [(n - 1) * df * rmsea**2 / groups for rmsea in (rmsea0, rmsea1)]
    null, true = (ncx2(df, nc) if nc > 0 else chi2(df) for nc in centre)
    return float(true.sf(null.isf(alpha)) if rmsea0 < rmsea1 else true.cdf(null.ppf(alpha)))


def n_for_rmsea(
    df: int, rmsea0: float = 0.05, rmsea1: float = 0.08, power: float = 0.80, alpha: float = 0.05
) -> int:
    """Smallest number of respondents whose power to tell `rmsea1` from `rmsea0` exceeds `power` (at least 5).

    Notes
    -----
    R: ``semTools::findRMSEAsamplesize(rmsea0, rmsea1, df, power, alpha)``, which passes over 501 to 504 and so on.
    """
    return smallest(lambda n: power_rmsea(n, df, rmsea0, rmsea1, alpha), power, low=4)


def smallest(power_of: Callable[[int], float], wanted: float, low: int = 1) -> int:
    """The smallest whole number above `low` whose power exceeds what is wanted."""
    high = 2 * low
    while power_of(high) <= wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) > wanted else (middle, high)
    return high


def _z(model: Model, effects: list[Effect], theta: np.ndarray, n: int) -> np.ndarray:
    """Estimate over standard error of every effect at free numbers (R, npar)."""
    free = model.table.query("op == '~' and free > 0")["free"].to_numpy(int) - 1
    estimate = paths.values(model, effects, theta)
    slopes = np.zeros((*estimate.shape, len(free)))
    for k, column in enumerate(free):
        shifted = theta.astype(complex)
        shifted[:, column] += 1e-20j
        slopes[:, :, k] = paths.values(model, effects, shifted).imag / 1e-20
    vcov = resampling.vcov(model, theta, n)[:, free[:, None], free]
    return estimate / np.sqrt(
        np.maximum(np.einsum("rek,rkl,rel->re", slopes, vcov, slopes), 1e-300)
    )


def _noticed(z: np.ndarray, sign: int) -> np.ndarray:
    """In which samples all steps are significant with the population's sign, if there is one."""
    return (np.abs(z) > -ndtri(0.025)).all(axis=1) & (
        (np.sign(z).prod(axis=1) == sign) | (sign == 0)
    )
