"""A parsed query: a tree of frozen nodes. Each knows its place in the text, in characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from unitrack.query.conditions import Field, Operator


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """What all nodes share."""

    start: int
    end: int


class Constant(Node, frozen=True):
    """A number, a text, a bool, None, or a tuple of them."""

    value: Any


class Reference(Node, frozen=True):
    """A value of a run."""

    field: Field


class Call(Node, frozen=True):
    """A function of the vocabulary."""

    function: str
    arguments: tuple[Value, ...]


class Arithmetic(Node, frozen=True):
    """Two values and `+`, `-`, `*` or `/`."""

    left: Value
    operator: Literal["+", "-", "*", "/"]
    right: Value


class Comparison(Node, frozen=True):
    """Two values that are compared."""

    left: Value
    operator: Operator
    right: Value


class Not(Node, frozen=True):
    """True where its term is false."""

    term: Term


class And(Node, frozen=True):
    """True where all of its terms are."""

    terms: tuple[Term, ...]


class Or(Node, frozen=True):
    """True where one of its terms is."""

    terms: tuple[Term, ...]


Value = Constant | Reference | Call | Arithmetic
Term = Call | Comparison | Not | And | Or


def nodes_of(node: Term | Value, *, into_calls: bool = True) -> Iterator[Term | Value]:
    """Yield a node and all below it, in the order of the text; `into_calls`: also the arguments of functions."""
    yield node
    below: tuple[Term | Value, ...] = ()
    match node:
        case And() | Or():
            below = node.terms
        case Not():
            below = (node.term,)
        case Comparison() | Arithmetic():
            below = (node.left, node.right)
        case Call() if into_calls:
            below = node.arguments
    for one in below:
        yield from nodes_of(one, into_calls=into_calls)
