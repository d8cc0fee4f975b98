"""The run that does nothing: `UNITRACK_MODE=disabled`, and the ranks that do not log."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from unitrack.delivery.report import DeliveryReport
from unitrack.hookspecs import Link
from unitrack.params import as_mapping, merged
from unitrack.records import RunStart
from unitrack.run import Run


class DisabledRun(Run):
    """Takes every call and stores nothing. What code reads back from a run, its params, it can read here as well."""

    def __init__(self, start: RunStart, params: Any = None) -> None:
        self._start = start
        self._report = None
        self._params = {}
        if params is not None:
            self.log_params(params)

    def __reduce__(self) -> tuple[Any, ...]:
        """A worker that it is handed to does nothing either."""
        return DisabledRun, (self._start, self._params)

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.id}, which records nothing>"

    @cached_property
    def path(self) -> Path:
        """A temporary folder for what training writes beside a run; it is removed at the end of the process."""
        folder = tempfile.mkdtemp(prefix="unitrack-disabled-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def links(self) -> dict[str, Link]:
        """None."""
        return {}

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Do nothing."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Do nothing."""

    def log_params(self, params: Any) -> None:
        """Keep them for `config`."""
        with contextlib.suppress(TypeError, ValueError, RecursionError):  # what a run refuses
            self._params = merged(self._params, as_mapping(params))

    def define_metric(self, name: str, *, step_metric: str | None = None, summary: str | None = None) -> None:
        """Do nothing."""

    def _log_at_newest_step(self, metrics: Mapping[str, Any]) -> None:
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
        self._report = DeliveryReport({})
        return self._report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to end."""
        self.finish()


def _do_nothing(self: DisabledRun, *args: Any, **kwargs: Any) -> None:
    """Do nothing."""


for _name in dir(Run):
    if _name.startswith(("log_", "set_")) and _name not in vars(DisabledRun):
        setattr(DisabledRun, _name, _do_nothing)
