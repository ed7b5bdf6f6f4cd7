"""Every source that a feed can have, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from domain.errors import UsageError
from domain.ports import Source
from worker.adapters.sources.auth0 import Auth0Source
from worker.adapters.sources.clerk import ClerkSource
from worker.adapters.sources.entra import EntraSource
from worker.adapters.sources.fusionauth import FusionauthSource
from worker.adapters.sources.google import GoogleSource
from worker.adapters.sources.keycloak import KeycloakSource
from worker.adapters.sources.okta import OktaSource
from worker.adapters.sources.onelogin import OneloginSource
from worker.adapters.sources.pingone import PingoneSource
from worker.adapters.sources.polis import PolisSource
from worker.adapters.sources.reconciliation import ReconciliationSource
from worker.adapters.sources.scalekit import ScalekitSource
from worker.adapters.sources.scim import ScimSource
from worker.adapters.sources.set import SetSource
from worker.adapters.sources.standard import StandardSource
from worker.adapters.sources.workos import WorkosSource
from worker.adapters.sources.zitadel import ZitadelSource

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "auth0": Auth0Source(),
        "clerk": ClerkSource(),
        "entra": EntraSource(),
        "fusionauth": FusionauthSource(),
        "google": GoogleSource(),
        "keycloak": KeycloakSource(),
        "okta": OktaSource(),
        "onelogin": OneloginSource(),
        "pingone": PingoneSource(),
        "polis": PolisSource(),
        "scalekit": ScalekitSource(),
        "scim": ScimSource(),
        "set": SetSource(),
        "standard": StandardSource(),
        "workos": WorkosSource(),
        "zitadel": ZitadelSource(),
    }
)


#: What rosterd itself says in the name of a connection; nobody can attach it, or post to it.
OWN: Mapping[str, Source] = MappingProxyType({"reconciliation": ReconciliationSource()})


def source_named(name: str) -> Source:
    """The source of that name; LookupError names the known ones."""
    try:
        return OWN[name] if name in OWN else SOURCES[name]
    except KeyError:
        known = ", ".join(sorted(SOURCES))
        raise LookupError(f"no source {name!r}; known: {known}") from None


def known_source(text: str) -> str:
    """The name of a source, ours or of a provider; raises UsageError."""
    known = {**SOURCES, **OWN}
    if text not in known:
        raise UsageError(f"source {text!r} is unknown; there are: {', '.join(sorted(known))}")
    return text
