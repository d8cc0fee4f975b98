"""A lane: whatever a sink does, nothing is lost, nothing is doubled, and the account is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from unitrack_probe import calls, points, stored
from unitrack_tests.bench import Bench, dead_owner, now, settle, trouble

from unitrack import limits
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.journal import JournalWriter, find_writers, segment_path
from unitrack.records import Artifact, Metrics, Params, RunEnd, Tags
from unitrack.system.processes import Owner

pytestmark = pytest.mark.usefixtures("no_patience")

HOOKS = ("open_run", "log_params", "log_metrics", "set_tags", "log_artifacts", "flush", "end_run")


def full_run(bench: Bench) -> None:
    """One of each kind, twenty points, and the end."""
    bench.append(Params(seq=0, time=now(), params={"lr": 0.1}))
    bench.points(*range(10))
    bench.append(Tags(seq=0, time=now(), tags={"a": "b"}))
    (bench.folder.spool / "one.txt").write_text("one")
    bench.append(Artifact(seq=0, time=now(), name="one.txt", file=".spool/one.txt", size=3))
    bench.points(*range(10, 20), first_step=10)
    bench.end()


def test_a_run_is_delivered_in_order_and_completed(root: Path) -> None:
    """The plain case: all records once, in order; the spool goes, the account is right."""
    bench = Bench(root)
    full_run(bench)
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert [record["seq"] for record in stored(root / "a")] == list(range(1, 24))
    report = bench.report()
    assert (report.state, report.delivered, report.pending, report.dead_lettered) == ("complete", 25, 0, 0)
    assert report.ok
    assert not bench.folder.spool.exists()
    assert bench.ledger().status == "finished"
    lane.release()


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("kind", ["unavailable", "misconfigured", "unexpected", "exit"])
def test_one_failure_anywhere_changes_nothing_in_the_end(root: Path, hook: str, kind: str) -> None:
    """Any hook that fails once in any way: after the retry the backend holds what it would have held."""
    bench = Bench(root, {"a": {"troubles": [trouble(hook, kind, times=1)]}})
    full_run(bench)
    lane = bench.lane()
    assert settle(lane) is Progress.WAITING
    ledger = bench.ledger()
    assert ledger.state == ("parked" if kind == "misconfigured" else "retrying")
    assert ledger.last_error
    assert ledger.retry_at
    lane.retry_now()
    assert settle(lane) is Progress.DONE
    assert [record["seq"] for record in stored(root / "a")] == list(range(1, 24))
    assert bench.ledger().status == "finished"
    report = bench.report()
    assert (report.state, report.delivered, report.pending, report.dead_lettered) == ("complete", 25, 0, 0)
    lane.release()


@pytest.mark.parametrize("hook", HOOKS)
def test_a_fresh_courier_after_a_failure_anywhere_changes_nothing(root: Path, hook: str) -> None:
    """The same when another process takes over from the ledger: it knows nothing but what is on disk."""
    bench = Bench(root, {"a": {"troubles": [trouble(hook, "unavailable", times=1)]}})
    full_run(bench)
    first = bench.lane()
    assert settle(first) is Progress.WAITING
    first.release()
    second = bench.lane()
    assert settle(second) is Progress.DONE
    assert [record["seq"] for record in stored(root / "a")] == list(range(1, 24))
    assert bench.ledger().status == "finished"
    assert bench.report().delivered == 25
    second.release()


def test_the_end_is_remembered_when_it_was_committed_before_the_sink_took_it(root: Path) -> None:
    """The end of the run is read with the last records; if `end_run` fails then, it still ends as it ended."""
    bench = Bench(root, {"a": {"troubles": [trouble("end_run", "unavailable", times=3)]}}, owner=dead_owner())
    bench.points(1, 2)
    bench.end("killed")
    lane = bench.lane()
    assert settle(lane, tries=3) is Progress.DONE
    assert bench.ledger().status == "killed"
    lane.release()


def test_back_off_grows_and_honours_retry_after(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are random below a ceiling that doubles; a backend's own wish is a lower bound."""
    monkeypatch.setattr(limits, "RETRY_FIRST_S", 10.0)
    monkeypatch.setattr(limits, "RETRY_MAX_S", 45.0)
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "unavailable")]}})
    bench.points(1)
    lane = bench.lane()
    waits = []
    for _ in range(5):
        assert settle(lane) is Progress.WAITING
        waits.append((bench.ledger().retry_at or 0) / 1000 - now() / 1000)
        assert settle(lane) is Progress.WAITING  # not due: nothing is tried
        lane.retry_now()
    assert [call["hook"] for call in calls(root / "a")].count("log_metrics") == 5
    for wait, ceiling in zip(waits, (10, 20, 40, 45, 45), strict=True):
        assert 10 / 2 - 2 <= wait <= ceiling  # at random below the ceiling; a busy machine has used up a part of it
    lane.release()
    other = Bench(root / "other", {"a": {"troubles": [trouble("log_metrics", "retry_after")]}})
    monkeypatch.setattr(limits, "RETRY_FIRST_S", 0.001)
    other.points(1)
    lane = other.lane()
    settle(lane)
    assert 1.5 <= (other.ledger().retry_at or 0) / 1000 - now() / 1000 <= 4
    lane.release()


