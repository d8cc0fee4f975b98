"""Parents, datasets, and where artifacts lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from unitrack.errors import SinkMisconfiguredError
from unitrack.hookspecs import RunContext
from unitrack.records import PARENT, Artifact
from unitrack.testing.driver import SinkDriver
from unitrack_mlflow.options import DatasetOption
from unitrack_mlflow.source import MlflowSource

OpenSink = Callable[..., Any]


def test_a_run_is_shown_below_its_parent(open_sink: OpenSink, uri: str, run: RunContext, tmp_path: Path) -> None:
    """Also if the parent's delivery is behind the child's."""
    project = run.start.project

    def child(number: int, parent: str) -> RunContext:
        name = f"{tmp_path.name} child {number}"
        return SinkDriver.make_run(tmp_path / name, run_id=name, project=project, tags={PARENT: parent})

    early = open_sink(uri, child(1, run.start.run_id))
    above = open_sink(uri, run)
    late = open_sink(uri, child(2, run.start.run_id))
    by_mlflows_id = open_sink(uri, child(3, above.link.id))

    experiment = above.stored.info.experiment_id

    def children() -> set[str]:
        found = above.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{above.link.id}'")
        return {child.info.run_id for child in found}

    assert children() == {late.link.id, by_mlflows_id.link.id}
    early.driver.end()
    assert children() == {early.link.id, late.link.id, by_mlflows_id.link.id}
    (start,) = [one for one in MlflowSource(uri).runs() if one.run_id in (early.link.id, early.driver.run.start.run_id)]
    assert start.tags == {PARENT: run.start.run_id}


def test_the_nested_runs_of_others_have_their_parent(database: str, tmp_path: Path) -> None:
    """As plain MLflow writes them."""
    client = MlflowClient(database)
    experiment = client.create_experiment(tmp_path.name)
    above = client.create_run(experiment).info.run_id
    below = client.create_run(experiment, tags={"mlflow.parentRunId": above}).info.run_id
    found = {one.run_id: one.tags for one in MlflowSource(database).runs()}
    assert found == {above: {}, below: {PARENT: above}}


def test_a_run_goes_on_in_an_mlflow_run_that_is_there(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    """As MLFLOW_RUN_ID says: `mlflow run` and Databricks jobs start the run before the script."""
    client = MlflowClient(uri)
    experiment = client.create_experiment(run.start.project)
    theirs = client.create_run(experiment, tags={"by": "the launcher"}).info.run_id
    opened = open_sink(uri, run, run_id=theirs)
    opened.driver.metrics({"loss": 0.5}, step=1)
    assert opened.link.id == theirs
    assert opened.runs() == 1
    tags = opened.stored.data.tags
    assert (tags["by"], tags["team"], tags["unitrack.run_id"]) == ("the launcher", "vision", run.start.run_id)
    again = open_sink(uri, run, run_id=theirs)
    assert again.link.id == theirs


def test_an_mlflow_run_that_cannot_be_used_is_refused(
    open_sink: OpenSink, database: str, run: RunContext, tmp_path: Path
) -> None:
    with pytest.raises(SinkMisconfiguredError, match=r"there is no MLflow run 0000.* or the variable MLFLOW_RUN_ID"):
        open_sink(database, run, run_id="0" * 32)
    taken = open_sink(database, run).link.id
    other = SinkDriver.make_run(tmp_path / "other", run_id="other")
    with pytest.raises(SinkMisconfiguredError, match=f"{taken} holds unitrack's run {run.start.run_id} already"):
        open_sink(database, other, run_id=taken)


def test_a_parent_may_be_set_as_a_tag(open_sink: OpenSink, database: str, run: RunContext) -> None:
    opened = open_sink(database, run)
    opened.driver.tags({"mlflow.parentRunId": "0" * 32})
    assert opened.stored.data.tags["mlflow.parentRunId"] == "0" * 32


def test_datasets_are_inputs_of_the_run_once(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    used = (
        DatasetOption(name="digits", digest="v1", source="s3://data/digits"),
        DatasetOption(name="digits", digest="v2", source="/data/digits.csv", context="evaluation"),
    )
    opened = open_sink(uri, run, datasets=used)
    open_sink(uri, run, datasets=used)  # as after a crash before the first commit

    found = {
        (one.dataset.name, one.dataset.digest, json.loads(one.dataset.source)["uri"], one.tags[0].value)
        for one in opened.stored.inputs.dataset_inputs
    }
    assert found == {
        ("digits", "v1", "s3://data/digits", "training"),
        ("digits", "v2", "/data/digits.csv", "evaluation"),
    }
    assert len(opened.stored.inputs.dataset_inputs) == 2


def test_artifacts_lie_where_the_experiment_keeps_them(
    open_sink: OpenSink, uri: str, run: RunContext, tmp_path: Path
) -> None:
    place = tmp_path / "else where"
    opened = open_sink(uri, run, artifact_location=place.as_uri())
    opened.driver.artifact("plots/roc.txt", b"curve", "text")
    opened.driver.flush()
    assert [path.name for path in place.rglob("roc.txt")] == ["roc.txt"]
    (found,) = (one for one in MlflowSource(uri).records(opened.link.id) if isinstance(one, Artifact))
    assert Path(found.file).read_bytes() == b"curve"


def test_an_experiment_that_is_there_keeps_its_location(
    open_sink: OpenSink, database: str, run: RunContext, tmp_path: Path
) -> None:
    MlflowClient(database).create_experiment(run.start.project, artifact_location=(tmp_path / "first").as_uri())
    opened = open_sink(database, run, artifact_location=str(tmp_path / "second"))
    opened.driver.artifact("a.txt", b"a")
    assert list((tmp_path / "first").rglob("a.txt"))
    assert not (tmp_path / "second").exists()
