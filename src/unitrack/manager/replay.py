"""Replay: a run folder with a journal, written from the records of a stored run. The lanes then deliver it.

The folder appears whole, by renaming: one that a crash cut off would be taken for the whole run. Beside the ledgers it
keeps a note of what it was made from, so that a later replay of the same run adds only what the run has gained since.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from unitrack.errors import ArtifactStoreError, SourceError, UnitrackError
from unitrack.journal import JournalWriter
from unitrack.manager.marks import Marks, beyond
from unitrack.records import AnyRecord, Artifact, RunEnd, RunStart
from unitrack.runfolder.manifest import Manifest, SinkEntry
from unitrack.runfolder.run_folder import RunFolder, claim_path
from unitrack.system.atomic import write_atomically
from unitrack.system.files import FOLDER_MODE, make_folders, read_regular
from unitrack.system.processes import Owner
from unitrack.values.codec import decode
from unitrack.values.redaction import redact

_NOTE = "replay.json"
_MAX_NOTE_BYTES = 1 << 30
"""The marks of 100,000 metrics take 5 MB."""
_STAGING = ".replay-"
_REPORT_EVERY = 10_000
"""Records."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be replayed."""

    run_id: str
    name: str
    started: int
    """In milliseconds since the epoch."""
    origin: str
    """The location and the id that it is read from, or several."""
    edits: str
    """What is changed on the way, as JSON."""
    brief: str
    """A digest of the run's summary: as long as it is the same, there is nothing new."""
    records: Callable[[], Iterable[AnyRecord]]
    """Reads the run: a `RunStart` with the id above first, and the `RunEnd`, if any, last."""
    fetch: Callable[[Artifact, Path], Path]
    """Brings the content of an artifact into an empty folder, and returns where it lies there."""
    show: Callable[[int], None]
    """Called now and then with the number of points that are read."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder was made from. Fields of the same name are those of `Replay`."""

    name: str
    started: int
    origin: str
    edits: str
    brief: str
    marks: Marks
    writer: str
    """The journal that ends the run."""
    missing: dict[str, str] = {}
    """Artifacts whose content could not be read, with the reason."""


def read_note(folder: RunFolder, *, adopt: bool = True) -> Note | None:
    """Return the note of a replay; None if the folder was not made by one.

    `adopt`: finish what a crash may have left, a replay that is in the spool but not yet that of the run's owner.
    """
    latest, settled = _load(folder.spool / _NOTE), _load(folder.state / _NOTE)
    if adopt and latest is not None and settled is not None and latest.writer != settled.writer:
        _adopt(folder, settled, latest)
    return latest or settled


def _load(path: Path) -> Note | None:
    try:
        return decode(read_regular(path, max_bytes=_MAX_NOTE_BYTES), Note)
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def _adopt(folder: RunFolder, settled: Note, latest: Note) -> None:
    """Make the journal that is in the spool that of the run's owner, before anything of it is delivered.

    A name and a description that have changed in the source hold from now on.
    """
    manifest = folder.read_manifest()
    changed = {
        field: value
        for field, value in (("name", latest.name), ("description", latest.marks.description))
        if value != {"name": settled.name, "description": settled.marks.description}[field]
    }
    run = msgspec.structs.replace(manifest.run, **changed)
    folder.write_manifest(msgspec.structs.replace(manifest, run=run, owner=Owner.current(latest.writer)))
    write_atomically(folder.state / _NOTE, msgspec.json.encode(latest))


def begin_replay(replay: Replay, root: Path, sink: SinkEntry) -> RunFolder:
    """Write a run folder under `root`, with this sink, and return it. Secrets in its options are not stored."""
    staging = root / (_STAGING + hashlib.sha256(replay.run_id.encode()).hexdigest()[:16])
    shutil.rmtree(staging, ignore_errors=True)
    make_folders(staging)
    try:
        folder = RunFolder(staging)
        folder.prepare()
        note, start = _write(replay, folder.spool, None)
        if start is None:
            raise SourceError(f"can't read {replay.origin}: its records begin without a RunStart")
        folder.mark_ended()
        write_atomically(folder.state / _NOTE, msgspec.json.encode(note))
        kept = msgspec.structs.replace(sink, options=redact(sink.options))
        folder.write_manifest(Manifest(run=start, owner=Owner.current(note.writer), sinks=(kept,)))
        path = claim_path(root, replay.name)
        os.rename(staging, path)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return RunFolder(path)


