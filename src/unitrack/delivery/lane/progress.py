"""The result of one step of a lane."""

from __future__ import annotations

from enum import Enum


class Progress(Enum):
    """Whether to take the next step at once, to rest first, or to stop."""

    MADE = "made"
    IDLE = "idle"
    """All that is written is delivered."""
    WAITING = "waiting"
    """The backend is in trouble; the next attempt is not due."""
    DONE = "done"
    """The end of the run is confirmed."""
