"""The runs of one location."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import overload

from unitrack.config import resolve
from unitrack.hookspecs import Source
from unitrack.html import html_table
from unitrack.records import RunStart
from unitrack.runs.errors import MissingLocationError, NotFoundError
from unitrack.runs.location import DEFAULT_BACKEND, Location
from unitrack.runs.reading import read_records, read_starts
from unitrack.runs.stored_run import StoredRun
from unitrack.validation.arguments import as_text

_MAX_SHOWN = 100
"""Runs that a notebook shows."""


def open_location(location: str | Path | None) -> Runs:
    """See `unitrack.runs`."""
    if location is None:
        return Runs(Location(DEFAULT_BACKEND, resolve().settings.tracking.root))  # may not be there: no runs yet
    parsed = Location.parse(location)
    if parsed.backend == DEFAULT_BACKEND and not os.path.exists(os.path.expanduser(parsed.place)):
        raise MissingLocationError(f"there is no folder {parsed.place!r}: give a folder of runs, or that of one run")
    return Runs(parsed)


class Runs(Sequence[StoredRun]):
    """The runs of one location, newest first: `len(runs)`, `runs[0]`, `for run in runs`.

    Nothing is read before it is asked for. Which runs there are is looked up once; `unitrack.runs(...)` looks anew.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._source: Source = location.open()

    @cached_property
    def _found(self) -> list[StoredRun]:
        starts = read_starts(self._source, self.location)
        found = [StoredRun(self._source, self.location, start) for start in starts]
        return sorted(found, key=lambda run: run.started, reverse=True)

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, index: int) -> StoredRun: ...

    @overload
    def __getitem__(self, index: slice) -> list[StoredRun]: ...

    def __getitem__(self, index: int | slice) -> StoredRun | list[StoredRun]:
        return self._found[index]

    def __repr__(self) -> str:
        return f"<Runs in {str(self.location)!r}>"

    def _repr_html_(self) -> str:
        shown = [(run.name, run.id, run.project, as_local_time(run.started)) for run in self[:_MAX_SHOWN]]
        more = f", the newest {_MAX_SHOWN}" if len(self) > _MAX_SHOWN else ""
        title = f"{len(self)} {'run' if len(self) == 1 else 'runs'} in {self.location}{more}"
        return html_table(title, ("name", "id", "project", "started"), shown)

    def find(self, run: str) -> StoredRun:
        """The run with this id in the backend, else the only one of this name.

        Raises `NotFoundError` if there is none, naming what is near, or if the name is that of several.
        """
        run = as_text(run, "the id or name of a run")
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


def as_local_time(milliseconds: int) -> str:
    """A time as people write it here; empty where it is not known."""
    return f"{datetime.fromtimestamp(milliseconds / 1000):%Y-%m-%d %H:%M:%S}" if milliseconds else ""
