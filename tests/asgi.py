"""Requests as a server hands them on: bytes of path, query, headers and body, however odd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Asked:
    """One request. `is_cut_short`: the sender leaves before the body has ended."""

    method: str = "GET"
    path: bytes = b"/"
    query: bytes = b""
    headers: Headers = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    is_cut_short: bool = False


@contextmanager
def asking(app: ASGIApp) -> Iterator[Any]:
    """A function from a request to its status, headers and body, in one event loop."""
    with asyncio.Runner() as runner:

        def ask(asked: Asked) -> tuple[int, dict[bytes, bytes], bytes]:
            status, headers, body = runner.run(answered(app, asked))
            return status, dict(headers), body

        yield ask


async def answered(app: ASGIApp, asked: Asked) -> tuple[int, Headers, bytes]:
    """Its status, headers and body."""
    messages = iter(_messages(asked))
    told: list[Any] = []

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        told.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": asked.method,
        # As servers do: what is no UTF-8 becomes the replacement character.
        "path": unquote(asked.path.decode("latin-1"), errors="replace"),
        "raw_path": asked.path,
        "query_string": asked.query,
        "root_path": "",
        "headers": asked.headers,
        "client": ("192.0.2.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    start = next(message for message in told if message["type"] == "http.response.start")
    bodies = [m.get("body", b"") for m in told if m["type"] == "http.response.body"]
    return int(start["status"]), list(start["headers"]), b"".join(bodies)


def _messages(asked: Asked) -> Iterator[dict[str, Any]]:
    for chunk in asked.chunks:
        yield {"type": "http.request", "body": chunk, "more_body": True}
    if not asked.is_cut_short:
        yield {"type": "http.request", "body": b"", "more_body": False}
