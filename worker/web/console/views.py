"""Views of the operators' page."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from domain.display import with_escapes
from domain.ports import InfrastructureError
from worker.adapters.db.narrowing import state_of
from worker.adapters.db.operators import SESSION_LIFE, SignedIn
from worker.bootstrap import Container
from worker.web.console.figures import figures

HERE = Path(__file__).parent
COOKIE = "rosterd_session"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MEDIA = {"status.css": "text/css", "status.js": "text/javascript"}
#: The page is rendered anew this often, and sent when it differs.
REFRESH_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0


def routes(parts: Container) -> list[Route]:
    """The page, its stream, its style and script, and the way in and out."""
    page = _Page(parts)
    return [
        Route("/", page.status),
        Route("/status/stream", page.stream),
        Route("/sign-in/{token}", page.sign_in, methods=["GET", "POST"]),
        Route("/sign-out", page.sign_out, methods=["POST"]),
        Route("/static/{name}", page.static),
    ]


class _Page:
    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._pages = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.filters["visible"] = with_escapes
        self._rendering = threading.Lock()
        #: By the account that a reader belongs to: the rendering, and until when it is fresh.
        self._shared: dict[str | None, tuple[str, float]] = {}
        texts = {name: (HERE / "static" / name).read_bytes() for name in MEDIA}
        self._static = texts
        self._marks = {name: hashlib.sha256(text).hexdigest()[:10] for name, text in texts.items()}

    def static(self, request: Request) -> Response:
        """Style and script; their address changes with their content."""
        name = request.path_params["name"]
        if name not in self._static:
            return Response("no such file", 404)
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(self._static[name], media_type=MEDIA[name], headers=headers)

    def status(self, request: Request) -> Response:
        """The page, or how to get in."""
        try:
            reader = self._signed_in(request)
            if reader is None:
                return self._render("locked.html", 401)
            return self._render("status.html", fragment=self._fragment(reader.account))
        except InfrastructureError as error:
            return self._render("away.html", 503, why=str(error))

    def _signed_in(self, request: Request) -> SignedIn | None:
        token = request.cookies.get(COOKIE, "")
        return self._parts.operators.signed_in(token) if token else None

    def _fragment(self, account: str | None) -> str:
        """The page's main part; all who may see the same share one rendering a second (C4)."""
        with self._rendering:
            text, stale_at = self._shared.get(account, ("", 0.0))
            if time.monotonic() >= stale_at:
                shown = figures(state_of(self._parts.database, self._parts.gauges, account))
                text = self._pages.get_template("fragment.html").render(shown=shown)
                self._shared[account] = text, time.monotonic() + REFRESH_SECONDS
            return text

    def _render(self, name: str, status: int = 200, **fields: object) -> Response:
        text = self._pages.get_template(name).render(marks=self._marks, **fields)
        return HTMLResponse(text, status, HEADERS)

    async def stream(self, request: Request) -> Response:
        """The page's main part again whenever it differs."""
        if await asyncio.to_thread(self._signed_in, request) is None:
            return Response(status_code=401)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(
            self._beats(request), media_type="text/event-stream", headers=headers
        )

    async def _beats(self, request: Request) -> AsyncIterator[str]:
        """Until the session ends; the response itself notices that the reader has left.

        A second one who waits for that, here, makes granian tell both at once that it is so.
        """
        last, silent = "", 0.0
        while True:
            try:
                reader = await asyncio.to_thread(self._signed_in, request)
                if reader is None:
                    return
                now = await asyncio.to_thread(self._fragment, reader.account)
            except InfrastructureError:
                now = last
            if now != last:
                last, silent = now, 0.0
                yield "".join(f"data: {line}\n" for line in now.splitlines()) + "\n"
            elif silent >= HEARTBEAT_SECONDS:
                silent = 0.0
                yield ": still here\n\n"
            await asyncio.sleep(REFRESH_SECONDS)
            silent += REFRESH_SECONDS

    def sign_in(self, request: Request) -> Response:
        """GET shows a button, POST uses the link up: a scanner signs nobody in."""
        token = request.path_params["token"]
        if request.method == "GET":
            is_good = self._parts.operators.is_link(token)
            return self._render("sign_in.html", 200 if is_good else 410, is_good=is_good)
        session = self._parts.operators.sign_in(token)
        if session is None:
            return self._render("sign_in.html", 410, is_good=False)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            session,
            max_age=int(SESSION_LIFE.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=self._parts.settings.public_url.startswith("https"),
        )
        return answer

    def sign_out(self, request: Request) -> Response:
        """End the session."""
        self._parts.operators.sign_out(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(COOKIE)
        return answer
