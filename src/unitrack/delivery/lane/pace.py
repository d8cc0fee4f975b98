"""How long a lane rests: between two rounds of work, and before the first one.

One lane alone rests so that points which trickle in share a call, and so that training keeps the processor. Of a
thousand lanes that share a server, each must rest longer, else all of them together ask for more than it can do, its
answers take longer than a client waits, and what is then asked for once more makes it worse. Three things tell a lane
that it is not alone: a launcher that names the number of nodes, rounds that take long, and refusals. What is logged
meanwhile goes in one batch, so a slower pace costs the server less and loses nothing. A log call knows nothing of it.
"""

from __future__ import annotations

from random import SystemRandom

from unitrack import limits

_jitter = SystemRandom()
"""Not the global generator: all nodes may have seeded it alike, and a lane may live in the training process."""


class Pace:
    """The rests of one lane. `crowd`: how many runs share the sink's server and start together, 1 if none are known."""

    def __init__(self, crowd: int = 1) -> None:
        self._crowd = crowd
        self._refused = False
        self._widened = 0.0
        """Seconds to rest since requests were refused: doubled by a round with refusals, halved by one without."""

    def before_first(self) -> float:
        """Return the seconds to wait before the sink is opened: a part, by chance, of what the crowd needs for it."""
        if self._crowd == 1:
            return 0.0
        return _jitter.uniform(0.0, min(self._crowd * limits.CROWD_OPENING_S, limits.CROWD_OPENS_WITHIN_S))

    def note_refused(self) -> None:
        """Note that the backend did not take a call of this round."""
        self._refused = True

    def after_work(self, worked: float) -> float:
        """Return the seconds to rest after a round that took `worked` seconds and left nothing to deliver."""
        refused, self._refused = self._refused, False
        self._widened = max(2 * self._widened, limits.POLL_MAX_S) if refused else self._widened / 2
        self._widened = min(self._widened, limits.CROWD_REST_MAX_S)
        usual = min(max(limits.POLL_MIN_S, limits.REST_FOR_WORK * worked), limits.POLL_MAX_S)
        slow = limits.REST_FOR_SLOWNESS * (worked - limits.SLOW_ROUND_S)
        shared = self._crowd * limits.CROWD_CALL_S if self._crowd > 1 else 0.0
        longest = min(max(slow, shared, self._widened), limits.CROWD_REST_MAX_S)
        return max(usual, longest * _jitter.uniform(0.5, 1))
