"""The notebooks as a graph: chosen, given their parameters, sent through papermill, 01 first and 14 last."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxlib.core.words import _
from cxlib.responses.reading import read
from cxlib.run import failures, kernels, parameters
from cxlib.run.execution import execute_one
from cxlib.run.failures import RunError
from cxlib.run.files import NOTEBOOKS, ROOT, stamp, write
from cxlib.run.folder import Run, open_run, study_argument
from cxlib.study.schema import load

if TYPE_CHECKING:
    from tqdm import tqdm

FIRST, FREE, LAST = "01_cleaning", "00_study", "14_report"
"""What all but `FREE` need, what needs nothing, and what is told at the end, come what may."""


def notebooks() -> list[str]:
    """The names of the notebooks, in order."""
    return sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def choose(only: str | None) -> list[str]:
    """The notebooks that `--only 03,05` means.

    Raises
    ------
    RunError
        For a number or name that no notebook has.
    """
    if not only:
        return notebooks()
    chosen = []
    for wanted in (part.strip() for part in only.split(",")):
        match = [
            name
            for name in notebooks()
            if wanted and (name == wanted or name.split("_")[0] == wanted.zfill(2))
        ]
        if not match:
            raise RunError(
                _(
                    "--only: there is no notebook '{wanted}'. Allowed: {names}, or their numbers.",
                    wanted=wanted,
                    names=notebooks(),
                )
            )
        chosen += match
    return sorted(set(chosen))


def execute(
    study: str,
    *,
    out: str = "",
    only: str | None = None,
    language: str = "en",
    pairs: list[str] | None = None,
    jobs: int = 2,
    progress: bool = True,
) -> Path:
    """Run the notebooks of a study: 01 first, 14 last, the rest side by side.

    Everything is written to a staging folder that replaces the run folder when all notebooks have ended, so a run
    that is interrupted leaves the earlier one as it was.  A notebook that fails stops only those that need it; the
    report is written all the same, says what is missing, and :func:`cxlib.run.failures.failures` lists it.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    RunError
        What was asked cannot be started.
    """
    loaded = load(study)
    read(loaded)  # a mistake in the data is told before fifteen notebooks start
    chosen = choose(only)
    given = parameters.given(pairs or [], chosen, loaded)
    final = Path(out).resolve() if out else ROOT / "runs" / loaded.id
    stage = _stage(final)
    try:
        if only and final.is_dir():
            shutil.copytree(final, stage, dirs_exist_ok=True)
        seed = given.get("seed", parameters.declared(LAST)["seed"].default)
        run = open_run(study, str(stage), language, int(seed))
        stamp(stage, parameters=given)
        begun = time.time()
        values = {"study": study_argument(loaded), "out": str(stage), "language": language, **given}
        seconds = _in_order(
            chosen,
            stage,
            lambda name: {k: v for k, v in values.items() if k in parameters.declared(name)},
            jobs,
            progress,
        )
        failed = failures.failures(stage)
        if failed and not (stage / "notes" / f"done_{LAST}.json").is_file():
            _report_without_notebook(run, chosen)
        stamp(
            stage,
            seconds={**seconds, "all": round(time.time() - begun, 1)},
            failed=failures.detail(failed),
        )
        for copy in (stage / "notebooks").glob(
            "*.ipynb"
        ):  # they name the folder they were executed in
            write(copy, copy.read_bytes().replace(stage.name.encode(), final.name.encode()))
        _replace(stage, final)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return final


def _report_without_notebook(run: Run, chosen: list[str]) -> None:
    """The report where 14 did not finish or was not asked for, so that a failure is never told by an old report."""
    failures.clear(run.folder, LAST, wholly=False)
    run.write_report(
        _("The hypotheses were not judged: the last notebook (14) did not finish.")
        if LAST in chosen
        else _(
            "The hypotheses were not judged: the last notebook (14) was not asked for. Run the study without --only."
        )
    )


def _stage(final: Path) -> Path:
    """A staging folder beside the run folder; those of runs that died are cleared away."""
    import psutil

    if final.exists() and not (
        final.is_dir() and ((final / "run.json").is_file() or not any(final.iterdir()))
    ):
        raise RunError(
            _(
                "--out {folder}: this is not an empty folder and not a run. Give a new folder.",
                folder=final,
            )
        )
    for old in final.parent.glob(f".{final.name}.part*"):
        owner = int(old.name.rpartition("part")[2])
        if owner != os.getpid() and psutil.pid_exists(owner):
            raise RunError(
                _(
                    "--out {folder}: another run (process {owner}) is writing there. Wait for it, or give another folder.",
                    folder=final,
                    owner=owner,
                )
            )
        shutil.rmtree(old, ignore_errors=True)
    stage = final.with_name(f".{final.name}.part{os.getpid()}")
    try:
        (stage / "notebooks").mkdir(parents=True)
    except OSError as error:
        raise RunError(
            _(
                "--out {folder}: no folder can be made there ({reason}). Give another place.",
                folder=final,
                reason=error.strerror,
            )
        ) from None
    return stage


def _in_order(
    chosen: list[str],
    stage: Path,
    values: Callable[[str], Mapping[str, Any]],
    jobs: int,
    progress: bool,
) -> dict[str, float]:
    """Execute the graph and note what fails; on Ctrl-C stop the kernels that still run."""
    from tqdm import tqdm

    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        # many small problems: one thread each is several times faster
        os.environ.setdefault(name, "1")
    bar = tqdm(
        total=len(chosen),
        disable=not progress,
        unit="notebook",
        desc="cxlib run",
        dynamic_ncols=True,
    )
    pool, warm = ThreadPoolExecutor(max(jobs, 1)), kernels.start()
    walk = _Walk(
        stage, jobs, bar, lambda name: pool.submit(_in_thread, name, stage, values(name), warm)
    )
    try:
        walk.through([n for n in chosen if n == FIRST])
        walk.through([n for n in chosen if n not in (FIRST, LAST)])
        walk.through([n for n in chosen if n == LAST])
    except BaseException:
        _stop_kernels()
        while wait(walk.running, timeout=0.2).not_done:  # one may have been about to start
            _stop_kernels()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if warm:
            warm.close()
        bar.close()
    return dict(sorted(walk.seconds.items()))


@dataclass
class _Walk:
    """The notebooks of a run on their way: those that run, those that failed, and how long each took."""

    stage: Path
    jobs: int
    bar: tqdm[Any]
    start: Callable[[str], Future[None]]
    running: dict[Future[None], tuple[str, float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def through(self, wave: list[str]) -> None:
        """Run notebooks side by side until all have ended; those that need a failed one are skipped."""
        queue = [name for name in wave if not self._skipped(name)]
        while queue or self.running:
            while queue and len(self.running) < self.jobs:
                name = queue.pop(0)
                self.running[self.start(name)] = (name, time.time())
            self.bar.set_postfix_str(" ".join(name for name, _start in self.running.values()))
            done, _rest = wait(self.running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                self._ended(future)

    def _skipped(self, name: str) -> bool:
        if FIRST not in self.failed or name in (FREE, LAST):
            return False
        failures.clear(self.stage, name)
        failures.note(self.stage, failures.skipped(name, FIRST))
        self.bar.update()
        return True

    def _ended(self, future: Future[None]) -> None:
        name, start = self.running.pop(future)
        if future.exception() is not None:  # its cause is noted in the run folder
            self.failed.add(name)
        self.seconds[name] = round(time.time() - start, 2)
        self.bar.update()


def _in_thread(
    name: str, folder: Path, values: Mapping[str, Any], warm: kernels.Warm | None
) -> None:
    """One notebook in a thread of the pool, whose event loop is closed behind it."""
    from jupyter_core.utils import ensure_event_loop

    try:
        execute_one(name, folder, values, warm)
    finally:
        ensure_event_loop().close()


def _stop_kernels() -> None:
    """Kill the kernels this process started, so that nothing keeps writing."""
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        try:
            child.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(children, timeout=5)  # until then they may still write


def _replace(stage: Path, final: Path) -> None:
    """Put the finished run in place of the earlier one."""
    final.parent.mkdir(parents=True, exist_ok=True)
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        os.replace(final, old)
    os.replace(stage, final)
    shutil.rmtree(old, ignore_errors=True)


if sys.platform == "win32":  # pragma: no cover - pyzmq needs this loop there
    import asyncio

    asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
