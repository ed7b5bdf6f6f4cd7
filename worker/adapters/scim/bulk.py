"""Bulk requests (RFC 7644 section 3.7): many writes in one, which may refer to each other.

An operation that refers to a creation by its bulkId comes after it, wherever it stands. Of those
that refer to each other in a circle none is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from worker.adapters.scim.errors import SCIMError, invalid_syntax, invalid_value
from worker.adapters.scim.prepass import check_message
from worker.adapters.scim.schemas import BULK_REQUEST, BULK_RESPONSE, MAX_BULK_OPERATIONS, PATCH
from worker.adapters.scim.values import said

_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ENDPOINTS = {"users": "Users", "groups": "Groups"}
_REFERENCE = re.compile(r"bulkId:([^\"\s\]]{1,255})")
_LONGEST_ID = 255


@dataclass(frozen=True, slots=True)
class Operation:
    """One write. place: in the request, from 0 on. resource: id, or `bulkId:` and one, or None.

    fault: why it cannot be done, whatever comes before it.
    """

    place: int
    method: str = ""
    endpoint: str = ""
    resource: str | None = None
    bulk_id: str | None = None
    version: str | None = None
    data: Any = None
    fault: SCIMError | None = None


@dataclass(frozen=True, slots=True)
class Bulk:
    """All operations as they were sent. most_errors: after so many no other is begun."""

    operations: Sequence[Operation]
    most_errors: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What one operation came to."""

    status: int
    location: str | None = None
    version: str | None = None


def read_bulk(body: Any, *, strict: bool = False) -> Bulk:
    """The request; raises SCIMError for what is no bulk request, or too large a one (413)."""
    if not isinstance(body, Mapping):
        raise invalid_syntax("a bulk request is a JSON object")
    if strict:
        check_message(body, BULK_REQUEST)
    named = {str(name).lower(): value for name, value in body.items()}
    told = named.get("operations")
    if not isinstance(told, list) or not told:
        raise invalid_syntax("Operations: a list of operations is needed")
    if len(told) > MAX_BULK_OPERATIONS:
        raise SCIMError(413, None, f"Operations: more than {MAX_BULK_OPERATIONS} of them")
    operations = [_operation(place, one) for place, one in enumerate(told)]
    ids = [one.bulk_id for one in operations if one.bulk_id is not None and one.method == "POST"]
    if len(set(ids)) < len(ids):
        raise invalid_value("Operations: two creations have the same bulkId")
    return Bulk(operations, _most_errors(named.get("failonerrors")))


def _most_errors(told: Any) -> int | None:
    if told is None:
        return None
    if isinstance(told, bool) or not isinstance(told, int) or told < 1:
        raise invalid_value("failOnErrors is a number from 1 on")
    return told


def _operation(place: int, told: Any) -> Operation:
    if not isinstance(told, Mapping):
        return Operation(place, fault=invalid_syntax(f"Operations[{place}] is no object"))
    named = {str(name).lower(): value for name, value in told.items()}
    bulk_id, version = named.get("bulkid"), named.get("version")
    found = Operation(
        place,
        method=str(named.get("method", "")).upper()[:20],
        bulk_id=bulk_id if isinstance(bulk_id, str) and 0 < len(bulk_id) <= _LONGEST_ID else None,
        version=version if isinstance(version, str) else None,
        data=named.get("data"),
    )
    try:
        return _addressed(found, named.get("path"))
    except SCIMError as error:
        return replace(found, fault=error)


def _addressed(found: Operation, path: Any) -> Operation:
    """With what the path says; raises SCIMError where it does not go with the method."""
    where = f"Operations[{found.place}]"
    if found.method not in _METHODS:
        raise invalid_syntax(f"{where}: method is POST, PUT, PATCH or DELETE")
    parts = [part for part in path.split("/") if part] if isinstance(path, str) else []
    endpoint = _ENDPOINTS.get(parts[0].lower()) if parts else None
    is_new = found.method == "POST"
    if endpoint is None or len(parts) != (1 if is_new else 2) or "\0" in parts[-1]:
        raise invalid_value(f"{where}: no {found.method or 'request'} of {said(path)}")
    if is_new and found.bulk_id is None:
        raise invalid_value(f"{where}: a creation needs a bulkId")
    if found.method == "PATCH" and isinstance(found.data, list):
        # As the example of RFC 7644, 3.7.3 has it.
        found = replace(found, data={"schemas": [PATCH], "Operations": found.data})
    if found.method != "DELETE" and not isinstance(found.data, Mapping):
        raise invalid_syntax(f"{where}: data is needed")
    return replace(found, endpoint=endpoint, resource=None if is_new else parts[1])


