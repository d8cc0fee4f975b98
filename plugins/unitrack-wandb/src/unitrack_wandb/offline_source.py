"""Reads offline runs back as records, those that unitrack did not write included."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from unitrack.hookspecs import Columns, Condition, RunSummary, Source
from unitrack.records import AnyRecord, Artifact, Params, RunEnd, RunStart, RunStatus, Tags
from unitrack_wandb import foreign_artifacts, foreign_histograms
from unitrack_wandb.attempts import STAGES
from unitrack_wandb.header import Header
from unitrack_wandb.names import wandb_id
from unitrack_wandb.offline_file import NotAWandbFileError
from unitrack_wandb.offline_history import History
from unitrack_wandb.offline_run import OfflineRun
from unitrack_wandb.translation import artifact_of, is_own_file, params_of, run_file_of, run_start

_KILLED = (130, 137, 143)
"""Exit codes of SIGINT, SIGKILL and SIGTERM in a shell."""
_COMPARED_BYTES = 1024
"""Of the beginning of two files, which hold the id and the time of the start: equal in a copy of a folder alone."""


class OfflineSource(Source):
    """The runs in a folder: an offline run's own, a `wandb` folder, or any folder above one."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()  # `latest-run` is a link
        self._known: dict[Path, tuple[tuple[int, int], OfflineRun]] = {}

    def runs(self) -> Iterator[RunStart]:
        """Yield one `RunStart` for each run, with its W&B id. A folder that can't be read is left out."""
        for parts in self._runs().values():
            with contextlib.suppress(FileNotFoundError):  # replaced since it was found
                yield run_start(parts[-1].header)

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """The records of one run, by its W&B id or by that in unitrack. Raises `KeyError` if there is no such run."""
        parts = self._find(run_id)
        numbered = zip(itertools.count(), _records(parts), strict=False)
        return (msgspec.structs.replace(record, seq=seq) for seq, record in numbered)

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield each run with its summary; the folder is searched once."""
        for parts in self._runs().values():
            with contextlib.suppress(FileNotFoundError):  # replaced since it was found
                yield run_start(parts[-1].header), RunSummary.of(_records(parts))

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return every point of these metrics, or of all, by metric. Raises `KeyError` if there is no such run."""
        return History(self._find(run_id)).columns(metrics)

    def folder(self, run_id: str) -> Path:
        """The newest folder of the run. Raises `KeyError` if there is no such run."""
        return self._find(run_id)[-1].folder

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """The file of an artifact that `records` named: where it lies, or made in `folder` if it stands in a row."""
        if foreign_artifacts.is_one(artifact):
            return foreign_artifacts.fetch(artifact, folder)
        return foreign_histograms.fetch(artifact, folder)

    def _find(self, run_id: str) -> list[OfflineRun]:
        known = self._runs()
        parts = known.get(run_id) or known.get(wandb_id(run_id))
        if not parts:
            raise KeyError(f"no offline run {run_id!r} in {self._root}")
        return parts

    def _runs(self) -> dict[str, list[OfflineRun]]:
        """Return the folders of each run by its id, oldest first: the SDK makes another one at each resume offline.

        Attempts that are not whole are left out, and copies of a folder but for the longest.
        """
        found: dict[str, dict[bytes, OfflineRun]] = {}
        for file in sorted(self._files(), key=lambda file: file.parent.name):
            try:
                run = self._open(file)
                with file.open("rb") as opened:
                    beginning = opened.read(_COMPARED_BYTES)
                parts = found.get(run.id, {})
                if beginning not in parts or parts[beginning].file.stat().st_size < file.stat().st_size:
                    found[run.id] = parts | {beginning: run}
            except (OSError, NotAWandbFileError):
                continue
        return {id: list(parts.values()) for id, parts in found.items()}

    def _files(self) -> Iterator[Path]:
        """The `.wandb` files. Folders that vanish meanwhile, as beside a run at work, are left out."""
        for place, folders, files in os.walk(self._root):
            folders[:] = [name for name in folders if name != STAGES]
            yield from (Path(place, name) for name in files if fnmatch.fnmatchcase(name, "run-*.wandb"))

    def _open(self, file: Path) -> OfflineRun:
        """Return the run of a file, with what was read of it as long as it stays as it is."""
        status = file.stat()
        stamp = (status.st_size, status.st_mtime_ns)
        known = self._known.get(file)
        if known is None or known[0] != stamp:
            run = OfflineRun(file.parent)
            run.id  # noqa: B018  # raises for a file that is something else
            known = self._known[file] = stamp, run
        return known[1]


def _records(parts: list[OfflineRun]) -> Iterator[AnyRecord]:
    last = parts[-1].header
    start = run_start(last)
    yield start
    if params := _params(parts):
        yield Params(seq=0, time=start.time, params=params)
    if start.tags:
        yield Tags(seq=0, time=start.time, tags=start.tags)
    history = History(parts)
    yield from history.metrics()
    for part in parts:
        yield from _artifacts(part, history)
        yield from foreign_artifacts.artifacts(part, history.time)
    status = _status(last)
    if status != "running":
        yield RunEnd(seq=0, time=history.time, status=status)


def _params(parts: list[OfflineRun]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for part in parts:
        config |= part.header.config
    return params_of(config, ours=parts[-1].header.record is not None)


def _artifacts(part: OfflineRun, history: History) -> Iterator[Artifact]:
    """Yield artifacts as they were logged, then media and run files of which no record tells."""
    known: set[str] = set()
    for entry in (part.header.record or {}).get("artifacts", []):
        names = list(entry.get("files", {}))
        known.update(names)
        if names and (part.files_folder / names[0]).exists():  # an earlier part of the run may hold it
            yield _artifact(part, entry, run_file_of(entry))
    for media in history.media.get(part.folder, []):
        if isinstance(media, Artifact):
            yield media
        elif media.name not in known and _holds(part, media.name):
            known.add(media.name)
            entry = _entry(part, media.name, media.time) | {"type": media.type, "step": media.step}
            yield _artifact(part, entry, media.name)
    for name in part.header.files:
        if name not in known and not is_own_file(name) and _holds(part, name):
            yield _artifact(part, _entry(part, name, history.time), name)


def _entry(part: OfflineRun, name: str, time: int) -> dict[str, Any]:
    return {"name": name, "time": time, "files": {name: (part.files_folder / name).stat().st_size}}


def _holds(part: OfflineRun, name: str) -> bool:
    """Return whether a file that a row names lies in the run's folder."""
    path = (part.files_folder / name).resolve()
    return path.is_file() and path.is_relative_to(part.files_folder.resolve())


def _artifact(part: OfflineRun, entry: dict[str, Any], path: str) -> Artifact:
    """`file` is absolute, so that joined to any folder it stays what it is."""
    return artifact_of(entry, str((part.files_folder / path).resolve()))


def _status(header: Header) -> RunStatus:
    unnamed = (header.record or {}).get("status")
    if header.exit_code is None or unnamed == "running":
        return "running"
    if header.exit_code in _KILLED:
        return "killed"
    if header.exit_code:
        return "failed"
    return "pruned" if unnamed == "pruned" else "finished"
