"""One event file: frames of serialized `Event` protos.

An `EventFile` is written from front to back by one sink and never reopened for appending: a torn frame hides all that
follows it in the same file from TensorBoard.
"""

from __future__ import annotations

import contextlib
import os
from io import FileIO
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata

from unitrack_tensorboard.tfrecord import frame

_FILE_VERSION = "brain.Event:2"
"""What readers look for in the first event. Without it the Python reader drops points that come out of order."""

_SPILL_BYTES = 16 * 1024 * 1024
"""What may wait in memory, beside the largest image that is shown."""


def file_header(time: float) -> bytes:
    """The frame that an event file begins with. `time` is in seconds since the epoch."""
    event = Event(wall_time=time, file_version=_FILE_VERSION, source_metadata=SourceMetadata(writer="unitrack"))
    return frame(event.SerializeToString())


class EventFile:
    """A new event file that grows at each `flush`.

    It holds no descriptor in between, so hundreds of runs and of folders cost none.
    """

    def __init__(self, path: Path, time: float) -> None:
        """Create no file before the first `flush`. `time` is that of the header, in seconds since the epoch."""
        self.path = path
        self.length = 0
        """What is on disk, in bytes: always whole frames."""
        self._pending = [file_header(time)]
        self._pending_bytes = 0

    def append(self, event: Event) -> None:
        """Take one event for the next `flush`."""
        framed = frame(event.SerializeToString())
        self._pending.append(framed)
        self._pending_bytes += len(framed)

    @property
    def dirty(self) -> bool:
        """Return whether a `flush` has something to write."""
        return (self.length > 0 and bool(self._pending)) or len(self._pending) > 1

    def spill(self) -> None:
        """A `flush` if what waits for one is large: a batch can hold thousands of images. Raises `OSError`."""
        if self._pending_bytes > _SPILL_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was appended, and wait for the disk.

        Raises `OSError`; then the file is as long as before, and the events still wait for the next `flush`.
        """
        if not self.dirty:
            return
        data = b"".join(self._pending)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # "r+" once it exists: if someone deleted it, that is an error, not a new file without a header.
        with self.path.open("r+b" if self.length else "wb", buffering=0) as file:
            try:
                file.seek(self.length)
                _write_all(file, data)
                _sync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(self.length)
                raise
        self.length += len(data)
        self._pending.clear()
        self._pending_bytes = 0


_sync = getattr(os, "fdatasync", os.fsync)  # macOS and Windows have only fsync


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
