"""Forked kernels as a run uses them: what they inherit, how they end, and what happens where there is no fork."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from interrupted import with_sigint
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config

from cxlib.run import kernels

pytestmark = pytest.mark.skipif(
    not kernels.FORKS, reason="kernels are forked on Linux and its like only"
)
ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


@pytest.fixture(scope="module")
def warm():
    process = kernels.start()
    yield process
    process.close()


def ask(manager_class, folder, *codes, after=None, **start):
    """Run code in a kernel of its own; what each cell printed or the name of what it raised, the provisioner and its process."""

    async def run():
        manager = manager_class(
            kernel_name="python3",
            config=Config({"KernelManager": {"transport": "ipc", "ip": str(folder / "k")}}),
        )
        await manager.start_kernel(cwd=str(folder), **start)
        process, client = manager.provisioner.process, manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            said = []
            for code in codes:
                told = []

                def hear(message, told=told):
                    content = message["content"]
                    told.append(content.get("text") or content.get("ename") or "")
                    if after and "ready" in told[-1]:
                        asyncio.get_running_loop().create_task(after(manager))

                await client.execute_interactive(code, timeout=60, output_hook=hear)
                said.append("".join(told).strip())
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)
        return said, process

    return asyncio.run(run())


def gone(*pids, seconds=20):
    """Whether these processes end in time."""
    end = time.time() + seconds
    while time.time() < end:
        if not any(
            psutil.pid_exists(pid) and psutil.Process(pid).status() not in ENDED for pid in pids
        ):
            return True
        time.sleep(0.1)
    return False


def test_a_forked_kernel_is_warm_and_has_the_folder_and_the_environment_it_is_given(warm, tmp_path):
    codes = ["import sys; print('seaborn' in sys.modules, 'cxlib.stages.structure.structure' in sys.modules)", "import os; print(os.getcwd())",
             "print(os.environ['ONLY_HERE'])"]  # fmt: skip
    said, process = ask(
        kernels.manager(AsyncKernelManager, warm),
        tmp_path,
        *codes,
        env={**os.environ, "ONLY_HERE": "yes"},
    )
    assert isinstance(process, kernels.Forked)
    assert said == ["True True", str(tmp_path), "yes"]
    assert gone(process.pid) and process.wait() == -signal.SIGKILL


def test_a_forked_kernel_looks_for_modules_and_draws_where_a_plain_one_does(warm, tmp_path):
    codes = [
        "import sys; print(sys.path, sys.flags, sys.argv[1:2])",
        "from matplotlib import pyplot; print(pyplot.get_backend())",
    ]
    plain, forked = (
        ask(kernels.manager(AsyncKernelManager, process), tmp_path, *codes)[0]
        for process in (None, warm)
    )
    assert forked == plain


def test_everything_that_is_to_be_imported_can_be_and_is_there_from_the_second_kernel_on(
    warm, tmp_path
):
    forking, names = (
        kernels.manager(AsyncKernelManager, warm),
        [*kernels.IMPORTED, *kernels.IMPORTED_LATER],
    )
    ask(forking, tmp_path, "1")
    assert ask(
        forking,
        tmp_path,
        f"import sys; print([name for name in {names} if name not in sys.modules])",
    )[0] == ["[]"]


def test_what_one_kernel_does_another_does_not_see(warm, tmp_path):
    forking = kernels.manager(AsyncKernelManager, warm)
    ask(forking, tmp_path, "import numpy, os; numpy.left_behind = 1; os.environ['LEFT'] = '1'")
    assert ask(
        forking,
        tmp_path,
        "import numpy, os; print(hasattr(numpy, 'left_behind'), 'LEFT' in os.environ)",
    )[0] == ["False False"]


def test_the_process_that_forks_has_one_thread(warm, tmp_path):
    said, _ = ask(
        kernels.manager(AsyncKernelManager, warm), tmp_path, "import os; print(os.getppid())"
    )
    assert psutil.Process(int(said[0])).num_threads() == 1


def test_kernels_are_forked_from_several_threads_at_a_time(warm, tmp_path):
    forking = kernels.manager(AsyncKernelManager, warm)

    def square(number):
        (tmp_path / str(number)).mkdir()
        return ask(forking, tmp_path / str(number), f"print({number} ** 2)")[0]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(square, range(4))) == [["0"], ["1"], ["4"], ["9"]]


def test_an_interrupt_stops_the_cell_and_not_the_kernel(warm, tmp_path):
    async def interrupt(manager):
        await manager.interrupt_kernel()

    codes = ["print('ready', flush=True); import time; time.sleep(60)", "print(1 + 1)"]
    said, _ = ask(kernels.manager(AsyncKernelManager, warm), tmp_path, *codes, after=interrupt)
    assert "KeyboardInterrupt" in said[0] and said[1] == "2"


def test_a_kernel_that_dies_tells_how(warm, tmp_path):
    connection = tmp_path / "connection.json"
    kernel = warm.fork(
        ["-f", str(connection), "--IPKernelApp.log_level=50"], os.environ, str(tmp_path)
    )
    assert kernel.poll() is None and kernel.wait(0.01) is None
    kernel.kill()
    assert kernel.wait(20) == -signal.SIGKILL == kernel.poll() == kernel.returncode
    kernel.kill()  # of one that has ended: nothing happens
    refused = warm.fork(
        ["--no-such-option"], os.environ, str(tmp_path / "absent")
    )  # a folder that is not there
    assert refused.wait(20) == 1


@pytest.mark.slow
def test_plain_kernels_where_the_warm_process_is_gone_or_is_another_interpreter(tmp_path):
    process = kernels.start()
    forking = kernels.manager(AsyncKernelManager, process)
    process.close()
    assert ask(forking, tmp_path, "print(2 + 2)")[0] == ["4"]
    assert kernels.manager(AsyncKernelManager, None) is AsyncKernelManager


def test_a_kernel_of_another_interpreter_is_not_forked(warm, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "executable", "/another/python"
    )  # the kernel is started with a path that is not this one
    forking = kernels.manager(AsyncKernelManager, warm)
    monkeypatch.setattr(forking, "format_kernel_cmd", lambda self, extra_arguments=None: [
        os.path.join(sys.prefix, "bin", "python"), "-m", "ipykernel_launcher", "-f", self.connection_file])  # fmt: skip
    assert isinstance(ask(forking, tmp_path, "print(1)")[1], subprocess.Popen)


HOLDER = """
import os, sys, time
from cxlib.run import kernels
warm = kernels.start()
kernel = warm.fork(["-f", sys.argv[1], "--IPKernelApp.log_level=50"], os.environ, "/")
print(warm._process.pid, kernel.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["the run", "the warm process"])
def test_kernels_end_with_the_process_they_belong_to(tmp_path, victim):
    run = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "connection.json")],
        stdout=subprocess.PIPE,
        text=True,
    )
    with run.stdout:
        warm_pid, kernel_pid = map(int, run.stdout.readline().split())
    try:
        assert psutil.pid_exists(warm_pid) and psutil.pid_exists(kernel_pid)
        os.kill(run.pid if victim == "the run" else warm_pid, signal.SIGKILL)
        assert gone(warm_pid, kernel_pid)
    finally:
        run.kill()
        run.wait()


@pytest.mark.parametrize("moment", ["while it warms", "while notebooks run"])
def test_ctrl_c_leaves_no_process_and_no_file(tmp_path, moment):
    command = with_sigint(
        "default_int_handler", "run", "ecsi", "--only", "01,06", "--out", tmp_path / "run"
    )
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process, end = psutil.Process(run.pid), time.time() + 120

    def reached():
        if moment == "while it warms":
            return any("kernels.serve" in " ".join(child.cmdline()) for child in process.children())
        return list(tmp_path.glob(".run.part*/notes/done_01_cleaning.json"))

    while not reached() and run.poll() is None and time.time() < end:
        time.sleep(0.05)
    started = [child.pid for child in process.children(recursive=True)]
    assert started
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130 and "Traceback" not in errors, errors
    assert gone(*started) and list(tmp_path.iterdir()) == []
