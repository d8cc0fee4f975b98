"""What reading runs costs, beside the clients of the backends on the same data.

`python benchmarks/reading.py [--points 1000000] [--runs 1000] [--rounds 3]`. Histories: one metric of one run, as
columns. Lists: runs of 50 params and 20 metrics, all of which are read. Rounds of all candidates are interleaved, and
medians count. "x" is how many times as long a candidate takes as the one that its group is measured by.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import psutil
from copying import write_local_run
from rich.console import Console
from rich.table import Table
from stores import write_columns, write_many_local, write_many_to_mlflow, write_mlflow, write_tensorboard

import unitrack

Candidates = dict[str, Callable[[], object]]
COMPARED = 50
"""Runs that are compared, each with a tenth of the points."""


def run(folder: Path, points: int = 200_000, runs: int = 300, rounds: int = 3) -> Table:
    """Seconds, medians over interleaved rounds, and ratios within each group."""
    table = Table("what", "seconds", "x", "goal", title=f"Reading: {points:,} points, {runs:,} runs")
    _add(table, "local again", _histories(folder / "histories", points), rounds, "x >= 50 for MLflow's, TensorBoard's")
    _add(table, "EventAccumulator", _tensorboard(folder / "histories"), rounds, "ours x <= 0.2")
    _add(table, "get_metric_history", _mlflow(folder / "histories"), rounds, "ours x <= 1.1")
    _add(table, "MlflowClient.search_runs", _mlflow_lists(folder / "lists", runs), rounds, "ours x <= 1.2")
    _add(
        table,
        "local runs filtered",
        _local_lists(folder / "lists", runs),
        rounds,
        "< 0.15 s warm; mlflow x >= 20",
    )
    _add(table, "compare, warm", _compared(folder / "compared", points // 10), 1, "< 1 s")
    table.caption = _memory(folder / "streamed", points * 10)
    return table


def _add(table: Table, measure: str, candidates: Candidates, rounds: int, goal: str) -> None:
    """Add a group whose ratios are to the candidate `measure`; a group that has no such one has no ratios."""
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, work in candidates.items():
            began = time.perf_counter()
            work()
            found[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    base = medians[measure]
    for name, seconds in medians.items():
        table.add_row(name, f"{seconds:.4f}", f"{seconds / base:.2f}", goal if name == measure else "")
    table.add_section()


def _histories(folder: Path, points: int) -> Candidates:
    """One metric of a local run that has ended, beside the clients and the columns as they lie on the disk."""
    import numpy

    write_local_run(folder / "local", points)
    run_id = write_mlflow(folder / "mlflow.db", points)
    write_tensorboard(folder / "logs" / "run", points)
    steps, values, times = write_columns(folder / "columns", points)
    copy = folder / "local" / "run" / ".metrics.columns"

    def first() -> object:
        copy.unlink(missing_ok=True)
        return again()

    def again() -> object:
        history = unitrack.runs(folder / "local")[0].history("loss")
        assert len(history) == points
        return numpy.asarray(history.steps), numpy.asarray(history.values), numpy.asarray(history.times)

    return {
        "local first": first,
        "local again": again,
        "np.fromfile": lambda: [numpy.fromfile(path, numpy.int64) for path in (steps, values, times)],
        "MLflow get_metric_history": lambda: _client(folder).get_metric_history(run_id, "loss"),
        "TensorBoard EventAccumulator": lambda: _accumulated(folder / "logs" / "run"),
    }


def _client(folder: Path) -> object:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")


def _accumulated(logdir: Path) -> object:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(logdir), size_guidance={"scalars": 0})  # 0: keep all
    accumulator.Reload()
    return accumulator.Scalars("loss")


def _tensorboard(folder: Path) -> Candidates:
    return {
        "tensorboard:LOGDIR": lambda: unitrack.runs(f"tensorboard:{folder}/logs")[0].history("loss"),
        "EventAccumulator": lambda: _accumulated(folder / "logs" / "run"),
    }


def _mlflow(folder: Path) -> Candidates:
    uri = f"sqlite:///{folder}/mlflow.db"
    [stored] = unitrack.runs(f"mlflow:{uri}")
    return {
        "mlflow:URI": lambda: stored.history("loss"),
        "get_metric_history": lambda: _client(folder).get_metric_history(stored.id, "loss"),
    }


def _mlflow_lists(folder: Path, runs: int) -> Candidates:
    folder.mkdir()
    write_many_to_mlflow(folder / "mlflow.db", runs)
    uri = f"sqlite:///{folder}/mlflow.db"

    def raw() -> object:
        found = _client(folder).search_runs(["0"], max_results=runs)
        assert len(found) == runs
        return found

    return {"mlflow:URI listed": lambda: _listed(f"mlflow:{uri}", runs), "MlflowClient.search_runs": raw}


def _local_lists(folder: Path, runs: int) -> Candidates:
    import mlflow

    write_many_local(folder / "local", runs)
    uri = f"sqlite:///{folder}/mlflow.db"

    def frame() -> object:
        mlflow.set_tracking_uri(uri)
        found = mlflow.search_runs(["0"], max_results=runs)
        assert len(found) == runs
        return found

    local = str(folder / "local")
    return {
        "local runs listed": lambda: _listed(local, runs),
        "local runs filtered": lambda: _filtered(local, runs),
        "mlflow.search_runs": frame,
    }


def _listed(location: str, runs: int) -> object:
    """Read params, tags and last metrics of all runs."""
    found = unitrack.runs(location).read_summaries()
    assert len(found) == runs and all("m1" in run.summary for run in found)
    return found


def _filtered(location: str, runs: int) -> object:
    found = unitrack.runs(location, filter=f"params.p1 < {runs // 2} and metrics.m1 >= 0")
    assert len(found) == runs // 2
    return found


def _compared(folder: Path, points: int) -> Candidates:
    """Compare runs that were read before."""
    write_local_run(folder / "first", points)
    for number in range(COMPARED - 1):
        other = folder / "first" / f"run-{number}"
        other.mkdir()
        for name in ("metadata.json", "metrics.jsonl"):
            other.joinpath(name).write_bytes((folder / "first" / "run" / name).read_bytes())
    folders = sorted(path for path in (folder / "first").iterdir())

    def work() -> object:
        return unitrack.compare(*folders).to_dict()["metrics"]

    def history() -> object:
        return unitrack.runs(folder / "first").history("loss")

    work()
    history()
    return {"compare, warm": work, "runs.history of all, warm": history}


def _memory(folder: Path, points: int) -> str:
    """How much the process grows while it streams a long run."""
    write_local_run(folder, points)
    process = psutil.Process(os.getpid())
    before = most = process.memory_info().rss
    began = time.perf_counter()
    for number, _ in enumerate(unitrack.runs(folder)[0].records()):
        if number % 10_000 == 0:
            most = max(most, process.memory_info().rss)
    seconds, grown = time.perf_counter() - began, (most - before) / 2**20
    return f"streaming {points:,} points: {seconds:.1f} s, {grown:.0f} MB more memory"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-") as folder:
        Console().print(run(Path(folder), given.points, given.runs, given.rounds))


if __name__ == "__main__":
    main()
