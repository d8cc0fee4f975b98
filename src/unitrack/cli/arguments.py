"""What a command's arguments mean: runs, a sink, pairs of a name and a value."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from unitrack.config import Resolved, SinkSettings, resolve
from unitrack.errors import ConfigError
from unitrack.names import nearest
from unitrack.plugins.registry import installed
from unitrack.plugins.variables import sink_with_variables, with_variables
from unitrack.query.moments import seconds_of
from unitrack.reading.location import known_backends
from unitrack.runfolder.find import find_by_id, find_run_folders, nearby_roots
from unitrack.runfolder.run_folder import RunFolder


def configured_root() -> Path:
    """Return the folder that holds the runs, as configured here."""
    return Path(resolve().settings.tracking.root)


def no_runs(root: Path) -> str:
    """Return the text for a command that has found no runs under the configured root."""
    elsewhere = nearby_roots(root.absolute())
    hints = "".join(f"; {counted_runs(count)} in {path}" for path, count in elsewhere.items())
    return f"no runs in {root.absolute()} (tracking.root){hints}"


def counted_runs(count: int) -> str:
    """Return "1 run" or "7 runs"."""
    return "1 run" if count == 1 else f"{count:,} runs"


def pairs_of(arguments: Sequence[str], what: str, form: str = "NAME=VALUE") -> dict[str, str]:
    """Return arguments such as `lr=0.1` as a mapping. Raises `ConfigError` for one without a name or without "="."""
    pairs = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not (name and equals):
            raise ConfigError(f"{what} {argument!r} is not {form}: write a name, an equals sign and a value")
        pairs[name] = value
    return pairs


def duration(text: str | None, option: str) -> float | None:
    """Return a duration such as 30d in seconds; None if none is given. Raises `ConfigError` for what is none."""
    seconds = None if text is None else seconds_of(text)
    if text is not None and seconds is None:
        raise ConfigError(f"{option}: {text!r} is no duration; write one such as 30d, 12h or 2w")
    return seconds


class Choice(msgspec.Struct, frozen=True):
    """A run that the arguments mean."""

    folder: RunFolder
    named: bool
    """Whether it was named itself, not only a folder that it is in."""


def choose_runs(arguments: Sequence[str]) -> list[Choice]:
    """Return the runs that arguments mean: each a run folder, a folder of them, a run id, or a folder's name under the
    root.

    Without arguments all runs under the configured root. Raises `ConfigError` for one that means none.
    """
    root = configured_root()
    if not arguments:
        return [Choice(folder, named=False) for folder in find_run_folders(root)]
    chosen = {choice.folder.path: choice for argument in arguments for choice in _mean(argument, root)}
    return list(chosen.values())


def _mean(argument: str, root: Path) -> list[Choice]:
    for given in (Path(argument).expanduser(), root / argument):
        path = given.resolve()
        if found := list(find_run_folders(path)):
            return [Choice(folder, named=folder.path == path) for folder in found]
    return [Choice(find_by_id(argument, root), named=True)]


def configured(file: Path | None = None) -> Resolved:
    """Return the configuration of a run started here, from `file` if given, with its backends' variables."""
    plugins = installed()
    return with_variables(resolve(file, shared_options=plugins.shared_options), plugins.backends, os.environ)


def choose_sink(resolved: Resolved, name: str) -> SinkSettings:
    """Return the configured sink of this name; else the backend of this name with the options that its variables set.

    Raises `ConfigError` for a name that is neither, nor that of a backend that could be installed.
    """
    names = [sink.name for sink in resolved.settings.sinks]
    if name in names:
        return resolved.settings.sinks[names.index(name)]
    backends = known_backends()
    if name not in backends:
        close = nearest(name, {*backends, *names})
        hint = f"did you mean {close!r}? Configured" if close else "configured"
        raise ConfigError(
            f"unknown sink {name!r}: {hint} here: {', '.join(names) or 'none'}; backends: {', '.join(sorted(backends))}"
        )
    return sink_with_variables(SinkSettings(name, name), installed().backends, resolved.origins, os.environ)[0]
