"""The run of `unitrack exec`, seen from inside its command."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unitrack.config import resolve
from unitrack.errors import ConfigError, JournalError
from unitrack.run.run import Run, rejoin
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.atomic import write_atomically
from unitrack.system.locks import FileLock
from unitrack.values.redaction import redact_text

VARIABLE = "UNITRACK_EXEC_RUN"
"""The run folder, absolute; set for the command."""


@contextlib.contextmanager
def run_of_command() -> Iterator[Run]:
    """Return the run of the `unitrack exec` around this process, to log to; it goes on afterwards.

    Raises `ConfigError` outside of a command, and if the run has ended.
    """
    path = os.environ.get(VARIABLE, "")
    if not path:
        raise ConfigError(f"there is no run to log to ({VARIABLE} is not set): call it in `unitrack exec -- COMMAND`")
    try:
        manifest = RunFolder(Path(path)).read_manifest()
    except JournalError as error:
        raise ConfigError(f"the run of {VARIABLE}={redact_text(path)} is gone: {error}") from error
    run = rejoin(manifest.run, path, resolve().settings, 0)
    with run:
        yield run


def next_step(folder: Path, step: int | None) -> int:
    """Return the step to log at: the one that is given, else the one after the last that was logged from this run."""
    lock = FileLock(RunFolder(folder).state / "exec.lock")
    lock.acquire(wait=True)
    try:
        counter = RunFolder(folder).state / "exec.step"
        chosen = step if step is not None else _read(counter) + 1
        if chosen > _read(counter):
            write_atomically(counter, str(chosen).encode())
        return chosen
    finally:
        lock.release()


def _read(counter: Path) -> int:
    try:
        return int(counter.read_bytes())
    except (OSError, ValueError):
        return -1


def value_of(text: str) -> Any:
    """Return what a text on the command line means: a number, true, false, null, a JSON list or object, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
