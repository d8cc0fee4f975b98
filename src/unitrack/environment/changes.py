"""The changes of a work tree since its last commit, and which of them are kept."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from unitrack.environment.git import Git
from unitrack.environment.record import LeftOut
from unitrack.limits import MAX_SNAPSHOT_FILES, MIB
from unitrack.system.members import is_passed_over
from unitrack.values.plain import plain_text

_DATABASE = b"SQLite format 3\0"
_SECRET_NAMES = (
    ".env",
    ".env.*",
    ".netrc",
    ".pypirc",
    ".git-credentials",
    "credentials.json",
    "kubeconfig",
    "id_rsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
)
_NO_SECRET_NAMES = (".env.example", ".env.sample", ".env.template", "*.pub")


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a work tree is kept."""

    file_bytes: int
    total_bytes: int
    stores: tuple[str, ...] = ()
    """Globs of the stores of backends, which are no code."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from the index, as far as it is kept. Paths are as the system has them, relative to the top."""

    kept: tuple[bytes, ...]
    dirty: bool
    """Whether a tracked file differs from the commit."""
    untracked: int
    left_out: tuple[LeftOut, ...]
    repositories: tuple[bytes, ...]
    """Untracked folders that are repositories of their own."""
    submodules: dict[bytes, bool]
    """Submodules that differ, and whether they have changes that are in no commit."""


class _Found(msgspec.Struct):
    path: bytes
    is_tracked: bool
    size: int


def find_changes(git: Git, root: str, bounds: Bounds) -> Changes:
    """Return what differs from the index that git has, new files included and ignored ones not. Raises `GitError`."""
    dirty, untracked = False, 0
    found: list[_Found] = []
    left_out: list[LeftOut] = []
    repositories: list[bytes] = []
    submodules: dict[bytes, bool] = {}
    passed_over = _PassedOver(root, bounds.stores)
    for status, sub, path in read_status(git.names(*STATUS)):
        is_tracked = status != "?"
        dirty = dirty or is_tracked
        if not is_tracked:
            if path.endswith(b"/"):
                repositories.append(path.rstrip(b"/"))
                continue
            if passed_over.holds(path):
                continue
            untracked += 1
        if sub.startswith("S"):
            submodules[path] = "M" in sub or "U" in sub
        why, size = _look(os.path.join(os.fsencode(root), path), path, is_tracked, bounds)
        if why:
            left_out.append(LeftOut(path=plain_text(os.fsdecode(path)), why=why))
        else:
            found.append(_Found(path, is_tracked, size))
    kept, beyond = _within(found, bounds)
    return Changes(
        kept=tuple(kept),
        dirty=dirty,
        untracked=untracked,
        left_out=(*left_out, *beyond),
        repositories=tuple(repositories),
        submodules=submodules,
    )


STATUS = ("status", "--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none")


def read_status(entries: Iterable[bytes]) -> Iterator[tuple[str, str, bytes]]:
    """Yield the kind ("1" changed, "u" in conflict, "?" new), the state of a submodule, and the path of each entry."""
    for entry in entries:
        kind = entry[:1].decode()
        if kind == "1":
            yield kind, entry[5:9].decode(), entry.split(b" ", 8)[8]
        elif kind == "u":
            yield kind, entry[5:9].decode(), entry.split(b" ", 10)[10]
        elif kind == "?":
            yield kind, "", entry[2:]


class _PassedOver:
    """Whether new files lie in a virtual environment, a cache, or the store of a backend."""

    def __init__(self, root: str, stores: Sequence[str]) -> None:
        self._root = root
        self._stores = stores
        self._known: dict[str, bool] = {"": False, ".": False}

    def holds(self, path: bytes) -> bool:
        return self._is_over(os.path.dirname(os.fsdecode(path)))

    def _is_over(self, folder: str) -> bool:
        if folder not in self._known:
            self._known[folder] = self._is_over(os.path.dirname(folder)) or is_passed_over(
                Path(self._root, folder), self._stores
            )
        return self._known[folder]


def _look(place: bytes, path: bytes, is_tracked: bool, bounds: Bounds) -> tuple[str, int]:
    """Return why a file is left out, "" if it is not, and its size. A file that is gone is a change with size 0."""
    try:
        status = os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return "", 0
    except OSError as error:
        return f"it can't be read ({error.strerror})", 0
    if not stat.S_ISREG(status.st_mode):
        return "", 0  # a link, a submodule
    if not is_tracked and is_secret_name(os.fsdecode(path)):
        return "its name says that it holds secrets", 0
    if status.st_size > bounds.file_bytes:
        return f"it has {status.st_size / MIB:.1f} MiB, more than reproducibility.max_file_bytes", 0
    try:
        with open(place, "rb") as file:
            if not is_tracked and file.read(len(_DATABASE)) == _DATABASE:
                return "it is a database", 0
    except OSError as error:
        return f"it can't be read ({error.strerror})", 0
    return "", status.st_size


def is_secret_name(path: str) -> bool:
    """Return whether a file's name says that it holds secrets: ".env", "*.pem"."""
    name = PurePosixPath(path).name.lower()
    return any(fnmatch.fnmatchcase(name, glob) for glob in _SECRET_NAMES) and not any(
        fnmatch.fnmatchcase(name, glob) for glob in _NO_SECRET_NAMES
    )


def _within(found: Sequence[_Found], bounds: Bounds) -> tuple[list[bytes], list[LeftOut]]:
    """Return what fits into the bounds, tracked files and then small ones first, and what does not."""
    kept: list[bytes] = []
    beyond: list[LeftOut] = []
    total = 0
    for one in sorted(found, key=lambda one: (not one.is_tracked, one.size, one.path)):
        if len(kept) >= MAX_SNAPSHOT_FILES and not one.is_tracked:
            why = f"there are more than {MAX_SNAPSHOT_FILES:,} new files"
        elif total + one.size > bounds.total_bytes:
            why = "all changes have more than reproducibility.max_tree_bytes"
        else:
            kept.append(one.path)
            total += one.size
            continue
        beyond.append(LeftOut(path=plain_text(os.fsdecode(one.path)), why=why))
    return kept, beyond
