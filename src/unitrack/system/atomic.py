"""Atomic replacement of a file."""

from __future__ import annotations

import contextlib
import glob
import os
from pathlib import Path

from unitrack.system.files import open_private
from unitrack.system.processes import process_start


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file's content so that a reader sees either the old content or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb", opener=open_private) as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of processes that died while they replaced `path`."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdecimal() and process_start(int(pid)) is None:
            left.unlink(missing_ok=True)
