"""scikit-learn: the `fit` of each estimator that predicts."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from sklearn.base import BaseEstimator

from unitrack.integrations.automatic.patches import Options, Patch, errors_as_warnings, is_inside, training
from unitrack.integrations.sklearn import estimator_params, log_search, without_callbacks


def replace(options: Options) -> Iterator[Patch]:
    """Replace `fit` of every class of estimators that is imported, or will be."""
    later: list[Patch] = []

    def wrapped(fit: Any) -> Any:
        return _logging(fit, options)

    def hook(before: Any) -> Any:
        def __init_subclass__(cls: type, /, **kwargs: Any) -> None:  # Python calls it
            before.__func__(cls, **kwargs)
            if "fit" in vars(cls):
                later.append(Patch(cls, "fit", wrapped))

        return classmethod(__init_subclass__)

    for kind in _classes(BaseEstimator):
        if "fit" in vars(kind):
            yield Patch(kind, "fit", wrapped)
    yield _PatchOfBase(later, hook)


class _PatchOfBase(Patch):
    """The hook for classes that are defined later, which undoes those as well."""

    def __init__(self, later: list[Patch], hook: Any) -> None:
        super().__init__(BaseEstimator, "__init_subclass__", hook)
        self._later = later

    def undo(self) -> None:
        """Put back what was there before."""
        super().undo()
        for patch in self._later:
            patch.undo()


def _classes(kind: type) -> Iterator[type]:
    seen: set[type] = set()
    left = [kind]
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            left += one.__subclasses__()
            yield one


def _logging(fit: Any, options: Options) -> Any:
    @functools.wraps(fit)
    def logging_fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001  # the documented way to the caller
        is_part = is_inside.get() or str(caller).partition(".")[0] in ("sklearn", "joblib")
        if is_part or not hasattr(self, "predict"):
            return fit(self, *args, **kwargs)
        with training("sklearn", options) as run:
            with errors_as_warnings("the params"):
                run.log_params({"sklearn": estimator_params(self)})
            fitted = fit(self, *args, **kwargs)
            given = inspect.signature(fit).bind(self, *args, **kwargs).arguments
            _log_fitted(run, self, given.get("X"), given.get("y"), options)
        return fitted

    return logging_fit


def _log_fitted(run: Any, estimator: Any, X: Any, y: Any, options: Options) -> None:
    """Log the results of a search, or the score on the training data, and the model."""
    with errors_as_warnings("the score"):
        if hasattr(estimator, "cv_results_"):
            log_search(run, estimator)
        elif hasattr(estimator, "score") and y is not None:
            run.log_metrics({"training_score": estimator.score(X, y)}, 0)
    if options.log_models:
        with errors_as_warnings("the model"):
            model = without_callbacks(getattr(estimator, "best_estimator_", estimator))
            run.log_model(model, input_example=X[:5])
