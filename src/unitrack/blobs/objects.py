"""The objects of a place for files: whole or not there, each under a key with slashes."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from unitrack.blobs.address import Address

Advance = Callable[[int], None]
"""Called with the number of bytes that have been transferred since the last call."""
Check = Callable[[], None]
"""Called when a file has been read and before the object appears; raises if the file has changed meanwhile."""


def ignore(count: int) -> None:
    """Take the progress of a transfer that nobody asks for."""


def unchecked() -> None:
    """Check nothing."""


class Objects(ABC):
    """Reads and writes objects below an address. An object appears as a whole: a reader never sees a part of it.

    **Errors.** A key without an object is `FileNotFoundError`. `ArtifactStoreError` says that a person has to mend
    something: the bucket is gone, the credentials are refused. `SinkUnavailableError` says that the place is away or
    too busy, after a few tries.
    """

    def __init__(self, address: Address) -> None:
        self.address = address

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Return the bytes of an object; None if there is none."""

    def facts(self, key: str) -> Mapping[str, Any]:
        """Return what the place tells of an object, by names of its own, asking once: its `size`, tags, checksums.

        Raises `FileNotFoundError` if there is none.
        """
        if (size := self.size(key)) is None:
            raise FileNotFoundError(f"there is no {self.address}/{key}")
        return {"size": size}

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return the content of an object."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object."""

    @abstractmethod
    def upload(self, key: str, path: Path, advance: Advance = ignore, check: Check = unchecked) -> None:
        """Create or replace an object by the content of a file; where the place allows it, go on with a part of it.

        Raises `OSError` if the file can't be read, and what `check` raises.
        """

    @abstractmethod
    def download(self, key: str, path: Path, size: int, advance: Advance = ignore) -> None:
        """Write an object of `size` bytes into a new file. A part of it may be left behind after an error."""

    @abstractmethod
    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with a prefix, which is empty or ends in a slash, at any depth."""

    @abstractmethod
    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects. It is no error if one is not there."""

    def check(self) -> None:
        """Write a small object, read it back and remove it. Raises as everything else does."""
        key = f".unitrack-check-{secrets.token_hex(4)}"
        self.write(key, b"check")
        self.read(key)
        self.remove([key])
