"""A run whose artifacts have no place to go: they wait, and everything else arrives. Uploads on a flaky wire."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow_proxy import Handler, Proxy, Trouble

import unitrack
import unitrack_mlflow
from unitrack.errors import DeliveryWarning, SinkUnavailableError
from unitrack.testing import Trial
from unitrack_mlflow.sink import MlflowSink


def refusing_each(n: int) -> Trouble:
    """Each n-th request gets 503, for ever."""
    numbers = itertools.count(1)

    def trouble(request: Handler, body: bytes) -> bool:
        if next(numbers) % n:
            return False
        request.reply(503, b"<html>503 Service Unavailable</html>")
        return True

    return trouble


def refusing_batches(n: int) -> Trouble:
    """Each n-th log-batch is answered as MLflow's server does when its database has no connection free."""
    numbers = itertools.count(1)
    answer = (
        b'{"error_code": "BAD_REQUEST", "message": "QueuePool limit of size 5 overflow 10 reached, connection timed '
        b'out, timeout 30.00 (Background on this error at: https://sqlalche.me/e/20/3o7r)"}'
    )

    def trouble(request: Handler, body: bytes) -> bool:
        if "log-batch" not in request.path or next(numbers) % n:
            return False
        request.reply(400, answer, Content_Type="application/json")
        return True

    return trouble


def make_trial(folder: Path, uri: str, **options: object) -> Trial:
    """A run in a store."""
    [backend] = unitrack_mlflow.register_backends()
    return Trial(folder / "run", backend, {"tracking_uri": uri, **options}, project=f"project {folder.name}")


@pytest.mark.parametrize("trouble", [refusing_each(3), refusing_each(7), refusing_batches(2)], ids=["3", "7", "batch"])
def test_a_server_that_refuses_for_ever_gets_everything(proxy: Proxy, tmp_path: Path, trouble: Trouble) -> None:
    """Each third request, say: no failure is ever seen outside, and nothing is given up."""
    proxy.trouble = trouble
    trial = make_trial(tmp_path, proxy.url)
    trial.params({"lr": 0.1})
    for step in range(40):
        trial.artifact(f"texts/{step}.txt", f"text {step}".encode(), "text")
        trial.metrics({"loss": step / 4}, step)
    trial.end()
    ledger, client = trial.ledger, MlflowClient(f"http://{proxy.upstream}")
    assert (ledger.state, ledger.dead_lettered, ledger.attempts) == ("complete", 0, 0)
    assert proxy.troubled > 2
    points = client.get_metric_history(trial.link.id, "loss")
    assert [(point.step, point.value) for point in points] == [(step, step / 4) for step in range(40)]
    assert len(client.list_artifacts(trial.link.id, "texts")) == 40
    trial.close()


