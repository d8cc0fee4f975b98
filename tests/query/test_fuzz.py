"""Whatever text is parsed as a query: it has a meaning, or a `QueryError`."""

from __future__ import annotations

import contextlib
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from unitrack.errors import QueryError
from unitrack.hookspecs import RunSummary
from unitrack.query.filters import Query
from unitrack.query.ordering import parse_order
from unitrack.records import RunStart

RUN = RunStart(seq=0, time=1, run_id="a", name="bert", project="p")
SUMMARY = RunSummary(params={"lr": "0.1", "n": 10**400, "x": None, "d": {}}, tags={"t": "1"}, last={"loss": math.nan})
FIELDS = ("params.lr", "params.n", "params.x", "params.d", "tags.t", "metrics.loss.min", "name", "status", "started")
OPERATORS = (
    "and",
    "or",
    "not",
    "in",
    "like",
    "is",
    "null",
    "<",
    "==",
    "=",
    "!=",
    "~",
    "!~",
    "+",
    "-",
    "*",
    "**",
    ".",
    ",",
)
VALUES = (
    "1",
    "2h",
    "1e5",
    "0x1f",
    "'a'",
    "'x('",
    "'%a_'",
    "'-7d'",
    "'finished'",
    "none",
    "true",
    "nan",
    "(",
    ")",
    "[",
    "]",
)
OTHERS = ("has", "'", '"', "`", "\\", "\n", "ä", "\x00", "@", ";", ":", "lambda", "if", "for", "await", "__import__")
WORDS = (*FIELDS, *OPERATORS, *VALUES, *OTHERS)


@given(st.lists(st.sampled_from(WORDS), max_size=14), st.sampled_from(["", " "]))
@settings(max_examples=400, deadline=None)
def test_words_of_the_language_in_any_order(words: list[str], between: str) -> None:
    check(between.join(words))


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text(text: str) -> None:
    check(text)


@given(st.text(max_size=20).filter(lambda text: "\\" not in text))
@settings(max_examples=100, deadline=None)
def test_any_name_can_be_quoted(name: str) -> None:
    summary = RunSummary(params={name: 1}, tags={name: name})
    quoted = '"' + name.replace('"', '\\"') + '"'
    if name:
        assert Query.parse(f"params.{quoted} == 1 and has(params[{quoted}])").matches(RUN, summary)
        assert Query.parse(f"tags.{quoted} == {quoted}").matches(RUN, summary)


def check(text: str) -> None:
    with contextlib.suppress(QueryError):
        assert Query.parse(text).matches(RUN, SUMMARY) in (True, False)
    with contextlib.suppress(QueryError):
        parse_order(text)
