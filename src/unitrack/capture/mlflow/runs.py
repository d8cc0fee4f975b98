"""The runs of MLflow's fluent functions: a thread has a stack of them."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Mapping
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from unitrack.capture.forwarding.mlflow_calls import MlflowCalls, open_run
from unitrack.capture.mlflow.exceptions import MlflowException


class ActiveRun:
    """A run, which ends with its `with` block."""

    def __init__(self, calls: MlflowCalls, run_id: str, name: str, experiment: str, tags: Mapping[str, str]) -> None:
        self.calls = calls
        self.info = SimpleNamespace(
            run_id=run_id,
            run_uuid=run_id,
            run_name=name,
            experiment_id=experiment,
            status="RUNNING",
            start_time=int(time.time() * 1000),
            end_time=None,
            artifact_uri=str(calls.captured.run.path / "artifacts"),
        )
        self.data = SimpleNamespace(params={}, metrics={}, tags=dict(tags))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end_run("FINISHED" if kind is None else "FAILED")


class _Here(threading.local):
    """The open runs of the calling thread, the innermost one last."""

    def __init__(self) -> None:
        self.runs: list[ActiveRun] = []
        self.last: ActiveRun | None = None


_here = _Here()
_known: dict[str, ActiveRun] = {}
_settings = {"experiment": "Default", "tracking_uri": "unitrack"}


def set_tracking_uri(uri: str | os.PathLike[str]) -> None:
    """Remember a URI. It changes nothing: sinks are configured in unitrack."""
    _settings["tracking_uri"] = str(uri)


def get_tracking_uri() -> str:
    """Return the URI that was set."""
    return _settings["tracking_uri"]


def set_experiment(experiment_name: str | None = None, experiment_id: str | None = None, **kwargs: Any) -> Any:
    """Choose the experiment of later runs: their project."""
    _settings["experiment"] = experiment_name or experiment_id or "Default"
    return SimpleNamespace(name=_settings["experiment"], experiment_id=_settings["experiment"])


def create_experiment(name: str, artifact_location: str | None = None, tags: Any = None) -> str:
    """Return the id of an experiment, which is its name."""
    return name


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
) -> ActiveRun:
    """Start a run and make it the active one of this thread.

    `run_id`: a run of this module, which goes on. Raises `MlflowException` if a run is active and `nested` is not set.
    """
    if _here.runs and not nested:
        raise MlflowException(
            f"Run with UUID {_here.runs[-1].info.run_id} is already active. To start a new run, first end the "
            "current run with mlflow.end_run(). To start a nested run, call start_run with nested=True"
        )
    parent = parent_run_id or (_here.runs[-1].info.run_id if _here.runs else None)
    own = {str(name): str(value) for name, value in (tags or {}).items()}
    relations = {"mlflow.parentRunId": parent, "mlflow.note.content": description}
    known = own | {name: value for name, value in relations.items() if value}
    run = begin(run_id or uuid.uuid4().hex, run_name, experiment_id, known)
    _here.runs.append(run)
    return run


def begin(run_id: str, name: str | None, experiment: str | None, tags: Mapping[str, str]) -> ActiveRun:
    """Return a new run, which is not the active one."""
    experiment = experiment or _settings["experiment"]
    calls = open_run(run_id, name, experiment, tags)
    if calls is None:
        raise MlflowException("the process is about to end: no run can start")
    run = _known[run_id] = ActiveRun(calls, run_id, calls.captured.run.name, experiment, tags)
    return run


def end_run(status: str = "FINISHED") -> None:
    """End the active run, if there is one."""
    if _here.runs:
        finish(_here.runs.pop(), status)


def finish(run: ActiveRun, status: str) -> None:
    """End a run."""
    run.info.status, run.info.end_time = status, int(time.time() * 1000)
    _here.last = run
    run.calls.finish(status)


def active_run() -> ActiveRun | None:
    """Return the active run of this thread."""
    return _here.runs[-1] if _here.runs else None


def last_active_run() -> ActiveRun | None:
    """Return the active run, or the one that has ended last."""
    return active_run() or _here.last


def run_of(run_id: str | None) -> ActiveRun:
    """Return a run of this module, the active one by default, which starts if there is none, as in MLflow."""
    if run_id is None:
        return active_run() or start_run()
    if run_id not in _known:
        raise MlflowException(f"Run with id={run_id} not found")
    return _known[run_id]


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """Return where the local sink keeps an artifact of the active run."""
    root = str(run_of(None).info.artifact_uri)
    return os.path.join(root, artifact_path) if artifact_path else root


def get_run(run_id: str) -> ActiveRun:
    """Return a run of this process. Raises `MlflowException` for any other."""
    return run_of(run_id)
