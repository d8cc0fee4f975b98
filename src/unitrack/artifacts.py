"""The run's own copy of a logged file: taken in the log call, so that what training writes next can't change it."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from unitrack.disk_trouble import remedy
from unitrack.errors import InvalidTypeError, JournalError
from unitrack.folder_members import is_passed_over
from unitrack.limits import MIB
from unitrack.runfolder import RunFolder
from unitrack.safe_files import FOLDER_MODE, open_private
from unitrack.validation import is_member_name
from unitrack.validation.refusing import brief


def artifact_name(source: Path, artifact_path: str | None) -> str:
    """Where a file or folder belongs among the run's artifacts.

    Without `artifact_path` it keeps its own name. One that ends in "/", or that has no suffix while the file has one,
    names a folder, as in MLflow; any other is the whole name. Raises `InvalidTypeError`
    if it is no string.
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
    """The name of a figure or an image at a step, so that the next one doesn't replace it: "roc-7.png"."""
    if step is None:
        return name
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{step}{path.suffix}"))


class Stage:
    """Takes copies into the spool. Each has a folder of its own, so equal names don't meet."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._numbers = itertools.count()

    def new_file(self, writer: str, name: str) -> Path:
        """A path for a new copy, its folder made. Raises `JournalError` if that can't be."""
        place = self._folder.files / f"{writer}-{next(self._numbers)}"
        try:
            self._folder.files.mkdir(mode=FOLDER_MODE, exist_ok=True)  # no parents: a deleted run folder stays so
            place.mkdir(mode=FOLDER_MODE)
        except OSError as error:
            raise _not_stored(name, place, error) from error
        return place / PurePosixPath(name).name

    def lies_in(self, folder: Path) -> bool:
        """Return whether a folder within the run holds what is staged: a copy of it would be copied into itself."""
        folder = folder.resolve()
        staged = self._folder.files.resolve()
        return staged.is_relative_to(folder) and folder.is_relative_to(self._folder.path.resolve())

    def copy(self, writer: str, source: Path, name: str, left_out: list[Path] | None = None) -> Path:
        """A copy of a file or folder, without the members that are passed over or whose names `is_member_name` refuses.

        The latter are added to `left_out`, relative to the folder. Raises `JournalError` if the disk won't take the
        copy; nothing is left behind then.
        """
        copy = self.new_file(writer, name)
        try:
            if source.is_dir():
                import shutil

                def odd_names(folder: str, names: list[str]) -> list[str]:
                    odd = sorted(name for name in names if not is_member_name(name))
                    if left_out is not None:
                        left_out.extend(Path(folder, name).relative_to(source) for name in odd)
                    return odd + [name for name in names if name not in odd and is_passed_over(Path(folder, name))]

                shutil.copytree(source, copy, copy_function=_copy_file, ignore=odd_names)
            else:
                _copy_file(source, copy)
        except OSError as error:  # `shutil.Error` is one
            self.discard(copy)
            raise _not_stored(name, copy, error) from error
        return copy

    def gather(self, writer: str, name: str, files: Mapping[str, Path]) -> Path:
        """A folder with copies of files, by their paths in it. Raises `JournalError` as `copy` does."""
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
        """A file with this content. Raises `JournalError` as `copy` does."""
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
        with contextlib.suppress(OSError):  # too many open files for an import, say
            import shutil

            shutil.rmtree(copy.parent, ignore_errors=True)


def _copy_file(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Copy a file; where the file system can share blocks (Btrfs, XFS) it does, and a gigabyte takes no time."""
    import shutil  # here and above: it loads three compressors, which a run without files need not wait for

    with open(source, "rb") as reader, open(destination, "xb") as writer:
        try:
            if sys.platform != "linux" or not hasattr(os, "copy_file_range"):
                raise OSError("only Linux has copy_file_range")
            while os.copy_file_range(reader.fileno(), writer.fileno(), 1024 * MIB):
                pass
        except OSError:  # or across file systems on old kernels
            reader.seek(0)
            writer.seek(0)
            shutil.copyfileobj(reader, writer, MIB)
    shutil.copystat(source, destination)
    mode = stat.S_IMODE(os.stat(destination).st_mode)
    if mode & stat.S_IWOTH:
        os.chmod(destination, mode & ~stat.S_IWOTH)  # what waits in the spool is not for all to change


def _not_stored(name: str, copy: Path, error: OSError) -> JournalError:
    why = getattr(error, "strerror", None) or str(error)
    code = getattr(error, "errno", None) or 0
    message = f"artifact {name!r} was not stored ({why}); what was logged before is safe; {remedy(code)}"
    return JournalError(code, message, getattr(error, "filename", None) or str(copy))
