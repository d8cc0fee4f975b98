"""Logging files and media: a copy goes into the spool, a record of it into the journal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec

from unitrack.config import Settings
from unitrack.environment.code import SOURCES
from unitrack.errors import ArtifactNotFoundError, InvalidTypeError, InvalidValueError, UnitrackError, warn_caller
from unitrack.media import with_suffix
from unitrack.records import Artifact, ArtifactType
from unitrack.run.rank_names import RankNames
from unitrack.run.recorder import Recorder
from unitrack.run.staging import Stage, artifact_name, with_step
from unitrack.system.members import walk_members
from unitrack.validation import ValidationChain, check_artifact_name, check_step
from unitrack.validation.arguments import as_names, as_path, as_text
from unitrack.validation.artifacts import MAX_FILE_NAME_BYTES, check_size, is_member_path
from unitrack.validation.messages import brief
from unitrack.values.plain import plain_text, to_plain

_ANY_FOLDER = "."
"""The name that the folder of `log_artifacts` has in checks: its own name is not logged."""
_MAX_SHOWN = 10
"""How many files a warning names, so that it stays readable."""


class FileLog:
    """Logs files, and media as files. The methods of the same names in `Run` document the arguments and errors."""

    def __init__(self, recorder: Recorder, settings: Settings, validation: ValidationChain, names: RankNames) -> None:
        self._recorder = recorder
        self._artifacts = settings.artifacts
        self._validation = validation
        self._names = names
        self._stage = Stage(recorder.folder, validation.stores)

    def log_artifact(self, path: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """See `Run.log_artifact`."""
        source = as_path(path, "log_artifact: path")
        self.log_copy(source, artifact_name(source, artifact_path), "folder" if os.path.isdir(source) else "file")

    def log_artifacts(self, folder: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """See `Run.log_artifacts`."""
        base = as_path(folder, "log_artifacts: folder")
        if artifact_path is not None:
            artifact_path = as_text(artifact_path, "log_artifacts: artifact_path")
        self._validation.artifact(base, artifact_path or _ANY_FOLDER)
        if not base.is_dir():
            raise InvalidValueError(f"log_artifacts takes a folder, {base} is a file; use log_artifact")
        self._check_not_itself(base)
        prefix = f"{artifact_path.rstrip('/')}/" if artifact_path else ""
        left_out = []
        for path in walk_members(base, self._validation.stores):
            if not os.path.isfile(path):
                continue
            inside = path.relative_to(base)
            try:
                name = check_artifact_name(prefix + inside.as_posix())
            except InvalidValueError:
                left_out.append(inside)
                continue
            self.log_copy(path, name, "file")
        _warn_of_left_out(base, left_out)

    def log_code(
        self,
        root: str | os.PathLike[str] = ".",
        name: str = "code",
        *,
        include: Sequence[str] = SOURCES,
        exclude: Sequence[str] = (),
    ) -> None:
        """See `Run.log_code`."""
        from unitrack.environment.code import source_files

        base = as_path(root, "log_code: root")
        if not os.path.isdir(base):
            raise ArtifactNotFoundError(f"log_code: there is no folder {base} (looked from {Path.cwd()})")
        self._recorder.check_open()
        check_artifact_name(name)
        include, exclude = as_names(include, "log_code: include"), as_names(exclude, "log_code: exclude")
        found = source_files(base, include, exclude, self._validation.stores)
        files = {inside: path for inside, path in found.items() if is_member_path(PurePosixPath(inside))}
        if not files:
            raise ArtifactNotFoundError(f"log_code: no file below {base.resolve()} matches {', '.join(include)}")
        size = sum(path.stat().st_size for path in files.values())
        check_size(f"log_code of {base.resolve()}", size, self._validation.limits.max_artifact_bytes)
        self.log_made(self._stage.gather(self._recorder.open().writer, name, files), name, "code")
        _warn_of_left_out(base, [Path(inside) for inside in found if inside not in files])

    def log_text(self, text: str, name: str) -> None:
        """See `Run.log_text`."""
        if not isinstance(text, str):
            raise InvalidTypeError(f"log_text takes a string, got {type(text).__name__}; use log_dict for nested data")
        self.log_bytes(plain_text(self._validation.redacted(text)).encode(), name, "text")

    def log_dict(self, content: Any, name: str) -> None:
        """See `Run.log_dict`."""
        check_artifact_name(name)
        try:
            plain = self._validation.redacted(to_plain(content))
        except RecursionError:
            raise InvalidValueError(f"log_dict {name!r}: nested too deeply, or contains itself") from None
        if name.endswith((".yaml", ".yml")):
            import yaml

            self.log_bytes(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode(), name, "text")
        else:
            self.log_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n", name, "json")

    def log_dataset(self, dataset: dict[str, Any], name: str) -> None:
        """Log the record of a dataset as JSON."""
        content = msgspec.json.encode(self._validation.redacted(dataset))
        self.log_bytes(msgspec.json.format(content, indent=2) + b"\n", name, "dataset")

    def log_figure(self, figure: Any, name: str, step: int | None = None) -> None:
        """See `Run.log_figure`."""
        if not self._artifacts.save_plots:
            return
        from unitrack.media.figures import figure_bytes

        name = with_suffix(check_artifact_name(name), "figure", ".png" if hasattr(figure, "savefig") else ".html")
        self.log_bytes(figure_bytes(figure, name), name, "figure", step)

    def log_image(
        self,
        image: Any,
        name: str,
        step: int | None = None,
        *,
        caption: str | None = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
    ) -> None:
        """See `Run.log_image`."""
        if not self._artifacts.save_plots:
            return
        from unitrack.media.annotations import annotate

        name = check_artifact_name(name)
        annotations = annotate(name, caption, boxes, masks)
        if self._log_file_of(image, name, "image", step, annotations):
            return
        from unitrack.media.images import image_bytes

        name = with_suffix(name, "image", ".png")
        self.log_bytes(image_bytes(image, name), name, "image", step, annotations)

    def log_histogram(self, values: Any, name: str, step: int | None = None, *, bins: int = 64) -> None:
        """See `Run.log_histogram`."""
        from unitrack.media.histograms import histogram_bytes

        name = check_artifact_name(name)
        data = histogram_bytes(values, name, bins)
        self.log_bytes(data, with_suffix(name, "histogram", ".json"), "histogram", step)

    def log_table(
        self, table: Any, name: str, step: int | None = None, *, columns: Sequence[str] | None = None
    ) -> None:
        """See `Run.log_table`."""
        from unitrack.media.tables import table_bytes

        name = check_artifact_name(name)
        data = table_bytes(table, name, columns, self._validation.redacted)
        self.log_bytes(data, with_suffix(name, "table", ".json"), "table", step)

    def log_audio(
        self,
        sound: Any,
        name: str,
        step: int | None = None,
        *,
        sample_rate: int = 44_100,
        caption: str | None = None,
    ) -> None:
        """See `Run.log_audio`."""
        from unitrack.media.annotations import annotate

        name = check_artifact_name(name)
        annotations = annotate(name, caption)
        if self._log_file_of(sound, name, "audio", step, annotations):
            return
        from unitrack.media.audio import audio_bytes

        data = audio_bytes(sound, name, sample_rate)
        self.log_bytes(data, with_suffix(name, "audio", ".wav"), "audio", step, annotations)

    def log_video(
        self, video: Any, name: str, step: int | None = None, *, fps: float = 10.0, caption: str | None = None
    ) -> None:
        """See `Run.log_video`."""
        from unitrack.media.annotations import annotate

        name = check_artifact_name(name)
        annotations = annotate(name, caption)
        if self._log_file_of(video, name, "video", step, annotations):
            return
        from unitrack.media.video import video_bytes

        data = video_bytes(video, name, fps)
        self.log_bytes(data, with_suffix(name, "video", ".gif"), "video", step, annotations)

    def log_html(self, html: str | os.PathLike[str], name: str, step: int | None = None) -> None:
        """See `Run.log_html`."""
        name = with_suffix(check_artifact_name(name), "html", ".html")
        if isinstance(html, os.PathLike):
            self.log_copy(Path(html), name, "html", step)
        elif not isinstance(html, str):
            raise InvalidTypeError(f"log_html takes a string or a path, got {type(html).__name__}")
        else:
            self.log_bytes(plain_text(self._validation.redacted(html)).encode(), name, "html", step)

    def log_model(self, model: Any, name: str, input_example: Any) -> None:
        """Log a model as a file or folder of the run. See `Run.log_model`."""
        check_artifact_name(name)
        if isinstance(model, str | os.PathLike):
            source = Path(model)
            self.log_copy(source, artifact_name(source, f"{name}/"), "model")
            return
        saved, annotations = self.save_model(model, input_example)
        self.log_made(saved, f"{name}/{saved.name}", "model", annotations=annotations)

    def save_model(self, model: Any, example: Any) -> tuple[Path, dict[str, Any]]:
        """Save a model into the spool, for `log_made`; return its place, and what an example of its input tells."""
        from unitrack.media.models import save_model

        annotations: dict[str, Any] = {}
        if example is not None:
            from unitrack.media.signatures import signature_of

            annotations = signature_of(model, example)
        place = self.new_file("model")
        try:
            return save_model(model, place.parent, example), annotations
        except BaseException:
            self._stage.discard(place)
            raise

    def _log_file_of(
        self,
        medium: Any,
        name: str,
        kind: Literal["image", "audio", "video"],
        step: int | None,
        annotations: dict[str, Any] | None,
    ) -> bool:
        """Log a medium that is given as the path of its file; return whether it is one."""
        if not isinstance(medium, str | os.PathLike):
            return False
        source = as_path(medium, f"log_{kind}: path")
        self.log_copy(source, with_suffix(name, kind, source.suffix), kind, step, annotations)
        return True

    def log_copy(
        self,
        source: Path,
        name: str,
        kind: ArtifactType,
        step: int | None = None,
        annotations: dict[str, Any] | None = None,
        check_room: Callable[[int], None] | None = None,
        *,
        of_version: bool = False,
    ) -> Artifact:
        """Log a copy of a file or folder, and return its record, but for the number.

        `check_room` is called with its bytes before anything is written, and may raise. `of_version`: the step is no
        part of its name, and `InvalidValueError` is raised if it is written meanwhile.
        """
        self._recorder.check_open()
        step = None if step is None else check_step(step)
        if os.path.isdir(source):  # `Path.is_dir` raises for a name that is too long
            self._check_not_itself(source)
        name = check_artifact_name(name)
        safe, size = self._validation.artifact(source, name if of_version else with_step(name, step))
        if check_room is not None:
            check_room(size)
        left_out: list[Path] = []
        staged = self._stage.copy(self._recorder.open().writer, source, safe, left_out, steady=of_version)
        record = self._log_staged(staged, safe, kind, size, step, annotations)
        _warn_of_left_out(source, left_out)
        return record

    def _check_not_itself(self, folder: Path) -> None:
        if self._stage.lies_in(folder):
            raise InvalidValueError(
                f"{folder} is the folder of this run, or of its spool: a copy would hold itself; log single files of it"
            )

    def log_bytes(
        self,
        data: bytes,
        name: str,
        kind: ArtifactType,
        step: int | None = None,
        annotations: dict[str, Any] | None = None,
    ) -> Artifact:
        """Log a file with this content, and return its record, but for the number."""
        self._recorder.check_open()
        step = None if step is None else check_step(step)
        name = with_step(check_artifact_name(name), step)
        staged = self._stage.write(self._recorder.open().writer, check_artifact_name(name), data)
        return self.log_made(staged, name, kind, step, annotations)

    def log_made(
        self,
        staged: Path,
        name: str,
        kind: ArtifactType,
        step: int | None = None,
        annotations: dict[str, Any] | None = None,
        check_room: Callable[[int], None] | None = None,
    ) -> Artifact:
        """Log a file that was made in the spool, not copied from the user's, as `log_copy` does."""
        try:
            safe, size = self._validation.artifact(staged, name)
            if check_room is not None:
                check_room(size)
        except BaseException:
            self._stage.discard(staged)
            raise
        return self._log_staged(staged, safe, kind, size, step, annotations)

    def _log_staged(
        self,
        staged: Path,
        name: str,
        kind: ArtifactType,
        size: int,
        step: int | None,
        annotations: dict[str, Any] | None,
    ) -> Artifact:
        file = staged.relative_to(self._recorder.folder.path).as_posix()
        redacted = self._without_secrets(annotations) if annotations else {}
        record = Artifact(
            seq=0,
            time=time.time_ns() // 1_000_000,
            name=self._names.path(name),
            file=file,
            type=kind,
            size=size,
            step=step,
            annotations=redacted,
        )
        try:
            self._recorder.copy(record)
        except UnitrackError:  # not after Ctrl-C: the record may be written by then
            self._stage.discard(staged)
            raise
        return record

    def new_file(self, name: str) -> Path:
        """Return a path in the spool for a file that is made there, for `log_made`."""
        return self._stage.new_file(self._recorder.open().writer, name)

    def discard(self, staged: Path) -> None:
        """Remove what was made there and will not be logged."""
        self._stage.discard(staged)

    def _without_secrets(self, annotations: dict[str, Any]) -> dict[str, Any]:
        """Return annotations with secrets redacted, except in the encoded pixels of masks, which are not text."""
        clean: dict[str, Any] = self._validation.redacted(annotations)
        for group, mask in annotations.get("masks", {}).items():
            if isinstance(kept := clean["masks"][group], dict):
                kept["png"] = mask["png"]
        return clean


def _warn_of_left_out(folder: Path, left_out: Sequence[Path]) -> None:
    """Warn about the files of a folder that were not logged, by name."""
    if not left_out:
        return
    shown = ", ".join(brief(path.as_posix()) for path in left_out[:_MAX_SHOWN])
    more = f" and {len(left_out) - _MAX_SHOWN} more" if len(left_out) > _MAX_SHOWN else ""
    warn_caller(
        f"left out of folder {str(folder)!r}: {shown}{more}; a name must be UTF-8, have at most {MAX_FILE_NAME_BYTES} "
        "bytes, and hold no backslash and no drive (as in 'C:x'); rename them and log them again. The rest of the "
        "folder is logged"
    )
