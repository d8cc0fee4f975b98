"""A W&B run's identity, config and rows in the terms of unitrack, wherever they were read.

`ours` says whether unitrack wrote the run: then names are turned back, and what W&B shows is not all that it holds.
A row is its columns with their values as JSON text; dots join the paths of nested values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from unitrack.records import GROUP, JOB_TYPE, Artifact, Metrics, RunStart
from unitrack_wandb.definitions import as_tags
from unitrack_wandb.foreign_media import media_columns
from unitrack_wandb.header import Header
from unitrack_wandb.names import ARTIFACTS, RECORD, STEP, metric_name, param_name

_NUMBER = frozenset("-0123456789NI")
"""What the JSON text of a number begins with; NaN and Infinity are numbers."""
_OWN_FILES = ("wandb-", "media/", "config.yaml", "output.log", "requirements.txt")
"""Run files that the SDK writes by itself."""


def run_start(header: Header, seq: int = 0) -> RunStart:
    """Return the identity of a run."""
    record = header.record or {}
    return RunStart(
        seq=seq,
        time=record.get("time", round(header.started * 1000)),
        run_id=header.id,
        name=record.get("name", header.name or header.id),
        project=record.get("project", header.project),
        description=header.notes,
        tags=record.get("tags", _foreign_tags(header)),
        unitrack_id=record.get("run_id", ""),
    )


def _foreign_tags(header: Header) -> dict[str, str]:
    relations = {GROUP: header.group, JOB_TYPE: header.job_type}
    related = {tag: value for tag, value in relations.items() if value}
    return dict.fromkeys(header.tags, "") | related | as_tags(header.definitions)


def params_of(config: Mapping[str, Any], *, ours: bool) -> dict[str, Any]:
    """Return the params in a config, nested as they were logged."""
    if not ours:
        return {key: value for key, value in config.items() if key != "_wandb"}
    return {param_name(key): value for key, value in config.items() if key not in ("_wandb", RECORD)}


def points_of(row: Mapping[str, str], *, ours: bool) -> dict[str, float]:
    """Return the metrics in a row."""
    points = {}
    media = media_columns(row)
    for key, text in row.items():
        if text[:1] not in _NUMBER or key[:1] == "_" or (media and key.startswith(media)):
            continue
        if not ours:
            points[key] = float(text)
        elif key != STEP and not key.startswith(ARTIFACTS):
            points[metric_name(key)] = float(text)
    return points


def step_of(row: Mapping[str, str], *, ours: bool) -> int:
    """Return the step at which a row was logged."""
    text = (ours and row.get(STEP)) or row.get("_step", "0")
    return int(text) if text.lstrip("-").isdigit() else int(float(text))


def time_of(row: Mapping[str, str], default: int) -> int:
    """Return when a row was logged, in milliseconds since the epoch."""
    return round(float(row["_timestamp"]) * 1000) if "_timestamp" in row else default


def metrics_of(row: Mapping[str, str], *, ours: bool, time: int) -> Metrics | None:
    """Return the points of a row as a record, `time` if it has none of its own; None if it has no points."""
    points = points_of(row, ours=ours)
    if not points:
        return None
    record = Metrics(seq=0, time=time_of(row, time), step=max(step_of(row, ours=ours), 0), metrics={})
    return record.with_values(points)


def summary_points(summary: Mapping[str, Any], logged: frozenset[str] | set[str]) -> dict[str, float]:
    """Return the numbers that were set in the summary by hand, which no row holds.

    A summary of a metric that was logged, such as its least value, is no point of it.
    """
    texts = flat_texts({key: value for key, value in summary.items() if key not in logged})
    return {key: value for key, value in points_of(texts, ours=False).items() if key not in logged}


def flat_texts(row: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values as a row: JSON texts by column."""
    return dict(_leaves(row, prefix))


def _leaves(row: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in row.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", repr(value) if type(value) is float and value - value == 0 else json.dumps(value)


def artifact_of(entry: Mapping[str, Any], file: str) -> Artifact:
    """Return the artifact that an entry of the run's record describes; `file` is where it lies."""
    return Artifact(
        seq=0,
        time=entry["time"],
        name=entry["name"],
        file=file,
        type=entry.get("type", "file"),
        size=sum(entry["files"].values()),
        step=entry.get("step"),
        annotations=entry.get("annotations", {}),
    )


def run_file_of(entry: Mapping[str, Any]) -> str:
    """Return the run file, or the folder of run files, of an artifact that unitrack logged."""
    name: str = entry["name"]
    wrapped = ARTIFACTS + name
    return wrapped if next(iter(entry.get("files", ())), "").startswith(wrapped) else name


def is_own_file(name: str) -> bool:
    """Return whether the SDK writes a run file of that name by itself."""
    return name.startswith(_OWN_FILES)
