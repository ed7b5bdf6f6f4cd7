"""The API as one application: limits in front, routers behind, every error a problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.ports import InfrastructureError
from worker.adapters.vault import new_id
from worker.bootstrap import Container
from worker.web.api import (
    access,
    accounts,
    addresses,
    audit,
    connections,
    dead_letters,
    directory,
    directory_access,
    endpoints,
    erasures,
    event_edits,
    events,
    feeds,
    grants,
    groups,
    groups_by_hand,
    holds,
    meaning,
    observing,
    operators,
    reconciliations,
    recordings,
    replays,
    sources,
    status,
    subscriptions,
    templates,
    tokens,
    users,
    users_by_hand,
    users_by_operators,
)
from worker.web.api.caller import Rates
from worker.web.api.problems import (
    CODES,
    KINDS,
    SCHEMA,
    ProblemError,
    places,
    problem,
    responses,
)
from worker.web.api.writing import AgainError
from worker.web.body import ClientDisconnect, EncodingError, TooLargeError, read_body

PREFIX = "/api"
#: The routers, in the order of the description.
ROUTERS = (
    *(users.router, users_by_hand.router, groups.router, groups_by_hand.router, grants.router),
    *(events.router, audit.router, holds.router, status.router),
    *(accounts.router, tokens.router, connections.router, directory_access.router),
    *(subscriptions.router,),
    *(feeds.router, recordings.router, observing.router, endpoints.router, templates.router),
    *(users_by_operators.router, sources.router, directory.router, access.router),
    *(addresses.router, erasures.router, operators.router, reconciliations.router),
    *(dead_letters.router, replays.router, event_edits.router),
)
TRY_LATER = {"Retry-After": "5"}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_JSON = re.compile(r"application/([a-z0-9.-]+\+)?json\s*(;.*)?", re.IGNORECASE)


def build_api(parts: Container) -> _Front:
    """An ASGI application for every path under `/api`; nothing is opened before it is asked."""
    app = FastAPI(
        title="rosterd",
        version="1",
        description=__doc__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        # Spans would hold queries, and so people's addresses.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.parts = parts
    app.state.rates = Rates(parts.settings.api_rate)
    for router in ROUTERS:
        app.include_router(router, prefix="/v1", responses=responses())
    app.include_router(meaning.router)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    for error, answer in ANSWERS.items():
        app.add_exception_handler(error, answer)
    return _Front(app, parts)


def _described(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description="What applications and operators ask and change over HTTP.",
            routes=app.routes,
            servers=[{"url": PREFIX}],
        )
        schemas = document["components"]["schemas"]
        # The framework's own shape of errors is never sent.
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = SCHEMA
        app.openapi_schema = document
    return app.openapi_schema


class _Front:
    """What every request passes: an id, a limit for its body, headers of its answer."""

    def __init__(self, app: FastAPI, parts: Container) -> None:
        self._app = app
        self._parts = parts

    def description(self) -> dict[str, Any]:
        """What `/api/openapi.json` tells."""
        return self._app.openapi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what fails unforeseen is answered, too, and raised for the log."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id("req")
        state = {**scope.get("state", {}), "request_id": request_id}
        scope = {**scope, "state": state, "root_path": PREFIX}
        reply = _with_headers(send, request_id)
        if scope["method"] in BODILESS:
            await self._app(scope, receive, reply)
            return
        limit = self._parts.settings.max_body_bytes
        try:
            body = await read_body(headers, receive, limit=limit)
        except TooLargeError:
            refusal = problem("too_large", f"at most {limit} bytes", request_id=request_id)
        except EncodingError as error:
            refusal = problem("unsupported_media_type", str(error), request_id=request_id)
        except ClientDisconnect:
            refusal = problem("malformed", "the request ended early", request_id=request_id)
        else:
            if not body or _JSON.fullmatch(headers.get("content-type", "")):
                await self._app(scope, _once(body), reply)
                return
            told = "the body's content type is not JSON"
            refusal = problem("unsupported_media_type", told, request_id=request_id)
        await refusal(scope, receive, reply)


def _with_headers(send: Send, request_id: str) -> Send:
    more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    more.append((b"x-request-id", request_id.encode()))

    async def reply(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return reply


def _once(body: bytes) -> Receive:
    messages: Iterable[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(iter(messages), {"type": "http.disconnect"})

    return receive


def _request_id(request: Request) -> str:
    return str(request.state.request_id)


def _on_problem(request: Request, error: ProblemError) -> Response:
    return problem(
        error.code,
        error.detail,
        request_id=_request_id(request),
        headers=error.headers,
        **error.more,
    )


def _on_status(request: Request, error: HTTPException) -> Response:
    code = CODES.get(error.status_code, "invalid")
    detail = str(error.detail) if code == "malformed" else KINDS[code].remedy
    headers = error.headers
    if code == "method_not_allowed":
        headers = {"Allow": ", ".join(_methods(request))}
    return problem(code, detail, request_id=_request_id(request), headers=headers)


def _methods(request: Request) -> list[str]:
    """What this path may be asked with: each method has a route of its own."""
    asked = {name: request.scope[name] for name in ("type", "path", "root_path", "headers")}
    return [
        method
        for method in METHODS
        if any(
            route.matches({**asked, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def _on_invalid(request: Request, error: RequestValidationError) -> Response:
    errors = error.errors()
    if any(one["type"] == "json_invalid" for one in errors):
        return problem("malformed", "the body is no JSON", request_id=_request_id(request))
    found = places(errors)
    detail = "; ".join(f"{one['field']}: {one['detail']}" for one in found)
    return problem("invalid", detail, request_id=_request_id(request), errors=found)


def _on_nothing(request: Request, error: NothingFoundError) -> Response:
    return problem("not_found", str(error), request_id=_request_id(request))


def _on_wrong_use(request: Request, error: UsageError) -> Response:
    return problem("invalid", str(error), request_id=_request_id(request))


def _on_refusal(request: Request, error: RefusedError) -> Response:
    code = error.code if error.code in KINDS else "refused"
    return problem(code, str(error), request_id=_request_id(request))


def _on_away(request: Request, error: InfrastructureError) -> Response:
    parts: Container = request.app.state.parts
    parts.log.warning("api_unavailable", why=str(error), request=_request_id(request))
    return problem(
        "unavailable", "try again later", request_id=_request_id(request), headers=TRY_LATER
    )


def _on_failure(request: Request, _error: Exception) -> Response:
    parts: Container = request.app.state.parts
    parts.log.error("api_failed", request=_request_id(request), path=request.url.path)
    return problem("internal", "this is a fault of rosterd", request_id=_request_id(request))


def _of(handler: Callable[[Request, Any], Response]) -> Callable[[Request, Exception], Response]:
    async def answer(request: Request, error: Exception) -> Response:
        return handler(request, error)

    return cast("Callable[[Request, Exception], Response]", answer)


ANSWERS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    AgainError: _of(lambda _request, error: error.response),
    ProblemError: _of(_on_problem),
    HTTPException: _of(_on_status),
    RequestValidationError: _of(_on_invalid),
    NothingFoundError: _of(_on_nothing),
    UsageError: _of(_on_wrong_use),
    RefusedError: _of(_on_refusal),
    InfrastructureError: _of(_on_away),
    Exception: _of(_on_failure),
}
