"""Values of a summary event: how a scalar, an image, a sound, a histogram, a text and the hyperparameters are written.

Scalars and images take the form that torch's `SummaryWriter` writes (`simple_value`, `image`), because that is what
`EventAccumulator.Scalars` and `.Images`, and so most scripts, can read. Histograms and sounds are tensors: of torch's
form TensorBoard rounds the edges to float32, so that close ones meet, and cuts off empty bins; and its data server
forgets that a sound is a WAV.

TensorBoard shows a scalar as float32; its data server drops a DT_DOUBLE tensor altogether (measured,
tensorboard-data-server 0.7.2). So a value that is no float32 carries its float64 beside it, in the summary metadata,
which readers ignore there: the source reads it back bit-exact.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from ctypes import c_float
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
from tensorboard.plugins.audio import metadata as audio
from tensorboard.plugins.custom_scalar import metadata as custom_scalars
from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent
from tensorboard.plugins.histogram.metadata import create_summary_metadata as histogram_metadata
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS, STATUS_UNKNOWN
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.plugins.pr_curve import metadata as pr_curves
from tensorboard.plugins.text.metadata import create_summary_metadata as text_metadata

from unitrack.records import RunStatus, flatten
from unitrack_tensorboard.markdown import as_json

OWN_PLUGIN = "unitrack"
"""The plugin name of what TensorBoard need not show."""

_EXACT = struct.Struct("<d")
_EXACT_LATE = struct.Struct("<dQ")
_BIN = struct.Struct("<ddd")

_STATUS = {"finished": STATUS_SUCCESS, "failed": STATUS_FAILURE, "killed": STATUS_FAILURE, "pruned": STATUS_SUCCESS}

_EXACT_INTEGERS = 2**53
"""Up to here float64 holds every integer."""


def add_scalar(summary: Summary, tag: str, value: float, order: int | None = None) -> None:
    """Add a point. `order`, for a point in a late folder, is how many points the tag had before it."""
    single = c_float(value).value
    added = summary.value.add(tag=tag, simple_value=single)
    if order is not None:
        data = added.metadata.plugin_data
        data.plugin_name, data.content = OWN_PLUGIN, _EXACT_LATE.pack(value, order)
    elif single != value and value == value:
        data = added.metadata.plugin_data
        data.plugin_name, data.content = OWN_PLUGIN, _EXACT.pack(value)


def read_scalar(value: Any) -> tuple[float, int | None]:
    """The value and the order that `add_scalar` was given, from a `Summary.Value`."""
    content = value.metadata.plugin_data.content if value.metadata.plugin_data.plugin_name == OWN_PLUGIN else b""
    if len(content) == _EXACT_LATE.size:
        exact, order = _EXACT_LATE.unpack(content)
        return exact, order
    if len(content) == _EXACT.size:
        return _EXACT.unpack(content)[0], None
    return value.simple_value, None


def add_image(summary: Summary, tag: str, encoded: bytes, width: int, height: int) -> None:
    """Add an image, encoded as a browser can show it. Width and height are in pixels."""
    image = summary.value.add(tag=tag).image
    image.encoded_image_string, image.width, image.height = encoded, width, height


def add_audio(summary: Summary, tag: str, encoded: bytes) -> None:
    """Add a sound, as the content of a WAV file."""
    metadata = audio.create_summary_metadata(display_name=None, description=None, encoding=audio.Encoding.Value("WAV"))
    tensor = summary.value.add(tag=tag, metadata=metadata).tensor
    tensor.dtype = DT_STRING
    tensor.tensor_shape.dim.add(size=1)
    tensor.tensor_shape.dim.add(size=2)
    tensor.string_val.extend((encoded, b""))  # the second is a label, which the dashboard no longer shows


def add_histogram(summary: Summary, tag: str, bins: Sequence[tuple[float, float, float]]) -> None:
    """Add a histogram: left edge, right edge and count of each bin, as float64."""
    value = summary.value.add(tag=tag, metadata=histogram_metadata(display_name=None, description=None))
    value.tensor.dtype = DT_DOUBLE
    value.tensor.tensor_shape.dim.add(size=len(bins))
    value.tensor.tensor_shape.dim.add(size=3)
    value.tensor.tensor_content = b"".join(_BIN.pack(*edges_and_count) for edges_and_count in bins)


def add_pr_curve(summary: Summary, tag: str, rows: Sequence[Sequence[float]]) -> None:
    """Add a precision-recall curve.

    `rows`: for each threshold, from 0 to 1 at equal distances, the true and false positives, the true and false
    negatives, precision and recall. The dashboard has them as float32.
    """
    metadata = pr_curves.create_summary_metadata(display_name=tag, description="", num_thresholds=len(rows))
    value = summary.value.add(tag=tag, metadata=metadata)
    value.tensor.dtype = DT_FLOAT
    value.tensor.tensor_shape.dim.add(size=len(rows[0]))
    value.tensor.tensor_shape.dim.add(size=len(rows))
    value.tensor.float_val.extend(row[column] for column in range(len(rows[0])) for row in rows)


def add_text(summary: Summary, tag: str, markdown: str) -> None:
    """Add a text for the text dashboard."""
    value = summary.value.add(tag=tag, metadata=text_metadata(display_name=None, description=None))
    value.tensor.dtype = DT_STRING  # a scalar: of an array the dashboard makes one more table
    value.tensor.string_val.append(markdown.encode())


def add_own(summary: Summary, tag: str, content: bytes) -> None:
    """Bytes for our own source, which no dashboard shows."""
    value = summary.value.add(tag=tag)
    value.metadata.plugin_data.plugin_name = OWN_PLUGIN
    value.tensor.dtype = DT_STRING
    value.tensor.string_val.append(content)


def add_layout(summary: Summary, layout: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Add the layout of the Custom Scalars dashboard: category -> chart -> regular expressions of the tags in it."""
    categories = [
        Category(
            title=category,
            chart=[Chart(title=title, multiline=MultilineChartContent(tag=tags)) for title, tags in charts.items()],
        )
        for category, charts in layout.items()
    ]
    # tensorboard.plugins.custom_scalar.summary would do this, but imports TensorFlow
    value = summary.value.add(tag=custom_scalars.CONFIG_SUMMARY_TAG, metadata=custom_scalars.create_summary_metadata())
    value.tensor.dtype = DT_STRING
    value.tensor.string_val.append(Layout(category=categories).SerializeToString())


