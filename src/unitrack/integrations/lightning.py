"""Lightning: a logger for `Trainer` and `Fabric`.

Trainer(logger=UnitrackLogger())
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing.context import get_spawning_popen
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import unitrack
from unitrack.integrations.attached_run import AttachedRun
from unitrack.integrations.frameworks import missing

try:
    from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
    from lightning.pytorch.utilities.exceptions import SIGTERMException
    from lightning.pytorch.utilities.rank_zero import rank_zero_only
except ImportError as error:
    raise missing(__name__, error) from error

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import ModelCheckpoint

__all__ = ["UnitrackLogger"]


class UnitrackLogger(Logger):  # type: ignore[misc]  # Lightning's types are not read
    """Log metrics, hyperparameters, checkpoints and media on rank 0. `logger.experiment` is the `Run`.

    A run of its own stays open after `fit`, for `test` and whatever else follows with this logger. It ends as
    "finished" with `finish()`, when the next training begins, or when the process exits; as "failed" or, after Ctrl-C
    and SIGTERM, as "killed" at once.
    """

    def __init__(
        self,
        name: str | None = None,
        project: str | None = None,
        *,
        run: unitrack.Run | None = None,
        log_model: bool | Literal["all"] = False,
        save_dir: str | os.PathLike[str] | None = None,
        **start: Any,
    ) -> None:
        """`run`, and `name`, `project` and `start`, arguments of `unitrack.start_run`: see `AttachedRun`.

        `log_model`: log the checkpoints that `ModelCheckpoint` keeps at the end of training; with "all", each one when
        it is saved. `save_dir`: where Lightning writes its own files; without it, the run folder.
        """
        super().__init__()
        # None: Lightning says how each training has ended, and users ask for `experiment` outside of one
        self._attached = AttachedRun(None, run, name=name, project=project, **start)
        self._log_model = log_model
        self._save_dir = None if save_dir is None else os.fspath(save_dir)
        self._step = 0
        self._checkpoints: dict[int, ModelCheckpoint] = {}
        """Weak references, valid until the end of training."""
        self._logged: dict[str, float] = {}

    @property
    @rank_zero_experiment  # type: ignore[untyped-decorator]
    def experiment(self) -> unitrack.Run:
        """The run; on other ranks an object whose methods do nothing."""
        return self._attached.run

    @property
    def name(self) -> str | None:
        """The run's name; None before it has begun, and on other ranks."""
        return self._attached.run.name if self._attached.has_begun else None

    @property
    def version(self) -> str | None:
        """The run's id; None before it has begun, and on other ranks."""
        return self._attached.run.id if self._attached.has_begun else None

    @property
    def save_dir(self) -> str | None:
        """The folder for Lightning's own files; None on other ranks, which get it from rank 0."""
        return str(self._attached.run.path) if self._save_dir is None and rank_zero_only.rank == 0 else self._save_dir

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics; see `Run.log_metrics`."""
        self._step = self._step if step is None else step
        self.experiment.log_metrics(metrics, step)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Log hyperparameters, and warn of those that a run refuses. Further arguments, as of others, are ignored."""
        self._attached.log_params(params if isinstance(params, Mapping) else vars(params))

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_image(self, key: str, images: Any, step: int | None = None, **each: Sequence[Any]) -> None:
        """Log images as "key/0", "key/1" and so on, without a step at that of the last metrics; see `Run.log_image`.

        `each`: a list of `caption`, `boxes` or `masks`, one for each image.
        """
        self._log_media(unitrack.Image, key, images, step, each)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_audio(self, key: str, audios: Any, step: int | None = None, **each: Sequence[Any]) -> None:
        """Log sounds, as `log_image` does. `each`: a list of `sample_rate` or `caption`."""
        self._log_media(unitrack.Audio, key, audios, step, each)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_video(self, key: str, videos: Any, step: int | None = None, **each: Sequence[Any]) -> None:
        """Log videos, as `log_image` does. `each`: a list of `fps` or `caption`."""
        self._log_media(unitrack.Video, key, videos, step, each)

    def _log_media(self, kind: Any, key: str, data: Any, step: int | None, each: Mapping[str, Sequence[Any]]) -> None:
        items = list(data) if isinstance(data, list | tuple) else [data]
        if wrong := [name for name, values in each.items() if len(values) != len(items)]:
            raise unitrack.InvalidValueError(f"{key!r}: {wrong[0]} must be a list of {len(items)}, one for each item")
        media = [kind(item, **{name: values[i] for name, values in each.items()}) for i, item in enumerate(items)]
        self.experiment.log({key: media}, self._step if step is None else step)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_table(
        self, key: str, columns: Any = None, data: Any = None, dataframe: Any = None, step: int | None = None
    ) -> None:
        """Log `dataframe`, or rows (`data`) with the names of `columns`; see `Run.log_table`."""
        table = data if dataframe is None else dataframe
        self.experiment.log_table(table, key, self._step if step is None else step, columns=columns)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_text(
        self, key: str, columns: Any = None, data: Any = None, dataframe: Any = None, step: int | None = None
    ) -> None:
        """Log a text, given in place of `columns`, as a file; or a table of texts, as `log_table` does."""
        if isinstance(columns, str):
            self.experiment.log_text(columns, f"{key}-{self._step if step is None else step}.txt")
        else:
            self.log_table(key, columns, data, dataframe, step)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Log what a `ModelCheckpoint` keeps, now or at the end of training."""
        self._checkpoints[id(checkpoint_callback)] = checkpoint_callback
        if self._log_model == "all":
            self._log_checkpoints()

    def _log_checkpoints(self) -> None:
        for callback in self._checkpoints.values():
            for file, score in _kept(callback).items():
                saved = Path(file).stat().st_mtime
                if self._logged.get(file) != saved:
                    self._logged[file] = saved
                    self._log_checkpoint(file, score, callback)

    def _log_checkpoint(self, file: str, score: Any, callback: ModelCheckpoint) -> None:
        named = re.search(r"step=(\d+)", Path(file).name)
        aliases = ["best"] if callback.monitor and file == callback.best_model_path else []
        try:
            step = int(named[1]) if named else self._step
            self.experiment.log_checkpoint(file, step, metric=score, mode=callback.mode, aliases=aliases)
        except unitrack.InvalidValueError as refusal:  # it is too large: training need not fail for that
            warnings.warn(f"checkpoint {file} was not logged: {refusal}", stacklevel=2)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def finalize(self, status: str) -> None:
        """Leave the run after "success", and end it after "failed". Slurm's "finished" means that the job goes on."""
        if status == "success" and self._attached.has_begun:
            if self._log_model:
                self._log_checkpoints()
            self._attached.leave()
        elif status == "failed":
            stopped = isinstance(sys.exception(), KeyboardInterrupt | SIGTERMException)
            self._attached.finish("killed" if stopped else "failed")
        if status in ("success", "failed"):
            self._checkpoints.clear()

    def finish(self) -> None:
        """End the run if it was started here, and is open."""
        self._attached.finish()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy. In a process that is being spawned it logs to the run of this one."""
        if get_spawning_popen() is not None and not self._attached.has_begun:
            self._attached.begin()
            self._attached.leave()
        return {**self.__dict__, "_checkpoints": {}}


def _kept(callback: ModelCheckpoint) -> dict[str, Any]:
    """Return the files that are kept, each with its score, the oldest first."""
    kept = {callback.last_model_path: callback.current_score, callback.best_model_path: callback.best_model_score}
    files = {file: score for file, score in {**kept, **callback.best_k_models}.items() if file and Path(file).exists()}
    return dict(sorted(files.items(), key=lambda one: Path(one[0]).stat().st_mtime))
