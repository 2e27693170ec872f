"""One notebook, executed: its parameters, its kernel, its copy, and what became of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxlib.run import kernels
from cxlib.run.failures import RunError, clear, failure, note
from cxlib.run.files import notebook_folder, write


def execute_one(
    name: str, folder: Path, parameters: Mapping[str, Any], warm: kernels.Warm | None = None
) -> None:
    """One notebook through papermill, its kernel forked if there is a warm process; its copy is put in place when it has ended, whole or not.

    Raises
    ------
    RunError
        It failed; why is noted in the run folder, and what an earlier run left of it is gone.
    """
    import logging
    import tempfile

    import papermill

    logging.getLogger("papermill").setLevel(
        logging.CRITICAL
    )  # what a kernel died of is told by the failure
    clear(folder, name)
    target = folder / "notebooks" / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        source, part = (
            notebook_folder(parameters.get("language", "en")) / f"{name}.ipynb",
            Path(work) / "out.ipynb",
        )
        try:
            papermill.execute_notebook(
                str(source),
                str(part),
                dict(parameters),
                progress_bar=False,
                log_output=False,
                cwd=str(source.parent),
                kernel_name="python3",
                config=_transport(Path(work)),
                kernel_manager_class=kernels.manager(_quiet_kernels(), warm),
            )
        except Exception as error:  # a cell that raises, a kernel that dies or does not start: all end in a sentence
            found = failure(name, error, part)
            note(folder, found)
            raise RunError(found.text) from None
        finally:
            if part.is_file():
                write(target, part.read_bytes())


def _transport(work: Path) -> Any:
    """Reach the kernel through sockets in a folder of its own, not over the network, where the system has such and the path fits."""
    import zmq
    from traitlets.config import Config

    address = str(work / "kernel")
    if (
        sys.platform == "win32" or len(os.fsencode(f"{address}-5")) > zmq.IPC_PATH_MAX_LEN
    ):  # a kernel has five sockets
        return Config()
    return Config({"KernelManager": {"transport": "ipc", "ip": address}})


def _quiet_kernels() -> type:
    """Kernels that do not log to the terminal that they were told to stop; what a cell raises is told by papermill."""
    from jupyter_client.manager import AsyncKernelManager

    class QuietKernelManager(AsyncKernelManager):
        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            return super().format_kernel_cmd(
                [*(extra_arguments or []), "--IPKernelApp.log_level=50"]
            )

    return QuietKernelManager
