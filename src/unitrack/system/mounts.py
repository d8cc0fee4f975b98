"""Which file system a path lies on, and whether other machines can write to it without this one knowing."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

_INCOHERENT = {"nfs", "nfs3", "nfs4", "cifs", "smb2", "smb3", "smbfs", "afs", "afpfs", "webdav", "davfs"}
"""File systems of the network on which an append by one machine may overwrite that of another, or be seen late. Those
of clusters that keep appends and locks coherent (Lustre, GPFS, CephFS) are not among them."""
_INCOHERENT_FUSE = {"sshfs", "s3fs", "gcsfuse", "rclone", "goofys", "blobfuse", "blobfuse2", "davfs", "mount-s3"}
_ESCAPED = re.compile(r"\\(\d{3})")


def file_system_of(path: str | os.PathLike[str]) -> str:
    """Return the type of the file system that holds a path, such as "ext4" or "nfs4"; empty if that is not known."""
    return _type_in(_mounts(), os.path.realpath(path))


def is_incoherent(kind: str) -> bool:
    """Return whether two machines that append to a file on this type of file system may damage it."""
    name = kind.lower()
    return name in _INCOHERENT or (name.startswith("fuse.") and name.removeprefix("fuse.") in _INCOHERENT_FUSE)


def _mounts() -> Iterable[tuple[str, str]]:
    """Yield where each file system is mounted, and its type; later ones lie over earlier ones."""
    if sys.platform == "linux":
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
                yield from parse_mountinfo(file)
        except OSError:
            return
    else:
        import psutil  # noqa: PLC0415  # 12 ms

        for one in psutil.disk_partitions(all=True):
            yield one.mountpoint, one.fstype


def parse_mountinfo(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Yield place and type of each line of `/proc/PID/mountinfo`: its fifth field, and the first after the dash."""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and after:
            yield _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4]), after.split(" ")[0]


def _type_in(mounts: Iterable[tuple[str, str]], path: str) -> str:
    found, longest = "", -1
    for place, kind in mounts:
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= longest:
            found, longest = kind, len(place)
    return found
