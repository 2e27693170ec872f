"""A run: one study, one folder, the notebooks that fill it.

`open_run` is what a notebook calls; `execute` is what the command line calls: it sends the notebooks
through papermill into a staging folder and puts that in place only when all of them have finished.
"""

from __future__ import annotations

import ast
import hashlib
import html
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxlib import show
from cxlib.study import Study, load

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
FIRST, LAST = "01_cleaning", "14_report"
OWN_OPTIONS = ("study", "out", "language")
PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "statsmodels", "semopy", "pingouin", "matplotlib", "seaborn", "papermill")


class RunError(RuntimeError):
    """A run that cannot start or did not finish; the message names notebook, cell and cause."""


@dataclass(frozen=True)
class Shown:
    """What a notebook shows: HTML that was also written to the run folder."""

    markup: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.markup


@dataclass(frozen=True)
class Run:
    """An open run folder: the study, its cleaned data, and where tables and figures go."""

    study: Study
    folder: Path
    language: str = "en"
    seed: int = 2026
    started: float = field(default_factory=time.time, repr=False)

    def rng(self, task: str) -> np.random.Generator:
        """A generator of its own for each task, so that results do not depend on the order of the work."""
        return np.random.default_rng([self.seed, zlib.crc32(task.encode())])

    @cached_property
    def data(self) -> pd.DataFrame:
        """The cleaned responses that 01_cleaning left; computed here if it has not run."""
        self.need(FIRST)
        return pd.read_parquet(self.folder / "responses.parquet")

    def say(self, text: show.Text) -> str:
        """The reader's language."""
        return text[self.language]

    def show(self, name: str, what: show.Result | show.Picture) -> Shown:
        """Write a result to tables/<name>.csv, or a picture to figures/<name>.svg and .png, and show it."""
        return self._show_picture(name, what) if isinstance(what, show.Picture) else self._show_result(name, what)

    def _show_result(self, name: str, result: show.Result) -> Shown:
        _write(self.folder / "tables" / f"{name}.csv", result.table.to_csv(index=False, lineterminator="\n").encode())
        self._note(name, text=dict(result.text), warnings=[dict(w) for w in result.warnings], n=result.n_used, method=result.method)
        return Shown(show.block(result, self.language))

    def _show_picture(self, name: str, picture: show.Picture) -> Shown:
        png, svg = show.render(picture)
        _write(self.folder / "figures" / f"{name}.svg", svg)
        _write(self.folder / "figures" / f"{name}.png", png)
        self._note(f"figure_{name}", text=dict(picture.text))
        return Shown(show.embed(png, picture.text[self.language]))

    def _note(self, name: str, **content: Any) -> None:
        _write(self.folder / "notes" / f"{name}.json", json.dumps(content, ensure_ascii=False, indent=1).encode())

    def save_data(self, data: pd.DataFrame) -> None:
        """Write the cleaned responses for the notebooks that follow."""
        import io

        buffer = io.BytesIO()
        data.to_parquet(buffer, index=False)
        _write(self.folder / "responses.parquet", buffer.getvalue())

    def table(self, name: str) -> pd.DataFrame:
        """A table that a notebook of this run has left.

        Raises
        ------
        FileNotFoundError
            With the tables that are there.
        """
        path = self.folder / "tables" / f"{name}.csv"
        if not path.is_file():
            there = ", ".join(sorted(p.stem for p in path.parent.glob("*.csv"))) or "none"
            raise FileNotFoundError(f"This run has no table '{name}'. There are: {there}.")
        return pd.read_csv(path)

    def note(self, name: str) -> dict:
        """The sentence, warnings and n that belong to a table or figure; empty if there are none."""
        path = self.folder / "notes" / f"{name}.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def need(self, *notebooks: str) -> Shown:
        """Make sure that earlier notebooks have run; run those that have not, and say so."""
        absent = [name for name in notebooks if not (self.folder / "notes" / f"done_{name}.json").is_file()]
        for name in absent:
            parameters = {"study": _study_argument(self.study), "out": str(self.folder), "language": self.language, "seed": self.seed}
            _execute_one(name, self.folder, {k: v for k, v in parameters.items() if k in declared(name)})
        if not absent:
            return Shown("")
        return Shown("<p><em>" + self.say({"en": f"Computed here because it was not there yet: {', '.join(absent)}.",
                                           "zh": f"此前尚未运行,已在此补算:{', '.join(absent)}。"}) + "</em></p>")

    def close(self, notebook: str) -> Shown:
        """Note that a notebook has finished, and show what it was computed with."""
        used = versions()
        self._note(f"done_{notebook}", seconds=round(time.time() - self.started, 2))
        listed = " · ".join(f"{k} {v}" for k, v in used.items())
        origin = self.say(ORIGIN[self.study.origin])
        return Shown(f"<p><small>{html.escape(self.study.title[self.language])} — {origin}. seed {self.seed} · {listed}</small></p>")


