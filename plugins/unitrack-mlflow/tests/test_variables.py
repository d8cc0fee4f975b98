"""The environment variables that teams have set for MLflow, and addresses that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import unitrack
import unitrack_mlflow
from unitrack.errors import ConfigError
from unitrack.plugins.registry import Plugins


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def logged_runs(database: str, experiment: str) -> list[Run]:
    client = MlflowClient(database)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def test_data_lands_where_mlflows_own_variables_say(
    database: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "the team's")
    with unitrack.start_run("parent", sinks="mlflow", delivery="inline") as above:
        above.log_metrics({"loss": 0.5}, step=1)
    monkeypatch.setenv("MLFLOW_PARENT_RUN_ID", above.links()["mlflow"].id)
    with unitrack.start_run("child", sinks="mlflow", delivery="inline", group="fold 1"):
        pass
    child, parent = logged_runs(database, "the team's")
    assert parent.data.metrics == {"loss": 0.5}
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["unitrack.group"] == "fold 1"


def test_a_project_that_is_configured_names_the_experiment(
    database: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "the team's")
    with unitrack.start_run(project="mine", sinks="mlflow", delivery="inline"):
        pass
    assert len(logged_runs(database, "mine")) == 1
    assert not logged_runs(database, "the team's")


def test_a_run_of_the_launcher_is_gone_on_with(database: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    client = MlflowClient(database)
    theirs = client.create_run(client.create_experiment("job")).info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    monkeypatch.setenv("MLFLOW_RUN_ID", theirs)
    with unitrack.start_run(sinks="mlflow", delivery="inline") as run:
        run.log_params({"lr": 0.1})
    [found] = logged_runs(database, "job")
    assert (found.info.run_id, found.data.params) == (theirs, {"lr": "0.1"})


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("htp://127.0.0.1:5000", r"MLflow has no store of the kind 'htp'; did you mean http://\?"),
        ("http://", "names no host"),
        ("s3://bucket", "MLflow has no store of the kind 's3'; use http://host:5000, sqlite:///mlflow.db, or a folder"),
    ],
)
def test_an_address_that_cannot_work_is_refused_at_the_start(folder: Path, uri: str, message: str) -> None:
    (folder / "unitrack.yaml").write_text(
        f"tracking:\n  sinks:\n    - mlflow:\n        tracking_uri: '{uri}'\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=rf"unitrack.yaml:4: sink 'mlflow', tracking_uri '{uri}'.*{message}"):
        unitrack.start_run()
    assert not (folder / "experiments").exists()


def test_shared_options_are_known_without_the_plugin() -> None:
    """A file with a tracking_uri is understood, and says what to install, before the plugin is there."""
    [backend] = unitrack_mlflow.register_backends()
    assert Plugins([]).shared_options["mlflow"] == backend.shared_options
