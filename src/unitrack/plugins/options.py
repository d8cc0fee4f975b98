"""The options of a sink, checked and typed as its backend declares them, and the objects that a backend names."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from unitrack.config.expansion import EnvironmentText
from unitrack.config.wording import expected
from unitrack.errors import ConfigError
from unitrack.hookspecs import Backend, SinkOptions
from unitrack.names import nearest
from unitrack.plugins.registry import installed
from unitrack.runfolder.manifest import LaneSpec, Wrapping
from unitrack.values.codec import convert
from unitrack.values.redaction import redact, remember_secrets


def make_lane(
    name: str, backend: Backend, options: Mapping[str, Any], places: Mapping[str, str] | None = None
) -> LaneSpec:
    """Return the lane of a sink called `name`, its options checked: the backend's own, and those of middleware.

    `places`: of each option, and of the sink itself as "", the place that sets it, for messages. Raises `ConfigError`
    naming the place, the sink, the key, and the nearest right one.
    """
    remember_secrets(options)
    converted = convert_options(backend, options, name, places)
    return LaneSpec.of(name, backend, converted, _middleware(backend, options, name, places or {}))


def convert_options(
    backend: Backend, options: Mapping[str, Any], sink_name: str, places: Mapping[str, str] | None = None
) -> SinkOptions:
    """Return a sink's options as its backend types them, without middleware, paths anchored in the working directory.

    Raises `ConfigError` naming the place, the sink, the key, and the nearest right one; see `make_lane`.
    """
    fields = _fields(backend)
    known = [*fields, *installed().middleware]
    for key in options:
        if key not in known:
            meant = nearest(str(key), known)
            its_own = ", ".join(fields) or "no options of its own"
            every = ", ".join(name for name in known if name not in fields)
            hint = f"did you mean {meant!r}?" if meant else f"it knows {its_own}, and as every sink {every}"
            raise ConfigError(f"{_at(places, key)}sink {sink_name!r} has no option {key!r}: {hint}")
    own = {key: _typed(backend, key, value) for key, value in options.items() if key in fields}
    try:
        converted = convert(own, backend.options)
    except msgspec.ValidationError as error:
        key = _culprit(error, own)
        raise ConfigError(f"{_at(places, key)}sink {sink_name!r}, {_explain(error, backend, own, key)}") from None
    return converted.anchored(Path.cwd())


def _at(places: Mapping[str, str] | None, option: str) -> str:
    """Return the place of an option as the beginning of a message; "" for what a caller gave."""
    place = (places or {}).get(option) or (places or {}).get("", "")
    return f"{place}: " if place not in ("", "call", "config", "default") else ""


def _typed(backend: Backend, option: str, value: object) -> object:
    """Return the value of an option, where the text of an environment variable may be a number, or true and false."""
    if not isinstance(value, EnvironmentText):
        return value
    wanted = get_type_hints(backend.options, include_extras=True)[option]
    for is_strict in (True, False):
        try:
            return msgspec.to_builtins(msgspec.convert(str(value), wanted, strict=is_strict))
        except msgspec.ValidationError:
            continue
    return str(value)


def _fields(backend: Backend) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(backend.options)]


def _middleware(
    backend: Backend, options: Mapping[str, Any], sink_name: str, places: Mapping[str, str]
) -> tuple[Wrapping, ...]:
    """Return the options that are middleware, in their order, but those that the backend has under the same name."""
    known, own = installed().middleware, _fields(backend)
    found = []
    for key, value in options.items():
        if key in own:
            continue
        try:
            is_strict = not isinstance(value, EnvironmentText)
            plain = value if is_strict else str(value)
            checked = msgspec.to_builtins(convert(plain, known[key].option, strict=is_strict))
        except msgspec.ValidationError:
            raise ConfigError(
                f"{_at(places, key)}sink {sink_name!r}, option {key!r}: expected {expected(known[key].option)}, "
                f"got {redact(value, key)!r}"
            ) from None
        found.append(Wrapping(name=key, wrapper=known[key].wrapper, value=checked))
    return tuple(found)


def load_object(path: str) -> Any:
    """Import the module of "module:name", and return what has the name in it."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _culprit(error: msgspec.ValidationError, options: Mapping[str, Any]) -> str:
    """Return the option that a message of msgspec, or of the options' own check, is about; "" if it names none."""
    text = str(error)
    named = text.partition(" - at `$.")[2].partition(".")[0].partition("[")[0].rstrip("`")
    return named if named in options else next((key for key in options if re.match(rf"{re.escape(key)}\b", text)), "")


def _explain(error: msgspec.ValidationError, backend: Backend, options: Mapping[str, Any], key: str) -> str:
    if " - at `$." not in str(error) or key not in options:
        return str(error)
    wanted = expected(get_type_hints(backend.options, include_extras=True)[key])
    return f"option {key!r}: expected {wanted}, got {redact(options[key], key)!r}"
