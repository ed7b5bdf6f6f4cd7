"""People and groups as a SCIM feed tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.recorded import recorded

Document = dict[str, Any]


@pytest.fixture
def ana() -> Document:
    """The document of a person, with something of every sort."""
    return {
        "userName": "ana@example.com",
        "externalId": "u1",
        "name": {"givenName": "Ana", "familyName": "Silva"},
        "displayName": "Ana Silva",
        "title": "Engineer",
        "active": True,
        "emails": [
            {"value": "ana@example.com", "type": "work", "primary": True},
            {"value": "ana@home.example", "type": "home"},
        ],
        "addresses": [{"type": "work", "locality": "Porto", "streetAddress": "Rua 1"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "department": "Tools",
            "manager": {"value": "m1", "$ref": "https://scim.example/Users/m1"},
        },
    }


@pytest.fixture(scope="session")
def payloads() -> Path:
    return recorded()
