"""An OpenID provider by Authlib: authorization code with PKCE, state and nonce (OIDC Core 1.0).

Loaded by the first who signs in this way: no process starts later for it. What is fetched goes
through the guarded client, which reaches the issuer's host and public addresses only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from domain.open_identity import Begun, OpenIDError, ProviderAwayError
from domain.values import is_mailable
from worker.adapters.outbound_http import Answer, OutboundError, OutboundHTTP

T = TypeVar("T")

DISCOVERY = "/.well-known/openid-configuration"
SCOPE = "openid email"
#: A published key proves; one that is shared, or none, does not.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
#: What the provider says of itself is asked again after so long.
DISCOVERED_SECONDS = 600.0
REQUEST_SECONDS = 10.0
MAX_BYTES = 256 * 1024
CLOCK_LEEWAY_SECONDS = 60
#: So many sign-ins speak to the provider at a time: one that hangs takes no more threads.
AT_ONCE = 4
NOT_LET_IN = "your identity provider's answer does not let you in: begin again at the sign-in page"
UNVERIFIED = (
    "your identity provider does not say that your e-mail address is yours (email_verified)"
)


@dataclass(frozen=True, slots=True)
class Registration:
    """rosterd as the provider knows it. claim: which one gives the operator's address."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    claim: str


