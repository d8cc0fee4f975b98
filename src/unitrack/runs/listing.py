"""The runs of one location."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from unitrack.config import resolve
from unitrack.hookspecs import Source
from unitrack.records import RunStart
from unitrack.runs.errors import MissingLocationError, NotFoundError
from unitrack.runs.location import DEFAULT_BACKEND, Location
from unitrack.runs.reading import read_records, read_starts
from unitrack.runs.stored_run import StoredRun


def open_location(location: str | Path | None) -> Runs:
    """See `unitrack.runs`."""
    if location is None:
        return Runs(Location(DEFAULT_BACKEND, resolve().settings.tracking.root))  # may not be there: no runs yet
    parsed = Location.parse(location)
    if parsed.backend == DEFAULT_BACKEND and not Path(parsed.place).expanduser().exists():
        raise MissingLocationError(f"there is no folder {parsed.place!r}: give a folder of runs, or that of one run")
    return Runs(parsed)


class Runs:
    """The runs of one location, to iterate over as often as you like. Each iteration looks anew, and streams."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._source: Source = location.open()

    def __repr__(self) -> str:
        return f"<Runs in {str(self.location)!r}>"

    def __iter__(self) -> Iterator[StoredRun]:
        for start in read_starts(self._source, self.location):
            yield StoredRun(self._source, self.location, start)

    def find(self, run: str) -> StoredRun:
        """The run with this id in the backend, else the only one of this name.

        Raises `NotFoundError` if there is none, naming what is near, or if the name is that of several.
        """
        try:
            start = next(read_records(self._source, self.location, run))
        except NotFoundError:
            return self._by_name(run)
        assert isinstance(start, RunStart), "a source begins with a RunStart"
        return StoredRun(self._source, self.location, start, key=run)

    def _by_name(self, name: str) -> StoredRun:
        known: list[str] = []
        found: list[StoredRun] = []
        for run in self:
            known += [run.name, run.id]
            if run.name == name:
                found.append(run)
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(run.id for run in found)
            raise NotFoundError(f"{len(found)} runs in {str(self.location)!r} are called {name!r}; give an id: {ids}")
        close = difflib.get_close_matches(name, known, n=1)
        hint = f": did you mean {close[0]!r}?" if close else "" if known else ", nor any other"
        raise NotFoundError(f"there is no run {name!r} in {str(self.location)!r}{hint}")
