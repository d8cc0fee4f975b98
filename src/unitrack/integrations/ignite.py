"""PyTorch Ignite: a logger with the handlers that Ignite's own loggers have.

with UnitrackLogger() as logger:
    logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, tag="train", output_transform=lambda loss: loss)
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun
from unitrack.integrations.frameworks import missing

try:
    import ignite.distributed
    from ignite.handlers.base_logger import BaseLogger, BaseOptimizerParamsHandler, BaseOutputHandler
    from ignite.handlers.checkpoint import BaseSaveHandler
except ImportError as error:
    raise missing(__name__, error) from error

__all__ = ["UnitrackLogger", "UnitrackSaver"]


class UnitrackLogger(BaseLogger):  # type: ignore[misc]  # Ignite's types are not read
    """Log what its handlers are attached to, on rank 0. `logger.run` is the `Run`.

    A run of its own ends with the `with` block or `close()`: as "failed" or "killed" where an exception is handled at
    that time. Else it ends with the process.
    """

    def __init__(self, run: unitrack.Run | None = None, **start: Any) -> None:
        """`run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`."""
        self._attached = AttachedRun(None, run, **start)
        self.last_step = 0
        """That of the last metrics."""

    @property
    def run(self) -> unitrack.Run:
        """The run."""
        return self._attached.run

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics on rank 0; see `Run.log_metrics`."""
        if metrics and ignite.distributed.get_rank() == 0:
            self.last_step = self.last_step if step is None else step
            self.run.log_metrics(metrics, step)

    def close(self) -> None:
        """End the run if it was started here."""
        self._attached.finish(None)

    def _create_output_handler(self, *args: Any, **kwargs: Any) -> OutputHandler:
        return OutputHandler(*args, **kwargs)

    def _create_opt_params_handler(self, *args: Any, **kwargs: Any) -> OptimizerParamsHandler:
        return OptimizerParamsHandler(*args, **kwargs)


class OutputHandler(BaseOutputHandler):  # type: ignore[misc]
    """Log an engine's metrics, output and attributes of its state as "<tag>/<name>"."""

    def __call__(self, engine: Any, logger: UnitrackLogger, event_name: Any) -> None:
        """Log what the engine has at this event. Tensors are not read: the run does that in another thread."""
        values: dict[str, Any] = {}
        if self.metric_names is not None:
            known = engine.state.metrics
            names = known if self.metric_names == "all" else [name for name in self.metric_names if name in known]
            values |= {name: known[name] for name in names}
        if self.output_transform is not None:
            output = self.output_transform(engine.state.output)
            values |= output if isinstance(output, Mapping) else {"output": output}
        for name in self.state_attributes or ():
            values[name] = getattr(engine.state, name, None)
        found = {name: value for top, inner in values.items() for name, value in _flat(f"{self.tag}/{top}", inner)}
        logger.log_metrics(found, self.global_step_transform(engine, event_name))


class OptimizerParamsHandler(BaseOptimizerParamsHandler):  # type: ignore[misc]
    """Log a param of each group of an optimizer, such as its learning rate, as "<tag>/<param>/group_<number>"."""

    def __call__(self, engine: Any, logger: UnitrackLogger, event_name: Any) -> None:
        """Log the params at the step of this event."""
        prefix = f"{self.tag}/{self.param_name}" if self.tag else self.param_name
        groups = enumerate(self.optimizer.param_groups)
        values = {f"{prefix}/group_{number}": group[self.param_name] for number, group in groups}
        logger.log_metrics(values, engine.state.get_event_attrib_value(event_name))


class UnitrackSaver(BaseSaveHandler):  # type: ignore[misc]
    """Log checkpoints: `Checkpoint({"model": model}, UnitrackSaver(logger), n_saved=2)`.

    The step is Ignite's; of a checkpoint with a score that of the last metrics.
    """

    def __init__(self, logger: UnitrackLogger, name: str = "checkpoint", keep: str = "all") -> None:
        """`name`: that of the artifact. `keep`: "all", "last:2" or "best:3", by Ignite's score; see
        `Run.log_checkpoint`.
        """
        self._logger = logger
        self._name = name
        self._keep = keep

    def __call__(self, checkpoint: Mapping[str, Any], filename: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Log a checkpoint on rank 0."""
        if ignite.distributed.get_rank() == 0:
            known = metadata or {}
            has_score = known.get("score_name") is not None
            step = self._logger.last_step if has_score or not known else known["priority"]
            score = known["priority"] if has_score else None
            self._logger.run.log_checkpoint(
                checkpoint, step, keep=self._keep, metric=score, mode="max", name=self._name
            )

    def remove(self, filename: str) -> None:
        """Do nothing: `keep` says which stay."""


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Return the numbers in a value by name, as Ignite's loggers name them. Other values are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}/{key}", inner)
    elif (isinstance(value, Sequence) and not isinstance(value, str)) or len(getattr(value, "shape", ())) == 1:
        for number, inner in enumerate(value):
            yield from _flat(f"{name}/{number}", inner)
    elif (isinstance(value, numbers.Real) and not isinstance(value, bool)) or getattr(value, "shape", None) == ():
        yield name, value
