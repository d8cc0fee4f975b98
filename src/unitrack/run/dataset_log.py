"""The datasets of a run: what was learned from, by its content. Only what is small is hashed in the log call."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from unitrack.errors import ArtifactNotFoundError, InvalidValueError, UnitrackError, warn_caller
from unitrack.limits import HASHED_AT_ONCE_BYTES
from unitrack.records import DATASETS, Dataset
from unitrack.run.files import FileLog
from unitrack.run.rank_names import RankNames
from unitrack.run.recorder import Recorder
from unitrack.run.requesting import Requests
from unitrack.validation import check_artifact_name
from unitrack.validation.arguments import as_path, as_text
from unitrack.values.plain import plain_text

if TYPE_CHECKING:
    from unitrack.environment.datasets import Frame


class DatasetLog:
    """Logs datasets. A file is hashed by a courier, an object in memory by a thread of this process."""

    def __init__(self, recorder: Recorder, files: FileLog, requests: Requests) -> None:
        self._recorder = recorder
        self._files = files
        self._requests = requests
        self._threads: list[threading.Thread] = []

    def log(self, data: Any, name: str | None, context: str, source: str) -> None:
        """See `Run.log_dataset`."""
        self._recorder.check_open()
        context, source = as_text(context, "log_dataset: context"), as_text(source, "log_dataset: source")
        if isinstance(data, str) and "://" in data:
            raise InvalidValueError(
                f"log_dataset: {data} is not on this machine; load it and log the frame with source=, "
                "or use log_artifact(name=, reference=)"
            )
        if isinstance(data, str | os.PathLike):
            self._log_path(as_path(data, "log_dataset: path"), name, context, source)
            return
        from unitrack.environment.datasets import as_frame  # noqa: PLC0415  # hashlib costs 1 ms

        if name is None:
            raise InvalidValueError(
                "log_dataset: a dataset in memory needs a name, such as log_dataset(frame, 'train')"
            )
        self._log_frame(as_frame(data), _checked(name), context, source)

    def wait(self, deadline: float) -> None:
        """Wait until the datasets in memory are hashed, at most until `deadline` of the monotonic clock."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def warn_of_unfinished(self) -> None:
        """Warn about datasets that were not hashed in time."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if self._threads:
            names = ", ".join(thread.name for thread in self._threads)
            warn_caller(
                f"run {self._recorder.start.name!r} ends without {names}: hashing takes longer than the timeout of "
                "finish; pass a longer one, or log the file that the data is from"
            )
            self._threads = []

    def continue_in_child(self) -> None:
        """Forget the parent's threads in a forked child."""
        self._threads = []

    def _log_path(self, path: Path, name: str | None, context: str, source: str) -> None:
        if not os.path.exists(path):
            raise ArtifactNotFoundError(f"log_dataset: there is no file or folder {path} (looked from {Path.cwd()})")
        name = _checked(path.stem if name is None else name)
        from unitrack.environment.request import DatasetRequest  # noqa: PLC0415  # only for datasets

        request = DatasetRequest(
            path=os.fsencode(os.path.abspath(path)),
            name=name,
            context=context,
            source=source,
            secrecy=self._requests.secrecy,
            prefix=RankNames(self._recorder.rank).prefix,
        )
        self._requests.ask(request, f"dataset {name!r}")

    def _log_frame(self, frame: Frame, name: str, context: str, source: str) -> None:
        shape = frame.shape
        dataset = Dataset(
            name=name,
            kind=shape.kind,
            source=source,
            size=frame.size,
            rows=shape.rows,
            columns=shape.columns,
            context=context,
        )
        if frame.size <= HASHED_AT_ONCE_BYTES:
            self._write(_hashed(frame.digest, dataset))
            return
        thread = threading.Thread(
            target=self._hash, args=(frame.digest, dataset), name=f"dataset {name!r}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _hash(self, digest: Callable[[], str], dataset: Dataset) -> None:
        dataset = _hashed(digest, dataset)
        try:
            self._write(dataset)
        except (UnitrackError, OSError):  # the run has ended meanwhile, which warns, or the disk is full
            return

    def _write(self, dataset: Dataset) -> None:
        self._files.log_dataset(msgspec.to_builtins(dataset), file_of(dataset.name))


def _hashed(digest: Callable[[], str], dataset: Dataset) -> Dataset:
    """Return the dataset with its digest, or with the reason why it has none."""
    try:
        return msgspec.structs.replace(dataset, digest=digest())
    except Exception as error:  # a library's own error, for values that it can't hash
        return msgspec.structs.replace(dataset, note=plain_text(f"it could not be hashed: {error}"))


def file_of(name: str) -> str:
    """Return the name of the file of a dataset among the run's artifacts."""
    return f"{DATASETS}/{name}.json"


def _checked(name: object) -> str:
    text = as_text(name, "log_dataset: name")
    check_artifact_name(file_of(text))
    return text
