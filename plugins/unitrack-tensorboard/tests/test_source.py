"""The source gives back the records that a run was made of, and reads what others wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.metadata import create_summary_metadata
from tensorboard.summary import Writer
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard_readers import sourced

from unitrack.records import Artifact, Metrics, Params, RunEnd, RunStart, Tags
from unitrack.testing.driver import SinkDriver
from unitrack_tensorboard.source import TensorBoardSource


def records(location: Path, run_id: str, kind: type | None = None):
    return [
        record
        for record in TensorBoardSource(str(location)).records(run_id)
        if kind is None or isinstance(record, kind)
    ]


def test_a_whole_run_comes_back(open_sink, run, logdir):
    sink = open_sink()
    params = {"lr": 0.1, "model": {"depth": 4, "layers": [1, 2]}, "none": None, "big": 2**60}
    sink.params(params)
    sink.tags({"a": "1"})
    logged = [sink.metrics({"loss": 0.1 * step, "acc": 1.0}, step) for step in range(3)]
    artifact = sink.artifact("models/best.pt", b"weights", "model", step=2)
    sink.tags({"b": "2"})
    sink.end("failed")

    found = records(logdir, "run-a")
    assert [type(record) for record in found] == [RunStart, Params, Tags, Metrics, Metrics, Metrics, Artifact, RunEnd]
    assert [record.seq for record in found] == list(range(8))
    start, given, tags, *points, kept, end = found
    assert (start.name, start.project, start.time) == (run.start.name, run.start.project, run.start.time)
    assert given.params == params
    assert tags.tags == {"a": "1", "b": "2"}
    assert [(p.step, p.metrics, p.time) for p in points] == [(p.step, p.metrics, p.time) for p in logged]
    assert (kept.name, kept.type, kept.step, kept.size) == (artifact.name, "model", 2, 7)
    assert (run.folder / kept.file).read_bytes() == b"weights"
    assert end.status == "failed"


def test_the_link_says_where_the_source_finds_the_run(open_sink, run, tmp_path):
    for options in ({}, {"logdir": str(tmp_path / "shared")}):
        sink = open_sink(**options)
        link = sink.open()
        assert [start.run_id for start in TensorBoardSource(link.location).runs()] == [link.id]
        assert records(Path(link.location), link.id)[0].name == run.start.name
        assert Path(link.location).is_absolute()


def test_runs_of_one_logdir(open_sink, tmp_path):
    shared = tmp_path / "shared"
    for name in ("b", "a"):
        sink = open_sink(run=SinkDriver.make_run(tmp_path / name, run_id=name), logdir=str(shared))
        sink.metrics({"x": 1.0}, 5)
        sink.metrics({"x": 2.0}, 1)
        sink.artifact("events.out.tfevents.1", b"an artifact, no run")
        sink.end()
    assert [start.run_id for start in TensorBoardSource(str(shared)).runs()] == ["a", "b"]
    assert sourced(shared, "a") == {"x": [(5, 1.0), (1, 2.0)]}


def test_an_unknown_run_is_a_key_error(tmp_path):
    with pytest.raises(KeyError, match="nothing"):
        TensorBoardSource(str(tmp_path)).records("nothing")
    with pytest.raises(FileNotFoundError, match="missing: give a logdir"):
        list(TensorBoardSource(str(tmp_path / "missing")).runs())


def write_events(folder: Path, *events: Event) -> None:
    writer = EventFileWriter(str(folder))
    for event in events:
        writer.add_event(event)
    writer.close()


def test_scalars_as_torch_writes_them(tmp_path):
    events = []
    for step in range(3):
        event = Event(wall_time=1000.5 + step, step=step)
        event.summary.value.add(tag="_x61_/loss", simple_value=0.5 * step)
        events.append(event)
    write_events(tmp_path / "exp" / "train", *events)
    [start] = TensorBoardSource(str(tmp_path)).runs()
    assert (start.run_id, start.name, start.project) == ("exp/train", "train", "exp")
    found = records(tmp_path, "exp/train", Metrics)
    assert [(p.step, p.time, p.metrics) for p in found] == [
        (0, 1000500, {"_x61_/loss": 0.0}),
        (1, 1001500, {"_x61_/loss": 0.5}),
        (2, 1002500, {"_x61_/loss": 1.0}),
    ]


def test_scalars_as_tensorflow_writes_them(tmp_path):
    writer = Writer(str(tmp_path / "run"))
    for step in range(1500):  # more than any reservoir keeps
        writer.add_scalar("loss", float(step), step)
    writer.close()
    assert sourced(tmp_path, "run") == {"loss": [(step, float(step)) for step in range(1500)]}


def test_tensors_of_other_types_and_plugins(tmp_path):
    event = Event(wall_time=1.0, step=7)
    value = event.summary.value.add(tag="x", metadata=create_summary_metadata("", ""))
    value.tensor.dtype = DT_DOUBLE
    value.tensor.double_val.append(0.1)
    other = event.summary.value.add(tag="histogram")
    other.metadata.plugin_data.plugin_name = "histograms"
    other.tensor.dtype = DT_DOUBLE
    other.tensor.double_val.append(0.1)
    write_events(tmp_path / "run", event)
    assert sourced(tmp_path, "run") == {"x": [(7, 0.1)]}


def test_a_file_that_is_no_event_file_hides_nothing(tmp_path):
    writer = Writer(str(tmp_path / "run"))
    writer.add_scalar("x", 1.0, 1)
    writer.close()
    (tmp_path / "run" / "events.out.tfevents.9").write_bytes(b"nothing of the kind" * 10)
    (tmp_path / "events.out.tfevents.0").write_bytes(b"")
    assert [start.run_id for start in TensorBoardSource(str(tmp_path)).runs()] == [tmp_path.name, "run"]
    assert sourced(tmp_path, "run") == {"x": [(1, 1.0)]}


def test_an_artifact_that_was_replaced_or_deleted_is_not_listed(open_sink, folder, logdir):
    sink = open_sink()
    for name, content in (("a", b"old"), ("b", b"x"), ("a", b"newer")):
        sink.artifact(name, content)
    sink.end()
    (folder / "artifacts/b").unlink()
    [found] = records(logdir, "run-a", Artifact)
    assert (found.name, found.size, Path(found.file).read_bytes()) == ("a", 5, b"newer")


def test_hparams_of_others(tmp_path):
    event = Event(wall_time=1.0, step=0, summary=hparams_pb({"lr": 0.1, "name": "cnn", "on": True}))
    write_events(tmp_path / "run", event)
    assert [record.params for record in records(tmp_path, "run", Params)] == [{"lr": 0.1, "name": "cnn", "on": True}]


def test_a_logdir_that_is_itself_a_run(tmp_path):
    write_events(tmp_path / "run", Event(wall_time=1.0, step=0))
    assert [start.run_id for start in TensorBoardSource(str(tmp_path / "run")).runs()] == ["run"]


def test_what_a_users_own_writer_put_beside_ours_is_read_too(open_sink, logdir, folder):
    sink = open_sink()
    sink.metrics({"ours": 1.0}, 1)
    sink.end()
    writer = Writer(str(folder))
    writer.add_scalar("_x61_theirs", 2.0, 1)
    writer.close()
    assert sourced(logdir) == {"ours": [(1, 1.0)], "_x61_theirs": [(1, 2.0)]}
