"""The thread of one run that reads device scalars, and appends the records that had to wait for them.

It takes the log calls in their order. Time and step of a record are those of its call; its number is that of its line,
for a journal's numbers have no gaps. A call without device scalars does not queue behind one that has some: its line is
written at once, and may stand before.
What the checks refuse in the thread surfaces later: at the next call of the run, or at `flush()` and `finish()`.
"""

from __future__ import annotations

import collections
import queue
import threading
import time
from collections.abc import Callable

from unitrack.device_scalars import UnreadCall
from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.journal import JournalWriter
from unitrack.limits import MAX_UNREAD_CALLS, POLL_MIN_S


class DeviceReader:
    """Reads the calls it is given, and hands each to `append`, which holds the journal's lock then."""

    def __init__(self, append: Callable[[UnreadCall], None]) -> None:
        self._append = append
        self._calls: queue.SimpleQueue[UnreadCall | threading.Event | None] = queue.SimpleQueue()
        self._read_at_kill: collections.deque[UnreadCall] = collections.deque()
        self._is_killed = False
        self._is_closed = False
        self._failure: Exception | None = None
        self._more_failures = 0
        self.unread = 0
        """Calls that are not appended yet. Changed under the journal's lock."""
        threading.Thread(target=self._work, name="unitrack-device-reader", daemon=True).start()

    def put(self, call: UnreadCall) -> None:
        """Take a call. Never blocks. Hold the journal's lock."""
        self.unread += 1
        self._calls.put(call)

    def make_room(self) -> None:
        """Wait while more is unread than may be: training is ahead of its device by that many calls."""
        while self._calls.qsize() >= MAX_UNREAD_CALLS:
            time.sleep(POLL_MIN_S)

    def wait(self, deadline: float | None = None) -> None:
        """Wait until what was put so far is read and appended, at most until `deadline` of the monotonic clock."""
        passed = threading.Event()
        self._calls.put(passed)
        while not passed.wait(POLL_MIN_S) and not self._is_closed:
            if deadline is not None and time.monotonic() >= deadline:
                return

    def take_failure(self) -> Exception | None:
        """What went wrong first since the last time, to be raised."""
        failure, self._failure = self._failure, None
        more, self._more_failures = self._more_failures, 0
        if failure is not None and more:
            failure.add_note(f"{more} more calls with device scalars were refused since")
        return failure

    def settle_at_kill(self, journal: JournalWriter, deadline: float) -> None:
        """In a signal handler: `wait`, though this thread may have been interrupted while it held the lock."""
        self._is_killed = True
        self.wait(deadline)
        with journal.lock:
            while self._read_at_kill:
                self._write(self._read_at_kill.popleft())

    def close(self) -> None:
        """End the thread; what is unread stays so. Hold the journal's lock."""
        self._is_closed = True
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if isinstance(call, threading.Event):
                call.set()
                continue
            call.read()
            self._settle(call)

    def _settle(self, call: UnreadCall) -> None:
        while not self._is_killed:
            if call.journal.lock.acquire(timeout=POLL_MIN_S):
                try:
                    self._write(call)
                finally:
                    call.journal.lock.release()
                return
        self._read_at_kill.append(call)

    def _write(self, call: UnreadCall) -> None:
        if self._is_closed:
            return
        self.unread -= 1
        try:
            self._append(call)
        except Exception as error:
            if self._failure is None:
                self._failure = _told_late(error, call.step)
            else:
                self._more_failures += 1


def _told_late(error: Exception, step: int) -> Exception:
    """The error as a later call raises it: it must say that it is not that call's."""
    when = f"this was logged by an earlier call, at step {step}; values on a device are checked once they are read"
    if isinstance(error, InvalidTypeError | InvalidValueError):
        return type(error)(f"{error} ({when})").with_traceback(error.__traceback__)
    error.add_note(when)
    return error
