"""Finding a run of unitrack in MLflow, or creating it, exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from unitrack.errors import RecordRejectedError, SinkMisconfiguredError, SinkUnavailableError
from unitrack_mlflow import marks, stores
from unitrack_mlflow.errors import ask
from unitrack_mlflow.stores import Store

_creating = threading.Lock()
_TORN_READ_WAITS_S = (0.01, 0.05, 0.25)


def experiment_id(client: MlflowClient, store: Store, name: str, artifact_location: str | None) -> str:
    """The id of the experiment `name`, created if need be.

    Raises `SinkMisconfiguredError` if it was deleted or can't be called so.
    """
    found = ask(store, lambda: client.get_experiment_by_name(name))
    if found is None:
        location = artifact_location or stores.artifact_folder(store, name)
        try:
            created: str = ask(store, lambda: client.create_experiment(name, artifact_location=location))
            return created
        except RecordRejectedError as error:
            found = ask(
                store, lambda: client.get_experiment_by_name(name)
            )  # another lane or process may have been first
            if found is None:
                raise SinkMisconfiguredError(f"experiment {name!r} can't be created: {error}") from error
    _require_sense(found.lifecycle_stage, store)
    if found.lifecycle_stage != "active":
        raise SinkMisconfiguredError(
            f"experiment {name!r} was deleted from {store.shareable}; restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or choose another with the option `experiment`"
        )
    return str(found.experiment_id)


def find(client: MlflowClient, store: Store, experiments: list[str], run_id: str) -> Run | None:
    """The run of these experiments that carries unitrack's `run_id`, a deleted one too."""
    quote = '"' if "'" in run_id else "'"
    where = f"tags.`{marks.RUN_ID}` = {quote}{run_id}{quote}"
    for wait in _TORN_READ_WAITS_S if store.is_folder else ():
        try:
            return _oldest(client, experiments, where)
        except (ValueError, MlflowException):
            # the file store reads all metrics of all runs to find one, also those that are half written just now
            time.sleep(wait)
    return _oldest(client, experiments, where)


def require_free(found: Run | None, wanted: str, run_id: str, store: Store) -> Run:
    """Return the run with MLflow's id `wanted`, which the option `run_id` names for unitrack's run `run_id`.

    Raises `SinkMisconfiguredError` if there is none, or if it holds another run of unitrack.
    """
    mend = "remove the option `run_id`, or the variable MLFLOW_RUN_ID"
    if found is None:
        raise SinkMisconfiguredError(f"there is no MLflow run {wanted} in {store.shareable}: {mend}")
    holder = found.data.tags.get(marks.RUN_ID, run_id)
    if holder != run_id:
        raise SinkMisconfiguredError(f"the MLflow run {wanted} holds unitrack's run {holder} already: {mend}")
    return found


@contextmanager
def one_at_a_time(store: Store) -> Iterator[None]:
    """Keep other lanes of this process from creating the same experiment; only a file store lets them."""
    with _creating if store.is_folder else nullcontext():
        yield


def by_id(client: MlflowClient, run_id: str) -> Run | None:
    """The run with MLflow's id `run_id`, a deleted one too; None if there is none."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # the latter: not an id at all
            return None
        raise


def require_active(run: Run, store: Store) -> None:
    """Raise `SinkMisconfiguredError` if the run was deleted."""
    _require_sense(run.info.lifecycle_stage, store)
    if run.info.lifecycle_stage != "active":
        raise SinkMisconfiguredError(
            f"run {run.info.run_id} was deleted from {store.shareable}; restore it with "
            f"`mlflow runs restore --run-id {run.info.run_id}`"
        )


def _require_sense(stage: str | None, store: Store) -> None:
    """Raise `SinkUnavailableError` if an answer says nothing: MLflow takes any 200 for one, also a log-in page's."""
    if not stage:
        raise SinkUnavailableError(f"{store.shareable} answers, but not as MLflow does; what is between here and it?")


def _oldest(client: MlflowClient, experiments: list[str], where: str) -> Run | None:
    found = client.search_runs(experiments, where, ViewType.ALL, order_by=["attributes.start_time ASC"])
    return min(found, key=lambda run: run.info.lifecycle_stage != "active", default=None)
