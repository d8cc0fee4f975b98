"""Finding a run of unitrack in MLflow, or creating it, exactly once."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException
from unitrack.errors import RecordRejectedError, SinkMisconfiguredError

from unitrack_mlflow import marks, stores
from unitrack_mlflow.failures import translated
from unitrack_mlflow.stores import Store


def experiment_id(client: MlflowClient, store: Store, name: str, artifact_location: str | None) -> str:
    """The id of the experiment `name`, created if need be.

    Raises `SinkMisconfiguredError` if it was deleted or can't be called so.
    """
    found = _experiment(client, store, name)
    if found is None:
        location = artifact_location or stores.artifact_folder(store, name)
        try:
            with translated(store):
                created: str = client.create_experiment(name, artifact_location=location)
                return created
        except RecordRejectedError as error:
            found = _experiment(client, store, name)  # another lane or process may have been first
            if found is None:
                raise SinkMisconfiguredError(f"experiment {name!r} can't be created: {error}") from error
    if found.lifecycle_stage != "active":
        raise SinkMisconfiguredError(
            f"experiment {name!r} was deleted from {store.shareable}; restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or choose another with the option `experiment`"
        )
    return str(found.experiment_id)


def find(client: MlflowClient, experiment: str, run_id: str) -> Run | None:
    """The run of the experiment that carries unitrack's `run_id`, a deleted one too."""
    quote = '"' if "'" in run_id else "'"
    where = f"tags.`{marks.RUN_ID}` = {quote}{run_id}{quote}"
    found = client.search_runs([experiment], where, ViewType.ALL, order_by=["attributes.start_time ASC"])
    return min(found, key=lambda run: run.info.lifecycle_stage != "active", default=None)


def by_id(client: MlflowClient, run_id: str) -> Run | None:
    """The run with MLflow's id `run_id`, a deleted one too; None if there is none."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def require_active(run: Run, store: Store) -> None:
    """Raise `SinkMisconfiguredError` if the run was deleted."""
    if run.info.lifecycle_stage != "active":
        raise SinkMisconfiguredError(
            f"run {run.info.run_id} was deleted from {store.shareable}; restore it with "
            f"`mlflow runs restore --run-id {run.info.run_id}`"
        )


def _experiment(client: MlflowClient, store: Store, name: str) -> Experiment | None:
    if store.is_folder and "'" in name:
        # the file store puts the name into a filter unquoted
        token = None
        while True:
            page = client.search_experiments(view_type=ViewType.ALL, page_token=token)
            for experiment in page:
                if experiment.name == name:
                    return experiment
            token = page.token
            if not token:
                return None
    return client.get_experiment_by_name(name)
