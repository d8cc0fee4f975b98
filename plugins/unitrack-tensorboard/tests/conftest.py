from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ["UNITRACK_LINGER"] = "5"  # seconds that a courier tries on after a test whose sink fails

from tensorboard_readers import READERS

from unitrack.hookspecs import Checkpoint, RunContext
from unitrack.testing.driver import SinkDriver
from unitrack_tensorboard.options import TensorBoardOptions
from unitrack_tensorboard.sink import TensorBoardSink

Open = Callable[..., SinkDriver]


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> Callable[[Path], AbstractContextManager[Any]]:
    """Each of TensorBoard's readers in turn."""
    return READERS[request.param]


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    return SinkDriver.make_run(tmp_path / "run-a")


@pytest.fixture
def logdir(run: RunContext) -> Path:
    return run.folder.parent / "tensorboard"


@pytest.fixture
def folder(logdir: Path, run: RunContext) -> Path:
    """Where the run's own files are."""
    return logdir / run.folder.name


@pytest.fixture
def open_sink(run: RunContext) -> Open:
    """Opens a new sink for the run, as a courier that starts does."""

    def opened(checkpoint: Checkpoint | None = None, run: RunContext = run, **options: Any) -> SinkDriver:
        driver = SinkDriver(TensorBoardSink(TensorBoardOptions(**options)), run, checkpoint)
        driver.open()
        return driver

    return opened
