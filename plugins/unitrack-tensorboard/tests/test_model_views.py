"""Curves, embeddings and graphs of models, read with the code of TensorBoard's own dashboards."""

from __future__ import annotations

import pytest
from tensorboard_dashboards import graph, pr_curves, projected
from tensorboard_readers import python_reader

from unitrack.hookspecs import Checkpoint
from unitrack.media.embeddings import embedding_bytes
from unitrack.media.graphs import graph_bytes
from unitrack.media.pr_curves import pr_curve_bytes
from unitrack.records import DIMENSIONS, Layer, ModelGraph

NET = ModelGraph(
    (
        Layer("", "Net"),
        Layer("body", "Sequential"),
        Layer("body.0", "Linear", parameters=40, trainable=40, shapes=((2, 8),)),
        Layer("body.1", "ReLU", inputs=("body.0",), shapes=((2, 8),)),
        Layer("head", "Linear", parameters=9, trainable=9, inputs=("body.1",), shapes=((2, 1),)),
    )
)


def kept(cells, column):
    return cells


def test_a_curve_is_drawn_at_its_steps(open_sink, logdir, reader):
    sink = open_sink()
    for step in (1, 2):
        data = pr_curve_bytes([0, 1, 1], [0.1, 0.6, 0.4 * step], "pr", 5)
        sink.artifact(f"val/pr-{step}.json", data, "pr_curve", step=step)
    sink.end()
    with reader(logdir) as opened:
        first, second = pr_curves(opened, "run-a", "val/pr")
    assert [first["step"], second["step"]] == [1, 2]
    assert first["thresholds"] == [0.0, 0.25, 0.5]  # the dashboard cuts off those without positives
    assert first["true_positives"] == [2, 2, 1]
    assert first["false_positives"] == [1, 0, 0]
    assert first["recall"] == [1.0, 1.0, 0.5]
    assert second["true_positives"] == [2, 2, 2, 1]


def test_an_embedding_is_projected_once_however_often_it_is_delivered(open_sink, logdir):
    """A run that goes on keeps those from before."""
    plain, dimensions = embedding_bytes([[0.5, 1.0], [2.0, 3.0]], None, "plain", None, kept)
    labelled, _ = embedding_bytes([[1, 2], [3, 4]], {"word": ["a\tb", ""], "n": [1, None]}, "w", None, kept)
    checkpoint: Checkpoint | None = None
    for _ in range(2):
        sink = open_sink(checkpoint)
        sink.artifact("plain.json", plain, "embedding", annotations={DIMENSIONS: dimensions})
        sink.artifact("words/all.json", labelled, "embedding", annotations={DIMENSIONS: 2})
        checkpoint = sink.flush()
    sink.end()
    with python_reader(logdir) as opened:
        assert projected(opened, logdir, "run-a") == {
            "plain": ([[0.5, 1.0], [2.0, 3.0]], ""),
            "words/all": ([[1.0, 2.0], [3.0, 4.0]], "word\tn\na b\t1\n-\tNone\n"),
        }


@pytest.mark.parametrize("dimensions", [0, 3, "2", None])
def test_what_is_no_embedding_is_a_file_alone(open_sink, folder, dimensions):
    sink = open_sink()
    sink.artifact(
        "a.json", b'{"columns":["D1","D2"],"data":[[1,2]]}', "embedding", annotations={DIMENSIONS: dimensions}
    )
    sink.artifact("b.json", b'{"columns":["D1","D2"],"data":[[1,null]]}', "embedding", annotations={DIMENSIONS: 2})
    sink.end()
    assert not (folder / "projector_config.pbtxt").exists()
    assert (folder / "artifacts/a.json").exists()


def test_a_model_is_a_graph(open_sink, logdir, reader):
    sink = open_sink()
    sink.artifact("graph.json", graph_bytes(NET), "graph")
    sink.artifact("other.json", b'{"layers": []}', "graph")
    sink.metrics({"loss": 0.5}, 1)
    sink.end()
    with reader(logdir) as opened:
        drawn = graph(opened, "run-a")
    assert drawn.count("node {") == 3
    assert 'name: "Net/head"\n  op: "Linear"\n  input: "Net/body/1"' in drawn
