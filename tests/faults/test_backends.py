"""A sink in every trouble that a plugin, or the SDK below it, can get into, beside one that is well.

Whatever it does to itself and its process, the sink beside it has everything, nothing that was logged is lost, and
either the trouble passes and the sink has everything once, or it is parked with a reason that names the trouble.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unitrack_bench import trouble
from unitrack_faults import FULL, figure, rounds
from unitrack_probe import calls, points

import unitrack
from unitrack import limits
from unitrack.delivery.pool import pool
from unitrack.delivery.report import SinkReport, read_report
from unitrack.local import LocalSource
from unitrack.records import Metrics
from unitrack.runfolder import RunFolder

pytestmark = pytest.mark.faults

TABLE = "Bad backends"
POINTS = 300
PATIENCE = 60.0
QUICK = {
    "RETRY_FIRST_S": 0.02,
    "RETRY_MAX_S": 0.1,
    "DRAIN_STALL_S": 0.2,
    "HEARTBEAT_S": 0.1,
    "SINK_HUNG_S": 1.0,
    "COURIER_SILENT_S": 6.0,  # a process takes two to start on a busy machine
    "COURIER_LEAVES_WITHIN_S": 0.5,
    "COURIER_RSS_BYTES": 150 * limits.MIB,
    "COURIER_LOG_BYTES": 64 * 1024,
}
"""Limits of the courier that is in trouble, and of the owner, which looks after it."""

PASSING = [
    ("raises once", "unexpected", 1),
    ("raises CancelledError once", "cancelled", 1),
    ("os._exit once", "die", 1),
    ("segfault once", "segfault", 1),
    ("blocks for ever, once", "hang", 1),
    ("is stopped (SIGSTOP), once", "stop", 1),
    ("keeps the interpreter lock, once", "keep_lock", 1),
    ("closes the files of its process, once", "close_files", 1),
    ("leaks 64 MiB a call", "leak", 1_000_000),
    ("prints 8 MiB a call", "flood", 1_000_000),
    ("changes what it is given, and fails, three times", "corrupt", 3),
    ("starts threads that never end", "thread", 1_000_000),
    ("changes the working directory", "chdir", 1_000_000),
    ("closes the standard streams", "close_stdio", 1_000_000),
]
LASTING = [
    ("raises", "unexpected", "KeyError: 'a bug of the sink'"),
    ("raises MemoryError", "memory_error", "MemoryError: no room"),
    ("sys.exit", "exit", "SystemExit: 3"),
    ("raises KeyboardInterrupt", "interrupt", "KeyboardInterrupt: as if by hand"),
    ("raises GeneratorExit", "generator_exit", "GeneratorExit: closed"),
    ("raises CancelledError", "cancelled", "CancelledError: by an event loop"),
    ("changes signal handlers", "signals", "signal only works in main thread"),
    ("os._exit", "die", "exit code 7"),
    ("segfault", "segfault", "SIGSEGV"),
    ("abort", "abort", "SIGABRT"),
    ("blocks for ever", "hang", "took more than 1 s"),
    ("is stopped (SIGSTOP)", "stop", "no sign of life for 6 s"),
    ("keeps the interpreter lock", "keep_lock", "no sign of life for 6 s"),
    ("closes the files of its process", "close_files", "Bad file descriptor"),
]
SHORT_PASSING = {"cancelled", "stop", "hang", "leak", "flood", "corrupt"}
SHORT_LASTING = {"interrupt", "segfault"}


@pytest.fixture(autouse=True)
def couriers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a trouble leaves of a courier is no other test's."""
    for name, value in QUICK.items():
        monkeypatch.setattr(limits, name, value)
    pool.let_go()
    yield
    pool.let_go()


def train(root: Path, *troubles: dict[str, Any], backend: str = "probe2", patience: float = 0.2) -> unitrack.Run:
    """Log to local files and to a sink in trouble, a point a call, in five batches if the sinks take them in time."""
    options = {"out": str(root / "bad"), "troubles": list(troubles), "limits": QUICK}
    run = unitrack.start_run("a", sinks=["local", {backend: {"name": "bad", **options}}], root=root / "runs")
    for step in range(POINTS):
        run.log_metrics({"loss": step / 7}, step=step)
        if step % 60 == 59:
            run.flush(timeout=patience)
            time.sleep(2 * limits.HEARTBEAT_S)
    return run


def finish(run: unitrack.Run) -> SinkReport:
    """The account of the bad sink; the other one has everything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)
        report = run.finish(timeout=PATIENCE)
    assert report["local"].ok and report["local"].state == "complete", report
    assert in_local_files(run) == expected(), "the sink beside it"
    return report["bad"]


def expected() -> list[tuple[int, float]]:
    return [(step, step / 7) for step in range(POINTS)]


def in_local_files(run: unitrack.Run) -> list[tuple[int, float]]:
    found = LocalSource(str(run.path)).records("a")
    return [(record.step, record.metrics["loss"]) for record in found if isinstance(record, Metrics)]


def note(row: str, run: unitrack.Run, bad: SinkReport) -> None:
    """The row of the table."""
    figure(
        TABLE,
        row,
        records=bad.delivered + bad.dead_lettered + bad.pending,
        delivered=bad.delivered,
        **{"dead-lettered": bad.dead_lettered},
        pending=bad.pending,
        parked=int(bad.state == "parked"),
        in_the_other_sink=read_report(RunFolder(run.path))["local"].delivered,
    )


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
@pytest.mark.parametrize("seed", range(rounds(short=1, full=2)))
@pytest.mark.parametrize(
    ("row", "kind", "times"),
    [case for case in PASSING if FULL or case[1] in SHORT_PASSING],
    ids=str,
)
def test_trouble_that_passes_costs_nothing(root: Path, row: str, kind: str, times: int, seed: int) -> None:
    """Everything is in the sink once, and in the one beside it."""
    run = train(root, trouble("log_metrics", kind, times=times), patience=PATIENCE)
    bad = finish(run)
    note(row, run, bad)
    assert (bad.state, bad.pending, bad.dead_lettered) == ("complete", 0, 0), bad
    assert points(root / "bad", "loss") == expected()
    assert len((root / "bad" / "trouble-0").read_bytes()) >= min(times, 1), "there was no trouble"
    if kind == "leak":
        assert len({call["pid"] for call in calls(root / "bad")}) > 1, "it was not started again"
    if kind == "flood":
        printed = sum(file.stat().st_size for file in run.path.glob(".unitrack/*.log"))
        assert printed < 40 * limits.MIB


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
@pytest.mark.parametrize("seed", range(rounds(short=1, full=2)))
@pytest.mark.parametrize(
    ("row", "kind", "says"),
    [case for case in LASTING if FULL or case[1] in SHORT_LASTING],
    ids=str,
)
def test_trouble_that_lasts_parks_and_names_itself(root: Path, row: str, kind: str, says: str, seed: int) -> None:
    """Nothing is delivered, nothing is lost, and the account says what somebody has to mend."""
    run = train(root, trouble("log_metrics", kind))
    bad = finish(run)
    note(row, run, bad)
    assert (bad.state, bad.dead_lettered) == ("parked", 0), bad
    assert bad.delivered + bad.pending == POINTS + 2
    assert bad.pending > POINTS
    assert says in (bad.last_error or "")
    assert points(root / "bad", "loss") == []
