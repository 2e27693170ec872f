"""A run: one study, one folder, the notebooks that fill it.

`open_run` is what a notebook calls; what the command line calls is :func:`cxlib.run.notebooks.execute`.
"""

from __future__ import annotations

import hashlib
import html
import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxlib.core import display, theme
from cxlib.core.absent import absent as refused
from cxlib.core.errors import DataError, Impossible, Mistake, ModelError
from cxlib.core.result import Picture, Result, Text, block
from cxlib.core.words import _, joined
from cxlib.responses.formats import locate
from cxlib.run import execution, files, index, parameters, report
from cxlib.run.failures import RunError, failures
from cxlib.run.files import ROOT, read_json, write, write_json
from cxlib.study.schema import Study, load

PACKAGES = (
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "statsmodels",
    "semopy",
    "pingouin",
    "matplotlib",
    "seaborn",
    "papermill",
)


class NoTable(Mistake, FileNotFoundError):
    """No notebook of this run has left the table."""


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
    notebook: str = ""
    started: float = field(default_factory=time.time, repr=False)

    def rng(self, task: str) -> np.random.Generator:
        """A generator of its own for each task, so that results do not depend on the order of the work."""
        return np.random.default_rng([self.seed, zlib.crc32(task.encode())])

    @cached_property
    def data(self) -> pd.DataFrame:
        """The cleaned responses that 01_cleaning left; computed here if it has not run."""
        self.need("01_cleaning")
        return pd.read_parquet(self.folder / "responses.parquet")

    def say(self, text: Text) -> str:
        """The reader's language."""
        return text[self.language]

    def show(self, name: str, what: Result | Picture | pd.DataFrame, rows: int = 60) -> Shown:
        """Write a table to tables/<name>.csv, or a picture to figures/<name>.png, .svg and .pdf, and show it (`rows` of it)."""
        if isinstance(what, Picture):
            return self._show_picture(name, what)
        if isinstance(what, pd.DataFrame):
            what = Result(what, joined(), 0)
        return self._show_result(name, what, rows)

    def attempt(self, stage: Callable, *args: Any, **kwargs: Any) -> Any:
        """What a stage gives, or, if the data do not allow it, an empty result that says why."""
        try:
            return stage(*args, **kwargs)
        except (Impossible, DataError, ModelError) as error:
            return refused(error)

    def _show_result(self, name: str, result: Result, rows: int) -> Shown:
        write(
            self.folder / "tables" / f"{name}.csv",
            result.table.to_csv(index=False, lineterminator="\n").encode(),
        )
        self._note(
            name,
            text=dict(result.text),
            warnings=[dict(w) for w in result.warnings],
            n=result.n_used,
            method=result.method if isinstance(result.method, str) else dict(result.method),
        )
        self._enter(name, "table")
        return Shown(block(result, self.language, rows))

    def _show_picture(self, name: str, picture: Picture) -> Shown:
        drawn = theme.render(picture)
        for kind, content in zip(theme.FORMATS, drawn, strict=True):
            write(self.folder / "figures" / f"{name}.{kind}", content)
        self._note(f"figure_{name}", text=dict(picture.text))
        self._enter(name, "figure")
        return Shown(display.embed(drawn[0], picture.text[self.language]))

    def _enter(self, name: str, kind: index.Kind) -> None:
        """Give what is shown its place in the report; what a script shows has none."""
        if self.notebook:
            index.add(self.folder, self.notebook, self.language, name, kind)

    def _note(self, name: str, **content: Any) -> None:
        write_json(self.folder / "notes" / f"{name}.json", content)

    def save_data(self, data: pd.DataFrame) -> None:
        """Write the cleaned responses for the notebooks that follow."""
        write(self.folder / "responses.parquet", data.to_parquet(index=False))

    def table(self, name: str) -> pd.DataFrame:
        """A table that a notebook of this run has left.

        Raises
        ------
        FileNotFoundError
            With the tables that are there.
        """
        path = self.folder / "tables" / f"{name}.csv"
        if path.is_file() and not path.read_text("utf-8").strip():
            return pd.DataFrame()  # what the data did not allow has no columns
        if not path.is_file():
            there = sorted(p.stem for p in path.parent.glob("*.csv"))
            raise NoTable(
                _(
                    "This run has no table '{name}'. There are: {names}.",
                    name=name,
                    names=there or _("none"),
                )
            )
        return pd.read_csv(
            path, keep_default_na=False, na_values=[""]
        )  # an item or a group may be called NA

    def note(self, name: str) -> dict:
        """The sentence, warnings and n that belong to a table or figure; empty if there are none."""
        return files.note(self.folder, name)

    def need(self, *notebooks: str, strict: bool = True) -> Shown:
        """Make sure that earlier notebooks have run; run those that have not, with this run's parameters, and say so.

        One that failed in this run is not tried again.

        Raises
        ------
        RunError
            One of them failed, unless `strict` is False.
        """
        absent = [
            name
            for name in notebooks
            if not (self.folder / "notes" / f"done_{name}.json").is_file()
        ]
        failed = failures(self.folder)
        if strict and (broken := [name for name in absent if name in failed]):
            raise RunError(failed[broken[0]].text)
        absent = [name for name in absent if name not in failed]
        given = read_json(self.folder / "run.json").get("parameters", {})
        given |= {
            "study": study_argument(self.study),
            "out": str(self.folder),
            "language": self.language,
            "seed": self.seed,
        }
        for name in absent:
            try:
                own = parameters.declared(name)
                execution.execute_one(
                    name, self.folder, {k: v for k, v in given.items() if k in own}
                )
            except RunError:
                if strict:
                    raise
        if not absent:
            return Shown("")
        said = self.say(
            _("Computed here because it was not there yet: {notebooks}.", notebooks=absent)
        )
        return Shown(f"<p><em>{said}</em></p>")

    def show_study(self) -> Shown:
        """The title, the question and where the answers come from."""
        study, language = self.study, self.language
        lines = [
            f"<strong>{html.escape(study.title[language])}</strong> — {html.escape(self.say(ORIGIN[study.origin]))}",
            html.escape(study.question[language]) if study.question else "",
            html.escape(study.source),
        ]
        return Shown("".join(f"<p>{line}</p>" for line in lines if line))

    def write_report(self, answer: Text) -> Shown:
        """Write report.html and report.docx from what the run folder holds."""
        page = report.build(self.folder, self.study, self.language, answer)
        write(self.folder / "report.html", page.encode())
        write(self.folder / "report.docx", report.word(page))
        return Shown(
            "<p>report.html, report.docx</p>"
        )  # names only: the run folder is moved when the run is complete

    def close(self) -> Shown:
        """Note that the notebook has finished, and show what it was computed with."""
        used = versions()
        if self.notebook:
            self._note(f"done_{self.notebook}", seconds=round(time.time() - self.started, 2))
        said = _(
            "{title} — {origin}. seed {seed} · {versions}",
            title=self.study.title,
            origin=ORIGIN[self.study.origin],
            seed=self.seed,
            versions=" · ".join(f"{name} {version}" for name, version in used.items()),
        )
        return Shown(f"<p><small>{html.escape(self.say(said))}</small></p>")


