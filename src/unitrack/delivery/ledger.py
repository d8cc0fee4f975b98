"""What a lane has delivered: a small file that is replaced as a whole at each commit."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from unitrack.delivery.curves import CurvesState
from unitrack.delivery.thinning import SYSTEM_PREFIX
from unitrack.hookspecs import Link
from unitrack.journal import JournalReader, Position, count_lines, find_writers
from unitrack.journal.lines import Damage
from unitrack.learned import learned
from unitrack.limits import HOPELESS_ATTEMPTS
from unitrack.records import AnyRecord, Metrics, RunEnd
from unitrack.runfolder import RunFolder, write_atomically
from unitrack.safe_files import read_regular

LaneState = Literal["pending", "delivering", "retrying", "parked", "complete"]
"""`pending`: nobody delivers now. `retrying`: the backend is away, the lane backs off. `parked`: somebody has to mend
something. `complete`: the end of the run is confirmed."""


@learned
class Ledger(msgspec.Struct, kw_only=True):
    """The account of one sink. `positions`, `checkpoint` and the counts are committed together."""

    state: LaneState = "pending"
    positions: dict[str, Position] = {}
    """By writer: where the next line to deliver begins."""
    accepted: dict[str, Position] = {}
    """By writer: how far the backend's SDK has taken lines, durable or not."""
    delivered: int = 0
    """Lines that the backend has confirmed."""
    dead_lettered: int = 0
    waiting: int = 0
    """Artifacts that are put aside until the backend's store of files can be used."""
    settled: list[tuple[str, int]] = []
    """Writer and number of those that wait no longer, though the file of them may still name them."""
    revived: list[tuple[str, int]] = []
    """The same of dead letters that the backend has taken after all."""
    damaged: int = 0
    """Records that are lost in damaged places of the journal."""
    damages: list[Damage] = []
    """The first of those places."""
    checkpoint: dict[str, Any] | None = None
    thinning: dict[str, Any] = {}
    curves: CurvesState = CurvesState()
    ends: dict[str, RunEnd] = {}
    """By writer: its end, for those whose end is before `positions` and so will not be read again."""
    last_step: int = -1
    """The highest step before `positions` that training logged: a resumed run goes on after it."""
    last_time: int = 0
    """The latest time of a record before `positions`, in milliseconds: when a run ended that nobody ended."""
    ended_writer: str | None = None
    """The owner whose end of the run is confirmed."""
    status: str | None = None
    """What the run ended as, in the backend."""
    session: str | None = None
    """The run's owner when this was written: a run that is taken up again has another, and its sinks are tried anew."""
    last_error: str | None = None
    attempts: int = 0
    """Failures in a row."""
    retry_at: int | None = None
    """When the next attempt is due, in milliseconds since the epoch."""
    link: Link | None = None
    pid: int | None = None
    """The process that delivers, or did last."""
    pid_started: float | None = None
    """Its start time, as in `Owner.created`: a pid alone is reused."""

    @classmethod
    def load(cls, path: Path) -> Ledger:
        """The ledger in a file, to look at; a fresh one if there is none, or none that can be read."""
        try:
            return cls.read(path)
        except OSError:
            return cls()

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """The ledger in a file, to go on from; a fresh one if there is none. Raises `OSError` if it can't be read."""
        try:
            return msgspec.json.decode(read_regular(path), type=cls)
        except (FileNotFoundError, ValueError, RecursionError):
            return cls()

    def save(self, path: Path) -> None:
        """Replace the file."""
        write_atomically(path, msgspec.json.encode(self))

    def forget_trouble_before(self, owner: str) -> bool:
        """Begin the session of an owner; return whether there was trouble in an earlier one, which is forgotten."""
        is_new, self.session = self.session != owner, owner
        if not is_new or self.state not in ("retrying", "parked"):
            return False
        self.state, self.attempts, self.retry_at = "pending", 0, None
        return True

    def is_parked(self, owner: str | None) -> bool:
        """Whether the sink is parked, and was so in the session of this owner."""
        return self.state == "parked" and self.session in (None, owner)

    def is_hopeless(self, owner: str | None) -> bool:
        """Whether the sink has failed on and on in the session of this owner."""
        return self.state == "retrying" and self.session in (None, owner) and self.attempts >= HOPELESS_ATTEMPTS

    def pending(self, folder: RunFolder) -> int:
        """Lines in the journal that are neither delivered nor given up."""
        return lines_after(folder, self.positions)

    def late(self, folder: RunFolder, owner: str) -> int:
        """Those of them that the owner did not write: what others have logged after it had ended the run."""
        return lines_after(folder, self.positions, but=owner)


def lines_after(folder: RunFolder, positions: Mapping[str, Position], but: str | None = None) -> int:
    """Lines of all writers of a run, `but` one, from these positions on."""
    return sum(
        count_lines(folder.spool, writer, segments, positions.get(writer, Position()))
        for writer, segments in find_writers(folder.spool).items()
        if writer != but
    )


def highest_step(folder: RunFolder) -> int:
    """The highest step that a run has logged, delivered or not; -1 if it has none."""
    ledgers = [Ledger.load(folder.ledger_file(sink.name)) for sink in folder.read_manifest().sinks]
    highest = max((ledger.last_step for ledger in ledgers), default=-1)
    for writer in find_writers(folder.spool):
        start = min((ledger.positions.get(writer, Position()) for ledger in ledgers), default=Position())
        with contextlib.closing(JournalReader(folder.spool, writer, start)) as reader:
            while reader.position != (chunk := reader.read()).end:
                highest = max(highest, *map(step_of, chunk.records), -1)
    return highest


def step_of(record: AnyRecord) -> int:
    """The step at which training logged a record; -1 for other records, and for system metrics."""
    if not isinstance(record, Metrics) or all(name.startswith(SYSTEM_PREFIX) for name in record.values()):
        return -1
    return record.step
