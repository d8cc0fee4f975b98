"""PyTorch Ignite, by its contract and by what is its own."""

from __future__ import annotations

import io
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar

import pytest
from unitrack_tests.device import Device
from unitrack_tests.integration_examples import run_example

from unitrack.testing import IntegrationContract, recorded

pytest.importorskip("ignite", reason="it needs torch")

import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, EarlyStopping, global_step_from_engine

from unitrack.integrations.ignite import UnitrackLogger, UnitrackSaver


class TestIgnite(IntegrationContract):
    params: ClassVar = {"lr": 0.1}

    def make(self, **start: Any) -> UnitrackLogger:
        return UnitrackLogger(**start)

    def train(self, logger: UnitrackLogger, *, interrupt: BaseException | None = None, stop_after: int = 99) -> Any:
        points: dict[str, list[tuple[int, float]]] = defaultdict(list)

        def step(engine: Engine, batch: Any) -> torch.Tensor:
            if interrupt is not None and engine.state.iteration == 3:
                raise interrupt
            points["train/loss"].append((engine.state.iteration, 1 / engine.state.iteration))
            return torch.tensor(1 / engine.state.iteration, dtype=torch.float64)

        trainer, evaluator = Engine(step), Engine(lambda engine, batch: None)

        @trainer.on(Events.EPOCH_COMPLETED)
        def evaluate() -> None:
            evaluator.run([0])

        @evaluator.on(Events.COMPLETED)
        def measure() -> None:
            evaluator.state.metrics["accuracy"] = 0.5
            points["val/accuracy"].append((trainer.state.epoch, 0.5))

        evaluator.add_event_handler(Events.COMPLETED, EarlyStopping(stop_after, lambda engine: 0.5, trainer))
        with logger:
            logger.run.log_params({"lr": 0.1})
            at = global_step_from_engine(trainer)
            output = {"output_transform": lambda loss: {"loss": loss}}
            logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, tag="train", **output)
            metrics = {"metric_names": ["accuracy"], "global_step_transform": at}
            logger.attach_output_handler(evaluator, Events.COMPLETED, tag="val", **metrics)
            trainer.run([0, 1], max_epochs=3)
        return points

    def train_until_stopped(self, logger: UnitrackLogger) -> Any:
        reported = self.train(logger, stop_after=1)
        assert reported["val/accuracy"][-1][0] == 2
        return reported


def test_names_are_those_of_ignite() -> None:
    """Of nested outputs, vectors, attributes of the state and the optimizer's params; texts are left out."""
    output = {"losses": [torch.tensor(0.5), 0.25], "vector": torch.tensor([1.0, 2.0]), "text": "no", "flag": True}
    engine = Engine(lambda engine, batch: output)
    engine.state.alpha = 0.125
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    with recorded() as runs, UnitrackLogger() as logger:
        every = Events.ITERATION_COMPLETED
        logger.attach_output_handler(engine, every, "train", output_transform=lambda x: x, state_attributes=["alpha"])
        logger.attach_opt_params_handler(engine, every, optimizer=optimizer, tag="sgd")
        engine.run([0])
    assert {name: value for name, [(_, value)] in runs[0].points.items()} == {
        "train/losses/0": 0.5,
        "train/losses/1": 0.25,
        "train/vector/0": 1.0,
        "train/vector/1": 2.0,
        "train/alpha": 0.125,
        "sgd/lr/group_0": 0.1,
    }


def test_no_device_is_waited_for() -> None:
    """A scalar is handed over as it is, and read in another thread."""
    device = Device(is_open=False)
    with recorded() as runs:
        logger = UnitrackLogger(delivery="thread")
        engine = Engine(lambda engine, batch: {"loss": device.scalar(0.5)})
        logger.attach_output_handler(engine, Events.ITERATION_COMPLETED(once=7), "train", output_transform=lambda x: x)
        engine.run(range(8))
        device.open.set()
        logger.close()
    assert runs[0].points == {"train/loss": [(7, 0.5)]}
    assert threading.get_ident() not in device.readers


def test_checkpoints() -> None:
    """At Ignite's step, or with its score."""
    engine, model = Engine(lambda engine, batch: 0.5), torch.nn.Linear(2, 1)
    with recorded() as runs, UnitrackLogger() as logger:
        logger.attach_output_handler(engine, Events.ITERATION_COMPLETED, "train", output_transform=lambda x: x)
        engine.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint({"model": model}, UnitrackSaver(logger), n_saved=2))
        score = {"score_function": lambda engine: engine.state.epoch, "score_name": "epoch"}
        best = Checkpoint({"model": model}, UnitrackSaver(logger, "best", keep="best:1"), n_saved=1, **score)
        engine.add_event_handler(Events.EPOCH_COMPLETED, best)
        engine.run([0, 1], max_epochs=2)
    names = {Path(name).name for name in runs[0].files if name.startswith("checkpoint/")}
    assert names == {"step-2.pt", "step-4.pt"}
    [file, *_] = [content for name, content in runs[0].files.items() if name.startswith("best/")]
    assert set(torch.load(io.BytesIO(file))) >= {"weight", "bias"}


def test_another_rank_of_ignite_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ignite.distributed.get_rank", lambda: 1)
    engine = Engine(lambda engine, batch: 0.5)
    with recorded() as runs, UnitrackLogger() as logger:
        logger.attach_output_handler(engine, Events.ITERATION_COMPLETED, "train", output_transform=lambda x: x)
        engine.run([0])
    assert not len(runs)


def test_example() -> None:
    [run] = run_example("ignite_engine")
    assert run.status == "finished"
    assert [step for step, _ in run.points["train/loss"]] == list(range(1, 25))
    assert [step for step, _ in run.points["val/mse"]] == [1, 2, 3]
