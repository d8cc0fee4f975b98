"""Changing what a run is called and tagged with, afterwards: through its journal and the lanes, to every backend."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

import msgspec

from unitrack.delivery.ledger import last_end
from unitrack.delivery.report import DeliveryReport, read_report
from unitrack.delivery.sync import sync_run
from unitrack.errors import RunExistsError
from unitrack.journal import JournalWriter
from unitrack.records import RunEnd, Tags
from unitrack.runfolder.manifest import Manifest
from unitrack.runfolder.rank_files import RankFiles
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.processes import Owner
from unitrack.values.redaction import redact, redact_text


def edit_run(
    folder: RunFolder,
    *,
    tags: Mapping[str, str] | None = None,
    name: str | None = None,
    description: str | None = None,
    timeout: float = 60.0,
) -> DeliveryReport:
    """Change tags, name or description of a run, and deliver that to its sinks for at most `timeout` seconds.

    What can't be delivered then stays pending, for `unitrack sync`. A run that has ended keeps its status and its end;
    one that goes on takes tags, which its couriers deliver. Raises `RunExistsError` for another name or description of
    a run that goes on, and `JournalError` for a folder that is no run's.
    """
    given = {"name": name, "description": description}
    changed = {key: redact_text(text) for key, text in given.items() if text is not None}
    tags = redact(dict(tags or {}))
    with folder.spool_lock():
        manifest = folder.read_manifest()
        if folder.is_open(manifest.owner):
            if changed:
                what = " and ".join(changed)
                raise RunExistsError(f"run {manifest.run.name!r} still goes on: change its {what} once it has ended")
            _add_tags(folder, tags)
            return read_report(folder)
        _begin_session(folder, manifest, changed, tags)
    return sync_run(folder, timeout=timeout)


def _add_tags(folder: RunFolder, tags: Mapping[str, str]) -> None:
    """Write tags into a journal of their own, as another process of the run does."""
    with contextlib.closing(JournalWriter(folder.spool)) as journal:
        journal.write(Tags, tags=tags)
        journal.write(RunEnd, status="finished")  # ends this writer only


def _begin_session(folder: RunFolder, manifest: Manifest, changed: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Take the run up, as a resume does, for one record, and end it as it had ended."""
    end = last_end(folder, manifest) or RunEnd(seq=0, time=time.time_ns() // 1_000_000, status="failed")
    start = msgspec.structs.replace(manifest.run, **changed)
    folder.prepare()
    folder.ended_file.unlink(missing_ok=True)
    RankFiles(folder).forget()
    with contextlib.closing(JournalWriter(folder.spool)) as journal:
        owner = Owner.current(journal.writer)
        folder.write_manifest(msgspec.structs.replace(manifest, run=start, owner=owner))
        journal.copy(start)
        if tags:
            journal.write(Tags, tags=tags)
        journal.copy(end)
    folder.mark_ended()
