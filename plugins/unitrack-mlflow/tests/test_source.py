"""What the source reads, of runs that unitrack wrote and of others."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param
from packaging.version import Version

import unitrack
from unitrack.hookspecs import Condition, Field, RunContext
from unitrack.records import Artifact, Metrics, Params, RunEnd, RunStart, Tags
from unitrack_mlflow import limits
from unitrack_mlflow.searching import searchable
from unitrack_mlflow.source import MlflowSource

OpenSink = Callable[..., Any]

LONG = "n" * 700
NAMES = [
    "loss",
    "Loss",
    "loss/train",
    "mean@1",
    "mean_x40_1",
    "a//b",
    "a/b",
    "/a",
    "a/",
    "../up",
    ".",
    "..",
    "a/./b",
    "ümlaut é 漢字",
    "tab\tnew\nline",
    "unitrack.inf/loss",
    LONG,
    LONG + "x",
    "é" * 240,
    "C:\\x",
    "100%?#",
    "x" * 250,
    "_x6c_oss",
]
FILES = ["mean@1", "mean_x40_1", "ümlaut é 漢字", "tab\tnew\nline", "100%?#", "unitrack/params/mine.json"]
SERVES_ANY_NAME = Version(mlflow.__version__) >= Version("3.13")
"""A server of before fails on the header with the name of a file that is not in ASCII, whatever its client is."""


def read(uri: str, run_id: str) -> list[Any]:
    return list(MlflowSource(uri).records(run_id))


def points(records: list[Any]) -> list[tuple[str, int, int, str]]:
    return [
        (name, record.time, record.step, repr(value))
        for record in records
        if isinstance(record, Metrics)
        for name, value in record.values().items()
    ]


def merged(records: list[Any], kind: type[Any], field: str) -> dict[str, Any]:
    return {k: v for record in records if isinstance(record, kind) for k, v in getattr(record, field).items()}


def test_a_run_comes_back_as_it_was_logged(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    driver = (opened := open_sink(uri, run)).driver
    params = {
        "lr": 1e-3,
        "n": 3,
        "flag": False,
        "none": None,
        "digits": "3",
        "word": "None",
        "list": [1, "a", None, 2.5],
        "listlike": "[1]",
        "empty": {},
        "model": {"depth": 4, "head": {"bias": True, "v1.5": None}, "v.2": {"x": "1"}},
        "lr.max": 0.5,
        "prompt": "é" * 9000,
        "text": " two\nlines ",
    }
    driver.params(params)
    driver.params({"n": 4, "digits": 5, "lr": "fast", "flag": "True"})
    first = driver.metrics({"loss": 0.5, "acc": math.nan}, step=5, time=2000)
    driver.metrics({"loss": -math.inf}, step=2, time=2001)
    driver.metrics({"loss": 0.25}, step=2, time=2002)
    driver.tags({"note": "t" * 9000, "team": "audio"})
    driver.artifact("plots/roc #1.txt", b"curve")
    driver.end("killed")

    source = MlflowSource(uri)
    records = list(source.records(opened.link.id))
    start = records[0]
    assert isinstance(start, RunStart)
    assert (start.run_id, start.name, start.time) == (opened.link.id, "first try", run.start.time)
    assert (start.project, start.description) == (run.start.project, "what it is about")
    assert start.tags == {"team": "audio", "note": "t" * 9000}
    assert merged(records, Tags, "tags") == start.tags
    newest = {"n": 4, "digits": 5, "lr": "fast", "flag": "True"}
    assert merged(records, Params, "params") == params | newest
    assert points(records) == [
        ("loss", first.time, 5, "0.5"),
        ("acc", first.time, 5, "nan"),
        ("loss", 2001, 2, "-inf"),
        ("loss", 2002, 2, "0.25"),
    ]
    assert sum(isinstance(record, Metrics) for record in records) == 3
    (artifact,) = (record for record in records if isinstance(record, Artifact))
    assert (artifact.name, artifact.size) == ("plots/roc #1.txt", 5)
    assert source.fetch(opened.link.id, artifact, run.folder).read_bytes() == b"curve"
    assert isinstance(records[-1], RunEnd)
    assert records[-1].status == "killed"
    assert [record.seq for record in records] == list(range(len(records)))
    assert start in list(source.runs())


def test_every_name_comes_back(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    values = {name: float(number) for number, name in enumerate(NAMES)}
    opened = open_sink(uri, run)
    opened.driver.metrics(values, step=1, time=1000)
    opened.driver.metrics(dict.fromkeys(NAMES, math.inf), step=2, time=1001)
    opened.driver.params(values)
    opened.driver.tags({name: str(value) for name, value in values.items()})
    files = [name for name in FILES if name.isascii() or not uri.startswith("http") or SERVES_ANY_NAME]
    for name in files:
        opened.driver.artifact(name, name.encode())

    again = open_sink(uri, run)  # the names that are there already are found, not made anew
    again.driver.metrics(dict(reversed(values.items())), step=1, time=1000)
    again.driver.params(dict(reversed(values.items())))

    records = read(uri, opened.link.id)
    expected = [(name, 1000, 1, repr(value)) for name, value in values.items()]
    assert sorted(points(records)) == sorted(expected + [(name, 1001, 2, "inf") for name in NAMES])
    assert merged(records, Params, "params") == values
    tags = merged(records, Tags, "tags")
    assert {name: tags[name] for name in NAMES} == {name: str(value) for name, value in values.items()}
    source = MlflowSource(uri)
    artifacts = [record for record in records if isinstance(record, Artifact)]
    assert sorted(artifact.name for artifact in artifacts) == sorted(files)
    for number, artifact in enumerate(artifacts):
        folder = run.folder / f"down{number}"
        folder.mkdir()
        assert source.fetch(opened.link.id, artifact, folder).read_bytes().decode() == artifact.name


def test_names_that_meet_in_a_folder_store_stay_apart(open_sink: OpenSink, run: RunContext, tmp_path: Path) -> None:
    uri = str(tmp_path / "mlruns")
    opened = open_sink(uri, run)
    for name in ("a/b", "a", "c", "c/d", "c/d/e"):
        opened.driver.metrics({name: 1.0}, step=0, time=1000)
        opened.driver.params({name: name})
    records = read(uri, opened.link.id)
    assert {name for name, *_ in points(records)} == {"a/b", "a", "c", "c/d", "c/d/e"}
    assert merged(records, Params, "params") == {name: name for name in ("a/b", "a", "c", "c/d", "c/d/e")}


def test_a_run_that_unitrack_did_not_write_is_read_as_it_is(uri: str, tmp_path: Path) -> None:
    client = MlflowClient(uri)
    experiment = client.create_experiment(f"theirs {tmp_path.name}", artifact_location=None)
    run_id = client.create_run(experiment, start_time=5, tags={"mlflow.user": "ada"}, run_name="theirs").info.run_id
    client.log_param(run_id, "n_x40_", "3")
    client.log_metric(run_id, "unitrack.inf/x", 2.0, timestamp=7, step=1)

    records = read(uri, run_id)
    assert records[0] == RunStart(
        seq=0,
        time=5,
        run_id=run_id,
        name="theirs",
        project=f"theirs {tmp_path.name}",
        tags={"mlflow.user": "ada"},
    )
    assert merged(records, Params, "params") == {"n_x40_": "3"}
    assert points(records) == [("unitrack.inf/x", 7, 1, "2.0")]
    assert not any(isinstance(record, RunEnd) for record in records)


def test_deleted_runs_are_neither_listed_nor_read(uri: str, open_sink: OpenSink, run: RunContext) -> None:
    opened = open_sink(uri, run)
    source = MlflowSource(uri)
    assert opened.link.id in {start.run_id for start in source.runs()}
    opened.client.delete_run(opened.link.id)
    assert opened.link.id not in {start.run_id for start in source.runs()}
    for run_id in (opened.link.id, "0" * 32):
        with pytest.raises(KeyError, match=run_id):
            next(source.records(run_id))


def test_reading_creates_no_store(tmp_path: Path) -> None:
    for location in (f"sqlite:///{tmp_path}/none.db", str(tmp_path / "none")):
        with pytest.raises(FileNotFoundError, match="none"):
            MlflowSource(location)
    assert list(tmp_path.iterdir()) == []


def test_many_runs_are_summed_up_in_one_request_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is asked for by itself; each is what `summary` says of it."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("many")
    for number in range(7):
        run = client.create_run(experiment, tags={"team": "nlp" if number % 2 else "vision", "n": str(number)})
        client.log_batch(run.info.run_id, metrics=[Metric("loss", number / 8, 5, 3)], params=[Param("lr", "0.1")])
        if number != 3:
            client.set_terminated(run.info.run_id, "FAILED" if number == 4 else "FINISHED")
    source = MlflowSource(uri)
    expected = {start.run_id: source.summary(start.run_id) for start in source.runs()}
    monkeypatch.setattr(limits, "RUNS_PER_PAGE", 3)
    monkeypatch.setattr(MlflowClient, "get_run", lambda self, run_id: pytest.fail("a run was asked for by itself"))
    assert {start.run_id: summary for start, summary in source.summaries()} == expected
    assert len(expected) == 7


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Condition(Field("run", "status"), "==", "failed"), {4}),
        (Condition(Field("run", "status"), "==", "running"), set(range(5))),
        (Condition(Field("tags", "team"), "==", "nlp"), {1, 3}),
        (Condition(Field("tags", "n"), "==", "3"), set(range(5))),  # "3.0" is equal to it, for us
        (Condition(Field("tags", "team"), "!=", "nlp"), set(range(5))),
        (Condition(Field("tags", "team"), "==", "it's"), set(range(5))),
        (Condition(Field("tags", "odd name"), "==", "x"), set(range(5))),
        (Condition(Field("params", "lr"), "==", "0.1"), set(range(5))),
        (Condition(Field("metrics", "loss"), "<", 0.2), set(range(5))),
    ],
)
def test_a_condition_that_mlflow_answers_leaves_out_no_run_that_is_meant(
    tmp_path: Path, condition: Condition, found: set[int]
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("many")
    for number in range(5):
        run = client.create_run(experiment, tags={"team": "nlp" if number % 2 else "vision", "n": str(number)})
        client.set_terminated(run.info.run_id, "FAILED" if number == 4 else "FINISHED")
    summaries = MlflowSource(uri).summaries([condition])
    assert {int(summary.tags["n"]) for _, summary in summaries} == found


def test_columns_read_nothing_of_other_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    run = client.create_run(client.create_experiment("one"))
    for step in (5, 1, 9):
        client.log_batch(run.info.run_id, metrics=[Metric(name, step / 4, step, step) for name in ("loss", "acc")])
    asked: list[str] = []
    get_history = MlflowClient.get_metric_history

    def get_noted(self: MlflowClient, run_id: str, key: str) -> Any:
        asked.append(key)
        return get_history(self, run_id, key)

    monkeypatch.setattr(MlflowClient, "get_metric_history", get_noted)
    columns = MlflowSource(uri).columns(run.info.run_id, ["loss"])
    assert (list(columns), asked) == (["loss"], ["loss"])
    assert sorted(columns["loss"].steps) == [1, 5, 9]


def test_a_store_that_folds_case_is_not_asked_for_tags() -> None:
    """There a run's second tag of "team" and "Team" has an escaped key."""
    conditions = [Condition(Field("tags", "Team"), "==", "nlp"), Condition(Field("run", "status"), "==", "failed")]
    assert searchable(conditions, folds_case=True) == "attributes.status = 'FAILED'"
    assert searchable(conditions, folds_case=False) == "tags.`Team` = 'nlp' AND attributes.status = 'FAILED'"


