"""The schemas tell the truth: what they offer to be written is kept and given back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from scim2_models import ListResponse, ResourceType, Schema, ServiceProviderConfig

from worker.adapters.scim import schemas, writing
from worker.adapters.scim.attributes import Kind
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.patching import patched
from worker.adapters.scim.showing import shown

Document = dict[str, Any]
BASE = "https://scim.example/scim/v2"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def attributes() -> Iterator[tuple[str, str, Document]]:
    """Every attribute of users and groups: kind, path, description."""
    for kind, urn, prefix in (
        ("User", schemas.USER, ""),
        ("User", schemas.ENTERPRISE, f"{schemas.ENTERPRISE}:"),
        ("User", schemas.STATE, f"{schemas.STATE}:"),
        ("Group", schemas.GROUP, ""),
    ):
        for one in schemas.schema(BASE, urn)["attributes"]:
            yield kind, prefix + one["name"], one


ALL = [pytest.param(*one, id=f"{one[0]}-{one[1].rpartition(':')[2]}") for one in attributes()]
WRITABLE = [one for one in ALL if one.values[2]["mutability"] != "readOnly"]  # type: ignore[index]
READ_ONLY = [one for one in ALL if one not in WRITABLE]


def example(attribute: Document) -> Any:
    """A value of the attribute, all of its writable sub-attributes set."""
    if attribute["type"] == "complex":
        subs = [one for one in attribute["subAttributes"] if one["mutability"] != "readOnly"]
        one = {sub["name"]: _simple(sub, attribute["name"]) for sub in subs}
    else:
        one = _simple(attribute, "")
    return [one] if attribute["multiValued"] else one


def _simple(attribute: Document, holder: str) -> Any:
    if attribute["type"] == "boolean":
        return False
    if attribute["type"] == "binary":
        return "Y2VydA=="
    if attribute.get("canonicalValues"):
        return attribute["canonicalValues"][0]
    return "new@example.com" if holder == "emails" else "m1"


def start(kind: Kind) -> Document:
    return (
        {"userName": "ana@example.com", "active": True}
        if kind == "User"
        else {"displayName": "Tools"}
    )


def seen(document: Document, path: str) -> Any:
    answer = shown(document, location=BASE, version=1, overlay={"id": "1"})
    urn, _, name = path.rpartition(":")
    return (answer.get(urn, {}) if urn else answer).get(name)


def patch(kind: Kind, document: Document, op: str, path: str, **value: object) -> Document:
    body = {"schemas": [PATCH], "Operations": [{"op": op, "path": path, **value}]}
    return patched(kind, document, body, strict=True).document


@pytest.mark.parametrize("op", ["add", "replace"])
@pytest.mark.parametrize(("kind", "path", "described"), WRITABLE)
def test_what_is_writable_comes_back(kind: Kind, path: str, described: Document, op: str) -> None:
    value = example(described)
    if path == "members":
        body = {"schemas": [PATCH], "Operations": [{"op": op, "path": path, "value": value}]}
        found = patched(kind, start(kind), body, strict=True)
        assert (found.members_replaced or found.members_added) == ("m1",)
        return
    assert seen(patch(kind, start(kind), op, path, value=value), path) == value


@pytest.mark.parametrize(("kind", "path", "described"), WRITABLE)
def test_what_is_writable_and_not_required_can_be_removed(
    kind: Kind, path: str, described: Document
) -> None:
    if path == "members":
        return
    full = patch(kind, start(kind), "replace", path, value=example(described))
    if described["required"]:
        with pytest.raises(SCIMError) as refused:
            patch(kind, full, "remove", path)
        assert refused.value.scim_type == "mutability"
    else:
        assert seen(patch(kind, full, "remove", path), path) is None


@pytest.mark.parametrize(("kind", "path", "described"), WRITABLE)
def test_each_part_of_a_complex_one_is_writable(kind: Kind, path: str, described: Document) -> None:
    if described["type"] != "complex" or path == "members":
        return
    whole = patch(kind, start(kind), "replace", path, value=example(described))
    for sub in described["subAttributes"]:
        if sub["mutability"] == "readOnly":
            continue
        value = True if sub["type"] == "boolean" else _simple(sub, described["name"])
        found = seen(patch(kind, whole, "replace", f"{path}.{sub['name']}", value=value), path)
        one = found[0] if described["multiValued"] else found
        assert one[sub["name"]] == value
        found = seen(patch(kind, whole, "remove", f"{path}.{sub['name']}"), path)
        one = found[0] if described["multiValued"] else found
        assert sub["name"] not in one


@pytest.mark.parametrize(("kind", "path", "described"), WRITABLE)
def test_what_is_writable_can_be_created(kind: Kind, path: str, described: Document) -> None:
    value = example(described)
    urn, _, name = path.rpartition(":")
    told = {urn: {name: value}} if urn else {name: value}
    named = [schemas.USER if kind == "User" else schemas.GROUP, *([urn] if urn else [])]
    body = {"schemas": named, **start(kind), **told}
    if path == "members":
        assert writing.told_members(body, strict=True) == ("m1",)
    else:
        assert seen(writing.created(kind, body, strict=True), path) == value


@pytest.mark.parametrize(("kind", "path", "described"), READ_ONLY)
def test_what_is_read_only_cannot_be_written(kind: Kind, path: str, described: Document) -> None:
    with pytest.raises(SCIMError) as refused:
        patch(kind, start(kind), "replace", path, value="x")
    assert refused.value.scim_type == "mutability"


def test_no_password_is_offered_since_none_is_kept() -> None:
    assert "password" not in str(schemas.schema(BASE, schemas.USER)["attributes"])


def test_documents_are_what_the_library_reads() -> None:
    config = schemas.service_provider_config(BASE, max_payload=1024)
    read = ServiceProviderConfig.model_validate(config)
    assert read.bulk is not None
    assert read.bulk.max_payload_size == 1024
    types = ListResponse[ResourceType].model_validate(schemas.resource_types(BASE))
    assert [one.name for one in types.resources or []] == ["User", "Group"]
    described = ListResponse[Schema].model_validate(schemas.schemas(BASE))
    assert [one.id for one in described.resources or []] == list(schemas.schema_documents())
    assert len(described.resources or []) == 7


def test_locations_and_what_is_not_there() -> None:
    assert (
        schemas.schema(BASE, schemas.USER)["meta"]["location"] == f"{BASE}/Schemas/{schemas.USER}"
    )
    for find, name in ((schemas.schema, "urn:x"), (schemas.resource_type, "X")):
        with pytest.raises(SCIMError) as refused:
            find(BASE, name)
        assert refused.value.status == 404
