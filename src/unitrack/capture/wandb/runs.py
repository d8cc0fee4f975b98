"""`wandb.Run`, as a run of unitrack alone."""

from __future__ import annotations

import glob
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from unitrack.capture.forwarding.wandb_calls import SavedFile, WandbCalls
from unitrack.capture.session import session
from unitrack.capture.wandb.artifact import Artifact
from unitrack.capture.wandb.errors import UnavailableError, UsageError
from unitrack.capture.wandb.run_config import Config
from unitrack.capture.wandb.run_summary import Summary
from unitrack.capture.wandb.settings import Settings
from unitrack.capture.wandb.watching import Watch


class Run:
    """A run. Made by `init`. What is read back from it is what was logged here; nothing is read from a server."""

    def __init__(
        self,
        run_id: str,
        *,
        calls: WandbCalls | None,
        name: str,
        project: str,
        entity: str,
        notes: str | None,
        group: str,
        job_type: str,
        tags: Iterable[str],
        settings: Settings,
        resumed: bool,
        ended: Callable[[Run], None],
    ) -> None:
        """`calls`: None for a disabled run. `ended` is called once it has ended."""
        self.id, self.name, self.project, self.entity = run_id, name, project, entity
        self.notes, self.group, self.job_type = notes, group, job_type
        self.settings, self.resumed = settings, resumed
        self.start_time = time.time()
        self.disabled = calls is None
        self.offline = True
        self.url = self.project_url = self.sweep_id = self.sweep_url = None
        self.sync_dir = self.dir = tempfile.mkdtemp(prefix="unitrack-wandb-")
        self.config = Config(None if calls is None else calls.config)
        self.summary = Summary((lambda values: None) if calls is None else calls.summary)
        self._calls = calls
        self._ended = ended
        self._tags = tuple(tags)
        self._finished = False
        self._saved: set[str] = set()
        self._watch = Watch(lambda values: self.log(values, commit=False))
        if calls is not None:
            calls.listeners.append(lambda row, step: self.summary.take(row))
            calls.captured.at_end(self._end)

    # -- identity -----------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """Entity, project and id."""
        return "/".join(part for part in (self.entity, self.project, self.id) if part)

    @property
    def step(self) -> int:
        """The step of the next call of `log`."""
        return 0 if self._calls is None else self._calls.rows.step

    @property
    def starting_step(self) -> int:
        """The first step; more than 0 in a run that was resumed."""
        return self._calls.first_step if self._calls is not None else 0

    @property
    def config_static(self) -> Mapping[str, Any]:
        """The config as it is now."""
        return self.config.as_dict()

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags; setting them adds to those in the backends."""
        return self._tags

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        self._tags = tuple(tags)
        if self._calls is not None:
            self._calls.tags(self._tags)

    def get_url(self) -> None:
        """Return None, as W&B does offline."""

    get_project_url = get_sweep_url = get_url

    def project_name(self) -> str:
        """Return the project."""
        return self.project

    # -- logging ------------------------------------------------------------------------------------------------------

    def log(
        self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, sync: Any = None
    ) -> None:
        """Log values as W&B does; see `unitrack.capture.forwarding.rows` for the steps."""
        self._check_open("log")
        if not isinstance(data, Mapping):
            raise TypeError("wandb.log must be passed a dictionary")
        if any(not isinstance(key, str) for key in data):
            raise TypeError("Key values passed to `wandb.log` must be strings.")
        if self._calls is not None:
            if step is not None and step < self.step:
                sys.stderr.write(
                    f"wandb: WARNING Tried to log to step {step} that is less than the current step {self.step}. Steps "
                    "must be monotonically increasing, so this data will be ignored.\n"
                )
            self._calls.log(data, step, commit)

    def define_metric(
        self,
        name: str,
        step_metric: Any = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        goal: str | None = None,
        overwrite: bool | None = None,
    ) -> Metric:
        """Define how a metric is shown."""
        self._check_open("define_metric")
        if self._calls is not None:
            self._calls.define_metric(name, step_metric, summary)
        self.summary.define(name, summary)
        return Metric(name)

    def watch(
        self,
        models: Any,
        criterion: Any = None,
        log: str | None = "gradients",
        log_freq: int = 1000,
        idx: int | None = None,
        log_graph: bool = False,
    ) -> None:
        """Log gradients and parameters of torch modules as histograms, every `log_freq` batches."""
        if log_graph:
            session.report.miss("wandb.watch(log_graph=True): the graph")
        self._watch.add(models, log, log_freq)

    def unwatch(self, models: Any = None) -> None:
        """Watch no longer."""
        self._watch.remove()

    def alert(self, title: str, text: str = "", level: Any = None, wait_duration: Any = None) -> None:
        """Raise an alert."""
        if self._calls is not None:
            self._calls.alert(title, text)

    # -- files --------------------------------------------------------------------------------------------------------

    def save(
        self, glob_str: str | os.PathLike[str] | None = None, base_path: Any = None, policy: str = "live"
    ) -> list[str] | bool:
        """Log the files that match a glob; return their paths."""
        if glob_str is None:
            return True
        if policy not in ("live", "end", "now"):
            raise ValueError('Only "live", "end" and "now" policies are currently supported.')
        base = os.path.abspath(base_path) if base_path is not None else os.path.abspath(os.path.dirname(str(glob_str)))
        found = [path for path in sorted(glob.glob(os.path.abspath(str(glob_str)))) if os.path.isfile(path)]
        files = [SavedFile(Path(path), os.path.relpath(path, base)) for path in found]
        self._saved.update(found)
        if self._calls is not None:
            self._calls.save(files, policy)
        return found

    def restore(
        self, name: str, run_path: str | None = None, replace: bool = False, root: str | None = None
    ) -> NoReturn:
        """Raise: there is no server that a file could come from."""
        raise UnavailableError(
            f"wandb.restore({name!r}): there is no server; use unitrack.runs(...) to fetch artifacts"
        )

    def log_artifact(
        self,
        artifact_or_path: Any,
        name: str | None = None,
        type: str | None = None,
        aliases: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> Artifact:
        """Log a version of an artifact, or of a file or folder."""
        self._check_open("log_artifact")
        artifact = artifact_or_path
        if not isinstance(artifact, Artifact):
            path = Path(artifact_or_path)
            artifact = Artifact(name or f"run-{self.id}-{path.name}", type or "unspecified")
            (artifact.add_dir if path.is_dir() else artifact.add_file)(path)
        artifact.aliases = list(aliases or ["latest"])
        if self._calls is not None:
            self._calls.artifact(
                artifact.name, artifact.files_by_name, artifact.references, artifact.aliases, artifact.metadata
            )
        return artifact

    def log_model(self, path: Any, name: str | None = None, aliases: Sequence[str] | None = None) -> None:
        """Log a version of a model."""
        self.log_artifact(path, name, "model", aliases)

    def log_code(self, root: str = ".", name: str | None = None, *args: Any, **kwargs: Any) -> None:
        """Log the source files below a folder."""
        if self._calls is not None:
            self._calls.captured.do("log_code", self._calls.captured.run.log_code, root)

    def use_artifact(self, artifact_or_name: Any, type: str | None = None, *args: Any, **kwargs: Any) -> Artifact:
        """Return a version that a run under the same root has logged, and note that this run uses it."""
        if isinstance(artifact_or_name, Artifact):
            return self.log_artifact(artifact_or_name)
        if self._calls is None:
            raise UsageError("a disabled run uses no artifacts")
        *_, label = str(artifact_or_name).split("/")
        found = self._calls.captured.run.use_artifact(label)
        artifact = Artifact(label, type or "")
        artifact.version = found.version
        if found.path is None:
            raise UsageError(
                f"artifact {label!r} is a reference to data that lies elsewhere: use unitrack.use_artifact"
            )
        (artifact.add_dir if found.path.is_dir() else artifact.add_file)(found.path)
        return artifact

    def use_model(self, name: str) -> str:
        """Return the path of a model that was logged."""
        return self.use_artifact(name, "model").download()

    def link_model(self, path: Any, registered_model_name: str, name: str | None = None, aliases: Any = None) -> None:
        """Log a version of a model. There is no registry to link it to."""
        session.report.miss("wandb.link_model: the link in a registry")
        self.log_artifact(path, name, "model", aliases)

    def link_artifact(self, artifact: Any, target_path: str, aliases: Any = None) -> None:
        """Count it: there is no registry."""
        session.report.miss("wandb.link_artifact")

    upsert_artifact = finish_artifact = log_artifact

    def mark_preempting(self) -> None:
        """Do nothing: there is no server to tell."""

    def write_logs(self, text: str) -> None:
        """Count it."""
        session.report.miss("wandb.Run.write_logs")

    def pin_config_keys(self, keys: Sequence[str] = ()) -> None:
        """Do nothing: it is how W&B's pages look."""

    def status(self) -> Settings:
        """Return that nothing waits for W&B."""
        return Settings(sync_items_total=0, sync_items_pending=0, sync_time=None)

    def _label(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: frameworks tell W&B so that it is they who call."""

    def display(self, height: int = 420, hidden: bool = False) -> bool:
        """Return that nothing was shown."""
        return False

    def to_html(self, height: int = 420, hidden: bool = False) -> str:
        """Return the run's name."""
        return f"<p>{self.name} ({self.id})</p>"

    # -- the end ------------------------------------------------------------------------------------------------------

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run; any exit code but 0 is a failure."""
        if self._finished:
            return
        if self._calls is not None:
            self._calls.finish(exit_code)
        self._end()
        self._ended(self)

    def _end(self) -> None:
        """Log the files that the script has written into the run's folder, as W&B uploads them."""
        if self._finished:
            return
        self._finished = True
        self._watch.remove()
        if self._calls is not None and self.name != self._calls.captured.run.name:
            self._calls.rename(self.name)
        folder = Path(self.dir)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and str(path) not in self._saved]
        if self._calls is not None and files:
            self._calls.save([SavedFile(path, path.relative_to(folder).as_posix()) for path in files], "now")
        shutil.rmtree(folder, ignore_errors=True)

    def _check_open(self, call: str) -> None:
        if self._finished:
            raise UsageError(
                f"Run ({self.id}) is finished. The call to `{call}` will be ignored. "
                "Please make sure that you are using an active run."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(0 if kind is None else 1)

    def __repr__(self) -> str:
        return f"<wandb.Run {self.name!r} ({self.id}) of unitrack.capture>"


class Metric:
    """What `define_metric` returns."""

    def __init__(self, name: str) -> None:
        self.name = name
