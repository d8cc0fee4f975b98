"""The links of a run in its backends, and printing their addresses."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from unitrack.config import SinkSettings
from unitrack.delivery.ledger import Ledger
from unitrack.hookspecs import Link
from unitrack.runfolder.run_folder import RunFolder


def links_of(folder: RunFolder, sinks: Iterable[SinkSettings]) -> dict[str, Link]:
    """Return the link of each sink that has opened the run so far, by the sink's name."""
    links = {sink.name: Ledger.load(folder.ledger_file(sink.name)).link for sink in sinks}
    return {name: link for name, link in links.items() if link is not None}


class Announcements:
    """Prints the address of a run's page to standard error, once for each sink that has one."""

    def __init__(self, run_name: str, *, is_on: bool) -> None:
        """`is_on`: the setting `tracking.announce`; False prints nothing."""
        self._run_name = run_name
        self._is_on = is_on
        self._announced: set[str] = set()

    def announce(self, sink: str, link: Link | None) -> None:
        """Print the address of a sink's link, if it has one that is not printed yet."""
        if link is None or link.url is None or sink in self._announced or not self._is_on:
            return
        self._announced.add(sink)
        if sys.stderr is not None:  # it is None under pythonw and in some services
            print(f"unitrack: run {self._run_name!r} in {sink}: {link.url}", file=sys.stderr, flush=True)
