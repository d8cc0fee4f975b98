"""Everything that a lane has done since its last commit, in one object: after a failure it is replaced whole."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Container, Sequence

import msgspec

from unitrack.artifacts.settling import settle
from unitrack.delivery.lane.batch import Batch
from unitrack.delivery.lane.curves import Rewinder
from unitrack.delivery.lane.dead_letters import DeadLetters, Key, Letters
from unitrack.delivery.lane.failures import Failures, describe, pause, pause_of_parked
from unitrack.delivery.lane.feed import Feed
from unitrack.delivery.lane.sink_handle import SinkHandle, is_interrupt
from unitrack.delivery.lane.thinning import Thinning
from unitrack.delivery.lane.verdicts import Verdicts
from unitrack.delivery.ledger import LockedLedger
from unitrack.errors import ArtifactStoreError, RecordRejectedError, SinkError, SinkUnavailableError
from unitrack.hookspecs import Checkpoint
from unitrack.records import VERSION, Artifact
from unitrack.runfolder.manifest import LaneSpec, Manifest
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.disk import is_passing, remedy


class Attempt:
    """Delivers on from what the ledger says is committed."""

    def __init__(self, folder: RunFolder, spec: LaneSpec, manifest: Manifest, ledger: LockedLedger) -> None:
        self._ledger = ledger
        self._folder = folder
        self._run = manifest.run
        self._owner = manifest.owner.writer
        committed = ledger.current
        self.dead = DeadLetters(folder.dead_letter_file(spec.name))
        self._waiting = Letters(folder.waiting_file(spec.name))
        """Artifacts that are put aside until their store can be used."""
        self._thinning = Thinning(manifest.log_frequency * spec.keep_every, committed.thinning)
        self.feed = Feed(
            folder,
            spec.name,
            committed,
            self._thinning,
            dead=self.dead,
            waiting=self._waiting,
            in_order=spec.kinds_in_order,
        )
        self._verdicts = Verdicts(ledger, self.dead)
        self._batches: deque[Batch] = deque()
        """What is still to be delivered of the current window, the next one first."""
        self.needs_flush = False
        """Whether the sink has been given something since its last flush."""
        self.is_unconfirmed = False
        """Whether that flush said that nothing is durable yet."""
        self.has_told_end = False
        """Whether the sink has taken the end of the run."""
        self._waiting_due = 0.0
        """When the artifacts that wait are tried again, on the monotonic clock."""
        self._store_may_mend = False
        """Whether they were put aside for a trouble that passes."""
        self._store_failures = 0
        """In a row."""
        self._has_tried_at_end = False
        """Whether they have been tried since the run was over."""
        self._settled: list[Key] = []
        self._revived: list[Key] = []
        self._put_aside = 0
        ledger.update(waiting=len(self._waiting.keys - set(committed.settled)))

    # -- what is next -------------------------------------------------------------------------------------------------

    @property
    def has_batches(self) -> bool:
        """Whether something of the current window is still to be delivered."""
        return bool(self._batches)

    @property
    def has_work(self) -> bool:
        """Whether something that is read is not delivered or not flushed, or more can be read at once."""
        return self.has_batches or self.needs_flush or self.feed.is_behind

    def read(self, *, still_writing: Container[str] | None = None) -> bool:
        """Read on in the journals; return whether there was anything. See `Feed.read`."""
        try:
            return self.feed.read(still_writing=still_writing)
        except OSError as error:
            why = f"can't read the journal: {error.strerror}; {remedy(error.errno)}"
            raise SinkUnavailableError(why, reopen=True) from error

    def take_window(self, sink: Rewinder) -> bool:
        """Take the next window of what is read; return whether there is one."""
        window = self.feed.next_window(sink)
        if window is None:
            return False
        self._count_versions(window)
        self._batches.extend(window)
        self.needs_flush = True
        self.has_told_end = False
        curves = self._ledger.current.curves
        if (left_out := self.feed.left_out) != curves.left_out:
            self._ledger.update(curves=msgspec.structs.replace(curves, left_out=left_out))
            self._ledger.save()
        return True

    def _count_versions(self, window: Sequence[Batch]) -> None:
        """Give the versions of named artifacts their numbers, which all sinks get alike."""
        for batch in window:
            for place, record in enumerate(batch.records):
                if isinstance(record, Artifact) and VERSION in record.annotations:
                    try:
                        batch.records[place] = settle(record, self._folder, self._run)
                    except OSError as error:
                        why = f"can't store a version of an artifact: {error.strerror or error}; {remedy(error.errno)}"
                        raise SinkUnavailableError(why, reopen=True) from error

    def take_waiting(self, *, is_over: bool = False) -> bool:
        """Take the artifacts that wait, now and then and once the run `is_over`; return whether there are any."""
        if not self._waiting or (time.monotonic() < self._waiting_due and (not is_over or self._has_tried_at_end)):
            return False
        self._waiting_due = time.monotonic() + self._pause_of_store()
        self._has_tried_at_end = is_over
        self._batches.extend(self._waiting.batches("waiting"))
        return self.has_batches

    def take_dead(self) -> bool:
        """Take the dead letters; return whether there are any."""
        self._batches.extend(self.dead.batches("dead"))
        return self.has_batches

    def take_last_points(self) -> bool:
        """Take the last point of each metric that thinning has held back; return whether there are any."""
        if last := self._thinning.take_last():
            self._batches.append(Batch(self._owner, list(last)))
        return self.has_batches

    # -- delivering ---------------------------------------------------------------------------------------------------

    def deliver(self, sink: SinkHandle, failures: Failures) -> None:
        """Hand the first batch to the sink. It stays the first one if the same call is to be made again."""
        batch = self._batches[0]
        sealed = batch.sealed()
        rest: tuple[Batch, ...] = ()
        try:
            sink.require_safe_paths(batch.records)
            self._require_its_turn(batch)
            sink.deliver(batch.records)
        except RecordRejectedError as error:
            batch.restore(sealed)
            rest = self._verdicts.reject(batch, error, certain=True)
        except ArtifactStoreError as error:
            self._put_batch_aside(batch, error)
        except SinkError:
            batch.restore(sealed)
            raise
        except BaseException as error:
            if not failures.are_persistent or is_interrupt(error) or is_passing(error):
                raise
            batch.restore(sealed)
            rest = self._verdicts.reject(batch, error, certain=False)
        else:
            self._note_delivered(batch)
        self._batches.popleft()
        self._batches.extendleft(reversed(rest))
        self.needs_flush = True

    def _note_delivered(self, batch: Batch) -> None:
        self._verdicts.note_delivered(batch)
        keys = [(batch.writer, record.seq) for record in batch.records]
        if batch.origin == "waiting":
            self._settled += keys
            self._store_failures = 0
        elif batch.origin == "dead":
            self._revived += keys

    def _require_its_turn(self, batch: Batch) -> None:
        """Raise `ArtifactStoreError` for artifacts that come while earlier ones wait: the latest version must win."""
        waits = self._waiting.keys - set(self._settled)
        if batch.origin == "journal" and waits and isinstance(batch.records[0], Artifact):
            raise ArtifactStoreError(self._ledger.current.last_error or "earlier artifacts wait for their store")

    def _pause_of_store(self) -> float:
        """Return the seconds until artifacts that wait are tried again."""
        return pause(self._store_failures) if self._store_may_mend else pause_of_parked()

    def _put_batch_aside(self, batch: Batch, error: ArtifactStoreError) -> None:
        """Keep artifacts until their store can be used. Raises `OSError` if the disk won't take them."""
        reason = describe(error)
        self._ledger.update(last_error=reason)
        if batch.origin == "waiting" or not self._waiting_due:
            self._store_may_mend = error.is_passing
            self._waiting_due = time.monotonic() + self._pause_of_store()
            self._store_failures += 1
        if batch.origin == "journal":
            for record in batch.records:
                self._waiting.add(batch.writer, record, reason)
            self._put_aside += len(batch.records)
        else:  # what waits behind it keeps its place
            self._batches = deque(one for one in self._batches if one is batch or one.origin != batch.origin)

    def try_refused_again(self, *, is_last: bool) -> bool:
        """Take what the sink has refused in this window for a second try; return whether there is any.

        `is_last`: no other record will come. Raises `SinkMisconfiguredError` if the sink refuses everything.
        """
        self._batches.extend(self._verdicts.settle(is_last=is_last))
        return self.has_batches

    @property
    def is_out_of_order(self) -> bool:
        """Whether the sink took a record on the second try, later than those after it, and nothing is unconfirmed."""
        return self._verdicts.was_wrong and not self.is_unconfirmed

    def require_none_waits(self) -> None:
        """Raise `ArtifactStoreError` if artifacts still wait, `SinkUnavailableError` if their store may mend."""
        if self._ledger.current.waiting:
            reason = self._ledger.current.last_error or "artifacts wait for their store"
            raise SinkUnavailableError(reason, reopen=True) if self._store_may_mend else ArtifactStoreError(reason)

    # -- committing ---------------------------------------------------------------------------------------------------

    def enter_all(self, checkpoint: Checkpoint) -> None:
        """Enter all that has happened into the ledger: the sink has confirmed it with this checkpoint."""
        given_up = self._verdicts.given_up
        no_longer_wait = [(one.writer, one.records[0].seq) for one in given_up if one.origin == "waiting"]
        ledger = self.feed.add_to(
            self._ledger.current, given_up=len(given_up) - len(no_longer_wait), put_aside=self._put_aside
        )
        settled = [*ledger.settled, *self._settled, *no_longer_wait]
        dead_lettered = ledger.dead_lettered + len(no_longer_wait) - len(self._revived)
        waiting = len(self._waiting.keys - set(settled))
        self._ledger.current = msgspec.structs.replace(
            ledger,
            checkpoint=checkpoint,
            delivered=ledger.delivered + len(self._settled) + len(self._revived),
            dead_lettered=dead_lettered,
            settled=settled,
            revived=[*ledger.revived, *self._revived],
            waiting=waiting,
            attempts=0,
            retry_at=None,
            last_error=ledger.last_error if dead_lettered or waiting else None,
        )

    def begin_anew(self) -> None:
        """Count from here on: all of it is committed."""
        self.feed.count_anew()
        self._verdicts.count_anew()
        self._settled, self._revived, self._put_aside = [], [], 0
        self.is_unconfirmed = False

    def forget_settled(self) -> None:
        """Drop from the files of letters what the committed ledger says has arrived, if the disk allows it."""
        ledger = self._ledger.current
        if ledger.settled or ledger.revived:
            with contextlib.suppress(OSError):  # the ledger still says so: the next commit tries again
                self._waiting.remove(ledger.settled)
                self.dead.remove(ledger.revived)
                self._ledger.update(settled=[], revived=[])

    def close(self) -> None:
        """Close the files."""
        self.feed.close()
