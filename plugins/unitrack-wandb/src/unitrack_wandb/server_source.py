"""Reads the runs of a project on a W&B server as records, those that unitrack did not write included.

Histories are scanned whole: W&B's `history()` is a random sample, and a scan for some keys leaves out each row that
lacks one of them.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from unitrack.hookspecs import Columns, Condition, RunSummary, Source, columns_of
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, RunStatus, Tags, flatten
from unitrack_wandb import foreign_histograms
from unitrack_wandb.definitions import defined_in
from unitrack_wandb.foreign_media import media_files
from unitrack_wandb.header import Header
from unitrack_wandb.names import wandb_id
from unitrack_wandb.server_access import connect_to_read, explained
from unitrack_wandb.translation import (
    artifact_of,
    flat_texts,
    is_own_file,
    metrics_of,
    params_of,
    points_of,
    run_file_of,
    run_start,
    step_of,
    summary_points,
    time_of,
)

_FILE, _ROW = "wandb-file", "wandb-row"
"""The schemes of artifacts that are a run file, and of histograms, which stand in a row."""
_RUNS_PER_PAGE = 100
_FILES_PER_PAGE = 500
_ROWS_PER_PAGE = 1000
_STATES: dict[str, RunStatus] = {
    "finished": "finished",
    "failed": "failed",
    "crashed": "failed",
    "killed": "killed",
    "preempted": "killed",
}
"""How W&B's states of a run that has ended are called here; a run in any other state goes on."""


class ServerSource(Source):
    """The runs of `entity/project`, or the one run `entity/project/run_id`.

    Raises `FileNotFoundError` if there is no such project or run, `PermissionError` without a key that the server
    accepts, and `ConnectionError` if the server does not answer.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        entity, project, *run_id = place.split("/")
        self._path = f"{entity}/{project}"
        self._api = connect_to_read(place)
        self._internal: dict[str, Any] = {}
        """What W&B itself keeps in the config of each run, by the run's id."""
        self._listed: Sequence[Any] = [self._get(run_id[0])] if run_id else self._list()

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs of the project, those first that were created first."""
        for run in self._all():
            yield run_start(self._header(run))

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """The records of one run, by its W&B id or by that in unitrack. Raises `KeyError` if there is no such run."""
        numbered = zip(itertools.count(), self._records(self._find(run_id)), strict=False)
        return (msgspec.structs.replace(record, seq=seq) for seq, record in numbered)

    def summary(self, run_id: str) -> RunSummary:
        """Return the run without its points, by W&B's own summary. Raises `KeyError` if there is no such run."""
        return self._summary(self._find(run_id))

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield each run with its summary, as W&B lists them: no history is read."""
        for run in self._all():
            yield run_start(self._header(run)), self._summary(run)

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return every point of these metrics, or of all, by metric. Raises `KeyError` if there is no such run."""
        found = columns_of(self._metrics(self._find(run_id), {}))
        return found if metrics is None else {name: found[name] for name in found if name in metrics}

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Download an artifact that `records` named: a run file, or all below a folder."""
        run = self._find(run_id)
        if artifact.file.startswith(f"{_ROW}:"):
            return self._fetch_histogram(run, artifact, folder)
        name = unquote(artifact.file.removeprefix(self._uri(run, "")))
        with explained(self._place):
            files = [file for file in run.files(per_page=_FILES_PER_PAGE) if _is_at(file.name, name)]
            if not files:
                raise FileNotFoundError(f"W&B no longer has {artifact.name!r}")
            for file in files:
                file.download(root=str(folder), replace=True).close()
        return folder / name

    def _fetch_histogram(self, run: Any, artifact: Artifact, folder: Path) -> Path:
        step, _, key = artifact.file.partition("#")[2].partition("/")
        with explained(self._place):
            rows = list(run.scan_history(min_step=int(step), max_step=int(step) + 1))
        return foreign_histograms.write(artifact, flat_texts(rows[0] if rows else {}), unquote(key), folder)

    def _list(self) -> Sequence[Any]:
        """Return the runs of the project, which the SDK fetches page by page and keeps."""
        listed: Sequence[Any] = self._api.runs(self._path, per_page=_RUNS_PER_PAGE, lazy=False)
        with explained(self._place), contextlib.suppress(IndexError):
            listed[0]
        return listed

    def _all(self) -> Iterator[Any]:
        """Yield the runs; by number, since the SDK's list has one place for all loops over it."""
        page: object = None
        for number in itertools.count():
            with explained(self._place):
                try:
                    run = self._listed[number]
                except IndexError:
                    return
                if page is not (page := getattr(self._listed, "last_response", None)):
                    self._internal |= _internal_configs(page)
            yield run

    def _header(self, run: Any) -> Header:
        return _header(run, self._internal.get(run.id) or run.rawconfig.get("_wandb"))

    def _get(self, id: str) -> Any:
        with explained(self._place):
            return self._api.run(f"{self._path}/{id}")

    def _find(self, run_id: str) -> Any:
        for run in self._all():
            record = self._header(run).record or {}
            if run.id in (run_id, wandb_id(run_id)) or record.get("run_id") == run_id:
                return run
        raise KeyError(f"no run {run_id!r} in {self._place}")

    def _records(self, run: Any) -> Iterator[AnyRecord]:
        header = self._header(run)
        ours = header.record is not None
        start = run_start(header)
        yield start
        if params := params_of(header.config, ours=ours):
            yield Params(seq=0, time=start.time, params=params)
        if start.tags:
            yield Tags(seq=0, time=start.time, tags=start.tags)
        media: dict[str, Artifact] = {}
        yield from self._metrics(run, media)
        yield from self._artifacts(run, header, media)
        status, ended = _end(run, header)
        if ended is not None:
            yield RunEnd(seq=0, time=ended, status=status)

    def _metrics(self, run: Any, media: dict[str, Artifact]) -> Iterator[Metrics]:
        """Yield the points of each row, then those that were set in the summary by hand, and note media of rows."""
        header = self._header(run)
        ours = header.record is not None
        time = run_start(header).time
        step, logged = 0, set[str]()
        with explained(self._place):
            for values in _scan(run):
                row = flat_texts(values)
                record = metrics_of(row, ours=ours, time=time)
                if record is not None:
                    logged |= record.metrics.keys() | record.special.keys()
                    step, time = max(step, record.step), record.time
                    yield record
                if not ours:
                    media |= {artifact.name: artifact for artifact in self._media(run, row, time)}
        if not ours and (by_hand := summary_points(header.summary, logged)):
            yield Metrics(seq=0, time=time, step=step, metrics={}).with_values(by_hand)

    def _media(self, run: Any, row: Mapping[str, str], time: int) -> Iterator[Artifact]:
        """Yield what a row shows, without sizes of files."""
        step, time = step_of(row, ours=False), time_of(row, time)
        for name, type_ in media_files(row):
            yield Artifact(seq=0, time=time, name=name, file=self._uri(run, name), type=type_, step=step)
        place = f"{_ROW}://{quote(self._path)}/{quote(run.id)}#{step}"
        yield from foreign_histograms.artifacts_of_row(place, step, row, step=step, time=time)

    def _artifacts(self, run: Any, header: Header, media: Mapping[str, Artifact]) -> Iterator[Artifact]:
        """Yield artifacts as they were logged, then media and run files of which no record tells."""
        known: set[str] = set()
        for entry in (header.record or {}).get("artifacts", []):
            known.update(entry.get("files", {}))
            yield artifact_of(entry, self._uri(run, run_file_of(entry)))
        yield from (artifact for artifact in media.values() if artifact.type == "histogram")
        time = run_start(header).time
        with explained(self._place):
            for file in run.files(per_page=_FILES_PER_PAGE):
                if file.name in known or (is_own_file(file.name) and file.name not in media):
                    continue
                found = media.get(file.name, Artifact(seq=0, time=time, name=file.name, file=""))
                yield msgspec.structs.replace(found, file=self._uri(run, file.name), size=file.size)

    def _uri(self, run: Any, name: str) -> str:
        return f"{_FILE}://{quote(self._path)}/{quote(run.id)}/{quote(name)}"

    def _summary(self, run: Any) -> RunSummary:
        """Return what a listing tells of a run; all of it where `define_metric` put another value into the summary."""
        header = self._header(run)
        if any(one.summary for one in header.definitions.values()):
            return RunSummary.of(self._records(run))
        ours = header.record is not None
        status, ended = _end(run, header)
        return RunSummary(
            params=flatten(params_of(header.config, ours=ours)),
            tags=run_start(header).tags,
            last=points_of(flat_texts(header.summary), ours=ours),
            status=status,
            ended=ended,
        )


