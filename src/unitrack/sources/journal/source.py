"""The source of the backend `journal`: the records of a run's spool, from the segments of its journals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unitrack.errors import JournalError, warn_caller
from unitrack.hookspecs import Source
from unitrack.journal import JournalReader, Position, find_writers, is_of_owner
from unitrack.journal.lines import Damage
from unitrack.journal.segments import begins_session
from unitrack.records import AnyRecord, Artifact, Metrics, RunEnd, RunStart, Tags
from unitrack.runfolder.manifest import Manifest
from unitrack.runfolder.run_folder import RunFolder
from unitrack.sources.journal.sessions import Sessions
from unitrack.system.files import UnsafePathError, locate_inside
from unitrack.system.life import Life

_SPOOL = ".spool"


class _Journaled(msgspec.Struct, frozen=True):
    """A run with a journal."""

    start: RunStart
    spool: Path


class JournalSource(Source):
    """The runs of a folder of run folders, of one run folder, or of a spool: those that still have a journal.

    Damaged lines are skipped; a warning tells how many records they held. A run whose process died before it could end
    reads as failed, as it does once it is delivered.
    """

    def __init__(self, location: str) -> None:
        self._root = Path(location).expanduser().absolute()
        self._known: dict[str, _Journaled] = {}
        self._warned: set[Path] = set()
        if next(self._spools(), None) is None:
            raise FileNotFoundError(f"there is no journal in {location!r}: {_instead(self._root)}")

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs whose spools hold a journal, in the order of the names of their folders.

        A run's id is the one in its first record; it is the name of its folder if a run before it has the same.
        """
        seen: set[str] = set()
        for spool in self._spools():
            start = _start_of(spool)
            if start.run_id in seen:
                start = msgspec.structs.replace(start, run_id=_name_of(spool))
            seen.add(start.run_id)
            self._known[start.run_id] = _Journaled(start, spool)
            yield start

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Yield the records of a run. Raises `KeyError` if there is none with this id or in a folder of this name."""
        run = self._find(run_id)
        return self._records(run.spool, run.start)

    def folder(self, run_id: str) -> Path | None:
        """Return the run folder; None if there is only a spool. Raises `KeyError`."""
        spool = self._find(run_id).spool
        return spool.parent if spool.name == _SPOOL else None

    def _spools(self) -> Iterator[Path]:
        if find_writers(self._root):
            yield self._root
        elif find_writers(self._root / _SPOOL):
            yield self._root / _SPOOL
        elif self._root.is_dir():
            spools = (folder / _SPOOL for folder in sorted(self._root.iterdir()) if folder.is_dir())
            yield from (spool for spool in spools if find_writers(spool))

    def _find(self, run_id: str) -> _Journaled:
        if run_id not in self._known:
            by_id = {start.run_id: self._known[start.run_id] for start in self.runs()}
            self._known = {_name_of(run.spool): run for run in by_id.values()} | by_id
        return self._known[run_id]

    def _records(self, spool: Path, start: RunStart) -> Iterator[AnyRecord]:
        damages: list[Damage] = []
        went_back = _count_sessions(spool) > 1
        sessions = Sessions(record for _, record in _read(spool, [])) if went_back else None
        end: RunEnd | None = None
        session, last_time = 0, start.time
        tags = dict(start.tags)
        yield start
        for of_owner, record in _read(spool, damages):
            last_time = max(last_time, record.time)
            match record:
                case RunStart():
                    session, end = session + 1, None
                    if new := {name: value for name, value in record.tags.items() if tags.get(name) != value}:
                        yield Tags(seq=record.seq, time=record.time, tags=new)
                case RunEnd():
                    end = record if of_owner else end
                case Metrics():
                    kept = sessions.admit(session, record) if sessions else record
                    if kept is not None:
                        yield kept
                case Artifact():
                    yield msgspec.structs.replace(record, file=_locate(spool, record.file))
                case _:
                    yield record
        self._warn(spool, damages)
        if end is not None:
            yield end
        elif _has_died(spool):
            yield RunEnd(seq=0, time=last_time, status="failed")

    def _warn(self, spool: Path, damages: list[Damage]) -> None:
        """Warn of damages, once a journal."""
        if damages and spool not in self._warned:
            self._warned.add(spool)
            lost = sum(damage.lines for damage in damages)
            held = "1 record is lost" if lost == 1 else f"{lost} records are lost"
            warn_caller(f"the journal in {str(spool)!r} is damaged: {held}, the first at {damages[0]}")


def _instead(root: Path) -> str:
    """Return what to give in place of a location without a journal."""
    if not root.exists():
        return "there is nothing of this name; give a run folder, a folder of them, or a spool"
    if (root / "metadata.json").exists() or any(root.glob("*/metadata.json")):
        return f"all of it was delivered, and the spool is gone; read local:{root}"
    return "give a run folder, a folder of them, or a spool"


def _read(spool: Path, damages: list[Damage]) -> Iterator[tuple[bool, AnyRecord]]:
    """Yield each record and whether it is of the run's owner, a journal after the other; add the damages to a list."""
    manifest = _manifest_of(spool)
    is_over = manifest is None or not RunFolder(spool.parent).is_open(manifest.owner)
    for writer, segments in find_writers(spool).items():
        of_owner = is_of_owner(spool, writer) or (manifest is not None and writer == manifest.owner.writer)
        with contextlib.closing(JournalReader(spool, writer, Position(segments[0]))) as reader:
            while True:
                before = reader.position
                chunk = reader.read(is_over=is_over)
                damages += chunk.damages
                for record in chunk.records:
                    yield of_owner, record
                if chunk.end == before:
                    break


def _count_sessions(spool: Path) -> int:
    """Return how many sessions a run has; each begins with a segment of its own."""
    return sum(
        begins_session(spool, writer, segment)
        for writer, segments in find_writers(spool).items()
        for segment in segments
    )


def _manifest_of(spool: Path) -> Manifest | None:
    try:
        return RunFolder(spool.parent).read_manifest() if spool.name == _SPOOL else None
    except JournalError:
        return None


def _start_of(spool: Path) -> RunStart:
    """Return the identity of the run: from its manifest, else from its first record, else what its folder's name says.

    A spool may have lost its run folder; the segment with the first record may be damaged, or delivered and deleted.
    """
    manifest = _manifest_of(spool)
    if manifest is not None:
        return manifest.run
    for writer, segments in find_writers(spool).items():
        with contextlib.closing(JournalReader(spool, writer, Position(segments[0]))) as reader:
            first = next(iter(reader.read().records), None)
        if isinstance(first, RunStart):
            return first
    return RunStart(seq=0, time=0, run_id=_name_of(spool), name=_name_of(spool), project="")


def _name_of(spool: Path) -> str:
    """Return the name of the run folder, or of the spool if it lies in none."""
    return spool.parent.name if spool.name == _SPOOL else spool.name


def _has_died(spool: Path) -> bool:
    """Return whether the process that owns the run is known to be gone."""
    manifest = _manifest_of(spool)
    return manifest is not None and RunFolder(spool.parent).life_of(manifest.owner) is Life.GONE


def _locate(spool: Path, file: str) -> str:
    """Return the path of an artifact's copy in the spool, which may have been moved; `file` itself if it is not there.

    A journal may come from a stranger: nothing outside of the spool is returned, nor anything behind a link.
    """
    inside = file.removeprefix(f"{_SPOOL}/")
    try:
        path = locate_inside(spool, inside)
    except UnsafePathError:
        return file
    return str(path) if path.exists() else file
