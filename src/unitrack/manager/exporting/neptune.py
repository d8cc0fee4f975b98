"""A run as neptune-exporter's rows and files, so that its loaders and `neptune-export:DIR` read it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitrack.errors import InvalidValueError, SourceError
from unitrack.manager.exporting.tables import Admit, iso
from unitrack.manager.exporting.writers import Row, spelled, write_parquet
from unitrack.reading import StoredRun
from unitrack.records import Artifact, Metrics
from unitrack.sources.neptune_export import schema
from unitrack.sources.neptune_export.layout import DATA, FILES, folder_name, part_path

ROWS_OF_A_PART = 1_000_000
"""The loaders of neptune-exporter have one part of a run in memory; its own have 50 MB, about as many points."""
_INT64 = range(-(2**63), 2**63)


def write_neptune(folder: Path, run: StoredRun, admit: Admit, count: Callable[[int], None]) -> list[str]:
    """Write a run below `data` and `files` in a folder, and return which of its artifacts could not be copied.

    Raises `InvalidValueError` for a step that the format does not hold, `SourceError` and `OSError`.
    """
    project_id = run.project or schema.NO_PROJECT
    files, problems = _copy_artifacts(run, folder / FILES / folder_name(project_id))
    rows = itertools.chain(_scalars(run, files), _files(run, files), _points(run, admit, count))
    identified = ({"project_id": project_id, "run_id": run.id, **row} for row in rows)
    for number, part in enumerate(_parts(identified)):
        path = part_path(folder / DATA, project_id, run.id, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(path, schema.COLUMNS, part, compression="snappy")
    return problems


def _parts(rows: Iterable[Row]) -> Iterator[Iterator[Row]]:
    rows = iter(rows)
    for first in rows:
        yield itertools.chain([first], itertools.islice(rows, ROWS_OF_A_PART - 1))


def _row(path: str, kind: str, column: str, value: Any, **more: Any) -> Row:
    return {"attribute_path": path, "attribute_type": kind, column: value, **more}


def _scalar(path: str, value: Any) -> Row:
    """Return the row of an attribute with one value; what Neptune has no type for is JSON."""
    match value:
        case bool():
            return _row(path, "bool", "bool_value", value)
        case int() if value in _INT64:
            return _row(path, "int", "int_value", value)
        case float():
            return _row(path, "float", "float_value", spelled(value))
        case str():
            return _row(path, "string", "string_value", value)
    return _row(path, "string", "string_value", msgspec.json.encode(value).decode())


def _date(path: str, time: int | None) -> Row | None:
    return _row(path, "datetime", "datetime_value", iso(time)) if time else None


def _scalars(run: StoredRun, files: Iterable[tuple[Artifact, Path]]) -> Iterator[Row]:
    """Yield Neptune's own attributes, then params, then what only unitrack knows."""
    dates = (_date("sys/creation_time", run.started), _date("sys/modification_time", run.ended))
    yield from (date for date in dates if date is not None)
    yield _scalar("sys/id", run.id)
    yield _scalar("sys/custom_run_id", run.id)
    yield _scalar("sys/name", run.name)
    yield _scalar("sys/description", run.description)
    yield _scalar("sys/state", "Active" if run.status == "running" else "Inactive")
    yield _scalar("sys/failed", run.status == "failed")
    if names := [f"{name}={value}" if value else name for name, value in run.tags.items()]:
        yield _row("sys/tags", "string_set", "string_set_value", names)
    if run.group:
        yield _row("sys/group_tags", "string_set", "string_set_value", [run.group])
    yield from _params(run)
    yield _scalar(schema.FORMAT, schema.FORMAT_VERSION)
    yield _scalar(schema.STATUS, run.status)
    yield _scalar(schema.PROJECT, run.project)
    if run.unitrack_id:
        yield _scalar(schema.RUN_ID, run.unitrack_id)
    if run.ended is not None:
        yield _row(schema.ENDED, "datetime", "datetime_value", iso(run.ended))
    for name, value in run.tags.items():
        yield _scalar(f"{schema.TAG}{name}", value)
    for artifact, _ in files:
        said = {
            "type": artifact.type,
            "time": artifact.time,
            "step": artifact.step,
            "annotations": artifact.annotations,
        }
        known = {name: value for name, value in said.items() if value not in (None, {})}
        yield _scalar(f"{schema.ARTIFACT}{artifact.name}", msgspec.json.encode(known).decode())


def _params(run: StoredRun) -> Iterator[Row]:
    as_json = []
    for name, value in run.params.items():
        prefix = schema.PARAM if name.startswith((schema.SYS, schema.OWN)) else ""
        yield _scalar(f"{prefix}{name}", value)
        if not isinstance(value, bool | float | str) and not (isinstance(value, int) and value in _INT64):
            as_json.append(name)
    if as_json:
        yield _row(schema.AS_JSON, "string_set", "string_set_value", as_json)


def _copy_artifacts(run: StoredRun, files: Path) -> tuple[list[tuple[Artifact, Path]], list[str]]:
    """Copy the artifacts, and return each with its path below `files`, and which could not be copied."""
    copied, problems = [], []
    for artifact in run.artifacts:
        try:
            path = run.fetch(artifact, files / folder_name(run.id))
        except SourceError as error:
            problems.append(f"{artifact.name!r} of run {run.name!r}: {error}")
        else:
            copied.append((artifact, path.relative_to(files)))
    return copied, problems


def _files(run: StoredRun, files: Iterable[tuple[Artifact, Path]]) -> Iterator[Row]:
    for artifact, path in files:
        kind = "file_set" if artifact.type in ("folder", "code") else "file"
        yield _row(artifact.name, kind, "file_value", {"path": path.as_posix()})


def _points(run: StoredRun, admit: Admit, count: Callable[[int], None]) -> Iterator[Row]:
    for record in run.records():
        if not isinstance(record, Metrics):
            continue
        if record.step >= schema.STEP_END:
            raise InvalidValueError(
                f"run {run.name!r} has a point at step {record.step}, and neptune-exporter's format holds steps below "
                f"10**12 only: export it to Parquet tables instead"
            )
        values = {name: value for name, value in record.values().items() if admit(name)}
        time = iso(record.time)
        for name, value in values.items():
            yield _row(name, "float_series", "float_value", spelled(value), step=record.step, timestamp=time)
        count(len(values))
