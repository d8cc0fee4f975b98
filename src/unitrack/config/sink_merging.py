"""Merging the sinks of all layers: which list counts, and where each sink's options come from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from unitrack.config.environment import SinkOption, in_variable
from unitrack.config.layers import KeyPath, Layer
from unitrack.config.sinks import DEFAULT_BACKEND, SinkSettings, WrittenSink, name_sinks, read_sinks, written_form
from unitrack.errors import ConfigError

CALL = "call"
"""The origin of what the caller gave."""
SELECTING = "tracking_uri"
"""The key of the section `tracking` that, without `sinks` and `backend`, selects the backend that takes it."""

SharedOptions = Mapping[str, Collection[str]]
"""By backend, the keys of the section `tracking` that are options of its sinks, for files with one such sink. See
`hookspecs.Backend.shared_options`."""


def merge_sinks(
    layers: Sequence[Layer], variables: Sequence[SinkOption] = (), shared: SharedOptions | None = None
) -> tuple[list[dict[str, dict[str, Any]]], dict[str, str], dict[str, str]]:
    """Return the list of sinks with all options, the origins of the list and of each option, and the place of each.

    The first layer that sets `sinks` or `backend` decides which sinks there are. A sink it names without options takes
    those that a lower layer gives for a sink of that name, or else for the first one of that backend. `variables` come
    after the call and before all other layers. `shared`: None if the options of sinks do not matter; then no key is
    refused.

    Raises `ConfigError` if two sinks have one name, and for a key that no sink beside it can use.
    """
    level, written = _deciding(layers, shared or {})
    for layer in layers:
        _check_shared(layer, written if level == len(layers) else _written(layer), shared or {})
    origin = layers[level].origin if level < len(layers) else "default"
    known = _known(layers, level)
    found = [(known.get(sink.backend) if sink.options is None else None) for sink in written]
    levels = [level if lower is None else lower[0] for lower in found]
    try:
        chosen = [sink if lower is None else lower[1] for sink, lower in zip(written, found, strict=True)]
        sinks = name_sinks(chosen)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    origins = {"tracking.sinks": origin}
    places: dict[str, str] = {}
    complete = []
    for sink, entry, named, own_level in zip(sinks, chosen, written, levels, strict=True):
        options = {option: (own_level, value) for option, value in sink.options.items()}
        _add_shared(options, layers, (shared or {}).get(sink.backend, ()))
        dotted = f"tracking.sinks.{sink.name}"
        if level < len(layers):
            places[dotted] = layers[level].where(("tracking", "sinks", named.index))
        for option, (source, _) in options.items():
            origins[f"{dotted}.{option}"] = layers[source].origin
            path: KeyPath = ("tracking", "sinks", entry.index, sink.backend, option)
            if source != own_level:
                path = ("tracking", option)
            places[f"{dotted}.{option}"] = layers[source].where(path)
        values = {option: value for option, (_, value) in options.items()}
        for one in _of_environment(sink, variables):
            if one.option not in options or layers[options[one.option][0]].origin != CALL:
                values[one.option] = one.value
                origins[f"{dotted}.{one.option}"] = places[f"{dotted}.{one.option}"] = one.origin
        complete.append(written_form(SinkSettings(sink.name, sink.backend, values)))
    return complete, origins, places


def _of_environment(sink: SinkSettings, variables: Sequence[SinkOption]) -> Iterator[SinkOption]:
    """Yield the options that variables set for a sink: those for its backend, then those for its name, which win."""
    for name in dict.fromkeys((in_variable(sink.backend), in_variable(sink.name))):
        yield from (one for one in variables if one.sink == name)


def _check_shared(layer: Layer, written: Sequence[WrittenSink], shared: SharedOptions) -> None:
    """Raise `ConfigError` for a shared key in a layer, if none of the sinks in that layer, `written`, takes it."""
    if not written:
        return
    for key in dict.fromkeys(key for keys in shared.values() for key in keys):
        takers = [backend for backend, keys in shared.items() if key in keys]
        if key in layer.values.get("tracking", {}) and not any(sink.backend in takers for sink in written):
            named, able = ", ".join(sink.backend for sink in written), " or ".join(takers)
            raise ConfigError(
                f"{layer.where(('tracking', key))}: tracking.{key}: only the backend {able} can use it, and the "
                f"sinks here are {named}; add {able}, or remove the key"
            )


def _deciding(layers: Sequence[Layer], shared: SharedOptions) -> tuple[int, tuple[WrittenSink, ...]]:
    for level, layer in enumerate(layers):
        if written := _written(layer):
            return level, written
    selected = next((backend for backend, keys in shared.items() if SELECTING in keys), None)
    for level, layer in enumerate(layers):
        if selected is not None and SELECTING in layer.values.get("tracking", {}):
            return level, (WrittenSink(selected),)
    return len(layers), (WrittenSink(DEFAULT_BACKEND),)


def _written(layer: Layer) -> tuple[WrittenSink, ...]:
    tracking = layer.values.get("tracking", {})
    return read_sinks(tracking.get("sinks") or [one for one in [tracking.get("backend")] if one])


def _known(layers: Sequence[Layer], above: int) -> dict[str, tuple[int, WrittenSink]]:
    """Return the sinks with options in the layers below `above`, by name, and the first of each backend by that."""
    by_name: dict[str, tuple[int, WrittenSink]] = {}
    by_backend: dict[str, tuple[int, WrittenSink]] = {}
    for level in range(above + 1, len(layers)):
        written = _written(layers[level])
        for sink, named in zip(written, name_sinks(written), strict=True):
            if sink.options is not None:
                [options] = written_form(named).values()
                by_name.setdefault(named.name, (level, WrittenSink(sink.backend, options, sink.index)))
                by_backend.setdefault(sink.backend, (level, WrittenSink(sink.backend, options, sink.index)))
    return by_backend | by_name


def _add_shared(options: dict[str, tuple[int, Any]], layers: Sequence[Layer], keys: Collection[str]) -> None:
    """Add the shared options of a sink: where it has no such option, or has it from a lower layer."""
    for key in keys:
        for level, layer in enumerate(layers):
            if key in (tracking := layer.values.get("tracking", {})):
                if key not in options or options[key][0] > level:
                    options[key] = (level, tracking[key])
                break
