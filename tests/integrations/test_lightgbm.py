"""LightGBM, by its contract and by what is its own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from unitrack_tests.integration_examples import run_example

from unitrack.testing import IntegrationContract, recorded

lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not in each environment")

from unitrack.integrations.lightgbm import UnitrackCallback  # noqa: E402  # after the framework was found

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(200, 3))
Y = (X[:, 0] + RANDOM.normal(size=200) > 0).astype(int)
PARAMS = {
    "objective": "binary",
    "metric": ["binary_logloss", "auc"],
    "num_leaves": 4,
    "learning_rate": 0.5,
    "verbosity": -1,
    "num_threads": 1,
}


def fit(callbacks: list[Any], rounds: int = 4) -> dict[str, list[tuple[int, float]]]:
    data = lightgbm.Dataset(X[:120], Y[:120])
    history: dict[str, Any] = {}
    lightgbm.train(
        PARAMS,
        data,
        rounds,
        valid_sets=[data, data.create_valid(X[120:], Y[120:])],
        valid_names=["train", "test"],
        callbacks=[lightgbm.record_evaluation(history), *callbacks],
    )
    return {f"{d}.{m}": list(enumerate(values)) for d, metrics in history.items() for m, values in metrics.items()}


def raising(error: BaseException | None) -> Any:
    def callback(env: Any) -> None:
        if env.iteration == 2 and error is not None:
            raise error

    return callback


class TestLightGBM(IntegrationContract):
    params: ClassVar = {"lightgbm.num_leaves": 4, "lightgbm.learning_rate": 0.5, "lightgbm.objective": "binary"}
    ends_late = True

    def make(self, **start: Any) -> UnitrackCallback:
        return UnitrackCallback(**start)

    def train(self, logger: UnitrackCallback, *, interrupt: BaseException | None = None) -> Any:
        return fit([logger, raising(interrupt)])

    def train_until_stopped(self, logger: UnitrackCallback) -> Any:
        reported = fit([lightgbm.early_stopping(2, verbose=False), logger], 100)
        assert len(reported["test.auc"]) < 100
        return reported


def test_estimator_logs_its_model() -> None:
    model = lightgbm.LGBMClassifier(n_estimators=3, num_leaves=4, verbosity=-1, n_jobs=1)
    with recorded() as runs:
        model.fit(X, Y, eval_X=(X,), eval_y=(Y,), eval_names=["all"], callbacks=[UnitrackCallback(log_model=True)])
    [run] = runs
    assert run.values("all.binary_logloss") == model.evals_result_["all"]["binary_logloss"]
    assert lightgbm.Booster(model_str=run.files["model/model.txt"].decode()).num_trees() == 3


def test_model_of_a_training_that_was_stopped_early() -> None:
    """With the iteration that is best."""
    with recorded() as runs:
        fit([lightgbm.early_stopping(2, verbose=False), UnitrackCallback(log_model=True)], 100)
        fit([UnitrackCallback()])
    assert runs[0].status == "finished"
    assert runs[0].params["lightgbm.best_iteration"] > 0
    assert "model/model.txt" in runs[0].files


def test_cross_validation() -> None:
    """One run, with means and deviations."""
    with recorded() as runs:
        table = lightgbm.cv(PARAMS, lightgbm.Dataset(X, Y), 3, nfold=2, stratified=True, callbacks=[UnitrackCallback()])
    [run] = runs
    assert run.status == "finished"
    assert run.values("valid.auc") == table["valid auc-mean"]
    assert run.values("valid.auc.std") == table["valid auc-stdv"]


def test_example() -> None:
    [run] = run_example("lightgbm_train")
    assert (run.status, run.name, len(run.values("valid_0.binary_logloss"))) == ("finished", "boosting", 30)
    assert run.values("accuracy")[0] > 0.9