def test_an_unexpected_exception_for_all_records_parks_and_keeps_all(root: Path) -> None:
    """A sink that fails for everything is broken, not the records: none becomes a dead letter."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "unexpected")]}})
    bench.points(*range(20))
    bench.end()
    lane = bench.lane()
    for _ in range(8):
        assert settle(lane) is Progress.WAITING
        lane.retry_now()
    report = bench.report()
    assert report.state == "parked"
    assert (report.dead_lettered, report.pending) == (0, 22)
    assert "every record" in (report.last_error or "")
    assert points(root / "a", "loss") == []
    lane.release()


def test_a_sink_that_can_not_be_opened_parks_after_a_few_tries(root: Path) -> None:
    """An exception from the constructor or `open_run` that nobody classified does not retry for ever at full speed."""
    bench = Bench(root, {"a": {"troubles": [trouble("open_run", "unexpected")]}})
    lane = bench.lane()
    for _ in range(limits.UNEXPECTED_TRIES + 1):
        assert settle(lane) is Progress.WAITING
        lane.retry_now()
    assert bench.report().state == "parked"
    lane.release()


def test_a_sink_that_confirms_only_at_the_end_is_pending_until_then(root: Path) -> None:
    """Accepted is not confirmed: `flush()` need not wait, the spool stays, and a crash brings everything again."""
    bench = Bench(root, {"a": {"confirms_at_end_only": True}})
    bench.points(*range(5))
    first = bench.lane()
    assert settle(first) is Progress.IDLE
    ledger = bench.ledger()
    assert (ledger.delivered, bench.report().pending) == (0, 6)
    assert (
        ledger.accepted[bench.journal.writer].offset
        == segment_path(bench.folder.spool, bench.journal.writer, 0).stat().st_size
    )
    assert ledger.positions == {}
    first.release()
    bench.points(*range(5, 8), first_step=5)
    bench.end()
    second = bench.lane()
    assert settle(second) is Progress.DONE
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(8)]
    assert bench.report().delivered == 10
    second.release()


def test_a_crash_between_the_backends_flush_and_our_commit_doubles_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offset and checkpoint are one file: if it isn't replaced, the sink rolls back and gets the batch again."""
    bench = Bench(root)
    bench.points(*range(5))
    first = bench.lane()
    settle(first)
    bench.points(*range(5, 10), first_step=5)

    def crash(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("unitrack.delivery.ledger.write_atomically", crash)
        with pytest.raises(KeyboardInterrupt):
            settle(first)
        with pytest.raises(KeyboardInterrupt):
            first.release()
    assert len(points(root / "a", "loss")) == 10  # the backend has them, we don't know
    bench.end()
    second = bench.lane()
    assert settle(second) is Progress.DONE
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(10)]
    assert bench.report().delivered == 12
    second.release()


def test_damaged_lines_are_counted_and_the_rest_arrives(root: Path) -> None:
    """Damage is in the account and in the report's verdict."""
    bench = Bench(root)
    bench.points(*range(5))
    path = segment_path(bench.folder.spool, bench.journal.writer, 0)
    data = bytearray(path.read_bytes())
    data[data.index(b'"step":2') + 7] ^= 1
    path.write_bytes(data)
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    report = bench.report()
    assert (report.delivered, report.damaged, report.pending) == (6, 1, 0)
    assert not report.ok
    assert [step for step, _ in points(root / "a", "loss")] == [0, 1, 3, 4]
    lane.release()


