"""The simulated customers of data/vas against lavaan and psych: WLSMV, polychoric correlations, exploratory factors.

Maximum likelihood, plain, robust and of incomplete rows, is compared in test_sem_robust.py and test_sem_fiml.py, reliability
and validity in test_measurement.py; reference/vas.R and reference/measurement.R made the numbers.
"""

from __future__ import annotations

import numpy as np
import pytest
from robust_reference import CASES, FIT, PARAMETERS, fitted, measures, table
from sem_reference import data, index

from cxlib import sem
from cxlib.statistics.extraction import efa
from cxlib.study import schema as study

ORDINAL = tuple(CASES.index[CASES["estimator"] == "WLSMV"])
ITEMS = [
    item
    for code in study.load("vas").model_constructs("main")
    for item in study.load("vas").scales[code]
]
LOADINGS = table("loadings", "vas")


def test_the_answers_are_those_that_r_read():
    there, here = table("rows", "vas").iloc[0], data("vas")[ITEMS]
    assert [len(here), len(here.dropna()), here.sum().sum()] == list(there), (
        "data/vas/responses.csv has changed: run Rscript tests/reference/vas.R and tests/reference/measurement.R again"
    )


@pytest.mark.parametrize("case", ORDINAL)
def test_estimates_and_standard_errors_of_ordinal_answers_are_lavaans(case):
    fit, theirs = fitted(case), PARAMETERS[PARAMETERS["case"] == case]
    ours, theirs = index(fit.parameters, [1] * len(fit.parameters)), index(theirs, theirs["group"])
    theirs = theirs.loc[ours.index]
    np.testing.assert_allclose(ours["est"], theirs["est"], atol=1e-6)
    np.testing.assert_allclose(ours["se"].fillna(0), theirs["se"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ours["std"], theirs["std.all"], atol=1e-6)


@pytest.mark.parametrize("case", ORDINAL)
def test_fit_measures_of_ordinal_answers_are_lavaans(case):
    ours, theirs = measures(fitted(case)), FIT[FIT["case"] == case].set_index("measure")["value"]
    theirs.index = theirs.index.str.replace(".", "_")
    shared = ours.index.intersection(theirs.index)
    assert {
        "chisq",
        "df",
        "chisq_scaled",
        "chisq_scaling_factor",
        "cfi_scaled",
        "tli_scaled",
        "rmsea_scaled",
        "srmr",
    } <= set(shared)
    np.testing.assert_allclose(ours[shared], theirs[shared], rtol=1e-5, atol=1e-6)


def test_polychoric_correlations_are_lavaans():
    theirs, ours = table("correlations", "vas"), sem.polychoric(data("vas")[ITEMS]).correlations
    assert len(theirs) == len(ITEMS) * (len(ITEMS) - 1) // 2
    found = [ours.loc[a, b] for a, b in zip(theirs["a"], theirs["b"], strict=True)]
    np.testing.assert_allclose(found, theirs["r"], atol=1e-6)


@pytest.mark.parametrize(
    ("method", "rotation"),
    sorted(set(zip(LOADINGS["method"], LOADINGS["rotation"], strict=True))),
    ids=str,
)
def test_loadings_as_in_psych(method, rotation):
    theirs = (
        LOADINGS[(LOADINGS["method"] == method) & (LOADINGS["rotation"] == rotation)]
        .set_index("row")
        .drop(columns=["method", "rotation"])
    )
    solution = efa(data("vas")[ITEMS], theirs.shape[1], method, rotation)
    assert solution.converged
    np.testing.assert_allclose(solution.loadings, theirs.loc[ITEMS], atol=1e-6)
    np.testing.assert_allclose(solution.correlations, theirs.loc[list(theirs)], atol=1e-6)
