"""Names of W&B that need W&B: using one raises an error that says what to do instead."""

from __future__ import annotations

from typing import Any, NoReturn

from unitrack.capture.wandb.errors import UnavailableError

REASONS = {
    "Api": "there is no server to ask; `unitrack.runs(...)` reads runs, also those of W&B",
    "api": "there is no server to ask; `unitrack.runs(...)` reads runs, also those of W&B",
    "sweep": "a sweep is made on W&B's server; use `unitrack.sweep`, or `unitrack sweep` with W&B's YAML",
    "agent": "a sweep is made on W&B's server; use `unitrack.sweep`, or `unitrack sweep` with W&B's YAML",
    "controller": "a sweep is made on W&B's server; use `unitrack.sweep`",
    "attach": "the run of another process is joined by its pickle; see docs/how-to/several-processes.md",
    "restore": "there is no server that a file could come from; `unitrack.runs(...)` fetches artifacts",
    "JoinedTable": "a join is made by W&B's pages; log both tables",
    "ArtifactTTL": "unitrack keeps versions by rules, not by time; see docs/how-to/artifacts.md",
    "sagemaker_auth": "there is no account",
}
"""What to do instead, by name."""
INTEGRATIONS = ("catboost", "gym", "keras", "lightgbm", "sacred", "sklearn", "tensorboard", "tensorflow", "xgboost")
"""Modules of W&B for frameworks."""


class Unavailable:
    """What stands for such a name. It can be imported, but neither called nor looked into."""

    def __init__(self, name: str, reason: str) -> None:
        self._name, self._reason = name, reason

    def _refuse(self) -> NoReturn:
        raise UnavailableError(f"wandb.{self._name} is not available without W&B: {self._reason}")

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise `UnavailableError`, which says why."""
        self._refuse()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def __repr__(self) -> str:
        return f"<wandb.{self._name}: not available without W&B>"


def reason_of(name: str) -> str | None:
    """Return why a name is not available; None if it is not such a name."""
    if name in INTEGRATIONS:
        return "use unitrack's own callback for the framework; see docs/how-to/integrations.md"
    return REASONS.get(name)
