"""Runs for benchmarks: with a delivery of one's own, or none."""

from __future__ import annotations

from pathlib import Path

from unitrack import Run
from unitrack.config import resolve
from unitrack.delivery import modes
from unitrack.delivery.orders import Terms
from unitrack.hookspecs import Link, RunContext, SinkOptions, hookimpl
from unitrack.manifest import LaneSpec
from unitrack.runfolder import RunFolder
from unitrack.start import start_resolved


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
        import time

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
