"""The web application: every route over one container."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from worker.bootstrap import Container
from worker.web import console, health, hooks, member
from worker.web.intake import Intake


def build_web(parts: Container) -> Starlette:
    """An ASGI application; nothing is opened before it starts up."""
    intake = Intake(parts)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        intake.start()
        parts.log.info("web_started")
        yield
        intake.stop()
        parts.close()

    return Starlette(
        routes=[
            *hooks.routes(parts, intake),
            *health.routes(parts),
            *member.routes(parts),
            *console.routes(parts),
        ],
        lifespan=lifespan,
    )
