"""When a run is over: its owner has ended it or has died, and other processes no longer write or had time enough."""

from __future__ import annotations

import time

from unitrack import limits
from unitrack.delivery.lane.feed import Feed
from unitrack.runfolder.requests import find_requests
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.life import Life
from unitrack.system.processes import Owner


class RunWatch:
    """Watches the processes that write to a run.

    `owner_is_here`: the owner is this process, and is alive. `assume_dead`: an owner of which nothing can be known
    counts as gone.
    """

    def __init__(self, folder: RunFolder, owner: Owner, *, owner_is_here: bool, assume_dead: bool = False) -> None:
        self._folder = folder
        self._assume_dead = assume_dead
        self._owner = owner
        self._owner_is_here = owner_is_here
        self._owner_gone = False
        self._looked = -limits.OWNER_POLL_S
        self._end_seen_at: float | None = None

    def look(self) -> None:
        """Look whether the owner is alive, every `OWNER_POLL_S` seconds. An owner that is gone stays gone."""
        now = time.monotonic()
        if not self._owner_is_here and not self._owner_gone and now - self._looked >= limits.OWNER_POLL_S:
            self._looked = now
            self._owner_gone = self.is_gone()

    def is_gone(self) -> bool:
        """Whether the owner is gone, as far as can be known now."""
        life = self._folder.life_of(self._owner)
        return life is Life.GONE or (life is Life.UNKNOWN and self._assume_dead)

    def look_anew(self) -> None:
        """Have the next `look` not wait until it is time: the owner's pipe was closed."""
        self._looked = -limits.OWNER_POLL_S

    def is_owner_done(self, feed: Feed) -> bool:
        """Whether the owner writes no more: its end of the run is read, or it was gone at the last look."""
        return self._owner_gone or self._owner.writer in feed.ends

    def is_over(self, feed: Feed) -> bool:
        """Whether the run is over. Other writers have `WRITERS_GRACE_S` seconds after the owner, and those that
        answer requests `ANSWER_GRACE_S`.
        """
        if not self.is_owner_done(feed):
            return False
        now = time.monotonic()
        if self._end_seen_at is None:
            self._end_seen_at = now
        if not feed.open_writers(self._owner.writer):
            return True
        has_requests = bool(find_requests(self._folder.spool))
        return now - self._end_seen_at >= (limits.ANSWER_GRACE_S if has_requests else limits.WRITERS_GRACE_S)

    def begin_grace_anew(self) -> None:
        """Give the other writers their time anew, once the end is seen again."""
        self._end_seen_at = None
