"""The index of a run's artifacts, for what MLflow does not keep: type, step, and whether one is a folder.

It is kept in JSON artifacts of the run, `unitrack/index/<number>.json`, a page of some hundred artifacts each, so that
a run with ten thousand images doesn't write the same long list ten thousand times. A later page holds for what both
have.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from mlflow import MlflowClient
from mlflow.entities import Run

from unitrack.hookspecs import decode
from unitrack.records import ArtifactType
from unitrack_mlflow import limits, marks
from unitrack_mlflow.run_files import list_files


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One artifact as it was logged."""

    type: ArtifactType = "file"
    step: int | None = None
    time: int
    size: int = 0
    """Bytes."""
    annotations: dict[str, Any] = {}
    views: tuple[str, ...] = ()
    """Files among the run's artifacts that were made of it for MLflow's own views."""


Page = dict[str, Entry]
"""By the path in MLflow."""


class ArtifactIndex:
    """The index of one run, being written. Adding an artifact again changes nothing."""

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self._client = client
        self._run = run
        self._number = -1
        self._page: Page = {}
        self._is_saved = True

    def add(self, path: str, entry: Entry) -> None:
        """Add an artifact; `save` writes it."""
        if self._number < 0:
            self._take_up()
        if len(self._page) >= limits.INDEX_PAGE and path not in self._page:
            self.save()
            self._number += 1
            self._page = {}
        self._page[path] = entry
        self._is_saved = False

    def save(self) -> None:
        """Write what was added since."""
        if not self._is_saved:
            text = msgspec.json.encode(self._page).decode()
            self._client.log_text(self._run.info.run_id, text, f"{marks.INDEX_FILES}{self._number:06}.json")
            self._is_saved = True

    def _take_up(self) -> None:
        *_, last = [None, *_pages(self._client, self._run)]
        self._number = 0
        if last is not None:
            self._number = int(Path(last).stem)
            self._page = _read(self._client, self._run, [last])


def read(client: MlflowClient, run: Run) -> Page:
    """Return the whole index of a run."""
    return _read(client, run, _pages(client, run))


def _pages(client: MlflowClient, run: Run) -> list[str]:
    found = list_files(client, run, marks.INDEX_FILES.rstrip("/"))
    return sorted(info.path for info in found if Path(info.path).stem.isdecimal())


def _read(client: MlflowClient, run: Run, pages: list[str]) -> Page:
    entries: Page = {}
    for page in pages:
        with tempfile.TemporaryDirectory(prefix="unitrack-mlflow-") as scratch:
            path = client.download_artifacts(run.info.run_id, page, scratch)
            entries |= decode(Path(path).read_bytes(), Page)
    return entries
