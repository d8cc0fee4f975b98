"""Making a request again, after a short pause, where it failed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TypeVar

from unitrack import limits
from unitrack.errors import SinkUnavailableError

_Answer = TypeVar("_Answer")


def pause_in_place(error: SinkUnavailableError, failures: int, lasted: float) -> float | None:
    """Return the seconds until the call that raised `error` is to be made again; None if it is not.

    `failures`: how often it has failed in a row, in `lasted` seconds.
    """
    if error.reopen:
        return None
    if (wanted := error.retry_after) is not None:
        goes_on = lasted + wanted <= limits.IN_PLACE_WANTED_S
    else:
        goes_on = lasted <= limits.IN_PLACE_LASTS_S and failures < limits.IN_PLACE_TRIES
    if not goes_on:
        return None
    from random import SystemRandom  # noqa: PLC0415  # 1 ms, for couriers only

    ceiling = min(limits.IN_PLACE_MAX_S, limits.IN_PLACE_FIRST_S * 2.0 ** min(failures - 1, 16))
    jitter = SystemRandom().uniform(0.5, 1)  # training may have seeded the global one
    return spread(wanted or 0.0) + ceiling * jitter


def spread(wanted: float) -> float:
    """Return the seconds to wait where a backend asks for `wanted`: more by a random part, as it asks all clients."""
    from random import SystemRandom  # noqa: PLC0415  # as above

    return wanted * SystemRandom().uniform(1, 1 + limits.RETRY_AFTER_SPREAD)


def retry_in_place(request: Callable[[], _Answer]) -> _Answer:
    """Make a request and return its answer; repeat it while it raises `SinkUnavailableError`.

    A sink that makes several requests in one call wraps each, so that one that fails does not cost those before it. The
    request must be safe to repeat. The pauses are short, or those that the error asks for. The number of tries and the
    time are bounded (`limits.IN_PLACE_...`); then the last error is raised.
    """
    begun = time.monotonic()
    for failures in itertools.count(1):
        try:
            return request()
        except SinkUnavailableError as error:
            pause = pause_in_place(error, failures, time.monotonic() - begun)
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("count() has no end")
