"""The checks of `unitrack doctor` for TensorBoard."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from unitrack.hookspecs import Finding
from unitrack_tensorboard.options import DEFAULT_LOGDIR, TensorBoardOptions


def check(options: TensorBoardOptions) -> Iterator[Finding]:
    """The package, the data server, and whether the logdir can be written."""
    yield Finding(ok=True, subject="package", message=f"tensorboard {version('tensorboard')}")
    yield _data_server()
    if options.logdir is None:
        yield Finding(ok=True, subject="logdir", message=f"`{DEFAULT_LOGDIR}` in the folder that holds the run folders")
    else:
        yield _logdir(Path(options.logdir).expanduser().absolute())


def _data_server() -> Finding:
    """Return a finding on the data server. It is optional: without it TensorBoard reads with Python, more slowly."""
    try:
        found = f"tensorboard-data-server {version('tensorboard-data-server')}"
    except PackageNotFoundError:
        found = "none: TensorBoard reads with Python, which is slower"
    return Finding(ok=True, subject="data server", message=found)


def _logdir(logdir: Path) -> Finding:
    existing = next(path for path in (logdir, *logdir.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        mend = "mend the permissions, or set another logdir"
        return Finding(ok=False, subject="logdir", message=f"can't write to {existing}: {error.strerror}; {mend}")
    suffix = "" if existing == logdir else f" (to be created in {existing})"
    return Finding(ok=True, subject="logdir", message=f"{logdir} can be written{suffix}")
