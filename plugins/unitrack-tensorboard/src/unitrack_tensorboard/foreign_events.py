"""Event files that unitrack did not write, as records: torch's `SummaryWriter`, `tf.summary`, tensorboardX, Keras."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.plugins.hparams.error import HParamsError

from unitrack.records import AnyRecord, Params, RunEnd, RunStatus
from unitrack_tensorboard.event_reader import EventReader, Other
from unitrack_tensorboard.foreign_media import media
from unitrack_tensorboard.points import Points, Selection, gather, milliseconds_of, records

_STATUS: dict[int, RunStatus] = {STATUS_SUCCESS: "finished", STATUS_FAILURE: "failed"}

_log = logging.getLogger(__name__)


def foreign_records(paths: Iterable[Path], wanted: Collection[str] | None = None) -> Iterator[AnyRecord]:
    """Yield scalars, hyperparameters, media and how it ended. Points of one event make one record.

    With `wanted`, yield the points of those metrics alone.
    """
    end: RunEnd | None = None
    reader = EventReader()
    selection = _selection(reader, wanted)
    for batch in reader.read(paths):
        points = records(selection.of(batch.points), reader.tags.names)
        others = ((other.number, record) for other in batch.others for record in _records(other))
        found = heapq.merge(others, points, key=lambda one: one[0]) if batch.others and wanted is None else points
        for _, record in found:
            if isinstance(record, RunEnd):
                end = record
            else:
                yield record
    if end:
        yield end


def foreign_run(
    paths: Iterable[Path], wanted: Collection[str] | None = None, points_only: bool = False
) -> tuple[dict[str, Points], list[AnyRecord]]:
    """Return what `foreign_records` yields, the points by metric: of all, or of the wanted ones. The other records are
    left out with `points_only`.
    """
    rest: list[AnyRecord] = []
    reader = EventReader()

    def stretches() -> Iterator[Points]:
        for batch in reader.read(paths):
            if not points_only:
                rest.extend(record for other in batch.others for record in _records(other))
            yield batch.points

    return gather(_selection(reader, wanted), stretches()), rest


def _selection(reader: EventReader, wanted: Collection[str] | None) -> Selection:
    return Selection(reader.tags, lambda tag: wanted is None or tag in wanted)


def _records(other: Other) -> Iterator[AnyRecord]:
    tag = other.value.tag
    if tag not in (hparams.SESSION_START_INFO_TAG, hparams.SESSION_END_INFO_TAG):
        yield from media(other)
        return
    content = other.value.metadata.plugin_data.content
    time = milliseconds_of(other.event.wall_time)
    try:
        if tag == hparams.SESSION_START_INFO_TAG:
            params = hparams.parse_session_start_info_plugin_data(content).hparams
            yield Params(seq=0, time=time, params={name: _param(params[name]) for name in sorted(params)})
        else:
            info = hparams.parse_session_end_info_plugin_data(content)
            ended = milliseconds_of(info.end_time_secs) or time
            yield RunEnd(seq=0, time=ended, status=_STATUS.get(info.status, "finished"))
    except (DecodeError, HParamsError) as error:
        _log.warning("%s: the hyperparameters at byte %d can't be read: %s", other.path, other.position, error)


def _param(value: Any) -> bool | float | str | None:
    """A hyperparameter; NaN and infinities as text, as params are JSON."""
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return value.number_value if np.isfinite(value.number_value) else str(value.number_value)
    return getattr(value, kind) if kind in ("bool_value", "string_value") else None
