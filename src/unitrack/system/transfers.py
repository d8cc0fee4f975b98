"""How far the upload of a file is: a small file in the run folder, for those who wait for it."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import msgspec

from unitrack.system.atomic import write_atomically
from unitrack.system.files import read_regular

_WRITTEN_EVERY_S = 0.25
_FRESH_S = 60.0
"""An older note is that of a process that was killed, or of an upload that is stuck."""
_MAX_BYTES = 64 * 1024


class Transfer(msgspec.Struct, frozen=True):
    """The upload of a file or a folder."""

    name: str
    done: int
    """Bytes."""
    total: int
    time: float
    """When `done` was true, in seconds since the epoch."""

    def __str__(self) -> str:
        return f"uploading {self.name}, {self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB"


def transfer_file(folder: Path, sink: str) -> Path:
    """Return the path of the note, given a run folder and the name of a sink."""
    return folder / ".unitrack" / f"{sink}.transfer.json"


def read_transfer(path: Path) -> Transfer | None:
    """Return the upload that is going on; None if there is none, or nothing is known of it."""
    try:
        found = msgspec.json.decode(read_regular(path, _MAX_BYTES), type=Transfer)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if abs(time.time() - found.time) < _FRESH_S else None


class TransferNote:
    """Writes the note, at most four times a second. It can be used by several threads."""

    def __init__(self, path: Path, name: str, total: int) -> None:
        self._path, self._name, self._total = path, name, total
        self._done = 0
        self._written_at = time.monotonic()  # a small file is stored before there is anything to tell
        self._lock = threading.Lock()

    def advance(self, count: int) -> None:
        """Add bytes that are done. A note that can't be written does not stop the upload."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._written_at < _WRITTEN_EVERY_S:
                return
            self._written_at = now
            transfer = Transfer(self._name, self._done, self._total, time.time())
            with contextlib.suppress(OSError):
                write_atomically(self._path, msgspec.json.encode(transfer))

    def remove(self) -> None:
        """Remove the note: the upload is over."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
