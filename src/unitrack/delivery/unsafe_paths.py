"""Paths that a stranger's journal may hold, and that no sink gets to see."""

from __future__ import annotations

from collections.abc import Iterable

from unitrack.errors import RecordRejectedError
from unitrack.hookspecs import RunContext
from unitrack.records import AnyRecord, Artifact
from unitrack.safe_files import leads_out


def refuse_unsafe_paths(run: RunContext, records: Iterable[AnyRecord]) -> None:
    """Raises `RecordRejectedError` if an artifact's file or name leads out of its folder."""
    for record in records:
        if isinstance(record, Artifact):
            run.locate(record)
            if leads_out(record.name):
                raise RecordRejectedError(f"the artifact's name {record.name[:80]!r} leads out of the run's artifacts")
