"""What a lane reads: all journals of a run, cut into windows, each of which is delivered and then committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Container

import msgspec

from unitrack import limits
from unitrack.delivery.batch import Batch
from unitrack.delivery.curves import Curves, Rewind, begins_session, first_steps, first_steps_of
from unitrack.delivery.ledger import Ledger, step_of
from unitrack.delivery.letters import Letters
from unitrack.delivery.thinning import Thinning
from unitrack.journal import Chunk, JournalReader, Position, find_writers, is_of_owner
from unitrack.journal.lines import Damage
from unitrack.owner import process_start
from unitrack.records import AnyRecord, Artifact, Metrics, RunEnd, RunStart
from unitrack.runfolder import RunFolder
from unitrack.system.life import Life, life_of

_PID_END = 2**31
"""pid_t has 32 bits: a file of a greater number is named by a stranger."""


class _Loaded(msgspec.Struct):
    """A chunk of a journal, and how far it has been cut into windows."""

    writer: str
    start: Position
    chunk: Chunk
    ahead: list[str]
    """Journals that begin sessions which are still to come."""
    is_begun: bool = False
    taken: int = 0
    """Records."""
    told: int = 0
    """Damages."""


class _Window:
    """The batches of one window. `in_order`: as logged; else records of one kind go together."""

    def __init__(self, writer: str, *, in_order: bool) -> None:
        self._writer = writer
        self._in_order = in_order
        self._of_kind: dict[type[AnyRecord], Batch] = {}
        self._artifacts = self._artifact_bytes = 0
        self.batches: list[Batch] = []

    def add(self, record: AnyRecord) -> None:
        """Put a record into the batch that it belongs to."""
        batch = self._of_kind.get(type(record))
        if batch is None:
            if self._in_order:
                self._of_kind.clear()
            batch = self._of_kind[type(record)] = Batch(self._writer, [])
            self.batches.append(batch)
        batch.records.append(record)
        if isinstance(record, Artifact):
            self._artifacts += 1
            self._artifact_bytes += record.size

    def is_full(self) -> bool:
        """Whether what is in it is as much as may have to be sent again after a failure."""
        return (
            len(self.batches) >= limits.WINDOW_CALLS
            or self._artifacts >= limits.WINDOW_ARTIFACTS
            or self._artifact_bytes >= limits.WINDOW_ARTIFACT_BYTES
        )


class Feed:
    """Reads on from the committed positions. After a failure the lane makes a new one, and so goes back.

    Everything that it accounts for, positions included, is as of the last record that went into a window.
    """

    def __init__(
        self,
        folder: RunFolder,
        sink: str,
        committed: Ledger,
        thinning: Thinning,
        *,
        dead: Letters,
        waiting: Letters,
        in_order: bool,
    ) -> None:
        self._folder = folder
        self._positions = dict(committed.positions)
        self._readers: dict[str, JournalReader] = {}
        self._loaded: deque[_Loaded] = deque()
        self._thinning = thinning
        self._dead = dead
        self._waiting = waiting
        self._in_order = in_order
        self._curves = Curves(committed.curves)
        self._superseded = Letters(folder.superseded_file(sink))
        self._ahead: list[str] = []
        self.ends: dict[str, RunEnd] = dict(committed.ends)
        """The last record of each writer that has written one."""
        self.lines = 0
        """Lines since the lane last committed; `damaged`, `skipped` and `put_aside` are among them."""
        self.damaged = 0
        self.damages: list[Damage] = []
        """The first of the places that `damaged` counts."""
        self.skipped = 0
        """Dead letters met again."""
        self.put_aside = 0
        """Artifacts met again that wait for their store."""
        self.last_step = committed.last_step
        """The highest step of a record of training."""
        self.last_time = committed.last_time
        """The latest time of a record, in milliseconds."""

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, *, over_but_for: Container[str] | None = None) -> bool:
        """Load the next chunk of each journal, once all that is loaded is in windows; whether there was anything.

        `over_but_for`: the run is over, and only these writers may still write; of others a line that lacks its end is
        taken for what it is. Raises `OSError` if the disk fails.
        """
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
                reader = JournalReader(self._folder.spool, writer, self._positions.get(writer))
                self._readers[writer] = reader
            start = reader.position
            chunk = reader.read(is_over=over_but_for is not None and writer not in over_but_for)
            if chunk.end == start:
                self._positions.setdefault(writer, start)
                continue
            behind = behind or (bool(ahead) and not self._is_left_over(writer))
            if chunk.records or chunk.damages:
                self._loaded.append(_Loaded(writer, start, chunk, ahead.copy()))
            else:
                self._positions[writer] = chunk.end  # on to a new segment, which has no line yet
        return bool(self._loaded)

    def next_window(self, rewind: Rewind) -> list[Batch] | None:
        """Cut the next window from what is loaded; None if nothing is.

        `rewind` is called where training went back, before anything of the session is delivered.
        """
        if not self._loaded:
            return None
        loaded = self._loaded[0]
        writer, chunk = loaded.writer, loaded.chunk
        if not loaded.is_begun:
            self._follow_curves(loaded, rewind)
            loaded.is_begun = True
        window = _Window(writer, in_order=self._in_order)
        records, ends, number = chunk.records, chunk.ends, loaded.taken
        while number < len(records):
            if (kept := self._take(writer, records[number])) is not None:
                window.add(kept)
            number += 1
            if window.is_full() and ends[number - 1] >= 0:
                break
        self.lines += number - loaded.taken
        loaded.taken = number
        if number == len(records):
            self._loaded.popleft()
            self._positions[writer] = chunk.end
            damages = chunk.damages[loaded.told :]
        else:
            self._positions[writer] = Position(chunk.end.segment, ends[number - 1])
            damages = [damage for damage in chunk.damages[loaded.told :] if damage.offset < ends[number - 1]]
        loaded.told += len(damages)
        damaged = sum(damage.lines for damage in damages)
        self.lines += damaged
        self.damaged += damaged
        self.damages = [*self.damages, *damages][: limits.NAMED_DAMAGES]
        return window.batches

    def _is_left_over(self, writer: str) -> bool:
        """Whether it is a worker that may log on although its session is over: then it is not waited for."""
        return not is_of_owner(self._folder.spool, writer) and self._lives(writer)

    def _is_ahead(self, writer: str) -> bool:
        """Whether a journal begins a session that is still to come."""
        reader = self._readers.get(writer)
        begun = self._positions.get(writer, Position()) != Position() or (
            reader is not None and reader.position != Position()
        )
        return not begun and is_of_owner(self._folder.spool, writer)

    def _follow_curves(self, loaded: _Loaded, rewind: Rewind) -> None:
        """See what a chunk supersedes, and what of it later sessions do, before it is delivered."""
        spool, curves, chunk = self._folder.spool, self._curves, loaded.chunk
        begins = begins_session(chunk)
        if begins:
            curves.begin_session(loaded.writer)
        if curves.may_go_back:
            firsts = first_steps_of(spool, loaded.writer, loaded.start) if begins else first_steps(chunk.records)
            curves.go_back(firsts, rewind)
        if loaded.ahead and loaded.ahead != self._ahead:
            self._ahead = loaded.ahead
            if not rewind({}):  # one that can withdraw points gets them all, so that local files have the whole history
                curves.decide({later: first_steps_of(spool, later) for later in loaded.ahead})

    # -- taking records -----------------------------------------------------------------------------------------------

    def _take(self, writer: str, record: AnyRecord) -> AnyRecord | None:
        """Return the part of a record that the sink should get, or None."""
        self.last_time = max(self.last_time, record.time)
        self.last_step = max(self.last_step, step_of(record))
        if isinstance(record, RunEnd):
            self.ends[writer] = record
            return None
        if isinstance(record, RunStart):
            return None
        if (writer, record) in self._dead:
            self.skipped += 1
            return None
        if isinstance(record, Artifact) and (writer, record) in self._waiting:
            self.put_aside += 1
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

    # -- the account --------------------------------------------------------------------------------------------------

    def positions(self) -> dict[str, Position]:
        """How far each journal has gone into windows."""
        return dict(self._positions)

    def open_writers(self, owner: str) -> list[str]:
        """Processes beside the owner that may still write: fork children, the sampler of system metrics."""
        others = (writer for writer in find_writers(self._folder.spool) if writer != owner)
        return [writer for writer in others if writer not in self.ends and self._lives(writer)]

    def _lives(self, writer: str) -> bool:
        """Whether the process behind a journal is known to live; by the pid in its name for those of older versions."""
        life = life_of(self._folder.spool, writer)
        return process_start(_pid(writer)) is not None if life is None else life is Life.ALIVE

    def enter(self, ledger: Ledger, *, given_up: int, put_aside: int) -> None:
        """Put down what was taken since the last commit: all of it is confirmed, but for what was given up or waits."""
        given_up += self.skipped
        put_aside += self.put_aside
        ledger.thinning, ledger.curves = self._thinning.state(), self._curves.state()
        ledger.positions = ledger.accepted = self.positions()
        ledger.ends, ledger.last_step, ledger.last_time = dict(self.ends), self.last_step, self.last_time
        ledger.delivered += self.lines - self.damaged - given_up - put_aside
        ledger.dead_lettered += given_up
        ledger.damaged += self.damaged
        ledger.damages = [*ledger.damages, *self.damages][: limits.NAMED_DAMAGES]

    def count_anew(self) -> None:
        """The lane has committed what was taken so far."""
        self.lines = self.damaged = self.skipped = self.put_aside = 0
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
