"""The run that does nothing: `UNITRACK_MODE=disabled`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from unitrack.delivery.report import DeliveryReport
from unitrack.hookspecs import Link
from unitrack.records import RunStart
from unitrack.run import Run


class DisabledRun(Run):
    """Takes every call and leaves no trace. `path` is where a run folder might have been, which does not exist."""

    def __init__(self, start: RunStart) -> None:
        self._start = start

    def __reduce__(self) -> tuple[Any, ...]:
        """A worker that it is handed to does nothing either."""
        return DisabledRun, (self._start,)

    @property
    def path(self) -> Path:
        """A path that does not exist."""
        return Path("/nonexistent/unitrack-disabled")

    def links(self) -> dict[str, Link]:
        """None."""
        return {}

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """What names the run; it has no steps."""
        return {"run_id": self.id, "step": 0}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""

    def flush(self, timeout: float | None = None) -> DeliveryReport:
        """Nothing to wait for."""
        return DeliveryReport({})

    def finish(self, status: Any = "finished", timeout: float | None = None) -> DeliveryReport:
        """Nothing to end."""
        return DeliveryReport({})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to end."""


def _do_nothing(self: DisabledRun, *args: Any, **kwargs: Any) -> None:
    """Do nothing."""


for _name in dir(Run):
    if _name.startswith(("log_", "set_")) and _name not in vars(DisabledRun):
        setattr(DisabledRun, _name, _do_nothing)
