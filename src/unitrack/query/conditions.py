"""What a query asks of a run in its simplest parts, which a backend may be able to answer itself."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Group = Literal["params", "metrics", "tags", "run"]
Statistic = Literal["last", "first", "min", "max", "mean", "count", "step_of_min", "step_of_max"]
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in", "~", "like", "ilike", "has"]
"""`~` searches a regular expression; `like` and `ilike` are those of SQL; `has` takes no value."""


class Field(msgspec.Struct, frozen=True):
    """A value of a run that a query names: `metrics."val/loss".max` is Field("metrics", "val/loss", "max")."""

    group: Group
    """"run" for what each run has: name, id, project, status, started, ended, duration, location."""
    name: str
    statistic: Statistic | None = None
    """Of a metric."""


class Condition(msgspec.Struct, frozen=True):
    """A comparison of a field with a value that stands in the query."""

    field: Field
    operator: Operator
    value: Any = None
    """A number, a text, a bool, None, or a tuple of them for `in` and `not in`."""
