"""An alert's rule: `mean(loss, 100) > 2 * min(loss)`, in the language of queries, with metrics as names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec

from unitrack.errors import QueryError
from unitrack.query.conditions import Field
from unitrack.query.lexer import Segment
from unitrack.query.parser import parse
from unitrack.query.tree import Call, Constant, Reference, Term, nodes_of
from unitrack.query.vocabulary import Function, Vocabulary

RULE_PREFIX = "unitrack.alert_rule."
"""The tag "unitrack.alert_rule.<name>" holds a rule of the run."""
ALERT_PREFIX = "unitrack.alert."
"""The tag "unitrack.alert.<name>" tells of the last alert of a rule."""

_MAX_WINDOW = 1_000_000
_WINDOWED = ("last", "first", "min", "max", "mean", "median", "std", "count")


def _metric(segments: Sequence[Segment]) -> Field:
    """Return the metric of a name: `loss`, `metrics.loss`, `metrics."val/loss"`."""
    names = [segment.text for segment in segments]
    if len(segments) > 1 and not segments[0].quoted and names[0] in ("metrics", "metric"):
        names = names[1:]
    return Field("metrics", ".".join(names))


VOCABULARY = Vocabulary(
    _metric,
    {name: Function(1, 2) for name in _WINDOWED}
    | {"nan": Function(1, 1, is_condition=True), "stalled": Function(1, 2, is_condition=True)},
    arithmetic=True,
)


class Rule(msgspec.Struct, frozen=True):
    """A named condition. It raises an alert when it becomes true, and again only after it has been false."""

    name: str
    when: str
    """The condition, as it was written."""
    term: Term

    @classmethod
    def parse(cls, name: str, when: str) -> Self:
        """Return the rule. Raises `QueryError`, which shows the place of a mistake."""
        term = parse(when, VOCABULARY)
        rule = cls(name, when, term)
        for call in rule.calls:
            _check(call, when)
        return rule

    @property
    def calls(self) -> tuple[Call, ...]:
        """The functions that it calls."""
        return tuple(node for node in nodes_of(self.term) if isinstance(node, Call))

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics that it names."""
        called = {metric_of(call) for call in self.calls}
        named = {node.field.name for node in nodes_of(self.term) if isinstance(node, Reference)}
        return frozenset(name for name in called | named if name is not None)

    @property
    def is_of_time(self) -> bool:
        """Whether it can become true though nothing is logged."""
        return any(call.function == "stalled" for call in self.calls)


def rules_of(tags: Mapping[str, str]) -> list[Rule]:
    """Return the rules that a run's tags hold, without those that can't be parsed."""
    found = []
    for tag, when in tags.items():
        if tag.startswith(RULE_PREFIX):
            try:
                found.append(Rule.parse(tag.removeprefix(RULE_PREFIX), when))
            except QueryError:
                continue  # of a later version
    return found


def metric_of(call: Call) -> str | None:
    """Return the metric that a call is about; None for `stalled` of the whole run."""
    which = call.arguments[-1 if call.function == "stalled" else 0]
    if isinstance(which, Reference):
        return which.field.name
    if isinstance(which, Constant) and isinstance(which.value, str):
        return which.value
    return None


def window_of(call: Call) -> int | None:
    """Return the number of points that a call looks back on; None for all."""
    if call.function in ("nan", "stalled") or len(call.arguments) < 2:
        return None
    window = call.arguments[1]
    assert isinstance(window, Constant)
    return int(window.value)


def seconds_of(call: Call) -> float:
    """Return how long `stalled` waits."""
    waits = call.arguments[0]
    assert isinstance(waits, Constant)
    return float(waits.value)


def _check(call: Call, when: str) -> None:
    """Raise `QueryError` for arguments of a function that it can't take."""
    if call.function == "stalled":
        waits = call.arguments[0]
        if not isinstance(waits, Constant) or not _is_number(waits.value) or waits.value <= 0:
            raise QueryError("stalled() takes a duration first, such as 10m", when, waits.start, waits.end)
        if len(call.arguments) == 1:
            return
    which = call.arguments[-1 if call.function == "stalled" else 0]
    if metric_of(call) is None:
        example = "stalled(10m, loss)" if call.function == "stalled" else f"{call.function}(loss)"
        raise QueryError(f"{call.function}() takes a metric, such as {example}", when, which.start, which.end)
    if call.function == "median" and len(call.arguments) == 1:
        raise QueryError("median() needs a window: median(loss, 100)", when, call.start, call.end)
    if call.function not in ("nan", "stalled") and len(call.arguments) == 2:
        window = call.arguments[1]
        is_count = isinstance(window, Constant) and type(window.value) is int and 1 <= window.value <= _MAX_WINDOW
        if not is_count:
            raise QueryError(f"the window is a number of points, 1 to {_MAX_WINDOW:,}", when, window.start, window.end)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
