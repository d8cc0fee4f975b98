"""The artifacts of a run as records, those of others' runs too."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities import FileInfo, Run

from unitrack.records import Artifact
from unitrack_mlflow import artifact_index, image_views, logged_tables, marks, stores
from unitrack_mlflow.artifact_index import Entry, Page
from unitrack_mlflow.names import names_of
from unitrack_mlflow.run_files import list_files


def artifacts_of(client: MlflowClient, run: Run, count: Iterator[int]) -> Iterator[Artifact]:
    """The artifacts of `run` in order of logging, with type and step; a folder that was logged as one is one.

    What unitrack keeps there for itself or made for MLflow's own views is no artifact. What somebody else put there
    is, file by file.
    """
    is_ours = marks.RUN_ID in run.data.tags
    name_of = names_of("artifact", run.data.tags, is_ours=is_ours)
    index = artifact_index.read(client, run) if is_ours else {}
    tables = set(logged_tables.paths(run.data.tags.get(marks.TABLES)))
    time = run.info.start_time or 0
    hidden = {view for entry in index.values() for view in entry.views} - index.keys()
    found: dict[str, Entry] = {}
    for info in _walk(client, run, None, index):
        is_kept = is_ours and info.path.startswith(marks.ARTIFACTS)
        if not is_kept and info.path not in hidden:
            entry = index.get(info.path) or _guessed(info, tables, time)
            if entry is not None:
                found[info.path] = entry
    for path, entry in sorted(found.items(), key=lambda item: item[1].time):
        yield Artifact(
            seq=next(count),
            time=entry.time,
            name=name_of(path),
            file=_lies_at(run.info.artifact_uri, path),
            type=entry.type,
            size=entry.size,
            step=entry.step,
            annotations=entry.annotations,
        )


def _walk(client: MlflowClient, run: Run, folder: str | None, index: Page) -> Iterator[FileInfo]:
    for info in list_files(client, run, folder):
        if info.is_dir and info.path not in index:
            yield from _walk(client, run, info.path, index)
        else:
            yield info


def _guessed(info: FileInfo, tables: set[str], time: int) -> Entry | None:
    """Return the entry of a file that unitrack did not write; None for the thumbnail of an image."""
    size = info.file_size or 0
    view = image_views.parse(info.path)
    if view is not None:
        return None if view.is_thumbnail else Entry(type="image", step=view.step, time=view.time, size=size)
    return Entry(type="table" if info.path in tables else "file", time=time, size=size)


def _lies_at(artifact_uri: str, path: str) -> str:
    """The file on this machine, or else its URI."""
    local = stores.local_path(artifact_uri)
    return f"{artifact_uri.rstrip('/')}/{path}" if local is None else str(local / path)
