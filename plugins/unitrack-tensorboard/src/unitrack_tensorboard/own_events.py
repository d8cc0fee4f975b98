"""The points and artifacts of a run that unitrack wrote, as the records they came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from unitrack.hookspecs import decode
from unitrack.records import Artifact, Metrics
from unitrack_tensorboard import layout
from unitrack_tensorboard.event_reader import EventReader, Other
from unitrack_tensorboard.names import ARTIFACT, metric_name
from unitrack_tensorboard.points import Points, Selection, gather, records, with_late

_Late = dict[str, dict[int, Metrics]]
"""Per tag: each point by the number of those before it."""


def own_records(root: Path, wanted: Collection[str] | None = None) -> Iterator[Metrics | Artifact]:
    """Yield points in the order of logging, each that came late back in its place; then the artifacts that are kept.

    With `wanted`, yield the points of those metrics alone.
    """
    files, late_files = _files(root)
    late = _late_records(late_files, wanted)
    seen: dict[str, int] = defaultdict(int)
    artifacts: dict[str, Artifact] = {}
    reader = EventReader()
    selection = _selection(reader, wanted)
    for batch in reader.read(files):
        artifacts |= _artifacts(batch.others, root)
        for _, record in records(selection.of(batch.points), reader.tags.names):
            yield _named(record)
            for tag in record.values() if late else ():
                seen[tag] += 1
                yield from _next_late(late, seen, tag)
    for rest in late.values():  # only if points that came before are damaged
        yield from (_named(rest[order]) for order in sorted(rest))
    if wanted is None:
        yield from _kept(artifacts)


def own_run(root: Path, wanted: Collection[str] | None = None) -> tuple[dict[str, Points], list[Artifact]]:
    """Return what `own_records` yields, the points by metric: of all, or of the wanted ones."""
    files, late_files = _files(root)
    artifacts: dict[str, Artifact] = {}
    reader, late_reader = EventReader(), EventReader()

    def stretches() -> Iterator[Points]:
        for batch in reader.read(files):
            artifacts.update(_artifacts(batch.others, root))
            yield batch.points

    found = gather(_selection(reader, wanted), stretches())
    late = gather(_selection(late_reader, wanted), (batch.points for batch in late_reader.read(late_files)))
    by_metric: dict[str, list[Points]] = defaultdict(list)
    for tag in found | late:
        by_metric[metric_name(tag)].append(with_late(found.get(tag), late.get(tag)))
    return {name: Points.join(parts) for name, parts in by_metric.items()}, _kept(artifacts)


def _selection(reader: EventReader, wanted: Collection[str] | None) -> Selection:
    return Selection(reader.tags, lambda tag: wanted is None or metric_name(tag) in wanted)


def _files(root: Path) -> tuple[list[Path], list[Path]]:
    """The event files of the run's own folder, and of its late ones."""
    files = list(layout.parts(root))
    return [path for number, _, path in files if not number], [path for number, _, path in files if number]


def _next_late(late: _Late, seen: dict[str, int], tag: str) -> Iterator[Metrics]:
    of_tag = late.get(tag)
    while of_tag and (point := of_tag.pop(seen[tag], None)):
        seen[tag] += 1
        yield _named(point)


def _late_records(paths: Iterable[Path], wanted: Collection[str] | None) -> _Late:
    late: _Late = defaultdict(dict)
    reader = EventReader()
    selection = _selection(reader, wanted)
    for batch in reader.read(paths):
        each = selection.of(batch.points).singly()
        for (_, record), order in zip(records(each, reader.tags.names), each.orders.tolist(), strict=True):
            [tag] = record.values()
            late[tag][order] = record
    return late


def _named(record: Metrics) -> Metrics:
    """The record with the names of metrics in place of tags."""
    values = record.values()
    names = {tag: metric_name(tag) for tag in values if "_x" in tag}
    return record.with_values({names.get(tag, tag): value for tag, value in values.items()}) if names else record


def _artifacts(others: Iterable[Other], root: Path) -> dict[str, Artifact]:
    """Artifacts by name: the last one of a name, as only its file is there."""
    found = {}
    for other in others:
        if other.value.tag == ARTIFACT and other.value.tensor.string_val:
            try:
                artifact = decode(other.value.tensor.string_val[0], Artifact)
            except msgspec.DecodeError:  # not what we wrote
                continue
            # An absolute path, so that it is found whatever folder it is joined to.
            file = str(root.absolute() / layout.ARTIFACTS / artifact.name)
            found[artifact.name] = msgspec.structs.replace(artifact, file=file)
    return found


def _kept(artifacts: dict[str, Artifact]) -> list[Artifact]:
    return [artifact for artifact in artifacts.values() if Path(artifact.file).exists()]
