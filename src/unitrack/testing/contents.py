"""What a run comes to, folded from its records: the same fold of what was logged and of what is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, Tags, flatten

Point = tuple[int, float]
"""Step and value."""


class Contents(msgspec.Struct):
    """A run as its user thinks of it."""

    name: str = ""
    project: str = ""
    description: str = ""
    status: str = "running"
    params: dict[str, Any] = {}
    """The newest value of each, by dotted name."""
    tags: dict[str, str] = {}
    points: dict[str, list[Point]] = {}
    """By metric, in order of logging."""
    times: dict[str, list[int]] = {}
    """When each point was logged, in ms."""
    files: dict[str, bytes] = {}
    """The content of each artifact by its name, or of each file in it if it is a folder."""
    artifacts: list[Artifact] = []
    """All artifact records."""

    def add(self, record: AnyRecord) -> None:
        """Fold in one record; an artifact's content is `put` beside it."""
        match record:
            case RunStart():
                self.name, self.project, self.description = record.name, record.project, record.description
                self.tags.update(record.tags)
            case Params():
                self.params.update(flatten(record.params))
            case Tags():
                self.tags.update(record.tags)
            case Metrics():
                for name, value in record.values().items():
                    self.points.setdefault(name, []).append((record.step, value))
                    self.times.setdefault(name, []).append(record.time)
            case Artifact():
                self.artifacts.append(record)
            case RunEnd():
                self.status = record.status

    def withdraw(self, metric: str, step: int) -> None:
        """The points of a metric from a step on are no longer there."""
        stays = [number for number, point in enumerate(self.points[metric]) if point[0] < step]
        self.points[metric] = [self.points[metric][number] for number in stays]
        self.times[metric] = [self.times[metric][number] for number in stays]

    def put(self, name: str, path: Path) -> None:
        """The artifact `name` is what lies at `path`, and no longer what it was before."""
        for old in [old for old in self.files if old == name or old.startswith(f"{name}/")]:
            del self.files[old]
        self.files.update(files_at(name, path))


def files_at(name: str, path: Path) -> dict[str, bytes]:
    """The content of a file, or of all files in a folder, by the name that each has among a run's artifacts."""
    if not path.is_dir():
        return {name: path.read_bytes()}
    inside = (file for file in sorted(path.rglob("*")) if file.is_file())
    return {f"{name}/{file.relative_to(path).as_posix()}": file.read_bytes() for file in inside}
