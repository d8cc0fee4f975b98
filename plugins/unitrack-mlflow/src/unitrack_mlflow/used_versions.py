"""The versions of artifacts that a run has used, as MLflow's inputs of it: logged models, and datasets for all else."""

from __future__ import annotations

import json

from mlflow import MlflowClient
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag, LoggedModel, LoggedModelInput, Run
from mlflow.exceptions import MlflowException

from unitrack.hookspecs import RunContext, UsedArtifact
from unitrack.names import shorten
from unitrack.records import ArtifactVersion, used_version
from unitrack_mlflow import limits, marks
from unitrack_mlflow.datasets import CONTEXT, source_of

USED_AS = "unitrack.used"
"""The context of such an input, which tells it from the datasets that `log_dataset` names."""


def log(client: MlflowClient, run: Run, context: RunContext, tag: str, text: str) -> None:
    """Have the version that a tag of the run speaks of among its inputs, once.

    A model that MLflow has as a logged model is that. Everything else is a dataset called "<name>:<version>": where it
    lies, and its digest.
    """
    if (told := used_version(tag, text)) is None:
        return
    version, used = told
    if (model := _logged_model(client, run, version, used.project)) is not None:
        if model.model_id not in _model_inputs(run):
            client.log_inputs(run.info.run_id, models=[LoggedModelInput(model.model_id)])
        return
    client.log_inputs(run.info.run_id, [_dataset(version, used.made_by, context.find_used(tag, text))])


def _logged_model(client: MlflowClient, run: Run, version: ArtifactVersion, project: str) -> LoggedModel | None:
    experiments = [run.info.experiment_id]
    if project and (other := client.get_experiment_by_name(project)) is not None:
        experiments.append(other.experiment_id)
    try:
        found = client.search_logged_models(experiments, f"tags.`{marks.DIGEST}` = '{version.digest}'", max_results=1)
    except MlflowException as error:
        if error.error_code in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED"):  # MLflow 2
            return None
        raise
    return next(iter(found), None)


def _model_inputs(run: Run) -> set[str]:
    return {one.model_id for one in run.inputs.model_inputs or ()} if run.inputs else set()


def _dataset(version: ArtifactVersion, made_by: str, used: UsedArtifact | None) -> DatasetInput:
    reference = used.version.reference if used is not None else None
    place = reference.uri if reference else str(used.path) if used is not None and used.path else ""
    source_type, source = source_of(place)
    profile = {"version": version.label, "sha256": version.digest, "made_by": made_by}
    given = MlflowDataset(
        name=shorten(f"{version.name}:{version.label}", limits.DATASET_NAME),
        digest=version.digest[: limits.DATASET_DIGEST],
        source_type=source_type,
        source=source,
        profile=json.dumps({key: value for key, value in profile.items() if value}),
    )
    return DatasetInput(given, [InputTag(CONTEXT, USED_AS)])
