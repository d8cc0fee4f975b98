"""A damaged file costs the events that are damaged, never more, and no point is invented."""

from __future__ import annotations

import logging
import random
from collections import Counter
from itertools import islice
from pathlib import Path

import foreign_logs
import pytest
from foreign_logs import FILE, write
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.util.tensor_util import make_tensor_proto
from tensorboard_readers import png, sourced

from unitrack.records import Artifact
from unitrack_tensorboard import frame_reader
from unitrack_tensorboard.frame_reader import payload_at, payloads
from unitrack_tensorboard.source import TensorBoardSource
from unitrack_tensorboard.tfrecord import HEADER, LENGTH, frame, masked_crc

PAYLOADS = [b"", b"first", b"0" * 150, b"a" * 40, bytes(range(0, 256, 4)), b"x", *(b"point %d" % n for n in range(5))]


def read(path: Path, data: bytes) -> list[bytes]:
    path.write_bytes(data)
    return list(payloads(path))


@pytest.fixture(params=[frame_reader.STRETCH_BYTES, 1, 100])
def path(request, tmp_path, monkeypatch):
    """A path for a file that is read in stretches of some size."""
    monkeypatch.setattr(frame_reader, "STRETCH_BYTES", request.param)
    return tmp_path / "file"


def test_cut_anywhere(path, caplog):
    data = b"".join(map(frame, PAYLOADS))
    ends = [sum(map(len, map(frame, PAYLOADS[:count]))) for count in range(len(PAYLOADS) + 1)]
    for length in range(0, len(data) + 1, 1 if frame_reader.STRETCH_BYTES > 1 else 7):
        assert read(path, data[:length]) == PAYLOADS[: sum(end <= length for end in ends[1:])]
    assert caplog.messages == []  # the file may still be written


def test_a_flipped_bit_anywhere_costs_one_frame(path):
    data = b"".join(map(frame, PAYLOADS))
    starts = [sum(map(len, map(frame, PAYLOADS[:count]))) for count in range(len(PAYLOADS))]
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        hit = sum(start <= place for start in starts) - 1
        assert read(path, bytes(flipped)) == PAYLOADS[:hit] + PAYLOADS[hit + 1 :]


def test_what_was_written_behind_a_torn_frame_is_found(path):
    before, torn, behind = frame(b"before"), frame(b"t" * 70), [b"b" * 90, b"c" * 5, b"d" * 200]
    for length in range(len(torn)):
        assert read(path, before + torn[:length] + b"".join(map(frame, behind))) == [b"before", *behind]


def test_bytes_of_anything_between_frames_are_skipped_and_counted(path, caplog):
    for junk in (b"\0" * 500, b"\xff" * 37, random.Random(3).randbytes(999), HEADER.pack(5, 0)):
        caplog.clear()
        assert read(path, frame(b"a") + junk + frame(b"b")) == [b"a", b"b"]
        assert caplog.messages == [f"{path}: {len(junk)} bytes are damaged, and were skipped"]
        assert caplog.records[0].levelno == logging.WARNING


def test_a_file_that_was_copied_as_text_is_read_as_far_as_it_goes(path, monkeypatch):
    searched = []
    everywhere = frame_reader._everywhere

    def counted(data, dtype, room, at=0):
        if room == HEADER.size:
            searched.append(len(data))
        return everywhere(data, dtype, room, at)

    monkeypatch.setattr(frame_reader, "_everywhere", counted)
    broken, whole = frame(b"line\n" * 20).replace(b"\n", b"\r\n"), frame(b"no line")
    assert read(path, (broken * 9 + whole) * 60) == [b"no line"] * 60
    assert sum(searched) < 540 * 2 * 3 * 1024  # not the whole rest for each damaged frame, three views a time


@pytest.mark.parametrize("length", [2**31, 2**32 + 5, 2**63, 2**64 - 1])
def test_a_header_that_promises_gigabytes_takes_no_memory(path, length):
    header = LENGTH.pack(length)
    huge = header + masked_crc(header).to_bytes(4, "little")
    assert read(path, frame(b"a") + huge + frame(b"b")) == [b"a", b"b"]
    assert payload_at(path, len(frame(b"a"))) is None


@given(st.binary(max_size=300), st.integers(0, 2))
def test_any_bytes_can_be_read(tmp_path_factory, content, frames):
    path = tmp_path_factory.getbasetemp() / "anything"
    assert read(path, frame(b"a") * frames + content)[:frames] == [b"a"] * frames


