"""The thread of one run that reads device scalars, and appends the records that wait for them.

It handles log calls in their order. A record has the time and step of its call, and the number of its line, since a
journal's numbers have no gaps. A call without device scalars does not wait for an earlier one with some: its line is
written at once, and may come first.
An error that a check raises in the thread is raised later: at the next call of the run, or at `flush()` and `finish()`.
"""

from __future__ import annotations

import collections
import queue
import threading
import time
from collections.abc import Callable

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.limits import MAX_UNREAD_CALLS, POLL_MIN_S
from unitrack.run.unread_call import UnreadCall


class DeviceReader:
    """Reads the values of log calls, and passes each call to `append` with the journal's lock held."""

    def __init__(self, append: Callable[[UnreadCall], None]) -> None:
        self._append = append
        self._calls: queue.SimpleQueue[UnreadCall | threading.Event | None] = queue.SimpleQueue()
        self._read_at_kill: collections.deque[UnreadCall] = collections.deque()
        self._is_killed = False
        self._is_closed = False
        self._failure: Exception | None = None
        self._more_failures = 0
        self.unread = 0
        """Number of calls that are not appended yet. Changed under the journal's lock."""
        threading.Thread(target=self._work, name="unitrack-device-reader", daemon=True).start()

    def put(self, call: UnreadCall) -> None:
        """Queue a call. Never blocks. Call it with the journal's lock held."""
        self.unread += 1
        self._calls.put(call)

    def make_room(self) -> None:
        """Wait while `MAX_UNREAD_CALLS` or more calls are unread: training is that far ahead of its device."""
        while self._calls.qsize() >= MAX_UNREAD_CALLS:
            time.sleep(POLL_MIN_S)

    def wait(self, deadline: float | None = None) -> None:
        """Wait until the calls put so far are read and appended, at most until `deadline` of the monotonic clock."""
        passed = threading.Event()
        self._calls.put(passed)
        while not passed.wait(POLL_MIN_S) and not self._is_closed:
            if deadline is not None and time.monotonic() >= deadline:
                return

    def take_failure(self) -> Exception | None:
        """Return the first error since the last call of this method, for the caller to raise; None if there is none."""
        failure, self._failure = self._failure, None
        more, self._more_failures = self._more_failures, 0
        if failure is not None and more:
            failure.add_note(f"{more} more calls with device scalars were refused since")
        return failure

    def settle_at_kill(self, lock: threading.RLock, deadline: float) -> None:
        """Wait in a signal handler, where the interrupted thread may hold the journal's lock."""
        self._is_killed = True
        self.wait(deadline)
        with lock:
            while self._read_at_kill:
                self._write(self._read_at_kill.popleft())

    def close(self) -> None:
        """End the thread; unread calls are dropped. Call it with the journal's lock held."""
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
                self._failure = _as_late_error(error, call.step)
            else:
                self._more_failures += 1


def _as_late_error(error: Exception, step: int) -> Exception:
    """Return the error as a later call raises it, with a note that an earlier call caused it."""
    when = f"this was logged by an earlier call, at step {step}; values on a device are checked once they are read"
    if isinstance(error, InvalidTypeError | InvalidValueError):
        return type(error)(f"{error} ({when})").with_traceback(error.__traceback__)
    error.add_note(when)
    return error
