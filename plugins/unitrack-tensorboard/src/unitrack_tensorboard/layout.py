"""The layout of the TensorBoard folder of a run.

    events.out.tfevents.<opened, s>.<ms>.unitrack     points, images, texts; one more file after each restart
    events.out.tfevents.0000000000.<n>.unitrack-run   the run as a whole (see `overview`), replaced as it changes
    late-1/ late-2/ ...                               points that came out of order (see `placement`)
    artifacts/                                        the files and folders that were logged
    projector_config.pbtxt, projector/                the embeddings among them, for the projector

Readers take the files of a folder in the order of their names.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ARTIFACTS = "artifacts"

_PART = re.compile(r"events\.out\.tfevents\.(\d{10,})\.(\d{3})\.unitrack")
_OVERVIEW = re.compile(r"events\.out\.tfevents\.0000000000\.(\d{6,})\.unitrack-run")
_LATE = re.compile(r"late-([1-9]\d*)")


def folder(root: Path, number: int) -> Path:
    """The run's own folder (0) or `late-<number>`."""
    return root / f"late-{number}" if number else root


def part_path(root: Path, number: int, part: int) -> Path:
    """The event file of a part in a folder. A part is a start of the sink, numbered by its time in ms."""
    return folder(root, number) / f"events.out.tfevents.{part // 1000:010d}.{part % 1000:03d}.unitrack"


def overview_path(root: Path, number: int) -> Path:
    """The `number`th overview of a run."""
    return root / f"events.out.tfevents.0000000000.{number:06d}.unitrack-run"


def overviews(root: Path) -> list[tuple[int, Path]]:
    """The overviews that lie there, oldest first: more than one only after a crash."""
    found = ((_OVERVIEW.fullmatch(name), name) for name in _names(root))
    return sorted((int(match[1]), root / name) for match, name in found if match)


def parts(root: Path) -> Iterator[tuple[int, int, Path]]:
    """Folder number, part and path of each event file of unitrack, in the order in which they were written."""
    late = ((_LATE.fullmatch(name), name) for name in _names(root))
    folders = [(0, root), *sorted((int(match[1]), root / name) for match, name in late if match)]
    for number, directory in folders:
        found = ((_PART.fullmatch(name), name) for name in _names(directory))
        for part, name in sorted((int(match[1] + match[2]), name) for match, name in found if match):
            yield number, part, directory / name


def foreign_files(root: Path) -> list[Path]:
    """Event files in the folder that unitrack didn't write, in the order in which readers take them."""
    names = sorted(name for name in _names(root) if "tfevents" in name)
    return [root / name for name in names if not _PART.fullmatch(name) and not _OVERVIEW.fullmatch(name)]


def is_late(name: str) -> bool:
    """Return whether a folder of this name in a run's folder holds its late points."""
    return _LATE.fullmatch(name) is not None


def roll_back(root: Path, part: int, lengths: Mapping[int, int]) -> None:
    """Undo what was written after a checkpoint: `lengths` are the bytes that are committed of each folder's file of
    `part`. Earlier parts are final, later ones go. Files that others put there stay.
    """
    for number, found, path in list(parts(root)):
        if found > part or (found == part and number not in lengths):
            path.unlink()
            if number:
                with contextlib.suppress(OSError):  # others' files may lie there
                    path.parent.rmdir()
        elif found == part and path.stat().st_size > lengths[number]:
            os.truncate(path, lengths[number])


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
