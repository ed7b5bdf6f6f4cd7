"""How the descriptions of people and groups become changes, whatever their members are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain import changes
from domain.ports import UnparseableError
from worker.adapters.sources import fields
from worker.adapters.sources.webhook import Changes

Profile = dict[str, str | None]


def described(
    user: str,
    email: str | None,
    profile: Profile,
    active: bool | None,  # noqa: FBT001 - three words: in, out, not told
    *,
    place: str = "",
    user_type: str | None = None,
) -> Changes:
    """A person as the source sees them now.

    place: where the address of somebody new was looked for; "": the person is known already, and
    may be spoken of without one. A suspension goes through in any case (D10).
    """
    if email is not None:
        return (changes.ProvisionUser(user, email, profile, active, user_type),)
    if place and active is not False:
        raise UnparseableError(place, "no e-mail address")
    told: Changes = (changes.UpdateProfile(user, profile),) if profile else ()
    if active is None:
        return told
    return (*told, changes.ReactivateUser(user) if active else changes.SuspendUser(user))


def profile_of(data: Mapping[str, Any], names: Mapping[str, str], place: str) -> Profile:
    """Attributes by their name here; names: theirs -> ours. What is missing is not told (D15)."""
    return {
        ours: text(data[theirs], f"{place}{theirs}")
        for theirs, ours in names.items()
        if theirs in data
    }


def text(value: object, place: str) -> str | None:
    """The value, which must be a string or null."""
    if not isinstance(value, str | None):
        raise UnparseableError(place, "not a string")
    return value


def flag(value: object, place: str) -> bool | None:
    """The value, which must be true, false or null."""
    if not isinstance(value, bool | None):
        raise UnparseableError(place, "neither true nor false")
    return value


def suspended(value: object, place: str) -> Changes:
    """The person with this id is out."""
    return (changes.SuspendUser(fields.as_id(value, place)),)


def put_group(data: Mapping[str, Any], place: str, name: str = "name") -> Changes:
    """A group by its `id`, under the name that it has now."""
    group = fields.as_id(data.get("id"), f"{place}id")
    return (changes.PutGroup(group, text(data.get(name), f"{place}{name}") or None),)


def delete_group(data: Mapping[str, Any], place: str) -> Changes:
    """The group with this `id` is gone."""
    return (changes.DeleteGroup(fields.as_id(data.get("id"), f"{place}id")),)
