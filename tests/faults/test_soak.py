"""Many points in one run while a sink fails again and again: memory and disk stay as they were, and nothing is lost.

The short form takes seconds, the long one two minutes, and UNITRACK_FAULTS=soak logs 10 million points in 10 minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import pytest
from unitrack_tests.faults import FULL, SOAK, figure

from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import read_report
from unitrack.limits import MIB, SEGMENT_BYTES
from unitrack.records import Metrics
from unitrack.runfolder.run_folder import RunFolder

pytestmark = pytest.mark.faults


class Form(NamedTuple):
    """How much is logged, in calls of ten points, for how long, in segments of what size; and what is printed."""

    calls: int
    seconds: float
    segment_bytes: int
    retry_first_s: float
    table: str = "Soak"


SHORT = Form(calls=6_000, seconds=4, segment_bytes=MIB // 4, retry_first_s=0.05)
LONG = Form(calls=200_000, seconds=90, segment_bytes=8 * MIB, retry_first_s=0.5)
WHOLE = Form(calls=1_000_000, seconds=600, segment_bytes=SEGMENT_BYTES, retry_first_s=0.5, table="Soak, whole")
FORM = WHOLE if SOAK else LONG if FULL else SHORT

POINTS_A_CALL = 10
COURIER_LIMIT = 200 * MIB
GROWTH_LIMIT = 8 * MIB
"""Of the trainer after its first quarter. A leak of one byte a point would be 10 MB in the whole form."""
REFUSED_EVERY, UNCONFIRMED_EVERY = 3, 5

TRAINER = """
import json, os, sys, time
import unitrack
from unitrack.journal import JournalWriter
root, sinks, calls, seconds, segment_bytes = json.loads(sys.argv[1])
JournalWriter.__init__.__defaults__ = (segment_bytes, None, None)
run = unitrack.start_run("soak", sinks=sinks, root=root)
begin = time.monotonic()
for step in range(calls):
    if step % 100 == 0:
        time.sleep(max(0.0, begin + seconds * step / calls - time.monotonic()))
    run.log_metrics({f"m{number}": step + number / 10 for number in range(10)}, step=step)
logged = time.monotonic()
flushed = run.flush(timeout=300)
lag = time.monotonic() - logged
spool = run.path / ".spool"
deadline = time.monotonic() + 30
while (left := sum(file.stat().st_size for file in spool.glob("*.journal"))) > segment_bytes * 1.5:
    if time.monotonic() > deadline:
        break
    time.sleep(0.1)
