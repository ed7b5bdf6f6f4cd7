"""Deliver announcements: short claim with a lease, send, short finish with a fence (D6).

At least once, under one id however often it is tried; of a subject in its order, of which a
failing one holds up its own subject only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from domain.dispatches import (
    DELIVERY,
    GIVES_WAY_AFTER,
    LONGEST_REST,
    PATIENCE,
    REST,
    DeliveryError,
    Dispatch,
    Dispatches,
    Due,
    Endpoint,
    Poster,
    Reply,
)
from domain.inbox import Lane
from domain.retry import GiveUp, RetryIn, decide_retry

#: Announcements under one lease; few, so that a slow endpoint holds few of them.
SHARE = 4
#: What one request may take at most, and the lease of a share of them.
REQUEST_SECONDS = 10.0
LEASE = timedelta(seconds=SHARE * REQUEST_SECONDS + 5)

GONE = 410
_TAKEN = range(200, 300)
_MOVED = range(300, 400)
_REFUSED = range(400, 500)
#: Refused for now (RFC 9110, RFC 6585, RFC 8470), or by whoever asks for a password before it.
_LATER = frozenset({401, 403, 407, 408, 410, 425, 429})

#: Endpoint, dispatch -> headers and body of a signed request.
Compose = Callable[[Endpoint, Dispatch], tuple[Mapping[str, str], bytes]]


@dataclass(frozen=True, slots=True)
class Deliver:
    """Deliveries to one endpoint after the other. told: hears type and result of each."""

    dispatches: Dispatches
    poster: Poster
    compose: Compose
    random: Callable[[], float]
    told: Callable[[Dispatch, str], None]

    def run(self) -> dict[str, int]:
        """All that is due, one by one, the urgent first; for a process without threads for it."""
        tally: dict[str, int] = {}
        while due := self.dispatches.due():
            taken = 0
            for one in sorted(due, key=lambda one: list(Lane).index(one.lane)):
                for result in self.share(one):
                    tally[result] = tally.get(result, 0) + 1
                    taken += 1
            if not taken:
                break
        return tally

    def share(self, due: Due) -> list[str]:
        """Claim and send a few; what became of each. Empty: there is nothing to claim."""
        endpoint = self.dispatches.endpoint(due.endpoint)
        if endpoint is None:
            return []
        limit = 1 if endpoint.failures else SHARE
        claimed = self.dispatches.claim(endpoint.id, lane=due.lane, limit=limit, lease=LEASE)
        results: list[str] = []
        for place, dispatch in enumerate(claimed):
            results.append(self._one(endpoint, dispatch))
            self.told(dispatch, results[-1])
            if results[-1] != "delivered":
                # Whatever ails the endpoint, the next share finds out with one request only.
                self.dispatches.release(claimed[place + 1 :])
                break
        return results

    def _one(self, endpoint: Endpoint, dispatch: Dispatch) -> str:
        headers, body = self.compose(endpoint, dispatch)
        try:
            reply = self.poster.post(endpoint.url, headers, body)
        except DeliveryError as error:
            return self._failed(endpoint, dispatch, str(error), None)
        if reply.status in _TAKEN:
            was_failing = endpoint.failures > 0
            done = self.dispatches.delivered(dispatch, was_failing=was_failing)
            return "delivered" if done else "lease_lost"
        result = self._failed(endpoint, dispatch, _why(reply), reply)
        if reply.status == GONE:
            self.dispatches.disable(endpoint.id, "it answered 410 Gone")
        return result

    def _failed(self, endpoint: Endpoint, dispatch: Dispatch, why: str, reply: Reply | None) -> str:
        asked = reply.retry_after if reply is not None else None
        tried = dispatch.attempts + 1
        verdict = decide_retry(
            policy=DELIVERY, attempts=tried, random=self.random, retry_after=asked
        )
        wait = None if isinstance(verdict, GiveUp) else verdict.wait
        done = self.dispatches.failed(
            dispatch,
            why,
            wait=wait,
            rest=self._rest(endpoint.failures + 1, asked),
            gives_way=tried >= GIVES_WAY_AFTER and _is_at_fault(endpoint, dispatch, reply),
        )
        if not done:
            return "lease_lost"
        return "failed" if wait is None else "retrying"

    def _rest(self, failures: int, retry_after: timedelta | None) -> timedelta | None:
        """How long the whole endpoint is left alone, if it failed often or asks for it."""
        asked = min(retry_after, LONGEST_REST) if retry_after is not None else None
        if failures < PATIENCE:
            return asked
        verdict = decide_retry(
            policy=REST, attempts=min(failures - PATIENCE + 1, 7), random=self.random
        )
        wait = verdict.wait if isinstance(verdict, RetryIn) else REST.cap
        return max(wait, asked) if asked is not None else wait


def _is_at_fault(endpoint: Endpoint, dispatch: Dispatch, reply: Reply | None) -> bool:
    """Whether the application refuses this one, not all: it says so, or took others meanwhile."""
    if reply is not None and reply.status in _REFUSED and reply.status not in _LATER:
        return True
    return endpoint.failures < dispatch.attempts


def _why(reply: Reply) -> str:
    if reply.status in _MOVED:
        return f"answered {reply.status}: redirects are not followed, give the address itself"
    return f"answered {reply.status}"
