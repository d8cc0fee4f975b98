"""scikit-learn models in skops form as real logged models of MLflow: `mlflow.sklearn.load_model` loads them.

Nothing is unpickled, or loaded at all: a skops file says by itself of what types it is, and a model for MLflow is that
file beside a description. That can't be done for the other forms that `unitrack.models` saves: MLflow's PyTorch flavour
wants the pickled module and not its state dict, and its scikit-learn flavour can't read joblib's files. Those stay
files among the run's artifacts.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.exceptions import MlflowException

from unitrack import names
from unitrack.records import Artifact
from unitrack_mlflow import marks

_NAME = r"A-Za-z0-9_\- "
_MODEL, _DESCRIPTION, _REQUIREMENTS, _PYTHON = "model.skops", "MLmodel", "requirements.txt", "python_env.yaml"
_FILES = (_MODEL, _DESCRIPTION, _REQUIREMENTS, _PYTHON)
_NEEDED = ("mlflow", "scikit-learn", "skops")


def types_to_trust(file: Path) -> list[str] | None:
    """The types that MLflow must be told to trust to load `file`, often none; None if it is no model for MLflow.

    scikit-learn's own may be trusted, such as the trees of a forest, which skops doesn't trust unasked. A type of
    anybody else's is for the user to vouch for.
    """
    if file.suffix != ".skops" or not all(map(importlib.util.find_spec, ("skops", "sklearn"))):
        return None
    from skops import io

    try:
        types: list[str] = io.get_untrusted_types(file=file)  # reads its schema; makes no object
    except Exception:  # whatever is in the file, it is no model then
        return None
    return types if all(one.startswith("sklearn.") for one in types) else None


def register(client: MlflowClient, run: Run, artifact: Artifact, file: Path, trusted: list[str]) -> tuple[str, ...]:
    """Have the model as a logged model of the run, once; the paths at which MLflow lists it among the run's artifacts.

    Empty if the server knows no logged models (MLflow 2).
    """
    name = names.escape(str(PurePosixPath(artifact.name).parent), _NAME)
    mark = f"{artifact.time} {artifact.name}"
    try:
        model = _find(client, run, name, mark) or client.create_logged_model(
            run.info.experiment_id, name, run.info.run_id, tags={marks.MODEL: mark}
        )
    except MlflowException as error:
        if error.error_code in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED"):
            return ()
        raise
    if model.status != LoggedModelStatus.READY:
        with tempfile.TemporaryDirectory(prefix="unitrack-mlflow-") as folder:
            _describe(Path(folder), model, run, file, trusted)
            client.log_model_artifacts(model.model_id, folder)
        outputs = client.get_run(run.info.run_id).outputs
        if model.model_id not in {output.model_id for output in (outputs.model_outputs if outputs else ())}:
            client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, artifact.step or 0)])
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return tuple(f"{name}/{listed}" for listed in _FILES)


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


def _describe(folder: Path, model: LoggedModel, run: Run, file: Path, trusted: list[str]) -> None:
    from mlflow.models import Model

    try:
        os.link(file, folder / _MODEL)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, folder / _MODEL)
    found = Model(
        artifact_path=model.artifact_location,
        run_id=run.info.run_id,
        model_uuid=model.model_id,
        model_id=model.model_id,
    )
    found.add_flavor(
        "python_function",
        loader_module="mlflow.sklearn",
        model_path=_MODEL,
        predict_fn="predict",
        python_version=platform.python_version(),
        env={"virtualenv": _PYTHON},
    )
    found.add_flavor(
        "sklearn",
        pickled_model=_MODEL,  # MLflow's word for the file, whatever its form
        sklearn_version=_version("scikit-learn"),
        serialization_format="skops",
        skops_trusted_types=trusted or None,
    )
    found.save(folder / _DESCRIPTION)
    pinned = [f"{package}=={_version(package)}" for package in _NEEDED]
    (folder / _REQUIREMENTS).write_text("\n".join(pinned) + "\n")
    (folder / _PYTHON).write_text(f"python: {platform.python_version()}\ndependencies:\n- -r {_REQUIREMENTS}\n")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # mlflow-skinny is no package "mlflow"
        return version(f"{package}-skinny")
