"""What copying a local run to MLflow on SQLite costs, end to end, against `MlflowClient.log_batch` of the same points.

`python benchmarks/copying.py [--points 200000] [--rounds 3]`. A copy reads the local files, writes a journal, and
delivers that; a run of ten points is copied before, so that MLflow is imported and the database has its tables. The
memory is the most that the copying process took beyond what it had then.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mlflow_delivery import BATCHES, PLAIN, Cost, in_own_process
from rich.console import Console
from rich.table import Table

COPY = "unitrack.copy"


def run(folder: Path, points: int = 50_000, rounds: int = 1) -> Table:
    """Microseconds a point, medians over interleaved rounds."""
    write_local_run(folder / "first", 10)
    write_local_run(folder / "long", points)
    found: dict[str, list[Cost]] = {}
    memory = 0.0
    for number in range(rounds):
        for size in BATCHES:
            cost = in_own_process(folder / f"plain-{number}-{size}", str(size), points)
            found.setdefault(PLAIN.format(size), []).append(cost)
        cost, memory = _copied(folder, f"copies-{number}.db")
        found.setdefault(COPY, []).append(cost)
    medians = {name: Cost(*map(statistics.median, zip(*costs, strict=True))) for name, costs in found.items()}
    best = min(cost.wall for name, cost in medians.items() if name != COPY)
    table = Table("what", "CPU us/point", "wall us/point", "wall x", title=f"{points:,} points, local to MLflow")
    for name, (cpu, wall) in medians.items():
        table.add_row(name, f"{cpu / points * 1e6:.1f}", f"{wall / points * 1e6:.1f}", f"{wall / best:.2f}")
    table.caption = f"memory beyond that of a copy of 10 points: {memory:.0f} MB"
    return table


def write_local_run(root: Path, points: int) -> None:
    """Write a run of one metric as the local sink leaves it."""
    folder = root / "run"
    (folder / "artifacts").mkdir(parents=True)
    identity = {"run_name": "run", "run_id": root.name, "project": "bench", "status": "completed"}
    times = {"start_time_ms": 1_700_000_000_000, "end_time_ms": 1_700_000_000_000 + points}
    (folder / "metadata.json").write_text(json.dumps(identity | times))
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(points):
            time_ms = 1_700_000_000_000 + step
            file.write(f'{{"step":{step},"metrics":{{"loss":{step * 0.5}}},"time":{time_ms},"seq":{step}}}\n')


def _copied(folder: Path, database: str) -> tuple[Cost, float]:
    """Copy the run in a process of its own; its cost, and the memory that it took in MB."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).absolute()), "--child", database]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    *cost, memory = json.loads(done.stdout.splitlines()[-1])
    return Cost(*cost), memory


def _copy(database: str) -> tuple[float, float, float]:
    import unitrack

    unitrack.copy("first", f"mlflow:sqlite:///{database}")
    memory, cpu, wall = _peak_mb(), time.process_time(), time.perf_counter()
    report = unitrack.copy("long", f"mlflow:sqlite:///{database}")
    if not report.ok:
        raise RuntimeError(report.runs[0].error)
    return time.process_time() - cpu, time.perf_counter() - wall, _peak_mb() - memory


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    """Run the benchmark, or, as a child, copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_copy(given.child)))
        return
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-") as folder:
        Console().print(run(Path(folder), given.points, given.rounds))


if __name__ == "__main__":
    main()
