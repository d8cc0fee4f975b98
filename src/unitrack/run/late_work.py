"""What parts of a run still do in threads when it ends."""

from __future__ import annotations

from typing import Protocol


class LateWork(Protocol):
    """A part of a run that logs from a thread of its own."""

    def wait(self, deadline: float) -> None:
        """Wait until what was begun is logged, at most until `deadline` of the monotonic clock."""

    def warn_of_unfinished(self) -> None:
        """Warn about what the run ended without."""

    def continue_in_child(self) -> None:
        """Forget, in a forked child, what the parent's threads do."""
