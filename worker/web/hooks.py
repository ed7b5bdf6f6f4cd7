"""`/hooks/{feed_id}`: where identity providers' webhooks come in.

2xx only after the commit (G1); never a 4xx for a reason of ours, nor a 5xx for what a body says.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from domain.intake import FeedView, Submission
from domain.ports import InfrastructureError, Reply, Source
from domain.ports import Request as HookRequest
from worker import telemetry
from worker.bootstrap import Container
from worker.services.receive import Refusal, receive
from worker.web.body import ClientDisconnect, EncodingError, TooLargeError, read_body
from worker.web.intake import Intake

#: An unknown feed answers as a wrong signature does, so that ids cannot be probed.
NOT_AUTHENTIC = {"error": "not authentic"}
TRY_LATER = {"Retry-After": "5"}


def routes(parts: Container, intake: Intake) -> list[Route]:
    """The hook endpoint, with the methods that handshakes use."""
    hooks = _Hooks(parts, intake)
    return [Route("/hooks/{feed_id}", hooks.answer, methods=["GET", "POST", "OPTIONS"])]


class _Hooks:
    def __init__(self, parts: Container, intake: Intake) -> None:
        self._parts = parts
        self._intake = intake

    async def answer(self, request: Request) -> Response:
        """Authenticate, store, answer."""
        try:
            return await self._answer(request)
        except InfrastructureError as error:
            self._parts.log.warning("ingest_unavailable", why=str(error))
            return JSONResponse({"error": "cannot store now"}, 503, TRY_LATER)
        except ClientDisconnect:
            return Response(status_code=400)

    async def _answer(self, request: Request) -> Response:
        feed_id = request.path_params["feed_id"]
        feed = self._intake.remembered(feed_id)
        if feed is None:
            feed = await asyncio.to_thread(self._intake.feed, feed_id)
        source = self._parts.source_named(feed.source) if feed is not None else None
        limit = self._parts.settings.max_body_bytes
        try:
            body = await read_body(
                request, limit=min(limit, source.max_body_bytes) if source else limit
            )
        except TooLargeError:
            return self._too_large(feed_id, source)
        except EncodingError as error:
            return JSONResponse({"error": str(error)}, 415)
        if feed is None or source is None:
            self._intake.count("unknown", "unknown", "unknown_feed")
            return JSONResponse(NOT_AUTHENTIC, 401)
        hook = HookRequest(
            request.method,
            {name.lower(): value for name, value in request.headers.items()},
            body,
            dict(request.query_params),
        )
        return await self._take(feed, source, hook)

    def _too_large(self, feed_id: str, source: Source | None) -> Response:
        name = source.name if source is not None else "unknown"
        self._intake.count(feed_id if source is not None else "unknown", name, "too_large")
        self._parts.log.warning("hook_too_large", feed=feed_id)
        return JSONResponse({"error": "body too large"}, 413)

    async def _take(self, feed: FeedView, source: Source, hook: HookRequest) -> Response:
        began = time.perf_counter()
        taken = receive(feed, source, hook, now=datetime.now(UTC))
        match taken:
            case Refusal():
                self._intake.count(feed.id, source.name, taken.result)
                return JSONResponse(NOT_AUTHENTIC, 401)
            case Reply():
                self._intake.count(feed.id, source.name, "handshake")
                return Response(taken.body, taken.status, media_type=taken.media_type)
            case Submission():
                pass
        if hook.method != "POST":
            return JSONResponse({"error": "only POST carries events"}, 405)
        stored = await self._intake.store(taken)
        for result, times in (
            ("stored", len(stored.events)),
            ("duplicate", stored.duplicates),
            ("conflict", stored.conflicts),
        ):
            if times:
                self._intake.count(feed.id, source.name, result, times)
        telemetry.ACK_LATENCY.labels(source.name).observe(time.perf_counter() - began)
        return Response(status_code=taken.success_status)
