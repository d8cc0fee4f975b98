"""A lane: one run x one sink. It reads the journal, hands batches to the sink, and commits what is durable.

A call that fails since the backend is unavailable is made again in place, a few times. Every other failure ends in one
of three ways: *retry* (close the sink, go back to the committed position, wait, open it again), *park* (the same, but
a person has to mend it), or *dead-letter* (one record, kept on disk). Going back makes a failed call and a crash
the same case.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

import msgspec

from unitrack.artifacts.used_content import find_used
from unitrack.delivery.lane.attempt import Attempt
from unitrack.delivery.lane.cleanup import delete_passed_segments, remove_spool_if_complete
from unitrack.delivery.lane.failures import Failures
from unitrack.delivery.lane.progress import Progress
from unitrack.delivery.lane.run_watch import RunWatch
from unitrack.delivery.lane.sink_handle import SinkHandle, is_interrupt
from unitrack.delivery.ledger import Ledger, LockedLedger
from unitrack.errors import JournalError, SinkUnavailableError
from unitrack.hookspecs import Link, RunContext
from unitrack.journal import Position
from unitrack.records import RunStatus
from unitrack.runfolder.manifest import LaneSpec, Manifest
from unitrack.runfolder.requests import find_requests
from unitrack.runfolder.run_folder import RunFolder
from unitrack.values.codec import convert
from unitrack.values.redaction import redact


class Lane:
    """Delivers one run to one sink. Call `acquire()`, then `step()` until it returns DONE, then `release()`.

    `owner_is_here`: the run's own process steps the lane, so it need not be asked whether it is alive. `wrappers` are
    objects with hook wrappers to put around the sink, outside of its middleware: for tests that interfere with calls.
    """

    def __init__(
        self,
        folder: RunFolder,
        spec: LaneSpec,
        *,
        owner_is_here: bool = False,
        assume_dead: bool = False,
        wrappers: Sequence[object] = (),
    ) -> None:
        self.folder = folder
        self.spec = spec
        self.manifest: Manifest = folder.read_manifest()
        self._owner = self.manifest.owner.writer
        self._wrappers = wrappers
        self._watch = RunWatch(folder, self.manifest.owner, owner_is_here=owner_is_here, assume_dead=assume_dead)
        self._failures = Failures()
        self._sink: SinkHandle | None = None
        self._ledger = LockedLedger(folder, spec.name)
        self._attempt = Attempt(folder, spec, self.manifest, self._ledger)
        self._tries_dead_letters = False
        """Whether the next commit is to have the dead letters tried; it stands until then, whatever fails."""
        self._has_gone_back_for_order = False
        """Whether the lane has gone back once since its last commit to deliver a window in order."""
        self._late_ones_tried: tuple[dict[str, Position], int] | None = None
        """Positions, and the number of lines after them that could not be read: those are not tried again."""

    @property
    def ledger(self) -> Ledger:
        """The account of the sink, which may be ahead of the file until the next commit."""
        return self._ledger.current

    # -- who delivers -------------------------------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Become the one that delivers to this sink; False if another process does."""
        if not self._ledger.acquire():
            return False
        self._begin_at_committed()  # an earlier holder may have committed since
        return True

    def release(self) -> None:
        """Close the sink and let others deliver."""
        self._close_sink()
        self._attempt.close()
        try:
            if self._ledger.is_held and self.ledger.state == "delivering":
                self._save(state="pending")
        finally:
            self._ledger.release()

    def is_obsolete(self) -> bool:
        """Whether the run folder was deleted, or taken up again so that a newer lane waits for this one's place."""
        try:
            return self.folder.read_manifest().owner.writer != self._owner
        except JournalError:
            return self.folder.is_gone()

    def end_if_deleted(self) -> None:
        """If the run folder was deleted while the run lives, end the run as failed in the backend, if that is open."""
        if self._sink is not None and self.folder.is_gone() and not self.has_ended():
            with contextlib.suppress(Exception):  # there is nowhere to keep the reason
                self._sink.end_run("failed", self._last_time())
                self._sink.flush()

    def is_owner_gone(self) -> bool:
        """Whether the owner is gone, as far as can be known now."""
        return self._watch.is_gone()

    def check_owner_now(self) -> None:
        """Look at the next step whether the owner is alive, without waiting until it is time: its pipe was closed."""
        self._watch.look_anew()

    # -- one step -----------------------------------------------------------------------------------------------------

    def step(self) -> Progress:
        """Do the next piece of work: open the sink, deliver a batch, commit, or end the run. Raises nothing."""
        try:
            if self.has_ended() and (rest := self._look_for_late_ones()) is not None:
                return rest
        except OSError:  # too many open files, for example
            return Progress.WAITING
        if self._failures.is_pausing():
            return Progress.WAITING
        try:
            if self._ledger.is_lost:
                self._go_to_committed()
                self._ledger.require_readable()
            return self._advance(self._sink or self._open_sink())
        except BaseException as error:  # a library's CancelledError or pytest's Exit is no Exception
            if is_interrupt(error):
                raise
            if not self._failures.pause_in_place(error):
                self._go_back(error)
        return Progress.WAITING

    def has_caught_up(self) -> bool:
        """Whether all that has been read is committed, there was no more to read then, and the run goes on."""
        return not self._attempt.has_work and not self._watch.is_owner_done(self._attempt.feed)

    def awaits_answer(self) -> bool:
        """Return whether a process that lives answers a request of the run; one that died leaves its request behind."""
        return bool(find_requests(self.folder.spool) and self._attempt.feed.open_writers(self._owner))

    def tries_again_in_place(self) -> bool:
        """Whether the lane only pauses before it makes the same call once more."""
        return self._failures.tries_again_in_place

    def _advance(self, sink: SinkHandle) -> Progress:
        attempt = self._attempt
        if attempt.has_batches:
            attempt.deliver(sink, self._failures)
            self._failures.note_success()
            return Progress.MADE
        if attempt.needs_flush:
            self._finish_window(sink)
            return Progress.MADE
        if attempt.take_window(sink) or self._take_kept():
            return Progress.MADE
        self._watch.look()  # before reading: if the owner is gone, what is read after it is all there is
        if attempt.read():
            return Progress.MADE
        if attempt.is_unconfirmed:
            self._note_accepted()
        elif attempt.feed.positions() != self.ledger.accepted:  # on to a new segment, which has no line yet
            self._commit(sink)
        if self._watch.is_over(attempt.feed):
            return self._finish_run(sink)
        return Progress.IDLE

    def _take_kept(self, *, is_over: bool = False) -> bool:
        """Take records that are kept beside the journal: artifacts that wait, and dead letters if they are due."""
        has_waiting = self._attempt.take_waiting(is_over=is_over)
        return (self._tries_dead_letters and self._attempt.take_dead()) or has_waiting

    def _finish_window(self, sink: SinkHandle) -> None:
        """All of a window is delivered: try what was refused once more, then commit."""
        attempt = self._attempt
        if attempt.try_refused_again(is_last=self._watch.is_owner_done(attempt.feed)):
            return
        if attempt.is_out_of_order and not self._has_gone_back_for_order:
            self._close_sink()
            self._go_to_committed()
            self._has_gone_back_for_order = True
        else:
            self._commit(sink)

    # -- the sink -----------------------------------------------------------------------------------------------------

    def _open_sink(self) -> SinkHandle:
        sink = SinkHandle.load(self.spec, self._wrappers)
        try:
            context = RunContext(
                start=self.manifest.run,
                folder=self.folder.path,
                sink_name=self.spec.name,
                find_used=partial(find_used, self.folder.path.parent, self.manifest.run.project),
            )
            self._note_link(sink.open_run(context, self.ledger.checkpoint))
        except BaseException:
            sink.close()
            raise
        self._sink = sink
        self._failures.note_success()
        self._save(state="delivering")
        return sink

    def _close_sink(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    def _note_link(self, link: Link | None) -> None:
        if link is not None:
            self._ledger.update(link=convert(redact(msgspec.structs.asdict(link)), Link))

    # -- committing ---------------------------------------------------------------------------------------------------

    def _commit(self, sink: SinkHandle, ended: RunStatus | None = None) -> bool:
        """Have the sink make everything durable and, if it did, move the offset; `ended`: past the end of the run."""
        attempt = self._attempt
        checkpoint = sink.flush()
        self._failures.note_success()
        attempt.needs_flush = self._tries_dead_letters = False
        if checkpoint is None:
            attempt.is_unconfirmed = True
            return False
        attempt.enter_all(checkpoint)
        if ended is not None:  # in the same write: there is no moment at which all is confirmed but the end
            self._ledger.update(state="complete", status=ended, ended_writer=self._owner)
        is_saved = self._ledger.save()
        if not is_saved and ended is not None:  # the run is ended once more, then
            raise SinkUnavailableError(self.ledger.last_error or "can't write the ledger", reopen=True)
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
            self._save(accepted=accepted, attempts=0)

    def _save(self, **changes: object) -> None:
        self._ledger.update(**changes)
        self._ledger.save()

    # -- the end ------------------------------------------------------------------------------------------------------

    def has_ended(self) -> bool:
        """Whether the end of the run is confirmed. Others than its owner may still log."""
        return self.ledger.ended_writer == self._owner

    def _finish_run(self, sink: SinkHandle) -> Progress:
        """Deliver the rest of a run that is over, piece by piece, then end it in the backend."""
        if self.is_obsolete():
            return Progress.DONE  # the end of the run is not that of this lane's owner
        attempt = self._attempt
        if (
            attempt.read(still_writing=attempt.feed.open_writers(self._owner))
            or attempt.take_last_points()
            or self._take_kept(is_over=True)
        ):
            return Progress.MADE
        self._end(sink)
        return self._look_for_late_ones() or Progress.MADE

    def _end(self, sink: SinkHandle) -> None:
        attempt = self._attempt
        end = attempt.feed.ends.get(self._owner)
        status = end.status if end else "failed"
        if not attempt.has_told_end:
            sink.end_run(status, end.time if end else self._last_time())
            self._failures.note_success()
            attempt.has_told_end = True
        if self.ledger.waiting:
            self._commit(sink)
            attempt.require_none_waits()
        if not self._commit(sink, status):
            raise SinkUnavailableError("the backend did not confirm the end of the run", reopen=True)
        self._close_sink()
        remove_spool_if_complete(self.folder, attempt.feed, self.ledger)

    def _last_time(self) -> int:
        return self._attempt.feed.last_time or self.manifest.run.time

    def _look_for_late_ones(self) -> Progress | None:
        """Return None if other processes have logged since the run ended: then it goes on, and ends anew."""
        # Before the look at what is left: one may log and die meanwhile.
        still_write = bool(self._attempt.feed.open_writers(self._owner))
        found = self.ledger.positions, self.ledger.late(self.folder, self._owner)
        if found[1] and found != self._late_ones_tried:
            if self.is_obsolete():
                return Progress.DONE  # they are the next session's, whose lane waits for this one's place
            self._late_ones_tried = found
            self._ledger.update(ended_writer=None)
            self._watch.begin_grace_anew()
            return None
        if still_write:
            return Progress.IDLE
        with contextlib.suppress(OSError):  # the folder was deleted
            remove_spool_if_complete(self.folder, self._attempt.feed, self.ledger)
        return Progress.DONE

    # -- going back ---------------------------------------------------------------------------------------------------

    def _go_back(self, error: BaseException) -> None:
        """After a failure: as if the process had died, but with a reason and a time for the next attempt."""
        self._close_sink()
        link, attempts = self.ledger.link, self.ledger.attempts  # they hold though they may not be on disk
        self._go_to_committed()
        self._ledger.update(link=link, attempts=attempts)
        self._failures.note(error, self._ledger)
        self._ledger.save()

    def _go_to_committed(self) -> None:
        self._ledger.reload()
        self._begin_at_committed()

    def _begin_at_committed(self) -> None:
        """Replace the attempt by one that begins at the ledger as it is on disk."""
        self._attempt.close()
        self._attempt = Attempt(self.folder, self.spec, self.manifest, self._ledger)
        self._attempt.forget_settled()
        if self._ledger.begin_session(self._owner):
            self._ledger.save()
        if self._tries_dead_letters:
            self._ledger.update(ended_writer=None)  # as if the run had not ended: it ends anew
        self._watch.begin_grace_anew()

    def try_dead_letters(self) -> None:
        """Deliver again, once, what the sink has refused; what it takes is no dead letter any more."""
        if self._attempt.dead:
            self._tries_dead_letters = True
            self._go_to_committed()

    def retry_now(self) -> None:
        """Forget the back-off: a person says that the trouble is mended."""
        self._failures.end_pause()
