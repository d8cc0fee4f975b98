"""Runs for benchmarks: with a delivery of one's own, or none."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

from unitrack import Run
from unitrack.config import resolve
from unitrack.delivery import modes
from unitrack.delivery.courier.protocol import Terms
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.hookspecs import Link, RunContext, SinkOptions, hookimpl
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import installed
from unitrack.run.start import start_resolved
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Else each process compiles all that it imports: importing MLflow takes 3.7 s of the processor in place of 1.4."""


class NoDelivery:
    """Leaves the journal where it is."""

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Start nothing."""

    def pump(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Nothing to end."""


class HungSink:
    """A backend that answers nothing, ever."""

    def __init__(self, options: SinkOptions) -> None:
        pass

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: object) -> Link:
        """Hang."""
        time.sleep(3600)
        raise AssertionError


class HungDelivery(modes.ProcessDelivery):
    """Four couriers, each with a sink that hangs."""

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Start them."""
        hung = [
            LaneSpec(
                name=f"hung{number}",
                backend=f"hung{number}",
                sink="runs:HungSink",
                options_type="unitrack.hookspecs:SinkOptions",
            )
            for number in range(4)
        ]
        super().start(folder, tuple(hung), terms)


def start(root: Path, sinks: list[object], delivery: type[modes.Delivery] | None = None) -> Run:
    """A run under `root`, fed to `sinks` by couriers, or by `delivery`."""
    resolved = resolve({}, call={"experiment": {"name": "bench"}, "tracking": {"sinks": sinks, "root": str(root)}})
    if delivery is None:
        return start_resolved(resolved)
    before = modes.DELIVERIES["process"]
    modes.DELIVERIES["process"] = delivery
    try:
        return start_resolved(resolved)
    finally:
        modes.DELIVERIES["process"] = before


def lanes(folder: RunFolder) -> list[LaneSpec]:
    """The lanes of a run's sinks, as the installed plugins declare them."""
    sinks = folder.read_manifest().sinks
    return [make_lane(sink.name, installed().backend(sink.backend), sink.options) for sink in sinks]


def write_journal(root: Path, sinks: list[object], points: int) -> RunFolder:
    """A run that has ended, and of which nothing is delivered yet: one point a call."""
    run = start(root, sinks, NoDelivery)
    for step in range(points):
        run.log_metrics({"loss": step * 0.5}, step=step)
    with warnings.catch_warnings(action="ignore"):  # that nothing has arrived yet
        run.finish(timeout=0)
    return RunFolder(run.path)


def deliver(root: Path, sink: dict[str, dict[str, str]], points: int) -> float:
    """Log a run, and return the seconds that its lane takes from the journal to the confirmed end of the run."""
    run = write_journal(root, [sink], points)
    [spec] = lanes(run)
    lane = Lane(run, spec)
    lane.acquire()
    before = time.perf_counter()
    while lane.step() is not Progress.DONE:
        pass
    spent = time.perf_counter() - before
    lane.release()
    if lane.ledger.delivered != points + 2:
        raise RuntimeError(f"{spec.name}: {lane.ledger}")
    return spent
