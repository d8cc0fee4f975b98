"""Points a second into PostgreSQL and SQLite: the lane of an `sql` sink, the plain driver, and MLflow's `log_batch`.

`python benchmarks/sql.py [--points 100000] [--rounds 3]`. "lane" is everything from the journal to the confirmed end of
the run. "floor" is what the driver takes for the same rows into the same table: COPY into PostgreSQL, `executemany`
into SQLite, one transaction for each 10,000 rows. PostgreSQL is a server of the benchmark's own, with fsync.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table
from runs import deliver

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from unitrack_tests.postgres import serving

POINTS = 100_000
PEER_POINTS = 10_000
ROUNDS = 3
PER_BATCH = 1000
"""MLflow's limit for `log_batch`."""
ROWS = 10_000
"""Of a transaction of the floor."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS floor (run_key BIGINT NOT NULL, metric BIGINT NOT NULL, number BIGINT NOT NULL, "
    "step BIGINT NOT NULL, value {float}, time BIGINT NOT NULL, withdrawn BIGINT, "
    "PRIMARY KEY (run_key, metric, number)){clustered}"
)


def run(folder: Path, points: int = POINTS, rounds: int = ROUNDS) -> Table:
    """The medians of rounds, in which all candidates take turns."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    table = Table(
        "database", "lane points/s", "floor points/s", "log_batch points/s", "of the floor", "times log_batch"
    )
    with serving(settings=()) as server:
        urls = {"SQLite": f"sqlite:///{folder / 'ours.db'}", "PostgreSQL": server.make_database()}
        floors: dict[str, Callable[[int, int], float]] = {
            "SQLite": lambda number, count: _executemany(folder / "floor.db", number, count),
            "PostgreSQL": lambda number, count: _copy(urls["PostgreSQL"], number, count),
        }
        peers = {"SQLite": f"sqlite:///{folder / 'mlflow.db'}", "PostgreSQL": _for_mlflow(server.make_database())}
        for name, url in urls.items():
            deliver(folder / "runs", {"sql": {"url": url}}, 10)  # imports, and the tables
            has_peer = _log_batch(peers[name], 10) is not None
            ours, floor, theirs = [], [], []
            for number in range(rounds):
                ours.append(points / deliver(folder / "runs", {"sql": {"url": url}}, points))
                floor.append(points / floors[name](number, points))
                if has_peer:
                    theirs.append(PEER_POINTS / (_log_batch(peers[name], PEER_POINTS) or 1))
            lane, plain, peer = map(statistics.median, (ours, floor, theirs or [0]))
            table.add_row(
                name,
                f"{lane:,.0f}",
                f"{plain:,.0f}",
                f"{peer:,.0f}" if theirs else "no driver",
                f"{lane / plain:.2f}",
                f"{lane / peer:.1f}" if theirs else "",
            )
    return table


def _batches(number: int, points: int) -> list[list[tuple[int, ...]]]:
    rows = [(number, 0, point, point, point * 0.5, 1_700_000_000_000 + point, None) for point in range(points)]
    return [rows[first : first + ROWS] for first in range(0, points, ROWS)]  # type: ignore[misc]


def _executemany(path: Path, number: int, points: int) -> float:
    batches = _batches(number, points)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(_TABLE.format(float="", clustered=" WITHOUT ROWID"))
        before = time.perf_counter()
        for batch in batches:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO floor VALUES (?, ?, ?, ?, ?, ?, ?)", batch)
            database.execute("COMMIT")
        return time.perf_counter() - before


def _copy(url: str, number: int, points: int) -> float:
    import psycopg

    batches = _batches(number, points)
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(_TABLE.format(float="DOUBLE PRECISION", clustered="").encode())
        before = time.perf_counter()
        for batch in batches:
            with database.cursor().copy("COPY floor FROM STDIN") as copy:
                for row in batch:
                    copy.write_row(row)
        return time.perf_counter() - before


def _for_mlflow(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def _log_batch(uri: str, points: int) -> float | None:
    """Return the seconds that MLflow takes; None if it can't use the database."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    try:
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("bench")
        experiment_id = experiment.experiment_id if experiment else client.create_experiment("bench")
    except Exception as error:
        print(f"MLflow on {uri.partition(':')[0]}: {type(error).__name__}: {str(error).splitlines()[0]}")
        return None
    run_id = client.create_run(experiment_id).info.run_id
    metrics = [Metric("loss", point * 0.5, 1_700_000_000_000 + point, point) for point in range(points)]
    before = time.perf_counter()
    for first in range(0, points, PER_BATCH):
        client.log_batch(run_id, metrics=metrics[first : first + PER_BATCH])
    return time.perf_counter() - before


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-") as folder:
        Console().print(run(Path(folder), given.points, given.rounds))


if __name__ == "__main__":
    main()
