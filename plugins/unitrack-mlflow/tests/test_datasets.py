"""Datasets of a run are MLflow's inputs of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.data
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset

import unitrack
from unitrack.hookspecs import RunContext

OpenSink = Callable[..., Any]


def inputs(uri: str, run: unitrack.Run) -> dict[str, tuple[Dataset, dict[str, str]]]:
    """Return the inputs of a run and their tags, by name."""
    found = MlflowClient(uri).get_run(run.links()["mlflow"].id).inputs.dataset_inputs
    return {one.dataset.name: (one.dataset, {tag.key: tag.value for tag in one.tags}) for one in found}


def test_a_file_and_an_array(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With digest, schema and rows, and a source that MLflow can load."""
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("x,label\n1,a\n2,b\n")
    data = np.arange(6.0).reshape(3, 2)
    sinks = ["local", {"mlflow": {"tracking_uri": database}}]
    with unitrack.start_run("data", sinks=sinks, delivery="inline", root="runs") as run:
        run.log_dataset("train.csv")
        run.log_dataset(data, "valid", context="validation", source="s3://bucket/valid.npy")
    found = inputs(database, run)
    digest = hashlib.sha256(Path("train.csv").read_bytes()).hexdigest()
    train, tags = found["train"]
    assert (train.digest, tags) == (digest[:36], {"mlflow.data.context": "training"})
    assert json.loads(train.profile) == {"num_rows": 2, "num_bytes": 16, "sha256": digest}
    assert [one["name"] for one in json.loads(train.schema)["mlflow_colspec"]] == ["x", "label"]
    assert Path(mlflow.data.get_source(train).load()).read_text().startswith("x,label")
    valid, tags = found["valid"]
    assert (valid.source_type, json.loads(valid.source), tags) == (
        "s3",
        {"uri": "s3://bucket/valid.npy"},
        {"mlflow.data.context": "validation"},
    )
    [stored] = unitrack.runs(f"mlflow:{database}")
    kinds = {artifact.name: artifact.type for artifact in stored.artifacts}
    assert kinds == {"datasets/train.json": "dataset", "datasets/valid.json": "dataset"}
    assert not [tag for tag in stored.tags if "dataset" in tag]  # they are told once


def test_twice_is_once(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    """A record that is delivered again adds no input; a file that describes no dataset is a file."""
    opened = open_sink(uri, run)
    content = b'{"name":"train","kind":"csv","digest":"5e1f","columns":[{"name":"x","type":"int64"}]}'
    for _ in range(2):
        opened.driver.artifact("datasets/train.json", content, type="dataset")
    opened.driver.artifact("datasets/other.json", b"no JSON", type="dataset")
    opened.driver.artifact("datasets/big.json", b'{"name":"big","kind":"file","note":"gone"}', type="dataset")
    opened.driver.flush()
    [found] = opened.stored.inputs.dataset_inputs
    assert json.loads(found.dataset.schema) == {"mlflow_colspec": [{"type": "long", "name": "x", "required": False}]}
