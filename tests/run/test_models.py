"""Models and what backends draw: `log_graph`, `watch`, `log_pr_curve`, `log_embedding`, `log_hparams`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import unitrack
from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.local.source import LocalSource
from unitrack.records import PR_CURVE_COLUMNS, Artifact, Histogram, Metrics, ModelGraph, Table


@pytest.fixture
def run(root: Path) -> Iterator[unitrack.Run]:
    with unitrack.start_run("a", sinks="local", delivery="inline") as run:
        yield run


@pytest.fixture
def torch() -> Any:
    found = pytest.importorskip("torch", reason="torch is not installed")
    found.manual_seed(0)
    return found


def logged(run: unitrack.Run, kind: type) -> list[Any]:
    return [record for record in LocalSource(str(run.path)).records(run.path.name) if isinstance(record, kind)]


def content(run: unitrack.Run, name: str, kind: type) -> Any:
    return msgspec.json.decode((run.path / "artifacts" / name).read_bytes(), type=kind)


def points(run: unitrack.Run) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for record in logged(run, Metrics):
        for name, value in record.values().items():
            found.setdefault(name, []).append((record.step, value))
    return found


def net(torch: Any) -> Any:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.9), torch.nn.ReLU(inplace=True))
            self.head = torch.nn.Linear(3, 1)
            self.head.bias.requires_grad = False

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x) + 1.0)

    return Net()


def train(torch: Any, model: Any, run: unitrack.Run, steps: int) -> None:
    """Each sample is logged before the next pass, so that none is skipped."""
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()
        run.log_metrics({"loss": float(step)})
        run.flush()


def test_a_graph_has_layers_shapes_and_parameters(run: unitrack.Run, torch: Any) -> None:
    """What a function between layers made is taken for the output of the layer before. The model is left as it was."""
    model = net(torch)
    model.head.eval()
    run.log_graph(model, torch.zeros(2, 4))
    run.log_graph(model, name="nets/untried")
    run.finish()
    graph = content(run, "graph.json", ModelGraph)
    assert [(one.name, one.type, one.parameters, one.trainable, one.inputs, one.shapes) for one in graph.layers] == [
        ("", "Net", 0, 0, (), ((2, 1),)),
        ("body", "Sequential", 0, 0, (), ((2, 3),)),
        ("body.0", "Linear", 15, 15, (), ((2, 3),)),
        ("body.1", "Dropout", 0, 0, ("body.0",), ((2, 3),)),
        ("body.2", "ReLU", 0, 0, ("body.1",), ((2, 3),)),
        ("head", "Linear", 4, 3, ("body.2",), ((2, 1),)),
    ]
    text = (run.path / "artifacts/graph.txt").read_text()
    assert "19 parameters, 18 of them trainable" in text and "(2, 3)" in text
    assert all(not one.shapes for one in content(run, "nets/untried.json", ModelGraph).layers)
    assert {one.name: one.type for one in logged(run, Artifact)}["nets/untried.txt"] == "text"
    assert model.training and not model.head.training and not model.head._forward_hooks


def test_a_graph_of_anything_else_is_refused(run: unitrack.Run, torch: Any) -> None:
    with pytest.raises(InvalidTypeError, match="log_graph takes a torch module, got dict"):
        run.log_graph({})
    with pytest.raises(InvalidValueError, match="the model refuses the example: mat1 and mat2"):
        run.log_graph(net(torch), torch.zeros(2, 5))
    run.finish()
    assert not logged(run, Artifact)


def test_every_nth_pass_is_sampled_at_its_step(run: unitrack.Run, torch: Any) -> None:
    model = net(torch)
    run.watch(model, log="all", every=2, norms=True, bins=8)
    model.eval()
    model(torch.ones(1, 4))  # no pass of training
    model.train()
    with torch.no_grad():
        model(torch.ones(1, 4))
    before = model.head.weight.detach().clone()
    train(torch, model, run, 4)
    run.finish()
    names = {one.name for one in logged(run, Artifact) if one.type == "histogram"}
    trained = ["body.0.weight", "body.0.bias", "head.weight"]
    assert names == {
        *(f"gradients/{name}-{step}.json" for name in trained for step in (0, 2)),
        *(f"parameters/{name}-{step}.json" for name in [*trained, "head.bias"] for step in (0, 2)),
    }
    first = content(run, "parameters/head.weight-0.json", Histogram)
    assert len(first.counts) == 8 and sum(first.counts) == 3
    assert first.edges[0] == pytest.approx(before.min().item())
    found = points(run)
    assert [step for step, _ in found["loss"]] == [0, 1, 2, 3]  # norms use no step up
    assert [step for step, _ in found["gradient_norm_total"]] == [0, 2]
    assert found["parameter_norm/head.weight"][0] == (0, pytest.approx(before.norm().item()))
    assert found["gradient_norm/head.weight"][1][1] == pytest.approx(model.head.weight.grad.norm().item(), rel=0.9)


def test_a_second_model_has_names_of_its_own_and_unwatch_ends_it(run: unitrack.Run, torch: Any) -> None:
    one, other = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    run.watch(one, every=1)
    run.watch(other, every=1)
    run.watch(other, every=1)  # in place of the watch before
    for model in (one, other):
        model(torch.ones(1, 1)).sum().backward()
        run.flush()
    run.unwatch(one)
    one(torch.ones(1, 1)).sum().backward()
    run.finish()
    other(torch.ones(1, 1)).sum().backward()  # after the end as well
    assert not one._forward_pre_hooks and not other._forward_pre_hooks
    names = sorted(record.name for record in logged(run, Artifact))
    assert names == [f"gradients/{name}-0.json" for name in ("bias", "model1.bias", "model1.weight", "weight")]


def test_gradients_that_are_not_finite_make_no_histogram(run: unitrack.Run, torch: Any) -> None:
    model = torch.nn.Linear(4, 1)
    run.watch(model, every=1)
    (model(torch.ones(2, 4)).sum() * float("nan")).backward()
    run.finish()
    assert not logged(run, Artifact)


def test_a_parameter_that_takes_no_part_is_left_out(run: unitrack.Run, torch: Any) -> None:
    """The sample is complete when the next pass begins, or at the end."""
    model = net(torch)
    model.unused = torch.nn.Linear(2, 2)
    run.watch(model, every=2)
    model(torch.ones(2, 4)).sum().backward()
    model(torch.ones(2, 4))
    run.flush()
    assert len(logged(run, Artifact)) == 3
    model(torch.ones(2, 4)).sum().backward()
    run.finish()
    assert len(logged(run, Artifact)) == 3  # at the same step, under the same names


def test_a_watch_asks_for_what_it_can_do(run: unitrack.Run, torch: Any) -> None:
    model = torch.nn.Linear(1, 1)
    with pytest.raises(InvalidTypeError, match="watch takes a torch module, got list"):
        run.watch([model])
    with pytest.raises(InvalidValueError, match="'gradients', 'parameters', 'all', got 'weights'"):
        run.watch(model, log="weights")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match=r"every must be an integer in 1 \.\.\. .*, got 0"):
        run.watch(model, every=0)
    with pytest.raises(InvalidTypeError, match=r"every must be an integer, got float 1\.5"):
        run.watch(model, every=1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match=r"bins must be an integer in 1 \.\.\. 1000000"):
        run.watch(model, bins=10**9)
    run.finish()


def test_a_forked_child_is_not_watched(run: unitrack.Run, torch: Any) -> None:
    """The thread that logs is the parent's."""
    model = torch.nn.Linear(1, 1)
    run.watch(model, every=1)
    if (child := os.fork()) == 0:
        os._exit(len(model._forward_pre_hooks))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert model._forward_pre_hooks
    run.finish()


