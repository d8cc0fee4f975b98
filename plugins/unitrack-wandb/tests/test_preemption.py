"""Killed four times, each time taken up behind the log, and then synced: one folder, one run, each point once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stand_in_server import StandInServer
from wandb_reading import Drive, offline_folders, points_of, records_of, sync_folder, wait_until

import unitrack
from unitrack.delivery.sync import sync_run
from unitrack.hookspecs import RunContext
from unitrack.records import Artifact, Params, RunEnd
from unitrack.runfolder.run_folder import RunFolder
from unitrack_wandb.offline_run import OfflineRun
from unitrack_wandb.sink import WandbSink

TRAINER = """
import os, signal, sys
import unitrack

root, delivery, attempt = sys.argv[1], sys.argv[2], int(sys.argv[3])
run = unitrack.start_run(
    "a", run_id="r1", resume="allow", root=root, delivery=delivery, sinks=[{"wandb": {"mode": "offline"}}],
    params={"attempt": attempt},
)
for step in range(attempt * 7, attempt * 7 + 10):
    run.log_metrics({"loss": attempt + step / 1000}, step=step)
run.log_text(f"of attempt {attempt}", "checkpoint.txt")
if attempt < 4:
    os.kill(os.getpid(), signal.SIGKILL)
run.finish(timeout=0 if delivery == "thread" else 30)
"""
LOGGED = [(step, {"loss": min(step // 7, 4) + step / 1000}) for step in range(38)]
"""One curve: each attempt's points from where the next one begins are superseded."""


def train(root: Path, delivery: str, attempt: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAINER, str(root), delivery, str(attempt)],
        env=os.environ | {"WANDB_ERROR_REPORTING": "false"},
        timeout=60,
        capture_output=True,
    )
    assert done.returncode == (-signal.SIGKILL if attempt < 4 else 0), done.stderr.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("delivery", ["thread", "process"], ids=["delivery dies too", "couriers live on"])
def test_preempted_four_times_then_synced(server: StandInServer, tmp_path: Path, delivery: str) -> None:
    for attempt in range(5):
        train(tmp_path, delivery, attempt)
    folder = tmp_path / "a"
    wait_until(lambda: sync_run(RunFolder(folder), timeout=30).ok, 60)

    assert points_of(folder) == LOGGED
    [checkpoint] = records_of(folder, Artifact)
    assert Path(checkpoint.file).read_text() == "of attempt 4"
    assert records_of(folder, Params)[0].params == {"attempt": 4}
    assert [record.status for record in records_of(folder, RunEnd)] == ["finished"]
    [offline] = offline_folders(folder)
    assert (OfflineRun(offline).header.first_row, OfflineRun(offline).header.rows) == (0, len(LOGGED))

    sync_folder(str(offline), server, tmp_path)
    assert list(server.runs) == ["r1"]
    arrived = server.runs["r1"]
    assert [(row["step"], {"loss": row["loss"]}) for row in arrived.history] == LOGGED
    assert [row["_step"] for row in arrived.history] == list(range(len(LOGGED)))
    assert (arrived.exit_code, arrived.files["checkpoint.txt"]) == (0, b"of attempt 4")


def log(
    root: Path, steps: range, offset: float, options: dict[str, Any], seconds: float = 30
) -> unitrack.DeliveryReport:
    run = unitrack.start_run(
        "a", run_id="r2", resume="allow", root=root, delivery="thread", sinks=["local", {"wandb": options}]
    )
    for step in steps:
        run.log_metrics({"loss": step + offset}, step=step)
    return run.finish(timeout=seconds)


def curve(server: StandInServer) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in server.runs["r2"].history]


def test_what_a_server_has_stays(server: StandInServer, online: dict[str, Any], tmp_path: Path) -> None:
    log(tmp_path, range(10), 0.0, online)
    report = log(tmp_path, range(6, 14), 0.5, online)
    assert curve(server) == [(step, step + (0.0 if step < 10 else 0.5)) for step in range(14)]
    assert (report["wandb"].superseded, report.ok) == (4, True)


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_a_server_that_was_down_gets_one_curve(server: StandInServer, online: dict[str, Any], tmp_path: Path) -> None:
    log(tmp_path, range(10), 0.0, online | {"base_url": "http://127.0.0.1:9"}, seconds=0.5)
    report = log(tmp_path, range(6, 14), 0.5, online)
    assert report.ok
    assert [step for step, _ in curve(server)] == list(range(14))
    again = log(tmp_path, range(14, 16), 0.5, online)
    assert again.ok
    assert curve(server)[6:] in (  # whichever was there first
        [(step, step + 0.5) for step in range(6, 16)],
        [(step, step + (0.0 if step < 10 else 0.5)) for step in range(6, 16)],
    )


def test_a_crash_while_points_are_withdrawn(run: RunContext, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    first = drive(mode="offline")
    for step in range(6):
        first.metrics({"v": float(step)}, step=step)
    first.end("killed")
    second = drive(mode="offline", checkpoint=first.checkpoint)
    with monkeypatch.context() as patched:
        patched.setattr(WandbSink, "_copy", crash)
        with pytest.raises(KeyboardInterrupt):
            second.hooks.rewind(steps={"v": 3})
    second.close()
    third = drive(mode="offline", checkpoint=first.checkpoint)
    assert third.hooks.can_rewind()
    third.hooks.rewind(steps={"v": 4})
    third.metrics({"v": -4.0}, step=4)
    third.end()
    assert len(offline_folders(run.folder)) == 1
    assert points_of(run.folder) == [*((step, {"v": float(step)}) for step in range(4)), (4, {"v": -4.0})]


def crash(*arguments: Any, **more: Any) -> None:
    raise KeyboardInterrupt
