"""Reads offline runs back as records, those that unitrack did not write included."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitrack.records import (
    GROUP,
    JOB_TYPE,
    AnyRecord,
    Artifact,
    ArtifactType,
    Metrics,
    Params,
    RunEnd,
    RunStart,
    RunStatus,
    Tags,
)
from unitrack_wandb import row_histograms
from unitrack_wandb.attempts import STAGES
from unitrack_wandb.media_reading import media_columns, media_files
from unitrack_wandb.naming import ARTIFACTS, RECORD, STEP, metric_name, param_name, wandb_id
from unitrack_wandb.offline_file import NotAWandbFileError
from unitrack_wandb.offline_run import Header, OfflineRun, decode

_KILLED = (130, 137, 143)
"""Exit codes of SIGINT, SIGKILL and SIGTERM in a shell."""
_OWN_FILES = ("wandb-", "media/", "config.yaml", "output.log", "requirements.txt")
"""Run files that the SDK writes by itself."""


class WandbSource:
    """The runs in a folder: an offline run's own, a `wandb` folder, or any folder above one."""

    def __init__(self, location: str) -> None:
        """Raises `FileNotFoundError` if there is no such folder."""
        self._location = Path(location).expanduser()
        if not self._location.is_dir():
            raise FileNotFoundError(
                f"there is no folder {self._location.absolute()}: give one of offline runs, or one above; "
                f"runs that are at W&B alone can't be read"
            )

    def runs(self) -> Iterator[RunStart]:
        """One `RunStart` for each run, with its W&B id. A folder that can't be read is passed over."""
        for folders in self._folders().values():
            yield _start(OfflineRun(folders[-1]).header, seq=0)

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """The records of one run, by its W&B id or by that in unitrack. Raises `KeyError` if there is no such run."""
        return _records([OfflineRun(folder) for folder in self._find(run_id)])

    def folder(self, run_id: str) -> Path:
        """The newest folder of the run. Raises `KeyError` if there is no such run."""
        return self._find(run_id)[-1]

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """The file of an artifact that `records` named: where it lies, or made in `folder` if it stands in a row."""
        return row_histograms.fetch(artifact, folder)

    def _find(self, run_id: str) -> list[Path]:
        known = self._folders()
        folders = known.get(run_id) or known.get(wandb_id(run_id))
        if not folders:
            raise KeyError(f"no offline run {run_id!r} in {self._location}")
        return folders

    def _folders(self) -> dict[str, list[Path]]:
        """Run folders by id, oldest first: the SDK makes another one each time that a run is resumed offline.

        Attempts that are not whole are left out.
        """
        found: dict[str, list[Path]] = {}
        for file in sorted(self._location.rglob("run-*.wandb"), key=lambda file: file.parent.name):
            try:
                id = OfflineRun(file.parent).header.id
            except (OSError, NotAWandbFileError):
                continue
            if id and not file.parent.is_symlink() and STAGES not in file.relative_to(self._location).parts:
                found.setdefault(id, []).append(file.parent)
        return found


def _records(parts: list[OfflineRun]) -> Iterator[AnyRecord]:
    seq = itertools.count()
    last = parts[-1].header
    start = _start(last, next(seq))
    yield start
    config: dict[str, Any] = {}
    for part in parts:
        config |= part.header.config
    params = _params(config, ours=last.record is not None)
    if params:
        yield Params(seq=next(seq), time=start.time, params=params)
    if start.tags:
        yield Tags(seq=next(seq), time=start.time, tags=start.tags)
    time = start.time
    for part in parts:
        for row in part.rows():
            time = _milliseconds(row, start.time)
            points = _points(row, ours=part.header.record is not None)
            if points:
                record = Metrics(seq=next(seq), time=time, step=_step(row, part.header), metrics={})
                yield record.with_values(points)
    for part in parts:
        yield from _artifacts(part, seq, time)
    if last.exit_code is not None:
        yield RunEnd(seq=next(seq), time=time, status=_status(last))


