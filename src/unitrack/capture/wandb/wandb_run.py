"""`wandb.wandb_run`: where Lightning's logger finds the class of runs."""

from unitrack.capture.wandb.runs import Run

__all__ = ["Run"]
