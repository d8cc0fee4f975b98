"""What the histogram, audio, image and text dashboards show of an artifact, read with their own code."""

from __future__ import annotations

import io
import json
import wave
from itertools import pairwise

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard_dashboards import histograms, rendered_texts, sounds
from tensorboard_readers import images, png, python_reader, texts

import unitrack_tensorboard
from unitrack.records import KINDS
from unitrack_tensorboard import views


def histogram(counts, edges):
    return json.dumps({"counts": counts, "edges": edges}).encode()


def wav(samples: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * samples))
    return buffer.getvalue()


def gif(frames: int) -> bytes:
    pictures = [Image.new("L", (4, 3), 10 * number) for number in range(frames)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:])
    return buffer.getvalue()


def test_histograms_are_exact_and_at_their_steps(open_sink, logdir, reader):
    fine = [1.0, 1.0 + 1e-12, 1.0 + 2e-12, 1e300]  # all but the last are one float32
    sink = open_sink()
    sink.artifact("weights-5.json", histogram([0, 2, 0], fine), "histogram", step=5)
    sink.artifact("weights-7.json", histogram([3.5], [-1, 1]), "histogram", step=7)
    sink.end()
    with reader(logdir) as opened:
        assert histograms(opened, "run-a", "weights") == [
            (5, [(*edges, count) for edges, count in zip(pairwise(fine), [0.0, 2.0, 0.0], strict=True)]),
            (7, [(-1.0, 1.0, 3.5)]),
        ]


@pytest.mark.parametrize("text_first", [True, False])
def test_a_text_that_is_called_like_an_image_hides_none(open_sink, logdir, reader, text_first):
    sink = open_sink()
    logged = [("roc.png", b"how it was made", "text", None), ("roc-7.png", png(4, 3), "figure", 7)]
    for name, content, kind, step in logged if text_first else logged[::-1]:
        sink.artifact(name, content, kind, step=step)
    sink.end()
    with reader(logdir) as opened:
        assert [step for step, *_ in images(opened, "run-a")["roc.png"]] == [7]
        [(_, text)] = texts(opened, "run-a")["roc.png (text)"]
        assert "how it was made" in text


def test_a_late_histogram_is_in_a_sibling_folder(open_sink, logdir, reader):
    sink = open_sink()
    for step in (9, 4):
        sink.artifact(f"w-{step}.json", histogram([step], [0, 1]), "histogram", step=step)
    sink.end()
    with reader(logdir) as opened:
        assert histograms(opened, "run-a", "w") == [(9, [(0.0, 1.0, 9.0)])]
        assert histograms(opened, "run-a/late-1", "w") == [(4, [(0.0, 1.0, 4.0)])]


def test_a_histogram_and_a_text_of_one_name_are_both_shown(open_sink, logdir, reader):
    sink = open_sink()
    sink.artifact("w.json", histogram([1], [0, 1]), "histogram")
    sink.artifact("w.json", b"{}", "json")
    sink.end()
    with reader(logdir) as opened:
        assert histograms(opened, "run-a", "w") == [(0, [(0.0, 1.0, 1.0)])]
        assert texts(opened, "run-a")["w.json"] == [(0, "```json\n{}\n```")]


def test_sounds_are_played_at_their_steps(open_sink, logdir, reader):
    sink = open_sink()
    sink.artifact("speech-1.wav", wav(8), "audio", step=1)
    sink.artifact("speech-2.wav", wav(5), "audio", step=2)
    sink.end()
    with reader(logdir) as opened:
        assert sounds(opened, "run-a", "speech.wav") == [
            (1, "audio/wav", wav(8)),
            (2, "audio/wav", wav(5)),
        ]


def test_a_video_moves_among_the_images(open_sink, logdir, reader):
    sink = open_sink()
    sink.artifact("rollout-3.gif", gif(4), "video", step=3)
    sink.end()
    with reader(logdir) as opened:
        [(step, width, height, encoded)] = images(opened, "run-a")["rollout.gif"]
    assert (step, width, height) == (3, b"4", b"3")
    assert encoded == gif(4)
    assert Image.open(io.BytesIO(encoded)).n_frames == 4


