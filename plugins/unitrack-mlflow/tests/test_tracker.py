"""`MLflowTracker`: MLflow's own run ids, and an MLflow that does not answer."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

import unitrack
from unitrack import MLflowTracker
from unitrack.limits import HOUSEKEEPING_S


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_start_run_returns_mlflows_own_id(server: str, folder: Path) -> None:
    tracker = MLflowTracker(server, f"experiment {folder.name}")
    with tracker.start_run("training-v1") as run_id:
        tracker.log_params({"lr": 0.1})
        tracker.log_metrics({"loss": 0.5}, step=3)
    mlflow.set_tracking_uri(server)
    found = mlflow.get_run(run_id)
    assert (found.info.run_name, found.info.status) == ("training-v1", "FINISHED")
    assert (found.data.params, found.data.metrics) == ({"lr": "0.1"}, {"loss": 0.5})


def test_an_mlflow_that_does_not_answer_is_a_runtime_error(closed_url: str) -> None:
    tracker = MLflowTracker(closed_url, "digits", start_timeout=3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what finish warns of is in the error
        with pytest.raises(RuntimeError, match=r"^Failed to start MLflow run: .*(refused|no answer within 3 s)"):
            tracker.start_run("a")
    assert tracker.active_run is None


def test_a_pruned_trial(database: str, folder: Path) -> None:
    tracker = MLflowTracker(database, "digits")
    run_id = tracker.start_run("trial-7")
    tracker.end_run("pruned")
    found = MlflowClient(database).get_run(run_id)
    assert (found.info.status, found.data.tags["unitrack.status"]) == ("KILLED", "pruned")


@pytest.mark.parametrize("announce", [True, False])
def test_the_runs_page_is_printed_once(
    server: str, folder: Path, capsys: pytest.CaptureFixture[str], announce: bool
) -> None:
    """When it is known, while the run goes on."""
    config = {"tracking": {"announce": announce}}
    sinks = ["local", {"mlflow": {"tracking_uri": server}}]
    with unitrack.start_run("training-v1", project="digits", config=config, sinks=sinks, delivery="thread") as run:
        run.log_metrics({"loss": 0.5})
        run.flush(timeout=30)
        time.sleep(2 * HOUSEKEEPING_S)
        printed = capsys.readouterr()
    link = run.links()["mlflow"]
    assert link.url is not None
    assert printed.err == (f"unitrack: run 'training-v1' in mlflow: {link.url}\n" if announce else "")
    assert printed.out == capsys.readouterr().err == ""
