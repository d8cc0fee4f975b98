"""One offline run as its folder holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from unitrack_wandb.naming import RECORD
from unitrack_wandb.offline_file import read_records
from unitrack_wandb.sdk import pb


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run but its history."""

    id: str = ""
    project: str = ""
    name: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    group: str = ""
    job_type: str = ""
    started: float = 0.0
    """Seconds since the epoch."""
    config: dict[str, Any] = {}
    files: tuple[str, ...] = ()
    """Run files that were saved, relative to `OfflineRun.files_folder`."""
    rows: int = 0
    first_row: int = 0
    """W&B's step of the first row; not 0 if an earlier part of the run went to the server from another folder."""
    exit_code: int | None = None
    """None: the file ends before the run did."""

    @property
    def record(self) -> dict[str, Any] | None:
        """What unitrack noted in config, if unitrack wrote the run."""
        record = self.config.get(RECORD)
        return record if isinstance(record, dict) and "run_id" in record else None


class OfflineRun:
    """Reads `<folder>/run-<id>.wandb`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def file(self) -> Path:
        """The `.wandb` file. Raises `FileNotFoundError` if there is none."""
        found = sorted(self.folder.glob("run-*.wandb"))
        if not found:
            raise FileNotFoundError(f"no run-*.wandb in {self.folder}")
        return found[0]

    @property
    def synced(self) -> bool:
        """Whether `wandb sync` has taken the run, of which it leaves a mark."""
        return self.file.with_name(f"{self.file.name}.synced").exists()

    @property
    def files_folder(self) -> Path:
        """Where the SDK keeps the run's files."""
        return self.folder / "files"

    @cached_property
    def header(self) -> Header:
        """Everything but the rows; reads the whole file once."""
        header = Header()
        config: dict[str, Any] = {}
        files: dict[str, None] = {}
        rows, first_row, exit_code = 0, 0, None
        for record in read_records(self.file):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                first_row = first_row if rows else record.history.step.num
                rows += 1
            elif kind == "run":
                header = _with_run(header, record)
                _apply(config, record.run.config)
            elif kind == "config":
                _apply(config, record.config)
            elif kind == "files":
                files |= dict.fromkeys(item.path for item in record.files.files)
            elif kind == "exit":
                exit_code = record.exit.exit_code
        return msgspec.structs.replace(
            header, config=config, files=tuple(files), rows=rows, first_row=first_row, exit_code=exit_code
        )

    def rows(self) -> Iterator[dict[str, str]]:
        """The history, streaming: for each row its columns with their values as JSON text.

        The SDK writes a dict, such as a picture is, as one column for each of its leaves; dots join their paths.
        """
        for columns in self._history():
            yield {".".join(path): text for path, text in columns.items()}

    def logged(self) -> Iterator[dict[str, Any]]:
        """The history as it was given to `run.log`."""
        for columns in self._history():
            row: dict[str, Any] = {}
            for path, text in columns.items():
                _put(row, path, text)
            yield row

    def _history(self) -> Iterator[dict[tuple[str, ...], str]]:
        for record in read_records(self.file):
            if record.WhichOneof("record_type") == "history":
                yield _columns(record.history)


def decode(text: str) -> Any:
    """A value of a row. The SDK writes -0.0 as "-0", which JSON would read as the integer 0."""
    return json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))


def _with_run(header: Header, record: pb.Record) -> Header:
    run = record.run
    return msgspec.structs.replace(
        header,
        id=run.run_id or header.id,
        project=run.project or header.project,
        name=run.display_name or header.name,
        notes=run.notes or header.notes,
        tags=tuple(run.tags) or header.tags,
        group=run.run_group or header.group,
        job_type=run.job_type or header.job_type,
        started=run.start_time.ToMicroseconds() / 1e6 if run.HasField("start_time") else header.started,
    )


def _apply(config: dict[str, Any], change: pb.ConfigRecord) -> None:
    for item in change.update:
        _put(config, _path(item), item.value_json)
    for item in change.remove:
        config.pop(_path(item)[0], None)


def _columns(history: pb.HistoryRecord) -> dict[tuple[str, ...], str]:
    return {_path(item): item.value_json for item in history.item}


def _path(item: pb.ConfigItem | pb.HistoryItem) -> tuple[str, ...]:
    return tuple(item.nested_key) or (item.key,)


def _put(target: dict[str, Any], path: tuple[str, ...], text: str) -> None:
    *parents, last = path
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = decode(text)
