"""The checkpoint of the sink: how much of a run W&B has, so that a resumed run goes on from exactly there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from unitrack.hookspecs import Checkpoint, convert
from unitrack.records import VERSION, Artifact, ArtifactVersion, RunStart, merge
from unitrack_wandb.names import RECORD, config_key


class SentArtifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An artifact's record without its place in the spool. `files`: run file to size in bytes."""

    name: str
    type: str
    time: int
    step: int | None = None
    files: dict[str, int] = {}
    annotations: dict[str, Any] = {}

    @property
    def version(self) -> ArtifactVersion | None:
        """The version of a named artifact that it is; None if it is none, or is not counted."""
        try:
            found = convert(self.annotations.get(VERSION), ArtifactVersion)
        except msgspec.ValidationError:
            return None
        return found if found.number is not None else None


class Delivered(msgspec.Struct, kw_only=True):
    """The state of one sink. The one mutable thing here: it grows with each batch."""

    rows: int = 0
    folder: str = ""
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}
    artifacts: dict[str, SentArtifact] = {}
    status: str = ""
    """That of the run, where W&B has no word for it."""

    @classmethod
    def restored(cls, checkpoint: Checkpoint | None, start: RunStart) -> Delivered:
        """The state that `checkpoint` holds, or that of a run of which nothing is delivered."""
        if checkpoint is None:
            return cls(tags=dict(start.tags))
        return convert(checkpoint, cls)

    def checkpoint(self) -> Checkpoint:
        """This state as JSON values."""
        values: Checkpoint = msgspec.to_builtins(self)
        return values

    def merge_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Take in nested params; returns the config keys that changed, each with its whole value."""
        self.params = merge(self.params, params)
        return {config_key(name): self.params[name] for name in params}

    def record(self, artifact: Artifact, files: dict[str, int]) -> SentArtifact:
        """Take in an artifact that was saved as `files`."""
        self.artifacts[artifact.name] = sent = SentArtifact(
            name=artifact.name,
            type=artifact.type,
            time=artifact.time,
            step=artifact.step,
            files=files,
            annotations=artifact.annotations,
        )
        return sent

    def files(self) -> dict[str, int]:
        """Return all run files with their sizes in bytes."""
        return {name: size for artifact in self.artifacts.values() for name, size in artifact.files.items()}

    def config(self, start: RunStart) -> dict[str, Any]:
        """The whole config of the W&B run."""
        return {config_key(name): value for name, value in self.params.items()} | self.identity(start)

    def identity(self, start: RunStart) -> dict[str, Any]:
        """The config entry that makes the run readable back exactly."""
        record = {
            "schema": start.schema,
            "run_id": start.run_id,
            "name": start.name,
            "project": start.project,
            "time": start.time,
            "tags": dict(self.tags),
        }
        if self.artifacts:
            record["artifacts"] = msgspec.to_builtins(list(self.artifacts.values()))
        if self.status:
            record["status"] = self.status
        return {RECORD: record}
