"""The source: runs in a TensorBoard logdir as the records that a journal would hold.

Runs that unitrack wrote come back with their original names, float64 values, times and params; late points are put back
where they were logged. Of others' logs (torch, TensorFlow, tensorboardX) it reads the scalars, as `simple_value` or as
tensors, what the HParams dashboard knows, and images, sounds, histograms and texts as artifacts. Every point is read,
in the order of logging; also those that TensorBoard hides when training was started again at an earlier step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path

import msgspec

from unitrack.hookspecs import Columns, Condition, RunSummary, Source
from unitrack.records import AnyRecord, Artifact, Metrics, RunStart
from unitrack_tensorboard import layout
from unitrack_tensorboard.foreign_events import foreign_records, foreign_run
from unitrack_tensorboard.foreign_media import fetch
from unitrack_tensorboard.overview import Overview
from unitrack_tensorboard.own_events import own_records, own_run
from unitrack_tensorboard.points import Points, columns, summarize
from unitrack_tensorboard.run_folders import RunFolder, run_folders


class TensorBoardSource(Source):
    """The runs below one logdir."""

    def __init__(self, location: str) -> None:
        """`location` is a logdir: what `tensorboard --logdir` takes. Raises `FileNotFoundError` if it is no folder."""
        self._logdir = Path(location).expanduser().absolute()
        if not self._logdir.is_dir():
            raise FileNotFoundError(f"there is no folder {self._logdir}: give a logdir, as to `tensorboard --logdir`")
        self._known: dict[str, RunFolder] = {}

    def runs(self) -> Iterator[RunStart]:
        """Yield each folder with event files. The id is the name of the run folder for a run of unitrack, and the path
        below the logdir for others'. No points are read.
        """
        return (run.start() for run in self._find_all())

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Yield the records of one run. Raises `KeyError` if there is no such run."""
        run = self._find(run_id)
        return self._records(msgspec.structs.replace(run, overview=Overview.load(run.path)))

    def summary(self, run_id: str) -> RunSummary:
        """Return the run without its points. Raises `KeyError` if there is no such run."""
        run = self._find(run_id)
        run = msgspec.structs.replace(run, overview=Overview.load(run.path))
        return _summary(run, run.start())

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield each run with its summary. Each file is read once, and none of a run that has another name, project or
        id than a condition requires.
        """
        for run in self._find_all():
            start = run.start()
            if all(_may_hold(condition, start) for condition in conditions):
                yield start, _summary(run, start)

    def history(self, run_id: str, metrics: Collection[str]) -> Iterator[Metrics]:
        """Yield the points of these metrics. Raises `KeyError` if there is no such run."""
        folder, wanted, numbers = self._find(run_id).path, frozenset(metrics), count()
        for record in chain(own_records(folder, wanted), foreign_records(layout.foreign_files(folder), wanted)):
            if isinstance(record, Metrics):
                yield msgspec.structs.replace(record, seq=next(numbers))

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return every point by metric. Raises `KeyError` if there is no such run."""
        folder = self._find(run_id).path
        wanted = None if metrics is None else frozenset(metrics)
        own, _ = own_run(folder, wanted)
        foreign, _ = foreign_run(layout.foreign_files(folder), wanted, points_only=True)
        return {name: columns(points) for name, points in _joined(own, foreign).items()}

    def folder(self, run_id: str) -> Path:
        """Return the folder of its event files. Raises `KeyError` if there is no such run."""
        return self._find(run_id).path

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Return the file of an artifact: where it lies, or made in `folder` if it is in an event file.

        Raises `FileNotFoundError` if that is gone.
        """
        return fetch(artifact, folder)

    def _find_all(self) -> list[RunFolder]:
        self._known = {run.id: run for run in run_folders(self._logdir)}
        return list(self._known.values())

    def _find(self, run_id: str) -> RunFolder:
        """The run with this id, or with this id in unitrack."""
        found = self._known_as(run_id)
        if found is None or not found.path.is_dir():
            self._find_all()
            found = self._known_as(run_id)
        if found is None:
            raise KeyError(f"no run {run_id!r} in {self._logdir}")
        return found

    def _known_as(self, run_id: str) -> RunFolder | None:
        if run_id in self._known:
            return self._known[run_id]
        own = (run for run in self._known.values() if run.overview and run.overview.start.run_id == run_id)
        return next(own, None)

    @staticmethod
    def _records(run: RunFolder) -> Iterator[AnyRecord]:
        numbers = count()
        found = chain(
            _described(run, run.start()),
            own_records(run.path),
            foreign_records(layout.foreign_files(run.path)),
            _ended(run),
        )
        for record in found:
            yield msgspec.structs.replace(record, seq=next(numbers))


def _summary(run: RunFolder, start: RunStart) -> RunSummary:
    own, artifacts = own_run(run.path)
    foreign, others = foreign_run(layout.foreign_files(run.path))
    told = RunSummary.of([*_described(run, start), *artifacts, *others, *_ended(run)])
    metrics = {name: summarize(points) for name, points in _joined(own, foreign).items()}
    last = {name: metric.last for name, metric in metrics.items() if metric.last is not None}
    return msgspec.structs.replace(told, metrics=metrics, last=last)


def _described(run: RunFolder, start: RunStart) -> Iterator[AnyRecord]:
    yield start
    if run.overview and run.overview.params:
        yield run.overview.params
    if run.overview and run.overview.tags:
        yield run.overview.tags


def _ended(run: RunFolder) -> Iterator[AnyRecord]:
    if run.overview and run.overview.end:
        yield run.overview.end


def _joined(*parts: Mapping[str, Points]) -> dict[str, Points]:
    """The points of each metric in `parts`, one behind the other."""
    return {name: Points.join(part[name] for part in parts if name in part) for name in chain(*parts)}


def _may_hold(condition: Condition, start: RunStart) -> bool:
    """Return False if a condition on what a run is called is false for certain. Others are left to the caller."""
    field, value = condition.field, condition.value
    called = {"name": (start.name,), "project": (start.project,), "id": (start.run_id, start.unitrack_id)}
    if field.group != "run" or field.name not in called or condition.operator != "==":
        return True
    return value in called[field.name] or not _is_word(value)


def _is_word(value: object) -> bool:
    """Return whether a value equals no text but itself: the number 1 also equals "1.0"."""
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False
