"""The answers to the requests of log calls: work that takes too long for training, done in a courier."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import msgspec

from unitrack.delivery.answer_journal import AnswerJournal
from unitrack.environment.record import PATCH, RECORD, REQUIREMENTS
from unitrack.environment.request import DatasetRequest, EnvironmentRequest
from unitrack.errors import JournalError, UnitrackError
from unitrack.records import DATASETS, Dataset
from unitrack.runfolder.requests import forget_request, read_request
from unitrack.runfolder.run_folder import RunFolder
from unitrack.values.plain import plain_text
from unitrack.values.redaction import redact

Request = EnvironmentRequest | DatasetRequest
_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


class Answer(threading.Thread):
    """Answers one request, into a journal of its own in the run's spool, so that every sink gets the same."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        super().__init__(name="unitrack-answer", daemon=True)
        self._folder = folder
        self._request_name = name
        self._request = self._read()
        self._journal: AnswerJournal | None = None
        if self._request is not None:
            try:
                # Open from now on, so that lanes wait for the answer.
                self._journal = AnswerJournal(folder, self._request.prefix)
            except JournalError as error:
                self._tell(error)  # the spool is gone, or there are too many open files

    def _read(self) -> Request | None:
        try:
            content = read_request(self._folder, self._request_name)
            return None if content is None else _decoder.decode(content)
        except (OSError, ValueError) as error:
            self._tell(error)
            return None

    def run(self) -> None:
        """Answer, and forget the request; do nothing if it was answered before."""
        request, journal = self._request, self._journal
        if request is None or journal is None:
            return
        try:
            if isinstance(request, DatasetRequest):
                _answer_dataset(request, journal)
            else:
                _answer_environment(request, journal, self._folder)
            journal.end()
        except (UnitrackError, OSError) as error:  # the disk is full or the folder gone
            self._tell(error)
        finally:
            forget_request(self._folder, self._request_name)
            journal.close()

    def _tell(self, error: Exception) -> None:
        """Print to the courier's log."""
        print(f"unitrack: a request of the run is not answered: {error}", file=sys.stderr, flush=True)


def _answer_environment(request: EnvironmentRequest, journal: AnswerJournal, folder: RunFolder) -> None:
    from unitrack.environment.completion import complete  # noqa: PLC0415  # importlib.metadata costs 20 ms, once a run
    from unitrack.environment.snapshot import completed_params  # noqa: PLC0415  # platform costs 2 ms

    keys, patterns = request.secrecy.keys, request.secrecy.patterns
    done = complete(request, folder.spool)
    journal.write_params(completed_params(done.environment, request.logged), keys, patterns)
    journal.write_file(REQUIREMENTS, done.requirements.encode(), "text")
    if done.patch:
        journal.write_file(PATCH, done.patch, "file")
    record = redact(msgspec.to_builtins(done.environment), "", keys, patterns)
    journal.write_file(RECORD, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n", "json")


def _answer_dataset(request: DatasetRequest, journal: AnswerJournal) -> None:
    from unitrack.blobs.content import ContentChangedError, content_of  # noqa: PLC0415  # only for datasets
    from unitrack.environment.datasets import kind_of, shape_of  # noqa: PLC0415  # only for datasets

    path = Path(os.fsdecode(request.path))
    dataset = Dataset(
        name=request.name,
        kind=kind_of(path),
        source=request.source or plain_text(os.fsdecode(request.path)),
        context=request.context,
    )
    try:
        content = content_of(path)
        shape = shape_of(path)
        dataset = msgspec.structs.replace(
            dataset,
            kind=shape.kind,
            digest=content.digest,
            size=content.size,
            files=None if content.members is None else len(content.members),
            rows=shape.rows,
            columns=shape.columns,
        )
    except ContentChangedError:
        dataset = msgspec.structs.replace(dataset, note="it was written while it was read, so there is no digest")
    except OSError as error:
        why = f"it could not be read a moment after the call: {error.strerror or error}"
        dataset = msgspec.structs.replace(dataset, note=plain_text(why))
    record = redact(msgspec.to_builtins(dataset), "", request.secrecy.keys, request.secrecy.patterns)
    content_of_file = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
    journal.write_file(f"{DATASETS}/{request.name}.json", content_of_file, "dataset")
