"""The artifacts of a run in its folder: links to the run's copies, or pointers to a store of files elsewhere."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitrack.blobs.content import ContentChangedError, content_of
from unitrack.errors import ArtifactStoreError, RecordRejectedError, SinkUnavailableError
from unitrack.hookspecs import RunContext
from unitrack.local.options import LocalOptions
from unitrack.local.pointers import SUFFIX, Pointer, pointer_path, write_pointer
from unitrack.local.source import ARTIFACTS
from unitrack.records import Artifact
from unitrack.system.files import is_inside, link_or_copy, locate_inside, make_folders, remove_path

if TYPE_CHECKING:
    from unitrack.blobs.store import BlobStore


class LocalArtifacts:
    """Puts artifacts in their place. Doing it twice changes nothing."""

    def __init__(self, run: RunContext, options: LocalOptions) -> None:
        self._run = run
        self._base = run.folder / ARTIFACTS
        self._options = options
        self._store: BlobStore | None = None

    def place(self, artifact: Artifact) -> dict[str, Any]:
        """Put an artifact in its place, and return what `metadata.json` holds of it.

        Raises `RecordRejectedError` if it can't have its place, `ArtifactStoreError` if it has to wait, and `OSError`.
        """
        try:
            where = self._put(artifact)
        except (FileExistsError, NotADirectoryError) as error:  # "a/b" when "a" is a file
            raise RecordRejectedError(f"{artifact.name!r} lies below an artifact that is a file") from error
        except FileNotFoundError as error:
            raise RecordRejectedError(f"the run's copy of {artifact.name!r} is gone") from error
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise RecordRejectedError(f"{artifact.name[:80]!r} is longer than a file name may be") from error
        return {
            "type": artifact.type,
            "size": artifact.size,
            "time": artifact.time,
            "seq": artifact.seq,
            **({} if artifact.step is None else {"step": artifact.step}),
            **({"annotations": artifact.annotations} if artifact.annotations else {}),
            **where,
        }

    def _put(self, artifact: Artifact) -> dict[str, Any]:
        destination, copy = self._base / artifact.name, locate_inside(self._run.folder, artifact.file)
        if not is_inside(destination.parent, self._run.folder):
            raise RecordRejectedError(
                f"{artifact.name!r} would be written through a symbolic link, out of the run folder"
            )
        pointer = pointer_path(self._base, artifact.name)
        if self._options.location_of_files is None:
            _link(copy, destination)
            pointer.unlink(missing_ok=True)
            return {}
        if artifact.name.endswith(SUFFIX):
            raise RecordRejectedError(f"{artifact.name!r} ends like a pointer of unitrack; give it another name")
        stored = self._upload(copy, artifact)
        make_folders(pointer.parent)
        write_pointer(pointer, stored)
        remove_path(destination)
        return {"location": stored.location, "digest": stored.content.digest}

    def _upload(self, copy: Path, artifact: Artifact) -> Pointer:
        content = content_of(copy)
        try:
            store = self._opened()
            with self._run.transferring(artifact.name, content.size) as advance:
                store.put(copy, content, advance)
        except SinkUnavailableError as error:
            raise ArtifactStoreError(f"{error}; artifacts wait and are tried again", is_passing=True) from error
        except ContentChangedError as error:
            raise ArtifactStoreError(str(error), is_passing=True) from error
        return Pointer(store.url, content)

    def _opened(self) -> BlobStore:
        if self._store is None:
            assert self._options.location_of_files is not None
            from unitrack.blobs.store import open_store  # noqa: PLC0415  # its threads can't be imported while the interpreter exits; 5 ms

            self._store = open_store(self._options.location_of_files, self._options.storage_options)
        return self._store


def _link(copy: Path, destination: Path) -> None:
    """Link `copy` (a file or a folder) to `destination`, replacing what is there: that costs no space and no time."""
    make_folders(destination.parent)
    aside = destination.with_name(f".{destination.name}.new")
    remove_path(aside)
    link_or_copy(copy, aside)
    if copy.is_dir() or destination.is_dir():
        remove_path(destination)
    os.replace(aside, destination)
    remove_path(aside)  # it stays where both are links to one file, as after a redelivery
