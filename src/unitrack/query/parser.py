"""Parsing a query: its tokens are spelled as Python, whose `ast` gives the structure. Nothing is evaluated.

The Python text has only operators, brackets and placeholders: no name, text or number of a query is in it.
"""

from __future__ import annotations

import ast
import itertools
from bisect import bisect_right
from typing import NoReturn, cast

from unitrack.errors import QueryError
from unitrack.names import nearest
from unitrack.query.conditions import Operator
from unitrack.query.lexer import MAX_DEPTH, Token, tokens_of
from unitrack.query.literals import fit
from unitrack.query.patterns import problem_of
from unitrack.query.tree import And, Arithmetic, Call, Comparison, Constant, Not, Or, Reference, Term, Value
from unitrack.query.vocabulary import UnknownNameError, Vocabulary

_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_BEGIN = Token("end", "", 0, 0)
_PLAIN = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def parse(query: str, vocabulary: Vocabulary) -> Term:
    """Return the tree of a query. Raises `QueryError`, which shows the place."""
    if not isinstance(query, str):
        raise QueryError(f"a query is text, got {type(query).__name__}", "", 0, 0)
    return _Parser(query, vocabulary).parse()


class _Parser:
    def __init__(self, query: str, vocabulary: Vocabulary) -> None:
        self._query = query
        self._vocabulary = vocabulary
        self._tokens = tokens_of(query)
        self._places: list[int] = []
        """Where each token stands in the Python text."""

    def parse(self) -> Term:
        if len(self._tokens) == 1:
            self._fail("the query is empty", self._tokens[0])
        self._check_neighbours()
        source = self._spelled_as_python()
        try:
            tree = ast.parse(source, mode="eval")
        except SyntaxError as error:
            token = self._token_at((error.offset or 1) - 1)
            self._fail(f"{_brief(token)} can't stand here", token)
        except (ValueError, MemoryError, RecursionError):
            self._fail(f"more than {MAX_DEPTH} levels", self._tokens[0])
        return self._term(tree.body, MAX_DEPTH)

    def _spelled_as_python(self) -> str:
        words: list[str] = []
        length = 0
        for number, token in enumerate(self._tokens[:-1]):
            word = token.text
            if token.kind in ("path", "constant"):
                word = f"_{number}"
            elif token.kind == "compare":
                word = _spelled(token.text)
            self._places.append(length)
            words.append(word)
            length += len(word) + 1
        self._places.append(length)
        return " ".join(words)

    def _check_neighbours(self) -> None:
        """Name a token that stands in the wrong place, where Python's parser may name another one."""
        wants_value = True
        for before, token in itertools.pairwise([_BEGIN, *self._tokens]):
            if token.kind == "sign" and token.text in _SIGNS.values() and not wants_value:
                self._check_arithmetic(before, token)
            if not _fits(before, token, wants_value):
                self._misplaced(token, wants_value)
            wants_value = token.kind in ("compare", "word", "sign") and token.text != ")"
            wants_value = wants_value and not token.text.startswith("is ")

    def _misplaced(self, token: Token, wants_value: bool) -> NoReturn:
        if token.kind == "end":
            self._fail("the query ends too early: a value is missing", token)
        if wants_value:
            self._fail(f"a value is missing before {_brief(token)}", token)
        self._fail(f"an operator is missing before {_brief(token)}", token)

    def _check_arithmetic(self, before: Token, sign: Token) -> None:
        if not self._vocabulary.arithmetic:
            hint = f": a name with {sign.text!r} in it is quoted" if before.kind == "path" else ""
            example = ', such as metrics."val/loss" or params."learning-rate"' if hint else ""
            self._fail(f"there is no arithmetic here{hint}{example}", sign)

    def _term(self, node: ast.expr, depth: int) -> Term:
        start, end = self._extent(node)
        if depth == 0:
            raise QueryError(f"more than {MAX_DEPTH} levels", self._query, start, end)
        match node:
            case ast.BoolOp(op=op, values=values):
                terms = tuple(self._term(value, depth - 1) for value in values)
                return (And if isinstance(op, ast.And) else Or)(start=start, end=end, terms=terms)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(start=start, end=end, term=self._term(operand, depth - 1))
            case ast.Compare():
                return self._comparisons(node, depth)
            case ast.Call():
                call = self._call(node, depth)
                if self._vocabulary.functions[call.function].is_condition:
                    return call
        hint = "compare it with something"
        if "has" in self._vocabulary.functions:
            hint += ", or ask `has(...)` whether it is there"
        raise QueryError(f"this is no condition: {hint}", self._query, start, end)

    def _comparisons(self, node: ast.Compare, depth: int) -> Term:
        """Return a comparison, or the `and` of a chain such as `0 < params.lr <= 0.1`."""
        operands = [node.left, *node.comparators]
        terms: list[Term] = []
        for left, right in itertools.pairwise(operands):
            operator = self._operator_between(left, right)
            terms.append(self._comparison(left, operator, right, depth))
        start, end = self._extent(node)
        return terms[0] if len(terms) == 1 else And(start=start, end=end, terms=tuple(terms))

    def _operator_between(self, left: ast.expr, right: ast.expr) -> Token:
        after = self._index_at(left.end_col_offset or 0)
        return next(token for token in self._tokens[after:] if token.kind == "compare")

    def _comparison(self, left: ast.expr, token: Token, right: ast.expr, depth: int) -> Term:
        one = self._value(left, depth)
        text, negated = token.text, False
        if text.startswith("is "):  # `is null`
            if not isinstance(one, Reference):
                self._fail("only a field can be null", token)
            has = Call(start=one.start, end=token.end, function="has", arguments=(one,))
            return has if "not" in text else Not(start=one.start, end=token.end, term=has)
        if text not in _PLAIN:
            negated, text = text.startswith("not "), text.removeprefix("not ")
        operator = cast("Operator", text)
        other = self._value(right, depth)
        if operator in ("in", "not in") and isinstance(other, Constant) and not isinstance(other.value, tuple):
            other = Constant(start=other.start, end=other.end, value=(other.value,))
        if operator in ("~", "like", "ilike"):
            self._check_pattern(operator, token, other)
        if isinstance(one, Constant) and isinstance(other, Reference) and operator in _FLIPPED:
            one, operator, other = other, cast("Operator", _FLIPPED[operator]), one
        if isinstance(one, Reference) and isinstance(other, Constant) and operator not in ("~", "like", "ilike"):
            other = fit(one.field, other, self._query)
        start, end = min(one.start, other.start), max(one.end, other.end)
        comparison = Comparison(start=start, end=end, left=one, operator=operator, right=other)
        return Not(start=start, end=end, term=comparison) if negated else comparison

    def _check_pattern(self, operator: Operator, token: Token, pattern: Value) -> None:
        if not isinstance(pattern, Constant) or not isinstance(pattern.value, str):
            self._fail(f"`{operator}` takes a pattern in quotes", token)
        problem = problem_of(pattern.value, operator)
        if problem:
            raise QueryError(problem, self._query, pattern.start, pattern.end)

    def _value(self, node: ast.expr, depth: int) -> Value:
        start, end = self._extent(node)
        if depth == 0:
            raise QueryError(f"more than {MAX_DEPTH} levels", self._query, start, end)
        match node:
            case ast.Name():
                return self._atom(self._tokens[self._index_at(node.col_offset)])
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                values = [self._value(element, depth - 1) for element in elements]
                for value in values:
                    if not isinstance(value, Constant) or isinstance(value.value, tuple):
                        raise QueryError("a list holds texts and numbers", self._query, value.start, value.end)
                constants = cast("list[Constant]", values)
                return Constant(start=start, end=end, value=tuple(one.value for one in constants))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
                return self._signed(op, self._value(operand, depth - 1), start, end)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _SIGNS and self._vocabulary.arithmetic:
                one, other = self._value(left, depth - 1), self._value(right, depth - 1)
                sign = _SIGNS[type(op)]
                return Arithmetic(start=start, end=end, left=one, operator=sign, right=other)  # type: ignore[arg-type]
            case ast.Call():
                return self._call(node, depth)
        raise QueryError("this is no value: a field, a number or a text in quotes", self._query, start, end)

    def _signed(self, op: ast.unaryop, value: Value, start: int, end: int) -> Value:
        if isinstance(value, Constant) and isinstance(value.value, int | float):
            return Constant(start=start, end=end, value=-value.value if isinstance(op, ast.USub) else +value.value)
        if not self._vocabulary.arithmetic:
            raise QueryError("only a number has a sign", self._query, start, end)
        zero = Constant(start=start, end=start, value=0)
        return Arithmetic(
            start=start, end=end, left=zero, operator="-" if isinstance(op, ast.USub) else "+", right=value
        )

    def _atom(self, token: Token) -> Value:
        if token.kind == "constant":
            return Constant(start=token.start, end=token.end, value=token.value)
        try:
            field = self._vocabulary.resolve(token.value)
        except UnknownNameError as error:
            self._fail(str(error), token)
        return Reference(start=token.start, end=token.end, field=field)

    def _call(self, node: ast.Call, depth: int) -> Call:
        start, end = self._extent(node)
        token = self._tokens[self._index_at(node.func.col_offset)]
        functions = self._vocabulary.functions
        name = token.text.lower()
        if not isinstance(node.func, ast.Name) or name not in functions:
            close = nearest(token.text, functions)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(functions)}"
            self._fail(f"unknown function {token.text[:100]!r}: {hint}", token)
        least, most = functions[name].least, functions[name].most
        if not least <= len(node.args) <= most:
            number = str(least) if least == most else f"{least} to {most}"
            self._fail(f"{name} takes {number} argument{'s' if most > 1 else ''}, got {len(node.args)}", token)
        arguments = tuple(self._value(argument, depth - 1) for argument in node.args)
        if name == "has" and not isinstance(arguments[0], Reference):
            self._fail("has() takes a field, such as params.lr", token)
        return Call(start=start, end=end, function=name, arguments=arguments)

    def _index_at(self, place: int) -> int:
        return bisect_right(self._places, place) - 1

    def _token_at(self, place: int) -> Token:
        return self._tokens[self._index_at(place)]

    def _extent(self, node: ast.expr) -> tuple[int, int]:
        return self._token_at(node.col_offset).start, self._token_at((node.end_col_offset or 1) - 1).end

    def _fail(self, problem: str, token: Token) -> NoReturn:
        raise QueryError(problem, self._query, token.start, token.end)


def _fits(before: Token, token: Token, wants_value: bool) -> bool:
    """Return whether a token can follow another one. `wants_value` is whether a value has to come next."""
    match token.kind, token.text:
        case ("path" | "constant", _) | ("word", "not"):
            return wants_value
        case "sign", "(":
            return wants_value or before.kind == "path"
        case "sign", ")":
            return not wants_value or before.text in ("(", ",")
        case "sign", "-" | "+":
            return True
    return not wants_value  # `and`, `or`, a comparison, a comma, the end


def _spelled(operator: str) -> str:
    if operator in _PLAIN:
        return operator
    return "is None" if operator.startswith("is ") else "is"


def _brief(token: Token) -> str:
    text = token.text if len(token.text) <= 40 else f"{token.text[:37]}..."
    return text if token.kind == "constant" and text[:1] in "'\"" else f"`{text}`"
