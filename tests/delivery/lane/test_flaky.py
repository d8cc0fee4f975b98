"""A backend that is a little ill all day: everything arrives, each accepted call is progress, and good records stay."""

from __future__ import annotations

import random
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from unitrack_probe import calls, most_at_once, points, stored
from unitrack_tests.bench import Bench, change_ledger, dead_owner, now, settle, trouble

from unitrack import limits
from unitrack.delivery.lane.progress import Progress
from unitrack.errors import SinkUnavailableError
from unitrack.hookspecs import retry_in_place
from unitrack.records import Artifact, Params, Tags
from unitrack.values.retries import pause_in_place

HOOKS = ("open_run", "log_params", "log_metrics", "set_tags", "log_artifacts", "flush", "end_run")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses without the waiting."""
    monkeypatch.setattr(limits, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(limits, "IN_PLACE_FIRST_S", 0.0001)
    monkeypatch.setattr(limits, "IN_PLACE_MAX_S", 0.001)
    monkeypatch.setattr(limits, "WRITERS_GRACE_S", 0.05)


def alternate(bench: Bench, number: int, *, first: int = 0) -> None:
    """Log `number` texts and points in turn."""
    for step in range(first, first + number):
        bench.text(f"{step}.txt")
        bench.points(float(step), first_step=step)


def hooks(out: Path) -> list[str]:
    """The hooks that were called, in order."""
    return [call["hook"] for call in calls(out)]


@pytest.mark.parametrize("every", [2, 3, 10])
def test_each_nth_call_of_each_hook_fails_for_ever(root: Path, every: int) -> None:
    """No failure goes back to the last commit: the same call is made again, and the run never leaves "delivering"."""
    bench = Bench(root, {"a": {"troubles": [trouble(hook, "unavailable", every=every) for hook in HOOKS]}})
    bench.append(Params(seq=0, time=now(), params={"lr": 0.1}))
    bench.append(Tags(seq=0, time=now(), tags={"a": "b"}))
    alternate(bench, 40)
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert [record["seq"] for record in stored(root / "a")] == list(range(1, 83))
    assert hooks(root / "a").count("open_run") <= 2
    report = bench.report()
    assert (report.verdict, report.delivered, report.pending, report.dead_lettered) == ("complete", 84, 0, 0)
    lane.release()


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_a_share_of_all_calls_fails(root: Path, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then a call fails so often in a row that the lane goes back: to the last window, never to the start."""
    chance = random.Random(20)

    def now_and_then(kind: str, records: object = ()) -> None:
        if chance.random() < rate:
            raise SinkUnavailableError("503 for the tests")

    monkeypatch.setattr("unitrack_probe.make", now_and_then)
    bench = Bench(root, {"a": {"troubles": [trouble(hook, "chance") for hook in HOOKS]}})
    alternate(bench, 60)
    bench.end()
    lane = bench.lane()
    assert settle(lane, tries=20) is Progress.DONE
    assert [record["seq"] for record in stored(root / "a")] == list(range(1, 121))
    assert bench.report().ok
    assert len(calls(root / "a")) < 60 * 2 * 2 / (1 - rate)
    lane.release()


def test_what_is_delivered_is_committed_in_windows(root: Path) -> None:
    """A mebibyte of journal holds thousands of texts: a failure may cost the last few, not all of them."""
    bench = Bench(root)
    alternate(bench, 100)
    lane = bench.lane()
    for _ in range(150):
        lane.step()
    assert bench.ledger().delivered >= 60
    lane.release()
    alternate(bench, 10, first=100)
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert [record["seq"] for record in stored(root / "a")] == list(range(1, 221))
    lane.release()


def test_a_large_artifact_is_committed_at_once(root: Path) -> None:
    """Its bytes fill a window alone, so nothing that follows can cost its upload again."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "unavailable")]}})
    bench.text("large.bin", "x" * limits.WINDOW_ARTIFACT_BYTES)
    bench.points(1.0)
    lane = bench.lane()
    assert settle(lane) is Progress.WAITING
    assert bench.ledger().delivered == 2  # the start of the run, and the file
    lane.release()


def test_what_must_not_be_repeated_goes_back(root: Path) -> None:
    """`reopen=True`: the sink is closed and opened again before the call is made again."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "must_reopen", times=1)]}})
    bench.points(1.0)
    lane = bench.lane()
    assert settle(lane) is Progress.WAITING
    assert bench.ledger().state == "retrying"
    lane.retry_now()
    assert settle(lane) is Progress.IDLE
    assert hooks(root / "a") == ["open_run", "log_metrics", "close", "open_run", "log_metrics", "flush"]
    lane.release()


