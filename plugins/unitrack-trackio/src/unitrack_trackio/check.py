"""The checks of `unitrack doctor` for trackio."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import trackio

from unitrack.errors import SinkMisconfiguredError
from unitrack.hookspecs import Finding
from unitrack_trackio.options import TrackioOptions
from unitrack_trackio.session import refuse_remote


def check(options: TrackioOptions) -> Iterator[Finding]:
    """The package, that trackio would stay on this machine, and whether its folder can be written."""
    yield Finding(ok=True, subject="package", message=f"trackio {version('trackio')}")
    try:
        refuse_remote()
    except SinkMisconfiguredError as error:
        yield Finding(ok=False, subject="environment", message=str(error))
    yield _folder(Path(trackio.TRACKIO_DIR).absolute())


def _folder(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        mend = "mend the permissions, or set TRACKIO_DIR"
        return Finding(
            ok=False, subject="folder", message=f"can't write to {existing}: {os.strerror(error.errno or 0)}; {mend}"
        )
    return Finding(ok=True, subject="folder", message=f"{folder} can be written")
