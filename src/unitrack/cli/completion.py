"""What a shell offers for an argument: runs under the configured root, sinks, and locations.

No SDK is imported and no backend is asked: run folders and the plugins' declarations have it all. What can't be read is
not offered, and nothing is printed, since a shell would take it for an answer.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator

_RUNS_WITH_LINKS = 100
"""Of this many runs, the newest folders first, the links are looked at: a few milliseconds."""


def _offered(candidates: Callable[[], Iterator[str]]) -> Callable[[str], list[str]]:
    """Return a completion for typer from a function that yields every candidate."""

    def offer(incomplete: str) -> list[str]:
        from unitrack.errors import UnitrackError

        found: list[str] = []
        with warnings.catch_warnings(), contextlib.suppress(UnitrackError, OSError):
            warnings.simplefilter("ignore")
            found.extend(one for one in candidates() if one.startswith(incomplete))
        return list(dict.fromkeys(found))

    return offer


@_offered
def local_runs() -> Iterator[str]:
    """Yield the names of the run folders under the configured root, then the runs' ids."""
    from unitrack.cli.arguments import configured_root
    from unitrack.runfolder.find import find_run_folders, ids_of

    folders = list(find_run_folders(configured_root()))
    yield from (folder.path.name for folder in folders)
    yield from (run_id for _, run_id in ids_of(folders))


@_offered
def artifacts() -> Iterator[str]:
    """Yield the names of the artifacts under the configured root."""
    from unitrack.artifacts.registry import Registry
    from unitrack.cli.arguments import configured_root

    yield from (artifact.name for artifact in Registry(configured_root()).artifacts())


@_offered
def versions() -> Iterator[str]:
    """Yield the artifacts under the configured root, then their aliases and versions."""
    from unitrack.artifacts.registry import Registry
    from unitrack.cli.arguments import configured_root

    found = list(Registry(configured_root()).artifacts())
    yield from (artifact.name for artifact in found)
    for artifact in found:
        state = artifact.read()
        yield from (f"{artifact.name}:{alias}" for alias in state.aliases)
        yield from (f"{artifact.name}:v{number}" for number in reversed(state.versions))


@_offered
def sinks() -> Iterator[str]:
    """Yield the sinks that are configured here, then the backends that can be one."""
    from unitrack.config import resolve
    from unitrack.plugins.registry import installed

    yield from (sink.name for sink in resolve(shared_options=installed().shared_options).settings.sinks)
    yield from installed().sinks


@_offered
def locations() -> Iterator[str]:
    """Yield the backends that can be read, with a colon, then the places to which runs under the root were logged."""
    from unitrack.cli.arguments import configured_root
    from unitrack.manager.links import links_of
    from unitrack.plugins.registry import installed
    from unitrack.runfolder.find import find_run_folders

    yield from (f"{name}:" for name, backend in installed().backends.items() if backend.source)
    newest = sorted(find_run_folders(configured_root()), key=lambda folder: -folder.path.stat().st_mtime)
    for folder in itertools.islice(newest, _RUNS_WITH_LINKS):
        yield from (f"{spec.backend}:{link.location}" for spec, link in links_of(folder))


@_offered
def sweeps() -> Iterator[str]:
    """Yield the names of the sweeps below the configured root."""
    from unitrack.cli.arguments import configured_root
    from unitrack.sweeps.place import SWEEPS

    yield from sorted(folder.name for folder in (configured_root() / SWEEPS).glob("*") if folder.is_dir())
