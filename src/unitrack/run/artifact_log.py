"""Named artifacts of a run: versions that it logs, and those that it uses."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from unitrack.config import Settings
from unitrack.errors import InvalidValueError
from unitrack.records import USED, VERSION, Artifact, ArtifactType, ArtifactVersion, Tags, UsedVersion
from unitrack.run.files import FileLog
from unitrack.run.recorder import Recorder
from unitrack.run.staging import artifact_name
from unitrack.system.files import files_below
from unitrack.validation.arguments import as_path, as_text
from unitrack.validation.messages import brief

if TYPE_CHECKING:
    from unitrack.artifacts.finding import FoundArtifact
    from unitrack.artifacts.registry import Registry


class ArtifactLog:
    """Logs versions of named artifacts, and notes which ones the run uses. `Run` documents the methods."""

    def __init__(self, recorder: Recorder, settings: Settings, files: FileLog) -> None:
        self._recorder = recorder
        self._quota = settings.artifacts.quota_bytes
        self._saves_models = settings.artifacts.save_model
        self._files = files

    def log(
        self,
        path: str | os.PathLike[str] | None,
        artifact_path: str | None,
        name: str,
        *,
        aliases: list[str],
        overwrite: bool,
        reference: str | os.PathLike[str] | None,
        checksum: str,
        size: int | None,
    ) -> None:
        """See `Run.log_artifact`."""
        from unitrack.artifacts.names import check_name  # noqa: PLC0415  # only for artifacts with a name

        if artifact_path is not None:
            artifact_path = as_text(artifact_path, "log_artifact: artifact_path")
        version = ArtifactVersion(
            check_name(name),
            aliases=self.checked_aliases(aliases),
            overwrites=overwrite,
            keeps_path=bool(artifact_path),
        )
        if reference is not None:
            if path is not None:
                raise InvalidValueError("log_artifact: give a path, which is stored, or a reference, which is not")
            uri = reference if isinstance(reference, str) else str(as_path(reference, "log_artifact: reference"))
            self._log_reference(version, artifact_path, uri, checksum, size)
            return
        if checksum or size is not None:
            raise InvalidValueError("log_artifact: checksum and size are those of a reference; a path is hashed anyway")
        source = as_path(path, "log_artifact: path")
        inside = artifact_name(source, artifact_path or f"{name}/")
        self.log_file(source, inside, version, "folder" if os.path.isdir(source) else "file")

    def log_file(
        self, source: Path, inside: str, version: ArtifactVersion, kind: ArtifactType, step: int | None = None
    ) -> Artifact:
        """Log a file or folder as a version, under the name `inside` among the run's files; return its record."""
        if os.path.isdir(source) and not any(files_below(source)):
            raise InvalidValueError(f"artifact {version.name!r}: the folder {source} holds no file")
        check_room, annotations = self.require_room, _annotations(version)
        record = self._files.log_copy(source, inside, kind, step, annotations, check_room, of_version=True)
        self._note_pending(record)
        return record

    def log_made(
        self,
        made: Path,
        inside: str,
        version: ArtifactVersion,
        step: int | None = None,
        annotations: dict[str, Any] | None = None,
    ) -> None:
        """Log a model or a checkpoint that was made in the spool as a version."""
        annotations = (annotations or {}) | _annotations(version)
        self._note_pending(self._files.log_made(made, inside, "model", step, annotations, self.require_room))

    def log_model(
        self, model: Any, name: str, *, aliases: list[str] | None, overwrite: bool, input_example: Any
    ) -> None:
        """See `Run.log_model`."""
        if not self._saves_models:
            return
        is_path = isinstance(model, str | os.PathLike)
        if is_path and input_example is not None:
            raise InvalidValueError("log_model: input_example is for a model object, and this is a path")
        if aliases is None:
            if overwrite:
                raise InvalidValueError("log_model: overwrite is for versions: give aliases as well, or aliases=[]")
            self._files.log_model(model, name, input_example)
            return
        from unitrack.artifacts.names import check_name  # noqa: PLC0415  # only for models with versions

        version = ArtifactVersion(check_name(name), aliases=self.checked_aliases(aliases), overwrites=overwrite)
        if is_path:
            source = as_path(model, "log_model: model")
            self.log_file(source, artifact_name(source, f"{name}/"), version, "model")
            return
        if self.has_quota:
            from unitrack.media.models import least_bytes  # noqa: PLC0415  # only with a quota

            self.require_room(least_bytes(model))
        saved, annotations = self._files.save_model(model, input_example)
        self.log_made(saved, f"{name}/{saved.name}", version, annotations=annotations)

    def use(self, artifact: str, project: str | None = None) -> FoundArtifact:
        """See `Run.use_artifact`."""
        from unitrack.artifacts.events import RunRef  # noqa: PLC0415  # only for runs that use artifacts
        from unitrack.artifacts.finding import find_artifact, note_use  # noqa: PLC0415
        from unitrack.artifacts.names import parse_wanted  # noqa: PLC0415

        self._recorder.check_open()
        start = self._recorder.start
        where = "" if project is None else as_text(project, "use_artifact: project")
        found = find_artifact(self.registry, where or start.project, parse_wanted(artifact))
        note_use(
            self.registry,
            found,
            RunRef(start.run_id, start.name, self._recorder.folder.path.name),
            time.time_ns() // 1_000_000,
        )
        used = UsedVersion(found.digest, "" if found.project == start.project else found.project, found.made_by.id)
        tag = f"{USED}{found.name}.{found.version}"
        self._recorder.write(Tags, tags={tag: msgspec.json.encode(used).decode()})
        return found

    @property
    def registry(self) -> Registry:
        """The artifacts under the run's root."""
        from unitrack.artifacts.registry import Registry  # noqa: PLC0415  # only for runs with named artifacts

        return Registry(self._recorder.folder.path.parent)

    @staticmethod
    def checked_aliases(aliases: Iterable[str]) -> tuple[str, ...]:
        """Return aliases without "latest", which the newest has anyway. Raises for one that can't be one."""
        from unitrack.artifacts.names import LATEST, check_alias  # noqa: PLC0415  # only for artifacts with a name

        found = dict.fromkeys(map(check_alias, aliases))
        return tuple(alias for alias in found if alias != LATEST)

    def _log_reference(
        self, version: ArtifactVersion, artifact_path: str | None, uri: str, checksum: str, size: int | None
    ) -> None:
        from unitrack.artifacts.references import make_reference  # noqa: PLC0415  # only for references

        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
            raise InvalidValueError(f"log_artifact: size must be a number of bytes, got {brief(size)}")
        reference = make_reference(uri, checksum, size)
        content = msgspec.json.format(msgspec.json.encode(reference), indent=2) + b"\n"
        version = msgspec.structs.replace(version, reference=reference)
        inside = artifact_path or f"{version.name}/{version.name}.reference.json"
        self._note_pending(self._files.log_bytes(content, inside, "json", None, _annotations(version)))

    def require_room(self, size: int) -> None:
        """Raise `InvalidValueError` if this many bytes, or at least one, would be above the quota."""
        if self._quota is not None:
            from unitrack.artifacts.usage import require_room  # noqa: PLC0415  # only with a quota

            require_room(self.registry, max(1, size), self._quota)

    @property
    def has_quota(self) -> bool:
        """Whether there is one, so that it is worth to know sizes."""
        return self._quota is not None

    def _note_pending(self, record: Artifact) -> None:
        """Leave a note that the version is to be counted; with inline delivery it is counted by now."""
        if self._recorder.pump is None:
            from unitrack.artifacts.settling import note_pending  # noqa: PLC0415  # only for named artifacts

            note_pending(record, self._recorder.folder, self._recorder.start)


def _annotations(version: ArtifactVersion) -> dict[str, Any]:
    return {VERSION: msgspec.to_builtins(version)}