def add_session_start(summary: Summary, params: Mapping[str, Any], time: float) -> None:
    """The hyperparameters for the HParams dashboard. `time` is when the run started, in seconds.

    No experiment summary goes with it: the dashboard takes the first one it finds for all runs of a logdir, and would
    hide the hyperparameters that this run lacks; without any it collects those of all runs.
    """
    info = SessionStartInfo(start_time_secs=time)
    for name, value in flatten(params).items():
        _set_hparam(info.hparams[name], value)
    _add_hparams(summary, hparams.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def add_session_end(summary: Summary, status: RunStatus, time: float) -> None:
    """Add how the run ended, for the HParams dashboard. `time` is in seconds."""
    info = SessionEndInfo(status=_STATUS.get(status, STATUS_UNKNOWN), end_time_secs=time)
    _add_hparams(summary, hparams.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _add_hparams(summary: Summary, tag: str, data: HParamsPluginData) -> None:
    # tensorboard.plugins.hparams.summary would do this, but imports TensorFlow
    summary.value.add(tag=tag, metadata=hparams.create_summary_metadata(data), tensor=hparams.NULL_TENSOR)


def _set_hparam(field: Any, value: Any) -> None:
    """HParams can hold booleans, float64 and strings. Anything else, a large integer too, goes there as JSON."""
    if isinstance(value, bool):
        field.bool_value = value
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) <= _EXACT_INTEGERS):
        field.number_value = value
    else:
        field.string_value = value if isinstance(value, str) else as_json(value)
