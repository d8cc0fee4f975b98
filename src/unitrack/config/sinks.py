"""The list of sinks: from the short forms that users write to named sinks with options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from unitrack.config.layers import Layer
from unitrack.errors import ConfigError

DEFAULT_BACKEND = "local"
"""The backend of a run without configuration, and of a location that is a plain path."""
MAX_NAME_LENGTH = 64
"""Characters. A sink's name becomes part of file names in the spool, which take 255 bytes."""

_NAME = rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_LENGTH - 1}}}"


class SinkSettings(msgspec.Struct, frozen=True):
    """One sink as configured. Its options are checked by its backend, at `start_run`."""

    name: str
    """What the run calls it: unique in the run."""
    backend: str
    options: dict[str, Any] = {}


class WrittenSink(msgspec.Struct, frozen=True):
    """One sink as a user wrote it."""

    backend: str
    options: dict[str, Any] | None = None
    """None: named without options, so that those of the file may apply."""
    index: int = 0
    """Its place in the list."""


def list_sinks(layer: Layer) -> Layer:
    """Return the layer with `tracking.sinks` as a list: `local` and `{local: , mlflow: {...}}` are short forms."""
    tracking = layer.values.get("tracking")
    sinks = tracking.get("sinks") if isinstance(tracking, Mapping) else None
    if isinstance(sinks, str):
        listed: list[Any] = [sinks]
    elif isinstance(sinks, Mapping):
        listed = [{name: options} if options is not None else name for name, options in sinks.items()]
    else:
        return layer
    lines = dict(layer.lines)
    for index, name in enumerate(sinks if isinstance(sinks, Mapping) else ()):
        for path, line in layer.lines.items():
            if path[:3] == ("tracking", "sinks", str(name)):
                lines[("tracking", "sinks", index, *path[2:])] = line
                lines.setdefault(("tracking", "sinks", index), line)
    values = layer.values | {"tracking": {**layer.values["tracking"], "sinks": listed}}
    return msgspec.structs.replace(layer, values=values, lines=lines)


def sink_problem(entry: object) -> str | None:
    """Return what is wrong with one entry of a list of sinks, or None."""
    if isinstance(entry, str):
        return _name_problem("backend", entry)
    if not isinstance(entry, Mapping):
        return f"expected a name or a mapping `name: {{options}}`, got {type(entry).__name__}"
    if len(entry) != 1:
        keys = ", ".join(str(key) for key in entry)
        return f"expected one key, the backend, with its options indented below it; got the keys {keys or '(none)'}"
    [(backend, options)] = entry.items()
    if problem := _name_problem("backend", backend):
        return problem
    if options is None:
        return None
    if not isinstance(options, Mapping):
        return f"expected a mapping of options below {backend}, got {type(options).__name__}"
    for key in options:
        if not isinstance(key, str):
            return f"expected text as the key of an option of {backend}, got {key!r}"
    return _name_problem("sink", options["name"]) if "name" in options else None


def _name_problem(kind: str, name: object) -> str | None:
    if isinstance(name, str) and re.fullmatch(_NAME, name):
        return None
    return (
        f"expected the name of a {kind}: up to {MAX_NAME_LENGTH} letters, digits and any of _.-, "
        f"the first a letter or a digit; got {name!r}"
    )


def read_sinks(entries: Iterable[object]) -> tuple[WrittenSink, ...]:
    """Return the entries of a list of sinks, each a name or a one-key mapping.

    Raises `ConfigError` for anything else.
    """
    return tuple(_read_sink(entry, index) for index, entry in enumerate(entries))


def _read_sink(entry: object, index: int) -> WrittenSink:
    if problem := sink_problem(entry):
        raise ConfigError(f"tracking.sinks: {problem}")
    if isinstance(entry, str):
        return WrittenSink(entry, index=index)
    assert isinstance(entry, Mapping)
    [(backend, options)] = entry.items()
    return WrittenSink(backend, None if options is None else dict(options), index)


def name_sinks(written: Sequence[WrittenSink]) -> tuple[SinkSettings, ...]:
    """Give each sink its name: the option `name`, else its backend, else "backend-2", "backend-3" and so on.

    Raises `ConfigError` if two sinks choose one name.
    """
    chosen = [sink.options["name"] for sink in written if sink.options and "name" in sink.options]
    if twice := sorted({name for name in chosen if chosen.count(name) > 1}):
        raise ConfigError(f"tracking.sinks: more than one sink is named {twice[0]!r}; give each its own `name`")
    taken = set(chosen)
    sinks = []
    for sink in written:
        options = dict(sink.options or {})
        name = options.pop("name", None) or _free_name(sink.backend, taken)
        taken.add(name)
        sinks.append(SinkSettings(name, sink.backend, options))
    return tuple(sinks)


def _free_name(backend: str, taken: set[str]) -> str:
    name, count = backend, 1
    while name in taken:
        count += 1
        name = f"{backend}-{count}"
    return name


def written_form(sink: SinkSettings) -> dict[str, dict[str, Any]]:
    """Return a sink as an entry of a list of sinks."""
    name = {} if sink.name == sink.backend else {"name": sink.name}
    return {sink.backend: name | sink.options}
