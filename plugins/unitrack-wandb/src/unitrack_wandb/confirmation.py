"""The check that a run has arrived, made before each commit: `finish()` returns without an error after failures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unitrack.errors import SinkUnavailableError
from unitrack_wandb.errors import sink_error
from unitrack_wandb.offline_file import NotAWandbFileError
from unitrack_wandb.offline_run import OfflineRun

_POLL_FIRST_S = 0.02
_POLL_MAX_S = 2.0
_FILES_PER_QUERY = 50
"""W&B's own page size for files."""


def confirm_offline(folder: Path, rows: int, timeout: float) -> None:
    """The `.wandb` file in `folder` is whole and on disk: its end is there and it holds `rows` rows.

    The SDK writes the last block after `finish()` has returned (0.31, measured), hence up to `timeout` seconds of
    patience. Raises `SinkUnavailableError` after that.
    """
    _wait(lambda: _missing_on_disk(folder, rows), f"the offline run {folder}", timeout)


def _missing_on_disk(folder: Path, rows: int) -> str | None:
    run = OfflineRun(folder)
    try:
        header = run.header
        if header.exit_code is None or header.rows != rows:
            return f"it is not whole: {header.rows} of {rows} rows, {'no ' if header.exit_code is None else ''}end"
        if header.damaged:
            return f"it is not whole: {header.damaged} bytes are damaged"
        with run.file.open("rb") as file:
            os.fsync(file.fileno())
    except (OSError, NotAWandbFileError) as error:
        return f"it can't be read back ({error})"
    return None


def confirm_online(api: Any, path: str, rows: int, files: Mapping[str, int], timeout: float) -> None:
    """The server holds `rows` rows and `files` (name to size in bytes) of the run, and knows that it ended.

    Asks again for up to `timeout` seconds, as the server may take a moment, or refuse a request; then raises
    `SinkUnavailableError`.
    Raises `SinkMisconfiguredError` if it refuses to answer.
    """

    def look() -> str | None:
        try:
            return _missing_on_server(api, path, rows, files)
        except Exception as error:
            raise sink_error(error, f"asking W&B whether {path} arrived") from error

    _wait(look, f"W&B run {path}", timeout)


def _wait(look: Callable[[], str | None], what: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    pause = _POLL_FIRST_S
    while True:
        trouble = None
        try:
            missing = look()
        except SinkUnavailableError as error:  # a server that refuses to say now may say later
            trouble, missing = error, str(error)
        if missing is None:
            return
        if time.monotonic() + pause > deadline:
            message = f"{what} ended without an error, yet {missing} after {timeout:g} s"
            # What the SDK gave up it has to be given again; a question can be asked again as it is.
            raise trouble or SinkUnavailableError(message, reopen=True)
        time.sleep(pause)
        pause = min(2 * pause, _POLL_MAX_S)


def _missing_on_server(api: Any, path: str, rows: int, files: Mapping[str, int]) -> str | None:
    api.flush()  # the Api caches runs
    run = api.run(path)
    arrived = run.lastHistoryStep + 1
    if arrived < rows:
        return f"only {arrived} of {rows} rows are there"
    names = list(files)
    for start in range(0, len(names), _FILES_PER_QUERY):
        wanted = names[start : start + _FILES_PER_QUERY]
        found = {file.name: file.size for file in run.files(names=wanted, per_page=_FILES_PER_QUERY)}
        for name in wanted:
            if found.get(name) != files[name]:
                return f"the file {name!r} is not"
    if run.state == "running":
        return "it still counts as running"
    return None
