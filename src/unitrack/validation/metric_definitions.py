"""Metric definitions: the checks of `define_metric`, and the tag that stores a definition in every backend."""

from __future__ import annotations

from typing import get_args

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.records import DEFINITION_PREFIX, MetricDefinition, SummaryKind
from unitrack.validation.messages import brief
from unitrack.values.plain import plain_text


def check_definition(name: str, step_metric: str | None, summary: str | None) -> MetricDefinition:
    """Return the definition of a metric. Raises `InvalidTypeError` or `InvalidValueError` for bad arguments."""
    for what, value in (("name", name), ("step_metric", step_metric)):
        if value is None and what == "step_metric":
            continue
        if not isinstance(value, str) or not value or plain_text(value) != value:
            raise InvalidTypeError(f"define_metric: {what} must be the name of a metric, got {brief(value)}")
    try:
        return MetricDefinition(step_metric, msgspec.convert(summary, SummaryKind | None))
    except (msgspec.ValidationError, UnicodeEncodeError):
        known = ", ".join(repr(kind) for kind in get_args(SummaryKind))
        raise InvalidValueError(
            f"define_metric {name!r}: summary must be one of {known}, got {brief(summary)}"
        ) from None


def as_tag(name: str, definition: MetricDefinition) -> dict[str, str]:
    """Return the tag that stores a definition; `name` is a metric or a glob."""
    return {DEFINITION_PREFIX + name: msgspec.json.encode(definition).decode()}
