"""Whether a call of an SDK comes from unitrack itself: one of its sinks, or its reading side."""

from __future__ import annotations

import sys

_INSIDE = ("unitrack_mlflow", "unitrack_wandb", "unitrack_tensorboard", "unitrack_trackio", "unitrack.delivery")


def is_called_by_unitrack() -> bool:
    """Return whether a plugin of unitrack is among the callers.

    It takes a few microseconds for each hundred frames, so ask it once for a run.
    """
    frame = sys._getframe(1)  # noqa: SLF001  # the documented way to the caller's frame
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(_INSIDE):
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False
