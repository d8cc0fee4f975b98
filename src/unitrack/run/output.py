"""What a command printed, bounded: the beginning and the end are kept, the middle is left out. The run gets it as a
file, now and then.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from unitrack.errors import DeliveryWarning, UnitrackError, warn_caller
from unitrack.limits import MIB
from unitrack.run.run import Run

HEAD_BYTES, TAIL_BYTES = MIB, 4 * MIB

_FILE = "output.log"
_FIRST_PUBLISHED_S, _PUBLISHED_AT_LEAST_S = 5.0, 300.0
"""The output is logged after the first, then each time after twice as long, at least once in the second."""


class OutputLog:
    """The output of a command. Threads may add to it while another one reads it."""

    def __init__(self, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._lock = threading.Lock()
        self._head_bytes, self._tail_bytes = head_bytes, tail_bytes
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._in_tail = 0
        self.size = 0
        """Bytes that were added, those that are left out included."""

    def add(self, chunk: bytes) -> None:
        """Append what was printed."""
        with self._lock:
            self.size += len(chunk)
            room = self._head_bytes - len(self._head)
            self._head += chunk[:room]
            if rest := chunk[room:]:
                self._tail.append(rest)
                self._in_tail += len(rest)
                while self._in_tail - len(self._tail[0]) >= self._tail_bytes:
                    self._in_tail -= len(self._tail.popleft())

    def text(self) -> str:
        """Return the output; a line in it tells how much is left out."""
        with self._lock:
            head, tail = bytes(self._head), b"".join(self._tail)
            left_out = self.size - len(head) - len(tail)
        middle = f"\n[{left_out:,} bytes left out]\n".encode() if left_out else b""
        return (head + middle + tail).decode("utf-8", "replace")

    def last_line(self) -> str:
        """Return the last line that is not empty; "" if there is none."""
        with self._lock:
            end = b"".join(self._tail)[-4096:] or bytes(self._head[-4096:])
        lines = end.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class OutputFile:
    """The file `output.log` of a run. The command goes on whatever happens to it."""

    def __init__(self, run: Run, output: OutputLog) -> None:
        self._run = run
        self._output = output
        self._published = 0
        self._pause = _FIRST_PUBLISHED_S
        self._due = time.monotonic() + self._pause

    def tend(self) -> None:
        """Log the output if it has grown and some time has passed."""
        if time.monotonic() >= self._due:
            self.publish()
            self._pause = min(2 * self._pause, _PUBLISHED_AT_LEAST_S)
            self._due = time.monotonic() + self._pause

    def publish(self) -> None:
        """Log the output if it has grown."""
        if self._output.size > self._published:
            self._published = self._output.size
            try:
                self._run.log_text(self._output.text(), _FILE)
            except UnitrackError as error:
                warn_caller(f"its output can't be logged: {error}", DeliveryWarning)
