"""Delivering one run to MLflow.

Every write can be repeated: points are keyed by their time and step, params and tags by name, artifacts by path, and
the run itself by a tag that holds its id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from unitrack import hookimpl
from unitrack.errors import ArtifactStoreError, RecordRejectedError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import Checkpoint, Link, RunContext
from unitrack.names import shorten
from unitrack.records import USED, Artifact, Metrics, Params, RunStart, RunStatus, Tags, later_alias
from unitrack_mlflow import (
    datasets,
    limits,
    long_texts,
    marks,
    param_paths,
    param_text,
    registered_models,
    runs,
    stores,
    used_versions,
)
from unitrack_mlflow.artifact_errors import ask_for_artifacts
from unitrack_mlflow.artifact_writer import ArtifactWriter, Upload
from unitrack_mlflow.batches import chunks
from unitrack_mlflow.client import connect
from unitrack_mlflow.errors import ask, translated
from unitrack_mlflow.long_texts import Fitted
from unitrack_mlflow.names import ARTIFACT, KeyMap, side_key
from unitrack_mlflow.options import MlflowOptions
from unitrack_mlflow.points import AppendedPoints

_Answer = TypeVar("_Answer")
_DEFAULT = "Default"
"""MLflow's own name for the experiment of runs that name none."""
_STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "killed": "KILLED", "pruned": "KILLED"}


