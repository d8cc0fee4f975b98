"""A store of files by their content: the same file is stored once, whatever it is called."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from unitrack.blobs.address import Address, refuse_secret_options
from unitrack.blobs.content import Content, ContentChangedError, Member, content_of, file_digest
from unitrack.blobs.folder import FolderObjects
from unitrack.blobs.objects import Advance, Objects, ignore
from unitrack.errors import SourceError
from unitrack.names import leads_out

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILES_AT_A_TIME = 8
_State = tuple[int, int]


class DamagedBlobError(SourceError):
    """What a store holds is not what was stored: the content does not have its digest."""


def open_objects(location: str | Address, options: Mapping[str, Any] | None = None) -> Objects:
    """Return the objects of a location; `options` are those of its file system in fsspec.

    Nothing is asked yet. Raises `ConfigError` for what is no location, `MissingPackageError` if the package that
    reaches it is not installed, and `ArtifactStoreError` if the setup can't work.
    """
    address = location if isinstance(location, Address) else Address.parse(location)
    if address.is_local:
        return FolderObjects(address)
    given = dict(options or {})
    refuse_secret_options(given, address)
    address.require_package()
    if address.scheme in ("s3", "s3a"):
        from unitrack.blobs.s3 import S3Objects  # noqa: PLC0415  # brings threads; only buckets need it

        return S3Objects(address, given)
    from unitrack.blobs.bucket import BucketObjects  # noqa: PLC0415  # as above

    return BucketObjects(address, given)


def open_store(location: str | Address, options: Mapping[str, Any] | None = None) -> BlobStore:
    """Return the store of files at a location. Raises as `open_objects`."""
    return BlobStore(open_objects(location, options))


class BlobStore:
    """Files under `sha256/<two digits>/<digest>`. Its methods raise as those of `Objects`."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    @property
    def url(self) -> str:
        """The location."""
        return self.objects.address.url

    def url_of(self, digest: str) -> str:
        """Return the URL of a file, which may not be stored."""
        return f"{self.url}/{key_of(digest)}"

    def has(self, digest: str, size: int) -> bool:
        """Return whether a file is stored, as a whole."""
        return self.objects.size(key_of(digest)) == size

    def put(self, path: Path, content: Content | None = None, advance: Advance = ignore) -> Content:
        """Store a file, or the files of a folder, and return the content. What is stored already is not sent again.

        `content`: what `content_of` has returned for the path. Raises `ContentChangedError` if a file changes before it
        is stored: nothing appears under a digest that is not its own.
        """
        before = {file: _state(file) for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()}
        content = content or content_of(path)
        files = {(one.digest, one.size): path / one.path for one in files_of(content)}
        with ThreadPoolExecutor(min(_FILES_AT_A_TIME, len(files) or 1)) as pool:
            sent = [pool.submit(self._put_file, file, *what, before.get(file), advance) for what, file in files.items()]
            try:
                for one in sent:
                    one.result()
            except BaseException:
                for one in sent:
                    one.cancel()
                raise
        return content

    def _put_file(self, path: Path, digest: str, size: int, before: _State | None, advance: Advance) -> None:
        if self.has(digest, size):
            advance(size)
            return

        def check() -> None:
            if _state(path) != before or (size <= _HASHED_TWICE and file_digest(path) != digest):
                raise ContentChangedError(f"{path} was changed before it was stored as a whole; store it again")

        check()
        self.objects.upload(key_of(digest), path, advance, check)

    def fetch(self, content: Content, target: Path, advance: Advance = ignore) -> Path:
        """Write a file or a folder to `target`, which must not exist, and return it.

        Each file is checked by its digest before it appears. Raises `DamagedBlobError` if one is damaged or missing.
        """
        if content.members is None:
            self._fetch_file(Member("", content.size, content.digest), target, advance)
            return target
        for one in content.members:
            if leads_out(one.path):
                raise DamagedBlobError(f"a file of the folder is called {one.path[:80]!r}, which leads out of it")
        part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
        try:
            part.mkdir(parents=True)
            for one in content.members:
                (part / one.path).parent.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
                for _ in pool.map(lambda one: self._fetch_file(one, part / one.path, advance), content.members):
                    pass
            os.rename(part, target)
        except BaseException:
            with contextlib.suppress(OSError):
                shutil.rmtree(part)
            raise
        return target

    def _fetch_file(self, member: Member, target: Path, advance: Advance) -> None:
        key = key_of(member.digest)
        part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
        try:
            try:
                self.objects.download(key, part, member.size, advance)
            except FileNotFoundError as error:
                raise DamagedBlobError(f"{self.url_of(member.digest)} is gone: {error}") from error
            if (found := file_digest(part)) != member.digest:
                raise DamagedBlobError(
                    f"{self.url_of(member.digest)} is damaged: its content has the SHA-256 {found}; remove it, and "
                    "store the file again"
                )
            os.rename(part, target)
        finally:
            part.unlink(missing_ok=True)


_HASHED_TWICE = 1024 * 1024
"""A file up to this is hashed again before it appears: a change may leave its time as it was, to the clock's tick."""


def key_of(digest: str) -> str:
    """Return the key of a file. Raises `DamagedBlobError` for what is no digest: it may come from a stranger's file."""
    if not _DIGEST.fullmatch(digest):
        raise DamagedBlobError(f"{digest[:80]!r} is no SHA-256")
    return f"sha256/{digest[:2]}/{digest}"


def files_of(content: Content) -> tuple[Member, ...]:
    """Return the files of a content: itself, or the members of a folder."""
    return (Member("", content.size, content.digest),) if content.members is None else content.members


def _state(path: Path) -> _State:
    now = path.stat()
    return now.st_size, now.st_mtime_ns
