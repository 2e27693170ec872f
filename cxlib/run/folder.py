"""A run: one study, one folder, the notebooks that fill it.

`open_run` is what a notebook calls; what the command line calls is :func:`cxlib.run.folder.notebooks.execute`.
"""

from __future__ import annotations

import hashlib
import html
import importlib.metadata
import json
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
from cxlib.core.errors import DataError, Impossible, Mistake
from cxlib.core.result import Picture, Result, Text, block
from cxlib.core.words import _, languages
from cxlib.study.schema import Study, load

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
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


class RunError(Mistake, RuntimeError):
    """A run that cannot start or did not finish; the message names notebook, cell and cause."""


class NoTable(Mistake, FileNotFoundError):
    """No notebook of this run has left the table."""


class UnknownLanguage(Mistake, ValueError):
    """The suite does not speak this language."""


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
            what = Result(what, {"en": "", "zh": ""}, 0)
        return self._show_result(name, what, rows)

    def attempt(self, stage: Callable, *args: Any, **kwargs: Any) -> Any:
        """What a stage gives, or, if the data do not allow it, an empty result that says why."""
        from cxlib.core.absent import absent
        from cxlib.sem import ModelError

        try:
            return stage(*args, **kwargs)
        except (Impossible, DataError, ModelError) as error:
            return absent(error)

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
        return Shown(block(result, self.language, rows))

    def _show_picture(self, name: str, picture: Picture) -> Shown:
        files = theme.render(picture)
        for kind, content in zip(theme.FORMATS, files, strict=True):
            write(self.folder / "figures" / f"{name}.{kind}", content)
        self._note(f"figure_{name}", text=dict(picture.text))
        return Shown(display.embed(files[0], picture.text[self.language]))

    def _note(self, name: str, **content: Any) -> None:
        write(
            self.folder / "notes" / f"{name}.json",
            json.dumps(content, ensure_ascii=False, indent=1).encode(),
        )

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
        path = self.folder / "notes" / f"{name}.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def need(self, *notebooks: str, strict: bool = True) -> Shown:
        """Make sure that earlier notebooks have run; run those that have not, with this run's parameters, and say so.

        One that failed in this run is not tried again.

        Raises
        ------
        RunError
            One of them failed, unless `strict` is False.
        """
        from cxlib.run.failures import failures
        from cxlib.run.notebooks import declared, execute_one  # the graph builds on this module

        absent = [
            name
            for name in notebooks
            if not (self.folder / "notes" / f"done_{name}.json").is_file()
        ]
        failed = failures(self.folder)
        if strict and (broken := [name for name in absent if name in failed]):
            raise RunError(failed[broken[0]].text[self.language])
        absent = [name for name in absent if name not in failed]
        given = json.loads((self.folder / "run.json").read_text("utf-8")).get("parameters", {})
        given |= {
            "study": study_argument(self.study),
            "out": str(self.folder),
            "language": self.language,
            "seed": self.seed,
        }
        for name in absent:
            try:
                execute_one(
                    name, self.folder, {k: v for k, v in given.items() if k in declared(name)}
                )
            except RunError:
                if strict:
                    raise
        if not absent:
            return Shown("")
        said = self.say(
            {
                "en": f"Computed here because it was not there yet: {', '.join(absent)}.",
                "zh": f"此前尚未运行，已在此补算：{', '.join(absent)}。",
            }
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
        from cxlib.run import report

        page = report.build(
            self.folder, notebook_folder(self.language), self.study, self.language, answer
        )
        write(self.folder / "report.html", page.encode())
        write(self.folder / "report.docx", report.word(page))
        return Shown(
            "<p>report.html, report.docx</p>"
        )  # names only: the run folder is moved when the run is complete

    def close(self, notebook: str) -> Shown:
        """Note that a notebook has finished, and show what it was computed with."""
        used = versions()
        self._note(f"done_{notebook}", seconds=round(time.time() - self.started, 2))
        listed = " · ".join(f"{k} {v}" for k, v in used.items())
        origin = self.say(ORIGIN[self.study.origin])
        title = html.escape(self.study.title[self.language])
        return Shown(f"<p><small>{title} — {origin}. seed {self.seed} · {listed}</small></p>")


ORIGIN = {
    "real": {"en": "real data", "zh": "真实数据"},
    "simulated": {
        "en": "SIMULATED data: a demonstration, not evidence",
        "zh": "模拟数据：仅作演示，不构成证据",
    },
}


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
    if language not in languages():
        raise UnknownLanguage(
            _(
                "language='{language}' is not known. Allowed: {names}.",
                language=language,
                names=languages(),
            )
        )
    loaded = load(study)
    folder = Path(out).resolve() if out else ROOT / "runs" / loaded.id
    identity = {
        "study": loaded.id,
        "fingerprint": fingerprint(loaded),
        "language": language,
        "seed": seed,
    }
    file = folder / "run.json"
    if (
        file.is_file()
        and {k: json.loads(file.read_text("utf-8")).get(k) for k in identity} != identity
    ):
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
        write(file, json.dumps(made, ensure_ascii=False, indent=1).encode())
    return Run(loaded, folder, language, seed)


def fingerprint(study: Study) -> str:
    """A hash of the study file and of every file it reads."""
    from cxlib.responses.reading import locate

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


def stamp(folder: Path, **parts: Mapping[str, Any]) -> None:
    """Add to what run.json already says."""
    content = json.loads((folder / "run.json").read_text("utf-8"))
    for name, part in parts.items():
        content[name] = {**content.get(name, {}), **part}
    write(folder / "run.json", json.dumps(content, ensure_ascii=False, indent=1).encode())


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


def notebook_folder(language: str) -> Path:
    """Where the notebooks of a language are: English beside the folders of the others."""
    return NOTEBOOKS if language == "en" else NOTEBOOKS / language


def study_argument(study: Study) -> str:
    """How to name the study to a notebook: by id if it ships with the suite, else by path."""
    return (
        study.folder.name
        if study.path == ROOT / "data" / study.folder.name / "study.yml"
        else str(study.path)
    )


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    os.replace(part, path)
