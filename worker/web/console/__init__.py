"""The operators' console: pages that need no script, alive by server-sent events where it runs."""

from __future__ import annotations

from starlette.routing import Route

from worker.bootstrap import Container
from worker.web.console import (
    audit,
    connections,
    dead_letters,
    directory,
    editing,
    events,
    going_live,
    group_acts,
    holds,
    now,
    people_acts,
    reading,
    replays,
)
from worker.web.console.frame import Frame

__all__ = ["routes"]


def routes(parts: Container) -> list[Route]:
    """Every page with its stream and forms, style and script, the way in and out."""
    frame = Frame(parts)
    pages = (
        now,
        events,
        directory,
        people_acts,
        group_acts,
        dead_letters,
        replays,
        editing,
        holds,
        connections,
        going_live,
        reading,
        audit,
    )
    return [
        *(route for page in pages for route in page.routes(frame)),
        Route("/theme", frame.theme, methods=["POST"]),
        Route("/static/{name}", frame.static, methods=["GET"]),
        Route("/{path:path}", frame.nothing, methods=["GET"]),
    ]
