"""Troubles of a server that is a little ill, for `StandInServer.trouble`: all requests alike, whatever they ask for."""

from __future__ import annotations

import itertools
import random
import threading
import time
from typing import Any


class Counted:
    """A trouble that counts what it was asked and what it refused."""

    def __init__(self) -> None:
        self.asked = 0
        self.refused = 0
        self.by_request: dict[str, int] = {}
        """Refused, by the request's name."""
        self._lock = threading.Lock()

    def __call__(self, handler: Any, request: str) -> bool:
        with self._lock:
            self.asked += 1
            wait = self.refuses(request)
            if wait is None:
                return False
            self.refused += 1
            self.by_request[request] = self.by_request.get(request, 0) + 1
        self.answer(handler, wait)
        return True

    def refuses(self, request: str) -> float | None:
        """The seconds until the client may come back, 0 if that is not said; None: this request is answered."""
        raise NotImplementedError

    def answer(self, handler: Any, wait: float) -> None:
        handler.answer(503, b'{"error": "a bad moment"}')


class EachNth(Counted):
    """Each n-th request is answered with 503, before it takes effect."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self._n = n

    def refuses(self, request: str) -> float | None:
        return 0.0 if next(self._numbers) % self._n == 0 else None


class Share(Counted):
    """A share of the requests, chosen by a seeded generator, is answered with 503."""

    def __init__(self, share: float, seed: int = 1) -> None:
        super().__init__()
        self._dice = random.Random(seed)
        self._share = share

    def refuses(self, request: str) -> float | None:
        return 0.0 if self._dice.random() < self._share else None


class RateLimit(Counted):
    """So many requests a second, and 429 with `Retry-After` for any other."""

    def __init__(self, per_second: float, burst: int = 1) -> None:
        super().__init__()
        self._per_second = per_second
        self._allowed, self._burst = float(burst), float(burst)
        self._last = time.monotonic()

    def refuses(self, request: str) -> float | None:
        now = time.monotonic()
        self._allowed = min(self._burst, self._allowed + (now - self._last) * self._per_second)
        self._last = now
        if self._allowed >= 1:
            self._allowed -= 1
            return None
        return 1.0

    def answer(self, handler: Any, wait: float) -> None:
        handler.answer(429, b'{"error": "slow down"}', Retry_After=f"{wait:.0f}")
