"""Which file system a path lies on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from unitrack.system.mounts import _type_in, file_system_of, is_incoherent, parse_mountinfo

INFO = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:28 / /home rw,relatime shared:15 - nfs4 nas:/home rw,vers=4.2
31 30 8:1 / /home/local rw shared:3 - xfs /dev/sda1 rw
32 22 0:40 / /mnt/my\\040share rw - cifs //nas/share rw
33 22 0:41 / /mnt/ssh rw,nosuid - fuse.sshfs me@there: rw
34 30 0:42 / /home rw - tmpfs tmpfs rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/homes/me", "ext4"),
        ("/home/local/me/runs", "xfs"),
        ("/home/me", "tmpfs"),  # mounted over the other one
        ("/mnt/my share/x", "cifs"),
        ("/mnt/ssh", "fuse.sshfs"),
    ],
)
def test_the_innermost_mount_counts(path: str, kind: str) -> None:
    assert _type_in(parse_mountinfo(INFO.splitlines()), path) == kind


def test_which_ones_two_machines_can_damage() -> None:
    assert all(map(is_incoherent, ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.s3fs")))
    assert not any(map(is_incoherent, ("ext4", "xfs", "lustre", "gpfs", "ceph", "overlay", "fuse.ext4", "")))


@pytest.mark.skipif(sys.platform != "linux", reason="stat -f is Linux's")
def test_it_agrees_with_the_system(tmp_path: Path) -> None:
    assert file_system_of("/proc") == "proc"
    told = subprocess.run(
        ["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True
    ).stdout.strip()
    mine = file_system_of(tmp_path)
    assert mine.removesuffix("fs") in told or told.partition("/")[0] in mine or told.startswith(("ext2", "UNKNOWN"))
