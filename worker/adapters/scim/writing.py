"""Whole resources: what POST and PUT say (RFC 7644, 3.3 and 3.5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.adapters.scim.attributes import Attribute, Kind, Table, table
from worker.adapters.scim.errors import invalid_syntax, invalid_value
from worker.adapters.scim.members import member_ids
from worker.adapters.scim.values import at, known_members, said, taken, unknown

Document = dict[str, Any]

#: Answered by the service itself, or kept elsewhere: no part of a document.
_LEFT_OUT = frozenset({"id", "meta", "schemas", "members"})
_KEPT_BY_PUT = ("active", "externalId")


def created(kind: Kind, body: Any, *, strict: bool = False) -> Document:
    """The document that a POST makes; raises SCIMError.

    A person who is created without a word on `active` is active. Members: `told_members`.
    """
    document = _read(kind, body, strict=strict)
    if kind == "User":
        document.setdefault("active", True)
    return document


def replaced(kind: Kind, document: Document, body: Any, *, strict: bool = False) -> Document:
    """The document after a PUT; raises SCIMError.

    What the body leaves out is cleared, but for `active` and `externalId`: a PUT without them
    says nothing of them.
    """
    after = _read(kind, body, strict=strict)
    for name in _KEPT_BY_PUT:
        if name not in after and name in document:
            after[name] = document[name]
    return after


def told_members(body: Any, *, strict: bool = False) -> tuple[str, ...] | None:
    """The ids of the members that the body of a POST or PUT gives; None where it gives none.

    An empty list is an answer, a missing or null one is not: a PUT without members empties
    no group. Raises SCIMError.
    """
    for name, given in as_object(body).items():
        if name.lower() == "members":
            return None if given is None else tuple(member_ids(given, "members", strict=strict))
    return None


def as_object(body: Any) -> dict[str, Any]:
    """The body, which must be a JSON object."""
    if not isinstance(body, dict):
        raise invalid_syntax("the body must be a JSON object")
    return body


def _read(kind: Kind, body: Any, *, strict: bool) -> Document:
    fields = table(kind)
    named = _schemas(fields, as_object(body)) if strict else None
    document: Document = {}
    core, extensions = _parted(fields, as_object(body), strict=strict)
    _fill(document, fields.core, core, "", strict=strict)
    for urn, value in extensions.items():
        held: Document = {}
        _fill(held, fields.extensions[urn.lower()][1], value, urn, strict=strict)
        if held and named is not None and urn.lower() not in named:
            raise invalid_syntax(f"schemas: {urn} is missing")
        if held:
            document[urn] = held
    _check_required(fields, document)
    return document


def _parted(
    fields: Table, body: Mapping[str, Any], *, strict: bool
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The members of the core schema, and those of each extension by its URN."""
    core: dict[str, Any] = {}
    extensions: dict[str, dict[str, Any]] = {}
    for name, value in (body if strict else _unfolded(fields, body)).items():
        extension = fields.extensions.get(name.lower()) if ":" in name else None
        if extension is None:
            core[name] = value
        elif isinstance(value, dict):
            extensions[extension[0]] = value
        elif value is not None:
            raise invalid_value(f"{extension[0]}: an object is needed")
    if strict and (strange := next((n for n in core if ":" in n), None)) is not None:
        raise unknown(strange, "")
    return core, extensions


def _unfolded(fields: Table, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body with what stands under the URN of the core schema beside the rest."""
    inner = next(
        (value for name, value in body.items() if name.lower() == fields.urn.lower()), None
    )
    return {**body, **inner} if isinstance(inner, dict) else body


def _fill(
    document: Document,
    attributes: Mapping[str, Attribute],
    value: Mapping[str, Any],
    place: str,
    *,
    strict: bool,
) -> None:
    """Write what the object gives into the document. What is read-only is ignored (RFC 7644)."""
    for attribute, given in known_members(attributes, value, place, strict=strict):
        if attribute.is_read_only or attribute.name in _LEFT_OUT:
            continue
        where = f"{place}:{attribute.name}" if place else attribute.name
        read = taken(attribute, given, where, strict=strict)
        if read is not None:
            document[attribute.name] = read


def _check_required(fields: Table, document: Document) -> None:
    name = "userName" if fields.kind == "User" else "displayName"
    if not document.get(name, "").strip():
        raise invalid_value(f"{name} is required")


def _schemas(fields: Table, body: Mapping[str, Any]) -> set[str]:
    """RFC 7643, 3: every resource names its schemas, lower-cased here, and no others."""
    given = next((value for name, value in body.items() if name.lower() == "schemas"), None)
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise invalid_syntax(f"schemas: a list with {fields.urn} is needed")
    strange = next((urn for urn in given if fields.schema(urn) is None), None)
    if strange is not None:
        raise invalid_syntax(f"no schema {said(strange)!r}{at('schemas')}")
    named = {urn.lower() for urn in given}
    if fields.urn.lower() not in named:
        raise invalid_syntax(f"schemas: {fields.urn} is missing")
    return named
