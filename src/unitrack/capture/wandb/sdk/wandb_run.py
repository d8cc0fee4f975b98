"""`wandb.sdk.wandb_run`: where frameworks find the class of runs."""

from unitrack.capture.wandb.runs import Run

__all__ = ["Run"]
