"""What may be logged as an artifact, and under which name."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from unitrack.errors import ArtifactNotFoundError, InvalidTypeError, InvalidValueError
from unitrack.folder_members import members
from unitrack.safe_files import leads_out
from unitrack.validation.refusing import brief

MAX_FILE_NAME_BYTES = 240
"""ext4, XFS, APFS and NTFS take 255; the rest is for the names of temporary files beside it."""
MAX_PATH_BYTES = 2048
"""Linux takes 4096 in all, of which the run folder is a part."""


def check_artifact_name(name: str) -> str:
    """Return where an artifact belongs, as a relative POSIX path.

    Raises `InvalidTypeError` if `name` is no string, `InvalidValueError` if it leaves the run's artifacts, holds a
    backslash or broken Unicode, or is longer than file systems take.
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
    """Return whether a name can be written as UTF-8: Python shows other bytes of a file's name as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_member_name(name: str) -> bool:
    """Return whether a file or folder called `name` is logged when the folder that holds it is."""
    return "\\" not in name and is_unicode(name) and len(name.encode()) <= MAX_FILE_NAME_BYTES


def is_member_path(inside: PurePosixPath | Path) -> bool:
    """Return whether each part of a path below a folder is one that `is_member_name` takes."""
    return all(map(is_member_name, inside.parts))


def _begins_with_drive(name: str) -> bool:
    return name[1:2] == ":"


def check_source_file(path: Path, max_bytes: int) -> int:
    """Return the size in bytes of a file or folder to log, of a folder without what `is_member_name` and `members`
    leave out.

    Raises `ArtifactNotFoundError` if it is missing, `InvalidValueError` if it is larger than `max_bytes`, holds a
    symbolic link that leads out of it, or is no regular file.
    """
    if not os.path.exists(path):  # `Path.exists` raises for a name that is too long
        raise ArtifactNotFoundError(f"Artifact not found: {path} (looked from {Path.cwd()})")
    if path.is_dir():
        folder = path.resolve()
        size = sum(_member_size(member, folder) for member in members(path) if is_member_path(member.relative_to(path)))
    elif path.is_file():
        size = path.stat().st_size
    else:
        raise InvalidValueError(f"artifact {path} is neither a file nor a folder")
    check_size(str(path), size, max_bytes)
    return size


def check_size(what: str, size: int, max_bytes: int) -> None:
    """Raise `InvalidValueError` if `what` has more than `max_bytes`."""
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
