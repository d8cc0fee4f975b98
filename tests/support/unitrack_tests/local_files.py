"""What the local files of a run hold, and the modes of delivery that write them."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any, Literal

import unitrack
from unitrack.local.source import LocalSource
from unitrack.records import Metrics
from unitrack.system.files import files_below

Mode = Literal["process", "thread", "inline"]
MODES: list[Mode] = ["inline", "thread", "process"]


def records(run: unitrack.Run, kind: type) -> list[Any]:
    """What the local files hold of one kind."""
    return [record for record in LocalSource(str(run.path)).records(run.path.name) if isinstance(record, kind)]


def logged(run: unitrack.Run) -> list[tuple[int, dict[str, float]]]:
    """The points in the local files."""
    return [(record.step, record.values()) for record in records(run, Metrics)]


def gone(path: Path) -> bool:
    """Whether a path goes within a few seconds: a courier tidies up after it has reported the end."""
    deadline = time.monotonic() + 5
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not path.exists()


def holding(folder: Path, content: bytes) -> list[Path]:
    """The files below a folder that hold some bytes; what a courier removes meanwhile, and links, are left out."""
    found = []
    for path in files_below(folder):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink() and content in path.read_bytes():
                found.append(path)
    return found


def metadata(run: unitrack.Run) -> dict[str, Any]:
    """What metadata.json holds."""
    return json.loads((run.path / "metadata.json").read_text())
