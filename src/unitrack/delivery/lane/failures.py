"""What a lane does about an exception: retry or park, and for how long to pause."""

from __future__ import annotations

import random
import time

from unitrack import limits
from unitrack.delivery.ledger import LockedLedger
from unitrack.errors import SinkError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.system.disk import is_passing
from unitrack.values.redaction import redact_text
from unitrack.values.retries import pause_in_place, spread

_jitter = random.SystemRandom()
"""Not the global generator: a lane may live in the training process, whose random numbers are training's alone."""


class Failures:
    """The failures of one lane since its last commit, and the pause after the last one."""

    def __init__(self) -> None:
        self._unclassified = 0  # in a row
        self._pause_ends = 0.0
        self._in_place = 0  # of one call, in a row
        self._in_place_since = 0.0

    @property
    def tries_again_in_place(self) -> bool:
        """Whether the same call is to be made again, the sink still open."""
        return self._in_place > 0

    def pause_in_place(self, error: BaseException) -> bool:
        """Begin a short pause before the same call is made again; False if the lane should go back instead."""
        if isinstance(error, SinkUnavailableError):
            now = time.monotonic()
            self._in_place += 1
            if self._in_place == 1:
                self._in_place_since = now
            pause = pause_in_place(error, self._in_place, now - self._in_place_since)
            if pause is not None:
                self._pause_ends = now + pause
                return True
        return False

    def note_success(self) -> None:
        """Note that a call of the sink has returned."""
        self._in_place = 0

    @property
    def are_persistent(self) -> bool:
        """Whether an error that the sink did not classify came again after every retry: a record may be the cause."""
        return self._unclassified >= limits.UNEXPECTED_TRIES

    def is_pausing(self) -> bool:
        """Whether the next attempt is not due."""
        return time.monotonic() < self._pause_ends

    def end_pause(self) -> None:
        """End the pause: a person says that the trouble is mended."""
        self._pause_ends = 0.0

    def forget(self) -> None:
        """Forget all failures: the lane has committed."""
        self._unclassified = 0

    def note(self, error: BaseException, ledger: LockedLedger) -> None:
        """Begin the pause after a failure, and enter its reason and its end into the ledger."""
        self._in_place = 0
        is_parked = self._needs_person(error)
        wanted = error.retry_after if isinstance(error, SinkUnavailableError) else None
        delay = pause_of_parked() if is_parked else pause(ledger.current.attempts, wanted or 0.0)
        self._pause_ends = time.monotonic() + delay
        ledger.update(
            state="parked" if is_parked else "retrying",
            attempts=ledger.current.attempts + 1,
            last_error=describe(error),
            retry_at=int((time.time() + delay) * 1000),
        )

    def _needs_person(self, error: BaseException) -> bool:
        """Whether a person has to mend something."""
        if isinstance(error, SinkUnavailableError):
            return False
        if isinstance(error, SinkMisconfiguredError):
            return True
        if is_passing(error):
            return False
        self._unclassified += 1
        return self._unclassified > limits.UNEXPECTED_TRIES


def describe(error: BaseException) -> str:
    """Return an error in one line, without secrets."""
    text = " ".join(str(error).split())
    return redact_text(text if isinstance(error, SinkError) and text else f"{type(error).__name__}: {text}")[:500]


def pause(failures: int, wanted: float = 0.0) -> float:
    """Return the seconds until the next attempt after `failures` before this one: at random, up to a ceiling that is
    doubled each time.

    `wanted`: seconds that the backend asks for; the pause is longer by a random part of them, but never longer than a
    parked sink's.
    """
    ceiling = min(limits.RETRY_MAX_S, limits.RETRY_FIRST_S * 2.0 ** min(failures, 16))
    own = _jitter.uniform(min(limits.RETRY_FIRST_S, limits.RETRY_MAX_S) / 2, ceiling)
    return max(own, min(spread(wanted), limits.PARKED_RETRY_S))


def pause_of_parked() -> float:
    """Return the seconds until a parked sink is tried again; jittered, so that a cluster's jobs don't come at once."""
    return limits.PARKED_RETRY_S * _jitter.uniform(0.8, 1)
