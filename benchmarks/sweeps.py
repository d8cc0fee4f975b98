"""What a trial costs beside its training: `unitrack.sweep`, Optuna alone, and Optuna with MLflow's callback.

`python benchmarks/sweeps.py [--trials 60] [--rounds 3]`. The train function does nothing but return a number, so what
is measured is all overhead: milliseconds from the end of a trial to the end of the next, once all processes are warm.
Each candidate keeps its study in a journal file, and draws at random. "loky alone" is what a call in another process
takes. unitrack's trials are runs, which couriers deliver meanwhile; Optuna's callback writes to MLflow in the loop.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

os.environ["PYTHONDONTWRITEBYTECODE"] = ""  # couriers would compile MLflow each time
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
WARM_AFTER = 10
"""Trials that are not counted: processes and couriers start, tables are made."""
ALONE, FLOOR = "Optuna alone", "loky alone"


def train(lr: float) -> float:
    """Train for no time at all."""
    return lr * lr


def run(folder: Path, trials: int = 20, rounds: int = 1) -> Table:
    """Medians over interleaved rounds."""
    found: dict[str, list[float]] = {}
    candidates = _candidates()
    for number in range(rounds):
        for index, (name, measure) in enumerate(candidates.items()):
            place = folder / f"{number}-{index}"
            place.mkdir(parents=True)
            ends = measure(place, trials + WARM_AFTER)[WARM_AFTER - 1 :]
            found.setdefault(name, []).append(statistics.median(b - a for a, b in itertools.pairwise(ends)) * 1e3)
    table = Table("what", "ms a trial", "x Optuna alone", title=f"{trials} trials of a function that does nothing")
    base = statistics.median(found[ALONE])
    for name, times in found.items():
        median = statistics.median(times)
        table.add_row(name, f"{median:.1f}", f"{median / base:.1f}")
    return table


def _candidates() -> dict[str, Callable[[Path, int], list[float]]]:
    found: dict[str, Callable[[Path, int], list[float]]] = {
        FLOOR: _loky,
        ALONE: lambda place, n: _optuna(place, n, []),
    }
    try:
        from optuna_integration import MLflowCallback
    except ImportError:
        pass
    else:

        def with_callback(place: Path, n: int) -> list[float]:
            return _optuna(place, n, [MLflowCallback(f"sqlite:///{place}/mlflow.db", metric_name="loss")])

        found["Optuna and MLflow's callback"] = with_callback
    files, mlflow = ["local"], ["local", {"mlflow": {}}]
    found["unitrack.sweep, this process, local files"] = lambda place, n: _ours(place, n, files)
    found["unitrack.sweep, a process, local files"] = lambda place, n: _ours(place, n, files, executor="processes")
    found["unitrack.sweep, a process, local files and MLflow"] = lambda place, n: _ours(
        place, n, mlflow, executor="processes"
    )
    return found


def _ours(place: Path, n: int, sinks: list[Any], **how: Any) -> list[float]:
    import unitrack

    ends: list[float] = []
    chosen = [{"mlflow": {"tracking_uri": f"sqlite:///{place}/mlflow.db"}} if one != "local" else one for one in sinks]
    unitrack.sweep(
        train,
        {"lr": (0.0, 1.0)},
        strategy="random",
        n=n,
        seed=1,
        name="bench",
        progress=False,
        sinks=chosen,
        root=place / "runs",
        on_trial=lambda result: ends.append(time.perf_counter()),
        config={"tracking": {"finish_timeout": 0, "take_up": False}},
        **how,
    )
    return ends


def _optuna(place: Path, n: int, callbacks: list[Any]) -> list[float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = optuna.storages.journal.JournalFileBackend(str(place / "study.journal"))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend), sampler=optuna.samplers.RandomSampler(seed=1)
    )
    ends: list[float] = []

    def objective(trial: Any) -> float:
        return train(trial.suggest_float("lr", 0, 1))

    study.optimize(objective, n, callbacks=[*callbacks, lambda study, trial: ends.append(time.perf_counter())])
    return ends


def _loky(place: Path, n: int) -> list[float]:
    from loky import ProcessPoolExecutor

    ends = []
    with ProcessPoolExecutor(max_workers=1, timeout=None) as pool:
        for number in range(n):
            pool.submit(train, number / n).result()
            ends.append(time.perf_counter())
    return ends


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-", ignore_cleanup_errors=True) as folder:
        Console().print(run(Path(folder), given.trials, given.rounds))


if __name__ == "__main__":
    main()
