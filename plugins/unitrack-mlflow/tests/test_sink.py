"""What the sink delivers, read back through MLflow's own client."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unitrack.errors import RecordRejectedError, SinkMisconfiguredError
from unitrack.hookspecs import RunContext
from unitrack.records import Artifact, Metrics, RunStatus
from unitrack.testing.driver import now_ms
from unitrack_mlflow import limits
from unitrack_mlflow.source import MlflowSource

OpenSink = Callable[..., Any]


def test_a_whole_run_arrives(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    driver = opened.driver
    driver.params({"lr": 0.001, "model": {"depth": 4, "bias": True}, "layers": [1, 2], "seed": None})
    first = driver.metrics({"loss": 0.1 + 0.2, "acc": 1.0}, step=0)
    late = driver.metrics({"loss": 5e-324}, step=10)
    early = driver.metrics({"loss": -2.5}, step=3)
    driver.tags({"phase": "warm-up"})
    driver.tags({"phase": "main"})
    driver.artifact("plots/roc.txt", b"curve")
    driver.end()

    stored = opened.stored
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "first try"
    assert stored.info.start_time == run.start.time
    assert stored.info.end_time >= run.start.time
    assert stored.data.params == {
        "lr": "0.001",
        "model.depth": "4",
        "model.bias": "True",
        "layers": "[1, 2]",
        "seed": "None",
    }
    tags = stored.data.tags
    assert (tags["team"], tags["phase"]) == ("vision", "main")
    assert tags["mlflow.note.content"] == "what it is about"
    assert tags["unitrack.run_id"] == run.start.run_id
    assert set(opened.points("loss")) == {
        (first.time, 0, repr(0.1 + 0.2)),
        (late.time, 10, "5e-324"),
        (early.time, 3, "-2.5"),
    }
    assert opened.client.get_experiment(stored.info.experiment_id).name == run.start.project
    path = opened.client.download_artifacts(opened.link.id, "plots/roc.txt", str(run.folder))
    assert Path(path).read_bytes() == b"curve"


def test_delivering_everything_twice_leaves_what_once_leaves(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    for _ in range(2):
        opened.driver.params({"lr": 0.001})
    points = [opened.driver.metrics({"loss": 0.5, "bad": math.nan}, step=step, time=1000 + step) for step in range(5)]
    artifact = opened.driver.artifact("model.bin", b"weights")
    before = {key: opened.points(key) for key in ("loss", "bad")}

    again = open_sink(uri, run)  # as after a crash before the first commit
    again.driver.params({"lr": 0.001})
    again.driver.batch(points)
    again.sink.log_artifacts([artifact])
    again.driver.tags({"team": "vision"})
    again.driver.end()
    index = [file.path for file in again.client.list_artifacts(again.link.id, "unitrack/index")]

    assert again.link.id == opened.link.id
    assert opened.runs() == 1
    assert {key: again.points(key) for key in ("loss", "bad")} == before
    assert [len(points) for points in before.values()] == [5, 5]
    assert [f.path for f in again.client.list_artifacts(again.link.id)] == ["model.bin", "unitrack"]
    assert index == ["unitrack/index/000000.json"]


def test_a_restart_from_an_older_checkpoint_adds_only_what_is_new(
    open_sink: OpenSink, uri: str, run: RunContext
) -> None:
    opened = open_sink(uri, run)
    opened.driver.metrics({"loss": 0.0}, step=0, time=1000)
    checkpoint = opened.driver.flush()
    uncommitted = [opened.driver.metrics({"loss": 1.0 * step}, step=step, time=1000 + step) for step in (1, 2)]

    again = open_sink(uri, run, checkpoint)
    again.driver.batch(uncommitted[:1])
    second = again.driver.flush()
    third = open_sink(uri, run, second)
    third.driver.batch(uncommitted[1:])
    third.driver.metrics({"loss": 3.0}, step=3, time=1003)
    third.driver.metrics({"loss": 3.0}, step=3, time=1004)
    fourth = open_sink(uri, run, third.driver.flush())

    assert [(time, step) for time, step, _ in fourth.points("loss")] == [
        (1000, 0),
        (1001, 1),
        (1002, 2),
        (1003, 3),
        (1004, 3),
    ]


def test_a_crash_between_creating_and_committing_makes_no_second_run(
    open_sink: OpenSink, uri: str, run: RunContext
) -> None:
    ids = {open_sink(uri, run).link.id for _ in range(3)}
    assert len(ids) == 1
    assert open_sink(uri, run).runs() == 1


@pytest.mark.parametrize(("status", "expected"), [("finished", "FINISHED"), ("failed", "FAILED"), ("killed", "KILLED")])
def test_a_status_arrives_and_a_resumed_run_is_running_again(
    open_sink: OpenSink, database: str, run: RunContext, status: RunStatus, expected: str
) -> None:
    opened = open_sink(database, run)
    opened.driver.end(status)
    assert opened.stored.info.status == expected

    resumed = open_sink(database, run, opened.driver.checkpoint)
    assert resumed.stored.info.status == "RUNNING"
    resumed.driver.end("finished")
    assert resumed.stored.info.status == "FINISHED"


def test_nan_goes_as_it_is_and_infinity_beside(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    opened.driver.metrics({"loss": math.nan}, step=0, time=1000)
    opened.driver.metrics({"loss": math.inf}, step=1, time=1001)
    opened.driver.metrics({"loss": -math.inf}, step=2, time=1002)
    opened.driver.metrics({"loss": 1.0}, step=3, time=1003)

    assert opened.points("loss") == [(1000, 0, "nan"), (1003, 3, "1.0")]
    assert opened.points("unitrack.inf/loss") == [(1001, 1, "1.0"), (1002, 2, "-1.0")]
    assert "unitrack.inf/" in opened.stored.data.tags["unitrack.nonfinite"]


def test_a_param_that_changes_keeps_its_first_value_and_a_tag_gets_the_newest(
    open_sink: OpenSink, uri: str, run: RunContext
) -> None:
    opened = open_sink(uri, run)
    opened.driver.params({"lr": 0.1, "seed": 1})
    opened.driver.params({"lr": 0.2, "batch": 8})
    assert opened.stored.data.params == {"lr": "0.1", "seed": "1", "batch": "8"}
    assert opened.stored.data.tags["unitrack.param_changed.lr"] == "0.2"

    opened.driver.params({"lr": 0.1})
    assert opened.stored.data.tags["unitrack.param_changed.lr"] == "0.1"
    assert "unitrack.param_changed.seed" not in opened.stored.data.tags


def test_a_long_param_is_marked_and_whole_in_an_artifact(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    value = "é" * 20_000
    other = value[:-1] + "x"
    opened.driver.params({"prompt": value})
    opened.driver.params({"prompt": value})
    opened.driver.params({"prompt": other})

    text = opened.stored.data.params["prompt"]
    assert len(text) == 6000
    assert "20000 characters" in text
    assert text.endswith("unitrack/params/prompt.json]")
    whole = opened.client.download_artifacts(opened.link.id, "unitrack/params/prompt.json", str(run.folder))
    assert json.loads(Path(whole).read_text(encoding="utf-8")) == value
    assert "unitrack/params_changed/prompt.json" in opened.stored.data.tags["unitrack.param_changed.prompt"]


def test_more_than_one_batch_of_everything_arrives(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    opened.driver.params({f"p{n}": "é" * 3000 for n in range(250)})  # 4.5 MB as JSON: more than a request holds
    opened.driver.tags({f"t{n}": str(n) for n in range(250)})
    opened.driver.metrics({f"m{n}": float(n) for n in range(2500)}, step=1)

    data = opened.stored.data
    assert sum(key.startswith("p") for key in data.params) == 250
    assert data.tags["t249"] == "249"
    assert {key: value for key, value in data.metrics.items() if key.startswith("m")} == {
        f"m{n}": float(n) for n in range(2500)
    }


def test_a_folder_and_a_renamed_file_arrive_under_their_names(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    staged = run.folder / ".spool" / "files" / "7"
    (staged / "sub").mkdir(parents=True)
    (staged / "a.txt").write_text("a")
    (staged / "sub" / "b.txt").write_text("b")
    (run.folder / ".spool" / "files" / "8").write_text("eight")
    odd = opened.driver.artifact("odd #1? 100%.txt", b"odd")
    assert odd.size == 3
    artifacts = [
        Artifact(seq=90, time=1, name="data/set", file=".spool/files/7", type="folder"),
        Artifact(seq=91, time=1, name="notes/today.txt", file=".spool/files/8"),
    ]
    opened.sink.log_artifacts(artifacts)

    folder = Path(opened.client.download_artifacts(opened.link.id, "", str(run.folder / "down")))
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "data/set/a.txt": "a",
        "data/set/sub/b.txt": "b",
        "notes/today.txt": "eight",
        "odd _x23_1_x3f_ 100_x25_.txt": "odd",
    }


def test_an_artifact_whose_copy_is_gone_is_rejected(open_sink: OpenSink, database: str, run: RunContext) -> None:
    opened = open_sink(database, run)
    with pytest.raises(RecordRejectedError, match=r"gone\.txt"):
        opened.sink.log_artifacts([Artifact(seq=1, time=1, name="gone.txt", file="gone.txt")])


def test_a_record_that_mlflow_refuses_is_rejected_and_others_pass(
    open_sink: OpenSink, uri: str, run: RunContext
) -> None:
    opened = open_sink(uri, run)
    bad = Metrics(seq=1, time=-5, step=0, metrics={"loss": 1.0})
    with pytest.raises(RecordRejectedError):
        opened.driver.batch([bad])
    opened.driver.metrics({"loss": 2.0}, step=1, time=now_ms())
    assert [value for _, _, value in opened.points("loss")] == ["2.0"]


def test_a_deleted_run_is_for_somebody_to_restore(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    checkpoint = opened.driver.flush()
    opened.client.delete_run(opened.link.id)
    with pytest.raises(SinkMisconfiguredError, match="mlflow runs restore"):
        opened.driver.metrics({"loss": 1.0}, step=0)
    for start in (checkpoint, None):
        with pytest.raises(SinkMisconfiguredError, match="mlflow runs restore"):
            open_sink(uri, run, start)
    opened.client.restore_run(opened.link.id)
    assert open_sink(uri, run, checkpoint).link.id == opened.link.id


def test_a_deleted_experiment_is_for_somebody_to_restore(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    opened.client.delete_experiment(opened.stored.info.experiment_id)
    with pytest.raises(SinkMisconfiguredError, match="mlflow experiments restore"):
        open_sink(uri, run)


def test_the_link_leads_to_the_run(
    open_sink: OpenSink, server: str, database: str, run: RunContext, tmp_path: Path
) -> None:
    remote = open_sink(server, run)
    experiment = remote.stored.info.experiment_id
    assert remote.link.url == f"{server}/#/experiments/{experiment}/runs/{remote.link.id}"
    assert remote.link.location == server
    local = open_sink(database, run)
    assert local.link.url is None
    assert local.link.open_with == f"mlflow ui --backend-store-uri {database}"
    folder = open_sink(str(tmp_path / "mlruns"), run)
    assert folder.link.open_with is not None
    assert folder.link.open_with.startswith("MLFLOW_ALLOW_FILE_STORE=true mlflow ui")


def test_a_name_that_fits_into_no_tag(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    """As with a raised `safeguards.max_name_length`: it is kept in several."""
    names = ["z" * 20_000, '"\U0001f600' * 3000]
    opened = open_sink(uri, run)
    opened.driver.metrics({name: 1.0 + number for number, name in enumerate(names)}, step=1)
    opened.driver.flush()
    again = open_sink(uri, run, opened.driver.checkpoint)
    again.driver.metrics({names[0]: 3.0}, step=2)
    again.driver.end()
    points = [one for one in MlflowSource(uri).records(again.link.id) if isinstance(one, Metrics)]
    assert [(one.step, one.values()) for one in points] == [(1, {names[0]: 1.0, names[1]: 2.0}), (2, {names[0]: 3.0})]
    assert max(map(len, again.stored.data.tags.values())) <= limits.TAG_LENGTH
