"""`unitrack.run_sweep`: example 5 of the document, its bound, and combinations that fail."""

from pathlib import Path

import pytest

import unitrack
from unitrack import LocalExperimentTracker, run_sweep


def test_the_example_of_the_document_runs_as_printed(tmp_path):
    def train_model(learning_rate, batch_size, hidden_size):
        return {"loss": learning_rate * batch_size / hidden_size, "accuracy": 0.5}

    tracker = LocalExperimentTracker(tmp_path)
    param_grid = {"learning_rate": [0.001, 0.0001], "batch_size": [16, 32, 64], "hidden_size": [128, 256]}

    results = run_sweep(param_grid, train_model, tracker)
    best_run = min(results, key=lambda x: x["metrics"]["loss"])

    assert len(results) == 12
    assert best_run["params"] == {"learning_rate": 0.0001, "batch_size": 16, "hidden_size": 256}
    stored = {run.params["batch_size"]: run for run in unitrack.runs(tmp_path)}
    assert set(stored) == {16, 32, 64}
    assert (tmp_path / best_run["run_id"] / "metrics.jsonl").exists()


@pytest.mark.parametrize("values", [range(10**9), range(10**20), [0] * 101], ids=["10^9", "10^20", "101"])
def test_a_grid_above_the_bound_fails_before_anything_starts(tmp_path, values):
    with pytest.raises(ValueError, match="Too many combinations"):
        run_sweep({"x": values}, lambda x: {"loss": x}, LocalExperimentTracker(tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_bound_can_be_raised(tmp_path):
    results = run_sweep({"x": [1, 2, 3]}, lambda x: {"loss": x}, LocalExperimentTracker(tmp_path), max_combinations=3)
    assert [one["metrics"]["loss"] for one in results] == [1, 2, 3]
    with pytest.raises(unitrack.InvalidValueError, match="takes 2"):
        run_sweep({"x": [1, 2, 3]}, lambda x: {"loss": x}, LocalExperimentTracker(tmp_path), max_combinations=2)


def test_a_combination_that_fails_is_recorded_and_the_sweep_goes_on(tmp_path):
    def train(x):
        if x == 2:
            raise RuntimeError("out of memory")
        return {"loss": x}

    with pytest.warns(UserWarning, match=r"1 of 3 runs of the sweep failed.*out of memory"):
        results = run_sweep({"x": [1, 2, 3]}, train, LocalExperimentTracker(tmp_path))
    assert [one["params"]["x"] for one in results] == [1, 3]
    assert [one["params"]["x"] for one in results.failed] == [2]
    assert sorted(run.status for run in unitrack.runs(tmp_path)) == ["failed", "finished", "finished"]


def test_a_sweep_of_which_all_fails_is_an_error(tmp_path):
    with pytest.raises(unitrack.SweepError, match=r"2 of 2.*metrics, got float"):
        run_sweep({"x": [1.0, 2.0]}, lambda x: x, LocalExperimentTracker(tmp_path))


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"lr": [1], "batch_sise": [1]}, "did you mean 'batch_size'"),
        ({"lr": [1]}, "needs 'batch_size'"),
        ({"lr": 1, "batch_size": [1]}, "must be a list of values"),
        ({"lr": "ab", "batch_size": [1]}, "must be a list of values"),
        ({"lr": [], "batch_size": [1]}, "has no values"),
    ],
)
def test_a_mistake_in_the_grid_names_the_key_before_anything_starts(tmp_path, grid, message):
    with pytest.raises(unitrack.ConfigError, match=message):
        run_sweep(grid, lambda lr, batch_size: {"loss": lr}, LocalExperimentTracker(tmp_path))
    assert not list(tmp_path.iterdir())


class OwnTracker(unitrack.ExperimentTracker):
    """A tracker that only has what the abstract class asks for."""

    def __init__(self):
        self.calls = []

    def start_run(self, run_name=None):
        self.calls.append(("start", run_name))
        return run_name

    def log_params(self, params):
        self.calls.append(("params", dict(params)))

    def log_metrics(self, metrics, step=None):
        self.calls.append(("metrics", dict(metrics)))

    def log_artifact(self, path, artifact_path=None):
        raise AssertionError

    def end_run(self):
        self.calls.append(("end",))


def test_any_tracker_will_do():
    tracker = OwnTracker()
    results = run_sweep({"x": [1]}, lambda x: {"loss": 2.0}, tracker)
    assert tracker.calls == [("start", "sweep-0"), ("params", {"x": 1}), ("metrics", {"loss": 2.0}), ("end",)]
    assert results == [{"run_id": "sweep-0", "params": {"x": 1}, "metrics": {"loss": 2.0}}]


def test_it_needs_no_optuna():
    import subprocess
    import sys

    code = "import sys; sys.modules['optuna'] = None; from unitrack import run_sweep; print(run_sweep.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "run_sweep"


def test_without_optuna_a_sweep_names_the_extra(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(unitrack.MissingPackageError, match=r"unitrack-core\[sweeps\]"):
        unitrack.sweep(lambda x: x, {"x": [1, 2]}, strategy="grid", root=tmp_path)
    assert Path(tmp_path).exists() and not list(tmp_path.iterdir())
