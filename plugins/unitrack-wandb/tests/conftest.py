"""Fixtures: a stand-in server, an SDK that knows of no account, and sinks that are let go of."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unitrack.hookspecs import RunContext
from unitrack.testing.driver import SinkDriver

sys.path.insert(0, str(Path(__file__).parent))  # `--import-mode=importlib` leaves it out

from stand_in_server import API_KEY, StandInServer
from wandb_reading import Drive, WandbDriver

for name in [name for name in os.environ if name.startswith("WANDB_")]:
    del os.environ[name]
os.environ["WANDB_ERROR_REPORTING"] = "false"
os.environ["UNITRACK_LINGER"] = "5"  # seconds that a courier tries on after a test whose server is down


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No credentials of the machine reach a test, and no test writes to the home folder."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home / name))


@pytest.fixture
def server() -> Iterator[StandInServer]:
    with StandInServer().serving() as serving:
        yield serving


@pytest.fixture
def online(server: StandInServer) -> dict[str, Any]:
    """Options that lead to the stand-in server, with limits short enough for tests."""
    return {"mode": "online", "base_url": server.url, "api_key": API_KEY, "init_timeout": 3, "finish_timeout": 3}


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    """A run whose id no other test has: wandb-core serves them all, and lets go of an id a while after its end."""
    return SinkDriver.make_run(tmp_path / "run", run_id=f"run-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def drive(run: RunContext) -> Iterator[Drive]:
    """Makes an opened driver of a sink; the sinks are closed at the end."""
    drivers = []

    def make(*, run: RunContext = run, **options: Any) -> WandbDriver:
        drivers.append(WandbDriver(run, **options))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


@pytest.fixture
def nothing_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail if the test prints anything, though the SDK has its messages on; and if it has them off after the test."""
    import wandb

    wandb.setup()  # as the first `wandb.init` of the user's own does
    capfd.readouterr()
    yield
    assert capfd.readouterr() == ("", "")
    wandb.termlog("a message of the user's own")
    assert "a message of the user's own" in capfd.readouterr().err
