"""The lock that makes one process deliver to a sink. The kernel lets go of it when that process dies, whatever of."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from unitrack.safe_files import open_private


class LaneLock:
    """Held from `acquire` to `release`. `RunFolder.lane_lock` looks at the same file, for a moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    @property
    def is_held(self) -> bool:
        """Whether this lane has it."""
        return self._descriptor >= 0

    def acquire(self) -> bool:
        """Take it; False if another process has it. Raises `OSError` if the file can't be made."""
        descriptor = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let others deliver, if it is held."""
        if self.is_held:
            os.close(self._descriptor)
            self._descriptor = -1
