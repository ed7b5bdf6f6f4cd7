"""Durable 2xx a second, beside the same server that stores nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from domain.errors import RefusedError
from worker.adapters.db.scratch import scratch_database
from worker.cli.addresses import free_port, is_ready
from worker.cli.bench.scratch import connect, rosterd_on, signed
from worker.cli.running import STDERR

_OK = (b"HTTP/1.1 200", b"HTTP/1.1 202", b"HTTP/1.1 204")


def ingest(server: str | None, folder: Path, requests: int, in_flight: int) -> tuple[float, float]:
    """Requests a second: stored and answered, and answered by the empty server."""
    with scratch_database(server, folder) as url, rosterd_on(url, folder) as parts:
        hook = connect(parts)
        wires = [
            _wire(f"/hooks/{hook.url}", dict(request.headers), request.body)
            for request in (signed(hook, number) for number in range(requests))
        ]
        environment = {
            "ROSTERD_DATA_DIR": str(folder),
            "ROSTERD_DATABASE_URL": url,
            "ROSTERD_BROKER_URL": "memory://",
            "ROSTERD_LOG_LEVEL": "error",
        }
        with serving("worker.web.asgi:app", environment) as (port, _):
            durable = requests / asyncio.run(_send_all(port, wires, in_flight))
        with serving("worker.cli.bench.empty_app:app", {}) as (port, _):
            empty = requests / asyncio.run(_send_all(port, wires, in_flight))
    return durable, empty


@contextmanager
def serving(app: str, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """A web process; its port and its process id."""
    port = free_port("127.0.0.1")
    said = f"from worker.cli.processes import serve; serve('127.0.0.1', {port}, 1, {app!r})"
    server = subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-c", said], env={**os.environ, **environment}, stdout=STDERR
    )
    try:
        deadline = time.monotonic() + 30
        while not is_ready(f"http://127.0.0.1:{port}"):
            if time.monotonic() > deadline or server.poll() is not None:
                raise RefusedError(f"{app} did not start")
            time.sleep(0.05)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()


def _wire(path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def _send_all(port: int, wires: Sequence[bytes], in_flight: int) -> float:
    """Seconds for all over kept-alive connections; raises RefusedError on any other answer."""
    left = iter(wires)
    began = time.perf_counter()
    await asyncio.gather(*(_send(port, left) for _ in range(in_flight)))
    return time.perf_counter() - began


async def _send(port: int, left: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for wire in left:
        writer.write(wire)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(_OK):
            raise RefusedError(f"answered {head[:60]!r}")
        length = next(
            (int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")),
            0,
        )
        await reader.readexactly(length)
    writer.close()
