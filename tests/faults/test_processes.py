"""Many at once: processes on one root, threads and tasks on one run, forks in mid-log, spawned workers."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from unitrack_probe import calls, points
from unitrack_tests.children import Point, curve, is_alive, lost_and_doubled, points_in, train, wait_until
from unitrack_tests.faults import figure, rounds

import unitrack
from unitrack.cli import app
from unitrack.delivery.status import read_run_state
from unitrack.delivery.sync import sync_run
from unitrack.errors import RunFinishedError
from unitrack.plugins.registry import installed
from unitrack.reading.stored_run import StoredRun
from unitrack.runfolder.run_folder import RunFolder

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


FOUR_SINKS = [{"mlflow": {"tracking_uri": "sqlite:///mlflow.db"}}, {"wandb": {"mode": "offline"}}, "tensorboard"]


@pytest.mark.several_plugins
def test_many_runs_are_open_at_once(root: Path) -> None:
    """As in a notebook or a sweep: all of them share the couriers, and each is complete in each sink."""
    if not {"mlflow", "wandb", "tensorboard"} <= installed().backends.keys():
        pytest.skip("needs unitrack-mlflow, unitrack-wandb and unitrack-tensorboard")
    number, length = rounds(short=12, full=200), 50
    runs = [unitrack.start_run(f"open{i}", project="many", sinks=["local", *FOUR_SINKS]) for i in range(number)]
    for step in range(length):
        for run in runs:
            run.log_metrics({run.name: step / 7}, step=step)
    with ThreadPoolExecutor(number) as threads:
        reports = list(threads.map(lambda run: run.finish(timeout=500), runs))
    assert {(sink.sink, sink.verdict) for report in reports for sink in report.sinks.values()} == {
        (name, "complete") for name in ("local", "mlflow", "wandb", "tensorboard")
    }
    logged = [point for run in runs for point in curve(run.name, length)]
    places = {link.location for run in runs for sink, link in run.links().items() if sink in ("mlflow", "tensorboard")}
    stores = [unitrack.runs(f"{'mlflow' if '://' in place else 'tensorboard'}:{place}") for place in sorted(places)]
    for found in ([points_in(run.path) for run in runs], *([history(one) for one in store] for store in stores)):
        lost, doubled = lost_and_doubled(logged, [point for one in found for point in one])
        assert (lost, doubled) == (0, 0)
    figure(TABLE, f"{number} open runs, four sinks each", rounds=1, points=len(logged), lost=0, doubled=0)


def history(run: StoredRun) -> list[Point]:
    """All points of a run of which each metric has its name."""
    return [(run.name, step, value) for step, value, _ in run.history(run.name)]


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
        run = tracker.start_run(f"task{number}").run
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
journals = len(list(run.path.glob(".spool/*.journal")))
report = run.finish(timeout=120)
print(json.dumps([exits, counts, journals, report.ok, str(report)]))
"""


@pytest.mark.parametrize("delivery", ["process", "thread", "inline"])
def test_forks_in_the_middle_of_logging(root: Path, delivery: str) -> None:
    """Eight workers a round, forked while threads log; one of them forks on, and one ends its part twice."""
    number = rounds(short=2, full=50)
    [[exits, counts, journals, ok, report]] = train(root, FORKS, str(number), delivery, timeout=300)
    assert not any(exits)
    assert ok, report
    assert journals == 1 + 9 * number  # one for each process, that of a fork's fork as well
    logged = [point for index, count in enumerate(counts) for point in curve(f"thread{index}", count)]
    for turn in range(number):
        logged += [point for worker in range(8) for point in curve(f"worker{turn}.{worker}", 20)]
        logged += curve(f"parent{turn}", 20) + curve(f"child{turn}", 20)
    lost, doubled = lost_and_doubled(logged, points_in(root / "runs" / "forks"))
    figure(TABLE, f"forks with 8 workers, {delivery}", rounds=number, points=len(logged), lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)


