"""XGBoost: a callback for `xgboost.train`, `xgboost.cv` and its estimators.

xgboost.train(params, data, evals=[(data, "train")], callbacks=[UnitrackCallback()])
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun, refusals_as_warnings
from unitrack.integrations.frameworks import missing

try:
    import xgboost
except ImportError as error:
    raise missing(__name__, error) from error

__all__ = ["UnitrackCallback"]


class UnitrackCallback(xgboost.callback.TrainingCallback):  # type: ignore[misc]  # XGBoost's types are not read
    """Log each evaluation as the metric "<data>.<metric>" at its iteration, from 0, and the booster's params.

    `run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`. `log_model` logs the booster as
    "model". From `xgboost.cv` the means are logged, and deviations as "<data>.<metric>.std". Of several workers, the
    first one of XGBoost's own communicator logs.
    """

    def __init__(self, run: unitrack.Run | None = None, *, log_model: bool = False, **start: Any) -> None:
        super().__init__()
        self._attached = AttachedRun("xgboost", run, **start)
        self._log_model = log_model
        self._evaluations: Mapping[str, Mapping[str, Sequence[Any]]] = {}
        self._first = 0
        self._logged = 0

    def before_training(self, model: Any) -> Any:
        """Start or find the run, and log the params."""
        self._evaluations, self._logged = {}, 0
        if _is_first():
            boosters = [fold.bst for fold in model.cvfolds] if hasattr(model, "cvfolds") else [model]
            self._first = boosters[0].num_boosted_rounds()
            self._attached.begin({"xgboost": _params(boosters[0])})
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Log the metrics of one iteration."""
        self._evaluations = evals_log
        self._log_new()
        return False

    def after_training(self, model: Any) -> Any:
        """Log what is left, the best iteration and the model, and end the run if it was started here."""
        if not _is_first():
            return model
        self._log_new()  # a callback before this one may have stopped the training, and has then kept this one uncalled
        best = model.attr("best_iteration") if hasattr(model, "attr") else None
        if best is not None:
            self._attached.run.log_params({"xgboost": {"best_iteration": int(best)}})
        if self._log_model and isinstance(model, xgboost.Booster):
            with refusals_as_warnings("the model"):
                self._attached.run.log_model(model)
        self._attached.finish()
        return model

    def _log_new(self) -> None:
        """Log the iterations that XGBoost's history has and the run has not."""
        if not _is_first():
            return
        histories = {
            f"{data}.{metric}": values
            for data, metrics in self._evaluations.items()
            for metric, values in metrics.items()
        }
        reached = max(map(len, histories.values()), default=0)
        for number in range(self._logged, reached):
            values = {name: history[number] for name, history in histories.items()}
            self._attached.run.log_metrics(_numbers(values), self._first + number)
        self._logged = reached


def _is_first() -> bool:
    return bool(xgboost.collective.get_rank() == 0)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Return one number per metric; of cross-validation, whose values are pairs, the deviations too."""
    numbers = {name: value[0] if isinstance(value, tuple) else value for name, value in values.items()}
    return numbers | {f"{name}.std": value[1] for name, value in values.items() if isinstance(value, tuple)}


def _params(booster: Any) -> dict[str, Any]:
    """Return the params of a booster, which its configuration has as texts below the parts that use them."""
    found: dict[str, Any] = {}
    levels = [json.loads(booster.save_config())["learner"]]
    while levels:
        for name, value in levels.pop().items():
            if isinstance(value, dict):
                levels.append(value)
            elif isinstance(value, str):
                found[name] = _plain(value)
    return found


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
