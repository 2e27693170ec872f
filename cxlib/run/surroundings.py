"""What a process needs from the machine it finds itself on: open streams that take any sentence, and folders it can write to."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path


def open_streams() -> None:
    """Open what the parent closed, and let no character of a sentence stop the output.

    A descriptor below 3 that is closed would be given to the next file that is opened, and what a
    child prints would land in it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a code page without Chinese prints ? for it


def writable_folders() -> None:
    """Send what libraries keep in the home to a temporary folder where the home takes no files, or there is none.

    Each of them would do so by itself with a warning, once a kernel, or stop.  The folder is removed when the process ends.
    """
    refused = (
        ["USERPROFILE" if sys.platform == "win32" else "HOME"]
        if os.path.expanduser("~") == "~"
        else []
    )
    refused += [name for name, folders in _kept().items() if not all(map(takes_files, folders))]
    if not refused:
        return
    temporary = Path(tempfile.mkdtemp(prefix="cxlib-"))
    atexit.register(_remove, temporary, os.getpid())
    for name in refused:
        folder = temporary / name.lower()
        folder.mkdir(mode=0o700)
        os.environ[name] = str(folder)


def _kept() -> dict[str, Iterable[Path]]:
    """The variable that moves a library's folders, and where those are now."""
    home = Path(os.path.expanduser("~"))
    config, cache, data = (
        Path(os.environ.get(name) or home / usual)
        for name, usual in (
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_DATA_HOME", ".local/share"),
        )
    )
    jupyter = Path(os.environ.get("JUPYTER_DATA_DIR") or data / "jupyter")
    usual = {
        "MPLCONFIGDIR": (config / "matplotlib", cache / "matplotlib"),
        "IPYTHONDIR": (home / ".ipython",),
        "JUPYTER_RUNTIME_DIR": (jupyter / "runtime",),
        "XDG_CACHE_HOME": (cache / "fontconfig",),
    }
    return {
        name: (Path(os.environ[name]),) if os.environ.get(name) else folders
        for name, folders in usual.items()
    }


def takes_files(folder: Path) -> bool:
    """Whether a file can be made there, or in the nearest folder above that exists."""
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not a forked child
        shutil.rmtree(folder, ignore_errors=True)
