"""A SCIM PatchOp (RFC 7644, 3.5.2) as changes, without the resource that it is applied to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from domain import changes
from domain.ports import UnparseableError
from worker.adapters.sources import fields
from worker.adapters.sources.people import Profile, text
from worker.adapters.sources.webhook import Changes

_MEMBER = re.compile(r'members\[value eq "([^"]{1,255})"\]', re.IGNORECASE)
_ADDRESS = re.compile(r"emails(\[[^\]]{0,100}\])?(\.value)?", re.IGNORECASE)
_NAMES = {
    "name.givenname": "given_name",
    "name.familyname": "family_name",
    "displayname": "display_name",
    "title": "title",
}
_VERBS = frozenset({"add", "replace", "remove"})


def patched(data: Mapping[str, Any], key: str, *, is_group: bool) -> Changes:
    """What the operations ask of the user or group; paths that we keep nothing of are passed by."""
    steps = list(_steps(data))
    return _of_group(steps, key) if is_group else _of_user(steps, key)


_Step = tuple[str, str, object]


def _steps(data: Mapping[str, Any]) -> Iterator[_Step]:
    """(verb, path, value); an operation without a path is one for each member of its value."""
    for index, one in enumerate(fields.as_list(data.get("Operations"), "data.Operations")):
        verb = fields.peek_text(one, "op").casefold()
        if verb not in _VERBS:
            raise UnparseableError(f"data.Operations[{index}].op", "not add, replace or remove")
        path, value = fields.peek_text(one, "path"), fields.peek(one, "value")
        if path:
            yield verb, path, value
            continue
        for name, inner in fields.as_object(value, f"data.Operations[{index}].value").items():
            if isinstance(inner, dict):
                yield from ((verb, f"{name}.{below}", each) for below, each in inner.items())
            else:
                yield verb, name, inner


def _of_group(steps: list[_Step], key: str) -> Changes:
    told: list[changes.Change] = []
    for verb, path, value in steps:
        named = _MEMBER.fullmatch(path)
        if path.casefold() == "displayname" and verb != "remove":
            told.append(changes.PutGroup(key, text(value, "displayName") or None))
        elif named is not None and verb == "remove":
            told.append(changes.RemoveMember(key, named.group(1)))
        elif path.casefold() == "members":
            told += _members(verb, value, key)
    return tuple(told)


def _members(verb: str, value: object, key: str) -> Changes:
    users = tuple(dict.fromkeys(_ids(value)))
    if verb == "replace" or (verb == "remove" and not users):
        return (changes.ReplaceMembers(key, users),)
    made = changes.AddMember if verb == "add" else changes.RemoveMember
    return tuple(made(key, user) for user in users)


def _ids(value: object) -> Iterator[str]:
    for index, one in enumerate(value if isinstance(value, list) else [value]):
        if one is not None:
            yield fields.as_id(fields.peek(one, "value"), f"members[{index}].value")


def _of_user(steps: list[_Step], key: str) -> Changes:
    told: list[changes.Change] = []
    profile: Profile = {}
    address = None
    for verb, path, value in steps:
        is_gone, low = verb == "remove", path.casefold()
        if low == "active" and not is_gone:
            told.append(_active(value, key))
        elif low in _NAMES:
            profile[_NAMES[low]] = None if is_gone else text(value, path)
        elif low == "username" and not is_gone:
            address = fields.address(value) or address
        elif _ADDRESS.fullmatch(path) and not is_gone:
            address = address or _first_address(value)
    if address is not None:
        told.insert(0, changes.ChangeEmail(key, address))
    if profile:
        told.insert(0, changes.UpdateProfile(key, profile))
    return tuple(told)


def _active(value: object, key: str) -> changes.Change:
    word = str(value).casefold()
    if not isinstance(value, bool | str) or word not in {"true", "false"}:
        raise UnparseableError("active", "neither true nor false")
    return changes.ReactivateUser(key) if word == "true" else changes.SuspendUser(key)


def _first_address(value: object) -> str | None:
    listed = value if isinstance(value, list) else [value]
    told = (one.get("value") if isinstance(one, dict) else one for one in listed)
    return next((found for found in map(fields.address, told) if found), None)
