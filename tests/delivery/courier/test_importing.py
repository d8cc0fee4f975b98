"""How couriers import their backends' SDKs: in turn, and without what Python's garbage collector would make of it."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import msgspec
import pytest

import unitrack
from unitrack import limits
from unitrack.delivery.courier.importing import import_in_turn
from unitrack.delivery.courier.pool import pool
from unitrack.delivery.courier.protocol import Terms
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.thread import LaneThread
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import installed
from unitrack.records import Metrics
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.locks import FileLock

SLOW = """
import gc, time
from pathlib import Path
import {log} as log

log.lines.append("begin")
assert not gc.isenabled()
time.sleep(0.3)
log.lines.append("end")
raise RuntimeError("what a lane reports")
"""


COUNTING = """
import gc
from pathlib import Path
from unitrack import hookimpl

class Sink:
    def __init__(self, options):
        self._seen = Path(__file__).with_name("exempt")

    @hookimpl
    def open_run(self, run, checkpoint):
        pass

    @hookimpl
    def log_metrics(self, metrics):
        self._seen.write_text(str(gc.get_freeze_count()))

    @hookimpl
    def flush(self):
        return {}
"""


def sink(path: Path, name: str, log: str) -> LaneSpec:
    """A sink whose module takes a while to import, and fails."""
    (path / f"{name}.py").write_text(SLOW.format(log=log))
    options = "unitrack.hookspecs:SinkOptions"
    return LaneSpec(name=name, backend=name, sink=f"{name}:Sink", options_type=options, imports_sdk=True)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.state.mkdir(parents=True)
    return folder


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"log_of_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text("lines = []\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def import_both(folder: RunFolder, specs: list[LaneSpec]) -> None:
    """As two couriers do at the same time; locks of two open files are independent also in one process."""
    threads = [threading.Thread(target=import_in_turn, args=(folder, spec)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lines_of(log: str) -> list[str]:
    lines: list[str] = __import__(log).lines
    return lines


def test_couriers_of_a_run_import_one_after_the_other(folder: RunFolder, tmp_path: Path, log: str) -> None:
    import_both(folder, [sink(tmp_path, "slow_one", log), sink(tmp_path, "slow_two", log)])
    assert lines_of(log) == ["begin", "end", "begin", "end"]
    assert gc.isenabled()


def test_an_import_that_hangs_holds_up_no_other_for_long(
    folder: RunFolder, tmp_path: Path, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "IMPORT_TURN_S", 0.05)
    import_both(folder, [sink(tmp_path, "slow_three", log), sink(tmp_path, "slow_four", log)])
    assert lines_of(log) == ["begin", "begin", "end", "end"]


def test_the_local_files_wait_for_no_import(folder: RunFolder) -> None:
    """Of MLflow, for example: `finish(timeout=5)` has them delivered."""
    spec = make_lane("local", installed().backend("local"), {})
    lock = FileLock(folder.state / "import.lock")
    assert lock.acquire()
    before = time.monotonic()
    import_in_turn(folder, spec)
    assert time.monotonic() - before < limits.IMPORT_TURN_S
    lock.release()


def test_an_import_that_hangs_is_stuck_as_a_call_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the courier is started again, and blames this lane."""
    monkeypatch.setattr(limits, "SINK_HUNG_S", 0.05)
    hangs = threading.Event()
    with unitrack.start_run("a", sinks=["local"], root=tmp_path / "runs", delivery="inline") as run:
        spec = make_lane("local", installed().backend("local"), {})
        lane = Lane(RunFolder(run.path), spec)
        thread = LaneThread(lane, wait_for_lock=False, prepare=lambda: hangs.wait(30))
        thread.start()
        deadline = time.monotonic() + 20
        while not thread.is_stuck() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert thread.is_stuck()
        hangs.set()
        thread.join(30)
        assert not thread.is_stuck()


def test_a_folder_without_room_for_the_lock_delays_nothing(tmp_path: Path, log: str) -> None:
    before = time.monotonic()
    import_in_turn(RunFolder(tmp_path / "gone"), sink(tmp_path, "slow_five", log))
    assert lines_of(log) == ["begin", "end"]
    assert time.monotonic() - before < limits.IMPORT_TURN_S


def test_what_a_courier_has_imported_is_exempt_from_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(tmp_path)
    exempt, deadline = tmp_path / "exempt", time.monotonic() + 60
    spec = LaneSpec(name="x", backend="x", sink="counting:Sink", options_type="unitrack.hookspecs:SinkOptions")
    with unitrack.start_run("a", sinks=["local"], root=tmp_path / "runs") as run:
        pool.deliver(RunFolder(run.path), spec, Terms())
        while not exempt.exists() or int(exempt.read_text() or 0) < 10_000:
            assert time.monotonic() < deadline, "nothing was exempt"
            run.log_metrics({"loss": 0.5})
            time.sleep(0.05)


def test_the_collector_has_no_metrics_to_look_through() -> None:
    """A chunk of a journal is 10,000 of them; with a header for the collector, making one takes twice as long."""
    record = msgspec.json.decode(b'{"seq":1,"time":2,"step":3,"kind":"metrics","metrics":{"loss":0.5}}', type=Metrics)
    assert not gc.is_tracked(record)
    assert not gc.is_tracked(record.metrics)
