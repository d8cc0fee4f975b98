"""A lane: one run x one sink. It reads the journal, hands batches to the sink, and commits what is durable.

A call that fails since the backend is unavailable is made again in place, a few times. Every other failure ends in one
of three ways: *retry* (close the sink, go back to the committed position, wait, open it again), *park* (the same, but
a person has to mend it), or *dead-letter* (one record, kept on disk). Going back makes a failed call and a crash
the same case.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from functools import partial

import msgspec

from unitrack.delivery.attempt import Attempt
from unitrack.delivery.backoff import pause_of_parked
from unitrack.delivery.batch import Batch
from unitrack.delivery.failures import Failures, describe
from unitrack.delivery.ledger import LaneState
from unitrack.delivery.ledger_file import LedgerFile
from unitrack.delivery.progress import Progress
from unitrack.delivery.run_watch import RunWatch
from unitrack.delivery.sink_handle import SinkHandle, is_interrupt
from unitrack.delivery.spool_removal import delete_passed_segments, remove_spool_if_complete
from unitrack.delivery.unsafe_paths import refuse_unsafe_paths
from unitrack.disk_trouble import is_passing, remedy
from unitrack.errors import ArtifactStoreError, JournalError, RecordRejectedError, SinkError, SinkUnavailableError
from unitrack.hookspecs import Link, RunContext
from unitrack.journal import Position
from unitrack.manifest import LaneSpec, Manifest
from unitrack.records import RunStatus
from unitrack.redaction import redact
from unitrack.runfolder import RunFolder, remove_torn
from unitrack.system.locks import FileLock


class Lane:
    """Delivers one run to one sink. Call `acquire()`, then `step()` until it says DONE, then `release()`.

    `owner_is_here`: the run's own process steps the lane, so it need not be asked whether it is alive.
    """

    def __init__(
        self, folder: RunFolder, spec: LaneSpec, *, owner_is_here: bool = False, assume_dead: bool = False
    ) -> None:
        self.folder = folder
        self.spec = spec
        self.manifest: Manifest = folder.read_manifest()
        self._watch = RunWatch(folder, self.manifest.owner, owner_is_here=owner_is_here, assume_dead=assume_dead)
        self._lock = FileLock(folder.lock_file(spec.name))
        self._ledger_file = LedgerFile(folder.ledger_file(spec.name))
        self._failures = Failures()
        self._sink: SinkHandle | None = None
        self._waiting_due = 0.0
        self._dead_letters_due = False
        self._has_gone_back_for_order = False
        self._late_ones_tried: tuple[dict[str, Position], int] | None = None
        self.ledger = self._ledger_file.read()
        self._attempt = Attempt(folder, spec, self.manifest, self.ledger)

    # -- who delivers -------------------------------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Become the one that delivers to this sink; False if another process does."""
        if not self._lock.acquire():
            return False
        remove_torn(self.folder.ledger_file(self.spec.name))
        self._begin_at_committed()  # whoever delivered before may have committed since
        return True

    def release(self) -> None:
        """Close the sink and let others deliver."""
        self._close_sink()
        self._attempt.feed.close()
        if self._lock.is_held:
            if self.ledger.state == "delivering":
                self._set_state("pending")
            self._lock.release()

    def is_obsolete(self) -> bool:
        """Whether the run folder was deleted, or taken up again so that a newer lane waits for this one's place."""
        try:
            return self.folder.read_manifest().owner.writer != self.manifest.owner.writer
        except JournalError:
            return self.folder.is_gone()

    def end_if_deleted(self) -> None:
        """The run folder was deleted while the run lives: end it as failed in the backend, as far as that is open."""
        if self._sink is not None and self.folder.is_gone() and not self.has_ended():
            with contextlib.suppress(Exception):  # there is nowhere to keep the reason
                self._sink.end_run("failed", self._attempt.feed.last_time or self.manifest.run.time)
                self._sink.flush()

    def is_owner_gone(self) -> bool:
        """Whether the owner is gone, as far as can be known now."""
        return self._watch.is_gone()

    # -- one step -----------------------------------------------------------------------------------------------------

    def step(self) -> Progress:
        """Do the next piece of work: open the sink, deliver a batch, commit, or end the run. Never raises."""
        try:
            if self.has_ended() and (rest := self._look_for_late_ones()) is not None:
                return rest
        except OSError:  # too many open files, say
            return Progress.WAITING
        if self._failures.is_pausing():
            return Progress.WAITING
        try:
            if self._ledger_file.is_lost:
                self._begin_at_committed()
                self._ledger_file.insist()
            return self._advance(self._sink or self._open_sink())
        except BaseException as error:  # a library's CancelledError or pytest's Exit is no Exception
            if is_interrupt(error):
                raise
            if not self._failures.pause_in_place(error):
                self._go_back(error)
        return Progress.WAITING

    def tries_again_in_place(self) -> bool:
        """Whether the lane only pauses before it makes the same call once more."""
        return self._failures.tries_again_in_place

    def _advance(self, sink: SinkHandle) -> Progress:
        if self._attempt.batches:
            self._deliver(sink)
            return Progress.MADE
        if self._attempt.is_to_flush:
            self._finish_window(sink)
            return Progress.MADE
        if self._take_window(sink) or self._take_kept():
            return Progress.MADE
        self._watch.look()  # before reading: if the owner is gone, what is read after it is all there is
        if self._read():
            return Progress.MADE
        if self._attempt.is_unconfirmed:
            self._note_accepted()
        elif self._attempt.feed.positions() != self.ledger.accepted:  # on to a new segment, which has no line yet
            self._commit(sink)
        if self._watch.is_over(self._attempt.feed):
            if self._read(is_over=True):
                return Progress.MADE
            last = self._attempt.thinning.take_last()
            if last:
                self._attempt.batches.append(Batch(self.manifest.owner.writer, list(last)))
                return Progress.MADE
            if self._take_kept(is_over=True):
                return Progress.MADE
            self._end(sink)
            return self._look_for_late_ones() or Progress.MADE
        return Progress.IDLE

    def _read(self, *, is_over: bool = False) -> bool:
        """Read on; whether there was anything. The run `is_over` once nobody who counts writes to it any more."""
        writing = self._attempt.feed.open_writers(self.manifest.owner.writer) if is_over else None
        try:
            return self._attempt.feed.read(over_but_for=writing)
        except OSError as error:
            why = f"can't read the journal: {error.strerror}; {remedy(error.errno)}"
            raise SinkUnavailableError(why, reopen=True) from error

    def _take_window(self, sink: SinkHandle) -> bool:
        """Take the next records of those that are read; whether there are any."""
        attempt = self._attempt
        window = attempt.feed.next_window(partial(self._rewind, sink))
        if window is None:
            return False
        attempt.batches.extend(window)
        attempt.is_to_flush = True
        attempt.has_told_end = False
        if (left_out := attempt.feed.left_out) != self.ledger.curves.left_out:
            self.ledger.curves = msgspec.structs.replace(self.ledger.curves, left_out=left_out)
            self._save()
        return True

    def _take_kept(self, *, is_over: bool = False) -> bool:
        """Take up records that were put aside, now and then and at the end, and dead letters if that is asked for."""
        attempt, kept = self._attempt, []
        if attempt.waiting and (time.monotonic() >= self._waiting_due or (is_over and not attempt.has_tried_at_end)):
            self._waiting_due = time.monotonic() + pause_of_parked()
            attempt.has_tried_at_end = is_over
            kept = attempt.waiting.batches("waiting")
        if self._dead_letters_due:
            kept += attempt.dead.batches("dead")
        attempt.batches.extend(kept)
        return bool(kept)

    def _open_sink(self) -> SinkHandle:
        sink = SinkHandle.load(self.spec)
        try:
            context = RunContext(start=self.manifest.run, folder=self.folder.path, sink_name=self.spec.name)
            self._context = context
            self._note_link(sink.open_run(context, self.ledger.checkpoint))
        except BaseException:
            sink.close()
            raise
        self._sink = sink
        self._failures.note_success()
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

    def _deliver(self, sink: SinkHandle) -> None:
        """Hand over the first batch. It stays the first one if the same call is to be made again."""
        attempt = self._attempt
        batch = attempt.batches[0]
        sealed = batch.sealed()
        rest: tuple[Batch, ...] = ()
        try:
            refuse_unsafe_paths(self._context, batch.records)
            attempt.require_its_turn(batch)
            sink.deliver(batch.records)
        except RecordRejectedError as error:
            batch.restore(sealed)
            rest = attempt.judgement.reject(batch, error, certain=True)
        except ArtifactStoreError as error:
            attempt.put_aside(batch, describe(error))
            self._waiting_due = self._waiting_due or time.monotonic() + pause_of_parked()
        except SinkError:
            batch.restore(sealed)
            raise
        except BaseException as error:
            if not self._failures.are_persistent or is_interrupt(error) or is_passing(error):
                raise
            batch.restore(sealed)
            rest = attempt.judgement.reject(batch, error, certain=False)
        else:
            attempt.note_delivered(batch)
        attempt.batches.popleft()
        attempt.batches.extendleft(reversed(rest))
        attempt.is_to_flush = True
        self._failures.note_success()

    def _finish_window(self, sink: SinkHandle) -> None:
        """All of a window is delivered: try what was refused once more, then commit."""
        attempt = self._attempt
        again = attempt.judgement.settle(is_last=self._watch.is_owner_done(attempt.feed))
        if again:
            attempt.batches.extend(again)
        elif attempt.judgement.was_wrong and not attempt.is_unconfirmed and not self._has_gone_back_for_order:
            self._close_sink()  # the sink has a record later than those after it: once more, in order
            self._begin_at_committed()
            self._has_gone_back_for_order = True
        else:
            self._commit(sink)

    # -- committing ---------------------------------------------------------------------------------------------------

    def _begin_at_committed(self) -> None:
        """Take the ledger as it is on disk, and nothing else, for what has happened."""
        self._attempt.close()
        self.ledger = self._ledger_file.read()
        self._attempt = Attempt(self.folder, self.spec, self.manifest, self.ledger)
        self._waiting_due = 0.0
        if self._lock.is_held:
            self._attempt.forget_settled()
            if self.ledger.forget_trouble_before(self.manifest.owner.writer):
                self._save()
        if self._dead_letters_due:
            self.ledger.ended_writer = None  # as if the run had not ended: it ends anew
        self._watch.begin_grace_anew()

    def _commit(self, sink: SinkHandle, ended: RunStatus | None = None) -> bool:
        """Ask the sink to make everything durable and, if it did, move the offset; `ended`: past the end of the run."""
        attempt = self._attempt
        checkpoint = sink.flush()
        self._failures.note_success()
        attempt.is_to_flush = self._dead_letters_due = False
        if checkpoint is None:
            attempt.is_unconfirmed = True
            return False
        ledger = self.ledger
        ledger.checkpoint = checkpoint
        attempt.enter(ledger)
        ledger.attempts, ledger.retry_at = 0, None
        if not ledger.dead_lettered and not ledger.waiting:
            ledger.last_error = None
        if ended is not None:  # in the same write: there is no moment at which all is confirmed but the end
            ledger.state, ledger.status, ledger.ended_writer = "complete", ended, self.manifest.owner.writer
        is_saved = self._save()
        if not is_saved and ended is not None:
            why = ledger.last_error or "can't write the ledger"
            raise SinkUnavailableError(why, reopen=True)  # it ends once more, then
        attempt.begin_anew()
        if is_saved:
            attempt.forget_settled()
        self._failures.forget()
        self._has_gone_back_for_order = False
        delete_passed_segments(self.folder)
        return True

    def _note_accepted(self) -> None:
        """Tell those who wait for `flush()` that the SDK has everything, though it confirms only at the end."""
        accepted = self._attempt.feed.positions()
        if accepted != self.ledger.accepted:
            self.ledger.accepted = accepted
            self.ledger.attempts = 0
            self._save()

    # -- the end ------------------------------------------------------------------------------------------------------

    def has_ended(self) -> bool:
        """Whether the end of the run is confirmed. Others than its owner may still log."""
        return self.ledger.ended_writer == self.manifest.owner.writer

    def _look_for_late_ones(self) -> Progress | None:
        """None if others have logged since the run ended: then it is as if it had not, and ends anew."""
        # Before the look at what is left: one may log and die meanwhile.
        are_there = bool(self._attempt.feed.open_writers(self.manifest.owner.writer))
        found = self.ledger.positions, self.ledger.late(self.folder, self.manifest.owner.writer)
        if not found[1] or found == self._late_ones_tried:  # what could not be read will not be read again and again
            if are_there:
                return Progress.IDLE
            with contextlib.suppress(OSError):  # the folder was deleted
                remove_spool_if_complete(self.folder, self._attempt.feed, self.ledger)
            return Progress.DONE
        self._late_ones_tried = found
        self.ledger.ended_writer = None
        self._watch.begin_grace_anew()
        return None

    def check_owner_now(self) -> None:
        """The owner's pipe was closed: look at once whether it is alive."""
        self._watch.look_anew()

    def _end(self, sink: SinkHandle) -> None:
        end = self._attempt.feed.ends.get(self.manifest.owner.writer)
        status = end.status if end else "failed"
        if not self._attempt.has_told_end:
            sink.end_run(status, end.time if end else self._attempt.feed.last_time or self.manifest.run.time)
            self._failures.note_success()
            self._attempt.has_told_end = True
        if self.ledger.waiting:
            self._commit(sink)
            self._attempt.require_none_waits()
        if not self._commit(sink, status):
            raise SinkUnavailableError("the backend did not confirm the end of the run", reopen=True)
        self._close_sink()
        remove_spool_if_complete(self.folder, self._attempt.feed, self.ledger)

    # -- failing ------------------------------------------------------------------------------------------------------

    def _go_back(self, error: BaseException) -> None:
        """After a failure: as if the process had died, but with a reason and a time for the next attempt."""
        self._close_sink()
        link, attempts = self.ledger.link, self.ledger.attempts  # they hold though they may not be on disk
        self._begin_at_committed()
        self.ledger.link, self.ledger.attempts = link, attempts
        self._failures.enter(error, self.ledger)
        self._save()

    def try_dead_letters(self) -> None:
        """Deliver again, once, what the sink has refused; what it takes is no dead letter any more."""
        if self._attempt.dead:
            self._dead_letters_due = True
            self._begin_at_committed()

    def retry_now(self) -> None:
        """Forget the back-off: somebody says that the trouble is mended."""
        self._failures.end_pause()

    def _set_state(self, state: LaneState) -> None:
        self.ledger.state = state
        self._save()

    def _save(self) -> bool:
        return self._ledger_file.save(self.ledger)
