"""The service as an OpenAPI document, made of its own schema documents (RFC 7643 section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from worker.adapters.scim.attributes import Attribute, Kind, table
from worker.adapters.scim.errors import URN as ERROR
from worker.adapters.scim.schemas import (
    BULK_REQUEST,
    BULK_RESPONSE,
    LIST_RESPONSE,
    MAX_BULK_OPERATIONS,
    MAX_RESULTS,
    PATCH,
    SEARCH,
)

MEDIA_TYPE = "application/scim+json"
_TYPES = {"boolean": "boolean", "integer": "integer", "decimal": "number"}
_FORMATS = {"dateTime": "date-time", "reference": "uri-reference", "binary": "byte"}

JSON = dict[str, Any]


def _text(description: str = "") -> JSON:
    return {"type": "string", **({"description": description} if description else {})}


def _number(description: str) -> JSON:
    return {"type": "integer", "description": description}


_ASKED: Mapping[str, JSON] = {
    "filter": _text("RFC 7644, 3.4.2.2"),
    "sortBy": _text("An attribute; of a multi-valued one its primary value"),
    "sortOrder": {"type": "string", "enum": ["ascending", "descending"]},
    "startIndex": _number("Of the first result, from 1 on"),
    "count": _number(f"Results on a page, {MAX_RESULTS} at most"),
    "cursor": _text("RFC 9865: empty for the first page, then `nextCursor` of the page before"),
}
_NAMES: Mapping[str, JSON] = {
    "attributes": _text("Only these, with commas between them"),
    "excludedAttributes": _text("All but these"),
}


def _ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(name: str) -> JSON:
    return {"content": {MEDIA_TYPE: {"schema": _ref(name)}}}


def _answer(description: str, name: str | None = None) -> JSON:
    return {"description": description, **(_content(name) if name is not None else {})}


_ERRORS: Mapping[str, JSON] = {
    "400": _answer("What was sent cannot be done: scimType says why", "Error"),
    "401": _answer("No token, or none that is live", "Error"),
    "403": _answer("The token may not, or a rule of the directory forbids it", "Error"),
    "429": _answer("Asked too often: Retry-After says when to ask again", "Error"),
    "503": _answer("Not now: Retry-After says when to ask again", "Error"),
}
_MISSING = {"404": _answer("There is no such resource", "Error")}
_TAKEN = {"409": _answer("Something else has that name, or refers to it", "Error")}
_CHANGED = {"412": _answer("It has changed since that version", "Error")}
_LARGE = {"413": _answer("Too large", "Error"), "415": _answer("Another content type", "Error")}
_LATER = {"202": _answer("Will be done: Location says where its answer will be")}


def _query(names: Mapping[str, JSON]) -> list[JSON]:
    return [{"name": name, "in": "query", "schema": shape} for name, shape in names.items()]


def _header(name: str, description: str) -> JSON:
    return {"name": name, "in": "header", "schema": _text(description)}


_PREFER = _header("Prefer", "respond-async: answered later (RFC 9967)")
_MATCH = _header("If-Match", "Only if this is still its version")
_KNOWN = _header("If-None-Match", "Not if this is still its version")


def _operation(
    summary: str,
    answers: Mapping[str, JSON],
    *,
    body: str | None = None,
    parameters: list[JSON] | None = None,
) -> JSON:
    told: JSON = {"summary": summary, "responses": {**answers, **_ERRORS}}
    if parameters:
        told["parameters"] = parameters
    if body is not None:
        told["requestBody"] = {"required": True, **_content(body)}
        told["responses"] |= _LARGE
    return told


def _of_kind(kind: Kind) -> JSON:
    """The paths of one kind of resource."""
    shown, names = _answer(f"The {kind}", kind), _query(_NAMES)
    id_ = [{"name": "id", "in": "path", "required": True, "schema": _text()}]
    listed = {"200": _answer("A page", f"{kind}List")}
    write = {**_MISSING, **_TAKEN, **_CHANGED, **_LATER}
    changed = {"200": shown, "204": _answer("Done; too large to be shown"), **write}
    made = {"201": shown, **_TAKEN, **_LATER}
    return {
        f"/{kind}s": {
            "get": _operation(
                f"{kind}s, page by page", listed, parameters=_query({**_ASKED, **_NAMES})
            ),
            "post": _operation(f"A new {kind}", made, body=kind, parameters=[_PREFER, *names]),
        },
        f"/{kind}s/.search": {"post": _operation("The same as a list", listed, body="Search")},
        f"/{kind}s/{{id}}": {
            "parameters": id_,
            "get": _operation(
                f"One {kind}",
                {"200": shown, "304": _answer("Known already"), **_MISSING},
                parameters=[_KNOWN, *names],
            ),
            "put": _operation(
                f"Replace a {kind}", changed, body=kind, parameters=[_MATCH, _PREFER, *names]
            ),
            "patch": _operation(
                "All operations or none",
                changed,
                body="Patch",
                parameters=[_MATCH, _PREFER, *names],
            ),
            "delete": _operation(
                "Suspend a person, remove a group",
                {"204": _answer("Done"), **_MISSING, **_CHANGED, **_LATER},
                parameters=[_MATCH, _PREFER],
            ),
        },
    }


def _others() -> JSON:
    both = {"200": _answer("A page", "List")}
    said = {"200": _answer("As RFC 7643 has it", "Anything")}
    paths: JSON = {
        "/": {"get": _operation("Both kinds", both, parameters=_query({**_ASKED, **_NAMES}))},
        "/.search": {"post": _operation("Both kinds", both, body="Search")},
        "/Bulk": {
            "post": _operation(
                "Many writes",
                {"200": _answer("What they came to", "BulkResponse"), **_TAKEN, **_LATER},
                body="Bulk",
                parameters=[_PREFER],
            )
        },
        "/Async/{txn}": {
            "parameters": [{"name": "txn", "in": "path", "required": True, "schema": _text()}],
            "get": _operation(
                "What a request came to that is answered later",
                {
                    "200": _answer("Security events that tell", "Anything"),
                    "202": _answer("Not done yet"),
                    "406": _answer("A token holds one event", "Error"),
                    **_MISSING,
                },
            ),
        },
    }
    for path in ("/ServiceProviderConfig", "/Schemas", "/ResourceTypes"):
        paths[path] = {"get": _operation("What the service can do", said)}
    for path in ("/Schemas/{id}", "/ResourceTypes/{id}"):
        paths[path] = {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": _text()}],
            "get": _operation("One of them", {**said, **_MISSING}),
        }
    return paths


def _shape(attribute: Attribute) -> JSON:
    """An attribute as JSON has it. Clients may send what is read-only: it counts for nothing."""
    one: JSON
    if attribute.is_complex:
        subs = {sub.name: _shape(sub) for sub in attribute.subs.values()}
        one = {"type": "object", "properties": subs}
    else:
        one = {"type": _TYPES.get(attribute.type, "string")}
        if attribute.type in _FORMATS:
            one["format"] = _FORMATS[attribute.type]
    if attribute.is_multi:
        one = {"type": "array", "items": one}
    return {**one, "readOnly": True} if attribute.is_read_only else one


def _resource(kind: Kind) -> JSON:
    fields = table(kind)
    shapes = {one.name: _shape(one) for one in fields.core.values()}
    for urn, more in fields.extensions.values():
        inner = {one.name: _shape(one) for one in more.values()}
        shapes[urn] = {"type": "object", "properties": inner}
    required = ["schemas", "userName" if kind == "User" else "displayName"]
    return {"type": "object", "properties": shapes, "required": required}


def _list(item: JSON) -> JSON:
    return {
        "type": "object",
        "properties": {
            "schemas": {"type": "array", "items": {"const": LIST_RESPONSE}},
            "totalResults": {"type": "integer"},
            "itemsPerPage": {"type": "integer"},
            "startIndex": {"type": "integer"},
            "nextCursor": _text(),
            "Resources": {"type": "array", "items": item},
        },
        "required": ["schemas", "totalResults"],
    }


def _message(urn: str, properties: JSON, *required: str) -> JSON:
    schemas = {"type": "array", "items": {"const": urn}, "minItems": 1}
    return {
        "type": "object",
        "properties": {"schemas": schemas, **properties},
        "required": ["schemas", *required],
    }


def _messages() -> JSON:
    names = {"type": "array", "items": _text()}
    part = {
        "type": "object",
        "properties": {
            "op": {"type": "string", "enum": ["add", "remove", "replace"]},
            "path": _text("RFC 7644, 3.5.2"),
            "value": {},
        },
        "required": ["op"],
    }
    write = {
        "type": "object",
        "properties": {
            "method": {"type": "string", "enum": ["POST", "PUT", "PATCH", "DELETE"]},
            "path": _text("Such as /Users or /Users/id"),
            "bulkId": _text("What others refer to it by"),
            "version": _text("As If-Match"),
            "data": {"type": "object"},
        },
        "required": ["method", "path"],
    }
    told = {"status": _text(), "detail": _text(), "scimType": _text()}
    writes = {"type": "array", "items": write, "minItems": 1, "maxItems": MAX_BULK_OPERATIONS}
    search = {**_ASKED, "attributes": names, "excludedAttributes": names}
    return {
        "Error": _message(ERROR, told, "status"),
        "Search": _message(SEARCH, search),
        "Patch": _message(PATCH, {"Operations": {"type": "array", "items": part}}, "Operations"),
        "Bulk": _message(
            BULK_REQUEST,
            {"Operations": writes, "failOnErrors": {"type": "integer", "minimum": 1}},
            "Operations",
        ),
        "BulkResponse": _message(
            BULK_RESPONSE,
            {"Operations": {"type": "array", "items": {"type": "object"}}},
            "Operations",
        ),
        "Anything": {"type": "object"},
    }


@cache
def openapi(base: str) -> Mapping[str, Any]:
    """The document. base: the service's own address."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rosterd: SCIM 2.0",
            "version": "2.0",
            "description": "RFC 7643, 7644, 9865 and 9967: an identity provider keeps its people "
            "and groups in step.",
        },
        "servers": [{"url": base}],
        "security": [{"token": []}],
        "paths": {**_of_kind("User"), **_of_kind("Group"), **_others()},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "User": _resource("User"),
                "Group": _resource("Group"),
                "UserList": _list(_ref("User")),
                "GroupList": _list(_ref("Group")),
                "List": _list({"anyOf": [_ref("User"), _ref("Group")]}),
                **_messages(),
            },
        },
    }