def test_the_wish_of_a_rate_limit_is_obeyed_in_place(root: Path) -> None:
    """However often: the sink stays open, and no call comes before its time."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "retry_soon", times=8)]}})
    bench.points(1.0)
    lane = bench.lane()
    deadline = time.monotonic() + 20
    while (progress := lane.step()) is not Progress.IDLE:
        assert time.monotonic() < deadline
        if progress is Progress.WAITING:
            time.sleep(0.005)
    made = [call["time"] for call in calls(root / "a") if call["hook"] == "log_metrics"]
    assert len(made) == 9
    assert min(later - before for before, later in pairwise(made)) >= 0.2
    assert hooks(root / "a").count("open_run") == 1
    lane.release()


@pytest.mark.parametrize(
    ("error", "failures", "lasted", "tried_again"),
    [
        (SinkUnavailableError("503"), 1, 0.0, True),
        (SinkUnavailableError("503"), 5, 0.0, True),
        (SinkUnavailableError("503"), 6, 0.0, False),
        (SinkUnavailableError("503"), 1, 10.0, False),
        (SinkUnavailableError("503", reopen=True), 1, 0.0, False),
        (SinkUnavailableError("429", 1.0), 40, 50.0, True),
        (SinkUnavailableError("429", 1.0), 40, 59.5, False),
        (SinkUnavailableError("429", 3600.0), 1, 0.0, False),
    ],
)
def test_tries_in_place_are_bounded(
    error: SinkUnavailableError, failures: int, lasted: float, tried_again: bool
) -> None:
    """By their number and by time; where the backend says when, by time alone."""
    pause = pause_in_place(error, failures, lasted)
    assert (pause is not None) == tried_again
    if pause is not None and error.retry_after is not None:
        assert pause >= error.retry_after


def test_a_request_is_retried_for_the_sink(root: Path) -> None:
    """`retry_in_place` returns the answer, and gives up with the error of the last try."""
    answers = iter([SinkUnavailableError("503"), SinkUnavailableError("503"), "the answer"])

    def request() -> Any:
        answer = next(answers)
        if isinstance(answer, SinkUnavailableError):
            raise answer
        return answer

    def never() -> None:
        raise SinkUnavailableError("down")

    assert retry_in_place(request) == "the answer"
    with pytest.raises(SinkUnavailableError, match="down"):
        retry_in_place(never)


# -- what is alike goes together --------------------------------------------------------------------------------------


def test_points_between_texts_go_in_one_call(root: Path) -> None:
    """A sink that does not mind the order of kinds gets two calls a window, in each of them records in order."""
    bench = Bench(root, backend="probe_together")
    alternate(bench, 64)
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(64)]
    texts = [record["name"] for record in stored(root / "a") if record["kind"] == "artifact"]
    assert texts == [f"{step}.txt" for step in range(64)]
    assert hooks(root / "a").count("log_metrics") <= 64 // limits.WINDOW_ARTIFACTS + 1
    assert bench.report().delivered == 130
    lane.release()


# -- dead letters are not made lightly --------------------------------------------------------------------------------


def test_a_refusal_by_mistake_costs_nothing(root: Path) -> None:
    """A record that is refused once and taken the second time arrives, in its place."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "rejected", value=3.0, times=4)]}})
    bench.points(*range(8))  # refused in a batch of 8, 4, 2 and alone; then never again
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(8)]
    report = bench.report()
    assert (report.dead_lettered, report.delivered) == (0, 10)
    lane.release()


def test_the_second_try_is_refused_too(root: Path) -> None:
    """Then it is a dead letter, and the account does not say just "complete"."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "rejected", value=3.0)]}})
    bench.points(*range(8))
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    alone = [call for call in calls(root / "a") if call["hook"] == "log_metrics" and call["seqs"] == [4]]
    assert len(alone) == 2
    report = bench.report()
    assert report.dead_lettered == 1
    assert report.verdict == "complete but for 1 record"
    assert "complete but for 1 record, 9 delivered, 1 dead-lettered" in str(report)
    lane.release()


def mended(bench: Bench) -> Any:
    """The sink as it is after its troubles are over."""
    bench.specs[0].options["troubles"] = []
    return bench.lane()


@pytest.mark.parametrize("kind", ["log_metrics", "log_artifacts"])
def test_dead_letters_are_tried_again_when_asked(root: Path, kind: str) -> None:
    """After a fix they arrive, files as well though the spool is gone; the run ends anew as it ended."""
    bench = Bench(root, {"a": {"troubles": [trouble(kind, "rejected")]}})
    bench.text("notes.txt", "content")
    bench.points(*range(3))
    bench.append(Tags(seq=0, time=now(), tags={"a": "b"}))
    bench.end("killed")
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    dead = bench.report().dead_lettered
    assert dead == (3 if kind == "log_metrics" else 1)
    assert not bench.folder.spool.exists()
    lane.release()

    lane = bench.lane()  # nothing is mended yet: they stay what they are
    lane.try_dead_letters()
    assert settle(lane) is Progress.DONE
    assert bench.report().dead_lettered == dead
    lane.release()

    lane = mended(bench)
    lane.try_dead_letters()
    assert settle(lane) is Progress.DONE
    report = bench.report()
    assert (report.verdict, report.delivered, report.dead_lettered) == ("complete", 7, 0)
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(3)]
    assert (root / "a" / "files" / "notes.txt").read_text() == "content"
    assert bench.ledger().status == "killed"
    lane.try_dead_letters()
    assert settle(lane) is Progress.DONE
    assert len(stored(root / "a")) == 5
    lane.release()


def test_a_crash_while_dead_letters_are_tried_again_doubles_nothing(root: Path) -> None:
    """What the ledger says has arrived is dropped from the file, now or at the next start."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "rejected", value=1.0)]}})
    bench.points(*range(3))
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    lane.release()
    file = bench.folder.dead_letter_file("a")
    letters = file.read_bytes()
    lane = mended(bench)
    lane.try_dead_letters()
    assert settle(lane) is Progress.DONE
    lane.release()
    file.write_bytes(letters)  # as if it had died between its commit and the change of the file
    change_ledger(bench.folder, "a", revived=[(bench.journal.writer, 2)])
    lane = mended(bench)
    lane.try_dead_letters()
    assert settle(lane) is Progress.DONE
    assert sorted(points(root / "a", "loss")) == [(step, float(step)) for step in range(3)]
    assert bench.report().dead_lettered == 0
    lane.release()


