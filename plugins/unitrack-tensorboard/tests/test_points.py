"""Every accepted point is readable at its own step, in both of TensorBoard's readers and in our source."""

from __future__ import annotations

import math
import random
import struct

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard_readers import data_server, points, python_reader, scalars, sourced

from unitrack.records import Metrics
from unitrack.testing.driver import now_ms
from unitrack_tensorboard import placement
from unitrack_tensorboard.source import TensorBoardSource

LOGGED = {
    "in order": [(step, step / 4) for step in range(50)],
    "one late": [*((step, 1.0) for step in range(100)), (10, 2.0)],
    "repeated": [(5, 0.0), (5, 1.0), (5, 2.0), (6, 3.0)],
    "constant step": [(0, float(value)) for value in range(30)],
    "backwards": [(step, float(step)) for step in range(20, 0, -1)],
    "resumed from 30": [*((step, 1.0) for step in range(50)), *((step, 2.0) for step in range(30, 60))],
    "large": [(2**31 - 1, 1.0), (2**31 + 1, 2.0), (2**53 + 1, 3.0), (2**63 - 1, 4.0)],
    "negative": [(-3, 1.0), (-1, 2.0), (0, 3.0)],
    "random": [(random.Random(seed).randrange(40), float(seed)) for seed in range(80)],
}


@pytest.fixture
def logged(open_sink):
    sink = open_sink()
    longest = max(map(len, LOGGED.values()))
    for index in range(longest):
        for name, series in LOGGED.items():
            if index < len(series):
                sink.metrics({name: series[index][1]}, series[index][0])
        if index % 20 == 0:
            sink.flush()
    sink.end()


def test_every_point_is_at_its_step_in_each_reader(logged, logdir, reader):
    with reader(logdir) as opened:
        assert points(opened) == {name: sorted(series) for name, series in LOGGED.items()}


def test_points_in_order_are_in_the_runs_own_folder(logged, logdir, reader):
    with reader(logdir) as opened:
        own = scalars(opened)["run-a"]
    assert own["one late"] == LOGGED["one late"][:-1]
    assert own["resumed from 30"] == [*LOGGED["resumed from 30"][:50], *LOGGED["resumed from 30"][-10:]]


def test_the_source_gives_the_points_in_the_order_of_logging(logged, logdir):
    assert sourced(logdir) == LOGGED


def test_scripts_find_the_points_with_event_accumulator_scalars(logged, folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    assert [(event.step, event.value) for event in accumulator.Scalars("in order")] == LOGGED["in order"]
    assert accumulator.file_version == 2  # readers handle older ones, and those that don't say, by other rules


def test_beyond_the_last_late_folder_no_point_is_lost(open_sink, logdir, monkeypatch):
    monkeypatch.setattr(placement, "MAX_LATE_FOLDERS", 3)
    sink = open_sink()
    for value in range(20):
        sink.metrics({"x": float(value)}, 0)
    sink.end()
    series = [(0, float(value)) for value in range(20)]
    with python_reader(logdir) as opened:
        assert points(opened) == {"x": series}
        assert list(scalars(opened)) == ["run-a", "run-a/late-1", "run-a/late-2", "run-a/late-3"]
    assert sourced(logdir) == {"x": series}


def test_train_and_eval_interleave_in_one_folder(open_sink, logdir, reader):
    sink = open_sink()
    for step in range(100):
        sink.metrics({"train/loss": float(step)}, step)
        if step % 10 == 9:
            sink.metrics({"eval/loss": float(step)}, step - 5)  # an evaluation of an earlier checkpoint
    sink.end()
    with reader(logdir) as opened:
        found = scalars(opened)
    assert list(found) == ["run-a"]
    assert [step for step, _ in found["run-a"]["train/loss"]] == list(range(100))
    assert [step for step, _ in found["run-a"]["eval/loss"]] == list(range(4, 100, 10))


@pytest.mark.parametrize("value", [0.1, 1e300, 5e-324, -0.0, 2**53 + 1.0, 1 / 3, math.pi, 3.5e38, 1.0])
def test_the_source_gives_the_float64_bit_exact(open_sink, logdir, value):
    sink = open_sink()
    sink.metrics({"x": value}, 1)
    sink.metrics({"x": -value}, 0)
    sink.end()
    assert [struct.pack("<d", found) for _, found in sourced(logdir)["x"]] == [
        struct.pack("<d", value),
        struct.pack("<d", -value),
    ]


def test_readers_show_the_nearest_float32(open_sink, logdir, reader):
    sink = open_sink()
    sink.metrics({"x": 0.1, "beyond": 1e300}, 1)
    sink.end()
    with reader(logdir) as opened:
        found = points(opened)
    assert found["x"] == [(1, struct.unpack("<f", struct.pack("<f", 0.1))[0])]
    assert found["beyond"] == [(1, math.inf)]


def test_nan_and_infinities_are_native(open_sink, logdir, reader):
    sink = open_sink()
    for step, value in enumerate([math.nan, math.inf, -math.inf, 1.0]):
        sink.metrics({"x": value}, step)
    sink.end()
    with reader(logdir) as opened:
        assert repr(points(opened)["x"]) == "[(0, nan), (1, inf), (2, -inf), (3, 1.0)]"
    assert repr(sourced(logdir)["x"]) == "[(0, nan), (1, inf), (2, -inf), (3, 1.0)]"


NAMES = ["ünï/测试 ∆", "/lead", "a/", "a b\\c|d", " ", "mean@1", "x_x40_", "_x61_", "n" * 1000, "🚀"]
RESERVED = ["artifacts/plot.png", "unitrack/run", "unitrack/records", "_hparams_/session_start_info", "_x61_rtifacts/x"]


def test_names_are_tags_as_they_are(open_sink, logdir, reader):
    sink = open_sink()
    sink.metrics(dict.fromkeys(NAMES, 1.0), 1)
    sink.end()
    with reader(logdir) as opened:
        tags = set(points(opened))
    assert tags >= set(NAMES) - {"x_x40_", "_x61_"}  # those that look escaped are escaped
    assert len(tags) == len(NAMES)


def test_the_source_restores_every_name(open_sink, logdir):
    sink = open_sink()
    sink.metrics({name: float(index) for index, name in enumerate(NAMES + RESERVED)}, 1)
    sink.end()
    assert {name: found[0][1] for name, found in sourced(logdir).items()} == {
        name: float(index) for index, name in enumerate(NAMES + RESERVED)
    }


def test_a_metric_never_shares_a_tag_with_an_artifact(open_sink, logdir, reader):
    sink = open_sink()
    sink.metrics({"artifacts/notes.txt": 1.0}, 1)
    sink.artifact("notes.txt", b"text", "text")
    sink.metrics({"artifacts/notes.txt": 2.0}, 2)
    sink.end()
    with reader(logdir) as opened:
        assert list(points(opened).values()) == [[(1, 1.0), (2, 2.0)]]


def test_times_are_those_of_the_log_calls(open_sink, logdir, folder):
    sink = open_sink()
    time = now_ms() - 3_600_123
    sink.metrics({"x": 1.0}, 1, time=time)
    sink.end()
    accumulator = EventAccumulator(str(folder)).Reload()
    assert accumulator.Scalars("x")[0].wall_time == time / 1000
    assert [
        record.time for record in TensorBoardSource(str(logdir)).records("run-a") if isinstance(record, Metrics)
    ] == [time]


def test_both_readers_show_the_same(logged, logdir):
    with python_reader(logdir) as python, data_server(logdir) as server:
        assert scalars(python) == scalars(server)
