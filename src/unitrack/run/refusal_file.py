"""The file of the run folder that tells which points log calls did not take."""

from __future__ import annotations

import contextlib

import msgspec

from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.atomic import write_atomically
from unitrack.validation import ValidationChain


class RefusalFile:
    """Writes the refusals of the process that owns the run, when there are more of them than before."""

    def __init__(self, folder: RunFolder, validation: ValidationChain) -> None:
        self._folder = folder
        self._validation = validation
        self._written = 0

    def update(self) -> None:
        """Write the file if there is something new. A disk that is full leaves the one from before."""
        refusals = self._validation.refusals
        if refusals.count == self._written:
            return
        self._written = refusals.count
        content = self._validation.redacted(msgspec.to_builtins(refusals.all()))  # reasons quote values
        with contextlib.suppress(OSError):
            write_atomically(self._folder.refused_file, msgspec.json.encode(content))
