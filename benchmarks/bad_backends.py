"""What the calling thread feels of a sink in trouble: one log call with each trouble, and without any sink."""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.table import Table
from runs import NoDelivery, start

from unitrack import Run
from unitrack.delivery import modes
from unitrack.delivery.courier.pool import pool
from unitrack.delivery.courier.protocol import Terms
from unitrack.hookspecs import Link, RunContext, SinkOptions, hookimpl
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))  # the troubles are those of the tests

ROUNDS = 15
CALLS = 2000
STARTS_WITHIN_S = 120.0
NONE = "no sink"
TROUBLES = {
    "a sink that is well": "",
    "down": "unavailable",
    "wrong key": "misconfigured",
    "raises": "unexpected",
    "sys.exit": "exit",
    "blocks for ever": "hang",
    "os._exit": "die",
    "segfault": "segfault",
    "is stopped": "stop",
    "keeps the interpreter lock": "keep_lock",
    "leaks 64 MiB a call": "leak",
    "prints 8 MiB a call": "flood",
}


class Felt(NamedTuple):
    """Of one log call on the calling thread, in microseconds, and as multiples of the same without any sink."""

    p50: float
    p99: float
    p50_ratio: float
    p99_ratio: float


class TroubledOptions(SinkOptions, frozen=True):
    """Which trouble, and the file that is there once it was met."""

    kind: str = ""
    met: str = ""


class TroubledSink:
    """Gets into trouble with each batch, or never."""

    def __init__(self, options: TroubledOptions) -> None:
        self._options = options

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: object) -> Link:
        """Nothing to open."""
        return Link(id=run.start.run_id, location="")

    @hookimpl
    def log_metrics(self, metrics: list[object]) -> None:
        """Get into trouble."""
        Path(self._options.met).touch()
        if self._options.kind:
            from unitrack_tests.troubles import make

            make(self._options.kind)

    @hookimpl
    def flush(self) -> dict[str, object]:
        """All is confirmed."""
        return {}


def run(folder: Path) -> Table:
    """Measure all troubles."""
    table = Table("the sink", "p50 us", "p99 us", "x p50", "x p99", title="one log call beside a sink in trouble")
    for name, felt in measure(folder, TROUBLES, ROUNDS, CALLS).items():
        table.add_row(name, *(f"{value:.2f}" if value < 100 else f"{value:.0f}" for value in felt))
    return table


def measure(folder: Path, troubles: dict[str, str], rounds: int, calls: int) -> dict[str, Felt]:
    """Time log calls beside each trouble in turn; rounds without a sink come between them, for the machine changes."""
    healthy = start(folder / NONE, ["local"], NoDelivery)
    times: dict[str, list[list[int]]] = {NONE: []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, kind in troubles.items():
            times[NONE] += [_time(healthy, calls) for _ in range(rounds)]
            times[name] = _beside(folder, name, kind, rounds, calls)
        times[NONE] += [_time(healthy, calls) for _ in range(rounds)]
        healthy.finish(timeout=0)
    p50, p99 = _percentiles(times[NONE])
    return {
        name: Felt(*(found := _percentiles(spent)), found[0] / p50, found[1] / p99) for name, spent in times.items()
    }


def _beside(folder: Path, name: str, kind: str, rounds: int, calls: int) -> list[list[int]]:
    met = folder / f"met {name}"
    options = msgspec.to_builtins(TroubledOptions(kind=kind, met=str(met)))

    class Delivery(modes.ProcessDelivery):
        def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
            of = {"sink": "bad_backends:TroubledSink", "options_type": "bad_backends:TroubledOptions"}
            super().start(folder, (LaneSpec(name="local", backend=name, options=options, **of),), terms)

    troubled = start(folder / name, ["local"], Delivery)
    try:
        troubled.log_metrics({"loss": 0.3}, step=0)
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not met.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the trouble {name!r} never came")
            time.sleep(0.01)
        found = []
        for _ in range(rounds):
            found.append(_time(troubled, calls))
            time.sleep(0.1)  # the courier's turn, and the watchdog's: training computes between log calls
        return found
    finally:
        troubled.finish(timeout=0)
        [courier] = [courier for courier in pool._couriers if courier.backend == name]
        pool._couriers.remove(courier)
        courier.let_go()
        if courier.process is not None:
            courier.process.kill()
            courier.process.wait()


def _time(run: Run, calls: int) -> list[int]:
    clock = time.perf_counter_ns
    spent = []
    for step in range(calls):
        before = clock()
        run.log_metrics({"loss": 0.31234}, step=step)
        spent.append(clock() - before)
    return spent


def _percentiles(rounds: list[list[int]]) -> tuple[float, float]:
    """The medians of the rounds' 50th and 99th percentiles, in microseconds."""
    ordered = [sorted(spent) for spent in rounds]
    return (
        statistics.median(spent[len(spent) // 2] for spent in ordered) / 1000,
        statistics.median(spent[len(spent) * 99 // 100] for spent in ordered) / 1000,
    )
