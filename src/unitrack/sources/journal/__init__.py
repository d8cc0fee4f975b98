"""The backend `journal`: what a run has logged, read from its spool, whether or not it was delivered to any sink."""

from __future__ import annotations

from unitrack.hookspecs import Backend, hookimpl


@hookimpl
def register_backends() -> list[Backend]:
    """Return the backend `journal`."""
    return [
        Backend(
            name="journal",
            summary="what runs have logged and no courier has delivered",
            source="unitrack.sources.journal.source:JournalSource",
        )
    ]
