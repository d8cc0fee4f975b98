"""The other ways in which training ends: each leaves the status of docs/explanation/delivery.md, and loses nothing."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from unitrack_tests.cgroup import MemoryGroup, can_limit_memory
from unitrack_tests.deaths import left_by, probe_of
from unitrack_tests.faults import rounds
from unitrack_tests.zygote import Zygote, zygote

pytestmark = pytest.mark.faults

SIGNALLED = rounds(short=1, full=25)
TIMES = rounds(short=1, full=5)


class End(NamedTuple):
    """A way for training to end by itself."""

    row: str
    end: str
    status: str
    code: int
    block: bool = False


class Signal(NamedTuple):
    """A way to be ended by a signal in mid-loop."""

    row: str
    signum: int
    status: str
    code: int
    block: bool = False
    times: int = 1
    end: str = ""


ENDS = [
    End("`sys.exit()`", "exit(0)", "finished", 0),
    End("`sys.exit()` in `with`", "exit(0)", "finished", 0, block=True),
    End("`sys.exit(1)` in `with`", "exit(1)", "failed", 1, block=True),
    End("`sys.exit(1)`", "exit(1)", "failed", 1),
    End("an exception", "exception", "failed", 1),
    End("an exception in `with`", "exception", "failed", 1, block=True),
    End("an exception in a thread, training goes on", "exception in a thread", "finished", 0),
    End("`MemoryError` at a limit (`RLIMIT_AS`)", "memory limit", "failed", 1),
    End("`os._exit`", "_exit", "failed", 5),
    End("`os.abort`", "abort", "failed", -signal.SIGABRT),
    End("a segmentation fault", "segfault", "failed", -signal.SIGSEGV),
]

SIGNALS = [
    Signal("SIGTERM", signal.SIGTERM, "killed", -signal.SIGTERM),
    Signal("SIGTERM in `with`", signal.SIGTERM, "killed", -signal.SIGTERM, block=True),
    Signal("SIGTERM twice", signal.SIGTERM, "killed", -signal.SIGTERM, times=2),
    Signal("SIGTERM, training's own handler exits with 9", signal.SIGTERM, "failed", 9, block=True, end="own handler"),
    Signal("Ctrl-C", signal.SIGINT, "killed", -signal.SIGINT),
    Signal("Ctrl-C in `with`", signal.SIGINT, "killed", -signal.SIGINT, block=True),
    Signal("Ctrl-C twice in `with`", signal.SIGINT, "killed", -signal.SIGINT, block=True, times=2),
    Signal("SIGHUP: the terminal is closed", signal.SIGHUP, "failed", -signal.SIGHUP),
]


def named(ways: list[End] | list[Signal]) -> list[str]:
    return [way.row.replace("`", "") for way in ways]


@pytest.fixture(scope="module")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    with zygote(tmp_path_factory.mktemp("zygote"), "unitrack_tests.trainer") as serving:
        yield serving


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ENDS, ids=named(ENDS))
def test_however_training_ends_nothing_is_lost(root: Path, trainers: Zygote, way: End) -> None:
    """The couriers, which nobody told anything, deliver all of it and the status."""
    for number in range(TIMES):
        place = root / str(number)
        place.mkdir()
        child = trainers.fork(
            "unitrack_tests.trainer:train",
            root=str(place),
            sinks=["local", probe_of(place)],
            calls=random.Random(number).randrange(20, 400),
            end=way.end,
            block=way.block,
        )
        assert child.wait() == way.code, trainers.log.read_text()[-2000:]
        left_by(child, place, sync=False).account(way.row, way.status)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", SIGNALS, ids=named(SIGNALS))
def test_a_signal_at_any_moment_loses_nothing(root: Path, trainers: Zygote, way: Signal) -> None:
    """It may come in the middle of a call, of which nothing or all is there then."""
    dice = random.Random(way.row)
    for number in range(SIGNALLED):
        place = root / str(number)
        place.mkdir()
        by_couriers = number % 8 == 7
        child = trainers.fork(
            "unitrack_tests.trainer:train",
            root=str(place),
            sinks=["local", probe_of(place)],
            delivery="process" if by_couriers else "thread",
            pause=dice.choice([0.0, 0.0002]),
            block=way.block,
            end=way.end,
        )
        child.run_until(2 + dice.randrange(300))
        child.run_for(dice.uniform(0.0, 0.003))
        for time_ in range(way.times):
            time.sleep(time_ * dice.uniform(0.0, 0.003))
            child.send(way.signum)
        assert child.wait() == way.code, trainers.log.read_text()[-2000:]
        left_by(child, place, sync=not by_couriers).account(way.row, way.status)


if can_limit_memory():

    @pytest.mark.timeout(600)
    def test_out_of_memory_in_a_container_loses_nothing(root: Path, trainers: Zygote) -> None:
        """The kernel kills the largest process of a control group, as it does in a container or a batch job."""
        for number in range(TIMES):
            place = root / str(number)
            place.mkdir()
            with MemoryGroup(f"unitrack-{place.parent.name}-{number}", 192 * 2**20) as group:
                child = trainers.fork(
                    "unitrack_tests.trainer:train",
                    root=str(place),
                    sinks=["local", probe_of(place)],
                    calls=random.Random(number).randrange(20, 400),
                    end="memory",
                    group=str(group.processes),
                )
                assert child.wait() == -signal.SIGKILL, trainers.log.read_text()[-2000:]
                death = left_by(child, place, sync=False)
                group.empty()
            death.account("out of memory in a control group", "failed")
