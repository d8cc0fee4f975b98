"""Runs that share a logdir: whose folder is whose."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard_readers import sourced

from unitrack.errors import SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import RunContext
from unitrack.system.claims import CLAIM
from unitrack.testing.driver import SinkDriver
from unitrack_tensorboard.source import TensorBoardSource


@pytest.fixture
def twin(tmp_path: Path) -> RunContext:
    """Another run whose folder has the same name."""
    return SinkDriver.make_run(tmp_path / "elsewhere" / "run-a", run_id="run0002")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"


def test_the_second_run_has_its_id_in_the_name(open_sink, twin, shared):
    first, second = open_sink(logdir=str(shared)), open_sink(run=twin, logdir=str(shared))
    first.metrics({"loss": 1.0}, 0)
    second.metrics({"loss": 2.0}, 0)
    first.end()
    second.end()
    assert (first.link.id, second.link.id) == ("run-a", "run-a-run0002")
    assert sorted(path.name for path in shared.iterdir()) == ["run-a", "run-a-run0002"]
    source = TensorBoardSource(str(shared))
    assert [run.run_id for run in source.runs()] == ["run-a", "run-a-run0002"]


def test_a_run_of_before_claims_is_found_again(open_sink, twin, shared):
    first = open_sink(logdir=str(shared))
    first.metrics({"loss": 1.0}, 0)
    first.end()
    (shared / "run-a" / CLAIM).unlink()  # as an older unitrack left it
    second = open_sink(run=twin, logdir=str(shared))
    assert second.link.id == "run-a-run0002"
    again = open_sink(logdir=str(shared), checkpoint=first.checkpoint)
    again.metrics({"loss": 2.0}, 1)
    again.end()
    assert again.link.id == "run-a"
    assert (shared / "run-a" / CLAIM).exists()


def test_a_run_keeps_its_folder_when_the_other_one_is_deleted(open_sink, twin, shared):
    open_sink(logdir=str(shared)).end()
    open_sink(run=twin, logdir=str(shared)).end()
    for path in sorted((shared / "run-a").iterdir()):
        path.unlink()
    (shared / "run-a").rmdir()
    assert open_sink(run=twin, logdir=str(shared)).link.id == "run-a-run0002"


def test_two_sinks_of_one_run_do_not_share_a_folder(open_sink, run, shared):
    other = RunContext(start=run.start, folder=run.folder, sink_name="second")
    assert open_sink(logdir=str(shared)).link.id == "run-a"
    assert open_sink(run=other, logdir=str(shared)).link.id == f"run-a-{run.start.run_id}"


def test_others_files_in_the_folder_stay(open_sink, shared):
    (shared / "run-a").mkdir(parents=True)
    (shared / "run-a" / "notes.txt").write_text("mine")
    sink = open_sink(logdir=str(shared))
    sink.end()
    assert sink.link.id == "run-a"
    assert (shared / "run-a" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"{"], ids=["of a process that died", "damaged"])
def test_a_claim_that_says_nothing(open_sink, shared, run, content):
    """Nobody takes the folder, unless its files say whose it is."""
    (shared / "run-a").mkdir(parents=True)
    (shared / "run-a" / CLAIM).write_bytes(content)
    sink = open_sink(logdir=str(shared))
    assert sink.link.id == f"run-a-{run.start.run_id}"
    sink.end()
    (shared / sink.link.id / CLAIM).write_bytes(content)
    assert open_sink(logdir=str(shared)).link.id == sink.link.id


def test_all_names_are_taken(open_sink, shared, run):
    run_id = run.start.run_id
    for name in ("run-a", f"run-a-{run_id}", f"run-a-{run_id}-sink"):
        (shared / name).mkdir(parents=True)
        (shared / name / CLAIM).write_text('{"run_id": "x", "sink": "y"}')
    with pytest.raises(SinkMisconfiguredError, match="belong to other runs: choose another folder"):
        open_sink(logdir=str(shared))


def test_a_name_that_leaves_no_room_for_the_id(open_sink, tmp_path, shared):
    long = "\N{GREEK SMALL LETTER ALPHA}" * 120
    names = []
    for place in ("first", "second"):
        run = SinkDriver.make_run(tmp_path / place / long, run_id=place * 20)
        sink = open_sink(run=run, logdir=str(shared))
        sink.end()
        names.append(sink.link.id)
    assert names[0] == long
    assert names[1].endswith("-" + "second" * 20)
    assert len(names[1].encode()) <= 255


def test_where_there_are_no_hard_links(open_sink, twin, shared, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    for run, name in ((None, "run-a"), (twin, "run-a-run0002")):
        sink = open_sink(logdir=str(shared)) if run is None else open_sink(run=run, logdir=str(shared))
        sink.metrics({"loss": 1.0}, 0)
        sink.end()
        assert sink.link.id == name
    assert sourced(shared / "run-a") == {"loss": [(0, 1.0)]}
    assert not list(shared.rglob("*.part"))


def test_a_call_that_may_not_be_repeated_says_so(open_sink, folder, monkeypatch):
    """Rewinding, and showing a batch of files, change the event files before they fail."""
    sink = open_sink()
    sink.metrics({"loss": 1.0}, 5)
    sink.flush()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("unitrack_tensorboard.rewind.Withdrawal.apply", fail)
    with pytest.raises(SinkUnavailableError) as failed:
        sink.hooks.rewind(steps={"loss": 3})
    assert failed.value.reopen
    monkeypatch.setattr("unitrack_tensorboard.event_file.EventFile.spill", fail)
    with pytest.raises(SinkUnavailableError) as failed:
        sink.artifact("a.txt", b"a", type="text")
    assert failed.value.reopen
    monkeypatch.setattr("unitrack_tensorboard.event_file.EventFile.flush", fail)
    with pytest.raises(SinkUnavailableError) as failed:
        sink.flush()
    assert not failed.value.reopen


def test_a_run_of_before_the_common_logdir_goes_on_where_it_is(open_sink, run):
    """Earlier versions made a logdir in each run folder."""
    old = run.folder / "tensorboard"
    first = open_sink(logdir=str(old))
    first.metrics({"loss": 1.0}, 0)
    first.flush()
    again = open_sink(first.checkpoint)
    again.metrics({"loss": 2.0}, 1)
    again.end()
    assert again.link.location == str(old)
    assert sourced(old) == {"loss": [(0, 1.0), (1, 2.0)]}
    assert not (run.folder.parent / "tensorboard").exists()
