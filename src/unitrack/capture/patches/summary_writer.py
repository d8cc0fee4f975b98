"""TensorBoard: methods of `SummaryWriter`, torch's and tensorboardX's."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from unitrack.capture.forwarding.tensorboard_calls import SDK, TensorBoardCalls
from unitrack.capture.patching import Patches
from unitrack.capture.session import session
from unitrack.capture.within import is_called_by_unitrack

CAPTURED = (
    "add_scalar",
    "add_scalars",
    "add_histogram",
    "add_histogram_raw",
    "add_image",
    "add_images",
    "add_image_with_boxes",
    "add_figure",
    "add_video",
    "add_audio",
    "add_text",
    "add_hparams",
)
NOT_CAPTURED = (
    "add_custom_scalars",
    "add_custom_scalars_marginchart",
    "add_custom_scalars_multilinechart",
    "add_embedding",
    "add_graph",
    "add_mesh",
    "add_onnx_graph",
    "add_openvino_graph",
    "add_pr_curve",
    "add_pr_curve_raw",
    "add_tensor",
)
_calls: dict[str, TensorBoardCalls] = {}
"""By the log directory, absolute."""


def patch_writer(module: ModuleType) -> Patches:
    """Patch `torch.utils.tensorboard.writer` or `tensorboardX.writer`."""
    patches = Patches(SDK, session.report)
    writer = module.SummaryWriter
    for method in CAPTURED:
        patches.after(writer, method, _forward(method))
    patches.after(writer, "close", _close)
    patches.after(writer, "__exit__", _exit)
    patches.count(writer, NOT_CAPTURED, "SummaryWriter")
    return patches


def _forward(method: str) -> Callable[..., None]:
    def forward(note: Any, result: Any, writer: Any, *args: Any, **kwargs: Any) -> None:
        calls = _calls_of(writer)
        if calls is not None:
            getattr(calls, method)(*args, **kwargs)

    return forward


def _calls_of(writer: Any) -> TensorBoardCalls | None:
    folder = getattr(writer, "log_dir", None) or getattr(writer, "logdir", None)
    if folder is None or not getattr(writer, "_write_to_disk", True):
        return None
    key = os.path.abspath(folder)
    if key not in _calls:
        if is_called_by_unitrack():
            return None
        _calls[key] = TensorBoardCalls(key)
    return _calls[key]


def _close(note: Any, result: Any, writer: Any) -> None:
    if (calls := _calls_of(writer)) is not None:
        calls.close()


def _exit(note: Any, result: Any, writer: Any, kind: Any = None, *args: Any) -> None:
    if (calls := _calls_of(writer)) is not None:
        calls.close("finished" if kind is None else "failed")
