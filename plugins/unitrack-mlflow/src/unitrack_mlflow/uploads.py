"""Artifacts on their way to MLflow, under their own names."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient


def upload(client: MlflowClient, run_id: str, staged: Path, name: str) -> None:
    """Put the file or folder `staged` among the run's artifacts as `name`; what is there already is replaced.

    Raises `FileNotFoundError` if it is gone.
    """
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
