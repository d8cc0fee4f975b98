"""The account that `flush()`, `finish()` and `unitrack status` give."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from unitrack.delivery.ledger import LaneState, Ledger
from unitrack.runfolder import RunFolder


class SinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """One sink's account; counts are journal records (one a log call)."""

    sink: str
    state: LaneState
    delivered: int
    """Confirmed by the backend."""
    pending: int
    """Safe in the spool, not confirmed yet."""
    dead_lettered: int
    """Refused by the backend, kept in `.unitrack/<sink>.dead.jsonl`."""
    damaged: int = 0
    """Lines of the journal that could not be read."""
    last_error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything has arrived."""
        return not (self.pending or self.dead_lettered or self.damaged)

    def __str__(self) -> str:
        parts = [f"{self.delivered} delivered"]
        for count, word in (
            (self.pending, "pending"),
            (self.dead_lettered, "dead-lettered"),
            (self.damaged, "damaged"),
        ):
            if count:
                parts.append(f"{count} {word}")
        trouble = f" ({self.last_error})" if self.last_error and not (self.ok and self.state == "complete") else ""
        return f"{self.sink}: {self.state}, {', '.join(parts)}{trouble}"


class DeliveryReport(msgspec.Struct, frozen=True):
    """All sinks of a run, by name."""

    sinks: Mapping[str, SinkReport]

    @property
    def ok(self) -> bool:
        """Whether everything has arrived everywhere."""
        return all(sink.ok for sink in self.sinks.values())

    def __getitem__(self, sink: str) -> SinkReport:
        return self.sinks[sink]

    def __str__(self) -> str:
        return "\n".join(str(sink) for sink in self.sinks.values()) or "no sinks"


def read_report(folder: RunFolder) -> DeliveryReport:
    """The account as the ledgers in a run folder give it."""
    reports: dict[str, SinkReport] = {}
    for sink in folder.read_manifest().sinks:
        ledger = Ledger.load(folder.ledger_file(sink.name))
        reports[sink.name] = SinkReport(
            sink=sink.name,
            state=ledger.state,
            delivered=ledger.delivered,
            pending=ledger.pending(folder),
            dead_lettered=ledger.dead_lettered,
            damaged=ledger.damaged,
            last_error=ledger.last_error,
        )
    return DeliveryReport(reports)
