"""What the calls of a W&B run become: the same for the real SDK and for the drop-in module."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from unitrack.capture.captured_run import CapturedRun, as_number, is_number
from unitrack.capture.forwarding.rows import Rows
from unitrack.capture.forwarding.wandb_values import values_of
from unitrack.records import EndStatus
from unitrack.run.media_values import Media

SUMMARY = "summary."
"""The beginning of tags for values of the summary that are no metrics of their own."""
NAME = "wandb.name"
"""The tag of a name that the script has changed."""
_SUMMARIES = ("min", "max", "mean", "last", "first")
_LATE = ("live", "end")
"""Policies of `save` by which W&B takes the file as it is at the end."""


class SavedFile(NamedTuple):
    """A file that `save` was given."""

    path: Path
    name: str
    """Among the run's artifacts."""


class WandbCalls:
    """Forwards the calls of one W&B run."""

    def __init__(self, captured: CapturedRun, first_step: int = 0) -> None:
        self.captured = captured
        self.rows = Rows(self._write)
        self.rows.step = self.first_step = first_step
        self.listeners: list[Callable[[Mapping[str, Any], int], None]] = []
        """Get the numbers of each complete row, and its step."""
        self._logged: set[str] = set()
        self._summary: dict[str, Any] = {}
        self._late: dict[SavedFile, tuple[int, int]] = {}
        captured.at_end(self._end)
        captured.at_fork(self.rows.forget)

    # -- history ------------------------------------------------------------------------------------------------------

    def log(
        self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, at: int | None = None
    ) -> None:
        """Log values as `wandb.log` does. `at`: the step that the SDK is at, where it counts itself."""
        if not isinstance(data, Mapping):
            return  # the SDK raises
        if at is not None:
            self.rows.move_to(at)
        values = list(values_of(data, self.captured.report))
        numbers = {one.name: one.value for one in values if not isinstance(one.value, Media)}
        row = self.rows.add(numbers, None if step is None else int(step), commit)
        if row is None:
            self.captured.report.miss("wandb.log at a step below the current one, which W&B drops as well")
            return
        for one in values:  # media at once: the script may draw on a figure again before its row is complete
            if isinstance(one.value, Media):
                self.captured.do("log", self.captured.run.log, {one.name: one.value}, row)

    def _write(self, row: dict[str, Any], step: int) -> None:
        self._logged |= row.keys()
        self.captured.metrics("log", row, step)
        for listener in self.listeners:
            listener(row, step)

    def define_metric(self, name: str, step_metric: Any = None, summary: str | None = None) -> None:
        """Define how a metric is shown; of several summaries the first that unitrack knows."""
        step_metric = getattr(step_metric, "name", step_metric)
        wanted = [one.strip().lower() for one in (summary or "").split(",")]
        known = next((one for one in wanted if one in _SUMMARIES), None)
        if step_metric is not None or known is not None:
            self.captured.do(
                "define_metric", self.captured.run.define_metric, name, step_metric=step_metric, summary=known
            )

    # -- config, summary, tags ----------------------------------------------------------------------------------------

    def config(self, config: Mapping[str, Any]) -> None:
        """Log the config as params."""
        self.captured.params("config", {key: value for key, value in config.items() if key != "_wandb"})

    def summary(self, values: Mapping[str, Any]) -> None:
        """Remember values of the summary; the last ones are logged at the end."""
        self._summary.update(values)

    def tags(self, tags: Iterable[str]) -> None:
        """Set tags."""
        if names := list(tags):
            self.captured.do("tags", self.captured.run.set_tags, names)

    def rename(self, name: str) -> None:
        """Set a tag for the name that a run got after its start."""
        self.captured.report.reduce("a change of wandb.run.name", f"the tag {NAME}")
        self.captured.do("name", self.captured.run.set_tags, {NAME: name})

    def alert(self, title: str, text: str = "") -> None:
        """Raise an alert."""
        self.captured.do("alert", self.captured.run.alert, title, text)

    # -- files --------------------------------------------------------------------------------------------------------

    def save(self, files: Iterable[SavedFile], policy: str = "live") -> None:
        """Log files as they are now and, if the policy says so and they have changed by then, at the end."""
        for file in files:
            self._log_file(file)
            if policy in _LATE and file.path.is_file():
                self._late[file] = _state(file.path)

    def _log_file(self, file: SavedFile) -> None:
        self.captured.do("save", self.captured.run.log_artifact, file.path, file.name)

    def artifact(
        self,
        name: str,
        files: Mapping[str, Path],
        references: Mapping[str, str],
        aliases: Iterable[str],
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Log a version of an artifact: its files by their names in it, and addresses of data that stays elsewhere.

        Metadata is counted as not captured.
        """
        if metadata:
            self.captured.report.miss("the metadata of a wandb.Artifact")
        run, wanted = self.captured.run, [alias for alias in aliases if alias != "latest"]
        for uri in references.values():
            self.captured.do("log_artifact", run.log_artifact, name=name, reference=uri, aliases=wanted)
        if len(files) == 1:
            ((inner, path),) = files.items()
            self.captured.do("log_artifact", run.log_artifact, path, inner, name=name, aliases=wanted)
        elif files:
            with tempfile.TemporaryDirectory(prefix="unitrack-") as folder:
                for inner, path in files.items():
                    target = Path(folder, inner)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
                self.captured.do("log_artifact", run.log_artifact, folder, name, name=name, aliases=wanted)

    # -- the end ------------------------------------------------------------------------------------------------------

    def finish(self, exit_code: int | None = None) -> None:
        """End the run."""
        status: EndStatus = "failed" if exit_code else "finished"
        self.captured.finish(status)

    def _end(self) -> None:
        self.rows.flush()
        for file, state in self._late.items():
            if file.path.is_file() and _state(file.path) != state:
                self._log_file(file)
        self._write_summary()

    def _write_summary(self) -> None:
        """Log numbers that no metric is called as points, and everything else as tags."""
        run = self.captured.run
        texts = {}
        for name, value in _leaves(self._summary):
            if is_number(value) and name not in self._logged:
                if self.captured.do("summary", run.summary.update, {name: as_number(value)}):
                    self.captured.points += 1
            else:
                texts[SUMMARY + name] = value
        if texts:
            self.captured.do("summary", run.set_tags, texts)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