# -- artifacts wait alone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True])
def test_artifacts_wait_for_their_store_and_the_rest_goes_on(root: Path, restart: bool) -> None:
    """Points, params and the end arrive; the artifacts are pending, said to be, and come when the store is there."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_artifacts", "no_artifact_store")]}})
    bench.text("one.txt", "1")
    bench.points(*range(3))
    lane = bench.lane()
    assert settle(lane) is Progress.IDLE
    report = bench.report()
    assert (report.state, report.delivered, report.pending) == ("delivering", 4, 1)
    assert "no place for files" in (report.last_error or "")
    bench.text("two.txt", "2")
    bench.points(3.0, first_step=3)
    if restart:
        lane.release()
        lane = bench.lane()
        settle(lane)
    bench.end()
    assert settle(lane) is Progress.WAITING
    report = bench.report()
    assert (report.state, report.pending, report.dead_lettered) == ("parked", 3, 0)  # two files, and the end
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(4)]
    assert (root / "a" / "ended.json").exists()
    lane.release()

    lane = mended(bench)
    assert settle(lane) is Progress.DONE
    report = bench.report()
    assert (report.verdict, report.delivered, report.pending) == ("complete", 8, 0)
    assert (root / "a" / "files" / "one.txt").read_text() == "1"
    assert (root / "a" / "files" / "two.txt").read_text() == "2"
    assert len([record for record in stored(root / "a") if record["kind"] == "artifact"]) == 2
    assert not bench.folder.spool.exists()
    lane.release()


def test_an_artifact_that_waited_and_is_refused_is_a_dead_letter(root: Path) -> None:
    """It is counted once, wherever it has been."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_artifacts", "no_artifact_store")]}}, owner=dead_owner())
    bench.text("one.txt", "1")
    lane = bench.lane()
    assert settle(lane) is Progress.WAITING
    lane.release()
    bench.specs[0].options["troubles"] = [trouble("log_artifacts", "rejected")]
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    report = bench.report()
    assert (report.delivered, report.dead_lettered, report.pending) == (1, 1, 0)
    assert bench.folder.waiting_file("a").read_bytes() == b""
    lane.release()


# -- lanes that take turns --------------------------------------------------------------------------------------------


def test_lanes_of_one_store_take_turns(root: Path) -> None:
    """No more of them are in a call of it than its backend declares; those of another store are not held up."""
    stores = [f"store{number % 2}" for number in range(12)]
    benches = [Bench(root / str(number), backend="probe_turns") for number in range(12)]
    for bench, store in zip(benches, stores, strict=True):
        bench.specs[0].options["store_name"] = store
        bench.points(*range(5))
        bench.end()
    lanes = [bench.lane() for bench in benches]
    threads = [threading.Thread(target=settle, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    most = {store: most_at_once(store) for store in set(stores)}
    assert max(most.values()) == 2  # on a busy machine those of one store may never meet
    assert all(bench.report().ok for bench in benches)
    for lane in lanes:
        lane.release()


def test_a_later_version_of_an_artifact_that_waits_stays_the_later_one(root: Path) -> None:
    """The store is back before the first version is tried again: the second one goes behind it."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_artifacts", "no_artifact_store", times=1)]}})
    bench.text("model.txt", "first")
    lane = bench.lane()
    assert settle(lane) is Progress.IDLE
    bench.folder.files.joinpath("later").mkdir()
    (bench.folder.files / "later" / "model.txt").write_text("second")
    file = ".spool/files/later/model.txt"
    bench.append(Artifact(seq=0, time=now(), name="model.txt", file=file, type="text", size=6))
    assert settle(lane) is Progress.IDLE
    assert bench.report().pending == 2
    bench.end()
    assert settle(lane) is Progress.DONE
    assert (root / "a" / "files" / "model.txt").read_text() == "second"
    assert (bench.report().verdict, bench.report().delivered) == ("complete", 4)
    lane.release()