def test_logged_models_and_datasets_of_others_are_read(tmp_path: Path) -> None:
    """Models lie beside the artifacts of the run, and are lost with the store like these."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("models", artifact_location=str(tmp_path / "files"))
    run = client.create_run(experiment)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.bin").write_bytes(b"weights")
    for name in ("net", "net", "other"):
        model = client.create_logged_model(experiment, name, run.info.run_id)
        client.log_model_artifacts(model.model_id, str(tmp_path / "weights"))
        client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 7)])
    dataset = Dataset(name="digits", digest="abc", source_type="local", source="digits.csv")
    client.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])
    client.set_terminated(run.info.run_id)
    stored = unitrack.runs(f"mlflow:{uri}")[0]
    names = sorted(artifact.name for artifact in stored.artifacts)
    assert (names[0], names[2], len(set(names))) == ("net", "other", 3)
    assert all((one.type, one.size, one.step) == ("model", 7, 7) for one in stored.artifacts)
    for name in names:
        assert (stored.fetch(name, tmp_path / "fetched") / "model.bin").read_bytes() == b"weights"
    source = MlflowSource(uri)
    there = source.fetch(run.info.run_id, stored.artifacts[0], _made(tmp_path / "from a server"))
    assert (there / "model.bin").read_bytes() == b"weights"
    told = json.loads(stored.tags["mlflow.dataset.digits"])
    assert told == {"digest": "abc", "source_type": "local", "source": "digits.csv", "context": "train"}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
