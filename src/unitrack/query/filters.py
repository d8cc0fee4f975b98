"""A query that runs are filtered by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import msgspec

from unitrack.query.conditions import Condition, Field
from unitrack.query.evaluation import holds
from unitrack.query.fields import needs_statistics, read_field
from unitrack.query.parser import parse
from unitrack.query.tree import And, Call, Comparison, Constant, Reference, Term, Value, nodes_of
from unitrack.query.vocabulary import OF_RUNS
from unitrack.records import RunStart
from unitrack.values.run_summary import RunSummary


class Query(msgspec.Struct, frozen=True):
    """Which runs are meant: `Query.parse("params.lr < 0.01 and status == 'finished'")`."""

    text: str
    term: Term

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the query of a text. Raises `QueryError`, which shows the place of the mistake."""
        return cls(text, parse(text, OF_RUNS))

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms that all must hold."""
        return tuple(_terms_of(self.term))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Those terms that compare a field with a constant, for a backend that can search by them itself."""
        return tuple(found for term in self.terms if (found := _condition(term)) is not None)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that it names, in their order."""
        return tuple(dict.fromkeys(_fields_of(self.term)))

    @property
    def statistics(self) -> frozenset[str]:
        """The metrics of which more than the last value is asked."""
        return frozenset(field.name for field in self.fields if needs_statistics(field))

    @property
    def needs_statistics(self) -> bool:
        """Whether summaries must have `RunSummary.metrics`."""
        return bool(self.statistics)

    def matches(self, start: RunStart, summary: RunSummary, location: str = "") -> bool:
        """Return whether a run is meant. What the run does not have makes a comparison false."""
        return _hold(self.terms, start, summary, location)

    def may_match(self, start: RunStart, summary: RunSummary, location: str = "") -> bool:
        """Return whether a run can be meant, by the terms that need no statistics alone."""
        terms = tuple(term for term in self.terms if not any(map(needs_statistics, _fields_of(term))))
        return _hold(terms, start, summary, location)


def _hold(terms: tuple[Term, ...], start: RunStart, summary: RunSummary, location: str) -> bool:
    def read(value: Reference | Call) -> object:
        return read_field(value.field, start, summary, location) if isinstance(value, Reference) else None

    return all(holds(term, read) for term in terms)


def _terms_of(term: Term) -> Iterator[Term]:
    if isinstance(term, And):
        for one in term.terms:
            yield from _terms_of(one)
    else:
        yield term


def _condition(term: Term) -> Condition | None:
    match term:
        case Call(function="has", arguments=(Reference(field=field),)):
            return Condition(field, "has")
        case Comparison(left=Reference(field=field), operator=operator, right=Constant(value=value)):
            return Condition(field, operator, value)
    return None


def _fields_of(node: Term | Value) -> Iterator[Field]:
    yield from (one.field for one in nodes_of(node) if isinstance(one, Reference))