class MlflowSink:
    """One run in MLflow. See `unitrack.hookspecs.SinkSpec` for when each method is called."""

    def __init__(self, options: MlflowOptions) -> None:
        self._options = options
        self._store = stores.describe(options.tracking_uri)
        self._client: MlflowClient

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Find the run by its id or its tag, else create it, and take up what it holds already."""
        with self._opening():
            self._client = connect(self._store, self._options.request_timeout)
            self._context = run
            self._reset()
            found = self._find(checkpoint) or self._find_or_create(run.start)
            runs.require_active(found, self._store)
            self._take_up(found, checkpoint or {})
            if found.info.status != "RUNNING":
                self._ask(lambda: self._client.update_run(self._run_id, status="RUNNING"))
        return Link(
            id=self._run_id,
            location=self._store.shareable,
            url=self._store.run_page(found.info.experiment_id, self._run_id),
            open_with=self._store.command,
        )

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Params by dotted name. One that MLflow has with another value keeps it; a tag gets the newest."""
        with self._writing():
            new: dict[str, str] = {}
            tags: dict[str, str] = {}
            for record in params:
                for path, value in param_paths.leaves(record.params):
                    self._place_param(path, value, new, tags)
            self._write_tags(self._params.unsaved() | tags)
            items = [Param(key, text) for key, text in new.items()]
            for chunk in chunks(items, limits.PARAMS_PER_BATCH, lambda param: param.key + param.value):
                self._write_batch(params=chunk)
            self._param_texts.update(new)

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Points at their own time and step; NaN as it is, infinity in a metric beside (`marks.INFINITY`)."""
        with self._writing(), self._appending():
            key_of = self._metrics.key
            points: list[Metric] = []
            for record in metrics:
                time, step = record.time, record.step
                points += [Metric(key_of(name), value, time, step) for name, value in record.metrics.items()]
                if record.special:
                    points += self._special_points(record)
            self._write_tags(self._metrics.unsaved())
            for chunk in chunks(points, limits.METRICS_PER_BATCH, lambda point: point.key):
                self._write_points(chunk)

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Tags, the last value of each. One that tells of an alias changes it in the registry of models as well."""
        with self._writing():
            values = {name: value for record in tags for name, value in record.tags.items()}
            self._write_tags(self._placed_tags(values))
            for record in tags:
                for tag, text in record.tags.items():
                    if (change := later_alias(tag, text)) is not None:
                        self._change_alias(*change, record.time)

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Files and folders, replacing those of the same name."""
        with self._writing():
            uploads = [Upload(one, self._context.locate(one), self._artifacts.key(one.name)) for one in artifacts]
            self._write_tags(self._artifacts.unsaved())
            self._write_tags(self._files.write(uploads))

    @hookimpl
    def flush(self) -> Checkpoint:
        """Write the index of artifacts. MLflow has stored everything else when the call that sent it returned."""
        with self._writing():
            self._files.flush()
        checkpoint: Checkpoint = {"run_id": self._run_id}
        if self._appended is not None:
            checkpoint["points"] = self._appended.counts()
        return checkpoint

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """The run's status and end time. It is asked for again, since MLflow takes any 200 for a yes."""
        with self._writing():
            if status == "pruned" or self._has_status:  # MLflow has no word for it
                self._write_tags({marks.STATUS: status})
            self._ask(lambda: self._client.set_terminated(self._run_id, _STATUS[status], time))
            found = self._ask(lambda: self._client.get_run(self._run_id))
            runs.require_active(found, self._store)
            self._show_used(found)
            self._show_below_parent()

    @hookimpl
    def close(self) -> None:
        """Do nothing: MLflow shares its connections among the runs of a process."""

    def _reset(self) -> None:
        folds, nests = self._store.folds_case, self._store.is_folder
        self._metrics = KeyMap("metric", reserved=(marks.INFINITY,), folds_case=folds, nests=nests)
        self._params = KeyMap("param", folds_case=folds, nests=nests)
        self._tags = KeyMap("tag", reserved=marks.TAGS, folds_case=folds, nests=nests)
        self._artifacts = KeyMap("artifact", allowed=ARTIFACT, reserved=marks.ARTIFACTS)
        self._param_texts: dict[str, str] = {}
        self._changed: set[str] = set()
        self._text_marks: set[str] = set()
        self._has_infinity = False
        self._appended: AppendedPoints | None = None

    def _find(self, checkpoint: Checkpoint | None) -> Run | None:
        return self._ask(lambda: runs.by_id(self._client, checkpoint["run_id"])) if checkpoint else None

    def _find_or_create(self, start: RunStart) -> Run:
        if (wanted := self._options.run_id) is not None:
            found = self._ask(lambda: runs.by_id(self._client, wanted))
            return runs.require_free(found, wanted, start.run_id, self._store)
        name, location = self._options.experiment or start.project or _DEFAULT, self._options.artifact_location
        experiment = runs.experiment_id(self._client, self._store, name, location)

        def find_or_create() -> Run:
            # to create is no request to repeat: the run may be there though the answer was lost
            found = runs.find(self._client, self._store, [experiment], start.run_id)
            return found or self._create(experiment, start)

        return self._ask(find_or_create)

    def _create(self, experiment: str, start: RunStart) -> Run:
        shown = _shown_name(start)
        tags = {marks.RUN_ID: start.run_id, marks.PROJECT: start.project}
        if shown != start.name:
            tags[marks.NAME] = start.name
        return self._client.create_run(experiment, start.time, tags=tags, run_name=shown)

    def _rename(self, run: Run) -> None:
        """Give the run the name and the description that it has by now, unless it is a run that MLflow named."""
        start, tags = self._context.start, run.data.tags
        if self._options.run_id is None and start.name != tags.get(marks.NAME, run.info.run_name):
            shown = _shown_name(start)
            if marks.NAME in tags or shown != start.name:
                self._write_tags({marks.NAME: start.name})
            self._ask(lambda: self._client.update_run(self._run_id, name=shown))
        if start.description or marks.DESCRIPTION in tags:
            placed = self._placed_tags({marks.DESCRIPTION: start.description})
            self._write_tags({key: text for key, text in placed.items() if tags.get(key) != text})

    def _take_up(self, run: Run, checkpoint: Checkpoint) -> None:
        data = run.data
        self._run_id: str = run.info.run_id
        self._artifact_uri: str = run.info.artifact_uri
        self._experiment: str = run.info.experiment_id
        self._has_parent = marks.PARENT in data.tags
        self._has_status = marks.STATUS in data.tags
        self._metrics.restore(data.metrics, data.tags, ("", marks.INFINITY))
        self._params.restore(data.params, data.tags)
        self._tags.restore((key for key in data.tags if not key.startswith(marks.TAGS)), data.tags)
        self._artifacts.restore((), data.tags)
        self._param_texts = dict(data.params)
        self._changed = {key for key in data.tags if key.startswith(marks.CHANGED)}
        self._text_marks = {key for key in data.tags if key.startswith(marks.TEXT)}
        self._has_infinity = marks.INFINITE in data.tags
        self._files = ArtifactWriter(self._client, run, self._store, self._registered_name)
        if self._store.is_folder:
            self._appended = AppendedPoints(self._client, run, checkpoint.get("points", {}))
        if not checkpoint:
            # before anything was committed, so no later value of a tag can be undone
            start = self._context.start
            identity = {marks.RUN_ID: start.run_id, marks.PROJECT: start.project} if self._options.run_id else {}
            self._write_tags(identity | self._placed_tags(start.tags))
            self._show_below_parent()
            self._ask(lambda: datasets.log(self._client, self._run_id, self._options.datasets))
        self._rename(run)

    def _show_below_parent(self) -> None:
        """Tell MLflow the parent, by its id there. One that is not there yet is looked for again at the run's end."""
        wanted = self._context.start.parent
        if wanted is None or self._has_parent:
            return
        found = self._ask(lambda: runs.by_id(self._client, wanted))
        found = found or self._ask(lambda: runs.find(self._client, self._store, [self._experiment], wanted))
        if found is not None:
            self._write_tags({marks.PARENT: found.info.run_id})
            self._has_parent = True

    def _place_param(self, path: param_paths.Path, value: object, new: dict[str, str], tags: dict[str, str]) -> None:
        """Put a param where it belongs: among the `new` ones, or in `tags` if MLflow holds another value of it."""
        name = ".".join(path)
        key = self._params.key(name)
        whole = param_text.text_of(value)
        fitted = long_texts.fit(whole, value, limits.PARAM_LENGTH, marks.PARAM_FILES, name)
        first = new.get(key, self._param_texts.get(key))
        if first is None:
            new[key] = self._stored(fitted)
            self._mark_text(value, side_key(marks.TEXT, key), tags)
            if literal := param_paths.tag_of(path):
                tags[side_key(marks.PATH, key)] = literal
            return
        tag = side_key(marks.CHANGED, key)
        if fitted.text == first and tag not in self._changed:
            return
        tags[tag] = self._stored(long_texts.fit(whole, value, limits.TAG_LENGTH, marks.CHANGED_FILES, name))
        self._changed.add(tag)
        self._mark_text(value, side_key(marks.TEXT + marks.CHANGED, key), tags)

    def _mark_text(self, value: object, tag: str, tags: dict[str, str]) -> None:
        is_text = param_text.reads_as_other(value)
        if is_text or tag in self._text_marks:
            tags[tag] = "str" if is_text else ""
            self._text_marks.add(tag)

    def _special_points(self, record: Metrics) -> list[Metric]:
        points = []
        for name, text in record.special.items():
            value = float(text)
            if math.isnan(value):
                points.append(Metric(self._metrics.key(name), value, record.time, record.step))
                continue
            key = self._metrics.key(name, marks.INFINITY)
            points.append(Metric(key, math.copysign(1.0, value), record.time, record.step))
            if not self._has_infinity:
                self._write_tags({marks.INFINITE: marks.INFINITY_NOTE})
                self._has_infinity = True
        return points

    def _write_points(self, points: Sequence[Metric]) -> None:
        if self._appended is None:
            self._write_batch(metrics=points)
            return
        points = self._appended.missing(points)
        with translated(self._store):  # once: some of the points may be in the files when it fails
            self._client.log_batch(self._run_id, metrics=points, synchronous=True)
        self._appended.added(points)

    def _write_batch(
        self, metrics: Sequence[Metric] = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = ()
    ) -> None:
        self._ask(lambda: self._client.log_batch(self._run_id, metrics, params, tags, synchronous=True))

    def _registered_name(self, artifact: str) -> str:
        project = self._options.experiment or self._context.start.project or _DEFAULT
        return registered_models.registered_name(self._options.registered_model, project, artifact)

    def _change_alias(self, artifact: str, alias: str, label: str, has_it: bool, time: int) -> None:
        client, name = self._client, self._registered_name(artifact)
        if has_it:
            self._ask(lambda: registered_models.move_alias(client, name, label, alias, time))
        else:
            self._ask(lambda: registered_models.remove_alias(client, name, label, alias))

    def _show_used(self, run: Run) -> None:
        """Have the versions that the run has used, as its tags tell, among MLflow's inputs of it."""
        for tag, text in run.data.tags.items():
            if tag.startswith(USED):
                self._ask(partial(used_versions.log, self._client, run, self._context, tag, text))

    def _ask(self, request: Callable[[], _Answer]) -> _Answer:
        return ask(self._store, request)

    def _placed_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        placed = {}
        for name, value in tags.items():
            key = self._tags.key(name)
            placed[key] = self._stored(long_texts.fit(value, value, limits.TAG_LENGTH, marks.TAG_FILES, name))
        return self._tags.unsaved() | placed

    def _stored(self, fitted: Fitted) -> str:
        """The text as it fits, after its whole has been stored if it does not."""
        if fitted.file is not None:
            content, file = fitted.content, fitted.file

            def store() -> None:
                self._client.log_text(self._run_id, content, file)

            with suppress(ArtifactStoreError):  # the marked text says that there is more; local files have it
                ask_for_artifacts(self._store, self._artifact_uri, store)
        return fitted.text

    def _write_tags(self, tags: Mapping[str, str]) -> None:
        items = [RunTag(key, text) for key, text in tags.items()]
        for chunk in chunks(items, limits.TAGS_PER_BATCH, lambda tag: tag.key + tag.value):
            self._write_batch(tags=chunk)
        for names_of_a_kind in (self._metrics, self._params, self._tags, self._artifacts):
            names_of_a_kind.saved(tags)
        self._files.saved(tags)

    @contextmanager
    def _appending(self) -> Iterator[None]:
        """Have the sink opened again after a failure where points would be appended twice; that looks what is there."""
        try:
            with translated(self._store):
                yield
        except SinkUnavailableError as error:
            error.reopen = self._appended is not None
            raise

    @contextmanager
    def _opening(self) -> Iterator[None]:
        """Translate failures; what MLflow refuses here is a setting, no record."""
        try:
            with translated(self._store), runs.one_at_a_time(self._store):
                yield
        except RecordRejectedError as error:
            raise SinkMisconfiguredError(str(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Translate failures; MLflow refuses a deleted run's data with the same code as bad data."""
        try:
            with translated(self._store):
                yield
        except RecordRejectedError:
            try:
                runs.require_active(self._ask(lambda: self._client.get_run(self._run_id)), self._store)
            except RecordRejectedError as error:  # a question, too: so it is not for what the record holds
                raise SinkMisconfiguredError(str(error)) from error
            raise


def _shown_name(start: RunStart) -> str:
    return shorten(start.name or start.run_id, limits.KEY_LENGTH)