class OpenIDProvider:
    """One provider; safe to use from threads."""

    def __init__(
        self,
        registration: Registration,
        http: OutboundHTTP,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ours = registration
        self._http = http
        self._monotonic = monotonic
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._discovered: tuple[dict[str, Any], float] | None = None

    def begin(self) -> Begun:
        """See `IdentityProvider`."""
        told = self._in_turn(self._metadata)
        state, nonce, verifier = (generate_token(48) for _ in range(3))
        url, _ = self._client(told).create_authorization_url(
            told["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
        )
        return Begun(str(url), state, nonce, verifier)

    def address(self, answer: Mapping[str, str], begun: Begun) -> str:
        """See `IdentityProvider`."""
        if not compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise OpenIDError(NOT_LET_IN, why="another state than was sent")
        if "error" in answer:
            raise OpenIDError(NOT_LET_IN, why=f"the provider said {answer['error']!r}"[:100])
        if answer.get("iss", self._ours.issuer) != self._ours.issuer:
            raise OpenIDError(NOT_LET_IN, why="another issuer than was asked (RFC 9207)")
        return self._in_turn(lambda: self._exchanged(answer.get("code", ""), begun))

    def _exchanged(self, code: str, begun: Begun) -> str:
        told = self._metadata()
        try:
            token = self._client(told).fetch_token(
                told["token_endpoint"],
                code=code,
                code_verifier=begun.verifier,
                grant_type="authorization_code",
            )
        except AuthlibBaseError as error:
            raise OpenIDError(NOT_LET_IN, why=f"the code was not taken: {error.error}") from error
        except ValueError as error:
            raise ProviderAwayError(f"the token endpoint's answer is no JSON: {error}") from error
        claims = self._proven(told, token, begun)
        return self._address_in(self._with_userinfo(told, token, claims))

    def _proven(self, told: Mapping[str, Any], token: Mapping[str, Any], begun: Begun) -> Any:
        """The claims of the ID token, once signature, issuer, audience, nonce, times are right."""
        keys = self._got(str(told["jwks_uri"]))
        params = {
            "nonce": begun.nonce,
            "client_id": self._ours.client_id,
            "access_token": token.get("access_token"),
        }
        options = {
            "iss": {"essential": True, "value": self._ours.issuer},
            "aud": {"essential": True, "value": self._ours.client_id},
        }
        try:
            opened = jwt.decode(
                str(token.get("id_token", "")),
                KeySet.import_key_set(keys),  # type: ignore[arg-type]
                registry=JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False),
            )
            claims = CodeIDToken(opened.claims, opened.header, options, params)
            claims.validate(leeway=CLOCK_LEEWAY_SECONDS)
        except (JoseError, AuthlibBaseError, ValueError, KeyError, TypeError) as error:
            raise OpenIDError(
                NOT_LET_IN, why=f"ID token: {type(error).__name__} {error}"
            ) from error
        return claims

    def _with_userinfo(
        self, told: Mapping[str, Any], token: Mapping[str, Any], claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The claims, from wherever they are told: many keep the address out of the token."""
        if self._ours.claim in claims or "userinfo_endpoint" not in told:
            return claims
        bearer = {"Authorization": f"Bearer {token.get('access_token', '')}"}
        more = self._got(str(told["userinfo_endpoint"]), bearer)
        if more.get("sub") != claims.get("sub"):
            raise OpenIDError(NOT_LET_IN, why="userinfo is about somebody else")
        return {**more, **claims}

    def _address_in(self, claims: Mapping[str, Any]) -> str:
        address = claims.get(self._ours.claim)
        if not isinstance(address, str) or not is_mailable(address):
            raise OpenIDError(NOT_LET_IN, why=f"no address in the claim {self._ours.claim!r}")
        # Some providers send the word instead of the truth.
        if claims.get("email_verified") not in (True, "true"):
            raise OpenIDError(UNVERIFIED, why="email_verified is not true")
        return address

    def _client(self, told: Mapping[str, Any]) -> OAuth2Client:
        ways = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        way = next((w for w in ("client_secret_basic", "client_secret_post") if w in ways), None)
        return OAuth2Client(
            _Session(self._http),
            client_id=self._ours.client_id,
            client_secret=self._ours.client_secret or None,
            token_endpoint_auth_method=way if self._ours.client_secret else "none",
            scope=SCOPE,
            redirect_uri=self._ours.redirect_uri,
            code_challenge_method="S256",
        )

    def _metadata(self) -> dict[str, Any]:
        """What the provider says of itself, of this issuer and no other."""
        known = self._discovered
        if known is not None and self._monotonic() < known[1]:
            return known[0]
        told = self._got(self._ours.issuer.rstrip("/") + DISCOVERY)
        if told.get("issuer") != self._ours.issuer:
            raise ProviderAwayError(
                f"{self._ours.issuer} calls itself {told.get('issuer')!r}: ROSTERD_OPENID_ISSUER "
                "has to be that, to the letter"
            )
        wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if missing := [name for name in wanted if not isinstance(told.get(name), str)]:
            raise ProviderAwayError(f"{self._ours.issuer} does not tell its {', '.join(missing)}")
        self._discovered = told, self._monotonic() + DISCOVERED_SECONDS
        return told

    def _got(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        asked = {"Accept": "application/json", **(headers or {})}
        try:
            answer = _sent(self._http, "GET", url, asked)
            told = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise ProviderAwayError(f"{url} answered no JSON") from error
        if answer.status != 200 or not isinstance(told, dict):  # noqa: PLR2004 - OK
            raise ProviderAwayError(f"{url} answered {answer.status}")
        return told

    def _in_turn(self, work: Callable[[], T]) -> T:
        if not self._turns.acquire(timeout=REQUEST_SECONDS):
            raise ProviderAwayError("too many sign-ins wait for the provider")
        try:
            return work()
        finally:
            self._turns.release()


class _Session:
    """The guarded client as Authlib expects one: it posts to the token endpoint, nothing else."""

    def __init__(self, http: OutboundHTTP) -> None:
        self._http = http

    def post(
        self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any
    ) -> _Response:
        """A form, with the client's own proof."""
        url, headers, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return _Response(_sent(self._http, "POST", url, headers, body.encode()))


class _Response:
    """An answer as Authlib reads one."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self._body = answer.body

    def json(self) -> Any:
        """Raises ValueError for what is no JSON."""
        return orjson.loads(self._body)

    def raise_for_status(self) -> None:
        """Raises ProviderAwayError for what is no success."""
        if self.status_code >= 400:  # noqa: PLR2004 - 4xx, 5xx
            raise ProviderAwayError(f"the token endpoint answered {self.status_code}")


def _sent(
    http: OutboundHTTP, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
) -> Answer:
    try:
        return http.send(
            method,
            url,
            headers=headers,
            body=body,
            seconds=REQUEST_SECONDS,
            max_bytes=MAX_BYTES,
        )
    except OutboundError as error:
        raise ProviderAwayError(str(error)) from error
