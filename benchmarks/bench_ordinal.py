"""WLSMV of 25 ordinal items, 2,800 rows: ours beside lavaan's, taking turns in one run.

python benchmarks/bench_ordinal.py [turns].  Without Rscript and lavaan only our own time is printed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from cxlib import sem

FACTORS, ITEMS, CATEGORIES, ROWS = 5, 5, 6, 2800
SYNTAX = "\n".join(
    f"f{f} =~ " + " + ".join(f"y{f}{i}" for i in range(1, ITEMS + 1)) for f in range(1, FACTORS + 1)
)
R = """suppressMessages(library(lavaan))
data <- read.csv("{data}")
lines <- file("stdin", "r")
while (length(task <- readLines(lines, 1))) {{
  begun <- proc.time()[[3]]
  if (task == "fit") model <- cfa("{syntax}", data, ordered = TRUE, estimator = "WLSMV") else lavCor(data, ordered = names(data))
  cat(proc.time()[[3]] - begun, if (task == "fit") fitMeasures(model, "chisq.scaled") else 0, "\\n")
}}"""


def responses() -> pd.DataFrame:
    """Answers in six unevenly used categories to items of five correlated factors."""
    rng = np.random.default_rng(2026)
    factors = rng.multivariate_normal(np.zeros(FACTORS), 0.4 + 0.6 * np.eye(FACTORS), ROWS)
    columns = {}
    for f in range(FACTORS):
        for i in range(ITEMS):
            loading = rng.uniform(0.5, 0.85)
            normal = loading * factors[:, f] + np.sqrt(1 - loading**2) * rng.standard_normal(ROWS)
            places = np.linspace(-1.6, 1.2, CATEGORIES - 1) + rng.uniform(-0.4, 0.4)
            columns[f"y{f + 1}{i + 1}"] = np.digitize(normal, places) + 1
    return pd.DataFrame(columns)


def timed(task: str, data: pd.DataFrame) -> tuple[float, float]:
    """Seconds of one task of ours, and its scaled χ²."""
    begun = time.perf_counter()
    if task == "correlations":
        sem.polychoric(data)
        return time.perf_counter() - begun, 0.0
    measures = sem.fit_measures(sem.fit(data, SYNTAX, estimator="WLSMV")).set_index("measure")[
        "value"
    ]
    return time.perf_counter() - begun, measures["chisq_scaled"]


def lavaan_is_here() -> bool:
    """Whether there is an Rscript with lavaan."""
    ask = ["Rscript", "-e", "library(lavaan)"]
    return (
        shutil.which("Rscript") is not None
        and subprocess.run(ask, check=False, capture_output=True).returncode == 0
    )


def main(turns: int) -> None:
    """Take turns and print medians and their ratio."""
    data, theirs = responses(), None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        data.to_csv(path, index=False)
        if lavaan_is_here():
            script = Path(folder) / "bench.R"
            script.write_text(R.format(data=path.as_posix(), syntax=SYNTAX), encoding="utf-8")
            theirs = subprocess.Popen(
                ["Rscript", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        for task in ("correlations", "fit"):
            ours, lavaan, chisq = [], [], [0.0, 0.0]
            for turn in range(turns + 1):
                seconds, chisq[0] = timed(task, data)
                ours.append(seconds)
                if theirs:
                    theirs.stdin.write(task + "\n")
                    theirs.stdin.flush()
                    seconds, chisq[1] = map(float, theirs.stdout.readline().split())
                    lavaan.append(seconds)
                if turn == 0:  # the first of each warms up
                    ours.clear()
                    lavaan.clear()
            line = f"{task:12}  cxlib {np.median(ours):.3f} s"
            if theirs:
                line += f"  lavaan {np.median(lavaan):.3f} s  ratio {np.median(ours) / np.median(lavaan):.2f}"
                line += f"  scaled χ² {chisq[0]:.4f} and {chisq[1]:.4f}" if task == "fit" else ""
            print(line, flush=True)
        if theirs:
            theirs.stdin.close()
            theirs.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
