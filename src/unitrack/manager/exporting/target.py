"""Where an export goes: a file or a folder that appears whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import msgspec

from unitrack.errors import ConfigError, UnitrackError
from unitrack.names import nearest

Format = Literal["parquet", "csv", "jsonl", "neptune"]
Table = Literal["points", "runs"]
FORMATS: tuple[Format, ...] = get_args(Format)
TABLES: tuple[Table, ...] = get_args(Table)
_OF_SUFFIX: dict[str, Format] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_OWN = {"data", "files", *(f"{table}.{format_}" for table in TABLES for format_ in FORMATS)}
"""What an export writes into a folder: one that holds anything else is never replaced."""


class Target(msgspec.Struct, frozen=True):
    """A file with one table, or a folder with both or with the folders of neptune-exporter."""

    path: Path
    format: Format
    is_file: bool

    @classmethod
    def parse(cls, to: str | os.PathLike[str], format_: Format | None) -> Target:
        """Return the target that a path and perhaps a format name. Raises `ConfigError` if they do not fit together."""
        path = Path(to).expanduser()
        if format_ is not None:
            check_word("format", format_, FORMATS)
        of_suffix = _OF_SUFFIX.get(path.suffix.lower())
        is_folder = path.is_dir() or str(to).endswith(os.sep)
        if of_suffix is None and path.suffix[1:].isalpha() and not is_folder:
            raise ConfigError(
                f"{str(to)!r} has no ending of a table: give a file that ends in .parquet, .csv or .jsonl, or a folder "
                f"as '{to}{os.sep}'"
            )
        if of_suffix is None or is_folder:
            return cls(path, format_ or "parquet", is_file=False)
        if format_ not in (None, of_suffix):
            wanted = "a folder" if format_ == "neptune" else f"a folder, or a file that ends in .{format_}"
            raise ConfigError(f"{str(to)!r} would be a file of the format {of_suffix}, not {format_}: give {wanted}")
        return cls(path, of_suffix, is_file=True)

    def check(self, *, overwrite: bool) -> None:
        """Raise `ConfigError` if the target must not be replaced."""
        if os.path.realpath(self.path) == os.path.realpath(os.curdir):
            raise ConfigError(f"{str(self.path)!r} is the working directory: give a folder in it, or a file")
        if not os.path.lexists(self.path) or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not overwrite:
            raise ConfigError(
                f"{str(self.path)!r} exists: give another target, or replace it with --overwrite (overwrite=True)"
            )
        if self.is_file != (not self.path.is_dir()):
            raise ConfigError(f"{str(self.path)!r} is a {'folder' if self.is_file else 'file'}: give another target")
        others = sorted({entry.name for entry in self.path.iterdir()} - _OWN) if self.path.is_dir() else []
        if others:
            raise ConfigError(
                f"{str(self.path)!r} holds {others[0]!r}, which no export has written: give another target"
            )

    @contextlib.contextmanager
    def replaced(self) -> Iterator[Path]:
        """Give a temporary folder to write in; what lies in it under the target's name then takes its place.

        If the block raises, Ctrl-C included, the target stays as it was. Raises `ConfigError` if it can't be written.
        """
        parent = self.path.absolute().parent
        scratch = parent / f".{self.path.name}.{os.getpid()}.tmp"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            scratch.mkdir()
        except OSError as error:
            raise ConfigError(f"can't write to {str(parent)!r}: {error.strerror}; give another target") from error
        try:
            yield scratch
            self._move(scratch / self.path.name, aside=scratch / "before")
        except UnitrackError:
            raise
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigError(f"can't write {str(self.path)!r}: {why}; make room, or give another target") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _move(self, written: Path, aside: Path) -> None:
        if self.is_file:
            os.replace(written, self.path)
            return
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, aside)
        try:
            os.rename(written, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.rename(aside, self.path)
            raise


def check_word(what: str, word: str, known: Sequence[str]) -> None:
    """Raise `ConfigError`, which names a similar word, for one that is not known."""
    if word not in known:
        close = nearest(str(word), known)
        hint = f"did you mean {close!r}?" if close else f"it is one of {', '.join(known)}"
        raise ConfigError(f"unknown {what} {word!r}: {hint}")
