"""What a lane does about an exception: it retries or parks, and when it goes on."""

from __future__ import annotations

import time

from unitrack import limits
from unitrack.delivery.backoff import pause, pause_of_parked
from unitrack.delivery.ledger import Ledger
from unitrack.disk_trouble import is_passing
from unitrack.errors import SinkError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import pause_in_place
from unitrack.redaction import redact_text


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
        """Begin a short pause before the same call is made again; False if that is no use, or no longer."""
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
        """A call of the sink has returned."""
        self._in_place = 0

    @property
    def are_persistent(self) -> bool:
        """Whether trying again did not help against what the sink did not classify: a record may be to blame."""
        return self._unclassified >= limits.UNEXPECTED_TRIES

    def is_pausing(self) -> bool:
        """Whether the next attempt is not due."""
        return time.monotonic() < self._pause_ends

    def end_pause(self) -> None:
        """Somebody says that the trouble is mended."""
        self._pause_ends = 0.0

    def forget(self) -> None:
        """The lane has committed: the next failure is the first one."""
        self._unclassified = 0

    def enter(self, error: BaseException, ledger: Ledger) -> None:
        """Begin the pause after a failure, and tell in the ledger why it is and how long it takes."""
        self._in_place = 0
        is_parked = self._takes_somebody(error)
        wanted = error.retry_after if isinstance(error, SinkUnavailableError) else None
        delay = pause_of_parked() if is_parked else pause(ledger.attempts, wanted or 0.0)
        self._pause_ends = time.monotonic() + delay
        ledger.state = "parked" if is_parked else "retrying"
        ledger.attempts += 1
        ledger.last_error = describe(error)
        ledger.retry_at = int((time.time() + delay) * 1000)

    def _takes_somebody(self, error: BaseException) -> bool:
        """Whether somebody has to mend something."""
        if isinstance(error, SinkUnavailableError):
            return False
        if isinstance(error, SinkMisconfiguredError):
            return True
        if is_passing(error):
            return False
        self._unclassified += 1
        return self._unclassified > limits.UNEXPECTED_TRIES


def describe(error: BaseException) -> str:
    """An error in one line, without secrets."""
    text = " ".join(str(error).split())
    return redact_text(text if isinstance(error, SinkError) and text else f"{type(error).__name__}: {text}")[:500]
