"""`mlflow.sklearn` and its like: modules that log models of a framework."""

from __future__ import annotations

from typing import Any, NoReturn

from unitrack.capture.mlflow.exceptions import MlflowException
from unitrack.capture.mlflow.runs import run_of
from unitrack.capture.mlflow.values import autolog

FLAVORS = (
    "catboost",
    "keras",
    "lightgbm",
    "pytorch",
    "sklearn",
    "statsmodels",
    "tensorflow",
    "transformers",
    "xgboost",
)
"""Modules of MLflow that log models of a framework."""


REASON = "this module only logs; `unitrack.runs(...)` reads runs, also those of MLflow"
"""What to do instead."""


class Flavor:
    """`mlflow.sklearn` and its like."""

    def __init__(self, name: str) -> None:
        self._name = name

    def log_model(self, model: Any, artifact_path: str | None = None, *args: Any, **kwargs: Any) -> None:
        """Log a model as unitrack saves it, below the folder of its name."""
        captured = run_of(None).calls.captured
        name = kwargs.get("name") or artifact_path or "model"
        captured.do("log_model", captured.run.log_model, model, name)

    autolog = staticmethod(autolog)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise MlflowException(f"mlflow.{self._name}.{name} is not available without MLflow: {REASON}")
