"""Files that git-lfs keeps: the code of a run holds their pointers, and their content lies beside the repository.

The content is taken from there without git-lfs, which may be missing. What is not there git-lfs has to fetch.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unitrack.rerun.git import has_git_lfs, read_objects, run_git, try_git

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
_MOST_OF_A_POINTER = 1024
"""Bytes: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""
_LISTED = re.compile(r"100(?:644|755) blob ([0-9a-f]{40,64}) +(\d+)\t(.*)", re.DOTALL)


class LfsFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the code whose content git-lfs keeps."""

    path: str
    oid: str
    """The SHA-256 of the content."""
    size: int
    """Bytes of the content."""
    source: str
    """The file with the content on this machine; "" if it is not here."""


class LfsState(msgspec.Struct, frozen=True, kw_only=True):
    """The files of git-lfs in the code of a run, as a plan shows them."""

    files: int = 0
    missing: tuple[str, ...] = ()
    """Paths of files whose content is not on this machine."""
    is_installed: bool = True
    """Whether git-lfs is, which can fetch them."""

    def in_words(self) -> str:
        """Return what is done about them."""
        count = f"{self.files} {'file' if self.files == 1 else 'files'} of git-lfs"
        if not self.missing:
            return f"{count}, from this machine"
        some = ", ".join(self.missing[:3]) + (f" and {len(self.missing) - 3} more" if len(self.missing) > 3 else "")
        if self.is_installed:
            return f"{count}; git-lfs fetches {some}"
        return f"{count}; {some}: not on this machine, and git-lfs is not installed, so the program gets pointers"


def look_at(repository: str, commit: str) -> LfsState:
    """Return what of git-lfs is in a commit, and on this machine."""
    files = list(find_files(repository, commit))
    missing = tuple(one.path for one in files if not one.source)
    return LfsState(files=len(files), missing=missing, is_installed=has_git_lfs())


def find_files(repository: str | Path, commit: str) -> Iterator[LfsFile]:
    """Yield the files in a commit that are pointers of git-lfs."""
    listed = try_git(repository, "ls-tree", "-r", "-z", "-l", "--full-tree", commit) or ""
    small = [
        (found[1], found[3])
        for entry in listed.split("\0")
        if (found := _LISTED.fullmatch(entry)) and 0 < int(found[2]) < _MOST_OF_A_POINTER
    ]
    store = _store_of(repository)
    contents = read_objects(repository, [name for name, _ in small])
    for (_, path), content in zip(small, contents, strict=False):
        if pointer := _POINTER.fullmatch(content):
            oid, size = pointer[1].decode(), int(pointer[2])
            source = store / oid[:2] / oid[2:4] / oid
            is_here = source.is_file() and source.stat().st_size == size
            yield LfsFile(path=path, oid=oid, size=size, source=str(source) if is_here else "")


def fill(repository: str | Path, commit: str, top: Path) -> None:
    """Put the content of the files into the work tree of a commit, as far as it is here or git-lfs can fetch it.

    Raises `ConfigError` with what git-lfs said.
    """
    missing = False
    for one in find_files(repository, commit):
        place = top / one.path
        if place.is_symlink() or not place.is_file() or place.stat().st_size >= _MOST_OF_A_POINTER:
            continue
        if not _POINTER.fullmatch(place.read_bytes()):
            continue  # git-lfs has put it there
        if one.source:
            shutil.copyfile(one.source, place)
        missing = missing or not one.source
    if missing and has_git_lfs():
        run_git(top, "lfs", "pull")


def _store_of(repository: str | Path) -> Path:
    storage = try_git(repository, "config", "--get", "lfs.storage") or "lfs"
    common = try_git(repository, "rev-parse", "--git-common-dir") or ".git"
    return Path(repository, common, storage, "objects")
