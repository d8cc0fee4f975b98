"""The process of a trial's program: its output, its end, and that it ends with its agent."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from unitrack.sweeps.process import ProgramProcess


@pytest.fixture
def start():
    started = []

    def starter(*command):
        printed = []
        process = ProgramProcess(command, os.environ, printed.append)
        started.append(process)
        return process, printed

    yield starter
    for process in started:
        process.stop(0)


def test_its_output_and_its_exit_code(start):
    process, printed = start("sh", "-c", "echo out; echo err >&2; exit 3")
    assert process.wait(10) == 3
    process.close()
    assert sorted(b"".join(printed).split()) == [b"err", b"out"]


def test_it_has_no_input(start):
    process, printed = start(sys.executable, "-c", "import sys; print(repr(sys.stdin.read()))")
    assert process.wait(20) == 0
    process.close()
    assert b"".join(printed) == b"''\n"


def test_a_signal_is_a_negative_code(start):
    process, _ = start("sh", "-c", "kill -9 $$")
    assert process.wait(10) == -signal.SIGKILL
    process.close()


def test_what_it_has_started_ends_with_it(start, tmp_path):
    file = tmp_path / "pid"
    process, _ = start("sh", "-c", f"sleep 100 & echo $! > {file}.new; mv {file}.new {file}; wait")
    inner = _pid_in(file)
    process.stop(5)
    assert process.wait(0) == -signal.SIGTERM
    process.close()
    assert _is_gone(inner)


def test_one_that_ignores_sigterm_is_killed_after_its_grace(start):
    process, _ = start("sh", "-c", "trap '' TERM; echo; while :; do sleep 0.1; done")
    time.sleep(0.2)
    begun = time.monotonic()
    process.stop(0.3)
    assert process.wait(0) == -signal.SIGKILL
    assert 0.3 <= time.monotonic() - begun < 5
    process.close()


def test_or_at_once(start):
    process, _ = start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    time.sleep(0.2)
    at_once = threading.Event()
    at_once.set()
    begun = time.monotonic()
    process.stop(60, at_once)
    assert process.wait(0) == -signal.SIGKILL and time.monotonic() - begun < 10
    process.close()


def test_it_ends_when_its_agent_is_killed(tmp_path):
    file = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {file}.new; mv {file}.new {file}; exec sleep 100"]
    code = (
        "import os, time; from unitrack.sweeps.process import ProgramProcess\n"
        f"ProgramProcess({command!r}, os.environ, print)\n"
        "time.sleep(100)"
    )
    agent = subprocess.Popen([sys.executable, "-c", code])
    program = _pid_in(file)
    agent.kill()
    agent.wait()
    assert _is_gone(program)


def test_a_program_with_children_in_the_background_is_not_waited_for(start):
    process, printed = start("sh", "-c", "sleep 3 & echo done")
    assert process.wait(10) == 0
    begun = time.monotonic()
    process.close()
    assert b"".join(printed) == b"done\n" and time.monotonic() - begun < 2.9


def _pid_in(file):
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(file.read_text())


def _is_gone(pid):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
