"""Which stored run an argument means: a run itself, a folder, a name, an id, or a run of a location."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from unitrack.config import resolve
from unitrack.errors import ConfigError, NotFoundError, UnitrackError
from unitrack.local.source import METADATA
from unitrack.manager.links import links_of, manifest_of
from unitrack.reading import Runs, StoredRun, runs
from unitrack.reading.location import Location, known_backends
from unitrack.runfolder.find import find_by_id, is_run_folder
from unitrack.runfolder.run_folder import RunFolder
from unitrack.validation.messages import brief

RunLike = Any
"""A `StoredRun`; a `Run`; the path of a run folder; or text: the name of a run folder under the root, a run's id,
"LOCATION#RUN", or a location that holds a single run."""


def choose_run(run: RunLike, location: str | os.PathLike[str] | None = None) -> StoredRun:
    """Return the stored run that is meant; `location` is where a name or an id is looked up, by default the root.

    Raises `ConfigError` or `NotFoundError`, which name it and what is similar, if it is no run, or several.
    """
    if isinstance(run, StoredRun):
        return run
    if isinstance(run, str) and location is not None:
        return runs(Path(location) if isinstance(location, os.PathLike) else location).find(run)
    if isinstance(run, str) and (place := _in_location(run)) is not None:
        return place
    return stored_in(choose_folder(run))


def choose_folder(run: RunLike) -> RunFolder:
    """Return the run folder that is meant: a `Run`, a path, a name under the root, or an id of a run there.

    Of a `StoredRun` it is the one from which unitrack has written it. Raises `ConfigError`, with a similar name, if
    there is none.
    """
    if isinstance(run, StoredRun):
        own = run.folder
        run = own if own is not None and is_run_folder(own) else run.unitrack_id or run.id
    path = getattr(run, "path", run)
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ConfigError(f"a run is a run folder, a name, an id or LOCATION#RUN, got {brief(run)}")
    root = Path(resolve().settings.tracking.root)
    for folder in (Path(path).expanduser(), root / path):
        if holds_run(folder):
            return RunFolder(folder)
    return find_by_id(str(path), root)


def holds_run(path: Path) -> bool:
    """Return whether a folder is that of a run, of unitrack or in the layout of the local backend."""
    return os.path.exists(path / METADATA) or is_run_folder(path)


def stored_in(folder: RunFolder) -> StoredRun:
    """Return the run of a run folder, from its local files or else from the first backend that can be read.

    Raises `ConfigError` if no backend has it.
    """
    if os.path.exists(folder.path / METADATA):
        return runs(folder.path)[0]
    for sink, link in links_of(folder):
        with contextlib.suppress(UnitrackError):  # another backend may have it
            return Runs(Location(sink.backend, link.location)).find(link.id)
    manifest = manifest_of(folder)
    sinks = ", ".join(sink.name for sink in manifest.sinks) if manifest else "nothing"
    raise ConfigError(
        f"{str(folder.path)!r} holds no local files, and no backend gives the run back; it logs to {sinks}: "
        f"see `unitrack status {folder.path}`, or get them with `unitrack sync {folder.path} --to local`"
    )


def _in_location(text: str) -> StoredRun | None:
    """Return the run that "LOCATION#RUN" or a location of a single run means; None for text that names no location."""
    place, mark, name = text.rpartition("#")
    if mark and place and name and (_is_location(place) or os.path.isdir(os.path.expanduser(place))):
        return runs(place).find(name)
    if not _is_location(text):
        return None
    found = runs(text)
    if len(found) == 1:
        return found[0]
    how_many = f"{len(found)} runs" if len(found) else "no runs"
    raise NotFoundError(f"{text!r} holds {how_many}: name one as {text}#RUN, by its id or its name")


def _is_location(text: str) -> bool:
    backend, colon, _ = text.partition(":")
    return bool(colon) and backend in known_backends() and not os.path.exists(text)
