"""How often 95% bootstrap intervals of an indirect effect hold the truth, over simulated studies.

    python benchmarks/coverage.py [studies, default 500]

X → M → Y with three items each, n = 200; 1,000 draws a study.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
from time import perf_counter

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.sem import kernel, resampling

SYNTAX = "X =~ x1 + x2 + x3\nM =~ m1 + m2 + m3\nY =~ y1 + y2 + y3\nM ~ X\nY ~ M + X"
N, DRAWS = 200, 1000
TRUTH = {("M", "X"): 0.4, ("Y", "M"): 0.35, ("Y", "X"): 0.2}


def main(studies: int) -> None:
    """Simulate, fit, resample, count."""
    rng, model = np.random.default_rng(2026), sem.parse(SYNTAX)
    theta = np.zeros(model.npar)
    for row in model.table.itertuples():
        if row.free:
            theta[row.free - 1] = {"=~": 0.9, "~": TRUTH.get((row.lhs, row.rhs))}.get(
                row.op, 0.8 if row.lhs in "XMY" else 0.5
            )
    a, b = (
        int(model.table.query(f"op == '~' and lhs == '{y}' and rhs == '{x}'")["free"].iloc[0]) - 1
        for y, x in ("MX", "YM")
    )
    sigma, truth = (
        kernel.matrices(model, theta[None])["sigma"][0],
        TRUTH["M", "X"] * TRUTH["Y", "M"],
    )
    held = {"bca": [], "percentile": [], "delta": []}
    start, failed = perf_counter(), 0
    for _ in range(studies):
        data = pd.DataFrame(
            rng.multivariate_normal(np.zeros(9), sigma, size=N), columns=list(model.observed)
        )
        fit = sem.fit(data, model, start=theta)
        draws, left_out = (
            resampling.bootstrap(data, fit, DRAWS, rng),
            resampling.jackknife(data, fit),
        )
        failed += draws.failed
        estimate = fit.theta[a] * fit.theta[b]
        drawn, jack = (one.theta[:, [a]] * one.theta[:, [b]] for one in (draws, left_out))
        for kind in ("bca", "percentile"):
            low, high = resampling.intervals(drawn, np.array([estimate]), jack, kind=kind)[0]
            held[kind].append((truth < low, truth > high))
        slope = np.zeros(model.npar)
        slope[a], slope[b] = fit.theta[b], fit.theta[a]
        half = 1.959964 * np.sqrt(slope @ fit.vcov @ slope)
        held["delta"].append((truth < estimate - half, truth > estimate + half))
    print(
        f"{studies} studies of n = {N}, indirect effect {truth:.2f}, {DRAWS} draws each ({failed} of all draws failed), "
        f"{perf_counter() - start:.0f} s"
    )
    for kind, missed in held.items():
        below, above = np.mean(missed, axis=0)
        coverage = 1 - below - above
        print(
            f"  {kind:10s} covers {100 * coverage:.1f}% (± {196 * np.sqrt(coverage * (1 - coverage) / studies):.1f}); "
            f"truth below the interval {100 * below:.1f}%, above {100 * above:.1f}%"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
