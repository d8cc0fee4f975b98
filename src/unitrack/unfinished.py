"""The run that `resume="auto"` goes on with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from unitrack.delivery.ledger import Ledger
from unitrack.errors import JournalError
from unitrack.journal import JournalReader
from unitrack.manifest import Manifest
from unitrack.records import RunEnd
from unitrack.runfolder import RunFolder, find_run_folders

_DONE = ("finished", "pruned")


def find_unfinished(root: Path, project: str | None, name: str | None) -> RunFolder | None:
    """Return the run of this project, and of this name if one is given, that was started last under `root`, if its
    process is gone and it failed, was killed, or never ended; else None.
    """
    matching = [
        (manifest.run.time, folder, manifest)
        for folder, manifest in _readable(root)
        if manifest.run.project == (project or "") and name in (None, manifest.run.name)
    ]
    if not matching:
        return None
    _, folder, manifest = max(matching, key=lambda one: (one[0], one[1].path))
    if folder.is_open(manifest.owner) or _status(folder, manifest) in _DONE:
        return None
    return folder


def _readable(root: Path) -> Iterator[tuple[RunFolder, Manifest]]:
    for folder in find_run_folders(root):
        with contextlib.suppress(JournalError):  # one damaged run hides no other
            yield folder, folder.read_manifest()


def _status(folder: RunFolder, manifest: Manifest) -> str | None:
    """How the run's last process ended it; None if it did not."""
    for sink in manifest.sinks:
        ledger = Ledger.load(folder.ledger_file(sink.name))
        if ledger.ended_writer == manifest.owner.writer:
            return ledger.status
    status = None
    with contextlib.closing(JournalReader(folder.spool, manifest.owner.writer)) as reader:
        while reader.position != (chunk := reader.read()).end:
            status = next((record.status for record in chunk.records if isinstance(record, RunEnd)), status)
    return status
