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
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from domain.display import with_escapes
from domain.ports import InfrastructureError
from worker.adapters.db.narrowing import state_of
from worker.bootstrap import Container
from worker.web.console.figures import figures
from worker.web.signin.session import csrf_token, signed_in, still_signed_in

HERE = Path(__file__).parent
MEDIA = {"status.css": "text/css", "status.js": "text/javascript"}
#: The page is rendered anew this often, and sent when it differs.
REFRESH_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0


def routes(parts: Container) -> list[Route]:
    """The page, its stream, its style and script."""
    page = _Page(parts)
    return [
        Route("/", page.status),
        Route("/status/stream", page.stream),
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
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(self._static[name], media_type=MEDIA[name], headers=headers)

    def status(self, request: Request) -> Response:
        """The page of whoever is signed in."""
        try:
            reader = signed_in(request)
            fragment = self._fragment(reader.home)
        except InfrastructureError as error:
            return self._render("away.html", 503, why=str(error))
        return self._render("status.html", fragment=fragment, csrf=csrf_token(request))

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
        return HTMLResponse(text, status)

    async def stream(self, request: Request) -> Response:
        """The page's main part again whenever it differs."""
        if await asyncio.to_thread(still_signed_in, request) is None:
            return Response(status_code=401)
        headers = {"X-Accel-Buffering": "no"}
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
                reader = await asyncio.to_thread(still_signed_in, request)
                if reader is None:
                    return
                now = await asyncio.to_thread(self._fragment, reader.home)
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
