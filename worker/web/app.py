"""The web application: every route over one container."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.bootstrap import Container
from worker.web import api, console, health, member, signin
from worker.web.headers import Secured
from worker.web.hooks import PREFIX, Hooks
from worker.web.intake import Intake
from worker.web.scim import PREFIX as SCIM
from worker.web.scim import Scim


def build_web(parts: Container) -> ASGIApp:
    """An ASGI application; nothing is opened before it starts up."""
    intake = Intake(parts)
    scim = Scim(parts, intake)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        intake.start()
        parts.log.info("web_started")
        # Beside the start: a broker that does not answer must hold up no probe.
        threading.Thread(target=parts.warn_of_broker, name="broker-check", daemon=True).start()
        yield
        scim.stop()
        intake.stop()
        parts.close()

    rest = Starlette(
        routes=[
            *health.routes(parts),
            *member.routes(parts),
            *signin.routes(parts),
            *console.routes(parts),
        ],
        exception_handlers=signin.REFUSALS,
        lifespan=lifespan,
    )
    rest.state.parts = parts
    # It would answer by the request's own Host, and fail on a query that is no UTF-8.
    rest.router.redirect_slashes = False
    hooks = Hooks(parts, intake)
    interface = api.build_api(parts)
    pages = Secured(rest)

    async def web(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        try:
            if path.startswith(PREFIX):
                await hooks(scope, receive, send)
            elif path == SCIM or path.startswith(f"{SCIM}/"):
                await scim(scope, receive, send)
            elif path.startswith(f"{api.PREFIX}/"):
                await interface(scope, receive, send)
            else:
                await pages(scope, receive, send)
        except Exception:
            # Answered already. Said here, because a server would print what nobody has redacted.
            parts.log.exception("request_failed")

    return web
