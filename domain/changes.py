"""What an event asks of the directory: imperative, frozen, the same for every source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from domain.inbox import Kind

NOTHING: Mapping[str, str | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ProvisionUser:
    """Describe a person: create if unknown, else assert what is given.

    email: "" says nothing about it, which is refused of somebody who has none (E9).
    profile: attribute name -> value; a missing key is untouched, None clears (D15).
    active: None says nothing about it, so it never brings anybody back.
    user_type: "guest" is never in scope (S2); None says nothing.
    """

    user: str
    email: str
    profile: Mapping[str, str | None] = field(default_factory=lambda: NOTHING)
    active: bool | None = None
    user_type: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateProfile:
    """Assert attributes of a person; of an unknown one they are kept, nobody is described."""

    user: str
    profile: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class ChangeEmail:
    """The IdP gives a person another address (E2, E3, E5).

    is_read_anew: it is the address by the connection's rule already (E9).
    """

    user: str
    email: str
    is_read_anew: bool = False


@dataclass(frozen=True, slots=True)
class SuspendUser:
    """The person is out: deactivated, suspended or deleted at the IdP (U3).

    by: whose register the word belongs to; None: the feed's own (U8, `domain.listing`).
    """

    user: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class ReactivateUser:
    """The feed's last word on the person is active again (U4, U8). by: as in SuspendUser."""

    user: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class AssignUser:
    """The person was assigned to an application of the IdP (S1, scope `assignment`).

    email and profile are what the assignment tells of the person, if anything.
    """

    user: str
    app: str
    email: str | None = None
    profile: Mapping[str, str | None] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class UnassignUser:
    """The person lost the assignment to an application of the IdP (S1, U3)."""

    user: str
    app: str


@dataclass(frozen=True, slots=True)
class PutGroup:
    """Create or rename a group; name None keeps the name that it has."""

    group: str
    name: str | None


@dataclass(frozen=True, slots=True)
class DeleteGroup:
    """The group is gone; its memberships with it, its people stay (G1)."""

    group: str


@dataclass(frozen=True, slots=True)
class AddMember:
    """The person belongs to the group."""

    group: str
    user: str


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """The person no longer belongs to the group."""

    group: str
    user: str


@dataclass(frozen=True, slots=True)
class ReplaceMembers:
    """The group has exactly these members (D13: sets the group's floor)."""

    group: str
    users: tuple[str, ...]


UserChange = (
    ProvisionUser
    | UpdateProfile
    | ChangeEmail
    | SuspendUser
    | ReactivateUser
    | AssignUser
    | UnassignUser
)
GroupChange = PutGroup | DeleteGroup | ReplaceMembers
EdgeChange = AddMember | RemoveMember
Change = UserChange | GroupChange | EdgeChange


_KINDS: tuple[tuple[type, Kind], ...] = (
    (SuspendUser, Kind.USERS_SUSPEND),
    (UnassignUser, Kind.USERS_SUSPEND),
    (DeleteGroup, Kind.GROUPS_DELETE),
    (RemoveMember, Kind.GROUPS_REMOVE_MEMBERS),
    (ReactivateUser, Kind.USERS_REACTIVATE),
    (ChangeEmail, Kind.USERS_CHANGE_EMAIL),
    (ProvisionUser, Kind.USERS_CREATE),
    (AssignUser, Kind.USERS_CREATE),
    (UpdateProfile, Kind.USERS_UPDATE),
    (PutGroup, Kind.GROUPS_UPSERT),
    (AddMember, Kind.GROUPS_ADD_MEMBERS),
    (ReplaceMembers, Kind.GROUPS_ADD_MEMBERS),
)


def kind_of(changes: Sequence[Change]) -> Kind:
    """The kind that names the most urgent of these changes."""
    if any(isinstance(c, ProvisionUser) and c.active is False for c in changes):
        return Kind.USERS_SUSPEND
    found = (kind for type_, kind in _KINDS if any(isinstance(c, type_) for c in changes))
    return next(found, Kind.SORT)


def is_destructive(change: Change) -> bool:
    """Whether the change takes something away from somebody: it goes urgent (G5)."""
    if isinstance(change, ProvisionUser):
        return change.active is False
    return isinstance(change, SuspendUser | UnassignUser | RemoveMember | DeleteGroup)


def named_by(change: Change) -> set[str]:
    """External ids that a change names."""
    one = {getattr(change, name) for name in ("user", "group") if hasattr(change, name)}
    return one | set(change.users) if isinstance(change, ReplaceMembers) else one


def renamed(change: Change, keys: Mapping[str, str]) -> Change:
    """The change with other external ids, where the mapping has some."""
    given: dict[str, Any] = {
        name: keys[getattr(change, name)]
        for name in ("user", "group")
        if getattr(change, name, None) in keys
    }
    if isinstance(change, ReplaceMembers) and any(user in keys for user in change.users):
        given["users"] = tuple(keys.get(user, user) for user in change.users)
    return replace(change, **given) if given else change
