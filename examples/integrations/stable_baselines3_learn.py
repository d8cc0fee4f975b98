"""Stable-Baselines3: an agent that learns to balance a pole, with a figure of what it thinks of its states."""

import numpy as np
import torch
from matplotlib.figure import Figure
from stable_baselines3 import A2C
from stable_baselines3.common import logger
from stable_baselines3.common.callbacks import BaseCallback

from unitrack.integrations.stable_baselines3 import UnitrackCallback


class ValuesOverAngle(BaseCallback):
    """Record a figure after every 500 steps."""

    def _on_step(self) -> bool:
        if self.num_timesteps % 500 == 0:
            angles = np.linspace(-0.2, 0.2, 50, dtype="float32")
            states = torch.zeros(50, 4)
            states[:, 2] = torch.from_numpy(angles)
            figure = Figure()
            figure.subplots().plot(angles, self.model.policy.predict_values(states).detach().numpy())
            self.logger.record("values", logger.Figure(figure, close=True), exclude=("stdout", "log"))
        return True


model = A2C("MlpPolicy", "CartPole-v1", device="cpu", seed=0)
model.learn(1000, callback=[UnitrackCallback(name="pole", log_model=True), ValuesOverAngle()])
