"""`MlflowClient`: its logging methods, for runs of this process."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from unitrack.capture.forwarding.mlflow_calls import Point
from unitrack.capture.mlflow import values
from unitrack.capture.mlflow.runs import ActiveRun, begin, finish, run_of


class MlflowClient:
    """The logging methods of MLflow's client, for runs of this process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, Any] | None = None,
        run_name: str | None = None,
    ) -> ActiveRun:
        """Start a run that is not the active one."""
        own = {str(name): str(value) for name, value in (tags or {}).items()}
        return begin(uuid.uuid4().hex, run_name, experiment_id, own)

    def get_experiment_by_name(self, name: str) -> Any:
        """Return an experiment, whose id is its name."""
        return SimpleNamespace(name=name, experiment_id=name)

    def create_experiment(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Return the id of an experiment, which is its name."""
        return name

    def get_run(self, run_id: str) -> ActiveRun:
        """Return a run of this process."""
        return run_of(run_id)

    def log_batch(
        self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = (), *args: Any, **kw: Any
    ) -> None:
        """Log metrics, params and tags, which have a `key` and a `value`, and a `step`."""
        values.log_params({one.key: one.value for one in params}, run_id=run_id)
        values.set_tags({one.key: one.value for one in tags}, run_id=run_id)
        run_of(run_id).calls.metrics([Point(one.key, one.value, one.step) for one in metrics])

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        """End a run."""
        finish(run_of(run_id), status or "FINISHED")

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """End a run if the status is a final one."""
        if status in ("FINISHED", "FAILED", "KILLED"):
            finish(run_of(run_id), status)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = _CLIENT.get(name)
        if method is None:
            raise AttributeError(f"MlflowClient of unitrack.capture has no method {name!r}")
        function: Callable[..., Any] = method

        def call(run_id: str, *args: Any, **kwargs: Any) -> Any:
            kwargs.pop("timestamp", None)
            return function(*args, run_id=run_id, **kwargs)

        return call


def _client_metric(
    key: str, value: Any, timestamp: Any = None, step: int | None = None, *, run_id: str, **kw: Any
) -> None:
    values.log_metric(key, value, step, run_id=run_id)


_CLIENT: dict[str, Callable[..., Any]] = {
    "log_metric": _client_metric,
    "log_param": values.log_param,
    "set_tag": values.set_tag,
    "log_artifact": values.log_artifact,
    "log_artifacts": values.log_artifacts,
    "log_text": values.log_text,
    "log_dict": values.log_dict,
    "log_figure": values.log_figure,
    "log_image": values.log_image,
    "log_table": values.log_table,
}
