"""Merging the layers: the call, the environment, the project's file, the user's file, the defaults."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import msgspec

from unitrack.config.checking import SECTIONS, checked, keys_of
from unitrack.config.environment import CONFIG_VARIABLE, environment_layers, sink_options
from unitrack.config.expansion import expand
from unitrack.config.files import find_file, read_file, user_file
from unitrack.config.layers import Layer, make_layer
from unitrack.config.project import default_project
from unitrack.config.settings import Settings
from unitrack.config.sink_merging import SharedOptions, merge_sinks
from unitrack.errors import ConfigError

if TYPE_CHECKING:
    from unitrack.config.experiment import ExperimentConfig

Config = Union["ExperimentConfig", Mapping[str, Any], str, Path]
"""What a caller may give as configuration: an object, a mapping like the file's, or the path of a file."""

DEFAULT = "default"


class Resolved(msgspec.Struct, frozen=True):
    """The configuration after all layers are merged."""

    settings: Settings
    origins: dict[str, str]
    """Of each dotted key where its value came from: "call", "environment UNITRACK_SINKS", a path, "config" (a mapping),
    "ExperimentConfig" or "default". Tags and options of sinks have their own: `tracking.sinks.<name>.<option>`."""
    file: Path | None
    """The project's file that was read, absolute."""
    places: dict[str, str] = {}
    """Of `tracking.sinks.<name>` and `tracking.sinks.<name>.<option>` the place, with the line if it is known."""


def resolve(
    config: Config | None = None,
    *,
    call: Mapping[str, Any] | None = None,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    shared_options: SharedOptions | None = None,
) -> Resolved:
    """Return the configuration from all places that may set it. For each key the first of these that sets it counts:

    1. `call`: section -> key -> value, what the caller gave explicitly;
    2. the environment (`environment.VARIABLES`);
    3. `config` if given, else the file that UNITRACK_CONFIG names, else the nearest file from `cwd` upward;
    4. the user's own file, ~/.config/unitrack/config.yaml;
    5. the defaults.

    Tags are merged over all of them. A key set to None is not set. `cwd` is the working directory by default, and
    `environ` is `os.environ`. `shared_options` are those of the installed plugins
    (`plugins.registry.Plugins.shared_options`); without them the options of sinks are not complete.

    Raises `ConfigError` naming the place, the key, the value and what was expected.
    """
    directory = Path.cwd() if cwd is None else Path(cwd).absolute()
    variables = os.environ if environ is None else environ
    lowest, file = _lowest(config, directory, variables)
    layers = [checked(layer) for layer in (*_upper(call, variables), *lowest)]
    values, origins = _merged(layers)
    values["experiment"].setdefault("project", default_project(directory))
    sinks, sink_origins, places = merge_sinks(layers, list(sink_options(variables)), shared_options)
    values["tracking"]["sinks"] = tuple(sinks)
    if origins["tracking.backend"] != sink_origins["tracking.sinks"]:
        # Another place's list replaced it.
        values["tracking"].pop("backend", None)
        origins["tracking.backend"] = DEFAULT
    sections: dict[str, Any] = {name: SECTIONS[name](**given) for name, given in values.items()}
    settings = Settings(**sections)
    return Resolved(settings, origins | sink_origins, file, places)


def _upper(call: Mapping[str, Any] | None, environ: Mapping[str, str]) -> Iterator[Layer]:
    if call:
        yield make_layer("call", call)
    yield from environment_layers(environ)


def _lowest(config: Config | None, cwd: Path, environ: Mapping[str, str]) -> tuple[Sequence[Layer], Path | None]:
    layers, file = _projects(config, cwd, environ)
    layers = [expand(layer, environ) if file else layer for layer in layers]
    own = user_file(environ)
    if own != file and own.is_file():
        layers.append(expand(read_file(own), environ))
    return layers, file


def _projects(config: Config | None, cwd: Path, environ: Mapping[str, str]) -> tuple[list[Layer], Path | None]:
    if isinstance(config, Mapping):
        return [make_layer("config", config)], None
    if config is not None and not isinstance(config, str | os.PathLike):
        from unitrack.config.experiment import ExperimentConfig  # noqa: PLC0415  # dataclasses cost 2 ms

        if isinstance(config, ExperimentConfig):
            return [config.layer()], None
        raise ConfigError(f"config: expected a path, a mapping or an ExperimentConfig, got {type(config).__name__}")
    named = config if config is not None else environ.get(CONFIG_VARIABLE, "").strip()
    if config is None and not named:
        found = find_file(cwd)
        return ([found], Path(found.origin)) if found else ([], None)
    file = cwd / Path(named).expanduser()
    try:
        return [read_file(file)], file
    except ConfigError as error:
        if config is None:
            raise ConfigError(f"environment {CONFIG_VARIABLE}: {error}") from None
        raise


def _merged(layers: Sequence[Layer]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the value and the origin of each key but `tracking.sinks`, which has rules of its own."""
    values: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    for section in SECTIONS:
        values[section] = {}
        for key in keys_of(section):
            origins[f"{section}.{key}"] = DEFAULT
            for layer in reversed(layers):
                if key in (given := layer.values.get(section, {})):
                    values[section][key] = given[key]
                    origins[f"{section}.{key}"] = layer.origin
    tags = {}
    for layer in reversed(layers):
        for tag, text in layer.values.get("experiment", {}).get("tags", {}).items():
            tags[tag] = text
            origins[f"experiment.tags.{tag}"] = layer.origin
    values["experiment"]["tags"] = tags
    if root := values["tracking"].get("root"):
        values["tracking"]["root"] = os.path.expanduser(root)
    return values, origins
