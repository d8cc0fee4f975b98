"""The libraries whose calls are rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from unitrack.migrate import mlflow_rules, tensorboard_rules, wandb_rules
from unitrack.migrate.call import Rule


class Library(NamedTuple):
    """What is known of one library."""

    functions: Mapping[str, Rule]
    """By qualified name."""
    values: Mapping[str, str]
    starts: tuple[str, ...]
    """What returns a run, or a writer."""
    methods: Mapping[str, Rule]
    attributes: Mapping[str, str]
    run: str = ""
    """The qualified name of the current run."""


def _prefixed(prefix: str, rules: Mapping[str, Rule]) -> dict[str, Rule]:
    return {f"{prefix}.{name}": rule for name, rule in rules.items()}


def _like_wandb(name: str, others: dict[str, Rule]) -> Library:
    functions = _prefixed(name, wandb_rules.FUNCTIONS | others)
    values = {f"{name}.{value}": text for value, text in wandb_rules.VALUES.items()}
    return Library(functions, values, (f"{name}.init",), wandb_rules.METHODS, wandb_rules.ATTRIBUTES, run=f"{name}.run")


LIBRARIES: dict[str, Library] = {
    "wandb": _like_wandb("wandb", {}),
    "trackio": _like_wandb("trackio", {"init": wandb_rules.init_of_trackio} | wandb_rules.MEDIA_OF_TRACKIO),
    "mlflow": Library(
        _prefixed("mlflow", mlflow_rules.FUNCTIONS), {}, ("mlflow.start_run",), {}, mlflow_rules.ATTRIBUTES
    ),
    "torch.utils.tensorboard": Library(
        dict.fromkeys(tensorboard_rules.WRITERS, tensorboard_rules.writer),
        {},
        tensorboard_rules.WRITERS,
        tensorboard_rules.METHODS,
        tensorboard_rules.ATTRIBUTES,
    ),
}
LIBRARIES["tensorboardX"] = LIBRARIES["torch.utils.tensorboard"]
ROOTS = tuple(LIBRARIES)
"""The modules whose calls are rewritten."""


def root_of(name: str) -> str:
    """Return the module of a library that a qualified name is in; "" if it is in none."""
    return next((root for root in ROOTS if name == root or name.startswith(f"{root}.")), "")
