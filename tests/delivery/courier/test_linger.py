"""After training: couriers go on trying for a while, and let go of what others need."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from unitrack_probe import calls, points
from unitrack_tests.bench import Bench, dead_owner, trouble
from unitrack_tests.children import is_alive, train, wait_until

import unitrack
from unitrack import limits
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.thread import LaneThread
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import read_report
from unitrack.delivery.sync import sync_run
from unitrack.runfolder.run_folder import RunFolder

QUICK = {
    "IN_PLACE_TRIES": 1,
    "RETRY_FIRST_S": 0.05,
    "RETRY_MAX_S": 0.2,
    "DRAIN_STALL_S": 0.2,
    "OWNER_POLL_S": 0.1,
    "LINGER_POLL_S": 0.05,
}
SLOW = {**QUICK, "RETRY_FIRST_S": 60.0, "RETRY_MAX_S": 60.0}

TRAINING = """
run = unitrack.start_run("a", sinks=json.loads(sys.argv[1]), root="runs")
run.log_metrics({"loss": 0.5}, step=0)
run.finish(timeout=0.0)
tried = "backend/calls.jsonl"
while not (os.path.exists(tried) and '"close"' in open(tried).read()):
    time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def own_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe sink that is opened in this process changes them here; afterwards they are as before."""
    for name in (*SLOW, "TERM_GRACE_S"):
        monkeypatch.setattr(limits, name, getattr(limits, name))


class Outage:
    """Training that has exited while its backend was away, and the courier that it left."""

    def __init__(self, root: Path, linger: str, quick: dict[str, float] = QUICK) -> None:
        self.backend, self.back = root / "backend", root / "back"
        troubles = [trouble("open_run", "unavailable", until=str(self.back))]
        self.sink: dict[str, Any] = {"probe": {"out": str(self.backend), "limits": quick, "troubles": troubles}}
        train(root, TRAINING, msgspec.json.encode([self.sink]).decode(), UNITRACK_LINGER=linger)
        self.folder = RunFolder(root / "runs" / "a")
        self.courier: int = calls(self.backend)[0]["pid"]

    @property
    def ledger(self) -> Ledger:
        return Ledger.load(self.folder.ledger_file("probe"))

    @property
    def tries(self) -> int:
        return sum(call["hook"] == "open_run" for call in calls(self.backend))

    def end(self) -> None:
        """The backend is back."""
        self.back.touch()

    def courier_has_left(self) -> bool:
        return not is_alive(self.courier)


@pytest.mark.parametrize("linger", ["60", "forever"])
def test_what_a_backend_misses_while_training_exits_arrives_when_it_is_back(root: Path, linger: str) -> None:
    """Though it fails more often, and for longer, than a courier would bear that has no time to linger. That training
    has returned its output, and ended, says that nothing of it is held.
    """
    outage = Outage(root, linger)
    before = outage.tries
    wait_until(lambda: outage.tries > before + 2 * limits.HOPELESS_ATTEMPTS)
    assert not outage.courier_has_left()
    outage.end()
    wait_until(outage.courier_has_left)
    assert points(outage.backend, "loss") == [(0, 0.5)]
    assert not outage.folder.spool.exists()


def test_without_time_to_linger_a_courier_leaves_when_a_failure_lasts(root: Path) -> None:
    outage = Outage(root, "0")
    wait_until(outage.courier_has_left)
    assert outage.tries <= 2 * limits.HOPELESS_ATTEMPTS
    assert read_report(outage.folder)["probe"].pending == 3


def test_a_courier_leaves_when_its_time_is_over(root: Path) -> None:
    outage = Outage(root, "0.5")
    wait_until(outage.courier_has_left)
    assert outage.ledger.attempts >= limits.HOPELESS_ATTEMPTS


def test_a_pause_longer_than_the_time_to_linger_costs_no_attempt(root: Path) -> None:
    """What failed just before training ended is tried again at once, or it never would be."""
    outage = Outage(root, "30", SLOW)
    wait_until(lambda: outage.tries == 2)
    outage.end()
    assert sync_run(outage.folder, timeout=60).ok


def test_sync_need_not_wait_for_the_back_off_of_a_courier(root: Path) -> None:
    outage = Outage(root, "forever", SLOW)
    outage.end()
    report = sync_run(outage.folder, timeout=60)
    assert report.ok, str(report)
    assert points(outage.backend, "loss") == [(0, 0.5)]
    wait_until(outage.courier_has_left)
    assert not list(outage.folder.state.glob("*.wanted"))


@pytest.mark.parametrize("delivery", ["process", "thread", "inline"])
def test_a_run_that_is_resumed_does_not_wait_for_the_courier_of_before(root: Path, delivery: Any) -> None:
    outage = Outage(root, "forever", SLOW)
    outage.end()
    run_id = outage.folder.read_manifest().run.run_id
    how: dict[str, Any] = {"run_id": run_id, "resume": "must", "delivery": delivery, "root": root / "runs"}
    with unitrack.start_run("a", sinks=[outage.sink], **how) as run:
        run.log_metrics({"loss": 0.25}, step=1)
    assert run.finish().ok
    assert points(outage.backend, "loss") == [(0, 0.5), (1, 0.25)]
    wait_until(outage.courier_has_left)


def test_a_courier_leaves_when_the_run_folder_is_deleted(root: Path) -> None:
    outage = Outage(root, "forever", SLOW)
    wait_until(lambda: not shutil.rmtree(outage.folder.path, ignore_errors=True) and not outage.folder.path.exists())
    wait_until(outage.courier_has_left)


@pytest.mark.parametrize("content", [b"{}", None], ids=["a request", "none"])
def test_a_request_that_nobody_answers_holds_a_courier_no_longer(
    root: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """The process that would have answered has died. One that lives may take half an hour."""
    bench = Bench(root, {"probe": {"limits": {"DRAIN_STALL_S": 0.2}}})
    bench.points(1.0)
    if content is not None:
        left = bench.folder.spool / "0123456789ab.request"
        left.write_bytes(content)
        os.utime(left, (0, 0))
    monkeypatch.setattr(limits, "DRAIN_STALL_S", 0.2)
    thread = LaneThread(Lane(bench.folder, bench.specs[0], owner_is_here=True))
    thread.start()
    wait_until(lambda: read_report(bench.folder)["probe"].pending == 0)
    thread.drain()
    thread.join(20)
    assert not thread.is_alive()


def test_a_lane_of_a_live_run_is_handed_over_and_taken_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login node delivers for a compute node that has no network: each has the lane in turn."""
    monkeypatch.setattr(limits, "RETRY_FIRST_S", 60.0)
    monkeypatch.setattr(limits, "IN_PLACE_TRIES", 1)
    monkeypatch.setattr(limits, "HAND_OVER_S", 0.1)
    away = trouble("open_run", "unavailable", times=1)
    bench = Bench(root, {"probe": {"troubles": [away]}})
    bench.points(1.0, 2.0)
    thread = LaneThread(Lane(bench.folder, bench.specs[0], owner_is_here=True))
    thread.start()
    wait_until(lambda: Ledger.load(bench.folder.ledger_file("probe")).state == "retrying")
    monkeypatch.setattr(limits, "HAND_OVER_S", 2.0)
    assert sync_run(bench.folder, timeout=30)["probe"].pending == 0
    bench.points(3.0)
    thread.lane.retry_now()
    wait_until(lambda: read_report(bench.folder)["probe"].pending == 0)
    thread.stop()
    thread.join()