def references(operation: Operation) -> frozenset[str]:
    """What the operation speaks of by bulkId."""
    found = set(_within(operation.data))
    if operation.resource is not None:
        found |= set(_REFERENCE.findall(operation.resource))
    return frozenset(found)


def _within(value: Any) -> list[str]:
    if isinstance(value, str):
        return _REFERENCE.findall(value) if "bulkId:" in value else []
    if isinstance(value, Mapping):
        return [found for one in value.values() for found in _within(one)]
    return [found for one in value for found in _within(one)] if isinstance(value, list) else []


def in_order(operations: Sequence[Operation]) -> list[Operation]:
    """As they were sent, but each behind what it refers to.

    What refers to itself in a circle, or to that, has a fault, which is 409 (RFC 7644, 3.7.1).
    """
    made = {o.bulk_id: o for o in operations if o.method == "POST" and o.bulk_id is not None}
    waits = {o.place: {made[r].place for r in references(o) if r in made} for o in operations}
    ordered: list[Operation] = []
    done: set[int] = set()
    left = list(operations)
    while left:
        ready = [one for one in left if waits[one.place] <= done]
        if not ready:
            circle = SCIMError(409, None, "operations refer to each other in a circle")
            return [*ordered, *(replace(one, fault=one.fault or circle) for one in left)]
        first = ready[0]
        ordered.append(first)
        done.add(first.place)
        left.remove(first)
    return ordered


def resolved(operation: Operation, ids: Mapping[str, str]) -> Operation:
    """With ids instead of references; raises SCIMError where one was not made."""
    missing = sorted(references(operation) - ids.keys())
    if missing:
        raise invalid_value(f"bulkId:{said(missing[0])} was not made")
    resource = operation.resource
    return replace(
        operation,
        data=_put(operation.data, ids),
        resource=None if resource is None else _put(resource, ids),
    )


def _put(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda m: ids[m[1]], value) if "bulkId:" in value else value
    if isinstance(value, Mapping):
        return {name: _put(one, ids) for name, one in value.items()}
    return [_put(one, ids) for one in value] if isinstance(value, list) else value


def run_bulk(bulk: Bulk, perform: Callable[[Operation], Done], *, base: str) -> dict[str, Any]:
    """The BulkResponse; in it what was done, in the order of the request. See `answers`."""
    found = answers(bulk, perform, base=base)
    return {"schemas": [BULK_RESPONSE], "Operations": [found[place] for place in sorted(found)]}


def answers(
    bulk: Bulk, perform: Callable[[Operation], Done], *, base: str
) -> dict[int, dict[str, Any]]:
    """What the operations came to, by their place.

    perform: does one; what it raises as SCIMError is that operation's answer. base: the service's
    own address.
    """
    ids: dict[str, str] = {}
    found: dict[int, dict[str, Any]] = {}
    errors = 0
    for operation in in_order(bulk.operations):
        if bulk.most_errors is not None and errors >= bulk.most_errors:
            break
        try:
            done = _one(operation, ids, perform)
        except SCIMError as error:
            errors += 1
            found[operation.place] = _failed(operation, error, base)
            continue
        if operation.method == "POST" and operation.bulk_id is not None and done.location:
            ids[operation.bulk_id] = done.location.rpartition("/")[2]
        found[operation.place] = _told(operation, done.status, done.location, done.version)
    return found


def run_one(
    operation: Operation, perform: Callable[[Operation], Done], *, base: str
) -> dict[str, Any]:
    """What a single operation came to, in the words of a bulk response."""
    try:
        done = perform(operation)
    except SCIMError as error:
        return _failed(operation, error, base)
    return _told(operation, done.status, done.location, done.version)


def _one(
    operation: Operation, ids: Mapping[str, str], perform: Callable[[Operation], Done]
) -> Done:
    if operation.fault is not None:
        raise operation.fault
    return perform(resolved(operation, ids))


def _failed(operation: Operation, error: SCIMError, base: str) -> dict[str, Any]:
    """A creation that failed is nowhere; all else is where it was."""
    is_somewhere = operation.resource is not None and not _REFERENCE.match(operation.resource)
    location = f"{base}/{operation.endpoint}/{operation.resource}" if is_somewhere else None
    return {**_told(operation, error.status, location, None), "response": error.body}


def _told(
    operation: Operation, status: int, location: str | None, version: str | None
) -> dict[str, Any]:
    """One operation of the response (RFC 7644 section 3.7.3)."""
    told = {
        "method": operation.method,
        "bulkId": operation.bulk_id,
        "version": version,
        "location": location,
        "status": str(status),
    }
    return {name: value for name, value in told.items() if value is not None}
