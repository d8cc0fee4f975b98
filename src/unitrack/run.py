"""The run: what training code holds. A log call validates, appends one line to the journal, and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from unitrack.checked_metrics import CheckedMetrics
from unitrack.checkpoints import Checkpoints
from unitrack.delivery.ledger import Ledger
from unitrack.ending import Ending
from unitrack.errors import InvalidValueError
from unitrack.file_logging import FileLogging
from unitrack.hookspecs import Link
from unitrack.limits import MAX_STEP
from unitrack.params import merged, what_changes
from unitrack.records import Params, Tags
from unitrack.validation import check_step
from unitrack.validation.arguments import as_text

if TYPE_CHECKING:
    from unitrack.mappings import RunConfig, RunSummary

_EXACT_INT = 2**53
"""Up to here every int is a float64."""


def _is_exact_int(value: object) -> bool:
    return type(value) is int and -_EXACT_INT <= value <= _EXACT_INT


class Run(CheckedMetrics, FileLogging, Checkpoints, Ending):
    """One run, delivered to all its sinks. Made by `unitrack.start_run`; threads may share it.

    Use it as a context manager, or call `finish()`. An exception that leaves the `with` block ends the run as
    "failed", Ctrl-C and SIGTERM as "killed". `str(run)` is its id.
    """

    @cached_property
    def config(self) -> RunConfig:
        """The params that this process has logged, as a mapping: `run.config["lr"]`, `run.config.update(...)`."""
        from unitrack.mappings import RunConfig

        return RunConfig(self._own_params, self.log_params)

    @cached_property
    def summary(self) -> RunSummary:
        """Values for the whole run, as a mapping: `run.summary["best"] = 0.97`."""
        from unitrack.mappings import RunSummary

        return RunSummary(self._log_at_newest_step)

    def links(self) -> dict[str, Link]:
        """Where the run lies in each backend that has opened it so far: id, location, URL, the command to open it."""
        found: dict[str, Link] = {}
        for sink in self._settings.sinks:
            link = Ledger.load(self._folder.ledger_file(sink.name)).link
            if link is not None:
                found[sink.name] = link
        return found

    def _repr_html_(self) -> str:
        from unitrack.html import html_table

        rows = [("id", self.id), ("project", self.project), ("folder", self.path)]
        rows += [(name, link.url or link.location) for name, link in self.links().items()]
        return html_table(f"run {self.name}", ("", ""), rows)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one number per name at a step.

        `metrics`: ints, floats, NumPy scalars, 0-d arrays and tensors, taken as float64. `step`: 0 ... 2**63 - 1, in
        any order; without it, one more than the highest so far. Raises `InvalidTypeError` (a `TypeError`) for what is
        no number, `InvalidValueError` (a `ValueError`) for NaN, infinity, steps and names that can't be accepted, and
        `JournalError` (an `OSError`) if the disk is full. What was logged before is never lost.

        A scalar on a device (a GPU, JAX) is read by a thread, never here: until then the record is not in the journal,
        and what is wrong with it raises at the next call, or at `flush()` and `finish()`.
        """
        with self._journal.lock:
            journal = self._journal  # only now: another thread may have finished the run while this one waited
            if type(step) is not int or not 0 <= step <= MAX_STEP:
                step = check_step(self._next_step if step is None else step)
            points, most = self._points, self._max_points
            failure = None
            if self._has_fast_path and type(metrics) is dict and 0 < len(metrics) <= self._max_metrics:
                for name, value in metrics.items():
                    if (
                        (value - value != 0.0 if type(value) is float else not _is_exact_int(value))
                        or name not in points
                        or points[name] >= most
                    ):
                        failure = self._log_checked(journal, metrics, step)
                        break
                else:
                    journal.write_metrics(step, metrics)
                    for name in metrics:
                        points[name] += 1
                    if step >= self._next_step:
                        self._next_step = step + 1
            else:
                failure = self._log_checked(journal, metrics, step)
        if self._device_reader is not None:
            failure = failure or self._catch_up(self._device_reader)
        if self._pump is not None:
            self._pump()
        if failure is not None:
            raise failure

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers and media together at a step.

        `values`: numbers as for `log_metrics`; `unitrack.Image`, `Audio`, `Video`, `Histogram`, `Table`, `Html` and
        `Figure`, lists of them ("name/0", "name/1"), figures and PIL images as they are; mappings of these, whose names
        become "outer.inner". The numbers are one record. Raises what `log_metrics` and the methods of the media raise.
        """
        from unitrack.media_values import split

        try:
            numbers, media = split(values)
        except RecursionError:
            raise InvalidValueError("log: the values are nested too deeply, or contain themselves") from None
        at = check_step(self._next_step if step is None else step)
        if numbers or not media:
            self.log_metrics(numbers, at)
        for name, one in media:
            one.log_to(self, name, at)
        with self._journal.lock:
            self._next_step = max(self._next_step, at + 1)

    def define_metric(self, name: str, *, step_metric: str | None = None, summary: str | None = None) -> None:
        """Say how a metric is shown: over which other metric, and which of its values stands for the whole run.

        `name`: a metric, or a glob such as "val/*". `step_metric`: the metric on the x-axis, such as "epoch", where a
        backend can show one (W&B). `summary`: "last" (the default), "min", "max", "mean" or "first"; W&B shows it, and
        `unitrack.runs` reads it. The tag `unitrack.metric.<name>` keeps both. Raises `InvalidValueError` for others.
        """
        from unitrack.metric_definitions import Definition

        self.set_tags(Definition.of(name, step_metric, summary).as_tag(name))

    def _own_params(self) -> dict[str, Any]:
        return self._params

    def _log_at_newest_step(self, metrics: Mapping[str, Any]) -> None:
        self.log_metrics(metrics, max(self._next_step - 1, 0))

    def log_metric(self, name: str, value: Any, step: int | None = None) -> None:
        """Log one metric; see `log_metrics`."""
        self.log_metrics({as_text(name, "log_metric: name"): value}, step)

    def log_params(self, params: Any) -> None:
        """Log hyperparameters: a mapping (nested as you like), a dataclass, a pydantic model, an argparse namespace.

        The same value again is a no-op. Another value replaces the one before, where a backend can do that; the local
        files keep both. Values under keys such as `password` or `api_key`, and what looks like a credential, are
        redacted. Raises `InvalidTypeError` for what holds no named values, `InvalidValueError` for names and sizes.
        """
        plain = self._validation.params(params)
        with self._journal.lock:
            changed = what_changes(self._params, plain)
            if changed:
                self._journal.write(Params, params=changed)
                self._params = merged(self._params, changed)
        if changed and self._pump is not None:
            self._pump()
        self._raise_late_failure()

    def log_param(self, name: str, value: Any) -> None:
        """Log one hyperparameter; see `log_params`."""
        self.log_params({as_text(name, "log_param: name"): value})

    def set_tags(self, tags: Mapping[str, Any] | Sequence[str]) -> None:
        """Set tags: names and values, or names alone. Values become strings; a later one replaces an earlier one."""
        checked = self._validation.tags(tags)
        if checked:
            self._log(Tags, tags=checked)
        self._raise_late_failure()

    def log_environment(self) -> None:
        """Log what it takes to run this again as params: Python, platform, packages, git commit."""
        from unitrack.reproduce.environment import capture_environment

        self.log_params(capture_environment())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, for a worker that is spawned: it logs to this run, into a journal of its own, and never ends it."""
        from unitrack.ranks import for_others, rejoin

        return rejoin, (self._start, str(self._folder.path), for_others(self._settings), self._rank)
