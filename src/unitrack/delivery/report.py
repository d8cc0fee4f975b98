"""The report that `flush()`, `finish()` and `unitrack status` give."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from unitrack.delivery.lane.dead_letters import read_letters
from unitrack.delivery.ledger import LaneState, Ledger
from unitrack.journal.lines import Damage
from unitrack.runfolder.manifest import Manifest
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.transfers import Transfer, read_transfer, transfer_file


class SinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """One sink's account; counts are journal records (one a log call)."""

    sink: str
    state: LaneState
    delivered: int
    """Confirmed by the backend."""
    pending: int
    """Safe in the spool, not confirmed yet."""
    dead_lettered: int
    """Refused by the backend, kept in `.unitrack/<sink>.dead.jsonl`; `unitrack sync --dead-letters` tries again."""
    superseded: int = 0
    """Among those delivered: records with points that the backend does not show, as training went back behind them,
    kept in `.unitrack/<sink>.superseded.jsonl`."""
    damaged: int = 0
    """Records that are lost in damaged places of the journal."""
    damages: tuple[Damage, ...] = ()
    """The first of those places: file, byte, reason."""
    last_error: str | None = None
    transfer: Transfer | None = None
    """The upload of a file that is going on, with bytes done of bytes."""
    unknown: bool = False
    """Whether the account can't be read, since the run folder was deleted for example. The counts then mean nothing."""

    @classmethod
    def unknown_for(cls, sink: str, why: str) -> SinkReport:
        """Return the report of a sink whose account can't be read."""
        return cls(sink=sink, state="pending", delivered=0, pending=0, dead_lettered=0, last_error=why, unknown=True)

    @property
    def ok(self) -> bool:
        """Whether everything has arrived."""
        return not (self.pending or self.dead_lettered or self.damaged or self.unknown)

    @property
    def verdict(self) -> str:
        """The state in words, with the number of lost records: "complete but for 2 records"."""
        return verdict(self.state, self.dead_lettered + self.damaged)

    def __str__(self) -> str:
        if self.unknown:
            return f"{self.sink}: nothing is known of it ({self.last_error})"
        parts = [f"{self.delivered} delivered"]
        for count, word in (
            (self.pending, "pending"),
            (self.dead_lettered, "dead-lettered"),
            (self.damaged, "damaged"),
            (self.superseded, "superseded"),
        ):
            if count:
                parts.append(f"{count} {word}")
        trouble = f" ({self.last_error})" if self.last_error and not (self.ok and self.state == "complete") else ""
        upload = f"; {self.transfer}" if self.transfer else ""
        where = f"; damaged: {self.damages[0]}" if self.damages else ""
        more = f", and {len(self.damages) - 1} more places" if len(self.damages) > 1 else ""
        return f"{self.sink}: {self.verdict}, {', '.join(parts)}{trouble}{upload}{where}{more}"


def verdict(state: LaneState, lost: int) -> str:
    """Return a sink's state in words, given how many records it will never get."""
    if state == "complete" and lost:
        return f"complete but for {lost} record{'s' if lost > 1 else ''}"
    return state


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

    def __repr__(self) -> str:
        return f"<DeliveryReport {'; '.join(str(sink) for sink in self.sinks.values()) or 'no sinks'}>"

    def _repr_html_(self) -> str:
        from unitrack.terminal.notebook import html_table  # noqa: PLC0415  # only notebooks need it

        rows = [
            (one.sink, one.verdict, one.delivered, one.pending, one.dead_lettered, one.damaged, one.last_error)
            for one in self.sinks.values()
        ]
        title = "everything has arrived" if self.ok else "not everything has arrived"
        return html_table(title, ("sink", "state", "delivered", "pending", "dead letters", "damaged", "error"), rows)


def read_report(folder: RunFolder) -> DeliveryReport:
    """Return the report that the ledgers in a run folder give."""
    manifest = folder.read_manifest()
    ledgers = {sink.name: Ledger.load(folder.ledger_file(sink.name)) for sink in manifest.sinks}
    return DeliveryReport({name: sink_report(folder, manifest, name, ledger) for name, ledger in ledgers.items()})


def sink_report(folder: RunFolder, manifest: Manifest, sink: str, ledger: Ledger) -> SinkReport:
    """Return the report that one ledger gives."""
    # The line that ends the run is read with the others, but the backend hears of it last.
    end = int(manifest.owner.writer in ledger.ends and ledger.ended_writer != manifest.owner.writer)
    return SinkReport(
        sink=sink,
        state=ledger.state,
        delivered=ledger.delivered - end,
        pending=ledger.pending(folder) + ledger.waiting + end,
        dead_lettered=ledger.dead_lettered,
        superseded=len(read_letters(folder.superseded_file(sink))),
        damaged=ledger.damaged,
        damages=tuple(ledger.damages),
        last_error=ledger.last_error,
        transfer=None if ledger.state == "complete" else read_transfer(transfer_file(folder.path, sink)),
    )
