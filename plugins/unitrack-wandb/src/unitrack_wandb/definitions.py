"""What `wandb.define_metric` was given, as the definitions of unitrack.

An offline file has a `MetricRecord` for each call. A server has the same under `_wandb.m` in the config, with the
numbers of the protobuf fields as keys: {"1": name, "2": glob, "4": axis, "5": its place in the list from 1, "7": which
summaries}. W&B expands a glob for each metric that it matches.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from unitrack.records import DEFINITION_PREFIX, MetricDefinition, SummaryKind
from unitrack_wandb.sdk import pb

_NAME, _GLOB, _AXIS, _AXIS_PLACE, _SUMMARY = "1", "2", "4", "5", "7"
_KINDS: tuple[SummaryKind, ...] = ("min", "max", "mean", "last", "first")
_FIELDS = pb.MetricSummary.DESCRIPTOR.fields_by_name
_NUMBERS: dict[int, SummaryKind] = {_FIELDS[kind].number: kind for kind in _KINDS if kind in _FIELDS}
_STEP = "_step"
"""W&B's own axis."""


def defined_by(record: pb.MetricRecord) -> dict[str, MetricDefinition]:
    """Return the definition in a record of an offline file, by its metric or glob; none if it says nothing."""
    kinds = [kind for kind in _NUMBERS.values() if getattr(record.summary, kind)]
    return _definition(record.name or record.glob_name, record.step_metric, kinds)


def defined_in(internal: object) -> dict[str, MetricDefinition]:
    """Return the definitions in what a server keeps as `_wandb` in a run's config, by metric or glob."""
    entries = internal.get("m") if isinstance(internal, Mapping) else None
    known = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
    names = [str(entry.get(_NAME) or entry.get(_GLOB) or "") for entry in known]
    found: dict[str, MetricDefinition] = {}
    for name, entry in zip(names, known, strict=True):
        place = entry.get(_AXIS_PLACE)
        named = names[place - 1] if isinstance(place, int) and 0 < place <= len(names) else ""
        numbers = entry.get(_SUMMARY)
        kinds = [_NUMBERS[number] for number in numbers if number in _NUMBERS] if isinstance(numbers, list) else []
        found |= _definition(name, str(entry.get(_AXIS) or named), kinds)
    return found


def as_tags(definitions: Mapping[str, MetricDefinition]) -> dict[str, str]:
    """Return definitions as the tags in which unitrack keeps them."""
    return {DEFINITION_PREFIX + name: msgspec.json.encode(one).decode() for name, one in definitions.items()}


def _definition(name: str, axis: str, kinds: list[SummaryKind]) -> dict[str, MetricDefinition]:
    """Of several kinds of summaries none stands for the whole run."""
    definition = MetricDefinition(
        step_metric=axis if axis and axis != _STEP else None, summary=kinds[0] if len(kinds) == 1 else None
    )
    return {name: definition} if name and definition != MetricDefinition() else {}