def _internal_configs(page: Any) -> dict[str, Any]:
    """Return what W&B keeps under `_wandb` in the config of each run of a page; the SDK's runs have lost it."""
    found = {}
    for edge in ((page or {}).get("project") or {}).get("runs", {}).get("edges", []):
        config = msgspec.json.decode(edge["node"].get("config") or "{}")
        found[edge["node"]["name"]] = (config.get("_wandb") or {}).get("value")
    return found


def _header(run: Any, internal: Any) -> Header:
    return Header(
        id=run.id,
        project=run.project,
        name=run.name or "",
        notes=run.notes or "",
        tags=tuple(run.tags or ()),
        group=run.group or "",
        job_type=run.job_type or "",
        started=_seconds(run.created_at),
        config=run.config,
        summary=run.summary_metrics,
        definitions=defined_in(internal),
    )


def _end(run: Any, header: Header) -> tuple[RunStatus, int | None]:
    """Return the status of a run and when it ended, in milliseconds since the epoch."""
    unnamed = (header.record or {}).get("status")
    status = _STATES.get(run.state, "running")
    if status == "running" or unnamed == "running":
        return "running", None
    ended = round(_seconds(run.heartbeat_at) * 1000)
    return "pruned" if unnamed == "pruned" and status == "finished" else status, ended


def _seconds(text: str | None) -> float:
    """Return a time of W&B, which is UTC whether it says so or not, in seconds since the epoch; 0 if there is none."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return 0.0
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _scan(run: Any) -> Iterable[Mapping[str, Any]]:
    """Return all rows. The SDK asks for pages of so many steps, most of which are empty if steps are far apart."""
    steps, rows = run.lastHistoryStep + 1, run.history_line_count or 1
    pages = math.ceil(rows / _ROWS_PER_PAGE)
    scan: Iterable[Mapping[str, Any]] = run.scan_history(page_size=max(_ROWS_PER_PAGE, math.ceil(steps / pages)))
    return scan


def _is_at(file: str, name: str) -> bool:
    """Return whether a run file is the one of that name, or lies in the folder of that name."""
    return file == name or file.startswith(f"{name}/")
