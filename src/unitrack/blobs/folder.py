"""Objects that are files in a folder of this machine, or of a network file system."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from unitrack.blobs.copying import clone_or_copy
from unitrack.blobs.objects import Advance, Check, Objects, ignore, unchecked
from unitrack.errors import ArtifactStoreError, SinkUnavailableError
from unitrack.system.files import make_folders

_PART = ".part"


class FolderObjects(Objects):
    """Files in a folder, which is made if it is not there. Each is written under another name first."""

    @property
    def _root(self) -> Path:
        return Path(self.address.url)

    def size(self, key: str) -> int | None:
        """See `Objects.size`."""
        with self._explained():
            try:
                return (self._root / key).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, key: str) -> bytes:
        """See `Objects.read`."""
        with self._explained():
            return (self._root / key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        """See `Objects.write`."""
        with self._explained(), self._replacing(key) as part:
            part.write_bytes(data)

    def upload(self, key: str, path: Path, advance: Advance = ignore, check: Check = unchecked) -> None:
        """See `Objects.upload`. A file system that can share blocks makes it a clone."""
        size = path.stat().st_size
        with self._explained(), self._replacing(key) as part:
            clone_or_copy(path, part)
            check()
        advance(size)

    def download(self, key: str, path: Path, size: int, advance: Advance = ignore) -> None:
        """See `Objects.download`."""
        with self._explained():
            clone_or_copy(self._root / key, path)
        advance(size)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Objects.keys`."""
        for place, _, names in os.walk(self._root / prefix):
            for name in sorted(names):
                if not name.endswith(_PART):
                    yield Path(place, name).relative_to(self._root).as_posix()

    def remove(self, keys: Iterable[str]) -> None:
        """See `Objects.remove`."""
        with self._explained():
            for key in keys:
                (self._root / key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _replacing(self, key: str) -> Iterator[Path]:
        target = self._root / key
        make_folders(target.parent)
        part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}{_PART}")
        try:
            yield part
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError) as error:
            raise ArtifactStoreError(
                f"can't use {self.address}: {error.strerror or error} ({error.filename}); give a folder that can be "
                "written"
            ) from error
        except shutil.SameFileError:
            raise
        except OSError as error:
            if isinstance(error, ArtifactStoreError) or error.errno is None:
                raise
            raise SinkUnavailableError(f"can't use {self.address}: {error.strerror or error}") from error
