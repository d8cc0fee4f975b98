"""Keras, by its contract and by what is its own: on JAX."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from unitrack_tests.integration_examples import run_example

import unitrack
from unitrack.records import Artifact
from unitrack.testing import IntegrationContract, recorded

pytest.importorskip("jax", reason="Keras needs a backend")
keras = pytest.importorskip("keras", reason="Keras is not in each environment", exc_type=ImportError)

from unitrack.integrations.keras import UnitrackCallback  # noqa: E402  # after the framework was found

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras and NumPy
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(32, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class Raises(keras.callbacks.Callback):
    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.error = error

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2 and self.error is not None:
            raise self.error


def fit(callbacks: list[Any], epochs: int = 3, **options: Any) -> dict[str, list[tuple[int, float]]]:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.0625), loss="mse", metrics=["mae"])
    history = model.fit(
        X, Y, epochs=epochs, batch_size=16, verbose=0, validation_split=0.25, callbacks=callbacks, **options
    )
    return {name: list(zip(history.epoch, values, strict=True)) for name, values in history.history.items()}


class TestKeras(IntegrationContract):
    params: ClassVar = {
        "keras.epochs": 3,
        "keras.optimizer.class": "SGD",
        "keras.optimizer.learning_rate": 0.0625,
        "keras.loss": "mse",
        "keras.weights": 4,
    }

    def make(self, **start: Any) -> UnitrackCallback:
        return UnitrackCallback(**start)

    def train(self, logger: UnitrackCallback, *, interrupt: BaseException | None = None) -> Any:
        return fit([logger, Raises(interrupt)])

    def train_until_stopped(self, logger: UnitrackCallback) -> Any:
        reported = fit([keras.callbacks.EarlyStopping("loss", min_delta=100.0), logger])
        assert len(reported["loss"]) == 2
        return reported


def test_training_that_goes_on() -> None:
    """The first epoch has the number that `fit` gives it."""
    with recorded() as runs:
        fit([UnitrackCallback()], 5, initial_epoch=3)
    assert [step for step, _ in runs[0].points["val_mae"]] == [3, 4]


def test_batches() -> None:
    """Two an epoch, every second one."""
    with recorded() as runs:
        fit([UnitrackCallback(every_batches=2)])
    assert sorted(step for step, _ in runs[0].points["batch.loss"]) == [0, 2, 4]


def test_checkpoints(tmp_path: Any) -> None:
    """Each that Keras has saved is a version, and none twice."""
    folder = tmp_path / "checkpoints"
    saves = keras.callbacks.ModelCheckpoint(str(folder / "best.keras"), "loss", save_best_only=True)
    with recorded() as runs:
        fit([saves, UnitrackCallback(checkpoints=folder)])
    [run] = runs
    best = [value for _, value in run.points["loss"]]
    saved = [record for record in run.records if isinstance(record, Artifact)]
    assert len({record.name for record in saved}) == len(
        [one for one, value in enumerate(best) if value == min(best[: one + 1])]
    )
    assert (folder / "best.keras").read_bytes() in run.files.values()


def test_a_batch_does_not_wait_for_the_device() -> None:
    """Not even where its metrics are logged: Keras reads them in another thread then."""
    assert keras.callbacks.CallbackList([UnitrackCallback()])._async_train
    assert keras.callbacks.CallbackList([UnitrackCallback(every_batches=1)])._async_train


def test_model_and_evaluation(tmp_path: Any) -> None:
    """In one run of the user's."""
    callback = UnitrackCallback(log_model=True)
    with recorded() as runs, unitrack.start_run():
        fit([callback])
        scores = callback.model.evaluate(X, Y, verbose=0, callbacks=[callback], return_dict=True)
    [run] = runs
    (tmp_path / "model.keras").write_bytes(run.files["model/model.keras"])
    model = keras.models.load_model(tmp_path / "model.keras")
    assert run.values("evaluate.loss") == [scores["loss"]]
    assert (model.predict(X, verbose=0) == callback.model.predict(X, verbose=0)).all()


def test_example() -> None:
    [run] = run_example("keras_fit")
    assert (run.status, len(run.values("val_mae")), len(run.values("batch.loss"))) == ("finished", 3, 4)
