"""scikit-learn: a callback for estimators that take callbacks, from version 1.9 on.

LogisticRegression().set_callbacks(UnitrackCallback(scoring="neg_log_loss")).fit(X, y)
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from typing import Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun, refusals_as_warnings
from unitrack.integrations.frameworks import missing

try:
    import sklearn.callback  # noqa: F401  # before 1.9 there is none
    from sklearn.metrics import check_scoring
except ImportError as error:
    raise missing(__name__, error) from error

__all__ = ["UnitrackCallback", "estimator_params", "log_search", "without_callbacks"]


class UnitrackCallback:
    """Log an estimator's params, scores while it is fitted, and the results of a search.

    `run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`. `scoring`, a name, a list of names or a
    scorer, is computed on the training data after each task of the fit, as by `sklearn.callback.ScoringMonitor`. It
    becomes the metric "<task>.<score>" at the task's number: "lbfgs-iter.neg_log_loss", for a part of a pipeline
    "fit-final-estimator.1.lbfgs-iter.neg_log_loss". Each candidate of a search is a step of the columns of
    `cv_results_`, which are logged as a table too. `log_model` logs the fitted estimator as "model", with the first
    rows of the data as its example; `max_propagation_depth` is how many levels of parts are scored, all by default.
    """

    def __init__(
        self,
        run: unitrack.Run | None = None,
        *,
        scoring: Any = None,
        log_model: bool = False,
        max_propagation_depth: int | None = None,
        **start: Any,
    ) -> None:
        self._attached = AttachedRun("sklearn", run, **start)
        self._scoring = [scoring] if isinstance(scoring, str) else scoring
        self._log_model = log_model
        self._example: Any = None
        self.max_propagation_depth = max_propagation_depth if scoring is not None else 0
        """How many levels of parts get this callback; without a score there is nothing to do for it."""

    def setup(self, estimator: Any, context: Any) -> None:
        """Start or find the run, and log the params."""
        self._attached.begin({"sklearn": estimator_params(estimator)})

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing: a task is logged at its end."""

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        fitted_estimator: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Log the scores of one task."""
        if context.parent is None and self._log_model and X is not None:
            self._example = X[:5]
        if self._scoring is None or X is None or y is None or not hasattr(fitted_estimator, "predict"):
            return  # no fitted estimator yet, or a transformer
        scorer = check_scoring(fitted_estimator, self._scoring)
        scores = scorer(fitted_estimator, X, y, **(metadata or {}))
        scores = scores if isinstance(scores, Mapping) else {"score": scores}
        prefix = _path(context)
        self._attached.run.log_metrics({f"{prefix}.{name}": one for name, one in scores.items()}, context.task_id)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Log what the whole fit has found, and end the run if it was started here."""
        error = sys.exception()
        if error is not None:
            self._attached.finish("killed" if isinstance(error, KeyboardInterrupt) else "failed")
            return
        run = self._attached.run
        if hasattr(estimator, "cv_results_"):
            log_search(run, estimator)
        if self._log_model:
            with refusals_as_warnings("the model"):
                model = without_callbacks(getattr(estimator, "best_estimator_", estimator))
                run.log_model(model, input_example=self._example)
        self._attached.finish()


def estimator_params(estimator: Any) -> dict[str, Any]:
    """Return the params of an estimator, nested: those of its parts, such as steps of a pipeline, by their names."""
    params: dict[str, Any] = {"class": type(estimator).__name__}
    for name, value in estimator.get_params(deep=False).items():
        if _is_estimator(value):
            params[name] = estimator_params(value)
        elif isinstance(value, list) and value and all(isinstance(part, tuple) and len(part) > 1 for part in value):
            params |= {part[0]: estimator_params(part[1]) if _is_estimator(part[1]) else part[1] for part in value}
        else:
            params[name] = value
    return params


def _is_estimator(value: Any) -> bool:
    return hasattr(value, "get_params") and not isinstance(value, type)


def _path(context: Any) -> str:
    """Return the name of a task: that of its kind, after the names and numbers of the tasks that it is a part of."""
    parts = [context.source_task_name or context.task_name]
    while (context := context.parent) is not None and context.parent is not None:
        parts.append(f"{context.source_task_name or context.task_name}.{context.task_id}")
    return ".".join(reversed(parts))


def log_search(run: unitrack.Run, search: Any) -> None:
    """Log each candidate of a search as a step, the table of all, and the best one."""
    results = {name: list(column) for name, column in search.cv_results_.items() if name != "params"}
    numbers = {name: column for name, column in results.items() if not name.startswith("param_")}
    for candidate in range(len(search.cv_results_["params"])):
        run.log_metrics({name: column[candidate] for name, column in numbers.items()}, candidate)
    run.log_table(
        {name: [str(one) if name.startswith("param_") else one for one in column] for name, column in results.items()},
        "cv_results",
    )
    if hasattr(search, "best_params_"):
        run.log_params({"sklearn": {"best_params": search.best_params_}})
    if hasattr(search, "best_score_"):
        run.summary["best_score"] = search.best_score_


def without_callbacks(estimator: Any) -> Any:
    """Return an estimator without this callback, and without the context of the fit that is about to end."""
    bare = copy.copy(estimator)
    for name in [name for name in vars(bare) if "callback" in name]:
        delattr(bare, name)
    return bare
