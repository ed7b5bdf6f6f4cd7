"""What an application is told of changes to the directory: types, bodies, who must hear first.

The table of types and bodies is in deploy/events.md; a body never carries more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.inbox import Lane
from domain.keys import group_id, group_ref
from domain.model import Group, Person, PersonState
from domain.own_groups import OwnGroup
from domain.values import normalise_address


class AnnouncementType(StrEnum):
    """What happened, in the words of the request's body."""

    USER_INVITED = "user.invited"
    USER_ACTIVATED = "user.activated"
    USER_SUSPENDED = "user.suspended"
    USER_REACTIVATED = "user.reactivated"
    USER_UPDATED = "user.updated"
    USER_EMAIL_CHANGED = "user.email_changed"
    USER_DELETED = "user.deleted"
    GROUP_CREATED = "group.created"
    GROUP_RENAMED = "group.renamed"
    GROUP_UPDATED = "group.updated"
    GROUP_DELETED = "group.deleted"
    GROUP_MEMBER_ADDED = "group.member_added"
    GROUP_MEMBER_REMOVED = "group.member_removed"
    SECURITY_SIGNAL = "security.signal"
    ENDPOINT_TEST = "endpoint.test"


#: By these somebody loses access: an application ends sessions, so they overtake all others.
URGENT_TYPES = frozenset(
    {
        AnnouncementType.USER_SUSPENDED,
        AnnouncementType.USER_DELETED,
        AnnouncementType.GROUP_DELETED,
        AnnouncementType.GROUP_MEMBER_REMOVED,
        AnnouncementType.SECURITY_SIGNAL,
    }
)

Data = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Announcement:
    """One change as the application hears of it.

    subject: id of the person or group by which it is numbered; a membership's is the person.
    data: as in the body, but for `sequence`, which is given when it is stored.
    """

    account: str
    type: AnnouncementType
    subject: str
    data: Data

    @property
    def lane(self) -> Lane:
        """What takes access away goes first (G5)."""
        return Lane.URGENT if self.type in URGENT_TYPES else Lane.STANDARD


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group as an application sees it, whoever made it."""

    id: str
    account: str
    name: str
    connection: str | None = None
    external_id: str | None = None

    @property
    def body(self) -> dict[str, object]:
        """What a body says of a group."""
        return {
            "id": self.id,
            "account": self.account,
            "connection": self.connection,
            "external_id": self.external_id,
            "name": self.name,
            "managed": self.connection is not None,
        }


def view_of(group: Group, account: str) -> GroupView:
    """The view of a group that an identity provider keeps."""
    key = group_ref(group_id(group.connection, group.key))
    return GroupView(key, account, group.name[1] or group.key, group.connection, group.key)


def let_go(view: GroupView) -> GroupView:
    """The view of a group whose provider manages it no longer (C7)."""
    return replace(view, connection=None)


def view_of_own(group: OwnGroup) -> GroupView:
    """The view of a group that operators keep; one that stands for a provider's bears its id."""
    if group.connection is None or group.key is None:
        return GroupView(group.id, group.account, group.name)
    key = group_ref(group_id(group.connection, group.key))
    governs = group.connection if group.is_managed else None
    return GroupView(key, group.account, group.name, governs, group.key)


def user_body(person: Person) -> dict[str, object]:
    """What a body says of a person."""
    profile = person.profile
    return {
        "id": person.id,
        "account": person.account,
        "connection": person.connection,
        "external_id": person.user,
        "email": person.email,
        "requested_email": person.requested,
        "state": person.state.value,
        "managed": person.is_managed,
        "role": person.role.value,
        "given_name": profile.get("given_name"),
        "family_name": profile.get("family_name"),
        "display_name": profile.get("display_name"),
    }


def of_person(before: Person | None, after: Person) -> list[Announcement]:
    """What a change of a person announces: the state, then the address, then the rest.

    before: None for somebody new. A withdrawn person is in no directory (D3).
    """
    was = None if before is None or before.state is PersonState.WITHDRAWN else before
    if after.state is PersonState.WITHDRAWN:
        return [] if was is None else [_of_user(AnnouncementType.USER_DELETED, after)]
    found = []
    told = _state_told(was, after)
    if told is not None:
        found.append(_of_user(told, after))
    if was is None:
        return found
    has_moved = normalise_address(was.email) != normalise_address(after.email)
    if has_moved:
        moved = AnnouncementType.USER_EMAIL_CHANGED
        found.append(_of_user(moved, after, previous_email=was.email))
    if _rest(was, has_moved=has_moved) != _rest(after, has_moved=has_moved):
        found.append(_of_user(AnnouncementType.USER_UPDATED, after))
    return found


def of_deletion(person: Person) -> Announcement:
    """A person who was deleted for good (U5)."""
    return _of_user(AnnouncementType.USER_DELETED, person)


def _of_user(type_: AnnouncementType, person: Person, **more: object) -> Announcement:
    return Announcement(person.account, type_, person.id, {**user_body(person), **more})


#: State -> what somebody new in it is announced as.
_FIRST = {
    PersonState.INVITED: AnnouncementType.USER_INVITED,
    PersonState.ACTIVE: AnnouncementType.USER_ACTIVATED,
    PersonState.SUSPENDED: AnnouncementType.USER_SUSPENDED,
    PersonState.INVITED_SUSPENDED: AnnouncementType.USER_SUSPENDED,
}


def _state_told(was: Person | None, after: Person) -> AnnouncementType | None:
    if was is None:
        return _FIRST[after.state]
    if was.state is after.state or (was.is_suspended and after.is_suspended):
        return None
    if was.is_suspended:
        return AnnouncementType.USER_REACTIVATED
    return _FIRST[after.state]


def _rest(person: Person, *, has_moved: bool) -> dict[str, object]:
    """What else a body says: all but the state, and but the addresses where those were told."""
    told = {"state", "email", "requested_email"} if has_moved else {"state"}
    return {name: value for name, value in user_body(person).items() if name not in told}


def of_group(before: GroupView | None, after: GroupView | None) -> list[Announcement]:
    """What a change of a group announces; None: it is not there, or not kept."""
    if before is None and after is not None:
        return [_of_group(AnnouncementType.GROUP_CREATED, after)]
    if after is None:
        return [] if before is None else [_of_group(AnnouncementType.GROUP_DELETED, before)]
    if before is None:
        return []
    if before.name != after.name:
        return [_of_group(AnnouncementType.GROUP_RENAMED, after, previous_name=before.name)]
    if before.body != after.body and before.id == after.id:
        return [_of_group(AnnouncementType.GROUP_UPDATED, after)]
    return []


def _of_group(type_: AnnouncementType, group: GroupView, **more: object) -> Announcement:
    return Announcement(group.account, type_, group.id, {**group.body, **more})


def of_membership(person: Person, group: GroupView, *, is_member: bool) -> Announcement:
    """A membership that took effect or ended, numbered among what is told of the person."""
    added, removed = AnnouncementType.GROUP_MEMBER_ADDED, AnnouncementType.GROUP_MEMBER_REMOVED
    data = {
        "account": group.account,
        "connection": group.connection,
        "group": {"id": group.id, "external_id": group.external_id, "name": group.name},
        "user": {"id": person.id, "external_id": person.user, "email": person.email},
    }
    return Announcement(group.account, added if is_member else removed, person.id, data)