ORIGIN = {"real": {"en": "real data", "zh": "真实数据"},
          "simulated": {"en": "SIMULATED data: a demonstration, not evidence", "zh": "模拟数据:仅作演示,不构成证据"}}


def open_run(study: str, out: str = "", language: str = "en", seed: int = 2026) -> Run:
    """Open the run folder of a study, or start it.

    Parameters
    ----------
    study : str
        An id under data/ or the path of a study file.
    out : str
        The folder; empty for runs/<id>.
    language : {"en", "zh"}
    seed : int
        Everything random in the run follows from it.

    Returns
    -------
    Run

    Notes
    -----
    A folder that holds results of another version of the study or its data is started anew.
    """
    if language not in ("en", "zh"):
        raise ValueError(f"language='{language}' is not known. Allowed: 'en', 'zh'.")
    loaded = load(study)
    folder = Path(out).resolve() if out else ROOT / "runs" / loaded.id
    identity = {"study": loaded.id, "fingerprint": fingerprint(loaded), "language": language, "seed": seed}
    stamp = folder / "run.json"
    if stamp.is_file() and {k: json.loads(stamp.read_text("utf-8")).get(k) for k in identity} != identity:
        for part in ("notes", "tables", "figures"):
            shutil.rmtree(folder / part, ignore_errors=True)
        stamp.unlink()
    if not stamp.is_file():
        _write(stamp, json.dumps(identity, indent=1).encode())
    return Run(loaded, folder, language, seed)


def fingerprint(study: Study) -> str:
    """A hash of the study file and of every file it reads."""
    from cxlib.reading import source

    digest = hashlib.sha256(study.digest.encode())
    beside = [study.folder / table.file for table in study.tables.values()] + sorted(study.folder.glob("*.csv"))
    for path in [source(study), *dict.fromkeys(beside)]:
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """The versions everything was computed with."""
    return {"python": platform.python_version(), "cxlib": importlib.metadata.version("cxlib"),
            **{name: importlib.metadata.version(name) for name in PACKAGES}}


def notebooks() -> list[str]:
    """The names of the notebooks, in order."""
    return sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def declared(notebook: str) -> dict[str, Any]:
    """The parameters a notebook declares in its cell tagged `parameters`, with their defaults."""
    cells = json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text("utf-8"))["cells"]
    source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    return {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(source).body if isinstance(node, ast.Assign)}


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
        match = [name for name in notebooks() if wanted and (name == wanted or name.split("_")[0] == wanted.zfill(2))]
        if not match:
            raise RunError(f"--only: there is no notebook '{wanted}'. Allowed: {', '.join(notebooks())}, or their numbers.")
        chosen += match
    return sorted(set(chosen))


def settings(pairs: list[str], chosen: list[str]) -> dict[str, Any]:
    """Check `--set name=value` against what the chosen notebooks declare, by name and by type.

    Raises
    ------
    RunError
        Naming the allowed parameters, or the type that is wanted.
    """
    allowed: dict[str, Any] = {}
    for name in chosen:
        allowed |= {k: v for k, v in declared(name).items() if k not in OWN_OPTIONS}
    out = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise RunError(f"--set {pair}: write it as name=value, for example --set seed=1.")
        if name not in allowed:
            listed = ", ".join(f"{k} ({type(v).__name__}, default {v!r})" for k, v in sorted(allowed.items()))
            raise RunError(f"--set {name}: no chosen notebook has this parameter. Allowed: {listed}.")
        out[name] = _typed(name, text, allowed[name])
    return out


