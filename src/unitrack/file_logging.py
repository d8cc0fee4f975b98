"""Logging files, and what becomes one: a copy goes into the spool, a record of it into the journal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from unitrack.artifacts import artifact_name, with_step
from unitrack.errors import ArtifactNotFoundError, InvalidTypeError, InvalidValueError, UnitrackError
from unitrack.folder_members import members
from unitrack.media.suffixes import with_suffix
from unitrack.params import plain_text, to_plain
from unitrack.records import Artifact, ArtifactType
from unitrack.reproduce.code import SOURCES
from unitrack.run_state import RunState
from unitrack.validation import check_artifact_name, check_step
from unitrack.validation.arguments import as_names, as_path, as_text
from unitrack.validation.artifacts import MAX_FILE_NAME_BYTES, check_size, is_member_path
from unitrack.validation.refusing import brief
from unitrack.warning import warn_caller

_ANY_FOLDER = "."
"""Stands for the folder of `log_artifacts` in checks: its own name is no part of what is logged."""
_MAX_SHOWN = 10
"""Files that a warning names; it stays readable."""


class FileLogging(RunState):
    """The part of a run that logs files. Names are paths among the run's artifacts: relative, POSIX, no "..".

    Every method raises `InvalidValueError` for a name that leaves the run or content that is larger than
    `safeguards.max_artifact_bytes`, and `JournalError` if the disk is full. With a `step` the name gets it
    ("roc-7.png"), so that a series is kept. A name that does not end in a suffix of the medium's gets one: what follows
    a dot in "layer1.0.weight" is part of the name.
    """

    def log_artifact(self, path: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Log a file or a folder as it is now; the run keeps a copy.

        `artifact_path`: a folder among the artifacts ("plots/", or a name without suffix), or the whole name
        ("weights/best.pt"). Raises `ArtifactNotFoundError` (a `FileNotFoundError`), `InvalidValueError` for one that is
        larger than `safeguards.max_artifact_bytes` or whose path leaves the run, `JournalError` if the disk is full.
        Of a folder, run folders, virtual environments, `.git` and `__pycache__` in it are left out. Files in a folder
        whose own names are not UTF-8, hold a backslash or have more than 240 bytes are left out; one
        warning names them.
        """
        source = as_path(path, "log_artifact: path")
        self._log_copy(source, artifact_name(source, artifact_path), "folder" if os.path.isdir(source) else "file")

    def log_artifacts(self, folder: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Log each file below a folder, under `artifact_path` if given; see `log_artifact`, also for what is left out.

        A file whose name can't be an artifact's is left out; one warning names those.
        """
        base = as_path(folder, "log_artifacts: folder")
        if artifact_path is not None:
            artifact_path = as_text(artifact_path, "log_artifacts: artifact_path")
        self._validation.artifact(base, artifact_path or _ANY_FOLDER)
        if not base.is_dir():
            raise InvalidValueError(f"log_artifacts takes a folder, {base} is a file; use log_artifact")
        self._check_not_itself(base)
        prefix = f"{artifact_path.rstrip('/')}/" if artifact_path else ""
        left_out = []
        for path in members(base):
            if not os.path.isfile(path):
                continue
            inside = path.relative_to(base)
            try:
                name = check_artifact_name(prefix + inside.as_posix())
            except InvalidValueError:
                left_out.append(inside)
                continue
            self._log_copy(path, name, "file")
        _warn_of_left_out(base, left_out)

    def log_code(
        self,
        root: str | os.PathLike[str] = ".",
        name: str = "code",
        *,
        include: Sequence[str] = SOURCES,
        exclude: Sequence[str] = (),
    ) -> None:
        """Log the source files below `root` as the folder `name`.

        `include`, `exclude`: globs, compared with the path below `root` and with the file's name. Left out are what
        `log_artifact` leaves out, and, in a git repository, what it ignores. Raises `ArtifactNotFoundError` if there
        is no such folder or no file that matches, and `InvalidValueError` if they are larger than
        `safeguards.max_artifact_bytes`.
        """
        from unitrack.reproduce.code import source_files

        base = as_path(root, "log_code: root")
        if not os.path.isdir(base):
            raise ArtifactNotFoundError(f"log_code: there is no folder {base} (looked from {Path.cwd()})")
        self._check_open()
        check_artifact_name(name)
        include, exclude = as_names(include, "log_code: include"), as_names(exclude, "log_code: exclude")
        found = source_files(base, include, exclude)
        files = {inside: path for inside, path in found.items() if is_member_path(PurePosixPath(inside))}
        if not files:
            raise ArtifactNotFoundError(f"log_code: no file below {base.resolve()} matches {', '.join(include)}")
        size = sum(path.stat().st_size for path in files.values())
        check_size(f"log_code of {base.resolve()}", size, self._validation.limits.max_artifact_bytes)
        self._log_made(self._stage.gather(self._journal.writer, name, files), name, "folder")
        _warn_of_left_out(base, [Path(inside) for inside in found if inside not in files])

    def log_text(self, text: str, name: str) -> None:
        """Log a text as the file `name`, without what looks like a credential."""
        if not isinstance(text, str):
            raise InvalidTypeError(f"log_text takes a string, got {type(text).__name__}; use log_dict for nested data")
        self._log_bytes(plain_text(self._validation.redacted(text)).encode(), name, "text")

    def log_dict(self, content: Any, name: str) -> None:
        """Log nested data as the file `name`: YAML if it ends in .yaml or .yml, else JSON. Secrets are redacted."""
        check_artifact_name(name)
        try:
            plain = self._validation.redacted(to_plain(content))
        except RecursionError:
            raise InvalidValueError(f"log_dict {name!r}: nested too deeply, or contains itself") from None
        if name.endswith((".yaml", ".yml")):
            import yaml

            self._log_bytes(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode(), name, "text")
        else:
            self._log_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n", name, "json")

    def log_figure(self, figure: Any, name: str, step: int | None = None) -> None:
        """Log a matplotlib or plotly figure; the suffix is the format. Does nothing with `save_plots: false`."""
        if not self._settings.artifacts.save_plots:
            return
        from unitrack.media.figures import figure_bytes

        name = with_suffix(check_artifact_name(name), "figure", ".png" if hasattr(figure, "savefig") else ".html")
        self._log_bytes(figure_bytes(figure, name), name, "figure", step)

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
        """Log an image: a path, a PIL image, or an array of shape (H, W), (H, W, C) or (C, H, W) with C in 1, 3, 4,
        uint8 or float in 0 ... 1. Does nothing with `save_plots: false`.

        `boxes` and `masks` are those of `wandb.Image`, by the name of their group: `{"predicted": {"box_data": [{
        "position": {"minX":, "maxX":, "minY":, "maxY":}, "class_id": 1}], "class_labels": {1: "car"}}}` and
        `{"predicted": {"mask_data": integers in 0 ... 255 of shape (H, W), "class_labels": {1: "car"}}}`. Every backend
        keeps them, W&B shows them.
        """
        if not self._settings.artifacts.save_plots:
            return
        from unitrack.media.annotations import annotate

        name = check_artifact_name(name)
        told = annotate(name, caption, boxes, masks)
        if isinstance(image, str | os.PathLike):
            source = as_path(image, "log_image: image")
            self._log_copy(source, with_suffix(name, "image", source.suffix), "image", step, told)
            return
        from unitrack.media.images import image_bytes

        name = with_suffix(name, "image", ".png")
        self._log_bytes(image_bytes(image, name), name, "image", step, told)

    def log_histogram(self, values: Any, name: str, step: int | None = None, *, bins: int = 64) -> None:
        """Log a histogram of samples, or of the pair (counts, edges) that `numpy.histogram` returns, as JSON."""
        from unitrack.media.histograms import histogram_bytes

        name = check_artifact_name(name)
        data = histogram_bytes(values, name, bins)
        self._log_bytes(data, with_suffix(name, "histogram", ".json"), "histogram", step)

    def log_table(
        self, table: Any, name: str, step: int | None = None, *, columns: Sequence[str] | None = None
    ) -> None:
        """Log a pandas or polars frame, a list of dicts, a dict of columns, or rows with `columns`, as JSON.

        Secrets are redacted: columns that are named like one, and what looks like a credential in texts.
        """
        from unitrack.media.tables import table_bytes

        name = check_artifact_name(name)
        data = table_bytes(table, name, columns, self._validation.redacted)
        self._log_bytes(data, with_suffix(name, "table", ".json"), "table", step)

    def log_audio(
        self,
        sound: Any,
        name: str,
        step: int | None = None,
        *,
        sample_rate: int = 44_100,
        caption: str | None = None,
    ) -> None:
        """Log a sound: a path, or an array of shape (samples,), (samples, channels) or (channels, samples), float in
        -1 ... 1 or int16. The shorter axis is that of the channels, at most 64. `sample_rate`: of an array, in Hz.
        """
        from unitrack.media.annotations import annotate

        name = check_artifact_name(name)
        told = annotate(name, caption)
        if isinstance(sound, str | os.PathLike):
            source = as_path(sound, "log_audio: sound")
            self._log_copy(source, with_suffix(name, "audio", source.suffix), "audio", step, told)
            return
        from unitrack.media.audio import audio_bytes

        self._log_bytes(audio_bytes(sound, name, sample_rate), with_suffix(name, "audio", ".wav"), "audio", step, told)

    def log_video(
        self, video: Any, name: str, step: int | None = None, *, fps: float = 10.0, caption: str | None = None
    ) -> None:
        """Log a video: a path, or frames of shape (T, H, W, C) or (T, C, H, W) as an animated GIF of `fps` frames/s."""
        from unitrack.media.annotations import annotate

        name = check_artifact_name(name)
        told = annotate(name, caption)
        if isinstance(video, str | os.PathLike):
            source = as_path(video, "log_video: video")
            self._log_copy(source, with_suffix(name, "video", source.suffix), "video", step, told)
            return
        from unitrack.media.video import video_bytes

        self._log_bytes(video_bytes(video, name, fps), with_suffix(name, "video", ".gif"), "video", step, told)

    def log_html(self, html: str | os.PathLike[str], name: str, step: int | None = None) -> None:
        """Log a page: its HTML, or the path (a `pathlib.Path`) of a file that holds it."""
        name = with_suffix(check_artifact_name(name), "html", ".html")
        if isinstance(html, os.PathLike):
            self._log_copy(Path(html), name, "html", step)
        elif not isinstance(html, str):
            raise InvalidTypeError(f"log_html takes a string or a path, got {type(html).__name__}")
        else:
            self._log_bytes(plain_text(self._validation.redacted(html)).encode(), name, "html", step)

    def log_model(self, model: Any, name: str = "model") -> None:
        """Log a model below the folder `name`: a path, or an object that `models.save_model` can save.

        Does nothing with `artifacts.save_model: false`.
        """
        if not self._settings.artifacts.save_model:
            return
        check_artifact_name(name)
        if isinstance(model, str | os.PathLike):
            source = Path(model)
            self._log_copy(source, artifact_name(source, f"{name}/"), "model")
            return
        from unitrack.models import save_model

        place = self._stage.new_file(self._journal.writer, "model")
        try:
            saved = save_model(model, place.parent)
        except BaseException:
            self._stage.discard(place)
            raise
        self._log_made(saved, f"{name}/{saved.name}", "model")

    def _log_copy(
        self,
        source: Path,
        name: str,
        kind: ArtifactType,
        step: int | None = None,
        annotations: dict[str, Any] | None = None,
    ) -> None:
        self._check_open()
        step = None if step is None else check_step(step)
        if os.path.isdir(source):  # `Path.is_dir` raises for a name that is too long
            self._check_not_itself(source)
        safe, size = self._validation.artifact(source, with_step(check_artifact_name(name), step))
        left_out: list[Path] = []
        staged = self._stage.copy(self._journal.writer, source, safe, left_out)
        self._log_staged(staged, safe, kind, size, step, annotations)
        _warn_of_left_out(source, left_out)

    def _check_not_itself(self, folder: Path) -> None:
        if self._stage.lies_in(folder):
            raise InvalidValueError(
                f"{folder} is the folder of this run, or of its spool: a copy would hold itself; log single files of it"
            )

    def _log_bytes(
        self,
        data: bytes,
        name: str,
        kind: ArtifactType,
        step: int | None = None,
        annotations: dict[str, Any] | None = None,
    ) -> None:
        self._check_open()
        step = None if step is None else check_step(step)
        name = with_step(check_artifact_name(name), step)
        staged = self._stage.write(self._journal.writer, check_artifact_name(name), data)
        self._log_made(staged, name, kind, step, annotations)

    def _log_made(
        self,
        staged: Path,
        name: str,
        kind: ArtifactType,
        step: int | None = None,
        annotations: dict[str, Any] | None = None,
    ) -> None:
        """Log a file that was made in the spool, and not taken over from somebody's."""
        try:
            safe, size = self._validation.artifact(staged, name)
        except BaseException:
            self._stage.discard(staged)
            raise
        self._log_staged(staged, safe, kind, size, step, annotations)

    def _log_staged(
        self,
        staged: Path,
        name: str,
        kind: ArtifactType,
        size: int,
        step: int | None,
        annotations: dict[str, Any] | None,
    ) -> None:
        file = staged.relative_to(self.path).as_posix()
        told = self._without_secrets(annotations) if annotations else {}
        try:
            self._log(Artifact, name=name, file=file, type=kind, size=size, step=step, annotations=told)
        except UnitrackError:  # and not for Ctrl-C, which may come once the record is written
            self._stage.discard(staged)
            raise

    def _without_secrets(self, annotations: dict[str, Any]) -> dict[str, Any]:
        """Annotations redacted; the pixels of a mask are no text, whatever they look like."""
        clean: dict[str, Any] = self._validation.redacted(annotations)
        for group, mask in annotations.get("masks", {}).items():
            if isinstance(kept := clean["masks"][group], dict):
                kept["png"] = mask["png"]
        return clean


def _warn_of_left_out(folder: Path, left_out: Sequence[Path]) -> None:
    """Warn of what was not logged of a folder, by name; the rest of it was."""
    if not left_out:
        return
    shown = ", ".join(brief(path.as_posix()) for path in left_out[:_MAX_SHOWN])
    more = f" and {len(left_out) - _MAX_SHOWN} more" if len(left_out) > _MAX_SHOWN else ""
    warn_caller(
        f"left out of folder {str(folder)!r}: {shown}{more}; a name must be UTF-8, have at most {MAX_FILE_NAME_BYTES} "
        "bytes, and hold no backslash and no drive (as in 'C:x'); rename them and log them again. The rest of the "
        "folder is logged"
    )
