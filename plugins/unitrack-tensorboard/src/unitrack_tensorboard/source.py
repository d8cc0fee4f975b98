"""The source: runs in a TensorBoard logdir as the records that a journal would hold.

Runs that unitrack wrote come back with their original names, float64 values, times and params; late points are put back
where they were logged. Of others' logs (torch, TensorFlow, tensorboardX) it reads the scalars, as `simple_value` or as
tensors, what the HParams dashboard knows, and images, sounds, histograms and texts as artifacts. It reads every point
through tensorboard's own loader: no sampling.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from unitrack.records import AnyRecord, Artifact, RunStart
from unitrack_tensorboard import layout
from unitrack_tensorboard.foreign import foreign_records
from unitrack_tensorboard.foreign_media import fetch
from unitrack_tensorboard.overview import Overview
from unitrack_tensorboard.own import own_records

_Found = tuple[Path, Overview | None]
"""A folder with event files, and what unitrack wrote of the run as a whole."""


class TensorBoardSource:
    """The runs below one logdir."""

    def __init__(self, location: str) -> None:
        """`location` is a logdir: what `tensorboard --logdir` takes. Raises `FileNotFoundError` if it is no folder."""
        self._logdir = Path(location).expanduser().absolute()
        if not self._logdir.is_dir():
            raise FileNotFoundError(f"there is no folder {self._logdir}: give a logdir, as to `tensorboard --logdir`")
        self._known: dict[str, _Found] = {}

    def runs(self) -> Iterator[RunStart]:
        """Each folder with event files. The id is the name of the run folder for a run of unitrack, and the path below
        the logdir for others'.
        """
        self._known = self._folders()
        for run_id, (folder, overview) in self._known.items():
            yield msgspec.structs.replace(self._start(folder, overview), run_id=run_id, seq=0)

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """The records of one run, by its id here or by that in unitrack. Raises `KeyError` if there is no such run."""
        own_id, folder = self._find(run_id)
        return self._records(own_id, folder, Overview.load(folder))

    def folder(self, run_id: str) -> Path:
        """The folder of its event files. Raises `KeyError` if there is no such run."""
        return self._find(run_id)[1]

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """The file of an artifact that `records` named: where it lies, or made in `folder` if it is in an event file.

        Raises `FileNotFoundError` if that is gone.
        """
        return fetch(artifact, folder)

    def _find(self, run_id: str) -> tuple[str, Path]:
        """The id here and the folder of the run with this id, or with this id in unitrack."""
        if run_id not in self._known:
            self._known = self._folders()
        if run_id in self._known:
            return run_id, self._known[run_id][0]
        for own_id, (folder, overview) in self._known.items():
            if overview and overview.start.run_id == run_id:
                return own_id, folder
        raise KeyError(f"no run {run_id!r} in {self._logdir}")

    def _records(self, run_id: str, folder: Path, overview: Overview | None) -> Iterator[AnyRecord]:
        numbers = count()
        start = msgspec.structs.replace(self._start(folder, overview), run_id=run_id)
        for record in self._unnumbered(folder, start, overview):
            yield msgspec.structs.replace(record, seq=next(numbers))

    @staticmethod
    def _unnumbered(folder: Path, start: RunStart, overview: Overview | None) -> Iterator[AnyRecord]:
        yield start
        if overview and overview.params:
            yield overview.params
        if overview and overview.tags:
            yield overview.tags
        yield from own_records(folder)
        yield from foreign_records(layout.foreign_files(folder))
        if overview and overview.end:
            yield overview.end

    def _folders(self) -> dict[str, _Found]:
        found: dict[str, _Found] = {}
        for path, folders, files in os.walk(self._logdir):
            folder = Path(path)
            folders.sort()
            if not any("tfevents" in name for name in files):
                continue
            overview = Overview.load(folder)
            if overview:
                folders[:] = [name for name in folders if name != layout.ARTIFACTS and not layout.is_late(name)]
            relative = folder.relative_to(self._logdir).as_posix()
            run_id = overview.id if overview else relative if relative != "." else self._logdir.name
            found[run_id if run_id not in found else relative] = (folder, overview)
        return found

    def _start(self, folder: Path, overview: Overview | None) -> RunStart:
        if overview:
            return overview.start
        project = folder.parent.name if folder != self._logdir else ""
        return RunStart(seq=0, time=_first_time(folder), run_id="", name=folder.name, project=project)


def _first_time(folder: Path) -> int:
    """When the first event of a folder was written, in ms since the epoch."""
    for path in layout.foreign_files(folder):
        for event in LegacyEventFileLoader(str(path)).Load():
            return int(event.wall_time * 1000 + 0.5)
    return 0
