"""What a lane reads: all journals of a run, as batches of records of one kind."""

from __future__ import annotations

from collections.abc import Container, Iterator

import msgspec

from unitrack.delivery.curves import Curves, Rewind, begins_session, first_steps, first_steps_of
from unitrack.delivery.dead_letters import DeadLetters
from unitrack.delivery.ledger import Ledger, step_of
from unitrack.delivery.thinning import Thinning
from unitrack.journal import Chunk, JournalReader, Position, find_writers, is_of_owner
from unitrack.journal_lines import Damage
from unitrack.limits import NAMED_DAMAGES
from unitrack.owner import process_start
from unitrack.records import AnyRecord, Metrics, RunEnd, RunStart
from unitrack.runfolder import RunFolder

_PID_END = 2**31
"""pid_t has 32 bits: a file of a greater number is named by a stranger."""


class Batch(msgspec.Struct):
    """Consecutive records of one kind from one writer."""

    writer: str
    records: list[AnyRecord]

    def halves(self) -> tuple[Batch, Batch]:
        """The two halves of a batch that was rejected."""
        middle = len(self.records) // 2
        return Batch(self.writer, self.records[:middle]), Batch(self.writer, self.records[middle:])


class Feed:
    """Reads on from the committed positions. After a failure the lane makes a new one, and so goes back."""

    def __init__(
        self, folder: RunFolder, sink: str, committed: Ledger, thinning: Thinning, dead_letters: DeadLetters
    ) -> None:
        self._folder = folder
        self._start = dict(committed.positions)
        self._readers: dict[str, JournalReader] = {}
        self._thinning = thinning
        self._dead_letters = dead_letters
        self._curves = Curves(committed.curves)
        self._superseded = DeadLetters(folder.superseded_file(sink))
        self._ahead: list[str] = []
        self.ends: dict[str, RunEnd] = dict(committed.ends)
        """The last record of each writer that has written one."""
        self.lines = 0
        """Lines read since the lane last committed; `damaged` and `skipped` are among them."""
        self.damaged = 0
        self.damages: list[Damage] = []
        """The first of the places that `damaged` counts."""
        self.skipped = 0
        """Dead letters met again."""
        self.last_step = committed.last_step
        """The highest step of a record of training."""
        self.last_time = committed.last_time
        """The latest time of a record, in milliseconds."""

    def read(self, rewind: Rewind, *, over_but_for: Container[str] | None = None) -> list[Batch]:
        """The next chunk of each journal. It may be empty though `lines` grew.

        `rewind` is called where training went back, before anything of the chunk is delivered. `over_but_for`: the run
        is over, and only these writers may still write; of others a line that lacks its end is taken for what it is.
        Raises `OSError` if the disk fails.
        """
        batches: list[Batch] = []
        behind = False
        writers = list(find_writers(self._folder.spool))
        ahead = [writer for writer in writers if self._is_ahead(writer)]
        for writer in writers:
            if writer in ahead:
                if behind:  # what came before that session goes first, all of it
                    break
                ahead.remove(writer)
            reader = self._readers.get(writer)
            if reader is None:
                reader = JournalReader(self._folder.spool, writer, self._start.get(writer))
                self._readers[writer] = reader
            start = reader.position
            chunk = reader.read(is_over=over_but_for is not None and writer not in over_but_for)
            if chunk.end != start:
                behind = behind or (bool(ahead) and not self._is_left_over(writer))
                self._follow_curves(writer, start, chunk, ahead, rewind)
            damaged = sum(damage.lines for damage in chunk.damages)
            self.lines += len(chunk.records) + damaged
            self.damaged += damaged
            self.damages = [*self.damages, *chunk.damages][:NAMED_DAMAGES]
            batches.extend(self._group(writer, chunk.records))
        return batches

    def _is_left_over(self, writer: str) -> bool:
        """Whether it is a worker that may log on although its session is over: then it is not waited for."""
        return not is_of_owner(self._folder.spool, writer) and process_start(_pid(writer)) is not None

    def _is_ahead(self, writer: str) -> bool:
        """Whether a journal begins a session that is still to come."""
        reader = self._readers.get(writer)
        begun = writer in self._start or (reader is not None and reader.position != Position())
        return not begun and is_of_owner(self._folder.spool, writer)

    def _follow_curves(self, writer: str, start: Position, chunk: Chunk, ahead: list[str], rewind: Rewind) -> None:
        """See what a chunk supersedes, and what of it later sessions do, before it is delivered."""
        spool, curves = self._folder.spool, self._curves
        begins = begins_session(chunk)
        if begins:
            curves.begin_session(writer)
        if curves.may_go_back:
            curves.go_back(first_steps_of(spool, writer, start) if begins else first_steps(chunk.records), rewind)
        if ahead and ahead != self._ahead:
            self._ahead = ahead.copy()
            if not rewind({}):  # one that can withdraw points gets them all, so that local files have the whole history
                curves.decide({later: first_steps_of(spool, later) for later in ahead})

    def _group(self, writer: str, records: list[AnyRecord]) -> Iterator[Batch]:
        batch = Batch(writer, [])
        for record in records:
            kept = self._take(writer, record)
            if kept is None:
                continue
            if batch.records and type(kept) is not type(batch.records[0]):
                yield batch
                batch = Batch(writer, [])
            batch.records.append(kept)
        if batch.records:
            yield batch

    def _take(self, writer: str, record: AnyRecord) -> AnyRecord | None:
        """What of a record goes to the sink; None if nothing does."""
        self.last_time = max(self.last_time, record.time)
        self.last_step = max(self.last_step, step_of(record))
        if isinstance(record, RunEnd):
            self.ends[writer] = record
            return None
        if isinstance(record, RunStart):
            return None
        if (writer, record) in self._dead_letters:
            self.skipped += 1
            return None
        return self._take_metrics(writer, record) if isinstance(record, Metrics) else record

    def _take_metrics(self, writer: str, record: Metrics) -> Metrics | None:
        kept = self._curves.admit(record)
        if kept is not record and (writer, record) not in self._superseded:
            left = record.values().keys() - (kept.values().keys() if kept else ())
            rest = record.with_values({name: value for name, value in record.values().items() if name in left})
            self._superseded.add(writer, rest, "superseded: training went back behind this step")
        return self._thinning.thin(kept) if kept else None

    @property
    def left_out(self) -> dict[str, dict[str, int]]:
        """`CurvesState.left_out`."""
        return dict(self._curves.left_out)

    def positions(self) -> dict[str, Position]:
        """How far each journal is read."""
        return {**self._start, **{writer: reader.position for writer, reader in self._readers.items()}}

    def open_writers(self, owner: str) -> list[str]:
        """Processes beside the owner that may still write: fork children, the sampler of system metrics."""
        others = (writer for writer in find_writers(self._folder.spool) if writer != owner)
        return [writer for writer in others if writer not in self.ends and process_start(_pid(writer)) is not None]

    def enter(self, ledger: Ledger, given_up: int) -> None:
        """Put down what was read since the last commit: all of it is confirmed, but for so many dead letters."""
        given_up += self.skipped
        ledger.thinning, ledger.curves = self._thinning.state(), self._curves.state()
        ledger.positions = ledger.accepted = self.positions()
        ledger.ends, ledger.last_step, ledger.last_time = dict(self.ends), self.last_step, self.last_time
        ledger.delivered += self.lines - self.damaged - given_up
        ledger.dead_lettered += given_up
        ledger.damaged += self.damaged
        ledger.damages = [*ledger.damages, *self.damages][:NAMED_DAMAGES]

    def count_anew(self) -> None:
        """The lane has committed what was read so far."""
        self.lines = self.damaged = self.skipped = 0
        self.damages = []

    def close(self) -> None:
        """Let go of the files."""
        for reader in self._readers.values():
            reader.close()


def _pid(writer: str) -> int:
    """The process that a journal's name tells of; 0 if it tells none."""
    parts = writer.split("-")
    told = int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0
    return told if told < _PID_END else 0
