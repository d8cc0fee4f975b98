"""Finding the unfinished run that `resume="auto"` resumes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from unitrack.delivery.ledger import last_end
from unitrack.errors import JournalError
from unitrack.runfolder.find import find_run_folders
from unitrack.runfolder.manifest import Manifest
from unitrack.runfolder.run_folder import RunFolder

_DONE = ("finished", "pruned")


def find_unfinished(root: Path, project: str | None, name: str | None) -> RunFolder | None:
    """Return the latest run under `root` of this project, and of this name if one is given, if it is unfinished.

    A run is unfinished if its process is gone and it failed, was killed, or never ended. None if there is no such run,
    or the latest one is finished.
    """
    matching = [
        (manifest.run.time, folder, manifest)
        for folder, manifest in _readable(root)
        if manifest.run.project == (project or "") and name in (None, manifest.run.name)
    ]
    if not matching:
        return None
    _, folder, manifest = max(matching, key=lambda one: (one[0], one[1].path))
    if folder.is_open(manifest.owner):
        return None
    end = last_end(folder, manifest)
    return None if end is not None and end.status in _DONE else folder


def _readable(root: Path) -> Iterator[tuple[RunFolder, Manifest]]:
    for folder in find_run_folders(root):
        with contextlib.suppress(JournalError):  # a damaged run is skipped
            yield folder, folder.read_manifest()
