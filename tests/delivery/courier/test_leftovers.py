"""What earlier runs left pending: couriers of the next run deliver it, after their own work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import warnings
from pathlib import Path
from typing import Any

import msgspec
import pytest
from unitrack_probe import calls
from unitrack_tests.bench import Bench, dead_owner, trouble
from unitrack_tests.children import train, wait_until

import unitrack
from unitrack import limits
from unitrack.delivery.courier.leftovers import Leftovers, find_leftovers
from unitrack.delivery.courier.pool import pool
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.ledger import Ledger, LockedLedger
from unitrack.delivery.report import read_report
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder

LIMITS = {"IN_PLACE_TRIES": 1, "RETRY_FIRST_S": 0.05, "RETRY_MAX_S": 0.2, "LINGER_POLL_S": 0.05, "OWNER_POLL_S": 0.1}

TRAINING = """
run = unitrack.start_run(sys.argv[2], sinks=json.loads(sys.argv[1]), root="runs")
run.log_metrics({"loss": float(sys.argv[3])}, step=0)
run.finish(timeout=float(sys.argv[4]))
os._exit(0)
"""


@pytest.fixture(autouse=True)
def couriers_of_this_test() -> None:
    """Have this test start couriers of its own: one of an earlier test may be busy, or have told already."""
    pool.let_go()


def probe(root: Path, *troubles: dict[str, Any]) -> dict[str, Any]:
    return {"probe": {"out": str(root / "backend"), "limits": LIMITS, "troubles": list(troubles)}}


def run_before(root: Path, sink: dict[str, Any], name: str = "before", value: float = 13.0) -> RunFolder:
    """A run that a killed courier has left pending: its backend was away."""
    train(root, TRAINING, json.dumps([sink]), name, str(value), "0", UNITRACK_LINGER="forever")
    folder = RunFolder(root / "runs" / name)
    wait_until(lambda: ledger_of(folder).state == "retrying")
    pid = ledger_of(folder).pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    return folder


def ledger_of(folder: RunFolder) -> Ledger:
    return Ledger.load(folder.ledger_file("probe"))


def couriers(root: Path) -> set[int]:
    """All that have called the sink."""
    return {call["pid"] for call in calls(root / "backend")}


def test_the_next_run_takes_up_what_earlier_ones_left_and_says_so_once(root: Path) -> None:
    back = root / "back"
    sink = probe(root, trouble("open_run", "unavailable", until=str(back)))
    left = [run_before(root, sink, name) for name in ("one", "two")]
    back.touch()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with unitrack.start_run("next", sinks=[sink], root=root / "runs") as run:
            run.log_metrics({"loss": 1.0}, step=0)
            wait_until(lambda: told and not any(folder.spool.exists() for folder in left))
        assert run.finish().ok
    for folder in left:
        assert (ledger_of(folder).state, ledger_of(folder).delivered) == ("complete", 3)
        wait_until(lambda folder=folder: not list(folder.state.glob("*.taken_up")))
    [warning] = told
    assert f"unitrack also delivers to probe what 2 earlier runs under {root / 'runs'} left" in str(warning.message)


def test_a_courier_that_drains_takes_up_leftovers_before_it_leaves(root: Path) -> None:
    """Training may be too short for it."""
    back = root / "back"
    sink = probe(root, trouble("open_run", "unavailable", until=str(back)))
    left = run_before(root, sink)
    back.touch()
    train(root, TRAINING, json.dumps([sink]), "next", "1.0", "30")
    wait_until(lambda: ledger_of(left).state == "complete")


def test_without_take_up_they_are_left_to_sync(root: Path) -> None:
    back = root / "back"
    sink = probe(root, trouble("open_run", "unavailable", until=str(back)))
    left = run_before(root, sink)
    back.touch()
    start = 'unitrack.start_run("next", sinks=json.loads(sys.argv[1]), root="runs", config=json.loads(sys.argv[2]))'
    train(root, f"{start}.finish()", *(json.dumps(given) for given in ([sink], {"tracking": {"take_up": False}})))
    pid = ledger_of(RunFolder(root / "runs" / "next")).pid
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert read_report(left)["probe"].pending == 3


def test_a_leftover_that_couriers_die_of_costs_the_next_run_nothing(root: Path) -> None:
    back = root / "back"
    troubles = trouble("open_run", "unavailable", until=str(back)), trouble("log_metrics", "die", value=13.0)
    sink = probe(root, *troubles)
    left = run_before(root, sink, value=13.0)
    back.touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)
        with unitrack.start_run("next", sinks=[sink], root=root / "runs") as run:
            run.log_metrics({"loss": 1.0}, step=0)
            died = 1 + limits.TAKE_UP_DEATHS  # that of the run before as well
            wait_until(lambda: len(couriers(root)) == died + 1)
            run.log_metrics({"loss": 1.0}, step=1)
        assert run.finish().ok
    assert len(couriers(root)) == died + 1
    assert ledger_of(left).state != "complete"


class Beside:
    """A run whose owner is gone, and a lane of a live run beside it."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.left = Bench(root, {"a": options}, owner=dead_owner())
        self.left.points(1.0)
        live = Bench(root, {"other": options})
        self.lane = Lane(live.folder, live.specs[0])
        self.told: list[Any] = []
        self.rests = True
        self.leftovers = Leftovers(self.told.append, lambda: self.rests)


