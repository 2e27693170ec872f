"""How fast a whole run is beside the same run by an earlier commit: both as processes, in turn.

    python benchmarks/bench_run.py
    python benchmarks/bench_run.py --base HEAD~1 --studies ecsi --rounds 1

Seconds on the clock, and of the processor (all processes of a run together), which other work on the machine sways
less; the ratio is that of the sums over the rounds.  --head is "." (the files as they are here), a checkout or a commit.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from checkouts import checkout, run

BASE = "35fffc6"
"""The last commit at which each kernel imported for itself and each format was laid out anew."""


def main() -> None:
    """Time the studies by both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=BASE, help="default %(default)s")
    parser.add_argument("--head", default=".", help="default %(default)s")
    parser.add_argument("--studies", default="ecsi,vas")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="pairs",
        help="as of cxlib run",
    )
    options = parser.parse_args()
    settings = [part for pair in options.pairs for part in ("--set", pair)]
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        codes = {
            side: _code(side, work / str(place), stack)
            for place, side in enumerate((options.base, options.head))
        }
        for study in options.studies.split(","):
            sums = {side: [0.0, 0.0] for side in codes}
            for turn in range(options.rounds):
                for side, code in codes.items():
                    took = run(code, study, work / "run", settings)
                    seconds = took.elapsed, took.children_user + took.children_system
                    print(
                        f"{study} {turn + 1} {side:>8}: {seconds[0]:6.1f} s on the clock, {seconds[1]:6.1f} s of processor",
                        flush=True,
                    )
                    sums[side] = [
                        total + more for total, more in zip(sums[side], seconds, strict=True)
                    ]
            clock, processor = (
                before / after for before, after in zip(*sums.values(), strict=True)
            )
            print(
                f"{study}: {options.head} is {clock:.2f} times as fast as {options.base} ({processor:.2f} times by processor)",
                flush=True,
            )


def _code(side: str, folder: Path, stack: ExitStack) -> Path:
    """The files of a side: a checkout as it is, a commit checked out for the while."""
    here = Path(side).resolve()
    return (
        here
        if (here / "cxlib" / "__init__.py").is_file()
        else stack.enter_context(checkout(side, folder))
    )


if __name__ == "__main__":
    main()
