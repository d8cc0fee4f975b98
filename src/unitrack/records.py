"""What a journal holds and a sink receives: one frozen struct for each kind of record.

The format is versioned by `SCHEMA_VERSION`, kept in each `RunStart`. Fields are only ever added, with a default, so
that a journal written by an old version stays readable for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec

from unitrack.limits import MAX_STEP as MAX_STEP

SCHEMA_VERSION = 1

EndStatus = Literal["finished", "failed", "killed", "pruned"]
"""What a run ends as. A pruned one was stopped on purpose, as a trial of a sweep that is not worth finishing."""
RunStatus = Literal["running", "finished", "failed", "killed", "pruned"]
ArtifactType = Literal[
    "file",
    "folder",
    "text",
    "json",
    "figure",
    "image",
    "model",
    "histogram",
    "table",
    "audio",
    "video",
    "html",
    "dataset",
    "code",
    "pr_curve",
    "embedding",
    "graph",
]

Special = Literal["nan", "inf", "-inf"]
_SPECIAL: dict[str, Special] = {"nan": "nan", "inf": "inf", "-inf": "-inf"}

MAX_TIME = 253_402_214_400_000
"""Milliseconds to the last day of the year 9999, beyond which Python has no dates, whatever the time zone."""

KINDS = ("metrics", "params", "tags", "description", "status", *get_args(ArtifactType))
"""All kinds of things that can be logged; those of artifacts are `Artifact.type`."""

SYSTEM_PREFIX = "system/"
"""System metrics have an interval of their own and are thinned by no sink."""


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
COPIED_FROM = "unitrack.copied_from"
"""The tag of a copy: the location that it was read from, a space, and the run's id there."""

RERUN_OF = "unitrack.rerun_of"
"""The tag of a run that `unitrack rerun` has started: the id of the run that it repeats."""

ARCHIVED = "unitrack.archived"
"""The tag of a run that listings leave out, with the value "true"."""


class Related:
    """A run whose tags say how it is related to other runs."""

    __slots__ = ()

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags by name."""
        raise NotImplementedError

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


class RunStart(Record, Related, frozen=True, tag="run_start"):
    """The first record of a run: its identity."""

    run_id: str
    name: str
    project: str
    description: str = ""
    tags: dict[str, str] = {}
    unitrack_id: str = ""
    """The id that unitrack gave the run, where a source gives the one in the backend as `run_id`; else empty."""
    schema: int = 1
    """The `SCHEMA_VERSION` it was written with; a line without it is of version 1."""


class Params(Record, frozen=True, tag="params"):
    """Hyperparameters as plain JSON values, nested as they were logged; see `flatten`."""

    params: dict[str, Any]


class Metrics(Record, frozen=True, gc=False, tag="metrics"):
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


VERSION = "version"
"""The annotation of an artifact that holds its `ArtifactVersion`."""
USED = "unitrack.used."
"""The tag "unitrack.used.<name>.v<number>" says that the run used this version of an artifact: a `UsedVersion`."""
ALIAS = "unitrack.alias."
"""The tag "unitrack.alias.<name>:<alias>" of the run that made a version says what became of the alias afterwards:
"v3" if it was moved to this version, "-v3" if it was taken away from it."""


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """Data that stays where it is, and by what a change of it is noticed."""

    uri: str
    checksum: str = ""
    """Such as "sha256:..." or "md5:..."."""
    etag: str = ""
    size: int | None = None
    """Bytes."""
    note: str = ""
    """Why nothing was found out of data that lies elsewhere, or what does not fit to what was said of it."""


class ArtifactVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a named artifact of a project, such as version 3 of "model"."""

    name: str
    number: int | None = None
    """From 0. None until it is counted, which a courier does, since it needs the content."""
    digest: str = ""
    """The SHA-256 of the content in hexadecimal, as `unitrack.blobs.content` takes it."""
    aliases: tuple[str, ...] = ()
    """Names for it that it was logged with; they may have moved to other versions since."""
    overwrites: bool = False
    """Whether it replaces the version that the same run has logged so before."""
    keeps_path: bool = False
    """Whether the artifact's own name is the one that was asked for. Else the number is added to it."""
    reference: Reference | None = None
    """Set if the data itself lies elsewhere; the artifact's file then only names it."""
    is_checkpoint: bool = False
    """Whether it is a version of its own though another one has the same content: its step is another."""
    metric: float | None = None
    """Of a checkpoint: the value by which the best are kept."""

    @property
    def label(self) -> str:
        """Its number as it is written, "v3"; empty if it has none yet."""
        return "" if self.number is None else f"v{self.number}"


