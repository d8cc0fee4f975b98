"""XGBoost, by its contract and by what is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from unitrack_tests.integration_examples import run_example

from unitrack.testing import IntegrationContract, recorded

xgboost = pytest.importorskip("xgboost", reason="its wheels are large")

from unitrack.integrations.xgboost import UnitrackCallback  # noqa: E402  # after the framework was found

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 3))
Y = (X[:, 0] + RANDOM.normal(size=60) > 0).astype(int)
PARAMS = {"max_depth": 2, "eta": 0.5, "objective": "binary:logistic", "eval_metric": ["logloss", "error"], "nthread": 1}


class Raises(xgboost.callback.TrainingCallback):
    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        if epoch == 2 and self.error is not None:
            raise self.error
        return False


def fit(callbacks: list[Any], rounds: int = 4, **options: Any) -> dict[str, list[tuple[int, float]]]:
    train, test = xgboost.DMatrix(X[:40], Y[:40]), xgboost.DMatrix(X[40:], Y[40:])
    history: dict[str, Any] = {}
    xgboost.train(
        PARAMS,
        train,
        rounds,
        evals=[(train, "train"), (test, "test")],
        evals_result=history,
        verbose_eval=False,
        callbacks=callbacks,
        **options,
    )
    return {f"{d}.{m}": list(enumerate(values)) for d, metrics in history.items() for m, values in metrics.items()}


class TestXGBoost(IntegrationContract):
    params: ClassVar = {"xgboost.max_depth": 2, "xgboost.eta": 0.5, "xgboost.objective": "binary:logistic"}

    def make(self, **start: Any) -> UnitrackCallback:
        return UnitrackCallback(**start)

    def train(self, logger: UnitrackCallback, *, interrupt: BaseException | None = None) -> Any:
        return fit([logger, Raises(interrupt)])

    def train_until_stopped(self, logger: UnitrackCallback) -> Any:
        """By a callback before ours, which then does not get the last iteration."""
        reported = fit([xgboost.callback.EarlyStopping(rounds=1, data_name="test", metric_name="error"), logger], 50)
        assert len(reported["test.error"]) < 50
        return reported


def test_estimator_logs_its_model() -> None:
    model = xgboost.XGBClassifier(n_estimators=3, eval_metric="logloss", callbacks=[UnitrackCallback(log_model=True)])
    with recorded() as runs:
        model.fit(X, Y, eval_set=[(X, Y)], verbose=False)
    [run] = runs
    assert [value for _, value in run.points["validation_0.logloss"]] == model.evals_result()["validation_0"]["logloss"]
    assert xgboost.Booster(model_file=bytearray(run.files["model/model.json"])).num_boosted_rounds() == 3


def test_a_model_that_is_too_large_is_a_warning(root: Path) -> None:
    """The training has gone well."""
    (root / "unitrack.yaml").write_text("safeguards: {max_artifact_bytes: 100}")
    with recorded() as runs, pytest.warns(UserWarning, match="the model was not logged: Artifact too large"):
        fit([UnitrackCallback(log_model=True)])
    assert runs[0].status == "finished"


def test_cross_validation() -> None:
    """One run, with means and deviations."""
    with recorded() as runs:
        table = xgboost.cv(
            PARAMS, xgboost.DMatrix(X, Y), 3, nfold=2, as_pandas=False, callbacks=[UnitrackCallback()], seed=1
        )
    [run] = runs
    assert run.values("test.logloss") == table["test-logloss-mean"]
    assert run.values("test.logloss.std") == table["test-logloss-std"]


def test_training_that_goes_on() -> None:
    """Its iterations are counted on from those of the model that it begins with."""
    first = xgboost.train(PARAMS, xgboost.DMatrix(X, Y), 2)
    with recorded() as runs:
        fit([UnitrackCallback()], 2, xgb_model=first)
    assert [step for step, _ in runs[0].points["train.error"]] == [2, 3]


def test_other_worker_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of XGBoost's own communicator."""
    monkeypatch.setattr(xgboost.collective, "get_rank", lambda: 1)
    with recorded() as runs:
        fit([UnitrackCallback()])
    assert not len(runs)


def test_example() -> None:
    [run] = run_example("xgboost_train")
    assert run.status == "finished"
    assert "model/model.json" in run.files
    assert run.params["xgboost.best_iteration"] > 0
