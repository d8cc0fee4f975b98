"""MLflow: methods of the client that the fluent functions, `MlflowClient`, autolog and the flavours all call."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from unitrack.capture.forwarding.mlflow_calls import SDK, MlflowCalls, Point, open_run
from unitrack.capture.patching import Patches
from unitrack.capture.session import session
from unitrack.capture.within import is_called_by_unitrack

_NOT_CAPTURED = ("delete_run", "restore_run", "delete_tag", "link_traces_to_run", "create_dataset")
_foreign: set[str] = set()
"""Runs of our own sinks, by MLflow's id."""
_experiments: dict[str, str] = {}
"""Names of experiments by id."""


def patch_client(module: ModuleType) -> Patches:
    """Patch `mlflow.tracking._tracking_service.client`."""
    patches = Patches(SDK, session.report)
    client = module.TrackingServiceClient
    patches.after(client, "create_run", _create)
    patches.after(client, "log_metric", _metric)
    patches.after(client, "log_param", _param)
    patches.after(client, "set_tag", _tag)
    patches.after(client, "log_batch", _batch)
    patches.after(client, "log_artifact", _file)
    patches.after(client, "log_artifacts", _files)
    patches.after(client, "_log_artifact_async", _object)
    patches.after(client, "log_model_artifacts", _model)
    patches.after(client, "log_inputs", _inputs)
    patches.after(client, "update_run", _update)
    patches.after(client, "set_terminated", _end)
    patches.count(client, _NOT_CAPTURED, "MlflowClient")
    return patches


def patch_registry(module: ModuleType) -> Patches:
    """Count what a registry of models gets: `mlflow.tracking._model_registry.client`."""
    patches = Patches(SDK, session.report)
    methods = ("create_registered_model", "create_model_version", "set_registered_model_alias", "create_prompt_version")
    patches.count(module.ModelRegistryClient, methods, "MlflowClient")
    return patches


def patch_tracing(module: ModuleType) -> Patches:
    """Count traces: `mlflow.tracing.client`."""
    patches = Patches(SDK, session.report)
    patches.count(module.TracingClient, ("start_trace", "log_assessment"), "mlflow.tracing")
    return patches


def _calls_of(client: Any, run_id: str) -> MlflowCalls | None:
    """Return what forwards the calls of a run, which another process may have started."""
    found = session.find(SDK, run_id)
    if found is not None:
        return MlflowCalls(found)
    if run_id in _foreign:
        return None
    if is_called_by_unitrack():
        _foreign.add(run_id)
        return None
    return _open(client, client.get_run(run_id))


def _open(client: Any, run: Any) -> MlflowCalls | None:
    experiment = str(run.info.experiment_id)
    if experiment not in _experiments:
        _experiments[experiment] = str(client.get_experiment(experiment).name)
    return open_run(run.info.run_id, run.info.run_name, _experiments[experiment], dict(run.data.tags))


def _create(note: Any, run: Any, client: Any, *args: Any, **kwargs: Any) -> None:
    if is_called_by_unitrack():
        _foreign.add(run.info.run_id)
    else:
        _open(client, run)


def _metric(
    note: Any,
    result: Any,
    client: Any,
    run_id: str,
    key: str,
    value: Any,
    timestamp: Any = None,
    step: Any = None,
    *args: Any,
    **kwargs: Any,
) -> None:
    if (calls := _calls_of(client, run_id)) is not None:
        calls.metrics([Point(key, value, step, kwargs.get("model_id") is not None)])


def _param(note: Any, result: Any, client: Any, run_id: str, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
    if (calls := _calls_of(client, run_id)) is not None:
        calls.params({key: str(value)})


def _tag(note: Any, result: Any, client: Any, run_id: str, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
    if (calls := _calls_of(client, run_id)) is not None:
        calls.tags({key: value})


def _batch(
    note: Any,
    result: Any,
    client: Any,
    run_id: str,
    metrics: Sequence[Any] = (),
    params: Sequence[Any] = (),
    tags: Sequence[Any] = (),
    *args: Any,
    **kwargs: Any,
) -> None:
    if (calls := _calls_of(client, run_id)) is not None:
        calls.params({param.key: param.value for param in params or ()})
        calls.tags({tag.key: tag.value for tag in tags or ()})
        calls.metrics(
            Point(one.key, one.value, one.step, getattr(one, "model_id", None) is not None) for one in metrics or ()
        )


def _file(note: Any, result: Any, client: Any, run_id: str, local_path: Any, artifact_path: str | None = None) -> None:
    if (calls := _calls_of(client, run_id)) is not None:
        calls.file(local_path, artifact_path)


def _files(note: Any, result: Any, client: Any, run_id: str, local_dir: Any, artifact_path: str | None = None) -> None:
    if (calls := _calls_of(client, run_id)) is not None:
        calls.files(local_dir, artifact_path)


def _object(
    note: Any,
    result: Any,
    client: Any,
    run_id: str,
    filename: str,
    artifact_path: str | None = None,
    artifact: Any = None,
) -> None:
    """Log what MLflow saves in a thread: images, which know how to save themselves."""
    calls = _calls_of(client, run_id)
    if calls is None:
        return
    if not hasattr(artifact, "save"):
        session.report.miss(f"mlflow: asynchronous artifact of the type {type(artifact).__name__}")
        return
    with tempfile.TemporaryDirectory(prefix="unitrack-") as folder:
        path = os.path.join(folder, filename)
        artifact.save(path)
        calls.file(path, artifact_path)


def _model(
    note: Any, result: Any, client: Any, model_id: str, local_dir: Any, artifact_path: str | None = None
) -> None:
    model = client.get_logged_model(model_id)
    if model.source_run_id and (calls := _calls_of(client, model.source_run_id)) is not None:
        session.report.reduce("mlflow log_model", "the files of the model, below its name")
        calls.files(local_dir, f"{model.name}/{artifact_path}" if artifact_path else model.name)


def _inputs(note: Any, result: Any, client: Any, run_id: str, datasets: Any = None, *args: Any, **kwargs: Any) -> None:
    calls = _calls_of(client, run_id)
    for one in datasets or () if calls is not None else ():
        data = one.dataset
        record = {name: getattr(data, name, None) for name in ("name", "digest", "source_type", "source", "schema")}
        record["tags"] = {tag.key: tag.value for tag in one.tags or ()}
        calls.dataset(record, f"{data.name}-{data.digest}")  # type: ignore[union-attr]  # not None here


def _update(
    note: Any, result: Any, client: Any, run_id: str, status: str | None = None, name: str | None = None
) -> None:
    if status is not None and session.find(SDK, run_id) is not None and (calls := _calls_of(client, run_id)):
        calls.finish(status)


def _end(note: Any, result: Any, client: Any, run_id: str, status: str | None = None, *args: Any, **kw: Any) -> None:
    if session.find(SDK, run_id) is not None and (calls := _calls_of(client, run_id)) is not None:
        calls.finish(status or "FINISHED")
