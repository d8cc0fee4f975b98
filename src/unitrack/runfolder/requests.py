"""Requests: work that a log call leaves to a courier, each a file in the spool of the run.

The call writes the file and gives an order. The courier that answers removes it once the answer is in a journal. So
work that a courier had no time for is done by the next one, and never twice. A request that nobody has begun to answer
holds up the end of the run for a moment only.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from unitrack.limits import REQUEST_GRACE_S
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.atomic import write_atomically
from unitrack.system.files import read_regular

_SUFFIX = ".request"


def leave_request(folder: RunFolder, content: bytes) -> str:
    """Write a request and return its name. Raises `OSError`."""
    name = f"{os.urandom(6).hex()}{_SUFFIX}"
    write_atomically(folder.spool / name, content)
    return name


def read_request(folder: RunFolder, name: str) -> bytes | None:
    """Return the content of a request; None if it was answered."""
    try:
        return read_regular(folder.spool / os.path.basename(name))
    except FileNotFoundError:
        return None


def forget_request(folder: RunFolder, name: str) -> None:
    """Remove a request that is answered."""
    with contextlib.suppress(OSError):
        (folder.spool / os.path.basename(name)).unlink()


def find_requests(spool: Path) -> list[str]:
    """Return the requests that are not answered."""
    with contextlib.suppress(FileNotFoundError):
        return [entry.name for entry in os.scandir(spool) if entry.name.endswith(_SUFFIX)]
    return []


def new_requests(spool: Path) -> list[str]:
    """Return the requests that are so new that somebody may be about to answer them."""
    found = []
    for name in find_requests(spool):
        with contextlib.suppress(OSError):
            if abs(time.time() - os.stat(spool / name).st_mtime) < REQUEST_GRACE_S:
                found.append(name)
    return found
