"""What every page of the console stands in: templates, headers, errors as pages, live parts."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from domain.display import with_escapes
from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.permissions import Asker, NotPermittedError, Permission
from domain.ports import InfrastructureError
from domain.sign_in import NotSignedInError, local_path
from worker.bootstrap import Container
from worker.web.body import ClientDisconnect, EncodingError, TooLargeError, read_body
from worker.web.console import words
from worker.web.console.call import SAID, Call
from worker.web.signin.session import (
    CrossSiteError,
    check_csrf,
    csrf_token,
    signed_in,
    still_signed_in,
)

HERE = Path(__file__).parent
MEDIA = {"console.css": "text/css", "live.js": "text/javascript"}
THEME, THEMES = "rosterd_theme", ("auto", "light", "dark")
#: Of an address with its filters, and of a form.
LONGEST_QUERY, LONGEST_FORM = 4_000, 64_000
#: A live part is rendered anew this often, and sent when it differs.
REFRESH_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
#: Live parts that one process keeps going at the same time.
MOST_STREAMS = 100

Handler = Callable[[Call], Response]
Fields = Callable[[Call], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Live:
    """A page with a part that follows what happens. stream: where it is followed."""

    path: str
    stream: str
    template: str
    part: str
    fields: Fields
    permission: Permission = Permission.VIEW


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["visible"] = with_escapes
    pages.globals |= words.SHOWN
    return pages


class Frame:
    """Renders pages for whoever is signed in, and turns errors into pages that say what next."""

    def __init__(self, parts: Container) -> None:
        self.parts = parts
        self._static = {name: (HERE / "static" / name).read_bytes() for name in MEDIA}
        self._marks = {n: hashlib.sha256(t).hexdigest()[:10] for n, t in self._static.items()}
        self._shared = _Shared()
        self._streams = 0

    # -- pages ---------------------------------------------------------------------------

    def page(self, path: str, handler: Handler, permission: Permission = Permission.VIEW) -> Route:
        """A page that is looked at."""
        return Route(path, partial(self._shown, handler, permission), methods=["GET"])

    def form(self, path: str, handler: Handler, permission: Permission) -> Route:
        """Something that is done by a form; it tells by `Call.done`."""

        async def act(request: Request) -> Response:
            try:
                form = await _form(request)
            except (UsageError, ClientDisconnect) as error:
                return self._failed(request, None, 400, "This form cannot be read", str(error))
            return await asyncio.to_thread(self._done, handler, permission, form, request)

        return Route(path, act, methods=["POST"])

    def live(self, view: Live) -> list[Route]:
        """A page and the stream of its live part."""

        def whole(call: Call) -> Response:
            query = call.request.url.query
            stream = view.stream.format(**call.request.path_params)
            live = f"{stream}?{query}" if query else stream
            return call.render(view.template, live=live, part=view.part, **view.fields(call))

        return [
            self.page(view.path, whole, view.permission),
            Route(view.stream, partial(self._stream, view), methods=["GET"]),
        ]

    def _shown(self, handler: Handler, permission: Permission, request: Request) -> Response:
        return self._answered(
            request, lambda asker: self._call(handler, permission, request, asker)
        )

    def _call(
        self, handler: Handler, permission: Permission, request: Request, asker: Asker
    ) -> Response:
        _insist_short(request)
        asker.check(permission)
        return handler(Call(self.parts, request, asker, self))

    def _done(
        self, handler: Handler, permission: Permission, form: dict[str, str], request: Request
    ) -> Response:
        def act(asker: Asker) -> Response:
            check_csrf(request, form)
            asker.check(permission)
            return handler(Call(self.parts, request, asker, self, form))

        return self._answered(request, act)

    def _answered(self, request: Request, answer: Callable[[Asker], Response]) -> Response:
        asker = None
        try:
            asker = signed_in(request)
            return answer(asker)
        except InfrastructureError as error:
            if not error.is_slow:
                return self.plain("away.html", 503, why=str(error))
            why = "The database took longer than ten seconds. Narrow the search, or try later."
            return self._failed(request, asker, 503, "This takes too long", why)
        except NotSignedInError:
            # The application's: it leads to the sign-in and back.
            raise
        except (UsageError, NothingFoundError, RefusedError) as error:
            return self._failed(request, asker, *_told(error))
        except Exception:
            self.parts.log.exception("console_failed", path=request.url.path)
            why = "It is a fault of rosterd, and its log says more at this moment."
            return self._failed(request, asker, 500, "This went wrong", why)

    def _failed(
        self, request: Request, asker: Asker | None, status: int, title: str, why: str
    ) -> Response:
        may_help = request.method == "GET" and status not in (403, 404)
        told = {"title": title, "why": why, "may_help": may_help, "path": "/", "query": ""}
        if asker is None:
            return self.plain("failed.html", status, **told)
        call = Call(self.parts, request, asker, self)
        return self.render(call, "failed.html", status, now=None, **told)

    def nothing(self, request: Request) -> Response:
        """For an address that no page has."""
        why = "No page has this address."
        try:
            asker = signed_in(request)
        except (InfrastructureError, NotSignedInError):
            asker = None
        return self._failed(request, asker, 404, "There is no such page", why)

    def render(self, call: Call, template: str, status: int = 200, **fields: Any) -> Response:
        """A whole page; what the page before has done is told once."""
        said = unquote(call.request.cookies.get(SAID, ""))
        text = self._text(call, template, said=said, **fields)
        answer = HTMLResponse(text, status)
        if said:
            answer.delete_cookie(SAID)
        return answer

    def plain(self, template: str, status: int, **fields: Any) -> Response:
        """A page for somebody who is not signed in, or when nothing is known of them."""
        told = {"marks": self._marks, "theme": "auto", "asker": None, **fields}
        return HTMLResponse(_pages().get_template(template).render(told), status)

    def _text(self, call: Call, template: str, **fields: Any) -> str:
        told = {
            "marks": self._marks,
            "theme": theme_of(call.request),
            "asker": call.asker,
            "may": call.may,
            "csrf": csrf_token(call.request),
            "path": call.request.url.path,
            "query": call.request.query_params,
            "link": call.link,
            **fields,
        }
        if "now" not in told:
            told["now"] = call.now()
        return _pages().get_template(template).render(told)

    # -- what is not a page ----------------------------------------------------------------

    def static(self, request: Request) -> Response:
        """Style and script; their address changes with their content."""
        name = request.path_params["name"]
        if name not in self._static:
            return Response("no such file", 404)
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(self._static[name], media_type=MEDIA[name], headers=headers)

    async def theme(self, request: Request) -> Response:
        """Dark, light, or as the system says; for this browser, signed in or not."""
        try:
            form = await _form(request)
        except (UsageError, ClientDisconnect) as error:
            return self._failed(request, None, 400, "This form cannot be read", str(error))
        wanted = form.get("theme", "")
        answer = RedirectResponse(local_path(form.get("back", "/")), 303)
        if wanted in THEMES:
            answer.set_cookie(THEME, wanted, max_age=31_536_000, samesite="lax", httponly=True)
        return answer

    # -- live parts --------------------------------------------------------------------------

    async def _stream(self, view: Live, request: Request) -> Response:
        """The page's live part again whenever it differs."""
        try:
            first = await asyncio.to_thread(self._part, view, request)
        except NothingFoundError:
            return Response(status_code=404)
        except UsageError as error:
            return Response(str(error), 400)
        except InfrastructureError as error:
            return Response(str(error), 503, {"Retry-After": "5"})
        if first is None:
            return Response(status_code=401)
        if self._streams >= MOST_STREAMS:
            return Response("too many live pages", 503, {"Retry-After": "30"})
        headers = {"X-Accel-Buffering": "no"}
        beats = self._beats(view, request, first)
        return StreamingResponse(beats, media_type="text/event-stream", headers=headers)

    async def _beats(self, view: Live, request: Request, first: str) -> AsyncIterator[str]:
        """Until the session ends; the response itself notices that the reader has left.

        A second one who waits for that, here, makes granian tell both at once that it is so.
        """
        last, silent, now = "", 0.0, first
        self._streams += 1
        try:
            while True:
                if now != last:
                    last, silent = now, 0.0
                    yield "".join(f"data: {line}\n" for line in now.splitlines()) + "\n"
                elif silent >= HEARTBEAT_SECONDS:
                    silent = 0.0
                    yield ": still here\n\n"
                await asyncio.sleep(REFRESH_SECONDS)
                silent += REFRESH_SECONDS
                try:
                    found = await asyncio.to_thread(self._part, view, request)
                except InfrastructureError:
                    found = last
                except (NothingFoundError, UsageError):
                    found = None
                if found is None:
                    return
                now = found
        finally:
            self._streams -= 1

    def _part(self, view: Live, request: Request) -> str | None:
        """The live part as it is now; None where nobody is signed in any more, or may not."""
        asker = still_signed_in(request)
        if asker is None or not asker.may(view.permission):
            return None
        call = Call(self.parts, request, asker, self)
        key = (asker.name, request.url.path, request.url.query)

        def make() -> str:
            _insist_short(request)
            return self._text(call, view.part, **view.fields(call))

        return self._shared.get(key, make)


