"""PingOne's webhooks: audit activities in batches, proven by a header that an administrator types.

An activity names ids and what was done to them, no values. Its documentation: one JSON document
with up to 500 activities, in the format "Ping Activity". PingOne sends one batch again and again,
and nothing after it, until it is answered with 200.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from domain import changes
from domain.hydration import Wanted, What
from domain.inbox import Kind
from domain.ports import Request, SigningSecret, UnparseableError
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.thin import ThinSource
from worker.adapters.sources.webhook import Changes, Event, Rule

USER, GROUP, MEMBER = "USER", "GROUP", "MEMBER_OF_GROUP"
_EDGE = ("users", "memberOfGroups")


@dataclass(frozen=True, slots=True)
class Resource:
    """What an activity was done to. path: of its address, in parts."""

    id: str
    name: str | None
    path: tuple[str, ...]


def _resource(event: Event, kind: str) -> Resource:
    """The first resource of this type; raises UnparseableError where there is none."""
    for index, told in enumerate(fields.as_list(event.get("resources"), "resources")):
        if fields.peek(told, "type") == kind:
            key = fields.as_id(fields.peek(told, "id"), f"resources[{index}].id")
            name = fields.peek_text(told, "name") or None
            return Resource(key, name, _path(fields.peek_text(told, "href")))
    raise UnparseableError("resources", f"no resource of type {kind}")


def _path(address: str) -> tuple[str, ...]:
    try:
        return tuple(urlsplit(address).path.strip("/").split("/"))
    except ValueError:
        return ()


def _edge(event: Event) -> tuple[str, str]:
    """Group and user, which stand only in the address: `users/USER/memberOfGroups/GROUP`."""
    user, group = "", ""
    path = _resource(event, MEMBER).path
    if len(path) >= 2 * len(_EDGE) and (path[-4], path[-2]) == _EDGE:
        user, group = path[-3], path[-1]
    place = "resources[].href"
    return fields.as_id(group, place), fields.as_id(user, place)


def _nothing(event: Event) -> Changes:
    _resource(event, USER)
    return ()


def _left(event: Event) -> Changes:
    return (changes.SuspendUser(_resource(event, USER).id),)


def _put_group(event: Event) -> Changes:
    group = _resource(event, GROUP)
    return (changes.PutGroup(group.id, group.name),)


def _delete_group(event: Event) -> Changes:
    return (changes.DeleteGroup(_resource(event, GROUP).id),)


def _join(event: Event) -> Changes:
    return (changes.AddMember(*_edge(event)),)


def _leave(event: Event) -> Changes:
    return (changes.RemoveMember(*_edge(event)),)


_JOINED = "MEMBER_OF_GROUP.CREATED"
#: Whoever is enabled, disabled, moved or renamed is `USER.UPDATED` or alike: which of it, and to
#: what, only PingOne can tell.
RULES: Mapping[str, Rule] = {
    "USER.CREATED": Rule(Kind.USERS_CREATE, _nothing),
    "USER.UPDATED": Rule(Kind.HYDRATE, _nothing),
    "USER.MOVED": Rule(Kind.HYDRATE, _nothing),
    "USER.LOCKED": Rule(Kind.HYDRATE, _nothing),
    "USER.UNLOCKED": Rule(Kind.HYDRATE, _nothing),
    "USER.DELETED": Rule(Kind.USERS_SUSPEND, _left),
    "GROUP.CREATED": Rule(Kind.GROUPS_UPSERT, _put_group),
    "GROUP.UPDATED": Rule(Kind.GROUPS_UPSERT, _put_group),
    "GROUP.DELETED": Rule(Kind.GROUPS_DELETE, _delete_group),
    _JOINED: Rule(Kind.GROUPS_ADD_MEMBERS, _join),
    "MEMBER_OF_GROUP.DELETED": Rule(Kind.GROUPS_REMOVE_MEMBERS, _leave),
}
_READ: Mapping[str, tuple[What, str]] = {
    **{name: (What.PERSON, USER) for name, rule in RULES.items() if rule.build is _nothing},
    "GROUP.UPDATED": (What.GROUP, GROUP),
}


class PingoneSource(ThinSource):
    """Reads an array of activities, or one alone; key of each is its `id`, clock `recordedAt`."""

    name = "pingone"
    has_static_secret = True
    #: An environment holds people of all applications.
    needs_scope = True
    #: Five hundred activities are a batch, which is sent again until it is taken: how long one may
    #: be is up to ROSTERD_MAX_BODY_BYTES alone.
    max_body_bytes = 16 << 20
    rules = RULES

    def verify(
        self,
        request: Request,
        secrets: Sequence[SigningSecret],
        now: datetime,  # noqa: ARG002
    ) -> SigningSecret:
        """The secret in `Authorization`; raises NotAuthenticError. There is nothing to be stale."""
        return proofs.static(request, secrets)

    def events(self, document: object) -> list[Any]:
        """Those of an array, of a page as the API has it, or the one that the document is."""
        if isinstance(document, list):
            return document
        page = fields.peek(document, "_embedded", "activities")
        return super().events(document) if page is None else fields.as_list(page, "_embedded")

    def type_of(self, event: object) -> str:
        """PingOne calls it an action."""
        return fields.peek_text(event, "action", "type")

    def is_silent(self, event: object) -> bool:
        """What did not succeed changed nothing; an activity without a verdict did."""
        status = fields.peek_text(event, "result", "status")
        return status.casefold() not in {"", "success"}

    def key_of(self, event: object, request: Request, index: int) -> str:  # noqa: ARG002
        """The activity's own id, the same over all tries and in the log."""
        return fields.event_key(fields.peek(event, "id"), f"[{index}].id")

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When it was done, by PingOne."""
        return fields.moment(fields.peek(event, "recordedAt"))

    def wanted(self, event: Event) -> Wanted | None:
        """Whoever was created or changed, or let into a group; a group that may be renamed (U8)."""
        if self.type_of(event) == _JOINED:
            return Wanted.member(*_edge(event))
        what, kind = _READ.get(self.type_of(event), (None, ""))
        return None if what is None else Wanted(what, _resource(event, kind).id)
