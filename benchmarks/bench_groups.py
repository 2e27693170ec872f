"""How fast a ladder of invariance with 1,000 permutations is, beside lavaan; and how often the ladder raises a false alarm.

    python benchmarks/bench_groups.py

Times: 25 items, 5 constructs, 2 groups, n = 2,000, one core; lavaan (if R is there) fits the four levels only, and
its time for the permutations is that times 1,001.  Alarms: 200 samples of 2 × 300 in which nothing differs, 10 items;
the share in which a level is rejected, and in which the partial search frees anything.  Then 100 samples in which one
loading and two intercepts differ: how often exactly these are found.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import shutil
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from cxlib.sem import invariance, permutation

ROUNDS, DRAWS, SAMPLES, PLANTED, RANDOM = 3, 1000, 200, 100, 99
TIME_LAVAAN = """suppressMessages(library(lavaan))
arguments <- commandArgs(TRUE)
data <- read.csv(arguments[2])
model <- paste(readLines(arguments[1]), collapse = "\\n")
equal <- c("loadings", "intercepts", "residuals")
cat(system.time(for (at in 0:3) cfa(model, data, group = "g", meanstructure = TRUE,
                                    group.equal = if (at) equal[seq_len(at)] else ""))[["elapsed"]])"""


def sample(rng, constructs, items, n, loading=0.0, intercepts=()):
    """Two groups of n rows; the second differs where it says."""
    phi = np.full((constructs, constructs), 0.4) + 0.6 * np.eye(constructs)
    frames = []
    for group in range(2):
        loads = np.full((constructs, items), 0.8)
        loads[0, 2] -= loading * group
        eta = rng.multivariate_normal(np.full(constructs, 0.3 * group), phi, n)
        x = (eta[:, :, None] * loads).reshape(n, -1) + rng.normal(
            size=(n, constructs * items)
        ) * 0.6
        for item, shift in intercepts:
            x[:, item] += shift * group
        frames.append(
            pd.DataFrame(x, columns=[f"x{at}" for at in range(x.shape[1])]).assign(g="ab"[group])
        )
    return pd.concat(frames, ignore_index=True)


def syntax(constructs, items):
    """The measurement model of the samples."""
    return "\n".join(
        f"F{k} =~ " + " + ".join(f"x{k * items + i}" for i in range(items))
        for k in range(constructs)
    )


def lavaan(model, data):
    """Seconds of lavaan's ladder, None without R."""
    if not shutil.which("Rscript"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("time.R", "model.txt", "data.csv")]
        files[0].write_text(TIME_LAVAAN, encoding="utf-8")
        files[1].write_text(model, encoding="utf-8")
        data.to_csv(files[2], index=False)
        done = subprocess.run(
            ["Rscript", *map(str, files)], capture_output=True, text=True, check=False
        )
    return float(done.stdout) if done.returncode == 0 else None


def times():
    """Print how long the ladder and its permutations take."""
    rng = np.random.default_rng(1)
    data, model = sample(rng, 5, 5, 1000), syntax(5, 5)
    invariance.ladder(data, model, "g")  # imports
    ours, drawn, theirs = [], [], []
    for _ in range(ROUNDS):
        begun = perf_counter()
        fits = invariance.ladder(data, model, "g")
        ours.append(perf_counter() - begun)
        begun = perf_counter()
        found = permutation.permutation(data, fits, "g", DRAWS, rng)
        drawn.append(perf_counter() - begun)
        theirs.append(lavaan(model, data))
    print(
        f"ladder of 25 items, n = 2,000: {np.median(ours):.2f} s; {DRAWS:,} permutations of it: {np.median(drawn):.2f} s "
        f"({4 * DRAWS:,} fits, without optimum: {int(found.chisq.isna().sum().sum())})"
    )
    if theirs[0] is not None:
        print(
            f"lavaan's ladder: {np.median(theirs):.2f} s, so its permutations would take {np.median(theirs) * (DRAWS + 1) / 60:.0f} min"
        )


def alarms():
    """Print how often something is found where nothing differs."""
    model, rejected, freed = syntax(2, 5), [], {"chisq": [], "approximate": []}
    for number in range(SAMPLES):
        rng = np.random.default_rng([2, number])
        data = sample(rng, 2, 5, 300)
        fits = invariance.ladder(data, model, "g")
        table = invariance.compare(fits).to_dict("records")[1:]
        drawn = permutation.permutation(data, fits, "g", RANDOM, rng).p["p_permutation"][1:]
        rejected.append(
            [
                [row["d_p"] < 0.05, not invariance.holds(row), p <= 0.05]
                for row, p in zip(table, drawn, strict=True)
            ]
        )
        for criterion, found in freed.items():
            found.append(
                bool(invariance.partial(data, model, "g", criterion=criterion, known=fits)[1])
            )
    share = np.mean(rejected, axis=0)
    print(
        f"\nnothing differs, {SAMPLES} samples of 2 × 300, 10 items: share of samples in which a level is rejected"
    )
    print(
        pd.DataFrame(
            share,
            ["metric", "scalar", "strict"],
            ["Δχ², p < .05", "ΔCFI or ΔRMSEA", "permutation, p ≤ .05"],
        ).to_string()
    )
    for criterion, found in freed.items():
        print(
            f"partial search ({criterion}) freed something in {np.mean(found):.1%} of the samples"
        )


def detections():
    """Print how often what was planted is found."""
    model, exact, more = syntax(2, 5), 0, 0
    wanted = {("F0", "=~", "x2", 1), ("x2", "~1", "", 1), ("x4", "~1", "", 1), ("x7", "~1", "", 1)}
    for number in range(PLANTED):
        data = sample(np.random.default_rng([3, number]), 2, 5, 600, 0.35, ((4, 0.5), (7, -0.5)))
        freed = invariance.partial(data, model, "g", criterion="chisq")[1]
        exact += freed == wanted
        more += freed > wanted
    print(
        f"\none loading and two intercepts differ, {PLANTED} samples of 2 × 600: exactly these found in {exact}, these and more in {more}"
    )


if __name__ == "__main__":
    times()
    alarms()
    detections()
