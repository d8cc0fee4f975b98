"""A resume behind the log, end to end: one curve in each backend, and what is not on it is kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from unitrack_probe import ProbeSink, points

import unitrack
from unitrack.delivery.lane.curves import Curves
from unitrack.delivery.ledger import CurvesState, Ledger
from unitrack.delivery.sync import sync_run
from unitrack.hookspecs import hookimpl
from unitrack.local.source import LocalSource
from unitrack.records import Metrics
from unitrack.runfolder.run_folder import RunFolder

TRAINER = """
import os, signal, sys
import unitrack

root, out, attempt, sinks = sys.argv[1], sys.argv[2], int(sys.argv[3]), ["local", {"probe": {"out": sys.argv[2]}}]
run = unitrack.start_run("a", run_id="r1", resume="allow", root=root, sinks=sinks, delivery=sys.argv[4])
for step in range(attempt * 7, attempt * 7 + 10):
    run.log_metrics({"loss": attempt + step / 1000, "lr": 1 / (1 + step)}, step=step)
if attempt < 4:
    os.kill(os.getpid(), signal.SIGKILL)
run.finish()
"""


class CannotRewind:
    def can_rewind(self) -> bool:
        return False

    def must_repeat(self) -> bool:
        return False

    def rewind(self, steps: Mapping[str, int]) -> None:
        raise AssertionError(f"it can't, and was asked to withdraw {steps}")


def loss(attempt: int, step: int) -> tuple[int, float]:
    return step, attempt + step / 1000


NEWEST = [loss(min(step // 7, 4), step) for step in range(38)]


def local(path: Path, metric: str = "loss") -> list[tuple[int, float]]:
    records = LocalSource(str(path)).records(path.name)
    return [(one.step, one.metrics[metric]) for one in records if isinstance(one, Metrics) and metric in one.metrics]


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def superseded(path: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["metrics"]["loss"]) for line in lines(path / "metrics_superseded.jsonl")]


def held_back(path: Path, sink: str = "probe") -> list[tuple[int, float]]:
    letters = [letter["record"] for letter in lines(path / ".unitrack" / f"{sink}.superseded.jsonl")]
    return [(record["step"], record["metrics"]["loss"]) for record in letters if "loss" in record["metrics"]]


def log(root: Path, steps: range, offset: float = 0.0, **options: object) -> unitrack.DeliveryReport:
    sinks = ["local", {"probe": {"out": str(root / "probe"), **options}}]
    with unitrack.start_run("a", run_id="r1", resume="allow", root=root, sinks=sinks, delivery="inline") as run:
        for step in steps:
            run.log_metrics({"loss": step + offset}, step=step)
    return run.finish()


def mend(root: Path, **options: object) -> None:
    """What nothing was delivered to is opened as the configuration says now."""
    sinks = ["local", {"probe": {"out": str(root / "probe"), **options}}]
    (root / "unitrack.yaml").write_text(json.dumps({"tracking": {"sinks": sinks}}))


def at(steps: range, offset: float = 0.0) -> list[tuple[int, float]]:
    return [(step, step + offset) for step in steps]


@pytest.mark.parametrize("delivery", ["thread", "process"], ids=["delivery dies too", "couriers live on"])
def test_preempted_four_times_then_synced(root: Path, delivery: str) -> None:
    for attempt in range(5):
        arguments = [str(root), str(root / "probe"), str(attempt), delivery]
        ended = subprocess.run([sys.executable, "-W", "ignore", "-c", TRAINER, *arguments], timeout=60)
        assert ended.returncode == (-signal.SIGKILL if attempt < 4 else 0)
    folder = RunFolder(root / "a")
    assert sync_run(folder, timeout=30).ok
    assert local(folder.path) == NEWEST
    every = [loss(attempt, step) for attempt in range(5) for step in range(attempt * 7, attempt * 7 + 10)]
    assert sorted(superseded(folder.path) + NEWEST) == sorted(every)
    found = points(root / "probe", "loss")
    assert [step for step, _ in found] == list(range(38))  # whose point it is depends on what had arrived
    assert all(point in every for point in found)
    assert sorted(found + held_back(folder.path)) == sorted(every)


def test_a_backend_that_keeps_points_keeps_the_first(root: Path) -> None:
    """The local files show the new ones; the report counts what is held back."""
    log(root, range(10))
    report = log(root, range(6, 14), offset=0.5)
    assert local(root / "a") == at(range(6)) + at(range(6, 14), 0.5)
    assert superseded(root / "a") == at(range(6, 10))
    assert points(root / "probe", "loss") == at(range(10)) + at(range(10, 14), 0.5)
    assert held_back(root / "a") == at(range(6, 10), 0.5)
    assert report.ok
    assert (report["probe"].superseded, report["local"].superseded) == (4, 0)
    assert "4 superseded" in str(report)


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_a_backend_that_was_away_gets_the_newest(root: Path) -> None:
    away = {"hook": "open_run", "kind": "misconfigured"}
    log(root, range(10), troubles=[away])
    log(root, range(6, 14), offset=0.5, troubles=[away])
    log(root, range(11, 16), offset=0.25, troubles=[away])
    mend(root)
    assert sync_run(RunFolder(root / "a"), timeout=30).ok
    assert points(root / "probe", "loss") == at(range(6)) + at(range(6, 11), 0.5) + at(range(11, 16), 0.25)
    assert held_back(root / "a") == at(range(6, 10)) + at(range(11, 14), 0.5)
    assert local(root / "a") == points(root / "probe", "loss")


def test_going_back_within_a_run(root: Path) -> None:
    """A loss spike, and back to a checkpoint: automatic steps and the curve go on from there."""
    with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline") as run:
        for value in (1.0, 2.0):
            run.log_metrics({"loss": value})
        state = run.state_dict()
        for value in (99.0, 98.0):
            run.log_metrics({"loss": value, "lr": 0.1})
        run.log_metrics({"epoch/acc": 0.5}, step=0)
        run.load_state_dict(state)
        run.log_metrics({"loss": 3.0})
        run.log_metrics({"epoch/acc": 0.75}, step=1)
    assert local(run.path) == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert local(run.path, "lr") == [(2, 0.1), (3, 0.1)]  # not logged again: it stays
    assert local(run.path, "epoch/acc") == [(0, 0.5), (1, 0.75)]
    assert superseded(run.path) == [(2, 99.0), (3, 98.0)]


def test_renamed_metrics_go_back_under_their_new_names(root: Path) -> None:
    sinks = [{"local": {"rename": {"loss": "train/loss"}, "prefix": "x-"}}]
    for steps in (range(4), range(2, 6)):
        with unitrack.start_run("a", run_id="r1", resume="allow", root=root, sinks=sinks, delivery="inline") as run:
            for step in steps:
                run.log_metrics({"loss": step + steps[0] / 10}, step=step)
    [name] = {name for line in lines(run.path / "metrics.jsonl") for name in line["metrics"]}
    assert sorted(name.split("x-")) == ["", "train/loss"]
    assert local(run.path, name) == [(0, 0.0), (1, 1.0), (2, 2.2), (3, 3.2), (4, 4.2), (5, 5.2)]


def test_a_metric_that_goes_on_above_its_last_step_keeps_all(root: Path) -> None:
    """Also when another one, on an axis of its own, goes back."""
    with unitrack.start_run("a", run_id="r1", sinks=["local"], root=root, delivery="inline") as run:
        for step in range(100, 110):
            run.log_metrics({"loss": 1.0}, step=step)
        for epoch in range(3):
            run.log_metrics({"acc": 1.0}, step=epoch)
    with unitrack.start_run(run_id="r1", resume="must", sinks=["local"], root=root, delivery="inline") as run:
        run.log_metrics({"acc": 2.0}, step=2)
        run.log_metrics({"loss": 2.0}, step=110)
    assert [step for step, _ in local(run.path)] == list(range(100, 111))
    assert local(run.path, "acc") == [(0, 1.0), (1, 1.0), (2, 2.0)]


def test_points_that_come_late_in_one_session_all_stay(root: Path) -> None:
    log(root, range(5))
    with unitrack.start_run(run_id="r1", resume="must", sinks=["local"], root=root, delivery="inline") as run:
        for step in (5, 9, 7, 7, 6):
            run.log_metrics({"loss": float(step)}, step=step)
    assert [step for step, _ in local(run.path)] == [0, 1, 2, 3, 4, 5, 9, 7, 7, 6]


def test_what_is_left_out_is_decided_once(root: Path) -> None:
    """A backend that goes by the number of rows gets the same rows in each attempt, though sessions were added."""
    curves = Curves(CurvesState())
    curves.begin_session("a")
    curves.decide({"b": {"loss": 5}, "c": {"loss": 7}})
    again = Curves(msgspec.json.decode(msgspec.json.encode(curves.state()), type=CurvesState))

    def admitted(session: str) -> list[int]:
        again.begin_session(session)
        records = [Metrics(seq=step, time=0, step=step, metrics={"loss": 1.0}) for step in range(10)]
        return [record.step for record in records if again.admit(record)]

    assert (admitted("a"), admitted("b"), admitted("c")) == (list(range(5)), list(range(7)), list(range(10)))


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_nothing_is_left_out_for_a_sink_that_must_repeat(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old points come, and the new ones are held back up to where they are above those."""
    away = {"hook": "open_run", "kind": "misconfigured"}
    log(root, range(10), troubles=[away])
    log(root, range(6, 14), offset=0.5, troubles=[away])
    mend(root)
    monkeypatch.setattr(ProbeSink, "must_repeat", hookimpl(lambda self: True), raising=False)
    assert sync_run(RunFolder(root / "a"), timeout=30).ok
    assert points(root / "probe", "loss") == at(range(10)) + at(range(10, 14), 0.5)


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_a_decision_is_on_disk_before_anything_is_delivered(root: Path) -> None:
    away = {"hook": "open_run", "kind": "misconfigured"}
    log(root, range(10), troubles=[away])
    log(root, range(6, 14), troubles=[away])
    mend(root, troubles=[{"hook": "log_metrics", "kind": "unavailable"}])
    sync_run(RunFolder(root / "a"), timeout=1)
    ledger = Ledger.load(RunFolder(root / "a").ledger_file("probe"))
    assert not ledger.positions
    assert {"loss": 6} in list(ledger.curves.left_out.values())


def test_a_record_loses_only_the_points_that_are_superseded(root: Path) -> None:
    curves = Curves(CurvesState(tops={"loss": 9, "lr": 2}))
    curves.begin_session("b")
    curves.go_back({"loss": 3, "lr": 3}, CannotRewind())
    record = Metrics(seq=0, time=0, step=4, metrics={"loss": 1.0, "lr": 2.0})
    kept = curves.admit(record)
    assert kept is not None
    assert kept == msgspec.structs.replace(record, metrics={"lr": 2.0})


def test_system_metrics_never_go_back(root: Path) -> None:
    """Their steps are intervals since the run began."""
    curves = Curves(CurvesState(tops={"system/cpu": 9}))
    curves.begin_session("b")
    assert not curves.may_go_back