ORIGIN = {
    "real": _("real data"),
    "simulated": _("SIMULATED data: a demonstration, not evidence"),
}
"""Where the answers come from, as every output says it."""


def open_run(
    study: str,
    out: str = "",
    language: str = "en",
    seed: int = 2026,
    notebook: str = "",
    values: Mapping[str, Any] | None = None,
) -> Run:
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
    notebook : str
        The notebook that opens it, whose place in the report everything has that it shows.
    values : mapping
        Where the notebook's other parameters stand, its ``globals()``; see :mod:`cxlib.run.parameters`.

    Returns
    -------
    Run

    Raises
    ------
    RunError
        A parameter has a value with which the notebook cannot work.

    Notes
    -----
    A folder that holds results of another version of the study or its data is started anew.
    """
    parameters.check(notebook, {"language": language, "seed": seed})
    loaded = load(study)
    parameters.check(notebook, values or {}, loaded)
    folder = Path(out).resolve() if out else ROOT / "runs" / loaded.id
    identity = {
        "study": loaded.id,
        "fingerprint": fingerprint(loaded),
        "language": language,
        "seed": seed,
    }
    file = folder / "run.json"
    if file.is_file() and {k: read_json(file).get(k) for k in identity} != identity:
        for part in ("notes", "tables", "figures", "notebooks"):
            shutil.rmtree(folder / part, ignore_errors=True)
        for part in ("responses.parquet", "report.html", "report.docx", "run.json"):
            (folder / part).unlink(missing_ok=True)
    if not file.is_file():
        made = {
            **identity,
            "commit": commit(),
            "system": f"{platform.system()} {platform.machine()}",
            "versions": versions(),
        }
        write_json(file, made)
    return Run(loaded, folder, language, seed, notebook)


def fingerprint(study: Study) -> str:
    """A hash of the study file and of every file it reads."""
    digest = hashlib.sha256(study.digest.encode())
    beside = [study.folder / table.file for table in study.tables.values()] + sorted(
        study.folder.glob("*.csv")
    )
    for path in [
        locate(study.responses.file, study, study.responses.package),
        *dict.fromkeys(beside),
    ]:
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """The versions everything was computed with."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("cxlib", *PACKAGES)},
    }


def commit() -> str:
    """The commit the suite stands at, with a mark if files were changed since; empty outside git."""
    own = {
        **os.environ,
        "GIT_CEILING_DIRECTORIES": str(ROOT.parent),
    }  # a copy unpacked inside another repository has no commit of its own
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=ROOT,
            env=own,
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def study_argument(study: Study) -> str:
    """How to name the study to a notebook: by id if it ships with the suite, else by path."""
    return (
        study.folder.name
        if study.path == ROOT / "data" / study.folder.name / "study.yml"
        else str(study.path)
    )
