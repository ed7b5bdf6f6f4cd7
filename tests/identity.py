"""A real OpenID provider in the test's own process: canaille, on a port of this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2
from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import JWKRegistry
from portpicker import pick_unused_port
from pytest_iam import Server

CLIENT, SECRET = "rosterd", "a secret of the provider's"
#: The family name of people whose address the provider has verified.
VERIFIED = "Verified"
QUIET = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"canaille": {"class": "logging.NullHandler"}},
    "loggers": {"canaille": {"level": "DEBUG", "handlers": ["canaille"]}},
}


@dataclass
class Identity:
    """The provider. server: how its people and clients are made; people: by address."""

    server: Server
    people: dict[str, Any] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.server.port}"

    def person(self, email: str, *, is_verified: bool = True) -> None:
        """Somebody who has an account there."""
        with self.server.app.app_context():
            name = email.partition("@")[0]
            person = models.User(
                user_name=name,
                formatted_name=name,
                family_name=VERIFIED if is_verified else name,
                emails=[email],
            )
            self.server.backend.save(person)
        self.people[email] = person

    def register(self, redirect_uri: str) -> None:
        """Rosterd as a client, which every person trusts already."""
        with self.server.app.app_context():
            client = models.Client(
                client_id=CLIENT,
                client_secret=SECRET,
                client_name="rosterd",
                client_uri=redirect_uri.partition("/sign-in")[0],
                redirect_uris=[redirect_uri],
                grant_types=["authorization_code"],
                response_types=["code"],
                scope=["openid", "email", "profile"],
                token_endpoint_auth_method="client_secret_basic",
            )
            self.server.backend.save(client)
            client.audience = [client]
            self.server.backend.save(client)

    def forget_codes(self) -> None:
        """Codes that nobody redeemed: canaille's memory would mistake one of them for the next."""
        with self.server.app.app_context():
            for code in self.server.backend.query(models.AuthorizationCode):
                self.server.backend.delete(code)

    def answer(self, url: str, person: Any) -> str:
        """Where the provider sends the browser of somebody who is signed in there."""
        self.server.login(person)
        self.server.consent(person)
        try:
            told = httpx2.get(url, follow_redirects=False)
        finally:
            self.server.logout()
        assert told.status_code in (302, 303), told.text
        return str(told.headers["location"])


@contextmanager
def identity_provider() -> Iterator[Identity]:
    """One that runs as long as the context."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    port = pick_unused_port()
    key = JWKRegistry.generate_key("RSA", 2048)
    key.ensure_kid()
    app = create_app(
        config={
            "TESTING": True,
            "ENV_FILE": None,
            "SECRET_KEY": str(uuid4()),
            "WTF_CSRF_ENABLED": False,
            "PREFERRED_URL_SCHEME": "http",
            "SERVER_NAME": f"localhost:{port}",
            "CANAILLE": {"DATABASE": "memory", "JAVASCRIPT": False, "LOGGING": QUIET},
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
        },
    )
    mapping = app.config["CANAILLE_OIDC"]["USERINFO_MAPPING"]
    mapping["EMAIL_VERIFIED"] = f"{{{{ 'true' if user.family_name == '{VERIFIED}' else 'false' }}}}"
    server = Server(app, port, Backend.instance)
    thread = threading.Thread(target=server.httpd.serve_forever)
    thread.start()
    try:
        yield Identity(server)
    finally:
        server.httpd.shutdown()
        server.httpd.server_close()
        thread.join()
