"""When a run is over: its owner has ended it or has died, and others no longer write, or had time enough."""

from __future__ import annotations

import time

from unitrack import limits
from unitrack.delivery.feed import Feed
from unitrack.owner import Owner


class RunWatch:
    """Watches those who write to a run. `owner_is_here`: the owner is this process, and need not be looked after."""

    def __init__(self, owner: Owner, *, owner_is_here: bool) -> None:
        self._owner = owner
        self._owner_is_here = owner_is_here
        self._owner_gone = False
        self._looked = -limits.OWNER_POLL_S
        self._end_seen_at: float | None = None

    def look(self) -> None:
        """Look whether the owner is alive, every `OWNER_POLL_S` seconds. Who is gone stays so."""
        now = time.monotonic()
        if not self._owner_is_here and not self._owner_gone and now - self._looked >= limits.OWNER_POLL_S:
            self._looked = now
            self._owner_gone = not self._owner.is_alive()

    def look_anew(self) -> None:
        """The next `look` does not wait until it is time: the owner's pipe was closed."""
        self._looked = -limits.OWNER_POLL_S

    def is_owner_done(self, feed: Feed) -> bool:
        """Whether the owner writes no more: its end of the run is read, or it was gone at the last look."""
        return self._owner_gone or self._owner.writer in feed.ends

    def is_over(self, feed: Feed) -> bool:
        """Whether nobody who counts will write any more. Others have `WRITERS_GRACE_S` seconds after the owner."""
        if not self.is_owner_done(feed):
            return False
        now = time.monotonic()
        if self._end_seen_at is None:
            self._end_seen_at = now
        return now - self._end_seen_at >= limits.WRITERS_GRACE_S or not feed.open_writers(self._owner.writer)

    def begin_grace_anew(self) -> None:
        """The end has to be seen again, and the others' time begins then."""
        self._end_seen_at = None
