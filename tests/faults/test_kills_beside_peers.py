"""`kill -9` of training that logs through us to all SDKs that are installed, and of training that uses those alone.

Both count rows (calls that log metrics) that had returned and are not in the backend, read by its own reader. What is
here belongs to the table of the fault tests, so it is one of them and no benchmark.
"""

from __future__ import annotations

import importlib.util
import random
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.deaths import Death, calls_of, left_by
from unitrack_tests.faults import FULL, figure, rounds
from unitrack_tests.peers import PEERS, Peer
from unitrack_tests.zygote import Child, zygote

pytestmark = [pytest.mark.faults, pytest.mark.several_plugins]

KILLS_OF_OURS = rounds(short=1, full=8)
KILLS_OF_A_PEER = 20
PAUSE_S = 0.002
"""Between two rows, of us and of them."""
LONGEST_S = 2.0
"""A trainer is killed within this of its start. An SDK flushes by time or size, so longer runs lose a smaller share."""
SETTLED_AFTER_S = 4.0
"""Helpers of an SDK that outlive training have a while to write what they have."""

INSTALLED = [name for name in PEERS if importlib.util.find_spec(name) and importlib.util.find_spec(f"unitrack_{name}")]
ROWS = {
    "local": "unitrack, in its local files",
    "wandb": "unitrack, in W&B offline",
    "mlflow": "unitrack, in MLflow on SQLite",
    "tensorboard": "unitrack, in TensorBoard",
}


@pytest.fixture(autouse=True)
def quiet_sdks(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No account of the machine, no telemetry; and what SDKs warn of, about themselves, is no error of ours."""
    for folder in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(folder, str(root / "home"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def sinks_in(root: Path, place: Path) -> list[Any]:
    """Local files, and each backend that is installed; a logdir for each run, as all have one name."""
    options: dict[str, dict[str, str]] = {
        "mlflow": {"tracking_uri": f"sqlite:///{root / 'mlflow.db'}", "artifact_location": str(root / "artifacts")},
        "wandb": {"mode": "offline"},
        "tensorboard": {"logdir": str(place / "tensorboard")},
    }
    return ["local", *({name: options[name]} for name in INSTALLED)]


def count_rows(row: str, kills: int, returned: int, lost: int) -> None:
    share = f"{lost / returned:.2%}" if lost else "0"
    figure("Rows lost to kill -9", row, kills=kills, rows_returned=returned, lost=lost, share=share)


@pytest.mark.timeout(900)
def test_kill_9_loses_nothing_in_any_backend(root: Path) -> None:
    """Couriers at any stage of their work, importing an SDK included, finish what a killed trainer leaves."""
    dice = random.Random(9)
    killed: list[tuple[Path, Child]] = []
    deaths: list[Death] = []
    with zygote(root, "unitrack_tests.trainer") as trainers:
        for number in range(KILLS_OF_OURS):
            place = root / str(number)
            place.mkdir()
            child = trainers.fork(
                "unitrack_tests.trainer:train", root=str(place), sinks=sinks_in(root, place), pause=PAUSE_S
            )
            child.reported(b"started")
            child.run_for(dice.uniform(0.1, LONGEST_S))
            child.send(signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
            killed.append((place, child))
        deaths = [left_by(child, place, sync=False) for place, child in killed]
    for sink in deaths[0].sinks:
        returned = [{call for call in death.returned if call.startswith("metrics")} for death in deaths]
        lost = sum(len(calls - set(death.sinks[sink].calls)) for calls, death in zip(returned, deaths, strict=True))
        count_rows(ROWS[sink], len(deaths), sum(map(len, returned)), lost)
    for death in deaths:
        death.account(f"`kill -9`, with {len(death.sinks)} sinks", "failed")


if FULL:

    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("peer", [PEERS[name] for name in INSTALLED], ids=INSTALLED)
    def test_what_peers_lose(root: Path, peer: Peer) -> None:
        """Only counted: what others lose is not ours to assert, but that they logged and were read is."""
        dice = random.Random(9)
        killed: list[tuple[Path, Child]] = []
        if peer.module == "mlflow":
            make_tables(root)
        with zygote(root, "unitrack_tests.peers", peer.module) as trainers:
            for number in range(KILLS_OF_A_PEER):
                place = root / f"kill-{number}"
                place.mkdir()
                child = trainers.fork(peer.train, root=str(place), pause=PAUSE_S)
                child.reported(b"started")
                child.run_for(dice.uniform(0.1, LONGEST_S))
                child.send(signal.SIGKILL)
                assert child.wait() == -signal.SIGKILL
                killed.append((place, child))
            time.sleep(SETTLED_AFTER_S)
            returned = [{int(call.partition(" ")[2]) for call in calls_of(child)} for _, child in killed]
        held = [peer.read(place) for place, _ in killed]
        lost = sum(len(rows - kept) for rows, kept in zip(returned, held, strict=True))
        count_rows(peer.row, len(killed), sum(map(len, returned)), lost)
        assert any(returned)  # a slow one may be killed before its first call returns
        assert all(kept <= {*rows, len(rows)} for rows, kept in zip(returned, held, strict=True))


def make_tables(root: Path) -> None:
    """MLflow's, which take seconds to create."""
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
