"""Parents, datasets, and where artifacts lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from unitrack.errors import SinkUnavailableError
from unitrack.hookspecs import RunContext
from unitrack.records import Artifact
from unitrack.testing.driver import SinkDriver
from unitrack_mlflow.options import DatasetOption
from unitrack_mlflow.source import MlflowSource

OpenSink = Callable[..., Any]


def test_a_run_is_shown_below_its_parent(open_sink: OpenSink, uri: str, run: RunContext, tmp_path: Path) -> None:
    names = [f"{tmp_path.name} child {number}" for number in (1, 2)]
    first, second = (SinkDriver.make_run(tmp_path / name, run_id=name, project=run.start.project) for name in names)
    with pytest.raises(SinkUnavailableError, match=run.start.run_id):  # whose delivery is behind
        open_sink(uri, first, parent_run_id=run.start.run_id)
    above = open_sink(uri, run)
    by_ours = open_sink(uri, first, parent_run_id=run.start.run_id)
    by_mlflows = open_sink(uri, second, parent_run_id=above.link.id)

    experiment = above.stored.info.experiment_id
    children = above.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{above.link.id}'")
    assert {child.info.run_id for child in children} == {by_ours.link.id, by_mlflows.link.id}


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
