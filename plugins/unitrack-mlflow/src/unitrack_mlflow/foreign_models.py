"""What MLflow keeps of a run beside its artifacts, if another program has logged it: logged models and datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from unitrack.records import Artifact
from unitrack_mlflow import marks, stores

DATASET = "mlflow.dataset."
"""+ name: the tag that tells of a dataset that was an input of the run."""


def models_of(client: MlflowClient, run: Run, count: Iterator[int]) -> Iterator[Artifact]:
    """Yield the logged models of a run as artifacts, each a folder, by its name; those that unitrack made are left out.

    The model of an artifact is that artifact once more. A second model of a name has its id behind it.
    """
    for name, (model, step) in _models(client, run).items():
        yield Artifact(
            seq=next(count),
            time=model.creation_timestamp,
            name=name,
            file=str(stores.local_path(model.artifact_location) or model.artifact_location),
            type="model",
            size=sum(_sizes(_repository(client, model), None)),
            step=step,
        )


def fetch_model(client: MlflowClient, run: Run, name: str, folder: Path) -> Path | None:
    """Download the logged model of this name into `folder`; return where it lies, or None if there is none."""
    found = _models(client, run).get(name)
    if found is None:
        return None
    target = folder / "model"
    target.mkdir()
    return Path(_repository(client, found[0]).download_artifacts("", str(target)))


def dataset_tags(run: Run) -> dict[str, str]:
    """Return a tag for each dataset that was an input of the run: name, digest, source and context, as JSON."""
    tags = {}
    for given in run.inputs.dataset_inputs if run.inputs else ():
        told = {
            "digest": given.dataset.digest,
            "source_type": given.dataset.source_type,
            "source": given.dataset.source,
        }
        told |= {"schema": given.dataset.schema, "profile": given.dataset.profile}
        told |= {tag.key.removeprefix("mlflow.data."): tag.value for tag in given.tags or ()}
        tags[f"{DATASET}{given.dataset.name}"] = json.dumps({key: value for key, value in told.items() if value})
    return tags


def _models(client: MlflowClient, run: Run) -> dict[str, tuple[LoggedModel, int | None]]:
    found: dict[str, tuple[LoggedModel, int | None]] = {}
    outputs = getattr(run, "outputs", None)  # MLflow 3
    models = [
        (client.get_logged_model(output.model_id), output.step) for output in (outputs.model_outputs if outputs else ())
    ]
    for model, step in sorted(models, key=lambda one: (one[0].creation_timestamp, one[0].model_id)):
        if marks.MODEL not in model.tags:
            name = model.name or model.model_id
            found[name if name not in found else f"{name}-{model.model_id}"] = (model, step)
    return found


def _repository(client: MlflowClient, model: LoggedModel) -> ArtifactRepository:
    return get_artifact_repository(model.artifact_location, tracking_uri=client.tracking_uri)


def _sizes(repository: ArtifactRepository, folder: str | None) -> Iterator[int]:
    for info in repository.list_artifacts(folder):
        if info.is_dir:
            yield from _sizes(repository, info.path)
        else:
            yield info.file_size or 0