def test_a_table_is_a_table_of_the_text_dashboard(open_sink, logdir, reader):
    rows = [[1, "a|b\nc"], [None, "<b>*x*</b>"], [[1.5], "ü"]]
    sink = open_sink()
    sink.artifact("errors-2.json", json.dumps({"columns": ["n", "what"], "data": rows}).encode(), "table", step=2)
    sink.end()
    with reader(logdir) as opened:
        [(step, shown)] = rendered_texts(opened, "run-a", "errors.json")
    assert step == 2
    assert shown.count("<tr>") == 4
    for cell in ("1", "a&#124;b c", "null", "&lt;b&gt;*x*&lt;/b&gt;", "[1.5]", "ü"):
        assert f"<td>{cell}</td>" in shown


@pytest.mark.parametrize("columns", [["only"], ["a", "b"]])
def test_a_long_table_is_cut_and_says_so(open_sink, logdir, folder, columns):
    content = json.dumps({"columns": columns, "data": [["x"] * len(columns)] * 1234}).encode()
    sink = open_sink()
    sink.artifact("all.json", content, "table")
    sink.end()
    with python_reader(logdir) as opened:
        [(_, shown)] = rendered_texts(opened, "run-a", "all.json")
    assert shown.count("<tr>") == 1 + views.MAX_SHOWN_ROWS
    assert "... and 1,034 more rows" in shown
    assert (folder / "artifacts/all.json").read_bytes() == content


def test_a_wide_table_is_cut_by_its_size(open_sink, logdir):
    sink = open_sink()
    data = [["x" * 900] * 50] * 100
    content = json.dumps({"columns": [str(n) for n in range(50)], "data": data}).encode()
    sink.artifact("wide.json", content, "table")
    sink.end()
    with python_reader(logdir) as opened:
        [(_, text)] = texts(opened, "run-a")["wide.json"]
    assert len(text) < views.MAX_SHOWN_TABLE_CHARACTERS + 1000
    assert "... and 99 more rows" in text


@pytest.mark.parametrize(
    ("name", "type", "content"),
    [
        ("a.mp3", "audio", b"ID3 no WAV"),
        ("a.wav", "audio", wav(8)[:10]),
        ("a.mp4", "video", b"\0\0\0\x18ftypmp42"),
        ("a.json", "histogram", histogram([1, 2], [0, 1])),
        ("a.json", "histogram", b"{}"),
        ("a.json", "histogram", histogram([1] * (views.MAX_SHOWN_BINS + 1), list(range(views.MAX_SHOWN_BINS + 2)))),
        ("a.json", "table", b'{"columns": ["a"], "data": [[1, 2]]}'),
        ("a.csv", "table", b"a,b\n1,2\n"),
        ("a.html", "html", b"<h1>Title</h1>"),
        ("a.bin", "file", b"x"),
        pytest.param("a.wav", "audio", b"RIFF....WAVE".ljust(views.MAX_SHOWN_MEDIA_BYTES + 1), id="too large a sound"),
    ],
)
def test_what_no_dashboard_shows_is_a_file_alone(open_sink, folder, name, type, content):
    sink = open_sink()
    sink.metrics({"x": 1.0}, 1)
    sink.artifact(name, content, type)
    sink.end()
    found = EventAccumulator(str(folder)).Reload().Tags()
    shown = {tag for tags in found.values() if isinstance(tags, list) for tag in tags}
    assert shown == {"x", "unitrack/run", "unitrack/records", "unitrack/artifact", "_hparams_/session_end_info"}
    assert (folder / "artifacts" / name).read_bytes() == content


def test_what_is_declared_native_is_a_known_kind_and_shown():
    [backend] = unitrack_tensorboard.register_backends()
    assert set(backend.native) <= set(KINDS)
    no_view = {"metrics", "params", "tags", "description", "status", "embedding", "graph"}
    assert set(views._VIEWS) == set(backend.native) - no_view
