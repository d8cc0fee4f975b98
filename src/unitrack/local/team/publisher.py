"""The writer of one run in a team's store: what is new in the run folder goes there, now and then and at the end."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.blobs.store import open_objects
from unitrack.errors import SinkMisconfiguredError, SourceError
from unitrack.hookspecs import MetricSummary, RunContext, RunSummary
from unitrack.local.options import LocalOptions
from unitrack.local.pointers import pointer_path
from unitrack.local.source import ARTIFACTS, METADATA, METRICS, PARAMS, LocalSource
from unitrack.local.team.layout import PART_BYTES, Part, RunEntry, decode_entry, encode_entry, entry_key
from unitrack.records import Metrics
from unitrack.values.run_summary import SummaryFold

_EVERY_S = 10.0
"""How often a run that logs all the time is published: a bucket takes a fee for each request."""
_AT_ONCE = 6
"""How many times it may be published without a pause, so that what an epoch logs in a few calls is there at once."""
_MOST_WHOLE_BYTES = 4 * PART_BYTES
"""A `metrics.jsonl` up to this becomes one object at the end of the run."""
_MOST_OF_ONE_NAME = 100
_SMALL_FILES = (METADATA, PARAMS, "params_history.jsonl", "metrics_superseded.jsonl")


class Publisher:
    """Publishes a run folder. The checkpoint holds which parts of the points are there.

    Parts are added, and grow together where they are small: each byte is sent a few times, not each time.
    """

    def __init__(self, run: RunContext, options: LocalOptions, committed: Mapping[str, Any]) -> None:
        """`committed`: what `checkpoint` returned. Raises as `Objects` does."""
        assert options.team_store is not None
        self._run = run
        self._objects = open_objects(options.team_store, options.storage_options)
        self._generation = int(committed.get("generation", 0))
        self._parts = [msgspec.convert(part, Part) for part in committed.get("parts", ())]
        self._folder = str(committed.get("folder") or self._free_folder())
        self._sent: dict[str, int] = {}
        """Checksums of the small files as they are in the store."""
        self._metrics = self._read_metrics()
        self._allowance = float(_AT_ONCE)
        self._looked_at = time.monotonic()

    @property
    def location(self) -> str:
        """The URL of the store."""
        return self._objects.address.url

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run.start.run_id

    def checkpoint(self) -> dict[str, Any]:
        """Return what the next publisher of this run needs."""
        parts = msgspec.to_builtins(self._parts)
        return {"generation": self._generation, "parts": parts, "folder": self._folder}

    # -- what is logged -----------------------------------------------------------------------------------------------

    def add(self, records: Iterable[Metrics]) -> None:
        """Note points that were appended to `metrics.jsonl`."""
        for record in records:
            self._metrics.add(record)

    def begin_generation(self) -> None:
        """Note that `metrics.jsonl` was written anew: all parts are replaced."""
        self._generation += 1
        self._parts = []
        self._metrics = self._read_metrics()

    def send_pointer(self, name: str) -> None:
        """Publish the pointer of an artifact."""
        path = pointer_path(self._run.folder / ARTIFACTS, name)
        self._objects.write(self._key(path.relative_to(self._run.folder).as_posix()), path.read_bytes())

    def publish(self, *, ended: bool) -> None:
        """Publish what is new, if it is time; in any case, and tidily, if the run has `ended`."""
        now = time.monotonic()
        self._allowance = min(_AT_ONCE, self._allowance + (now - self._looked_at) / _EVERY_S)
        self._looked_at = now
        if self._allowance < 1 and not ended:
            return
        before = {part.key for part in self._parts}
        self._send_points(ended=ended)
        for name in _SMALL_FILES:
            self._send_small(name)
        self._objects.write(entry_key(self._folder), encode_entry(self._entry()))
        self._remove_parts(before, all_of_them=ended)
        self._allowance -= 1

    # -- the pieces ---------------------------------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _free_folder(self) -> str:
        """Return the name of this run in the store: another run of the same name and id keeps its own."""
        start = self._run.start
        name = self._run.folder.name
        wanted = name if name.endswith(start.run_id) else f"{name}-{start.run_id}"
        for number in range(1, _MOST_OF_ONE_NAME):
            folder = wanted if number == 1 else f"{wanted}-{number}"
            try:
                entry = decode_entry(self._objects.read(entry_key(folder)), folder)
            except FileNotFoundError:
                return folder
            except SourceError:
                continue
            if entry.start.run_id == start.run_id and entry.start.time == start.time:
                return folder  # begun before, and not committed
        raise SinkMisconfiguredError(f"{self.location} holds {_MOST_OF_ONE_NAME} runs called {wanted!r}; remove some")

    def _read_metrics(self) -> SummaryFold:
        fold = SummaryFold()
        for record in LocalSource(str(self._run.folder)).records(self._run.folder.name):
            if isinstance(record, Metrics):
                fold.add(record)
        return fold

    def _send_points(self, *, ended: bool) -> None:
        path = self._run.folder / METRICS
        size = path.stat().st_size
        if ended and size <= _MOST_WHOLE_BYTES:
            self._send_whole(path)
            return
        if self._parts and self._parts[-1].key == METRICS:  # of a run that goes on after its end
            self._parts = []
        start = self._parts[-1].end if self._parts else 0
        while self._parts and size > start and self._parts[-1].size <= size - start < PART_BYTES:
            start = self._parts.pop().start
        with path.open("rb") as file:
            file.seek(start)
            while start < size:
                data = file.read(min(PART_BYTES, size - start))
                key = f"metrics/{self._generation}-{start:016d}-{start + len(data):016d}.jsonl"
                self._objects.write(self._key(key), data)
                self._parts.append(Part.of(key, start, data))
                start += len(data)

    def _send_whole(self, path: Path) -> None:
        data = path.read_bytes()
        part = Part.of(METRICS, 0, data)
        if self._parts != [part]:
            self._objects.write(self._key(METRICS), data)
            self._parts = [part]

    def _send_small(self, name: str) -> None:
        try:
            data = (self._run.folder / name).read_bytes()
        except FileNotFoundError:
            return
        checksum = zlib.crc32(data)
        if self._sent.get(name) != checksum:
            self._objects.write(self._key(name), data)
            self._sent[name] = checksum

    def _entry(self) -> RunEntry:
        source = LocalSource(str(self._run.folder))
        head = source.head(self._run.folder.name)
        metrics: dict[str, MetricSummary] = self._metrics.metrics
        summary = RunSummary(
            tags=head.start.tags,
            last={name: one.last for name, one in metrics.items() if one.last is not None},
            status=head.end.status if head.end else "running",
            ended=head.end.time if head.end else None,
            metrics=metrics,
        )
        return RunEntry(
            folder=self._folder,
            start=head.start,
            params=(self._run.folder / PARAMS).read_bytes() if (self._run.folder / PARAMS).exists() else b"{}",
            summary=summary,
            artifacts=head.artifacts,
            parts=tuple(self._parts),
        )

    def _remove_parts(self, before: set[str], *, all_of_them: bool) -> None:
        """Remove parts that the entry names no more; at the end also those that a crash has left."""
        names = {part.key for part in self._parts}
        gone = {self._key(key) for key in before - names}
        if all_of_them:
            found = set(self._objects.keys(self._key("metrics/")))
            gone |= found - {self._key(name) for name in names}
        if gone:
            self._objects.remove(sorted(gone))
