"""Whole runs through the real SDK over a wire in trouble: W&B has everything once afterwards, local files all along."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stand_in_server import API_KEY, StandInServer
from unitrack_tests.faults import FULL, figure
from wandb_reading import wait_until

import unitrack
from unitrack import limits
from unitrack.delivery.report import DeliveryReport, read_report
from unitrack.delivery.sync import sync_run
from unitrack.runfolder.run_folder import RunFolder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

TABLE = "Bad wires"
ROWS = [(step, step * 10, step / 7) for step in range(20)]
DRIP_S = 0.2

Trouble = Callable[[Any, str], bool]


def answering(status: int, content: bytes = b"{}", *, to: str = "", **headers: str) -> Trouble:
    """Every request whose name begins so gets this answer."""

    def trouble(handler: Any, request: str) -> bool:
        if not request.startswith(to):
            return False
        handler.answer(status, content, **headers)
        return True

    return trouble


def dripping(handler: Any, request: str) -> bool:
    """The stream is answered at one byte a second, with time five times as fast, until the client hangs up."""
    if request != "file_stream":
        return False
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(150):
            handler.wfile.write(b" ")
            time.sleep(DRIP_S)
    return True


HTML = b"<html>Please log in to the hotel's network</html>"
AT_THE_START: list[tuple[str, Trouble, str]] = [
    ("429, Retry-After: 1", answering(429, Retry_After="1"), "retrying"),
    ("200 with a web page", answering(200, HTML), "retrying"),
    ("404", answering(404), "parked"),
    ("413 for everything", answering(413), "parked"),
]
IN_THE_STREAM: list[tuple[str, Trouble]] = [
    ("429 for the stream", answering(429, to="file_stream", Retry_After="1")),
    ("413 for the stream", answering(413, to="file_stream")),
    ("a web page for the stream", answering(200, HTML, to="file_stream")),
    ("one byte a second for the stream", dripping),
]


def names(value: object) -> str:
    """The id of a case: functions have addresses, which differ between processes."""
    return value if isinstance(value, str) else ""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is where a later sync finds it; back-off is as short as a test."""
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)
    monkeypatch.setenv("UNITRACK_LINGER", "0")
    for name, value in {"RETRY_FIRST_S": 0.05, "RETRY_MAX_S": 0.3}.items():
        monkeypatch.setattr(limits, name, value)


def train(server: StandInServer, tmp_path: Path, finish_timeout: float) -> unitrack.Run:
    options = {"base_url": server.url, "init_timeout": 2, "finish_timeout": finish_timeout}
    run = unitrack.start_run("a", sinks=["local", {"wandb": options}], root=tmp_path, delivery="thread")
    for _, step, value in ROWS:
        run.log_metrics({"v": value}, step=step)
    return run


def finish_in_trouble(run: unitrack.Run, timeout: float) -> DeliveryReport:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)
        return run.finish(timeout=timeout)


def assert_whole(row: str, server: StandInServer, run: unitrack.Run, report: DeliveryReport) -> None:
    """Every point is there once in both sinks, and the account says so."""
    bad, other = report["wandb"], report["local"]
    figure(
        TABLE,
        f"W&B, {row}",
        records=bad.delivered + bad.dead_lettered + bad.pending,
        delivered=bad.delivered,
        **{"dead-lettered": bad.dead_lettered},
        pending=bad.pending,
        in_the_other_sink=other.delivered,
    )
    arrived = server.runs[run.id]
    assert [(row["_step"], row["step"], row["v"]) for row in arrived.history] == ROWS
    assert arrived.exit_code == 0
    assert (bad.state, bad.pending, bad.dead_lettered) == ("complete", 0, 0)
    assert_other_whole(run, report)


def assert_other_whole(run: unitrack.Run, report: DeliveryReport) -> None:
    assert (report["local"].state, report["local"].pending) == ("complete", 0)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["metrics"]["v"]) for line in lines] == [(step, value) for _, step, value in ROWS]


def sync(run: unitrack.Run) -> DeliveryReport:
    """The account after a sync that went through; the thread that delivered until now may hold the lane a moment."""
    reports: list[DeliveryReport] = []

    def ok() -> bool:
        reports.append(sync_run(RunFolder(run.path), timeout=30))
        return reports[-1]["wandb"].state == "complete"

    wait_until(ok, 60)
    return reports[-1]


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
@pytest.mark.parametrize(("row", "trouble", "state"), AT_THE_START if FULL else AT_THE_START[:2], ids=names)
def test_trouble_from_the_start(server: StandInServer, tmp_path: Path, row: str, trouble: Trouble, state: str) -> None:
    """It is told in the account, and when it is over a sync delivers everything."""
    server.trouble = trouble
    run = train(server, tmp_path, finish_timeout=1)
    wait_until(lambda: read_report(RunFolder(run.path))["wandb"].state == state, 60)
    report = finish_in_trouble(run, timeout=2)
    assert report["wandb"].delivered == report["wandb"].dead_lettered == 0
    assert report["wandb"].last_error
    assert_other_whole(run, report)
    server.trouble = None
    assert_whole(row, server, run, sync(run))


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
@pytest.mark.parametrize(("row", "trouble"), IN_THE_STREAM if FULL else IN_THE_STREAM[1:2], ids=names)
def test_trouble_of_the_stream(server: StandInServer, tmp_path: Path, row: str, trouble: Trouble) -> None:
    """The SDK drops what is refused and ends in good order: nothing of it counts as delivered."""
    server.trouble = trouble
    run = train(server, tmp_path, finish_timeout=1)
    report = finish_in_trouble(run, timeout=5)
    assert report["wandb"].delivered == report["wandb"].dead_lettered == 0
    assert_other_whole(run, report)
    server.trouble = None
    assert_whole(row, server, run, sync(run))


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_answers_that_are_lost_after_the_commit(server: StandInServer, tmp_path: Path) -> None:
    """What is sent again lies at the offset where it lies already."""
    server.answers_lost = {"UpsertBucket": 1, "file_stream": 2}
    run = train(server, tmp_path, finish_timeout=30)
    assert_whole("committed, and the answer lost", server, run, run.finish(timeout=60))
    assert set(server.answers_lost.values()) == {0}
