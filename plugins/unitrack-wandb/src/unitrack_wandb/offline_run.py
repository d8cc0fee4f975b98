"""One offline run as its folder holds it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from unitrack.records import MetricDefinition
from unitrack_wandb.definitions import defined_by
from unitrack_wandb.header import Header
from unitrack_wandb.offline_file import is_row, read_messages, read_records
from unitrack_wandb.sdk import pb

_log = logging.getLogger(__name__)


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
        """Whether `wandb sync` has uploaded the run: it leaves a mark."""
        return self.file.with_name(f"{self.file.name}.synced").exists()

    @property
    def files_folder(self) -> Path:
        """The folder in which the SDK keeps the run's files."""
        return self.folder / "files"

    @cached_property
    def id(self) -> str:
        """The run's id; that in the file's name if the beginning of the file is damaged."""
        for record in read_records(self.file):
            if record.HasField("run"):
                return str(record.run.run_id)
        return self.file.stem.removeprefix("run-")

    @cached_property
    def header(self) -> Header:
        """Everything but the rows; reads the whole file once. A damaged file is reported in the log."""
        header = Header(id=self.id)
        config: dict[str, Any] = {}
        summary: dict[str, Any] = {}
        definitions: dict[str, MetricDefinition] = {}
        files: dict[str, None] = {}
        artifacts: list[pb.ArtifactRecord] = []
        rows, first_row, exit_code = 0, 0, None
        damages: list[int] = []
        for message in read_messages(self.file, damages.append):
            if rows and is_row(message):  # not decoded: the file is read again for its rows
                rows += 1
                continue
            record = pb.Record.FromString(message)
            kind = record.WhichOneof("record_type")
            if kind == "history":
                first_row, rows = record.history.step.num, 1
            elif kind == "run":
                header = _with_run(header, record)
                _apply(config, record.run.config)
            elif kind == "config":
                _apply(config, record.config)
            elif kind == "summary":
                _apply(summary, record.summary)
            elif kind == "metric":
                definitions |= defined_by(record.metric)
            elif kind == "files":
                files |= dict.fromkeys(item.path for item in record.files.files)
            elif kind == "artifact":
                artifacts.append(record.artifact)
            elif kind == "exit":
                exit_code = record.exit.exit_code
        if damages:
            _log.warning("%s: %d bytes are damaged, and were skipped", self.file, sum(damages))
        return msgspec.structs.replace(
            header,
            config=config,
            summary=summary,
            definitions=definitions,
            files=tuple(files),
            artifacts=tuple(artifacts),
            rows=rows,
            first_row=first_row,
            exit_code=exit_code,
            damaged=sum(damages),
        )

    def rows(self) -> Iterator[dict[str, str]]:
        """The history, streaming: for each row its columns with their values as JSON text.

        The SDK writes a dict, such as a picture is, as one column for each of its leaves; dots join their paths.
        """
        for history in self._history():
            row = {}
            for item in history.item:
                path = item.nested_key
                row[path[0] if len(path) == 1 else ".".join(path) or item.key] = item.value_json
            yield row

    def logged(self) -> Iterator[dict[str, Any]]:
        """The history as it was given to `run.log`."""
        for history in self._history():
            row: dict[str, Any] = {}
            for item in history.item:
                _put(row, _path(item), item.value_json)
            yield row

    def _history(self) -> Iterator[pb.HistoryRecord]:
        decode = pb.Record.FromString
        for message in read_messages(self.file):
            if is_row(message):
                yield decode(message).history


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


def _apply(values: dict[str, Any], change: pb.ConfigRecord | pb.SummaryRecord) -> None:
    for item in change.update:
        _put(values, _path(item), item.value_json)
    for item in change.remove:
        _remove(values, _path(item))


def _path(item: pb.ConfigItem | pb.HistoryItem | pb.SummaryItem) -> tuple[str, ...]:
    return tuple(item.nested_key) or (item.key,)


def _put(target: dict[str, Any], path: tuple[str, ...], text: str) -> None:
    *parents, last = path
    for parent in parents:
        inner = target.get(parent)
        if not isinstance(inner, dict):
            inner = target[parent] = {}
        target = inner
    target[last] = decode(text)


def _remove(target: dict[str, Any], path: tuple[str, ...]) -> None:
    *parents, last = path
    for parent in parents:
        inner = target.get(parent)
        if not isinstance(inner, dict):
            return
        target = inner
    target.pop(last, None)
