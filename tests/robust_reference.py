"""What reference/robust.R wrote, and the same models fitted here."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
from sem_reference import data, index

from cxlib import sem
from cxlib.sem.imputation import pool

HERE = Path(__file__).parent / "reference"
LAVAAN = {"ntotal": "n"}


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / f"robust_{name}.csv", keep_default_na=False, na_values=["NA"])


CASES = table("cases").set_index("case")
COMPLETE = tuple(CASES.index[CASES["missing"] == "listwise"])
INCOMPLETE = tuple(CASES.index[CASES["missing"] == "fiml"])
PARAMETERS, FIT = table("parameters"), table("fit")


@functools.cache
def fitted(case: str) -> sem.Fit:
    row = CASES.loc[case]
    return sem.fit(data(row["data"]), row["syntax"], means=bool(row["means"]), group="school" if row["grouped"] else None,
                   estimator=row["estimator"], missing=row["missing"])


def measures(fit: sem.Fit) -> pd.Series:
    return sem.fit_measures(fit).set_index("measure")["value"]


def compare_parameters(case: str) -> None:
    fit, theirs = fitted(case), PARAMETERS[PARAMETERS["case"] == case]
    ours, theirs = index(fit.parameters, fit.model.table["group"] + 1), index(theirs, theirs["group"])
    said = [name for name in theirs.index if name in ours.index]
    # lavaan lists, as fixed to zero, what is not in our table: means of latent variables
    assert all(name[1] == "~1" and theirs.loc[[name], "est"].item() == 0 for name in theirs.index if name not in ours.index)
    assert len(said) == len(ours)
    ours, theirs = ours.loc[said], theirs.loc[said]
    np.testing.assert_allclose(ours["est"], theirs["est"], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ours["se"].fillna(0), theirs["se"], rtol=1e-7)
    np.testing.assert_allclose(ours["std"], theirs["std.all"], rtol=1e-7, atol=1e-8)


def compare_measures(case: str) -> None:
    ours, theirs = measures(fitted(case)), FIT[FIT["case"] == case].set_index("measure")["value"]
    theirs.index = theirs.index.str.replace(".", "_").map(lambda name: LAVAAN.get(name, name))
    theirs = theirs[ours.index]
    # nlminb stops short of the baseline's optimum, uniroot of the interval's ends
    loose = ours.index.str.contains("baseline|_ci_|cfi|tli|nfi|rfi|ifi")
    np.testing.assert_allclose(ours[loose], theirs[loose], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[~loose], theirs[~loose], rtol=1e-7, atol=1e-8)


@functools.cache
def pooled(means: bool) -> sem.Fit:
    """The completed copies that semTools pooled, pooled here."""
    copies = table("copies")
    return pool([sem.fit(rows, CASES.loc["hs_mlr", "syntax"], means=means) for _, rows in copies.groupby("copy")])
