"""What a step of a lane came to."""

from __future__ import annotations

from enum import Enum


class Progress(Enum):
    """Tells whoever steps a lane whether to go on at once, to rest, or to stop."""

    MADE = "made"
    IDLE = "idle"
    """All that is written is delivered."""
    WAITING = "waiting"
    """The backend is in trouble; the next attempt is not due."""
    DONE = "done"
    """The end of the run is confirmed."""
