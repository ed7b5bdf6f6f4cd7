"""Clerk: users, organizations as groups, memberships; Svix's signature."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain import changes
from domain.inbox import Kind
from domain.ports import Request
from worker.adapters.sources import fields
from worker.adapters.sources.people import (
    delete_group,
    described,
    flag,
    profile_of,
    put_group,
    suspended,
)
from worker.adapters.sources.svix import SvixSource
from worker.adapters.sources.webhook import Changes, Event, Rule

_MILLISECONDS = 1000
_PROFILE = {"first_name": "given_name", "last_name": "family_name"}


def _data(event: Event) -> dict[str, Any]:
    return fields.as_object(event.get("data"), "data")


def _address(data: Event) -> str | None:
    """The address that is marked as the primary one, by its id."""
    listed = data.get("email_addresses")
    for one in listed if isinstance(listed, list) else ():
        if fields.peek(one, "id") == data.get("primary_email_address_id"):
            return fields.address(fields.peek(one, "email_address"))
    return None


def _active(data: Event) -> bool | None:
    # `locked` is not asked: failed sign-ins lock somebody for an hour, and anybody can fail.
    banned = flag(data.get("banned"), "data.banned")
    return None if banned is None else not banned


def _user(event: Event, place: str = "") -> Changes:
    data = _data(event)
    user = fields.as_id(data.get("id"), "data.id")
    profile = profile_of(data, _PROFILE, "data.")
    return described(user, _address(data), profile, _active(data), place=place)


def _created(event: Event) -> Changes:
    return _user(event, "data.email_addresses")


def _deleted(event: Event) -> Changes:
    return suspended(_data(event).get("id"), "data.id")


def _edge(event: Event) -> tuple[str, str]:
    data = _data(event)
    group = fields.as_id(fields.peek(data, "organization", "id"), "data.organization.id")
    user = fields.peek(data, "public_user_data", "user_id")
    return group, fields.as_id(user, "data.public_user_data.user_id")


def _join(event: Event) -> Changes:
    return (changes.AddMember(*_edge(event)),)


def _leave(event: Event) -> Changes:
    return (changes.RemoveMember(*_edge(event)),)


def _put_group(event: Event) -> Changes:
    return put_group(_data(event), "data.")


def _delete_group(event: Event) -> Changes:
    return delete_group(_data(event), "data.")


RULES: Mapping[str, Rule] = {
    "user.created": Rule(Kind.USERS_CREATE, _created),
    "user.updated": Rule(Kind.USERS_UPDATE, _user),
    "user.deleted": Rule(Kind.USERS_SUSPEND, _deleted),
    "organization.created": Rule(Kind.GROUPS_UPSERT, _put_group),
    "organization.updated": Rule(Kind.GROUPS_UPSERT, _put_group),
    "organization.deleted": Rule(Kind.GROUPS_DELETE, _delete_group),
    "organizationMembership.created": Rule(Kind.GROUPS_ADD_MEMBERS, _join),
    "organizationMembership.updated": Rule(Kind.GROUPS_ADD_MEMBERS, _join),
    "organizationMembership.deleted": Rule(Kind.GROUPS_REMOVE_MEMBERS, _leave),
}


class ClerkSource(SvixSource):
    """Reads `{"type", "timestamp", "data"}`; the clock is `timestamp`, in milliseconds."""

    name = "clerk"
    #: An instance holds every user of an application, of whatever customer.
    needs_scope = True
    tells_tenant = True
    tenants = (("instance_id",),)
    rules = RULES

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When it happened, by Clerk."""
        return fields.epoch(fields.peek(event, "timestamp"), _MILLISECONDS)
