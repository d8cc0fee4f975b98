"""Which sinks the layers mean together: whose list counts, and where each sink's options come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unitrack.config.layers import Layer
from unitrack.config.sinks import SinkSettings, WrittenSink, name_sinks, read_sinks, written_form
from unitrack.errors import ConfigError

MLFLOW = "mlflow"
SHARED = ("tracking_uri", "artifact_location")
"""Keys of the section `tracking` that are options of mlflow sinks: the document puts them there."""


def merge_sinks(layers: Sequence[Layer]) -> tuple[list[dict[str, dict[str, Any]]], dict[str, str]]:
    """The list of sinks with all options, and the origins of the list and of each option.

    The first layer that sets `sinks` or `backend` decides which sinks there are. A sink it names without options takes
    those that a lower layer gives for a sink of that name, or else for the first one of that backend.

    Raises `ConfigError` if two sinks have one name.
    """
    level, written = _deciding(layers)
    origin = layers[level].origin if level < len(layers) else "default"
    known = _known(layers, level)
    found = [(known.get(sink.backend) if sink.options is None else None) for sink in written]
    levels = [level if lower is None else lower[0] for lower in found]
    try:
        sinks = name_sinks([sink if lower is None else lower[1] for sink, lower in zip(written, found, strict=True)])
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    origins = {"tracking.sinks": origin}
    complete = []
    for sink, own_level in zip(sinks, levels, strict=True):
        options = {option: (own_level, value) for option, value in sink.options.items()}
        if sink.backend == MLFLOW:
            _add_shared(options, layers)
        for option, (source, _) in options.items():
            origins[f"tracking.sinks.{sink.name}.{option}"] = layers[source].origin
        values = {option: value for option, (_, value) in options.items()}
        complete.append(written_form(SinkSettings(sink.name, sink.backend, values)))
    return complete, origins


def _deciding(layers: Sequence[Layer]) -> tuple[int, tuple[WrittenSink, ...]]:
    for level, layer in enumerate(layers):
        if written := _written(layer):
            return level, written
    for level, layer in enumerate(layers):
        if "tracking_uri" in layer.values.get("tracking", {}):
            return level, (WrittenSink(MLFLOW),)
    return len(layers), (WrittenSink("local"),)


def _written(layer: Layer) -> tuple[WrittenSink, ...]:
    tracking = layer.values.get("tracking", {})
    return read_sinks(tracking.get("sinks") or [one for one in [tracking.get("backend")] if one])


def _known(layers: Sequence[Layer], above: int) -> dict[str, tuple[int, WrittenSink]]:
    """The sinks with options in layers below one, by name, and the first of each backend by that as well."""
    by_name: dict[str, tuple[int, WrittenSink]] = {}
    by_backend: dict[str, tuple[int, WrittenSink]] = {}
    for level in range(above + 1, len(layers)):
        written = _written(layers[level])
        for sink, named in zip(written, name_sinks(written), strict=True):
            if sink.options is not None:
                [options] = written_form(named).values()
                by_name.setdefault(named.name, (level, WrittenSink(sink.backend, options)))
                by_backend.setdefault(sink.backend, (level, WrittenSink(sink.backend, options)))
    return by_backend | by_name


def _add_shared(options: dict[str, tuple[int, Any]], layers: Sequence[Layer]) -> None:
    """Apply `SHARED` to an mlflow sink: where it has no such option, or has it from a lower layer."""
    for key in SHARED:
        for level, layer in enumerate(layers):
            if key in (tracking := layer.values.get("tracking", {})):
                if key not in options or options[key][0] > level:
                    options[key] = (level, tracking[key])
                break
