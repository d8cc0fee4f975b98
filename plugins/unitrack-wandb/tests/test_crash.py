"""A courier that is killed leaves no second copy behind, whenever it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from wandb_reading import Drive, offline_folders, points_of, records_of, wait_until

from unitrack.errors import SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import RunContext
from unitrack.records import Artifact

COURIER = """
import os, signal, sys
from pathlib import Path
import msgspec
from unitrack.hookspecs import RunContext
from unitrack.testing.driver import SinkDriver
from unitrack_wandb import WandbOptions
from unitrack_wandb.sink import WandbSink

run = msgspec.json.decode(sys.argv[1], type=RunContext, dec_hook=lambda type, value: type(value))
when = sys.argv[2]
sink = WandbSink(WandbOptions(mode="offline"))
driver = SinkDriver(sink, run)
driver.open()
for step in range(500):
    driver.metrics({"v": float(step)}, step=step)
driver.artifact("a.txt", b"a")
driver.flush()
if when == "after the end":
    sink.end_run(status="finished", time=1)
if when == "before the commit":
    sink.end_run(status="finished", time=1)
    driver.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("when", ["while logging", "after the end", "before the commit"])
def test_kill_and_replay_leave_one_whole_folder(run: RunContext, drive: Drive, when: str) -> None:
    encoded = msgspec.json.encode(run, enc_hook=str).decode()
    killed = subprocess.run(
        [sys.executable, "-c", COURIER, encoded, when],
        cwd=run.folder,
        env=os.environ | {"WANDB_ERROR_REPORTING": "false"},
        timeout=30,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    # What is not whole is where `wandb sync` does not look.
    assert len(offline_folders(run.folder)) == (1 if when == "before the commit" else 0)
    assert len(list((run.folder / "wandb").rglob("*.wandb"))) == 1

    driver = drive(mode="offline")
    for step in range(600):
        driver.metrics({"v": float(step)}, step=step)
    driver.artifact("a.txt", b"a")
    driver.end()

    assert len(offline_folders(run.folder)) == 1
    assert len(list((run.folder / "wandb").rglob("*.wandb"))) == 1
    assert points_of(run.folder) == [(step, {"v": float(step)}) for step in range(600)]
    assert [record.name for record in records_of(run.folder, Artifact)] == ["a.txt"]


JOB = """
import os, signal, time
import psutil, unitrack
run = unitrack.start_run("job", sinks=[{"wandb": {"mode": "offline"}}], root="runs")
for step in range(100):
    run.log_metrics({"v": float(step)}, step=step)
run.flush(timeout=60)
for process in psutil.Process().children(recursive=True):
    process.send_signal(signal.SIGTERM)
for step in range(100, 200):
    run.log_metrics({"v": float(step)}, step=step)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""


def test_a_job_that_is_sent_sigterm_arrives_whole(tmp_path: Path) -> None:
    """All its processes get the signal: the courier outlives it, wandb-core does not, and another one is started."""
    environ = os.environ | {"WANDB_ERROR_REPORTING": "false", "UNITRACK_LINGER": "60"}
    killed = subprocess.run([sys.executable, "-c", JOB], cwd=tmp_path, env=environ, timeout=120)
    assert killed.returncode == -signal.SIGTERM
    folder = tmp_path / "runs" / "job"
    wait_until(lambda: not (folder / ".spool").exists(), 60)
    assert len(offline_folders(folder)) == 1
    assert points_of(folder) == [(step, {"v": float(step)}) for step in range(200)]


def test_a_core_that_a_parent_hands_on_is_not_used(tmp_path: Path) -> None:
    script = "import unitrack_wandb.sdk, os; print(os.environ.get('WANDB_SERVICE'))"
    inherited = os.environ | {"WANDB_SERVICE": "3-1-unix-/nonexistent"}
    done = subprocess.run([sys.executable, "-c", script], env=inherited, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "None", done.stderr


def older_note(run: RunContext, **attempt: object) -> None:
    """What an earlier version noted of an attempt that died."""
    note = run.notes / "wandb-attempt.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_bytes(msgspec.json.encode(attempt))


def test_an_older_kill_before_the_folder_was_noted(run: RunContext, drive: Drive) -> None:
    stranger = run.folder / "wandb" / f"offline-run-20200101_000000-{run.start.run_id}"
    stranger.mkdir(parents=True)
    older_note(run, before=[str(stranger)])
    left = stranger.with_name(f"offline-run-20200102_000000-{run.start.run_id}")
    left.mkdir()
    other = stranger.with_name(f"offline-run-20200102_000000-other-{run.start.run_id}x")
    other.mkdir()
    driver = drive(mode="offline")
    driver.end()
    names = [path.name for path in offline_folders(run.folder)]
    assert stranger.name in names
    assert other.name in names
    assert left.name not in names
    assert len(names) == 3


@pytest.mark.parametrize("spelling", ["absolute", "relative"])
def test_an_older_attempt_is_removed_however_its_path_was_spelled(
    run: RunContext, drive: Drive, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note of a courier is absolute, that of `unitrack sync` without a path was not."""
    torn = run.folder / "wandb" / f"offline-run-20200102_000000-{run.start.run_id}"
    torn.mkdir(parents=True)
    monkeypatch.chdir(run.folder.parent)
    older_note(run, folder=str(torn if spelling == "absolute" else torn.relative_to(run.folder.parent)))
    drive(mode="offline").end()
    [whole] = offline_folders(run.folder)
    assert whole != torn


def test_a_move_that_fails_is_made_again(run: RunContext, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = drive(mode="offline")
    driver.metrics({"v": 1.0}, step=0)
    driver.sink.end_run(status="finished", time=1)
    with monkeypatch.context() as patched:
        patched.setattr("unitrack_wandb.attempts.os.rename", refuse)
        with pytest.raises(SinkUnavailableError, match="can't move") as failed:
            driver.flush()
    assert not failed.value.reopen
    assert offline_folders(run.folder) == []
    assert driver.flush() is not None
    assert offline_folders(run.folder) == [Path(driver.link.location)]


def test_a_kill_after_the_move_and_before_the_old_folder_was_removed(
    run: RunContext, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = drive(mode="offline")
    first.metrics({"v": 1.0}, step=0)
    first.end("failed")
    second = drive(mode="offline", checkpoint=first.checkpoint)
    second.metrics({"v": 2.0}, step=1)
    with monkeypatch.context() as patched:
        patched.setattr("unitrack_wandb.attempts.Attempts._remove", lambda *_: None)
        second.end()
    assert len(offline_folders(run.folder)) == 2
    third = drive(mode="offline", checkpoint=first.checkpoint)
    third.metrics({"v": 2.0}, step=1)
    third.end()
    assert offline_folders(run.folder) == [Path(third.link.location)]
    assert points_of(run.folder) == [(0, {"v": 1.0}), (1, {"v": 2.0})]


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_sink_that_is_closed_early_leaves_nothing_to_sync(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    driver.metrics({"v": 1.0}, step=0)
    driver.close()
    assert offline_folders(run.folder) == []


def test_a_link_in_the_way_is_not_followed(run: RunContext, drive: Drive, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = run.folder / "wandb" / f"offline-run-20200102_000000-{run.start.run_id}"
    folder.parent.mkdir()
    note = run.folder / ".unitrack" / run.sink_name / "wandb-attempt.json"
    note.parent.mkdir(parents=True)
    note.write_bytes(msgspec.json.encode({"folder": str(folder)}))
    folder.symlink_to(outside)
    drive(mode="offline").end()
    note.write_bytes(msgspec.json.encode({"folder": str(outside)}))
    drive(mode="offline").end()
    assert (outside / "precious").read_text() == "x"


@pytest.mark.parametrize("place", ["wandb", "."], ids=["the SDK's folder", "dir itself"])
def test_a_file_in_the_way_of_the_folder_is_a_matter_of_configuration(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    blocked = Path(os.path.normpath(tmp_path / "store" / place))
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file")
    with pytest.raises(SinkMisconfiguredError, match="set the option dir"):
        drive(mode="offline", dir=str(tmp_path / "store"))
    assert list(temporary.iterdir()) == []
    blocked.unlink()
    drive(mode="offline", dir=str(tmp_path / "store")).end()
    assert len(offline_folders(tmp_path / "store")) == 1
