"""What may be logged as an artifact, and under which name."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from unitrack.errors import ArtifactNotFoundError, InvalidValueError
from unitrack.safe_files import leads_out
from unitrack.validation.refusing import brief

MAX_FILE_NAME_BYTES = 240
"""ext4, XFS, APFS and NTFS take 255; the rest is for the names of temporary files beside it."""
MAX_PATH_BYTES = 2048
"""Linux takes 4096 in all, of which the run folder is a part."""


def check_artifact_name(name: str) -> str:
    """Where an artifact belongs, as a relative POSIX path. Raises `InvalidValueError` for one that leaves the run."""
    posix = name.replace("\\", "/")
    path = PurePosixPath(posix)
    if leads_out(name) or posix[1:2] == ":":
        raise InvalidValueError(
            f"artifact path {name!r} must be relative and stay inside the run's artifacts (no '..', no leading '/')"
        )
    try:
        parts = [part.encode() for part in path.parts]
    except UnicodeEncodeError:
        raise InvalidValueError(f"artifact path {name!r} holds broken Unicode; give it another name") from None
    if max(map(len, parts), default=0) > MAX_FILE_NAME_BYTES or sum(map(len, parts)) > MAX_PATH_BYTES:
        raise InvalidValueError(
            f"artifact path {brief(name)} is too long: {MAX_FILE_NAME_BYTES} bytes a part and {MAX_PATH_BYTES} in all "
            "is what file systems take"
        )
    return path.as_posix()


def check_source_file(path: Path, max_bytes: int) -> int:
    """The size in bytes of a file or folder to log.

    Raises `ArtifactNotFoundError` if it is missing, `InvalidValueError` if it is larger than `max_bytes`, holds a
    symbolic link that leads out of it, or is no regular file.
    """
    if not path.exists():
        raise ArtifactNotFoundError(f"Artifact not found: {path} (looked from {Path.cwd()})")
    if path.is_dir():
        size = sum(_member_size(member, path.resolve()) for member in path.rglob("*"))
    elif path.is_file():
        size = path.stat().st_size
    else:
        raise InvalidValueError(f"artifact {path} is neither a file nor a folder")
    if size > max_bytes:
        raise InvalidValueError(
            f"Artifact too large: {path} has {size / 2**20:.1f}MB, {max_bytes / 2**20:.1f}MB are allowed "
            "(safeguards.max_artifact_bytes)"
        )
    return size


def _member_size(member: Path, folder: Path) -> int:
    if member.is_symlink() and not member.resolve().is_relative_to(folder):
        raise InvalidValueError(
            f"artifact folder {folder} holds the symbolic link {member.name!r}, which leads out of it"
        )
    if member.is_dir():
        return 0
    if not member.is_file():
        raise InvalidValueError(f"artifact folder {folder} holds {member.name!r}, which is no regular file")
    return member.stat().st_size
