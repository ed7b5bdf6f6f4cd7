"""`/hooks/{feed_id}`: where identity providers' webhooks come in.

2xx only after the commit (G1); never a 4xx for a reason of ours, nor a 5xx for what a body says.
A plain ASGI application in front of all routing: a framework's layers cost as much as the rest.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from domain.intake import FeedView, Submission
from domain.ports import (
    InfrastructureError,
    KeysNeededError,
    NotAuthenticError,
    Reply,
    Source,
)
from domain.ports import Request as HookRequest
from worker import telemetry
from worker.adapters.tracing import Request, with_traceparent
from worker.bootstrap import Container
from worker.services.receive import Refusal, receive, refused
from worker.web.body import ClientDisconnect, EncodingError, TooLargeError, read_body
from worker.web.intake import Intake

#: An unknown feed answers as a wrong signature does, so that ids cannot be probed.
NOT_AUTHENTIC = {"error": "not authentic"}
TRY_LATER = {"Retry-After": "5"}
PREFIX = "/hooks/"
#: How traces call it: without the feed, which is told beside it.
ROUTE = "/hooks/{feed}"
METHODS = ("GET", "POST", "OPTIONS")
_ID = re.compile(r"[0-9a-z_]{1,40}")


class Hooks:
    """The hook endpoint, for the methods that deliveries and handshakes use."""

    def __init__(self, parts: Container, intake: Intake) -> None:
        self._parts = parts
        self._intake = intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, store, answer."""
        if self._parts.traces is None:
            response = await self._answered(scope, receive, None)
        else:
            with self._parts.traces.request(ROUTE, scope["method"], dict(_texts(scope))) as traced:
                response = await self._answered(scope, receive, traced)
                traced.answered(response.status_code)
        await response(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, traced: Request | None) -> Response:
        try:
            return await self._answer(scope, receive, traced)
        except InfrastructureError as error:
            self._parts.log.warning("ingest_unavailable", why=str(error))
            return JSONResponse({"error": "cannot store now"}, 503, TRY_LATER)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            self._parts.log.exception("hook_failed")
            return JSONResponse({"error": "internal error"}, 500)

    async def _answer(self, scope: Scope, receive: Receive, traced: Request | None) -> Response:
        if scope["method"] not in METHODS:
            return JSONResponse({"error": "only POST carries events"}, 405, {"Allow": "POST"})
        feed_id = scope["path"].removeprefix(PREFIX)
        headers = dict(_texts(scope))
        feed = self._intake.remembered(feed_id)
        # Whatever a path holds: not every text can be asked for in SQL, or is worth remembering.
        if feed is None and _ID.fullmatch(feed_id):
            feed = await self._look_up(feed_id)
        source = self._parts.source_named(feed.source) if feed is not None else None
        limit = self._parts.settings.max_body_bytes
        try:
            body = await read_body(
                headers, receive, limit=min(limit, source.max_body_bytes) if source else limit
            )
        except TooLargeError:
            return self._too_large(feed_id, source)
        except EncodingError as error:
            return JSONResponse({"error": str(error)}, 415)
        if feed is None or source is None:
            self._intake.count("unknown", telemetry.UNKNOWN_SOURCE, "unknown_feed")
            return JSONResponse(NOT_AUTHENTIC, 401)
        query = dict(QueryParams(scope["query_string"])) if scope["query_string"] else {}
        hook = HookRequest(scope["method"], headers, body, query)
        return await self._take(feed, source, hook, traced)

    async def _look_again(
        self, feed: FeedView, source: Source, hook: HookRequest, before: Refusal
    ) -> Submission | Reply | Refusal:
        """A secret may be younger than what is remembered (C3), and a 401 deletes the event."""
        fresh = await self._intake.anew(feed.id, time.monotonic())
        return before if fresh is None else await self._received(fresh, source, hook)

    async def _received(
        self, feed: FeedView, source: Source, hook: HookRequest
    ) -> Submission | Reply | Refusal:
        """Keys that are not known are read once; what they do not prove then is refused."""
        keys = self._intake.keys
        try:
            return receive(keys.filled(feed), source, hook, now=datetime.now(UTC))
        except KeysNeededError as needed:
            await keys.renewed(needed.url)
        try:
            return receive(keys.filled(feed), source, hook, now=datetime.now(UTC))
        except KeysNeededError:
            return refused(source, NotAuthenticError("wrong", "invalid_key"))

    async def _look_up(self, feed_id: str) -> FeedView | None:
        try:
            return await asyncio.to_thread(self._intake.feed, feed_id)
        except InfrastructureError:
            telemetry.received(telemetry.UNKNOWN_SOURCE, telemetry.UNAVAILABLE).inc()
            raise

    def _too_large(self, feed_id: str, source: Source | None) -> Response:
        name = source.name if source is not None else "unknown"
        self._intake.count(feed_id if source is not None else "unknown", name, "too_large")
        self._parts.log.warning("hook_too_large", feed=feed_id)
        return JSONResponse({"error": "body too large"}, 413)

    async def _take(
        self, feed: FeedView, source: Source, hook: HookRequest, traced: Request | None
    ) -> Response:
        began = time.perf_counter()
        taken = await self._received(feed, source, hook)
        if isinstance(taken, Refusal) and taken.result == "wrong":
            taken = await self._look_again(feed, source, hook, taken)
        match taken:
            case Refusal():
                self._intake.count(feed.id, source.name, taken.result)
                return _refused(taken.reply)
            case Reply():
                self._intake.count(feed.id, source.name, "handshake")
                return _greeted(taken)
            case Submission() if traced is not None:
                taken = replace(taken, headers=with_traceparent(taken.headers, traced.traceparent))
        if hook.method != "POST":
            return JSONResponse({"error": "only POST carries events"}, 405)
        try:
            stored = await self._intake.store(taken)
        except InfrastructureError:
            # Not in the database's own count of results: that is what is away.
            telemetry.received(source.name, telemetry.UNAVAILABLE).inc()
            raise
        finally:
            telemetry.ack_latency(source.name).observe(time.perf_counter() - began)
        if stored.is_closed:
            self._intake.count(feed.id, source.name, "unknown_feed")
            return JSONResponse(NOT_AUTHENTIC, 401)
        for result, times in (
            ("stored", len(stored.events)),
            ("duplicate", stored.duplicates),
            ("conflict", stored.conflicts),
        ):
            if times:
                self._intake.count(feed.id, source.name, result, times)
        return Response(status_code=taken.success_status)


def _texts(scope: Scope) -> Iterator[tuple[str, str]]:
    return ((n.decode("latin-1"), value.decode("latin-1")) for n, value in scope["headers"])


def _greeted(reply: Reply) -> Response:
    """Text that a stranger chose is text, whatever a browser would make of it."""
    headers = {"X-Content-Type-Options": "nosniff", **reply.headers}
    return Response(reply.body, reply.status, headers, media_type=reply.media_type)


def _refused(reply: Reply | None) -> Response:
    if reply is None:
        return JSONResponse(NOT_AUTHENTIC, 401)
    return Response(reply.body, reply.status, media_type=reply.media_type)
