"""Tells where a run can be seen, in one line for each backend that has a page of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from unitrack.delivery.ledger import Ledger
from unitrack.hookspecs import Link

if TYPE_CHECKING:
    from unitrack.run_state import RunState


def announce(run: RunState) -> None:
    """Print the addresses of the run's pages that have become known since the last call, with `tracking.announce`."""
    for sink in run._settings.sinks:
        if sink.name not in run._announced:
            announce_link(run, sink.name, Ledger.load(run._folder.ledger_file(sink.name)).link)


def announce_link(run: RunState, sink: str, link: Link | None) -> None:
    """The same for one sink, whose link is at hand."""
    if link is None or link.url is None or sink in run._announced or not run._settings.tracking.announce:
        return
    run._announced.add(sink)
    if sys.stderr is not None:  # it is None under pythonw and in some services
        print(f"unitrack: run {run.name!r} in {sink}: {link.url}", file=sys.stderr, flush=True)
