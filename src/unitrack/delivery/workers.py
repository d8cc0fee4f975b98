"""Lanes at work: a thread for each, the same in a courier, in the training process and in `unitrack sync`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from unitrack import limits
from unitrack.delivery.lane import Lane, Progress


class LaneThread(threading.Thread):
    """Runs one lane until its run has ended, it is told to stop, or, once drained is all it can do, it stalls."""

    def __init__(self, lane: Lane, *, wait_for_lock: bool = True) -> None:
        super().__init__(name=f"unitrack-{lane.spec.name}", daemon=True)
        self.lane = lane
        self._wait_for_lock = wait_for_lock
        self._stop_now = threading.Event()
        self._draining = threading.Event()

    def run(self) -> None:
        """Step the lane, resting when there is nothing to do."""
        if not self._acquire():
            return
        try:
            self._work()
        finally:
            self.lane.release()

    def _acquire(self) -> bool:
        while not self.lane.acquire():  # a `unitrack sync`, or the courier of a process that died, is at it
            if not self._wait_for_lock or self._draining.is_set() or self._stop_now.wait(limits.POLL_MAX_S):
                return False
        return True

    def _work(self) -> None:
        rest = limits.POLL_MIN_S
        progressed_at = time.monotonic()
        while not self._stop_now.is_set():
            progress = self.lane.step()
            if progress is Progress.DONE:
                return
            if progress is Progress.MADE:
                rest = limits.POLL_MIN_S
                progressed_at = time.monotonic()
                continue
            if self._draining.is_set() and time.monotonic() - progressed_at > limits.DRAIN_STALL_S:
                return
            self._stop_now.wait(rest)
            rest = min(rest * 1.5, limits.POLL_MAX_S)

    def drain(self) -> None:
        """Nobody will log any more: deliver what is there, and give up when that makes no progress."""
        self._draining.set()
        self.lane.check_owner_now()

    def stop(self) -> None:
        """Stop after the step under way; what is committed stays, the rest is taken up by whoever comes next."""
        self._stop_now.set()


def join_all(threads: list[LaneThread], timeout: float, each: Callable[[], None] = lambda: None) -> bool:
    """Wait until all threads are done; whether they were within `timeout` seconds. Calls `each` ten times a second."""
    deadline = time.monotonic() + timeout
    while any(thread.is_alive() for thread in threads):
        if time.monotonic() >= deadline:
            return False
        for thread in threads:
            if thread.is_alive():
                thread.join(0.1)
                break
        each()
    return True
