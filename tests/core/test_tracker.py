"""Trackers: small programs as people write them, and active runs that don't mix."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import math
import pickle
import random
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

import unitrack
from unitrack import LocalExperimentTracker, Tracker
from unitrack.local import LocalSource
from unitrack.records import Metrics


def losses(run: unitrack.Run) -> list[float]:
    """The values of `loss` in the local files."""
    found = LocalSource(str(run.path)).records(run.path.name)
    return [record.values()["loss"] for record in found if isinstance(record, Metrics)]


def inline(root: Path) -> Tracker:
    """A tracker whose runs are delivered as they are logged."""
    return Tracker({"tracking": {"root": str(root), "delivery": "inline"}})


# As code that was written for any tracker has it.
def compare_experiments(exp_dirs: list) -> dict:
    """
    Compare multiple experiments.

    Safeguard: Validates experiment directories exist.
    """
    comparisons = {}

    for exp_dir in exp_dirs:
        path = Path(exp_dir)
        if not path.exists():
            continue

        # Load params
        params_file = path / "params.json"
        params = json.loads(params_file.read_text()) if params_file.exists() else {}

        # Load final metrics
        metrics_file = path / "metrics.jsonl"
        final_metrics = {}
        if metrics_file.exists():
            lines = metrics_file.read_text().strip().split("\n")
            if lines:
                final_metrics = json.loads(lines[-1]).get("metrics", {})

        comparisons[path.name] = {"params": params, "final_metrics": final_metrics}

    return comparisons


# As code that was written for any tracker has it.
def run_sweep(param_grid: dict, train_fn: Any, tracker: Any) -> list:
    """
    Run hyperparameter sweep.

    Safeguard: Validates param grid.
    Bounds: Limits total runs.
    """
    from itertools import product

    # Generate all combinations
    keys = list(param_grid.keys())
    values = list(param_grid.values())
    combinations = list(product(*values))

    # Bounds safeguard
    if len(combinations) > 100:
        raise ValueError(f"Too many combinations: {len(combinations)}")

    results = []

    for i, combo in enumerate(combinations):
        params = dict(zip(keys, combo))  # noqa: B905 (as printed)

        # Start run
        run_id = tracker.start_run(f"sweep-{i}")
        tracker.log_params(params)

        # Train
        metrics = train_fn(**params)
        tracker.log_metrics(metrics)

        # End run
        tracker.end_run()

        results.append({"run_id": run_id, "params": params, "metrics": metrics})

    return results


MAX_ARTIFACT_SIZE = 100 * 1024 * 1024  # 100MB


# As code that was written for any tracker has it.
def safe_log_artifact(tracker: Any, path: str) -> None:
    """
    Log artifact with size limit.

    Safeguard: Prevents oversized artifacts.
    Bounds: Maximum file size limit.
    """
    file_path = Path(path)
    if not file_path.exists():
        raise FileNotFoundError(path)

    size = file_path.stat().st_size
    if size > MAX_ARTIFACT_SIZE:
        raise ValueError(f"Artifact too large: {size / 1024 / 1024:.1f}MB")

    tracker.log_artifact(path)


# As code that was written for any tracker has it.
def log_environment(tracker: Any) -> None:
    """
    Log complete environment for reproducibility.

    Safeguard: Handles missing git gracefully.
    """
    import platform
    import subprocess
    import sys

    env_info = {
        "python_version": sys.version,
        "platform": platform.platform(),
    }

    # Git info
    try:
        git_hash = subprocess.check_output(["git", "rev-parse", "HEAD"], stderr=subprocess.DEVNULL).decode().strip()
        env_info["git_hash"] = git_hash

        git_diff = subprocess.check_output(["git", "diff", "--stat"], stderr=subprocess.DEVNULL).decode().strip()
        env_info["git_dirty"] = bool(git_diff)
    except (subprocess.CalledProcessError, FileNotFoundError):
        env_info["git_hash"] = "unknown"

    tracker.log_params(env_info)


def test_example_1_and_3_run_as_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Basic tracking against couriers, then the comparison of two experiments."""

    def train_epoch(model: object, data: object) -> float:
        return 1 / (epoch + 1)

    model = data = None
    for run_name, learning_rate in (("run_20241201", 0.001), ("run_20241202", 0.01)):
        # Initialize tracker
        tracker = LocalExperimentTracker("experiments")

        # Start run
        run_id = tracker.start_run(run_name)

        # Log hyperparameters
        tracker.log_params({"learning_rate": learning_rate, "batch_size": 32, "epochs": 100, "optimizer": "adam"})

        # Training loop with metric logging
        for epoch in range(100):
            loss = train_epoch(model, data)

            tracker.log_metrics({"loss": loss, "epoch": epoch}, step=epoch)

        # Save model artifact
        Path("model.pt").write_bytes(b"weights")
        tracker.log_artifact("model.pt")

        # End run
        tracker.end_run()
        assert run_id == run_name == json.loads(json.dumps(run_id))
        assert (Path("experiments") / run_id / "metadata.json").exists()

    # Compare experiments
    results = compare_experiments(
        [
            "experiments/run_20241201",
            "experiments/run_20241202",
        ]
    )

    # Print comparison table
    print("Experiment Comparison:")
    for name, data in results.items():
        loss = data["final_metrics"].get("loss", "N/A")
        lr = data["params"].get("learning_rate", "N/A")
        print(f"  {name}: loss={loss}, lr={lr}")

    assert capsys.readouterr().out == (
        "Experiment Comparison:\n  run_20241201: loss=0.01, lr=0.001\n  run_20241202: loss=0.01, lr=0.01\n"
    )
    folder = root / "experiments" / "run_20241201"
    assert (folder / "artifacts" / "model.pt").read_bytes() == b"weights"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["metrics"]["epoch"]) for line in lines] == [(epoch, epoch) for epoch in range(100)]
    meta = json.loads((folder / "metadata.json").read_text())
    assert meta["status"] == "completed"
    assert {"run_name", "start_time", "end_time"} <= meta.keys()