def test_a_curve_counts_what_sklearn_counts(run: unitrack.Run) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 2, 200), random.integers(0, 11, 200) / 10
    run.log_pr_curve(labels, predictions, "val/pr", step=3, thresholds=11)
    run.finish()
    [record] = logged(run, Artifact)
    assert (record.name, record.type, record.step) == ("val/pr-3.json", "pr_curve", 3)
    curve = content(run, record.name, Table)
    assert tuple(curve.columns) == PR_CURVE_COLUMNS
    precision, recall, thresholds = metrics.precision_recall_curve(labels, predictions)
    ours = {round(row[0], 6): tuple(row[5:]) for row in curve.data}
    for threshold, expected in zip(thresholds.round(6), zip(precision[:-1], recall[:-1], strict=True), strict=True):
        assert ours[threshold] == pytest.approx(expected)
    assert [sum(row[1:5]) for row in curve.data] == [200] * 11


@pytest.mark.parametrize(
    ("labels", "predictions", "thresholds", "said"),
    [
        ([0, 2], [0.1, 0.2], 3, "must be 0 or 1; log one curve for each class"),
        ([0, 1], [0.1, 1.2], 3, "probabilities in 0 ... 1"),
        ([0, 1], [0.1, float("nan")], 3, "none of them NaN"),
        ([0], [0.1, 0.2], 3, "got 2 predictions and 1 labels"),
        (["a"], [0.1], 3, "the labels must be numbers"),
        ([0], [0.1], 1, "thresholds must be an integer in 2 ... 10000, got 1"),
    ],
)
def test_a_curve_of_anything_else_is_refused(
    run: unitrack.Run, labels: Any, predictions: Any, thresholds: int, said: str
) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError), match=said):
        run.log_pr_curve(labels, predictions, "pr", thresholds=thresholds)
    run.finish()


