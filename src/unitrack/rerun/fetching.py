"""The files of a recorded environment, which a backend may hold one by one or as one folder."""

from __future__ import annotations

from pathlib import Path

from unitrack.environment.record import FOLDER
from unitrack.errors import NotFoundError
from unitrack.reading import StoredRun


def fetch_part(run: StoredRun, name: str, folder: Path) -> Path:
    """Copy a file below `environment/` into a folder, and return its path. Raises `NotFoundError` or `SourceError`."""
    names = {artifact.name for artifact in run.artifacts}
    if name in names or FOLDER not in names:
        return run.fetch(name, folder)
    run.fetch(FOLDER, folder)
    if not (folder / name).is_file():
        raise NotFoundError(f"run {run.id} has no {name}")
    return folder / name
