"""`wandb.sdk.lib.config_util`: where transformers finds the error of a config that may not change."""

from unitrack.capture.wandb.errors import ConfigError

__all__ = ["ConfigError"]
