"""Deletion of what is delivered from the spool, once all sinks of the run have committed that they are past it."""

from __future__ import annotations

import contextlib

from unitrack.delivery.lane.feed import Feed
from unitrack.delivery.ledger import Ledger
from unitrack.journal import Position, find_writers, segment_path
from unitrack.runfolder.run_folder import RunFolder


def delete_passed_segments(folder: RunFolder) -> None:
    """Delete journal segments that every sink is past."""
    several = {writer: found for writer, found in find_writers(folder.spool).items() if len(found) > 1}
    if not several:
        return
    with contextlib.suppress(OSError), folder.spool_lock():  # against a sink that is being added
        sinks = folder.read_manifest().sinks
        ledgers = [Ledger.load(folder.ledger_file(sink.name)) for sink in sinks]
        for writer, segments in several.items():
            passed = min(ledger.positions.get(writer, Position()).segment for ledger in ledgers)
            for segment in segments:
                if segment < passed:
                    segment_path(folder.spool, writer, segment).unlink(missing_ok=True)


def remove_spool_if_complete(folder: RunFolder, feed: Feed, own: Ledger) -> None:
    """Delete the spool if all sinks have all of the run, and no process may still write to it; called by a lane.

    Raises `OSError` if the folder is gone, or can't be read.
    """
    with folder.spool_lock():
        manifest = folder.read_manifest()
        owner = manifest.owner.writer
        for sink in manifest.sinks:
            ledger = Ledger.load(folder.ledger_file(sink.name))
            if ledger.ended_writer != owner or ledger.late(folder, owner):
                return
        if not feed.open_writers(owner) and not own.pending(folder):
            folder.remove_spool()
