"""Copying runs from one backend to another: each is replayed into a run folder, and lanes deliver that."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unitrack.config import SinkSettings
from unitrack.errors import ConfigError
from unitrack.manager.copier import Copier
from unitrack.manager.copy_report import CopyProgress, CopyReport
from unitrack.manager.destination import Destination
from unitrack.manager.record_edits import Edits
from unitrack.manager.replay import remove_unfinished
from unitrack.manager.selection import Selected, copy_id
from unitrack.reading.listing import runs
from unitrack.reading.stored_run import StoredRun
from unitrack.system.files import make_folders
from unitrack.system.locks import FileLock
from unitrack.values.redaction import redact_text

_LOCK = ".unitrack-copy.lock"

Target = str | os.PathLike[str] | Mapping[str, Any] | SinkSettings


def copy(
    src: str | Path | Sequence[str | Path],
    dst: Target,
    *,
    filter: str | None = None,
    rename: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    until_step: int | None = None,
    tags: Mapping[str, str] | None = None,
    merge: str | None = None,
    dry_run: bool = False,
    show: Callable[[CopyProgress], None] = lambda progress: None,
) -> CopyReport:
    """Copy runs to another backend: params, every point, tags, artifacts, times, status, parents and ids.

    `src` is a location, or several; `dst` a location, or a sink as in `start_run(sinks=[...])`. Killed at any point and
    called again, it goes on where it was; a run that is there already is left alone, and one that has grown since gets
    what is new. Copied to a folder of runs, versions of artifacts become versions there: with their number if it is
    free, with aliases that are free, and with the runs that made and used them.

    `filter` chooses runs, as in `unitrack.runs`: "params.lr < 0.01 and status == 'finished'".

    `rename` gives metrics, params and artifacts other names, `drop` leaves some out; both take globs: {"val/*":
    "validation/*"}. `until_step` is the last step, `tags` are added, and `merge` makes one run of that name out of all.
    `dry_run` only tells what would be copied. `show` is called about ten times a second.

    Trouble with one run is in the report, and the others are copied; `CopyReport.ok` tells whether everything arrived.
    Raises `QueryError` for a filter that can't be understood, `ConfigError` for arguments that can't be used, or if
    another copy to `dst` is under way, and `SourceError` if `src` can't be read.
    """
    edits = Edits(rename=dict(rename or {}), drop=tuple(drop), until_step=until_step, tags=dict(tags or {}))
    destination = Destination.of(dst)
    sources = [src] if isinstance(src, str | Path) else list(src)
    found = runs(*sources, filter=filter, order_by="started")
    source = ", ".join(map(str, sources))
    chosen = _arrange(found, edits, merge, links=not destination.backend.keeps_run_folder)
    for one in chosen:
        one.require_distinct_names()
    copier = Copier(destination, show, len(chosen))
    source, place = redact_text(source), redact_text(str(destination))  # the URL of a database may hold a password
    if dry_run:
        return CopyReport(source, place, tuple(map(copier.plan, chosen)), dry_run=True)
    with _only_copy(destination):
        remove_unfinished(destination.root)
        copied = tuple(map(copier.copy, chosen))
        copier.note_uses(copied)
        return CopyReport(source, place, copied)


def _arrange(found: Sequence[StoredRun], edits: Edits, merge: str | None, *, links: bool) -> list[Selected]:
    ids = {run.id: copy_id(run) for run in found}
    if merge is None:
        return [Selected([run], edits, ids, None, links=links) for run in found]
    return [Selected(found, edits, ids, merge, links=links)] if found else []


@contextlib.contextmanager
def _only_copy(destination: Destination) -> Iterator[None]:
    """Hold the lock of the destination. Raises `ConfigError` if another process copies to it."""
    try:
        make_folders(destination.root)
        lock = FileLock(destination.root / _LOCK)
        is_free = lock.acquire()
    except OSError as error:
        raise ConfigError(f"can't copy to {str(destination)!r}: {error.strerror} ({destination.root})") from error
    if not is_free:
        raise ConfigError(f"another process copies to {str(destination)!r} now: wait for it, or end it")
    try:
        yield
    finally:
        lock.release()
