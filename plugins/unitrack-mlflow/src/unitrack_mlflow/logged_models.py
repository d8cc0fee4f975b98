"""Models as real logged models of MLflow: `mlflow.<flavour>.load_model("runs:/<run id>/<name>")` loads them.

A model for MLflow is its file, where the flavour wants it, beside a description. So none has to be loaded here, let
alone unpickled; `model_flavors` says what is known from the file alone. What it doesn't know stays a file among the
run's artifacts.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from unitrack.names import escape
from unitrack.records import Artifact
from unitrack_mlflow import marks, model_interfaces
from unitrack_mlflow.model_flavors import Flavor

_NAME = r"A-Za-z0-9_\- "
_DESCRIPTION, _REQUIREMENTS, _PYTHON = "MLmodel", "requirements.txt", "python_env.yaml"


class Registered(NamedTuple):
    """A logged model."""

    id: str
    """Empty if the server knows no logged models (MLflow 2)."""
    paths: tuple[str, ...]
    """Where MLflow lists it among the run's artifacts."""


def register(client: MlflowClient, run: Run, artifact: Artifact, file: Path, flavor: Flavor) -> Registered:
    """Have the model as a logged model of the run, once."""
    version = artifact.version
    name = escape(version.name if version else str(PurePosixPath(artifact.name).parent), _NAME)
    mark = f"{artifact.time} {artifact.name}"
    tags = {marks.MODEL: mark} | ({marks.DIGEST: version.digest} if version and version.digest else {})
    try:
        model = _find(client, run, name, mark) or client.create_logged_model(
            run.info.experiment_id, name, run.info.run_id, tags=tags
        )
    except MlflowException as error:
        if error.error_code in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED"):
            return Registered("", ())
        raise
    if model.status != LoggedModelStatus.READY:
        with tempfile.TemporaryDirectory(prefix="unitrack-mlflow-") as folder:
            _write(Path(folder), model, run, file, flavor, model_interfaces.of(artifact))
            client.log_model_artifacts(model.model_id, folder)
        outputs = client.get_run(run.info.run_id).outputs
        if model.model_id not in {output.model_id for output in (outputs.model_outputs if outputs else ())}:
            client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, artifact.step or 0)])
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    listed = (flavor.file, *flavor.beside, *model_interfaces.files_of(artifact), _DESCRIPTION, _REQUIREMENTS, _PYTHON)
    return Registered(model.model_id, tuple(f"{name}/{path}" for path in listed))


def _find(client: MlflowClient, run: Run, name: str, mark: str) -> LoggedModel | None:
    for model in _named(client, run.info.experiment_id, name):
        if model.source_run_id == run.info.run_id and model.tags.get(marks.MODEL) == mark:
            return model
    return None


def _named(client: MlflowClient, experiment: str, name: str) -> Iterator[LoggedModel]:
    token = None
    while True:
        page = client.search_logged_models([experiment], f"name = '{name}'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _write(
    folder: Path, model: LoggedModel, run: Run, file: Path, flavor: Flavor, interface: model_interfaces.Interface
) -> None:
    _link(file, folder / flavor.file)
    for path, content in flavor.beside.items():
        (folder / path).write_text(content)
    found = Model(
        artifact_path=model.artifact_location,
        run_id=run.info.run_id,
        model_uuid=model.model_id,
        model_id=model.model_id,
    )
    versions = {package: told or _version(package) for package, told in flavor.needs.items()}
    if flavor.pyfunc is not None:
        environment = {"python_version": platform.python_version(), "env": {"virtualenv": _PYTHON}}
        found.add_flavor("python_function", **flavor.pyfunc, **environment)
    if flavor.name is not None:
        framework = next(iter(versions.values()))
        found.add_flavor(flavor.name, **{flavor.version_key: framework}, **flavor.options)
    interface.add_to(found, folder)
    found.save(folder / _DESCRIPTION)
    pinned = {"mlflow": _version("mlflow"), **versions}
    lines = [f"{package}=={known}" if known else package for package, known in pinned.items()]
    (folder / _REQUIREMENTS).write_text("\n".join(lines) + "\n")
    (folder / _PYTHON).write_text(f"python: {platform.python_version()}\ndependencies:\n- -r {_REQUIREMENTS}\n")


def _link(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, target)


def _version(package: str) -> str | None:
    """Of what is installed here. There are distributions of MLflow and XGBoost that have longer names."""
    for installed in (package, f"{package}-skinny", f"{package}-cpu"):
        with contextlib.suppress(PackageNotFoundError):
            return version(installed)
    return None
