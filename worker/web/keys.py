"""The web process's side of public keys: read beside the event loop, one question at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from domain.intake import FeedView
from domain.ports import SigningSecret
from worker.adapters.key_ring import KeyRing, KeysAwayError
from worker.adapters.sources.trust import Trust

#: Of their own, so that providers who hang take no thread that looks feeds up.
THREADS = 4


class Keys:
    """Fills feeds with the keys that prove their requests, and reads what is missing."""

    def __init__(
        self, ring: KeyRing, *, report: Callable[[str, Mapping[str, object]], None]
    ) -> None:
        self._ring = ring
        self._report = report
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._pool = ThreadPoolExecutor(THREADS, "keys")

    def stop(self) -> None:
        """Wait for nobody."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def filled(self, feed: FeedView) -> FeedView:
        """The feed with what is known of its senders' keys; old ones are renewed beside it."""
        if not any(Trust.is_one(secret.value) for secret in feed.secrets):
            return feed
        return replace(feed, secrets=tuple(map(self._with_keys, feed.secrets)))

    def _with_keys(self, secret: SigningSecret) -> SigningSecret:
        url = Trust.of(secret.value).jwks_url
        if not url:
            return secret
        if self._ring.is_old(url):
            self._read(url)
        return replace(secret, keys=self._ring.known(url))

    async def renewed(self, url: str) -> None:
        """Wait for the keys; all who do share one question. Raises KeysAwayError."""
        await asyncio.shield(self._read(url))

    def _read(self, url: str) -> asyncio.Task[None]:
        task = self._reading.get(url)
        if task is None:
            task = asyncio.create_task(self._renew(url))
            self._reading[url] = task
            task.add_done_callback(lambda done: self._end(url, done))
        return task

    async def _renew(self, url: str) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, self._ring.renew, url)

    def _end(self, url: str, done: asyncio.Task[None]) -> None:
        self._reading.pop(url, None)
        error = None if done.cancelled() else done.exception()
        if error is not None and not isinstance(error, KeysAwayError):
            self._report("keys_unreadable", {"error": type(error).__name__})
