"""Checks of artifacts: the name, the file or folder, its size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from unitrack.errors import ArtifactNotFoundError, InvalidTypeError, InvalidValueError
from unitrack.names import leads_out
from unitrack.system.members import walk_members
from unitrack.validation.messages import brief

MAX_FILE_NAME_BYTES = 240
"""ext4, XFS, APFS and NTFS take 255 bytes; the rest is left for the suffixes of temporary files."""
MAX_PATH_BYTES = 2048
"""Linux takes 4096 bytes for a whole path; the rest is left for the run folder."""


def check_artifact_name(name: str) -> str:
    """Return the name of an artifact as a relative POSIX path.

    Raises `InvalidTypeError` if `name` is not a string, `InvalidValueError` if it leaves the run's artifacts, holds a
    backslash or broken Unicode, or is longer than file systems accept.
    """
    if not isinstance(name, str):
        raise InvalidTypeError(f"artifact path {brief(name)} must be a string, got {type(name).__name__}")
    path = PurePosixPath(name)
    if leads_out(name) or _begins_with_drive(name):
        raise InvalidValueError(
            f"artifact path {brief(name)} must be relative and stay inside the run's artifacts (no '..', no leading "
            "'/', no drive as in 'C:')"
        )
    if "\\" in name:
        raise InvalidValueError(
            f"artifact path {brief(name)} holds a backslash, which Windows and some backends take for a '/'; "
            "write '/' between folders, or give the file another name"
        )
    if not is_unicode(name):
        raise InvalidValueError(
            f"artifact path {brief(name)} holds broken Unicode: it is not UTF-8; give it another name"
        )
    parts = [part.encode() for part in path.parts]
    if max(map(len, parts), default=0) > MAX_FILE_NAME_BYTES or sum(map(len, parts)) > MAX_PATH_BYTES:
        raise InvalidValueError(
            f"artifact path {brief(name)} is too long: {MAX_FILE_NAME_BYTES} bytes a part and {MAX_PATH_BYTES} in all "
            "is what file systems take"
        )
    return path.as_posix()


def is_unicode(name: str) -> bool:
    """Return whether a name can be written as UTF-8. Python shows other bytes in a file's name as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_member_name(name: str) -> bool:
    """Return whether a file or folder of this name is logged as a member of a logged folder."""
    return "\\" not in name and is_unicode(name) and len(name.encode()) <= MAX_FILE_NAME_BYTES


def is_member_path(inside: PurePosixPath | Path) -> bool:
    """Return whether `is_member_name` accepts each part of a path below a folder."""
    return all(map(is_member_name, inside.parts))


def _begins_with_drive(name: str) -> bool:
    return name[1:2] == ":"


def check_source_file(path: Path, max_bytes: int, stores: Sequence[str] = ()) -> int:
    """Return the size in bytes of a file or folder to log.

    In a folder, what `is_member_name` and `walk_members` leave out does not count; `stores` are the globs of the stores
    of backends, which `walk_members` leaves out. Raises `ArtifactNotFoundError` if it is missing, `InvalidValueError`
    if it is larger than `max_bytes`, holds a symbolic link that leads out of it, or is not a regular file.
    """
    if not os.path.exists(path):  # `Path.exists` raises for a name that is too long
        raise ArtifactNotFoundError(f"Artifact not found: {path} (looked from {Path.cwd()})")
    if path.is_dir():
        folder = path.resolve()
        inside = (member for member in walk_members(path, stores) if is_member_path(member.relative_to(path)))
        size = sum(_member_size(member, folder) for member in inside)
    elif path.is_file():
        size = path.stat().st_size
    else:
        raise InvalidValueError(f"artifact {path} is neither a file nor a folder")
    check_size(str(path), size, max_bytes)
    return size


def check_size(what: str, size: int, max_bytes: int) -> None:
    """Raise `InvalidValueError` if `size` is above `max_bytes`; `what` names the file in the message."""
    if size > max_bytes:
        raise InvalidValueError(
            f"Artifact too large: {what} has {size / 2**20:.1f}MB, {max_bytes / 2**20:.1f}MB are allowed "
            "(safeguards.max_artifact_bytes)"
        )


def _member_size(member: Path, folder: Path) -> int:
    if member.is_symlink():
        target = member.resolve()
        if not target.is_relative_to(folder):
            raise InvalidValueError(
                f"artifact folder {folder} holds the symbolic link {member.name!r}, which leads out of it"
            )
        if member.parent.resolve().is_relative_to(target):
            raise InvalidValueError(
                f"artifact folder {folder} holds the symbolic link {member.name!r}, which leads to a folder that it "
                "lies in: a copy would have no end"
            )
    if member.is_dir():
        return 0
    if not member.is_file():
        raise InvalidValueError(f"artifact folder {folder} holds {member.name!r}, which is no regular file")
    return member.stat().st_size
