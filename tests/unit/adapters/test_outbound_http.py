"""D18: the one client for addresses that settings give, against real servers that mean harm."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from domain.errors import UsageError
from domain.outbound import Allowed, check_url, parse_allowed, why_closed
from worker.adapters.outbound_http import OutboundError, OutboundHTTP

HERE = parse_allowed("127.0.0.1")
Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """A server that does this with each connection; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        try:
            serve(connection)
        except OSError:
            pass
        finally:
            connection.close()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            connection.close()


def answering(answer: bytes) -> Serve:
    """Reads a request, answers this, and ends."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return serve


@contextmanager
def client(allowed: Allowed = HERE, **more: object) -> Iterator[OutboundHTTP]:
    found = OutboundHTTP(allowed, **more)  # type: ignore[arg-type]
    try:
        yield found
    finally:
        found.close()


def ok(body: bytes = b"fine", *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_an_answer_comes_back_and_a_connection_is_kept() -> None:
    seen: list[bytes] = []
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        connections.append(connection)
        data = b""
        while more := connection.recv(65536):
            data += more
            if data.endswith(b"{}"):
                seen.append(data)
                data = b""
                connection.sendall(ok(b"fine", "X-Told: Yes"))

    with serving(serve) as port, client() as http:
        for _ in range(2):
            answer = http.send("POST", f"http://127.0.0.1:{port}/a?b=c", body=b"{}")
            assert (answer.status, answer.body) == (200, b"fine")
            assert answer.headers["x-told"] == "Yes"
    assert (len(seen), len(connections)) == (2, 1)
    assert seen[0].startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert b"host: 127.0.0.1" in seen[0].lower()


def test_a_connection_that_the_server_ended_is_opened_anew() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(ok())

    with serving(serve) as port, client() as http:
        for _ in range(3):
            assert http.send("POST", f"http://127.0.0.1:{port}/", body=b"{}").status == 200


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0/",
        "https://localhost/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "https://100.100.100.200/",
        "https://168.63.129.16/",
        "https://10.0.0.1/",
        "https://224.0.0.1/",
        "http://example.com/",
        "https://user:pass@example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
    ],
)
def test_d18_nothing_inside_is_reached_however_it_is_spelled(url: str) -> None:
    with client(Allowed()) as http, pytest.raises(OutboundError) as refused:
        http.send("GET", url, seconds=5)
    assert refused.value.is_refused, refused.value


def test_d18_a_name_is_judged_by_its_addresses_not_by_itself() -> None:
    inside = lambda _host, _port: ["10.0.0.8", "::ffff:10.0.0.8", "fe80::1%eth0"]  # noqa: E731
    with client(Allowed(), resolve=inside) as http, pytest.raises(OutboundError) as refused:
        http.send("GET", "https://app.example.com/")
    assert refused.value.is_refused
    assert "leads to 10.0.0.8" in str(refused.value)


def test_d18_a_second_answer_of_the_dns_leads_nowhere() -> None:
    """Rebinding: the name is asked once for a connection, which goes to the address judged."""
    asked: list[str] = []
    with serving(answering(ok())) as port:

        def resolve(host: str, _port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

        allowed = parse_allowed("127.0.0.0/8")
        with client(allowed, resolve=resolve) as http:
            url = f"http://rebind.example.com:{port}/"
            assert http.send("GET", url).status == 200
            assert asked == ["rebind.example.com"], "once, for judging and connecting alike"
            time.sleep(0.05)
            with pytest.raises(OutboundError) as refused:
                http.send("GET", url)
            assert refused.value.is_refused


def test_only_the_open_ones_of_a_names_addresses_are_tried() -> None:
    with serving(answering(ok())) as port:
        mixed = lambda _host, _port: ["10.255.255.1", "127.0.0.1"]  # noqa: E731
        with client(resolve=mixed) as http:
            began = time.monotonic()
            assert http.send("GET", f"http://mixed.example.com:{port}/").status == 200
            assert time.monotonic() - began < 5


def test_http_to_a_public_address_is_refused_even_where_networks_are_allowed() -> None:
    public = lambda _host, _port: ["93.184.216.34"]  # noqa: E731
    with client(resolve=public) as http, pytest.raises(OutboundError, match="https only"):
        http.send("GET", "http://app.example.com/")


def test_d18_redirects_are_answers_and_are_not_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(moved)) as port, client() as http:
        answer = http.send("GET", f"http://127.0.0.1:{port}/")
    assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/")


def dripping(connection: socket.socket) -> None:
    connection.recv(65536)
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def silent(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(30)


@pytest.mark.parametrize("serve", [dripping, silent])
def test_the_time_is_for_all_of_it_however_it_is_stretched(serve: Serve) -> None:
    with serving(serve) as port, client() as http, pytest.raises(OutboundError, match=r"0\.4 s"):
        http.send("GET", f"http://127.0.0.1:{port}/", seconds=0.4)


def test_a_resolver_that_does_not_answer_costs_no_more_than_the_time() -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        time.sleep(5)
        return ["127.0.0.1"]

    with client(resolve=resolve) as http, pytest.raises(OutboundError, match="in time"):
        http.send("GET", "https://slow.example.com/", seconds=0.2)


def endless_headers(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"x" * 4000 + b"\r\n")


def endless_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


@pytest.mark.parametrize("serve", [endless_headers, endless_body])
def test_the_size_of_an_answer_is_bounded(serve: Serve) -> None:
    with serving(serve) as port, client() as http, pytest.raises(OutboundError) as refused:
        http.send("GET", f"http://127.0.0.1:{port}/", seconds=20, max_bytes=100_000)
    assert "no answer within" not in str(refused.value)


def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    packed = ok(bomb, "Content-Encoding: gzip")
    with serving(answering(packed)) as port, client() as http:
        answer = http.send("GET", f"http://127.0.0.1:{port}/", max_bytes=100_000)
    assert answer.body == bomb


@pytest.mark.parametrize(
    "serve",
    [
        answering(b"\x16\x03\x01 not http at all\r\n\r\n"),
        answering(b"HTTP/1.1 999999 what\r\n\r\n"),
        answering(b""),
        lambda connection: connection.close(),
    ],
    ids=["tls", "no status", "nothing", "closed"],
)
def test_whatever_is_no_http_is_an_error_that_says_so(serve: Serve) -> None:
    with serving(serve) as port, client() as http, pytest.raises(OutboundError) as refused:
        http.send("POST", f"http://127.0.0.1:{port}/", body=b"{}", seconds=5)
    assert not refused.value.is_refused


def test_nobody_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with client() as http, pytest.raises(OutboundError, match="refused"):
        http.send("GET", f"http://127.0.0.1:{port}/", seconds=2)


def certificate(path: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_certificate_counts_for_the_name_not_the_address(tmp_path: Path) -> None:
    file = certificate(tmp_path / "app.pem", "app.example.com")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)

    def serve(connection: socket.socket) -> None:
        with server.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(65536)
            wrapped.sendall(ok())

    here = lambda _host, _port: ["127.0.0.1"]  # noqa: E731
    trusting = ssl.create_default_context(cafile=str(file))
    with serving(serve) as port:
        with client(resolve=here, tls=trusting) as http:
            assert http.send("GET", f"https://app.example.com:{port}/").status == 200
            with pytest.raises(OutboundError, match="certificate is not trusted"):
                http.send("GET", f"https://other.example.com:{port}/")
        with client(resolve=here) as http, pytest.raises(OutboundError, match="not trusted"):
            http.send("GET", f"https://app.example.com:{port}/")


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def proxy(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(ok())

    with serving(proxy) as through, serving(answering(ok(b"itself"))) as port, client() as http:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{through}")
        assert http.send("GET", f"http://127.0.0.1:{port}/").body == b"itself"
    assert asked == []


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "192.0.0.192", "198.18.0.1", "255.255.255.255", "fec0::1", "2002:a00:1::",
             "3fff::1", "::7f00:1", "ff02::1", "2001:db8::1", "100.64.0.1"]
)  # fmt: skip
def test_addresses_of_special_use_are_closed(text: str) -> None:
    assert why_closed(ip_address(text)) is not None


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_open(text: str) -> None:
    assert why_closed(ip_address(text)) is None


@pytest.mark.parametrize("text", ["10.0.0.0/33", "a b", "http://x", "10.0.0.1/8"])
def test_what_is_allowed_must_be_a_network_or_a_host(text: str) -> None:
    with pytest.raises(UsageError):
        parse_allowed(text)


def test_what_is_allowed_is_open_and_only_that() -> None:
    allowed = parse_allowed(" 10.1.0.0/16, app.internal ,[::1]")
    assert check_url("http://10.1.2.3/", allowed)
    assert check_url("http://app.internal:8080/hooks", allowed)
    assert check_url("https://[::1]/", allowed)
    for url in ("https://10.2.0.1/", "http://8.8.8.8/", "http://127.0.0.1/"):
        with pytest.raises(UsageError):
            check_url(url, allowed)
