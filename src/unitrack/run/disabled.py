"""The run that records nothing: for `UNITRACK_MODE=disabled`, and for ranks that do not log."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from unitrack.delivery.report import DeliveryReport
from unitrack.errors import UnitrackError
from unitrack.hookspecs import Link
from unitrack.records import RunStart, merge
from unitrack.run.checkpoints import restore_rng, rng_part
from unitrack.run.mappings import RunConfig, RunSummary
from unitrack.run.metrics import Watcher
from unitrack.run.run import Run
from unitrack.validation import validate_metric
from unitrack.values.plain import as_mapping

if TYPE_CHECKING:
    from unitrack.artifacts.finding import FoundArtifact


class DisabledRun(Run):
    """A run that accepts every call and keeps only what code may read back: params and summary values, in memory."""

    def __init__(self, start: RunStart, params: Any = None, rank: int = 0) -> None:
        self._start = start
        self._rank = rank
        self._params: dict[str, Any] = {}
        self._summary: dict[str, float] = {}
        self._has_ended = False
        self._watcher: Watcher | None = None
        self._next_step = 0
        if params is not None:
            self.log_params(params)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the run for a worker, where it records nothing either."""
        return DisabledRun, (self._start, self._params, self._rank)

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.id}, which records nothing>"

    def _repr_html_(self) -> str:
        from unitrack.terminal.notebook import html_table  # noqa: PLC0415  # html costs 1 ms

        return html_table(f"run {self.name}, which records nothing", ("", ""), [("id", self.id)])

    @property
    def id(self) -> str:
        """The run's id."""
        return self._start.run_id

    @property
    def name(self) -> str:
        """The run's name."""
        return self._start.name

    @property
    def project(self) -> str:
        """The project that the run belongs to."""
        return self._start.project

    @property
    def has_ended(self) -> bool:
        """Whether the run has been finished."""
        return self._has_ended

    @property
    def config(self) -> RunConfig:
        """The params logged so far."""
        return RunConfig(lambda: self._params, self.log_params)

    @property
    def summary(self) -> RunSummary:
        """The summary values set so far."""
        return RunSummary(self._summary, self._summary.update)

    @cached_property
    def path(self) -> Path:
        """A temporary folder for the files that training writes beside a run; removed at the end of the process."""
        folder = tempfile.mkdtemp(prefix="unitrack-disabled-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def links(self) -> dict[str, Link]:
        """Return no links."""
        return {}

    def observe(self, watcher: Watcher) -> None:
        """Tell a sweep what is logged: its trials have results although nothing is recorded."""
        self._watcher = watcher

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Tell the sweep, if there is one."""
        if self._watcher is not None:
            self._tell(self._watcher, values, step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Tell the sweep, if there is one."""
        if self._watcher is not None:
            self._tell(self._watcher, metrics, step)

    def log_metric(self, name: str, value: Any = None, step: int | None = None) -> None:
        """Tell the sweep, if there is one."""
        if self._watcher is not None:
            self._tell(self._watcher, {name: value}, step)

    def _tell(self, watcher: Watcher, values: Mapping[str, Any], step: int | None) -> None:
        at = self._next_step if step is None else step
        self._next_step = max(self._next_step, at + 1)
        numbers = {}
        for name, value in values.items():
            with contextlib.suppress(UnitrackError):  # media, and what a run would refuse
                numbers[name] = validate_metric(name, value)
        if (failure := watcher(numbers, at)) is not None:
            raise failure

    def log_params(self, params: Any) -> None:
        """Keep the params for `config`."""
        with contextlib.suppress(TypeError, ValueError, RecursionError):  # params that a run would refuse
            self._params = merge(self._params, as_mapping(params))

    def define_metric(self, name: str, *, step_metric: str | None = None, summary: str | None = None) -> None:
        """Do nothing."""

    def warn_of_non_finite(self) -> None:
        """Do nothing."""

    def watch(self, model: Any, **options: Any) -> None:
        """Do nothing."""

    def unwatch(self, model: Any = None) -> None:
        """Do nothing."""

    def log_hparams(self, params: Any, metrics: Mapping[str, Any] = {}) -> None:
        """Keep the params and the values for `config` and `summary`."""
        self.log_params(params)
        self.summary.update(metrics)

    def alert(self, name: str, text: str = "", *, when: str | None = None) -> None:
        """Do nothing."""

    def use_artifact(self, artifact: str, *, project: str | None = None) -> FoundArtifact:
        """Return a version of a named artifact; nothing is noted."""
        from unitrack.run.using import find_configured  # noqa: PLC0415  # only for runs that use artifacts

        return find_configured(artifact, project or self.project)

    def latest_checkpoint(self, name: str = "checkpoint") -> None:
        """Return None: nothing was saved."""

    def state_dict(self, *, generators: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the run's id, step 0, and the states of the random number generators, as any run does."""
        return {"run_id": self.id, "step": 0} | rng_part(self._rank, generators)

    def load_state_dict(self, state: Mapping[str, Any], *, generators: Mapping[str, Any] | None = None) -> None:
        """Set the random number generators to those of the state, and do nothing else."""
        if isinstance(state, Mapping):  # it takes everything
            restore_rng(state, self._rank, generators)

    def flush(self, timeout: float | None = None) -> DeliveryReport:
        """Return an empty report."""
        return DeliveryReport({})

    def finish(self, status: Any = "finished", timeout: float | None = None, *, wait: bool = True) -> DeliveryReport:
        """End the run and return an empty report."""
        self._has_ended = True
        return DeliveryReport({})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish()


def _do_nothing(self: DisabledRun, *args: Any, **kwargs: Any) -> None:
    """Do nothing."""


for _name in dir(Run):
    if _name.startswith(("log_", "set_")) and _name not in vars(DisabledRun):
        setattr(DisabledRun, _name, _do_nothing)
