"""Kernels that start at once: forked from one process that has imported what the notebooks use.

A plain kernel spends seconds importing before it computes anything.  Here a single *warm* process imports once for a
run and forks a kernel on request; where that cannot be (no fork, macOS, whose system libraries do not survive one, or
a warm process that did not start) kernels are started as jupyter_client starts them.

The warm process has one thread and no ZeroMQ context, so a fork of it is whole.  It ends when the run's process ends or
closes its socket, and its kernels end with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import cxlib

IMPORTED = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "IPython.core.completer", "matplotlib_inline.backend_inline",
    "matplotlib.pyplot", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "matplotlib.backends.backend_pdf",
    "seaborn", "scipy.linalg", "scipy.optimize", "scipy.special", "scipy.stats", "pyarrow.parquet", "pandas", "psutil",
    "cxlib.run.folder", "cxlib.sem",
)  # fmt: skip
"""What the warm process imports, besides every stage of cxlib."""
IMPORTED_LATER = (
    "statsmodels.api",
    "statsmodels.stats.proportion",
    "statsmodels.stats.multitest",
    "pingouin",
)
"""What it imports once the first kernel runs, alone: no notebook waits for it."""
LAUNCHER = "ipykernel_launcher"
SINGLE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
                 "JE_ARROW_MALLOC_CONF": "background_thread:false"}  # fmt: skip
"""The environment in which no library starts a thread when it is imported: a fork would lack it."""
FORKS = hasattr(os, "fork") and sys.platform != "darwin"


class Warm:
    """The warm process as the run sees it.  Kernels can be asked for from any thread."""

    def __init__(self) -> None:
        """Start it; it imports while the run goes on."""
        self._socket, theirs = socket.socketpair()
        with theirs:
            code = "import sys; sys.path.insert(0, sys.argv[1]); from cxlib.run import kernels; kernels.serve(int(sys.argv[2]))"
            command = [
                sys.executable,
                "-c",
                code,
                str(Path(__file__).resolve().parents[2]),
                str(theirs.fileno()),
            ]
            environment = {
                **SINGLE_THREAD,
                **os.environ,
                "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            }
            # A session of its own: Ctrl-C in the terminal is for the run, which then ends this process.
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=environment,
            )

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], folder: str) -> Forked:
        """A kernel with these command-line arguments.

        Raises
        ------
        OSError
            If the warm process is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._socket, [b"k"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return Forked(
            ours, {"arguments": list(arguments), "environment": dict(environment), "folder": folder}
        )

    def close(self) -> None:
        """End the warm process, and with it every kernel that still runs."""
        self._socket.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:  # it is still importing
            self._process.kill()
            self._process.wait()


class Forked:
    """A forked kernel, with what jupyter_client asks of a :class:`subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, request: Mapping[str, Any]) -> None:
        """Send the request and wait until there is a process."""
        self.returncode: int | None = None
        self._connection = connection
        self._lines = connection.makefile("r", encoding="utf-8")
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            self.pid = int(self._lines.readline())
        except (OSError, ValueError):  # no answer: the warm process has ended
            self._close()
            raise OSError("The warm process has ended.") from None

    def poll(self) -> int | None:
        """The exit code, None while the kernel runs."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, None if the kernel still runs after `timeout` seconds."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._connection, selectors.EVENT_READ)
                if selector.select(timeout):
                    # Nothing is said of how a kernel ended that ended with the warm process: it was killed.
                    self.returncode = int(self._lines.readline() or -signal.SIGKILL)
                    self._close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal unless the kernel has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the kernel."""
        self.send_signal(signal.SIGKILL)

    def _close(self) -> None:
        self._lines.close()
        self._connection.close()


def start() -> Warm | None:
    """Start the warm process of a run; None where kernels cannot be forked."""
    if not FORKS:
        return None
    try:
        return Warm()
    except OSError:
        return None


def manager(plain: type, warm: Warm | None) -> type:
    """A class of kernel managers as `plain` whose kernels are forked; `plain` itself without a warm process.

    A kernel that cannot be forked, or that is not this interpreter's own, is started as `plain` would.
    """
    if warm is None:
        return plain
    from jupyter_client.provisioning import LocalProvisioner

    source = warm

    class Forking(LocalProvisioner):
        async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
            if LAUNCHER not in cmd or cmd[0] != sys.executable:
                return await super().launch_kernel(cmd, **kwargs)
            arguments, folder = cmd[cmd.index(LAUNCHER) + 1 :], str(kwargs.get("cwd") or Path.cwd())
            try:
                forked = source.fork(arguments, kwargs.get("env") or os.environ, folder)
            except OSError:
                return await super().launch_kernel(cmd, **kwargs)
            self.process = cast(Any, forked)
            self.pid = self.pgid = forked.pid  # it leads a group of its own
            self.cwd = folder
            return self.connection_info

    class ForkingManager(plain):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.provisioner = Forking(kernel_spec=self.kernel_spec, parent=self)

    return ForkingManager


def serve(number: int) -> None:
    """The warm process: import, fork on request until the socket closes.  Returns in a forked kernel when that has ended."""
    control = socket.socket(fileno=number)
    control.set_inheritable(False)
    sys.path.remove(
        sys.argv[1]
    )  # it was there to find cxlib, whose modules are found without it from now on
    if "" in sys.path:
        sys.path.remove("")
    _import([*IMPORTED, *cxlib.STAGES.values()])
    if threading.active_count() > 1:
        return  # a fork would lack the other threads: plain kernels then
    connection = _fork_on_request(control)
    control.close()
    if connection is not None:
        _become_kernel(connection)


def _import(names: Sequence[str]) -> None:
    """Import what the notebooks use; what cannot be imported is left to the notebook that needs it, and to its message."""
    import gc
    import importlib

    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that the collector of a kernel does not copy the pages it shares with this process


def _fork_on_request(control: socket.socket) -> socket.socket | None:
    """Fork a kernel for each connection that arrives; returns the connection in the kernel, None when the run is over."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(
        signal.SIGCHLD, lambda *_: None
    )  # a handler, so that the end of a kernel wakes the loop below
    running: dict[int, socket.socket] = {}
    later_imported = False
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == woken:
                    with contextlib.suppress(BlockingIOError):
                        os.read(woken, 4096)
                    _tell_ended(running)
                    continue
                asked, numbers, _, _ = socket.recv_fds(control, 1, 1)
                if not asked:
                    for pid in running:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    return None
                connection = socket.socket(fileno=numbers[0])
                try:
                    pid = os.fork()
                except (
                    OSError
                ):  # no process or memory left: the run starts a plain kernel, which says so
                    connection.close()
                    continue
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for other in running.values():
                        other.close()
                    os.close(woken)
                    os.close(wake)
                    return connection
                running[pid] = connection
                with contextlib.suppress(OSError):
                    connection.sendall(f"{pid}\n".encode())
                if not later_imported:
                    _import(IMPORTED_LATER)
                    later_imported = True


def _tell_ended(running: dict[int, socket.socket]) -> None:
    """Tell the run the exit codes of the kernels that have ended."""
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with running.pop(pid) as connection, contextlib.suppress(OSError):
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _become_kernel(connection: socket.socket) -> None:
    """Be the kernel that the run asks for on the connection, until it is told to end."""
    parent = os.getppid()
    os.setsid()
    _end_with_parent()
    with connection, connection.makefile("r", encoding="utf-8") as lines:
        request = json.loads(lines.readline())
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    time.tzset()
    sys.argv = [LAUNCHER, *request["arguments"]]
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(
        argv=[*request["arguments"], f"--IPKernelApp.parent_handle={parent}"]
    )


def _end_with_parent() -> None:
    """Have Linux kill this process when its parent ends; elsewhere ipykernel looks every second whether it has."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
