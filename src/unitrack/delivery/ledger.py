"""The ledger of a sink: what its lane has delivered, in a small file that is replaced whole at each commit.

Everybody may read it; it is written through a `LockedLedger`, by the one process that holds the sink's lock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from unitrack.errors import SinkUnavailableError
from unitrack.hookspecs import Link
from unitrack.journal import JournalReader, Position, count_lines, find_writers
from unitrack.journal.lines import Damage
from unitrack.limits import HOPELESS_ATTEMPTS
from unitrack.records import SYSTEM_PREFIX, AnyRecord, Metrics, RunEnd
from unitrack.runfolder.manifest import Manifest
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.atomic import remove_leftovers, write_atomically
from unitrack.system.disk import remedy
from unitrack.system.files import read_regular
from unitrack.system.locks import FileLock
from unitrack.system.processes import process_start
from unitrack.values.codec import decode

LaneState = Literal["pending", "delivering", "retrying", "parked", "complete"]
"""`pending`: nobody delivers now. `retrying`: the backend is away, the lane backs off. `parked`: somebody has to mend
something. `complete`: the end of the run is confirmed."""


class CurvesState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a ledger remembers of the curves of a run."""

    session: str = ""
    """The journal that began the session."""
    tops: dict[str, int] = {}
    """By metric: the highest step so far."""
    before: dict[str, int] = {}
    """That of the sessions before, for metrics that this one has not logged yet."""
    stays: dict[str, int] = {}
    """Up to where points can't be withdrawn."""
    left_out: dict[str, dict[str, int]] = {}
    """By session and metric: from where on points are not delivered, as a later session supersedes them. Kept before
    anything of it is delivered, so that a redelivery leaves out the same points."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
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
        """Return the ledger in a file, for display; a fresh one if there is none, or none that can be read."""
        try:
            return cls.read(path)
        except OSError:
            return cls()

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Return the ledger in a file, to go on from; a fresh one if there is none.

        Raises `OSError` if it can't be read.
        """
        try:
            return decode(read_regular(path), cls)
        except (FileNotFoundError, ValueError, RecursionError):
            return cls()

    def is_parked(self, owner: str | None) -> bool:
        """Whether the sink is parked, and was so in the session of this owner."""
        return self.state == "parked" and self.session in (None, owner)

    def is_hopeless(self, owner: str | None) -> bool:
        """Whether the sink has failed on and on in the session of this owner."""
        return self.state == "retrying" and self.session in (None, owner) and self.attempts >= HOPELESS_ATTEMPTS

    def pending(self, folder: RunFolder) -> int:
        """Count the lines in the journal that are neither delivered nor given up."""
        return lines_after(folder, self.positions)

    def late(self, folder: RunFolder, owner: str) -> int:
        """Count those of them that other processes wrote: what they logged after the owner had ended the run."""
        return lines_after(folder, self.positions, but=owner)


class LockedLedger:
    """The ledger of a sink together with the sink's lock: the only way to write one, for one holder at a time.

    `current` is the account as its holder knows it, which is ahead of the file between `update` and `save`.
    """

    def __init__(self, folder: RunFolder, sink: str) -> None:
        self._file = folder.ledger_file(sink)
        self._lock = FileLock(folder.lock_file(sink))
        self._unreadable: OSError | None = None
        self.current = Ledger()
        self.reload()

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock.is_held

    def acquire(self) -> bool:
        """Take the lock, and read what earlier holders have committed; False if another holder has it.

        Raises `OSError` if the lock's file can't be made or the file system has no locks.
        """
        if not self._lock.acquire():
            return False
        try:
            remove_leftovers(self._file)
        except BaseException:
            self._lock.release()
            raise
        self.reload()
        return True

    def release(self) -> None:
        """Let others take the lock, if it is held."""
        self._lock.release()

    @property
    def is_lost(self) -> bool:
        """Whether there is a ledger that could not be read the last time."""
        return self._unreadable is not None

    def reload(self) -> None:
        """Take the ledger as it is on disk.

        If it can't be read, `current` is a fresh one that holds the trouble and is neither delivered with nor saved: a
        sink that began anew with it would lose what stood in segments that are deleted.
        """
        self._unreadable = None
        try:
            self.current = Ledger.read(self._file)
        except OSError as error:
            self._unreadable = error
            self.current = Ledger()

    def require_readable(self) -> None:
        """Raise `SinkUnavailableError` if the ledger is lost."""
        if (error := self._unreadable) is not None:
            raise SinkUnavailableError(f"can't read the ledger ({error.strerror}); {remedy(error.errno)}") from error

    def update(self, **changes: Any) -> None:
        """Change fields of `current`."""
        self.current = msgspec.structs.replace(self.current, **changes)

    def begin_session(self, owner: str) -> bool:
        """Begin the session of an owner; return whether there was trouble in an earlier one, which is forgotten."""
        is_new = self.current.session != owner
        self.update(session=owner)
        if not is_new or self.current.state not in ("retrying", "parked"):
            return False
        self.update(state="pending", attempts=0, retry_at=None)
        return True

    def save(self) -> bool:
        """Replace the file; return whether that succeeded. After a failure, what is not committed is delivered again.

        Raises `RuntimeError` if the lock is not held.
        """
        if not self._lock.is_held:
            raise RuntimeError(f"{self._file} may be written only while its sink's lock is held")
        if self.is_lost:
            return False  # it would replace the one on disk
        try:
            self.update(pid=os.getpid(), pid_started=process_start(os.getpid()))
            write_atomically(self._file, msgspec.json.encode(self.current))
        except OSError as error:
            self.update(last_error=f"can't write the ledger ({error.strerror}); {remedy(error.errno)}")
            return False
        return True


def lines_after(folder: RunFolder, positions: Mapping[str, Position], but: str | None = None) -> int:
    """Count the lines of all writers of a run, `but` one, from these positions on."""
    return sum(
        count_lines(folder.spool, writer, segments, positions.get(writer, Position()))
        for writer, segments in find_writers(folder.spool).items()
        if writer != but
    )


def highest_step(folder: RunFolder) -> int:
    """Return the highest step that a run has logged, delivered or not; -1 if it has none."""
    ledgers = [Ledger.load(folder.ledger_file(sink.name)) for sink in folder.read_manifest().sinks]
    highest = max((ledger.last_step for ledger in ledgers), default=-1)
    for writer in find_writers(folder.spool):
        start = min((ledger.positions.get(writer, Position()) for ledger in ledgers), default=Position())
        with contextlib.closing(JournalReader(folder.spool, writer, start)) as reader:
            while reader.position != (chunk := reader.read()).end:
                highest = max(highest, *map(step_of, chunk.records), -1)
    return highest


def last_end(folder: RunFolder, manifest: Manifest) -> RunEnd | None:
    """Return how and when the run's last owner ended it; None if it did not."""
    writer = manifest.owner.writer
    for sink in manifest.sinks:
        if (end := Ledger.load(folder.ledger_file(sink.name)).ends.get(writer)) is not None:
            return end
    end = None
    with contextlib.closing(JournalReader(folder.spool, writer)) as reader:
        while reader.position != (chunk := reader.read()).end:
            end = next((record for record in chunk.records if isinstance(record, RunEnd)), end)
    return end


def step_of(record: AnyRecord) -> int:
    """Return the step at which training logged a record; -1 for other records, and for system metrics."""
    if not isinstance(record, Metrics) or all(name.startswith(SYSTEM_PREFIX) for name in record.values()):
        return -1
    return record.step
