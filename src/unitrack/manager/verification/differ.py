"""Comparing two stored runs in everything they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from unitrack.errors import SourceError
from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.annotations import compare_annotations
from unitrack.manager.verification.difference import Difference, Subject
from unitrack.manager.verification.points import compare_points, only_in_one
from unitrack.reading import StoredRun
from unitrack.records import COPIED_FROM

_Value = TypeVar("_Value")

_NONE = Allowances()
_POINTS_AT_ONCE = 4_000_000
"""Points of each run that are held at the same time: about 100 MB a run. A metric of more is held alone."""
_POINTS_IN_A_METRIC = 1_000_000
"""What is assumed where a backend does not count them: such a one reads a metric without the others."""


class Findings(msgspec.Struct, frozen=True):
    """The differences between a run and the reference, and how much was compared."""

    differences: list[Difference]
    points: int
    """Of the run."""
    files: int
    """Of the run's artifacts."""


def compare_runs(reference: StoredRun, other: StoredRun, allowances: Allowances = _NONE) -> list[Difference]:
    """Return all differences between a run and the reference: those with `allowed` are stated, the others are faults.

    It compares name, project, description, start and status, params with their types, tags, the files of artifacts by
    hash, what they were logged with (captions, boxes, versions), and every point: step, value bit for bit, time.
    Histories are read in groups of metrics, so that memory is bounded. Raises `SourceError` if one of the runs can't be
    read.
    """
    return find_differences(reference, other, allowances, reference.digests()).differences


def find_differences(
    reference: StoredRun, other: StoredRun, allowances: Allowances, digests: Mapping[str, str]
) -> Findings:
    """Return what `compare_runs` returns, with counts. `digests` are those of the reference, which may be compared
    with several runs.
    """
    found = [
        *_of_run(reference, other),
        *_of_params(reference.params, other.params, allowances),
        *_of_mappings("tag", _but_origin(reference.tags), _but_origin(other.tags)),
    ]
    points = 0
    for compared, differences in _of_points(reference, other, allowances):
        points += compared
        found += differences
    try:
        files = other.digests()
        found += _of_mappings("artifact", digests, files)
        found += compare_annotations(reference.artifacts, other.artifacts, allowances)
    except SourceError as error:
        files = {}
        found.append(Difference(subject="artifact", name="*", problem=f"can't be read: {error}"))
    if allowances.changed_by:
        why = f"the sink's options {', '.join(allowances.changed_by)} change what it gets"
        found = [msgspec.structs.replace(one, allowed=one.allowed or why) for one in found]
    return Findings(found, points, len(files))


def _of_run(reference: StoredRun, other: StoredRun) -> Iterator[Difference]:
    for field in ("name", "project", "description", "started", "status"):
        expected, found = getattr(reference, field), getattr(other, field)
        if expected != found:
            yield Difference(subject="run", name=field, problem="differs", expected=expected, found=found)


def _of_params(reference: Mapping[str, Any], other: Mapping[str, Any], allowances: Allowances) -> Iterator[Difference]:
    for difference in _of_mappings("param", _spelled(reference), _spelled(other)):
        name = difference.name
        is_text = name in reference and name in other and str(reference[name]) == str(other[name])
        if is_text and allowances.text_params:
            yield msgspec.structs.replace(difference, problem="held as text", allowed="the backend holds text")
        else:
            yield difference


def _spelled(params: Mapping[str, Any]) -> dict[str, str]:
    """Return params as JSON, in which 1, 1.0, True and "1" are four different values."""
    return {name: msgspec.json.encode(value, order="sorted").decode() for name, value in params.items()}


def _of_mappings(
    subject: Subject, reference: Mapping[str, _Value], other: Mapping[str, _Value]
) -> Iterator[Difference]:
    for name, value in reference.items():
        found = other.get(name)
        if found is None:
            yield Difference(subject=subject, name=name, problem="missing", expected=value)
        elif found != value:
            yield Difference(subject=subject, name=name, problem="differs", expected=value, found=found)
    for name, value in other.items():
        if name not in reference:
            yield Difference(subject=subject, name=name, problem="extra", found=value)


def _but_origin(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags without the one by which a copy names its source."""
    return {name: value for name, value in tags.items() if name != COPIED_FROM}


def _of_points(
    reference: StoredRun, other: StoredRun, allowances: Allowances
) -> Iterator[tuple[int, list[Difference]]]:
    """Yield, by metric, how many points the other run has, and the differences."""
    names = list(dict.fromkeys([*reference.summary, *other.summary]))
    for group in _groups(reference, names):
        expected, found = reference.histories(group), other.histories(group)
        for name in group:
            before, after = expected.get(name), found.get(name)
            if before is not None and after is not None:
                yield len(after), list(compare_points(before, after, allowances))
            elif before is not None:
                yield 0, [only_in_one(before, allowances, "missing")]
            elif after is not None:
                yield len(after), [only_in_one(after, allowances, "extra")]


def _groups(reference: StoredRun, names: list[str]) -> Iterator[list[str]]:
    """Yield metrics in groups that are read together: few passes over a file that holds all, in bounded memory."""
    known = reference.points_at_hand
    group: list[str] = []
    points = 0
    for name in names:
        count = _POINTS_IN_A_METRIC if known is None else known.get(name, 0)
        if group and points + count > _POINTS_AT_ONCE:
            yield group
            group, points = [], 0
        group.append(name)
        points += count
    if group:
        yield group
