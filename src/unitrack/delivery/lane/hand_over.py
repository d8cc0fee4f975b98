"""Requests to the process that delivers to a sink to let another one deliver, which it grants while it backs off.

So `unitrack sync` need not wait for the back-off of a courier. A request is an empty file beside the sink's lock; the
process that grants it removes it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from unitrack import limits
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.ledger import Ledger
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.files import open_private


def is_asked_for(folder: RunFolder, sink: str) -> bool:
    """Return whether another process asks for a sink, and remove the request."""
    try:
        _request_file(folder, sink).unlink()
    except OSError:
        return False
    return True


def take_over(lane: Lane, deadline: float) -> bool:
    """Acquire a lane that another process holds, if that lets go of it; `deadline` is of the monotonic clock.

    Only a sink that is retrying or parked is asked for: one that makes progress is left to the process that delivers.
    """
    folder, sink = lane.folder, lane.spec.name
    if Ledger.load(folder.ledger_file(sink)).state not in ("retrying", "parked"):
        return False
    deadline = min(deadline, time.monotonic() + limits.HAND_OVER_S)
    try:
        os.close(open_private(_request_file(folder, sink), os.O_WRONLY | os.O_CREAT))
        while time.monotonic() < deadline:
            if lane.acquire():
                return True
            time.sleep(limits.POLL_MAX_S / 4)
    except OSError:  # a folder that can't be written
        return False
    finally:
        with contextlib.suppress(OSError):
            _request_file(folder, sink).unlink()
    return lane.acquire()  # it may have let go at this very moment


def _request_file(folder: RunFolder, sink: str) -> Path:
    return folder.state / f"{sink}.ledger.wanted"
