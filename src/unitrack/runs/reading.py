"""Records from a source, with its failures in words of ours."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from unitrack.errors import UnitrackError
from unitrack.hookspecs import RunSummary, Source
from unitrack.records import AnyRecord, RunStart
from unitrack.runs.errors import NotFoundError, SourceError
from unitrack.runs.location import Location

_T = TypeVar("_T", bound=AnyRecord)


def read_starts(source: Source, location: Location) -> Iterator[RunStart]:
    """The runs there, streaming. Raises `SourceError` where the source fails."""
    return _guarded(source.runs(), location)


def read_records(source: Source, location: Location, run_id: str) -> Iterator[AnyRecord]:
    """The records of a run, streaming. Raises `NotFoundError` if there is no such run, `SourceError` on a failure."""
    with _looking_for(run_id, location):
        records = iter(source.records(run_id))
        first = next(records, None)  # here, as a generator does not say before this that there is no such run
    return _guarded(itertools.chain(() if first is None else (first,), records), location)


def read_summary(source: Source, location: Location, run_id: str) -> RunSummary | None:
    """The run in short, if the source can tell without reading all records. Raises as `read_records` does."""
    summary = getattr(source, "summary", None)
    if summary is None:
        return None
    with _looking_for(run_id, location):
        found: RunSummary = summary(run_id)
    return found


def read_folder(source: Source, location: Location, run_id: str) -> Path | None:
    """The run's own folder on this machine; None if it has none. Raises as `read_records` does."""
    folder = getattr(source, "folder", None)
    if folder is None:
        return None
    with _looking_for(run_id, location):
        found: Path = folder(run_id)
    return found


def _guarded(records: Iterator[_T], location: Location) -> Iterator[_T]:
    with _explaining(location):
        yield from records


@contextlib.contextmanager
def _looking_for(run_id: str, location: Location) -> Iterator[None]:
    try:
        with _explaining(location, (UnitrackError, KeyError)):
            yield
    except KeyError:
        raise NotFoundError(f"there is no run {run_id!r} in {str(location)!r}") from None


@contextlib.contextmanager
def _explaining(location: Location, clear: tuple[type[Exception], ...] = (UnitrackError,)) -> Iterator[None]:
    try:
        yield
    except clear:
        raise
    except Exception as error:
        raise SourceError(f"can't read {str(location)!r}: {error or type(error).__name__}") from error