def test_an_embedding_is_a_table_of_labels_and_vectors(run: unitrack.Run) -> None:
    run.log_embedding(np.eye(2, dtype="float32"), "words", labels=["a", "b"])
    run.log_embedding([[1, 2]], "one", 5, labels={"word": ["a"], "api_key": ["sk-1234567890abcdef1234"]})
    run.log_embedding([[0.5]], "bare")
    run.finish()
    assert content(run, "words.json", Table) == Table(["label", "D1", "D2"], [["a", 1.0, 0.0], ["b", 0.0, 1.0]])
    assert content(run, "one-5.json", Table).columns == ["word", "api_key", "D1", "D2"]
    assert "sk-1234567890abcdef1234" not in (run.path / "artifacts/one-5.json").read_text()
    assert content(run, "bare.json", Table) == Table(["D1"], [[0.5]])
    assert [record.annotations for record in logged(run, Artifact)] == [{"dimensions": n} for n in (2, 2, 1)]


@pytest.mark.parametrize(
    ("vectors", "labels", "said"),
    [
        ([1.0, 2.0], None, r"the shape \(samples, dimensions\), got \(2,\)"),
        ([[1.0, float("inf")]], None, "must be finite"),
        ([["a"]], None, "must be numbers"),
        ([[1.0]], ["a", "b"], "1 vectors need as many labels, got 2"),
        ([[1.0]], "a", "must be a data frame, a list of dicts"),
    ],
)
def test_an_embedding_of_anything_else_is_refused(run: unitrack.Run, vectors: Any, labels: Any, said: str) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError), match=said):
        run.log_embedding(vectors, "words", labels=labels)
    run.finish()


def test_hyperparameters_and_what_they_led_to(run: unitrack.Run) -> None:
    run.log_hparams({"lr": 0.1}, {"acc": 0.5})
    run.finish()
    assert dict(run.config) == {"lr": 0.1}
    assert dict(run.summary) == {"acc": 0.5}
    [stored] = unitrack.runs(run.path)
    assert (stored.params, stored.summary) == ({"lr": 0.1}, {"acc": 0.5})
