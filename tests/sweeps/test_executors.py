"""Executors by name: processes and threads of this machine, and how wrong names and missing packages are met."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import psutil
import pytest

from unitrack.errors import ConfigError, MissingPackageError
from unitrack.sweeps.executors import open_executor
from unitrack.sweeps.remote_calls import WorkerDiedError

pytest.importorskip("loky")
WITHIN_S = 60.0


def wait_for(path: Path) -> int:
    """Wait for a pid in a file."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        if path.exists() and (text := path.read_text()):
            return int(text)
        time.sleep(0.02)
    raise TimeoutError(path)


def add(one: int, other: int) -> int:
    return one + other


def refuse() -> None:
    raise KeyError("no")


def stay(file: str, until: str) -> int:
    """Say who runs this, and go on until a file is there."""
    Path(file).write_text(str(os.getpid()))
    end = time.monotonic() + WITHIN_S
    while not Path(until).exists() and time.monotonic() < end:
        time.sleep(0.02)
    return os.getpid()


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with open_executor("processes", 2) as executor:
        yield executor


def test_calls_run_in_other_processes(processes: Executor) -> None:
    assert [processes.submit(add, one, other=one).result(WITHIN_S) for one in range(5)] == [0, 2, 4, 6, 8]
    pids = {processes.submit(os.getpid).result(WITHIN_S) for _ in range(4)}
    assert os.getpid() not in pids
    with pytest.raises(KeyError, match="no"):
        processes.submit(refuse).result(WITHIN_S)


def test_a_function_of_a_script_or_a_notebook_will_do(processes: Executor) -> None:
    base = 40
    assert processes.submit(lambda more: base + more, 2).result(WITHIN_S) == 42


def test_a_killed_worker_takes_no_other_call_with_it(processes: Executor, tmp_path: Path) -> None:
    killed = processes.submit(stay, str(tmp_path / "killed"), str(tmp_path / "never"))
    other = processes.submit(stay, str(tmp_path / "other"), str(tmp_path / "go"))
    waiting = processes.submit(add, 20, 22)
    os.kill(wait_for(tmp_path / "killed"), signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match="worker process died"):
        killed.result(WITHIN_S)
    assert waiting.result(WITHIN_S) == 42  # in a new process
    assert not other.done()
    (tmp_path / "go").touch()
    assert other.result(WITHIN_S) == wait_for(tmp_path / "other")
    assert processes.submit(add, 1, 2).result(WITHIN_S) == 3


def test_a_worker_that_dies_while_idle_is_replaced() -> None:
    with open_executor("processes", 1) as executor:
        pid = executor.submit(os.getpid).result(WITHIN_S)
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(WorkerDiedError):  # a call that was given to it before anybody knew
            executor.submit(add, 1, 2).result(WITHIN_S)
        assert executor.submit(os.getpid).result(WITHIN_S) != pid


def test_no_process_is_left_behind() -> None:
    with open_executor("processes", 2) as executor:
        pids = {executor.submit(os.getpid).result(WITHIN_S) for _ in range(2)}
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(add, 1, 2)


def test_calls_that_have_not_begun_can_be_cancelled(tmp_path: Path) -> None:
    executor = open_executor("processes", 1)
    runs = executor.submit(stay, str(tmp_path / "pid"), str(tmp_path / "go"))
    waits = executor.submit(add, 1, 2)
    wait_for(tmp_path / "pid")
    threading.Timer(0.1, (tmp_path / "go").touch).start()
    executor.shutdown(cancel_futures=True)
    assert waits.cancelled()
    assert runs.result(WITHIN_S)


def test_threads_share_this_process() -> None:
    with open_executor("threads", 2) as executor:
        assert executor.submit(os.getpid).result(WITHIN_S) == os.getpid()


def test_an_executor_is_taken_as_it_is(processes: Executor) -> None:
    assert open_executor(processes, 7) is processes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("proceses", r"^executor 'proceses' is unknown: did you mean 'processes'\?$"),
        ("kubernetes", r"there are 'processes', 'threads', 'dask', 'ray' and 'slurm'"),
        (7, r"^executor must be a concurrent\.futures\.Executor.*got int$"),
    ],
)
def test_what_is_no_executor_is_refused(given: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_executor(given, 2)


@pytest.mark.parametrize(
    ("name", "module", "command"),
    [
        ("processes", "loky", r"pip install 'unitrack-core\[sweeps\]'"),
        ("dask", "distributed", r"needs the package 'dask'.*unitrack-core\[dask\]"),
        ("tcp://127.0.0.1:1", "distributed", r"unitrack-core\[dask\]"),
        ("ray", "ray", r"unitrack-core\[ray\]"),
        ("slurm", "submitit", r"unitrack-core\[slurm\]"),
    ],
)
def test_a_missing_package_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as Python has it for a package that is not there
    with pytest.raises(MissingPackageError, match=command):
        open_executor(name, 2)