def test_a_courier_that_is_told_to_end_with_its_job_delivers_first(root: Path) -> None:
    """A scheduler sends SIGTERM to all processes of a job, and SIGKILL later."""
    outage = Outage(root, "60")
    os.kill(outage.courier, signal.SIGTERM)
    os.kill(outage.courier, signal.SIGTERM)
    before = outage.tries
    wait_until(lambda: outage.tries > before + 2)
    outage.end()
    wait_until(outage.courier_has_left)
    assert points(outage.backend, "loss") == [(0, 0.5)]


def test_its_time_to_do_so_is_bounded(root: Path) -> None:
    outage = Outage(root, "forever", {**QUICK, "TERM_GRACE_S": 0.1})
    os.kill(outage.courier, signal.SIGTERM)
    wait_until(outage.courier_has_left)
    assert read_report(outage.folder)["probe"].pending == 3


def test_what_an_sdk_starts_survives_as_long(root: Path) -> None:
    """Its helpers are in the job as well: they begin with SIGTERM blocked, as wandb-core honours it."""
    outage = Outage(root, "60")
    status = Path(f"/proc/{outage.courier}/status").read_text()
    [blocked] = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk")]
    assert blocked >> (signal.SIGTERM - 1) & 1
    outage.end()
    wait_until(outage.courier_has_left)


def test_training_that_goes_on_after_sigterm_gets_another_courier(root: Path) -> None:
    """It may catch the signal, as a warning some minutes before the end. The next courier has not been sent any."""
    sink: dict[str, Any] = {"probe": {"out": str(root / "backend"), "limits": {**QUICK, "TERM_GRACE_S": 0.1}}}
    with unitrack.start_run("a", sinks=[sink], root=root / "runs") as run:
        run.log_metrics({"loss": 0.5}, step=0)
        assert run.flush().ok
        first = calls(root / "backend")[0]["pid"]
        os.kill(first, signal.SIGTERM)
        wait_until(lambda: not is_alive(first))
        run.log_metrics({"loss": 0.25}, step=1)
    assert run.finish().ok
    assert points(root / "backend", "loss") == [(0, 0.5), (1, 0.25)]
    assert calls(root / "backend")[-1]["pid"] != first


def test_a_sync_waits_for_who_delivers(root: Path) -> None:
    """A courier in a call hears nothing: one request was made, and the sync gave up after two seconds."""
    bench = Bench(root, owner=dead_owner())
    bench.points(1.0, 2.0)
    lane = bench.lane()  # another process has it, and is busy
    letting_go = threading.Timer(2 * limits.HAND_OVER_S, lane.release)
    letting_go.start()
    assert sync_run(bench.folder, timeout=60).ok
    letting_go.join()
    assert [value for _, value in points(root / "a", "loss")] == [1.0, 2.0]


def test_a_sync_leaves_a_live_run_to_its_courier(root: Path) -> None:
    bench = Bench(root)
    bench.points(1.0)
    lane = bench.lane()
    began = time.monotonic()
    assert not sync_run(bench.folder, timeout=60).ok
    assert time.monotonic() - began < 30
    lane.release()


def test_an_address_by_environment_is_used_where_nothing_was_delivered(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though no configuration names the sink: the call that started the run did."""
    bench = Bench(root, {"probe": {}}, owner=dead_owner())
    bench.points(1.0)
    monkeypatch.setenv("UNITRACK_PROBE__OUT", str(root / "mended"))
    assert sync_run(bench.folder, timeout=60).ok
    assert [value for _, value in points(root / "mended", "loss")] == [1.0]
    assert not (root / "probe").exists()
