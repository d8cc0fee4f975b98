"""Everything that a lane has done since its last commit, in one object: after a failure it is replaced whole."""

from __future__ import annotations

import contextlib
from collections import deque

from unitrack.delivery.batch import Batch
from unitrack.delivery.feed import Feed
from unitrack.delivery.judgement import Judgement
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.letters import DeadLetters, Key, Letters
from unitrack.delivery.thinning import Thinning
from unitrack.errors import ArtifactStoreError
from unitrack.manifest import LaneSpec, Manifest
from unitrack.records import Artifact
from unitrack.runfolder import RunFolder


class Attempt:
    """Goes on from what a ledger says is committed."""

    def __init__(self, folder: RunFolder, spec: LaneSpec, manifest: Manifest, ledger: Ledger) -> None:
        self._ledger = ledger
        self.dead = DeadLetters(folder.dead_letter_file(spec.name))
        self.waiting = Letters(folder.waiting_file(spec.name))
        """Artifacts that are put aside until their store can be used."""
        self.thinning = Thinning(manifest.log_frequency * spec.keep_every, ledger.thinning)
        self.feed = Feed(
            folder,
            spec.name,
            ledger,
            self.thinning,
            dead=self.dead,
            waiting=self.waiting,
            in_order=spec.kinds_in_order,
        )
        self.judgement = Judgement(ledger, self.dead)
        self.batches: deque[Batch] = deque()
        """What is to be delivered of the window at hand, the next one first."""
        self.is_to_flush = False
        """Whether the sink has been given something since its last flush."""
        self.is_unconfirmed = False
        """Whether that flush said that nothing is durable yet."""
        self.has_told_end = False
        """Whether the sink has taken the end of the run."""
        self.has_tried_at_end = False
        """Whether the artifacts that wait have been tried since the run was over."""
        self._settled: list[Key] = []
        self._revived: list[Key] = []
        self._put_aside = 0
        ledger.waiting = len(self.waiting.keys - set(ledger.settled))

    def note_delivered(self, batch: Batch) -> None:
        """The sink has taken a batch."""
        self.judgement.note_delivered(batch)
        keys = [(batch.writer, record.seq) for record in batch.records]
        if batch.origin == "waiting":
            self._settled += keys
        elif batch.origin == "dead":
            self._revived += keys

    def require_its_turn(self, batch: Batch) -> None:
        """Raise `ArtifactStoreError` for artifacts that come while earlier ones wait: a later version must stay one."""
        waits = self.waiting.keys - set(self._settled)
        if batch.origin == "journal" and waits and isinstance(batch.records[0], Artifact):
            raise ArtifactStoreError(self._ledger.last_error or "earlier artifacts wait for their store")

    def put_aside(self, batch: Batch, reason: str) -> None:
        """Keep artifacts until their store can be used. Raises `OSError` if the disk won't take them."""
        self._ledger.last_error = reason
        if batch.origin == "journal":
            for record in batch.records:
                self.waiting.add(batch.writer, record, reason)
            self._put_aside += len(batch.records)
        else:  # what waits behind it keeps its place
            self.batches = deque(one for one in self.batches if one is batch or one.origin != batch.origin)

    def require_none_waits(self) -> None:
        """Raise `ArtifactStoreError` if artifacts still wait."""
        if self._ledger.waiting:
            raise ArtifactStoreError(self._ledger.last_error or "artifacts wait for their store")

    def enter(self, ledger: Ledger) -> None:
        """Put down in the ledger all that has happened: it is confirmed."""
        given_up = self.judgement.given_up
        no_longer_wait = [(one.writer, one.records[0].seq) for one in given_up if one.origin == "waiting"]
        self.feed.enter(ledger, given_up=len(given_up) - len(no_longer_wait), put_aside=self._put_aside)
        ledger.delivered += len(self._settled) + len(self._revived)
        ledger.dead_lettered += len(no_longer_wait) - len(self._revived)
        ledger.settled = [*ledger.settled, *self._settled, *no_longer_wait]
        ledger.revived = [*ledger.revived, *self._revived]
        ledger.waiting = len(self.waiting.keys - set(ledger.settled))

    def begin_anew(self) -> None:
        """All of it is committed: count from here on."""
        self.feed.count_anew()
        self.judgement.count_anew()
        self._settled, self._revived, self._put_aside = [], [], 0
        self.is_unconfirmed = False

    def forget_settled(self) -> None:
        """Drop from the files of letters what the committed ledger says has arrived, if the disk lets us."""
        ledger = self._ledger
        if ledger.settled or ledger.revived:
            with contextlib.suppress(OSError):  # the ledger still says so: the next commit tries again
                self.waiting.remove(ledger.settled)
                self.dead.remove(ledger.revived)
                ledger.settled, ledger.revived = [], []

    def close(self) -> None:
        """Let go of the files."""
        self.feed.close()