def test_without_boto3_only_artifacts_wait(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points, params and the status arrive; the message names the extra; reading works but for the artifacts."""
    monkeypatch.setitem(sys.modules, "boto3", None)  # as if it was not installed
    sink = {"mlflow": {"tracking_uri": database, "artifact_location": "s3://bucket/runs"}}
    run = unitrack.start_run("a", project="s3", sinks=[sink], delivery="inline")
    run.log_params({"lr": 0.1, "long": "x" * 7000})
    run.log_metrics({"loss": 0.5}, step=0)
    run.log_text("hello", "notes.txt")
    run.log_metrics({"loss": 0.25}, step=1)
    with pytest.warns(DeliveryWarning, match=r"pip install '?.*unitrack-mlflow\[s3\]'"):
        report = run.finish(timeout=30)
    mlflow = report["mlflow"]
    assert (mlflow.state, mlflow.dead_lettered) == ("parked", 0)
    assert "s3://bucket/runs" in (mlflow.last_error or "")
    [stored] = unitrack.runs(f"mlflow:{database}")
    assert stored.metrics["loss"].last == 0.25
    assert [point.value for point in stored.history("loss")] == [0.5, 0.25]
    assert stored.status == "finished"
    with pytest.raises(unitrack.UnitrackError, match=r"unitrack-mlflow\[s3\]"):
        _ = stored.artifacts


def test_two_texts_of_one_name_in_one_call(server: str, tmp_path: Path) -> None:
    """They are uploaded in parallel with others, and the later one stays."""
    trial = make_trial(tmp_path, server)
    for number in range(6):
        trial.artifact(f"other/{number}.txt", b"other", "text")
        trial.artifact("notes.txt", f"version {number}".encode(), "text")
    trial.end()
    path = MlflowClient(server).download_artifacts(trial.link.id, "notes.txt", str(tmp_path))
    assert Path(path).read_text() == "version 5"
    trial.close()


@pytest.mark.parametrize("failures", [1, 2, 7])
def test_a_name_that_is_kept_in_a_tag_survives_failures(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """The tag is part of the call that is made again, also when the tries of the request itself are used up."""
    left, write = [failures], MlflowSink._write_tags

    def failing(sink: MlflowSink, tags: Mapping[str, str]) -> None:
        if left[0] and any(tag.startswith("unitrack.names.") for tag in tags):
            left[0] -= 1
            raise SinkUnavailableError("503")
        write(sink, tags)

    monkeypatch.setattr(MlflowSink, "_write_tags", failing)
    trial = make_trial(tmp_path, database)
    name = "\u00e9" * 1000
    trial.metrics({name: 0.5}, 0)
    trial.log_end()
    trial.deliver(tries=1)
    assert (trial.ledger.state, left) == ("complete", [0])
    [stored] = unitrack.runs(f"mlflow:{database}")
    assert list(stored.metrics) == [name]
    trial.close()


# -- a real S3 API ----------------------------------------------------------------------------------------------------

needs_moto = pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="moto is in one environment only")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before moto's server, an S3 without buckets."""
    from moto.server import ThreadedMotoServer

    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    proxy = Proxy(f"http://{host}:{port}")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", proxy.url)
    with proxy.serving():
        yield proxy
    store.stop()


def client_of(s3: Proxy) -> Any:
    """A client of the S3 behind the proxy."""
    import boto3

    return boto3.client("s3", endpoint_url=f"http://{s3.upstream}")


@needs_moto
def test_artifacts_wait_for_their_bucket(s3: Proxy, database: str, tmp_path: Path) -> None:
    """Points and the end arrive at once, the artifact once the bucket is there."""
    trial = make_trial(tmp_path, database, artifact_location="s3://bucket/runs")
    trial.artifact("notes.txt", b"hello", "text")
    trial.metrics({"loss": 0.5}, 0)
    trial.log_end()
    with pytest.raises(AssertionError, match="NoSuchBucket"):
        trial.deliver()
    assert (trial.ledger.state, trial.ledger.waiting, trial.ledger.dead_lettered) == ("parked", 1, 0)
    client = MlflowClient(database)
    assert client.get_run(trial.link.id).info.status == "FINISHED"
    assert client.get_metric_history(trial.link.id, "loss")[0].value == 0.5
    client_of(s3).create_bucket(Bucket="bucket")
    trial.retry_now()
    trial.deliver()
    assert (trial.ledger.state, trial.ledger.waiting) == ("complete", 0)
    key = f"runs/{trial.link.id}/artifacts/notes.txt"
    assert client_of(s3).get_object(Bucket="bucket", Key=key)["Body"].read() == b"hello"
    trial.close()


@needs_moto
def test_an_s3_that_refuses_now_and_then_gets_everything(s3: Proxy, database: str, tmp_path: Path) -> None:
    """Each third request gets 503."""
    client_of(s3).create_bucket(Bucket="bucket")
    s3.trouble = refusing_each(3)
    trial = make_trial(tmp_path, database, artifact_location="s3://bucket/runs")
    for number in range(20):
        trial.artifact(f"texts/{number}.txt", f"text {number}".encode(), "text")
    trial.end()
    assert (trial.ledger.state, trial.ledger.dead_lettered, trial.ledger.attempts) == ("complete", 0, 0)
    s3.heal()
    assert len(MlflowClient(database).list_artifacts(trial.link.id, "texts")) == 20
    trial.close()


@needs_moto
def test_an_s3_that_is_away_keeps_only_artifacts_waiting(
    s3: Proxy, database: str, tmp_path: Path, closed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens there: no record's fault, and no reason for metrics to wait."""
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", closed_url)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    trial = make_trial(tmp_path, database, artifact_location="s3://bucket/runs")
    trial.artifact("notes.txt", b"hello", "text")
    trial.metrics({"loss": 0.5}, 0)
    trial.log_end()
    with pytest.raises(AssertionError, match="Could not connect"):
        trial.deliver()
    assert (trial.ledger.state, trial.ledger.waiting, trial.ledger.dead_lettered) == ("parked", 1, 0)
    assert MlflowClient(database).get_metric_history(trial.link.id, "loss")[0].value == 0.5
    trial.close()