def _start(header: Header, seq: int) -> RunStart:
    record = header.record or {}
    return RunStart(
        seq=seq,
        time=record.get("time", round(header.started * 1000)),
        run_id=header.id,
        name=record.get("name", header.name or header.id),
        project=record.get("project", header.project),
        description=header.notes,
        tags=record.get("tags", _foreign_tags(header)),
    )


def _foreign_tags(header: Header) -> dict[str, str]:
    relations = {GROUP: header.group, JOB_TYPE: header.job_type}
    return dict.fromkeys(header.tags, "") | {tag: value for tag, value in relations.items() if value}


def _params(config: dict[str, Any], ours: bool) -> dict[str, Any]:
    if not ours:
        return {key: value for key, value in config.items() if key != "_wandb"}
    return {param_name(key): value for key, value in config.items() if key not in ("_wandb", RECORD)}


def _points(row: dict[str, str], ours: bool) -> dict[str, float]:
    points = {}
    media = media_columns(row)
    for key, text in row.items():
        if media and key.startswith(media):
            continue
        if key.startswith("_") or (ours and (key == STEP or key.startswith(ARTIFACTS))):
            continue
        value = decode(text)
        if isinstance(value, int | float) and not isinstance(value, bool):
            points[metric_name(key) if ours else key] = float(value)
    return points


def _step(row: dict[str, str], header: Header) -> int:
    key = STEP if header.record and STEP in row else "_step"
    return int(decode(row.get(key, "0")))


def _milliseconds(row: dict[str, str], default: int) -> int:
    return round(float(row["_timestamp"]) * 1000) if "_timestamp" in row else default


def _artifacts(part: OfflineRun, seq: Iterator[int], time: int) -> Iterator[Artifact]:
    """Artifacts as they were logged, then media and run files of which no record tells."""
    known: set[str] = set()
    for entry in (part.header.record or {}).get("artifacts", []):
        names = list(entry.get("files", {}))
        known.update(names)
        if names and (part.files_folder / names[0]).exists():  # an earlier part of the run may hold it
            wrapped = names[0].startswith(ARTIFACTS + entry["name"])
            yield _artifact(part, next(seq), entry, ARTIFACTS + entry["name"] if wrapped else entry["name"])
    if part.header.record is None:
        for number, row in enumerate(part.rows()):
            at, when = _step(row, part.header), _milliseconds(row, time)
            for histogram in row_histograms.artifacts(part, number, row, step=at, time=when):
                yield msgspec.structs.replace(histogram, seq=next(seq))
            for name, type_ in media_files(row):
                if name not in known and _holds(part, name):
                    known.add(name)
                    entry = {"name": name, "type": type_, "time": _milliseconds(row, time)}
                    entry |= {
                        "step": _step(row, part.header),
                        "files": {name: (part.files_folder / name).stat().st_size},
                    }
                    yield _artifact(part, next(seq), entry, name)
    for name in part.header.files:
        if name not in known and not name.startswith(_OWN_FILES) and _holds(part, name):
            entry = {"name": name, "time": time, "files": {name: (part.files_folder / name).stat().st_size}}
            yield _artifact(part, next(seq), entry, name)


def _holds(part: OfflineRun, name: str) -> bool:
    """Whether that is a file of the run, and not one that a row made up elsewhere."""
    path = (part.files_folder / name).resolve()
    return path.is_file() and path.is_relative_to(part.files_folder.resolve())


def _artifact(part: OfflineRun, seq: int, entry: dict[str, Any], path: str) -> Artifact:
    """`file` is absolute, so that joined to any folder it stays what it is."""
    type_: ArtifactType = entry.get("type", "file")
    return Artifact(
        seq=seq,
        time=entry["time"],
        name=entry["name"],
        file=str((part.files_folder / path).resolve()),
        type=type_,
        size=sum(entry["files"].values()),
        step=entry.get("step"),
        annotations=entry.get("annotations", {}),
    )


def _status(header: Header) -> RunStatus:
    if header.exit_code in _KILLED:
        return "killed"
    if header.exit_code:
        return "failed"
    return "pruned" if header.record and header.record.get("status") == "pruned" else "finished"
