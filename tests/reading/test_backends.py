"""One run in all backends reads back the same from each; and each one's runs that unitrack did not write."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import unitrack
from unitrack.errors import SourceError

PLUGINS = ("mlflow", "wandb", "tensorboard", "trackio", "sql")
INSTALLED = [name for name in PLUGINS if importlib.util.find_spec(f"unitrack_{name}")]
BOXES = {"predicted": {"box_data": [{"position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}, "class_id": 1}]}}
AWKWARD = ("loss", "Loss", "val/mean@1", "a//b")


@pytest.mark.skipif(not INSTALLED, reason="the core alone")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_same_run_from_each_backend(root: Path) -> None:
    """Names, steps out of order and values bit for bit; the local files say what was logged."""
    options = {"mlflow": {"tracking_uri": f"sqlite:///{root / 'mlflow.db'}"}, "wandb": {"mode": "offline"}}
    sinks = ["local", *({name: options.get(name, {})} for name in INSTALLED)]
    related = {"parent": "p1", "group": "folds", "job_type": "train"}
    run = unitrack.start_run("everywhere", project="p", tags={"kind": "test"}, sinks=sinks, **related)
    run.log_params({"lr": 0.1, "model": {"depth": 4}})
    for step in (0, 1, 7, 3):
        run.log_metrics({name: 0.1 * step + number for number, name in enumerate(AWKWARD)}, step=step)
    run.log_text("hello", "notes.txt")
    run.log({"image": unitrack.Image(np.zeros((2, 2)), caption="dark", boxes=BOXES)}, step=7)
    run.log_histogram(np.arange(4), "layer1.0.conv.weight", step=7)
    run.define_metric("Loss", summary="min")
    assert run.finish("pruned", timeout=100).ok
    expected = unitrack.runs(run.path).find(run.id)
    assert expected.summary["Loss"] == 1
    assert [one.name for one in expected.artifacts] == ["notes.txt", "image-7.png", "layer1.0.conv.weight-7.json"]
    for name, link in run.links().items():
        found = unitrack.runs(f"{name}:{link.location}").find(link.id)
        assert unitrack.runs(f"{name}:{link.location}").find(run.id).id == found.id, f"by its id in unitrack, {name}"
        assert (found.name, found.project, found.status) == ("everywhere", "p", "pruned"), name
        assert found.started == expected.started, name
        assert found.ended is not None and found.ended >= found.started, name
        assert (found.params, found.tags) == ({"lr": 0.1, "model.depth": 4}, expected.tags), name
        assert (found.parent, found.group, found.job_type) == ("p1", "folds", "train"), name
        assert found.summary == expected.summary, name
        assert [one.name for one in found.artifacts] == [one.name for one in expected.artifacts], name
        assert [one.annotations for one in found.artifacts] == [one.annotations for one in expected.artifacts], name
        assert found.fetch("notes.txt", root / "fetched" / name).read_text() == "hello", name
        for metric in AWKWARD:
            # sorted: MLflow knows no order among the points of one millisecond
            assert sorted(found.history(metric)) == sorted(expected.history(metric)), f"{metric} in {name}"


@pytest.mark.skipif("mlflow" not in INSTALLED, reason="needs unitrack-mlflow")
def test_a_run_that_mlflow_wrote(root: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    theirs = client.create_run(client.create_experiment("digits"), run_name="plain")
    client.log_param(theirs.info.run_id, "lr", "0.1")
    for step, value in ((0, 0.5), (1, 0.25)):
        client.log_metric(theirs.info.run_id, "loss", value, timestamp=1000 + step, step=step)
    client.set_terminated(theirs.info.run_id, "FAILED")
    [found] = unitrack.runs("mlflow:sqlite:///mlflow.db")
    assert (found.id, found.name, found.project, found.status) == (theirs.info.run_id, "plain", "digits", "failed")
    assert (found.params, found.summary) == ({"lr": "0.1"}, {"loss": 0.25})
    assert found.history("loss") == [(0, 0.5, 1000), (1, 0.25, 1001)]


@pytest.mark.skipif(len(INSTALLED) < 3, reason="needs the plugins of MLflow and TensorBoard")
@pytest.mark.timeout(100)
def test_what_backends_keep_beside_the_code_is_not_logged_with_it(root: Path) -> None:
    """The second run does not hold the first one's copy of the code once more."""
    (root / "train.py").write_text("x = 1", encoding="utf-8")
    for name in ("older", "newer"):
        sinks = ["local", {"mlflow": {"tracking_uri": "sqlite:///mlflow.db"}}, "tensorboard"]
        run = unitrack.start_run(name, sinks=sinks)
        run.log_code()
        run.log_artifacts(".", "all")
        assert run.finish(timeout=100).ok
    assert {"mlflow.db", "mlartifacts"} <= set(os.listdir(root))
    found = {path.relative_to(run.path / "artifacts").as_posix() for path in run.path.glob("artifacts/**/*.py")}
    assert found == {"code/train.py", "all/train.py"}
    for name, link in run.links().items():
        assert [one.name for one in unitrack.runs(f"{name}:{link.location}")] == ["newer", "older"], name


