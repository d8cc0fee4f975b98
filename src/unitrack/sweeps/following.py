"""Following the metrics of a trial's run, which other processes log: its program, and `unitrack log` in it."""

from __future__ import annotations

from unitrack.journal.reader import JournalReader
from unitrack.journal.segments import find_writers
from unitrack.records import Metrics, RunEnd
from unitrack.runfolder.run_folder import RunFolder


class MetricFollower:
    """Reads what is logged to a run from now on, by any process but those that have logged to it before."""

    def __init__(self, folder: RunFolder) -> None:
        self._spool = folder.spool
        self._passed_over = set(find_writers(self._spool))
        self._readers: dict[str, JournalReader] = {}

    def read(self, *, is_over: bool = False) -> list[Metrics]:
        """Return the new points, in the order in which they were logged. `is_over`: nothing more will be logged."""
        found: list[Metrics] = []
        for writer in find_writers(self._spool):
            if writer not in self._passed_over:
                self._read_writer(writer, found, is_over=is_over)
        return sorted(found, key=lambda record: record.time)

    def close(self) -> None:
        """Close all journals."""
        for reader in self._readers.values():
            reader.close()

    def _read_writer(self, writer: str, found: list[Metrics], *, is_over: bool) -> None:
        reader = self._readers.setdefault(writer, JournalReader(self._spool, writer))
        while records := reader.read(is_over=is_over).records:
            found += [record for record in records if isinstance(record, Metrics)]
            if isinstance(records[-1], RunEnd):
                self._passed_over.add(writer)  # it writes no more: each call of `unitrack log` is a writer of its own
                self._readers.pop(writer).close()
                return
