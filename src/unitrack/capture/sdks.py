"""The SDKs that can be captured: which of their modules are patched, and what takes their place."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import msgspec

from unitrack.capture.patching import Patches

_PATCHES = "unitrack.capture.patches"


class Sdk(msgspec.Struct, frozen=True):
    """One SDK."""

    hooks: dict[str, tuple[str, str]]
    """By the module to patch: the file in `patches` and its function, which gets the module."""
    replacements: dict[str, str] = {}
    """By the module to replace: the one that takes its place. Empty if it can't be replaced."""


SDKS = {
    "wandb": Sdk(
        {
            "wandb.sdk.wandb_run": ("wandb_run", "patch_run"),
            "wandb.sdk.wandb_init": ("wandb_run", "patch_init"),
        },
        replacements={"wandb": "unitrack.capture.wandb", "wandb.data_types": "unitrack.capture.wandb"},
    ),
    "mlflow": Sdk(
        {
            "mlflow.tracking._tracking_service.client": ("mlflow_client", "patch_client"),
            "mlflow.tracking._model_registry.client": ("mlflow_client", "patch_registry"),
            "mlflow.tracing.client": ("mlflow_client", "patch_tracing"),
        },
        replacements={"mlflow": "unitrack.capture.mlflow", "mlflow.tracking": "unitrack.capture.mlflow"},
    ),
    "tensorboard": Sdk(
        {
            "torch.utils.tensorboard.writer": ("summary_writer", "patch_writer"),
            "tensorboardX.writer": ("summary_writer", "patch_writer"),
        },
        replacements={
            "torch.utils.tensorboard": "unitrack.capture.tensorboard",
            "tensorboardX": "unitrack.capture.tensorboard",
        },
    ),
    "trackio": Sdk({"trackio.run": ("trackio_run", "patch_run")}),
}

REPLACEABLE = tuple(name for name, sdk in SDKS.items() if sdk.replacements)


def patch_of(module: str) -> Callable[[ModuleType], Patches]:
    """Return the function that patches a module. Its file is imported only when it is called."""
    file, function = next(sdk.hooks[module] for sdk in SDKS.values() if module in sdk.hooks)

    def patch(loaded: ModuleType) -> Patches:
        patches: Patches = getattr(importlib.import_module(f"{_PATCHES}.{file}"), function)(loaded)
        return patches

    return patch
