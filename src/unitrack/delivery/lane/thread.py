"""Lanes at work: a thread for each, the same in a courier, in the training process and in `unitrack sync`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from unitrack import limits
from unitrack.delivery.lane.hand_over import is_asked_for
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.pace import Pace
from unitrack.delivery.lane.progress import Progress


class LaneThread(threading.Thread):
    """Runs one lane until its run has ended, it is told to stop, or draining comes to nothing.

    `linger`: seconds to go on with a backend that takes nothing, once training has ended; None for ever. `may_step`:
    called before each step; while it returns False, the lane rests. `wait_for_lock`: whether to wait while another
    process delivers to the sink. `prepare`: called first, in the thread. `crowd`: how many runs share the sink's
    server and start together.
    """

    def __init__(
        self,
        lane: Lane,
        *,
        linger: float | None = limits.LINGER_S,
        may_step: Callable[[], bool] = lambda: True,
        wait_for_lock: bool = True,
        prepare: Callable[[], None] = lambda: None,
        crowd: int = 1,
    ) -> None:
        super().__init__(name=f"unitrack-{lane.spec.name}", daemon=True)
        self.lane = lane
        self._linger = linger
        self._may_step = may_step
        self._wait_for_lock = wait_for_lock
        self._prepare = prepare
        self._pace = Pace(crowd if lane.spec.is_shared else 1)
        self._stop_now = threading.Event()
        self._draining = threading.Event()
        self._progressed_at = self._healthy_at = self._turned_at = self._drained_at = time.monotonic()
        self._rested_at = self._turned_at
        self._called_at: float | None = None
        self._progress = Progress.WAITING
        self._failed_at: tuple[object, ...] | None = None
        """The account at the last failure: to come as far again is no progress."""
        self.has_worked = False
        """Whether it has held the sink's lock."""
        self.has_stepped = False
        """Whether the first step is over, and so the import of the SDK."""

    def run(self) -> None:
        """Step the lane, resting when there is nothing to do."""
        self._called_at = time.monotonic()  # an import may hang as a call of the sink may
        self._prepare()
        self._called_at = None
        if (waits := self._pace.before_first()) and not self._stop_now.wait(waits):
            self._turned_at = time.monotonic()
        while self._acquire():
            try:
                handed_over = self._work()
            finally:
                self.lane.release()
            if not handed_over or self._draining.is_set():
                return
            self._stop_now.wait(limits.HAND_OVER_S)

    def _acquire(self) -> bool:
        while not self._try_to_acquire():  # a `unitrack sync`, or the courier of a process that died, delivers
            self._turned_at = time.monotonic()
            if self.lane.is_obsolete():
                return False
            has_no_time = self._draining.is_set() and time.monotonic() - self._drained_at > limits.HAND_OVER_S
            if not self._wait_for_lock or has_no_time or self._stop_now.wait(limits.POLL_MAX_S):
                return False
        return True

    def _try_to_acquire(self) -> bool:
        try:
            return self.lane.acquire()
        except OSError:  # too many open files, for example
            return False

    def _work(self) -> bool:
        """Work until there is nothing left to do; True if another process has asked for the sink."""
        self.has_worked = True
        rest = limits.POLL_MIN_S
        self._progressed_at = self._healthy_at = self._rested_at = time.monotonic()
        while not self._stop_now.is_set():
            self._turned_at = time.monotonic()
            drains = self._draining.is_set()
            if self._may_step():
                progress: Progress | None = self._step()
            else:
                progress, self._progressed_at, self._healthy_at = None, time.monotonic(), time.monotonic()
            if progress is Progress.DONE:
                return False
            if progress is Progress.MADE:
                self._progressed_at = time.monotonic()
                rest = limits.POLL_MIN_S
                if not self.lane.ledger.attempts and self._account() != self._failed_at:
                    self._healthy_at = time.monotonic()
                if not drains and self.lane.has_caught_up():
                    self._stop_now.wait(self._pace.after_work(time.monotonic() - self._rested_at))
                    self._rested_at = time.monotonic()
                continue
            if self.lane.ledger.attempts:
                self._failed_at = self._account()
            if progress is Progress.WAITING:
                self._pace.note_refused()
            if self.lane.is_obsolete():
                self.lane.end_if_deleted()
                return False
            if drains and progress is not None and self._has_stalled(progress):
                return False
            is_in_trouble = progress is not Progress.IDLE and not self.lane.tries_again_in_place()
            if is_in_trouble and is_asked_for(self.lane.folder, self.lane.spec.name):
                return True
            self._stop_now.wait(rest)
            self._rested_at = time.monotonic()
            rest = min(rest * 1.5, limits.LINGER_POLL_S if drains and is_in_trouble else limits.POLL_MAX_S)
        return False

    def _account(self) -> tuple[object, ...]:
        """Return how far the sink has come, for comparison."""
        ledger = self.lane.ledger
        return ledger.delivered, ledger.dead_lettered, ledger.damaged, ledger.accepted

    def _step(self) -> Progress:
        self._called_at = time.monotonic()
        self._progress = self.lane.step()
        self._called_at = None
        self.has_stepped = True
        return self._progress

    def _has_stalled(self, progress: Progress) -> bool:
        """Whether to stop draining: no other process logs any more, or the backend has been away for `linger`."""
        now = time.monotonic()
        if self.lane.tries_again_in_place():
            return False
        if progress is Progress.IDLE:
            longest = limits.ANSWER_S if self.lane.awaits_answer() else limits.DRAIN_STALL_S
            return now - self._progressed_at > longest
        ledger, unhealthy_for = self.lane.ledger, now - self._healthy_at
        lasts = (
            ledger.state == "parked"
            or ledger.attempts >= limits.HOPELESS_ATTEMPTS
            or unhealthy_for > limits.DRAIN_STALL_S  # it can't even be opened
        )
        return lasts and self._linger is not None and unhealthy_for > self._linger

    @property
    def is_resting(self) -> bool:
        """Whether the sink had everything that there was at the last look, or the lane has come to its end."""
        return self._progress is Progress.IDLE or not self.is_alive()

    def is_hung(self) -> bool:
        """Whether a call of the sink has taken so long that it will not return, once the lane drains."""
        patience = limits.DRAIN_HUNG_STALLS * limits.DRAIN_STALL_S
        return self.is_alive() and time.monotonic() - self._turned_at > patience

    def is_stuck(self) -> bool:
        """Whether a call of the sink has taken longer than `SINK_HUNG_S`, also while training goes on."""
        called_at = self._called_at
        return called_at is not None and time.monotonic() - called_at > limits.SINK_HUNG_S

    def drain(self) -> None:
        """Deliver what is there, as training has ended, and give up once the backend has been away for `linger`."""
        self._progressed_at = self._healthy_at = self._turned_at = self._drained_at = time.monotonic()
        self.lane.check_owner_now()
        if self._linger is not None and self._linger < limits.RETRY_MAX_S:
            self.lane.retry_now()  # its pause may be longer than that
        self._draining.set()

    def stop(self) -> None:
        """Stop after the step under way. The next lane of this sink goes on from what is committed."""
        self._stop_now.set()
