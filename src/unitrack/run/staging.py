"""The run's own copies of logged files, made in the log call, so that later changes of the originals don't matter."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from unitrack.blobs.copying import clone_or_copy
from unitrack.errors import InvalidTypeError, InvalidValueError, JournalError
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.disk import remedy
from unitrack.system.files import FOLDER_MODE, open_private
from unitrack.system.members import is_passed_over
from unitrack.validation import is_member_name
from unitrack.validation.messages import brief


def artifact_name(source: Path, artifact_path: str | None) -> str:
    """Return the name of a file or folder among the run's artifacts.

    Without `artifact_path` it is the name of the source. An `artifact_path` that ends in "/", or that has no suffix
    while the file has one, is a folder, as in MLflow; any other is the whole name. Raises `InvalidTypeError` if it is
    not a string.
    """
    if not isinstance(artifact_path, str | None):
        raise InvalidTypeError(
            f"artifact_path {brief(artifact_path)} must be a string, got {type(artifact_path).__name__}"
        )
    name = source.name if source.name not in ("", "..") else source.resolve().name
    if not artifact_path:
        return name
    is_folder = artifact_path.endswith("/") or (source.suffix != "" and PurePosixPath(artifact_path).suffix == "")
    return f"{artifact_path.rstrip('/')}/{name}" if is_folder else artifact_path


def with_step(name: str, step: int | None) -> str:
    """Return the name of a medium at a step, "roc-7.png", so that the next one doesn't replace it."""
    if step is None:
        return name
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{step}{path.suffix}"))


class Stage:
    """Makes copies in the spool, each in a folder of its own, so that equal names don't collide."""

    def __init__(self, folder: RunFolder, stores: Sequence[str] = ()) -> None:
        """`stores`: globs of the stores of backends, which are left out of a logged folder."""
        self._stores = stores
        self._folder = folder
        self._numbers = itertools.count()

    def new_file(self, writer: str, name: str) -> Path:
        """Return a path for a new copy, in a new folder. Raises `JournalError` if the folder can't be made."""
        place = self._folder.files / f"{writer}-{next(self._numbers)}"
        try:
            self._folder.files.mkdir(mode=FOLDER_MODE, exist_ok=True)  # no parents: a deleted run folder stays deleted
            place.mkdir(mode=FOLDER_MODE)
        except OSError as error:
            raise _not_stored(name, place, error) from error
        return place / PurePosixPath(name).name

    def lies_in(self, folder: Path) -> bool:
        """Return whether a folder of the run contains the staged copies: copying it would copy it into itself."""
        folder = folder.resolve()
        staged = self._folder.files.resolve()
        return staged.is_relative_to(folder) and folder.is_relative_to(self._folder.path.resolve())

    def copy(
        self, writer: str, source: Path, name: str, left_out: list[Path] | None = None, *, steady: bool = False
    ) -> Path:
        """Return a copy of a file or folder, without members that are passed over or have names that can't be logged.

        Members with such names (see `is_member_name`) are added to `left_out`, relative to the folder. Raises
        `JournalError` if the copy fails, and, with `steady`, `InvalidValueError` if the source is written meanwhile;
        nothing is left behind then.
        """
        before = _stamps(source) if steady else None
        copy = self.new_file(writer, name)
        try:
            if source.is_dir():
                import shutil  # noqa: PLC0415  # three compressors cost 2 ms

                def odd_names(folder: str, names: list[str]) -> list[str]:
                    odd = sorted(name for name in names if not is_member_name(name))
                    if left_out is not None:
                        left_out.extend(Path(folder, name).relative_to(source) for name in odd)
                    return odd + [
                        name for name in names if name not in odd and is_passed_over(Path(folder, name), self._stores)
                    ]

                shutil.copytree(source, copy, copy_function=_copy_file, ignore=odd_names)
            else:
                _copy_file(source, copy)
        except OSError as error:  # `shutil.Error` is one
            self.discard(copy)
            raise _not_stored(name, copy, error) from error
        if before is not None and _stamps(source) != before:
            self.discard(copy)
            raise InvalidValueError(
                f"artifact {name!r}: {source} was written while it was stored, so its copy would be neither the old "
                "content nor the new; log it when its writer is done"
            )
        return copy

    def gather(self, writer: str, name: str, files: Mapping[str, Path]) -> Path:
        """Return a folder with copies of files; `files`: by their paths in it. Raises `JournalError` as `copy` does."""
        folder = self.new_file(writer, name)
        try:
            for inside, source in files.items():
                copy = folder / inside
                copy.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
                _copy_file(source, copy)
        except OSError as error:
            self.discard(folder)
            raise _not_stored(name, folder, error) from error
        return folder

    def write(self, writer: str, name: str, data: bytes) -> Path:
        """Return a new file with this content. Raises `JournalError` as `copy` does."""
        copy = self.new_file(writer, name)
        try:
            with open(copy, "wb", opener=open_private) as file:
                file.write(data)
        except OSError as error:
            self.discard(copy)
            raise _not_stored(name, copy, error) from error
        return copy

    @staticmethod
    def discard(copy: Path) -> None:
        """Remove a copy that was refused."""
        with contextlib.suppress(OSError):  # the import may fail: too many open files
            import shutil  # noqa: PLC0415  # three compressors cost 2 ms

            shutil.rmtree(copy.parent, ignore_errors=True)


def _copy_file(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Copy a file, never writable for all: no other user may change files in the spool."""
    clone_or_copy(source, destination)
    mode = stat.S_IMODE(os.stat(destination).st_mode)
    if mode & stat.S_IWOTH:
        os.chmod(destination, mode & ~stat.S_IWOTH)


def _stamps(source: Path) -> list[tuple[str, int, int]]:
    """Return the size and the time of change of a file, or of each file in a folder."""
    if not source.is_dir():
        found = os.stat(source)
        return [("", found.st_size, found.st_mtime_ns)]
    stamps = []
    for place, _, names in os.walk(source):
        for name in names:
            path = os.path.join(place, name)
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(path)
                stamps.append((path, found.st_size, found.st_mtime_ns))
    return sorted(stamps)


def _not_stored(name: str, copy: Path, error: OSError) -> JournalError:
    why = getattr(error, "strerror", None) or str(error)
    code = getattr(error, "errno", None) or 0
    message = f"artifact {name!r} was not stored ({why}); what was logged before is safe; {remedy(code)}"
    return JournalError(code, message, getattr(error, "filename", None) or str(copy))
