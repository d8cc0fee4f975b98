"""Whole runs through journal and lane while the server is away, in trouble or refuses: nothing counts too early."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_in_server import API_KEY, StandInServer
from wandb_reading import Drive, wait_until

import unitrack
from unitrack.delivery.report import DeliveryReport, read_report
from unitrack.delivery.sync import sync_run
from unitrack.errors import SinkUnavailableError
from unitrack.hookspecs import RunContext
from unitrack.runfolder.run_folder import RunFolder

ROWS = [(step, step * 10, step / 7) for step in range(5)]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run keeps it out of its manifest, so that a later sync finds it."""
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)


@pytest.fixture
def dark() -> Iterator[StandInServer]:
    """A server that takes connections and never answers."""
    server = StandInServer()
    yield server
    server.close()


def train(server: StandInServer, tmp_path: Path, finish_timeout: float = 2.0) -> unitrack.Run:
    """A run of five points and a file, logged and not finished."""
    options = {"base_url": server.url, "init_timeout": 1, "finish_timeout": finish_timeout}
    run = unitrack.start_run("a", sinks=[{"wandb": options}], root=tmp_path, delivery="thread")
    for _, step, value in ROWS:
        run.log_metrics({"v": value}, step=step)
    run.log_text("curve", "notes.txt")
    return run


def assert_whole(server: StandInServer, run: unitrack.Run, report: DeliveryReport) -> None:
    """Every point is there once, the file too, and the account says so."""
    arrived = server.runs[run.id]
    assert [(row["_step"], row["step"], row["v"]) for row in arrived.history] == ROWS
    assert arrived.files["notes.txt"] == b"curve"
    assert arrived.exit_code == 0
    assert (report.ok, report["wandb"].state, report["wandb"].pending) == (True, "complete", 0), report


def finish_in_trouble(run: unitrack.Run, timeout: float) -> DeliveryReport:
    with pytest.warns(unitrack.DeliveryWarning, match="wandb"):
        return run.finish(timeout=timeout)


def sync(run: unitrack.Run) -> DeliveryReport:
    """The account after a sync that went through; the thread that delivered until now may hold the lane a moment."""
    reports = []

    def ok() -> bool:
        reports.append(sync_run(RunFolder(run.path), timeout=30))
        return reports[-1].ok and reports[-1]["wandb"].state == "complete"  # confirmed first, marked as ended next

    wait_until(ok, 40)
    return reports[-1]


def test_a_server_that_is_down_at_the_start(tmp_path: Path) -> None:
    server = StandInServer(listening=False)
    run = train(server, tmp_path)
    wait_until(lambda: read_report(RunFolder(run.path))["wandb"].state == "retrying", 20)
    with server.serving():
        assert_whole(server, run, run.finish(timeout=40))


def test_a_server_that_stumbles_for_a_while(server: StandInServer, tmp_path: Path) -> None:
    server.stumbles = {"UpsertBucket": 1, "file_stream": 2, "upload": 1, "CreateRunFiles": 1}
    run = train(server, tmp_path, finish_timeout=30)
    assert_whole(server, run, run.finish(timeout=50))
    assert set(server.stumbles.values()) == {0}


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_stream_that_is_refused_is_not_delivered(server: StandInServer, tmp_path: Path, status: int) -> None:
    server.stream_status = status
    run = train(server, tmp_path, finish_timeout=0.5)
    report = finish_in_trouble(run, timeout=2)
    assert (report.ok, report["wandb"].delivered) == (False, 0)
    assert report["wandb"].pending > len(ROWS)
    server.stream_status = 200
    assert_whole(server, run, sync(run))


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_parks_the_run(
    server: StandInServer, tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNITRACK_LINGER", "0")  # or the parked lane is held after the run
    server.graphql_status = status
    run = train(server, tmp_path)
    wait_until(lambda: read_report(RunFolder(run.path))["wandb"].state == "parked", 20)
    report = finish_in_trouble(run, timeout=0.5)
    assert (report["wandb"].state, report["wandb"].delivered) == ("parked", 0)
    assert "the API key" in str(report["wandb"].last_error)
    assert server.runs == {}
    server.graphql_status = 200
    assert_whole(server, run, sync(run))


def test_a_black_hole_at_the_start(dark: StandInServer, tmp_path: Path) -> None:
    began = time.monotonic()
    run = train(dark, tmp_path)
    assert time.monotonic() - began < 5
    began = time.monotonic()
    report = finish_in_trouble(run, timeout=1)
    assert time.monotonic() - began < 3
    assert (report.ok, report["wandb"].delivered) == (False, 0)
    with dark.serving():
        assert_whole(dark, run, sync(run))


def test_a_black_hole_is_left_within_the_limits(dark: StandInServer, online: dict[str, Any], drive: Drive) -> None:
    began = time.monotonic()
    with pytest.raises(SinkUnavailableError):
        drive(**online | {"base_url": dark.url, "init_timeout": 1})
    assert time.monotonic() - began < 10


def test_a_stream_that_falls_silent_is_left_within_the_limits(
    server: StandInServer, online: dict[str, Any], run: RunContext, drive: Drive
) -> None:
    driver = drive(**online | {"finish_timeout": 1})
    server.stream_delay = 60
    driver.metrics({"v": 1.0}, step=0)
    began = time.monotonic()
    with pytest.raises(SinkUnavailableError):
        driver.end()
    assert time.monotonic() - began < 10
    assert driver.checkpoint is None
    server.stream_delay = 0
    driver.open()
    driver.metrics({"v": 1.0}, step=0)
    driver.end()
    assert [row["v"] for row in server.runs[run.start.run_id].history] == [1.0]
