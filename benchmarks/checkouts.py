"""Another commit beside this one: checked out in a folder of its own and run as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def commit(name: str) -> str:
    """The full hash of a commit; ends with a message if there is no such commit."""
    done = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(
            f"{name}: this is neither a run folder, nor a checkout, nor a commit. Give one of these, such as HEAD or '.'."
        )
    return done.stdout.strip()


@contextmanager
def checkout(name: str, folder: Path) -> Iterator[Path]:
    """The files of a commit in a folder that is gone afterwards."""
    subprocess.run(
        ["git", "worktree", "add", "--quiet", "--detach", str(folder), commit(name)],
        cwd=ROOT,
        check=True,
    )
    try:
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(folder)], cwd=ROOT, check=True)


def run(code: Path, study: str, out: Path, options: Sequence[str] = ()) -> os.times_result:
    """Run a study with the code of a checkout in a process of its own; ends with its message if it fails.

    Returns
    -------
    times_result
        Processor seconds of the process and all it started (children_user, children_system), and elapsed.
    """
    begun = os.times()
    command = [
        sys.executable,
        "-m",
        "cxlib.run.cli",
        "run",
        study,
        "--out",
        str(out),
        "--quiet",
        *options,
    ]
    done = subprocess.run(
        command,
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{study} with {code}: {done.stderr.strip()}")
    return os.times_result(after - before for after, before in zip(os.times(), begun, strict=True))
