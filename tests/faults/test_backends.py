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

import msgspec
import pytest
from unitrack_probe import calls, points
from unitrack_tests.bench import trouble
from unitrack_tests.faults import FULL, figure

import unitrack
from unitrack import limits
from unitrack.delivery.courier.pool import pool
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import SinkReport, read_report
from unitrack.local.source import LocalSource
from unitrack.plugins.registry import installed, with_backend
from unitrack.records import Metrics
from unitrack.runfolder.run_folder import RunFolder

pytestmark = pytest.mark.faults

TABLE = "Bad backends"
POINTS = 300
PATIENCE = 60.0
QUICK = {
    "RETRY_FIRST_S": 0.02,
    "RETRY_MAX_S": 0.1,
    "DRAIN_STALL_S": 0.2,
    "HEARTBEAT_S": 0.1,
    "SINK_HUNG_S": 3.0,
    "COURIER_SILENT_S": 12.0,  # a process takes some to start on a busy machine
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
    ("blocks for ever", "hang", "took more than 3 s"),
    ("is stopped (SIGSTOP)", "stop", "no sign of life for 12 s"),
    ("keeps the interpreter lock", "keep_lock", "no sign of life for 12 s"),
    ("closes the files of its process", "close_files", "Bad file descriptor"),
]
SHORT_PASSING = {"cancelled", "stop", "hang", "leak", "flood", "corrupt"}
SHORT_LASTING = {"interrupt", "segfault"}

BROKEN_MODULES = [
    ("fails on import", "raise ImportError('libcuda is missing')", "ImportError: libcuda is missing"),
    ("sys.exit on import", "raise SystemExit(4)", "SystemExit: 4"),
    ("os._exit on import", "import os; os._exit(9)", "exit code 9"),
    ("is no Python", "class", "SyntaxError"),
]


@pytest.fixture(autouse=True)
def couriers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a trouble leaves of a courier is no other test's."""
    for name, value in QUICK.items():
        monkeypatch.setattr(limits, name, value)
    pool.let_go()
    yield
    pool.let_go()


def train(root: Path, *troubles: dict[str, Any], patience: float = 0.2) -> unitrack.Run:
    """Log to local files and to a sink in trouble, a point a call, in five batches if the sinks take them in time."""
    options = {"out": str(root / "bad"), "troubles": list(troubles), "limits": QUICK}
    run = unitrack.start_run("a", sinks=["local", {"probe2": {"name": "bad", **options}}], root=root / "runs")
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
@pytest.mark.parametrize(
    ("row", "kind", "times"),
    [case for case in PASSING if FULL or case[1] in SHORT_PASSING],
    ids=str,
)
def test_trouble_that_passes_costs_nothing(root: Path, row: str, kind: str, times: int) -> None:
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
        log = run.path / ".unitrack" / "probe2.log"
        deadline = time.monotonic() + PATIENCE
        while log.stat().st_size > limits.COURIER_LOG_BYTES:
            assert time.monotonic() < deadline, "the log was not cut"
            time.sleep(0.05)
        assert log.read_text().startswith("[what was printed before this is cut off]")


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
@pytest.mark.parametrize(
    ("row", "kind", "says"),
    [case for case in LASTING if FULL or case[1] in SHORT_LASTING],
    ids=str,
)
def test_trouble_that_lasts_parks_and_names_itself(root: Path, row: str, kind: str, says: str) -> None:
    """Nothing is delivered, nothing is lost, and the account says what somebody has to mend."""
    run = train(root, trouble("log_metrics", kind))
    bad = finish(run)
    note(row, run, bad)
    assert (bad.state, bad.dead_lettered) == ("parked", 0), bad
    assert bad.delivered + bad.pending == POINTS + 2
    assert bad.pending > POINTS
    assert says in (bad.last_error or "")
    assert points(root / "bad", "loss") == []


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
@pytest.mark.parametrize(("row", "code", "says"), BROKEN_MODULES if FULL else BROKEN_MODULES[:1], ids=str)
def test_a_module_that_can_not_be_imported_is_parked(
    root: Path, monkeypatch: pytest.MonkeyPatch, row: str, code: str, says: str
) -> None:
    """The training process never imports it, so only its courier finds out."""
    (root / "broken_sink.py").write_text(code)
    monkeypatch.syspath_prepend(root)
    probe = installed().backend("probe2")
    broken = msgspec.structs.replace(probe, name="broken", sink="broken_sink:Sink")
    with with_backend(broken):
        run = unitrack.start_run("a", sinks=["local", {"broken": {"name": "bad", "out": "out"}}], root=root / "runs")
    for step in range(POINTS):
        run.log_metrics({"loss": step / 7}, step=step)
    bad = finish(run)
    note(row, run, bad)
    assert (bad.state, bad.delivered, bad.pending, bad.dead_lettered) == ("parked", 0, POINTS + 2, 0), bad
    assert says in (bad.last_error or "")


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_a_run_whose_sink_blocks_holds_no_other_run_of_its_courier(root: Path) -> None:
    """Each has a lane of its own; when the watchdog ends the courier, the other goes on where it was."""
    bad = {"out": str(root / "bad"), "troubles": [trouble("log_metrics", "hang")], "limits": QUICK}
    runs = [
        unitrack.start_run(name, sinks=[{"probe2": options}], root=root / "runs")
        for name, options in (("blocked", bad), ("free", {"out": str(root / "free")}))
    ]
    couriers = set()
    deadline = time.monotonic() + PATIENCE
    step = 0
    while len(couriers) < 3 and time.monotonic() < deadline:
        for run in runs:
            run.log_metrics({"loss": float(step)}, step=step)
        step += 1
        assert runs[1].flush(timeout=PATIENCE).ok
        couriers.add(calls(root / "free")[-1]["pid"])
    assert len(couriers) == 3
    assert runs[1].finish(timeout=PATIENCE).ok
    assert points(root / "free", "loss") == [(number, float(number)) for number in range(step)]
    report = runs[0].finish(timeout=PATIENCE)["probe2"]
    assert report.pending >= step
    assert "took more than 3 s" in (report.last_error or "")


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_what_a_courier_died_of_is_tried_again_later(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parked with the time of the next try, as any parked sink; when the cause is gone everything arrives."""
    monkeypatch.setattr(limits, "PARKED_RETRY_S", 2.0)
    deaths = limits.MAX_COURIER_RESTARTS + 1
    run = train(root, trouble("log_metrics", "die", times=deaths))
    folder = RunFolder(run.path)
    deadline = time.monotonic() + PATIENCE
    seen = []
    while not read_report(folder)["bad"].delivered > 1 and time.monotonic() < deadline:
        ledger = Ledger.load(folder.ledger_file("bad"))
        if ledger.state in ("retrying", "parked") and ledger.state not in seen:
            seen.append(ledger.state)
            assert "exit code 7" in (ledger.last_error or "")
            assert ledger.attempts and (ledger.retry_at or 0) / 1000 > time.time() - 1
        time.sleep(0.005)
    assert seen[-1] == "parked", seen
    assert finish(run).ok
    assert points(root / "bad", "loss") == expected()
    assert len({call["pid"] for call in calls(root / "bad")}) == deaths + 1
