"""Checking rules against the records of a run, in the order in which they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from unitrack.alerts.rules import Rule, metric_of, rules_of, seconds_of, window_of
from unitrack.alerts.series import Series
from unitrack.query.evaluation import MISSING, holds, value_of
from unitrack.query.tree import Call, Reference, nodes_of
from unitrack.records import SYSTEM_PREFIX, AnyRecord, Metrics, RunEnd, RunStart, Tags

_MAX_SHOWN = 6
"""Values that the text of an alert names."""


class Firing(msgspec.Struct, frozen=True):
    """A rule that has become true."""

    rule: str
    text: str
    """Why: "mean(loss, 100) > 2 * min(loss): mean(loss, 100) = 3.1, min(loss) = 0.4"."""
    step: int | None
    """Of the points that made it true; None if time did."""
    time: int
    """Milliseconds since the epoch."""


class Evaluator:
    """Checks rules. It keeps the last points of the metrics that rules name, and of the others nothing."""

    def __init__(self, rules: Iterable[Rule] = (), *, with_tags: bool = True) -> None:
        """`with_tags`: check the rules that the run's tags hold as well, each from its record on."""
        self._with_tags = with_tags
        self._rules: dict[str, Rule] = {}
        self._metrics: dict[str, frozenset[str]] = {}
        self._windows: dict[str, int] = {}
        self._series: dict[str, Series] = {}
        self._true: set[str] = set()
        """Rules that were true when they were checked last."""
        self._time = 0
        """Of the last points of training, in milliseconds since the epoch."""
        for rule in rules:
            self.watch(rule)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules."""
        return tuple(self._rules.values())

    def watch(self, rule: Rule) -> None:
        """Check one more rule from now on, in place of one of the same name."""
        if self._rules.get(rule.name) == rule:
            return
        self._rules[rule.name] = rule
        self._metrics[rule.name] = rule.metrics
        self._true.discard(rule.name)
        for call in rule.calls:
            metric, window = metric_of(call), window_of(call) or 1
            if metric is not None and window > self._windows.get(metric, 0):
                self._windows[metric] = window
                self._series.pop(metric, None)  # with more room for points
        for metric in rule.metrics:
            self._windows.setdefault(metric, 1)

    def add(self, record: AnyRecord) -> list[Firing]:
        """Take the next record of the run, and return the rules that it has made true."""
        match record:
            case Metrics():
                return self._add_points(record)
            case RunStart() | Tags():
                self._time = self._time or record.time
                for rule in rules_of(record.tags) if self._with_tags else ():
                    self.watch(rule)
        return []

    def _add_points(self, record: Metrics) -> list[Firing]:
        values = record.values()
        stalled = self.tick_until(record.time)
        if not all(name.startswith(SYSTEM_PREFIX) for name in values):
            self._time = max(self._time, record.time)
        concerned = values.keys() & self._windows.keys()
        for name in concerned:
            series = self._series.get(name)
            if series is None:
                series = self._series[name] = Series(self._windows[name])
            series.add(values[name], record.time)
        rules = [rule for rule in self._rules.values() if rule.is_of_time or not concerned.isdisjoint(rule.metrics)]
        return stalled + self._check(rules, record.step, record.time)

    def tick_until(self, time: int) -> list[Firing]:
        """Return the rules that became true since the last points, because nothing came, each at its own time."""
        calls = [call for rule in self._rules.values() if rule.is_of_time for call in rule.calls]
        waits = {seconds_of(call) for call in calls if call.function == "stalled"}
        due = sorted(self._time + int(seconds * 1000) + 1 for seconds in waits) if self._time else []
        return [firing for moment in due if moment < time for firing in self.tick(moment)]

    def tick(self, time: int) -> list[Firing]:
        """Return the rules that have become true since nothing was logged until `time`, ms since the epoch."""
        return self._check([rule for rule in self._rules.values() if rule.is_of_time], None, time)

    def _check(self, rules: Iterable[Rule], step: int | None, time: int) -> list[Firing]:
        fired = []
        for rule in rules:
            if not holds(rule.term, lambda value: self._read(value, time)):
                self._true.discard(rule.name)
            elif rule.name not in self._true:
                self._true.add(rule.name)
                fired.append(Firing(rule.name, self._text(rule, time), step, time))
        return fired

    def _read(self, value: Reference | Call, time: int) -> Any:
        if isinstance(value, Reference):
            return self._statistic(value.field.name, "last", None)
        metric = metric_of(value)
        if value.function == "stalled":
            since = self._time
            if metric is not None:
                since = self._series[metric].time if metric in self._series else self._time
            return bool(since) and time - since > seconds_of(value) * 1000
        assert metric is not None
        if value.function == "nan":
            return metric in self._series and not self._series[metric].is_finite()
        return self._statistic(metric, value.function, window_of(value))

    def _statistic(self, metric: str, name: str, window: int | None) -> Any:
        series = self._series.get(metric)
        found = None if series is None else series.statistic(name, window)
        return MISSING if found is None else found

    def _text(self, rule: Rule, time: int) -> str:
        """Return the rule and the values in it."""
        shown = {}
        for value in nodes_of(rule.term, into_calls=False):
            if not isinstance(value, Reference | Call):
                continue
            found = value_of(value, lambda one: self._read(one, time))
            if found is not MISSING and not isinstance(found, bool):
                shown[rule.when[value.start : value.end]] = f"{found:.6g}"
        values = ", ".join(f"{name} = {text}" for name, text in list(shown.items())[:_MAX_SHOWN])
        return f"{rule.when}: {values}" if values else rule.when


def replay(records: Iterable[AnyRecord], rules: Iterable[Rule] = ()) -> Iterator[Firing]:
    """Yield each alert that rules would have raised over the records of a run.

    Without rules, those count that the run's tags hold.
    """
    rules = tuple(rules)
    evaluator = Evaluator(rules, with_tags=not rules)
    for record in records:
        yield from evaluator.add(record)
        if isinstance(record, RunEnd):
            yield from evaluator.tick_until(record.time)
