"""Restricted optima reached from the unrestricted ones, against fits of the restricted models."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from schools import pupils, study

from cxlib import sem
from cxlib.sem import invariance
from cxlib.sem.restrictions import likelihood_ratios

SYNTAX = study().syntax("main")


@functools.cache
def free(group, estimator="ML"):
    return invariance.fit_level(
        pupils(), sem.parse(SYNTAX, means=True), group, ("loadings",), estimator=estimator
    )


def equal(fit, *paths):
    """Rows that set each path equal in all groups."""
    names = ["lhs", "op", "rhs", "group"]
    at = dict(
        zip(
            fit.model.table[names].itertuples(index=False, name=None),
            fit.model.table["free"],
            strict=True,
        )
    )
    eye, rows = np.eye(fit.model.npar), []
    for end, start in paths:
        first, *others = (at[end, "~", start, g] - 1 for g in range(fit.model.n_groups))
        rows += [eye[first] - eye[other] for other in others]
    return np.array(rows)


@pytest.mark.parametrize("group", ["school", "age"])
@pytest.mark.parametrize(
    "paths", [(("speed", "visual"),), (("speed", "visual"), ("textual", "visual"))]
)
def test_two_and_three_groups_one_and_two_paths(group, paths):
    fit = free(group)
    held = invariance.fit_level(
        pupils(), sem.parse(SYNTAX, means=True), group, ("loadings",), (), paths
    )
    found = likelihood_ratios(fit, [equal(fit, *paths)]).iloc[0]
    assert found["d_chisq"] == pytest.approx(held.chisq - fit.chisq, abs=1e-9)
    assert found["d_df"] == held.df - fit.df


def test_a_restriction_far_away_needs_new_hessians():
    """A loading fixed to 0 by a restriction, many standard errors away."""
    fit = sem.fit(pupils(), SYNTAX)
    row = np.zeros((1, fit.model.npar))
    row[
        0,
        fit.model.table.loc[
            (fit.model.table["op"] == "=~") & (fit.model.table["rhs"] == "x5"), "free"
        ].iloc[0]
        - 1,
    ] = 1
    held = sem.fit(pupils(), SYNTAX.replace("x4 + x5 + x6", "x4 + 0*x5 + x6"))
    assert likelihood_ratios(fit, [row])["d_chisq"].iloc[0] == pytest.approx(
        held.chisq - fit.chisq, rel=1e-8
    )
    assert held.chisq - fit.chisq > 100


def test_the_units_of_a_restriction_do_not_matter():
    fit = free("school", "MLR")
    rows = equal(fit, ("speed", "visual"), ("textual", "visual"))
    found = likelihood_ratios(fit, [rows, np.array([[3.0, 1.0], [-2.0, 5.0]]) @ rows])
    assert found["d_chisq"].iloc[0] == pytest.approx(found["d_chisq"].iloc[1], rel=1e-9)


def test_a_satisfied_restriction_costs_nothing():
    fit = free("school")
    apart = equal(fit, ("speed", "visual"))
    shift = np.zeros((1, fit.model.npar))
    shift[0, 0] = (apart @ fit.theta)[0] / fit.theta[0]
    assert likelihood_ratios(fit, [apart - shift])["d_chisq"].iloc[0] == pytest.approx(0, abs=1e-9)
