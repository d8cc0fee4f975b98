"""Stable-Baselines3, by its contract and by what is its own."""

from __future__ import annotations

import io
import threading
import warnings
from collections import defaultdict
from typing import Any, ClassVar

import numpy as np
import pytest
from unitrack_tests.device import Device
from unitrack_tests.integration_examples import run_example

from unitrack.testing import IntegrationContract, recorded

pytest.importorskip("stable_baselines3", reason="it needs torch")

import gymnasium
import torch
from stable_baselines3 import A2C
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, StopTrainingOnMaxEpisodes
from stable_baselines3.common.logger import Figure, HParam, HumanOutputFormat, Image, KVWriter, Logger, Video

from unitrack.integrations.stable_baselines3 import UnitrackCallback, UnitrackWriter


class Corridor(gymnasium.Env):
    """Three steps to the right end an episode."""

    observation_space = gymnasium.spaces.Box(0, 10, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, **options: Any) -> Any:
        self.place, self.steps = 0, 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.place, self.steps = max(0, self.place + 2 * int(action) - 1), self.steps + 1
        return np.full(1, self.place, np.float32), 1.0, self.place == 3, self.steps == 10, {}


class Witness(KVWriter):
    """Keeps what the logger dumps."""

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def write(self, key_values: Any, key_excluded: Any, step: int = 0) -> None:
        for name, value in key_values.items():
            self.points[name].append((step, value))

    def close(self) -> None: ...


class Raises(BaseCallback):
    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.error = error

    def _on_step(self) -> bool:
        if self.error is not None and self.num_timesteps == 22:
            raise self.error
        return True


class TestStableBaselines3(IntegrationContract):
    params: ClassVar = {"stable_baselines3.algorithm": "A2C", "stable_baselines3.gamma": 0.9}

    def make(self, **start: Any) -> UnitrackCallback:
        return UnitrackCallback(**start)

    def train(self, logger: UnitrackCallback, *, interrupt: BaseException | None = None) -> Any:
        return learn(CallbackList([logger, Raises(interrupt)]))

    def train_until_stopped(self, logger: UnitrackCallback) -> Any:
        reported = learn(CallbackList([logger, StopTrainingOnMaxEpisodes(3)]), 1000)
        assert max(step for points in reported.values() for step, _ in points) < 100
        return reported


def learn(callback: Any, steps: int = 40) -> Any:
    witness = Witness()
    model = A2C("MlpPolicy", Corridor(), n_steps=5, gamma=0.9, device="cpu", seed=0)
    model.set_logger(Logger(None, [witness]))
    model.learn(steps, callback=callback, log_interval=2)
    return witness.points


def test_a_model_that_learns_again_after_an_error() -> None:
    """Logs to the new run alone."""
    model = A2C("MlpPolicy", Corridor(), n_steps=5, device="cpu")
    model.set_logger(Logger(None, []))
    with recorded() as runs:
        with pytest.raises(ValueError, match="stop"):
            model.learn(40, callback=[UnitrackCallback(), Raises(ValueError("stop"))], log_interval=1)
        model.learn(40, callback=UnitrackCallback(log_model=True), log_interval=1)
    assert [run.status for run in runs] == ["failed", "finished"]
    assert len(runs[1].points["time/iterations"]) == 8
    assert not model.logger.output_formats
    [file] = runs[1].files.values()
    assert A2C.load(io.BytesIO(file)).n_steps == 5


def test_no_device_is_waited_for() -> None:
    """A scalar is handed over as it is, and read in another thread."""
    device = Device(is_open=False)
    with recorded() as runs:
        logger = Logger(None, [UnitrackWriter(delivery="thread")])
        logger.record("loss", device.scalar(0.5))
        logger.dump(7)
        device.open.set()
        logger.close()
    assert runs[0].points == {"loss": [(7, 0.5)]}
    assert threading.get_ident() not in device.readers


def test_each_kind_of_value() -> None:
    figure = pytest.importorskip("matplotlib.figure", reason="it is not in each environment").Figure()
    figure.subplots().plot([1, 2])
    writer = UnitrackWriter(name="values")
    logger = Logger(None, [writer, HumanOutputFormat(io.StringIO())])
    media = ("stdout", "log")
    logger.record("loss", torch.tensor(0.5))
    logger.record("hidden", 1.0, exclude="unitrack")
    logger.record("note", "text")
    logger.record("weights", np.arange(6.0))
    logger.record("plot", Figure(figure, close=True), exclude=media)
    logger.record("clip", Video(torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8), fps=2), exclude=media)
    logger.record("image", Image(np.zeros((3, 4, 5), np.uint8), "CHW"), exclude=media)
    logger.record("batch", Image(torch.zeros(2, 4, 5, 3), "NHWC"), exclude=media)
    logger.record("params", HParam({"lr": 0.1}, {"loss": 0.0}), exclude=media)
    with recorded() as runs:
        logger.dump(5)
        logger.close()
    [run] = runs
    assert run.status == "finished"
    assert run.points == {"loss": [(5, 0.5)]}
    assert run.params == {"lr": 0.1}
    assert sorted(run.files) == [
        "batch/0-5.png",
        "batch/1-5.png",
        "clip/0-5.gif",
        "image-5.png",
        "note-5.txt",
        "plot-5.png",
        "weights-5.json",
    ]


def test_example() -> None:
    pytest.importorskip("matplotlib", reason="it is not in each environment")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        [run] = run_example("stable_baselines3_learn")
    assert run.status == "finished"
    assert run.points["rollout/ep_rew_mean"]
    assert any(name.startswith("values") for name in run.files)
