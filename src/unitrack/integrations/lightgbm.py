"""LightGBM: a callback for `lightgbm.train`, `lightgbm.cv` and its estimators.

lightgbm.train(params, data, valid_sets=[data], callbacks=[UnitrackCallback()])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun, refusals_as_warnings
from unitrack.integrations.frameworks import missing

try:
    import lightgbm
except ImportError as error:
    raise missing(__name__, error) from error

if TYPE_CHECKING:
    from unitrack.records import EndStatus

__all__ = ["UnitrackCallback"]


class UnitrackCallback:
    """Log each evaluation as the metric "<data>.<metric>" at its iteration, from 0, and the params.

    `run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`. `log_model` logs the booster as
    "model". From `lightgbm.cv` the means are logged, and deviations as "<data>.<metric>.std".

    LightGBM tells no callback that early stopping has ended a training. Call `finish` after it: else the model and the
    best iteration wait, in a run that was started here, for the next training or the end of the process.
    """

    order = 20
    """Before early stopping, which is 30: it keeps the callbacks after it from the last iteration."""
    before_iteration = False

    def __init__(self, run: unitrack.Run | None = None, *, log_model: bool = False, **start: Any) -> None:
        self._attached = AttachedRun("lightgbm", run, **start)
        self._log_model = log_model
        self._model: Any = None

    def __call__(self, env: Any) -> None:
        """Log one iteration. With the first one begins the run, with the last one it ends."""
        if env.model is not self._model:
            self._attached.begin({"lightgbm": env.params})
            self._attached.status_if_left = self._status_if_left
            self._model = env.model
        metrics: dict[str, float] = {}
        for result in env.evaluation_result_list or ():
            data, metric, value, _, *deviation = result  # before 4.7 a tuple, which has a deviation from `cv` only
            metrics[f"{data}.{metric}"] = value
            metrics |= {f"{data}.{metric}.std": one for one in deviation if one is not None}
        if metrics:
            self._attached.run.log_metrics(metrics, env.iteration)
        if env.iteration + 1 == env.end_iteration:
            self._log_last()
            self._attached.finish()

    def finish(self) -> None:
        """Log what early stopping has left over, and end the run if it was started here. Call it after the training."""
        if self._model is not None:
            self._attached.finish(self._status_if_left())

    def _log_last(self) -> None:
        model, self._model = self._model, None
        if self._log_model and isinstance(model, lightgbm.Booster):
            with refusals_as_warnings("the model"):
                self._attached.run.log_model(model)

    def _status_if_left(self) -> EndStatus:
        """Return how a training has ended whose last iteration was not seen. After early stopping its model says so."""
        best = self._model.best_iteration
        if best <= 0:
            return "failed"
        self._attached.run.log_params({"lightgbm": {"best_iteration": best}})
        self._log_last()
        return "finished"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}
