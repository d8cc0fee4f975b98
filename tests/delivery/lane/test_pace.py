"""How a lane shares the processor with training: it rests when it has caught up, and not when it is behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from unitrack_probe import calls, points
from unitrack_tests.bench import Bench

from unitrack import limits
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.pace import Pace
from unitrack.delivery.lane.thread import LaneThread

TRICKLE_S = 1.0


@pytest.fixture
def bench(root: Path) -> Bench:
    return Bench(root, {"probe": {}})


@pytest.fixture
def thread(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[LaneThread]:
    """A lane that rests as long as it may."""
    monkeypatch.setattr(limits, "REST_FOR_WORK", 1e9)
    thread = LaneThread(Lane(bench.folder, bench.specs[0], owner_is_here=True))
    yield thread
    thread.stop()
    thread.join()


def calls_of(root: Path, hook: str) -> int:
    return sum(call["hook"] == hook for call in calls(root / "probe"))


def test_points_that_trickle_in_share_a_call(root: Path, bench: Bench, thread: LaneThread) -> None:
    """Without rests a sink that takes 4 ms a call never comes to the end of what a training logs each 3 ms."""
    thread.start()
    ends, logged = time.monotonic() + TRICKLE_S, 0
    while time.monotonic() < ends:
        bench.points(0.5, first_step=logged)
        logged += 1
        time.sleep(0.001)
    bench.end()
    thread.join(10)
    assert len(points(root / "probe", "loss")) == logged
    assert calls_of(root, "log_metrics") <= TRICKLE_S / limits.POLL_MAX_S + 3


def test_a_lane_that_is_behind_does_not_rest(
    root: Path, bench: Bench, thread: LaneThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty reads of what is there already: with rests they would take minutes."""
    monkeypatch.setattr(limits, "POLL_MAX_S", 5.0)
    monkeypatch.setattr(limits, "READ_BYTES", 1000)
    monkeypatch.setattr("unitrack.journal.reader.JournalReader.read.__defaults__", (1000,))
    bench.points(*[0.5] * 500)
    began = time.monotonic()
    thread.start()
    while len(points(root / "probe", "loss")) < 500:
        assert time.monotonic() - began < 60
        time.sleep(0.01)
    assert calls_of(root, "log_metrics") >= 40


def test_the_end_of_a_run_is_not_put_off(bench: Bench, thread: LaneThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POLL_MAX_S", 60.0)
    bench.points(0.5)
    bench.end()
    thread.start()
    thread.join(10)
    assert bench.ledger("probe").state == "complete"


# -- many lanes, one server ------------------------------------------------------------------------------------------


def test_a_lane_alone_never_rests_longer_than_a_look_takes() -> None:
    pace = Pace()
    assert pace.before_first() == 0
    for worked in (0.0, 0.001, 0.3, limits.SLOW_ROUND_S):
        assert limits.POLL_MIN_S <= pace.after_work(worked) <= limits.POLL_MAX_S


def test_a_slow_server_gets_larger_batches_of_each_lane() -> None:
    """Of N lanes each asks a fifth of the time, so a request takes a fifth of what it would take."""
    pace = Pace()
    rests = [pace.after_work(3.0) for _ in range(100)]
    assert 4.0 <= min(rests) < max(rests) <= 8.0
    assert max(rests) - min(rests) > 1.0
    assert pace.after_work(600.0) <= limits.CROWD_REST_MAX_S
    assert pace.after_work(0.1) <= limits.POLL_MAX_S  # at once, when the server is quick again


def test_refusals_double_the_rest_and_calm_halves_it() -> None:
    pace, longest = Pace(), []
    for _ in range(8):
        pace.note_refused()
        longest.append(pace.after_work(0.01))
    assert longest[-1] > limits.CROWD_REST_MAX_S / 2 > 10 * longest[0]
    assert max(longest) <= limits.CROWD_REST_MAX_S
    calm = [pace.after_work(0.01) for _ in range(8)]
    assert calm[-1] <= limits.POLL_MAX_S


def test_a_crowd_shares_a_server() -> None:
    """A thousand runs make about a hundred requests a second for points, and open over half a minute."""
    lanes = [Pace(1000) for _ in range(500)]
    opened = sorted(pace.before_first() for pace in lanes)
    assert opened[0] < 1 < 29 < opened[-1] <= limits.CROWD_OPENS_WITHIN_S
    rests = [pace.after_work(0.01) for pace in lanes]
    assert 5 <= min(rests) < max(rests) <= 10
    assert max(Pace(4).before_first() for _ in range(100)) <= 4 * limits.CROWD_OPENING_S


def test_only_a_shared_server_is_opened_late(root: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the run itself have nobody to wait for."""
    monkeypatch.setattr(limits, "CROWD_OPENING_S", 3600.0)
    monkeypatch.setattr(limits, "CROWD_OPENS_WITHIN_S", 3600.0)
    bench.points(0.5)
    bench.end()
    alone = LaneThread(Lane(bench.folder, bench.specs[0], owner_is_here=True), crowd=1000)
    alone.start()
    alone.join(10)
    assert bench.ledger("probe").state == "complete"
    shared = msgspec.structs.replace(bench.specs[0], is_shared=True)
    waiting = LaneThread(Lane(bench.folder, shared, owner_is_here=True), crowd=1000)
    waiting.start()
    time.sleep(0.1)
    assert not waiting.has_worked
    waiting.stop()
    waiting.join(5)
    assert not waiting.is_alive()


def test_points_of_a_crowd_share_a_call(root: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them arrive, in few calls, and the first ones do not wait for the last."""
    monkeypatch.setattr(limits, "CROWD_OPENING_S", 0.0)
    monkeypatch.setattr(limits, "CROWD_CALL_S", 0.4 / 1000)
    shared = msgspec.structs.replace(bench.specs[0], is_shared=True)
    thread = LaneThread(Lane(bench.folder, shared, owner_is_here=True), crowd=1000)
    thread.start()
    for step in range(100):
        bench.points(0.5, first_step=step)
        time.sleep(0.01)
    assert points(root / "probe", "loss")
    bench.end()
    thread.join(10)
    assert len(points(root / "probe", "loss")) == 100
    assert calls_of(root, "log_metrics") <= 8
