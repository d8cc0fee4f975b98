"""Killed four times, each time taken up behind the log, and then synced: one folder, one run, each point once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in_server import StandInServer
from wandb_reading import offline_folders, points_of, records_of, sync_folder, wait_until

from unitrack.delivery.syncing import sync_run
from unitrack.records import Artifact, Params, RunEnd
from unitrack.runfolder import RunFolder
from unitrack_wandb.offline_run import OfflineRun

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
