"""`kill -9` of training at random points: what a returned call logged is in every sink once, and the run has failed."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from unitrack_tests.deaths import calls_of, left_by, probe_of
from unitrack_tests.faults import rounds
from unitrack_tests.zygote import Child, Zygote, zygote

import unitrack
from unitrack.runfolder.find import find_run_folders

pytestmark = pytest.mark.faults

BATCHES = rounds(short=1, full=20)
KILLS = rounds(short=8, full=52)
"""In a batch."""
STARTS = rounds(short=3, full=150)
WITH_COURIERS = 8
"""Every so many-th trainer has couriers; the delivery of the others dies with them, and the rest is synced."""


@pytest.fixture(scope="module")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    with zygote(tmp_path_factory.mktemp("zygote"), "unitrack_tests.trainer") as serving:
        yield serving


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(BATCHES))
def test_a_killed_trainer_loses_no_returned_call(root: Path, trainers: Zygote, seed: int) -> None:
    """Metrics, params, tags, texts, images, histograms and files, logged at full speed and slowly."""
    dice = random.Random(seed)
    delivered_by_couriers: list[tuple[Path, Child]] = []
    for number in range(KILLS):
        place = root / f"kill-{seed}-{number}"
        place.mkdir()
        by_couriers = number % WITH_COURIERS == 0
        child = trainers.fork(
            "unitrack_tests.trainer:train",
            root=str(place),
            sinks=["local", probe_of(place)],
            delivery="process" if by_couriers else "thread",
            pause=dice.choice([0.0, 0.0002]),
        )
        child.run_until(2 + dice.randrange(400))
        child.run_for(dice.uniform(0.0, 0.4 if by_couriers else 0.003))
        child.send(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        if by_couriers:
            delivered_by_couriers.append((place, child))
        else:
            left_by(child, place, sync=True).account("`kill -9`", "failed")
            shutil.rmtree(place)
    for place, child in delivered_by_couriers:
        left_by(child, place, sync=False).account("`kill -9`, with couriers", "failed")


@pytest.mark.timeout(600)
def test_a_trainer_killed_in_start_run_leaves_nothing_or_a_run_that_failed(root: Path, trainers: Zygote) -> None:
    """What it leaves disturbs nobody: the next run of the name, and `unitrack sync`, pass by a half-made folder."""
    dice = random.Random(1)
    takes = seconds_of_start_run(root, trainers)
    began = 0
    for number in range(STARTS):
        place = root / f"start-{number}"
        place.mkdir()
        child = trainers.fork(
            "unitrack_tests.trainer:train", root=str(place), sinks=["local", probe_of(place)], delivery="thread"
        )
        child.reported(b"born")
        child.run_for(dice.uniform(0.0, 2 * takes))
        child.send(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        folders = list(find_run_folders(place / "runs"))
        if folders:
            left_by(child, place, sync=True).account("`kill -9` in or just after `start_run`", "failed")
            began += 1
        else:
            assert not calls_of(child)
        run = unitrack.start_run("a", sinks=["local"], root=place / "runs", delivery="inline")
        assert run.finish().ok
        shutil.rmtree(place)
    assert 0 < began < STARTS or STARTS < 100


def seconds_of_start_run(root: Path, trainers: Zygote) -> float:
    """How long it takes here and now."""
    child = trainers.fork("unitrack_tests.trainer:train", root=str(root), sinks=["local"], delivery="thread")
    child.reported(b"born")
    born = time.monotonic()
    child.reported(b"started")
    took = time.monotonic() - born
    child.send(signal.SIGKILL)
    child.wait()
    child.reports()
    return took
