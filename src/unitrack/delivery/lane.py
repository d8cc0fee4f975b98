"""A lane: one run x one sink. It reads the journal, hands batches to the sink, and commits what is durable.

One failure, whatever it is, ends in one of three ways: *retry* (close the sink, go back to the committed position,
wait, open it again), *park* (the same, but it takes somebody to mend it), or *dead-letter* (one record, kept on disk).
Going back on each failure makes a failed call and a crash the same case.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections import deque
from collections.abc import Mapping
from enum import Enum
from functools import partial

import msgspec

from unitrack import limits
from unitrack.delivery.backoff import pause, pause_of_parked
from unitrack.delivery.dead_letters import DeadLetters
from unitrack.delivery.feed import Batch, Feed
from unitrack.delivery.ledger import LaneState, Ledger
from unitrack.delivery.sink_handle import SinkHandle, is_interrupt
from unitrack.delivery.thinning import Thinning
from unitrack.disk_trouble import is_passing, remedy
from unitrack.errors import JournalError, RecordRejectedError, SinkError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import Link, RunContext
from unitrack.journal import Position, find_writers, segment_path
from unitrack.manifest import LaneSpec, Manifest
from unitrack.owner import process_start
from unitrack.records import AnyRecord, Artifact, RunStatus
from unitrack.redaction import redact, redact_text
from unitrack.runfolder import RunFolder, remove_torn
from unitrack.safe_files import leads_out, open_private


class Progress(Enum):
    """What a step of a lane came to."""

    MADE = "made"
    IDLE = "idle"
    """All that is written is delivered."""
    WAITING = "waiting"
    """The backend is in trouble; the next attempt is not due."""
    DONE = "done"
    """The end of the run is confirmed."""


class Lane:
    """Delivers one run to one sink. Call `acquire()`, then `step()` until it says DONE, then `release()`.

    `owner_is_here`: the run's own process steps the lane, so it need not be asked whether it is alive.
    """

    def __init__(self, folder: RunFolder, spec: LaneSpec, *, owner_is_here: bool = False) -> None:
        self.folder = folder
        self.spec = spec
        self.manifest: Manifest = folder.read_manifest()
        self._owner_is_here = owner_is_here
        self._owner_alive = True
        self._owner_checked = -limits.OWNER_POLL_S
        self._lock = -1
        self._sink: SinkHandle | None = None
        self._dead_letters = DeadLetters(folder.dead_letter_file(spec.name))
        self._unexpected = 0  # failures in a row that the sink did not classify
        self._retry_due = 0.0
        self._late_ones_tried: tuple[dict[str, Position], int] | None = None
        self._begin_at_committed()

    # -- who delivers -------------------------------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Become the one that delivers to this sink; False if another process does."""
        descriptor = open_private(self.folder.lock_file(self.spec.name), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        remove_torn(self.folder.ledger_file(self.spec.name))
        self._dead_letters = DeadLetters(self.folder.dead_letter_file(self.spec.name))
        self._begin_at_committed()  # whoever delivered before may have committed since
        return True

    def release(self) -> None:
        """Close the sink and let others deliver."""
        self._close_sink()
        self._feed.close()
        if self._lock >= 0:
            if self.ledger.state == "delivering":
                self._set_state("pending")
            os.close(self._lock)
            self._lock = -1

    # -- one step -----------------------------------------------------------------------------------------------------

    def step(self) -> Progress:
        """Do the next piece of work: open the sink, deliver a batch, commit, or end the run. Never raises."""
        try:
            if self.has_ended() and (rest := self._look_for_late_ones()) is not None:
                return rest
        except OSError:  # too many open files, say
            return Progress.WAITING
        if time.monotonic() < self._retry_due:
            return Progress.WAITING
        try:
            if self._lost:
                self._find_itself()
            return self._advance(self._sink or self._open_sink())
        except SinkUnavailableError as error:
            self._go_back("retrying", error, error.retry_after)
        except SinkMisconfiguredError as error:
            self._go_back("parked", error)
        except BaseException as error:  # a library's CancelledError or pytest's Exit is no Exception
            if is_interrupt(error):
                raise
            passing = is_passing(error)
            self._unexpected += not passing
            parked = self._unexpected > limits.UNEXPECTED_TRIES and not passing
            self._go_back("parked" if parked else "retrying", error)
        return Progress.WAITING

    def _find_itself(self) -> None:
        self._begin_at_committed()
        if self._lost:
            why = f"can't read the ledger ({self._lost.strerror}); {remedy(self._lost.errno)}"
            raise SinkUnavailableError(why) from self._lost

    def _advance(self, sink: SinkHandle) -> Progress:
        if self._batches:
            self._deliver(sink, self._batches.popleft())
            return Progress.MADE
        if self._feed.lines > self._flushed_lines:
            self._settle_suspects()
            self._commit(sink)
            return Progress.MADE
        owner_gone = self._is_owner_gone()  # before reading: what is read after it is all there is
        if self._read(sink):
            return Progress.MADE
        if self._unconfirmed:
            self._note_accepted()
        elif self._feed.positions() != self.ledger.accepted:  # on to a new segment, which has no line yet
            self._commit(sink)
        if self._is_over(owner_gone):
            if self._read(sink, is_over=True):
                return Progress.MADE
            last = self._thinning.take_last()
            if last:
                self._batches.append(Batch(self.manifest.owner.writer, list(last)))
                return Progress.MADE
            self._settle_suspects()  # that of `last`
            self._end(sink)
            return self._look_for_late_ones() or Progress.MADE
        return Progress.IDLE

    def _read(self, sink: SinkHandle, *, is_over: bool = False) -> bool:
        """Read on; whether there was anything. The run `is_over` once nobody who counts writes to it any more."""
        writing = self._feed.open_writers(self.manifest.owner.writer) if is_over else None
        try:
            self._batches.extend(self._feed.read(partial(self._rewind, sink), over_but_for=writing))
        except OSError as error:
            raise SinkUnavailableError(f"can't read the journal: {error.strerror}; {remedy(error.errno)}") from error
        if self._feed.has_decided:
            self.ledger.curves |= self._feed.decisions()
            self._save()
        return self._feed.lines > self._flushed_lines

    def _open_sink(self) -> SinkHandle:
        self._sink = sink = SinkHandle.load(self.spec)
        context = RunContext(start=self.manifest.run, folder=self.folder.path, sink_name=self.spec.name)
        self._context = context
        self._note_link(sink.open_run(context, self.ledger.checkpoint))
        self._set_state("delivering")
        return sink

    def _note_link(self, link: Link | None) -> None:
        if link is not None:
            self.ledger.link = msgspec.convert(redact(msgspec.structs.asdict(link)), Link)

    def _rewind(self, sink: SinkHandle, steps: Mapping[str, int]) -> bool:
        link = sink.rewind(steps)
        self._note_link(link)
        return link is not None

    def _close_sink(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    # -- delivering ---------------------------------------------------------------------------------------------------

    def _deliver(self, sink: SinkHandle, batch: Batch) -> None:
        try:
            self._refuse_unsafe(batch.records)
            sink.deliver(batch.records)
        except RecordRejectedError as error:
            self._reject(batch, error, certain=True)
        except SinkError:
            raise
        except BaseException as error:
            if self._unexpected < limits.UNEXPECTED_TRIES or is_interrupt(error) or is_passing(error):
                raise
            self._reject(batch, error, certain=False)
        else:
            self._delivered_any = True
            self._settle_suspects()

    def _refuse_unsafe(self, records: list[AnyRecord]) -> None:
        """Keep paths that a stranger's journal may hold from every sink. Raises `RecordRejectedError`."""
        for record in records:
            if isinstance(record, Artifact):
                self._context.locate(record)
                if leads_out(record.name):
                    raise RecordRejectedError(
                        f"the artifact's name {record.name[:80]!r} leads out of the run's artifacts"
                    )

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
        if self._suspects and not self._delivered_any and not self._nothing_to_compare_with():
            raise SinkMisconfiguredError(f"the sink fails for every record: {describe(self._suspects[0][2])}")
        for writer, record, error in self._suspects:
            self._dead_letter(writer, record, error)
        self._suspects.clear()

    def _nothing_to_compare_with(self) -> bool:
        """Whether these are the last records of a run that the sink has taken so far, and were parked for before.

        No other record will come to tell whether it is them or the sink, and the run must be able to end.
        """
        ended = self.manifest.owner.writer in self._feed.ends or not self._owner_alive
        return ended and self.ledger.delivered > 1 and self.ledger.attempts > limits.UNEXPECTED_TRIES + 1

    def _dead_letter(self, writer: str, record: AnyRecord, error: BaseException) -> None:
        self.ledger.last_error = describe(error)
        self._dead_letters.add(writer, record, self.ledger.last_error)
        self._given_up += 1

    # -- committing ---------------------------------------------------------------------------------------------------

    def _begin_at_committed(self) -> None:
        """Take the ledger as it is on disk, and nothing else, for what has happened.

        If it can't be read now, the lane is lost until it can: with a fresh one the sink would begin anew, and lose
        what stood in segments that are deleted.
        """
        feed: Feed | None = getattr(self, "_feed", None)
        if feed is not None:
            feed.close()
        self._lost: OSError | None = None
        try:
            self.ledger = Ledger.read(self.folder.ledger_file(self.spec.name))
        except OSError as error:
            self.ledger, self._lost = Ledger(), error
        self._thinning = Thinning(self.manifest.log_frequency * self.spec.keep_every, self.ledger.thinning)
        self._feed = Feed(self.folder, self.spec.name, self.ledger, self._thinning, self._dead_letters)
        self._batches: deque[Batch] = deque()
        self._suspects: list[tuple[str, AnyRecord, BaseException]] = []
        self._flushed_lines = 0  # of the lines that the feed has read since the last commit
        self._given_up = 0  # dead letters since then
        self._unconfirmed = False
        self._delivered_any = False
        self._end_seen_at: float | None = None

    def _commit(self, sink: SinkHandle, ended: RunStatus | None = None) -> bool:
        """Ask the sink to make everything durable and, if it did, move the offset; `ended`: past the end of the run."""
        checkpoint = sink.flush()
        self._flushed_lines = self._feed.lines
        if checkpoint is None:
            self._unconfirmed = True
            return False
        ledger, feed = self.ledger, self._feed
        given_up = self._given_up + feed.skipped
        ledger.checkpoint = checkpoint
        ledger.thinning, ledger.curves = self._thinning.state(), feed.curves()
        ledger.positions = ledger.accepted = feed.positions()
        ledger.ends, ledger.last_step, ledger.last_time = dict(feed.ends), feed.last_step, feed.last_time
        ledger.delivered += feed.lines - feed.damaged - given_up
        ledger.dead_lettered += given_up
        ledger.damaged += feed.damaged
        ledger.damages = [*ledger.damages, *feed.damages][: limits.NAMED_DAMAGES]
        ledger.attempts, ledger.retry_at = 0, None
        if not ledger.dead_lettered:
            ledger.last_error = None
        if ended is not None:  # in the same write: there is no moment at which all is confirmed but the end
            ledger.state, ledger.status, ledger.ended_writer = "complete", ended, self.manifest.owner.writer
        if not self._save() and ended is not None:
            raise SinkUnavailableError(ledger.last_error or "can't write the ledger")  # it ends once more, then
        feed.count_anew()
        self._flushed_lines = self._given_up = self._unexpected = 0
        self._unconfirmed = False
        self._delete_old_segments()
        return True

    def _note_accepted(self) -> None:
        """Tell those who wait for `flush()` that the SDK has everything, though it confirms only at the end."""
        accepted = self._feed.positions()
        if accepted != self.ledger.accepted:
            self.ledger.accepted = accepted
            self.ledger.attempts = 0
            self._save()

    def _delete_old_segments(self) -> None:
        """Delete journal segments that every sink is past."""
        several = {writer: found for writer, found in find_writers(self.folder.spool).items() if len(found) > 1}
        if not several:
            return
        with contextlib.suppress(OSError), self.folder.spool_lock():  # against a sink that is being added
            sinks = self.folder.read_manifest().sinks
            ledgers = [Ledger.load(self.folder.ledger_file(sink.name)) for sink in sinks]
            for writer, segments in several.items():
                passed = min(ledger.positions.get(writer, Position()).segment for ledger in ledgers)
                for segment in segments:
                    if segment < passed:
                        segment_path(self.folder.spool, writer, segment).unlink(missing_ok=True)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _is_owner_gone(self) -> bool:
        now = time.monotonic()
        if not self._owner_is_here and self._owner_alive and now - self._owner_checked >= limits.OWNER_POLL_S:
            self._owner_checked = now
            self._owner_alive = self.manifest.owner.is_alive()
        return not self._owner_alive

    def has_ended(self) -> bool:
        """Whether the end of the run is confirmed. Others than its owner may still log."""
        return self.ledger.ended_writer == self.manifest.owner.writer

    def _look_for_late_ones(self) -> Progress | None:
        """None if others have logged since the run ended: then it is as if it had not, and ends anew."""
        are_there = bool(self._feed.open_writers(self.manifest.owner.writer))  # before: one may log and die meanwhile
        found = self.ledger.positions, self.ledger.late(self.folder, self.manifest.owner.writer)
        if not found[1] or found == self._late_ones_tried:  # what could not be read will not be read again and again
            if are_there:
                return Progress.IDLE
            with contextlib.suppress(OSError):  # the folder was deleted
                self._remove_spool_if_complete()
            return Progress.DONE
        self._late_ones_tried = found
        self.ledger.ended_writer = self._end_seen_at = None
        return None

    def check_owner_now(self) -> None:
        """The owner's pipe was closed: look at once whether it is alive."""
        self._owner_checked = -limits.OWNER_POLL_S

    def _is_over(self, owner_gone: bool) -> bool:
        owner = self.manifest.owner.writer
        if owner not in self._feed.ends and not owner_gone:
            return False
        now = time.monotonic()
        if self._end_seen_at is None:
            self._end_seen_at = now
        return now - self._end_seen_at >= limits.WRITERS_GRACE_S or not self._feed.open_writers(owner)

    def _end(self, sink: SinkHandle) -> None:
        end = self._feed.ends.get(self.manifest.owner.writer)
        status = end.status if end else "failed"
        sink.end_run(status, end.time if end else self._feed.last_time or self.manifest.run.time)
        if not self._commit(sink, status):
            raise SinkUnavailableError("the backend did not confirm the end of the run")
        self._close_sink()
        self._remove_spool_if_complete()

    def _remove_spool_if_complete(self) -> None:
        with self.folder.spool_lock():
            manifest = self.folder.read_manifest()
            for sink in manifest.sinks:
                ledger = Ledger.load(self.folder.ledger_file(sink.name))
                if ledger.ended_writer != manifest.owner.writer or ledger.late(self.folder, manifest.owner.writer):
                    return
            if not self._feed.open_writers(manifest.owner.writer) and not self.ledger.pending(self.folder):
                self.folder.remove_spool()

    # -- failing ------------------------------------------------------------------------------------------------------

    def _go_back(self, state: LaneState, error: BaseException, retry_after: float | None = None) -> None:
        """After a failure: as if the process had died, but with a reason and a time for the next attempt."""
        self._close_sink()
        link = self.ledger.link
        attempts = self.ledger.attempts
        self._begin_at_committed()
        delay = pause_of_parked() if state == "parked" else pause(attempts, retry_after or 0.0)
        self._retry_due = time.monotonic() + delay
        self.ledger.link = link
        self.ledger.attempts = attempts + 1
        self.ledger.last_error = describe(error)
        self.ledger.retry_at = int((time.time() + delay) * 1000)
        self._set_state(state)

    def is_obsolete(self) -> bool:
        """Whether the run folder was deleted, or taken up again so that a newer lane waits for this one's place."""
        try:
            return self.folder.read_manifest().owner.writer != self.manifest.owner.writer
        except JournalError:
            return self.folder.is_gone()

    def retry_now(self) -> None:
        """Forget the back-off: somebody says that the trouble is mended."""
        self._retry_due = 0.0

    def _set_state(self, state: LaneState) -> bool:
        self.ledger.state = state
        return self._save()

    def _save(self) -> bool:
        """Whether the ledger is on disk. If that is full, what is not committed will be delivered again: it is safe."""
        if self._lost:
            return False  # it would replace the one on disk
        try:
            self.ledger.pid, self.ledger.pid_started = os.getpid(), process_start(os.getpid())
            self.ledger.save(self.folder.ledger_file(self.spec.name))
        except OSError as error:
            self.ledger.last_error = f"can't write the ledger ({error.strerror}); {remedy(error.errno)}"
            return False
        return True


def describe(error: BaseException) -> str:
    """An error in one line, without secrets."""
    text = " ".join(str(error).split())
    return redact_text(text if isinstance(error, SinkError) and text else f"{type(error).__name__}: {text}")[:500]
