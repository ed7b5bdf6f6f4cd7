"""The few pages around signing in: plain, without scripts, with a style sheet of their own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from domain.display import with_escapes

_HERE = Path(__file__).parent


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["visible"] = with_escapes
    return pages


def page(template: str, status: int = 200, *, wait: int = 0, **fields: object) -> Response:
    """A page by its template. wait: seconds after which another try is worth it."""
    text = _pages().get_template(template).render(**fields)
    return HTMLResponse(text, status, {"Retry-After": str(wait)} if wait else None)


def style(_request: Request) -> Response:
    """The style sheet."""
    text = (_HERE / "sign_in.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=3600"})
