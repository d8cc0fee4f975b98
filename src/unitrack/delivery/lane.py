"""A lane: one run x one sink. It reads the journal, hands batches to the sink, and commits what is durable.

One failure, whatever it is, ends in one of three ways: *retry* (close the sink, go back to the committed position, wait,
open it again), *park* (the same, but it takes somebody to mend something), or *dead-letter* (one record, kept on disk).
Going back on each failure makes a failed call and a crash the same case.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec
import pluggy
import psutil

from unitrack import limits
from unitrack.delivery.ledger import LaneState, Ledger
from unitrack.delivery.thinning import Thinning
from unitrack.errors import RecordRejectedError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import RunContext, SinkSpec
from unitrack.journal import JournalReader, Position, find_writers, segment_path
from unitrack.plugins import load_object
from unitrack.records import AnyRecord, Artifact, Metrics, Params, Record, RunEnd, RunStart, Tags
from unitrack.redaction import redact_text
from unitrack.runfolder import LaneSpec, Manifest, RunFolder

_HOOKS: dict[type[Record], tuple[str, str]] = {
    Params: ("log_params", "params"),
    Metrics: ("log_metrics", "metrics"),
    Tags: ("set_tags", "tags"),
    Artifact: ("log_artifacts", "artifacts"),
}


class Progress(Enum):
    """What a step of a lane came to."""

    MADE = "made"
    IDLE = "idle"
    """All that is written is delivered."""
    WAITING = "waiting"
    """The backend is in trouble; the next attempt is not due."""
    DONE = "done"
    """The end of the run is confirmed."""


class Batch(msgspec.Struct):
    """Consecutive records of one kind from one writer."""

    writer: str
    records: list[AnyRecord]

    def halves(self) -> tuple[Batch, Batch]:
        """The two halves of a batch that was rejected."""
        middle = len(self.records) // 2
        return Batch(self.writer, self.records[:middle]), Batch(self.writer, self.records[middle:])


class Lane:
    """Delivers one run to one sink. Call `acquire()`, then `step()` until it says DONE, then `release()`."""

    def __init__(self, folder: RunFolder, spec: LaneSpec, *, owner_is_here: bool = False) -> None:
        self.folder = folder
        self.spec = spec
        self.manifest: Manifest = folder.read_manifest()
        self.ledger = Ledger.load(folder.ledger_file(spec.name))
        self._owner_is_here = owner_is_here
        self._lock = -1
        self._manager: pluggy.PluginManager | None = None
        self._retry_due = 0.0
        self._owner_checked = -limits.OWNER_POLL_S
        self._owner_alive = True
        self._unexpected = 0
        self._dead: set[tuple[str, int]] = set(self._read_dead_letters())
        self._rewind()

    # -- who delivers ---------------------------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Become the one that delivers to this sink; False if another process does."""
        descriptor = os.open(self.folder.lock_file(self.spec.name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        self.ledger = Ledger.load(self.folder.ledger_file(self.spec.name))
        self._rewind()
        return True

    def release(self) -> None:
        """Close the sink and let others deliver."""
        self._close_sink()
        if self._lock >= 0:
            if self.ledger.state == "delivering":
                self._set_state("pending")
            os.close(self._lock)
            self._lock = -1

    # -- one step ---------------------------------------------------------------------------------------------------

    def step(self) -> Progress:
        """Do the next piece of work: open the sink, deliver a batch, commit, or end the run. Never raises."""
        if self.ledger.ended_writer == self.manifest.owner.writer:
            return Progress.DONE
        if time.monotonic() < self._retry_due:
            return Progress.WAITING
        try:
            if self._manager is None:
                self._open_sink()
            return self._advance()
        except SinkUnavailableError as error:
            self._fail("retrying", error, error.retry_after)
        except SinkMisconfiguredError as error:
            self._fail("parked", error)
        except (Exception, SystemExit) as error:
            self._unexpected += 1
            self._fail("retrying" if self._unexpected <= limits.UNEXPECTED_TRIES else "parked", error)
        return Progress.WAITING

    def _advance(self) -> Progress:
        if self._batches:
            self._deliver(self._batches.popleft())
            return Progress.MADE
        if self._settled_lines < self._read_lines:
            self._settle_suspects()
            self._commit()
            return Progress.MADE
        owner_gone = self._is_owner_gone()  # before reading: what is read after it is all there is
        if self._read():
            return Progress.MADE
        if self._unconfirmed and self.ledger.accepted != self._read_positions():
            self._note_accepted()
        if self._is_over(owner_gone):
            self._end()
            return Progress.DONE
        return Progress.IDLE

    def _open_sink(self) -> None:
        options = msgspec.convert(self.spec.options, load_object(self.spec.options_type))
        sink = load_object(self.spec.sink)(options)
        manager = pluggy.PluginManager("unitrack")
        manager.add_hookspecs(SinkSpec)
        manager.register(sink)
        manager.check_pending()
        context = RunContext(start=self.manifest.run, folder=self.folder.path, sink_name=self.spec.name)
        self._manager = manager
        link = manager.hook.open_run(run=context, checkpoint=self.ledger.checkpoint)
        self.ledger.link = link or self.ledger.link
        self._set_state("delivering")

    def _close_sink(self) -> None:
        manager, self._manager = self._manager, None
        if manager is not None:
            try:
                manager.hook.close()
            except (Exception, SystemExit):
                pass  # what was confirmed is committed; a sink that can't close cleanly loses nothing

    # -- reading ------------------------------------------------------------------------------------------------------

    def _rewind(self) -> None:
        """Go back to what is committed."""
        for reader in getattr(self, "_readers", {}).values():
            reader.close()
        self._readers: dict[str, JournalReader] = {}
        self._batches: deque[Batch] = deque()
        self._suspects: list[tuple[str, AnyRecord, BaseException]] = []
        self._ends: dict[str, RunEnd] = {}
        self._ended_at: float | None = None
        self._last_time = self.manifest.run.time
        self._read_lines = self._settled_lines = 0  # since the last commit
        self._damaged = self._given_up = 0  # the same
        self._unconfirmed = False
        self._delivered_any = False
        self._thinning = Thinning(self.manifest.log_frequency, self.ledger.thinning)

    def _read(self) -> bool:
        """Queue the next chunk of each journal; whether there was any."""
        found = False
        for writer in find_writers(self.folder.spool):
            reader = self._readers.get(writer)
            if reader is None:
                start = self.ledger.positions.get(writer)
                reader = self._readers[writer] = JournalReader(self.folder.spool, writer, start)
            before = reader.position
            chunk = reader.read()
            if chunk.end == before:
                continue
            found = True
            self._read_lines += len(chunk.records) + len(chunk.damages)
            self._damaged += len(chunk.damages)
            self._batches.extend(self._group(writer, chunk.records))
        return found

    def _group(self, writer: str, records: list[AnyRecord]) -> Iterator[Batch]:
        batch = Batch(writer, [])
        for record in records:
            self._last_time = max(self._last_time, record.time)
            if isinstance(record, RunEnd):
                self._ends[writer] = record
                continue
            if isinstance(record, RunStart):
                continue
            if (writer, record.seq) in self._dead:
                self._given_up += 1
                continue
            if isinstance(record, Metrics):
                thinned = self._thinning.thin(record)
                if thinned is None:
                    continue
                record = thinned
            if batch.records and type(record) is not type(batch.records[0]):
                yield batch
                batch = Batch(writer, [])
            batch.records.append(record)
        if batch.records:
            yield batch

    def _read_positions(self) -> dict[str, Position]:
        return {**self.ledger.positions, **{writer: reader.position for writer, reader in self._readers.items()}}

    # -- delivering ---------------------------------------------------------------------------------------------------

    def _deliver(self, batch: Batch) -> None:
        try:
            self._call(batch.records)
        except RecordRejectedError as error:
            self._reject(batch, error, certain=True)
        except (SinkUnavailableError, SinkMisconfiguredError):
            raise
        except (Exception, SystemExit) as error:
            if self._unexpected < limits.UNEXPECTED_TRIES:
                raise
            self._reject(batch, error, certain=False)
        else:
            self._delivered_any = True
            self._settle_suspects()

    def _call(self, records: list[AnyRecord]) -> None:
        assert self._manager is not None
        hook, argument = _HOOKS[type(records[0])]
        getattr(self._manager.hook, hook)(**{argument: list(records)})

    def _reject(self, batch: Batch, error: BaseException, *, certain: bool) -> None:
        if len(batch.records) > 1:
            self._batches.extendleft(reversed(batch.halves()))
        elif certain:
            self._dead_letter(batch.writer, batch.records[0], error)
        else:
            self._suspects.append((batch.writer, batch.records[0], error))
            if len(self._suspects) >= limits.MAX_CONSECUTIVE_REJECTS:
                raise SinkMisconfiguredError(f"the sink fails for every record: {describe(error)}")

    def _settle_suspects(self) -> None:
        """Decide whether records that made the sink raise are bad, or the sink is."""
        if self._suspects and not self._delivered_any:
            raise SinkMisconfiguredError(f"the sink fails for every record: {describe(self._suspects[0][2])}")
        for writer, record, error in self._suspects:
            self._dead_letter(writer, record, error)
        self._suspects = []

    def _dead_letter(self, writer: str, record: AnyRecord, error: BaseException) -> None:
        letter = {"writer": writer, "error": describe(error), "record": record}
        with self.folder.dead_letter_file(self.spec.name).open("ab") as file:
            file.write(msgspec.json.encode(letter) + b"\n")
        self._dead.add((writer, record.seq))
        self._given_up += 1
        self.ledger.last_error = describe(error)

    def _read_dead_letters(self) -> Iterator[tuple[str, int]]:
        try:
            lines = self.folder.dead_letter_file(self.spec.name).read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                letter = msgspec.json.decode(line)
                yield letter["writer"], letter["record"]["seq"]
            except (msgspec.MsgspecError, KeyError, TypeError):
                continue  # torn by a crash: the record comes again and is judged again

    # -- committing -----------------------------------------------------------------------------------------------------

    def _commit(self) -> bool:
        """Ask the sink to make everything durable and, if it did, move the offset."""
        assert self._manager is not None
        checkpoint: dict[str, Any] | None = self._manager.hook.flush()
        self._settled_lines = self._read_lines
        if checkpoint is None:
            self._unconfirmed = True
            return False
        ledger = self.ledger
        ledger.checkpoint = checkpoint
        ledger.thinning = self._thinning.state()
        ledger.positions = ledger.accepted = self._read_positions()
        ledger.delivered += self._read_lines - self._damaged - self._given_up
        ledger.dead_lettered += self._given_up
        ledger.damaged += self._damaged
        self._read_lines = self._settled_lines = self._damaged = self._given_up = 0
        self._unconfirmed = False
        self._unexpected = ledger.attempts = 0
        ledger.retry_at = None
        if not ledger.dead_lettered:
            ledger.last_error = None
        self._save()
        self._delete_old_segments()
        return True

    def _note_accepted(self) -> None:
        """Tell those who wait for `flush()` that the SDK has everything, though it confirms only at the end."""
        self.ledger.accepted = self._read_positions()
        self.ledger.attempts = 0
        self._save()

    def _delete_old_segments(self) -> None:
        """Delete journal segments that every sink is past."""
        for writer, segments in find_writers(self.folder.spool).items():
            if len(segments) < 2:
                continue
            ledgers = [Ledger.load(self.folder.ledger_file(sink.name)) for sink in self.manifest.sinks]
            passed = min(ledger.positions.get(writer, Position()).segment for ledger in ledgers)
            for segment in segments:
                if segment < passed:
                    segment_path(self.folder.spool, writer, segment).unlink(missing_ok=True)

    # -- the end ----------------------------------------------------------------------------------------------------------

    def _is_owner_gone(self) -> bool:
        if self._owner_is_here:
            return False
        if self._owner_alive and time.monotonic() - self._owner_checked >= limits.OWNER_POLL_S:
            self._owner_checked = time.monotonic()
            self._owner_alive = self.manifest.owner.is_alive()
        return not self._owner_alive

    def check_owner_now(self) -> None:
        """The owner's pipe was closed: look at once whether it is alive."""
        self._owner_checked = -limits.OWNER_POLL_S

    def _is_over(self, owner_gone: bool) -> bool:
        owner_ended = self.manifest.owner.writer in self._ends
        if not owner_ended and not owner_gone:
            return False
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
        return now - self._ended_at >= limits.WRITERS_GRACE_S or not self._open_writers()

    def _open_writers(self) -> list[str]:
        """Other processes that still log to this run: fork children, the sampler of system metrics."""
        others = (writer for writer in find_writers(self.folder.spool) if writer != self.manifest.owner.writer)
        return [writer for writer in others if writer not in self._ends and psutil.pid_exists(writer_pid(writer))]

    def _end(self) -> None:
        assert self._manager is not None
        last = self._thinning.take_last()
        if last:
            self._manager.hook.log_metrics(metrics=list(last))
        end = self._ends.get(self.manifest.owner.writer)
        status, at = (end.status, end.time) if end else ("failed", self._last_time)
        self._manager.hook.end_run(status=status, time=at)
        if not self._commit():
            raise SinkUnavailableError("the backend did not confirm the end of the run")
        self.ledger.ended_writer = self.manifest.owner.writer
        self.ledger.status = status
        self.ledger.state = "complete"
        self._save()
        self._close_sink()
        self._remove_spool_if_complete()

    def _remove_spool_if_complete(self) -> None:
        with self.folder.spool_lock():
            manifest = self.folder.read_manifest()
            for sink in manifest.sinks:
                if Ledger.load(self.folder.ledger_file(sink.name)).ended_writer != manifest.owner.writer:
                    return
            if not self._open_writers() and not self.ledger.pending(self.folder):
                self.folder.remove_spool()

    # -- failing ------------------------------------------------------------------------------------------------------------

    def _fail(self, state: LaneState, error: BaseException, retry_after: float | None = None) -> None:
        self._close_sink()
        self._rewind()
        if state == "parked":
            delay = limits.PARKED_RETRY_S
        else:
            ceiling = min(limits.RETRY_MAX_S, limits.RETRY_FIRST_S * 2 ** min(self.ledger.attempts, 16))
            delay = max(retry_after or 0.0, ceiling * random.uniform(0.5, 1))
        self._retry_due = time.monotonic() + delay
        self.ledger.attempts += 1
        self.ledger.last_error = describe(error)
        self.ledger.retry_at = int((time.time() + delay) * 1000)
        self._set_state(state)

    def retry_now(self) -> None:
        """Forget the back-off: somebody says that the trouble is mended."""
        self._retry_due = 0.0

    def _set_state(self, state: LaneState) -> None:
        self.ledger.state = state
        self._save()

    def _save(self) -> None:
        self.ledger.pid = os.getpid()
        try:
            self.ledger.save(self.folder.ledger_file(self.spec.name))
        except OSError as error:  # the disk is full: what is not committed will be delivered again, which is safe
            self.ledger.last_error = f"can't write the ledger: {error.strerror}"


def writer_pid(writer: str) -> int:
    """The process that a journal's name tells of; 0 if it tells none."""
    parts = writer.split("-")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0


def describe(error: BaseException) -> str:
    """An error in one line, without secrets."""
    text = " ".join(str(error).split())
    shown = text if isinstance(error, SinkUnavailableError | SinkMisconfiguredError | RecordRejectedError) else ""
    return redact_text(shown or f"{type(error).__name__}: {text}")[:500]
