"""What a user may set for an MLflow sink."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

import msgspec

from unitrack.hookspecs import SinkOptions
from unitrack_mlflow import stores

_TEMPLATE = re.compile(r"(\{project\}|\{name\}|[^{}/:'\"])+")


class DatasetOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dataset that the run uses, as MLflow describes one. Lengths are MLflow's limits."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    digest: Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
    """What tells one version of it from another: a hash, a version."""
    source: str
    """Where it lies: a URI or a path, kept as it is."""
    source_type: Annotated[str, msgspec.Meta(min_length=1, max_length=36)] = "local"
    """MLflow's word for the kind of place: "local", "http", "s3", "hugging_face"."""
    context: str = "training"
    """What it is used for: "training", "evaluation"."""


class MlflowOptions(SinkOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `sinks=[{"mlflow": {...}}]`.

    Credentials are not among them: MLflow reads `MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD` and
    `MLFLOW_TRACKING_TOKEN` from the environment, so none is ever written down with a run.
    """

    tracking_uri: Annotated[str, msgspec.Meta(min_length=1)] = "sqlite:///mlflow.db"
    """A server (`http://host:5000`), a database (`sqlite:///mlflow.db`), or a folder (`mlruns`)."""
    experiment: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] | None = None
    """The MLflow experiment; the run's project if not set. At most 500 characters, MLflow's limit."""
    artifact_location: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """Where a new experiment keeps artifacts (`s3://bucket/path`, a folder). An existing one keeps its own."""
    run_id: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """An MLflow run to log to, by its id in MLflow, instead of a new one."""
    datasets: tuple[DatasetOption, ...] = ()
    """What the run learns from, shown as its datasets."""
    registered_model: str = "{project}.{name}"
    """What a model with versions is called in MLflow's registry, which all experiments share. With `{name}` alone the
    models of different projects that have one name are versions of one registered model."""
    request_timeout: Annotated[int, msgspec.Meta(ge=1)] = 10
    """Seconds that one request to a server may take. Raise it for large artifacts over a slow link."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a tracking URI of a kind that MLflow does not have, and for names it can't take."""
        stores.check_uri(self.tracking_uri)
        if "{name}" not in self.registered_model or not _TEMPLATE.fullmatch(self.registered_model):
            raise ValueError(
                f"registered_model {self.registered_model!r} must hold {{name}}, may hold {{project}}, and no other "
                "braces, '/', ':' or quotes"
            )

    @classmethod
    def at(cls, place: str) -> Self:
        """Options with `place` as the tracking URI."""
        return cls(tracking_uri=place)

    def store(self) -> str:
        """The tracking URI: runs of all experiments of it take turns."""
        return stores.describe(self.tracking_uri).uri

    def is_shared(self) -> bool:
        """Whether it is a server or a database server."""
        store = stores.describe(self.tracking_uri)
        return store.is_server or (store.is_database and store.path is None)

    def anchored(self, directory: Path) -> Self:
        """Relative paths made absolute from `directory`, in `tracking_uri` and in `artifact_location`."""
        location = self.artifact_location
        return msgspec.structs.replace(
            self,
            tracking_uri=stores.anchor(self.tracking_uri, directory),
            artifact_location=location and stores.anchor_folder(location, directory),
        )
