"""1,000 nodes against one MLflow server on this machine: through unitrack, and through the plain client.

`python benchmarks/scale.py [--nodes 1000] [--steps 20] [--limit 240] [--stores sqlite postgresql] [--clients ...]`

The nodes' lanes are real, and so are the sink, the server and its database; what is missing is the network and the
processors of 1,000 machines, so two processes carry all nodes and share the machine with the server. The arrival is
that of a job of 1,000 nodes: all start within five seconds, log a step each second, and end together.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import msgspec
from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parents[1] / "plugins" / "unitrack-mlflow" / "tests"))
sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
os.environ["PYTHONDONTWRITEBYTECODE"] = ""  # else each process compiles MLflow

from mlflow_server import serving
from scale_nodes import Client, Spec, Told, value_of
from unitrack_tests.postgres import is_available
from unitrack_tests.postgres import serving as serving_postgres

HERE = Path(__file__).absolute().parent
STORES = ("sqlite", "postgresql")
LAUNCH_S = 5.0
PROCESSES = 2
PLAIN_LIMIT_S = 45.0
"""How long the plain client is watched: it does not come to an end."""


class Cell(NamedTuple):
    """What came of one client against one store."""

    store: str
    client: str
    told: Told
    seconds: float
    """From the start until the last node was done, or the limit."""
    nodes: int
    arrived: int
    lost: int
    """Points that were logged and did not arrive, or arrived otherwise than logged."""
    doubled: int
    points: int
    """Points of all nodes."""


def measure(
    folder: Path,
    stores: list[str],
    clients: list[Client],
    nodes: int,
    steps: int,
    limit: float,
    *,
    crowd: bool = True,
    workers: int = 2,
) -> Iterator[Cell]:
    """Measure each client against each store."""
    for store, client in itertools.product(stores, clients):
        with contextlib.ExitStack() as stack:  # a server each: one that was overrun has requests left to do
            place = folder / f"{store}-{client}"
            place.mkdir(parents=True)
            database = None
            if store == "postgresql":
                database = stack.enter_context(serving_postgres()).url().replace("://", "+psycopg://", 1)
            url = stack.enter_context(serving(place, database, workers)).wait()
            kept = database or f"sqlite:///{place / 'mlflow.db'}"
            most = limit if client == "unitrack" else min(limit, PLAIN_LIMIT_S)
            yield _one(place, url, kept, store, client, nodes, steps, most, crowd)


def _one(
    folder: Path, url: str, database: str, store: str, client: Client, nodes: int, steps: int, limit: float, crowd: bool
) -> Cell:
    from mlflow import MlflowClient

    experiment = f"{client} {time.time_ns()}"
    MlflowClient(url).create_experiment(experiment)
    metrics = 2
    specs = [
        Spec(
            client=client,
            url=url,
            experiment=experiment,
            folder=str(folder / f"{client}-{process}"),
            nodes=list(range(nodes))[process::PROCESSES],
            crowd=nodes if crowd else 1,
            launch=LAUNCH_S * min(1.0, nodes / 100),
            steps=steps,
            interval=1.0,
            metrics=metrics,
            limit=limit,
        )
        for process in range(PROCESSES)
    ]
    told = _run(specs)
    seconds = max(told.done, default=limit) if len(told.done) == nodes else limit
    wanted = {
        (f"node-{node}", f"metric{metric}", step, value_of(node, step, metric))
        for node, step, metric in itertools.product(range(nodes), range(steps), range(metrics))
    }
    found = _points(database, experiment)
    right = wanted & set(found)
    return Cell(
        store, client, told, seconds, nodes, len(right), len(set(found) - wanted), len(found) - len(set(found)),
        len(wanted),
    )  # fmt: skip


def _run(specs: list[Spec]) -> Told:
    """Run the processes of all nodes, started at one moment, and gather what they tell."""
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "scale_nodes.py"), msgspec.json.encode(spec).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for spec in specs
    ]
    whole = Told()
    try:
        for process in processes:
            assert process.stdout is not None
            while (line := process.stdout.readline()) != "ready\n":
                if not line:
                    raise RuntimeError("a process of nodes has ended early")
        started = time.time() + 0.5
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{started}\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            told = msgspec.json.decode(process.stdout.readlines()[-1], type=Told)
            for name in told.__struct_fields__:
                setattr(whole, name, getattr(whole, name) + getattr(told, name))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return whole


def _points(database: str, experiment: str) -> list[tuple[str, str, int, float]]:
    """All points of an experiment, as the database has them."""
    import sqlalchemy

    query = """
        SELECT tags.value, metrics.key, metrics.step, metrics.value FROM metrics
        JOIN tags ON tags.run_uuid = metrics.run_uuid AND tags.key = 'unitrack.run_id'
        JOIN runs ON runs.run_uuid = metrics.run_uuid
        JOIN experiments ON experiments.experiment_id = runs.experiment_id
        WHERE experiments.name = :name
    """
    engine = sqlalchemy.create_engine(database)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sqlalchemy.text(query), {"name": experiment})]
    finally:
        engine.dispose()


def as_table(cells: list[Cell]) -> Table:
    """One row for each client and store."""
    headings = (
        "store", "client", "log call p50", "p99", "requests", "a second", "points a batch", "request p50 ms", "p99 ms",
        "refused", "failed calls", "pauses", "all there s", "arrived", "lost", "doubled",
    )  # fmt: skip
    nodes, points = cells[0].nodes, cells[0].points
    table = Table(*headings, title=f"{nodes:,} nodes, {points:,} points, one MLflow server")
    for cell in cells:
        told = cell.told
        times = [request[1] for request in told.requests]
        batches = [request[3] for request in told.requests if request[3]]
        refused = sum(request[2] == 0 or request[2] >= 400 for request in told.requests)
        pauses = f"{len(told.pauses)} of {statistics.mean(told.pauses):.1f} s" if told.pauses else "0"
        whole = len(told.done) == cell.nodes
        table.add_row(
            cell.store,
            cell.client,
            _duration(_quantile(told.calls, 0.5)),
            _duration(_quantile(told.calls, 0.99)),
            f"{len(times):,}",
            f"{len(times) / cell.seconds:.0f}",
            f"{statistics.mean(batches):.1f}" if batches else "",
            f"{_quantile(times, 0.5) * 1e3:,.0f}",
            f"{_quantile(times, 0.99) * 1e3:,.0f}",
            f"{refused:,}",
            f"{told.failed:,}",
            pauses,
            f"{cell.seconds:.0f}" if whole else f"not in {cell.seconds:.0f}",
            f"{cell.arrived / cell.points:.1%}",
            str(cell.lost if cell.arrived < cell.points and not whole else cell.lost + cell.points - cell.arrived),
            str(cell.doubled),
        )
    return table


def _quantile(numbers: list[float], share: float) -> float:
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))] if ordered else math.nan


def _duration(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:,.0f} ms"


def run(folder: Path) -> Table:
    """A small one, in half a minute."""
    return as_table(list(measure(folder, ["sqlite"], list(get_args(Client)), 50, 5, 20.0, workers=1)))


def main() -> None:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=20, help="steps of a node, one a second")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds that unitrack may take at one store")
    parser.add_argument("--stores", nargs="*", default=list(STORES), choices=STORES)
    parser.add_argument("--clients", nargs="*", default=list(get_args(Client)), choices=get_args(Client))
    parser.add_argument("--no-crowd", action="store_true", help="as if no launcher told how many nodes there are")
    parser.add_argument("--workers", type=int, default=2, help="processes of the server")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are ended as well
    stores = [store for store in given.stores if store != "postgresql" or is_available()]
    warnings.simplefilter("ignore")
    console = Console(width=220)
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-", ignore_cleanup_errors=True) as folder:
        try:
            for cell in measure(
                Path(folder),
                stores,
                given.clients,
                given.nodes,
                given.steps,
                given.limit,
                crowd=not given.no_crowd,
                workers=given.workers,
            ):
                told = cell.told
                done = f"{cell.store}, {cell.client}: {len(told.done):,} nodes done in {cell.seconds:.0f} s"
                console.print(done, *told.errors[:1], sep="; ", highlight=False)
                cells.append(cell)
        finally:
            if cells:
                console.print(as_table(cells))


if __name__ == "__main__":
    main()
