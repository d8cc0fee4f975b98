"""Whether a parsed query holds, for values that the caller reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from unitrack.query.comparing import as_number, compare
from unitrack.query.tree import And, Arithmetic, Call, Comparison, Constant, Not, Or, Reference, Term, Value

MISSING: Final = object()
"""What `read` returns for a value that is not there. A comparison with it is false."""

Read = Callable[[Reference | Call], Any]
"""Return the value of a field or of a function, or `MISSING`."""


def holds(term: Term, read: Read) -> bool:
    """Return whether a term is true."""
    match term:
        case And():
            return all(holds(one, read) for one in term.terms)
        case Or():
            return any(holds(one, read) for one in term.terms)
        case Not():
            return not holds(term.term, read)
        case Call(function="has"):
            return read(term.arguments[0]) is not MISSING  # type: ignore[arg-type]  # the parser lets only a field pass
        case Call():
            return read(term) is True
        case Comparison():
            left, right = value_of(term.left, read), value_of(term.right, read)
            if left is MISSING or right is MISSING:
                return False
            return compare(left, term.operator, right, numeric_texts=_holds_numbers(term))


def value_of(value: Value, read: Read) -> Any:
    """Return a value, or `MISSING`."""
    match value:
        case Constant():
            return value.value
        case Arithmetic():
            left, right = as_number(value_of(value.left, read)), as_number(value_of(value.right, read))
            return MISSING if left is None or right is None else _calculated(left, value.operator, right)
        case _:
            return read(value)


def _calculated(left: float, operator: str, right: float) -> Any:
    try:
        match operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case _:
                return left / right
    except (ZeroDivisionError, OverflowError):
        return MISSING


def _holds_numbers(comparison: Comparison) -> bool:
    """Return whether texts on both sides are numbers in quotes: '0.1' and '0.10' are one param, and two tags."""
    sides = (comparison.left, comparison.right)
    return any(isinstance(side, Reference) and side.field.group in ("params", "metrics") for side in sides)
