"""Artifacts of one run on their way to MLflow: the file under its own name, and what MLflow's own views need beside."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from unitrack.records import Artifact
from unitrack_mlflow import image_views, logged_models, logged_tables, marks
from unitrack_mlflow.artifact_index import ArtifactIndex, Entry
from unitrack_mlflow.model_flavors import flavor_of
from unitrack_mlflow.uploads import upload


class ArtifactWriter:
    """Writes artifacts of `run`. Writing one again changes nothing."""

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self._client = client
        self._run = run
        self._run_id: str = run.info.run_id
        self._index = ArtifactIndex(client, run)
        self._tags = {tag: run.data.tags.get(tag) for tag in (marks.TABLES, marks.IMAGES)}

    def write(self, artifact: Artifact, staged: Path, path: str) -> dict[str, str]:
        """Upload the file or folder `staged` as `path`; the tags to set then.

        Raises `FileNotFoundError` if it is gone.
        """
        upload(self._client, self._run, staged, path)
        views: tuple[str, ...] = ()
        tags: dict[str, str] = {}
        if artifact.type == "image":
            views = image_views.upload(self._client, self._run_id, artifact, staged)
            if views:
                tags[marks.IMAGES] = "True"
        elif artifact.type == "table" and logged_tables.suits(path):
            tags[marks.TABLES] = logged_tables.with_path(self._tags[marks.TABLES], path)
        elif artifact.type == "model" and (flavor := flavor_of(staged)) is not None:
            views = logged_models.register(self._client, self._run, artifact, staged, flavor)
        self._index.add(
            path,
            Entry(type=artifact.type, step=artifact.step, time=artifact.time, size=artifact.size, views=views),
        )
        new = {tag: text for tag, text in tags.items() if self._tags[tag] != text}
        self._tags |= new
        return new

    def flush(self) -> None:
        """Write the index."""
        self._index.save()
