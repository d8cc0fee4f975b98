"""When a run is over: its owner has ended it or has died, and others no longer write, or had time enough."""

from __future__ import annotations

import time

from unitrack import limits
from unitrack.delivery.feed import Feed
from unitrack.owner import Owner
from unitrack.runfolder import RunFolder
from unitrack.system.life import Life


class RunWatch:
    """Watches those who write to a run. `owner_is_here`: the owner is this process, and need not be looked after.
    `assume_dead`: an owner of which nothing can be known counts as gone.
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
        """Look whether the owner is alive, every `OWNER_POLL_S` seconds. Who is gone stays so."""
        now = time.monotonic()
        if not self._owner_is_here and not self._owner_gone and now - self._looked >= limits.OWNER_POLL_S:
            self._looked = now
            self._owner_gone = self.is_gone()

    def is_gone(self) -> bool:
        """Whether the owner is gone, as far as can be known now."""
        life = self._folder.life_of(self._owner)
        return life is Life.GONE or (life is Life.UNKNOWN and self._assume_dead)

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
