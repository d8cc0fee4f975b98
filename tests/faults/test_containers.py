"""Containers that are killed: what a call returned for is there, no matter who delivers it, and where."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from unitrack_tests.faults import figure, rounds

from unitrack.delivery.status import read_run_state
from unitrack.delivery.sync import sync_run
from unitrack.local.source import LocalSource
from unitrack.records import Metrics
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.life import Life

pytestmark = pytest.mark.faults

_CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "sh", "-c"]
_TRAINER = """
import sys, unitrack
name, root, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
run = unitrack.start_run("a", run_id="job", resume="allow", sinks=["local"], root=root)
print("began", flush=True)
for step in range(first, last):
    run.log_metric("loss", step / 7, step=step)
    print(step, flush=True)
"""


def _may_unshare() -> bool:
    try:
        return subprocess.run([*_CONTAINER, "hostname other"], capture_output=True, timeout=30).returncode == 0
    except OSError:
        return False


needs_unshare = pytest.mark.skipif(not _may_unshare(), reason="pid namespaces can't be made here")


def _train_and_kill(root: Path, host: str, first: int, seconds: float) -> int:
    """Log in a container with a host name of its own, and kill it after a while; return the last step that returned."""
    command = [*_CONTAINER, f'hostname {host}; exec "$@"', "sh", sys.executable, "-c", _TRAINER, "a", str(root)]
    process = subprocess.Popen([*command, str(first), str(10**9)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "began\n"
    last = first - 1
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        last = int(process.stdout.readline())
    process.kill()
    told = process.communicate()[0].split("\n")
    return max([last, *(int(line) for line in told[:-1] if line.isdigit())])


def _wait_until_gone(folder: RunFolder) -> None:
    deadline = time.monotonic() + 30
    while folder.life_of(folder.read_manifest().owner) is not Life.GONE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@needs_unshare
@pytest.mark.timeout(600)  # a hundred containers in the long form
def test_a_run_goes_from_container_to_container(tmp_path: Path) -> None:
    """It is killed in each, taken up in the next with another host name, and ended by a sync from outside."""
    containers, lost, doubled, points = rounds(2, 10), 0, 0, 0
    for number in range(rounds(1, 10)):
        root = tmp_path / str(number)
        folder, last = RunFolder(root / "a"), -1
        for container in range(containers):
            last = _train_and_kill(root, f"pod-{container}", last + 1, 0.3)
            _wait_until_gone(folder)
        deadline = time.monotonic() + 60
        while read_run_state(folder).status != "failed":  # the kernel may not be through with the last courier
            assert time.monotonic() < deadline
            sync_run(folder, timeout=10)
        steps = [one.step for one in LocalSource(str(root)).records("a") if isinstance(one, Metrics)]
        points += last + 1
        lost += len(set(range(last + 1)) - set(steps))
        doubled += len(steps) - len(set(steps))
    figure(
        "Containers",
        "killed, taken up in the next, ended from outside",
        containers=containers * rounds(1, 10),
        points=points,
        lost=lost,
        doubled=doubled,
    )
    assert (lost, doubled) == (0, 0)


@needs_unshare
def test_the_end_of_pid_1_waits_for_its_couriers(tmp_path: Path) -> None:
    """With a finish timeout of nothing all sinks have everything before the container ends."""
    code = """
import os, sys, unitrack
config = {"tracking": {"finish_timeout": 0}}
sinks = ["local", {"probe": {"out": os.path.join(sys.argv[1], "probe")}}]
run = unitrack.start_run("a", sinks=sinks, root=sys.argv[1], config=config)
for step in range(int(sys.argv[2])):
    run.log_metric("loss", step / 7, step=step)
"""
    number = rounds(5_000, 100_000)
    command = [*_CONTAINER, 'exec "$@"', "sh", sys.executable, "-c", code, str(tmp_path), str(number)]
    done = subprocess.run(command, timeout=140, capture_output=True, text=True)
    state = read_run_state(RunFolder(tmp_path / "a"))
    assert state.status == "finished", done.stderr
    delivered = [sink.delivered for sink in state.sinks]
    figure("Containers", "PID 1 exits with deliveries pending", containers=1, points=number, lost=0, doubled=0)
    assert delivered == [number + 2] * 2