def test_delivered_segments_go_when_all_sinks_are_past(root: Path) -> None:
    """A long run's spool stays small; the slowest sink decides."""
    bench = Bench(root, {"a": {}, "b": {"troubles": [trouble("open_run", "unavailable", times=1)]}}, segment_bytes=400)
    bench.points(*range(40))
    writer = bench.journal.writer
    count = len(find_writers(bench.folder.spool)[writer])
    assert count > 5
    fast, slow = bench.lane("a"), bench.lane("b")
    assert settle(fast) is Progress.IDLE
    assert settle(slow) is Progress.WAITING
    assert find_writers(bench.folder.spool)[writer][0] == 0
    slow.retry_now()
    assert settle(slow) is Progress.IDLE
    left = find_writers(bench.folder.spool)[writer]
    assert len(left) <= 2
    assert left[-1] == count - 1
    bench.end()
    assert settle(fast) is Progress.DONE
    assert bench.folder.spool.exists()
    assert settle(slow) is Progress.DONE
    assert not bench.folder.spool.exists()
    for name in "ab":
        assert [step for step, _ in points(root / name, "loss")] == list(range(40))
        assert bench.report(name).delivered == 42
    fast.release()
    slow.release()


def test_a_reader_at_the_end_of_a_segment_counts_as_having_it_all(root: Path) -> None:
    """Right after a rotation there is nothing to deliver, and nobody who waits may wait for it."""
    from unitrack.delivery.waiting import journal_ends

    bench = Bench(root, segment_bytes=120)
    bench.points(1)
    lane = bench.lane()
    assert settle(lane) is Progress.IDLE
    ends = journal_ends(bench.folder)
    accepted = bench.ledger().accepted
    assert all(accepted[writer] >= end for writer, end in ends.items())
    lane.release()


def test_two_lanes_never_deliver_to_one_sink_at_once(root: Path) -> None:
    """The lock belongs to a sink of a run; the second comer gets it once the first is gone."""
    bench = Bench(root)
    first = bench.lane()
    second = Lane(bench.folder, bench.specs[0])
    assert not second.acquire()
    bench.points(1, 2)
    settle(first)
    first.release()
    assert second.acquire()
    bench.end()
    assert settle(second) is Progress.DONE
    assert points(root / "a", "loss") == [(0, 1.0), (1, 2.0)]
    second.release()


def test_a_dead_owner_ends_the_run_as_failed_with_all_that_it_logged(root: Path) -> None:
    """At the time of its last record, since nobody knows better."""
    bench = Bench(root, owner=dead_owner())
    bench.points(*range(5))
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert len(points(root / "a", "loss")) == 5
    assert bench.ledger().status == "failed"
    ended = msgspec.json.decode((root / "a" / "ended.json").read_bytes())
    assert ended["status"] == "failed"
    assert ended["time"] <= now()
    lane.release()


def test_a_living_owner_keeps_the_run_open(root: Path) -> None:
    """Silence is not death."""
    bench = Bench(root)
    bench.points(1)
    lane = bench.lane()
    assert settle(lane) is Progress.IDLE
    lane.check_owner_now()
    assert settle(lane) is Progress.IDLE
    lane.release()
    assert bench.ledger().state == "pending"


def test_the_records_of_a_second_writer_arrive(root: Path) -> None:
    """A fork child logs into a journal of its own; both come, each in order."""
    bench = Bench(root)
    bench.points(1, 2)
    child = JournalWriter(bench.folder.spool)
    for seq in range(3):
        child.copy(Metrics(seq=seq, time=now(), step=seq, metrics={"child": float(seq)}))
    child.copy(RunEnd(seq=3, time=now(), status="finished"))
    lane = bench.lane()
    assert settle(lane) is Progress.IDLE  # the child's end is not the run's
    bench.end()
    assert settle(lane) is Progress.DONE
    assert points(root / "a", "loss") == [(0, 1.0), (1, 2.0)]
    assert points(root / "a", "child") == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert bench.report().delivered == 8
    lane.release()


