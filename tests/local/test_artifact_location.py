"""Artifacts of local runs that are stored elsewhere: once each, behind pointers, and never half."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from unitrack_tests.local_files import holding
from unitrack_tests.s3 import Bucket, Handler, away, client_of, slow_down_each

import unitrack
from unitrack import limits, local
from unitrack.delivery.report import read_report
from unitrack.errors import ConfigError, DeliveryWarning, MissingPackageError, SourceError
from unitrack.local.pointers import pointer_path, read_pointer
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.transfers import Transfer, TransferNote, read_transfer, transfer_file
from unitrack.testing import SinkConformance, Trial, in_the_way


class TestLocalWithLocation(SinkConformance):
    """Plain files in the run folder, artifacts in a folder elsewhere."""

    plugin = local

    @pytest.fixture
    def options(self, tmp_path: Path) -> dict[str, Any]:
        """A store beside the runs."""
        return {"artifact_location": (tmp_path / "elsewhere").as_uri()}

    def outage(self, trial: Trial) -> AbstractContextManager[None]:
        """`metadata.json` can't be written."""
        return in_the_way(trial.folder.path / "metadata.json", by="folder")


def make_trial(folder: Path, location: str, **options: object) -> Trial:
    [backend] = local.register_backends()
    return Trial(folder / "run", backend, {"artifact_location": location, **options})


def is_courier(process: psutil.Process) -> bool:
    """Whether it is one that lives: those of earlier tests may be about to be reaped."""
    try:
        return "unitrack.delivery.courier" in process.cmdline()
    except psutil.Error:
        return False


def start(location: str, **options: Any) -> unitrack.Run:
    return unitrack.start_run("a", sinks=[{"local": {"artifact_location": location}}], **options)


def test_the_document_s_key_with_local_files(bucket: Bucket, tmp_path: Path) -> None:
    """`tracking.artifact_location: s3://bucket/artifacts`: bytes in the bucket, a pointer in the run folder."""
    config = {"tracking": {"backend": "local", "artifact_location": f"{bucket.url}/artifacts"}}
    (tmp_path / "model.pt").write_bytes(b"weights")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    with unitrack.start_run("a", config=config, delivery="inline") as run:
        run.log_artifact("model.pt")
        run.log_artifact("model.pt", "again/model-2.pt")
        run.log_artifact("data")
        run.log_text("hello", "notes.txt")
    assert len(bucket.keys("artifacts/sha256/")) == 3
    pointer = read_pointer(pointer_path(run.path / "artifacts", "model.pt"))
    assert pointer.location == f"{bucket.url}/artifacts"
    assert not (run.path / "artifacts" / "model.pt").exists()
    assert not (run.path / ".spool").exists()
    [stored] = unitrack.runs("experiments")
    assert {one.name for one in stored.artifacts} == {"model.pt", "again/model-2.pt", "data", "notes.txt"}
    bucket.wire.requests.clear()
    assert stored.fetch("model.pt", tmp_path / "back").read_bytes() == b"weights"
    assert (stored.fetch("data", tmp_path / "back") / "a.txt").read_text() == "a"
    assert len(bucket.wire.requests) == 2  # lazily, and no more than needed
    assert unitrack.verify(run).ok


def test_credentials_are_not_kept(bucket: Bucket, tmp_path: Path) -> None:
    """Neither in run.json nor in the journal; in the URL and in options they are refused."""
    with start(f"{bucket.url}/x", delivery="inline") as run:
        run.log_text("hello", "notes.txt")
        assert holding(run.path, os.environ["AWS_SECRET_ACCESS_KEY"].encode()) == []
    for sink in (
        {"artifact_location": "s3://id:secret@bucket/x"},
        {"artifact_location": bucket.url, "storage_options": {"secret": "hidden"}},
    ):
        with pytest.raises(ConfigError, match="AWS_PROFILE") as caught:
            unitrack.start_run("b", sinks=[{"local": sink}])
        assert "id:secret" not in str(caught.value)
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "message"), [("s4:/", None), ("sfpt://host/x", "sftp://"), ("s3://", "no bucket")]
)
def test_a_location_that_is_none(location: str, message: str | None, tmp_path: Path) -> None:
    if message is None:  # a folder with an odd name
        start(location, delivery="inline").finish()
        return
    with pytest.raises(ConfigError, match=f"artifact_location.*{message}"):
        start(location)


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingPackageError, match=r"'s3fs'.*pip install .*\[s3\]"):
        start("s3://bucket/x")


def test_artifacts_wait_for_their_bucket(bucket: Bucket, tmp_path: Path) -> None:
    """Points and the end arrive at once, the artifact once the bucket is there; the message names bucket and fix."""
    name = f"{bucket.name}-later"
    trial = make_trial(tmp_path, f"s3://{name}/runs")
    trial.artifact("notes.txt", b"hello", "text")
    trial.metrics({"loss": 0.5}, 0)
    trial.log_end()
    with pytest.raises(AssertionError, match=f"the bucket '{name}'.*create it"):
        trial.deliver()
    assert (trial.ledger.state, trial.ledger.waiting, trial.ledger.dead_lettered) == ("parked", 1, 0)
    assert json.loads((trial.folder.path / "metadata.json").read_text())["status"] == "completed"
    client_of(bucket.server).create_bucket(Bucket=name)
    trial.retry_now()
    trial.deliver()
    assert (trial.ledger.state, trial.ledger.waiting) == ("complete", 0)
    trial.close()


