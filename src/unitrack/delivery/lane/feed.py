"""The reading of all journals of a run, cut into windows, each of which is delivered and then committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Container

import msgspec

from unitrack import limits
from unitrack.delivery.lane.batch import Batch, Window
from unitrack.delivery.lane.curves import Curves, Rewinder, begins_session, first_steps, first_steps_of
from unitrack.delivery.lane.dead_letters import Letters
from unitrack.delivery.lane.thinning import Thinning
from unitrack.delivery.ledger import Ledger, step_of
from unitrack.journal import Chunk, JournalReader, Position, find_writers, is_of_owner
from unitrack.journal.lines import Damage
from unitrack.records import AnyRecord, Artifact, Metrics, RunEnd, RunStart
from unitrack.runfolder.requests import new_requests
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.life import Life, life_of
from unitrack.system.processes import process_start

_PID_END = 2**31
"""pid_t has 32 bits: a greater number in a file's name is no process of this system."""


class _Loaded(msgspec.Struct):
    """A chunk of a journal, and how far it has been cut into windows."""

    writer: str
    start: Position
    chunk: Chunk
    ahead: list[str]
    """Journals that begin later sessions."""
    is_begun: bool = False
    taken: int = 0
    """Records."""
    told: int = 0
    """Damages."""


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
        self._was_cut = False
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

    def read(self, *, still_writing: Container[str] | None = None) -> bool:
        """Load the next chunk of each journal, once all that is loaded is in windows; return whether there was any.

        `still_writing`: the writers that may still log after the end of the run; None before the end. For any other
        writer, a last line without a newline is then final. Raises `OSError` if the disk fails.
        """
        behind = self._was_cut = False
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
            chunk = reader.read(is_over=still_writing is not None and writer not in still_writing)
            if chunk.end == start:
                self._positions.setdefault(writer, start)
                continue
            is_cut = chunk.end.segment != start.segment or chunk.end.offset - start.offset > limits.READ_BYTES // 2
            self._was_cut = self._was_cut or is_cut
            behind = behind or (bool(ahead) and not self._is_left_over(writer))
            if chunk.records or chunk.damages:
                self._loaded.append(_Loaded(writer, start, chunk, ahead.copy()))
            else:
                self._positions[writer] = chunk.end  # on to a new segment, which has no line yet
        return bool(self._loaded)

    @property
    def is_behind(self) -> bool:
        """Whether something is loaded that is in no window yet, or the last read did not come to the end."""
        return bool(self._loaded) or self._was_cut

    def next_window(self, sink: Rewinder) -> list[Batch] | None:
        """Cut the next window from what is loaded; None if nothing is loaded.

        The sink is rewound where training went back, before anything of the session is delivered.
        """
        if not self._loaded:
            return None
        loaded = self._loaded[0]
        writer, chunk = loaded.writer, loaded.chunk
        if not loaded.is_begun:
            self._follow_curves(loaded, sink)
            loaded.is_begun = True
        window = Window(writer, in_order=self._in_order)
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
        """Whether a writer is a worker that outlives its session: later sessions do not wait for it."""
        return not is_of_owner(self._folder.spool, writer) and self._lives(writer)

    def _is_ahead(self, writer: str) -> bool:
        """Whether a journal begins a session of which nothing is read yet."""
        reader = self._readers.get(writer)
        begun = self._positions.get(writer, Position()) != Position() or (
            reader is not None and reader.position != Position()
        )
        return not begun and is_of_owner(self._folder.spool, writer)

    def _follow_curves(self, loaded: _Loaded, sink: Rewinder) -> None:
        """Find what a chunk supersedes, and which of its points later sessions supersede, before it is delivered."""
        spool, curves, chunk = self._folder.spool, self._curves, loaded.chunk
        begins = begins_session(chunk)
        if begins:
            curves.begin_session(loaded.writer)
        if curves.may_go_back:
            firsts = first_steps_of(spool, loaded.writer, loaded.start) if begins else first_steps(chunk.records)
            curves.go_back(firsts, sink)
        if loaded.ahead and loaded.ahead != self._ahead:
            self._ahead = loaded.ahead
            # one that can withdraw points gets them all, so that local files have the whole history
            if not sink.can_rewind() and not sink.must_repeat():
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
        """Return how far each journal has gone into windows."""
        return dict(self._positions)

    def open_writers(self, owner: str) -> list[str]:
        """Return the writers beside the owner that may still write: fork children, the sampler of system metrics.

        Requests that are about to be answered are among them, as their answers will be in journals of their own.
        """
        requests = new_requests(self._folder.spool)  # first: a journal is begun before a request is gone
        others = (writer for writer in find_writers(self._folder.spool) if writer != owner)
        return [*(writer for writer in others if writer not in self.ends and self._lives(writer)), *requests]

    def _lives(self, writer: str) -> bool:
        """Whether the process behind a journal is known to live; by the pid in its name for those of older versions."""
        life = life_of(self._folder.spool, writer)
        return process_start(_pid(writer)) is not None if life is None else life is Life.ALIVE

    def add_to(self, ledger: Ledger, *, given_up: int, put_aside: int) -> Ledger:
        """Return the ledger with all that was taken since the last commit.

        `given_up` and `put_aside`: how many of these records became dead letters, or wait for their store.
        """
        given_up += self.skipped
        put_aside += self.put_aside
        positions = self.positions()
        return msgspec.structs.replace(
            ledger,
            thinning=self._thinning.state(),
            curves=self._curves.state(),
            positions=positions,
            accepted=positions,
            ends=dict(self.ends),
            last_step=self.last_step,
            last_time=self.last_time,
            delivered=ledger.delivered + self.lines - self.damaged - given_up - put_aside,
            dead_lettered=ledger.dead_lettered + given_up,
            damaged=ledger.damaged + self.damaged,
            damages=[*ledger.damages, *self.damages][: limits.NAMED_DAMAGES],
        )

    def count_anew(self) -> None:
        """Count from here on: the lane has committed what was taken so far."""
        self.lines = self.damaged = self.skipped = self.put_aside = 0
        self.damages = []

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers.values():
            reader.close()


def _pid(writer: str) -> int:
    """Return the pid in a journal's name; 0 if there is none."""
    parts = writer.split("-")
    told = int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0
    return told if told < _PID_END else 0
