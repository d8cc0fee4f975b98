"""What the calls of an MLflow run become: the same for the real SDK and for the drop-in module."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from unitrack.capture.captured_run import CapturedRun
from unitrack.capture.session import session
from unitrack.records import EndStatus

SDK = "mlflow"
_STATUSES: dict[str, EndStatus] = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}
_OWN_TAGS = "mlflow."
"""The beginning of MLflow's own tags; those that matter are the run's name and relations."""
_REMEMBERED = 10_000
"""Points of a run by which those that MLflow sends again are known: far more than one step has. About 2 MB."""
_recent: dict[str, dict[tuple[str, int, str], None]] = {}
"""By the id of our run."""
NAME, PARENT, NOTE = "mlflow.runName", "mlflow.parentRunId", "mlflow.note.content"


class Point(NamedTuple):
    """A point as MLflow is given it."""

    name: str
    value: Any
    step: Any
    of_model: bool = False
    """Whether it names a model as well: MLflow sends points that a run has again, for each model of it."""


class MlflowCalls:
    """Forwards the calls of one MLflow run."""

    def __init__(self, captured: CapturedRun) -> None:
        self.captured = captured

    def metrics(self, points: Iterable[Point]) -> None:
        """Log points, those of one step together."""
        by_step: dict[int, dict[str, Any]] = {}
        for point in points:
            if self._is_again(point):
                continue
            name, value, step = point.name, point.value, point.step
            row = by_step.setdefault(int(step or 0), {})
            if name in row:  # twice in one call: both are kept, as MLflow keeps them
                self.captured.metrics("log_metrics", {name: value}, int(step or 0))
            else:
                row[name] = value
        for step, row in by_step.items():
            self.captured.metrics("log_metrics", row, step)

    def _is_again(self, point: Point) -> bool:
        """Return whether a point was sent for another model before."""
        recent = _recent.setdefault(self.captured.run.id, {})
        seen = (point.name, int(point.step or 0), str(point.value))
        if point.of_model and seen in recent:
            return True
        recent[seen] = None
        if len(recent) > _REMEMBERED:
            del recent[next(iter(recent))]
        return False

    def params(self, params: Mapping[str, Any]) -> None:
        """Log params. MLflow takes text; one that is a number or a boolean as Python writes it becomes that again."""
        self.captured.params("log_params", {name: as_value(value) for name, value in params.items()})

    def tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags, without those of MLflow's own."""
        own = {name: value for name, value in tags.items() if not str(name).startswith(_OWN_TAGS)}
        if own:
            self.captured.do("set_tags", self.captured.run.set_tags, own)

    def file(self, path: str | os.PathLike[str], folder: str | None = None) -> None:
        """Log a file or a folder below a folder."""
        if os.path.isdir(path):
            name = os.path.basename(os.path.normpath(path))
            self.files(path, f"{folder}/{name}" if folder else name)
            return
        name = os.path.basename(path)
        whole = f"{folder}/{name}" if folder else name
        self.captured.do("log_artifact", self.captured.run.log_artifact, path, whole)

    def files(self, folder: str | os.PathLike[str], inside: str | None = None) -> None:
        """Log each file of a folder below a folder."""
        self.captured.do("log_artifacts", self.captured.run.log_artifacts, folder, inside)

    def dataset(self, record: Mapping[str, Any], name: str) -> None:
        """Log the record of a dataset as JSON."""
        session.report.reduce("mlflow.log_input", "a JSON file that describes the dataset")
        self.captured.do("log_input", self.captured.run.log_dict, dict(record), f"inputs/{name}.json")

    def finish(self, status: str) -> None:
        """End the run with one of MLflow's statuses; SCHEDULED and RUNNING are none."""
        if status in _STATUSES:
            self.captured.finish(_STATUSES[status])


def open_run(key: str, name: str | None, experiment: str | None, tags: Mapping[str, str]) -> MlflowCalls | None:
    """Return what forwards the calls of a run that begins, or goes on. `key`: MLflow's id of it."""
    parent = session.find(SDK, tags[PARENT]) if PARENT in tags else None
    captured = session.open(
        SDK,
        key,
        f"mlflow-{key}",
        name=name or tags.get(NAME),
        project=experiment if experiment != "Default" else None,
        description=tags.get(NOTE),
        tags={tag: value for tag, value in tags.items() if not tag.startswith(_OWN_TAGS)},
        parent=None if parent is None else parent.run.id,
    )
    return None if captured is None else MlflowCalls(captured)


def as_value(text: Any) -> Any:
    """Return the number or boolean that a text is exactly, as Python writes it; else the value as it is."""
    if not isinstance(text, str):
        return text
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text and text not in ("nan", "inf", "-inf"):
            return value
    return text
