"""Scalars of a device that is slow: who reads them, in what order, and what is left when training is stopped."""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.device import Device
from unitrack_tests.faults import figure, rounds

import unitrack
from unitrack.delivery.report import read_report
from unitrack.local.source import LocalSource
from unitrack.records import Metrics
from unitrack.runfolder.run_folder import RunFolder

pytestmark = pytest.mark.faults

ROUNDS = rounds(short=2, full=20)
CALLS = rounds(short=300, full=2000)
TABLE = "Scalars on a device"

TRAINER = """
import os, sys, time
import unitrack
from unitrack_tests.device import Device
device = Device(seconds=0.002)
run = unitrack.start_run("a", sinks=["local"], root=sys.argv[1])
report = os.dup(1)
for step in range(int(sys.argv[2])):
    run.log_metrics({"plain": step / 7}, step=step)
    run.log_metrics({"device": device.scalar(step / 7)}, step=step)
    os.write(report, b"%d\\n" % step)
    time.sleep(0.002)
"""


def logged(folder: Path) -> list[Metrics]:
    return [record for record in LocalSource(str(folder)).records(folder.name) if isinstance(record, Metrics)]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_slow_device_costs_the_caller_nothing(root: Path, seed: int) -> None:
    """No read on its thread, each value at its own step, in order, and no graph kept."""
    dice = random.Random(seed)
    device = Device(is_open=False, seconds=0.0002)
    expected: list[tuple[int, dict[str, float]]] = []
    graphs: list[weakref.ref[Any]] = []
    run = unitrack.start_run("a", sinks=["local"], root=root / "runs")
    for step in range(CALLS):
        value = dice.gauss(0, 1)
        metrics: dict[str, Any] = {"lr": 0.1} if dice.random() < 0.5 else {}
        expected.append((step, {"loss": value, **metrics}))
        scalar = device.scalar(value)
        graphs.append(weakref.ref(scalar.graph))
        run.log_metrics({"loss": scalar, **metrics}, step=step)
        del scalar
    gc.collect()  # a frame in which a signal was handled may have made a circle
    alive = sum(graph() is not None for graph in graphs)
    on_caller = len(device.reads) + (threading.get_ident() in device.readers)  # the gate is shut: none can have come
    device.open.set()
    assert run.finish().ok
    found = [(record.step, record.values()) for record in logged(run.path)]
    out_of_order = sum(step > following for (step, _), (following, _) in itertools.pairwise(found))
    on_caller += threading.get_ident() in device.readers
    lost = len([point for point in expected if point not in found])
    figure(
        TABLE,
        "a device that is slow",
        calls=CALLS,
        lost_plain=0,
        lost_on_a_device=lost,
        read_by_the_caller=on_caller,
        out_of_order=out_of_order,
        graphs_kept=alive,
    )
    assert found == expected
    assert (lost, on_caller, out_of_order, alive) == (0, 0, 0, 0)


@pytest.mark.parametrize("how", ["exit", "SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_what_is_left_when_training_stops(root: Path, how: str, seed: int) -> None:
    """Exit and SIGTERM wait for the device. SIGKILL costs what it had not answered yet, and no plain value."""
    dice = random.Random(f"{how} {seed}")
    last = _train_until(root, how, dice.uniform(0.05, 0.5))
    folder = RunFolder(root / "runs" / "a")
    deadline = time.monotonic() + 60
    while any(sink.state != "complete" for sink in read_report(folder).sinks.values()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    found = logged(folder.path)
    lost = {}
    for name in ("plain", "device"):
        points = {record.step: record.metrics[name] for record in found if name in record.metrics}
        assert all(value == step / 7 for step, value in points.items())
        lost[name] = len(set(range(last + 1)) - set(points))
    figure(TABLE, how, calls=2 * (last + 1), lost_plain=lost["plain"], lost_on_a_device=lost["device"])
    assert lost["plain"] == 0
    if how == "SIGKILL":
        assert lost["device"] <= last
    else:
        assert lost["device"] == 0
        status = json.loads((folder.path / "metadata.json").read_text())["status"]
        assert status == {"exit": "completed", "SIGTERM": "killed"}[how]


def _train_until(root: Path, how: str, seconds: float) -> int:
    """Train in a process, and stop it; returns the last step whose calls have returned."""
    steps = 100 if how == "exit" else 1_000_000
    command = [sys.executable, "-c", TRAINER, str(root / "runs"), str(steps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None
        reported = [trainer.stdout.readline()]
        if how != "exit":
            time.sleep(seconds)
            os.kill(trainer.pid, getattr(signal, how))
        reported += trainer.stdout.readlines()
    assert trainer.returncode == (0 if how == "exit" else -getattr(signal, how))
    return int(reported[-1])
