"""Whatever a body holds, it is taken or refused as SCIM refuses: nothing else comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.changes import Change
from tests.exploring import patient
from worker.adapters.scim import asking, prepass, writing
from worker.adapters.scim.attributes import Kind
from worker.adapters.scim.dialect import spoken_by
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.patching import patched
from worker.adapters.scim.schemas import ENTERPRISE, PATCH, STATE, USER
from worker.adapters.scim.showing import shown

Document = dict[str, Any]

NAMES = st.sampled_from(
    [
        *("userName", "USERNAME", "active", "name", "emails", "members", "groups", "password"),
        *("id", "meta", "schemas", "externalId", "displayName", "value", "type", "primary", "$ref"),
        *("manager", "department", "roles", "x509Certificates", ENTERPRISE, STATE, USER, "urn:x"),
        *("name.givenName", 'emails[type eq "work"].value', f"{ENTERPRISE}:manager.value", ""),
        *("op", "path", "Operations", "members[value eq 1]", "emails[", "a.b.c", "\0", "\ud800"),
    ]
)
WORDS = NAMES | st.sampled_from(["True", "false", "add", "Remove", "replace", "a@b.example", "x"])
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text(max_size=5)
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES | st.text(max_size=4), VALUES, max_size=6)
OPERATION = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "Replace", "remove", "move"]) | VALUES},
    optional={"path": NAMES | VALUES, "value": VALUES, "name": VALUES},
)
KINDS = st.sampled_from(["User", "Group"])
FIXED: dict[Kind, Document] = {
    "User": {
        "userName": "ana@example.com",
        "active": True,
        "emails": [{"value": "ana@example.com", "type": "work", "primary": True}],
        ENTERPRISE: {"manager": {"value": "m1"}},
    },
    "Group": {"displayName": "Tools"},
}


def follow(kind: Kind, before: Document | None, document: Document) -> tuple[Change, ...]:
    """What comes after a document must hold for every one that is made."""
    shown(document, location="https://scim.example/1", version=1, overlay={"id": "1"})
    found = asking.asked(before, document, "k")
    if before is not None:
        assert asking.asked(document, document, "k") == ()
    return found


T = TypeVar("T")


def outcome(read: Callable[[], T]) -> T | SCIMError:
    """What is read, or the refusal; anything else is raised and fails the test."""
    try:
        return read()
    except SCIMError as refused:
        return refused


def is_proper(refused: SCIMError, *scim_types: str) -> bool:
    return refused.status == 400 and refused.scim_type in scim_types


BODY = ("invalidSyntax", "invalidValue")
PATHS = ("invalidPath", "invalidFilter", "invalidValue", "mutability", "noTarget")


@patient(200)
@given(KINDS, OBJECTS | VALUES, st.booleans())
@example("User", {"userName": "a", "emails": [{"value": "a@b", "type": {"value": 1}}]}, False)
def test_whole_resources(kind: Kind, body: object, strict: bool) -> None:
    spoken_by(None, body)
    members = outcome(lambda: writing.told_members(body, strict=strict))
    assert not isinstance(members, SCIMError) or is_proper(members, *BODY)
    cut = prepass.without_passwords(body)
    document = outcome(lambda: writing.created(kind, cut, strict=strict))
    if isinstance(document, SCIMError):
        assert is_proper(document, *BODY)
        return
    follow(kind, None, document)
    assert writing.created(kind, document) == document, "what is kept is read as itself"


@patient(200)
@given(KINDS, OBJECTS, st.booleans())
def test_replacements(kind: Kind, body: Document, strict: bool) -> None:
    before = deepcopy(FIXED[kind])
    document = outcome(lambda: writing.replaced(kind, before, body, strict=strict))
    assert before == FIXED[kind]
    if isinstance(document, SCIMError):
        assert is_proper(document, *BODY)
    else:
        follow(kind, before, document)


@patient(400)
@given(KINDS, st.lists(OPERATION, max_size=4) | VALUES, st.booleans())
def test_patches(kind: Kind, operations: object, strict: bool) -> None:
    before = deepcopy(FIXED[kind])
    body = prepass.without_passwords({"schemas": [PATCH], "Operations": operations})
    found = outcome(lambda: patched(kind, before, body, strict=strict))
    assert before == FIXED[kind]
    if isinstance(found, SCIMError):
        assert is_proper(found, *BODY, *PATHS)
        return
    follow(kind, before, found.document)
    assert not set(found.members_added) & set(found.members_removed)
    kept = json.loads(json.dumps(found.document))
    assert writing.replaced(kind, kept, kept) == kept, "what is kept is read as itself"


def names(value: object) -> Iterator[str]:
    """Every member's name, at any depth."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value:  # type: ignore[attr-defined]
        if isinstance(inner, dict | list):
            yield from names(inner)


@patient(200)
@given(st.binary(max_size=40) | VALUES.map(lambda one: json.dumps(one).encode()))
def test_bytes(raw: bytes) -> None:
    body = outcome(lambda: prepass.read_body(raw))
    if isinstance(body, SCIMError):
        assert is_proper(body, "invalidSyntax")
    elif isinstance(body, dict | list):
        assert "password" not in {one.lower() for one in names(body)}


@patient(300)
@given(st.text(max_size=30) | st.from_regex(r"[a-zA-Z]+(\[[a-z]+ eq \"[^\"]*\"\])?(\.[a-z]+)?"))
def test_paths(path: str) -> None:
    body = {"Operations": [{"op": "replace", "path": path, "value": "a@b.example"}]}
    found = outcome(lambda: patched("User", FIXED["User"], body))
    assert not isinstance(found, SCIMError) or is_proper(found, *PATHS)


def test_nesting_beyond_any_reader() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = {"name": [deep]}
    for read in (prepass.without_passwords, lambda body: writing.created("User", body)):
        with pytest.raises(SCIMError):
            read(deep)
