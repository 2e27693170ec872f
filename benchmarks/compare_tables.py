"""Do two versions of the suite give the same tables and sentences, byte for byte?

    python benchmarks/compare_tables.py 35fffc6 .
    python benchmarks/compare_tables.py 35fffc6 HEAD --studies ecsi --set n_boot=100 --set reps=50
    python benchmarks/compare_tables.py runs/before runs/after

BASE and HEAD are each a run folder, a checkout ("." is the files as they are here) or a commit.  What is not yet a run
is run; the runs of a commit are kept (--keep) and used again.  Compared are the tables, the cleaned responses and the
notes (sentences, warnings, n, method; not the seconds).  Prints what differs and exits with 1 if anything does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pandas as pd
from checkouts import checkout, commit, run

SHOWN = 5
"""Differences printed for one file."""


def main() -> int:
    """Compare two runs of each study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="a run folder, a checkout or a commit")
    parser.add_argument("head", help="a run folder, a checkout or a commit")
    parser.add_argument(
        "--studies", default="ecsi,vas", help="default ecsi,vas; not looked at for two run folders"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="pairs",
        help="as of cxlib run",
    )
    parser.add_argument("--only", help="as of cxlib run")
    parser.add_argument("--language", default="en", choices=["en", "zh"])
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path(tempfile.gettempdir())
        / f"cxlib_compared_{os.getuid() if hasattr(os, 'getuid') else 0}",
        help="where runs of commits are kept (default %(default)s)",
    )
    options = parser.parse_args()
    both = options.base, options.head
    if all(_is_run(Path(side)) for side in both):
        return _report("", *(Path(side) for side in both))
    settings = ["--language", options.language, *(["--only", options.only] if options.only else [])]
    settings += [part for pair in options.pairs for part in ("--set", pair)]
    return max(
        [
            _report(study, *(_run_of(side, study, settings, options.keep) for side in both))
            for study in options.studies.split(",")
        ]
    )


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").is_file()


def _run_of(side: str, study: str, settings: list[str], keep: Path) -> Path:
    """The run of a study by one side: given, kept, or made now."""
    if _is_run(Path(side)):
        return Path(side)
    code = Path(side).resolve()
    if (code / "cxlib" / "__init__.py").is_file():
        out = (
            keep / f"{study}-{hashlib.sha256(str(code).encode()).hexdigest()[:8]}"
        )  # the files may have changed: always run anew
        run(code, study, out, settings)
        return out
    out = (
        keep
        / f"{study}-{commit(side)[:12]}-{hashlib.sha256(json.dumps([settings, sys.prefix]).encode()).hexdigest()[:8]}"
    )
    if not _is_run(out):
        keep.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=keep) as work,
            checkout(side, Path(work) / "code") as files,
        ):
            run(files, study, out, settings)
    return out


def _report(study: str, base: Path, head: Path) -> int:
    """Print what differs between two run folders; 1 if anything does."""
    names = sorted(
        {str(path.relative_to(folder)) for folder in (base, head) for path in _compared(folder)}
    )
    if not names:
        sys.exit(f"{base}, {head}: there is no table in these runs.")
    differ = {
        name: lines for name in names if (lines := list(_differences(base / name, head / name)))
    }
    for name, lines in differ.items():
        print(
            f"{study} {name}".strip(),
            *lines[:SHOWN],
            *([f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []),
            sep="\n    ",
        )
    print(
        f"{study or head.name}: {len(names) - len(differ)} of {len(names)} files the same, {len(differ)} differ ({base} | {head})"
    )
    return int(bool(differ))


def _compared(folder: Path) -> Iterator[Path]:
    """Tables, notes and cleaned responses of a run; not the notes that only say how long a notebook took."""
    yield from (folder / "tables").glob("*.csv")
    yield from (
        path for path in (folder / "notes").glob("*.json") if not path.name.startswith("done_")
    )
    yield from folder.glob("responses.parquet")


def _differences(base: Path, head: Path) -> Iterator[str]:
    """What differs between two files, a line each; nothing if they are the same bytes."""
    if not base.is_file() or not head.is_file():
        yield f"only in {'head' if head.is_file() else 'base'}"
        return
    old, new = base.read_bytes(), head.read_bytes()
    if old == new:
        return
    if base.suffix == ".json":
        yield from _notes(json.loads(old), json.loads(new))
    elif base.suffix == ".parquet":
        yield from _frames(pd.read_parquet(base).astype(str), pd.read_parquet(head).astype(str))
    elif old.strip() and new.strip():
        yield from _frames(
            *(pd.read_csv(path, dtype=str, keep_default_na=False) for path in (base, head))
        )
    else:
        yield f"{len(old)} bytes, now {len(new)}"


def _notes(old: dict, new: dict) -> Iterator[str]:
    if old == new:
        yield "the same content written differently"
    for key in {**old, **new}:
        if old.get(key) != new.get(key):
            yield f"{key}: {json.dumps(old.get(key), ensure_ascii=False)}\n      now {json.dumps(new.get(key), ensure_ascii=False)}"


def _frames(old: pd.DataFrame, new: pd.DataFrame) -> Iterator[str]:
    """Columns and rows that came or went, then cells; of two numbers also how far they are apart."""
    if list(old.columns) != list(new.columns):
        gone, come = (
            [c for c in one.columns if c not in other.columns]
            for one, other in ((old, new), (new, old))
        )
        yield (
            f"columns gone: {gone}, come: {come}"
            if gone or come
            else f"columns in another order: {list(new.columns)}"
        )
    if len(old) != len(new):
        yield f"{len(old)} rows, now {len(new)}"
    same = True
    for column in [c for c in old.columns if c in new.columns]:
        for row, (before, after) in enumerate(
            zip_longest(old[column], new[column], fillvalue="absent")
        ):
            if before != after:
                same = False
                yield f"row {row + 1}, {column}: {before} now {after}{_apart(before, after)}"
    if same and old.shape == new.shape and list(old.columns) == list(new.columns):
        yield "the same cells written differently"


def _apart(before: str, after: str) -> str:
    """How far two numbers are apart, relative to the larger; empty if they are no numbers."""
    try:
        a, b = float(before), float(after)
    except ValueError:
        return ""
    return f" (apart by {abs(a - b) / max(abs(a), abs(b), 1e-300):.1e} of it)"


if __name__ == "__main__":
    sys.exit(main())
