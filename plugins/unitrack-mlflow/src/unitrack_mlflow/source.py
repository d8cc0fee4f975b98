"""Reading what MLflow holds, also runs that unitrack did not write."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from unitrack.errors import ArtifactStoreError, SinkUnavailableError
from unitrack.hookspecs import Columns, Condition, RunSummary, Source
from unitrack.records import PARENT, AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, RunStatus, Tags
from unitrack_mlflow import limits, long_texts, marks, param_paths, param_text, runs, stores
from unitrack_mlflow.artifact_errors import artifact_trouble
from unitrack_mlflow.artifact_listing import artifacts_of
from unitrack_mlflow.client import connect
from unitrack_mlflow.foreign_models import dataset_tags, fetch_model, models_of
from unitrack_mlflow.histories import columns_of, latest_of, metrics_of
from unitrack_mlflow.names import ARTIFACT, KeyMap, names_of, side_key
from unitrack_mlflow.searching import searchable
from unitrack_mlflow.uploads import restore_names

_STATUS: dict[str, RunStatus] = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}
_REQUEST_TIMEOUT = 60
"""Seconds. A reader waits for one page; nothing trains behind it."""


class MlflowSource(Source):
    """The runs of a tracking URI (`sqlite:///mlflow.db`, `mlruns`, `http://host:5000`). It only reads."""

    def __init__(self, location: str) -> None:
        self._store = stores.describe(location)
        if self._store.path is not None and not self._store.path.exists():
            # MLflow would create an empty store
            raise FileNotFoundError(f"there is no MLflow store at {self._store.shareable}")
        self._client: MlflowClient = connect(self._store, _REQUEST_TIMEOUT)
        self._ids: dict[str, str] = {}
        """Of runs that were asked for: their ids in MLflow."""

    def runs(self) -> Iterator[RunStart]:
        """The active runs of all active experiments."""
        for experiment_id, name in self._experiments():
            for run in self._runs(experiment_id):
                yield self._start(run, name)

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """The records of one run, by its id in MLflow or by that in unitrack: its start, params, tags, points in order
        of time, artifacts, its end.

        Raises `KeyError` if there is no such run, or it was deleted; `ArtifactStoreError`, after everything else, if
        its artifacts can't be listed.
        """
        run = self._active(run_id)
        experiment = self._client.get_experiment(run.info.experiment_id)
        start = self._start(run, experiment.name)
        count = itertools.count(1)
        yield from self._head(run, start, count)
        yield from metrics_of(self._client, run, count)
        trouble: ArtifactStoreError | None = None
        try:
            with artifact_trouble(self._store, run.info.artifact_uri):
                yield from list(artifacts_of(self._client, run, count))
                yield from list(models_of(self._client, run, count))
        except (ArtifactStoreError, SinkUnavailableError) as error:
            trouble = ArtifactStoreError(str(error))
        yield from _end(run, start, count)
        if trouble is not None:
            raise trouble

    def summary(self, run_id: str) -> RunSummary:
        """Return the run without its points, in one request: MLflow keeps the latest point of each metric."""
        run = self._active(run_id)
        return self._summary(run, self._start(run, ""))

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield the active runs of all active experiments, with their summaries: a request for each page of runs."""
        search = searchable(conditions, folds_case=self._store.folds_case)
        for experiment_id, name in self._experiments():
            for run in self._runs(experiment_id, search):
                start = self._start(run, name)
                yield start, self._summary(run, start)

    def _summary(self, run: Run, start: RunStart) -> RunSummary:
        count = itertools.count()
        summary = RunSummary.of((*self._head(run, start, count), *_end(run, start, count)))
        return msgspec.structs.replace(summary, last=latest_of(self._client, run), metrics=None, artifacts=None)

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return the points by metric, as MLflow has them: nothing is read of others. Raises as `records` does."""
        return columns_of(self._client, self._active(run_id), metrics)

    def history(self, run_id: str, metrics: Collection[str]) -> Iterator[Metrics]:
        """Yield the points of these metrics alone: MLflow has a request for each metric. Raises as `records` does."""
        return metrics_of(self._client, self._active(run_id), itertools.count(1), frozenset(metrics))

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Download an artifact that `records` named into `folder`; where it lies then."""
        run = self._active(run_id)
        if artifact.type == "model" and (model := fetch_model(self._client, run, artifact.name, folder)) is not None:
            return model
        tags = run.data.tags
        path = artifact.name
        if marks.RUN_ID in tags:
            keys = KeyMap("artifact", allowed=ARTIFACT, reserved=marks.ARTIFACTS)
            keys.restore((), tags)
            path = keys.key(artifact.name)
        lies = stores.local_path(run.info.artifact_uri)
        if lies is not None and (lies / path).is_dir():  # MLflow can't download a "#" or a "?" in it
            return Path(shutil.copytree(lies / path, folder / path, dirs_exist_ok=True))
        there = Path(self._client.download_artifacts(run.info.run_id, path, str(folder)))
        if marks.RUN_ID in tags and there.is_dir():
            restore_names(there, run)
        return there

    def _head(self, run: Run, start: RunStart, count: Iterator[int]) -> Iterator[AnyRecord]:
        """Yield what a run has besides points, artifacts and an end."""
        yield start
        for params in self._params(run):
            yield Params(seq=next(count), time=start.time, params=params)
        if start.tags:
            yield Tags(seq=next(count), time=start.time, tags=start.tags)

    def _active(self, run_id: str) -> Run:
        run = runs.by_id(self._client, self._ids.get(run_id, run_id))
        if run is None:
            run = runs.find(self._client, self._store, [id_ for id_, _ in self._experiments()], run_id)
        if run is None or run.info.lifecycle_stage != "active":
            raise KeyError(run_id)
        self._ids[run_id] = run.info.run_id
        return run

    def _experiments(self) -> Iterator[tuple[str, str]]:
        token = None
        while True:
            page = self._client.search_experiments(
                max_results=limits.EXPERIMENTS_PER_PAGE, order_by=["experiment_id ASC"], page_token=token
            )
            yield from ((experiment.experiment_id, experiment.name) for experiment in page)
            token = page.token
            if not token:
                return

    def _runs(self, experiment_id: str, search: str = "") -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs(
                [experiment_id],
                filter_string=search,
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=limits.RUNS_PER_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _start(self, run: Run, experiment: str) -> RunStart:
        tags = run.data.tags
        name_of = names_of("tag", tags, is_ours=marks.RUN_ID in tags)
        hidden = (*marks.TAGS, *marks.MLFLOWS)
        user_tags = {
            name_of(key): self._whole(run, text, marks.TAG_FILES)
            for key, text in tags.items()
            if not key.startswith(hidden)
        }
        if marks.RUN_ID not in tags:
            user_tags |= dataset_tags(run)
        if PARENT in user_tags:
            user_tags.pop(marks.PARENT, None)  # the sink wrote both
        elif marks.PARENT in user_tags and marks.RUN_ID not in tags:
            user_tags[PARENT] = user_tags.pop(marks.PARENT)
        return RunStart(
            seq=0,
            time=run.info.start_time or 0,
            run_id=run.info.run_id,
            name=tags.get(marks.NAME) or run.info.run_name or run.info.run_id,
            project=tags.get(marks.PROJECT, experiment),
            description=self._whole(run, tags.get(marks.DESCRIPTION, ""), marks.TAG_FILES),
            tags=user_tags,
            unitrack_id=tags.get(marks.RUN_ID, ""),
        )

    def _params(self, run: Run) -> Iterator[dict[str, Any]]:
        """The params as first logged; then those that were changed, with their newest values."""
        tags = run.data.tags
        is_ours = marks.RUN_ID in tags
        name_of = names_of("param", tags, is_ours=is_ours)
        first: list[tuple[param_paths.Path, Any]] = []
        changed: list[tuple[param_paths.Path, Any]] = []
        for key, text in run.data.params.items():
            name = name_of(key)
            path = param_paths.path_of(name, tags.get(side_key(marks.PATH, key))) if is_ours else (name,)
            first.append((path, self._param(run, text, marks.PARAM_FILES, side_key(marks.TEXT, key))))
            newest = tags.get(side_key(marks.CHANGED, key))
            if newest is not None:
                mark = side_key(marks.TEXT + marks.CHANGED, key)
                changed.append((path, self._param(run, newest, marks.CHANGED_FILES, mark)))
        yield from (param_paths.nest(found) for found in (first, changed) if found)

    def _param(self, run: Run, text: str, folder: str, text_mark: str) -> Any:
        if marks.RUN_ID not in run.data.tags:
            return text  # someone else's text means what it means to them
        if long_texts.file_of(text, folder) is not None:
            return self._whole(run, text, folder)
        return text if run.data.tags.get(text_mark) else param_text.parse(text)

    def _whole(self, run: Run, text: str, folder: str) -> Any:
        """The text, or what was shortened to it."""
        file = long_texts.file_of(text, folder) if marks.RUN_ID in run.data.tags else None
        if file is None:
            return text
        try:
            with tempfile.TemporaryDirectory(prefix="unitrack-mlflow-") as scratch:
                path = self._client.download_artifacts(run.info.run_id, file, scratch)
                return json.loads(Path(path).read_text(encoding="utf-8"))
        except (MlflowException, OSError):
            return text  # deleted since; the shortened text still says so


def _end(run: Run, start: RunStart, count: Iterator[int]) -> Iterator[RunEnd]:
    """Yield the end of a run that has ended."""
    status = _STATUS.get(run.info.status)
    if status == "killed" and run.data.tags.get(marks.STATUS) == "pruned":
        status = "pruned"
    if status is not None:
        yield RunEnd(seq=next(count), time=run.info.end_time or start.time, status=status)
