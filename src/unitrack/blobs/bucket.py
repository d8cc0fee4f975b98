"""Objects in a bucket, or on a server, reached through fsspec."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from unitrack.blobs.address import Address
from unitrack.blobs.objects import Advance, Check, Objects, ignore, unchecked
from unitrack.blobs.troubles import explained
from unitrack.errors import SinkUnavailableError
from unitrack.limits import MIB
from unitrack.values.retries import retry_in_place

_Answer = TypeVar("_Answer")

PARALLEL = 4
"""Requests for parts of one file at a time: more fill memory, and hardly a wire."""
_RANGE = 16 * MIB
"""Bytes of one request of a download."""
_RENAMED = frozenset(("sftp", "ssh"))
"""Schemes of places where a file appears before it is whole, so that it is written under another name first."""


class BucketObjects(Objects):
    """Objects of any file system of fsspec, one request at a time, each made again a few times where it fails."""

    def __init__(self, address: Address, options: Mapping[str, Any]) -> None:
        super().__init__(address)
        with explained(address):
            self._files, self._base = self._open(options)

    def _open(self, options: Mapping[str, Any]) -> tuple[Any, str]:
        """Return the file system, and the path of the address in it."""
        from fsspec.core import url_to_fs  # noqa: PLC0415  # 40 ms, and what reaches the bucket half a second

        files, base = url_to_fs(self.address.url, **options)
        return files, str(base).rstrip("/")

    def _path(self, key: str) -> str:
        return f"{self._base}/{key}"

    def _ask(self, request: Callable[[], _Answer], key: str = "") -> _Answer:
        """Make a request, a few times if need be. Raises as `Objects` says."""

        def once() -> _Answer:
            with explained(self.address, key):
                return request()

        return retry_in_place(once)

    def size(self, key: str) -> int | None:
        """See `Objects.size`."""
        try:
            found: int = self._ask(lambda: self._files.info(self._path(key)), key)["size"]
        except FileNotFoundError:
            return None
        return found

    def facts(self, key: str) -> Mapping[str, Any]:
        """See `Objects.facts`."""
        with explained(self.address, key):
            found: Mapping[str, Any] = self._files.info(self._path(key))
        return found

    def read(self, key: str) -> bytes:
        """See `Objects.read`."""
        return bytes(self._ask(lambda: self._files.cat_file(self._path(key)), key))

    def write(self, key: str, data: bytes) -> None:
        """See `Objects.write`."""
        self._ask(lambda: self._put(key, lambda path: self._files.pipe_file(path, data)), key)

    def upload(self, key: str, path: Path, advance: Advance = ignore, check: Check = unchecked) -> None:
        """See `Objects.upload`. A file that is cut off begins anew."""
        with path.open("rb"):  # if it can't be read, that is no trouble of the bucket
            size = path.stat().st_size
        check()
        self._ask(lambda: self._put(key, lambda target: self._files.put_file(str(path), target)), key)
        advance(size)

    def _put(self, key: str, write: Callable[[str], None]) -> None:
        path = self._path(key)
        if self.address.scheme not in _RENAMED:
            write(path)
            return
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        part = f"{path}.{secrets.token_hex(4)}.part"
        try:
            write(part)
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(path)
            self._files.mv(part, path)
        except BaseException:
            with contextlib.suppress(Exception):
                self._files.rm_file(part)
            raise

    def download(self, key: str, path: Path, size: int, advance: Advance = ignore) -> None:
        """See `Objects.download`. Several ranges are requested at a time; one that is cut off is requested again."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o664)
        try:

            def fetch(start: int) -> None:
                data = self._ask(lambda: self._range(key, start, min(start + _RANGE, size)), key)
                os.pwrite(descriptor, data, start)
                advance(len(data))

            run_parallel(fetch, range(0, size, _RANGE))
        finally:
            os.close(descriptor)

    def _range(self, key: str, start: int, end: int) -> bytes:
        data = self._slice(key, start, end)
        if len(data) != end - start:
            raise SinkUnavailableError(f"{self.address}/{key} came with {len(data)} of {end - start} bytes")
        return data

    def _slice(self, key: str, start: int, end: int) -> bytes:
        """Make one request for the bytes from `start` up to `end`."""
        return bytes(self._files.cat_file(self._path(key), start=start, end=end))

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Objects.keys`."""
        try:
            found = self._ask(lambda: self._files.find(self._path(prefix)))
        except FileNotFoundError:
            return
        for path in found:
            yield str(path).removeprefix(f"{self._base}/")

    def remove(self, keys: Iterable[str]) -> None:
        """See `Objects.remove`."""
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                self._ask(lambda: self._files.rm_file(self._path(key)), key)  # noqa: B023  # called at once


def run_parallel(work: Callable[[int], None], items: Iterable[int]) -> None:
    """Do some work for all items, `PARALLEL` at a time. Raises the first error, and begins no other item then."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            raise
