"""Capture as users write it: `unitrack.capture` is called, and is a package."""

from __future__ import annotations

from typing import assert_type

import unitrack
from unitrack.capture import wandb

unitrack.capture("wandb", "tensorboard", replace=["wandb"], sinks=["local"])
assert_type(unitrack.capture("wandb"), None)

with wandb.init(project="digits", config={"lr": 0.1}) as run:
    run.log({"loss": 0.5}, step=3)
    assert_type(run.step, int)
