"""The check of the local files for `unitrack doctor`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from unitrack.blobs.store import open_objects
from unitrack.errors import UnitrackError
from unitrack.hookspecs import Finding
from unitrack.local.options import LocalOptions

_ENOUGH = 100 * 2**20
"""Bytes."""


def check_places(options: LocalOptions) -> Iterator[Finding]:
    """Yield whether there is room on the disk, and whether files can be stored where they are configured to go.

    `start_run` itself checks that the root can be written.
    """
    free = shutil.disk_usage(Path.cwd()).free
    enough = free > _ENOUGH
    yield Finding(enough, "disk", f"{free / 2**30:.1f} GiB free" + ("" if enough else "; make room"))
    for option, place in options.places.items():
        yield _check(option, place, options)


def _check(option: str, place: str, options: LocalOptions) -> Finding:
    try:
        open_objects(place, options.storage_options).check()
    except (UnitrackError, OSError) as error:
        return Finding(False, option, str(error))
    return Finding(True, option, f"{place} can be written and read")
