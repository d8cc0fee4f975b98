"""What others' event files say, as records: torch's `SummaryWriter`, `tf.summary`, tensorboardX, Keras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.plugins.scalar.metadata import PLUGIN_NAME as SCALARS
from tensorboard.util.tensor_util import make_ndarray

from unitrack.records import AnyRecord, Metrics, Params, RunEnd, RunStatus
from unitrack_tensorboard.foreign_media import media, plugin_of

_STATUS: dict[int, RunStatus] = {STATUS_SUCCESS: "finished", STATUS_FAILURE: "failed"}


def foreign_records(paths: Iterable[Path]) -> Iterator[AnyRecord]:
    """Scalars, hyperparameters, media and how it ended. Points of one event make one record."""
    plugins: dict[str, str] = {}
    end: RunEnd | None = None
    for path in paths:
        for number, event in enumerate(LegacyEventFileLoader(str(path)).Load()):
            time = round(event.wall_time * 1000)
            points: dict[str, float] = {}
            for place, value in enumerate(event.summary.value):
                if value.HasField("metadata"):  # writers leave it out after a tag's first value
                    plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
                if value.tag == hparams.SESSION_START_INFO_TAG:
                    yield Params(seq=0, time=time, params=_params(value))
                elif value.tag == hparams.SESSION_END_INFO_TAG:
                    end = _end(value, time)
                elif value.HasField("simple_value"):
                    points[value.tag] = value.simple_value
                elif value.HasField("tensor") and plugins.get(value.tag) == SCALARS:
                    points |= _tensor_point(value)
                else:
                    yield from media(path, number, place, event, plugin_of(value) or plugins.get(value.tag, ""))
            if points:
                yield Metrics(seq=0, time=time, step=event.step, metrics={}).with_values(points)
    if end:
        yield end


def _tensor_point(value: Any) -> dict[str, float]:
    array = make_ndarray(value.tensor)
    return {value.tag: float(array.item())} if array.size == 1 and array.dtype.kind in "biuf" else {}


def _params(value: Any) -> dict[str, Any]:
    info = hparams.parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
    return {name: MessageToDict(param) for name, param in sorted(info.hparams.items())}


def _end(value: Any, time: int) -> RunEnd:
    info = hparams.parse_session_end_info_plugin_data(value.metadata.plugin_data.content)
    ended = round(info.end_time_secs * 1000) or time
    return RunEnd(seq=0, time=ended, status=_STATUS.get(info.status, "finished"))
