"""fastai, by its contract and by what is its own."""

from __future__ import annotations

import io
import warnings
from typing import Any, ClassVar

import pytest
from unitrack_tests.integration_examples import run_example

from unitrack.testing import IntegrationContract, recorded

pytest.importorskip("fastai", reason="it needs torch")

with warnings.catch_warnings():  # fastai uses what torch and NumPy call deprecated
    warnings.simplefilter("ignore")
    import torch
    from fastai.basics import CancelFitException, DataLoaders, Learner, TfmdDL
    from fastai.callback.core import Callback
    from fastai.callback.schedule import minimum  # noqa: F401  # with it learners search a rate, and fine-tune
    from fastai.callback.tracker import EarlyStoppingCallback

    from unitrack.integrations.fastai import UnitrackCallback

pytestmark = pytest.mark.filterwarnings("ignore")


class Cancels(Callback):
    def before_batch(self) -> None:
        if self.training and self.train_iter == 2:
            raise CancelFitException


def learner(*callbacks: Any, interrupt: BaseException | None = None) -> Learner:
    torch.manual_seed(0)
    X = torch.randn(12, 2)
    rows = list(zip(X, X.sum(1, keepdim=True), strict=True))
    data = DataLoaders(TfmdDL(rows, bs=4), TfmdDL(rows[:4], bs=4))
    calls = iter(range(1000))

    def loss(predicted: Any, targets: Any) -> Any:
        if next(calls) == 2 and interrupt is not None:
            raise interrupt
        return torch.nn.functional.mse_loss(predicted, targets)

    return Learner(data, torch.nn.Linear(2, 1), loss, lr=0.01, cbs=list(callbacks), metrics=[mae])


def mae(predicted: Any, targets: Any) -> Any:
    return (predicted - targets).abs().mean()


def reported_by(learn: Learner) -> Any:
    """What the recorder has."""
    recorder = learn.recorder
    ends = [count - 1 for count in recorder.iters]
    found = {"train_loss": [(step, float(loss)) for step, loss in enumerate(recorder.losses)]}
    for number, name in enumerate(("valid_loss", "mae"), 1):
        found[name] = [(step, float(values[number])) for step, values in zip(ends, recorder.values, strict=True)]
    return found


class TestFastai(IntegrationContract):
    params: ClassVar = {"fastai.epochs": 2, "fastai.batch_size": 4}
    other_metrics = ("raw_loss", "epoch", "lr_0", "mom_0", "wd_0", "sqr_mom_0", "eps_0")

    def make(self, **start: Any) -> UnitrackCallback:
        return UnitrackCallback(**start)

    def train(self, logger: UnitrackCallback, *, interrupt: BaseException | None = None) -> Any:
        learn = learner(logger, interrupt=interrupt)
        learn.fit(2)
        logger.finish()
        return reported_by(learn)

    def train_until_stopped(self, logger: UnitrackCallback) -> Any:
        learn = learner(logger, EarlyStoppingCallback("mae", min_delta=100.0))
        learn.fit(9)
        logger.finish()
        assert len(learn.recorder.values) == 2
        return reported_by(learn)


def test_fine_tuning_is_one_run() -> None:
    """It fits twice; a search for a learning rate and a prediction are none."""
    with recorded() as runs:
        callback = UnitrackCallback(log_model=True)
        learn = learner(callback)
        learn.lr_find(num_it=5, show_plot=False)
        learn.fine_tune(1)
        learn.get_preds()
        learn.fit(1)
        callback.finish()
    assert [run.status for run in runs] == ["finished", "finished"]
    assert [step for step, _ in runs[0].points["raw_loss"]] == [0, 1, 2, 3, 4, 5]
    assert [step for step, _ in runs[1].points["raw_loss"]] == [0, 1, 2]
    [model] = runs[0].files.values()
    assert set(torch.load(io.BytesIO(model))) == {"weight", "bias"}


def test_a_training_that_the_user_cancels() -> None:
    """Is a normal end."""
    callback = UnitrackCallback()
    with recorded() as runs:
        learner(callback, Cancels()).fit(2)
        callback.finish()
    assert runs[0].status == "finished"


def test_example() -> None:
    [run] = run_example("fastai_learner")
    assert run.status == "finished"
    assert len(run.points["raw_loss"]) == 24
    assert len(run.points["valid_loss"]) == 3
