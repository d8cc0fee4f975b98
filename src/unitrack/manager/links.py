"""Where a run lies in its backends, as the ledgers in its folder tell."""

from __future__ import annotations

from collections.abc import Iterator

from unitrack.delivery.ledger import Ledger
from unitrack.errors import JournalError
from unitrack.hookspecs import Link
from unitrack.runfolder.manifest import Manifest, SinkEntry
from unitrack.runfolder.run_folder import RunFolder


def links_of(folder: RunFolder) -> Iterator[tuple[SinkEntry, Link]]:
    """Yield each sink of a run folder that has opened the run; none for a folder that unitrack did not make."""
    manifest = manifest_of(folder)
    for sink in manifest.sinks if manifest else ():
        link = Ledger.load(folder.ledger_file(sink.name)).link
        if link is not None:
            yield sink, link


def manifest_of(folder: RunFolder) -> Manifest | None:
    """Return the manifest of a run folder; None for a folder in the layout of the local backend that has none."""
    try:
        return folder.read_manifest()
    except JournalError:
        return None
