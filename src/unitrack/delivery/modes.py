"""The three ways to run the same lanes: in courier processes, in threads, or in the log call itself.

Lanes are imported only by the modes that run them in this process.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

import msgspec

from unitrack.alerts import AlertTerms
from unitrack.delivery.courier.pool import pool
from unitrack.delivery.courier.protocol import Terms
from unitrack.limits import CLEANUP_S
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder

if TYPE_CHECKING:
    from unitrack.delivery.lane.lane import Lane
    from unitrack.delivery.lane.thread import LaneThread
    from unitrack.delivery.system_metrics import SystemSampler


class Delivery(Protocol):
    """How the lanes of one run are run."""

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Begin to deliver."""

    def watch(self, alerts: AlertTerms) -> None:
        """Watch for alerts of the run, until it ends."""

    def answer(self, request: str) -> None:
        """Have a request of the run answered; see `runfolder.requests`."""

    def pump(self) -> None:
        """Do this thread's part of the delivery: called after each log call and while the run waits for sinks."""

    def close(self) -> None:
        """Let go of the lanes: the run has ended, and no call waits for its sinks."""


class ProcessDelivery:
    """Couriers deliver; where none can be started, a thread does. The default."""

    def __init__(self) -> None:
        self._threads: list[LaneThread] = []
        self._watched_by: tuple[RunFolder, LaneSpec] | None = None

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Give the couriers their orders; the first one samples, and watches for alerts."""
        self._watched_by = (folder, lanes[0])
        for lane in lanes:
            thread = pool.deliver(folder, lane, terms)
            if thread is not None:
                self._threads.append(thread)
            terms = msgspec.structs.replace(terms, sample_every=None, alerts=None)

    def watch(self, alerts: AlertTerms) -> None:
        """Have the first courier watch; a thread of this process where there is none."""
        assert self._watched_by is not None
        try:
            pool.watch(*self._watched_by, alerts)
        except OSError:
            _watch_here(self._watched_by[0], alerts)

    def answer(self, request: str) -> None:
        """Have the first courier answer; a thread of this process where there is none."""
        assert self._watched_by is not None
        try:
            pool.answer(*self._watched_by, request)
        except OSError:
            _answer_here(self._watched_by[0], request)

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
        self._folder: RunFolder | None = None
        self._sampler: SystemSampler | None = None

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Start the threads."""
        from unitrack.delivery.lane.lane import Lane  # noqa: PLC0415  # 3 ms
        from unitrack.delivery.lane.thread import LaneThread  # noqa: PLC0415  # beside Lane

        self._folder = folder
        self._threads = [
            LaneThread(Lane(folder, lane, owner_is_here=True), linger=terms.linger, crowd=terms.crowd) for lane in lanes
        ]
        for thread in self._threads:
            thread.start()
        if terms.sample_every:
            from unitrack.delivery.system_metrics import SystemSampler  # noqa: PLC0415  # psutil costs 12 ms

            self._sampler = SystemSampler(folder, terms.sample_every)
            self._sampler.start()
        if terms.alerts is not None:
            self.watch(terms.alerts)

    def watch(self, alerts: AlertTerms) -> None:
        """Watch in a thread."""
        assert self._folder is not None
        _watch_here(self._folder, alerts)

    def answer(self, request: str) -> None:
        """Answer in a thread."""
        assert self._folder is not None
        _answer_here(self._folder, request)

    def pump(self) -> None:
        """Do nothing: the threads deliver."""

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
        self._folder: RunFolder | None = None
        self._awaited: list[Lane] = []
        """Lanes whose sink another process still delivers to, as a courier of the run's last session may."""
        self._pumping = False

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Take up the lanes. System metrics need a thread and are not sampled inline."""
        from unitrack.delivery.lane.lane import Lane  # noqa: PLC0415  # 3 ms

        self._folder = folder
        self._awaited = [Lane(folder, spec, owner_is_here=True) for spec in lanes]
        if terms.alerts is not None:
            self.watch(terms.alerts)
        self.pump()

    def watch(self, alerts: AlertTerms) -> None:
        """Watch in a thread: an alert may come a moment after the log call."""
        assert self._folder is not None
        _watch_here(self._folder, alerts)

    def answer(self, request: str) -> None:
        """Answer before the log call returns."""
        from unitrack.delivery.answering import Answer  # noqa: PLC0415  # only where something is asked for

        assert self._folder is not None
        Answer(self._folder, request).run()

    def pump(self) -> None:
        """Deliver all that is logged."""
        from unitrack.delivery.lane.progress import Progress  # noqa: PLC0415  # enum, with the lane

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


class DeliveryByOwner:
    """The delivery of a run in a process that only logs to it: in the child of a fork, a worker, another rank."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """Do nothing: the owner has started the delivery."""

    def watch(self, alerts: AlertTerms) -> None:
        """Do nothing: the owner watches."""

    def answer(self, request: str) -> None:
        """Answer in a thread: the couriers belong to the owner."""
        _answer_here(self._folder, request)

    def pump(self) -> None:
        """Do nothing: the owner delivers."""

    def close(self) -> None:
        """Do nothing: the owner lets go of the lanes."""


def _watch_here(folder: RunFolder, alerts: AlertTerms) -> None:
    """Watch for alerts in a thread of this process; it ends with the run."""
    from unitrack.delivery.alert_watch import AlertWatch  # noqa: PLC0415  # the parser of rules costs 5 ms

    AlertWatch(folder, alerts).start()


def _answer_here(folder: RunFolder, request: str) -> None:
    """Answer a request in a thread of this process."""
    from unitrack.delivery.answering import Answer  # noqa: PLC0415  # only where something is asked for

    Answer(folder, request).start()


DELIVERIES: dict[str, type[Delivery]] = {
    "process": ProcessDelivery,
    "thread": ThreadDelivery,
    "inline": InlineDelivery,
}
