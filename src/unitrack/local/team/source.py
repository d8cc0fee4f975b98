"""The source of a team's store. A listing reads one entry a run; points and files are read when they are asked for."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import msgspec

from unitrack.blobs.address import Address
from unitrack.blobs.store import open_objects
from unitrack.errors import SourceError, warn_caller
from unitrack.hookspecs import Columns, Condition, RunSummary, Source
from unitrack.local.pointers import as_source_error, decode_pointer, fetch_content, pointer_path
from unitrack.local.points import read_columns, read_points
from unitrack.local.source import ARTIFACTS, decode_object
from unitrack.local.team.layout import ENTRIES, ENTRY_SUFFIX, Part, RunEntry, decode_entry, entry_key
from unitrack.records import AnyRecord, Artifact, Params, RunEnd, RunStart, flatten

_AT_A_TIME = 32
"""Requests. A bucket answers each in 20 to 100 ms, whatever else it does."""
_TRIES = 4
"""A run that is being logged may have replaced its parts since its entry was read."""
_NAMED = 5
"""Runs that a warning names."""
_IN_MEMORY = 64 * 1024 * 1024
"""Bytes of points; more are kept in a temporary file."""


class TeamSource(Source):
    """The runs of a team's store; `location` is its URL, or its folder.

    A run's id is the one that unitrack gave it; it is the name of its folder if a run before it has the same.
    """

    def __init__(self, location: str) -> None:
        self._address = Address.parse(location)
        with as_source_error():
            self._objects = open_objects(self._address)
            self._folders = self._list()
        self._entries: dict[str, RunEntry] = {}
        self._known: dict[str, str] = {}
        """Folders by run id."""
        self._named: set[str] = set()
        """Folders of which a warning has said that they can't be read."""

    def _list(self) -> list[str]:
        """Return the folders of the runs, in the order of their names."""
        keys = [key for key in self._objects.keys(ENTRIES) if key.endswith(ENTRY_SUFFIX)]
        return sorted(key.removeprefix(ENTRIES).removesuffix(ENTRY_SUFFIX) for key in keys)

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs."""
        for start, _ in self.summaries():
            yield start

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield each run with its summary, one request a run, many at a time.

        Entries that can't be read are left out, and a warning names them. Raises `SourceError` if no entry can be read.
        """
        seen = set[str]()
        damaged: dict[str, SourceError] = {}
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            for folder, entry in zip(self._folders, pool.map(self._try_entry, self._folders), strict=True):
                if entry is None:  # removed since
                    continue
                if isinstance(entry, SourceError):
                    damaged[folder] = entry
                    continue
                run_id = folder if entry.start.run_id in seen else entry.start.run_id
                seen.add(run_id)
                self._known[run_id] = folder
                yield msgspec.structs.replace(entry.start, run_id=run_id), _summary_of(entry)
        if damaged:
            self._tell(damaged, some=bool(seen))

    def _try_entry(self, folder: str) -> RunEntry | SourceError | None:
        try:
            return self._read_entry(folder)
        except SourceError as error:
            return error

    def _tell(self, damaged: Mapping[str, SourceError], *, some: bool) -> None:
        """Warn, once, of entries that can't be read. Raises the error of the first if there is no other entry."""
        first = next(iter(damaged.values()))
        if not some:
            raise first
        if news := [folder for folder in damaged if folder not in self._named]:
            self._named.update(news)
            count = "1 run is" if len(news) == 1 else f"{len(news)} runs are"
            more = f" and {len(news) - _NAMED} more" if len(news) > _NAMED else ""
            listed = ", ".join(map(repr, news[:_NAMED]))
            warn_caller(f"{count} left out of {self._address}: {listed}{more}; {damaged[news[0]]}")

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Yield the records of a run. Raises `KeyError` if there is none."""
        entry = self._find(run_id)
        yield entry.start
        if params := decode_object(entry.params):
            yield Params(seq=0, time=entry.start.time, params=params)
        entry, file = self._points_of(entry)
        last_time = entry.start.time
        with file:
            for record in read_points(file, entry.start.time):  # type: ignore[arg-type]  # binary, and read as such
                last_time = max(last_time, record.time)
                yield record
        yield from entry.artifacts
        if entry.summary.status != "running":
            yield RunEnd(seq=0, time=entry.summary.ended or last_time, status=entry.summary.status)

    def summary(self, run_id: str) -> RunSummary:
        """Return the run without its points. Raises `KeyError`."""
        return _summary_of(self._find(run_id))

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return every point by metric. Raises `KeyError`."""
        entry, file = self._points_of(self._find(run_id))
        with file:
            return read_columns(file, entry.start.time, metrics)  # type: ignore[arg-type]  # as above

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Bring an artifact, checked by its SHA-256."""
        entry = self._find(run_id)
        key = pointer_path(Path(entry.folder) / ARTIFACTS, artifact.name).as_posix()
        with as_source_error():
            pointer = decode_pointer(self._objects.read(key), f"{self._address}/{key}")
        return fetch_content(pointer, folder / Path(artifact.name).name)

    def _find(self, run_id: str) -> RunEntry:
        folder = self._known.get(run_id)
        if folder is None and run_id in self._folders:
            folder = run_id
        if folder is None:
            for one in self._folders:
                if not one.endswith(f"-{run_id}"):
                    continue
                entry = self._read_entry(one)
                if entry is not None and entry.start.run_id == run_id:
                    folder = one
                    break
            else:
                for _ in self.runs():  # fills `_known`
                    pass
                folder = self._known[run_id]
        entry = self._read_entry(folder)
        if entry is None:
            raise KeyError(run_id)
        self._known[run_id] = folder
        return entry

    def _read_entry(self, folder: str, *, again: bool = False) -> RunEntry | None:
        if folder not in self._entries or again:
            try:
                with as_source_error():
                    data = self._objects.read(entry_key(folder))
            except FileNotFoundError:
                return None
            self._entries[folder] = decode_entry(data, f"{self._address}/{entry_key(folder)}")
        return self._entries[folder]

    def _points_of(self, entry: RunEntry) -> tuple[RunEntry, IO[bytes]]:
        """Return all points of a run in a file, and the entry that they belong to."""
        for _ in range(_TRIES):
            found = self._join(entry)
            if found is not None:
                return entry, found
            newer = self._read_entry(entry.folder, again=True)
            if newer is None:
                break
            entry = newer
        raise SourceError(f"the points of {self._address}/{entry.folder} are not whole: a part is gone or damaged")

    def _join(self, entry: RunEntry) -> IO[bytes] | None:
        """Return the parts of a run as one file; None if one is gone, or is not what the entry says."""

        def read(part: Part) -> bytes | None:
            try:
                with as_source_error():
                    data = self._objects.read(f"{entry.folder}/{part.key}")
            except FileNotFoundError:
                return None
            return data if part.holds(data) else None

        size = sum(part.size for part in entry.parts)
        joined: IO[bytes] = io.BytesIO() if size <= _IN_MEMORY else tempfile.TemporaryFile()  # noqa: SIM115  # returned
        with ThreadPoolExecutor(4) as pool:
            for start in range(0, len(entry.parts), 4):
                for data in pool.map(read, entry.parts[start : start + 4]):
                    if data is None:
                        joined.close()
                        return None
                    joined.write(data)
        joined.seek(0)
        return joined


def _summary_of(entry: RunEntry) -> RunSummary:
    params = flatten(decode_object(entry.params))
    artifacts = {artifact.name: artifact for artifact in entry.artifacts}
    return msgspec.structs.replace(entry.summary, params=params, artifacts=artifacts)
