"""The variables that teams have set for a backend's own SDK, as the lowest layer of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from unitrack.config import Resolved, Settings
from unitrack.config.expansion import EnvironmentText
from unitrack.config.resolution import DEFAULT
from unitrack.config.sinks import SinkSettings, written_form
from unitrack.hookspecs import Backend, Variable


def _option_variables(
    backend: Backend, given: Iterable[str], origins: Mapping[str, str], environ: Mapping[str, str]
) -> Iterator[tuple[Variable, EnvironmentText]]:
    """Yield the variables that set an option of a sink, the first for each, where the configuration does not.

    `given`: the options that the configuration sets.
    """
    seen = set(given)
    for variable in backend.variables:
        text = environ.get(variable.name, "").strip()
        if not text or not variable.option or variable.option in seen:
            continue
        if variable.key and origins.get(variable.key, DEFAULT) != DEFAULT:
            continue
        seen.add(variable.option)
        yield variable, EnvironmentText(variable.words.get(text, text))


def with_key_variables(resolved: Resolved, backends: Iterable[Backend], environ: Mapping[str, str]) -> Resolved:
    """Return the configuration with the keys that variables of these backends set, where nothing else does.

    `experiment.tags` takes a list: WANDB_TAGS is "mlp,baseline".
    """
    experiment, origins = resolved.settings.experiment, dict(resolved.origins)
    for variable in (one for backend in backends for one in backend.variables if not one.option):
        text = environ.get(variable.name, "").strip()
        key = variable.key.partition(".")[2]
        if not text or (key != "tags" and origins[variable.key] != DEFAULT):
            continue
        if key == "tags":
            tags = {tag.strip(): "" for tag in text.split(",") if tag.strip()}
            new = {tag: value for tag, value in tags.items() if tag not in experiment.tags}
            experiment = msgspec.structs.replace(experiment, tags=experiment.tags | new)
            origins |= {f"experiment.tags.{tag}": f"environment {variable.name}" for tag in new}
        else:
            experiment = msgspec.structs.replace(experiment, **{key: text})
            origins[variable.key] = f"environment {variable.name}"
    settings: Settings = msgspec.structs.replace(resolved.settings, experiment=experiment)
    return msgspec.structs.replace(resolved, settings=settings, origins=origins)


def with_variables(resolved: Resolved, backends: Mapping[str, Backend], environ: Mapping[str, str]) -> Resolved:
    """Return the configuration that a run started now would have: with all that its backends' variables set."""
    known = [backends[sink.backend] for sink in resolved.settings.sinks if sink.backend in backends]
    resolved = with_key_variables(resolved, known, environ)
    origins, sinks = dict(resolved.origins), []
    for sink in resolved.settings.sinks:
        completed, its_origins = sink_with_variables(sink, backends, origins, environ)
        sinks.append(completed)
        origins |= its_origins
    entries = tuple(written_form(sink) for sink in sinks)
    tracking = msgspec.structs.replace(resolved.settings.tracking, sinks=entries, backend=None)
    settings = msgspec.structs.replace(resolved.settings, tracking=tracking)
    return msgspec.structs.replace(resolved, settings=settings, origins=origins)


def sink_with_variables(
    sink: SinkSettings, backends: Mapping[str, Backend], origins: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[SinkSettings, dict[str, str]]:
    """Return the sink with the options that variables set, and the origins of these."""
    backend = backends.get(sink.backend)
    if backend is None:
        return sink, {}
    found = {one.option: (one.name, text) for one, text in _option_variables(backend, sink.options, origins, environ)}
    added = {option: text for option, (_, text) in found.items()}
    its_origins = {
        f"tracking.sinks.{sink.name}.{option}": f"environment {variable}" for option, (variable, _) in found.items()
    }
    return msgspec.structs.replace(sink, options=sink.options | added), its_origins
