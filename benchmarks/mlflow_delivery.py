"""What delivery to MLflow on SQLite costs with two more sinks beside it, against `MlflowClient.log_batch` alone.

`python benchmarks/mlflow_delivery.py [--points 200000] [--rounds 3]`. "unitrack" is the courier of MLflow from the
moment at which its sink is open; couriers of local files and TensorBoard deliver the same points meanwhile. What its
import and the opening of the store take is told below the table. "executemany" is what SQLite itself takes for the
same rows. The ratios are to the fastest `log_batch`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
from rich.console import Console
from rich.table import Table
from runs import lanes, write_journal

from unitrack.delivery.courier.pool import pool
from unitrack.delivery.courier.protocol import Terms
from unitrack.delivery.ledger import LaneState, Ledger
from unitrack.runfolder.run_folder import RunFolder

BATCHES = (300, 500, 1000)
"""Points in one `log_batch`; MLflow takes 1,000 at most. The fastest counts."""
FLOOR, PLAIN, OURS = "executemany", "log_batch alone, {} a batch", "unitrack"
NICE = 10
DATABASE = "mlflow.db"


class Cost(NamedTuple):
    """In seconds."""

    cpu: float
    wall: float


def run(folder: Path, points: int = 50_000, rounds: int = 1) -> Table:
    """Microseconds a point, medians over interleaved rounds."""
    found: dict[str, list[Cost]] = {}
    _ours(folder / "first", 10)  # bytecode
    for number in range(rounds):
        costs = {FLOOR: in_own_process(folder / f"floor-{number}", "floor", points)}
        for size in BATCHES:
            costs[PLAIN.format(size)] = in_own_process(folder / f"plain-{number}-{size}", str(size), points)
        costs[OURS], opening = _ours(folder / f"ours-{number}", points)
        for name, cost in costs.items():
            found.setdefault(name, []).append(cost)
    table = _as_table(found, points)
    table.caption = f"import and opening of the store: {opening.cpu:.1f} s of CPU, {opening.wall:.1f} s"
    return table


def _as_table(found: dict[str, list[Cost]], points: int) -> Table:
    medians = {name: Cost(*map(statistics.median, zip(*costs, strict=True))) for name, costs in found.items()}
    plain = [medians[PLAIN.format(size)] for size in BATCHES]
    best = Cost(min(cost.cpu for cost in plain), min(cost.wall for cost in plain))
    table = Table("what", "CPU us/point", "wall us/point", "CPU x", "wall x", title=f"{points:,} points into MLflow")
    for name, cost in medians.items():
        table.add_row(
            name,
            *(f"{seconds / points * 1e6:.1f}" for seconds in cost),
            *(f"{ours / theirs:.2f}" for ours, theirs in zip(cost, best, strict=True)),
        )
    return table


# -- ours -------------------------------------------------------------------------------------------------------------


def _ours(folder: Path, points: int) -> tuple[Cost, Cost]:
    """Deliver a journal to three sinks; the cost of the points, and of what comes before them."""
    sinks: list[object] = ["local", "tensorboard", {"mlflow": {"tracking_uri": f"sqlite:///{folder}/{DATABASE}"}}]
    run = write_journal(folder / "runs", sinks, points)
    began = time.perf_counter()
    for lane in lanes(run):
        pool.deliver(run, lane, Terms(nice=NICE))
    try:
        opened = _wait(run, "delivering", began)
        done = _wait(run, "complete", began)
    finally:
        pool.let_go()
    if (delivered := Ledger.load(run.ledger_file("mlflow")).delivered) != points + 2:
        raise RuntimeError(f"{delivered} of {points + 2} records were delivered")
    return Cost(done.cpu - opened.cpu, done.wall - opened.wall), opened


def _wait(run: RunFolder, state: LaneState, began: float) -> Cost:
    """Wait for the courier of MLflow to come to a state; what it has cost until then."""
    while True:
        ledger = Ledger.load(run.ledger_file("mlflow"))
        if ledger.pid is not None and ledger.state in (state, "complete"):
            times = psutil.Process(ledger.pid).cpu_times()
            return Cost(times.user + times.system, time.perf_counter() - began)
        if ledger.last_error:
            raise RuntimeError(ledger.last_error)
        time.sleep(0.01)


# -- the client itself, and SQLite -----------------------------------------------------------------------------------


def in_own_process(folder: Path, how: str, points: int) -> Cost:
    """The cost of writing points into a database in `folder`: by `log_batch` of so many, or by SQLite's "floor"."""
    folder.mkdir()
    command = [sys.executable, "-W", "ignore", str(Path(__file__).absolute()), "--child", how, "--points", str(points)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def _measure(how: str, points: int) -> Cost:
    """Write points into a new database in the working directory."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(tracking_uri=f"sqlite:///{DATABASE}")
    run_id = client.create_run("0").info.run_id
    client.log_batch(run_id, metrics=[Metric("first", 0.0, 0, 0)], synchronous=True)
    now = time.time_ns() // 1_000_000

    def log_batches(size: int) -> None:
        for begin in range(0, points, size):
            steps = range(begin, min(begin + size, points))
            metrics = [Metric("loss", step * 0.5, now + step, step) for step in steps]
            client.log_batch(run_id, metrics=metrics, synchronous=True)

    def insert(size: int = 1000) -> None:
        with contextlib.closing(sqlite3.connect(DATABASE)) as database:
            for begin in range(0, points, size):
                steps = range(begin, min(begin + size, points))
                rows = [("loss", step * 0.5, now + step, step, False, run_id) for step in steps]
                columns = "key, value, timestamp, step, is_nan, run_uuid"
                database.executemany(f"INSERT INTO metrics ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)
                database.commit()

    return _cost_of(insert if how == "floor" else lambda: log_batches(int(how)))


def _cost_of(work: Callable[[], None]) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def main() -> None:
    """Run the benchmark, or, as a child, write with the client or with SQLite alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_measure(given.child, given.points)))
        return
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-") as folder:
        Console().print(run(Path(folder), given.points, given.rounds))


if __name__ == "__main__":
    main()
