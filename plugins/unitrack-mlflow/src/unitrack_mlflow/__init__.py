"""MLflow as a backend of unitrack: `sinks=["mlflow"]`.

This module is imported by training code, so it imports no MLflow; `sink`, `source` and `check` do.
"""

from __future__ import annotations

from collections.abc import Iterable

from unitrack import hookimpl
from unitrack.hookspecs import Backend, Variable
from unitrack_mlflow.options import MlflowOptions

__all__ = ["MlflowOptions", "register_backends"]
__version__ = "0.1.0"

LANES_AT_ONCE = 4
"""Calls to one store at a time. A SQLite file takes one writer; a server is not to be flooded."""

NATIVE = {
    "metrics": "metrics",
    "params": "params",
    "tags": "tags",
    "description": "description",
    "status": "status",
    "text": "artifact preview",
    "json": "artifact preview",
    "figure": "artifact preview",
    "html": "artifact preview",
    "image": "image view, at a step",
    "table": "table, `mlflow.load_table`",
    "pr_curve": "table, `mlflow.load_table`",
    "embedding": "table, `mlflow.load_table`",
    "graph": "artifact preview",
    "model": "logged model, else file",
    "dataset": "input of the run",
}
"""What its pages show. Not declared is what they may show by a file's suffix."""


@hookimpl
def register_backends() -> Iterable[Backend]:
    """MLflow, the one backend of this plugin."""
    return [
        Backend(
            name="mlflow",
            summary="MLflow: a tracking server, a database such as sqlite:///mlflow.db, or a folder such as mlruns",
            sink="unitrack_mlflow.sink:MlflowSink",
            source="unitrack_mlflow.source:MlflowSource",
            check="unitrack_mlflow.check:check",
            options=MlflowOptions,
            shared_options=("tracking_uri", "artifact_location"),
            variables=(
                Variable("MLFLOW_TRACKING_URI", option="tracking_uri"),
                Variable("MLFLOW_EXPERIMENT_NAME", option="experiment", key="experiment.project"),
                Variable("MLFLOW_RUN_ID", option="run_id"),
                Variable("MLFLOW_PARENT_RUN_ID", key="experiment.parent"),
            ),
            stores=("mlruns/*/meta.yaml", "mlruns/*/*/artifacts", "mlartifacts/*/*/artifacts"),
            requires=("mlflow",),
            install="unitrack-mlflow",
            native=NATIVE,
            keeps_annotations=True,
            exact_floats=True,
            non_finite="marked",
            confirms="flush",
            kinds_in_order=False,
            lanes_at_once=LANES_AT_ONCE,
        )
    ]
