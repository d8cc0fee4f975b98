"""The three ways to run the same lanes: in courier processes, in threads, or in the log call itself.

What runs lanes in this process is imported by the modes that do: with couriers, training needs none of it, and psutil
alone takes a third of what `start_run` may.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from unitrack.delivery.pool import pool
from unitrack.manifest import LaneSpec
from unitrack.runfolder import RunFolder

if TYPE_CHECKING:
    from unitrack.delivery.lane import Lane
    from unitrack.delivery.system_metrics import SystemSampler
    from unitrack.delivery.workers import LaneThread


class Delivery(Protocol):
    """How the lanes of one run are run."""

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], sample_every: float | None) -> None:
        """Begin to deliver. `sample_every`: seconds between samples of system metrics; None for none."""

    def pump(self) -> None:
        """Called after something was logged or while somebody waits: do what is to be done in this thread."""

    def close(self) -> None:
        """The run has ended and nobody waits for it any more."""


class ProcessDelivery:
    """Couriers deliver; where none can be started, a thread does. The default."""

    def __init__(self) -> None:
        self._threads: list[LaneThread] = []

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], sample_every: float | None) -> None:
        """Give the couriers their orders; the first one samples."""
        for lane in lanes:
            thread = pool.deliver(folder, lane, sample_every)
            if thread is not None:
                self._threads.append(thread)
            sample_every = None

    def pump(self) -> None:
        """Restart a courier that died."""
        pool.revive()

    def close(self) -> None:
        """Couriers go on by themselves; threads end with the process."""
        for thread in self._threads:
            thread.drain()


class ThreadDelivery:
    """A thread for each sink: for notebooks and where processes are unwelcome. The SDKs live in this process."""

    def __init__(self) -> None:
        self._threads: list[LaneThread] = []
        self._sampler: SystemSampler | None = None

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], sample_every: float | None) -> None:
        """Start the threads."""
        from unitrack.delivery.lane import Lane
        from unitrack.delivery.workers import LaneThread

        self._threads = [LaneThread(Lane(folder, lane, owner_is_here=True)) for lane in lanes]
        for thread in self._threads:
            thread.start()
        if sample_every:
            from unitrack.delivery.system_metrics import SystemSampler

            self._sampler = SystemSampler(folder, sample_every)
            self._sampler.start()

    def pump(self) -> None:
        """The threads do it."""

    def close(self) -> None:
        """Let the threads finish what makes progress."""
        for thread in self._threads:
            thread.drain()


class InlineDelivery:
    """Each log call delivers before it returns: for tests and debugging, never for training.

    A sink in trouble is still retried only when its back-off is over, and still raises nothing.
    """

    def __init__(self) -> None:
        self._lanes: list[Lane] = []
        self._pumping = False

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], sample_every: float | None) -> None:
        """Take up the lanes. System metrics need a thread and are not sampled inline."""
        from unitrack.delivery.lane import Lane

        self._lanes = [lane for spec in lanes if (lane := Lane(folder, spec, owner_is_here=True)).acquire()]
        self.pump()

    def pump(self) -> None:
        """Deliver all there is."""
        from unitrack.delivery.progress import Progress

        if self._pumping:  # a sink that logs to its own run, or a signal handler
            return
        self._pumping = True
        try:
            for lane in self._lanes:
                while lane.step() is Progress.MADE:
                    pass
        finally:
            self._pumping = False

    def close(self) -> None:
        """Release the sinks."""
        for lane in self._lanes:
            with contextlib.suppress(OSError):
                lane.release()
        self._lanes = []


DELIVERIES: dict[str, type[Delivery]] = {
    "process": ProcessDelivery,
    "thread": ThreadDelivery,
    "inline": InlineDelivery,
}
