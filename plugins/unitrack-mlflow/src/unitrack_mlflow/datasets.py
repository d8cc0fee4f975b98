"""The datasets that a run uses, as MLflow's own inputs of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag

from unitrack.names import shorten
from unitrack.records import Column, Dataset
from unitrack_mlflow import limits
from unitrack_mlflow.options import DatasetOption

CONTEXT = "mlflow.data.context"
"""The tag of an input that says what it was used for."""
_TYPES = (
    (r"bool", "boolean"),
    (r"u?int(8|16|32)\b", "integer"),
    (r"u?int", "long"),
    (r"(float(16|32)|float|halffloat)\b", "float"),
    (r"(double|float)", "double"),
    (r"(date|time|timestamp)", "datetime"),
    (r"(binary|bytes)", "binary"),
)
"""MLflow's types of columns, by what libraries call theirs, in lower case; everything else is "string"."""


def log(client: MlflowClient, run_id: str, datasets: Iterable[DatasetOption]) -> None:
    """Have them as inputs of the run; MLflow keeps one of a name and digest once."""
    inputs = [
        DatasetInput(
            MlflowDataset(
                name=dataset.name,
                digest=dataset.digest,
                source_type=dataset.source_type,
                source=json.dumps({"uri": dataset.source}),
            ),
            [InputTag(CONTEXT, dataset.context)],
        )
        for dataset in datasets
    ]
    if inputs:
        client.log_inputs(run_id, inputs)


def log_record(client: MlflowClient, run_id: str, dataset: Dataset) -> None:
    """Have a dataset that `Run.log_dataset` has logged as an input of the run; without a digest it can't be one."""
    if not dataset.digest:
        return
    source_type, source = source_of(dataset.source)
    profile = {"num_rows": dataset.rows, "num_bytes": dataset.size, "sha256": dataset.digest}
    given = MlflowDataset(
        name=shorten(dataset.name, limits.DATASET_NAME),
        digest=dataset.digest[: limits.DATASET_DIGEST],
        source_type=source_type,
        source=source,
        schema=_schema(dataset.columns),
        profile=json.dumps({key: value for key, value in profile.items() if value is not None}),
    )
    tags = [InputTag(CONTEXT, dataset.context)] if dataset.context else []
    client.log_inputs(run_id, [DatasetInput(given, tags)])


def source_of(place: str) -> tuple[str, str]:
    """Return MLflow's word for the kind of a place, and the place in MLflow's form, which `mlflow.data` reads."""
    scheme = place.partition("://")[0] if "://" in place else ""
    if not place:
        return "code", json.dumps({"tags": {}})
    if scheme in ("http", "https"):
        return "http", json.dumps({"url": place})
    return (scheme if scheme in ("s3", "gs") else "local"), json.dumps({"uri": place})


def _schema(columns: Iterable[Column]) -> str | None:
    """Return columns as MLflow's page shows them; None for none, or for more than fit."""
    described = [{"type": _type(one.type), "name": one.name, "required": False} for one in columns if one.name]
    text = json.dumps({"mlflow_colspec": described})
    return text if described and len(text) <= limits.DATASET_SCHEMA else None


def _type(name: str) -> str:
    return next((ours for pattern, ours in _TYPES if re.match(pattern, name.lower())), "string")
