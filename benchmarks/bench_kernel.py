"""How fast refits are: the kernel against semopy and (if R is there) lavaan, interleaved in one run.

    python benchmarks/bench_kernel.py

Every round times each program on fresh resamples of the same simulated data; printed are medians over
the rounds of processor time on one core.  semopy refits warm (the model compiled once, every fit started at the last
one's estimates); lavaan is bootstrapLavaan.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.sem import kernel, lockstep, resampling

ROUNDS, KERNEL, SEMOPY, LAVAAN, N = 5, 2000, 8, 8, 600
VAS = """TS =~ TS1 + TS2 + TS3 + TS4
CV =~ CV1 + CV2 + CV3 + CV4
PC =~ PC1 + PC2 + PC3 + PC4
AS =~ AS1 + AS2 + AS3 + AS4
PV =~ PV1 + PV2 + PV3 + PV4
PQ =~ PQ1 + PQ2 + PQ3
ER =~ ER1 + ER2 + ER3 + ER4
PT =~ PT1 + PT2 + PT3
SA =~ SA1 + SA2 + SA3 + SA4
LY =~ LY1 + LY2 + LY3 + LY4
PV ~ TS + CV + PC + AS
PQ ~ TS + CV + PC + AS
ER ~ TS + CV + PC + AS
PT ~ TS + CV + PC + AS
SA ~ PV + PQ + ER + PT + TS + CV + PC + AS
LY ~ SA + ER + PC + AS
PV ~~ PQ
PV ~~ ER
PV ~~ PT
PQ ~~ ER
PQ ~~ PT
ER ~~ PT"""
NINE = (
    "\n".join(f"{f} =~ " + " + ".join(f"{f}{k}" for k in range(1, 5)) for f in "ABCDEFGHI")
    + """
E ~ A + B + C + D
F ~ A + B + C + D
G ~ E + F
H ~ G + E + F
I ~ H + G"""
)
TIME_LAVAAN = """suppressMessages(library(lavaan))
arguments <- commandArgs(TRUE)
fit <- sem(paste(readLines(arguments[1]), collapse = "\\n"), read.csv(arguments[2]))
draws <- as.integer(arguments[3])
cat(sum(system.time(bootstrapLavaan(fit, R = draws))[c("user.self", "sys.self")]) / draws)"""


def simulate(model: sem.Model, rng: np.random.Generator, n: int = N) -> pd.DataFrame:
    """Customers from the model: loadings .9, paths .2, factors correlated .3."""
    theta = np.zeros(model.npar)
    for row in model.table.itertuples():
        if row.free:
            theta[row.free - 1] = {"=~": 0.9, "~": 0.2}.get(
                row.op, 0.5 if row.lhs == row.rhs else 0.15
            )
    sigma = kernel.matrices(model, theta[None])["sigma"][0]
    return pd.DataFrame(
        rng.multivariate_normal(np.zeros(len(sigma)), sigma, size=n), columns=list(model.observed)
    )


def lavaan_seconds(syntax: str, data: pd.DataFrame) -> float:
    """Processor seconds a draw of bootstrapLavaan, NaN without R and lavaan."""
    if shutil.which("Rscript") is None:
        return np.nan
    with tempfile.TemporaryDirectory() as folder:
        model, rows, script = (Path(folder) / name for name in ("model.lav", "rows.csv", "time.R"))
        model.write_text(syntax, encoding="utf-8")
        data.to_csv(rows, index=False)
        script.write_text(TIME_LAVAAN, encoding="utf-8")
        done = subprocess.run(
            ["Rscript", script, model, rows, str(LAVAAN)],
            capture_output=True,
            text=True,
            check=False,
        )
    return float(done.stdout) if done.returncode == 0 else np.nan


def compare(name: str, syntax: str) -> None:
    """Print milliseconds a refit and the ratios."""
    from semopy import Model as Semopy

    rng = np.random.default_rng(1)
    data = simulate(sem.parse(syntax), rng)
    fit = sem.fit(data, syntax)
    other = Semopy(syntax)
    other.fit(data)
    seconds: dict[str, list[float]] = {"kernel": [], "semopy": [], "lavaan": []}
    for _ in range(ROUNDS):
        start = process_time()
        resampling.bootstrap(data, fit, KERNEL, rng)
        seconds["kernel"].append((process_time() - start) / KERNEL)
        samples = [data.iloc[rng.integers(N, size=N)] for _ in range(SEMOPY)]
        start = process_time()
        for sample in samples:
            other.fit(sample)
        seconds["semopy"].append((process_time() - start) / SEMOPY)
        seconds["lavaan"].append(lavaan_seconds(syntax, data))
    took = {program: float(np.median(values)) for program, values in seconds.items()}
    print(
        f"{name}: {len(fit.model.observed)} items, {len(fit.model.latent)} constructs, {fit.model.npar} parameters, n = {N}"
    )
    print(
        "  a refit: "
        + " · ".join(
            f"{program} {1e3 * value:.3g} ms"
            for program, value in took.items()
            if np.isfinite(value)
        )
    )
    for program, least in (("semopy", 75), ("lavaan", 150)):
        if np.isfinite(took[program]):
            print(
                f"  {took[program] / took['kernel']:.0f} times as fast as {program} (aim: {least})"
            )

    start = process_time()
    draws = resampling.bootstrap(data, fit, 5000, rng)
    left_out = resampling.jackknife(data, fit)
    resampling.intervals(draws.theta, fit.theta, left_out.theta)
    print(
        f"  5,000 draws, {N} leave-one-out fits and BCa intervals of all parameters: {process_time() - start:.2f} s, "
        f"{draws.converged} converged ({draws.improper} improper), largest gradient {np.nanmax(draws.gradient):.1e}"
    )
    start = process_time()
    sigma = kernel.matrices(fit.model, fit.theta[None])["sigma"][0]
    drawn = lockstep.given(
        [resampling.simulate_covariances(sigma, N, 1000, rng)], [np.zeros((1000, len(sigma)))], [N]
    )
    lockstep.refit(kernel.compile(fit.model), drawn, fit.theta)
    print(f"  1,000 simulated samples fitted: {process_time() - start:.2f} s")


def million(draws: int = 100) -> None:
    """Print what resampling a million rows takes beyond the rows themselves."""
    import psutil

    rng = np.random.default_rng(2)
    data = simulate(sem.parse(VAS), rng, 1_000_000)
    fit, process = sem.fit(data, VAS), psutil.Process()
    before, start = process.memory_info().rss, process_time()
    found = resampling.bootstrap(data, fit, draws, rng)
    print(
        f"a million rows: {draws} draws in {process_time() - start:.0f} s, {found.converged} converged; memory grew by "
        f"{(process.memory_info().rss - before) / 2**20:.0f} MB"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    compare("vas", VAS)
    compare("nine", NINE)
    million()
