"""The document that unitrack implements, section by section: its code is run as printed.

Code that defines something which unitrack offers under the same name runs twice: as it is, and with unitrack's own.
`experiment_management.md` beside this file holds the text.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import unitrack
from unitrack.config import resolve
from unitrack.reading import StoredRun

TEXT = Path(__file__).with_name("experiment_management.md").read_text(encoding="utf-8")
MLFLOW = pytest.mark.skipif(importlib.util.find_spec("unitrack_mlflow") is None, reason="needs unitrack-mlflow")


def block(section: str) -> str:
    """The code of a section."""
    found = re.search(rf"^## {re.escape(section)}\n\n```\w+\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def printed(section: str, **names: Any) -> dict[str, Any]:
    """Run a section as it is; return its names."""
    namespace = {"json": json, "math": math, "Any": Any, "Path": Path, "ExperimentTracker": object} | names
    exec(compile(block(section), section, "exec", dont_inherit=True), namespace)
    return namespace


def with_unitrack(section: str, **names: Any) -> dict[str, Any]:
    """Run a section without its definitions: unitrack's of the same names take their place."""
    tree = ast.parse(block(section))
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    tree.body = [node for node in tree.body if node not in defined]
    namespace = {node.name: getattr(unitrack, node.name) for node in defined} | names
    exec(compile(tree, section, "exec", dont_inherit=True), namespace)
    return namespace


EACH_WAY = pytest.mark.parametrize("run_section", [printed, with_unitrack])
RunSection = Callable[..., dict[str, Any]]


def save(state: object, path: str) -> None:
    """As `torch.save`: a file of the state."""
    Path(path).write_text(json.dumps(state))


def train_names() -> dict[str, Any]:
    """What the training loops of the examples stand on."""
    losses = iter([1 / number for number in range(1, 10_000)])
    return {
        "train_epoch": lambda model, data: next(losses),
        "train_step": lambda: next(losses),
        "model": SimpleNamespace(state_dict=lambda: {"weight": 1.0}),
        "data": None,
        "torch": SimpleNamespace(save=save),
    }


def local_run(folder: str) -> StoredRun:
    [run] = unitrack.runs(f"local:{folder}")
    return run


# -- Configuration -------------------------------------------------------------------------------------------------


def test_experiment_configuration() -> None:
    """Each field of the printed dataclass, in its place, and with its default but for one, which MLflow 3 refuses."""
    ours, theirs = unitrack.ExperimentConfig, printed("Experiment Configuration")["ExperimentConfig"]
    names = [field.name for field in fields(theirs)]
    assert [field.name for field in fields(ours)][: len(names)] == names
    defaults = {field.name: field.default for field in fields(theirs) if field.default is not MISSING}
    assert {field.name: field.default for field in fields(ours) if field.name in defaults} == defaults | {
        "tracking_uri": "sqlite:///mlflow.db"  # "mlruns" is a folder: MLflow reads those, and writes to databases only
    }
    for config in (ours, theirs):
        with pytest.raises(ValueError, match="Experiment name is required"):
            config(name="")
        made = config("x", "digits", "mlruns", "s3://bucket/a", {"team": "nlp"}, "why", 7)
        assert (made.project, made.tags, made.description, made.random_seed) == ("digits", {"team": "nlp"}, "why", 7)
        assert config("x").tags == {}


def test_yaml_configuration(root: Path) -> None:
    """Every key is taken, and means what it says."""
    file = root / "config" / "experiment.yaml"
    file.parent.mkdir()
    file.write_text(block("YAML Configuration"))
    settings = resolve(file).settings
    assert (settings.experiment.name, settings.experiment.project) == ("training-experiment", "codex-ml")
    assert [sink.backend for sink in settings.sinks] == ["mlflow"]
    assert settings.tracking.artifact_location == "s3://bucket/artifacts"
    assert (settings.logging.log_frequency, settings.logging.log_system_metrics) == (100, True)
    artifacts = settings.artifacts
    assert (artifacts.save_model, artifacts.save_plots, artifacts.save_config) == (True, True, True)
    reproducibility = settings.reproducibility
    assert (reproducibility.random_seed, reproducibility.log_git_hash, reproducibility.log_environment) == (
        42,
        True,
        True,
    )


