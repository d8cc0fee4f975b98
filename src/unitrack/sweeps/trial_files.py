"""Files of the trials that run: who runs one, where it hung, and how it ended before the study knows.

They lie in the sweep's own folder. A process holds a lock on its trial's file; the kernel frees it when the process
dies. So a later agent can tell a trial that is still running from one whose process is gone, and one that ended but was
not recorded any more is not run again. On a machine that does not have the folder, a trial has no files.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from unitrack.sweeps.outcome import TrialOutcome
from unitrack.system.atomic import write_atomically
from unitrack.system.files import open_private
from unitrack.system.locks import FileLock, is_file_locked
from unitrack.system.processes import Owner


class TrialFiles:
    """The files of one trial."""

    def __init__(self, folder: Path, number: int) -> None:
        """`folder`: that of the sweep."""
        self._folder = folder / "trials"
        self._running = self._folder / f"{number}.running"
        self._outcome = self._folder / f"{number}.outcome"
        self.hang = self._folder / f"{number}.hang"
        """Where the process of a trial that took too long writes what it was doing."""
        self._lock = FileLock(self._running)

    @property
    def are_here(self) -> bool:
        """Whether this machine has the sweep's folder."""
        return self._folder.is_dir()

    # -- in the process of the trial ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the lock, and write which process has it."""
        if self.are_here and self._lock.acquire():
            os.truncate(self._lock.descriptor, 0)
            os.write(self._lock.descriptor, msgspec.json.encode(Owner.current("")))

    def end(self, outcome: TrialOutcome | None) -> None:
        """Write how the trial ended, and free the lock. None if it was broken off."""
        if outcome is not None and self.are_here:
            write_atomically(self._outcome, msgspec.json.encode(outcome))
        self._lock.release()

    # -- in the agent -------------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether a process holds the trial's lock."""
        return is_file_locked(self._running)

    @property
    def has_begun(self) -> bool:
        """Whether a process has begun the trial."""
        return self._running.exists()

    def outcome(self) -> TrialOutcome | None:
        """Return how the trial ended, if its process wrote that."""
        try:
            with open(self._outcome, "rb", opener=open_private) as file:
                return msgspec.json.decode(file.read(), type=TrialOutcome)
        except (OSError, msgspec.MsgspecError):
            return None

    def where_it_hung(self) -> str | None:
        """Return the stacks of a trial that took too long; None if it did not."""
        try:
            return self.hang.read_text(errors="replace") or None
        except OSError:
            return None

    def remove(self) -> None:
        """Remove the files: the study knows how the trial ended."""
        for path in (self._running, self._outcome, self.hang):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def numbers_of_files(folder: Path) -> set[int]:
    """Return the numbers of the trials that have files in a sweep's folder."""
    stems = {path.stem for path in (folder / "trials").glob("*.*")}
    return {int(stem) for stem in stems if stem.isdecimal()}
