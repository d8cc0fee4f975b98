"""Lanes at work: a thread for each, the same in a courier, in the training process and in `unitrack sync`."""

from __future__ import annotations

import threading
import time

from unitrack import limits
from unitrack.delivery.lane import Lane
from unitrack.delivery.progress import Progress


class LaneThread(threading.Thread):
    """Runs one lane until its run has ended, it is told to stop, or, once drained is all it can do, it stalls."""

    def __init__(self, lane: Lane, *, wait_for_lock: bool = True) -> None:
        super().__init__(name=f"unitrack-{lane.spec.name}", daemon=True)
        self.lane = lane
        self._wait_for_lock = wait_for_lock
        self._stop_now = threading.Event()
        self._draining = threading.Event()
        self._progressed_at = self._healthy_at = time.monotonic()
        self._called_at: float | None = None

    def run(self) -> None:
        """Step the lane, resting when there is nothing to do."""
        if not self._acquire():
            return
        try:
            self._work()
        finally:
            self.lane.release()

    def _acquire(self) -> bool:
        while not self._try_to_acquire():  # a `unitrack sync`, or the courier of a process that died, is at it
            if self.lane.folder.is_gone():
                return False
            if not self._wait_for_lock or self._draining.is_set() or self._stop_now.wait(limits.POLL_MAX_S):
                return False
        return True

    def _try_to_acquire(self) -> bool:
        try:
            return self.lane.acquire()
        except OSError:  # too many open files, say
            return False

    def _work(self) -> None:
        rest = limits.POLL_MIN_S
        self._progressed_at = self._healthy_at = time.monotonic()
        while not self._stop_now.is_set():
            self._called_at = time.monotonic()
            progress = self.lane.step()
            self._called_at = None
            if progress is Progress.DONE:
                return
            if progress is Progress.MADE:
                rest = limits.POLL_MIN_S
                self._progressed_at = time.monotonic()
                if not self.lane.ledger.attempts:
                    self._healthy_at = time.monotonic()
                continue
            if self.lane.is_obsolete() or (self._draining.is_set() and self._is_stalled()):
                return
            self._stop_now.wait(rest)
            rest = min(rest * 1.5, limits.POLL_MAX_S)

    def _is_stalled(self) -> bool:
        """Whether it is no use to go on: nothing happens, or it fails, begins again and fails."""
        unhealthy_for = time.monotonic() - self._healthy_at
        patience = limits.DRAIN_STALL_S
        return self._stalled_for() > patience or unhealthy_for > limits.DRAIN_FAILING_STALLS * patience

    def _stalled_for(self) -> float:
        return time.monotonic() - self._progressed_at

    def is_hung(self) -> bool:
        """Whether a sink has kept a call for so long that it will not return."""
        return self.is_alive() and self._stalled_for() > limits.DRAIN_HUNG_STALLS * limits.DRAIN_STALL_S

    def is_stuck(self) -> bool:
        """The same while training goes on, when there is more patience."""
        called_at = self._called_at
        return called_at is not None and time.monotonic() - called_at > limits.SINK_HUNG_S

    def drain(self) -> None:
        """Nobody will log any more: deliver what is there, and give up when that makes no progress."""
        self._progressed_at = self._healthy_at = time.monotonic()  # the clock starts now: it may have been idle
        self.lane.check_owner_now()
        self._draining.set()

    def stop(self) -> None:
        """Stop after the step under way; what is committed stays, the rest is taken up by whoever comes next."""
        self._stop_now.set()
