"""What a run has used is among MLflow's inputs of it."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow.data
import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

import unitrack
from unitrack_mlflow.used_versions import USED_AS


def test_models_are_model_inputs_and_all_else_datasets(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, although the run is ended twice; a dataset says where its content is, which MLflow loads."""
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("x,y\n")
    model = LogisticRegression().fit(np.eye(2), [0, 1])
    sinks = ["local", {"mlflow": {"tracking_uri": uri}}]
    settings = {"project": "p", "sinks": sinks, "delivery": "inline", "root": "runs"}
    with unitrack.start_run("train", **settings) as train:  # type: ignore[arg-type]
        train.log_model(model, aliases=["best"])
        train.log_artifact("train.csv", name="data")
        train.log_artifact(name="corpus", reference="s3://bucket/corpus.tar", checksum="md5:11")
    for _ in range(2):
        with unitrack.start_run("eval", run_id="e1", resume="allow", **settings) as run:  # type: ignore[arg-type]
            for used in ("model:best", "data", "corpus"):
                run.use_artifact(used)
    client = MlflowClient(uri)
    inputs = client.get_run(run.links()["mlflow"].id).inputs
    made = client.get_run(train.links()["mlflow"].id).outputs.model_outputs
    assert [one.model_id for one in inputs.model_inputs] == [one.model_id for one in made]
    found = {one.dataset.name: one for one in inputs.dataset_inputs}
    assert found.keys() == {"data:v0", "corpus:v0"}
    data = found["data:v0"]
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", USED_AS)]
    assert Path(mlflow.data.get_source(data.dataset).load()).read_text() == "x,y\n"
    assert json.loads(data.dataset.profile)["made_by"] == train.id
    assert json.loads(found["corpus:v0"].dataset.source) == {"uri": "s3://bucket/corpus.tar"}


def test_a_version_that_is_gone_is_an_input_by_its_digest(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sinks = [{"mlflow": {"tracking_uri": database}}]
    with unitrack.start_run("eval", sinks=sinks, delivery="inline", root="runs") as run:
        run.set_tags({"unitrack.used.data.v4": '{"digest":"' + "ab" * 32 + '"}', "unitrack.used.x": "no version"})
    inputs = MlflowClient(database).get_run(run.links()["mlflow"].id).inputs
    [one] = inputs.dataset_inputs
    assert (one.dataset.name, one.dataset.digest, one.dataset.source_type) == ("data:v4", "ab" * 18, "code")
