"""Checking a layer against `Settings`: all problems are reported at once."""

from __future__ import annotations

import functools
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import msgspec

from unitrack.config.expansion import EnvironmentText
from unitrack.config.layers import KeyPath, Layer, dotted
from unitrack.config.settings import Settings
from unitrack.config.sinks import list_sinks, sink_problem
from unitrack.config.sizes import parse_size
from unitrack.config.wording import choices, expected
from unitrack.errors import ConfigError, QueryError
from unitrack.names import nearest
from unitrack.values.redaction import redact

MAX_SHOWN = 80
"""Characters of a wrong value that a message shows."""

Problem = tuple[KeyPath, str]


SECTIONS: dict[str, type[msgspec.Struct]] = {
    name: type(section) for name, section in msgspec.structs.asdict(Settings()).items()
}
"""The sections by name."""


def keys_of(section: str) -> tuple[str, ...]:
    """Return the keys of a section."""
    return SECTIONS[section].__struct_fields__


@functools.cache
def _types_of(section: str) -> dict[str, Any]:
    # Cached and only for sections that are set: resolving annotations costs 0.3 ms a section.
    return {field.name: field.type for field in msgspec.structs.fields(SECTIONS[section])}


def checked(layer: Layer) -> Layer:
    """Return the layer with its values checked and converted, without keys that are set to null.

    Raises `ConfigError` with one line for each problem.
    """
    layer = list_sinks(layer)
    problems: list[Problem] = []
    sections: dict[str, dict[str, Any]] = {}
    for section, given in layer.values.items():
        if section not in SECTIONS:
            problems.append(((str(section),), f"unknown key{_suggest(section, None)}"))
        elif isinstance(given, Mapping):
            sections[section] = dict(_checked_section(section, given, problems))
        elif given is not None:
            problems.append(((section,), f"expected a mapping of keys, got {shown(section, given)}"))
    if sections.get("tracking", {}).keys() >= {"backend", "sinks"}:
        problems.append((("tracking", "backend"), "set either backend or sinks, not both"))
    if problems:
        raise ConfigError(_report(layer, problems))
    return msgspec.structs.replace(layer, values=sections)


def _checked_section(section: str, given: Mapping[Any, Any], problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    types = _types_of(section)
    for key, value in given.items():
        path = (section, str(key))  # YAML has keys that are no text, too
        if path == ("experiment", "tags") and is_list_of_text(value):
            value = dict.fromkeys(value, "")
        if key not in types:
            problems.append((path, f"unknown key{_suggest(key, section)}"))
        elif value is None:
            continue
        elif found := list(_problems_inside(path, value)):
            problems.extend(found)
        else:
            try:
                converted = _converted(key, value, types[key])
                if isinstance(converted, float) and not math.isfinite(converted):
                    raise msgspec.ValidationError("not finite")
            except (
                msgspec.ValidationError,
                UnicodeEncodeError,
                AttributeError,
            ):  # the last: of a mapping that is none
                problems.append((path, _mismatch(key, value, types[key])))
            else:
                yield key, converted


def is_list_of_text(value: object) -> TypeGuard[Sequence[str]]:
    """Return whether a value is a list such as `["mlp", "baseline"]`, the short form of tags without values."""
    return isinstance(value, list | tuple) and all(isinstance(item, str) and item for item in value)


def _converted(key: str, value: object, type_: Any) -> object:
    if isinstance(value, EnvironmentText):
        # Not lax at once: the project "2024" is text.
        for is_strict in (True, False):
            try:
                return msgspec.convert(str(value), type_, strict=is_strict)
            except msgspec.ValidationError:
                continue
    if key.endswith("_bytes") and isinstance(value, str) and (size := parse_size(value)) is not None:
        value = size
    return msgspec.convert(value, type_)


def _problems_inside(path: KeyPath, value: object) -> Iterator[Problem]:
    """Yield the problems of single entries, for keys that hold several, and of values with rules of their own."""
    if path in _ENTRY_PROBLEMS:
        type_, problem_of = _ENTRY_PROBLEMS[path]
        if isinstance(value, Mapping) and type_ is dict:
            yield from (((*path, str(key)), found) for key, entry in value.items() if (found := problem_of(key, entry)))
        elif isinstance(value, list) and type_ is list:
            yield from (((*path, key), found) for key, entry in enumerate(value) if (found := problem_of(key, entry)))
    elif path == ("tracking", "root") and isinstance(value, str) and ("://" in value or not _is_file_name(value)):
        yield (
            path,
            f"expected a local folder, got {value!r}; the journal needs one: mount the bucket, or copy runs there",
        )
    elif path == ("tracking", "backend") and isinstance(value, str) and (problem := sink_problem(value)):
        yield path, problem


def _tag_problem(tag: object, text: object) -> str | None:
    if not isinstance(tag, str) or not tag:
        return f"expected text as the name of a tag, got {shown('', tag)}"
    return None if isinstance(text, str) else f"expected text, got {shown(tag, text)}; put it in quotes"


def _pattern_problem(index: object, pattern: Any) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # what a later Python may read in another way
            re.compile(pattern)
    except (re.error, FutureWarning, TypeError, OverflowError, RecursionError) as error:
        return f"expected a regular expression, got {shown('', pattern)}: {error}"
    return None


def _rule_problem(name: object, when: object) -> str | None:
    if not isinstance(name, str) or not isinstance(when, str) or not name or not when:
        return f"expected a condition such as nan(loss), got {shown('', when)}"
    from unitrack.alerts.rules import Rule  # noqa: PLC0415  # the parser costs 5 ms, and few runs have rules

    try:
        Rule.parse(name, when)
    except QueryError as error:
        return str(error)
    return None


_ENTRY_PROBLEMS: dict[KeyPath, tuple[type, Callable[[Any, Any], str | None]]] = {
    ("experiment", "tags"): (dict, _tag_problem),
    ("tracking", "sinks"): (list, lambda index, entry: sink_problem(entry)),
    ("safeguards", "redact_patterns"): (list, _pattern_problem),
    ("alerts", "rules"): (dict, _rule_problem),
}
"""What is wrong with one entry of a mapping or a list, given its key and its value; None if nothing is."""


def _is_file_name(text: str) -> bool:
    """Return whether the file system takes a name: without null bytes and broken Unicode."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _mismatch(key: str, value: object, type_: Any) -> str:
    message = f"expected {expected(type_)}, got {shown(key, value)}"
    if key == "sinks" and not value:
        return f"{message}; to record nothing, set mode: disabled"
    similar = nearest(value, choices(type_)) if isinstance(value, str) else None
    return f'{message}; did you mean "{similar}"?' if similar else message


def shown(key: str, value: object) -> str:
    """Return a wrong value as a message shows it: short, and without secrets."""
    value = redact(value, key)
    try:
        text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    except ValueError:  # an integer of more digits than Python writes out
        text = "a number of thousands of digits"
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _suggest(key: object, section: str | None) -> str:
    """Return the key that an unknown one was probably meant to be: of the same section, else of another."""
    here = keys_of(section) if section else tuple(SECTIONS)
    elsewhere = [name for name in SECTIONS if key in keys_of(name)]
    if elsewhere:
        return f'; did you mean "{elsewhere[0]}.{key}"?'
    if similar := nearest(str(key), here):
        return f'; did you mean "{similar}"?'
    return f"; known here: {', '.join(here)}"


def _report(layer: Layer, problems: list[Problem]) -> str:
    lines = [f"{layer.where(path)}: {dotted(path)}: {text}" for path, text in problems]
    return lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} problems in the configuration:", *lines])
