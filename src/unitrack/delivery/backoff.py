"""How long to wait after a failure."""

from __future__ import annotations

import random

from unitrack import limits


def pause(failures: int, wanted: float = 0.0) -> float:
    """Seconds until the next attempt after so many failures before this one: doubled each time, bounded, jittered.

    `wanted`: what the backend asks for, seconds; it is heeded as far as a parked sink waits, not for ever.
    """
    ceiling = min(limits.RETRY_MAX_S, limits.RETRY_FIRST_S * 2.0 ** min(failures, 16))
    return max(ceiling * random.uniform(0.5, 1), min(wanted, limits.PARKED_RETRY_S))


def pause_of_parked() -> float:
    """Seconds until a parked sink is tried again; jittered, so that a cluster's jobs don't all come at once."""
    return limits.PARKED_RETRY_S * random.uniform(0.8, 1)
