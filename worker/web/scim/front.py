"""What every SCIM request passes: token, rate, body; every failure is an error of RFC 7644."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from domain.ports import InfrastructureError, UnparseableError
from worker import telemetry
from worker.adapters.db.engine import translated
from worker.adapters.db.scim_speakers import Spoken, note_dialect, note_heard, speaker_of
from worker.adapters.scim.dialect import spoken_by
from worker.adapters.scim.errors import SCIMError, invalid_syntax, not_allowed, not_found
from worker.adapters.scim.openapi import openapi
from worker.adapters.scim.prepass import without_passwords
from worker.adapters.sources.scim import NAME
from worker.adapters.sources.strict_json import read_json
from worker.adapters.tracing import HEADER
from worker.bootstrap import Container
from worker.web.api.caller import Rates
from worker.web.body import ClientDisconnect, EncodingError, TooLargeError, read_body
from worker.web.intake import Intake
from worker.web.scim.call import MEDIA_TYPE, READ, WRITE, Call, Reply
from worker.web.scim.routes import ENDPOINTS, allowed, handler_of
from worker.web.scim.together import Together

PREFIX = "/scim/v2"
#: How traces call all of it.
ROUTE = PREFIX
#: Where the service describes itself to whoever asks, without a token.
DESCRIBED = ("openapi.json",)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_READS = ("GET", "HEAD")
_BODILESS = (*_READS, "DELETE")
_LONGEST_FEED = 40
#: Bytes of a body that are read from anybody.
_SMALL = 64 * 1024
_LENGTH = re.compile(r"[0-9]{1,9}", re.ASCII)
_JSON = re.compile(r"application/([a-z0-9.-]+\+)?json\s*(;.*)?", re.IGNORECASE)
#: Threads that read, or write and wait for others that write; each may keep one connection.
THREADS = 8
#: Answers that have no length (RFC 9110, 8.6).
_EMPTY = (204, 304)
_LATER = 5
_UNAUTHORIZED = {"WWW-Authenticate": 'Bearer realm="rosterd"'}
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Scim:
    """The SCIM service as an ASGI application, for every path under `/scim/v2`."""

    def __init__(self, parts: Container, intake: Intake) -> None:
        self._parts = parts
        self._intake = intake
        self._together = Together(lambda: parts.provision)
        self._rates = Rates(parts.settings.scim_rate)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="scim")

    def stop(self) -> None:
        """Finish what was begun."""
        self._threads.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        began = time.perf_counter()
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if self._parts.traces is None:
            reply = await self._answered(scope, headers, receive)
        else:
            with self._parts.traces.request(ROUTE, scope["method"], headers) as traced:
                carried = {**headers, HEADER: traced.traceparent}
                reply = await self._answered(scope, carried, receive)
                traced.answered(reply.status)
        telemetry.ack_latency(NAME).observe(time.perf_counter() - began)
        await self._send(reply, send, is_head=scope["method"] == "HEAD")

    async def _answered(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Reply:
        try:
            return await self._reply(scope, headers, receive)
        except SCIMError as error:
            return _refused(error)
        except InfrastructureError as error:
            self._parts.log.warning("scim_unavailable", why=str(error))
            self._intake.count("unknown", NAME, telemetry.UNAVAILABLE)
            return _refused(later("rosterd cannot store this now: nothing was done"))
        except ClientDisconnect:
            return _refused(invalid_syntax("the request ended early"))
        except Exception:
            self._parts.log.exception("scim_failed")
            return _refused(SCIMError(500, None, "this is a fault of rosterd"))

    # -- one request -------------------------------------------------------------------

    async def _reply(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Reply:
        feed, path = _place(scope)
        method = scope["method"]
        if any("\0" in part for part in path):
            raise not_found("there is no such place")
        if method not in METHODS:
            raise not_allowed("/" + "/".join(path), allowed(path))
        if path == DESCRIBED and method in _READS:
            return Reply(
                body=openapi(self._base(feed)), headers={"Content-Type": "application/json"}
            )
        loop = asyncio.get_running_loop()
        if self._is_small(headers, method):
            raw = await self._body(headers, receive, method)
            return await loop.run_in_executor(
                self._threads, self._admit_and_answer, scope, headers, raw
            )
        spoken = await loop.run_in_executor(self._threads, self._spoken, headers, feed)
        self._admit(spoken, method, path)
        raw = await self._body(headers, receive, method)
        return await loop.run_in_executor(self._threads, self._answer, spoken, scope, headers, raw)

    def _is_small(self, headers: Mapping[str, str], method: str) -> bool:
        """Whether the body may be read before anybody knows whose it is: one turn of a thread."""
        if method in _BODILESS:
            return True
        declared = headers.get("content-length", "")
        most = min(_SMALL, self._parts.settings.scim_max_body_bytes)
        is_plain = "content-encoding" not in headers and "transfer-encoding" not in headers
        return is_plain and _LENGTH.fullmatch(declared) is not None and int(declared) <= most

    def _admit_and_answer(self, scope: Scope, headers: Mapping[str, str], raw: bytes) -> Reply:
        feed, path = _place(scope)
        spoken = self._spoken(headers, feed)
        self._admit(spoken, scope["method"], path)
        return self._answer(spoken, scope, headers, raw)

    def _base(self, feed: str | None) -> str:
        """The service's own address, as it was asked under."""
        base = self._parts.settings.public_url.rstrip("/") + PREFIX
        return base if feed is None else f"{base}/{feed}"

    def _spoken(self, headers: Mapping[str, str], feed: str | None) -> Spoken:
        """Who speaks; raises SCIMError 401 for anybody else, whatever the reason."""
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        found = None
        if kind.lower() == "bearer" and bearer:
            with translated(), self._parts.kept_connections.read() as connection:
                found = speaker_of(connection, bearer.strip(), feed)
        if found is None:
            self._intake.count("unknown", NAME, "wrong" if bearer else "missing")
            raise SCIMError(401, None, "no token, or none that is live")
        note_heard(self._parts.database, found)
        return found

    def _admit(self, spoken: Spoken, method: str, path: tuple[str, ...]) -> None:
        """Scope and rate of the token; raises SCIMError."""
        is_search = path[-1:] == (".search",)
        wanted = READ if method in _READS or is_search else WRITE
        if wanted not in spoken.speaker.scopes:
            raise SCIMError(403, None, f"this needs a token with scope {wanted}")
        wait = self._rates.wait(spoken.speaker.token)
        if wait:
            self._intake.count(spoken.speaker.feed, NAME, "rate_limited")
            raise SCIMError(429, None, "this token asks too often", retry_after=int(wait) + 1)

    async def _body(self, headers: Mapping[str, str], receive: Receive, method: str) -> bytes:
        if method in _BODILESS:
            return b""
        limit = self._parts.settings.scim_max_body_bytes
        try:
            raw = await read_body(headers, receive, limit=limit)
        except TooLargeError:
            raise SCIMError(413, None, f"a body may have {limit} bytes") from None
        except EncodingError as error:
            raise SCIMError(415, None, str(error)) from None
        return raw

    def _answer(
        self,
        spoken: Spoken,
        scope: Scope,
        headers: Mapping[str, str],
        raw: bytes,
    ) -> Reply:
        feed, path = _place(scope)
        if scope["method"] not in _BODILESS and not _JSON.fullmatch(
            headers.get("content-type", MEDIA_TYPE)
        ):
            raise SCIMError(415, None, f"the body's content type is not {MEDIA_TYPE}")
        body = decoded(raw) if raw else None
        clean = without_passwords(body)
        if (dialect := spoken_by(headers.get("user-agent"), body)) is not None:
            note_dialect(self._parts.database, spoken, dialect)
        call = Call(
            parts=self._parts,
            together=self._together,
            speaker=spoken.speaker,
            method="GET" if scope["method"] == "HEAD" else scope["method"],
            path=path,
            base=self._base(feed),
            query=QueryParams(scope["query_string"]),
            headers=headers,
            body=clean,
            raw=raw,
            is_cut=clean is not body,
        )
        reply = handler_of(call)(call)
        self._intake.count(spoken.speaker.feed, NAME, "stored" if raw else "answered")
        return reply

    # -- answering ---------------------------------------------------------------------

    async def _send(self, reply: Reply, send: Send, *, is_head: bool) -> None:
        pieces = reply.body if isinstance(reply.body, Iterator) else None
        whole = b"" if pieces is not None or reply.body is None else orjson.dumps(reply.body)
        headers = [
            *((name.lower().encode(), value.encode()) for name, value in reply.headers.items()),
            *_HEADERS,
        ]
        if reply.body is not None and "Content-Type" not in reply.headers:
            headers.append((b"content-type", MEDIA_TYPE.encode()))
        if pieces is None and reply.status not in _EMPTY:
            headers.append((b"content-length", str(len(whole)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if pieces is not None and not is_head:
            await self._stream(pieces, send)
        body = b"" if is_head else whole
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _stream(self, pieces: Iterator[bytes], send: Send) -> None:
        loop = asyncio.get_running_loop()
        while True:
            piece = await loop.run_in_executor(self._threads, next, pieces, None)
            if piece is None:
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})


def _place(scope: Scope) -> tuple[str | None, tuple[str, ...]]:
    """The feed that the path names, if it does, and what is asked for.

    What begins otherwise than an endpoint, and goes on, names a feed: whether there is one such is
    for the token to say.
    """
    path = scope.get("raw_path") or scope["path"].encode()
    text = path.split(b"?")[0].decode("latin-1").removeprefix(PREFIX)
    parts = tuple(unquote(part, errors="replace") for part in text.split("/") if part)
    if len(parts) > 1 and parts[0].lower() not in ENDPOINTS:
        return parts[0][:_LONGEST_FEED], parts[1:]
    return None, parts


def decoded(raw: bytes) -> Any:
    """The JSON of a body; raises SCIMError."""
    try:
        return read_json(raw)
    except UnparseableError as error:
        raise invalid_syntax(str(error)) from None


def later(detail: str, seconds: int = _LATER) -> SCIMError:
    """Not now; the same request may be sent again."""
    return SCIMError(503, None, detail, retry_after=seconds)


def _refused(error: SCIMError) -> Reply:
    headers = dict(_UNAUTHORIZED) if error.status == 401 else {}  # noqa: PLR2004
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.allow:
        headers["Allow"] = ", ".join(error.allow)
    return Reply(error.status, error.body, headers)
