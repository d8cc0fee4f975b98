"""Transformers, and TRL: a callback for `Trainer`. Once this is imported, `report_to="unitrack"` stands for it.

Trainer(model, args, callbacks=[UnitrackCallback()])
"""

from __future__ import annotations

import json
import numbers
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import unitrack
from unitrack.integrations.attached_run import AttachedRun
from unitrack.integrations.frameworks import missing

try:
    from transformers import TrainerCallback, TrainerState, TrainingArguments
    from transformers.integrations import INTEGRATION_TO_CALLBACK, rewrite_logs
except ImportError as error:
    raise missing(__name__, error) from error

__all__ = ["UnitrackCallback"]


class UnitrackCallback(TrainerCallback):  # type: ignore[misc]  # the types of Transformers are not read
    """Log what a `Trainer` reports as "train/...", "eval/..." and "test/...", and its configuration.

    A run of its own has the name `TrainingArguments.run_name`. It stays open after `train`, for `evaluate` and
    `predict`, and ends with `finish()`, when the next training begins, or when the process exits. Completions
    that TRL writes to `output_dir` (`log_completions=True`) are tables, "train/completions" and "eval/completions".
    """

    def __init__(
        self, run: unitrack.Run | None = None, *, log_model: bool | Literal["all"] = False, **start: Any
    ) -> None:
        """`run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`.

        `log_model`: log the best checkpoint, or without one the last, when training ends; with "all", each one when it
        is saved.
        """
        self._run = run
        self._start = start
        self._attached = AttachedRun("transformers", run, **start)
        self._log_model = log_model
        self._is_training = False
        self._completions: dict[Path, float] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Start or find the run, and log the configuration."""
        if state.is_world_process_zero:
            self._is_training = True
            self._completions = _completions(args)
            self._begin(args, state, kwargs.get("model"))

    def _begin(self, args: TrainingArguments, state: TrainerState, model: Any) -> None:
        known = {"name": state.trial_name or args.run_name}
        if state.is_hyper_param_search:
            known["group"] = args.run_name
        self._attached = AttachedRun("transformers", self._run, **{**known, **self._start})
        self._attached.begin({"transformers": {**args.to_dict(), **_described(model)}})

    def on_log(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Log the metrics at the trainer's step. TRL writes the completions that belong to them afterwards."""
        self._log_completions(args, state, "train/completions")
        if state.is_world_process_zero:
            self._log(args, state, kwargs.get("logs") or {}, kwargs.get("model"))

    def _log(self, args: TrainingArguments, state: TrainerState, logs: Mapping[str, Any], model: Any) -> None:
        if not self._attached.has_begun:
            self._begin(args, state, model)
        values = {name: value for name, value in rewrite_logs(logs).items() if _is_number(value)}
        if values:
            self._attached.run.log_metrics(values, state.global_step)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Log TRL's completions; the metrics were reported by `on_log`."""
        self._log_completions(args, state, "eval/completions")
        self._leave_unless_training(state)

    def on_predict(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Log the metrics of `predict`."""
        if state.is_world_process_zero:
            self._log(args, state, kwargs.get("metrics") or {}, kwargs.get("model"))
        self._leave_unless_training(state)

    def _leave_unless_training(self, state: TrainerState) -> None:
        if state.is_world_process_zero and not self._is_training and self._attached.has_begun:
            self._attached.leave()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Log TRL's completions of the step before."""
        self._log_completions(args, state, "train/completions")

    def on_prediction_step(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Log TRL's completions before those of the evaluation take their place."""
        self._log_completions(args, state, "train/completions")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Log the checkpoint with `log_model="all"`."""
        if self._log_model == "all" and state.is_world_process_zero:
            self._log_checkpoint(Path(args.output_dir, f"checkpoint-{state.global_step}"), state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Log the model, and leave the run open for what follows."""
        if state.is_world_process_zero:
            self._completions = _completions(args)  # with its last report TRL has written those of before once more
            if self._log_model is True:
                last = Path(args.output_dir, f"checkpoint-{state.global_step}")
                self._log_checkpoint(Path(state.best_model_checkpoint or last), state)
            self._is_training = False
            self._attached.leave()

    def finish(self) -> None:
        """End the run if it was started here, and is open: as "failed" if `train` has raised."""
        self._attached.finish("failed" if self._is_training else "finished")

    def _log_checkpoint(self, folder: Path, state: TrainerState) -> None:
        step = int(folder.name.rpartition("-")[2])
        best = {"metric": state.best_metric, "aliases": ["best"]}
        try:
            if folder.exists():
                run = self._attached.run
                run.log_checkpoint(folder, step, **best if str(folder) == state.best_model_checkpoint else {})
        except unitrack.InvalidValueError as refusal:  # it is too large: training need not fail for that
            warnings.warn(f"checkpoint {folder} was not logged: {refusal}", stacklevel=2)

    def _log_completions(self, args: TrainingArguments, state: TrainerState, name: str) -> None:
        if not (getattr(args, "log_completions", False) and state.is_world_process_zero and self._attached.has_begun):
            return
        for file, written in _completions(args).items():
            if self._completions.get(file) != written:
                import pandas  # noqa: PLC0415  # TRL has imported it

                self._completions[file] = written
                frame = pandas.read_parquet(file)
                self._attached.run.log_table(frame, name, int(file.stem.rpartition("_")[2]))


def _completions(args: TrainingArguments) -> dict[Path, float]:
    """Return the files to which TRL has written completions, each with the time."""
    return {file: file.stat().st_mtime_ns for file in sorted(Path(args.output_dir, "completions").glob("*.parquet"))}


def _described(model: Any) -> dict[str, Any]:
    """Return a model's configuration, as JSON has it, and the number of its parameters."""
    found: dict[str, Any] = {}
    if hasattr(getattr(model, "config", None), "to_json_string"):
        found["model"] = json.loads(model.config.to_json_string())
    if hasattr(model, "num_parameters"):
        found["num_parameters"] = model.num_parameters()
    if peft := getattr(model, "peft_config", None):
        found["peft"] = {name: adapter.to_dict() for name, adapter in peft.items()}
    return found


def _is_number(value: Any) -> bool:
    return (isinstance(value, numbers.Real) and not isinstance(value, bool)) or getattr(value, "shape", None) == ()


INTEGRATION_TO_CALLBACK["unitrack"] = UnitrackCallback
