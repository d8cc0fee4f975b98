"""Words for messages about wrong values."""

from __future__ import annotations

from typing import Any

import msgspec.inspect as inspect


def choices(type_: Any) -> list[str]:
    """Return the values of a `Literal`, also of one in a union; nothing for another type."""
    info = inspect.type_info(type_)
    types = info.types if isinstance(info, inspect.UnionType) else (info,)
    return [str(value) for one in types if isinstance(one, inspect.LiteralType) for value in one.values]


def expected(type_: Any) -> str:
    """Return what a key of this type takes, in words."""
    return _describe(inspect.type_info(type_))


def _describe(info: inspect.Type) -> str:
    match info:
        case inspect.UnionType(types=types):
            return " or ".join(_describe(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.LiteralType(values=values):
            quoted = ", ".join(f'"{value}"' for value in values)
            return f"one of {quoted}" if len(values) > 1 else quoted
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "an integer" + _bounds(info)
        case inspect.FloatType():
            return "a finite number" + _bounds(info)
        case inspect.StrType(min_length=length):
            return "text that is not empty" if length else "text"
        case inspect.VarTupleType(item_type=inspect.UnionType()):
            return "a list, not empty, of names and mappings `name: {options}`"
        case inspect.VarTupleType(item_type=item):
            return f"a list of {_describe(item)}"
        case inspect.DictType(value_type=value):
            return f"a mapping of text to {_describe(value)}"
    return str(info)


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    bounds = ((">=", info.ge), (">", info.gt), ("<=", info.le), ("<", info.lt))
    given = [
        f"{sign} {bound:g}" if isinstance(bound, float) else f"{sign} {bound}"
        for sign, bound in bounds
        if bound is not None
    ]
    return " " + " and ".join(given) if given else ""
