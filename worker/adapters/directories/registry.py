"""The client of an access: whose API it is, and how rosterd proves itself there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from urllib.parse import quote, urlsplit

from authlib.oauth2.client import OAuth2Client

from domain.directories import Directory
from domain.directory_access import DirectoryAccess, check_directory_access
from domain.errors import UsageError
from worker.adapters.directories.api import DirectoryAPI
from worker.adapters.directories.delegation import delegated_client, read_account
from worker.adapters.directories.google import MINE, GoogleAPI, GoogleDirectory
from worker.adapters.directories.graph import GraphDirectory
from worker.adapters.directories.keycloak import KeycloakDirectory
from worker.adapters.directories.keys import certificate_mark, is_key, key_client, read_key
from worker.adapters.directories.okta import OktaDirectory
from worker.adapters.directories.onelogin import OneloginDirectory
from worker.adapters.directories.pingone import PingoneDirectory
from worker.adapters.directories.proofs import FetchedToken, Proof, StandingToken
from worker.adapters.directories.workos import WorkosDirectory
from worker.adapters.outbound_http import OutboundHTTP

OKTA_SCOPE = "okta.users.read okta.groups.read okta.logs.read"
OKTA_TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105 - a path
ENTRA_LOGIN = "https://login.microsoftonline.com"
SECONDS = 10.0
#: Kinds of access whose IdP sends its webhooks to whoever subscribes.
SUBSCRIBABLE = frozenset({"entra", "google"})


def directory_for(
    access: DirectoryAccess, http: OutboundHTTP, *, seconds: float = SECONDS
) -> Directory:
    """A client of this access; nothing is asked yet. Raises UsageError.

    seconds: what one request may take.
    """
    return CLIENTS[check_directory_access(access).kind](access, http, seconds)


def _okta(access: DirectoryAccess, http: OutboundHTTP, seconds: float) -> Directory:
    proof = _okta_proof(access, http, seconds)
    return OktaDirectory(DirectoryAPI(http, access.url, proof, seconds=seconds))


def _okta_proof(access: DirectoryAccess, http: OutboundHTTP, seconds: float) -> Proof:
    """An API token, or a service app that signs with its key: Okta knows no other way in."""
    client_id, secret = access.details.get("client_id", ""), access.secret.strip()
    signs = is_key(secret)
    if signs is not bool(client_id):
        raise UsageError("okta takes an API token alone, or client_id=.. and its private key")
    if not client_id:
        return StandingToken("SSWS", _one_word(secret))
    read_key(secret)
    url = access.url.rstrip("/") + OKTA_TOKEN_PATH
    made = partial(
        key_client,
        client_id=client_id,
        secret=secret,
        token_url=url,
        scope=OKTA_SCOPE,
        key_id=access.details.get("key_id", ""),
    )
    return FetchedToken(http, url, made, seconds=seconds, monotonic=time.monotonic)


def _keycloak(access: DirectoryAccess, http: OutboundHTTP, seconds: float) -> Directory:
    """A client of the realm itself, whose service account may view its users."""
    realm = quote(access.details["realm"], safe="")
    base = access.url.rstrip("/")
    token_url = f"{base}/realms/{realm}/protocol/openid-connect/token"
    client = _secret_client("client_secret_basic", access)
    proof = FetchedToken(http, token_url, client, seconds=seconds, monotonic=time.monotonic)
    api = DirectoryAPI(http, f"{base}/admin/realms/{realm}", proof, seconds=seconds)
    return KeycloakDirectory(api)


def _secret_client(
    method: str, access: DirectoryAccess, *, scope: str | None = None
) -> Callable[[object], OAuth2Client]:
    """A client that proves itself by its secret, in the way that the vendor takes."""

    def client(session: object) -> OAuth2Client:
        return OAuth2Client(
            session,
            client_id=access.details["client_id"],
            client_secret=access.secret.strip(),
            token_endpoint_auth_method=method,
            scope=scope,
        )

    return client


def _pingone(access: DirectoryAccess, http: OutboundHTTP, seconds: float) -> Directory:
    """A worker application; its tokens come from the host `auth.` beside that of the API."""
    environment = quote(access.details["environment"], safe="")
    home = quote(access.details.get("client_environment", ""), safe="") or environment
    base = access.url.rstrip("/").removesuffix("/v1")
    parts = urlsplit(base)
    host = parts.netloc
    auth = "auth." + host.removeprefix("api.") if host.startswith("api.") else host
    token_url = f"{parts.scheme}://{auth}/{home}/as/token"
    made = _secret_client("client_secret_basic", access)
    proof = FetchedToken(http, token_url, made, seconds=seconds, monotonic=time.monotonic)
    api = DirectoryAPI(http, f"{base}/v1/environments/{environment}", proof, seconds=seconds)
    return PingoneDirectory(api)


def _onelogin(access: DirectoryAccess, http: OutboundHTTP, seconds: float) -> Directory:
    """A pair of API credentials, with the scope to read users."""
    token_url = access.url.rstrip("/") + "/auth/oauth2/v2/token"
    made = _secret_client("client_secret_post", access)
    proof = FetchedToken(http, token_url, made, seconds=seconds, monotonic=time.monotonic)
    return OneloginDirectory(DirectoryAPI(http, access.url, proof, seconds=seconds))


def _entra(access: DirectoryAccess, http: OutboundHTTP, seconds: float) -> Directory:
    """An application of the tenant, by its secret or by the key of its certificate.

    Scope: whatever was granted to it at this Graph, which national clouds have of their own.
    """
    details, secret = access.details, access.secret.strip()
    base, login = access.url.rstrip("/"), details.get("login", ENTRA_LOGIN).rstrip("/")
    token_url = f"{login}/{quote(details['tenant'], safe='')}/oauth2/v2.0/token"
    thumbprint = details.get("thumbprint", "")
    client: Callable[[object], OAuth2Client]
    if is_key(secret) is not bool(thumbprint):
        raise UsageError("entra takes a client's secret alone, or a private key and thumbprint=..")
    scope = f"{base}/.default"
    if thumbprint:
        read_key(secret)
        told = {"client_id": details["client_id"], "token_url": token_url, "scope": scope}
        marks = {"x5t": certificate_mark(thumbprint)}
        client = partial(key_client, secret=secret, marks=marks, **told)
    else:
        client = _secret_client("client_secret_post", access, scope=scope)
    proof = FetchedToken(http, token_url, client, seconds=seconds, monotonic=time.monotonic)
    api = DirectoryAPI(http, f"{base}/v1.0", proof, seconds=seconds)
    return GraphDirectory(api, details["tenant"])


def _google(access: DirectoryAccess, http: OutboundHTTP, seconds: float) -> Directory:
    """A service account with domain-wide delegation, in the name of an administrator."""
    account = read_account(access.secret)
    made = partial(delegated_client, account=account, subject=access.details["subject"].strip())
    proof = FetchedToken(http, account.token_url, made, seconds=seconds, monotonic=time.monotonic)
    api = GoogleAPI(http, access.url, proof, seconds=seconds)
    return GoogleDirectory(api, access.details.get("customer", "").strip() or MINE)


def _one_word(token: str) -> str:
    """A token as a header carries it; raises UsageError."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("the secret is no token: one word in printable ASCII")
    return token


def _workos(access: DirectoryAccess, http: OutboundHTTP, seconds: float) -> Directory:
    proof = StandingToken("Bearer", _one_word(access.secret.strip()))
    api = DirectoryAPI(http, access.url, proof, seconds=seconds)
    return WorkosDirectory(api, access.details["directory"])


#: By kind of access; `domain.directory_access` says what each is told.
CLIENTS: Mapping[str, Callable[[DirectoryAccess, OutboundHTTP, float], Directory]] = (
    MappingProxyType(
        {
            "entra": _entra,
            "google": _google,
            "keycloak": _keycloak,
            "okta": _okta,
            "onelogin": _onelogin,
            "pingone": _pingone,
            "workos": _workos,
        }
    )
)
