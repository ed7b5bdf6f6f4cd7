"""An application that listens: a real HTTP server which keeps what it was told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Told:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def type(self) -> str:
        return str(self.document["type"])

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["data"]
        return found

    @property
    def subject(self) -> str:
        """By whom it is numbered."""
        return str(self.data["user"]["id"] if "user" in self.data else self.data["id"])

    def verified_by(self, secret: str) -> dict[str, Any]:
        """By the reference library; raises where the signature is wrong."""
        found: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return found


#: Status, or status and headers; may sleep, or raise to end the connection without an answer.
Answers = Callable[[Told], int | tuple[int, Mapping[str, str]]]


class Receiver:
    """Answers as it is told to, 204 by default."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.answers: Answers = lambda _told: 204
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hooks"

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        told = Told(handler.path, headers, body, time.time())
        with self._lock:
            self.told.append(told)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self.answers(told)
        except ConnectionError:
            handler.close_connection = True
            return
        finally:
            with self._lock:
                self.at_once -= 1
        status, more = answer if isinstance(answer, tuple) else (answer, {})
        handler.send_response(status)
        for name, value in more.items():
            handler.send_header(name, value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    def types(self) -> list[str]:
        """What it was told, in order of arrival."""
        return [told.type for told in self.told]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """On a port of its own."""
    found = Receiver()
    found.start()
    try:
        yield found
    finally:
        found.stop()
