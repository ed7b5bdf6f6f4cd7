"""Scalekit: directories of organizations, fat, Standard Webhooks' signature."""

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
    text,
)
from worker.adapters.sources.svix import SvixSource
from worker.adapters.sources.webhook import Changes, Event, Rule

_PROFILE = {
    "given_name": "given_name",
    "family_name": "family_name",
    "name": "display_name",
    "title": "title",
    "department": "department",
}


def _data(event: Event) -> dict[str, Any]:
    return fields.as_object(event.get("data"), "data")


def _user(event: Event, place: str = "") -> Changes:
    data = _data(event)
    user = fields.as_id(data.get("id"), "data.id")
    told = described(
        user,
        fields.address(data.get("email")),
        profile_of(data, _PROFILE, "data."),
        flag(data.get("active"), "data.active"),
        place=place,
        user_type=text(data.get("user_type"), "data.user_type"),
    )
    return (*told, *_joined(user, data))


def _joined(user: str, data: Event) -> Changes:
    """Whom the list names is a member. That it is complete nobody says: it takes nobody out."""
    groups = fields.as_list(data.get("groups") or [], "data.groups")
    ids = [
        fields.as_id(fields.peek(group, "id"), f"data.groups[{index}].id")
        for index, group in enumerate(groups)
    ]
    return tuple(changes.AddMember(group, user) for group in dict.fromkeys(ids))


def _created(event: Event) -> Changes:
    return _user(event, "data.email")


def _deleted(event: Event) -> Changes:
    return suspended(_data(event).get("id"), "data.id")


def _put_group(event: Event) -> Changes:
    return put_group(_data(event), "data.", "display_name")


def _delete_group(event: Event) -> Changes:
    return delete_group(_data(event), "data.")


_OF = "organization.directory"


RULES: Mapping[str, Rule] = {
    f"{_OF}.user_created": Rule(Kind.USERS_CREATE, _created),
    f"{_OF}.user_updated": Rule(Kind.USERS_UPDATE, _user),
    f"{_OF}.user_deleted": Rule(Kind.USERS_SUSPEND, _deleted),
    f"{_OF}.group_created": Rule(Kind.GROUPS_UPSERT, _put_group),
    f"{_OF}.group_updated": Rule(Kind.GROUPS_UPSERT, _put_group),
    f"{_OF}.group_deleted": Rule(Kind.GROUPS_DELETE, _delete_group),
}


class ScalekitSource(SvixSource):
    """Reads `{"type", "occurred_at", "data"}`; the clock is `occurred_at`."""

    name = "scalekit"
    tells_tenant = True
    tenants = (("organization_id",), ("data", "organization_id"), ("data", "directory_id"))
    rules = RULES
    #: A directory that comes or goes says nothing about a single person: it suspends nobody.
    no_change = frozenset({f"{_OF}_enabled", f"{_OF}_disabled"})

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When it happened, by Scalekit."""
        return fields.moment(fields.peek(event, "occurred_at"))