def _log() -> list[Event]:
    events = [*islice(foreign_logs.torch(), 60), *islice(foreign_logs.many_in_one_event(), 20)]
    picture = Event(wall_time=1.7e9, step=3)
    image = picture.summary.value.add(tag="cat").image
    image.encoded_image_string, image.width, image.height = png(4, 3), 4, 3
    text = picture.summary.value.add(tag="note", metadata=create_summary_metadata("", ""))
    text.tensor.CopyFrom(make_tensor_proto("text"))
    return [*events[:30], picture, *events[30:], *islice(foreign_logs.tensorflow(), 40)]


def _points(logdir: Path) -> Counter[tuple[str, int, float]]:
    return Counter((tag, step, value) for tag, found in sourced(logdir, "run").items() for step, value in found)


@pytest.mark.parametrize("seed", range(6))
def test_a_log_with_many_damages_has_only_points_that_were_written(tmp_path, seed):
    path = write(tmp_path / "run", iter(_log()))
    content, whole = path.read_bytes(), _points(tmp_path)
    assert whole.total() == 60 + 3 * 20 + 40
    rng = random.Random(seed)
    for damages in (1, 2, 5, 20):
        damaged = bytearray(content)
        for _ in range(damages):
            place = rng.randrange(len(damaged))
            if rng.random() < 0.5:
                damaged[place] ^= 1 << rng.randrange(8)
            else:
                del damaged[place : place + rng.randrange(100)]
        path.write_bytes(damaged)
        found = _points(tmp_path)
        assert found <= whole
        assert (whole - found).total() <= 9 * damages  # three values in each of three events
        source = TensorBoardSource(str(tmp_path))
        assert sum(map(len, source.columns("run").values())) == found.total()
        assert sum(one.points for one in source.summary("run").metrics.values()) == found.total()


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_run_of_unitrack_is_the_same_in_records_and_in_columns(open_sink, logdir, folder, seed):
    rng = random.Random(seed)
    sink = open_sink()
    logged = [(rng.randrange(25), float(number)) for number in range(120)]
    for step, value in logged:
        sink.metrics({"x": value, "y": 0.1} if step % 2 else {"x": value}, step)
    sink.end()
    for file in folder.rglob("*.unitrack"):
        content = bytearray(file.read_bytes())
        for _ in range(rng.randrange(4)):
            content[rng.randrange(len(content))] ^= 0x10
        file.write_bytes(content)
    found = sourced(logdir)
    assert 60 < len(found["x"]) <= 120
    assert set(found["x"]) <= set(logged)
    columns = TensorBoardSource(str(logdir)).columns("run-a")
    assert {name: list(zip(one.steps, one.values, strict=True)) for name, one in columns.items()} == found


def test_a_live_file_is_read_up_to_the_event_that_is_being_written(tmp_path):
    path = tmp_path / "run" / FILE
    content = write(tmp_path / "run", foreign_logs.torch()).read_bytes()
    path.write_bytes(content[:1000])
    source = TensorBoardSource(str(tmp_path))
    before = _points(tmp_path)
    records = source.records("run")
    next(records)
    with path.open("ab") as file:
        file.write(content[1000:])
    assert sum(1 for _ in records) >= before.total()
    assert _points(tmp_path).total() == 480


def test_a_value_that_is_not_what_its_dashboard_takes_is_skipped(tmp_path, caplog):
    event = Event(wall_time=float("nan"), step=1)
    for plugin, content in (("histograms", "text"), ("images", 1.0), ("audio", 2.0), ("scalars", [1.0, 2.0])):
        value = event.summary.value.add(tag=plugin)
        value.metadata.plugin_data.plugin_name = plugin
        value.tensor.CopyFrom(make_tensor_proto(content))
    broken = event.summary.value.add(tag="_hparams_/session_start_info")
    broken.metadata.plugin_data.plugin_name, broken.metadata.plugin_data.content = "hparams", b"\xff\xff"
    shapeless = event.summary.value.add(tag="scalars/2")
    shapeless.metadata.plugin_data.plugin_name = "scalars"
    shapeless.tensor.dtype = 9999
    event.summary.value.add(tag="fine", simple_value=1.0)
    write(tmp_path / "run", iter([event]))
    assert sourced(tmp_path, "run") == {"fine": [(1, 1.0)]}
    found = [record for record in TensorBoardSource(str(tmp_path)).records("run") if isinstance(record, Artifact)]
    assert found == []
