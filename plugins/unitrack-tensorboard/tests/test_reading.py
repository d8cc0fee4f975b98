"""Columns, records and summaries of event files are what TensorBoard's own reader sees, point by point."""

from __future__ import annotations

import struct
from collections import defaultdict
from itertools import islice

import foreign_logs
import pytest
from foreign_logs import KINDS, write
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.util.tensor_util import make_ndarray

from unitrack.hookspecs import RunSummary
from unitrack.records import Metrics
from unitrack_tensorboard import frame_reader
from unitrack_tensorboard.source import TensorBoardSource


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def accumulated(folder):
    """Tag -> step, value and wall time of each point, as `EventAccumulator` has them."""
    reader = EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=False
    ).Reload()
    found = {
        tag: [(one.step, bits(one.value), round(one.wall_time * 1000)) for one in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }
    for tag in reader.Tags()["tensors"]:
        if reader.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            found[tag] = [
                (one.step, bits(make_ndarray(one.tensor_proto).item()), round(one.wall_time * 1000))
                for one in reader.Tensors(tag)
            ]
    return found


def in_columns(columns):
    return {
        name: [(step, bits(value), time) for step, value, time in zip(one.steps, one.values, one.times, strict=True)]
        for name, one in columns.items()
    }


def in_records(records):
    found = defaultdict(list)
    for record in records:
        if isinstance(record, Metrics):
            for name, value in record.values().items():
                found[name].append((record.step, bits(value), record.time))
    return dict(found)


def check_all_ways(source, run_id, expected):
    assert in_columns(source.columns(run_id)) == expected
    assert in_records(source.records(run_id)) == expected
    assert list(source.columns(run_id)) == list(in_records(source.records(run_id)))
    told, whole = source.summary(run_id), RunSummary.of(source.records(run_id))
    assert repr(told.metrics) == repr(whole.metrics)  # NaN is not equal to itself
    assert repr(told.last) == repr(whole.last)
    assert (told.params, told.tags, told.status, told.ended) == (whole.params, whole.tags, whole.status, whole.ended)
    assert list(told.artifacts) == list(whole.artifacts)
    for one in source.columns(run_id).values():
        assert (one.steps.format, one.values.format, one.times.format) == ("q", "d", "q")
    some = list(expected)[::2]
    assert in_columns(source.columns(run_id, [*some, "none"])) == {name: expected[name] for name in some}
    assert in_records(source.history(run_id, [*some, "none"])) == {name: expected[name] for name in some}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("stretch", [frame_reader.STRETCH_BYTES, 1000])
@pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning")  # of EventAccumulator, with NumPy 2.5
def test_each_kind_of_file_is_read_as_event_accumulator_does(tmp_path, monkeypatch, kind, stretch):
    monkeypatch.setattr(frame_reader, "STRETCH_BYTES", stretch)
    write(tmp_path / "run", kind())
    expected = accumulated(tmp_path / "run")
    assert sum(map(len, expected.values())) >= 20
    check_all_ways(TensorBoardSource(str(tmp_path)), "run", expected)


def test_files_of_one_folder_are_one_run(tmp_path):
    events = list(foreign_logs.torch())
    for number, part in enumerate((events[:100], events[100:101], [], events[101:])):
        write(tmp_path / "run", iter(part), f"events.out.tfevents.170000000{number}.host")
    (tmp_path / "run" / "events.out.tfevents.1700000009.host").touch()
    check_all_ways(TensorBoardSource(str(tmp_path)), "run", accumulated(tmp_path / "run"))


def test_points_before_a_restart_are_not_lost(tmp_path):
    write(tmp_path / "run", foreign_logs.restarted())
    shown = EventAccumulator(str(tmp_path / "run"), size_guidance={"scalars": 0}).Reload().Scalars("x")
    assert len(shown) == 120  # TensorBoard hides 50 of 170
    columns = TensorBoardSource(str(tmp_path)).columns("run")["x"]
    assert list(columns.values) == [*range(100), *range(-50, -120, -1)]


def test_the_plain_forms_are_not_parsed_one_by_one(tmp_path, monkeypatch):
    parsed = []
    from_string = Event.FromString
    for kind in (foreign_logs.torch, foreign_logs.many_in_one_event, foreign_logs.tensorflow):
        write(tmp_path / kind.__name__, kind())

    class Counting:
        @staticmethod
        def FromString(data):  # protobuf's name
            parsed.append(data)
            return from_string(data)

    monkeypatch.setattr("unitrack_tensorboard.event_reader.Event", Counting)
    source = TensorBoardSource(str(tmp_path))
    for kind in ("torch", "many_in_one_event", "tensorflow"):
        source.columns(kind)
    assert len(parsed) < 30  # of 1,380


def test_a_run_of_unitrack_in_columns(open_sink, logdir):
    sink = open_sink()
    logged = []
    for step in [*range(100), *range(40, 60), 3, 3, *range(100, 130)]:
        logged.append((step, bits(step / 3)))
        sink.metrics({"a": step / 3, "unitrack/b": float(step), "_x61_": 1e300}, step)
        if step % 7 == 0:
            logged.append((step // 2, bits(0.5)))
            sink.metrics({"a": 0.5}, step // 2)
    sink.params({"lr": 0.1})
    sink.tags({"team": "nlp"})
    sink.artifact("model.pt", b"weights", "model", step=2)
    sink.end("failed")
    source = TensorBoardSource(str(logdir))
    check_all_ways(source, "run-a", in_records(source.records("run-a")))
    assert source.summary("run-a").status == "failed"
    assert [(step, value) for step, value, _ in in_columns(source.columns("run-a"))["a"]] == logged


def test_records_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(frame_reader, "STRETCH_BYTES", 1000)
    write(tmp_path / "run", foreign_logs.torch())
    read = []
    stretches = frame_reader._Reader.stretches
    monkeypatch.setattr(
        frame_reader._Reader, "stretches", lambda self: (read.append(one) or one for one in stretches(self))
    )
    source = TensorBoardSource(str(tmp_path))
    assert len(list(islice(source.records("run"), 5))) == 5
    assert len(read) <= 3
