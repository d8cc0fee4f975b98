"""Artifacts on their way to MLflow, under their own names."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient

from unitrack.errors import RecordRejectedError
from unitrack_mlflow.run_files import list_files


def upload(client: MlflowClient, run_id: str, staged: Path, name: str) -> None:
    """Put the file or folder `staged` among the run's artifacts as `name`; what is there already is replaced.

    Raises `FileNotFoundError` if it is gone, `RecordRejectedError` where a file is and a folder should be.
    """
    try:
        _put(client, run_id, staged, name)
    except (NotADirectoryError, FileExistsError) as error:
        if _file_in_the_way(client, run_id, name):
            reason = f"an artifact that is a file is in the way of {name!r}, and MLflow can't delete it"
            raise RecordRejectedError(reason) from error
        raise


def _file_in_the_way(client: MlflowClient, run_id: str, name: str) -> bool:
    """Whether `name`, or a folder above it, is a file among the run's artifacts."""
    parts = name.split("/")
    paths = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    run = client.get_run(run_id)
    for path in paths:
        listed = {info.path: info.is_dir for info in list_files(client, run, posixpath.dirname(path) or None)}
        if path not in listed:
            return False
        if not listed[path]:
            return True
    return False


def _put(client: MlflowClient, run_id: str, staged: Path, name: str) -> None:
    if staged.is_dir():
        client.log_artifacts(run_id, str(staged), name)
        return
    if not staged.is_file():
        raise FileNotFoundError(f"the copy of artifact {name!r} is not there: {staged}")
    parent, base = posixpath.split(name)
    if staged.name == base:
        client.log_artifact(run_id, str(staged), parent or None)
        return
    # MLflow calls an artifact what its file is called
    with tempfile.TemporaryDirectory(prefix="unitrack-mlflow-") as folder:
        renamed = Path(folder) / base
        try:
            os.link(staged, renamed)
        except OSError:  # another file system, or one without links
            shutil.copyfile(staged, renamed)
        client.log_artifact(run_id, str(renamed), parent or None)
