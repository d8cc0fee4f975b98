"""The words of a query. Python's spelling and MLflow's give the same tokens."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from unitrack.errors import QueryError
from unitrack.query.moments import SECONDS

MAX_CHARACTERS = 50_000
"""A list of a thousand run ids has 40,000; a longer query is an attack or a mistake."""
MAX_DEPTH = 50
"""Levels of brackets and of `not`."""

Kind = Literal["path", "constant", "compare", "word", "sign", "end"]

CONSTANTS = {"true": True, "false": False, "none": None, "null": None, "nan": float("nan"), "inf": float("inf")}
_WORDS = {"and", "or", "not"}
_SPELLINGS = {"=": "==", "<>": "!=", "!~": "not ~", "=~": "~"}

_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_TOKEN = re.compile(
    rf"""
    (?P<blank>\s+)
  | (?P<compare>==|!=|<>|<=|>=|!~|=~|<|>|=|~
      | \b(?:not\s+)?(?:in|like|ilike)\b(?!\s*\.) | \bis\s+(?:not\s+)?(?:null|none)\b)
  | (?P<path>(?:`[^`]*`|[^\W\d]\w*)(?:\s*\.\s*(?:\w+|`[^`]*`|{_QUOTED})|\[\s*{_QUOTED}\s*\])*)
  | (?P<number>(?:0x[0-9a-f]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)(?P<unit>[a-z]+)?)(?!\w)
  | (?P<text>{_QUOTED})
  | (?P<sign>[-+*/(),\[\]])
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_OPENS = re.compile(r"\s*\(")
_SEGMENT = re.compile(rf"`(?P<back>[^`]*)`|(?P<quoted>{_QUOTED})|(?P<plain>\w+)", re.DOTALL)


class Segment(NamedTuple):
    """A part of a dotted name."""

    text: str
    quoted: bool


class Token(NamedTuple):
    """A word of a query."""

    kind: Kind
    text: str
    """As it is spelled; for `compare`, `word` and `sign` in the one spelling that the parser knows."""
    start: int
    end: int
    value: Any = None
    """Of a constant; of a path its segments."""


def tokens_of(query: str) -> list[Token]:
    """Return the tokens of a query, "end" the last. Raises `QueryError`."""
    if len(query) > MAX_CHARACTERS:
        raise QueryError(f"the query has {len(query)} characters, more than {MAX_CHARACTERS}", query, 0, 0)
    tokens: list[Token] = []
    place = 0
    while place < len(query):
        match = _TOKEN.match(query, place)
        if match is None:
            raise _unknown(query, place)
        if match.lastgroup != "blank":
            tokens.append(_token(query, match))
        place = match.end()
    tokens.append(Token("end", "", len(query), len(query)))
    _check_brackets(query, tokens)
    return tokens


def _token(query: str, match: re.Match[str]) -> Token:
    text, start, end = match[0], match.start(), match.end()
    if match["compare"]:
        words = " ".join(text.lower().split())
        return Token("compare", _SPELLINGS.get(words, words), start, end)
    if match["text"]:
        return Token("constant", text, start, end, _unquoted(text))
    if match["number"]:
        return Token("constant", text, start, end, _number(query, match))
    if match["sign"]:
        return Token("sign", {"[": "(", "]": ")"}.get(text, text), start, end)
    if (word := text.lower()) in _WORDS:
        return Token("word", word, start, end)
    if word in CONSTANTS and not _OPENS.match(query, end):
        return Token("constant", text, start, end, CONSTANTS[word])
    return Token("path", text, start, end, segments_of(text))


def segments_of(path: str) -> tuple[Segment, ...]:
    """Return the parts of a dotted name; in quotes a part may have any character."""
    return tuple(
        Segment(_unquoted(part["quoted"]), quoted=True)
        if part["quoted"]
        else Segment(part["plain"] or part["back"] or "", quoted=part["plain"] is None)
        for part in _SEGMENT.finditer(path)
    )


def _unquoted(text: str) -> str:
    """Return the content of quotes. A backslash stays, as regular expressions need it, but for that before a quote."""
    return re.sub(r"""\\(['"])""", r"\1", text[1:-1])


def _number(query: str, match: re.Match[str]) -> int | float:
    start, end, unit = match.start(), match.end(), match["unit"]
    digits = match[0].removesuffix(unit or "").replace("_", "").lower()
    try:
        is_hex = digits.startswith("0x")
        number: int | float = int(digits, 16) if is_hex else int(digits) if digits.isdigit() else float(digits)
    except ValueError as error:
        raise QueryError(f"{match[0][:40]!r} is no number: {error}", query, start, end) from None
    if not unit:
        return number
    if unit.lower() not in SECONDS:
        units = ", ".join(SECONDS)
        raise QueryError(f"{unit!r} is no unit of time; there are {units}", query, end - len(unit), end)
    return number * SECONDS[unit.lower()]


def _unknown(query: str, place: int) -> QueryError:
    character = query[place]
    if character == "." and (quote := re.compile(r"\.\s*['\"`]").match(query, place)):
        return QueryError("the quote is never closed", query, quote.end() - 1, quote.end())
    if character in "'\"`":
        return QueryError("the quote is never closed", query, place, place + 1)
    hints = {"&": "write `and`", "|": "write `or`", "!": "write `not`", ";": "a query is one expression"}
    hint = hints.get(character, 'a name with other characters is quoted: metrics."val/loss"')
    return QueryError(f"{character!r} has no meaning here: {hint}", query, place, place + 1)


def _check_brackets(query: str, tokens: list[Token]) -> None:
    opened: list[Token] = []
    prefixes = 0
    for token in tokens:
        prefixes = prefixes + 1 if token.text in ("not", "-", "+") else 0
        if token.text == "(" and token.kind == "sign":
            opened.append(token)
        elif token.text == ")" and token.kind == "sign":
            if not opened:
                raise QueryError("nothing opens this bracket", query, token.start, token.end)
            opened.pop()
        if max(len(opened), prefixes) > MAX_DEPTH:
            raise QueryError(f"more than {MAX_DEPTH} levels", query, token.start, token.end)
    if opened:
        raise QueryError("the bracket is never closed", query, opened[-1].start, opened[-1].end)
