"""A process that delivers dies, at a random time or at a given line: nothing is lost, and nothing is there twice.

Deliverers are forks of a process that has the SDK imported (`unitrack_tests.deliverer`), and each runs the same `Lane`
that a courier runs. What counts is what the backend's own reader finds after the last one has come to its end.
"""

from __future__ import annotations

import inspect
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.deliverer import Held, Nursery, Place
from unitrack_tests.faults import FULL, figure, rounds
from unitrack_tests.journaled import JournaledRun, options_of

from unitrack.delivery.lane.attempt import Attempt
from unitrack.delivery.lane.cleanup import delete_passed_segments, remove_spool_if_complete
from unitrack.delivery.lane.feed import Feed
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.ledger import LockedLedger
from unitrack.delivery.report import read_report
from unitrack.delivery.sync import _add_sink, _rebuild_journal
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import installed
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.atomic import write_atomically
from unitrack.testing.conformance.comparing import assert_same

pytestmark = [pytest.mark.faults, pytest.mark.several_plugins, pytest.mark.timeout(1800 if FULL else 150)]

LIGHT = ["local", "probe", "tensorboard"]
BACKENDS = [*LIGHT, "sql", "trackio", "mlflow", "wandb"] if FULL else LIGHT  # the others' SDKs take seconds to import
INSTALLED = {"probe", *(entry.name for entry in entry_points(group="unitrack"))}  # that one is installed by conftest
READ_BYTES = 1000
"""Six lines or so: a commit after each few of them."""