before = time.monotonic()
report = run.finish(timeout=60)
print(json.dumps({
    "lag_s": lag, "flushed": flushed.ok, "left": left, "finish_s": time.monotonic() - before, "ok": report.ok,
    "report": str(report)
}))
"""


class Peaks:
    """What was seen of the processes and of the spool."""

    def __init__(self) -> None:
        self.trainer: list[int] = []
        self.courier = 0
        self.spool = 0

    def look(self, trainer: psutil.Process, spool: Path) -> None:
        """Take a sample; what ends meanwhile is no longer of interest."""
        try:
            self.trainer.append(trainer.memory_info().rss)
            for child in trainer.children():
                if "unitrack.delivery.courier" in child.cmdline():
                    self.courier = max(self.courier, child.memory_info().rss)
            self.spool = max(self.spool, sum(file.stat().st_size for file in spool.glob("*.journal")))
        except (psutil.Error, FileNotFoundError):
            return

    def growth(self) -> int:
        """By how many bytes the trainer grew at most after its first quarter."""
        quarter = len(self.trainer) // 4
        return max(0, max(self.trainer[quarter:]) - self.trainer[quarter])


@pytest.mark.timeout(FORM.seconds + 600)
def test_a_long_run_with_a_flaky_sink_stays_small_and_loses_nothing(root: Path) -> None:
    """One sink fails at every third batch and at every fifth flush, all the time; the other sink is well."""
    out = root / "probe"
    troubles = [
        {"hook": "log_metrics", "kind": "unavailable", "every": REFUSED_EVERY},
        {"hook": "flush", "kind": "unavailable", "every": UNCONFIRMED_EVERY},
    ]
    limits = {"RETRY_FIRST_S": FORM.retry_first_s}
    sinks = ["local", {"probe": {"out": str(out), "troubles": troubles, "limits": limits}}]
    told, peaks = _train(root, sinks)
    folder = RunFolder(root / "runs" / "soak")
    assert told["flushed"] and told["ok"], told["report"]
    assert all(sink.pending == 0 for sink in read_report(folder).sinks.values())

    stored = _stored_steps(out / "stored.jsonl")
    local = _local_steps(folder.path / "metrics.jsonl")
    lost = FORM.calls - min(len(set(stored)), len(set(local)))
    doubled = len(stored) + len(local) - len(set(stored)) - len(set(local))
    failures = sum(
        (out / f"trouble-{number}").stat().st_size // every
        for number, every in enumerate((REFUSED_EVERY, UNCONFIRMED_EVERY))
    )
    written = _bytes_written(folder)
    figure(
        FORM.table,
        f"{FORM.calls * POINTS_A_CALL:,} points in {FORM.seconds:.0f} s",
        lost=lost * POINTS_A_CALL,
        doubled=doubled * POINTS_A_CALL,
        failures_of_the_sink=failures,
        lag_is_0_after=f"{told['lag_s']:.1f} s",
        finish_returns_after=f"{told['finish_s']:.1f} s",
        trainer_grew_by=_mb(peaks.growth()),
        courier_at_most=_mb(peaks.courier),
        journal_in_all=_mb(written),
        spool_at_most=_mb(peaks.spool),
        spool_at_the_end=_mb(told["left"]),
    )
    assert stored == local == list(range(FORM.calls))
    assert failures >= 5
    assert peaks.growth() < GROWTH_LIMIT
    assert 0 < peaks.courier < COURIER_LIMIT
    assert written > 3 * FORM.segment_bytes
    assert told["left"] <= 1.5 * FORM.segment_bytes


def _train(root: Path, sinks: list[Any]) -> tuple[dict[str, Any], Peaks]:
    """Train in a process and watch it."""
    asked = json.dumps([str(root / "runs"), sinks, FORM.calls, FORM.seconds, FORM.segment_bytes])
    peaks = Peaks()
    with subprocess.Popen([sys.executable, "-c", TRAINER, asked], stdout=subprocess.PIPE) as trainer:
        process = psutil.Process(trainer.pid)
        while trainer.poll() is None:
            if (root / "runs" / "soak" / ".spool").exists():
                peaks.look(process, root / "runs" / "soak" / ".spool")
            time.sleep(0.1)
        assert trainer.stdout is not None
        told = trainer.stdout.read()
    assert trainer.returncode == 0
    return json.loads(told), peaks


def _stored_steps(file: Path) -> list[int]:
    decode = msgspec.json.Decoder(Metrics).decode
    steps = []
    with file.open("rb") as lines:
        for line in lines:
            record = decode(line)
            assert record.metrics == _expected(record.step)
            steps.append(record.step)
    return steps


def _local_steps(file: Path) -> list[int]:
    decode = msgspec.json.Decoder().decode
    steps = []
    with file.open("rb") as lines:
        for line in lines:
            entry = decode(line)
            assert entry["metrics"] == _expected(entry["step"])
            steps.append(entry["step"])
    return steps


def _expected(step: int) -> dict[str, float]:
    return {f"m{number}": step + number / 10 for number in range(POINTS_A_CALL)}


def _bytes_written(folder: RunFolder) -> int:
    (position,) = Ledger.load(folder.ledger_file("local")).positions.values()
    return position.segment * FORM.segment_bytes + position.offset


def _mb(size: int) -> str:
    return f"{size / MIB:.1f} MB"
