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
    """A completion as typer takes it, from a function that yields all that there is."""

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
    """The names of the run folders under the configured root, then the runs' ids."""
    from unitrack.cli._choosing import configured_root, ids_of
    from unitrack.runfolder import find_run_folders

    folders = list(find_run_folders(configured_root()))
    yield from (folder.path.name for folder in folders)
    yield from (run_id for _, run_id in ids_of(folders))


@_offered
def sinks() -> Iterator[str]:
    """The sinks that are configured here, then the backends that are installed."""
    from unitrack.config import resolve
    from unitrack.plugins import installed

    yield from (sink.name for sink in resolve().settings.sinks)
    yield from installed().backends


@_offered
def locations() -> Iterator[str]:
    """The backends that can be read, each with a colon, then the places to which runs under the root were logged."""
    from unitrack.cli._choosing import configured_root
    from unitrack.cli._run_contents import links_of
    from unitrack.plugins import installed
    from unitrack.runfolder import find_run_folders

    yield from (f"{name}:" for name, backend in installed().backends.items() if backend.source)
    newest = sorted(find_run_folders(configured_root()), key=lambda folder: -folder.path.stat().st_mtime)
    for folder in itertools.islice(newest, _RUNS_WITH_LINKS):
        yield from (f"{spec.backend}:{link.location}" for spec, link in links_of(folder))
