"""Many at once: processes on one root, threads and tasks on one run, forks in mid-log, spawned workers."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from unitrack_children import Point, curve, lost_and_doubled, points_in, train
from unitrack_faults import figure, rounds

import unitrack
from unitrack.errors import RunFinishedError

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

TABLE = "Many at once"
POINTS = 100

ONE_ROOT = """
start = time.monotonic() + 0.5
pids = []
for number in range(int(sys.argv[1])):
    pids.append(os.fork())
    if not pids[-1]:
        time.sleep(max(0.0, start - time.monotonic()))  # all at once
        with unitrack.start_run("same name", sinks=["local"], root="runs") as run:
            for step in range(100):
                run.log_metrics({f"process{number}": step / 7}, step=step)
        report = run.finish()
        os._exit(not report.ok)
print(json.dumps([os.waitpid(pid, 0)[1] for pid in pids]))
"""


def test_processes_share_a_root(root: Path) -> None:
    """All start a run of the same name at the same moment: each has a folder of its own, and all of its points."""
    processes = rounds(short=8, full=64)
    [exits] = train(root, ONE_ROOT, str(processes), timeout=500)
    assert exits == [0] * processes
    folders = list((root / "runs").iterdir())
    assert len(folders) == processes
    found = [points_in(folder) for folder in folders]
    assert {len({name for name, _, _ in one}) for one in found} == {1}
    logged = [point for number in range(processes) for point in curve(f"process{number}", POINTS)]
    lost, doubled = lost_and_doubled(logged, [point for one in found for point in one])
    figure(TABLE, f"{processes} processes on one root", rounds=1, points=len(logged), lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)


def log_until_finished(run: unitrack.Run, name: str, most: int, logged: list[Point]) -> None:
    """Log, and note each call that has returned; the end of the run is told by an error."""
    for step in range(most):
        try:
            run.log_metrics({name: step / 7}, step=step)
        except RunFinishedError:
            return
        logged.append((name, step, step / 7))


@pytest.mark.parametrize("races", [False, True], ids=["all finish first", "finish races"])
def test_threads_share_a_run(root: Path, races: bool) -> None:
    """What a call has returned for is there, once, though other threads log, and end the run meanwhile."""
    for number in range(rounds(short=2, full=25)):
        run = unitrack.start_run("threads", sinks=["local"], root=root / "runs", delivery="thread")
        returned: list[list[Point]] = [[] for _ in range(32)]
        threads = [
            threading.Thread(target=log_until_finished, args=(run, f"thread{index}", 100_000 if races else 100, logged))
            for index, logged in enumerate(returned)
        ]
        for thread in threads:
            thread.start()
        if not races:
            for thread in threads:
                thread.join()
        reports: list[unitrack.DeliveryReport] = []
        ends = [threading.Thread(target=lambda: reports.append(run.finish(timeout=60))) for _ in range(3)]  # noqa: B023
        for thread in (*ends, *threads):
            if thread in ends:
                thread.start()
        for thread in (*ends, *threads):
            thread.join()
        assert [report.ok for report in reports] == [True] * 3
        logged = [point for one in returned for point in one]
        assert not races or logged
        found = points_in(run.path)
        lost, doubled = lost_and_doubled(logged, found)
        row = "32 threads on one run" + (", others finish it" if races else "")
        figure(TABLE, row, rounds=1, points=len(logged), lost=lost, doubled=doubled)
        assert (lost, doubled) == (0, 0), number
        for name in {name for name, _, _ in found}:
            steps = [step for one, step, _ in found if one == name]
            assert steps == sorted(steps)


def test_tasks_have_a_run_each(root: Path) -> None:
    """Fifty runs are open at once; a tracker's active run is that of the task."""
    tracker = unitrack.Tracker({"tracking": {"sinks": ["local"], "root": str(root / "runs")}})

    async def task(number: int) -> Path:
        run = tracker.start_run(f"task{number}")
        for step in range(20):
            tracker.log_metrics({f"task{number}": step / 7}, step=step)
            await asyncio.sleep(0)
        assert tracker.active_run is run
        await everybody.wait()
        await asyncio.to_thread(tracker.end_run)
        return run.path

    async def all_tasks() -> list[Path]:
        return await asyncio.gather(*(task(number) for number in range(50)))

    everybody = asyncio.Barrier(50)
    paths = asyncio.run(all_tasks())
    missing = [lost_and_doubled(curve(f"task{number}", 20), points_in(path)) for number, path in enumerate(paths)]
    lost, doubled = (sum(column) for column in zip(*missing, strict=True))
    figure(TABLE, "50 asyncio tasks with a run each", rounds=1, points=50 * 20, lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)


FORKS = """
rounds = int(sys.argv[1])
run = unitrack.start_run("forks", sinks=["local"], root="runs", delivery=sys.argv[2])
logging, counts = True, [0] * 3

def log(index):
    while logging:
        run.log_metrics({f"thread{index}": counts[index] / 7}, step=counts[index])
        counts[index] += 1
        if counts[index] % 20 == 0:
            time.sleep(0.001)

def work(name):
    for step in range(20):
        run.log_metrics({name: step / 7}, step=step)

threads = [threading.Thread(target=log, args=(index,)) for index in range(3)]
for thread in threads:
    thread.start()
exits = []
for number in range(rounds):
    pids = []
    for worker in range(8):
        pids.append(os.fork())  # a thread may hold the journal's lock at this moment
        if not pids[-1]:
            work(f"worker{number}.{worker}")
            if worker == 0:
                child = os.fork()
                work(f"{'parent' if child else 'child'}{number}")
                if not child:
                    os._exit(0)
                os.waitpid(child, 0)
            if worker == 1:
                run.finish()
                run.finish()
            os._exit(0)
    exits += [os.waitpid(pid, 0)[1] for pid in pids]
logging = False
for thread in threads:
    thread.join()
report = run.finish(timeout=120)
print(json.dumps([exits, counts, report.ok, str(report)]))
"""


@pytest.mark.parametrize("delivery", ["process", "thread", "inline"])
def test_forks_in_the_middle_of_logging(root: Path, delivery: str) -> None:
    """Eight workers a round, forked while threads log; one of them forks on, and one ends its part twice."""
    number = rounds(short=2, full=50)
    [[exits, counts, ok, report]] = train(root, FORKS, str(number), delivery, timeout=300)
    assert not any(exits)
    assert ok, report
    logged = [point for index, count in enumerate(counts) for point in curve(f"thread{index}", count)]
    for turn in range(number):
        logged += [point for worker in range(8) for point in curve(f"worker{turn}.{worker}", 20)]
        logged += curve(f"parent{turn}", 20) + curve(f"child{turn}", 20)
    lost, doubled = lost_and_doubled(logged, points_in(root / "runs" / "forks"))
    figure(TABLE, f"forks with 8 workers, {delivery}", rounds=number, points=len(logged), lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)