def test_example_4_runs_as_printed(root: Path) -> None:
    """The environment as params; outside of a repository the commit is unknown."""
    tracker = LocalExperimentTracker()
    tracker.start_run("reproducible-run")
    log_environment(tracker)
    tracker.end_run()
    params = json.loads((root / "experiments" / "reproducible-run" / "params.json").read_text())
    assert params.keys() >= {"python_version", "platform", "git_hash"}


def test_example_5_runs_as_printed(root: Path) -> None:
    """A sweep of twelve runs, each with its params and metrics."""
    tracker = LocalExperimentTracker("experiments")
    param_grid = {"learning_rate": [0.001, 0.0001], "batch_size": [16, 32, 64], "hidden_size": [128, 256]}

    def train_model(learning_rate: float, batch_size: int, hidden_size: int) -> dict[str, float]:
        return {"loss": learning_rate * batch_size / hidden_size}

    results = run_sweep(param_grid, train_model, tracker)
    best_run = min(results, key=lambda x: x["metrics"]["loss"])
    assert best_run["params"] == {"learning_rate": 0.0001, "batch_size": 16, "hidden_size": 256}
    compared = compare_experiments([root / "experiments" / f"sweep-{i}" for i in range(12)])
    for i, result in enumerate(results):
        assert compared[f"sweep-{i}"] == {"params": result["params"], "final_metrics": result["metrics"]}


