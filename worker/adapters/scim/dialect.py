"""Which identity provider speaks: by its User-Agent, else by habits that only one of them has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What a User-Agent contains, in lower case.
_AGENTS: Mapping[str, str] = {
    "okta": "okta",
    "onelogin": "onelogin",
    "jumpcloud": "jumpcloud",
    "rippling": "rippling",
    "authentik": "authentik",
    "azure": "entra",
    "microsoft": "entra",
    "google": "google",
    "pingone": "pingone",
    "ping identity": "pingone",
}
_ENTRA_OPERATIONS = frozenset({"Add", "Replace", "Remove"})
_MICROSOFT = "http://schemas.microsoft.com/"
_LOOKED_AT = 20


def spoken_by(user_agent: str | None, body: Any = None) -> str | None:
    """The identity provider's name, or None where nothing tells. Entra sends no User-Agent."""
    agent = (user_agent or "").lower()
    found = next((name for sign, name in _AGENTS.items() if sign in agent), None)
    if found is not None or not isinstance(body, dict):
        return found
    return "entra" if _is_entra(body) else None


def _is_entra(body: Mapping[str, Any]) -> bool:
    """Capitalised operations, members with a null `$ref`, and Microsoft's own schema."""
    schemas = body.get("schemas")
    if isinstance(schemas, list) and any(
        isinstance(one, str) and one.startswith(_MICROSOFT) for one in schemas
    ):
        return True
    operations = body.get("Operations")
    return isinstance(operations, list) and any(
        isinstance(one, dict) and str(one.get("op")) in _ENTRA_OPERATIONS
        for one in operations[:_LOOKED_AT]
    )
