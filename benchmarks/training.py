"""What tracking costs a real training: the demo's network, on all that the machine has.

`python benchmarks/training.py [--steps 600] [--rounds 3] [--only WORD ...]`. Each candidate trains in a process of its
own; rounds are interleaved. "in place" is the median cost of a log call between two steps, with the processor's caches
full of training; "wall" is the time of the loop, in which couriers take their part of the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

MLFLOW, WANDB = {"mlflow": {"tracking_uri": "sqlite:///mlflow.db"}}, {"wandb": {"mode": "offline"}}
SINKS: dict[str, list[object]] = {
    "unitrack, no sink but local files": ["local"],
    "unitrack, 4 sinks": ["local", MLFLOW, WANDB, "tensorboard"],
}
NOTHING, FLOOR = "no tracking", "a bare os.write"
CANDIDATES = [NOTHING, FLOOR, *SINKS, "TensorBoard EventFileWriter", "wandb offline", "mlflow on SQLite"]

Call = Callable[[float, int], object]


@contextmanager
def client(name: str) -> Iterator[Call]:
    """The log call of a candidate, in the working directory."""
    if name == NOTHING:
        yield lambda loss, step: None
    elif name == FLOOR:
        file = os.open("floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        line = b"x" * 110
        yield lambda loss, step: os.write(file, line)
    elif name in SINKS:
        import unitrack

        run = unitrack.start_run("training", sinks=SINKS[name])  # type: ignore[arg-type]
        yield lambda loss, step: run.log_metrics({"loss": loss}, step=step)
    elif name.startswith("TensorBoard"):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        writer = EventFileWriter("logs")
        yield lambda loss, step: writer.add_event(
            Event(step=step, summary=Summary(value=[Summary.Value(tag="loss", simple_value=loss)]))
        )
    elif name.startswith("wandb"):
        import wandb

        with wandb.init(mode="offline", settings=wandb.Settings(silent=True, console="off")) as theirs:
            yield lambda loss, step: theirs.log({"loss": loss}, step=step)
    else:
        import mlflow

        mlflow.set_tracking_uri("sqlite:///mlflow.db")
        with mlflow.start_run():
            yield lambda loss, step: mlflow.log_metric("loss", loss, step=step)


def train(name: str, steps: int) -> dict[str, float]:
    """Train with one candidate in this process; what it took, in seconds and microseconds."""
    from unitrack.demo.training import Training

    training = iter(Training(steps))
    next(training)  # so that what is measured does not compile and import
    spent: list[int] = []
    with client(name) as log:
        began = time.perf_counter()
        for step in training:
            before = time.perf_counter_ns()
            log(step.loss, step.number)
            spent.append(time.perf_counter_ns() - before)
        wall = time.perf_counter() - began
    return {"wall": wall, "in_place": statistics.median(spent) / 1000}


def measure(name: str, steps: int) -> dict[str, float]:
    """The same in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-") as folder:
        environ = {**os.environ, "WANDB_SILENT": "true", "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, str(Path(__file__).absolute()), "--train", name, "--steps", str(steps)]
        done = subprocess.run(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def as_table(rounds: dict[str, list[dict[str, float]]]) -> Table:
    """Medians over the rounds, and ratios to no tracking and to the bare write."""
    table = Table("client", "in place us", "x os.write", "wall s", "x none", title="tracking beside a real training")
    middle = {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]} for name, found in rounds.items()
    }
    for name, one in middle.items():
        of_floor = one["in_place"] / middle[FLOOR]["in_place"] if FLOOR in middle and name != NOTHING else None
        of_none = one["wall"] / middle[NOTHING]["wall"] if NOTHING in middle else None
        ratios = ["" if ratio is None else f"{ratio:.2f}" for ratio in (of_floor, of_none)]
        table.add_row(name, f"{one['in_place']:.1f}", ratios[0], f"{one['wall']:.2f}", ratios[1])
    return table


def run(folder: Path, steps: int = 300, rounds: int = 1, only: list[str] | None = None) -> Table:
    """Measure all candidates, or those whose names hold one of the words `only`."""
    names = [name for name in CANDIDATES if only is None or name in (NOTHING, FLOOR) or any(w in name for w in only)]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(measure(name, steps))
    return as_table(found)


def main() -> None:
    """Run the benchmark, or, as a child, train with one candidate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--train")
    given = parser.parse_args()
    if given.train:
        print(json.dumps(train(given.train, given.steps)))
    else:
        Console().print(run(Path(), given.steps, given.rounds, given.only))


if __name__ == "__main__":
    main()
