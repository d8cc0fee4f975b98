"""What tracking costs a real training: the demo's network.

`python benchmarks/training.py [--steps 1500] [--rounds 3] [--threads 1] [--only WORD ...]`. Each candidate trains in a
process of its own; rounds are interleaved. "in place" is the median cost of a log call between two steps, with the
processor's caches full of training; "wall" is the time of the loop, in which couriers take their part of the processor.
"+ CPU" is what all processes of the candidate have taken by the time the last one has ended, beyond no tracking, and
"RSS" the most memory that they held at one moment. `--threads` of NumPy train; 0 for one on each core.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table
from runs import NoDelivery, start

MLFLOW, WANDB = {"mlflow": {"tracking_uri": "sqlite:///mlflow.db"}}, {"wandb": {"mode": "offline"}}
SINKS: dict[str, list[object]] = {
    "unitrack, 1 sink": ["local"],
    "unitrack, 4 sinks": ["local", MLFLOW, WANDB, "tensorboard"],
}
NOTHING, FLOOR, ALONE = "no tracking", "os.write of a line", "unitrack, 0 sinks"
PEERS = ["TensorBoard", "trackio", "wandb offline", "mlflow SQLite"]
CANDIDATES = [NOTHING, FLOOR, ALONE, *SINKS, *PEERS]
SAMPLE_S = 0.5
_BECOME_SUBREAPER = 36
"""`PR_SET_CHILD_SUBREAPER`, prctl(2): couriers that outlive their training become children of this process."""

Call = Callable[[float, int], object]


@contextmanager
def client(name: str) -> Iterator[Call]:
    """The log call of a candidate, in the working directory."""
    if name == NOTHING:
        yield lambda loss, step: None
    elif name == FLOOR:
        file = os.open("floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        yield lambda loss, step: os.write(file, b'{"time":%d,"step":%d,"loss":%r}\n' % (time.time_ns(), step, loss))
    elif name in SINKS:
        import unitrack

        run = unitrack.start_run("training", sinks=SINKS[name])  # type: ignore[arg-type]
        yield lambda loss, step: run.log_metrics({"loss": loss}, step=step)
    elif name == ALONE:
        alone = start(Path("unitrack"), ["local"], NoDelivery)
        yield lambda loss, step: alone.log_metrics({"loss": loss}, step=step)
        alone.finish(timeout=0)
    elif name.startswith("TensorBoard"):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        writer = EventFileWriter("logs")
        yield lambda loss, step: writer.add_event(
            Event(step=step, summary=Summary(value=[Summary.Value(tag="loss", simple_value=loss)]))
        )
    elif name == "trackio":
        import trackio

        trackio.init(project="training", embed=False)
        yield lambda loss, step: trackio.log({"loss": loss}, step=step)
        trackio.finish()
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


def measure(name: str, steps: int, threads: int = 1) -> dict[str, float]:
    """Train in a process of its own; what it took, and what it and all that it starts take of processor and memory."""
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-") as folder:
        environ = {**os.environ, "WANDB_SILENT": "true", "PYTHONWARNINGS": "ignore", "TRACKIO_DIR": f"{folder}/trackio"}
        if threads:
            environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
        command = [sys.executable, str(Path(__file__).absolute()), "--train", name, "--steps", str(steps)]
        with _peak_memory() as peak, open(f"{folder}/printed", "w+") as printed:
            subprocess.Popen(command, cwd=folder, env=environ, stdout=printed, stderr=subprocess.DEVNULL)
            cpu = _reap()
            printed.seek(0)
            measured: dict[str, float] = json.loads(printed.read().splitlines()[-1])
    return measured | {"cpu": cpu, "memory": peak[0]}


def _reap() -> float:
    """Wait for all processes below this one; return the seconds of the processor that they took."""
    spent = 0.0
    with contextlib.suppress(ChildProcessError):
        while True:
            _, _, usage = os.wait4(-1, 0)
            spent += usage.ru_utime + usage.ru_stime
    return spent


@contextmanager
def _peak_memory() -> Iterator[list[float]]:
    """In the one entry of a list: the most bytes that all processes below this one hold together meanwhile."""
    peak, is_over, this = [0.0], threading.Event(), psutil.Process()

    def sample() -> None:
        while not is_over.wait(SAMPLE_S):
            held = 0
            for process in this.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    held += process.memory_info().rss
            peak[0] = max(peak[0], held)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        is_over.set()
        sampler.join()


def as_table(rounds: dict[str, list[dict[str, float]]]) -> Table:
    """Medians over the rounds, and ratios to no tracking and to the bare write."""
    columns = ("client", "in place us", "x os.write", "wall s", "x none", "+ CPU s", "RSS MB")
    table = Table(*columns, title="tracking beside a real training")
    middle = {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]} for name, found in rounds.items()
    }
    floor, none = middle[FLOOR], middle[NOTHING]
    for name, one in middle.items():
        table.add_row(
            name,
            f"{one['in_place']:.1f}",
            "" if name == NOTHING else f"{one['in_place'] / floor['in_place']:.2f}",
            f"{one['wall']:.2f}",
            f"{one['wall'] / none['wall']:.2f}",
            f"{one['cpu'] - none['cpu']:.1f}",
            f"{one['memory'] / 1e6:.0f}",
        )
    return table


def run(folder: Path, steps: int = 300, rounds: int = 1, threads: int = 1, only: list[str] | None = None) -> Table:
    """Measure all candidates, or those whose names hold one of the words `only`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_BECOME_SUBREAPER, 1)
    names = [name for name in CANDIDATES if only is None or name in (NOTHING, FLOOR) or any(w in name for w in only)]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for name in names:
        measure(name, 2)  # bytecode
    for _ in range(rounds):
        for name in names:
            found[name].append(measure(name, steps, threads))
    return as_table(found)


def main() -> None:
    """Run the benchmark, or, as a child, train with one candidate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--train")
    given = parser.parse_args()
    if given.train:
        print(json.dumps(train(given.train, given.steps)))
    else:
        Console().print(run(Path(), given.steps, given.rounds, given.threads, given.only))


if __name__ == "__main__":
    main()
