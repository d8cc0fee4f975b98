"""Patterns of a query: regular expressions, and those of SQL's LIKE, which become such."""

from __future__ import annotations

import re
from functools import lru_cache

from unitrack.query.conditions import Operator

MAX_PATTERN = 200
"""Characters of a pattern."""
MAX_SEARCHED = 1000
"""Characters of a value that a pattern is searched in. Python's `re` takes a time that grows with their number to the
power of the repeats, and nothing can interrupt it."""
MAX_REPEATS, MAX_OPTIONAL = 3, 8
"""Repeats of a varying number, and `?`, in one pattern. `.*` at its ends is not counted: a search does not need it."""

_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<open>\()|(?P<close>\))|(?P<branch>\|)|.", re.DOTALL)
_REPEAT = re.compile(r"[*+]|\{\d*(?P<open>,)?\d*\}")
_VERBOSE = re.compile(r"\(\?[a-wyzA-Z-]*x")


def problem_of(pattern: str, operator: Operator) -> str | None:
    """Return why a pattern is refused; None if it is fine.

    A regular expression is refused if it is wrong or long, or if its search might take for ever: a repeat of something
    that repeats or has alternatives, or many repeats.
    """
    if len(pattern) > MAX_PATTERN:
        return f"the pattern has {len(pattern)} characters, more than {MAX_PATTERN}"
    if operator != "~":
        return None
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"the pattern is wrong: {error}"
    if _VERBOSE.search(pattern):
        return "the flag `x` is not supported"
    return _costly(_trimmed(pattern))


def matches(value: str, operator: Operator, pattern: str) -> bool:
    """Return whether a value has the pattern in it (`~`), or is wholly like it (`like`, `ilike`)."""
    return _compiled(operator, pattern).search(value[:MAX_SEARCHED]) is not None


@lru_cache(maxsize=256)
def _compiled(operator: Operator, pattern: str) -> re.Pattern[str]:
    if operator == "~":
        return re.compile(_trimmed(pattern))
    flags = re.DOTALL | (re.IGNORECASE if operator == "ilike" else 0)
    first, *others = ("".join("." if one == "_" else re.escape(one) for one in part) for part in pattern.split("%"))
    if not others:
        return re.compile(rf"\A{first}\Z", flags)
    between = "".join(f"(?>.*?{part})" for part in others[:-1] if part)  # atomic: each is found once, and kept
    return re.compile(rf"\A{first}{between}.*{others[-1]}\Z", flags)


def _trimmed(pattern: str) -> str:
    """Return a pattern without `.*` at its ends, which a search finds the same without."""
    while pattern.startswith(".*") and not pattern.startswith((".*?", ".*+")):
        pattern = pattern[2:]
    while pattern.endswith(".*") and not pattern.endswith("\\.*"):
        pattern = pattern[:-2]
    return pattern


def _costly(pattern: str) -> str | None:
    """Return why a search for the pattern might take for ever; None if it does not."""
    varies = [False]  # of each open group, whether it matches in several ways
    repeats = optional = place = 0
    while piece := _PIECE.match(pattern, place):
        place = piece.end()
        if piece["open"]:
            varies.append(False)
            continue
        inner = varies.pop() if piece["close"] and len(varies) > 1 else False
        repeat = _REPEAT.match(pattern, place)
        if repeat and inner:
            return "a repeat of what repeats or has alternatives might search for ever: write it without one of them"
        is_open = bool(repeat and (repeat["open"] or repeat[0] in "*+"))
        is_optional = not repeat and pattern.startswith("?", place)
        repeats, optional = repeats + is_open, optional + is_optional
        varies[-1] = varies[-1] or inner or is_open or is_optional or bool(piece["branch"])
        place = repeat.end() if repeat else place + is_optional
    if repeats > MAX_REPEATS or optional > MAX_OPTIONAL:
        return f"the search might take for ever: more than {MAX_REPEATS} repeats or {MAX_OPTIONAL} `?`"
    return None