WORKERS = """
import multiprocessing

def work(run, name):
    with run:
        for step in range(50):
            run.log_metrics({name: step / 7}, step=step)
        run.set_tags({name: os.getpid()})

def work_alone(fails):
    run = unitrack.start_run("fails" if fails else "alone", sinks=["local"], root="runs")
    for step in range(50):
        run.log_metrics({"alone": step / 7}, step=step)
    if fails:
        raise SystemExit(3)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    run = unitrack.start_run("workers", sinks=["local"], root="runs")
    workers = [context.Process(target=work, args=(run, f"worker{number}")) for number in range(int(sys.argv[2]))]
    workers += [context.Process(target=work_alone, args=(fails,)) for fails in (False, True)]
    for worker in workers:
        worker.start()
    for step in range(50):
        run.log_metrics({"owner": step / 7}, step=step)
    for worker in workers:
        worker.join()
    report = run.finish(timeout=120)
    print(json.dumps([[worker.exitcode for worker in workers], report.ok, str(report)]))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing(root: Path, method: str) -> None:
    """They log to the run that they were handed, or to one of their own, which ends as they end."""
    number = rounds(short=2, full=16)
    [[exits, ok, report]] = train(root, WORKERS, method, str(number), timeout=300)
    assert exits == [0] * (number + 1) + [3]
    assert ok, report
    logged = [point for worker in range(number) for point in curve(f"worker{worker}", 50)] + curve("owner", 50)
    lost, doubled = lost_and_doubled(logged, points_in(root / "runs" / "workers"))
    figure(TABLE, f"workers by {method}", rounds=1, points=len(logged), lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)
    for name, status in (("alone", "completed"), ("fails", "failed")):
        wait_until(lambda name=name: metadata(root / "runs" / name)["status"] != "running")  # by a courier
        assert metadata(root / "runs" / name)["status"] == status
        assert points_in(root / "runs" / name) == curve("alone", 50)


def metadata(folder: Path) -> dict[str, Any]:
    file = folder / "metadata.json"
    return json.loads(file.read_bytes()) if file.exists() else {"status": "running"}


LATE = """
import pickle, subprocess
probe = {"out": os.path.abspath("probe"), "limits": {"WRITERS_GRACE_S": 0.2}}
run = unitrack.start_run("late", sinks=["local", {"probe": probe}], root="runs", delivery=sys.argv[1])
worker = '''
import os, pickle, sys, time
run = pickle.load(sys.stdin.buffer)
for step in range(20):
    run.log_metrics({"worker": step / 7}, step=step)
    if step == 4:
        print("begun", flush=True)
        deadline = time.monotonic() + 60
        while not os.path.exists("go on") and time.monotonic() < deadline:
            time.sleep(0.01)
run.finish()
'''
process = subprocess.Popen([sys.executable, "-c", worker], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
process.stdin.write(pickle.dumps(run))
process.stdin.close()
process.stdout.readline()
run.log_metrics({"owner": 0.0}, step=0)
report = run.finish(timeout=60)
print(json.dumps([report.ok, process.pid]))
"""


@pytest.mark.parametrize("delivery", ["process", "inline"])
def test_what_a_worker_logs_after_the_end_of_the_run(root: Path, delivery: str) -> None:
    """The courier waits for it as long as it is there; else `unitrack sync` delivers it, and status tells of it."""
    [[ok, worker]] = train(root, LATE, delivery)
    assert ok
    folder = RunFolder(root / "runs" / "late")
    early = [("owner", 0, 0.0), *curve("worker", 5)]
    assert lost_and_doubled(early, points_in(folder.path)) == (0, 0)
    assert metadata(folder.path)["status"] == "completed"
    (root / "go on").touch()
    wait_until(lambda: not is_alive(worker))
    if delivery == "inline":
        state = read_run_state(folder)
        assert [(sink.state, sink.pending) for sink in state.sinks] == [("pending", 16)] * 2  # 15 points and its end
        sync_run(folder, timeout=60)
    wait_until(lambda: not folder.spool.exists())
    logged = [("owner", 0, 0.0), *curve("worker", 20)]
    in_probe = [(name, *point) for name in ("owner", "worker") for point in points(root / "probe", name)]
    lost, doubled = lost_and_doubled(logged * 2, points_in(folder.path) + in_probe)
    by = "a courier" if delivery == "process" else "sync"
    figure(TABLE, f"logged after the end, by {by}", rounds=1, points=2 * len(logged), lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)
    assert metadata(folder.path)["status"] == "completed"
    assert read_run_state(folder).is_complete


def test_a_worker_that_begins_too_late_is_told(root: Path) -> None:
    """Not that a file is missing."""
    run = unitrack.start_run("over", sinks=["local"], root=root, delivery="inline")
    worker = pickle.loads(pickle.dumps(run))
    assert run.finish().ok
    with pytest.raises(RunFinishedError, match="ended by the process that owns it"):
        worker.log_metric("loss", 1)
    assert list(root.rglob(".spool")) == []


SECOND_COURIER = """
from unitrack.delivery.courier.protocol import Terms
from unitrack.delivery.courier.pool import pool
from unitrack.runfolder.run_folder import RunFolder
from pathlib import Path
folder = RunFolder(Path(sys.argv[1]))
pool.deliver(folder, folder.read_manifest().sinks[0], Terms())
print(json.dumps(True))
time.sleep(float(sys.argv[2]))
"""


def test_of_two_couriers_and_a_sync_one_works(root: Path) -> None:
    """The others wait, or leave it, and say who is at it; nothing is there twice."""
    for number in range(rounds(short=1, full=10)):
        out = root / f"probe{number}"
        sinks: list[Any] = [{"probe": {"out": str(out)}}]
        run = unitrack.start_run("one", sinks=sinks, root=root / "runs")
        others = [threading.Thread(target=train, args=(root, SECOND_COURIER, str(run.path), "1")) for _ in range(2)]
        for other in others:
            other.start()
        step = 0
        while step < 50 or any(other.is_alive() for other in others):
            run.log_metrics({"loss": step / 7}, step=step)
            step += 1
            if step == 50:
                wait_until(lambda: points(out, "loss"))  # noqa: B023
                [courier] = {call["pid"] for call in calls(out)}
                for command in ("sync", "status"):
                    said = CliRunner().invoke(app, [command, str(run.path)])
                    assert f"process {courier} delivers" in " ".join(said.output.split()), said.output
            time.sleep(0.001)
        assert run.finish(timeout=60).ok
        assert {call["pid"] for call in calls(out)} == {courier}
        found = [("loss", *point) for point in points(out, "loss")]
        lost, doubled = lost_and_doubled(curve("loss", step), found)
        row = "two couriers and syncs after one run"
        figure(TABLE, row, rounds=1, points=step, lost=lost, doubled=doubled)
        assert (lost, doubled) == (0, 0)


ONE_AFTER_THE_OTHER = """
import psutil

def state():
    me = psutil.Process()
    couriers = [child for child in me.children() if "unitrack.delivery.courier" in child.cmdline()]
    return [[one.num_fds(), one.num_threads(), one.memory_info().rss / 2**20] for one in (me, *couriers)]

count, states = int(sys.argv[1]), []
for number in range(count):
    with unitrack.start_run("short", sinks=["local"], root="runs") as run:
        run.log_metrics({"loss": number / 7}, step=number)
    assert run.finish().ok
    if number in (count // 10, count - 1):
        time.sleep(2)  # the courier forgets what is done once a second
        states.append(state())
print(json.dumps([states, [child.pid for child in psutil.Process().children()]]))
"""


def test_runs_one_after_the_other_leave_nothing(root: Path) -> None:
    """Descriptors, threads and memory, of training and of its one courier, are the same after all of them."""
    runs = rounds(short=30, full=1000)
    [[(early, late), children]] = train(root, ONE_AFTER_THE_OTHER, str(runs), timeout=500)
    assert len(early) == len(late) == 2
    assert len(children) == 1
    wait_until(lambda: not any(is_alive(pid) for pid in children))
    found = [point for folder in (root / "runs").iterdir() for point in points_in(folder)]
    lost, doubled = lost_and_doubled([("loss", number, number / 7) for number in range(runs)], found)
    figure(TABLE, f"{runs:,} runs one after the other", rounds=1, points=runs, lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)
    for who, before, after in zip(("training", "courier"), early, late, strict=True):
        columns = {
            f"{what}_{when}": value
            for what, values in zip(("descriptors", "threads", "MiB"), zip(before, after, strict=True), strict=True)
            for when, value in zip(("early", "at_the_end"), values, strict=True)
        }
        figure("Many runs", f"{who}, {runs:,} runs", **columns)
        assert after[:2] == before[:2]
        assert after[2] - before[2] < 10  # MiB; a thousand runs that leave 10 KiB each


INLINE_FORK = """
run = unitrack.start_run("inline", sinks=["local"], root="runs", delivery="inline")
for step in range(20):
    run.log_metrics({"parent": step / 7}, step=step)
    if step == 10:
        child = os.fork()
        if not child:
            for step in range(20):
                run.log_metrics({"child": step / 7}, step=step)
            run.flush(timeout=0.0)
            os._exit(0)
        os.waitpid(child, 0)
print(json.dumps(run.finish(timeout=60).ok))
"""


def test_a_forked_child_of_inline_delivery_delivers_nothing(root: Path) -> None:
    """Its copy of the sink and of the offset would deliver what the parent delivers."""
    assert train(root, INLINE_FORK) == [True]
    logged = curve("parent", 20) + curve("child", 20)
    assert lost_and_doubled(logged, points_in(root / "runs" / "inline")) == (0, 0)
