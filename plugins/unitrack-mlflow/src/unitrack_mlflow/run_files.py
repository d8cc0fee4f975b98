"""The files among a run's artifacts.

`MlflowClient.list_artifacts` also looks for a logged model that is called like the folder, among all of the experiment,
and looks it up in the process's global registry instead of the client's store, so that it fails for any other store.
"""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import FileInfo, Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository


def list_files(client: MlflowClient, run: Run, folder: str | None = None) -> list[FileInfo]:
    """Return the files and folders in a folder of the run's artifacts; none if there is no such folder."""
    repository = get_artifact_repository(run.info.artifact_uri, tracking_uri=client.tracking_uri)
    found: list[FileInfo] = repository.list_artifacts(folder)
    return found