def continue_replay(replay: Replay, folder: RunFolder, known: Note) -> bool:
    """Write what a run has gained since it was replayed to this folder; return whether there is anything.

    All of the earlier replay must be delivered. Raises `ChangedError` if the run has changed in what was replayed.
    """
    aside = folder.state / "spool.replayed"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=FOLDER_MODE)
    try:
        note, _ = _write(replay, aside, _without(known.missing, known.marks))
        if note.marks == known.marks and note.name == known.name and not known.missing:
            write_atomically(folder.state / _NOTE, msgspec.json.encode(_with_writer(note, known.writer)))
            shutil.rmtree(aside)
            return False
        os.rename(aside, folder.spool)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    folder.mark_ended()
    _adopt(folder, known, note)
    return True


def remove_unfinished(root: Path) -> None:
    """Remove what replays left under `root` that died before their folder was whole."""
    for path in root.glob(f"{_STAGING}*"):
        shutil.rmtree(path, ignore_errors=True)


def _with_writer(note: Note, writer: str) -> Note:
    return msgspec.structs.replace(note, writer=writer)


def _without(missing: Iterable[str], marks: Marks) -> Marks:
    """Return marks by which artifacts whose content was missing are new."""
    gone = set(missing)
    kept = {name: mark for name, mark in marks.artifacts.items() if name not in gone}
    return msgspec.structs.replace(marks, artifacts=kept)


def _write(replay: Replay, spool: Path, known: Marks | None) -> tuple[Note, RunStart | None]:
    """Write a journal, the files that it names, and the note, into a folder that becomes the spool."""
    journal, files, marks = JournalWriter(spool), _Files(spool / "files", replay.fetch), Marks()
    start: RunStart | None = None
    last_time = 0
    try:
        records = files.noting_trouble(replay.records())
        for record in _counted(records, marks) if known is None else beyond(known, records, marks):
            last_time = max(last_time, record.time)
            if isinstance(record, RunStart):
                start = record
            if isinstance(record, RunEnd):
                continue
            if not isinstance(record, Artifact):
                journal.copy(record)
            elif (kept := files.keep(record)) is not None:
                journal.copy(kept)
            if journal.next_seq % _REPORT_EVERY == 0:
                replay.show(marks.point_count)
        journal.copy(RunEnd(seq=0, time=marks.ended or last_time, status=marks.status))
    finally:
        journal.close()
    note = Note(
        name=replay.name,
        started=replay.started,
        origin=replay.origin,
        edits=replay.edits,
        brief=replay.brief,
        marks=marks,
        writer=journal.writer,
        missing=files.missing,
    )
    write_atomically(spool / _NOTE, msgspec.json.encode(note))
    return note, start


def _counted(records: Iterator[AnyRecord], marks: Marks) -> Iterator[AnyRecord]:
    for record in records:
        marks.add(record)
        yield record


_ALL = "all artifacts"


class _Files:
    """The copies of artifacts in a spool, each in a folder of its own."""

    def __init__(self, folder: Path, fetch: Callable[[Artifact, Path], Path]) -> None:
        self._folder = folder
        self._fetch = fetch
        self._count = 0
        self.missing: dict[str, str] = {}
        """By name, with the reason."""

    def noting_trouble(self, records: Iterable[AnyRecord]) -> Iterator[AnyRecord]:
        """Yield records; that artifacts can't be listed, which a source tells after all others, is no end of a copy."""
        try:
            yield from records
        except ArtifactStoreError as error:
            self.missing[_ALL] = str(error)

    def keep(self, artifact: Artifact) -> Artifact | None:
        """Bring the content, and return the record with the place of the copy; None if it can't be read."""
        self._count += 1
        target = self._folder / str(self._count)
        make_folders(target)
        try:
            content = self._fetch(artifact, target)
        except (UnitrackError, OSError) as error:
            shutil.rmtree(target, ignore_errors=True)
            self.missing[artifact.name] = str(error)
            return None
        place = os.path.join(".spool", "files", str(self._count), os.path.relpath(content, target))
        return msgspec.structs.replace(artifact, file=place)
