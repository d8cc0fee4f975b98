"""Keras 3: a callback for `fit` and `evaluate`, with any of its backends.

model.fit(x, y, epochs=10, callbacks=[UnitrackCallback()])
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun, refusals_as_warnings
from unitrack.integrations.frameworks import missing

try:
    import keras
except ImportError as error:
    raise missing(__name__, error) from error

__all__ = ["UnitrackCallback"]


class UnitrackCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Log what `fit` reports after each epoch, at the epoch's number, from 0, and how the model was compiled.

    `run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`. `log_model` logs the model as "model"
    at the end. With `every_batches=n` the metrics of every n-th batch are logged as "batch.<metric>" at the number of
    batches before it; Keras reads them from the device in another thread. Outside of `fit`, the metrics of `evaluate`
    are logged as "evaluate.<metric>".

    `checkpoints` is the folder that `keras.callbacks.ModelCheckpoint` writes to: what has changed there after an epoch
    is a version of the artifact "checkpoint". Put this callback after that one.
    """

    async_safe = True
    """To Keras: the method for batches may be called in another thread, so that training does not wait for it."""

    def __init__(
        self,
        run: unitrack.Run | None = None,
        *,
        log_model: bool = False,
        every_batches: int | None = None,
        checkpoints: str | os.PathLike[str] | None = None,
        **start: Any,
    ) -> None:
        super().__init__()
        self._attached = AttachedRun("keras", run, **start)
        self._log_model = log_model
        self._every_batches = every_batches
        self._checkpoints = None if checkpoints is None else Path(checkpoints)
        self._logged: dict[Path, tuple[int, int]] = {}
        self._batches_before = self._batches_here = 0
        """Before this epoch, and in it as far as they are known."""
        self._is_training = False
        if every_batches is not None:  # where this method is there, Keras reads the metrics of each batch for it
            self.on_train_batch_end = self._log_batch

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start or find the run, and log the configuration."""
        self._batches_before = self._batches_here = 0
        self._is_training = True
        self._attached.begin({"keras": {**(self.params or {}), **_config(self.model)}})

    def _log_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        step = self._batches_before + batch
        self._batches_here = max(self._batches_here, batch + 1)  # threads may change the order
        if self._every_batches and step % self._every_batches == 0 and logs:
            self._attached.run.log_metrics({f"batch.{name}": value for name, value in logs.items()}, step)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log the metrics of one epoch."""
        self._batches_before += self._batches_here
        self._batches_here = 0
        if logs:
            self._attached.run.log_metrics(dict(logs), epoch)
        for file in sorted(self._checkpoints.glob("*") if self._checkpoints is not None else ()):
            status = file.stat()
            if self._logged.get(file) != (status.st_mtime_ns, status.st_size):
                self._logged[file] = (status.st_mtime_ns, status.st_size)
                with refusals_as_warnings(f"checkpoint {file}"):
                    self._attached.run.log_artifact(file, name="checkpoint")

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Log the metrics of `evaluate`. Those of the validation in `fit` come with the epoch."""
        if logs and not self._is_training:
            self._attached.begin().log_metrics({f"evaluate.{name}": value for name, value in logs.items()})
            self._attached.finish()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Log the model, and end the run if it was started here."""
        self._is_training = False
        if self._log_model:
            with refusals_as_warnings("the model"):
                self._attached.run.log_model(self.model)
        self._attached.finish()


def _config(model: Any) -> dict[str, Any]:
    """Return how a model was compiled: its optimizer with all settings, its loss, and its number of weights."""
    config: dict[str, Any] = {"model": model.name, "backend": keras.config.backend()}
    if model.optimizer is not None:
        config["optimizer"] = {"class": type(model.optimizer).__name__, **model.optimizer.get_config()}
    loss = getattr(model, "loss", None)
    if loss is not None:
        config["loss"] = loss if isinstance(loss, str | dict | list) else getattr(loss, "name", str(loss))
    if model.built:
        config["weights"] = model.count_params()
    return config
