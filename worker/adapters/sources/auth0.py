"""Auth0 Event Streams: fat events with a state before, proven by a static bearer token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from domain import changes
from domain.inbox import Kind
from domain.ports import Request, SigningSecret
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.people import (
    delete_group,
    described,
    flag,
    profile_of,
    put_group,
    suspended,
)
from worker.adapters.sources.webhook import Changes, Event, Rule, RuledSource

_PROFILE = {
    "given_name": "given_name",
    "family_name": "family_name",
    "name": "display_name",
    "nickname": "nickname",
}
_AT = "data.object."


def _object(event: Event) -> dict[str, Any]:
    return fields.as_object(fields.peek(event, "data", "object"), "data.object")


def _user(event: Event, place: str = "") -> Changes:
    data = _object(event)
    blocked = flag(data.get("blocked"), f"{_AT}blocked")
    return described(
        fields.as_id(data.get("user_id"), f"{_AT}user_id"),
        fields.address(data.get("email")),
        profile_of(data, _PROFILE, _AT),
        # Told in full or not at all: left out, nobody ever blocked them.
        None if blocked is None else not blocked,
        place=place,
    )


def _created(event: Event) -> Changes:
    return _user(event, f"{_AT}email")


def _deleted(event: Event) -> Changes:
    return suspended(_object(event).get("user_id"), f"{_AT}user_id")


def _put_group(event: Event) -> Changes:
    return put_group(_object(event), _AT)


def _put_organization(event: Event) -> Changes:
    data = _object(event)
    return put_group(data, _AT, "display_name" if data.get("display_name") else "name")


def _delete_group(event: Event) -> Changes:
    return delete_group(_object(event), _AT)


def _ids(event: Event, group: tuple[str, ...], user: tuple[str, ...]) -> tuple[str, str]:
    data = _object(event)
    return (
        fields.as_id(fields.peek(data, *group), _AT + ".".join(group)),
        fields.as_id(fields.peek(data, *user), _AT + ".".join(user)),
    )


def _in_group(event: Event) -> tuple[str, str] | None:
    """Group and person; None where the member is another group or a connection."""
    member = fields.peek_text(event, "data", "object", "member", "member_type")
    ids = _ids(event, ("group", "id"), ("member", "id"))
    return ids if member in {"", "user"} else None


def _in_organization(event: Event) -> tuple[str, str]:
    return _ids(event, ("organization", "id"), ("user", "user_id"))


def _join_group(event: Event) -> Changes:
    ids = _in_group(event)
    return (changes.AddMember(*ids),) if ids else ()


def _leave_group(event: Event) -> Changes:
    ids = _in_group(event)
    return (changes.RemoveMember(*ids),) if ids else ()


def _join_organization(event: Event) -> Changes:
    return (changes.AddMember(*_in_organization(event)),)


def _leave_organization(event: Event) -> Changes:
    return (changes.RemoveMember(*_in_organization(event)),)


RULES: Mapping[str, Rule] = {
    "user.created": Rule(Kind.USERS_CREATE, _created),
    "user.updated": Rule(Kind.USERS_UPDATE, _user),
    "user.deleted": Rule(Kind.USERS_SUSPEND, _deleted),
    "group.created": Rule(Kind.GROUPS_UPSERT, _put_group),
    "group.updated": Rule(Kind.GROUPS_UPSERT, _put_group),
    "group.deleted": Rule(Kind.GROUPS_DELETE, _delete_group),
    "group.member.added": Rule(Kind.GROUPS_ADD_MEMBERS, _join_group),
    "group.member.deleted": Rule(Kind.GROUPS_REMOVE_MEMBERS, _leave_group),
    "organization.created": Rule(Kind.GROUPS_UPSERT, _put_organization),
    "organization.updated": Rule(Kind.GROUPS_UPSERT, _put_organization),
    "organization.deleted": Rule(Kind.GROUPS_DELETE, _delete_group),
    "organization.member.added": Rule(Kind.GROUPS_ADD_MEMBERS, _join_organization),
    "organization.member.deleted": Rule(Kind.GROUPS_REMOVE_MEMBERS, _leave_organization),
}


class Auth0Source(RuledSource):
    """One CloudEvent a request: the clock is `time`, the key `id`. Organizations are groups."""

    name = "auth0"
    has_static_secret = True
    needs_scope = True
    tells_tenant = True
    tenants = (("a0tenant",),)
    rules = RULES
    no_change = frozenset(
        {
            *(f"organization.connection.{verb}" for verb in ("added", "removed", "updated")),
            *(f"organization.member.role.{verb}" for verb in ("assigned", "deleted")),
        }
    )

    def verify(
        self,
        request: Request,
        secrets: Sequence[SigningSecret],
        now: datetime,  # noqa: ARG002
    ) -> SigningSecret:
        """The token that came as `Authorization: Bearer`; there is nothing to be stale."""
        return proofs.bearer(request, secrets)

    def is_silent(self, event: object) -> bool:
        """Known to ask for nothing; a test event looks real but for its purpose."""
        return fields.peek(event, "a0purpose") == "test" or super().is_silent(event)

    def key_of(self, event: object, request: Request, index: int) -> str:  # noqa: ARG002
        """The CloudEvent's id, the same over all retries."""
        return fields.event_key(fields.peek(event, "id"), "id")

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When it happened, by Auth0."""
        return fields.moment(fields.peek(event, "time"))
