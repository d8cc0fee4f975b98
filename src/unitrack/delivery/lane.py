"""A lane: one run x one sink. It reads the journal, hands batches to the sink, and commits what is durable.

One failure, whatever it is, ends in one of three ways: *retry* (close the sink, go back to the committed position,
wait, open it again), *park* (the same, but it takes somebody to mend it), or *dead-letter* (one record, kept on disk).
Going back on each failure makes a failed call and a crash the same case.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping
from functools import partial

import msgspec

from unitrack.delivery.dead_letters import DeadLetters
from unitrack.delivery.failures import Failures
from unitrack.delivery.feed import Batch, Feed
from unitrack.delivery.judgement import Judgement
from unitrack.delivery.lane_lock import LaneLock
from unitrack.delivery.ledger import LaneState
from unitrack.delivery.ledger_file import LedgerFile
from unitrack.delivery.progress import Progress
from unitrack.delivery.run_watch import RunWatch
from unitrack.delivery.sink_handle import SinkHandle, is_interrupt
from unitrack.delivery.spool_removal import delete_passed_segments, remove_spool_if_complete
from unitrack.delivery.thinning import Thinning
from unitrack.delivery.unsafe_paths import refuse_unsafe_paths
from unitrack.disk_trouble import is_passing, remedy
from unitrack.errors import JournalError, RecordRejectedError, SinkError, SinkUnavailableError
from unitrack.hookspecs import Link, RunContext
from unitrack.journal import Position
from unitrack.manifest import LaneSpec, Manifest
from unitrack.records import RunStatus
from unitrack.redaction import redact
from unitrack.runfolder import RunFolder, remove_torn


class Lane:
    """Delivers one run to one sink. Call `acquire()`, then `step()` until it says DONE, then `release()`.

    `owner_is_here`: the run's own process steps the lane, so it need not be asked whether it is alive.
    """

    def __init__(self, folder: RunFolder, spec: LaneSpec, *, owner_is_here: bool = False) -> None:
        self.folder = folder
        self.spec = spec
        self.manifest: Manifest = folder.read_manifest()
        self._watch = RunWatch(self.manifest.owner, owner_is_here=owner_is_here)
        self._lock = LaneLock(folder.lock_file(spec.name))
        self._ledger_file = LedgerFile(folder.ledger_file(spec.name))
        self._dead_letters = DeadLetters(folder.dead_letter_file(spec.name))
        self._failures = Failures()
        self._sink: SinkHandle | None = None
        self._late_ones_tried: tuple[dict[str, Position], int] | None = None
        self._begin_at_committed()

    # -- who delivers -------------------------------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Become the one that delivers to this sink; False if another process does."""
        if not self._lock.acquire():
            return False
        remove_torn(self.folder.ledger_file(self.spec.name))
        self._dead_letters = DeadLetters(self.folder.dead_letter_file(self.spec.name))
        self._begin_at_committed()  # whoever delivered before may have committed since
        return True

    def release(self) -> None:
        """Close the sink and let others deliver."""
        self._close_sink()
        self._feed.close()
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
            self._go_back(error)
        return Progress.WAITING

    def _advance(self, sink: SinkHandle) -> Progress:
        if self._batches:
            self._deliver(sink, self._batches.popleft())
            return Progress.MADE
        if self._feed.lines > self._flushed_lines:
            self._settle_suspects()
            self._commit(sink)
            return Progress.MADE
        self._watch.look()  # before reading: if the owner is gone, what is read after it is all there is
        if self._read(sink):
            return Progress.MADE
        if self._unconfirmed:
            self._note_accepted()
        elif self._feed.positions() != self.ledger.accepted:  # on to a new segment, which has no line yet
            self._commit(sink)
        if self._watch.is_over(self._feed):
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
        if (left_out := self._feed.left_out) != self.ledger.curves.left_out:
            self.ledger.curves = msgspec.structs.replace(self.ledger.curves, left_out=left_out)
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
            refuse_unsafe_paths(self._context, batch.records)
            sink.deliver(batch.records)
        except RecordRejectedError as error:
            self._reject(batch, error, certain=True)
        except SinkError:
            raise
        except BaseException as error:
            if not self._failures.are_persistent or is_interrupt(error) or is_passing(error):
                raise
            self._reject(batch, error, certain=False)
        else:
            self._judgement.note_delivered()

    def _reject(self, batch: Batch, error: BaseException, *, certain: bool) -> None:
        self._batches.extendleft(reversed(self._judgement.reject(batch, error, certain=certain)))

    def _settle_suspects(self) -> None:
        self._judgement.settle(is_last=self._watch.is_owner_done(self._feed))

    # -- committing ---------------------------------------------------------------------------------------------------

    def _begin_at_committed(self) -> None:
        """Take the ledger as it is on disk, and nothing else, for what has happened."""
        feed: Feed | None = getattr(self, "_feed", None)
        if feed is not None:
            feed.close()
        self.ledger = self._ledger_file.read()
        self._thinning = Thinning(self.manifest.log_frequency * self.spec.keep_every, self.ledger.thinning)
        self._feed = Feed(self.folder, self.spec.name, self.ledger, self._thinning, self._dead_letters)
        self._judgement = Judgement(self.ledger, self._dead_letters)
        self._batches: deque[Batch] = deque()
        self._flushed_lines = 0  # of the lines that the feed has read since the last commit
        self._unconfirmed = False
        self._watch.begin_grace_anew()

    def _commit(self, sink: SinkHandle, ended: RunStatus | None = None) -> bool:
        """Ask the sink to make everything durable and, if it did, move the offset; `ended`: past the end of the run."""
        checkpoint = sink.flush()
        self._flushed_lines = self._feed.lines
        if checkpoint is None:
            self._unconfirmed = True
            return False
        ledger = self.ledger
        ledger.checkpoint = checkpoint
        self._feed.enter(ledger, self._judgement.given_up)
        ledger.attempts, ledger.retry_at = 0, None
        if not ledger.dead_lettered:
            ledger.last_error = None
        if ended is not None:  # in the same write: there is no moment at which all is confirmed but the end
            ledger.state, ledger.status, ledger.ended_writer = "complete", ended, self.manifest.owner.writer
        if not self._save() and ended is not None:
            raise SinkUnavailableError(ledger.last_error or "can't write the ledger")  # it ends once more, then
        self._feed.count_anew()
        self._judgement.count_anew()
        self._flushed_lines = 0
        self._failures.forget()
        self._unconfirmed = False
        delete_passed_segments(self.folder)
        return True

    def _note_accepted(self) -> None:
        """Tell those who wait for `flush()` that the SDK has everything, though it confirms only at the end."""
        accepted = self._feed.positions()
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
        are_there = bool(self._feed.open_writers(self.manifest.owner.writer))  # before: one may log and die meanwhile
        found = self.ledger.positions, self.ledger.late(self.folder, self.manifest.owner.writer)
        if not found[1] or found == self._late_ones_tried:  # what could not be read will not be read again and again
            if are_there:
                return Progress.IDLE
            with contextlib.suppress(OSError):  # the folder was deleted
                remove_spool_if_complete(self.folder, self._feed, self.ledger)
            return Progress.DONE
        self._late_ones_tried = found
        self.ledger.ended_writer = None
        self._watch.begin_grace_anew()
        return None

    def check_owner_now(self) -> None:
        """The owner's pipe was closed: look at once whether it is alive."""
        self._watch.look_anew()

    def _end(self, sink: SinkHandle) -> None:
        end = self._feed.ends.get(self.manifest.owner.writer)
        status = end.status if end else "failed"
        sink.end_run(status, end.time if end else self._feed.last_time or self.manifest.run.time)
        if not self._commit(sink, status):
            raise SinkUnavailableError("the backend did not confirm the end of the run")
        self._close_sink()
        remove_spool_if_complete(self.folder, self._feed, self.ledger)

    # -- failing ------------------------------------------------------------------------------------------------------

    def _go_back(self, error: BaseException) -> None:
        """After a failure: as if the process had died, but with a reason and a time for the next attempt."""
        self._close_sink()
        link, attempts = self.ledger.link, self.ledger.attempts  # they hold though they may not be on disk
        self._begin_at_committed()
        self.ledger.link, self.ledger.attempts = link, attempts
        self._failures.enter(error, self.ledger)
        self._save()

    def retry_now(self) -> None:
        """Forget the back-off: somebody says that the trouble is mended."""
        self._failures.end_pause()

    def _set_state(self, state: LaneState) -> None:
        self.ledger.state = state
        self._save()

    def _save(self) -> bool:
        return self._ledger_file.save(self.ledger)
