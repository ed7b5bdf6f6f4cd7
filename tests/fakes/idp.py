"""What the vendors' fakes share: a real HTTP server that fails as servers do, when told to."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class Fault(StrEnum):
    """How an answer goes wrong."""

    HANG = "hang"
    ERROR = "500"
    UNAVAILABLE = "503"
    GARBAGE = "garbage"
    HALF = "half"
    HTML = "html"
    REDIRECT = "redirect"
    PROXY_MISSING = "404 of a proxy"
    LIMITED = "429"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class Answer:
    """What goes back. links: each sent as a header of its own, as Okta does."""

    status: int
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)


class FakeIDP:
    """Keeps what it was asked. fault: of every answer; faults: of the next ones.

    limit: so many requests a window, None for any number. shift: its clock beside ours, seconds.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.fault: Fault | None = None
        self.faults: deque[Fault | None] = deque()
        self.limit: int | None = None
        self.window_seconds = 60.0
        self.shift = 0.0
        self.has_date = True
        self.at_once = self.most_at_once = 0
        self.let_go = threading.Event()
        self._window: tuple[float, int] = (0.0, 0)
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                fake._take(self)

            def do_POST(self) -> None:
                fake._take(self)

            def do_PATCH(self) -> None:
                fake._take(self)

            def do_DELETE(self) -> None:
                fake._take(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[Self]:
        thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.let_go.set()
            self.server.shutdown()
            self.server.server_close()
            thread.join()

    def now(self) -> float:
        """By its own clock."""
        return time.time() + self.shift

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        told = {name.lower(): value for name, value in handler.headers.items()}
        asked = Asked(handler.command, parts.path, query, told, body)
        with self._lock:
            self.asked.append(asked)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            fault = self.faults.popleft() if self.faults else self.fault
        try:
            self._reply(handler, asked, fault)
        finally:
            with self._lock:
                self.at_once -= 1

    def _reply(self, handler: BaseHTTPRequestHandler, asked: Asked, fault: Fault | None) -> None:
        if fault is Fault.HANG:
            self.let_go.wait(60)
            handler.close_connection = True
            return
        if fault is not None and fault is not Fault.HALF:
            self._send(handler, *_BROKEN[fault])
            return
        answer = self._limited(asked) or self.answer(asked)
        content = b"" if answer.status == 204 else json.dumps(answer.document).encode()
        headers = [("Content-Type", "application/json"), *answer.headers.items()]
        headers += [("Link", link) for link in answer.links]
        self._send(handler, answer.status, content, headers, is_half=fault is Fault.HALF)

    def _limited(self, asked: Asked) -> Answer | None:
        if self.limit is None:
            return None
        with self._lock:
            begun, count = self._window
            if self.now() >= begun + self.window_seconds:
                begun, count = self.now(), 0
            self._window = (begun, count + 1)
        reset = begun + self.window_seconds
        return self.limited(asked, reset) if count >= self.limit else None

    def limited(self, asked: Asked, reset: float) -> Answer:
        """How the vendor says no; reset: when it says yes again, by its clock."""
        raise NotImplementedError

    def _send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        content: bytes,
        headers: list[tuple[str, str]],
        *,
        is_half: bool = False,
    ) -> None:
        handler.send_response_only(status)
        if self.has_date:
            handler.send_header("Date", handler.date_time_string(int(self.now())))
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2] if is_half else content)
        if is_half:
            handler.close_connection = True


_JSON = [("Content-Type", "application/json")]
_HTML = [("Content-Type", "text/html; charset=utf-8")]
_BROKEN: Mapping[Fault, tuple[int, bytes, list[tuple[str, str]]]] = {
    Fault.ERROR: (500, b'{"errorCode": "E0000009"}', _JSON),
    Fault.UNAVAILABLE: (503, b"", [("Retry-After", "7")]),
    Fault.GARBAGE: (200, b'{"id": "00u1", "status": "ACT', _JSON),
    Fault.HTML: (200, b"<html>Sign in</html>", _HTML),
    Fault.REDIRECT: (302, b"", [("Location", "http://127.0.0.1:1/login")]),
    Fault.PROXY_MISSING: (404, b'{"message": "no Route matched"}', _JSON),
    Fault.LIMITED: (429, b"{}", [*_JSON, ("Retry-After", "3")]),
}
