"""A run in surroundings that no library expects: it works, says nothing of them, and computes the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cxlib.run import folder as run
from cxlib.run import surroundings
from cxlib.run.files import ROOT

HOMES = (
    "MPLCONFIGDIR",
    "IPYTHONDIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTER_DATA_DIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


def cxlib(*arguments, before=(), **more):
    return subprocess.run(
        [*before, sys.executable, "-m", "cxlib.run.cli", *map(str, arguments)],
        capture_output=True,
        timeout=300,
        check=False,
        **more,
    )


def environment(**changes):
    """The environment of this process without what moves a library's folders."""
    return {name: value for name, value in os.environ.items() if name not in HOMES} | changes


@pytest.fixture
def no_home(tmp_path):
    """A home in which nobody can make a file, not even root: it is none."""
    file = tmp_path / "home"
    file.write_bytes(b"")
    return str(file)


def test_folders_move_only_where_the_home_takes_no_files(tmp_path, no_home, monkeypatch):
    for name in HOMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    before = dict(os.environ)
    surroundings.writable_folders()
    assert dict(os.environ) == before and [path.name for path in tmp_path.iterdir()] == ["home"]
    monkeypatch.setenv("HOME", no_home)
    monkeypatch.setenv("USERPROFILE", no_home)
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    moved = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "XDG_CACHE_HOME")
    for name in moved:
        monkeypatch.setenv(name, "")  # so that monkeypatch takes back what is set below
    surroundings.writable_folders()
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path)
    assert all(surroundings.takes_files(Path(os.environ[name])) for name in moved)


@posix
def test_a_user_without_a_home_gets_one_for_the_time_of_the_run(tmp_path, monkeypatch):
    import pwd

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("HOME")
    surroundings.writable_folders()
    assert Path.home().is_absolute() and surroundings.takes_files(Path.home())


def test_a_folder_that_was_asked_for_and_takes_no_files_moves_too(no_home, monkeypatch):
    monkeypatch.setenv("MPLCONFIGDIR", no_home)
    surroundings.writable_folders()
    assert os.environ["MPLCONFIGDIR"] != no_home and os.path.isdir(os.environ["MPLCONFIGDIR"])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk", "utf-8"])
def test_a_code_page_without_chinese_does_not_stop_the_output(encoding):
    done = cxlib("check", "ecsi", "--language", "zh", env=environment(PYTHONIOENCODING=encoding))
    assert done.returncode == 0 and done.stderr == b""
    shown = done.stdout.decode(encoding)
    assert "250" in shown
    assert ("感知质量" in shown) == (encoding in ("gbk", "utf-8"))


@pytest.mark.slow
@posix
def test_closed_streams_do_not_stop_a_run(tmp_path):
    done = cxlib(
        "run",
        "ecsi",
        "--only",
        "01",
        "--out",
        tmp_path / "run",
        before=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"],
    )
    assert done.returncode == 0
    assert (tmp_path / "run" / "tables" / "cleaning_flow.csv").is_file()


@pytest.mark.slow
@posix
def test_nothing_of_the_surroundings_reaches_the_numbers_or_the_terminal(tmp_path, no_home):
    """No home, another locale, zone and hash seed, a folder for temporary files too long for a socket, Chinese and spaces in the path."""
    suite, temporary = tmp_path / "顾客 体验", tmp_path / ("long" * 25)
    temporary.mkdir()
    for part in ("cxlib", "notebooks", "data"):
        shutil.copytree(ROOT / part, suite / part, ignore=shutil.ignore_patterns("__pycache__"))
    hostile = environment(
        HOME=no_home,
        LC_ALL="C",
        LANG="C",
        TZ="Asia/Shanghai",
        PYTHONHASHSEED="7",
        TMPDIR=str(temporary),
        PYTHONPATH=str(suite),
    )
    there = cxlib(
        "run", "ecsi", "--only", "01,03", cwd=suite, env=hostile, stdin=subprocess.DEVNULL
    )
    assert (there.returncode, there.stderr) == (0, b"")
    assert list(temporary.iterdir()) == []
    here = cxlib("run", "ecsi", "--only", "01,03", "--out", tmp_path / "run")
    assert here.returncode == 0
    tables = [
        {path.name: path.read_bytes() for path in (folder / "tables").iterdir()}
        for folder in (suite / "runs" / "ecsi", tmp_path / "run")
    ]
    assert tables[0] and tables[0] == tables[1]


@pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")
def test_a_copy_inside_another_repository_does_not_name_that_ones_commit(tmp_path, monkeypatch):
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
    (tmp_path / "suite").mkdir()
    monkeypatch.setattr(run, "ROOT", tmp_path)
    assert run.commit()
    monkeypatch.setattr(run, "ROOT", tmp_path / "suite")
    assert run.commit() == ""
