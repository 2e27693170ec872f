"""What reference/robust.R and reference/vas.R wrote, and the same models fitted here."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from r_tables import r_table
from sem_reference import data, index

from cxlib import sem
from cxlib.sem.imputation import pool

LAVAAN = {"ntotal": "n"}


def table(name: str, script: str = "robust") -> pd.DataFrame:
    return r_table(f"{script}_{name}", keep_default_na=False, na_values=["NA"])


CASES, PARAMETERS, FIT = (
    pd.concat([table(name), table(name, "vas")], ignore_index=True)
    for name in ("cases", "parameters", "fit")
)
CASES = CASES.set_index("case")
COMPLETE = tuple(CASES.index[(CASES["missing"] == "listwise") & (CASES["estimator"] != "WLSMV")])
INCOMPLETE = tuple(CASES.index[CASES["missing"] == "fiml"])


@functools.cache
def fitted(case: str) -> sem.Fit:
    row = CASES.loc[case]
    return sem.fit(
        data(row["data"]),
        row["syntax"],
        means=bool(row["means"]),
        group="school" if row["grouped"] else None,
        estimator=row["estimator"],
        missing=row["missing"],
    )


def measures(fit: sem.Fit) -> pd.Series:
    return sem.fit_measures(fit).set_index("measure")["value"]


def compare_parameters(case: str) -> None:
    same_parameters(fitted(case), PARAMETERS[PARAMETERS["case"] == case])


def compare_measures(case: str) -> None:
    same_measures(fitted(case), FIT[FIT["case"] == case])


def same_parameters(fit: sem.Fit, theirs: pd.DataFrame) -> None:
    ours, theirs = (
        index(fit.parameters, fit.model.table["group"] + 1),
        index(theirs, theirs["group"]),
    )
    said = [name for name in theirs.index if name in ours.index]
    # lavaan lists, as fixed to zero, what is not in our table: means of latent variables
    assert all(
        name[1] == "~1" and theirs.loc[[name], "est"].item() == 0
        for name in theirs.index
        if name not in ours.index
    )
    assert len(said) == len(ours)
    ours, theirs = ours.loc[said], theirs.loc[said]
    np.testing.assert_allclose(ours["est"], theirs["est"], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ours["se"].fillna(0), theirs["se"], rtol=1e-7)
    np.testing.assert_allclose(ours["std"], theirs["std.all"], rtol=1e-7, atol=1e-8)


def same_measures(fit: sem.Fit, theirs: pd.DataFrame) -> None:
    ours, theirs = measures(fit), theirs.set_index("measure")["value"]
    theirs.index = theirs.index.str.replace(".", "_").map(lambda name: LAVAAN.get(name, name))
    theirs = theirs[ours.index]
    # nlminb stops short of the baseline's optimum, uniroot of the interval's ends
    loose = ours.index.str.contains("baseline|_ci_|cfi|tli|nfi|rfi|ifi")
    np.testing.assert_allclose(ours[loose], theirs[loose], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[~loose], theirs[~loose], rtol=1e-7, atol=1e-8)


def clustered(name: str) -> pd.DataFrame:
    """What reference/cluster.R wrote."""
    return r_table(f"cluster{name}", keep_default_na=False, na_values=["NA"])


CLUSTER_CASES, CLUSTER_PARAMETERS, CLUSTER_FIT = (
    clustered(name) for name in ("_cases", "_parameters", "_fit")
)


@functools.cache
def fitted_clusters(case: str) -> sem.Fit:
    row = CLUSTER_CASES.set_index("case").loc[case]
    return sem.fit(
        data(row["data"]),
        row["syntax"],
        group=row["group"] or None,
        estimator="MLR",
        missing=row["missing"],
        cluster="firm",
    )


@functools.cache
def pooled(means: bool) -> sem.Fit:
    """The completed copies that semTools pooled, pooled here."""
    copies = table("copies")
    return pool(
        [
            sem.fit(rows, CASES.loc["hs_mlr", "syntax"], means=means)
            for _, rows in copies.groupby("copy")
        ]
    )
