"""The names that a query may use: the fields of a run and the functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import msgspec

from unitrack.names import nearest
from unitrack.query.conditions import Field, Group, Statistic
from unitrack.query.lexer import Segment
from unitrack.records import GROUP, JOB_TYPE, PARENT


class UnknownNameError(ValueError):
    """A name that the vocabulary does not have, in words for the user."""


class Function(msgspec.Struct, frozen=True):
    """A function of a vocabulary."""

    least: int
    """Arguments that it needs."""
    most: int
    is_condition: bool = False
    """Whether it is true or false by itself, such as `has(params.lr)`, or a value to compare."""


class Vocabulary(msgspec.Struct, frozen=True):
    """What a kind of query may name. It has no other names, and none of Python's."""

    resolve: Callable[[Sequence[Segment]], Field]
    """Return the field of a dotted name. Raises `UnknownNameError`."""
    functions: Mapping[str, Function] = {}
    arithmetic: bool = False
    """Whether `+ - * /` are allowed."""


_GROUPS: dict[str, Group] = {
    "params": "params",
    "param": "params",
    "parameters": "params",
    "parameter": "params",
    "metrics": "metrics",
    "metric": "metrics",
    "tags": "tags",
    "tag": "tags",
    "attributes": "run",
    "attribute": "run",
    "attr": "run",
    "run": "run",
}
_OF_RUN: dict[str, Field] = {
    **{
        name: Field("run", name)
        for name in ("name", "id", "project", "status", "started", "ended", "duration", "location")
    },
    "group": Field("tags", GROUP),
    "job_type": Field("tags", JOB_TYPE),
    "parent": Field("tags", PARENT),
    "run_id": Field("run", "id"),  # these five are MLflow's
    "run_name": Field("run", "name"),
    "start_time": Field("run", "started"),
    "created": Field("run", "started"),
    "end_time": Field("run", "ended"),
}
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)


def run_field(segments: Sequence[Segment]) -> Field:
    """Return the field of a run that a name means: `params.lr`, `metrics."val/loss".max`, `status`.

    Raises `UnknownNameError`.
    """
    first, *rest = segments
    group = None if first.quoted else _GROUPS.get(first.text.lower())
    if group is None or (group == "run" and len(rest) != 1):
        return _of_run(segments)
    if group == "run":
        return _of_run(rest)
    if not rest or not all(segment.text for segment in rest):
        raise UnknownNameError(f"a name is missing after {first.text!r}, such as {first.text}.lr")
    statistic: Statistic | None = None
    if group == "metrics" and len(rest) > 1 and not rest[-1].quoted:
        statistic = next((one for one in STATISTICS if one == rest[-1].text), None)
    names = rest[:-1] if statistic else rest
    return Field(group, ".".join(segment.text for segment in names), statistic)


def _of_run(segments: Sequence[Segment]) -> Field:
    name = ".".join(segment.text for segment in segments)
    if len(segments) == 1 and name.lower() in _OF_RUN:
        return _OF_RUN[name.lower()]
    close = nearest(segments[0].text, [*_OF_RUN, "params", "metrics", "tags"])
    if close in _GROUPS and len(segments) > 1:
        close = ".".join([close, *(segment.text for segment in segments[1:])])
    own = ", ".join(field for field in _OF_RUN if _OF_RUN[field].name == field)
    hint = f"did you mean {close}?" if close else f"there are params.NAME, metrics.NAME, tags.NAME, {own}"
    raise UnknownNameError(f"unknown field {name[:100]!r}: {hint}")


OF_RUNS = Vocabulary(run_field, {"has": Function(1, 1, is_condition=True)})
"""The vocabulary of filters."""
