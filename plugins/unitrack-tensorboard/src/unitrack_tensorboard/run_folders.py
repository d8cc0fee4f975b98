"""The runs below a logdir: each folder with event files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event

from unitrack.records import PARENT, RunStart
from unitrack_tensorboard import layout
from unitrack_tensorboard.frame_reader import payload_at, payloads
from unitrack_tensorboard.overview import Overview
from unitrack_tensorboard.points import milliseconds_of


class RunFolder(msgspec.Struct, frozen=True):
    """A folder with event files."""

    id: str
    path: Path
    project: str
    """The name of the folder that it is in; "" for the logdir itself."""
    parent: str
    """The id of the run in whose folder it is, as torch's `add_hparams` and `add_scalars` make them; else ""."""
    overview: Overview | None
    """What unitrack wrote of the run as a whole."""

    def start(self) -> RunStart:
        """Return the first record of the run. Of a run that unitrack did not write, it reads the first event."""
        if self.overview:
            start = self.overview.start
            return msgspec.structs.replace(start, run_id=self.id, unitrack_id=start.run_id, seq=0)
        return RunStart(
            seq=0,
            time=_first_time(self.path),
            run_id=self.id,
            name=self.path.name,
            project=self.project,
            tags={PARENT: self.parent} if self.parent else {},
        )


def run_folders(logdir: Path) -> Iterator[RunFolder]:
    """Yield the runs below a logdir, by the names of their folders. The id is the name of the folder for a run of
    unitrack, and the path below the logdir for others'. Links to folders are followed, as TensorBoard does, but no
    folder is read twice.
    """
    known: dict[Path, str] = {}
    taken: set[str] = set()
    for path in _folders(logdir):
        overview = Overview.load(path)
        relative = path.relative_to(logdir).as_posix()
        run_id = overview.id if overview else relative if relative != "." else logdir.name
        while run_id in taken:  # a copy of a run, or a folder called like one
            run_id = relative if run_id != relative and relative not in taken else f"./{run_id}"
        taken.add(run_id)
        known[path] = run_id
        above = next((known[one] for one in path.parents if one in known and one != logdir), "")
        yield RunFolder(run_id, path, path.parent.name if path != logdir else "", above, overview)


def _folders(logdir: Path) -> Iterator[Path]:
    """The folders that hold event files and do not belong to the run of a folder above."""
    tops, seen = [logdir], set()
    for top in tops:  # what is linked comes after what is there
        for path, folders, files in os.walk(top):
            folder = Path(path)
            with contextlib.suppress(OSError):
                status = folder.stat()
                if (status.st_dev, status.st_ino) in seen:
                    folders.clear()
                    continue
                seen.add((status.st_dev, status.st_ino))
            folders.sort()
            if any("tfevents" in name for name in files):
                if layout.overviews(folder):
                    folders[:] = [name for name in folders if name != layout.ARTIFACTS and not layout.is_late(name)]
                yield folder
            tops += [folder / name for name in folders if os.path.islink(folder / name)]


def _first_time(folder: Path) -> int:
    """When the first event of a folder was written, in ms since the epoch; 0 if it has none."""
    for path in layout.foreign_files(folder):
        with contextlib.suppress(OSError, DecodeError):  # the run may be deleted at this moment
            payload = payload_at(path, 0)
            if payload is None:
                payload = next(payloads(path), None)
            if payload is not None:
                return milliseconds_of(Event.FromString(payload).wall_time)
    return 0
