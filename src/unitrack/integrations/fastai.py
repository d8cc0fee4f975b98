"""fastai: a callback for `Learner`.

Learner(data, model, cbs=UnitrackCallback())
"""

from __future__ import annotations

from typing import Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun
from unitrack.integrations.frameworks import missing

try:
    from fastai.callback.core import Callback
    from fastai.learner import Recorder
    from fastai.torch_core import rank_distrib
except ImportError as error:
    raise missing(__name__, error) from error

__all__ = ["UnitrackCallback"]


class UnitrackCallback(Callback):  # type: ignore[misc]  # fastai's types are not read
    """Log the loss and the optimizer's params of each batch, and the metrics of each epoch, at the number of batches.

    The names are fastai's: "train_loss" (smoothed), "raw_loss", "lr_0" and the like for each group of the optimizer,
    "valid_loss" and each metric. `fine_tune` is one run. A run of its own ends as "finished" with `finish()`, when the
    next training begins, or when the process exits. Searches for a learning rate and predictions log nothing.
    """

    order = Recorder.order + 1

    def __init__(self, run: unitrack.Run | None = None, *, log_model: bool = False, **start: Any) -> None:
        """`run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`.

        `log_model`: log the model as "model" after each `fit`.
        """
        super().__init__()
        self._attached = AttachedRun(("fastai", "fastcore"), run, **start)
        self._log_model = log_model
        self._batches = 0
        self._logs = False

    def before_fit(self) -> None:
        """Start or find the run, and log the configuration."""
        others = hasattr(self.learn, "lr_finder") or hasattr(self, "gather_preds")
        self._logs = rank_distrib() == 0 and not others
        if self._logs:
            known = self._attached.run if self._attached.has_begun else None
            run = self._attached.begin({"fastai": _configuration(self.learn)})
            self._attached.status_if_left = None
            if run is not known:
                self._batches = 0

    def after_batch(self) -> None:
        """Log the loss and the optimizer's params of a batch of training."""
        if self._logs and self.training:
            groups = {f"{name}_{i}": hyper[name] for i, hyper in enumerate(self.opt.hypers) for name in hyper}
            values = {"train_loss": self.smooth_loss, "raw_loss": self.loss.detach(), **groups}
            numbers = {name: value for name, value in values.items() if not isinstance(value, bool | tuple)}
            self._attached.run.log_metrics(numbers, self._batches)
            self._batches += 1

    def after_epoch(self) -> None:
        """Log the metrics of the validation, at the step of the last batch."""
        if self._logs:
            values = zip(self.recorder.metric_names, self.recorder.log, strict=False)
            numbers = {
                name: value for name, value in values if name not in ("time", "train_loss") and value is not None
            }
            self._attached.run.log_metrics(numbers, max(self._batches - 1, 0))

    def after_fit(self) -> None:
        """Log the model, and leave the run open for another `fit` of the same call."""
        if self._logs:
            if self._log_model:
                self._attached.run.log_model(self.learn.model)
            self._attached.status_if_left = _finished
            self._logs = False

    def finish(self) -> None:
        """End the run if it was started here, and is open: as "failed" if the last training has raised."""
        self._attached.finish("failed" if self._logs else "finished")


def _finished() -> Any:
    return "finished"


def _configuration(learn: Any) -> dict[str, Any]:
    """Return what a training was configured with, as plain values."""
    found = {"epochs": learn.n_epoch, "batch_size": getattr(learn.dls, "bs", None), "lr": learn.lr, "wd": learn.wd}
    names = {"model": learn.model, "loss": learn.loss_func, "optimizer": learn.opt_func}
    return {**found, **{name: getattr(one, "__name__", type(one).__name__) for name, one in names.items()}}
