"""The content of all versions of a root, each file once, under its SHA-256.

A file gets here without being copied: as a hard link, or as a copy that shares its blocks where the file system can.
What is kept is made read-only, since a hard link is the same file as the one that was logged.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from unitrack.blobs.content import Content, Member
from unitrack.system.files import link_or_copy, make_folders, remove_path

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class ContentStore:
    """The folder of contents. Hold the registry's lock while it is changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_of(self, digest: str) -> Path:
        """Return where the content with this digest lies, or would."""
        return self._folder / digest[:2] / digest[2:]

    def keep(self, source: Path, content: Content, target: Path) -> None:
        """Keep a file or a folder, whose content is known, and make `target` a view of it. Raises `OSError`."""
        aside = target.with_name(f".{target.name}.new")
        remove_path(aside)
        make_folders(aside)
        for member in members_of(source.name, content):
            kept = self._keep_file(source.parent / member.path, member.digest)
            view = aside / member.path
            make_folders(view.parent)
            link_or_copy(kept, view)
        if content.members is not None:
            make_folders(aside / source.name)  # a folder without files is one all the same
        remove_path(target)
        os.rename(aside, target)

    def _keep_file(self, source: Path, digest: str) -> Path:
        kept = self.path_of(digest)
        if not kept.exists():
            make_folders(kept.parent)
            part = kept.with_name(f".{kept.name}.part")
            part.unlink(missing_ok=True)
            link_or_copy(source, part)
            os.chmod(part, stat.S_IMODE(os.stat(part).st_mode) & ~_WRITABLE)
            os.rename(part, kept)
        elif source.stat().st_ino != kept.stat().st_ino:
            _share(kept, source)
        return kept

    def share(self, source: Path, content: Content) -> None:
        """Let the files of a copy take no space, whose content is kept already. Raises `OSError`."""
        for member in members_of(source.name, content):
            self._keep_file(source.parent / member.path, member.digest)

    def digests(self) -> Iterator[tuple[str, int]]:
        """Yield the digest and the size in bytes of each content."""
        for folder in _entries(self._folder):
            for file in _entries(folder.path):
                with contextlib.suppress(FileNotFoundError):
                    yield folder.name + file.name, file.stat().st_size

    def remove_all_but(self, needed: Collection[str]) -> int:
        """Remove the contents that no version needs, and return their bytes. Raises `OSError`."""
        freed = 0
        for digest, size in list(self.digests()):
            if digest not in needed:
                self.path_of(digest).unlink(missing_ok=True)
                freed += size
        return freed


def _share(kept: Path, source: Path) -> None:
    """Make a copy in the spool a link to the same content that is kept already, so that it takes no space."""
    part = source.with_name(f".{source.name}.part")
    with contextlib.suppress(OSError):  # it is only space
        os.link(kept, part)
        os.replace(part, source)


def members_of(name: str, content: Content) -> Iterator[Member]:
    """Yield the files of a content, each with its path in a version's folder, in which it is called `name`."""
    if content.members is None:
        yield Member(name, content.size, content.digest)
    else:
        for one in content.members:
            yield Member(f"{name}/{one.path}", one.size, one.digest)


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
