"""A whole run, from its records: what was logged and what is read back are both gathered in this form and compared."""

from __future__ import annotations

from pathlib import Path

import msgspec

from unitrack.records import AnyRecord, Metrics, RunStart
from unitrack.values.run_summary import RunFold

Point = tuple[int, float]
"""Step and value."""


class Contents(RunFold, kw_only=True):
    """A run as its user thinks of it, with every point and the content of every file."""

    name: str = ""
    project: str = ""
    description: str = ""
    points: dict[str, list[Point]] = msgspec.field(default_factory=dict)
    """By metric, in order of logging."""
    times: dict[str, list[int]] = msgspec.field(default_factory=dict)
    """When each point was logged, by metric, in milliseconds since the epoch."""
    files: dict[str, bytes] = msgspec.field(default_factory=dict)
    """The content of each artifact by its name, or of each file in it if it is a folder."""

    def add(self, record: AnyRecord) -> None:
        """Take in the next record. The content of an artifact is `put` beside it."""
        if isinstance(record, RunStart):
            self.name, self.project, self.description = record.name, record.project, record.description
        super().add(record)

    def add_points(self, record: Metrics) -> None:
        """Keep points."""
        for name, value in record.values().items():
            self.points.setdefault(name, []).append((record.step, value))
            self.times.setdefault(name, []).append(record.time)

    def withdraw(self, metric: str, step: int) -> None:
        """Remove the points of a metric from a step on."""
        stays = [number for number, point in enumerate(self.points[metric]) if point[0] < step]
        self.points[metric] = [self.points[metric][number] for number in stays]
        self.times[metric] = [self.times[metric][number] for number in stays]

    def put(self, name: str, path: Path) -> None:
        """Keep what lies at `path` as the content of the artifact `name`, in place of what it was before."""
        for old in [old for old in self.files if old == name or old.startswith(f"{name}/")]:
            del self.files[old]
        self.files.update(files_at(name, path))


def files_at(name: str, path: Path) -> dict[str, bytes]:
    """Return the content of a file, or of all files in a folder, by the name of each among a run's artifacts."""
    if not path.is_dir():
        return {name: path.read_bytes()}
    inside = (file for file in sorted(path.rglob("*")) if file.is_file())
    return {f"{name}/{file.relative_to(path).as_posix()}": file.read_bytes() for file in inside}
