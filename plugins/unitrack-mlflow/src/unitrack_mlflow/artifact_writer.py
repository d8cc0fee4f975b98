"""Artifacts of one run on their way to MLflow: the file under its own name, and what MLflow's own views need beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Run

from unitrack.errors import ArtifactStoreError
from unitrack.hookspecs import decode
from unitrack.records import Artifact, ArtifactVersion, Dataset
from unitrack_mlflow import (
    datasets,
    image_views,
    limits,
    logged_models,
    logged_tables,
    marks,
    registered_models,
)
from unitrack_mlflow.artifact_errors import ask_for_artifacts
from unitrack_mlflow.artifact_index import ArtifactIndex, Entry
from unitrack_mlflow.errors import ask
from unitrack_mlflow.model_flavors import flavor_of
from unitrack_mlflow.stores import Store
from unitrack_mlflow.uploads import upload

_Answer = TypeVar("_Answer")


class Upload(NamedTuple):
    """An artifact, the file or folder that holds it, and its path in MLflow."""

    artifact: Artifact
    staged: Path
    path: str


class ArtifactWriter:
    """Writes artifacts of `run`, small ones in parallel. Writing one again changes nothing.

    Each request is made again in place while the store is unavailable. What is wrong with the place for files raises
    `ArtifactStoreError`.
    """

    def __init__(self, client: MlflowClient, run: Run, store: Store, registered_name: Callable[[str], str]) -> None:
        """`registered_name` returns what a named artifact is called in MLflow's registry of models."""
        self._registered_name = registered_name
        self._client = client
        self._run = run
        self._run_id: str = run.info.run_id
        self._store = store
        self._index = ArtifactIndex(client, run)
        self._saved = {tag: run.data.tags.get(tag) for tag in (marks.TABLES, marks.IMAGES)}
        self._tags = dict(self._saved)

    def write(self, uploads: Sequence[Upload]) -> dict[str, str]:
        """Upload all; return the tags to set then, until they are `saved`. Of two with one path the later one stays.

        Raises `FileNotFoundError` if a file is gone, after all the others are uploaded.
        """
        for group in _without_equal_paths(uploads):
            self._upload(group)
        for one in uploads:
            self._add_views(one)
        return {tag: text for tag, text in self._tags.items() if text is not None and text != self._saved[tag]}

    def saved(self, tags: Mapping[str, str]) -> None:
        """MLflow has these tags."""
        self._saved |= {tag: text for tag, text in tags.items() if tag in self._saved}

    def _upload(self, group: Sequence[Upload]) -> None:
        if len(group) == 1:
            self._put(group[0])
            return
        with ThreadPoolExecutor(limits.UPLOADS_AT_ONCE, thread_name_prefix="unitrack-mlflow-upload") as pool:
            running = [pool.submit(self._put, one) for one in group]
        for one in running:
            one.result()  # the first error, once all have ended

    def _put(self, one: Upload) -> None:
        self._ask(lambda: upload(self._client, self._run, one.staged, one.path))

    def _ask(self, request: Callable[[], _Answer]) -> _Answer:
        return ask_for_artifacts(self._store, self._run.info.artifact_uri, request)

    def _add_views(self, one: Upload) -> None:
        artifact, staged, path = one
        views: tuple[str, ...] = ()
        if artifact.type == "image":
            views = self._ask(lambda: image_views.upload(self._client, self._run_id, artifact, staged))
            if views:
                self._tags[marks.IMAGES] = "True"
        elif artifact.type in logged_tables.TYPES and logged_tables.suits(path):
            self._tags[marks.TABLES] = logged_tables.with_path(self._tags[marks.TABLES], path)
        elif artifact.type == "dataset":
            self._log_input(staged)
        elif artifact.type == "model" and (flavor := flavor_of(staged)) is not None:
            model = self._ask(lambda: logged_models.register(self._client, self._run, artifact, staged, flavor))
            views, version = model.paths, artifact.version
            if version is not None and version.number is not None and model.id and flavor.name is not None:
                self._ask(lambda: self._register(version, model.id, artifact.time))
        entry = Entry(
            type=artifact.type,
            step=artifact.step,
            time=artifact.time,
            size=artifact.size,
            annotations=artifact.annotations,
            views=views,
        )
        self._ask(lambda: self._index.add(path, entry))

    def _log_input(self, staged: Path) -> None:
        """Have a dataset among the run's inputs; a file that does not describe one stays a file."""
        try:
            dataset = decode(staged.read_bytes(), Dataset)
        except (OSError, ValueError):
            return
        ask(self._store, lambda: datasets.log_record(self._client, self._run_id, dataset))

    def _register(self, version: ArtifactVersion, model_id: str, time: int) -> None:
        name, is_server = self._registered_name(version.name), self._store.is_server
        registered_models.register(self._client, name, version, model_id, self._run_id, time=time, on_server=is_server)

    def flush(self) -> None:
        """Write the index."""
        with suppress(ArtifactStoreError):  # the artifacts in it come again, as they wait, and the index with them
            self._ask(self._index.save)


def _without_equal_paths(uploads: Sequence[Upload]) -> Iterator[list[Upload]]:
    """Cut into stretches in which no path comes twice."""
    group: dict[str, Upload] = {}
    for one in uploads:
        if one.path in group:
            yield list(group.values())
            group = {}
        group[one.path] = one
    if group:
        yield list(group.values())