def test_safeguards_hold(root: Path) -> None:
    """A `safe_log_artifact` of one's own works, and what it checks is checked without it too."""
    tracker = inline(root / "runs")
    for call in (
        lambda: tracker.log_params({"a": 1}),
        lambda: tracker.log_metrics({"a": 1}),
        lambda: tracker.log_artifact("x"),
    ):
        with pytest.raises(RuntimeError, match="No active run"):
            call()
    tracker.end_run()  # without a run it does nothing
    run = tracker.start_run("a").run
    Path("small.bin").write_bytes(b"x")
    safe_log_artifact(tracker, "small.bin")
    with pytest.raises(FileNotFoundError):
        safe_log_artifact(tracker, "missing.bin")
    with open("large.bin", "wb") as file:
        file.truncate(MAX_ARTIFACT_SIZE + 1)
    with pytest.raises(ValueError, match="Artifact too large"):
        tracker.log_artifact("large.bin")
    with pytest.raises(FileNotFoundError, match="Artifact not found"):
        tracker.log_artifact("missing.bin")
    with pytest.raises(TypeError, match="numeric"):
        tracker.log_metrics({"loss": "0.5"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="NaN or Inf"):
        tracker.log_metrics({"loss": math.nan})
    tracker.end_run()
    assert [path.name for path in (run.path / "artifacts").iterdir()] == ["small.bin"]


def test_nested_runs_of_one_tracker(root: Path) -> None:
    """Ending the inner one makes the outer one active again."""
    tracker = inline(root)
    outer = tracker.start_run("outer").run
    tracker.log_metrics({"loss": 1})
    inner = tracker.start_run("inner").run
    assert tracker.active_run is inner
    tracker.log_metrics({"loss": 2})
    tracker.end_run()
    assert tracker.active_run is outer
    tracker.log_metrics({"loss": 3})
    tracker.end_run()
    assert tracker.active_run is None
    assert losses(outer) == [1, 3]
    assert losses(inner) == [2]


def test_trackers_do_not_mix(root: Path) -> None:
    """Each has its own active run."""
    one, other = inline(root / "1"), inline(root / "2")
    first, second = one.start_run("a").run, other.start_run("a").run
    one.log_metrics({"loss": 1})
    other.log_metrics({"loss": 2})
    one.end_run()
    with pytest.raises(unitrack.NoActiveRunError):
        one.log_metrics({"loss": 3})
    other.log_metrics({"loss": 4})
    other.end_run()
    assert (losses(first), losses(second)) == ([1], [2, 4])


def test_threads_of_one_tracker_do_not_mix(root: Path) -> None:
    """Each thread logs to the run that it started; one whose run has ended has none."""
    tracker = inline(root)
    barrier = threading.Barrier(4)
    wrong: list[Any] = []
    runs: dict[int, unitrack.Run] = {}

    def work(number: int) -> None:
        runs[number] = tracker.start_run(f"thread-{number}").run
        barrier.wait()
        for _ in range(20):
            tracker.log_metrics({"loss": number})
        barrier.wait()
        if number % 2:
            tracker.end_run()
            try:
                tracker.log_metrics({"loss": -1})
                wrong.append(number)
            except unitrack.NoActiveRunError:
                pass
        barrier.wait()
        if not number % 2:
            tracker.end_run()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert {number: losses(run) for number, run in runs.items()} == {n: [n] * 20 for n in range(4)}


def test_a_helper_thread_logs_to_the_run_of_the_tracker(root: Path) -> None:
    """One that started none: a data loader, a callback."""
    tracker = inline(root)
    run = tracker.start_run("a").run
    thread = threading.Thread(target=lambda: tracker.log_metrics({"loss": 5}))
    thread.start()
    thread.join()
    tracker.end_run()
    assert losses(run) == [5]


def test_asyncio_tasks_of_one_tracker_do_not_mix(root: Path) -> None:
    """Each task has its own run, and inherits that of the one that started it until it starts its own."""
    tracker = inline(root)

    async def work(number: int) -> tuple[int, unitrack.Run]:
        tracker.log_metrics({"loss": 100 + number})
        run = tracker.start_run(f"task-{number}").run
        for _ in range(5):
            await asyncio.sleep(0)
            tracker.log_metrics({"loss": number})
        tracker.end_run()
        return number, run

    async def main() -> tuple[unitrack.Run, list[tuple[int, unitrack.Run]]]:
        outer = tracker.start_run("outer").run
        done = await asyncio.gather(*(work(number) for number in range(5)))
        tracker.log_metrics({"loss": 1})
        tracker.end_run()
        return outer, done

    outer, done = asyncio.run(main())
    assert losses(outer) == [100, 101, 102, 103, 104, 1]
    for number, run in done:
        assert losses(run) == [number] * 5


def test_a_mistake_in_the_configuration_raises_when_the_tracker_is_made(root: Path) -> None:
    """Not at its first run."""
    with pytest.raises(unitrack.ConfigError):
        Tracker({"traking": {}})


def test_the_mlflow_tracker_names_its_sink(root: Path) -> None:
    """It is a configuration of the same thing; without the plugin it says what to install."""
    tracker = unitrack.MLflowTracker("sqlite:///x.db", "digits")
    (sink,) = tracker._resolved.settings.sinks
    assert (sink.backend, sink.options["tracking_uri"]) == ("mlflow", "sqlite:///x.db")
    assert tracker._resolved.settings.experiment.project == "digits"


def test_what_start_run_returns_is_text(root: Path) -> None:
    """And ends the run as a context manager."""
    tracker = inline(root)
    with tracker.start_run("outer") as outer:
        assert type(str(outer)) is str
        assert outer == outer.run.id
        assert json.loads(json.dumps({"id": outer})) == {"id": outer.run.id}
        assert yaml.safe_load(yaml.safe_dump({"id": outer})) == {"id": outer.run.id}
        assert yaml.safe_load(yaml.dump([outer])) == [outer.run.id]
        assert Path("x") / outer == Path("x", outer.run.id)
        assert type(pickle.loads(pickle.dumps(outer))) is type(copy.deepcopy(outer)) is str
        with tracker.start_run("inner") as inner:
            tracker.log_params({"parent": outer})
            assert tracker.active_run is inner.run
        assert tracker.active_run is outer.run
        tracker.log_metrics({"loss": 1})
    assert tracker.active_run is None
    assert losses(outer.run) == [1]
    with pytest.raises(ZeroDivisionError), tracker.start_run("fails") as failing:
        _ = 1 / 0
    assert json.loads((failing.run.path / "metadata.json").read_text())["status"] == "failed"


def test_a_tracker_of_ones_own(root: Path) -> None:
    """What takes a tracker takes any that keeps the contract."""

    class Mine(unitrack.ExperimentTracker):
        def __init__(self) -> None:
            self.params: dict[str, Any] = {}
            self.files: list[str] = []

        def start_run(self, run_name: str | None = None) -> str:
            return run_name or "mine"

        def log_params(self, params: Any) -> None:
            self.params |= params

        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            raise NotImplementedError

        def log_artifact(self, path: str, artifact_path: str | None = None) -> None:
            self.files.append(path)

        def end_run(self) -> None:
            raise NotImplementedError

    tracker = Mine()
    unitrack.log_environment(tracker)
    assert tracker.params.keys() >= {"python_version", "platform", "git_hash", "packages"}
    Path("a.bin").write_bytes(b"a")
    unitrack.safe_log_artifact(tracker, "a.bin")
    with open("large.bin", "wb") as file:
        file.truncate(unitrack.MAX_ARTIFACT_SIZE + 1)
    with pytest.raises(ValueError, match=r"^Artifact too large: 100\.0MB; large\.bin may have at most 104857600 bytes"):
        unitrack.safe_log_artifact(tracker, "large.bin")
    with pytest.raises(FileNotFoundError, match=r"Artifact not found: no\.bin"):
        unitrack.safe_log_artifact(tracker, "no.bin")
    assert tracker.files == ["a.bin"]
    with pytest.raises(TypeError, match="abstract"):
        unitrack.ExperimentTracker()  # type: ignore[abstract]
    assert isinstance(inline(root), unitrack.ExperimentTracker)


def test_validate_metric() -> None:
    assert unitrack.validate_metric("loss", 1) == 1.0
    for value, error in (("0.5", TypeError), (None, TypeError), (math.nan, ValueError), (math.inf, ValueError)):
        with pytest.raises(error, match="loss"):
            unitrack.validate_metric("loss", value)


def test_compare_experiments(root: Path) -> None:
    """The last value of each metric, though one line of the file has only some."""
    tracker = LocalExperimentTracker("experiments")
    for name in ("a", "b"):
        with tracker.start_run(name):
            tracker.log_params({"model": {"lr": 0.1}})
            tracker.log_metrics({"loss": 0.5, "acc": 0.25}, step=1)
            tracker.log_metrics({"loss": 0.25}, step=2)
    (root / "experiments" / "b" / "params.json").unlink()
    found = unitrack.compare_experiments(["experiments/a", root / "experiments" / "b", "experiments/none"])
    assert found == {
        "a": {"params": {"model": {"lr": 0.1}}, "final_metrics": {"loss": 0.25, "acc": 0.25}},
        "b": {"params": {}, "final_metrics": {"loss": 0.25, "acc": 0.25}},
    }
    with pytest.raises(TypeError, match="takes a list of run folders, got 'experiments/a'"):
        unitrack.compare_experiments("experiments/a")


def test_a_seed_that_is_written_seeds(root: Path) -> None:
    """Also one that equals the default, and also in a copy; the default itself does not."""
    drawn = []
    for config in (
        unitrack.ExperimentConfig("a", random_seed=42),
        dataclasses.replace(unitrack.ExperimentConfig("a", random_seed=42), project="p"),
        unitrack.ExperimentConfig("a"),
        dataclasses.replace(unitrack.ExperimentConfig("a"), project="p"),
    ):
        with unitrack.start_run(config=config, delivery="inline", root=root) as run:
            drawn.append(random.random())
        assert ("random_seed" in run.config) == (len(drawn) <= 2)
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
