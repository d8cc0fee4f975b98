"""The journal of an answer: params and files that a courier adds to a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from unitrack.journal import JournalWriter
from unitrack.records import Artifact, ArtifactType, Params, RunEnd
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.files import FOLDER_MODE, open_private
from unitrack.values.redaction import redact


class AnswerJournal:
    """Writes records beside those of training. Raises `JournalError` and `OSError` if the disk is full or the run gone.

    `prefix`: that of a rank, for the names of its params and files.
    """

    def __init__(self, folder: RunFolder, prefix: str = "") -> None:
        self._folder = folder
        self._prefix = prefix
        self._journal = JournalWriter(folder.spool)
        self._copies = 0

    def write_params(self, params: dict[str, Any], keys: Sequence[str], patterns: Sequence[str]) -> None:
        """Log params, with secrets redacted."""
        clean = redact(params, "", keys, patterns)
        self._journal.write(Params, params={self._prefix: clean} if self._prefix else clean)

    def write_file(self, name: str, data: bytes, kind: ArtifactType) -> None:
        """Log a file with this content."""
        place = self._folder.files / f"{self._journal.writer}-{self._copies}"
        self._copies += 1
        self._folder.files.mkdir(mode=FOLDER_MODE, exist_ok=True)  # no parents: a deleted run folder stays deleted
        place.mkdir(mode=FOLDER_MODE)
        copy = place / PurePosixPath(name).name
        with open(copy, "wb", opener=open_private) as file:
            file.write(data)
        self._journal.write(
            Artifact,
            name=f"{self._prefix}/{name}" if self._prefix else name,
            file=copy.relative_to(self._folder.path).as_posix(),
            type=kind,
            size=len(data),
        )

    def end(self) -> None:
        """Write that this journal, not the run, has ended."""
        self._journal.write(RunEnd, status="finished")

    def close(self) -> None:
        """Close the file."""
        self._journal.close()
