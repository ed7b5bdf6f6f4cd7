"""The application whose directory is kept: a web server that hears of changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


class Application:
    """Takes signed requests, and remembers whom it let in and threw out."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.secret: str | None = None
        self.url = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Serve until left."""
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(application.hears(body, dict(self.headers)))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: the story prints what matters."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/changes"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    def hears(self, body: bytes, headers: dict[str, str]) -> int:
        """A request; 204 if its signature proves whom it comes from."""
        if self.secret is None:
            return 401
        lower = {name.lower(): value for name, value in headers.items()}
        Webhook(self.secret).verify(body, lower)
        self.heard.append(json.loads(body))
        return 204

    def of(self, type_: str) -> list[dict[str, Any]]:
        """What was heard of one kind."""
        return [message for message in self.heard if message["type"] == type_]
