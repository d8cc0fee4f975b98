"""Counting versions: which number a logged artifact gets.

A log call only writes its record, and a note that a version is to be counted. The version is counted when its number
is needed for the first time: by a lane before it hands the record to its sink, or by a reader that asks for the newest
version. The content is hashed then, so never in the log call. Each log call has a key, by which a call gets the same
number in every process and after a crash. The same content is the same version.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path, PurePosixPath

import msgspec

from unitrack.artifacts.events import Again, RunRef, State, Version
from unitrack.artifacts.references import digest_of, examined
from unitrack.artifacts.registry import NamedArtifact, Registry
from unitrack.blobs.content import Content, content_of
from unitrack.records import Artifact, ArtifactVersion, RunStart
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.atomic import write_atomically
from unitrack.system.files import UnsafePathError, locate_inside, make_folders, read_regular
from unitrack.system.locks import FileLock
from unitrack.values.codec import decode


class Pending(msgspec.Struct, frozen=True):
    """A log call whose version may not be counted yet."""

    run: RunStart
    folder: str
    """The name of the run folder."""
    record: Artifact


def settle(record: Artifact, folder: RunFolder, run: RunStart) -> Artifact:
    """Return the record of an artifact with the number and the digest of its version, which is counted if need be.

    A record of no version, or of one that is counted, is returned as it is; so is one whose copy is gone. What was
    logged before it under the same name is counted first. Raises `OSError` if the disk fails.
    """
    version = record.version
    if version is None or version.number is not None:
        return record
    artifact = Registry(folder.path.parent).artifact(run.project, version.name)
    settle_pending(artifact, before=record)
    found = _settled(artifact, record, version, folder, run)
    _note_of(artifact, record, run).unlink(missing_ok=True)
    return record if found is None else _named(record, version, found)


def note_pending(record: Artifact, folder: RunFolder, run: RunStart) -> None:
    """Leave a note that this record's version is to be counted. Raises `OSError`."""
    version = record.version
    assert version is not None
    artifact = Registry(folder.path.parent).artifact(run.project, version.name)
    make_folders(artifact.pending)
    note = Pending(run, folder.path.name, record)
    write_atomically(_note_of(artifact, record, run), msgspec.json.encode(note))


def settle_pending(artifact: NamedArtifact, before: Artifact | None = None) -> None:
    """Count the versions that are noted and not counted, in the order in which they were logged.

    `before`: only those that were logged before this record. Raises `OSError` if the disk fails.
    """
    for path in notes_of(artifact):
        if before is not None and path.name >= _order(before):
            break
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            note = decode(read_regular(path), Pending)
            version = note.record.version
            folder = artifact.registry.root / PurePosixPath(note.folder).name
            if version is not None and folder.is_dir():
                _settled(artifact, note.record, version, RunFolder(folder), note.run)
        path.unlink(missing_ok=True)


def notes_of(artifact: NamedArtifact) -> list[Path]:
    """Return the notes of an artifact's log calls, each a `Pending`, in the order in which they were logged."""
    return sorted(artifact.pending.glob("[0-9]*-*.json"))


def _note_of(artifact: NamedArtifact, record: Artifact, run: RunStart) -> Path:
    key = hashlib.sha256(key_of(run, record).encode()).hexdigest()[:16]
    return artifact.pending / f"{_order(record)}-{key}.json"


def _order(record: Artifact) -> str:
    """Return how the name of a record's note begins: in the order of time, and of the log calls in a millisecond."""
    call = PurePosixPath(record.file).parent.name.rpartition("-")[2]
    return f"{record.time:015d}-{call:0>12}"


def _settled(
    artifact: NamedArtifact, record: Artifact, version: ArtifactVersion, folder: RunFolder, run: RunStart
) -> Version | None:
    """Return the version of a record, counted if need be; None if its copy is gone before it was counted."""
    key = key_of(run, record)
    if (found := _known(artifact.read(), key)) is not None:
        return found
    try:
        copy = locate_inside(folder.path, record.file)
        place = copy.parent
        lock = FileLock(place.with_name(f"{place.name}.lock"))
        lock.acquire(wait=True)
    except (FileNotFoundError, NotADirectoryError, UnsafePathError):
        return None
    try:
        if (found := _known(artifact.read(), key)) is not None:  # another process has counted it meanwhile
            return found
        content = content_of(copy)
        version = _examined(version)
        maker = RunRef(run.run_id, run.name, folder.path.name)
        with artifact.registry.locked():
            return _count(artifact, record, version, key, maker, copy, content)
    except FileNotFoundError:
        return _known(artifact.read(), key)
    finally:
        lock.release()


def key_of(run: RunStart, record: Artifact) -> str:
    """Return what names a log call: the run, and the folder of the record's copy, which no other copy of it has."""
    return f"{run.run_id}/{PurePosixPath(record.file).parent.name}"


def _known(state: State, key: str) -> Version | None:
    number = state.keys.get(key)
    return None if number is None else state.versions[number]


def _count(
    artifact: NamedArtifact,
    record: Artifact,
    version: ArtifactVersion,
    key: str,
    run: RunRef,
    copy: Path,
    content: Content,
) -> Version:
    state = artifact.read()
    digest = content.digest if version.reference is None else digest_of(version.reference)
    same = None if version.overwrites or version.is_checkpoint else state.find_content(digest)
    if same is not None:
        artifact.append(Again(time=record.time, number=same.number, key=key, run=run, aliases=version.aliases))
        if version.reference is None:
            artifact.registry.content.share(copy, content)
        return artifact.read().versions[same.number]
    before = state.overwritten_by(run.id) if version.overwrites else None
    number = state.next_number if before is None else before.number
    artifact.add_version(number, digest, key=key, run=run, record=record, version=version, source=copy, content=content)
    return artifact.read().versions[number]


def _examined(version: ArtifactVersion) -> ArtifactVersion:
    """Return a version whose reference, if it has one, holds what can be known of the data by now."""
    if version.reference is None:
        return version
    return msgspec.structs.replace(version, reference=examined(version.reference))


def _named(record: Artifact, version: ArtifactVersion, found: Version) -> Artifact:
    """Return a record as that of the version that was found for it. Its number becomes a part of its name."""
    counted = msgspec.structs.replace(
        version, number=found.number, digest=found.digest, reference=found.reference if version.reference else None
    )
    settled = record.with_version(counted)
    if version.keeps_path:
        return settled
    name = PurePosixPath(record.name)
    return msgspec.structs.replace(settled, name=str(name.parent / found.label / name.name))
