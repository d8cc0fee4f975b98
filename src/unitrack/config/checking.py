"""Checks a layer against `Settings`, and reports all that is wrong with it at once."""

from __future__ import annotations

import functools
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import msgspec

from unitrack.config.expansion import EnvironmentText
from unitrack.config.layers import KeyPath, Layer, dotted
from unitrack.config.settings import Settings
from unitrack.config.sinks import list_sinks, sink_problem
from unitrack.config.sizes import parse_size
from unitrack.errors import ConfigError

MAX_SHOWN = 80
"""Characters of a wrong value that a message shows."""

Problem = tuple[KeyPath, str]


SECTIONS: dict[str, type[msgspec.Struct]] = {
    name: type(section) for name, section in msgspec.structs.asdict(Settings()).items()
}
"""The sections by name."""


def keys_of(section: str) -> tuple[str, ...]:
    """The keys of a section."""
    return SECTIONS[section].__struct_fields__


@functools.cache
def _types_of(section: str) -> dict[str, Any]:
    # Cached and only for sections that are set: resolving annotations costs 0.3 ms a section.
    return {field.name: field.type for field in msgspec.structs.fields(SECTIONS[section])}


def checked(layer: Layer) -> Layer:
    """The layer with its values checked and converted, keys set to null left out.

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
    """Whether it is a list such as `["mlp", "baseline"]`, the short form of tags without values."""
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
    """Problems of single entries, for the two keys that hold several."""
    if path == ("experiment", "tags") and isinstance(value, Mapping):
        for tag, text in value.items():
            if not isinstance(tag, str) or not tag:
                yield (*path, str(tag)), f"expected text as the name of a tag, got {shown('', tag)}"
            elif not isinstance(text, str):
                yield (*path, tag), f"expected text, got {shown(tag, text)}; put it in quotes"
    elif path == ("tracking", "sinks") and isinstance(value, list):
        for index, entry in enumerate(value):
            if problem := sink_problem(entry):
                yield (*path, index), problem
    elif path == ("safeguards", "redact_patterns") and isinstance(value, list):
        for index, pattern in enumerate(value):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", FutureWarning)  # what a later Python may read in another way
                    re.compile(pattern)
            except (re.error, FutureWarning, TypeError, OverflowError, RecursionError) as error:
                yield (*path, index), f"expected a regular expression, got {shown('', pattern)}: {error}"
    elif path == ("tracking", "root") and isinstance(value, str) and ("://" in value or not _is_file_name(value)):
        yield (
            path,
            f"expected a local folder, got {value!r}; the journal needs one: mount the bucket, or copy runs there",
        )
    elif path == ("tracking", "backend") and isinstance(value, str) and (problem := sink_problem(value)):
        yield path, problem


def _is_file_name(text: str) -> bool:
    """Whether the file system takes it: without null bytes and broken Unicode."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _mismatch(key: str, value: object, type_: Any) -> str:
    from unitrack.config.expected import choices, expected
    from unitrack.spelling import nearest

    message = f"expected {expected(type_)}, got {shown(key, value)}"
    if key == "sinks" and not value:
        return f"{message}; to record nothing, set mode: disabled"
    similar = nearest(value, choices(type_)) if isinstance(value, str) else None
    return f'{message}; did you mean "{similar}"?' if similar else message


def shown(key: str, value: object) -> str:
    """A wrong value as a message shows it: short, and without secrets."""
    from unitrack.redaction import redact

    value = redact(value, key)
    try:
        text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    except ValueError:  # an integer of more digits than Python writes out
        text = "a number of thousands of digits"
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _suggest(key: object, section: str | None) -> str:
    """What an unknown key was probably meant to be: one of the same section, else one of another."""
    from unitrack.spelling import nearest

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
