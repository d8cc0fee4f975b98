"""Leftovers: what earlier runs left pending, delivered by a courier once its own runs have everything.

A leftover is a sink of a run beside one of the courier's own: its owner is gone, nobody delivers to it, and it has the
same backend, options and middleware. Manifests keep options without secrets, so those are compared as manifests have
them; the courier delivers with its own, complete ones. Each is tried once.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from unitrack import limits
from unitrack.delivery.courier.protocol import TakingUp
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.thread import LaneThread
from unitrack.delivery.ledger import Ledger
from unitrack.runfolder.manifest import LaneSpec, SinkEntry
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.atomic import write_atomically
from unitrack.system.files import find_escape, read_regular
from unitrack.system.life import Life
from unitrack.values.codec import decode


class Leftovers:
    """Finds leftovers and delivers one at a time, with the same lanes as any run.

    `tell` is called once, when there are some. `may_step` returns whether the courier's own lanes rest.
    """

    def __init__(self, tell: Callable[[TakingUp], None], may_step: Callable[[], bool]) -> None:
        self._tell = tell
        self._may_step = may_step
        self._own: dict[Path, list[tuple[SinkEntry, LaneSpec]]] = {}
        """By root: the sinks of the courier's own runs, as their manifests show them, and complete."""
        self._found: deque[tuple[RunFolder, LaneSpec]] = deque()
        self._tried: set[tuple[Path, str]] = set()
        self._look_due = 0.0
        self._has_told = self._is_over = False
        self._failures = 0  # in a row
        self._at_work: LaneThread | None = None

    def look_beside(self, lane: Lane) -> None:
        """Look for leftovers of this lane's sink beside its run."""
        shown = next((spec for spec in lane.manifest.sinks if spec.name == lane.spec.name), None)
        known = self._own.setdefault(lane.folder.path.parent, [])
        if shown is not None and (pair := (_comparable(shown), lane.spec)) not in known:
            known.append(pair)
            self._look_due = 0.0

    def go_on(self) -> LaneThread | None:
        """Deliver the next one if none is being delivered and the own lanes rest; return what is at work.

        None if there is nothing to do now, or if a sink hangs: its thread can't be ended, so no other is tried.
        """
        if (thread := self._at_work) is not None:
            if thread.is_alive():
                return None if thread.is_hung() else thread
            self._note_end(thread)
        if self._is_over or not self._may_step():
            return None
        if not self._found and time.monotonic() >= self._look_due:
            self._look()
        while self._found and self._at_work is None:
            self._start(*self._found.popleft())
        return self._at_work

    def stop(self, deadline: float) -> None:
        """Stop after the step under way, and wait for that until `deadline` of the monotonic clock."""
        self._is_over = True
        if (thread := self._at_work) is not None:
            thread.stop()
            thread.join(max(0.0, deadline - time.monotonic()))
            if not thread.is_alive():
                self._note_end(thread)

    def _look(self) -> None:
        for root, own in self._own.items():
            for folder, lane in find_leftovers(root, own):
                if (folder.path, lane.name) not in self._tried:
                    self._found.append((folder, lane))
        self._look_due = time.monotonic() + limits.TAKE_UP_LOOK_S
        if self._found and not self._has_told:
            self._has_told = True
            runs = {folder.path for folder, _ in self._found}
            self._tell(TakingUp(runs=len(runs), root=str(self._found[0][0].path.parent)))

    def _start(self, folder: RunFolder, spec: LaneSpec) -> None:
        """Deliver to the sink in a thread, unless couriers have died of it."""
        with contextlib.suppress(OSError):  # it was deleted, or can't be written
            if _Attempts.begin(folder, spec.name):
                thread = LaneThread(Lane(folder, spec), linger=0.0, may_step=self._may_step, wait_for_lock=False)
                thread.drain()
                thread.start()
                self._at_work = thread
                return
        self._tried.add((folder.path, spec.name))

    def _note_end(self, thread: LaneThread) -> None:
        self._at_work = None
        folder, sink = thread.lane.folder, thread.lane.spec.name
        _Attempts.forget(folder, sink)
        if not thread.has_worked:  # another process delivers to it, and may leave something
            return
        self._tried.add((folder.path, sink))
        self._failures = 0 if thread.lane.has_ended() else self._failures + 1
        if self._failures >= limits.TAKE_UP_FAILURES:
            self._failures = 0
            self._found.clear()


def find_leftovers(root: Path, own: list[tuple[SinkEntry, LaneSpec]]) -> Iterator[tuple[RunFolder, LaneSpec]]:
    """Yield the run folders and lanes under `root` that no process delivers. Of complete runs no file is read."""
    try:
        paths = sorted(entry.path for entry in os.scandir(root))
    except OSError:
        return
    for path in paths:
        folder = RunFolder(Path(path))
        with contextlib.suppress(OSError):  # no run folder, or one that can't be read
            if folder.spool.is_dir() and folder.manifest_file.stat().st_uid == os.geteuid():
                yield from _left_in(folder, own)


def _left_in(folder: RunFolder, own: list[tuple[SinkEntry, LaneSpec]]) -> Iterator[tuple[RunFolder, LaneSpec]]:
    manifest = folder.read_manifest()
    if folder.life_of(manifest.owner) is not Life.GONE or find_escape(folder.path) is not None:
        return
    for spec in manifest.sinks:
        lane = next((lane for shown, lane in own if shown == _comparable(spec)), None)
        if lane is None:
            continue
        ledger, owner = Ledger.load(folder.ledger_file(spec.name)), manifest.owner.writer
        if ledger.ended_writer != owner or ledger.late(folder, owner):
            yield folder, msgspec.structs.replace(lane, name=spec.name)


def _comparable(entry: SinkEntry) -> SinkEntry:
    """Return the entry without its name, which may differ for one store."""
    return msgspec.structs.replace(entry, name="")


class _Attempts(msgspec.Struct, frozen=True):
    """A note in the run folder while a leftover is delivered: it stays if the courier dies meanwhile."""

    number: int
    """How often this was begun and came to no end, with nothing delivered since the first time."""
    delivered: int

    @classmethod
    def begin(cls, folder: RunFolder, sink: str) -> bool:
        """Write the note; False if couriers have died of this sink too often. Raises `OSError` if it can't be."""
        before, delivered = cls._read(folder, sink), Ledger.load(folder.ledger_file(sink)).delivered
        number = before.number + 1 if before is not None and before.delivered == delivered else 1
        if number > limits.TAKE_UP_DEATHS:
            return False
        write_atomically(cls._file(folder, sink), msgspec.json.encode(cls(number, delivered)))
        return True

    @classmethod
    def forget(cls, folder: RunFolder, sink: str) -> None:
        """Remove the note: what was begun has come to an end."""
        with contextlib.suppress(OSError):
            cls._file(folder, sink).unlink()

    @classmethod
    def _read(cls, folder: RunFolder, sink: str) -> _Attempts | None:
        try:
            return decode(read_regular(cls._file(folder, sink)), cls)
        except (OSError, ValueError):
            return None

    @staticmethod
    def _file(folder: RunFolder, sink: str) -> Path:
        return folder.state / f"{sink}.ledger.taken_up"
