"""A lock for a project, held by the sink that makes a run in it.

trackio resumes runs by their names, and has no call that makes a run only if there is none of its name. Between looking
for a free name and the first row, another sink, here or in another process, could take the same name: trackio would
write both to one run.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unitrack.errors import SinkUnavailableError

_WAIT_S = 60.0
"""Making a run takes milliseconds; trackio itself waits 10 s for its lock and 30 s for a row to be written."""
_POLL_S = 0.01


@contextmanager
def making_runs(database: Path) -> Iterator[None]:
    """Hold the lock of a database's project, to make a run in it. The system frees it if the process dies.

    Raises `OSError`, and `SinkUnavailableError` if it is not free within a minute.
    """
    path = database.with_name(f".{database.stem}.unitrack.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o664)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SinkUnavailableError(f"another process has held {path} for {_WAIT_S:g} s") from None
            time.sleep(_POLL_S)
        else:
            return
