"""What `define_metric` says of metrics, and the tags that keep it, in every backend."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Literal, Self, get_args

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.params import plain_text
from unitrack.validation.refusing import brief

PREFIX = "unitrack.metric."
"""+ metric or glob: a `Definition` as JSON."""

SummaryKind = Literal["last", "min", "max", "mean", "first"]


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a metric is shown."""

    step_metric: str | None = None
    """The metric on its x-axis."""
    summary: SummaryKind | None = None
    """Which of its values stands for the whole run."""

    @classmethod
    def of(cls, name: str, step_metric: str | None, summary: str | None) -> Self:
        """A definition, checked. Raises `InvalidTypeError` and `InvalidValueError`."""
        for what, value in (("name", name), ("step_metric", step_metric)):
            if value is None and what == "step_metric":
                continue
            if not isinstance(value, str) or not value or plain_text(value) != value:
                raise InvalidTypeError(f"define_metric: {what} must be the name of a metric, got {brief(value)}")
        try:
            return cls(step_metric, msgspec.convert(summary, SummaryKind | None))
        except (msgspec.ValidationError, UnicodeEncodeError):
            known = ", ".join(repr(kind) for kind in get_args(SummaryKind))
            raise InvalidValueError(
                f"define_metric {name!r}: summary must be one of {known}, got {brief(summary)}"
            ) from None

    def as_tag(self, name: str) -> dict[str, str]:
        """The tag that keeps it."""
        return {PREFIX + name: msgspec.json.encode(self).decode()}


def definitions(tags: Mapping[str, str]) -> dict[str, Definition]:
    """The definitions that tags keep, by metric or glob. A damaged one is left out."""
    found = {}
    for tag, text in tags.items():
        if tag.startswith(PREFIX):
            try:
                found[tag.removeprefix(PREFIX)] = msgspec.json.decode(text, type=Definition)
            except msgspec.MsgspecError:
                continue
    return found


def definition_for(metric: str, known: Mapping[str, Definition]) -> Definition | None:
    """What is said of a metric: by its name, else by the longest glob that it matches."""
    if metric in known:
        return known[metric]
    matching = [name for name in known if fnmatch.fnmatchcase(metric, name)]
    return known[max(matching, key=len)] if matching else None
