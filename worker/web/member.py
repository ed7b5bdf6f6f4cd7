"""Members' pages: GET shows, POST accepts, so that a link scanner accepts nothing (E6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from domain.consequences import LinkKind
from domain.errors import NothingFoundError, RefusedError
from domain.ports import InfrastructureError
from worker.bootstrap import Container

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PATHS = {"/invitations": LinkKind.INVITATION, "/email-changes": LinkKind.EMAIL_CHANGE}
_TEMPLATES = Path(__file__).parent / "member_pages"


def routes(parts: Container) -> list[Route]:
    """Both kinds of links, and the style of their pages."""
    pages = _Pages(parts)
    found = [Route("/member.css", pages.style, methods=["GET"])]
    for path, kind in PATHS.items():
        route = Route(f"{path}/{{token}}", pages.endpoint(kind), methods=["GET", "POST"])
        found.append(route)
    return found


class _Pages:
    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._pages = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(), trim_blocks=True
        )

    def style(self, _request: Request) -> Response:
        """The style sheet of the pages."""
        text = (_TEMPLATES / "member.css").read_text(encoding="utf-8")
        return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    def endpoint(self, kind: LinkKind) -> Callable[[Request], Response | Awaitable[Response]]:
        """The handler for one kind of link; it runs in a thread."""

        def handle(request: Request) -> Response:
            token = request.path_params["token"]
            try:
                if request.method == "POST":
                    return self._accept(token, kind)
                return self._show(token, kind)
            except InfrastructureError:
                return self._page("later", 503, kind=kind)

        return handle

    def _show(self, token: str, kind: LinkKind) -> Response:
        link = self._parts.members.look(token, kind)
        if link is None:
            return self._page("unknown", 404, kind=kind)
        if link.state != "open":
            status = 200 if link.state == "accepted" else 410
            return self._page(link.state, status, kind=kind, link=link)
        return self._page("ask", 200, kind=kind, link=link)

    def _accept(self, token: str, kind: LinkKind) -> Response:
        try:
            self._parts.members.answer(token, kind)
        except NothingFoundError:
            return self._page("unknown", 404, kind=kind)
        except RefusedError as error:
            return self._page("revoked", 410, kind=kind, why=str(error))
        link = self._parts.members.look(token, kind)
        return self._page("accepted", 200, kind=kind, link=link)

    def _page(self, state: str, status: int, **fields: object) -> Response:
        page = self._pages.get_template("member.html").render(state=state, **fields)
        return HTMLResponse(page, status, HEADERS)
