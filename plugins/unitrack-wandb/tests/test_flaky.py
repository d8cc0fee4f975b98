"""A server that refuses a share of all requests: everything arrives, once, and no sooner counts as delivered."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stand_in_server import API_KEY, StandInServer
from stand_in_troubles import Counted, EachNth, RateLimit, Share
from unitrack_tests.faults import FULL, figure
from wandb_reading import Drive

import unitrack
from unitrack.errors import SinkUnavailableError
from unitrack.hookspecs import RunContext

ROWS = 200
FILES = 4
PATIENCE = 90.0

TROUBLES: dict[str, Callable[[], Counted]] = {
    "each third request": lambda: EachNth(3),
    "a quarter": lambda: Share(0.25, seed=3),
    "a rate limit": lambda: RateLimit(per_second=10),
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run keeps it out of its manifest."""
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)


@pytest.mark.parametrize("name", TROUBLES)
def test_a_flaky_server_gets_everything_once(server: StandInServer, tmp_path: Path, name: str) -> None:
    server.trouble = trouble = TROUBLES[name]()
    options = {"base_url": server.url}
    run = unitrack.start_run("a", sinks=[{"wandb": options}], root=tmp_path, delivery="thread")
    for step in range(ROWS):
        run.log_metrics({"v": step / 7}, step=step * 10)
    for number in range(FILES):
        run.log_text(f"of {number}", f"notes{number}.txt")
    report = run.finish(timeout=PATIENCE)
    assert report.ok, report
    assert trouble.refused
    arrived = server.runs[run.id]
    assert [(row["_step"], row["step"], row["v"]) for row in arrived.history] == [
        (step, step * 10, step / 7) for step in range(ROWS)
    ]
    assert [arrived.files[f"notes{number}.txt"] for number in range(FILES)] == [b"of 0", b"of 1", b"of 2", b"of 3"]
    assert arrived.exit_code == 0


def test_an_upload_is_not_given_up_before_the_time_is(
    server: StandInServer, online: dict[str, Any], run: RunContext, drive: Drive
) -> None:
    """The SDK by itself stops after some 15 tries and says that all went well."""
    driver = drive(**online | {"finish_timeout": 30})
    tries = []

    def trouble(handler: Any, request: str) -> bool:
        if request != "upload" or not handler.path.endswith("a.txt") or len(tries) > 20:
            return False
        tries.append(request)
        handler.answer(429, b"{}", Retry_After="0")
        return True

    server.trouble = trouble
    driver.artifact("a.txt", b"a")
    driver.end()
    assert len(tries) == 21
    assert server.runs[run.start.run_id].files["a.txt"] == b"a"


def test_a_question_that_is_refused_is_asked_again(
    server: StandInServer, online: dict[str, Any], run: RunContext, drive: Drive
) -> None:
    """Whether a run has arrived: a 503 then is no reason to send it again."""
    driver = drive(**online | {"init_timeout": 1, "finish_timeout": 20})
    driver.metrics({"v": 1.0}, step=0)
    driver.sink.end_run(status="finished", time=1)
    server.stumbles = {"RunHistoryKeys": 3, "Run": 2}
    streamed = len(server.runs[run.start.run_id].history)
    assert driver.flush() is not None
    assert set(server.stumbles.values()) == {0}
    assert len(server.runs[run.start.run_id].history) == streamed == 1


def test_what_may_be_asked_again_and_what_must_be_sent_again(
    server: StandInServer, online: dict[str, Any], drive: Drive
) -> None:
    """A call that failed is made again as it is, unless the sink has to be opened anew."""
    driver = drive(**online | {"init_timeout": 1, "finish_timeout": 0.5})
    driver.metrics({"v": 1.0}, step=0)
    driver.sink.end_run(status="finished", time=1)
    server.graphql_status = 503
    with pytest.raises(SinkUnavailableError) as refused:
        driver.flush()
    assert not refused.value.reopen
    server.graphql_status = 200
    server.rows_lost_after = 0
    server.run(driver.link.id).streams.clear()
    with pytest.raises(SinkUnavailableError, match="0 of 1 rows") as missing:
        driver.flush()
    assert missing.value.reopen
    server.rows_lost_after = None
    driver.open()
    driver.metrics({"v": 1.0}, step=0)
    driver.end()
    assert driver.checkpoint is not None


PLAIN = """
import sys, wandb
from pathlib import Path
folder, rows, files = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True)
run = wandb.init(project="tests", id="r", dir=folder, settings=settings)
for step in range(rows):
    run.log({"v": step / 7}, step=step)
for number in range(files):
    (folder / f"notes{number}.txt").write_text(f"of {number}")
    run.save(str(folder / f"notes{number}.txt"), base_path=folder, policy="now")
run.finish()
"""
OURS = """
import sys, unitrack
folder, rows, files = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
run = unitrack.start_run("r", project="tests", run_id="r", sinks=["wandb"], root=folder, delivery="thread")
for step in range(rows):
    run.log_metrics({"v": step / 7}, step=step)
for number in range(files):
    run.log_text(f"of {number}", f"notes{number}.txt")
sys.exit(0 if run.finish(timeout=400).ok else 1)
"""
TABLE = "Flaky server, W&B"
TIMES_OUT_S = 500.0
LOGGED_ROWS, LOGGED_FILES = 3000, 20
MEASURED: dict[str, Callable[[], Counted] | None] = {
    "no trouble": None,
    "503 for 1 % of all requests": lambda: Share(0.01, seed=1),
    "503 for 5 %": lambda: Share(0.05, seed=1),
    "503 for 25 %": lambda: Share(0.25, seed=1),
    "503 for 50 %": lambda: Share(0.5, seed=2),
    "429, one request a second": lambda: RateLimit(per_second=1),
}


@pytest.mark.faults
@pytest.mark.timeout(2 * TIMES_OUT_S)
@pytest.mark.parametrize("name", MEASURED if FULL else ["503 for 25 %"])
def test_beside_the_sdk(tmp_path: Path, name: str) -> None:
    """A run of rows and files through unitrack, and through the SDK by itself."""
    rows, files = (LOGGED_ROWS, LOGGED_FILES) if FULL else (ROWS, FILES)
    for who, script in (("unitrack", OURS), ("W&B by itself", PLAIN)):
        server = StandInServer()
        make = MEASURED[name]
        server.trouble = trouble = make() if make else None
        folder = tmp_path / who.partition(" ")[0]
        folder.mkdir()
        environment = os.environ | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": API_KEY, "HOME": str(folder)}
        command = [sys.executable, "-W", "ignore", "-c", script, str(folder), str(rows), str(files)]
        with server.serving():
            began = time.monotonic()
            try:
                ended = subprocess.run(command, env=environment, capture_output=True, timeout=TIMES_OUT_S).returncode
            except subprocess.TimeoutExpired:
                ended = -1
            seconds = time.monotonic() - began
        arrived = server.run("r")
        there = sum(arrived.files.get(f"notes{number}.txt") == f"of {number}".encode() for number in range(files))
        figure(
            TABLE,
            f"{name}: {who}",
            requests_refused=trouble.refused if trouble else 0,
            rows=arrived.count("wandb-history.jsonl"),
            files=there,
            says={0: "all is there", 1: "not all is there", -1: f"nothing in {TIMES_OUT_S:.0f} s"}.get(ended, "failed"),
            seconds=f"{seconds:.1f}",
        )
        if who == "unitrack":
            assert (ended, arrived.count("wandb-history.jsonl"), there) == (0, rows, files)
            assert [row["v"] for row in arrived.history] == [step / 7 for step in range(rows)]