def test_own_work_goes_first(root: Path) -> None:
    beside = Beside(root, out=str(root / "backend"))
    beside.leftovers.look_beside(beside.lane)
    beside.rests = False
    assert beside.leftovers.go_on() is None
    assert not beside.told
    beside.rests = True
    thread = beside.leftovers.go_on()
    assert thread is not None
    thread.join()
    assert beside.leftovers.go_on() is None
    assert beside.left.report("a").ok
    assert [(news.runs, news.root) for news in beside.told] == [(1, str(root / "runs"))]


def test_one_that_fails_is_tried_once(root: Path) -> None:
    beside = Beside(root, out=str(root / "backend"), troubles=[trouble("open_run", "misconfigured")])
    beside.leftovers.look_beside(beside.lane)
    thread = beside.leftovers.go_on()
    assert thread is not None
    thread.join()
    for _ in range(3):
        beside.leftovers._look_due = 0.0
        assert beside.leftovers.go_on() is None
    assert sum(call["hook"] == "open_run" for call in calls(root / "backend")) == 1


def test_one_that_another_process_delivers_is_left_to_it_and_looked_at_later(root: Path) -> None:
    beside = Beside(root, out=str(root / "backend"))
    beside.leftovers.look_beside(beside.lane)
    other = LockedLedger(beside.left.folder, "a")
    assert other.acquire()
    thread = beside.leftovers.go_on()
    assert thread is not None
    thread.join()
    assert beside.leftovers.go_on() is None
    other.release()
    assert not calls(root / "backend")
    beside.leftovers._look_due = 0.0
    thread = beside.leftovers.go_on()
    assert thread is not None
    thread.join()
    assert beside.left.report("a").ok


def pair(spec: LaneSpec) -> list[tuple[LaneSpec, LaneSpec]]:
    return [(msgspec.structs.replace(spec, name=""), spec)]


def test_what_counts_as_left_over(root: Path) -> None:
    """The same options, an owner that is gone, something to deliver; a link into the root is no run folder of ours."""
    options = {"out": str(root / "backend")}
    left = Bench(root, {"a": options}, owner=dead_owner())
    Bench(root, {"a": options})  # its owner is alive
    Bench(root, {"a": {"out": str(root / "elsewhere")}}, owner=dead_owner())
    complete = Bench(root, {"a": options}, owner=dead_owner())
    shutil.rmtree(complete.folder.spool)
    (complete.folder.manifest_file).write_text("not even read")
    (root / "runs" / "notes.txt").touch()
    (root / "runs" / "no run" / ".spool").mkdir(parents=True)
    [spec] = left.folder.read_manifest().sinks
    complete_options = msgspec.structs.replace(spec, options=spec.options | {"out": "with its secret"})
    own = [(shown, complete_options) for shown, _ in pair(spec)]
    [(folder, lane)] = find_leftovers(root / "runs", own)
    assert (folder.path, lane.name, lane.options["out"]) == (left.folder.path, "a", "with its secret")
    assert list(find_leftovers(root / "nowhere", pair(spec))) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_runs_of_other_users_are_theirs(root: Path) -> None:
    left = Bench(root, {"a": {"out": str(root / "backend")}}, owner=dead_owner())
    os.chown(left.folder.manifest_file, 12345, -1)
    assert list(find_leftovers(root / "runs", pair(left.folder.read_manifest().sinks[0]))) == []
