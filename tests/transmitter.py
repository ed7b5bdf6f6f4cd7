"""A sender that signs with keys of its own and publishes them: tokens, and a real key server."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://idp.example.com/", "https://app.example.com/hooks"
_MAKE: Mapping[str, tuple[Callable[[], Any], Callable[..., Any]]] = {
    "ES": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm.to_jwk),
    "RS": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm.to_jwk),
    "Ed": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm.to_jwk),
}


class Transmitter:
    """Keys by id, the newest last; `published` is what its key set lists."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.keys: dict[str, Any] = {}
        self.published: list[dict[str, Any]] = []
        self.rotate("key-1")

    def rotate(self, kid: str, *, is_published: bool = True) -> None:
        """Sign with a new key from now on."""
        make, to_jwk = _MAKE[self.algorithm[:2].replace("PS", "RS")]
        self.keys[kid] = make()
        jwk = to_jwk(self.keys[kid].public_key(), as_dict=True)
        if is_published:
            self.published.append({**jwk, "kid": kid, "use": "sig"})

    @property
    def jwks(self) -> bytes:
        return json.dumps({"keys": self.published}).encode()

    def signed(self, claims: object, *, typ: str | None = "secevent+jwt", **more: Any) -> bytes:
        """A token by the newest key, or by the one that `kid` names."""
        kid = more.pop("kid", list(self.keys)[-1])
        headers = {"kid": kid, **({"typ": typ} if typ else {}), **more}
        payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        key = self.keys.get(kid) or next(iter(self.keys.values()))
        token = jwt.PyJWS().encode(payload, key, self.algorithm, headers=headers)
        return token.encode()

    def event(self, events: Mapping[str, Any], **claims: Any) -> dict[str, Any]:
        """The claims of a Security Event Token of now."""
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(time.time()),
            "jti": claims.pop("jti", f"jti-{time.time_ns()}"),
            "events": events,
            **claims,
        }

    def of_body(self, body: bytes, **claims: Any) -> str:
        """The token that vouches for a body in base64, as FusionAuth's does."""
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        return self.signed({"request_body_sha256": digest, **claims}, typ="JWT").decode()


class KeyServer:
    """Publishes the key set of a transmitter; status may be set, asked counts requests."""

    def __init__(self, transmitter: Transmitter) -> None:
        self.status, self.asked, self.hold = 200, 0, 0.0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked += 1
                time.sleep(server.hold)
                body = transmitter.jwks
                self.send_response(server.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/jwks.json"

    @property
    def trust(self) -> dict[str, str]:
        """What an operator says of this sender."""
        return {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": self.url}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def publishing(transmitter: Transmitter) -> Iterator[KeyServer]:
    """Its keys, on a port of their own."""
    found = KeyServer(transmitter)
    try:
        yield found
    finally:
        found.stop()
