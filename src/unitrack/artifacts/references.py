"""References: data that stays where it is, of which a version holds the URI and by what a change is noticed.

A log call takes the URI alone, and of a file its size and time. What has to be read or asked for comes later.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import msgspec

from unitrack.blobs.content import ContentChangedError, content_of
from unitrack.errors import ArtifactNotFoundError, InvalidValueError, SourceError
from unitrack.records import Reference

_log = logging.getLogger(__name__)

_FILE = "file"
_MAX_NOTE = 300
"""Characters."""
_MTIME = "mtime:"


def make_reference(uri: str, checksum: str = "", size: int | None = None) -> Reference:
    """Return the reference to a URI, or to a path of this machine, which becomes a `file:` URI.

    Of a path its size and time are taken now; what it holds is hashed later, off the calling thread, unless `checksum`
    says it. Raises `ArtifactNotFoundError` for a path that is not there, `InvalidValueError` for a URI that is none.
    """
    try:
        path, place = local_path(uri), urlsplit(uri).netloc
    except (ValueError, RuntimeError) as error:  # "s3://[", and "~nobody/data"
        raise InvalidValueError(f"reference {uri[:200]!r}: {error}") from error
    if path is None:
        if not place:
            raise InvalidValueError(f"reference {uri[:200]!r} names no place: write a URI such as s3://bucket/data.csv")
        return Reference(uri, checksum, size=size)
    if not os.path.exists(path):
        raise ArtifactNotFoundError(f"reference: there is no file or folder {path} (looked from {Path.cwd()})")
    return Reference(f"{_FILE}://{quote(str(path))}", checksum, *_stamp(path, size))


def local_path(uri: str) -> Path | None:
    """Return the path of this machine that a URI or a path names; None for any other URI."""
    parts = urlsplit(uri)
    if parts.scheme == _FILE:
        return Path(unquote(parts.path))
    return None if "://" in uri else Path(uri).expanduser().absolute()


def examined(reference: Reference) -> Reference:
    """Return a reference with what can be found out of the data, unless its checksum is known already.

    Of data on this machine that is the checksum. If it has changed since it was logged, or is gone, its size and time
    remain. Of data elsewhere it is what the place tells: size, ETag, checksum; or the reason why it tells nothing.
    """
    if reference.checksum:
        return reference
    path = local_path(reference.uri)
    if path is None:
        return _asked(reference)
    try:
        content = content_of(path)
        if _stamp(path, None)[0] != reference.etag:
            return reference
    except (OSError, ContentChangedError):
        return reference
    return msgspec.structs.replace(reference, checksum=f"sha256:{content.digest}", size=content.size)


def _asked(reference: Reference) -> Reference:
    from unitrack.blobs.lookup import can_look_up, look_up  # noqa: PLC0415  # threads and more; only for data elsewhere

    if not can_look_up(reference.uri):
        return reference
    try:
        found = look_up(reference.uri)
    except (SourceError, FileNotFoundError) as error:
        _log.warning("a reference keeps only what was said of it: %s", error)
        return msgspec.structs.replace(reference, note=str(error)[:_MAX_NOTE])
    note = ""
    if reference.size is not None and found.size not in (None, reference.size):
        note = f"it was said to have {reference.size} bytes, and has {found.size}"
    size = reference.size if found.size is None else found.size
    return msgspec.structs.replace(reference, checksum=found.checksum, etag=found.etag, size=size, note=note)


def changed_elsewhere(reference: Reference) -> tuple[str, str]:
    """Return why data elsewhere is not what was referred to, and why it could not be said; either may be empty."""
    from unitrack.blobs.lookup import can_look_up, look_up  # noqa: PLC0415  # as above

    is_told = reference.checksum and not reference.etag  # so nothing was asked at the beginning
    if is_told or not (reference.etag or reference.size is not None) or not can_look_up(reference.uri):
        return "", f"{reference.uri} is not on this machine, and was not read"
    try:
        found = look_up(reference.uri)
    except FileNotFoundError:
        return f"{reference.uri} is gone", ""
    except SourceError as error:
        return "", str(error)
    if reference.etag and found.etag:
        return ("" if found.etag == reference.etag else f"{reference.uri} was changed"), ""
    if reference.size is not None and found.size not in (None, reference.size):
        return f"{reference.uri} has {found.size} bytes, and had {reference.size}", ""
    return "", f"{reference.uri} has the same size; its content was not read"


def digest_of(reference: Reference) -> str:
    """Return what is different for references to different data: the SHA-256 of what is known of it."""
    known = [reference.uri, reference.checksum or [reference.etag, reference.size]]
    return hashlib.sha256(msgspec.json.encode(known)).hexdigest()


def problem_of(reference: Reference) -> str:
    """Return why data on this machine is not what was referred to; empty if it is, or lies elsewhere."""
    path = local_path(reference.uri)
    if path is None:
        return ""
    if not os.path.exists(path):
        return f"{path} is gone"
    kind, _, digest = reference.checksum.partition(":")
    if kind == "sha256":
        return "" if content_of(path).digest == digest else f"{path} has another content"
    return "" if not reference.etag or _stamp(path, None)[0] == reference.etag else f"{path} was changed"


def _stamp(path: Path, size: int | None) -> tuple[str, int | None]:
    """Return the newest time of change and the size of a file; of a folder no size, unless it is given."""
    if not path.is_dir():
        found = path.stat()
        return f"{_MTIME}{found.st_mtime_ns}", found.st_size
    newest = max((one.stat().st_mtime_ns for one in path.rglob("*") if one.is_file()), default=path.stat().st_mtime_ns)
    return f"{_MTIME}{newest}", size
