"""A call of the other library: its arguments by the names of its parameters, and the call that takes its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import libcst as cst


class LeftAlone(Exception):  # no error: the call stays as it is
    """The call has no counterpart, for the reason that is given."""


class Call:
    """One call. `remark` notes an argument that is not needed any more."""

    def __init__(self, node: cst.Call, remark: Callable[[str, str], None]) -> None:
        """`node`: with what is inside it rewritten already."""
        self.node = node
        self.remark = remark
        self.given: dict[str, cst.BaseExpression] = {}

    def bind(self, parameters: Sequence[str]) -> None:
        """Name the arguments. Raises `LeftAlone` if that needs the values, or for more than there are parameters."""
        for number, argument in enumerate(self.node.args):
            if argument.star:
                raise LeftAlone("its arguments are unpacked with `*`")
            if argument.keyword is None and number >= len(parameters):
                raise LeftAlone("it has more arguments than are known")
            name = parameters[number] if argument.keyword is None else argument.keyword.value
            self.given[name] = argument.value

    def take(self, name: str) -> cst.BaseExpression | None:
        """Return an argument and forget it; None if it was not given."""
        return self.given.pop(name, None)

    def literal(self, name: str) -> Any:
        """Return the value of an argument that is a literal, and forget it; None without one, or for another kind."""
        node = self.given.get(name)
        if not isinstance(node, cst.SimpleString | cst.Integer | cst.Name) or (
            isinstance(node, cst.Name) and node.value not in _CONSTANTS
        ):
            return None
        del self.given[name]
        return _CONSTANTS[node.value] if isinstance(node, cst.Name) else node.evaluated_value

    def drop(self, reasons: Mapping[str, str]) -> None:
        """Forget arguments, each with a remark if it has a reason."""
        for name in [name for name in self.given if name in reasons]:
            del self.given[name]
            if reasons[name]:
                self.remark(f"{name}=", reasons[name])

    def becomes(
        self, function: str, arguments: Sequence[tuple[str | None, cst.BaseExpression | str | None]]
    ) -> cst.BaseExpression:
        """Return a call of `function`; an argument that is None is left out. Raises `LeftAlone` for those not taken."""
        if self.given:
            raise LeftAlone(f"`{next(iter(self.given))}=` has no counterpart")
        found = [
            cst.Arg(
                cst.parse_expression(value) if isinstance(value, str) else value,
                keyword=None if name is None else cst.Name(name),
                equal=cst.MaybeSentinel.DEFAULT if name is None else _EQUAL,
            )
            for name, value in arguments
            if value is not None
        ]
        kept = _laid_out(found, self.node.args)
        return self.node.with_changes(func=cst.parse_expression(function), args=kept)


def as_arguments(given: Mapping[str, str]) -> list[cst.Arg]:
    """Return arguments from text: "path" without a name, the others with theirs."""
    return [
        cst.Arg(
            cst.parse_expression(text),
            keyword=None if name == "path" else cst.Name(name),
            equal=cst.MaybeSentinel.DEFAULT if name == "path" else _EQUAL,
        )
        for name, text in given.items()
    ]


def _laid_out(found: list[cst.Arg], before: Sequence[cst.Arg]) -> list[cst.Arg]:
    """Return arguments with the line breaks of those before."""
    if len(found) == len(before):
        commas = [one.comma for one in before]
    else:
        plain = [one.comma for one in before[:-1] if "#" not in source_of(one)]
        commas = [plain[0] if plain else cst.MaybeSentinel.DEFAULT] * max(len(found) - 1, 0)
        commas += [before[-1].comma if before else cst.MaybeSentinel.DEFAULT]
    kept = [one.with_changes(comma=comma) for one, comma in zip(found, commas, strict=False)]
    if kept and before:
        kept[-1] = kept[-1].with_changes(whitespace_after_arg=before[-1].whitespace_after_arg)
    return kept


_EQUAL = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
_CONSTANTS = {"True": True, "False": False, "None": None}


def source_of(node: cst.CSTNode) -> str:
    """Return a node as text."""
    return cst.Module([]).code_for_node(node)


class Renamed:
    """The rule for a call that has a counterpart with other names: most of them."""

    def __init__(
        self,
        function: str,
        parameters: str,
        arguments: str,
        *,
        drop: str = "",
        added: Mapping[str, str] | None = None,
    ) -> None:
        """`function`: "{}" in it is the receiver of a method. `parameters`: of the original, in order.

        `arguments`: of the counterpart, in order: "data", "step=step", "every=log_freq". `drop`: parameters without
        meaning here. `added`: arguments to add where they are not given.
        """
        self._function = function
        self._parameters = parameters.split()
        self._arguments = arguments.split()
        self._dropped = dict.fromkeys(drop.split(), "")
        self._added = added or {}

    def __call__(self, call: Call, receiver: str) -> cst.BaseExpression:
        """Return what takes the call's place. Raises `LeftAlone`."""
        call.bind(self._parameters)
        call.drop(self._dropped)
        found: list[tuple[str | None, cst.BaseExpression | str | None]] = []
        for argument in self._arguments:
            name, equals, original = argument.partition("=")
            value = call.take(original if equals else name)
            found.append((name if equals else None, self._added.get(name) if value is None else value))
        positional = [value for name, value in found if name is None]
        if None in positional:
            raise LeftAlone("it lacks an argument that its counterpart needs")
        return call.becomes(self._function.format(receiver), found)


Rule = Callable[[Call, str], cst.BaseExpression | None]
"""Returns what takes the place of a call, given the receiver of a method as text; None to remove the statement."""
