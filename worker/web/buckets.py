"""Token buckets in memory: how often a client may be wrong."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: Clients remembered at most; who was quiet for longest is forgotten, with a full bucket.
REMEMBERED = 10_000


@dataclass(slots=True)
class _Level:
    tokens: float
    at: float


class Buckets:
    """A bucket for each client: `size` at first, `per_second` more, never above `size`.

    clock: seconds that never go back. Safe to use from threads.
    """

    def __init__(self, *, size: float, per_second: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._rate = per_second
        self._clock = clock
        self._levels: OrderedDict[str, _Level] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str) -> float:
        """Seconds until the client has a token; 0 if it has one. Takes none."""
        with self._lock:
            level = self._levels.get(client)
            if level is None:
                return 0.0
            lacking = 1.0 - self._filled(level)
            return max(lacking / self._rate, 0.0)

    def take(self, client: str) -> None:
        """One token less."""
        with self._lock:
            level = self._levels.pop(client, None) or _Level(self._size, self._clock())
            self._levels[client] = _Level(max(self._filled(level) - 1.0, 0.0), self._clock())
            while len(self._levels) > REMEMBERED:
                self._levels.popitem(last=False)

    def _filled(self, level: _Level) -> float:
        return min(self._size, level.tokens + (self._clock() - level.at) * self._rate)
