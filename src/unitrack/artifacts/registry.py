"""The artifacts of a root: which versions there are, and their content.

<root>/.artifacts/
  lock                       held while a version is counted, or content is removed
  content/<aa>/<rest>        each file once, under its SHA-256
  projects/<project>/<name>/
    log.jsonl                what happened: see `events`
    v0/<file or folder>      the version as it was logged; shares its blocks with `content`
    v0.json                  its files, with their digests
    pending/                 log calls whose version is not counted yet

All of it moves and is copied with the root.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unitrack.artifacts.events import AnyEvent, Made, RunRef, State
from unitrack.artifacts.store import ContentStore
from unitrack.blobs.content import Content
from unitrack.names import escape, unescape
from unitrack.records import Artifact, ArtifactVersion
from unitrack.system.atomic import write_atomically
from unitrack.system.files import make_folders, open_private, read_regular
from unitrack.system.locks import FileLock
from unitrack.values.codec import decode

FOLDER = ".artifacts"
_LOG = "log.jsonl"
_SAFE = r"\w\- "
"""Characters of a project that its folder keeps. A dot is escaped, so that no folder is called ".."."""
_MAX_LOG_BYTES = 1 << 30
"""A version takes 500 bytes of its artifact's log."""


class Registry:
    """The folder `.artifacts` of a root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.content = ContentStore(self.folder / "content")

    def artifact(self, project: str, name: str) -> NamedArtifact:
        """Return the artifact of this name; it need not exist."""
        return NamedArtifact(self, project, name)

    def artifacts(self, project: str | None = None) -> Iterator[NamedArtifact]:
        """Yield the artifacts that exist, of one project or of all, in the order of projects and names."""
        for folder in _folders(self.folder / "projects"):
            found = unescape(folder.name)
            if project in (None, found):
                yield from (self.artifact(found, unescape(one.name)) for one in _folders(folder))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock, for which other processes wait. Raises `OSError` if the folder can't be written."""
        make_folders(self.folder)
        lock = FileLock(self.folder / "lock")
        lock.acquire(wait=True)
        try:
            yield
        finally:
            lock.release()


class NamedArtifact:
    """One artifact of a project, with its versions."""

    def __init__(self, registry: Registry, project: str, name: str) -> None:
        self.registry = registry
        self.project = project
        self.name = name
        self.folder = registry.folder / "projects" / (escape(project, _SAFE) or "_") / escape(name, _SAFE + ".")
        self.pending = self.folder / "pending"

    def read(self) -> State:
        """Return all versions. Raises `OSError` if the log can't be read."""
        try:
            content = read_regular(self.folder / _LOG, _MAX_LOG_BYTES)
        except FileNotFoundError:
            return State()
        return State.of(content.splitlines())

    def append(self, event: AnyEvent) -> None:
        """Add an event to the log, durably. Hold the registry's lock. Raises `OSError`."""
        make_folders(self.folder)
        line = msgspec.json.encode(event) + b"\n"
        descriptor = open_private(self.folder / _LOG, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # a process was killed in the middle of a line
            if os.write(descriptor, line) != len(line):
                raise OSError(0, "only a part of the line could be written", str(self.folder / _LOG))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def path_of(self, number: int) -> Path:
        """Return the folder of a version."""
        return self.folder / f"v{number}"

    def add_version(
        self,
        number: int,
        digest: str,
        *,
        key: str,
        run: RunRef,
        record: Artifact,
        version: ArtifactVersion,
        source: Path,
        content: Content,
        is_copy: bool = False,
    ) -> None:
        """Keep the file or folder `source` as a version that a run has logged. Hold the registry's lock."""
        self.registry.content.keep(source, content, self.path_of(number))
        self.write_files(number, content)
        self.append(
            Made(
                time=record.time,
                number=number,
                key=key,
                digest=digest,
                size=content.size if version.reference is None else version.reference.size or 0,
                files=1 if content.members is None else len(content.members),
                file=source.name,
                run=run,
                type=record.type,
                step=record.step,
                metric=version.metric,
                overwrites=version.overwrites,
                aliases=version.aliases,
                reference=version.reference,
                is_copy=is_copy,
            )
        )

    def write_files(self, number: int, content: Content) -> None:
        """Keep the list of a version's files."""
        write_atomically(self.folder / f"v{number}.json", msgspec.json.encode(content))

    def read_files(self, number: int) -> Content:
        """Return the files of a version. Raises `OSError`, and `ValueError` for a damaged list."""
        return decode(read_regular(self.folder / f"v{number}.json", _MAX_LOG_BYTES), Content)


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
