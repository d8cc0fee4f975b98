"""Which runs of several locations are listed, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from unitrack.errors import NotFoundError
from unitrack.names import nearest
from unitrack.query.conditions import Field
from unitrack.query.evaluation import MISSING
from unitrack.query.fields import needs_statistics, read_field
from unitrack.query.filters import Query
from unitrack.query.ordering import OrderKey
from unitrack.reading.guard import GuardedSource
from unitrack.reading.stored_run import StoredRun
from unitrack.values.directions import Direction
from unitrack.values.run_summary import RunSummary


class Selection(msgspec.Struct, frozen=True):
    """What `unitrack.runs` was asked for."""

    query: Query | None = None
    order: tuple[OrderKey, ...] = ()
    """Without it the newest run comes first; of equal runs as well."""
    limit: int | None = None

    def select(self, sources: Iterable[GuardedSource], *, with_summaries: bool = False) -> list[StoredRun]:
        """Return the runs. Each location is asked once for all of them.

        Their summaries are read only if they are needed for that, or with `with_summaries`.
        """
        if self.query is None and not self.order and not with_summaries:
            runs = [StoredRun(source, start) for source in sources for start in source.runs()]
            return sorted(runs, key=lambda run: run.started, reverse=True)[: self.limit]
        found = [one for source in sources for one in self._read(source)]
        found.sort(key=lambda one: one.run.started, reverse=True)
        for key in reversed(self.order):
            found.sort(key=lambda one, key=key: key.key(one.value_of(key)))  # type: ignore[misc]
        return [one.run for one in found[: self.limit]]

    def admits(self, run: StoredRun) -> bool:
        """Return whether the query holds for a run."""
        return self._examine(run) is not None

    def _read(self, source: GuardedSource) -> Iterator[_Examined]:
        conditions = self.query.conditions if self.query else ()
        for start, summary in source.summaries(conditions):
            examined = self._examine(StoredRun(source, start, known=summary))
            if examined is not None:
                yield examined

    def _examine(self, run: StoredRun) -> _Examined | None:
        """Return a run with what the query and the order need; None if the query does not hold, or the run is gone."""
        query, location = self.query, str(run.location)
        if query is not None and not query.may_match(run.start, run.at_hand, location):
            return None
        try:
            summary = _with_statistics(run, self._fields)
        except NotFoundError:
            return None  # deleted while it was read
        if query is not None and not query.matches(run.start, summary, location):
            return None
        return _Examined(run, summary)

    @property
    def _fields(self) -> tuple[Field, ...]:
        return (*(self.query.fields if self.query else ()), *(key.field for key in self.order))


class _Examined(NamedTuple):
    run: StoredRun
    summary: RunSummary
    """With the statistics that were asked for."""

    def value_of(self, key: OrderKey) -> Any:
        return read_field(key.field, self.run.start, self.summary, str(self.run.location))


def values_of(run: StoredRun, fields: Sequence[Field]) -> list[Any]:
    """Return the values of fields of a run; None for one that it does not have. Raises `SourceError`."""
    summary = _with_statistics(run, fields)
    values = (read_field(field, run.start, summary, str(run.location)) for field in fields)
    return [None if value is MISSING else value for value in values]


def _with_statistics(run: StoredRun, fields: Iterable[Field]) -> RunSummary:
    """Return the summary of a run with the statistics that fields ask for, and perhaps no others."""
    names = {field.name for field in fields if needs_statistics(field)}
    if not names or run.at_hand.metrics is not None:
        return run.at_hand
    return msgspec.structs.replace(run.at_hand, metrics=run.statistics(names))


def best_first(runs: Iterable[StoredRun], metric: str, direction: Direction) -> list[StoredRun]:
    """Return the runs that have a metric, the best value reached first; of equal ones, in their order."""
    values: list[tuple[float, StoredRun]] = []
    for run in runs:
        known = run.statistics((metric,)).get(metric)
        value = None if known is None else getattr(known, direction)
        if value is not None and not math.isnan(value):
            values.append((value if direction == "min" else -value, run))
    return [run for _, run in sorted(values, key=lambda pair: pair[0])]


def unknown_fields(query: Query, runs: Iterable[StoredRun]) -> list[str]:
    """Return a sentence for each field of a query that none of the runs has, with a similar one that some have."""
    known: dict[str, set[str]] = {"params": set(), "tags": set(), "metrics": set()}
    for run in runs:
        known["params"] |= run.at_hand.params.keys()
        known["tags"] |= run.at_hand.tags.keys()
        known["metrics"] |= run.at_hand.last.keys()
    sentences = []
    for field in query.fields:
        if field.group in known and field.name not in known[field.group]:
            close = nearest(field.name, known[field.group])
            hint = f": did you mean {field.group}.{close}?" if close else ""
            sentences.append(f"no run has {field.group}.{field.name}{hint}")
    return sentences
