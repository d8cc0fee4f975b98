"""scikit-learn, by its contract and by what is its own."""

from __future__ import annotations

import json
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
from unitrack_tests.integration_examples import run_example

from unitrack.testing import IntegrationContract, recorded

pytest.importorskip("sklearn.callback", reason="scikit-learn from 1.9 on is not in each environment")

from sklearn.callback import ScoringMonitor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from unitrack.integrations.sklearn import UnitrackCallback, estimator_params

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 3))
Y = (X[:, 0] + RANDOM.normal(size=60) > 0).astype(int)
SCORING = ["neg_log_loss", "accuracy"]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Raises:
    """A callback of the user's, with an error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def setup(self, estimator: Any, context: Any) -> None: ...

    def teardown(self, estimator: Any, context: Any) -> None: ...

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        if context.task_id == 2 and self.error is not None:
            raise self.error

    def on_fit_task_end(self, estimator: Any, context: Any) -> None: ...


class TestSklearn(IntegrationContract):
    """Against what scikit-learn's own monitor reports."""

    params: ClassVar = {"sklearn.class": "LogisticRegression", "sklearn.C": 0.5, "sklearn.max_iter": 4}

    def make(self, **start: Any) -> UnitrackCallback:
        return UnitrackCallback(scoring=SCORING, **start)

    def train(self, logger: UnitrackCallback, *, interrupt: BaseException | None = None) -> Any:
        monitor = ScoringMonitor(scoring=SCORING)
        LogisticRegression(C=0.5, max_iter=4).set_callbacks(logger, monitor, Raises(interrupt)).fit(X, Y)
        return reported(monitor)


def reported(monitor: ScoringMonitor) -> dict[str, list[tuple[int, float]]]:
    points: dict[str, list[tuple[int, float]]] = {}
    for row in monitor.get_logs().data:
        for score in SCORING:
            points.setdefault(f"{row['task_name']}.{score}", []).append((row["task_id"], row[score]))
    return points


def test_pipeline() -> None:
    """Its params are leaves, and its parts are scored below their own names."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3))
    pipeline.set_callbacks(UnitrackCallback(scoring="accuracy", log_model=True))
    with recorded() as runs:
        pipeline.fit(X, Y)
    [run] = runs
    assert run.params["sklearn.logisticregression.max_iter"] == 3
    assert run.params["sklearn.standardscaler.with_mean"] is True
    assert not any("StandardScaler()" in str(value) for value in run.params.values())
    assert [step for step, _ in run.points["fit-final-estimator.1.lbfgs-iter.accuracy"]] == [0, 1, 2]
    model = _loaded(run.files)
    assert (model.predict(X) == pipeline.predict(X)).all()


def _loaded(files: dict[str, bytes]) -> Any:
    if "model/model.pkl" in files:
        return pickle.loads(files["model/model.pkl"])
    from skops import io

    return io.loads(files["model/model.skops"], trusted=[])


def test_search() -> None:
    """Each candidate is a step."""
    search = GridSearchCV(LogisticRegression(max_iter=2), {"C": [0.1, 1.0, 10.0]}, cv=2)
    with recorded() as runs:
        search.set_callbacks(UnitrackCallback()).fit(X, Y)
    [run] = runs
    assert run.status == "finished"
    assert run.values("mean_test_score") == search.cv_results_["mean_test_score"].tolist()
    assert run.values("best_score") == [search.best_score_]
    assert run.params["sklearn.best_params.C"] == search.best_params_["C"]
    assert run.params["sklearn.estimator.max_iter"] == 2
    table = json.loads(run.files["cv_results.json"])
    assert len(table["data"]) == 3


def test_params_of_parts_that_are_no_estimators() -> None:
    """Such as "passthrough"."""
    pipeline = make_pipeline("passthrough", StandardScaler())
    assert estimator_params(pipeline)["passthrough"] == "passthrough"


def test_example() -> None:
    pipeline, search = run_example("sklearn_search")
    assert (pipeline.status, search.status) == ("finished", "finished")
    assert len(pipeline.values("fit-final-estimator.1.lbfgs-iter.neg_log_loss")) > 1
    assert len(search.values("mean_test_score")) == 3