def test_the_end_waits_for_writers_that_are_alive_but_not_for_ever(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that still logs gets a moment after the owner's end; one that has died gets none."""
    monkeypatch.setattr(limits, "WRITERS_GRACE_S", 3600.0)
    bench = Bench(root)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        child = JournalWriter(bench.folder.spool, writer=f"ffffffffffff-{sleeper.pid}-abcdef")
        child.copy(Metrics(seq=0, time=now(), step=0, metrics={"child": 1.0}))
        bench.end()
        lane = bench.lane()
        assert settle(lane) is Progress.IDLE
        child.copy(Metrics(seq=1, time=now(), step=1, metrics={"child": 2.0}))
    finally:
        sleeper.kill()
        sleeper.wait()
        child.close()
    assert settle(lane) is Progress.DONE
    assert [value for _, value in points(root / "a", "child")] == [1.0, 2.0]
    lane.release()


@pytest.mark.parametrize("every", [2, 3, 10, 100])
@pytest.mark.parametrize("restart_after", [None, 4, 11])
def test_log_frequency_keeps_first_every_nth_and_last(root: Path, every: int, restart_after: int | None) -> None:
    """Per metric, also when the courier changes in between; the last one comes once."""
    bench = Bench(root, log_frequency=every)
    lane = bench.lane()
    for step in range(25):
        values = {"loss": float(step), **({"acc": float(step)} if step % 2 else {})}
        bench.append(Metrics(seq=0, time=now(), step=step, metrics=values))
        if step == restart_after:
            settle(lane)
            lane.release()
            lane = bench.lane()
    bench.append(Metrics(seq=0, time=now(), step=99, metrics={"system/cpu": 1.0}))
    bench.append(Metrics(seq=0, time=now(), step=100, metrics={"system/cpu": 2.0}))
    bench.end()
    assert settle(lane) is Progress.DONE
    odd = list(range(1, 25, 2))
    assert [step for step, _ in points(root / "a", "loss")] == sorted({*range(0, 25, every), 24})
    assert [step for step, _ in points(root / "a", "acc")] == sorted({*odd[::every], odd[-1]})
    assert len(points(root / "a", "system/cpu")) == 2
    assert bench.report().pending == 0
    assert bench.report().delivered == 29
    lane.release()


def test_a_damaged_ledger_means_delivering_again_from_the_start(root: Path) -> None:
    """The sink is told that nothing was committed, so what it had is replaced, not doubled."""
    bench = Bench(root)
    bench.points(*range(5))
    lane = bench.lane()
    settle(lane)
    lane.release()
    bench.folder.ledger_file("a").write_bytes(b'{"state": "deliv')
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(5)]
    lane.release()


def test_a_sink_class_that_does_not_exist_parks_with_its_name(root: Path) -> None:
    """A plugin that was uninstalled since is trouble to mend, not a crash of the courier."""
    bench = Bench(root)
    spec = msgspec.structs.replace(bench.specs[0], sink="no_such_module:Sink")
    lane = Lane(bench.folder, spec)
    assert lane.acquire()
    assert settle(lane, tries=limits.UNEXPECTED_TRIES) is Progress.WAITING
    assert bench.report().state == "parked"
    assert "no_such_module" in (bench.report().last_error or "")
    lane.release()


def take_up(bench: Bench) -> None:
    """Have this process take the run up, as `start_run(resume=...)` does, log two points and end it."""
    bench.journal.close()
    bench.folder.prepare()
    bench.journal = JournalWriter(bench.folder.spool)
    bench.manifest = msgspec.structs.replace(bench.manifest, owner=Owner.current(bench.journal.writer))
    bench.folder.write_manifest(bench.manifest)
    bench.append(bench.manifest.run)
    bench.points(0.3, 0.4, first_step=2)


def test_a_lane_of_before_leaves_the_run_to_the_next_session(root: Path) -> None:
    """The courier of a process that died, which has waited for its place: it would end the new session as failed."""
    bench = Bench(root, owner=dead_owner())
    bench.points(0.1, 0.2)
    late = Lane(bench.folder, bench.specs[0])
    first = bench.lane()
    assert settle(first) is Progress.DONE
    first.release()
    assert bench.ledger().status == "failed"
    take_up(bench)
    bench.end()
    assert late.acquire()
    assert settle(late) is Progress.DONE
    late.release()
    assert bench.report().pending == 4
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    lane.release()
    assert bench.ledger().status == "finished"
    assert points(root / "a", "loss") == [(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4)]


def test_a_lane_does_not_end_a_run_that_was_taken_up_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has delivered what it had, and the next lane goes on from there."""
    monkeypatch.setattr(limits, "WRITERS_GRACE_S", 0.0)
    bench = Bench(root, owner=dead_owner())
    bench.points(0.1, 0.2)
    lane = bench.lane()
    assert lane.step() is Progress.MADE
    take_up(bench)
    assert settle(lane) is Progress.DONE
    lane.release()
    assert bench.ledger().status is None
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    lane.release()
    assert bench.ledger().status == "finished"
    assert points(root / "a", "loss") == [(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4)]
