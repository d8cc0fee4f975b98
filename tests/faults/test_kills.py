"""`kill -9` at random points: what a returned call logged is in the backend once, whatever died.

The short form runs a few rounds; UNITRACK_FAULTS=full runs many. A failing round names its seed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from unitrack_faults import rounds
from unitrack_probe import points

from unitrack.delivery.report import read_report
from unitrack.local import LocalSource
from unitrack.records import Metrics
from unitrack.runfolder import RunFolder

pytestmark = pytest.mark.faults

ROUNDS = rounds(short=3, full=40)

TRAINER = """
import json, os, sys
import unitrack
run = unitrack.start_run("a", sinks=json.loads(sys.argv[2]), root=sys.argv[1])
report = os.dup(1)
os.write(report, b"started\\n")
for step in range(1_000_000):
    run.log_metrics({"loss": step / 7}, step=step)
    os.write(report, b"%d\\n" % step)
    if step % 50 == 0:
        run.log_params({f"p{step}": step})
"""


class Trainer:
    """A training process that reports each call that has returned through a pipe."""

    def __init__(self, root: Path, sinks: list[object]) -> None:
        self.folder = RunFolder(root / "runs" / "a")
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAINER, str(root / "runs"), json.dumps(sinks)], stdout=subprocess.PIPE, bufsize=0
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"started\n"

    def kill_after(self, seconds: float) -> int:
        """Let it train, kill it, and return the last step whose call had returned."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        reported = b""
        while time.monotonic() < deadline:
            reported = (reported + os.read(self.process.stdout.fileno(), 65536))[-100_000:]
        self.process.kill()
        reported += self.process.stdout.read()
        self.process.wait()
        self.process.stdout.close()
        return int(reported.rsplit(b"\n", 2)[-2])


def wait_until(happened: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def in_local_files(folder: RunFolder) -> tuple[str, list[tuple[int, float]]]:
    """The status, and all points in order."""
    found = LocalSource(str(folder.path)).records(folder.path.name)
    logged = [(record.step, record.metrics["loss"]) for record in found if isinstance(record, Metrics)]
    return json.loads((folder.path / "metadata.json").read_text())["status"], logged


def assert_all_once(logged: list[tuple[int, float]], last: int) -> None:
    """Steps 0 ... last each once and exact; the call under way when the trainer died may or may not be there."""
    assert [step for step, _ in logged] == list(range(len(logged)))
    assert len(logged) in (last + 1, last + 2)
    assert all(value == step / 7 for step, value in logged)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_killed_trainer_loses_no_returned_call(root: Path, seed: int) -> None:
    """Each is in every sink exactly once, and the run ends as failed."""
    sinks = ["local", {"probe": {"out": str(root / "probe")}}]
    trainer = Trainer(root, sinks)
    last = trainer.kill_after(random.Random(seed).uniform(0.0, 0.6))
    folder = trainer.folder
    wait_until(lambda: all(sink.state == "complete" for sink in read_report(folder).sinks.values()))
    status, logged = in_local_files(folder)
    assert status == "failed"
    assert_all_once(logged, last)
    assert points(root / "probe", "loss") == logged
    report = read_report(folder)
    assert report.ok
    assert report["local"].delivered == report["probe"].delivered
    wait_until(lambda: not folder.spool.exists())
