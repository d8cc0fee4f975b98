"""Importing a backend's SDK, which may take seconds of the processor and make 300,000 objects.

The couriers of a run start together, and import one after the other: training shares the processor with one of them,
not with four. Meanwhile Python's garbage collector is off: it would find nothing, and take a sixth of the time. What an
SDK consists of is exempt from later collections, else each of them looks through all of it: delivery to MLflow takes
61 us a point with the exemption and 80 without (measured).
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator

from unitrack import limits
from unitrack.plugins.options import load_object
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.locks import FileLock


def import_in_turn(folder: RunFolder, spec: LaneSpec) -> None:
    """Import the class of a sink while no other courier of the run imports one, if that comes within `IMPORT_TURN_S`.

    A sink that imports no SDK, as that of the local files, waits for none. Raises nothing: the lane imports the class
    again, and reports what is wrong with it.
    """
    turn = _turn(FileLock(folder.state / "import.lock")) if spec.imports_sdk else contextlib.nullcontext()
    with turn, _without_collection(), contextlib.suppress(BaseException):
        load_object(spec.sink)


def exempt_from_collection() -> None:
    """Leave all objects that there are now out of later garbage collections."""
    gc.freeze()


@contextlib.contextmanager
def _turn(lock: FileLock) -> Iterator[None]:
    deadline = time.monotonic() + limits.IMPORT_TURN_S
    with contextlib.suppress(OSError):  # a folder that can't be written, or a file system without locks
        while not lock.acquire() and time.monotonic() < deadline:
            time.sleep(limits.POLL_MIN_S)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
