"""cxlib.sem.modification against lavaan and against what freeing a parameter really does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sem_reference import GROUPED, MODELS, SYNTAX, data, fitted, index, of, table

from cxlib import sem

LISTED = [name for name in MODELS if name in set(table("modification")["model"])]


@pytest.mark.parametrize("name", LISTED)
def test_indices_are_lavaans(name):
    fit, rows = fitted(name), of("modification", name)
    ours = sem.modification_indices(fit)
    group = (
        ours["group"].map({g: i + 1 for i, g in enumerate(fit.groups)})
        if name in GROUPED
        else [1] * len(ours)
    )
    ours = index(ours, group)
    # lavaan also lists what would explain an observed predictor, whose moments it takes as given
    rows = rows[~(rows["lhs"].isin(fit.model.fixed_x) & (rows["op"] != "=~"))]
    assert set(ours.index) == set(rows.index)
    ours = ours.loc[rows.index]
    for column, theirs in (("mi", "mi"), ("epc", "epc"), ("sepc_all", "sepc.all")):
        np.testing.assert_allclose(ours[column], rows[theirs], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["hs", "pd", "mimic", "path"])
def test_residuals_are_lavaans(name):
    ours, rows = sem.residuals(fitted(name)), of("residuals", name)
    assert len(rows) == len(ours) * (len(ours) + 1) // 2
    np.testing.assert_allclose(
        [ours.loc[a, b] for a, b in zip(rows["row"], rows["col"], strict=True)],
        rows["value"],
        rtol=1e-7,
        atol=1e-9,
    )


def test_srmr_averages_bentlers_residuals():
    fit = fitted("hs")
    s, sigma = fit.sample[0].cov, fit.implied[0].cov
    residual = ((s - sigma) / np.sqrt(np.outer(np.diag(s), np.diag(s)))).to_numpy()[
        np.tril_indices(9)
    ]
    srmr = sem.fit_measures(fitted("hs")).set_index("measure").loc["srmr", "value"]
    assert np.sqrt((residual**2).mean()) == pytest.approx(srmr, rel=1e-12)


def test_a_small_misfit_is_predicted_and_undone():
    wrong = "f =~ a + b + c\ng =~ d + e + h\nf ~~ g"
    right = wrong + "\nf =~ d"
    model = sem.parse(right)
    values = {"~~": 1.0, "=~": 0.8}
    theta = np.zeros(model.npar)
    for row in model.table[model.table["free"] > 0].itertuples():
        theta[row.free - 1] = values[row.op] if row.lhs == row.rhs or row.op == "=~" else 0.3
    theta[model.table.query("rhs == 'd' and lhs == 'f'")["free"].item() - 1] = 0.02
    sigma = sem.Discrepancy(
        model, [sem.Moments(pd.DataFrame(np.eye(6), model.observed, model.observed), None, 1000)]
    )
    cov = pd.DataFrame(sigma.point(theta, 0).sigma, model.observed, model.observed)
    fit = sem.fit_moments(cov, 1000, wrong)
    first = sem.modification_indices(fit).set_index(["lhs", "op", "rhs"]).loc[("f", "=~", "d")]
    assert first["mi"] == pytest.approx(fit.chisq, rel=0.02) and fit.chisq > 0.01
    assert first["epc"] == pytest.approx(0.02, rel=0.02)
    freed = sem.fit_moments(cov, 1000, right)
    assert freed.chisq == pytest.approx(0, abs=1e-8)
    assert first["sepc_all"] == pytest.approx(freed.parameter("f", "=~", "d")["std"], rel=0.02)


def test_a_parameter_fixed_to_zero_is_a_candidate():
    hs = data("hs")
    fit = sem.fit(hs, SYNTAX["hs"] + "\nvisual ~~ 0*speed")
    rows = sem.modification_indices(fit).set_index(["lhs", "op", "rhs"])
    assert rows.loc[("visual", "~~", "speed"), "mi"] > 20
    assert ("visual", "=~", "x1") not in rows.index


def test_kinds_can_be_chosen_and_the_largest_comes_first():
    loads = sem.modification_indices(fitted("hs"), ops=("=~",))
    assert set(loads["op"]) == {"=~"} and len(loads) == 18
    assert loads["mi"].is_monotonic_decreasing and loads.loc[0, ["lhs", "rhs"]].tolist() == [
        "visual",
        "x9",
    ]
    pd.testing.assert_frame_equal(
        loads,
        sem.modification_indices(fitted("hs")).query("op == '=~'").reset_index(drop=True),
        rtol=1e-9,
    )


def test_a_saturated_model_has_no_candidates():
    none = sem.modification_indices(sem.fit(data("hs"), "f =~ x1 + x2 + x3"))
    assert len(none) == 0 and list(none.columns) == ["lhs", "op", "rhs", "mi", "epc", "sepc_all"]
