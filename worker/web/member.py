"""Members' pages: GET shows, POST accepts, so that a link scanner accepts nothing (E6).

Whatever is wrong with a link (used, expired, revoked, made up, somebody else's) is one page with
one status after one look at the database: nobody learns whether a token, an address or an account
ever was. Who is wrong often waits, each client by itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from domain.consequences import LinkKind
from domain.display import one_line, shown_address
from domain.errors import NothingFoundError, RefusedError
from domain.exchange import same_address
from domain.ports import InfrastructureError
from worker import telemetry
from worker.adapters.networks import client_of, networks_of
from worker.bootstrap import Container
from worker.web.buckets import Buckets

PATHS = {"/invitations": LinkKind.INVITATION, "/email-changes": LinkKind.EMAIL_CHANGE}
#: What becomes of a request; each is counted.
SHOWN, ACCEPTED, REFUSED, LIMITED, AWAY = "shown", "accepted", "refused", "limited", "unavailable"
RESULTS = (SHOWN, ACCEPTED, REFUSED, LIMITED, AWAY)
#: The page for every link that does not work.
REFUSED_STATUS = 410
RETRY_SECONDS = 5
_TEMPLATES = Path(__file__).parent / "member_pages"


def routes(parts: Container) -> list[Route]:
    """Both kinds of links, and the style of their pages."""
    for kind in LinkKind:
        for result in RESULTS:
            telemetry.MEMBER_PAGES.labels(kind.value, result)
    pages = _Pages(parts)
    found = [Route("/member.css", pages.style, methods=["GET"])]
    for path, kind in PATHS.items():
        route = Route(f"{path}/{{token}}", pages.endpoint(kind), methods=["GET", "POST"])
        found.append(route)
    return found


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["line"] = one_line
    pages.filters["address"] = shown_address
    return pages


class _Pages:
    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._trusted = networks_of(parts.settings.trusted_proxies)
        # People mistype, programs guess: a minute's worth at once, then one by one.
        wrong = parts.settings.wrong_links_per_minute
        self._wrong = Buckets(size=wrong, per_second=wrong / 60, clock=time.monotonic)

    def style(self, _request: Request) -> Response:
        """The style sheet of the pages."""
        text = (_TEMPLATES / "member.css").read_text(encoding="utf-8")
        return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    def endpoint(self, kind: LinkKind) -> Callable[[Request], Response]:
        """The handler for one kind of link; it runs in a thread."""

        def handle(request: Request) -> Response:
            result, answer = self._answer(request, kind)
            telemetry.MEMBER_PAGES.labels(kind.value, result).inc()
            return answer

        return handle

    def _answer(self, request: Request, kind: LinkKind) -> tuple[str, Response]:
        client = self._client(request)
        if (seconds := self._wrong.wait(client)) > 0:
            return LIMITED, self._page("wait", 429, kind, retry_after=math.ceil(seconds))
        try:
            if request.method == "POST":
                result, answer = self._accept(request.path_params["token"], kind)
            else:
                result, answer = self._show(request.path_params["token"], kind)
        except InfrastructureError:
            return AWAY, self._page("later", 503, kind, retry_after=RETRY_SECONDS)
        if result == REFUSED:
            self._wrong.take(client)
        return result, answer

    def _client(self, request: Request) -> str:
        peer = request.client.host if request.client is not None else ""
        forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
        return client_of(peer, forwarded, self._trusted)

    def _show(self, token: str, kind: LinkKind) -> tuple[str, Response]:
        link = self._parts.members.look(token, kind)
        if link is None or link.state != "open":
            return REFUSED, self._page("refused", REFUSED_STATUS, kind)
        return SHOWN, self._page("ask", 200, kind, link=link)

    def _accept(self, token: str, kind: LinkKind) -> tuple[str, Response]:
        link = self._parts.members.look(token, kind)
        if link is None or not (link.state == "open" or link.was_just_accepted):
            return REFUSED, self._page("refused", REFUSED_STATUS, kind)
        try:
            after = self._parts.members.answer(token, kind)
        except (NothingFoundError, RefusedError):
            return REFUSED, self._page("refused", REFUSED_STATUS, kind)
        is_promised = not same_address(after.email, link.address)
        return ACCEPTED, self._page("promised" if is_promised else "accepted", 200, kind, link=link)

    def _page(
        self, state: str, status: int, kind: LinkKind, *, retry_after: int = 0, **fields: object
    ) -> Response:
        template = _pages().get_template("member.html")
        page = template.render(state=state, kind=kind.value, **fields)
        return HTMLResponse(
            page, status, {"Retry-After": str(retry_after)} if retry_after else None
        )
