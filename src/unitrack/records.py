"""What a journal holds and a sink receives: one frozen struct for each kind of record.

The format is versioned by `SCHEMA_VERSION`, kept in each `RunStart`. Fields are only ever added, with a default, so
that a journal written by an old version stays readable for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec

from unitrack.limits import MAX_STEP

SCHEMA_VERSION = 1

EndStatus = Literal["finished", "failed", "killed", "pruned"]
"""What a run ends as. A pruned one was stopped on purpose, as a trial of a sweep that is not worth finishing."""
RunStatus = Literal["running", "finished", "failed", "killed", "pruned"]
ArtifactType = Literal[
    "file", "folder", "text", "json", "figure", "image", "model", "histogram", "table", "audio", "video", "html"
]

Special = Literal["nan", "inf", "-inf"]
_SPECIAL: dict[str, Special] = {"nan": "nan", "inf": "inf", "-inf": "-inf"}

MAX_TIME = 253_402_214_400_000
"""Milliseconds to the last day of the year 9999, beyond which Python has no dates, whatever the time zone."""

KINDS = ("metrics", "params", "tags", "description", "status", *get_args(ArtifactType))
"""All kinds of things that can be logged; those of artifacts are `Artifact.type`."""


class Record(msgspec.Struct, frozen=True, tag_field="kind", kw_only=True, omit_defaults=True):
    """What all records share.

    `seq` counts the records of one journal from 0, so a gap shows a lost line. `time` is the wall clock in
    milliseconds since the epoch, taken when the log call was made and never again: a redelivered record is
    recognisably the same one.
    """

    seq: int
    time: Annotated[int, msgspec.Meta(ge=-MAX_TIME, le=MAX_TIME)]


GROUP, JOB_TYPE, PARENT = "unitrack.group", "unitrack.job_type", "unitrack.parent"
RELATIONS = (GROUP, JOB_TYPE, PARENT)
"""The tags that say how a run is related to others: so each backend keeps them, whatever it shows natively."""


class RunStart(Record, frozen=True, tag="run_start"):
    """The first record of a run: its identity."""

    run_id: str
    name: str
    project: str
    description: str = ""
    tags: dict[str, str] = {}
    schema: int = 1
    """The `SCHEMA_VERSION` it was written with; a line without it is of version 1."""

    @property
    def group(self) -> str | None:
        """The group of runs that it belongs to, such as the folds of one cross-validation."""
        return self.tags.get(GROUP)

    @property
    def job_type(self) -> str | None:
        """What the run does in its group: "train", "evaluate"."""
        return self.tags.get(JOB_TYPE)

    @property
    def parent(self) -> str | None:
        """The id of the run that it is a part of."""
        return self.tags.get(PARENT)


class Params(Record, frozen=True, tag="params"):
    """Hyperparameters as plain JSON values, nested as they were logged; see `flatten`."""

    params: dict[str, Any]


class Metrics(Record, frozen=True, tag="metrics"):
    """The points of one `log_metrics` call: float64 values at one step.

    JSON has no NaN and no infinity, so those travel by name in `special` ("nan", "inf", "-inf"); `values()` gives
    all of them as floats.
    """

    step: Annotated[int, msgspec.Meta(ge=0, le=MAX_STEP)]
    metrics: dict[str, float]
    special: dict[str, Special] = {}

    def values(self) -> dict[str, float]:
        """All points of the record, the non-finite ones included."""
        if not self.special:
            return self.metrics
        return self.metrics | {name: float(value) for name, value in self.special.items()}

    def with_values(self, values: Mapping[str, float]) -> Metrics:
        """The same record with other points: how middleware renames and filters."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        special = {name: _SPECIAL[repr(value)] for name, value in values.items() if not math.isfinite(value)}
        return msgspec.structs.replace(self, metrics=finite, special=special)


class Tags(Record, frozen=True, tag="tags"):
    """Tags that were set; a later value of a tag replaces an earlier one."""

    tags: dict[str, str]


class Artifact(Record, frozen=True, tag="artifact"):
    """A file or a folder that was logged.

    `name` is where it belongs among the run's artifacts ("plots/roc.png": POSIX, relative, no ".."). `file` is where
    the run's own copy lies, relative to the run folder. `size` is in bytes, a folder's in all.
    """

    name: str
    file: str
    type: ArtifactType = "file"
    size: int = 0
    step: int | None = None
    annotations: dict[str, Any] = {}
    """What is said about a picture or a sound: `caption`, `boxes` and `masks`; see `media.annotations.annotate`."""


class RunEnd(Record, frozen=True, tag="run_end"):
    """The last record of a run."""

    status: RunStatus


AnyRecord = RunStart | Params | Metrics | Tags | Artifact | RunEnd


def flatten(params: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """Nested params as one level of names: {"model": {"depth": 4}} becomes {"model.depth": 4}.

    The one flattener, for backends that know no nesting. An empty mapping stays as it is, so nothing vanishes.
    """
    return dict(_leaves("", params, separator))


def merge(known: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Nested params with others logged later: mappings merge, anything else replaces what was there."""
    merged = dict(known)
    for name, value in new.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[name] = merge(before, value) if both else value  # type: ignore[arg-type]  # `both` narrows nothing
    return merged


def _leaves(prefix: str, params: Mapping[str, Any], separator: str) -> Iterator[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(f"{prefix}{name}{separator}", value, separator)
        else:
            yield f"{prefix}{name}", value
