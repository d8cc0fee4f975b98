"""Stable-Baselines3: a callback for `learn`, and the output format that it adds to the logger.

model.learn(10_000, callback=UnitrackCallback())
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun
from unitrack.integrations.frameworks import missing

try:
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import Figure, HParam, Image, KVWriter, Video
except ImportError as error:
    raise missing(__name__, error) from error

__all__ = ["UnitrackCallback", "UnitrackWriter"]


class UnitrackWriter(KVWriter):  # type: ignore[misc]  # the types of Stable-Baselines3 are not read
    """An output format of the logger: `model.set_logger(Logger(None, [UnitrackWriter()]))`.

    Numbers become metrics at the number of timesteps; figures, videos and images become files; tensors and arrays
    become histograms, and texts files. What was recorded with `exclude="unitrack"` is left out. A run of its own ends
    with the logger's `close()`, or with the process.
    """

    def __init__(self, run: unitrack.Run | None = None, **start: Any) -> None:
        """`run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`."""
        self._attached = AttachedRun(None, run, **start)

    def write(self, key_values: Mapping[str, Any], key_excluded: Mapping[str, Any], step: int = 0) -> None:
        """Log what was recorded since the last dump."""
        _write(self._attached.run, key_values, key_excluded, step)

    def close(self) -> None:
        """End the run if it was started here."""
        self._attached.finish(None)


class UnitrackCallback(BaseCallback):  # type: ignore[misc]
    """Log what the logger of the model dumps during `learn`, and the arguments of the model as params.

    See `UnitrackWriter` for what becomes of each kind of value.
    """

    def __init__(self, run: unitrack.Run | None = None, *, log_model: bool = False, **start: Any) -> None:
        """`run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`.

        `log_model`: log the model as "model" at the end of training.
        """
        super().__init__()
        self._attached = AttachedRun("stable_baselines3", run, **start)
        self._log_model = log_model

    def _on_training_start(self) -> None:
        run = self._attached.begin({"stable_baselines3": _arguments(self.model)})
        formats = self.logger.output_formats
        formats[:] = [one for one in formats if not isinstance(one, _CallbackWriter)]  # left by a training that raised
        formats.append(_CallbackWriter(run))

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        formats = self.logger.output_formats
        formats[:] = [one for one in formats if not isinstance(one, _CallbackWriter)]
        if self._log_model:
            with tempfile.TemporaryDirectory() as folder:
                self.model.save(Path(folder, "model.zip"))
                self._attached.run.log_model(Path(folder, "model.zip"))
        self._attached.finish()


class _CallbackWriter(KVWriter):  # type: ignore[misc]
    """The output format of a callback, which ends the run."""

    def __init__(self, run: unitrack.Run) -> None:
        self._run = run

    def write(self, key_values: Mapping[str, Any], key_excluded: Mapping[str, Any], step: int = 0) -> None:
        _write(self._run, key_values, key_excluded, step)

    def close(self) -> None: ...


def _write(run: unitrack.Run, values: Mapping[str, Any], excluded: Mapping[str, Any], step: int) -> None:
    included = {name: value for name, value in values.items() if "unitrack" not in (excluded.get(name) or ())}
    numbers = {}
    for name, value in included.items():
        if isinstance(value, str):
            run.log_text(value, f"{name}-{step}.txt")
        elif isinstance(value, Figure):
            run.log_figure(value.figure, name, step)
            if value.close:
                from matplotlib import pyplot  # noqa: PLC0415  # only with figures

                pyplot.close(value.figure)
        elif isinstance(value, Video):  # of shape (N, T, C, H, W)
            run.log({name: [unitrack.Video(one, fps=value.fps) for one in value.frames]}, step)
        elif isinstance(value, Image):
            run.log({name: _images(value)}, step)
        elif isinstance(value, HParam):
            run.log_params(value.hparam_dict)
        elif len(getattr(value, "shape", ())) > 0:
            run.log_histogram(value, name, step)
        else:
            numbers[name] = value
    if numbers:
        run.log_metrics(numbers, step)


def _images(value: Any) -> Any:
    """Return an image with its channels last; of a batch, a list of them."""
    order = value.dataformats.upper()
    letters = "".join(letter for letter in "NHWC" if letter in order)
    axes = [order.index(letter) for letter in letters]
    image = value.image.permute(axes) if hasattr(value.image, "permute") else value.image.transpose(axes)
    return [unitrack.Image(one) for one in image] if letters[0] == "N" else unitrack.Image(image)


def _arguments(model: Any) -> dict[str, Any]:
    """Return the plain arguments with which a model was made."""
    names = inspect.signature(type(model).__init__).parameters
    known = {name: getattr(model, name) for name in names if hasattr(model, name)}
    plain = {name: value for name, value in known.items() if isinstance(value, bool | int | float | str | dict)}
    return {"algorithm": type(model).__name__, "policy": type(model.policy).__name__, **plain}
