"""The one HTTP client for addresses that come from a setting: it does not reach inside (D18).

A name is resolved once for a connection, each address is judged, and the connection goes to one
that was: no second answer of a DNS server can lead elsewhere. https unless allowed, no redirects,
no proxy of the environment, nothing decompressed, and a limit for the time and size of all of it.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore2
from httpcore2 import NetworkBackend, NetworkStream, SyncBackend

from domain.errors import UsageError
from domain.outbound import Address, Allowed, check_url, host_of, why_closed

#: A connection is kept so long for the next request; many servers end theirs after five seconds.
KEPT_SECONDS = 2.0
KEPT_CONNECTIONS = 32

#: host, port -> addresses, as text.
Resolve = Callable[[str, int], list[str]]


class OutboundError(Exception):
    """There was no answer; the message is for operators and holds nothing of a body.

    is_refused: by rosterd itself, so that another try would fare the same until a setting changes.
    """

    def __init__(self, why: str, *, is_refused: bool = False) -> None:
        super().__init__(why)
        self.is_refused = is_refused


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. body: as it was sent, never decompressed.

    headers: names in lower case; what came several times is joined by commas.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _Bound:
    """How long one request may take. needs_opening: to public addresses it goes over https only."""

    until: float = float("inf")
    needs_opening: bool = False

    def left(self, timeout: float | None) -> float:
        """Seconds for the next step; raises ReadTimeout where none are left."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("out of time")
        return left if timeout is None else min(timeout, left)


class _Bounds(threading.local):
    """One bound a thread: connections are shared, requests are not."""

    def __init__(self) -> None:
        self.bound = _Bound()


