"""The datasets that a run uses, as MLflow's own inputs of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag

from unitrack_mlflow.options import DatasetOption

_CONTEXT = "mlflow.data.context"


def log(client: MlflowClient, run_id: str, datasets: Iterable[DatasetOption]) -> None:
    """Have them as inputs of the run; MLflow keeps one of a name and digest once."""
    inputs = [
        DatasetInput(
            Dataset(
                name=dataset.name,
                digest=dataset.digest,
                source_type=dataset.source_type,
                source=json.dumps({"uri": dataset.source}),
            ),
            [InputTag(_CONTEXT, dataset.context)],
        )
        for dataset in datasets
    ]
    if inputs:
        client.log_inputs(run_id, inputs)
