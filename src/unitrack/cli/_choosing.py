"""Which runs and which sink a command's arguments mean."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from unitrack import spelling
from unitrack.backend_variables import sink_with_variables, with_variables
from unitrack.config import Resolved, SinkSettings, resolve
from unitrack.errors import ConfigError, JournalError
from unitrack.plugins import installed
from unitrack.runfolder import RunFolder, find_run_folders
from unitrack.runs.location import known_backends


def configured_root() -> Path:
    """The folder that holds the runs, as configured here."""
    return Path(resolve().settings.tracking.root)


def no_runs(root: Path) -> str:
    """What a command says that found no runs under the configured root."""
    return f"no runs in {root.absolute()} (tracking.root)"


class Choice(msgspec.Struct, frozen=True):
    """A run that the arguments mean."""

    folder: RunFolder
    named: bool
    """Whether it was named itself, not only a folder that it is in."""


def choose_runs(arguments: Sequence[str]) -> list[Choice]:
    """The runs that arguments mean: each a run folder, a folder of them, a run id, or a folder's name under the root.

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


def find_by_id(run_id: str, root: Path) -> RunFolder:
    """The run under `root` with this id. Raises `ConfigError`, naming what is near, if there is none."""
    known: list[str] = []
    for folder, id_ in ids_of(find_run_folders(root)):
        if id_ == run_id:
            return folder
        known += [folder.path.name, id_]
    close = spelling.nearest(run_id, known)
    hint = f"did you mean {close!r}?" if close else "give a run folder, a folder of runs, or a run's id"
    raise ConfigError(f"{run_id!r} is neither a folder with runs nor a run under {str(root)!r}: {hint}")


def ids_of(folders: Iterable[RunFolder]) -> Iterator[tuple[RunFolder, str]]:
    """Each of the folders whose manifest can be read, and the run's id."""
    for folder in folders:
        try:
            yield folder, folder.read_manifest().run.run_id
        except JournalError:
            continue  # one damaged run hides no other


def configured(file: Path | None = None) -> Resolved:
    """The configuration that a run started here would have, from `file` if given, with its backends' variables."""
    return with_variables(resolve(file), installed().backends, os.environ)


def choose_sink(resolved: Resolved, name: str) -> SinkSettings:
    """The configured sink of this name; else the backend of this name with the options that its variables set.

    Raises `ConfigError` for a name that is neither, nor that of a backend that could be installed.
    """
    names = [sink.name for sink in resolved.settings.sinks]
    if name in names:
        return resolved.settings.sinks[names.index(name)]
    backends = known_backends()
    if name not in backends:
        close = spelling.nearest(name, {*backends, *names})
        hint = f"did you mean {close!r}? Configured" if close else "configured"
        raise ConfigError(
            f"unknown sink {name!r}: {hint} here: {', '.join(names) or 'none'}; backends: {', '.join(sorted(backends))}"
        )
    return sink_with_variables(SinkSettings(name, name), installed().backends, resolved.origins, os.environ)[0]
