"""The three ways to run the same lanes: in courier processes, in threads, or in the log call itself.

What runs lanes in this process is imported by the modes that do: with couriers, training needs none of it, and psutil
alone takes a third of what `start_run` may.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

import msgspec

from unitrack.delivery.orders import Terms
from unitrack.delivery.pool import pool
from unitrack.limits import CLEANUP_S
from unitrack.manifest import LaneSpec
from unitrack.runfolder import RunFolder

if TYPE_CHECKING:
    from unitrack.delivery.lane import Lane
    from unitrack.delivery.system_metrics import SystemSampler
    from unitrack.delivery.workers import LaneThread


class Delivery(Protocol):
    """How the lanes of one run are run."""

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Begin to deliver."""

    def pump(self) -> None:
        """Called after something was logged or while somebody waits: do what is to be done in this thread."""

    def close(self) -> None:
        """The run has ended and nobody waits for it any more."""


class ProcessDelivery:
    """Couriers deliver; where none can be started, a thread does. The default."""

    def __init__(self) -> None:
        self._threads: list[LaneThread] = []

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Give the couriers their orders; the first one samples."""
        for lane in lanes:
            thread = pool.deliver(folder, lane, terms)
            if thread is not None:
                self._threads.append(thread)
            terms = msgspec.structs.replace(terms, sample_every=None)

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

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Start the threads."""
        from unitrack.delivery.lane import Lane
        from unitrack.delivery.workers import LaneThread

        self._threads = [LaneThread(Lane(folder, lane, owner_is_here=True), linger=terms.linger) for lane in lanes]
        for thread in self._threads:
            thread.start()
        if terms.sample_every:
            from unitrack.delivery.system_metrics import SystemSampler

            self._sampler = SystemSampler(folder, terms.sample_every)
            self._sampler.start()

    def pump(self) -> None:
        """The threads do it."""

    def close(self) -> None:
        """Let the threads finish what makes progress; those whose run is complete have only to clean up."""
        for thread in self._threads:
            thread.drain()
        for thread in self._threads:
            if thread.lane.has_ended():
                thread.join(CLEANUP_S)


class InlineDelivery:
    """Each log call delivers before it returns: for tests and debugging, never for training.

    A sink in trouble is still retried only when its back-off is over, and still raises nothing.
    """

    def __init__(self) -> None:
        self._lanes: list[Lane] = []
        self._awaited: list[Lane] = []
        """Those of a sink to which another process still delivers, as a courier of the run's last session may."""
        self._pumping = False

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Take up the lanes. System metrics need a thread and are not sampled inline."""
        from unitrack.delivery.lane import Lane

        self._awaited = [Lane(folder, spec, owner_is_here=True) for spec in lanes]
        self.pump()

    def pump(self) -> None:
        """Deliver all there is."""
        from unitrack.delivery.progress import Progress

        if self._pumping:  # a sink that logs to its own run, or a signal handler
            return
        self._pumping = True
        try:
            for lane in [lane for lane in self._awaited if lane.acquire()]:
                self._awaited.remove(lane)
                self._lanes.append(lane)
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
