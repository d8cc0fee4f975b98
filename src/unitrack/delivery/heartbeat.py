"""The pipe through which a courier tells who started it, every second, that it is well, what it does beside its orders,
and at last why it leaves.

A courier may be stuck as a whole: stopped by a signal, or in an extension that keeps the interpreter's lock. It can't
tell that itself, so silence does.
"""

from __future__ import annotations

import contextlib
import os
import time

import msgspec

from unitrack import limits
from unitrack.learned import learned

_CHUNK = 65536


@learned
class Farewell(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """Why a courier leaves before its time, so as to be started again."""

    reason: str
    """A clause whose subject is the courier."""
    lanes: list[tuple[str, str]] = []
    """Run folder and sink of those that are to blame; none if it can't be told."""


class TakingUp(msgspec.Struct, frozen=True, tag=True):
    """A courier also delivers what earlier runs left pending."""

    runs: int
    root: str


Word = Farewell | TakingUp
learned(Word)


class Heart:
    """The courier's end. Nobody may be listening, or be slow to: then nothing is said, and nothing waits."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: -1 for none."""
        self._descriptor = descriptor
        if descriptor >= 0:
            os.set_inheritable(descriptor, False)  # what a backend starts must not speak for us
            os.set_blocking(descriptor, False)

    def beat(self) -> None:
        """Say that all is well."""
        self._say(b"\n")

    def say(self, word: Word) -> None:
        """Say what the process does, or why it leaves; less than a pipe takes in one piece."""
        self._say(msgspec.json.encode(word) + b"\n")

    def _say(self, line: bytes) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, line)


class Pulse:
    """The owner's end."""

    def __init__(self) -> None:
        self._descriptor, self.courier_end = os.pipe()
        os.set_blocking(self._descriptor, False)
        self._buffered = b""
        self._heard: list[Word] = []
        self._looked_at = time.monotonic()
        self._silent_for = 0.0

    def close_courier_end(self) -> None:
        """The process has been started, or could not be."""
        os.close(self.courier_end)

    def is_silent(self) -> bool:
        """Whether nothing has been heard for so long that the process must be stuck.

        Only time in which we ourselves looked once a second or so counts: after a machine, or training, was suspended
        the courier gets its chance.
        """
        now = time.monotonic()
        self._silent_for += min(now - self._looked_at, 2 * limits.HEARTBEAT_S)
        self._looked_at = now
        if self._listen():
            self._silent_for = 0.0
        return self._silent_for > limits.COURIER_SILENT_S

    def last_words(self) -> Farewell | None:
        """What a process that has ended said why; None if it had no time to."""
        self._listen()
        return next((word for word in self._heard if isinstance(word, Farewell)), None)

    def news(self) -> TakingUp | None:
        """What the process does beside its orders, as far as `is_silent` has heard of it."""
        return next((word for word in self._heard if isinstance(word, TakingUp)), None)

    def close(self) -> None:
        """Nobody listens any more."""
        os.close(self._descriptor)

    def _listen(self) -> bool:
        heard = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._descriptor, _CHUNK):
                heard += chunk
        *lines, self._buffered = (self._buffered + heard).split(b"\n")
        for line in filter(None, lines):
            with contextlib.suppress(msgspec.MsgspecError):
                self._heard.append(msgspec.json.decode(line, type=Word))
        return bool(heard)