def test_wrong_keys_park_and_lose_nothing(bucket: Bucket, tmp_path: Path) -> None:
    def refuse(request: Handler, number: int) -> bool:
        request.refuse(403, "InvalidAccessKeyId")
        return True

    bucket.wire.trouble = refuse
    run = start(bucket.url, delivery="inline")
    run.log_text("hello", "notes.txt")
    run.log_metrics({"loss": 0.5}, step=0)
    with pytest.warns(DeliveryWarning, match=f"(?s){bucket.name}.*AWS_PROFILE"):
        report = run.finish()
    assert (report["local"].state, report["local"].dead_lettered) == ("parked", 0)
    bucket.wire.trouble = None
    [stored] = unitrack.runs("experiments")
    assert stored.metrics["loss"].last == 0.5
    from unitrack.delivery.sync import sync_run

    assert sync_run(RunFolder(run.path), timeout=60).ok
    [stored] = unitrack.runs("experiments")
    assert stored.fetch("notes.txt", tmp_path / "back").read_text() == "hello"


def test_a_bucket_that_is_too_busy_for_ever(bucket: Bucket, tmp_path: Path) -> None:
    bucket.wire.trouble = slow_down_each(3)
    trial = make_trial(tmp_path, bucket.url)
    for number in range(6):
        trial.artifact(f"texts/{number}.txt", f"text {number}".encode(), "text")
    trial.end()
    assert (trial.ledger.state, trial.ledger.dead_lettered, trial.ledger.attempts) == ("complete", 0, 0)
    trial.close()


def test_a_server_that_is_away_for_a_while(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The artifact waits for seconds, not for minutes, and the run is not parked."""
    monkeypatch.setattr(limits, "IN_PLACE_LASTS_S", 0.1)
    monkeypatch.setattr(limits, "RETRY_FIRST_S", 0.05)
    bucket.wire.trouble = away
    trial = make_trial(tmp_path, bucket.url)
    trial.artifact("notes.txt", b"hello", "text")
    trial.metrics({"loss": 0.5}, 0)
    trial.log_end()
    with pytest.raises(AssertionError, match="tried again"):
        trial.deliver()
    assert (trial.ledger.state, trial.ledger.waiting) == ("retrying", 1)
    bucket.wire.trouble = None
    trial.deliver(tries=5)
    assert (trial.ledger.state, trial.ledger.waiting) == ("complete", 0)
    trial.close()


def test_kill_9_of_the_courier_in_mid_upload(bucket: Bucket, tmp_path: Path) -> None:
    """Another courier stores the file; there is never a half one."""
    (tmp_path / "model.pt").write_bytes(os.urandom(33 * 2**20))
    held, go = threading.Event(), threading.Event()

    def hold(request: Handler, number: int) -> bool:
        if request.command == "PUT" and "partNumber=2" in request.path:
            held.set()
            go.wait(60)
            request.cut(0)  # its sender is dead: what lies in the socket's buffer goes with it
            return True
        return False

    bucket.wire.trouble = hold
    config = {"tracking": {"courier_nice": 0}}
    run = start(bucket.url, config=config)
    run.log_artifact("model.pt")
    assert held.wait(100)
    while not any("partNumber=1" in request for request in bucket.wire.answered):
        time.sleep(0.05)
    couriers = [one for one in psutil.Process().children() if is_courier(one)]
    for courier in couriers:
        courier.send_signal(signal.SIGKILL)
    bucket.wire.trouble = None
    go.set()
    assert bucket.keys() == []
    bucket.wire.requests.clear()
    assert run.finish(timeout=100).ok
    sent = [request for request in bucket.wire.requests if request.startswith("PUT")]
    assert len(sent) == 1  # the first part had arrived
    [stored] = unitrack.runs("experiments")
    assert stored.fetch("model.pt", tmp_path / "back").read_bytes() == (tmp_path / "model.pt").read_bytes()


def test_a_damaged_object_is_told(bucket: Bucket, tmp_path: Path) -> None:
    with start(bucket.url, delivery="inline") as run:
        run.log_text("hello", "notes.txt")
    [key] = bucket.keys()
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"jello")
    [stored] = unitrack.runs(run.path)
    with pytest.raises(SourceError, match="is damaged"):
        stored.fetch("notes.txt", tmp_path / "back")


def test_another_sink_gets_what_is_stored_elsewhere(tmp_path: Path) -> None:
    """`sync --to` of a complete run brings the artifacts from their store."""
    from unitrack.config.sinks import name_sinks, read_sinks
    from unitrack.delivery.sync import sync_run

    with start(str(tmp_path / "store"), delivery="inline") as run:
        run.log_text("hello", "notes.txt")
    [sink] = name_sinks(read_sinks([{"probe": {"out": str(tmp_path / "out")}}]))
    assert sync_run(RunFolder(run.path), timeout=30, to=sink).ok


def test_the_report_tells_bytes_of_bytes(tmp_path: Path) -> None:
    run = unitrack.start_run("a", delivery="inline")
    note = TransferNote(transfer_file(run.path, "local"), "model.pt", 40_000_000)
    time.sleep(0.3)
    note.advance(10_000_000)
    report = read_report(RunFolder(run.path))
    assert isinstance(report["local"].transfer, Transfer)
    assert "uploading model.pt, 10.0 of 40.0 MB" in str(report["local"])
    note.remove()
    assert read_transfer(transfer_file(run.path, "local")) is None
    run.finish()


def test_doctor_checks_the_location(bucket: Bucket, tmp_path: Path) -> None:
    from unitrack.local.check import check_places
    from unitrack.local.options import LocalOptions

    good = list(check_places(LocalOptions(artifact_location=bucket.url)))
    assert [(one.ok, one.subject) for one in good] == [(True, "disk"), (True, "artifact_location")]
    assert bucket.keys() == []
    *_, bad = check_places(LocalOptions(artifact_location="s3://not-there-at-all"))
    assert not bad.ok
    assert "create it" in bad.message
