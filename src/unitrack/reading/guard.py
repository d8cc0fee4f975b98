"""A source whose failures are errors of unitrack: the reader of another program may raise anything."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from unitrack.errors import NotFoundError, SourceError, UnitrackError
from unitrack.hookspecs import Columns, Condition, Link, RunSummary
from unitrack.reading.location import Location
from unitrack.records import AnyRecord, Artifact, Metrics, RunStart

_Record = TypeVar("_Record", bound=AnyRecord)
_Answer = TypeVar("_Answer")


class GuardedSource:
    """The source of a location. Its methods are those of `Source`.

    Each raises `NotFoundError` if there is no such run and `SourceError` if the source fails, at the call or while its
    records are read. Both name the location.
    """

    def __init__(self, location: Location) -> None:
        """Open the source of `location`. Raises as `Location.open` does."""
        self.location = location
        self._source = location.open()

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs."""
        with self._explain(UnitrackError):
            yield from self._source.runs()

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Yield the records of a run."""
        return self._read_first(lambda: self._source.records(run_id), run_id)

    def history(self, run_id: str, metrics: Collection[str]) -> Iterator[Metrics]:
        """Yield the points of some metrics of a run."""
        return self._read_first(lambda: self._source.history(run_id, metrics), run_id)

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield each run with its summary, perhaps without runs for which a condition is false."""
        with self._explain(UnitrackError):
            yield from self._source.summaries(conditions)

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return every point of these metrics, or of all, by metric."""
        return self._of_run(lambda: self._source.columns(run_id, metrics), run_id)

    def summary(self, run_id: str) -> RunSummary:
        """Return a run without its points."""
        return self._of_run(lambda: self._source.summary(run_id), run_id)

    def _of_run(self, read: Callable[[], _Answer], run_id: str) -> _Answer:
        try:
            with self._explain(UnitrackError, KeyError):
                return read()
        except KeyError as error:
            self.records(run_id)  # raises if there is no such run; else the error is a bug of the source
            raise SourceError(f"can't read {str(self.location)!r}: {error}") from error

    def links(self, run_id: str) -> Mapping[str, Link]:
        """Return where the run lies in each backend that it was delivered to."""
        return self._of_run(lambda: self._source.links(run_id), run_id)

    def folder(self, run_id: str) -> Path | None:
        """Return the folder on this machine that is the run's own, or None."""
        with self._find(run_id):
            return self._source.folder(run_id)

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Bring an artifact that is not on this machine into `folder`, and return where it lies."""
        try:
            return Path(self._source.fetch(run_id, artifact, folder))
        except UnitrackError:
            raise
        except Exception as error:
            what = f"{artifact.name!r} from {str(self.location)!r}"
            raise SourceError(f"can't bring {what}: {error or type(error).__name__}") from error

    def _read_first(self, read: Callable[[], Iterator[_Record]], run_id: str) -> Iterator[_Record]:
        """Read the first record at once, since a generator reports only then that there is no such run."""
        with self._find(run_id):
            records = iter(read())
            first = list(itertools.islice(records, 1))
        return self._guard(itertools.chain(first, records))

    def _guard(self, records: Iterator[_Record]) -> Iterator[_Record]:
        with self._explain(UnitrackError):
            yield from records

    @contextlib.contextmanager
    def _find(self, run_id: str) -> Iterator[None]:
        """Turn a `KeyError` into the error that there is no such run."""
        try:
            with self._explain(UnitrackError, KeyError):
                yield
        except KeyError:
            raise NotFoundError(f"there is no run {run_id!r} in {str(self.location)!r}") from None

    @contextlib.contextmanager
    def _explain(self, *clear: type[Exception]) -> Iterator[None]:
        """Turn all errors but those that are `clear` into a `SourceError`."""
        try:
            yield
        except clear:
            raise
        except Exception as error:
            raise SourceError(f"can't read {str(self.location)!r}: {error or type(error).__name__}") from error
