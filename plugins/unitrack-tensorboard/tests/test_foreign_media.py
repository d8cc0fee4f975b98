"""Images, sounds, histograms and texts that others wrote come back as artifacts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.audio.metadata import Encoding
from tensorboard.plugins.audio.metadata import create_summary_metadata as audio_metadata
from tensorboard.plugins.histogram.metadata import create_summary_metadata as histogram_metadata
from tensorboard.plugins.image.metadata import create_summary_metadata as image_metadata
from tensorboard.plugins.text.metadata import create_summary_metadata as text_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto
from tensorboard_readers import png

from unitrack.media.pr_curves import pr_curve_bytes
from unitrack.records import PR_CURVE_COLUMNS, Artifact
from unitrack.validation import check_artifact_name
from unitrack_tensorboard.source import TensorBoardSource


def as_torch(summary) -> None:
    """The forms of torch's `SummaryWriter` and of tensorboardX."""
    image = summary.value.add(tag="samples/cat").image
    image.encoded_image_string, image.width, image.height = png(4, 3), 4, 3
    sound = summary.value.add(tag="voice").audio
    sound.encoded_audio_string, sound.sample_rate = b"RIFF....WAVE", 8000
    summary.value.add(tag="text/text_summary", metadata=text_metadata("", "")).tensor.CopyFrom(
        make_tensor_proto(["# Title"])
    )
    histogram = summary.value.add(tag="weights").histo
    histogram.min, histogram.max = 0.25, 1.5
    histogram.bucket_limit.extend([0.0, 1.0, 2.0, 3.0])
    histogram.bucket.extend([0.0, 2.0, 5.0, 0.0])


def as_tensorflow(summary) -> None:
    """The forms of `tf.summary`."""
    for tag, metadata, tensor in (
        ("samples/cat", image_metadata("", ""), [b"4", b"3", png(4, 3)]),
        ("voice", audio_metadata("", "", Encoding.Value("WAV")), [[b"RIFF....WAVE", b"label"]]),
        ("text/text_summary", text_metadata("", ""), "# Title"),
        ("weights", histogram_metadata("", ""), [[0.25, 1.0, 2.0], [1.0, 1.5, 5.0]]),
    ):
        summary.value.add(tag=tag, metadata=metadata).tensor.CopyFrom(make_tensor_proto(tensor))


def write(folder: Path, *events: Event) -> None:
    writer = EventFileWriter(str(folder))
    for event in events:
        writer.add_event(event)
    writer.close()


def artifacts(logdir: Path) -> list[Artifact]:
    return [record for record in TensorBoardSource(str(logdir)).records("run") if isinstance(record, Artifact)]


@pytest.mark.parametrize("fill", [as_torch, as_tensorflow])
def test_media_of_others_are_artifacts(tmp_path, fill):
    events = [Event(wall_time=step, step=step) for step in (1, 7)]
    for event in events:
        fill(event.summary)
    for value in events[1].summary.value:
        value.ClearField("metadata")  # as writers do after a tag's first value
    write(tmp_path / "a folder" / "run", *events)
    source = TensorBoardSource(str(tmp_path / "a folder"))
    found = artifacts(tmp_path / "a folder")
    assert [(one.name, one.type, one.step, one.time) for one in found] == [
        (name, kind, step, 1000 * step)
        for step in (1, 7)
        for name, kind in (
            (f"samples/cat-{step}.png", "image"),
            (f"voice-{step}.wav", "audio"),
            (f"text/text_summary-{step}.md", "text"),
            (f"weights-{step}.json", "histogram"),
        )
    ]
    fetched = [source.fetch("run", one, tmp_path).read_bytes() for one in found]
    assert [len(content) for content in fetched] == [one.size for one in found]
    assert fetched[:3] == fetched[4:7] == [png(4, 3), b"RIFF....WAVE", b"# Title"]
    assert json.loads(fetched[7]) == {"counts": [2.0, 5.0], "edges": [0.25, 1.0, 1.5]}


def test_several_images_of_one_step_have_names_of_their_own(tmp_path):
    event = Event(wall_time=1, step=3)
    tensor = make_tensor_proto([b"1", b"1", png(1, 1), png(1, 1)[:9]])
    event.summary.value.add(tag="grid", metadata=image_metadata("", "")).tensor.CopyFrom(tensor)
    write(tmp_path / "run", event)
    found = artifacts(tmp_path)
    assert [one.name for one in found] == ["grid-3.png", "grid/1-3.png"]
    source = TensorBoardSource(str(tmp_path))
    assert [source.fetch("run", one, tmp_path).read_bytes() for one in found] == [png(1, 1), png(1, 1)[:9]]


def test_any_tag_becomes_a_name_that_stays_inside(tmp_path):
    tags = ["../x", "/x", "x", "a//b", "a/b", "", "_x5f_", "x" * 900, "./x", "a:b", "ü", "a.b/c.d"]
    event = Event(wall_time=1, step=0)
    for tag in tags:
        event.summary.value.add(tag=tag, metadata=text_metadata("", "")).tensor.CopyFrom(make_tensor_proto(tag))
    write(tmp_path / "run", event)
    found = artifacts(tmp_path)
    names = [one.name for one in found]
    assert [check_artifact_name(name) for name in names] == names
    assert len(set(names)) == len(tags)
    assert {"x-0.md", "a/b-0.md", "ü-0.md", "a.b/c.d-0.md"} < set(names)
    source = TensorBoardSource(str(tmp_path))
    assert [source.fetch("run", one, tmp_path).read_text() for one in found] == tags


def test_what_is_gone_is_not_found(tmp_path):
    event = Event(wall_time=1, step=0)
    as_torch(event.summary)
    write(tmp_path / "run", event)
    [first, *_] = artifacts(tmp_path)
    [file] = (tmp_path / "run").iterdir()
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(FileNotFoundError, match="no longer has"):
        TensorBoardSource(str(tmp_path)).fetch("run", first, tmp_path)


def test_a_curve_of_another_writer_is_a_table(tmp_path):
    writer = pytest.importorskip("tensorboardX").SummaryWriter(str(tmp_path / "run"))
    writer.add_pr_curve("val/pr", np.array([0, 1, 1]), np.array([0.1, 0.6, 0.4]), 7, num_thresholds=5)
    writer.close()
    [found] = artifacts(tmp_path)
    assert (found.name, found.type, found.step) == ("val/pr-7.json", "pr_curve", 7)
    table = json.loads(TensorBoardSource(str(tmp_path)).fetch("run", found, tmp_path).read_bytes())
    assert table["columns"] == list(PR_CURVE_COLUMNS)
    ours = json.loads(pr_curve_bytes([0, 1, 1], [0.1, 0.6, 0.4], "pr", 5))["data"]
    assert table["data"] == [pytest.approx(row) for row in ours]