class _Stream(NetworkStream):
    """A connection whose every step ends with the request's time."""

    def __init__(self, inner: NetworkStream, bounds: _Bounds) -> None:
        self._inner = inner
        self._bounds = bounds

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See httpcore2."""
        return self._inner.read(max_bytes, self._bounds.bound.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See httpcore2."""
        self._inner.write(buffer, self._bounds.bound.left(timeout))

    def close(self) -> None:
        """See httpcore2."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        """See httpcore2: the certificate is held against the name, not the address."""
        left = self._bounds.bound.left(timeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._bounds)

    def get_extra_info(self, info: str) -> Any:
        """See httpcore2."""
        return self._inner.get_extra_info(info)


class _Guard(NetworkBackend):
    """Connects to addresses that were judged, never to a name."""

    def __init__(self, allowed: Allowed, resolve: Resolve, bounds: _Bounds) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._bounds = bounds
        self._plain = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """See httpcore2; raises OutboundError where no address may be reached."""
        addresses = self._open_ones(host.strip("[]"), port)
        for number, address in enumerate(addresses, start=1):
            try:
                stream = self._plain.connect_tcp(
                    address, port, self._bounds.bound.left(timeout), local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if number == len(addresses):
                    raise
            else:
                return _Stream(stream, self._bounds)
        raise OutboundError(f"{host} has no address")

    def _open_ones(self, host: str, port: int) -> list[str]:
        found = self._found(host, port)
        why: dict[str, str | None] = {text: self._why_closed(host, text) for text in found}
        opened = [text for text, closed in why.items() if closed is None]
        if found and not opened:
            text, closed = next(iter(why.items()))
            raise OutboundError(
                f"{host} leads to {text}, which {closed}: refused; ROSTERD_OUTBOUND_ALLOW may "
                "name it, if it is meant",
                is_refused=True,
            )
        return opened

    def _why_closed(self, host: str, text: str) -> str | None:
        address = _address(text)
        if self._allowed.opens(host.rstrip("."), address):
            return None
        closed = why_closed(address)
        if closed is None and self._bounds.bound.needs_opening:
            return "is reached over https only"
        return closed

    def _found(self, host: str, port: int) -> list[str]:
        """Addresses of a name, within the request's time: a resolver has none of its own."""
        answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

        def look() -> None:
            try:
                answers.put(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                answers.put(OSError(str(error)))

        threading.Thread(target=look, name="resolve", daemon=True).start()
        try:
            found = answers.get(timeout=self._bounds.bound.left(None))
        except queue.Empty as error:
            raise OutboundError(f"no DNS server told the address of {host} in time") from error
        if isinstance(found, OSError):
            raise OutboundError(f"{host} cannot be resolved: {found}")
        return found


def _address(text: str) -> Address:
    return ip_address(text.partition("%")[0])


def resolved(host: str, port: int) -> list[str]:
    """The system's answer, in its order; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@cache
def _trusted() -> ssl.SSLContext:
    """By the system's authorities, which take 60 ms to read."""
    return ssl.create_default_context()


class OutboundHTTP:
    """Requests to addresses that settings give; to be shared by threads, never across a fork."""

    def __init__(
        self,
        allowed: Allowed,
        *,
        resolve: Resolve = resolved,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._tls = tls
        self._bounds = _Bounds()

    @cached_property
    def _pool(self) -> httpcore2.ConnectionPool:
        """Made by the first request: most processes send none."""
        return httpcore2.ConnectionPool(
            ssl_context=self._tls or _trusted(),
            max_connections=None,
            max_keepalive_connections=KEPT_CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=_Guard(self._allowed, self._resolve, self._bounds),
        )

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        seconds: float = 15.0,
        max_bytes: int = 1024 * 1024,
    ) -> Answer:
        """One request, one answer, a redirect included; raises OutboundError.

        seconds: for all of it, the name's resolution included. max_bytes: of the answer's body;
        one that is longer is an error.
        """
        try:
            check_url(url, self._allowed)
        except UsageError as error:
            raise OutboundError(str(error), is_refused=True) from error
        self._bounds.bound = _Bound(time.monotonic() + seconds, url.lower().startswith("http:"))
        request = _request(method, url, headers or {}, body)
        try:
            return self._answered(request, max_bytes)
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise OutboundError(f"no answer within {seconds:g} s") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise OutboundError(_told(error)) from error

    def _answered(self, request: httpcore2.Request, max_bytes: int) -> Answer:
        response = self._begun(request)
        try:
            return self._read(response, max_bytes)
        finally:
            response.close()

    def _begun(self, request: httpcore2.Request) -> httpcore2.Response:
        """Once more where the other side ended a kept connection as we wrote into it."""
        try:
            return self._pool.handle_request(request)
        except (httpcore2.ReadError, httpcore2.RemoteProtocolError):
            return self._pool.handle_request(request)

    def _read(self, response: httpcore2.Response, max_bytes: int) -> Answer:
        found = bytearray()
        for chunk in response.iter_stream():
            found += chunk
            if len(found) > max_bytes:
                raise OutboundError(f"the answer is longer than {max_bytes} bytes")
        return Answer(response.status, _joined(response.headers), bytes(found))

    def close(self) -> None:
        """Let go of kept connections."""
        if "_pool" in vars(self):
            self._pool.close()


def _joined(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """What comes several times is one list (RFC 9110, 5.3): Okta sends each link by itself."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in given:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _request(method: str, url: str, headers: Mapping[str, str], body: bytes) -> httpcore2.Request:
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    given = {
        "Host": parts.netloc,
        "User-Agent": "rosterd",
        # A compressed answer is not asked for, and one that comes is not unpacked.
        "Accept-Encoding": "identity",
        **headers,
    }
    if body:
        given["Content-Length"] = str(len(body))
    where = httpcore2.URL(scheme=parts.scheme, host=host_of(parts), port=parts.port, target=target)
    return httpcore2.Request(method, where, headers=list(given.items()), content=body)


def _told(error: Exception) -> str:
    """The library's word, and the system's behind it."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {cause.verify_message}"
    return f"{type(error).__name__}: {str(error) or cause}"[:300]
