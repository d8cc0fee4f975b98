"""Metrics and artifacts of one name: each is shown, and each comes back under its name."""

from __future__ import annotations

import pytest
from tensorboard_dashboards import histograms
from tensorboard_readers import points, python_reader, sourced, texts

from unitrack.records import Artifact
from unitrack_tensorboard.names import TagNames, metric_name
from unitrack_tensorboard.source import TensorBoardSource

BINS = b'{"counts": [2], "edges": [0, 1]}'
SHOWN = [(3, [(0.0, 1.0, 2.0)])]


def artifacts(logdir):
    records = TensorBoardSource(str(logdir)).records("run-a")
    return {record.name: record.type for record in records if isinstance(record, Artifact)}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_metric_that_was_first_keeps_its_tag(open_sink, logdir, reader, restarted):
    sink = open_sink()
    sink.metrics({"weights": 1.0}, 0)
    sink.flush()
    sink = open_sink(sink.checkpoint) if restarted else sink
    sink.artifact("weights.json", BINS, "histogram", step=3)
    sink.metrics({"weights": 2.0}, 1)
    sink.end()
    with reader(logdir) as opened:
        assert points(opened) == {"weights": [(0, 1.0), (1, 2.0)]}
        assert histograms(opened, "run-a", "weights (histogram)") == SHOWN
    assert sourced(logdir) == {"weights": [(0, 1.0), (1, 2.0)]}
    assert artifacts(logdir) == {"weights.json": "histogram"}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_metric_that_comes_second_is_escaped(open_sink, logdir, reader, restarted):
    sink = open_sink()
    sink.artifact("weights.json", BINS, "histogram", step=3)
    sink.metrics({"weights": 1.0}, 0)
    sink.flush()
    sink = open_sink(sink.checkpoint) if restarted else sink
    sink.metrics({"weights": 2.0}, 1)
    sink.hooks.rewind(steps={"weights": 1})
    sink.metrics({"weights": 3.0}, 1)
    sink.end()
    with reader(logdir) as opened:
        assert points(opened) == {"_x77_eights": [(0, 1.0), (1, 3.0)]}
        assert histograms(opened, "run-a", "weights") == SHOWN
    assert sourced(logdir) == {"weights": [(0, 1.0), (1, 3.0)]}


def test_artifacts_of_one_name_and_two_dashboards(open_sink, logdir, reader):
    """And one that is called like what unitrack itself writes."""
    sink = open_sink()
    sink.artifact("layer.json", BINS, "histogram", step=3)
    sink.artifact("layer", b"dense", "text")
    sink.artifact("unitrack/run", b"mine", "text")
    sink.end()
    with reader(logdir) as opened:
        assert histograms(opened, "run-a", "layer") == SHOWN
        shown = texts(opened, "run-a")
    assert "dense" in shown["layer (text)"][0][1]
    assert "mine" in shown["unitrack/run (text)"][0][1]
    assert "status" in shown["unitrack/run"][-1][1]
    assert artifacts(logdir) == {"layer.json": "histogram", "layer": "text", "unitrack/run": "text"}


def test_a_run_from_when_artifacts_had_a_prefix_goes_on(open_sink, logdir, monkeypatch):
    """Its checkpoint knows no tags of artifacts; what lies there comes back, and no metric takes a tag of theirs."""
    with monkeypatch.context() as then:
        then.setattr(TagNames, "of_artifact", lambda names, name, kind, dashboard: f"artifacts/{name}")
        old = open_sink()
        old.artifact("notes.txt", b"old", "text")
        old.flush()
    checkpoint = {key: value for key, value in old.checkpoint.items() if key != "media"}
    sink = open_sink(checkpoint)
    sink.artifact("more.txt", b"new", "text")
    sink.metrics({"artifacts/notes.txt": 1.0}, 0)
    sink.end()
    assert artifacts(logdir) == {"notes.txt": "text", "more.txt": "text"}
    assert sourced(logdir) == {"artifacts/notes.txt": [(0, 1.0)]}
    with python_reader(logdir) as opened:
        assert points(opened) == {"_x61_rtifacts/notes.txt": [(0, 1.0)]}
        assert {"artifacts/notes.txt", "more.txt"} <= set(texts(opened, "run-a"))


@pytest.mark.parametrize("name", ["loss", "", "_x40_", "a", "unitrack/run", "artifacts/x"])
def test_a_name_comes_back_however_much_is_in_the_way(name):
    names = TagNames()
    for _ in range(min(2, len(name))):
        tag = names.of_metric(name)
        assert metric_name(tag) == name
        names.show(tag, "images")
    assert metric_name(names.of_metric(name)) == name
