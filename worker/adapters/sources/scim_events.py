"""SCIM provisioning events (RFC 9967): what each asks for, read from its subject and data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain import changes
from domain.inbox import Kind
from domain.ports import UnparseableError
from worker.adapters.sources import fields
from worker.adapters.sources.people import Profile, described, text
from worker.adapters.sources.scim_patches import patched
from worker.adapters.sources.webhook import Changes, Event, Rule

PREFIX = "urn:ietf:params:scim:event:"
_USERS, _GROUPS = "users", "groups"
_NAMES = {"givenName": "given_name", "familyName": "family_name"}


def target(event: Event) -> tuple[str, str]:
    """`users` or `groups`, and the id: both from the subject's URI (RFC 9967, 2.1)."""
    uri = fields.peek_text(event, "claims", "sub_id", "uri")
    *_, kind, key = ["", "", *uri.rstrip("/").split("/")]
    if kind.casefold() not in {_USERS, _GROUPS}:
        raise UnparseableError("sub_id.uri", "names neither a user nor a group")
    return kind.casefold(), fields.as_id(key, "sub_id.uri")


def _data(event: Event) -> dict[str, Any]:
    return fields.as_object(fields.peek(event, "payload", "data"), "data")


def address_of(data: Mapping[str, Any]) -> str | None:
    """`userName` where it is an address, else the primary one of `emails`, else the first."""
    emails = data.get("emails")
    listed = [one for one in emails if isinstance(one, dict)] if isinstance(emails, list) else []
    listed.sort(key=lambda one: one.get("primary") is not True)
    told = [data.get("userName"), *(one.get("value") for one in listed)]
    return next((found for found in map(fields.address, told) if found), None)


def is_active(value: object) -> bool | None:
    """True, false, or either as a string; None where nothing is said."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.casefold() in {"true", "false"}:
        return value.casefold() == "true"
    raise UnparseableError("data.active", "neither true nor false")


def profile_of(data: Mapping[str, Any]) -> Profile:
    """Attributes by their name here."""
    name = fields.as_object(data.get("name") or {}, "data.name")
    told = {o: text(name[t], f"data.name.{t}") for t, o in _NAMES.items() if t in name}
    for theirs, ours in (("displayName", "display_name"), ("title", "title")):
        if theirs in data:
            told[ours] = text(data[theirs], f"data.{theirs}")
    return told


def members_of(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids of a group's members."""
    listed = fields.as_list(data.get("members") or [], "data.members")
    ids = (
        fields.as_id(fields.peek(one, "value"), f"data.members[{index}].value")
        for index, one in enumerate(listed)
    )
    return tuple(dict.fromkeys(ids))


def _user(key: str, data: Mapping[str, Any], place: str) -> Changes:
    return described(
        key,
        address_of(data),
        profile_of(data),
        is_active(data.get("active")),
        place=place,
        user_type=text(data.get("userType"), "data.userType"),
    )


def _put_group(key: str, data: Mapping[str, Any]) -> Changes:
    name = text(data.get("displayName"), "data.displayName")
    return (changes.PutGroup(key, name or None),)


def _created(event: Event) -> Changes:
    kind, key = target(event)
    data = _data(event)
    if kind == _USERS:
        return _user(key, data, "data.userName")
    joined = tuple(changes.AddMember(key, user) for user in members_of(data))
    return (*_put_group(key, data), *joined)


def _replaced(event: Event) -> Changes:
    """RFC 7644, 3.5.1: what a PUT of a group names are all its members, if it names any."""
    kind, key = target(event)
    data = _data(event)
    if kind == _USERS:
        return _user(key, data, "")
    if "members" not in data:
        return _put_group(key, data)
    return (*_put_group(key, data), changes.ReplaceMembers(key, members_of(data)))


def _patched(event: Event) -> Changes:
    kind, key = target(event)
    return patched(_data(event), key, is_group=kind == _GROUPS)


def _deleted(event: Event) -> Changes:
    kind, key = target(event)
    return (changes.SuspendUser(key) if kind == _USERS else changes.DeleteGroup(key),)


def _activated(event: Event) -> Changes:
    kind, key = target(event)
    return (changes.ReactivateUser(key),) if kind == _USERS else ()


def _deactivated(event: Event) -> Changes:
    kind, key = target(event)
    return (changes.SuspendUser(key),) if kind == _USERS else ()


RULES: Mapping[str, Rule] = {
    f"{PREFIX}prov:create:full": Rule(Kind.USERS_CREATE, _created),
    f"{PREFIX}prov:put:full": Rule(Kind.USERS_UPDATE, _replaced),
    f"{PREFIX}prov:patch:full": Rule(Kind.USERS_UPDATE, _patched),
    f"{PREFIX}prov:delete": Rule(Kind.USERS_SUSPEND, _deleted),
    f"{PREFIX}prov:activate": Rule(Kind.USERS_REACTIVATE, _activated),
    f"{PREFIX}prov:deactivate": Rule(Kind.USERS_SUSPEND, _deactivated),
}
#: Notices name no values, feed events say who is spoken of from now on, not who is in.
NO_CHANGE = frozenset(
    {
        *(f"{PREFIX}prov:{verb}:notice" for verb in ("create", "put", "patch")),
        *(f"{PREFIX}feed:{verb}" for verb in ("add", "remove")),
        f"{PREFIX}misc:asyncresp",
    }
)
