"""Hydra: each job is a run, with the configuration as its params; try it with `--multirun lr=0.1,0.2`."""

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

import unitrack

callback = {"_target_": "unitrack.integrations.hydra.UnitrackCallback", "project": "digits"}
config = {"lr": 0.1, "model": {"depth": 4}, "hydra": {"callbacks": {"unitrack": callback}}}
ConfigStore.instance().store(name="app", node=config)


@hydra.main(config_path=None, config_name="app", version_base="1.3")
def train(cfg: DictConfig) -> float:
    """Return the loss, which a sweeper would minimize."""
    loss = 1.0
    for step in range(5):
        loss *= 1 - cfg.lr
        unitrack.log_metrics({"loss": loss}, step=step)
    return loss


train()
