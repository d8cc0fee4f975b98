"""Finding run folders below a root."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from unitrack.errors import ConfigError, JournalError
from unitrack.names import nearest
from unitrack.records import RunStart
from unitrack.runfolder.run_folder import RunFolder

_LEVELS_UP, _NEARBY = 3, 200
"""How far `nearby_roots` looks: folders above, and entries of the folder beside the root."""


def find_run_folders(root: Path) -> Iterator[RunFolder]:
    """Yield the run folders directly under `root`, sorted by name; only `root` itself if it is one."""
    if is_run_folder(root):
        yield RunFolder(root)
        return
    if root.is_dir():
        for path in sorted(root.iterdir()):
            if is_run_folder(path):
                yield RunFolder(path)


def nearby_roots(root: Path) -> dict[Path, int]:
    """Return the other folders of the root's name that hold runs, with how many: above it, and one level below.

    They are where the runs are when a command is called in another folder than training was.
    """
    beside = list(itertools.islice(root.parent.iterdir(), _NEARBY)) if root.parent.is_dir() else []
    places = [*list(root.parent.parents)[:_LEVELS_UP], *(path for path in sorted(beside) if path.is_dir())]
    counts = {place / root.name: _count_runs(place / root.name) for place in places}
    return {path: count for path, count in counts.items() if count and path != root}


def _count_runs(root: Path) -> int:
    try:
        return sum(1 for _ in find_run_folders(root))
    except OSError:  # another user's folder
        return 0


def is_run_folder(path: Path) -> bool:
    """Return whether a folder is that of a run."""
    return os.path.exists(path / ".unitrack" / "run.json")  # `Path.exists` raises for a folder without permission


def find_run(root: Path, run_id: str) -> RunFolder | None:
    """Return the folder of the run with this id under `root`; None if there is none."""
    for folder in find_run_folders(root):
        with contextlib.suppress(JournalError):  # a damaged run folder is skipped
            if folder.read_manifest().run.run_id == run_id:
                return folder
    return None


def find_by_id(run_id: str, root: Path) -> RunFolder:
    """Return the folder of the run with this id under `root`, else of the only one of this name.

    Raises `ConfigError`, with a similar name, if there is none, or if several have the name.
    """
    known: list[str] = []
    named: list[RunFolder] = []
    for folder, run in _starts_of(find_run_folders(root)):
        if run.run_id == run_id:
            return folder
        if run.name == run_id:
            named.append(folder)
        known += [folder.path.name, run.run_id, run.name]
    if len(named) == 1:
        return named[0]
    if named:
        folders = ", ".join(folder.path.name for folder in named)
        raise ConfigError(f"{len(named)} runs under {str(root)!r} are called {run_id!r}: give a folder, {folders}")
    close = nearest(run_id, known)
    hint = f"did you mean {close!r}?" if close else "give a run folder, a folder of runs, or a run's id"
    raise ConfigError(f"{run_id!r} is neither a folder with runs nor a run under {str(root)!r}: {hint}")


def ids_of(folders: Iterable[RunFolder]) -> Iterator[tuple[RunFolder, str]]:
    """Yield each folder whose manifest can be read, with the run's id."""
    yield from ((folder, run.run_id) for folder, run in _starts_of(folders))


def _starts_of(folders: Iterable[RunFolder]) -> Iterator[tuple[RunFolder, RunStart]]:
    for folder in folders:
        try:
            yield folder, folder.read_manifest().run
        except JournalError:
            continue  # a damaged run folder is skipped