@pytest.mark.skipif("mlflow" not in INSTALLED, reason="needs unitrack-mlflow")
def test_a_store_that_is_not_there_is_not_made(root: Path) -> None:
    with pytest.raises(SourceError, match="there is no MLflow store"):
        unitrack.runs("mlflow:sqlite:///none.db")
    assert list(root.iterdir()) == []


@pytest.mark.skipif("sql" not in INSTALLED, reason="needs unitrack-sql")
def test_a_database_that_is_not_there_is_not_made(root: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no file .*none\.db: give the database of an `sql` sink"):
        unitrack.runs("sql:sqlite:///none.db")
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("backend", ["local", *(name for name in INSTALLED if name not in ("mlflow", "sql"))])
def test_a_place_that_is_not_there_is_no_empty_list(root: Path, backend: str) -> None:
    if importlib.util.find_spec(f"unitrack_{backend}") is None and backend != "local":
        pytest.skip(f"needs unitrack-{backend}")
    with pytest.raises(SourceError, match=r"there is no folder .*nowhere'?: give") as raised:
        unitrack.runs(f"{backend}:{root / 'nowhere'}")
    assert str(raised.value).count("nowhere") <= 2
    (root / "nowhere").mkdir()
    assert list(unitrack.runs(f"{backend}:{root / 'nowhere'}")) == []


@pytest.mark.skipif("tensorboard" not in INSTALLED, reason="needs unitrack-tensorboard")
def test_a_run_that_a_summary_writer_wrote(root: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(root / "logs" / "plain"))
    for step in (0, 1):
        value = Summary.Value(tag="loss", simple_value=0.5 / (step + 1))
        writer.add_event(Event(wall_time=1.0 + step, step=step, summary=Summary(value=[value])))
    writer.close()
    [found] = unitrack.runs("tensorboard:logs")
    assert (found.id, found.name) == ("plain", "plain")
    assert found.history("loss") == [(0, 0.5, 1000), (1, 0.25, 2000)]


@pytest.mark.skipif("wandb" not in INSTALLED, reason="needs unitrack-wandb")
def test_a_run_that_wandb_wrote(root: Path) -> None:
    """Offline, in a process of its own, which the SDK's service leaves with."""
    code = "import wandb\nwith wandb.init(project='digits', name='plain', id='theirs', config={'lr': 0.1}) as run:\n"
    code += "    run.log({'loss': 0.5}); run.log({'loss': 0.25})"
    quiet = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(root), "WANDB_ERROR_REPORTING": "false"}
    subprocess.run([sys.executable, "-c", code], env=os.environ | quiet, check=True, timeout=120)
    [found] = unitrack.runs(f"wandb:{root}")
    assert (found.id, found.name, found.project, found.status) == ("theirs", "plain", "digits", "finished")
    assert (found.params, found.summary) == ({"lr": 0.1}, {"loss": 0.25})
    assert [(step, value) for step, value, _ in found.history("loss")] == [(0, 0.5), (1, 0.25)]