@MLFLOW
def test_yaml_configuration_in_use(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run under it: in MLflow, each 100th point, the seed, the environment and the configuration."""
    text = block("YAML Configuration").replace("s3://bucket/artifacts", (root / "artifacts").as_uri())
    (root / "experiment.yaml").write_text(text)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    with unitrack.start_run(config=root / "experiment.yaml", delivery="thread") as run:
        for step in range(250):
            run.log_metrics({"loss": 1 / (step + 1)}, step=step)
    [found] = unitrack.runs(f"mlflow:sqlite:///{root}/mlflow.db")
    assert (found.name, found.project, found.status) == ("training-experiment", "codex-ml", "finished")
    assert sorted(step for step, _, _ in found.history("loss")) == [0, 100, 200, 249]
    assert str(found.params["random_seed"]) == "42"
    assert {"git_hash", "python_version", "platform"} <= found.params.keys()
    assert "config.yaml" in {artifact.name for artifact in found.artifacts}
    assert any((root / "artifacts").rglob("config.yaml"))


# -- Trackers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("Experiment Tracker", "ExperimentTracker"),
        ("Experiment Tracker", "LocalExperimentTracker"),
        ("MLflow Integration", "MLflowTracker"),
    ],
)
def test_trackers_have_the_printed_methods(section: str, name: str) -> None:
    """With parameters of the same names, in the same order, optional where they were; more have defaults."""
    tree = ast.parse(block(section))
    [node] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    ours = getattr(unitrack, name)
    for method in (one for one in node.body if isinstance(one, ast.FunctionDef)):
        parameters = list(inspect.signature(getattr(ours, method.name)).parameters.values())
        count, optional = len(method.args.args), len(method.args.defaults)
        assert [one.name for one in parameters[:count]] == [one.arg for one in method.args.args]
        assert [one.name for one in parameters if one.default is one.empty] == [
            one.arg for one in method.args.args[: count - optional]
        ]
        if name == "ExperimentTracker":
            assert getattr(getattr(ours, method.name), "__isabstractmethod__", False)


def test_the_interface_is_a_contract() -> None:
    """A tracker that lacks a method can't be made."""
    with pytest.raises(TypeError, match="abstract"):
        unitrack.ExperimentTracker()  # type: ignore[abstract]
    assert issubclass(unitrack.LocalExperimentTracker, unitrack.ExperimentTracker)
    assert issubclass(unitrack.MLflowTracker, unitrack.ExperimentTracker)


def test_local_tracker_writes_the_printed_layout(root: Path) -> None:
    """The same calls to the printed class and to unitrack's leave the same files with the same content."""
    theirs = printed("Experiment Tracker")["LocalExperimentTracker"]
    for place, tracker_class in (("theirs", theirs), ("ours", unitrack.LocalExperimentTracker)):
        namespace = train_names() | {"LocalExperimentTracker": lambda _, of=tracker_class, at=place: of(at)}
        run_id = printed("Example 1: Basic Experiment Tracking", **namespace)["run_id"]
        assert run_id == "training-v1"
        assert json.loads(json.dumps(run_id)) == "training-v1"
    read = [
        (
            json.loads((folder / "params.json").read_text()),
            [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()],
            (folder / "artifacts" / "model.pt").read_bytes(),
            {key: json.loads((folder / "metadata.json").read_text())[key] for key in ("run_name", "status")},
        )
        for folder in (root / "theirs" / "training-v1", root / "ours" / "training-v1")
    ]
    params, lines, model, metadata = read[1]
    assert (params, model, metadata) == (read[0][0], read[0][2], read[0][3])
    assert [(line["step"], line["metrics"]) for line in lines] == [
        (line["step"], line["metrics"]) for line in read[0][1]
    ]
    written = json.loads((root / "ours" / "training-v1" / "metadata.json").read_text())
    assert re.fullmatch(r"\d{8}_\d{6}", written["start_time"])
    assert "end_time" in written


def test_local_tracker_has_the_printed_safeguards(root: Path) -> None:
    """Both classes refuse the same calls with the same kinds of errors and the same words."""
    theirs = printed("Experiment Tracker")["LocalExperimentTracker"]
    for tracker in (theirs("theirs"), unitrack.LocalExperimentTracker("ours")):
        for call in (
            lambda tracker=tracker: tracker.log_params({"a": 1}),
            lambda tracker=tracker: tracker.log_metrics({"a": 1}),
            lambda tracker=tracker: tracker.log_artifact("model.pt"),
        ):
            with pytest.raises(RuntimeError, match="No active run"):
                call()
        tracker.end_run()  # without a run it does nothing
        tracker.start_run("a")
        with pytest.raises(TypeError, match="must be numeric"):
            tracker.log_metrics({"loss": "0.5"})
        with pytest.raises(FileNotFoundError, match=r"Artifact not found: missing\.bin"):
            tracker.log_artifact("missing.bin")
        tracker.end_run()


@MLFLOW
def test_mlflow_tracker(root: Path) -> None:
    """Example 1 through it: the id is MLflow's own, and MLflow holds everything."""
    uri = f"sqlite:///{root}/mlflow.db"
    names = train_names() | {"LocalExperimentTracker": lambda _: unitrack.MLflowTracker(uri, "codex-training")}
    run_id = printed("Example 1: Basic Experiment Tracking", **names)["run_id"]
    [run] = unitrack.runs(f"mlflow:{uri}")
    assert re.fullmatch("[0-9a-f]{32}", run_id)
    assert (run.name, run.project, run.status) == ("training-v1", "codex-training", "finished")
    assert len(run.history("loss")) == 100
    assert [artifact.name for artifact in run.artifacts] == ["model.pt"]


@MLFLOW
@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_mlflow_tracker_handles_connection_errors(root: Path) -> None:
    """With the printed error."""
    tracker = unitrack.MLflowTracker("http://127.0.0.1:9", "x", start_timeout=0.5)
    with pytest.raises(RuntimeError, match="Failed to start MLflow run: "):
        tracker.start_run("a")


# -- Examples ------------------------------------------------------------------------------------------------------


def test_example_1(root: Path) -> None:
    """Delivered by a courier, and read back."""
    names = train_names() | {"LocalExperimentTracker": unitrack.LocalExperimentTracker}
    printed("Example 1: Basic Experiment Tracking", **names)
    run = local_run("experiments/training-v1")
    assert run.params == {"learning_rate": 0.001, "batch_size": 32, "epochs": 100, "optimizer": "adam"}
    assert [(step, value) for step, value, _ in run.history("epoch")] == [(epoch, epoch) for epoch in range(100)]
    assert (run.status, [artifact.name for artifact in run.artifacts]) == ("finished", ["model.pt"])


@MLFLOW
def test_example_2(root: Path) -> None:
    """Plain MLflow: unitrack lists such runs as its own. MLflow no longer takes the line of the model as printed."""
    lines = block("Example 2: MLflow Tracking").replace('mlflow.pytorch.log_model(model, "model")', "pass")
    (root / "config.yaml").write_text("lr: 1")
    prelude = "train_step = iter(1 / n for n in range(1, 2000)).__next__\n"
    uri = f"sqlite:///{root}/mlflow.db"
    environ = os.environ | {"MLFLOW_TRACKING_URI": uri}
    done = subprocess.run(
        [sys.executable, "-c", prelude + lines], env=environ, capture_output=True, text=True, timeout=140
    )
    assert done.returncode == 0, done.stderr
    [run] = unitrack.runs(f"mlflow:{uri}")
    assert (run.name, run.project, run.status) == ("experiment-1", "codex-training", "finished")
    assert run.params["model_type"] == "transformer"
    assert [step for step, _, _ in run.history("loss")] == list(range(0, 1000, 100))
    assert "config.yaml" in {artifact.name for artifact in run.artifacts}


@EACH_WAY
def test_example_3(run_section: RunSection, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The comparison of two experiments, and its printed table."""
    for name, lr in (("run_20241201", 0.001), ("run_20241202", 0.01)):
        tracker = unitrack.LocalExperimentTracker("experiments")
        tracker.start_run(name)
        tracker.log_params({"learning_rate": lr})
        for step in range(3):
            tracker.log_metrics({"loss": lr * (3 - step)}, step=step)
        tracker.end_run()
    capsys.readouterr()
    run_section("Example 3: Experiment Comparison")
    assert capsys.readouterr().out == (
        "Experiment Comparison:\n  run_20241201: loss=0.001, lr=0.001\n  run_20241202: loss=0.01, lr=0.01\n"
    )


@EACH_WAY
def test_example_4(run_section: RunSection, root: Path) -> None:
    """The environment as params under the printed names; the commit is "unknown" outside of a repository."""
    names = {"ExperimentTracker": unitrack.ExperimentTracker, "LocalExperimentTracker": unitrack.LocalExperimentTracker}
    tracker = run_section("Example 4: Reproducibility Logging", **names)["tracker"]
    tracker.end_run()
    params = local_run("experiments/reproducible-run").params
    assert (params["python_version"], params["git_hash"]) == (sys.version, "unknown")
    assert "platform" in params
    assert ("torch_version" in params) == (importlib.util.find_spec("torch") is not None)


@EACH_WAY
def test_example_5(run_section: RunSection, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep of twelve runs, each with its params and metrics; the best is named."""

    def train_model(learning_rate: float, batch_size: int, hidden_size: int) -> dict[str, float]:
        return {"loss": learning_rate * batch_size / hidden_size}

    names = {"ExperimentTracker": unitrack.ExperimentTracker, "train_model": train_model}
    tracker = unitrack.LocalExperimentTracker("experiments")
    results = run_section("Example 5: Hyperparameter Sweep", tracker=tracker, **names)["results"]
    assert capsys.readouterr().out.splitlines()[-1] == "Best run: sweep-7"
    assert len(results) == 12
    for number, result in enumerate(results):
        run = local_run(f"experiments/sweep-{number}")
        assert (run.folder and run.folder.name, run.params) == (result["run_id"], result["params"])
        assert {name: metric.last for name, metric in run.metrics.items()} == result["metrics"]


@EACH_WAY
def test_example_5_has_a_bound(run_section: RunSection, root: Path) -> None:
    """More than 100 combinations are refused before the first run starts."""
    names = {"ExperimentTracker": unitrack.ExperimentTracker, "train_model": lambda **_: {"loss": 1.0}}
    tracker = unitrack.LocalExperimentTracker("experiments")
    run_sweep = run_section("Example 5: Hyperparameter Sweep", tracker=tracker, **names)["run_sweep"]
    before = len(unitrack.runs("local:experiments"))
    with pytest.raises(ValueError, match="Too many combinations: 101"):
        run_sweep({"seed": list(range(101))}, names["train_model"], tracker)
    assert len(unitrack.runs("local:experiments")) == before


# -- Safeguards ----------------------------------------------------------------------------------------------------


def test_data_validation() -> None:
    """Both functions take and refuse the same values, with the same kinds of errors."""
    theirs = printed("Data Validation")["validate_metric"]
    for validate in (theirs, unitrack.validate_metric):
        assert validate("loss", 1) == 1.0
        assert type(validate("loss", 1)) is float
        with pytest.raises(TypeError, match="must be numeric, got"):
            validate("loss", "0.5")
        for value in (math.nan, math.inf, -math.inf):
            with pytest.raises(ValueError, match="Metric loss is NaN or Inf"):
                validate("loss", value)


def test_storage_safeguards(root: Path) -> None:
    """Both functions store a small file, and refuse a missing one and one of more than 100 MiB."""
    theirs = printed("Storage Safeguards")
    assert theirs["MAX_ARTIFACT_SIZE"] == unitrack.MAX_ARTIFACT_SIZE
    (root / "small.bin").write_bytes(b"x")
    with open(root / "large.bin", "wb") as file:
        file.truncate(unitrack.MAX_ARTIFACT_SIZE + 1)
    for number, store in enumerate((theirs["safe_log_artifact"], unitrack.safe_log_artifact)):
        tracker = unitrack.LocalExperimentTracker("experiments")
        tracker.start_run(f"run-{number}")
        store(tracker, "small.bin")
        with pytest.raises(FileNotFoundError):
            store(tracker, "missing.bin")
        with pytest.raises(ValueError, match=re.escape("Artifact too large: 100.0MB")):
            store(tracker, "large.bin")
        with pytest.raises(ValueError, match="Artifact too large"):
            tracker.log_artifact("large.bin")
        tracker.end_run()
        assert [artifact.name for artifact in local_run(f"experiments/run-{number}").artifacts] == ["small.bin"]


# -- Best practices and troubleshooting ------------------------------------------------------------------------------


def test_each_best_practice_has_its_section() -> None:
    """In the documentation, in the printed order."""
    practices = re.findall(r"^\d\. ([\w ]+):", TEXT, re.MULTILINE)
    assert len(practices) == 8
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "best-practices.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## \d\. (.*)$", page, re.MULTILINE)
    assert [title.lower() for title in titles] == [practice.lower() for practice in practices]
    for title in ("Missing runs", "Metric logging issues"):
        assert f"## {title}\n" in page


def test_metric_logging_issues(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed checks; and without them, an error that says the same."""
    printed("Metric Logging Issues", loss=math.nan)
    assert capsys.readouterr().out == "Warning: NaN loss detected\nLoss type: <class 'float'>\n"
    with unitrack.start_run("a", sinks=["local"], delivery="inline") as run:
        with pytest.raises(ValueError, match=r"'loss' is NaN or Inf \(nan at step 3\)"):
            run.log_metrics({"loss": math.nan}, step=3)
        with pytest.raises(TypeError, match=r"metric 'loss' must be numeric, got str '0\.5'"):
            run.log_metrics({"loss": "0.5"}, step=4)
