"""Bodies before anything is done with them: read, without passwords, operations in RFC's words.

What identity providers write otherwise is taken in lenient reading: operations in capitals, other
letter case in names, members of an operation that nobody knows, an empty path for none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from domain.ports import UnparseableError
from worker.adapters.scim.errors import (
    SCIMError,
    invalid_path,
    invalid_syntax,
    invalid_value,
    no_target,
)
from worker.adapters.scim.schemas import PATCH
from worker.adapters.scim.values import said
from worker.adapters.sources.strict_json import MAX_DEPTH, read_json

#: Operations in one PATCH.
MAX_OPERATIONS = 10_000

Op = Literal["add", "remove", "replace"]
_OPS: Mapping[str, Op] = {"add": "add", "remove": "remove", "replace": "replace"}
_MEMBERS = frozenset({"op", "path", "value"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a PATCH. path: None for the resource itself. place: for errors.

    has_value: whether a value was given, be it null.
    """

    op: Op
    path: str | None
    value: Any
    has_value: bool
    place: str


def read_body(raw: bytes) -> Any:
    """The decoded body without passwords; raises SCIMError invalidSyntax."""
    try:
        return without_passwords(read_json(raw))
    except UnparseableError as error:
        raise invalid_syntax(str(error)) from None


def without_passwords(body: Any) -> Any:
    """The body without anything called password, at any depth: nothing else may see one.

    Parts that hold none are given back as they are. Raises SCIMError for more than 64 levels.
    """
    return _cut(body, MAX_DEPTH)


def _cut(value: Any, levels: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        raise invalid_syntax(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        # Members are looked at only where something could be inside: they are many.
        items = [_cut(one, levels - 1) for one in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    hides = "value" if any(map(_names_password, value.items())) else None
    kept = {
        key: "" if key.lower() == hides else _cut(one, levels - 1)
        for key, one in value.items()
        if not _is_password(key)
    }
    same = len(kept) == len(value) and all(kept[key] is value[key] for key in kept)
    return value if same else kept


def _names_password(member: tuple[str, Any]) -> bool:
    """Whether the member is the path of an operation on a password."""
    name, given = member
    return name.lower() == "path" and isinstance(given, str) and _is_password(given.strip())


def _is_password(name: str) -> bool:
    return name[-8:].lower() == "password" and name[-9:-8] in {"", ":", "."}


def operations(body: Any, *, strict: bool) -> list[Operation]:
    """The operations that the body of a PATCH holds; raises SCIMError."""
    if not isinstance(body, dict):
        raise invalid_syntax("the body must be a JSON object")
    if strict:
        _check_operations(body)
    found = _member(body, "Operations", strict=strict)
    if not isinstance(found, list) or not found:
        raise invalid_syntax("Operations: a list of operations is needed")
    if len(found) > MAX_OPERATIONS:
        raise SCIMError(413, None, f"Operations: more than {MAX_OPERATIONS}")
    return [_operation(one, f"Operations[{i}]", strict=strict) for i, one in enumerate(found)]


def check_message(body: Mapping[str, Any], urn: str) -> None:
    """RFC 7644, 3.1: a message names its schema, and no other; raises SCIMError."""
    if body.get("schemas") != [urn]:
        raise invalid_syntax(f"schemas: [{urn}] is needed")


def _check_operations(body: Mapping[str, Any]) -> None:
    check_message(body, PATCH)
    strange = next((name for name in body if name not in {"schemas", "Operations"}), None)
    if strange is not None:
        raise invalid_syntax(f"no member {said(strange)!r} in a PATCH")


def _member(body: Mapping[str, Any], name: str, *, strict: bool) -> Any:
    if name in body or strict:
        return body.get(name)
    return next((value for key, value in body.items() if key.lower() == name.lower()), None)


def _operation(given: Any, place: str, *, strict: bool) -> Operation:
    if not isinstance(given, dict):
        raise invalid_syntax(f"{place}: an object is needed")
    found = given if strict else {name.lower(): value for name, value in given.items()}
    strange = next((name for name in found if strict and name not in _MEMBERS), None)
    if strange is not None:
        raise invalid_syntax(f"{place}: no member {said(strange)!r} in an operation")
    op, path = _op(found.get("op"), place, strict=strict), _path(found, place, strict=strict)
    value, has_value = found.get("value"), "value" in found
    if op == "remove" and path is None:
        raise no_target(f"{place}: a remove needs a path")
    if op != "remove" and (not has_value or (op == "add" and value is None)):
        raise invalid_value(f"{place}: an operation {op} needs a value")
    return Operation(op, path, value, has_value, place)


def _op(given: Any, place: str, *, strict: bool) -> Op:
    if isinstance(given, str):
        found = _OPS.get(given if strict else given.strip().lower())
        if found is not None:
            return found
    # RFC 7644 gives no scimType for it; 3.12 has invalidSyntax for a structure that is wrong.
    raise invalid_syntax(f"{place}.op: add, remove or replace is needed")


def _path(operation: Mapping[str, Any], place: str, *, strict: bool) -> str | None:
    given = operation.get("path")
    if given is None or (given == "" and not strict):
        return None
    if not isinstance(given, str):
        raise invalid_path(f"{place}.path: a text is needed")
    return given
