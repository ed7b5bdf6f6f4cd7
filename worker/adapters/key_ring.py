"""Public keys of identity providers, read from where they publish them, and kept for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from domain.ports import InfrastructureError
from worker.adapters.outbound_http import OutboundError, OutboundHTTP
from worker.adapters.sources.jws import Keys, read_keys

#: A key that its owner took away is taken for so long at most while the owner can be reached ..
FRESH_SECONDS = 600.0
#: .. and for so long while it cannot. After that nothing can be checked: 503, so nothing is lost.
USABLE_SECONDS = 3600.0
#: Whoever sends made-up key ids, and an owner who hangs, cost one request in this time.
PAUSE_SECONDS = 10.0
READ_SECONDS = 2.0
LONGEST = 256 * 1024
OK = 200


class KeysAwayError(InfrastructureError):
    """The keys cannot be read now: nothing is said of the request, which is to be sent again."""


@dataclass(frozen=True, slots=True)
class _Known:
    keys: Keys
    read_at: float


class KeyRing:
    """Keys by address; for all threads of a process. monotonic: seconds."""

    def __init__(self, http: OutboundHTTP, *, monotonic: Callable[[], float]) -> None:
        self._http = http
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._asked: dict[str, float] = {}
        self._lock = threading.Lock()

    def known(self, url: str) -> Keys | None:
        """The keys as they were read not too long ago; None where there are none."""
        known = self._known.get(url)
        if known is None or self._monotonic() - known.read_at > USABLE_SECONDS:
            return None
        return known.keys

    def is_old(self, url: str) -> bool:
        """Whether the keys are to be read anew, and that may be tried now."""
        known = self._known.get(url)
        return (
            known is not None
            and self._monotonic() - known.read_at > FRESH_SECONDS
            and self._may_ask(url)
        )

    def renew(self, url: str) -> None:
        """Read the keys; raises KeysAwayError, also where that was tried a moment ago. Blocks."""
        with self._lock:
            if not self._may_ask(url):
                raise KeysAwayError(f"keys of {url} were asked for a moment ago")
            self._asked[url] = self._monotonic()
        keys = self._read(url)
        self._known[url] = _Known(keys, self._monotonic())

    def _may_ask(self, url: str) -> bool:
        asked = self._asked.get(url)
        return asked is None or self._monotonic() - asked >= PAUSE_SECONDS

    def _read(self, url: str) -> Keys:
        try:
            answer = self._http.send(
                "GET",
                url,
                headers={"Accept": "application/json"},
                seconds=READ_SECONDS,
                max_bytes=LONGEST,
            )
        except OutboundError as error:
            raise KeysAwayError(f"keys of {url}: {error}") from error
        if answer.status != OK:
            raise KeysAwayError(f"keys of {url}: it answered {answer.status}")
        try:
            return read_keys(answer.body)
        except ValueError as error:
            raise KeysAwayError(f"keys of {url}: {error}") from error
