"""Asking a place for what it knows of a file: its size, and the tag or the checksum by which a change is noticed."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from unitrack.blobs.address import Address, is_place
from unitrack.blobs.store import open_objects
from unitrack.errors import SourceError
from unitrack.values.redaction import redact_text

_SECONDS = 15.0
"""How long an answer may take in all. What waits for it is a courier, or a reader, never a log call."""
_IMPATIENT = {"connect_timeout": 5, "read_timeout": 10}
_WEB = ("http://", "https://")


class Facts(msgspec.Struct, frozen=True):
    """What a place knows of a file."""

    size: int | None
    """Bytes."""
    etag: str = ""
    checksum: str = ""
    """Such as "md5:..."."""


def can_look_up(uri: str) -> bool:
    """Return whether places of this kind can be asked at all, if the packages for it are installed."""
    return is_place(uri) or uri.startswith(_WEB)


def look_up(uri: str) -> Facts:
    """Return what the place of a file knows of it, without reading it.

    Raises `FileNotFoundError` if it is not there, `SourceError` for a folder, for a place that does not answer, and for
    whatever else goes wrong, such as a package that is missing.
    """
    answer: list[Facts | Exception] = []

    def ask() -> None:
        try:
            answer.append(_ask(uri))
        except Exception as error:  # the thread that waits tells of it
            answer.append(error)

    # Not every file system has time limits of its own, so the wait for it has one.
    thread = threading.Thread(target=ask, name="unitrack-look-up", daemon=True)
    thread.start()
    thread.join(_SECONDS)
    if not answer:
        raise SourceError(f"{uri} has not answered within {_SECONDS:g} s")
    [found] = answer
    if isinstance(found, FileNotFoundError):
        raise FileNotFoundError(f"there is no {uri}") from found
    if isinstance(found, Exception):
        raise SourceError(redact_text(f"{uri} can't be asked: {found or type(found).__name__}")) from found
    return found


def _ask(uri: str) -> Facts:
    told = _of_web(uri) if uri.startswith(_WEB) else _of_bucket(uri)
    if told.get("type") == "directory":
        raise SourceError("it is a folder: refer to its files, or say a checksum")
    size = told.get("size")
    tag = str(told.get("ETag") or told.get("etag") or "").strip('"')
    return Facts(size if isinstance(size, int) else None, tag, _checksum(told))


def _of_bucket(uri: str) -> Mapping[str, Any]:
    if not urlsplit(uri).path.strip("/"):
        raise SourceError("it names no file")
    parent, _, name = uri.rpartition("/")
    address = Address.parse(parent)
    options = {"config_kwargs": _IMPATIENT} if address.scheme in ("s3", "s3a") else {}
    return open_objects(address, options).facts(name)


def _of_web(uri: str) -> Mapping[str, Any]:
    """Ask with HEAD; fsspec takes every failure for a file that is not there."""
    from urllib.error import HTTPError  # noqa: PLC0415  # 20 ms; only for references
    from urllib.request import Request, urlopen  # noqa: PLC0415  # as above

    asked = Request(uri, method="HEAD", headers={"Accept-Encoding": "identity"})  # a web address
    try:
        with urlopen(asked, timeout=_IMPATIENT["read_timeout"]) as answer:  # as above
            told = answer.headers
    except HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise FileNotFoundError(uri) from error
        raise
    size = told.get("Content-Length", "")
    return {"size": int(size) if size.isdecimal() else None, "ETag": told.get("ETag")}


def _checksum(told: Mapping[str, Any]) -> str:
    """Return the MD5 that Google's and Azure's stores tell."""
    settings = told.get("content_settings")
    given = told.get("md5Hash") or (settings.get("content_md5") if isinstance(settings, Mapping) else None)
    try:
        digest = given if isinstance(given, bytes | bytearray) else base64.b64decode(given or "", validate=True)
    except (binascii.Error, TypeError):
        return ""
    return f"md5:{bytes(digest).hex()}" if digest else ""