def _told(error: UsageError | NothingFoundError | RefusedError) -> tuple[int, str, str]:
    """Status, title and text of the page for an error that people meet."""
    if isinstance(error, UsageError):
        return 400, "This cannot be asked", str(error)
    if isinstance(error, NothingFoundError):
        # Without its name: another account's and one that never was are one page.
        return 404, "Nothing is here", f"There is no such {error.what}, or it is not yours to see."
    if isinstance(error, NotPermittedError | CrossSiteError):
        return 403, "You may not do this", str(error)
    return 409, "This was refused", str(error)


class _Shared:
    """Renderings that are good for a moment, for all windows of the same person."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str], tuple[threading.Lock, list[Any]]]
        self._known = OrderedDict()

    def get(self, key: tuple[str, str, str], make: Callable[[], str]) -> str:
        """What is at most a moment old; one renders, the others wait for it."""
        with self._lock:
            lock, kept = self._known.setdefault(key, (threading.Lock(), ["", 0.0]))
            self._known.move_to_end(key)
            while len(self._known) > 2 * MOST_STREAMS:
                self._known.popitem(last=False)
        with lock:
            if time.monotonic() >= kept[1]:
                kept[0] = make()
                kept[1] = time.monotonic() + REFRESH_SECONDS / 2
            return str(kept[0])


def theme_of(request: Request) -> str:
    """The theme that was chosen in this browser."""
    told = request.cookies.get(THEME, "auto")
    return told if told in THEMES else "auto"


def _insist_short(request: Request) -> None:
    if len(request.url.query) > LONGEST_QUERY:
        raise UsageError(
            f"the filter is {len(request.url.query):,} characters long; {LONGEST_QUERY:,} are the "
            "most: search for less at a time"
        )


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; raises UsageError for what is none, or too long."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise UsageError("send it with the page's own button")
    headers = dict(request.headers.items())
    receive: Callable[[], Awaitable[Any]] = request.receive
    try:
        body = await read_body(headers, receive, limit=LONGEST_FORM)
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1_000)
    except (TooLargeError, EncodingError, ValueError) as error:
        raise UsageError(str(error) or "it is too long") from error
    told: dict[str, str] = {}
    for name, value in pairs:
        # Boxes that are ticked share a name.
        told[name] = f"{told[name]},{value}" if name in told else value
    return told
