"""Dead letters: a record that a sink refuses is put aside with the reason, and the others arrive."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from unitrack_probe import points
from unitrack_tests.bench import Bench, now, settle, trouble

from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.plugins.registry import installed
from unitrack.records import Artifact, Metrics
from unitrack.runfolder.manifest import LaneSpec

pytestmark = pytest.mark.usefixtures("no_patience")


def test_one_rejected_record_of_a_thousand_is_a_dead_letter(root: Path) -> None:
    """The batch is bisected: 999 arrive in order, one is kept on disk with the reason."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "rejected", value=617.0)]}})
    bench.points(*range(1000))
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(1000) if step != 617]
    letters = bench.folder.dead_letter_file("a").read_bytes().splitlines()
    assert len(letters) == 1
    letter = msgspec.json.decode(letters[0])
    assert letter["record"]["step"] == 617
    assert "400 for the tests" in letter["error"]
    report = bench.report()
    assert (report.delivered, report.dead_lettered, report.pending) == (1001, 1, 0)
    assert not report.ok
    lane.release()


def test_dead_letters_are_not_judged_again_by_the_next_courier(root: Path) -> None:
    """A record that was given up before a crash is skipped, and counted once."""
    troubles = [trouble("log_metrics", "rejected", value=3.0), trouble("flush", "unavailable", times=1)]
    bench = Bench(root, {"a": {"troubles": troubles}})
    bench.points(*range(6))
    first = bench.lane()
    assert settle(first) is Progress.WAITING
    first.release()
    bench.end()
    second = bench.lane()
    assert settle(second) is Progress.DONE
    assert len(bench.folder.dead_letter_file("a").read_bytes().splitlines()) == 1
    report = bench.report()
    assert (report.delivered, report.dead_lettered, report.pending) == (7, 1, 0)
    assert [step for step, _ in points(root / "a", "loss")] == [0, 1, 2, 4, 5]
    second.release()


def test_a_torn_dead_letter_is_judged_again(root: Path) -> None:
    """A crash in the middle of writing a dead letter neither loses nor hides it."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "rejected", value=3.0)]}})
    bench.points(*range(6))
    bench.folder.dead_letter_file("a").write_bytes(b'{"writer":"x","err')
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert bench.report().dead_lettered == 1
    lane.release()
    again = Lane(bench.folder, bench.specs[0])
    record = Metrics(seq=4, time=0, step=3, metrics={})
    assert (bench.journal.writer, record) in again._attempt.dead


def test_an_unexpected_exception_for_one_record_costs_that_record_only(root: Path) -> None:
    """A bug in a sink that one value triggers: tried again, then that record is the culprit."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "unexpected", value=5.0)]}})
    bench.points(*range(10))
    bench.end()
    lane = bench.lane()
    assert settle(lane, tries=10) is Progress.DONE
    assert [step for step, _ in points(root / "a", "loss")] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert bench.report().dead_lettered == 1
    assert "KeyError" in (bench.report().last_error or "")
    lane.release()


def test_a_last_thinned_point_that_the_sink_chokes_on_is_a_dead_letter(root: Path) -> None:
    """What thinning held back to the end is judged like any other record, not dropped in silence."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "unexpected", value=7.0)]}}, log_frequency=4)
    bench.points(*range(8))
    bench.end()
    lane = bench.lane()
    assert settle(lane, tries=10) is Progress.DONE
    assert [step for step, _ in points(root / "a", "loss")] == [0, 4]
    letters = bench.folder.dead_letter_file("a").read_bytes().splitlines()
    assert [msgspec.json.decode(letter)["record"]["step"] for letter in letters] == [7]
    lane.release()


def test_secrets_in_a_sinks_error_do_not_reach_the_disk(root: Path) -> None:
    """SDKs put URLs with passwords into their messages."""
    from unitrack.delivery.lane.failures import describe
    from unitrack.errors import SinkUnavailableError

    text = describe(SinkUnavailableError("GET https://me:hunter2@host/api failed\n with sk-abcdefghijklmnop1234"))
    assert "hunter2" not in text
    assert "abcdefghijklmnop" not in text
    assert "\n" not in text


def test_an_artifact_whose_copy_is_gone_is_a_dead_letter(root: Path) -> None:
    """It will not come back: the local sink gives up the one record, not the run."""
    bench = Bench(root)
    bench.append(Artifact(seq=0, time=now(), name="x.txt", file=".spool/files/gone/x.txt", size=3))
    bench.points(1)
    bench.end()
    backend = installed().backend("local")
    spec = LaneSpec.of("local", backend, backend.options())
    bench.serve(spec)
    lane = Lane(bench.folder, spec)
    assert lane.acquire()
    assert settle(lane) is Progress.DONE
    assert bench.report("local").dead_lettered == 1
    assert "gone" in (bench.report("local").last_error or "")
    lane.release()
