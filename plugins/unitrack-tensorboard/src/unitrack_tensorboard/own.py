"""The points and artifacts of a run that unitrack wrote, as the records they came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from unitrack.records import Artifact, Metrics
from unitrack_tensorboard import layout
from unitrack_tensorboard.summaries import read_scalar
from unitrack_tensorboard.tags import ARTIFACT, metric_name

_Late = dict[str, dict[int, Metrics]]
"""Per tag: the point that had so many before it."""


def own_records(root: Path) -> Iterator[Metrics | Artifact]:
    """Points in the order of logging, each that came late back in its place; then the artifacts that are kept."""
    files = list(layout.parts(root))
    late = _late_points(path for number, _, path in files if number)
    seen: dict[str, int] = defaultdict(int)
    artifacts: dict[str, Artifact] = {}  # the last one of a name, as only its file is there
    for event in _events(path for number, _, path in files if not number):
        points: dict[str, float] = {}
        for value in event.summary.value:
            if value.tag == ARTIFACT:
                artifact = _artifact(value, root)
                artifacts[artifact.name] = artifact
            elif value.HasField("simple_value"):
                points[value.tag] = read_scalar(value)[0]
        if points:
            yield _metrics(event, points)
        for tag in points:
            seen[tag] += 1
            yield from _next_late(late, seen, tag)
    for rest in late.values():  # only if points that came before are damaged
        yield from (rest[order] for order in sorted(rest))
    yield from (artifact for artifact in artifacts.values() if Path(artifact.file).exists())


def _next_late(late: _Late, seen: dict[str, int], tag: str) -> Iterator[Metrics]:
    of_tag = late.get(tag)
    while of_tag and (point := of_tag.pop(seen[tag], None)):
        seen[tag] += 1
        yield point


def _late_points(paths: Iterator[Path]) -> _Late:
    late: _Late = defaultdict(dict)
    for event in _events(paths):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                number, order = read_scalar(value)
                late[value.tag][order or 0] = _metrics(event, {value.tag: number})
    return late


def _events(paths: Iterator[Path]) -> Iterator[Any]:
    for path in paths:
        yield from LegacyEventFileLoader(str(path)).Load()


def _metrics(event: Any, points: dict[str, float]) -> Metrics:
    """`points` are by tag; the record has their names."""
    values = {metric_name(tag): value for tag, value in points.items()}
    return Metrics(seq=0, time=round(event.wall_time * 1000), step=event.step, metrics={}).with_values(values)


def _artifact(value: Any, root: Path) -> Artifact:
    """`file` is an absolute path here, so that it is found whatever folder it is joined to."""
    artifact = msgspec.json.decode(value.tensor.string_val[0], type=Artifact)
    return msgspec.structs.replace(artifact, file=str(root.absolute() / layout.ARTIFACTS / artifact.name))
