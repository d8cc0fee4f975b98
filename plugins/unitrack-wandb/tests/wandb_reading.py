"""Reading offline runs back, and a driver that keeps hold of its sink."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stand_in_server import API_KEY, StandInServer

from unitrack.hookspecs import Checkpoint, RunContext
from unitrack.records import Metrics
from unitrack.testing.driver import SinkDriver
from unitrack_wandb import WandbOptions
from unitrack_wandb.offline_run import OfflineRun
from unitrack_wandb.source import open_source


class WandbDriver(SinkDriver):
    """Opens a sink with these options, and knows its link."""

    def __init__(self, run: RunContext, checkpoint: Checkpoint | None = None, **options: Any) -> None:
        from unitrack_wandb.sink import WandbSink

        self.sink = WandbSink(WandbOptions(**options))
        super().__init__(self.sink, run, checkpoint)
        self.link = self.open()


Drive = Callable[..., WandbDriver]


def offline_folders(folder: Path) -> list[Path]:
    """The offline runs that `wandb sync --sync-all` would take in this folder."""
    return sorted(path for path in (folder / "wandb").glob("offline-run-*") if path.is_dir())


def records_of(folder: Path, kind: type) -> list[Any]:
    """The records of one kind of the one run in this folder."""
    source = open_source(str(folder))
    [start] = source.runs()
    return [record for record in source.records(start.run_id) if isinstance(record, kind)]


def points_of(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """The steps and points of the one run in this folder."""
    return [(record.step, dict(record.values())) for record in records_of(folder, Metrics)]


def wait_until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    """Come back as soon as `done()` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_end(folder: Path) -> None:
    """Wait until the end of the one run in this folder can be read: the SDK writes it after `finish()` has returned."""
    wait_until(lambda: any(OfflineRun(one).header.exit_code is not None for one in offline_folders(folder)))


def sync_folder(folder: str, server: StandInServer, home: Path) -> None:
    """Run `wandb sync` for a folder against `server`."""
    wandb_sync(folder, folder=home, server=server, home=home)


def wandb_sync(*arguments: str, folder: Path, server: StandInServer, home: Path) -> str:
    """Run `wandb sync` in a folder against `server`; gives what it printed."""
    environment = os.environ | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": API_KEY, "HOME": str(home)}
    command = [sys.executable, "-m", "wandb", "sync", *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, timeout=50, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
