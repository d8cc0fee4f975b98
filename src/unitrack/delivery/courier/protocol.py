"""What a training process and its couriers tell each other, through two pipes.

To a courier: an `Order` for each sink of each run, one JSON object a line. From a courier: every second that it is
well, what it does beside its orders, and at last why it leaves. A courier may be stuck as a whole, stopped by a signal
or in an extension that keeps the interpreter's lock. It can't tell that itself, so silence does.
"""

from __future__ import annotations

import contextlib
import os
import time

import msgspec

from unitrack import limits
from unitrack.alerts import AlertTerms
from unitrack.limits import LINGER_S
from unitrack.runfolder.manifest import LaneSpec
from unitrack.values.codec import decode

_CHUNK = 65536


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The settings of the delivery of a run, beside its sinks."""

    sample_every: float | None = None
    """Seconds between samples of system metrics; None for none."""
    linger: float | None = LINGER_S
    """Seconds to go on with a backend that takes nothing once training has ended; None: for ever."""
    nice: int = 0
    """How far a courier steps back behind training, as for `nice`: 0 ... 19."""
    take_up: bool = False
    """Whether what earlier runs beside this one left pending is delivered as well."""
    alerts: AlertTerms | None = None
    """The alerts to watch for; None for none."""
    crowd: int = 1
    """How many runs share the sinks' servers and start together."""


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Deliver one sink of one run."""

    folder: str
    """The run folder."""
    lane: LaneSpec
    terms: Terms = Terms()
    only_watch: bool = False
    """Deliver nothing, but watch for the alerts of the run, as long as its sink is delivered to."""
    request: str = ""
    """A request to answer (see `runfolder.requests`); then nothing is delivered either."""
    sys_path: list[str] = []
    """The owner's import path, so that a sink defined beside a script is found."""

    @property
    def delivers(self) -> bool:
        """Whether the order is to deliver."""
        return not (self.only_watch or self.request)


class Farewell(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """Why a courier leaves early, to be started again."""

    reason: str
    """A clause whose subject is the courier."""
    lanes: list[tuple[str, str]] = []
    """Run folder and sink of the lanes that caused it; empty if that is not known."""


class TakingUp(msgspec.Struct, frozen=True, tag=True):
    """A courier also delivers what earlier runs left pending."""

    runs: int
    root: str


Word = Farewell | TakingUp


class Heart:
    """The courier's end of the pipe. It never waits: what a slow or absent reader leaves no room for is dropped."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: -1 for none."""
        self._descriptor = descriptor
        if descriptor >= 0:
            os.set_inheritable(descriptor, False)  # a process that a backend starts must not keep it open
            os.set_blocking(descriptor, False)

    def beat(self) -> None:
        """Tell that all is well."""
        self._write(b"\n")

    def tell(self, word: Word) -> None:
        """Tell what the process does, or why it leaves; in less than a pipe takes in one piece."""
        self._write(msgspec.json.encode(word) + b"\n")

    def _write(self, line: bytes) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, line)


class Pulse:
    """The owner's end of the pipe."""

    def __init__(self) -> None:
        self._descriptor, self.courier_end = os.pipe()
        os.set_blocking(self._descriptor, False)
        self._buffered = b""
        self._heard: list[Word] = []
        self._looked_at = time.monotonic()
        self._silent_for = 0.0

    def close_courier_end(self) -> None:
        """Close the courier's end in this process: the courier has been started, or could not be."""
        os.close(self.courier_end)

    def is_silent(self) -> bool:
        """Whether nothing has been heard for so long that the process must be stuck.

        Between two looks, no more than two seconds count: after the machine, or training, was suspended, the courier
        still has time to write.
        """
        now = time.monotonic()
        self._silent_for += min(now - self._looked_at, 2 * limits.HEARTBEAT_S)
        self._looked_at = now
        if self._listen():
            self._silent_for = 0.0
        return self._silent_for > limits.COURIER_SILENT_S

    def last_words(self) -> Farewell | None:
        """Return why a process that has ended says that it left; None if it had no time to."""
        self._listen()
        return next((word for word in self._heard if isinstance(word, Farewell)), None)

    def news(self) -> TakingUp | None:
        """Return what the process does beside its orders, as far as `is_silent` has read it."""
        return next((word for word in self._heard if isinstance(word, TakingUp)), None)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._descriptor)

    def _listen(self) -> bool:
        heard = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._descriptor, _CHUNK):
                heard += chunk
        *lines, self._buffered = (self._buffered + heard).split(b"\n")
        for line in filter(None, lines):
            with contextlib.suppress(msgspec.MsgspecError):
                self._heard.append(decode(line, Word))
        return bool(heard)
