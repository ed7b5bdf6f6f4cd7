"""How a connection's IdP is asked for its directory: where, as whom, and what an operator told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from domain.errors import UsageError

#: kind -> names of what has to be told besides the address, and of what may be.
NEEDED: Mapping[str, frozenset[str]] = {
    "google": frozenset({"subject"}),
    "okta": frozenset(),
    "entra": frozenset({"tenant", "client_id"}),
    "keycloak": frozenset({"realm", "client_id"}),
    "onelogin": frozenset({"client_id"}),
    "pingone": frozenset({"environment", "client_id"}),
    "workos": frozenset({"directory"}),
}
OPTIONAL: Mapping[str, frozenset[str]] = {
    "google": frozenset({"customer"}),
    "okta": frozenset({"client_id", "key_id"}),
    "entra": frozenset({"login", "thumbprint"}),
    "keycloak": frozenset(),
    "onelogin": frozenset(),
    "pingone": frozenset({"client_environment"}),
    "workos": frozenset(),
}
LONGEST = 200


@dataclass(frozen=True, slots=True)
class DirectoryAccess:
    """kind: whose API is spoken. secret: a token, a client's secret, or its private key."""

    kind: str
    url: str
    details: Mapping[str, str] = field(default_factory=dict)
    secret: str = field(default="", repr=False)


def check_directory_access(access: DirectoryAccess) -> DirectoryAccess:
    """The access, if it is whole; raises UsageError. The address is judged by `domain.outbound`."""
    if access.kind not in NEEDED:
        known = ", ".join(sorted(NEEDED))
        raise UsageError(
            f"rosterd cannot ask a directory of kind {access.kind!r}; it can ask: {known}"
        )
    allowed = NEEDED[access.kind] | OPTIONAL[access.kind]
    unknown = sorted(access.details.keys() - allowed)
    if unknown:
        raise UsageError(f"{unknown[0]}=..: {access.kind} takes {', '.join(sorted(allowed))}")
    missing = sorted(n for n in NEEDED[access.kind] if not access.details.get(n, "").strip())
    if missing:
        raise UsageError(f"{access.kind} needs {', '.join(f'{name}=..' for name in missing)}")
    if any(len(value) > LONGEST for value in access.details.values()):
        raise UsageError(f"what is told of an access is {LONGEST} characters long at most")
    _check_url(access.url)
    if not access.secret.strip():
        raise UsageError("an access needs its secret: a token, a client's secret, or a private key")
    return access


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise UsageError(f"{url}: the address ends with its path, without ? or #")
