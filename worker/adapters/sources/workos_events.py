"""What the events of WorkOS Directory Sync ask for, read from their `data`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain import changes
from domain.inbox import Kind
from domain.ports import UnparseableError
from worker.adapters.sources import fields

Data = Mapping[str, Any]
Changes = tuple[changes.Change, ...]

#: A directory that comes or goes says nothing about a single person: it suspends nobody.
NO_CHANGE = frozenset({"dsync.activated", "dsync.deactivated", "dsync.deleted"})

_STATES: Mapping[str, bool] = {"active": True, "inactive": False, "suspended": False}
_PROFILE = {
    "first_name": "given_name",
    "last_name": "family_name",
    "name": "display_name",
    "job_title": "title",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Kind of an event type, where its subject's id lies in `data`, what it asks for.

    is_state: `data` is the whole user or group as of its own `updated_at`.
    """

    kind: Kind
    subject: tuple[str, ...]
    build: Callable[[Data], Changes]
    is_state: bool = False


def is_active(state: object) -> bool | None:
    """What the word says; None for a missing one and for words that we do not know."""
    return _STATES.get(state.casefold()) if isinstance(state, str) else None


def _address(data: Data) -> str | None:
    emails = data.get("emails")
    listed = emails if isinstance(emails, list) else []
    primary = [one for one in listed if fields.peek(one, "primary") is True]
    candidates = [data.get("email"), *(fields.peek(one, "value") for one in primary)]
    candidates.append(data.get("username"))
    return next((found for found in map(fields.address, candidates) if found), None)


def _profile(data: Data) -> dict[str, str | None]:
    profile = {}
    for theirs, ours in _PROFILE.items():
        if theirs in data:
            value = data[theirs]
            if not isinstance(value, str | None):
                raise UnparseableError(f"data.{theirs}", "not a string")
            profile[ours] = value
    return profile | _candidates(data)


def _candidates(data: Data) -> dict[str, str | None]:
    """What else may be the address, as attributes of that name (E9)."""
    emails = data.get("emails")
    listed = emails if isinstance(emails, list) else []
    primary = (fields.peek_text(o, "value") for o in listed if fields.peek(o, "primary") is True)
    told = {"username": fields.peek_text(data, "username"), "emails[primary]": next(primary, "")}
    return {name: value for name, value in told.items() if value}


def _active(data: Data) -> bool | None:
    state = data.get("state")
    if not isinstance(state, str | None):
        raise UnparseableError("data.state", "not a string")
    return is_active(state)


def _created(data: Data) -> Changes:
    told = _updated(data)
    # A suspension goes through even if the rest cannot be used (D10).
    if any(isinstance(one, changes.ProvisionUser | changes.SuspendUser) for one in told):
        return told
    raise UnparseableError("data.email", "no e-mail address")


def _updated(data: Data) -> Changes:
    user, active = fields.as_id(data.get("id"), "data.id"), _active(data)
    profile, email = _profile(data), _address(data)
    if email is not None:
        return (changes.ProvisionUser(user, email, profile, active),)
    told: Changes = (changes.UpdateProfile(user, profile),)
    if active is None:
        return told
    return (*told, changes.ReactivateUser(user) if active else changes.SuspendUser(user))


def _suspend(data: Data) -> Changes:
    return (changes.SuspendUser(fields.as_id(data.get("id"), "data.id")),)


def _put_group(data: Data) -> Changes:
    group, name = fields.as_id(data.get("id"), "data.id"), data.get("name")
    if not isinstance(name, str | None):
        raise UnparseableError("data.name", "not a string")
    return (changes.PutGroup(group, name or None),)


def _delete_group(data: Data) -> Changes:
    return (changes.DeleteGroup(fields.as_id(data.get("id"), "data.id")),)


def _edge(data: Data) -> tuple[str, str]:
    group = fields.as_id(fields.peek(data, "group", "id"), "data.group.id")
    return group, fields.as_id(fields.peek(data, "user", "id"), "data.user.id")


def _add_member(data: Data) -> Changes:
    return (changes.AddMember(*_edge(data)),)


def _remove_member(data: Data) -> Changes:
    return (changes.RemoveMember(*_edge(data)),)


_OWN, _USER = ("id",), ("user", "id")

RULES: Mapping[str, Rule] = {
    "dsync.user.created": Rule(Kind.USERS_CREATE, _OWN, _created, is_state=True),
    "dsync.user.updated": Rule(Kind.USERS_UPDATE, _OWN, _updated, is_state=True),
    "dsync.user.deleted": Rule(Kind.USERS_SUSPEND, _OWN, _suspend),
    "dsync.group.created": Rule(Kind.GROUPS_UPSERT, _OWN, _put_group, is_state=True),
    "dsync.group.updated": Rule(Kind.GROUPS_UPSERT, _OWN, _put_group, is_state=True),
    "dsync.group.deleted": Rule(Kind.GROUPS_DELETE, _OWN, _delete_group),
    "dsync.group.user_added": Rule(Kind.GROUPS_ADD_MEMBERS, _USER, _add_member),
    "dsync.group.user_removed": Rule(Kind.GROUPS_REMOVE_MEMBERS, _USER, _remove_member),
}
