"""A folder of trackio's for the session, which it reads from the environment once; a project for each test."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ["TRACKIO_DIR"] = tempfile.mkdtemp(prefix="unitrack-trackio-")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["UNITRACK_LINGER"] = "5"  # seconds that a courier tries on after a test whose sink fails

from trackio.sqlite_storage import SQLiteStorage

from unitrack.hookspecs import Checkpoint, RunContext
from unitrack.testing.driver import SinkDriver
from unitrack_trackio.options import TrackioOptions
from unitrack_trackio.sink import TrackioSink

atexit.register(shutil.rmtree, os.environ["TRACKIO_DIR"], ignore_errors=True)

Open = Callable[..., SinkDriver]


@pytest.fixture(scope="session")
def folder() -> Path:
    return Path(os.environ["TRACKIO_DIR"])


@pytest.fixture
def run(tmp_path: Path, folder: Path) -> RunContext:
    """A run in a project that no other test has."""
    return SinkDriver.make_run(tmp_path / "run-a", project=tmp_path.name)


@pytest.fixture
def open_sink(run: RunContext) -> Open:
    """Opens a new sink for the run, as a courier that starts does."""

    def opened(checkpoint: Checkpoint | None = None, run: RunContext = run, **options: Any) -> SinkDriver:
        driver = SinkDriver(TrackioSink(TrackioOptions(**options)), run, checkpoint)
        driver.open()
        return driver

    return opened


def logged(driver: SinkDriver) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a run as trackio's own reader gives them; those that only carry a config are left out."""
    project, _, run_id = driver.link.id.partition("/")
    rows = []
    for row in SQLiteStorage.get_logs(project, run_id=run_id):
        values = {key: value for key, value in row.items() if key not in ("step", "timestamp", "unitrack")}
        if values:
            rows.append((row["step"], values))
    return rows


@pytest.fixture(name="logged")
def read_logged() -> Callable[[SinkDriver], list[tuple[int, dict[str, Any]]]]:
    return logged