@pytest.fixture(scope="module", params=[name for name in BACKENDS if name in INSTALLED])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def store(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(backend)


@pytest.fixture(scope="module")
def nursery(store: Path, backend: str) -> Iterator[Nursery]:
    with Nursery(store, READ_BYTES) as nursery:
        first = new_run(store, backend, calls=20)  # imports what the next ones find imported, and makes databases
        nursery.deliver(first.folder, first.lane)
        nursery.read(first.folder, first.lane)
        yield nursery


def new_run(store: Path, backend: str, calls: int, **how: Any) -> JournaledRun:
    number = len(list(store.glob("run*")))
    return JournaledRun(store / f"run{number}", backend, options_of(backend, store), calls, **how)


def check(run: JournaledRun, held: Held, table: str, row: str) -> None:
    """Once and exact, in the backend and in the account; and note what was not."""
    found = Counter(held.points)
    wanted = Counter((name, *point) for name, points in run.logged.points.items() for point in points)
    lost, doubled = wanted - found, found - wanted
    figure(table, row, points=wanted.total(), lost=lost.total(), doubled=doubled.total() + held.runs - 1)
    assert (held.runs, lost, doubled) == (1, {}, {})
    assert_same(held.contents, run.logged, exact_floats=True)
    assert len(held.contents.artifacts) == len(run.logged.files)
    account = read_report(run.folder)["sink"]
    assert (account.state, account.delivered, account.pending, account.dead_lettered) == ("complete", run.lines, 0, 0)
    assert not run.folder.spool.exists()
    assert litter(run) == []


def litter(run: JournaledRun) -> list[str]:
    """Files that replaced nothing since who wrote them died."""
    return [path.name for path in run.folder.path.rglob("*") if path.suffix in (".tmp", ".new", ".part")]


def test_random_kills_lose_and_double_nothing(backend: str, store: Path, nursery: Nursery) -> None:
    """In mid-batch, again and again, until a deliverer is let live."""
    dice = random.Random(seed := 4000 if not FULL else random.randrange(10**6))
    print(f"seed {seed}")
    kills, wanted = 0, rounds(short=12, full=100 if backend == "wandb" else 500)
    undisturbed = new_run(store, backend, calls=60)
    seconds = nursery.deliver(undisturbed.folder, undisturbed.lane).seconds
    while kills < wanted:
        run = new_run(store, backend, calls=60)
        for _ in range(min(8, wanted - kills)):
            if not nursery.deliver(run.folder, run.lane, live=dice.uniform(0.0, seconds)).died:
                break
            kills += 1
            figure("Kill the courier", backend, kills=1)
        nursery.deliver(run.folder, run.lane)
        check(run, nursery.read(run.folder, run.lane), "Kill the courier", backend)


def test_a_killed_sync_can_be_called_again(tmp_path: Path) -> None:
    """Two sinks side by side, each of which deletes the segments that the other is past, too."""
    dice = random.Random(seed := 7000 if not FULL else random.randrange(10**6))
    print(f"seed {seed}")
    kills, wanted = 0, rounds(short=3, full=200)
    with Nursery(tmp_path, READ_BYTES) as nursery:
        seconds = 0.0
        while not seconds or kills < wanted:
            second = make_lane("second", installed().backend("probe"), options_of("probe", tmp_path))
            run = new_run(tmp_path, "local", calls=60, beside=(second,))
            for _ in range(min(8, wanted - kills) if seconds else 0):
                if not nursery.sync(run.folder, second, live=dice.uniform(0.0, seconds)).died:
                    break
                kills += 1
                figure("Kill the courier", "`unitrack sync`", kills=1)
            seconds = nursery.sync(run.folder, second).seconds
            check(run, nursery.read(run.folder, run.lane), "Kill the courier", "`unitrack sync`")
            assert sorted(nursery.read(run.folder, second).points) == sorted(nursery.read(run.folder, run.lane).points)


def test_a_crash_at_any_line_loses_and_doubles_nothing(backend: str, store: Path, nursery: Nursery) -> None:
    """Between delivery and commit, around each rename and removal, at the end of the run."""
    watched = new_run(store, backend, calls=30)
    reached: dict[str, int] = nursery.deliver(watched.folder, watched.lane, places=True).result
    failures: dict[Place, str] = {}
    for place in chosen(reached, backend):
        run = new_run(store, backend, calls=30)
        died = nursery.deliver(run.folder, run.lane, die_at=place).died
        figure("Crash at each step", backend, places=1)
        try:
            assert died
            nursery.deliver(run.folder, run.lane)
            check(run, nursery.read(run.folder, run.lane), "Crash at each step", backend)
        except AssertionError:
            failures[place] = traceback.format_exc()
    assert not failures


def test_a_crash_while_a_sink_is_added_costs_it_nothing(tmp_path: Path) -> None:
    """`unitrack sync --to` writes the journal again from local files; half of one is not taken for the run."""
    with Nursery(tmp_path, READ_BYTES) as nursery:

        def delivered() -> tuple[JournaledRun, LaneSpec]:
            run = new_run(tmp_path, "local", calls=30)
            nursery.deliver(run.folder, run.lane)
            return run, make_lane("second", installed().backend("probe"), options_of("probe", tmp_path))

        run, second = delivered()
        reached: dict[str, int] = nursery.add(run.folder, second).result
        lines = places_in(_add_sink, _rebuild_journal, write_atomically)
        places = sorted({(place, n) for place, count in reached.items() if place in lines for n in (1, count)})
        for place in places if FULL else random.Random(6000).sample(places, 5):
            run, second = delivered()
            assert nursery.add(run.folder, second, die_at=place).died, place
            nursery.add(run.folder, second)
            figure("Crash at each step", "a sink that is added", places=1)
            found = nursery.read(run.folder, second)
            points = Counter((name, *point) for name, points in run.logged.points.items() for point in points)
            assert Counter(found.points) == points, place
            assert found.contents.files == run.logged.files, place
            assert found.contents.status == "killed", place
            figure("Crash at each step", "a sink that is added", points=points.total(), lost=0, doubled=0)


COMMITTING = [Attempt.deliver, Lane._commit, Attempt.enter_all, Feed.add_to, delete_passed_segments, Lane._end]
COMMITTING += [remove_spool_if_complete, LockedLedger.save, write_atomically, RunFolder.remove_spool]
"""Where what is delivered and what is known of it can be of two minds."""


def chosen(reached: dict[str, int], backend: str) -> list[Place]:
    """Each line of `COMMITTING`, and of all other places some, at the first time or at the last; or a few of all."""
    dice = random.Random(seed := random.randrange(10**6) if FULL else 5000)
    print(f"seed {seed}")
    lines = places_in(*COMMITTING)
    first = [(place, 1) for place in sorted(reached) if place in lines]
    others = [(place, dice.choice((1, count))) for place, count in sorted(reached.items())]
    if not FULL:
        return dice.sample(first, 4) + dice.sample(others, 2)
    return first + dice.sample(others, min(len(others), 160 if backend in LIGHT else 30))


def places_in(*functions: Callable[..., object]) -> set[str]:
    """The names of all places that these functions may have."""
    found = set()
    for function in functions:
        lines, start = inspect.getsourcelines(function)
        found |= {f"{Path(inspect.getfile(function)).name}:{start + number}" for number in range(len(lines))}
    return found