msgspec.json.Decoder(ArtifactVersion)  # gathers now what `convert` must know of it, which is not safe among threads


class UsedVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of a tag with the prefix `USED`, as JSON."""

    digest: str
    """Of the version when it was used."""
    project: str = ""
    """The project that the artifact belongs to, if it is another one than the run's."""
    made_by: str = ""
    """The id of the run that made it."""


_used_decoder = msgspec.json.Decoder(UsedVersion)


def used_version(tag: str, text: str) -> tuple[ArtifactVersion, UsedVersion] | None:
    """Return the version that a tag says was used, and what it says of it; None if it says no such thing."""
    name, _, number = tag.removeprefix(USED).rpartition(".v")
    if not tag.startswith(USED) or not name or not number.isdecimal():
        return None
    try:
        used = _used_decoder.decode(text)
    except msgspec.MsgspecError:
        return None
    return ArtifactVersion(name, int(number), used.digest), used


def used_versions(tags: Mapping[str, str]) -> list[ArtifactVersion]:
    """Return the versions of artifacts that a run with these tags has used."""
    found = (used_version(tag, text) for tag, text in tags.items())
    return [one[0] for one in found if one is not None]


def later_alias(tag: str, text: str) -> tuple[str, str, str, bool] | None:
    """Return what a tag says of an alias: the artifact's name, the alias, the version's label, and whether it has it.

    None if the tag says nothing of an alias.
    """
    name, _, alias = tag.removeprefix(ALIAS).partition(":")
    if not tag.startswith(ALIAS) or not name or not alias:
        return None
    return name, alias, text.removeprefix("-"), not text.startswith("-")


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
    """What was logged with it. Of a picture or a sound: `caption`, `boxes` and `masks`, as `Run.log_image` takes them;
    a mask holds its classes as `png`, a PNG in base64 with one gray value a class, in place of `mask_data`. Of a
    version of an artifact: `version`, see the property."""

    @property
    def version(self) -> ArtifactVersion | None:
        """Which version of a named artifact it is; None if it is only a file of its run."""
        found = self.annotations.get(VERSION)
        if not isinstance(found, dict):
            return None
        try:
            return msgspec.convert(found, ArtifactVersion)
        except msgspec.ValidationError:  # another program's word
            return None

    def with_version(self, version: ArtifactVersion) -> Artifact:
        """The same record as that version."""
        return msgspec.structs.replace(self, annotations={**self.annotations, VERSION: msgspec.to_builtins(version)})


class RunEnd(Record, frozen=True, tag="run_end"):
    """The last record of a run."""

    status: RunStatus


AnyRecord = RunStart | Params | Metrics | Tags | Artifact | RunEnd


DEFINITION_PREFIX = "unitrack.metric."
"""The tag "unitrack.metric.<metric or glob>" holds what `Run.define_metric` was given: a `MetricDefinition` as JSON."""

SummaryKind = Literal["last", "min", "max", "mean", "first"]


class MetricDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a metric is shown."""

    step_metric: str | None = None
    """The metric on its x-axis; None for the step."""
    summary: SummaryKind | None = None
    """Which of its values stands for the whole run."""


_definition_decoder = msgspec.json.Decoder(MetricDefinition)


def metric_definitions(tags: Mapping[str, str]) -> dict[str, MetricDefinition]:
    """Return the definitions that a run's tags hold, by metric or glob, without those that can't be decoded."""
    found = {}
    for tag, text in tags.items():
        if tag.startswith(DEFINITION_PREFIX):
            try:
                found[tag.removeprefix(DEFINITION_PREFIX)] = _definition_decoder.decode(text)
            except msgspec.MsgspecError:
                continue
    return found


def definition_for(metric: str, known: Mapping[str, MetricDefinition]) -> MetricDefinition | None:
    """Return the definition of a metric: the one under its name, else under the longest glob that matches it."""
    from fnmatch import fnmatchcase  # noqa: PLC0415  # 1 ms, which training, that imports this module, need not pay

    if metric in known:
        return known[metric]
    matching = [name for name in known if fnmatchcase(metric, name)]
    return known[max(matching, key=len)] if matching else None


PR_CURVE_COLUMNS = (
    "threshold",
    "true_positives",
    "false_positives",
    "true_negatives",
    "false_negatives",
    "precision",
    "recall",
)
"""Of an artifact of the type "pr_curve": a row for each threshold, from 0 to 1 at equal distances."""


class Histogram(msgspec.Struct, frozen=True):
    """The content of an artifact of the type "histogram", a JSON file."""

    counts: list[float]
    edges: list[float]
    """One more than there are counts, rising."""


class Table(msgspec.Struct, frozen=True):
    """The content of an artifact of the type "table", a JSON file: pandas' form "split", which MLflow and W&B read.

    It is also that of a "pr_curve", whose columns are `PR_CURVE_COLUMNS`, and of an "embedding": see `DIMENSIONS`.
    """

    columns: list[str]
    data: list[list[Any]]
    """Rows, each as long as `columns`."""


DIMENSIONS = "dimensions"
"""The annotation of an artifact of the type "embedding": how many of its last columns are the vector."""


class Layer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A layer of a `ModelGraph`, and what is inside it."""

    name: str
    """Its path in the model, "encoder.0.attention"; "" for the model itself."""
    type: str
    """The name of its class."""
    parameters: int = 0
    """How many numbers it has learned, without those of the layers inside it."""
    trainable: int = 0
    """How many of these are trained."""
    inputs: tuple[str, ...] = ()
    """The layers that its input came from."""
    shapes: tuple[tuple[int, ...], ...] = ()
    """Of its output tensors, for the example."""


class ModelGraph(msgspec.Struct, frozen=True):
    """The content of an artifact of the type "graph", a JSON file: the layers of a model, outer ones first."""

    layers: tuple[Layer, ...]


DATASETS = "datasets"
"""The folder among a run's artifacts in which the records of its datasets lie."""


class Column(msgspec.Struct, frozen=True):
    """A column of a dataset."""

    name: str
    type: str = ""
    """As its library calls it: "int64", "large_string"."""


class Dataset(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dataset that a run used: the content of an artifact of the type "dataset", a JSON file. Not its data."""

    name: str
    kind: str
    """"file", "folder", "csv", "parquet", "npy"; "pandas", "polars", "arrow" and "numpy" for one in memory."""
    digest: str = ""
    """Hexadecimal SHA-256 of the bytes of a file, of the list of a folder's files, or of the values of a frame, which
    each library lays out in its own way; "" if it could not be had, as `note` says."""
    source: str = ""
    """Where it lies: a path or a URI; "" for one in memory that came from nowhere."""
    size: int | None = None
    """Bytes."""
    files: int | None = None
    """How many files a folder has."""
    rows: int | None = None
    columns: tuple[Column, ...] = ()
    """Its schema; empty if it has none."""
    context: str = ""
    """What it was used for, such as "training"."""
    note: str = ""
    """What a reader should know, such as why there is no digest."""


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
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[name] = merge(before, value)
        else:
            merged[name] = value
    return merged


def _leaves(prefix: str, params: Mapping[str, Any], separator: str) -> Iterator[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(f"{prefix}{name}{separator}", value, separator)
        else:
            yield f"{prefix}{name}", value
