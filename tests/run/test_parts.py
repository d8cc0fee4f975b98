"""A run is composed of parts, each of which owns its state."""

from __future__ import annotations

import contextlib
import inspect
import os
import pickle
import time
from pathlib import Path

import pytest

import unitrack
from unitrack import Run
from unitrack.errors import RunFinishedError
from unitrack.journal import JournalReader, JournalWriter, Position, find_writers
from unitrack.records import RunStart, Tags
from unitrack.run.disabled import DisabledRun
from unitrack.run.recorder import JournalState, Recorder
from unitrack.runfolder.run_folder import RunFolder


@pytest.fixture
def folder(root: Path) -> RunFolder:
    return RunFolder.claim(root / "runs", "a")


def recorder(folder: RunFolder, journal: JournalWriter | None) -> Recorder:
    return Recorder(RunStart(seq=0, time=1, run_id="r1", name="a", project=""), folder, journal)


def test_a_run_holds_nothing_but_its_parts(root: Path) -> None:
    """Whatever was called: a new field belongs to a part."""
    run = unitrack.start_run("a", sinks=["local"], root=root / "runs", delivery="inline", params={"lr": 0.1})
    run.log({"loss": 0.5})
    run.set_tags({"team": "nlp"})
    run.log_text("hello", "notes.txt")
    assert run.config["lr"] == 0.1
    run.summary["best"] = 0.5
    assert dict(run.summary) == {"best": 0.5}
    run.finish()
    assert list(vars(run)) == ["_parts"]


def test_only_the_disabled_run_is_a_subclass() -> None:
    assert Run.__mro__ == (Run, object)
    assert Run.__subclasses__() == [DisabledRun]


@pytest.mark.parametrize("name", [name for name in dir(Run) if not name.startswith("_")])
def test_what_is_public_is_documented_in_the_handle(name: str) -> None:
    """So that `help(unitrack.Run)` reads as a page."""
    assert name in vars(Run)
    assert inspect.getdoc(getattr(Run, name))


@pytest.mark.parametrize("name", [name for name in dir(Run) if not name.startswith("_")])
def test_a_disabled_run_has_it_as_well(name: str) -> None:
    """Of its own: it has no parts to ask."""
    assert name in vars(DisabledRun)


def test_a_journal_is_opened_by_the_first_record(folder: RunFolder) -> None:
    """Housekeeping and an end are no reason to begin one."""
    worker = recorder(folder, None)
    worker.sync()
    worker.beat()
    assert worker.state is JournalState.UNOPENED
    assert not find_writers(folder.spool)
    worker.write(Tags, tags={"a": "b"})
    assert worker.state is JournalState.OPEN
    assert len(find_writers(folder.spool)) == 1
    worker.end()


def test_nothing_is_recorded_after_the_end(folder: RunFolder) -> None:
    """By an error that says what to do."""
    ended = recorder(folder, JournalWriter(folder.spool))
    ended.end()
    ended.end()
    assert ended.state is JournalState.ENDED
    for use in (ended.open, ended.check_open, lambda: ended.write(Tags, tags={})):
        with pytest.raises(
            RunFinishedError, match="run 'a' has finished; start another, or resume it with run_id='r1'"
        ):
            use()


def test_no_journal_is_opened_in_a_spool_that_is_gone(folder: RunFolder) -> None:
    """All was delivered, and its owner has ended the run."""
    worker = recorder(folder, None)
    folder.remove_spool()
    with pytest.raises(RunFinishedError, match="has been ended by the process that owns it"):
        worker.open()


def test_a_child_opens_a_journal_of_its_own(folder: RunFolder) -> None:
    """With a lock of its own: the parent's may have been held by a thread that the child does not have."""
    parent = JournalWriter(folder.spool)
    child = recorder(folder, parent)
    lock = child.lock
    child.continue_in_child()
    assert child.lock is not lock
    child.write(Tags, tags={"a": "b"})
    assert len(find_writers(folder.spool)) == 2
    child.end()
    parent.close()


def test_a_session_begins_when_training_goes_back(folder: RunFolder) -> None:
    """In a segment of its own, with the time at which it did, not that of the run's start."""
    run = recorder(folder, JournalWriter(folder.spool))
    before = time.time_ns() // 1_000_000
    run.begin_session()
    run.end()
    [writer] = find_writers(folder.spool)
    with contextlib.closing(JournalReader(folder.spool, writer, Position(1, 0))) as reader:
        [start] = reader.read().records
    assert isinstance(start, RunStart)
    assert start.run_id == "r1"
    assert start.time >= before


def test_an_ended_run_stays_ended_in_a_child(folder: RunFolder) -> None:
    ended = recorder(folder, JournalWriter(folder.spool))
    ended.end()
    ended.continue_in_child()
    with pytest.raises(RunFinishedError):
        ended.open()


def test_a_pickled_run_holds_no_options_of_sinks(root: Path) -> None:
    """They may hold credentials; a worker needs none."""
    sinks = ["local", {"probe": {"out": str(root / "secret-store")}}]
    with unitrack.start_run("a", sinks=sinks, root=root / "runs") as run:
        pickled = pickle.dumps(run)
        assert b"secret-store" not in pickled
        worker = pickle.loads(pickled)
        assert not worker._parts.recorder.is_owner
        worker.log_metric("loss", 0.5)
        assert worker.finish().sinks == {}
        assert worker.has_ended
        assert not run.has_ended


def test_the_owner_is_a_process(root: Path) -> None:
    """A fork of it is none."""
    with unitrack.start_run("a", sinks=["local"], root=root / "runs") as run:
        assert run._parts.recorder.is_owner
        child = os.fork()
        if child == 0:
            os._exit(int(run._parts.recorder.is_owner))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
