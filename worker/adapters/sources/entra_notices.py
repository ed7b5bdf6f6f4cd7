"""What a change notification of Microsoft Graph says: whom it is about, and how little of them.

Graph tells that somebody changed, not how: a creation and a soft deletion come as `updated`, too,
and `deleted` is the permanent removal. So each asks for its person or group to be read. Of a group
it also tells whose membership changed: `members@delta`, where who was removed bears `@removed`
(a text in notifications, an object in answers of a delta query).
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from domain import changes
from domain.hydration import Wanted, What
from domain.inbox import Kind, Reason
from domain.ports import Parsed, UnparseableError
from worker.adapters.sources import fields

#: What Graph calls users and groups, in lower case, by what they are here.
TYPES: Mapping[str, What] = {
    "#microsoft.graph.user": What.PERSON,
    "#microsoft.graph.group": What.GROUP,
}
_NAMES: Mapping[What, str] = {What.PERSON: "user", What.GROUP: "group"}
MEMBERS = "members@delta"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: `sequenceNumber` counts tenths of microseconds since the year 1; so many of them were 1970.
_TICKS_BEFORE, _TICKS_A_MICROSECOND = 621_355_968_000_000_000, 10
_BELIEVED = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that a notification says. is_edges: who is in its group, and not the group itself.

    item: as Graph sends it, without its `clientState`.
    """

    item: Mapping[str, Any]
    is_edges: bool = False

    @property
    def what(self) -> What | None:
        """What it is about; None for whatever rosterd keeps no directory of."""
        if self.lifecycle or "encryptedContent" in self.item:
            return None
        return TYPES.get(fields.peek_text(self.item, "resourceData", "@odata.type").casefold())

    @property
    def lifecycle(self) -> str:
        """What became of the subscription itself, or ""."""
        return fields.peek_text(self.item, "lifecycleEvent")

    @property
    def type(self) -> str:
        """The source's word for it: `user.updated`, `group.members`, `lifecycle.missed`."""
        if self.lifecycle:
            return f"lifecycle.{self.lifecycle}"
        changed = fields.peek_text(self.item, "changeType")
        if self.what is None:
            return changed
        return f"{_NAMES[self.what]}.{'members' if self.is_edges else changed}"

    @property
    def subject(self) -> str:
        """The id of the person or group, or "" for what is neither; never raises."""
        told = fields.peek_text(self.item, "resourceData", "id") if self.what else ""
        return _as_guid(told) if len(told) <= fields.MAX_ID else ""

    @property
    def key(self) -> str:
        """By which a repetition is known.

        Where Graph gives neither an id nor a number nor a time, nothing tells a repetition from the
        same change made again: each is an event, for reading twice costs less than losing one.
        """
        return f"{self._told_key()}{':members' if self.is_edges else ''}"

    def _told_key(self) -> str:
        if told := fields.peek_text(self.item, "id"):
            return told
        about = fields.peek_text(self.item, "subscriptionId")
        if self.lifecycle:
            ends = fields.peek_text(self.item, "subscriptionExpirationDateTime")
            return f"{about}:{self.lifecycle}:{ends}"
        data = fields.peek(self.item, "resourceData")
        number = fields.peek(data, "sequenceNumber") or fields.peek_text(data, "eventTime")
        about = (
            f"{about}:{fields.peek_text(data, 'id')}:{fields.peek_text(self.item, 'changeType')}"
        )
        return f"{about}:{number or randomness.token_hex(16)}"

    @property
    def kind(self) -> Kind:
        """D10: who has to be read may be a leaver; only what takes nothing away can wait."""
        if self.what is None:
            return Kind.SORT
        if not self.is_edges and not self._is_gone():
            return Kind.HYDRATE
        try:
            return changes.kind_of(self.parsed().changes)
        except UnparseableError:
            # Stored all the same; the worker says where it fails.
            return Kind.SORT

    @property
    def occurred_at(self) -> datetime | None:
        """By Microsoft's clock: `eventTime`, or else what the sequence number counts."""
        data = fields.peek(self.item, "resourceData")
        return fields.moment(fields.peek(data, "eventTime")) or ticks(
            fields.peek(data, "sequenceNumber")
        )

    def parsed(self) -> Parsed:
        """What it asks for; raises UnparseableError."""
        if self.lifecycle:
            return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
        if self.what is None:
            return Parsed(ignored=Reason.UNKNOWN_TYPE)
        told = fields.as_id(fields.peek(self.item, "resourceData", "id"), "resourceData.id")
        key = _as_guid(told)
        if self.is_edges:
            edges = _edges(key, fields.peek(self.item, "resourceData", MEMBERS))
            return Parsed(edges) if edges else Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
        wants = Wanted(self.what, key)
        if not self._is_gone():
            return Parsed(ignored=Reason.NEEDS_READING, wants=wants)
        is_person = self.what is What.PERSON
        gone = changes.SuspendUser(key) if is_person else changes.DeleteGroup(key)
        return Parsed((gone,), wants=wants)

    def _is_gone(self) -> bool:
        return fields.peek_text(self.item, "changeType").casefold() == "deleted"


def notices(item: Mapping[str, Any]) -> list[Notice]:
    """A notification of a group whose members changed says two things."""
    whole = Notice(item)
    if whole.what is What.GROUP and fields.peek(item, "resourceData", MEMBERS):
        return [whole, Notice(item, is_edges=True)]
    return [whole]


def ticks(number: object) -> datetime | None:
    """The moment that a sequence number counts; None for any number that is no such moment."""
    if isinstance(number, bool) or not isinstance(number, int):
        return None
    since = (number - _TICKS_BEFORE) // _TICKS_A_MICROSECOND
    try:
        told = _EPOCH + timedelta(microseconds=since)
    except OverflowError:
        return None
    return told if _BELIEVED[0] < told < _BELIEVED[1] else None


def _as_guid(told: str) -> str:
    """Letters of a GUID mean the same in either case; Graph answers in lower case."""
    return told.lower() if told.isascii() else told


def _edges(group: str, told: object) -> tuple[changes.Change, ...]:
    """Who came and who went. Of one who did both, in whatever order, only that they went.

    A member that is a group or a device is no person; notifications do not tell what it is.
    """
    found: dict[str, changes.Change] = {}
    for index, one in enumerate(fields.as_list(told, f"resourceData.{MEMBERS}")):
        type_ = fields.peek_text(one, "@odata.type").casefold()
        if type_ and TYPES.get(type_) is not What.PERSON:
            continue
        place = f"resourceData.{MEMBERS}[{index}].id"
        user = _as_guid(fields.as_id(fields.peek(one, "id"), place))
        if fields.peek(one, "@removed"):
            found[user] = changes.RemoveMember(group, user)
        else:
            found.setdefault(user, changes.AddMember(group, user))
    return tuple(found.values())
