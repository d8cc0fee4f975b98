"""Artifacts on their way to MLflow, under their own names."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from unitrack.errors import RecordRejectedError
from unitrack.names import escape, unescape
from unitrack_mlflow import stores
from unitrack_mlflow.names import ARTIFACT
from unitrack_mlflow.run_files import list_files


def upload(client: MlflowClient, run: Run, staged: Path, name: str) -> None:
    """Put the file or folder `staged` among the run's artifacts as `name`; what is there already is replaced.

    Raises `FileNotFoundError` if it is gone, `RecordRejectedError` where a file is and a folder should be.
    """
    try:
        _put(client, run, staged, name)
    except (NotADirectoryError, FileExistsError) as error:
        if _file_in_the_way(client, run, name):
            reason = f"an artifact that is a file is in the way of {name!r}, and MLflow can't delete it"
            raise RecordRejectedError(reason) from error
        raise


def _file_in_the_way(client: MlflowClient, run: Run, name: str) -> bool:
    """Return whether `name`, or a folder above it, is a file among the run's artifacts."""
    parts = name.split("/")
    paths = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    for path in paths:
        listed = {info.path: info.is_dir for info in list_files(client, run, posixpath.dirname(path) or None)}
        if path not in listed:
            return False
        if not listed[path]:
            return True
    return False


def restore_names(folder: Path, run: Run) -> None:
    """Give what was downloaded of a folder of `run` the names that it was logged with."""
    if not _escapes(run):
        return
    aside = folder.with_name(f".{folder.name}.named")
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        path = file.relative_to(folder).as_posix()
        original = unescape(path)
        is_inside = not original.startswith("/") and ".." not in original.split("/")
        renamed = aside / (original if is_inside else path)
        renamed.parent.mkdir(parents=True, exist_ok=True)
        file.rename(renamed)
    if aside.exists():
        shutil.rmtree(folder)
        aside.rename(folder)


def _escapes(run: Run) -> bool:
    """Return whether names in a folder are escaped: they go into URLs as they are, where "a#1" would be "a"."""
    return stores.local_path(run.info.artifact_uri) is None


def _put_folder(client: MlflowClient, run: Run, staged: Path, name: str) -> None:
    files = [path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file()]
    safe = {file: escape(file, ARTIFACT) for file in files}
    if not _escapes(run) or all(file == path for file, path in safe.items()):
        client.log_artifacts(run.info.run_id, str(staged), name)
        return
    with tempfile.TemporaryDirectory(prefix="unitrack-mlflow-") as folder:
        for file, path in safe.items():
            renamed = Path(folder, path)
            renamed.parent.mkdir(parents=True, exist_ok=True)
            _link(staged / file, renamed)
        client.log_artifacts(run.info.run_id, folder, name)


def _link(staged: Path, renamed: Path) -> None:
    try:
        os.link(staged, renamed)
    except OSError:  # another file system, or one without links
        shutil.copyfile(staged, renamed)


def _put(client: MlflowClient, run: Run, staged: Path, name: str) -> None:
    run_id = run.info.run_id
    if staged.is_dir():
        _put_folder(client, run, staged, name)
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
        _link(staged, renamed)
        client.log_artifact(run_id, str(renamed), parent or None)
