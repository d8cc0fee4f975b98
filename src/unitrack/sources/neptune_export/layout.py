"""The folders of an export: one for each project below `data` and `files`, one Parquet file or more for each run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

DATA, FILES = "data", "files"
_PART = re.compile(r"(.+)_part_(\d+)\.parquet")
_INSTEAD = "give the folder that holds data/ and files/, or the one that was --data-path"


class RunFiles(msgspec.Struct, frozen=True):
    """The files of one run."""

    parts: tuple[Path, ...]
    """The Parquet files, in order."""
    files: Path
    """The folder that `file_value.path` is relative to. It may not exist."""


def find_runs(location: Path) -> Iterator[RunFiles]:
    """Yield the runs of an export, by project and name.

    As in neptune-exporter, a run without its part 0 was not exported to the end, and is left out. Raises
    `FileNotFoundError` if `location` holds no such files.
    """
    data = location / DATA if (location / DATA).is_dir() else location
    files = (location if data != location else location.parent) / FILES
    if not data.is_dir():
        raise FileNotFoundError(f"there is no folder {str(location)!r}: {_INSTEAD}")
    projects = [folder for folder in sorted(data.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
    found = [run for project in projects for run in _runs_of(project, files / project.name)]
    if not found:
        raise FileNotFoundError(f"there are no runs of neptune-exporter in {str(location)!r}: {_INSTEAD}")
    yield from found


def _runs_of(project: Path, files: Path) -> Iterator[RunFiles]:
    parts: dict[str, dict[int, Path]] = {}
    for path in project.iterdir():
        match = _PART.fullmatch(path.name)
        if match:
            parts.setdefault(match[1], {})[int(match[2])] = path
    for _, numbered in sorted(parts.items()):
        if 0 in numbered:
            yield RunFiles(tuple(numbered[number] for number in sorted(numbered)), files)


def part_path(data: Path, project_id: str, run_id: str, number: int) -> Path:
    """Return the Parquet file of a part of a run."""
    return data / folder_name(project_id) / f"{folder_name(run_id)}_part_{number}.parquet"


def folder_name(name: str) -> str:
    """Return a project's or a run's name as neptune-exporter spells it in a path: with a digest of the exact one."""
    safe = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name)
    return f"{safe}-{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"