def _typed(name: str, text: str, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        wanted = {"bool": "true or false", "int": "a whole number", "float": "a number"}[kind.__name__]
        raise RunError(f"--set {name}={text}: {wanted} is wanted, such as {default!r}.") from None


def execute(study: str, *, out: str = "", only: str | None = None, language: str = "en", pairs: list[str] | None = None,
            jobs: int = 2, progress: bool = True) -> Path:
    """Run the notebooks of a study: 01 first, 14 last, the rest side by side.

    Everything is written to a staging folder that replaces the run folder when all notebooks have
    finished, so a run that fails or is interrupted leaves the earlier one as it was.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    RunError
        Naming the notebook, the cell and the message of the first failure.
    """
    from cxlib.reading import read

    loaded = load(study)
    read(loaded)  # a mistake in the data is told before fifteen notebooks start
    chosen = choose(only)
    given = settings(pairs or [], chosen)
    final = Path(out).resolve() if out else ROOT / "runs" / loaded.id
    if final.exists() and not (final / "run.json").is_file() and any(final.iterdir()):
        raise RunError(f"--out {final}: the folder is not empty and is not a run. Give a new folder.")
    stage = final.with_name(f".{final.name}.part{os.getpid()}")
    for old in final.parent.glob(f".{final.name}.part*"):
        shutil.rmtree(old, ignore_errors=True)
    (stage / "notebooks").mkdir(parents=True)
    try:
        if only and final.is_dir():
            shutil.copytree(final, stage, dirs_exist_ok=True)
        seed = given.get("seed", declared(chosen[0])["seed"])
        open_run(study, str(stage), language, seed)
        begun = time.time()
        values = {"study": _study_argument(loaded), "out": str(stage), "language": language, **given}
        seconds = _in_order(chosen, stage, lambda name: {k: v for k, v in values.items() if k in declared(name)}, jobs, progress)
        _finish(stage, given, seconds, time.time() - begun)
        _replace(stage, final)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return final


def _in_order(chosen: list[str], stage: Path, parameters: Callable[[str], Mapping], jobs: int, progress: bool) -> dict[str, float]:
    """Execute the graph; on a failure or Ctrl-C stop the kernels that still run."""
    from tqdm import tqdm

    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # many small problems: one thread each is several times faster
    waves = [[n for n in chosen if n == FIRST], [n for n in chosen if n not in (FIRST, LAST)], [n for n in chosen if n == LAST]]
    seconds: dict[str, float] = {}
    bar = tqdm(total=len(chosen), disable=not progress, unit="notebook", desc="cxlib run", dynamic_ncols=True)
    pool = ThreadPoolExecutor(max(jobs, 1))
    try:
        for wave in waves:
            open_: dict[Future, tuple[str, float]] = {}
            queue = list(wave)
            while queue or open_:
                while queue and len(open_) < jobs:
                    name = queue.pop(0)
                    open_[pool.submit(_execute_one, name, stage, parameters(name))] = (name, time.time())
                bar.set_postfix_str(" ".join(name for name, _ in open_.values()))
                done, _ = wait(open_, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    name, start = open_.pop(future)
                    future.result()
                    seconds[name] = round(time.time() - start, 2)
                    bar.update()
    except BaseException:
        _stop_kernels()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        bar.close()
    return dict(sorted(seconds.items()))


def _execute_one(name: str, folder: Path, parameters: Mapping[str, Any]) -> None:
    """One notebook through papermill; its executed copy is put in place when it has finished."""
    import logging
    import tempfile

    import papermill
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.ERROR)
    target = folder / "notebooks" / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        source, part = Path(work) / f"{name}.ipynb", Path(work) / "out.ipynb"
        source.write_text(in_language(name, parameters.get("language", "en")), "utf-8")
        try:
            papermill.execute_notebook(str(source), str(part), dict(parameters), progress_bar=False, log_output=False,
                                       cwd=str(NOTEBOOKS), kernel_name="python3")
        except PapermillExecutionError as error:
            raise RunError(f"Notebook {name}, cell {error.cell_index + 1}: {error.ename}: {error.evalue}") from None
        _write(target, part.read_bytes())


def in_language(notebook: str, language: str) -> str:
    """A notebook without the prose cells of the other language."""
    other = {"en": "zh", "zh": "en"}[language]
    content = json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text("utf-8"))
    content["cells"] = [c for c in content["cells"] if other not in c["metadata"].get("tags", [])]
    return json.dumps(content, ensure_ascii=False, indent=1)


def _stop_kernels() -> None:
    """Kill the kernels this process started, so that nothing keeps writing."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.Error:
            continue


def _finish(stage: Path, given: Mapping, seconds: dict[str, float], total: float) -> None:
    stamp = json.loads((stage / "run.json").read_text("utf-8"))
    earlier = stamp.get("seconds", {})
    stamp |= {"parameters": {**stamp.get("parameters", {}), **given}, "versions": versions(), "commit": commit(),
              "system": f"{platform.system()} {platform.machine()}", "seconds": {**earlier, **seconds}, "total_seconds": round(total, 1)}
    _write(stage / "run.json", json.dumps(stamp, ensure_ascii=False, indent=1).encode())


def commit() -> str:
    """The commit the suite stands at, with a mark if files were changed since; empty outside git."""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _replace(stage: Path, final: Path) -> None:
    """Put the finished run in place of the earlier one."""
    final.parent.mkdir(parents=True, exist_ok=True)
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        os.replace(final, old)
    os.replace(stage, final)
    shutil.rmtree(old, ignore_errors=True)


def _study_argument(study: Study) -> str:
    """How to name the study to a notebook: by id if it ships with the suite, else by path."""
    return study.folder.name if study.path == ROOT / "data" / study.folder.name / "study.yml" else str(study.path)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    os.replace(part, path)


if sys.platform == "win32":  # pragma: no cover - pyzmq needs this loop there
    import asyncio

    asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
